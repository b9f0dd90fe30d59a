#pragma once
// A small chain as pure data, for tests: a state with a contract Studies in it, and blocks with real Clique seals.
#include <functional>
#include <string>
#include <vector>

#include "crypto/secret.hpp"
#include "ethereum/header.hpp"
#include "evidence/bundle.hpp"
#include "evidence/file_fingerprint.hpp"
#include "evidence/trust_file.hpp"

namespace fiducial::evidence {

struct SampleOptions {
    std::size_t signers = 1;  // 0: a development chain without seals
    std::string signer_seed = "signer";
    std::string study_seed = "study";
    std::string contract_seed = "contract";
    std::string institution_seed = "institution";
    std::uint64_t chain_id = 4242;
    std::uint64_t version = 1;
    bool later_version_exists = false;
    std::uint32_t instances = 5;
    std::vector<std::uint32_t> shown{2};
    std::uint64_t first_block = 40;
    std::size_t headers = 0;  // 0: as many as it takes to be settled
    std::uint64_t slot = 3;
    Hash overlay_sha256{};                                                 // of the correction in force beside all instances
    std::function<void(std::size_t, ethereum::BlockHeader&)> before_seal;  // (which header, header)
    std::function<std::size_t(std::size_t)> sealer;                        // which header → which signer; default: in turn
    std::function<void(std::size_t, ethereum::BlockHeader&)> after_seal;
};

struct Sample {
    Bundle bundle;
    std::string text;  // of the bundle
    TrustFile trust;
    std::string trust_text;
    Bytes data_set;                    // of the first instance shown
    FileFingerprint file;              // the same
    std::vector<crypto::Secret> keys;  // in the order of their addresses
    std::vector<InstanceBody> bodies;
};

/// SHA-256(name ‖ u32 counter) for counter = 0, 1, …, cut to size.
Bytes filler(std::string_view name, std::size_t size);
Hash named_hash(std::string_view name);
crypto::Secret named_key(std::string_view name);
/// Keys and their addresses, ascending by address.
std::vector<crypto::Secret> named_keys(std::string_view seed, std::size_t count);
DataSetFingerprint fingerprint_of(ByteView data_set);
InstanceBody body_of(std::string_view uid, ByteView data_set);

Sample make_sample(const SampleOptions& options = {});

}  // namespace fiducial::evidence
