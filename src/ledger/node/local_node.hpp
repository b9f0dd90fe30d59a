#pragma once
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <thread>

#include "base/bytes.hpp"
#include "base/clock.hpp"
#include "base/result.hpp"
#include "crypto/secret.hpp"
#include "ledger/node/clock_guard.hpp"

namespace fiducial::ledger {

struct LocalNodeSettings {
    std::filesystem::path geth;    // empty: looked for, see find_geth()
    std::filesystem::path folder;  // made by create_chain()
    std::uint64_t chain_id = 0;
    Address sealer{};
    std::optional<Hash> genesis_hash;              // absent only on the very first start
    std::optional<std::uint64_t> known_head_time;  // seconds; of the newest block that the archive has stored
    std::uint32_t cache_megabytes = 256;
    bool keep_trying = false;  // a first start that fails for a reason that may pass is tried again, as later ones are
    std::chrono::milliseconds start_timeout{30'000};
    std::chrono::milliseconds stop_timeout{15'000};
    std::chrono::milliseconds hung_after{120'000};  // without an answer for so long it is started again
    std::chrono::milliseconds first_backoff{250};
    std::chrono::milliseconds last_backoff{30'000};
    KernelTime (*kernel_time)() = ledger::kernel_time;
};

enum class NodeState : std::uint8_t { stopped, starting, running, waiting_to_restart, failed };
std::string_view name_of(NodeState state);

/// geth as a child of the archive: started, watched, started again with back-off when it ends or hangs, stopped in order. Its log is
/// folded into ours (its INFO as debug). It listens on nothing but one Unix socket that only the archive's user can reach,
/// has no peers, and ends when the archive is killed. While the machine's clock is not to be trusted it does not run (ClockGuard).
/// Requires: the caller holds the site's lock, so that nobody else uses the folder. A node of the same folder that an earlier,
/// killed archive left behind is stopped first.
/// Threads: safe. The destructor stops the node.
class LocalNode {
public:
    LocalNode(LocalNodeSettings settings, crypto::Secret password, const Clock& clock = system_clock());
    ~LocalNode();
    LocalNode(const LocalNode&) = delete;
    LocalNode& operator=(const LocalNode&) = delete;

    /// Checks the clock, starts the node and waits until it answers for the right chain. With `keep_trying` an error (but for
    /// conflict) is what the first attempt met with; further ones follow until stop().
    /// Errors: not_found, unsupported (see find_geth); conflict when the folder belongs to another chain;
    ///         invalid_argument when the clock is earlier than the chain's head or went far ahead; unavailable with the node's last lines.
    Result<void> start();
    /// SIGTERM, wait, SIGKILL. Nothing happens when it is stopped already.
    void stop();

    NodeState state() const;
    /// Why it does not run, as a sentence; empty while it does.
    std::string problem() const;
    /// Where it answers JSON-RPC; at most 107 bytes long.
    std::filesystem::path socket_path() const;
    /// The hash of block 0 as the node gave it. Requires: start() succeeded.
    Hash genesis_hash() const;
    /// 0 when it does not run.
    int process_id() const;
    /// How often it was started again since start().
    std::uint64_t restarts() const;

private:
    void supervise(std::stop_token stop);
    Result<void> prepare();
    Result<void> check_folder() const;
    Result<void> watch(std::stop_token stop);
    Result<void> launch();
    Result<void> wait_until_ready(std::stop_token stop);
    void end_child();
    void set_state(NodeState state, std::string problem);
    Result<void> check_clock();
    void keep_clock();

    const LocalNodeSettings settings_;
    const crypto::Secret password_;
    const Clock& clock_;
    bool prepared_ = false;  // the supervising thread's own, as is geth_
    std::filesystem::path geth_;
    std::filesystem::path socket_;
    ClockGuard clock_guard_;  // the supervising thread's own

    mutable std::mutex mutex_;
    std::condition_variable_any changed_;
    NodeState state_ = NodeState::stopped;
    std::string problem_;
    std::optional<Error> fatal_;
    Hash genesis_hash_{};
    std::atomic<int> process_id_{0};
    std::atomic<std::uint64_t> restarts_{0};

    struct Child;
    std::unique_ptr<Child> child_;  // the supervising thread's own
    std::jthread supervisor_;
};

/// Whether a node's folder holds a chain: only then may geth be started on it (it would begin another one).
bool holds_chain(const std::filesystem::path& node_folder);

/// Refuses a clock with which a single signer would stop sealing, or that is plainly wrong.
/// Errors: invalid_argument, saying by how much.
Result<void> check_clock_for_sealing(SystemTime now, std::optional<std::uint64_t> known_head_time);

/// A folder's socket path: inside it where that fits into the 107 bytes a Unix socket's address has, otherwise in a folder
/// of mode 0700 under $XDG_RUNTIME_DIR or /tmp whose name is made from the folder's.
/// Errors: permission when somebody else's folder or a link stands in that place.
Result<std::filesystem::path> socket_path_for(const std::filesystem::path& node_folder);

}  // namespace fiducial::ledger
