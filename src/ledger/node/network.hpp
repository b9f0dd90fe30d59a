#pragma once
#include <cstdint>
#include <filesystem>
#include <vector>

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "ledger/node/geth.hpp"

namespace fiducial::ledger {

struct NetworkSettings {
    std::filesystem::path geth;  // as find_geth gives it
    std::filesystem::path folder;
    unsigned signers = 3;          // 1 to 25; odd: an even number may halt for ever when it is cut in two
    std::uint64_t period = 2;      // seconds between blocks, at least 1
    std::uint16_t first_port = 0;  // of the peers, counting up from it; 0: any free ones
};
struct NetworkReport {
    std::uint64_t chain_id = 0;
    std::vector<Address> signers;                // in the order of the nodes
    std::vector<std::filesystem::path> sockets;  // IPC of each node, there once it runs
    std::filesystem::path deployer_key;          // of an account that the genesis block gave ether
};

/// Makes a network of Clique signers on this machine, to try a consortium out: one folder a node (genesis block, sealer's key,
/// configuration), `start` and `stop` beside them, and a funded account to deploy contracts with.
/// Errors: conflict when the folder is not empty; invalid_argument; those of create_chain.
/// Security: for trying out. Passwords and the deployer's key stand in files of mode 0600, and all nodes on loopback.
Result<NetworkReport> create_network(const NetworkSettings& settings);

/// How geth is run as one of its nodes; `start` does it.
std::vector<std::string> network_arguments(const SealingNode& node);

}  // namespace fiducial::ledger
