#include "ledger/node/network.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "base/descriptor.hpp"
#include "base/file.hpp"
#include "base/hex.hpp"
#include "crypto/secp256k1.hpp"

namespace fiducial::ledger {
namespace {

namespace fs = std::filesystem;
constexpr unsigned kMostSigners = 25;
constexpr std::size_t kLongestSocketPath = 100;  // of the 107 bytes that a Unix socket may have

/// Ports that nobody listens on now, all different.
Result<std::vector<std::uint16_t>> free_ports(std::size_t count) {
    std::vector<Descriptor> held;
    std::vector<std::uint16_t> ports;
    while (ports.size() < count) {
        Descriptor socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        socklen_t size = sizeof address;
        auto* plain = reinterpret_cast<sockaddr*>(&address);
        if (!socket || ::bind(socket.get(), plain, size) != 0 || ::getsockname(socket.get(), plain, &size) != 0) {
            return fail(error_from_errno(errno, "look for a free port", "127.0.0.1"));
        }
        ports.push_back(ntohs(address.sin_port));
        held.push_back(std::move(socket));
    }
    return ports;
}

struct Node {
    fs::path folder;
    crypto::Secret sealer = crypto::generate_private_key();
    crypto::Secret peer_key = crypto::generate_private_key();
    Address address{};
    std::string enode;
    std::uint16_t port = 0;
};

std::string configuration_of(const Node& node, const std::vector<Node>& nodes) {
    std::string others;
    for (const auto& other : nodes) {
        if (&other != &node) others += (others.empty() ? "\"" : ", \"") + other.enode + "\"";
    }
    return "[Node.P2P]\nListenAddr = \"127.0.0.1:" + std::to_string(node.port) + "\"\nNoDiscovery = true\nMaxPeers = 50\nStaticNodes = [" +
           others + "]\nTrustedNodes = [" + others + "]\n";
}

/// As one word of a shell script.
std::string shell_word(std::string_view text) {
    std::string out = "'";
    for (const char c : text) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
    return out + "'";
}

// Process ids are given anew, after a reboot at the latest: what runs under the one in a node's pid file is the node only if it was given
// the node's folder.
constexpr std::string_view kScriptHead =
    "cd -P \"$(dirname \"$0\")\" || exit 1\n"
    "[ $# -gt 0 ] || set -- node*\n"
    "runs() { [ -s \"$1/pid\" ] && grep -qzxF -e \"$PWD/${1%/}\" \"/proc/$(cat \"$1/pid\")/cmdline\" 2>/dev/null; }\n";

std::string start_script(const NetworkSettings& settings, std::uint64_t chain_id) {
    std::string arguments;
    for (const auto& argument : network_arguments({"$PWD/$node", "$PWD/$node/geth.ipc", "$sealer", "$node/password", chain_id, 64})) {
        arguments +=
            (argument.starts_with("--") && argument.find('=') == std::string::npos ? " \\\n      " : " ") + ("\"" + argument + "\"");
    }
    return "#!/bin/sh\n"
           "# start: all nodes that do not run yet; start node2: that one. Their logs are in nodeN/geth.log.\n" +
           std::string(kScriptHead) +
           "for node in \"$@\"; do\n"
           "  node=${node%/}\n"
           "  if runs \"$node\"; then continue; fi\n"
           "  sealer=$(cat \"$node/sealer\")\n"
           "  nohup " +
           shell_word(settings.geth.string()) + arguments +
           " \\\n"
           "    >>\"$node/geth.log\" 2>&1 &\n"
           "  echo $! >\"$node/pid\"\n"
           // A node lets go of blocks that reach it before it seals. Signers that start at once can each seal the same height, let go of
           // the others' block, and wait for each other for ever: geth takes another chain only when it hears of a heavier one.
           "  for tenth in $(seq 300); do  # until it seals: the next one then hears of its blocks as it connects\n"
           "    kill -0 \"$(cat \"$node/pid\")\" 2>/dev/null || break\n"
           "    " +
           shell_word(settings.geth.string()) +
           " attach --exec eth.mining \"$node/geth.ipc\" 2>/dev/null | grep -q true && break\n"
           "    sleep 0.1\n"
           "  done\n"
           "done\n";
}

std::string stop_script() {
    return "#!/bin/sh\n"
           "# stop: all nodes; stop node2: that one.\n" +
           std::string(kScriptHead) +
           "for node in \"$@\"; do runs \"$node\" && kill \"$(cat \"$node/pid\")\" 2>/dev/null; done\n"
           "for node in \"$@\"; do\n"
           "  while runs \"$node\"; do sleep 0.1; done\n"
           "  rm -f \"$node/pid\"\n"
           "done\n";
}

}  // namespace

std::vector<std::string> network_arguments(const SealingNode& node) {
    auto arguments = sealing_arguments(node);
    arguments.insert(arguments.end(), {"--syncmode=full", "--netrestrict", "127.0.0.0/8"});
    return arguments;
}

Result<NetworkReport> create_network(const NetworkSettings& settings) {
    if (settings.signers == 0 || settings.signers > kMostSigners)
        return fail(ErrorCode::invalid_argument, "a network here has 1 to " + std::to_string(kMostSigners) + " signers");
    if (settings.period == 0) return fail(ErrorCode::invalid_argument, "signers that take turns need a period of at least 1 s");
    std::error_code ec;
    const auto folder = fs::absolute(settings.folder, ec);
    if (ec) return fail(error_from_errno(ec.value(), "find folder", settings.folder));
    if (fs::exists(folder, ec) && !fs::is_empty(folder, ec))
        return fail(ErrorCode::conflict, folder.string() + " exists and is not empty: a network is made in a new folder");
    if ((folder / "node25/geth.ipc").string().size() > kLongestSocketPath)
        return fail(ErrorCode::invalid_argument, folder.string() + " is too long a path for the nodes' sockets");
    fs::create_directories(folder, ec);
    if (ec) return fail(error_from_errno(ec.value(), "create folder", folder));

    std::vector<std::uint16_t> ports;
    if (settings.first_port == 0) {
        FID_TRY(ports, free_ports(settings.signers));
    } else {
        if (settings.first_port > 65535 - settings.signers) return fail(ErrorCode::invalid_argument, "there are no ports above 65535");
        for (unsigned i = 0; i < settings.signers; ++i) ports.push_back(static_cast<std::uint16_t>(settings.first_port + i));
    }
    const auto deployer = crypto::generate_private_key();
    ChainSettings chain;
    chain.chain_id = random_chain_id();
    chain.period = settings.period;
    FID_TRY(const auto deployer_account, crypto::address_of(deployer));
    chain.funded = {deployer_account};
    std::vector<Node> nodes(settings.signers);
    for (std::size_t i = 0; i < nodes.size(); ++i) {
        auto& node = nodes[i];
        node.folder = folder / ("node" + std::to_string(i + 1));
        node.port = ports[i];
        FID_TRY(node.address, crypto::address_of(node.sealer));
        FID_TRY(const auto point, crypto::public_key_of(node.peer_key));
        node.enode = "enode://" + to_hex(point) + "@127.0.0.1:" + std::to_string(node.port);
        chain.signers.push_back(node.address);
    }

    NetworkReport report;
    report.chain_id = chain.chain_id;
    report.deployer_key = folder / "deployer.key";
    for (const auto& node : nodes) {
        const auto password = to_hex(crypto::random_bytes32());
        FID_CHECK(create_chain(settings.geth, node.folder, chain, node.sealer, crypto::Secret::copy_of(as_bytes(password))));
        FID_CHECK(write_file_atomically(node.folder / "password", as_bytes(password)));
        FID_CHECK(write_file_atomically(node.folder / "sealer", as_bytes(to_0x(node.address) + "\n")));
        FID_CHECK(write_file_atomically(node.folder / "geth/nodekey", as_bytes(to_hex(node.peer_key.view()))));
        FID_CHECK(write_file_atomically(node.folder / "geth.toml", as_bytes(configuration_of(node, nodes))));
        report.signers.push_back(node.address);
        report.sockets.push_back(node.folder / "geth.ipc");
    }
    FID_CHECK(write_file_atomically(report.deployer_key, as_bytes(to_hex(deployer.view()) + "\n")));
    FID_CHECK(write_file_atomically(folder / "start", as_bytes(start_script(settings, chain.chain_id)), 0755));
    FID_CHECK(write_file_atomically(folder / "stop", as_bytes(stop_script()), 0755));
    return report;
}

}  // namespace fiducial::ledger
