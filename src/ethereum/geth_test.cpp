// What this room says of headers, seals and proofs, against a real geth that seals blocks here.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <boost/json.hpp>
#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <sstream>
#include <thread>

#include "base/hex.hpp"
#include "crypto/hash.hpp"
#include "ethereum/clique.hpp"
#include "ethereum/header.hpp"
#include "ethereum/rlp.hpp"
#include "ethereum/test_support.hpp"
#include "ethereum/transaction.hpp"
#include "ethereum/trie.hpp"

namespace fiducial::ethereum {
namespace {

namespace bj = boost::json;
namespace fs = std::filesystem;
using namespace std::chrono_literals;

constexpr std::uint64_t kChainId = 4242424242;
constexpr std::uint64_t kEpoch = 4;  // short, so that checkpoints come by
constexpr auto kPatience = 60s;      // for a machine under load; a healthy run takes a second

fs::path find_geth() {
    std::vector<fs::path> folders;
    std::stringstream path(std::getenv("PATH") != nullptr ? std::getenv("PATH") : "");
    for (std::string folder; std::getline(path, folder, ':');) folders.emplace_back(folder);
    if (const char* gopath = std::getenv("GOPATH")) folders.push_back(fs::path(gopath) / "bin");
    if (const char* home = std::getenv("HOME")) folders.push_back(fs::path(home) / "go/bin");
    for (const auto& folder : folders) {
        if (access((folder / "geth").c_str(), X_OK) == 0) return folder / "geth";
    }
    return {};
}

// A child process whose standard error is read to its end.
class Process {
public:
    explicit Process(const std::vector<std::string>& command) {
        int pipe_ends[2];
        if (pipe(pipe_ends) != 0) std::abort();
        std::vector<char*> arguments;
        for (const auto& argument : command) arguments.push_back(const_cast<char*>(argument.c_str()));
        arguments.push_back(nullptr);
        pid_ = fork();
        if (pid_ == 0) {
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            dup2(pipe_ends[1], STDERR_FILENO);
            dup2(pipe_ends[1], STDOUT_FILENO);
            close(pipe_ends[0]);
            execv(arguments[0], arguments.data());
            _exit(127);
        }
        close(pipe_ends[1]);
        reader_ = std::thread([this, end = pipe_ends[0]] { read_all(end); });
    }
    ~Process() {
        if (pid_ > 0) kill(pid_, SIGINT);
        wait();
    }
    Process(const Process&) = delete;
    Process& operator=(const Process&) = delete;

    int wait() {
        if (pid_ > 0) waitpid(pid_, &status_, 0);
        pid_ = -1;
        if (reader_.joinable()) reader_.join();
        return status_;
    }
    /// True once `text` stands in the output; false when it ends or patience does.
    bool wait_for(std::string_view text) {
        std::unique_lock lock(mutex_);
        const auto seen = [&] { return output_.find(text) != std::string::npos; };
        changed_.wait_for(lock, kPatience, [&] { return ended_ || seen(); });
        return seen();
    }
    std::string output() {
        const std::lock_guard lock(mutex_);
        return output_;
    }

private:
    void read_all(int end) {
        char buffer[4096];
        for (ssize_t size = 0; (size = read(end, buffer, sizeof buffer)) > 0;) {
            const std::lock_guard lock(mutex_);
            output_.append(buffer, static_cast<std::size_t>(size));
            changed_.notify_all();
        }
        close(end);
        const std::lock_guard lock(mutex_);
        ended_ = true;
        changed_.notify_all();
    }
    pid_t pid_ = -1;
    int status_ = 0;
    std::thread reader_;
    std::mutex mutex_;
    std::condition_variable changed_;
    std::string output_;
    bool ended_ = false;
};

std::string run_to_end(const std::vector<std::string>& command) {
    Process process(command);
    const int status = process.wait();
    EXPECT_EQ(status, 0) << process.output();
    return process.output();
}

void write_file(const fs::path& path, const std::string& text) {
    std::ofstream(path) << text;
}

// JSON-RPC over geth's Unix socket; each answer is one line.
class IpcClient {
public:
    explicit IpcClient(const fs::path& path) : socket_(socket(AF_UNIX, SOCK_STREAM, 0)) {
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        path.string().copy(address.sun_path, sizeof address.sun_path - 1);
        connected_ = connect(socket_, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
    }
    ~IpcClient() { close(socket_); }
    IpcClient(const IpcClient&) = delete;
    IpcClient& operator=(const IpcClient&) = delete;
    bool connected() const { return connected_; }

    bj::value call(std::string_view method, bj::array params) {
        const auto request =
            bj::serialize(bj::object{{"jsonrpc", "2.0"}, {"id", 1}, {"method", method}, {"params", std::move(params)}}) + "\n";
        if (::send(socket_, request.data(), request.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(request.size()))
            throw std::runtime_error("geth's socket does not take a request");
        auto end = std::string::npos;
        while ((end = received_.find('\n')) == std::string::npos) {
            char buffer[65536];
            const auto size = read(socket_, buffer, sizeof buffer);
            if (size <= 0) throw std::runtime_error("geth's socket closed");
            received_.append(buffer, static_cast<std::size_t>(size));
        }
        const auto answer = bj::parse(received_.substr(0, end));
        received_.erase(0, end + 1);
        if (answer.as_object().contains("error")) throw std::runtime_error(bj::serialize(answer));
        return answer.at("result");
    }

private:
    int socket_;
    bool connected_ = false;
    std::string received_;
};

Uint256 quantity(const bj::value& json, const char* name) {
    return parse_quantity(json.at(name).as_string(), name).value();
}
std::uint64_t quantity_u64(const bj::value& json, const char* name) {
    return parse_quantity_u64(json.at(name).as_string(), name).value();
}
template <std::size_t N>
std::array<std::uint8_t, N> bytes(const bj::value& json, const char* name) {
    return fixed_from_hex<N>(json.at(name).as_string(), name).value();
}
std::vector<Bytes> nodes(const bj::value& json) {
    std::vector<Bytes> out;
    for (const auto& node : json.as_array()) out.push_back(test::hex(node.as_string()));
    return out;
}

BlockHeader header_from_json(const bj::value& json) {
    BlockHeader out;
    out.parent_hash = bytes<32>(json, "parentHash");
    out.ommers_hash = bytes<32>(json, "sha3Uncles");
    out.beneficiary = bytes<20>(json, "miner");
    out.state_root = bytes<32>(json, "stateRoot");
    out.transactions_root = bytes<32>(json, "transactionsRoot");
    out.receipts_root = bytes<32>(json, "receiptsRoot");
    out.logs_bloom = bytes<256>(json, "logsBloom");
    out.difficulty = quantity(json, "difficulty");
    out.number = quantity_u64(json, "number");
    out.gas_limit = quantity_u64(json, "gasLimit");
    out.gas_used = quantity_u64(json, "gasUsed");
    out.timestamp = quantity_u64(json, "timestamp");
    out.extra_data = test::hex(json.at("extraData").as_string());
    out.mix_hash = bytes<32>(json, "mixHash");
    out.nonce = bytes<8>(json, "nonce");
    out.base_fee_per_gas = quantity(json, "baseFeePerGas");
    return out;
}

// One geth for all tests of the suite: one signer, blocks as soon as there is a transaction.
class Geth : public ::testing::Test {
protected:
    static void SetUpTestSuite() {
        const auto geth = find_geth();
        if (geth.empty()) return;
        if (run_to_end({geth, "version"}).find("Version: 1.13.15") == std::string::npos) return;
        char name[] = "/tmp/fiducial-geth-XXXXXX";
        folder_ = mkdtemp(name);
        write_files();
        const std::string data = folder_ / "data";
        run_to_end({geth, "--datadir", data, "--state.scheme=hash", "init", folder_ / "genesis.json"});
        run_to_end({geth, "--datadir", data, "account", "import", "--lightkdf", "--password", folder_ / "password", folder_ / "key"});
        const auto sealer = to_0x(signer());
        process_ = std::make_unique<Process>(std::vector<std::string>{geth,
                                                                      "--datadir",
                                                                      data,
                                                                      "--state.scheme=hash",
                                                                      "--gcmode=archive",
                                                                      "--networkid",
                                                                      std::to_string(kChainId),
                                                                      "--nodiscover",
                                                                      "--maxpeers",
                                                                      "0",
                                                                      "--nat",
                                                                      "none",
                                                                      "--ipcpath",
                                                                      folder_ / "geth.ipc",
                                                                      "--config",
                                                                      folder_ / "config.toml",
                                                                      "--authrpc.port",
                                                                      "0",
                                                                      "--mine",
                                                                      "--miner.etherbase",
                                                                      sealer,
                                                                      "--unlock",
                                                                      sealer,
                                                                      "--password",
                                                                      folder_ / "password",
                                                                      "--miner.gaslimit",
                                                                      "300000000",
                                                                      "--cache",
                                                                      "128"});
        ASSERT_TRUE(process_->wait_for("IPC endpoint opened")) << process_->output();
        ipc_ = std::make_unique<IpcClient>(folder_ / "geth.ipc");
        ASSERT_TRUE(ipc_->connected());
    }
    static void TearDownTestSuite() {
        ipc_.reset();
        process_.reset();
        if (!folder_.empty()) fs::remove_all(folder_);
        folder_.clear();
    }
    void SetUp() override {
        if (!ipc_ && std::getenv("FIDUCIAL_TOOLS_REQUIRED") != nullptr)
            GTEST_FAIL() << "geth 1.13.15 is not on the PATH nor in Go's bin folder";
        if (!ipc_) GTEST_SKIP() << "geth 1.13.15 is not on the PATH nor in Go's bin folder";
    }

    static void write_files() {
        Bytes extra(kCliqueVanitySize);
        append(extra, signer());
        extra.resize(extra.size() + kCliqueSealSize);
        bj::object config{{"chainId", kChainId}, {"clique", {{"period", 0}, {"epoch", kEpoch}}}};
        for (const auto* fork :
             {"homestead", "eip150", "eip155", "eip158", "byzantium", "constantinople", "petersburg", "istanbul", "berlin", "london"}) {
            config[std::string(fork) + "Block"] = 0;
        }
        const bj::object genesis{
            {"config", config},
            {"difficulty", "1"},
            {"gasLimit", "0x11e1a300"},
            {"baseFeePerGas", "0x0"},
            {"extraData", to_0x(extra)},
            {"alloc",
             {{to_0x(crypto::address_of(account()).value()), {{"balance", "0x1000000000000000000000000000000000000000000000000"}}}}}};
        write_file(folder_ / "genesis.json", bj::serialize(genesis));
        write_file(folder_ / "key", to_hex(test::key_named("geth sealer").view()));
        write_file(folder_ / "password", "test");
        write_file(folder_ / "config.toml", "[Node.P2P]\nListenAddr = \"\"\n");
    }
    static Address signer() { return crypto::address_of(test::key_named("geth sealer")).value(); }
    static crypto::Secret account() { return test::key_named("geth account"); }

    static BlockHeader header_at(std::uint64_t number) {
        const auto json = ipc_->call("eth_getBlockByNumber", {Uint256(number).to_quantity(), false});
        const auto header = header_from_json(json);
        EXPECT_EQ(to_0x(header.hash()), json.at("hash").as_string());
        return header;
    }
    static std::vector<BlockHeader> headers_from(std::uint64_t first) {
        const auto last = parse_quantity_u64(ipc_->call("eth_blockNumber", {}).as_string(), "number").value();
        std::vector<BlockHeader> out;
        for (auto number = first; number <= last; ++number) out.push_back(header_at(number));
        return out;
    }
    /// Sends a transaction and waits for its receipt, and for the head to be there: geth shows a receipt a moment before.
    static bj::value send(const std::optional<Address>& to, Bytes data) {
        const auto sender = to_0x(crypto::address_of(account()).value());
        Transaction tx;
        tx.chain_id = kChainId;
        tx.nonce = parse_quantity_u64(ipc_->call("eth_getTransactionCount", {sender, "latest"}).as_string(), "nonce").value();
        tx.max_priority_fee_per_gas = Uint256(1);
        tx.max_fee_per_gas = Uint256(1'000'000'000);
        tx.gas_limit = 5'000'000;
        tx.to = to;
        tx.data = std::move(data);
        const auto signed_tx = sign(tx, account()).value();
        raw_ = signed_tx.encode();
        const auto hash = ipc_->call("eth_sendRawTransaction", {to_0x(raw_)});
        EXPECT_EQ(to_0x(signed_tx.hash()), hash.as_string());
        for (const auto until = std::chrono::steady_clock::now() + kPatience; std::chrono::steady_clock::now() < until;
             std::this_thread::sleep_for(5ms)) {
            try {
                auto receipt = ipc_->call("eth_getTransactionReceipt", {hash});
                if (receipt.is_null()) continue;
                const auto head = parse_quantity_u64(ipc_->call("eth_blockNumber", {}).as_string(), "number").value();
                if (head >= quantity_u64(receipt, "blockNumber")) return receipt;
            } catch (const std::runtime_error& error) {
                if (std::string_view(error.what()).find("indexing is in progress") == std::string_view::npos) throw;
            }
        }
        throw std::runtime_error("no receipt: " + process_->output());
    }
    /// A contract whose construction stores i + 1 in slots 0 to count - 1.
    static bj::value deploy(std::uint8_t count) {
        Bytes code;
        for (std::uint8_t i = 0; i < count; ++i) append(code, Bytes{0x60, static_cast<std::uint8_t>(i + 1), 0x60, i, 0x55});
        append(code, test::hex("60016000f3"));  // runtime code: one STOP
        return send(std::nullopt, code);
    }

    static inline fs::path folder_;
    static inline std::unique_ptr<Process> process_;
    static inline std::unique_ptr<IpcClient> ipc_;
    static inline Bytes raw_;
};

TEST_F(Geth, TransactionsAreTakenAndSitInTheBlock) {
    const auto receipt = send(Address{}, {});
    EXPECT_EQ(receipt.at("status").as_string(), "0x1");
    const auto header = header_at(quantity_u64(receipt, "blockNumber"));
    TrieBuilder transactions;
    Bytes index;
    rlp::append_u64(index, 0);
    transactions.put(index, raw_);
    EXPECT_EQ(transactions.root(), header.transactions_root);
    EXPECT_EQ(decode_transaction(raw_)->sender().value(), crypto::address_of(account()).value());
}

TEST_F(Geth, HeadersDecodeAndSealsRecoverTheSigner) {
    for (int i = 0; i < 9; ++i) send(Address{}, {});  // over two checkpoints
    const auto headers = headers_from(1);
    ASSERT_GE(headers.size(), 9u);
    for (const auto& header : headers) {
        EXPECT_EQ(decode_header(header.encode()).value(), header);
        EXPECT_EQ(clique_sealer(header).value(), signer());
    }
    const CliqueRules rules({.period_s = 0, .epoch = kEpoch});
    const std::vector<Address> signers{signer()};
    const auto report = rules.check_span(headers, signers);
    ASSERT_TRUE(report) << report.error().message;
    EXPECT_TRUE(rules.is_settled(*report, report->blocks.size() - 1)) << "one signer: at inclusion";
    const std::vector<Address> others{crypto::address_of(account()).value()};
    EXPECT_EQ(rules.check_span(headers, others).error().code, ErrorCode::unverified);
}

TEST_F(Geth, AccountAndStorageProofsVerify) {
    constexpr std::uint8_t kSlots = 40;
    const auto receipt = deploy(kSlots);
    const auto contract = fixed_from_hex<20>(receipt.at("contractAddress").as_string(), "contract").value();
    const auto decoded = decode_transaction(raw_).value();
    EXPECT_EQ(contract, create_address(decoded.sender().value(), decoded.transaction.nonce));
    const auto header = header_at(quantity_u64(receipt, "blockNumber"));

    bj::array slots;
    for (std::uint8_t i = 0; i < kSlots + 20; ++i) slots.push_back(bj::string(to_0x(Uint256(i).to_be())));
    const auto answer = ipc_->call("eth_getProof", {to_0x(contract), slots, receipt.at("blockNumber")});
    const auto account = verify_account_proof(header.state_root, contract, nodes(answer.at("accountProof")));
    ASSERT_TRUE(account) << account.error().message;
    ASSERT_TRUE(*account);
    EXPECT_EQ((*account)->nonce, 1u);
    EXPECT_EQ((*account)->balance, Uint256());
    EXPECT_EQ((*account)->code_hash, crypto::keccak256(Bytes{0}));
    EXPECT_EQ(to_0x((*account)->storage_root), answer.at("storageHash").as_string());
    for (std::uint8_t i = 0; i < kSlots + 20; ++i) {
        const auto proof = nodes(answer.at("storageProof").at(i).at("proof"));
        const auto value = verify_storage_proof((*account)->storage_root, Uint256(i).to_be(), proof);
        ASSERT_TRUE(value) << value.error().message;
        EXPECT_EQ(*value, i < kSlots ? Uint256(i + 1u) : Uint256()) << "slot " << int{i};
        EXPECT_FALSE(verify_storage_proof(header.state_root, Uint256(i).to_be(), proof));
    }
}

TEST_F(Geth, AbsenceOfAccountsAndOfStorageVerifies) {
    const auto header = headers_from(0).back();
    const auto at = Uint256(header.number).to_quantity();
    for (std::uint8_t i = 1; i < 20; ++i) {
        Address nobody{};
        nobody[0] = i;
        const auto answer = ipc_->call("eth_getProof", {to_0x(nobody), bj::array{}, at});
        const auto account = verify_account_proof(header.state_root, nobody, nodes(answer.at("accountProof")));
        ASSERT_TRUE(account) << account.error().message;
        EXPECT_FALSE(*account);
    }
    const auto owner = crypto::address_of(account()).value();
    const auto answer = ipc_->call("eth_getProof", {to_0x(owner), bj::array{to_0x(Bytes32{})}, at});
    const auto state = verify_account_proof(header.state_root, owner, nodes(answer.at("accountProof")));
    ASSERT_TRUE(state && *state);
    EXPECT_EQ((*state)->storage_root, kEmptyTrieRoot);
    EXPECT_EQ((*state)->code_hash, kEmptyCodeHash);
    EXPECT_EQ(verify_storage_proof((*state)->storage_root, Bytes32{}, nodes(answer.at("storageProof").at(0).at("proof"))).value(),
              Uint256());
}

// A node of its own, because with a second signer the chain waits for it.
class GethVotes : public Geth {};

TEST_F(GethVotes, AreFollowedAndRefusedInSpans) {
    const auto candidate = crypto::address_of(test::key_named("second sealer")).value();
    ipc_->call("clique_propose", {to_0x(candidate), true});
    const CliqueRules rules({.period_s = 0, .epoch = kEpoch});
    const std::vector<Address> signers{signer()};
    BlockHeader vote;
    do {  // a checkpoint carries no vote
        vote = header_at(quantity_u64(send(Address{}, {}), "blockNumber"));
    } while (vote.beneficiary == Address{});
    const std::vector<BlockHeader> span{vote};
    EXPECT_EQ(rules.check_span(span, signers).error().code, ErrorCode::unverified);

    const auto headers = headers_from(0);
    auto snapshot = CliqueSnapshot::from_checkpoint(headers[0], {.period_s = 0, .epoch = kEpoch}).value();
    for (std::size_t i = 1; i < headers.size(); ++i) {
        const auto applied = snapshot.apply(headers[i]);
        ASSERT_TRUE(applied) << applied.error().message;
    }
    std::vector<Address> expected;
    const auto of_geth = ipc_->call("clique_getSigners", {"latest"});
    for (const auto& address : of_geth.as_array()) expected.push_back(fixed_from_hex<20>(address.as_string(), "signer").value());
    std::sort(expected.begin(), expected.end());
    EXPECT_EQ(snapshot.signers(), expected);
    EXPECT_EQ(expected.size(), 2u);
}

}  // namespace
}  // namespace fiducial::ethereum
