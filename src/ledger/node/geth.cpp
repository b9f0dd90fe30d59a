#include "ledger/node/geth.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>

#include "base/file.hpp"
#include "base/hex.hpp"
#include "base/overwrite.hpp"
#include "crypto/secp256k1.hpp"
#include "ethereum/address.hpp"
#include "ledger/node/process.hpp"

namespace fiducial::ledger {
namespace {

constexpr std::chrono::seconds kShortRun{60};
constexpr std::chrono::milliseconds kLook{100};
constexpr std::string_view kHowToBuild =
    "build it with Go: GOTOOLCHAIN=go1.22.12 go install github.com/ethereum/go-ethereum/cmd/geth@v1.13.15";

bool is_program(const std::filesystem::path& path) {
    std::error_code error;
    return std::filesystem::is_regular_file(path, error) && ::access(path.c_str(), X_OK) == 0;
}

std::string environment(const char* name) {
    const char* value = std::getenv(name);
    return value == nullptr ? std::string() : std::string(value);
}

void add_folders(std::vector<std::filesystem::path>& out, std::string_view list, std::string_view below) {
    while (!list.empty()) {
        const auto end = std::min(list.find(':'), list.size());
        const auto folder = list.substr(0, end);
        list.remove_prefix(std::min(end + 1, list.size()));
        if (!folder.empty() && folder.front() == '/') out.push_back(std::filesystem::path(folder) / below / "geth");
    }
}

Result<std::string> version_of(const std::filesystem::path& geth) {
    FID_TRY(auto finished, run_to_end({.program = geth, .arguments = {"version"}, .inputs = {}, .on_line = {}}, kShortRun));
    if (finished.status != 0)
        return fail(ErrorCode::unsupported, geth.string() + " version ended with status " + std::to_string(finished.status));
    const std::string_view label = "Version: ";
    const auto at = finished.output.find(label);
    if (at == std::string::npos) return fail(ErrorCode::unsupported, geth.string() + " does not say its version; it is not geth");
    const auto start = at + label.size();
    return finished.output.substr(start, finished.output.find('\n', start) - start);
}

// geth says "Fatal: …" last; what comes before explains it.
std::string last_lines(std::string_view output, std::size_t lines) {
    while (!output.empty() && output.back() == '\n') output.remove_suffix(1);
    std::size_t start = output.size();
    for (std::size_t i = 0; i < lines && start != std::string_view::npos && start > 0; ++i) start = output.rfind('\n', start - 1);
    return std::string(start == std::string_view::npos || start == 0 ? output : output.substr(start + 1));
}

Result<void> run_geth(const std::filesystem::path& geth, std::vector<std::string> arguments, std::vector<ByteView> inputs,
                      std::string_view what) {
    FID_TRY(auto finished,
            run_to_end({.program = geth, .arguments = std::move(arguments), .inputs = std::move(inputs), .on_line = {}}, kShortRun));
    if (finished.status == 0) return {};
    return fail(ErrorCode::unavailable,
                std::string(what) + ": geth ended with status " + std::to_string(finished.status) + ": " + last_lines(finished.output, 3));
}

}  // namespace

Result<std::filesystem::path> find_geth(const std::filesystem::path& configured) {
    std::vector<std::filesystem::path> places;
    if (!configured.empty()) {
        places.push_back(configured);
    } else {
        add_folders(places, environment("PATH"), "");
        add_folders(places, environment("GOPATH"), "bin");
        if (const auto home = environment("HOME"); !home.empty()) places.push_back(std::filesystem::path(home) / "go/bin/geth");
    }
    std::string seen;
    for (const auto& place : places) {
        if (!is_program(place)) continue;
        auto version = version_of(place);
        if (version && (*version == kGethVersion || version->starts_with(std::string(kGethVersion) + "-stable"))) {
            return std::filesystem::absolute(place);
        }
        seen = place.string() + (version ? " is version " + *version : ": " + version.error().message);
        if (!configured.empty()) break;
    }
    if (!seen.empty()) {
        return fail(ErrorCode::unsupported, seen + "; the local node needs geth " + std::string(kGethVersion) +
                                                ", later ones seal no blocks; " + std::string(kHowToBuild));
    }
    if (!configured.empty()) {
        return fail(ErrorCode::not_found, "there is no program at " + configured.string() + " (ledger.geth); " + std::string(kHowToBuild));
    }
    return fail(ErrorCode::not_found, "geth " + std::string(kGethVersion) + " was not found on the PATH, in $GOPATH/bin or in ~/go/bin; " +
                                          std::string(kHowToBuild));
}

std::uint64_t random_chain_id() {
    const auto random = crypto::random_bytes32();
    const auto value = read_be<std::uint64_t>(ByteView(random).first(8)) >> 12;  // 52 bits
    return value | (std::uint64_t{1} << 40);
}

Result<std::string> genesis_json(const ChainSettings& chain) {
    auto signers = chain.signers;
    std::sort(signers.begin(), signers.end());
    if (signers.empty()) return fail(ErrorCode::invalid_argument, "a chain needs a signer");
    if (std::adjacent_find(signers.begin(), signers.end()) != signers.end())
        return fail(ErrorCode::invalid_argument, "a signer is listed twice");
    if (chain.chain_id == 0 || chain.chain_id >= (std::uint64_t{1} << 53))
        return fail(ErrorCode::invalid_argument, "the chain id must be from 1 to below 2^53");
    if (chain.epoch == 0) return fail(ErrorCode::invalid_argument, "the epoch must not be 0");

    std::string text = "{\"config\":{\"chainId\":" + std::to_string(chain.chain_id);
    for (const char* fork :
         {"homestead", "eip150", "eip155", "eip158", "byzantium", "constantinople", "petersburg", "istanbul", "berlin", "london"}) {
        text += std::string(",\"") + fork + "Block\":0";
    }
    text += ",\"clique\":{\"period\":" + std::to_string(chain.period) + ",\"epoch\":" + std::to_string(chain.epoch) + "}}";
    text += ",\"difficulty\":\"1\",\"gasLimit\":\"0x11e1a300\",\"baseFeePerGas\":\"0x0\",\"extraData\":\"0x" + std::string(64, '0');
    for (const auto& signer : signers) text += to_hex(signer);
    text.append(130, '0').append("\",\"alloc\":{");  // appended: GCC 12 warns of bounds that hold when it inlines the sum
    auto funded = chain.funded;
    std::sort(funded.begin(), funded.end());
    funded.erase(std::unique(funded.begin(), funded.end()), funded.end());
    for (std::size_t i = 0; i < funded.size(); ++i) {
        text += (i == 0 ? "" : ",") + std::string("\"") + to_hex(funded[i]) + "\":{\"balance\":\"0x1" + std::string(50, '0') + "\"}";
    }
    return text + "}}\n";
}

std::vector<std::string> sealing_arguments(const SealingNode& node) {
    return {"--datadir",
            node.folder,
            "--config",
            node.folder + "/geth.toml",
            "--state.scheme=hash",
            "--gcmode=archive",
            "--networkid",
            std::to_string(node.chain_id),
            "--nat",
            "none",
            "--ipcpath",
            node.socket,
            "--authrpc.port",
            "0",
            "--mine",
            "--miner.etherbase",
            node.sealer,
            "--unlock",
            node.sealer,
            "--password",
            node.password,
            "--miner.gaslimit",
            "300000000",
            "--cache",
            std::to_string(node.cache_megabytes),
            "--txpool.globalslots",
            "100000",
            "--txpool.accountslots",
            "100000",
            "--txpool.accountqueue",
            "100000",
            "--txpool.globalqueue",
            "100000"};
}

namespace {

Result<void> import_sealer(const std::filesystem::path& geth, const std::filesystem::path& folder, const crypto::Secret& sealer,
                           const crypto::Secret& password) {
    static constexpr char kDigits[] = "0123456789abcdef";
    crypto::Secret hex(sealer.size() * 2);
    for (std::size_t i = 0; i < sealer.size(); ++i) {
        hex.bytes()[2 * i] = static_cast<std::uint8_t>(kDigits[sealer.view()[i] >> 4]);
        hex.bytes()[2 * i + 1] = static_cast<std::uint8_t>(kDigits[sealer.view()[i] & 15]);
    }
    return run_geth(geth, {"--datadir", folder.string(), "account", "import", "--lightkdf", "--password", "{fd0}", "{fd1}"},
                    {password.view(), hex.view()}, "import the sealer's key");
}

/// The node's folder with its genesis block and the sealer's key.
Result<void> make_chain_folder(const std::filesystem::path& geth, const std::filesystem::path& folder, std::string_view genesis,
                               const crypto::Secret& sealer, const crypto::Secret& password) {
    std::error_code error;
    if (std::filesystem::exists(folder / "geth", error)) {
        return fail(ErrorCode::conflict, folder.string() + " already holds a chain; it is never overwritten");
    }
    std::filesystem::create_directories(folder, error);
    if (error) return fail(error_from_errno(error.value(), "create folder", folder));
    if (::chmod(folder.c_str(), 0700) != 0) return fail(error_from_errno(errno, "chmod", folder));

    const auto genesis_path = folder / "genesis.json";
    FID_CHECK(write_file_atomically(genesis_path, as_bytes(genesis)));
    FID_CHECK(
        run_geth(geth, {"--datadir", folder.string(), "--state.scheme=hash", "init", genesis_path.string()}, {}, "make the genesis block"));

    return import_sealer(geth, folder, sealer, password);
}

}  // namespace

Result<void> create_chain(const std::filesystem::path& geth, const std::filesystem::path& folder, const ChainSettings& chain,
                          const crypto::Secret& sealer, const crypto::Secret& password) {
    FID_TRY(const auto genesis, genesis_json(chain));
    FID_TRY(const auto address, crypto::address_of(sealer));
    if (std::find(chain.signers.begin(), chain.signers.end(), address) == chain.signers.end()) {
        return fail(ErrorCode::invalid_argument, "the sealer's key is not that of a signer of the chain");
    }
    return make_chain_folder(geth, folder, genesis, sealer, password);
}

Result<void> restore_chain(const std::filesystem::path& geth, const std::filesystem::path& folder, std::string_view genesis,
                           const std::filesystem::path& blocks, const crypto::Secret& sealer, const crypto::Secret& password,
                           const std::atomic<bool>& stop) {
    FID_CHECK(make_chain_folder(geth, folder, genesis, sealer, password));
    if (blocks.empty()) return {};
    std::string last;
    ProcessSpec spec{.program = geth,
                     .arguments = {"--datadir", folder.string(), "--state.scheme=hash", "--gcmode=archive", "--syncmode=full", "--cache",
                                   "256", "import", blocks.string()},
                     .inputs = {},
                     .on_line = [&last](std::string_view line) { last = line; }};
    FID_TRY(auto importing, Process::start(spec));
    for (;;) {
        if (const auto status = importing.wait_for(kLook)) {
            importing.stop(std::chrono::milliseconds(0));  // reads what it said to the end
            if (*status == 0) return {};
            return fail(ErrorCode::unavailable,
                        "take the chain's blocks in: geth ended with status " + std::to_string(*status) + ": " + last);
        }
        if (!stop.load()) continue;
        importing.stop(kShortRun);
        return fail(ErrorCode::cancelled, "stopped while the chain's blocks were taken in");
    }
}

Result<void> change_sealer_password(const std::filesystem::path& geth, const std::filesystem::path& folder, const crypto::Secret& sealer,
                                    const crypto::Secret& password) {
    // The key itself is kept by the site: a keystore that is empty for a moment loses nothing.
    std::error_code error;
    for (std::filesystem::directory_iterator entry(folder / "keystore", error), end; !error && entry != end; entry.increment(error))
        FID_CHECK(overwrite_and_remove(entry->path()));
    if (error && error != std::errc::no_such_file_or_directory)
        return fail(error_from_errno(error.value(), "reading", folder / "keystore"));
    FID_CHECK(import_sealer(geth, folder, sealer, password));
    return sync_file_system(folder);
}

}  // namespace fiducial::ledger
