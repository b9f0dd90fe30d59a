#include "ledger/ledger_test_support.hpp"

#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#include <boost/json.hpp>
#include <condition_variable>
#include <cstdlib>
#include <mutex>

#include "base/hex.hpp"
#include "crypto/hash.hpp"
#include "net/client.hpp"

namespace fiducial::ledger::testing {
namespace {

constexpr std::chrono::seconds kStartTime{60};

std::filesystem::path tool(const std::string& name) {
    const std::filesystem::path modules = std::filesystem::path(FIDUCIAL_SOURCE_DIR) / "contracts/node_modules";
    if (name == "anvil") {
        for (const char* machine : {"linux-amd64", "linux-arm64"}) {
            const auto path = modules / "@foundry-rs" / (std::string("anvil-") + machine) / "bin/anvil";
            if (std::filesystem::exists(path)) return path;
        }
        return {};
    }
    const auto path = modules / ".bin" / name;
    return std::filesystem::exists(path) ? path : std::filesystem::path();
}

std::uint16_t free_port() {
    const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    ::bind(fd, reinterpret_cast<sockaddr*>(&address), size);
    ::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size);
    ::close(fd);
    return ntohs(address.sin_port);
}

// The development chains' well-known mnemonic gives keys that everybody knows; ours are made for the test.
class HttpChain final : public TestChain {
public:
    bool begin(NodeKind which, std::string& why) {
        kind = which;
        chain_id = 1337'000 + static_cast<std::uint64_t>(::getpid() % 1000);
        const auto program = tool(name_of(which));
        if (program.empty()) {
            why = name_of(which) + " is not installed; run deploy/dependencies test";
            return false;
        }
        deployer = crypto::generate_private_key();
        gateway = crypto::generate_private_key();
        gateway_address = must(crypto::address_of(gateway));
        const auto port = free_port();
        url_ = "http://127.0.0.1:" + std::to_string(port);
        ProcessSpec spec;
        if (which == NodeKind::anvil) {
            spec.program = program;
            spec.arguments = {"--port", std::to_string(port), "--chain-id", std::to_string(chain_id), "--accounts", "1", "--base-fee", "0"};
        } else {
            spec.program = "/usr/bin/env";
            const auto account = [](const crypto::Secret& key) { return to_0x(key.view()) + ",0x3635c9adc5dea00000"; };
            spec.arguments = {"node",
                              program.string(),
                              "--server.port",
                              std::to_string(port),
                              "--server.host",
                              "127.0.0.1",
                              "--chain.chainId",
                              std::to_string(chain_id),
                              "--chain.hardfork",
                              "london",
                              "--wallet.accounts",
                              account(deployer),
                              "--wallet.accounts",
                              account(gateway),
                              "--miner.blockGasLimit",
                              "300000000"};
        }
        const std::string ready = which == NodeKind::anvil ? "Listening on" : "RPC Listening on";
        spec.on_line = [this, ready](std::string_view line) {
            const std::lock_guard lock(mutex_);
            last_ = line;
            if (line.find(ready) != std::string_view::npos) listening_ = true;
            changed_.notify_all();
        };
        process_.emplace(must(Process::start(spec)));
        {
            std::unique_lock lock(mutex_);
            if (!changed_.wait_for(lock, kStartTime, [this] { return listening_; })) {
                why = name_of(which) + " does not start: " + last_;
                return false;
            }
        }
        auto node_rpc = rpc();
        if (which == NodeKind::anvil) {
            for (const auto* key : {&deployer, &gateway}) {
                must(node_rpc->raw("anvil_setBalance", "[\"" + to_0x(must(crypto::address_of(*key))) + "\",\"0x3635c9adc5dea00000\"]"));
            }
        }
        genesis_hash = must(node_rpc->block(std::uint64_t{0}))->hash;
        return true;
    }
    std::shared_ptr<net::JsonTransport> transport() override { return std::make_shared<net::HttpJson>(url_); }

private:
    std::string url_;
    std::mutex mutex_;
    std::condition_variable changed_;
    bool listening_ = false;
    std::string last_;
    std::optional<Process> process_;
};

class GethChain final : public TestChain {
public:
    bool begin(std::string& why) {
        const auto geth = find_geth({});
        if (!geth) {
            why = geth.error().message;
            return false;
        }
        kind = NodeKind::geth;
        chain_id = random_chain_id();
        deployer = crypto::generate_private_key();
        gateway = crypto::generate_private_key();
        gateway_address = must(crypto::address_of(gateway));
        const auto sealer_key = crypto::generate_private_key();
        sealer = must(crypto::address_of(sealer_key));
        const auto password = crypto::Secret::copy_of(as_bytes("a password for this test"));
        const ChainSettings settings{.chain_id = chain_id,
                                     .period = 0,
                                     .epoch = 30000,
                                     .signers = {sealer},
                                     .funded = {must(crypto::address_of(deployer)), gateway_address}};
        must(create_chain(*geth, folder_.path() / "node", settings, sealer_key, password));
        LocalNodeSettings node_settings;
        node_settings.folder = folder_.path() / "node";
        node_settings.chain_id = chain_id;
        node_settings.sealer = sealer;
        node_ = std::make_unique<LocalNode>(node_settings, password.clone());
        must(node_->start());
        node = node_.get();
        genesis_hash = node_->genesis_hash();
        return true;
    }
    std::shared_ptr<net::JsonTransport> transport() override { return std::make_shared<net::UnixSocketJson>(node_->socket_path()); }

private:
    TemporaryFolder folder_;
    std::unique_ptr<LocalNode> node_;
};

}  // namespace

TemporaryFolder::TemporaryFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "fiducial-ledger-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error("no temporary folder");
    path_ = name;
}
TemporaryFolder::~TemporaryFolder() {
    std::error_code error;
    std::filesystem::remove_all(path_, error);
}

std::string name_of(NodeKind kind) {
    switch (kind) {
        case NodeKind::geth: return "geth";
        case NodeKind::anvil: return "anvil";
        case NodeKind::ganache: return "ganache";
    }
    return "?";
}

std::unique_ptr<TestChain> TestChain::start(NodeKind kind, std::string& why) {
    if (kind == NodeKind::geth) {
        auto chain = std::make_unique<GethChain>();
        return chain->begin(why) ? std::move(chain) : nullptr;
    }
    auto chain = std::make_unique<HttpChain>();
    return chain->begin(kind, why) ? std::move(chain) : nullptr;
}

std::shared_ptr<Rpc> TestChain::rpc(RpcSettings settings) {
    settings.later_headers = settings.later_headers || kind != NodeKind::geth;
    return std::make_shared<Rpc>(transport(), settings);
}

Site::Site(NodeKind kind, std::chrono::milliseconds flush_after) {
    chain = TestChain::start(kind, skip);
    if (!chain) return;
    rpc = chain->rpc();
    outbox_rpc = chain->rpc();
    follower_rpc = chain->rpc();
    institution = crypto::random_bytes32();
    contracts::DeployRequest request;
    request.chain_id = chain->chain_id;
    request.institution = institution;
    request.gateway = chain->gateway_address;
    request.institution_name = "Sankt Elisabeth";
    request.endpoint = "https://pacs.example.org";
    request.founders = {{founder, must(crypto::address_of(chain->deployer)), 128 | 256, contracts::Custody::kept}};
    deployment = must(contracts::deploy_all(*rpc, chain->deployer, request), "deploy");

    outbox_settings.chain_id = chain->chain_id;
    outbox_settings.studies = deployment.studies.address;
    outbox_settings.institution = institution;
    outbox_settings.flush_after = flush_after;
    follower_settings.chain_id = chain->chain_id;
    follower_settings.genesis_hash = chain->genesis_hash;
    follower_settings.from_block = deployment.members.from_block;
    follower_settings.filter.addresses = {deployment.members.address, deployment.studies.address, deployment.consents.address};
    follower_settings.poll = std::chrono::milliseconds(50);
    if (kind == NodeKind::geth) {
        follower_settings.seals = std::make_shared<ethereum::CliqueRules>(ethereum::CliqueConfig{});
        follower_settings.signer_sets = {{0, std::nullopt, {chain->sealer}}};
    }
    database = must(database::Database::open({.path = folder.path() / "index.db"}, migrations()));
    reopen();
}

Site::~Site() {
    stop();
}

void Site::reopen() {
    stop();
    follower.reset();
    outbox = std::make_unique<Outbox>(*database, *outbox_rpc, outbox_settings, chain->gateway.clone(), row_key.clone());
    outbox->on_incident([this](const LedgerIncident& incident) {
        const std::lock_guard lock(mutex);
        incidents.push_back(incident);
    });
    std::vector<LedgerChanges*> sinks{outbox.get()};
    sinks.insert(sinks.end(), more_sinks.begin(), more_sinks.end());
    follower = std::make_unique<Follower>(*database, *follower_rpc, follower_settings, sinks);
    outbox->on_included([this] { follower->wake(); });
}

void Site::run() {
    must(follower->start());
    outbox->start();
}
void Site::stop() {
    if (outbox) outbox->stop();
    if (follower) follower->stop();
}

evidence::StudyRecord Site::record(std::uint64_t study, std::uint64_t version, const Hash& previous) const {
    Bytes seed;
    append_be(seed, study);
    evidence::StudyRecord out;
    out.chain_id = chain->chain_id;
    out.contract = deployment.studies.address;
    out.institution = institution;
    out.study_key = crypto::sha256(seed);
    out.version = version;
    out.previous = previous;
    append_be(seed, version);
    out.root = crypto::sha256(seed);
    out.count = 3;
    out.patient_ref = crypto::sha256({as_bytes("patient"), seed});
    out.meta = crypto::sha256({as_bytes("meta"), seed});
    out.reasons = version == 1 ? evidence::kReasonNew : evidence::kReasonAdded;
    return out;
}

std::uint64_t Site::enqueue(const evidence::StudyRecord& record) {
    const auto id = must(database->write(database::Durability::full, [&](database::Transaction& t) { return outbox->enqueue(t, record); }));
    outbox->wake();
    return id;
}

OutboxItem Site::item(std::uint64_t id) {
    return must(database->read([&](database::Transaction& t) { return outbox->item(t, id); }));
}

Hash Site::on_chain(const evidence::StudyRecord& record) {
    const auto answer = must(
        rpc->call({deployment.studies.address, contracts::record_of_call(institution, record.study_key, record.version), std::nullopt}));
    return must(contracts::decode_hash(answer.data));
}

void Site::raw(std::string_view method, std::string_view params) {
    must(rpc->raw(method, params), std::string(method).c_str());
}

}  // namespace fiducial::ledger::testing
