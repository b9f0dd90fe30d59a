#pragma once
#include <gtest/gtest.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.hpp"
#include "crypto/secp256k1.hpp"
#include "crypto/secret.hpp"
#include "database/database.hpp"
#include "evidence/study_record.hpp"
#include "ledger/contracts.hpp"
#include "ledger/follower.hpp"
#include "ledger/node/geth.hpp"
#include "ledger/node/local_node.hpp"
#include "ledger/node/process.hpp"
#include "ledger/outbox.hpp"
#include "ledger/rpc.hpp"

// Real nodes for the room's tests. Each is a program of its own, on a free loopback port or a Unix socket, and ends with the test.
namespace fiducial::ledger::testing {

/// A folder that goes with the test.
class TemporaryFolder {
public:
    TemporaryFolder();
    ~TemporaryFolder();
    const std::filesystem::path& path() const { return path_; }

private:
    std::filesystem::path path_;
};

/// A clock that stands still, however busy the machine is, until the test sets it.
struct SetClock final : Clock {
    SystemTime now() const override { return start + ahead; }
    SteadyTime steady_now() const override { return steady_start + ahead; }
    SystemTime start = system_clock().now();
    SteadyTime steady_start = system_clock().steady_now();
    std::chrono::milliseconds ahead{0};
};

template <typename T>
T must(Result<T> result, const char* what = "") {
    if (!result) {
        ADD_FAILURE() << what << ": " << result.error().message;
        throw std::runtime_error(result.error().message);
    }
    if constexpr (!std::is_void_v<T>) return std::move(*result);
}

enum class NodeKind { geth, anvil, ganache };
std::string name_of(NodeKind kind);

/// A chain of one of the kinds, with accounts that can pay.
class TestChain {
public:
    virtual ~TestChain() = default;
    /// Returns: nothing when the program is not installed; `why` then says so.
    static std::unique_ptr<TestChain> start(NodeKind kind, std::string& why);

    virtual std::shared_ptr<net::JsonTransport> transport() = 0;
    std::shared_ptr<Rpc> rpc(RpcSettings settings = {});

    NodeKind kind = NodeKind::geth;
    std::uint64_t chain_id = 0;
    Hash genesis_hash{};
    crypto::Secret deployer;
    crypto::Secret gateway;
    Address gateway_address{};
    Address sealer{};           // geth
    LocalNode* node = nullptr;  // geth
};

/// A chain with contracts, and what an archive has on it.
struct Site {
    explicit Site(NodeKind kind, std::chrono::milliseconds flush_after = std::chrono::milliseconds(100));
    ~Site();

    /// Starts outbox and follower threads.
    void run();
    void stop();
    /// New objects on the same database: what a restart of the archive does.
    void reopen();

    evidence::StudyRecord record(std::uint64_t study, std::uint64_t version = 1, const Hash& previous = {}) const;
    std::uint64_t enqueue(const evidence::StudyRecord& record);
    OutboxItem item(std::uint64_t id);
    /// What the chain holds in the slot.
    Hash on_chain(const evidence::StudyRecord& record);
    /// A request of the development chains, as evm_mine.
    void raw(std::string_view method, std::string_view params = "[]");

    std::string skip;  // why the test cannot run; empty when it can
    TemporaryFolder folder;
    std::unique_ptr<TestChain> chain;
    std::shared_ptr<Rpc> rpc;
    std::shared_ptr<Rpc> outbox_rpc;
    std::shared_ptr<Rpc> follower_rpc;
    contracts::Deployment deployment;
    Bytes32 institution{};
    Bytes32 founder = crypto::random_bytes32();  // a person: administrator and custodian
    std::unique_ptr<database::Database> database;
    OutboxSettings outbox_settings;
    FollowerSettings follower_settings;
    crypto::Secret row_key = crypto::random_secret(32);
    std::unique_ptr<Outbox> outbox;
    std::unique_ptr<Follower> follower;
    std::mutex mutex;
    std::vector<LedgerIncident> incidents;
    std::vector<LedgerChanges*> more_sinks;  // set, then reopen()
};

/// A missing program skips the test, or fails it where FIDUCIAL_TOOLS_REQUIRED is set (test/run sets it).
#define FID_SKIP(why)                                      \
    if (std::getenv("FIDUCIAL_TOOLS_REQUIRED") != nullptr) \
        GTEST_FAIL() << (why);                             \
    else                                                   \
        GTEST_SKIP() << (why)
#define FID_SKIP_WITHOUT(site)  \
    if (!(site).skip.empty()) { \
        FID_SKIP((site).skip);  \
    }

}  // namespace fiducial::ledger::testing
