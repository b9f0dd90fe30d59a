#pragma once
#include <atomic>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "crypto/secret.hpp"

namespace fiducial::ledger {

/// The only geth we start: the last release that seals Clique from its command line.
inline constexpr std::string_view kGethVersion = "1.13.15";

/// Looks for geth: the configured path (then nothing else), PATH, $GOPATH/bin, ~/go/bin; and asks it for its version.
/// Errors: not_found with the places looked at and how to build it; unsupported for another version, naming both.
Result<std::filesystem::path> find_geth(const std::filesystem::path& configured);

/// What a new chain of our own is made of.
struct ChainSettings {
    std::uint64_t chain_id = 0;      // random_chain_id(); fresh for each site
    std::uint64_t period = 0;        // seconds between blocks; 0: a block as soon as there is a transaction
    std::uint64_t epoch = 30000;     // blocks
    std::vector<Address> signers{};  // Clique signers; their keys are fresh for each chain
    std::vector<Address> funded{};   // each starts with 2^200 wei
};

/// Random, from 2^40 up to below 2^52: unlikely to meet another site's, and exact in a JSON number.
std::uint64_t random_chain_id();

/// The genesis file as geth reads it. Errors: invalid_argument without signers or with one twice.
Result<std::string> genesis_json(const ChainSettings& chain);

/// A node that seals, as its command line names it.
struct SealingNode {
    std::string folder;    // made by create_chain(), with geth.toml in it
    std::string socket;    // IPC
    std::string sealer;    // "0x…"
    std::string password;  // file
    std::uint64_t chain_id = 0;
    std::uint32_t cache_megabytes = 256;
};
/// How geth is run as a signer, whoever starts it; who its peers are comes in addition. What each is for: docs/operating/node.md.
std::vector<std::string> sealing_arguments(const SealingNode& node);

/// Makes the node's data folder (mode 0700): genesis block written, sealer's key imported under password.
/// Key and password reach geth through pipes and are never in a file or an argument in clear.
/// Requires: sealer is the key of one of chain.signers.
/// Errors: conflict when the folder already holds a chain; whatever geth says, with its last lines.
Result<void> create_chain(const std::filesystem::path& geth, const std::filesystem::path& folder, const ChainSettings& chain,
                          const crypto::Secret& sealer, const crypto::Secret& password);

/// The same again from a copy: its genesis file, the sealer's key, and a file of whole blocks in RLP, one after the other from block 1 on
/// (none: empty path). geth checks every seal and runs every transaction. `on_line` is told what it says meanwhile. Errors: those of
/// create_chain; cancelled when `stop` is set.
Result<void> restore_chain(const std::filesystem::path& geth, const std::filesystem::path& folder, std::string_view genesis,
                           const std::filesystem::path& blocks, const crypto::Secret& sealer, const crypto::Secret& password,
                           const std::atomic<bool>& stop);

/// Puts the sealer's key under another password. Requires: the node does not run. Can be repeated after it was interrupted.
Result<void> change_sealer_password(const std::filesystem::path& geth, const std::filesystem::path& folder, const crypto::Secret& sealer,
                                    const crypto::Secret& password);

}  // namespace fiducial::ledger
