#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.hpp"
#include "crypto/secp256k1.hpp"

namespace fiducial::evidence {

enum class ClientKind : std::uint8_t {
    clique,       // geth with Clique seals
    development,  // anvil, Ganache: blocks carry no seals and prove nothing to a stranger
};

/// Who sealed the blocks first_block … last_block (no last_block: still do).
struct SignerSet {
    std::uint64_t first_block = 0;
    std::optional<std::uint64_t> last_block;
    std::vector<Address> signers;  // strictly ascending; none on a development chain
    bool operator==(const SignerSet&) const = default;
};

/// Returns: the set that seals this block, nullptr where none of them does.
const SignerSet* signers_at(std::span<const SignerSet> sets, std::uint64_t block);

struct TrustedContract {
    std::string name;  // "Studies": a letter, then letters and digits; strictly ascending by (name, from_block, address)
    Address address{};
    Hash code_hash{};        // keccak256 of the code on the chain
    std::uint64_t slot = 0;  // of the mapping `anchors` in Studies; 0 elsewhere
    std::uint64_t from_block = 0;
    bool operator==(const TrustedContract&) const = default;
};

struct TrustedInstitution {
    Bytes32 id{};       // in Members; strictly ascending
    std::string name;   // printable ASCII, for people; may be empty
    Address gateway{};  // the account that anchors
    bool operator==(const TrustedInstitution&) const = default;
};

/// A name for people as a trust file can hold it: "?" for what is not printable ASCII, the first 100 characters.
std::string display_name(std::string_view name);

/// What a verifier has to know beforehand, obtained apart from any evidence bundle.
/// Spec: docs/formats/trust_file.md
struct TrustFile {
    std::uint64_t version = 1;
    Hash previous_sha256{};  // of the trust file with version - 1; zeros for version 1
    std::uint64_t chain_id = 0;
    Hash genesis_hash{};
    ClientKind client = ClientKind::clique;
    std::uint64_t period = 0;  // seconds
    std::uint64_t epoch = 30000;
    std::vector<SignerSet> signer_sets;  // ascending, without gap from the first one's first block on; only the last is open
    std::vector<TrustedContract> contracts;
    std::vector<TrustedInstitution> institutions;
    std::vector<Address> witnesses;  // keys that cosign audit checkpoints and heads; strictly ascending

    /// Errors: invalid_argument for a file that parse() would refuse.
    Result<std::string> serialise() const;
    /// Errors: malformed for anything but canonical JSON with exact keys and fields that fit together; limit_exceeded beyond 4 MiB.
    static Result<TrustFile> parse(std::string_view text);

    /// Returns: the set that seals this block, nullptr when the file covers it not.
    const SignerSet* signers_at(std::uint64_t block) const { return evidence::signers_at(signer_sets, block); }
    /// Returns: the contract of that name at that address, nullptr when there is none. Contracts that were replaced stay listed.
    const TrustedContract* contract(std::string_view name, const Address& address) const;
    const TrustedInstitution* institution(const Bytes32& id) const;
    bool operator==(const TrustFile&) const = default;
};

/// SHA-256 of the file's bytes: printed on letters, compared by people.
Hash trust_file_sha256(std::string_view text);
/// What the signers of version n sign for version n+1: EIP-191 (version 0x45) over the 32 bytes of the file's SHA-256.
Hash trust_signing_digest(const Hash& trust_sha256);
Result<crypto::RecoverableSignature> sign_trust_file(const crypto::Secret& signer_key, std::string_view text);

/// Signatures that accompany a trust file, in a file of their own.
std::string serialise_trust_signatures(const Hash& trust_sha256, std::span<const crypto::RecoverableSignature> signatures);
struct TrustSignatures {
    Hash trust_sha256{};
    std::vector<crypto::RecoverableSignature> signatures;
};
Result<TrustSignatures> parse_trust_signatures(std::string_view text);
/// What a signer hands over: a file of signatures, or one signature as a node's console prints it ("0x" and 130 hex digits, with or
/// without quotes; v 0/1 or 27/28). White space around it does not count.
/// Errors: malformed; unverified when it is a file of signatures for another trust file.
Result<std::vector<crypto::RecoverableSignature>> read_trust_signatures(std::string_view text, const Hash& trust_sha256);

/// Whether `next` follows `current` but for its signatures: version + 1, previous_sha256, same chain; signer sets, contracts and
/// institutions of the past unchanged.
/// Errors: unverified, saying what does not fit; malformed when a text is not a trust file.
Result<void> check_succession(std::string_view current, std::string_view next);
/// Whether `next` may take the place of `current`: check_succession, and signed by more than half of the last signer set of `current`.
/// Returns: those of them who signed, ascending.
/// Errors: unverified, saying what is missing; malformed when a text is not a trust file.
Result<std::vector<Address>> verify_succession(std::string_view current, std::string_view next,
                                               std::span<const crypto::RecoverableSignature> signatures);
/// What `next` says and `now` did not, as sentences for people. None: nothing but its version. With an empty `now`: all signers,
/// contracts, institutions with their gateways, and witnesses in `next`.
std::vector<std::string> describe_changes(const TrustFile& now, const TrustFile& next);

}  // namespace fiducial::evidence
