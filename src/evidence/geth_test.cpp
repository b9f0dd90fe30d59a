// Evidence made from what a real geth sealed and proved: its trie nodes, its headers, its seals.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <boost/json.hpp>
#include <cstdlib>

#include "base/file.hpp"
#include "base/hex.hpp"
#include "base/json.hpp"
#include "crypto/hash.hpp"
#include "ethereum/header.hpp"
#include "evidence/evidence_test_support.hpp"
#include "evidence/verifier.hpp"

namespace fiducial::evidence {
namespace {

namespace bj = boost::json;

std::string output_of(const std::string& command) {
    std::string out;
    std::FILE* pipe = ::popen(command.c_str(), "r");
    if (pipe == nullptr) return out;
    std::array<char, 4096> buffer;
    for (std::size_t count; (count = std::fread(buffer.data(), 1, buffer.size(), pipe)) > 0;) out.append(buffer.data(), count);
    ::pclose(pipe);
    while (!out.empty() && out.back() == '\n') out.pop_back();
    return out;
}

std::string find_geth() {
    return output_of(
        "command -v geth 2>/dev/null || ls \"$(go env GOPATH 2>/dev/null || echo \"$HOME/go\")/bin/geth\" \"$HOME/go/bin/geth\" "
        "2>/dev/null | head -n 1");
}

/// One geth with one Clique signer and a block a second, its state given in the genesis block.
class Geth {
public:
    Geth(std::string program, std::filesystem::path folder) : program_(std::move(program)), folder_(std::move(folder)) {}
    ~Geth() {
        if (pid_ > 0) {
            ::kill(pid_, SIGTERM);
            ::waitpid(pid_, nullptr, 0);
        }
        std::filesystem::remove_all(folder_);
    }
    bool start(const crypto::Secret& signer, const bj::object& alloc, std::uint64_t chain_id) {
        std::filesystem::create_directories(folder_);
        const std::string account = to_hex(crypto::address_of(signer).value());
        bj::object config{{"chainId", chain_id}, {"clique", {{"period", 1}, {"epoch", 30000}}}};
        for (const char* fork : {"homesteadBlock", "eip150Block", "eip155Block", "eip158Block", "byzantiumBlock", "constantinopleBlock",
                                 "petersburgBlock", "istanbulBlock", "berlinBlock", "londonBlock"}) {
            config[fork] = 0;
        }
        const bj::object genesis{{"config", config},
                                 {"difficulty", "1"},
                                 {"gasLimit", "0x11e1a300"},
                                 {"baseFeePerGas", "0x0"},
                                 {"extraData", "0x" + std::string(64, '0') + account + std::string(130, '0')},
                                 {"alloc", alloc}};
        const auto put = [&](const char* name, const std::string& text) {
            return write_file_atomically(folder_ / name, as_bytes(text)).has_value();
        };
        if (!put("genesis.json", bj::serialize(genesis)) || !put("key", to_hex(signer.view())) || !put("password", "test\n") ||
            !put("config.toml", "[Node.P2P]\nListenAddr = \"\"\n")) {
            return false;
        }
        const std::string geth = "'" + program_ + "' --verbosity 1 --datadir '" + folder_.string() + "/d' ";
        if (std::system((geth + "--state.scheme=hash init '" + folder_.string() + "/genesis.json' >/dev/null 2>&1").c_str()) != 0)
            return false;
        if (std::system((geth + "account import --lightkdf --password '" + folder_.string() + "/password' '" + folder_.string() +
                         "/key' >/dev/null 2>&1")
                            .c_str()) != 0)
            return false;
        return launch("0x" + account, chain_id);
    }
    /// What the JavaScript expression is, as JSON.
    bj::value ask(const std::string& expression) const {
        const std::string text = output_of("'" + program_ + "' attach --exec 'console.log(JSON.stringify(" + expression + "))' '" +
                                           folder_.string() + "/g.ipc' 2>/dev/null | head -n 1");
        auto value = json::parse(text, 1 << 22);
        return value ? *value : bj::value();
    }
    bool alive() const { return ::waitpid(pid_, nullptr, WNOHANG) == 0; }

private:
    bool launch(const std::string& account, std::uint64_t chain_id) {
        const std::string network = std::to_string(chain_id), data = folder_ / "d", ipc = folder_ / "g.ipc",
                          config = folder_ / "config.toml", password = folder_ / "password";
        const std::vector<const char*> arguments{program_.c_str(),
                                                 "--verbosity",
                                                 "1",
                                                 "--config",
                                                 config.c_str(),
                                                 "--datadir",
                                                 data.c_str(),
                                                 "--state.scheme=hash",
                                                 "--gcmode=archive",
                                                 "--networkid",
                                                 network.c_str(),
                                                 "--nodiscover",
                                                 "--maxpeers",
                                                 "0",
                                                 "--nat",
                                                 "none",
                                                 "--ipcpath",
                                                 ipc.c_str(),
                                                 "--authrpc.port",
                                                 "0",
                                                 "--mine",
                                                 "--miner.etherbase",
                                                 account.c_str(),
                                                 "--unlock",
                                                 account.c_str(),
                                                 "--password",
                                                 password.c_str(),
                                                 nullptr};
        pid_ = ::fork();
        if (pid_ == 0) {
            const int nowhere = ::open("/dev/null", O_RDWR);
            ::dup2(nowhere, 0), ::dup2(nowhere, 1), ::dup2(nowhere, 2);
            ::execv(program_.c_str(), const_cast<char**>(arguments.data()));
            ::_exit(127);
        }
        return pid_ > 0;
    }

    std::string program_;
    std::filesystem::path folder_;
    pid_t pid_ = -1;
};

std::vector<Bytes> nodes_of(const bj::value& list) {
    std::vector<Bytes> out;
    for (const auto& item : list.as_array()) out.push_back(from_hex(item.as_string()).value());
    return out;
}

TEST(GethEvidence, WhatARealNodeSealedAndProvedIsVerified) {
    const std::string program = find_geth();
    if (program.empty() && std::getenv("FIDUCIAL_TOOLS_REQUIRED") != nullptr) GTEST_FAIL() << "geth is not installed";
    if (program.empty()) GTEST_SKIP() << "geth is not installed";
    // What the contract would have written stands in the genesis block; the node's state, proofs, headers and seals are its own.
    SampleOptions options;
    options.signers = 1;
    options.chain_id = 6021023;
    auto sample = make_sample(options);
    auto& bundle = sample.bundle;
    const auto& record = bundle.record;
    const auto slot_of = [&](std::uint64_t version) {
        return to_0x(storage_key(slot_key(record.institution, record.study_key, version), options.slot));
    };
    bj::object storage{{slot_of(1), to_0x(record.hash())}};
    for (int i = 0; i < 30; ++i) storage[to_0x(named_hash("slot " + std::to_string(i)))] = to_0x(named_hash("value " + std::to_string(i)));
    bj::object alloc{{to_hex(record.contract), {{"balance", "0x0"}, {"code", "0x6001600101"}, {"storage", storage}}}};
    for (int i = 0; i < 30; ++i)
        alloc[to_hex(ByteView(named_hash("account " + std::to_string(i))).first(20))] = bj::object{{"balance", "0x1"}};

    Geth geth(program, std::filesystem::temp_directory_path() / ("fid-geth-" + std::to_string(::getpid())));
    ASSERT_TRUE(geth.start(sample.keys[0], alloc, options.chain_id));
    bj::value number;
    for (int tries = 0; tries < 100 && geth.alive(); ++tries) {  // each asks the node anew, which takes a while
        number = geth.ask("eth.blockNumber");
        if (number.is_int64() && number.as_int64() >= 2) break;
    }
    ASSERT_TRUE(number.is_int64() && number.as_int64() >= 2) << "geth sealed no block";

    bundle.headers = {from_hex(geth.ask("debug.getRawHeader(\"0x2\")").as_string()).value()};
    const auto block = geth.ask("eth.getBlock(2)");
    ASSERT_EQ(to_0x(crypto::keccak256(bundle.headers[0])), block.at("hash").as_string());
    const auto proof = geth.ask("eth.getProof(\"" + to_0x(record.contract) + "\",[\"" + slot_of(1) + "\",\"" + slot_of(2) + "\"],2)");
    bundle.account_proof = nodes_of(proof.at("accountProof"));
    bundle.storage_proof = nodes_of(proof.at("storageProof").at(0).at("proof"));
    bundle.next_storage_proof = nodes_of(proof.at("storageProof").at(1).at("proof"));
    sample.trust.period = 1;
    sample.trust.contracts[0].from_block = 0;
    sample.trust.contracts[0].code_hash = fixed_from_hex<32>(std::string_view(proof.at("codeHash").as_string()), "code hash").value();
    sample.trust.genesis_hash = fixed_from_hex<32>(std::string_view(geth.ask("eth.getBlock(0).hash").as_string()), "genesis").value();
    EXPECT_EQ(sample.trust.contracts[0].code_hash, crypto::keccak256(from_hex("0x6001600101").value()));

    const std::string text = bundle.encode().value();
    const auto report = verify(text, sample.trust.serialise().value(), sample.file);
    EXPECT_EQ(report.verdict, Verdict::verified) << report.to_text();
    EXPECT_TRUE(report.self_sealed);
    EXPECT_EQ(report.block, 2u);
    for (const auto& statement : report.statements) EXPECT_EQ(statement.state, StatementState::established) << statement.text;
    sample.trust.signer_sets[0].signers = {crypto::address_of(named_key("somebody else")).value()};
    EXPECT_EQ(verify(text, sample.trust.serialise().value(), sample.file).verdict, Verdict::refused);
}

}  // namespace
}  // namespace fiducial::evidence
