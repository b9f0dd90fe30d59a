#include "ledger/node/local_node.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <boost/json.hpp>
#include <cerrno>
#include <cstdlib>
#include <deque>

#include "base/file.hpp"
#include "base/hex.hpp"
#include "base/json.hpp"
#include "base/log.hpp"
#include "crypto/hash.hpp"
#include "ethereum/address.hpp"
#include "ledger/node/geth.hpp"
#include "ledger/node/process.hpp"
#include "ledger/rpc.hpp"
#include "net/client.hpp"

namespace fiducial::ledger {
namespace {

constexpr std::size_t kMaxSocketPath = sizeof(sockaddr_un::sun_path) - 1;
constexpr std::uint64_t kEarliestClock = 1'735'689'600;  // 2025-01-01: before that this program did not exist
constexpr std::uint64_t kClockTolerance = 2;             // seconds
constexpr std::chrono::seconds kStableAfter{60};         // a node that ran so long starts with a fresh back-off
constexpr std::chrono::seconds kLookAtClockEvery{1};
constexpr std::size_t kKeptLines = 6;

// "WARN [11-22|20:00:00.000] text    key=value" becomes a line of ours.
struct GethLine {
    log::Level level;
    std::string_view text;
};
// What geth warns of in every run of ours: we are told the same through answers, or chose it so.
constexpr std::string_view kExpected[] = {
    "Served eth_", "Block sealing failed",      "Failed to load snapshot", "Disabled transaction unindexing",
    "Engine API",  "Unclean shutdown detected", "Loaded snapshot journal", "the resubmitAdjustCh",
    "Sanitizing",  "Switch sync mode"};

GethLine classify(std::string_view line) {
    static constexpr std::pair<std::string_view, log::Level> kPrefixes[] = {
        {"INFO ", log::Level::debug}, {"DEBUG", log::Level::debug}, {"TRACE", log::Level::debug},  {"WARN ", log::Level::warning},
        {"ERROR", log::Level::error}, {"CRIT ", log::Level::error}, {"Fatal:", log::Level::error},
    };
    for (const auto& [prefix, level] : kPrefixes) {
        if (!line.starts_with(prefix)) continue;
        if (prefix == "Fatal:") return {level, line};
        const auto end = line.find("] ");
        const auto text = end == std::string_view::npos ? line : line.substr(end + 2);
        const bool expected =
            std::any_of(std::begin(kExpected), std::end(kExpected), [text](auto start) { return text.starts_with(start); });
        return {expected ? log::Level::debug : level, text};
    }
    return {log::Level::debug, line};
}

std::string squeeze_spaces(std::string_view text) {
    std::string out;
    for (const char c : text) {
        if (c != ' ' || out.empty() || out.back() != ' ') out.push_back(c);
    }
    return out;
}

Result<void> make_private_folder(const std::filesystem::path& folder) {
    if (::mkdir(folder.c_str(), 0700) != 0 && errno != EEXIST) return fail(error_from_errno(errno, "create folder", folder));
    struct stat info {};
    if (::lstat(folder.c_str(), &info) != 0) return fail(error_from_errno(errno, "look at folder", folder));
    if (!S_ISDIR(info.st_mode) || info.st_uid != ::geteuid() || (info.st_mode & 0077) != 0) {
        return fail(ErrorCode::permission,
                    folder.string() + " must be a folder of ours with mode 0700, and is not; somebody else may have put it there");
    }
    return {};
}

}  // namespace

struct LocalNode::Child {
    std::optional<Process> process;
    std::mutex mutex;
    std::deque<std::string> last_lines;

    void line(std::string_view raw) {
        const auto [level, text] = classify(raw);
        const auto clean = squeeze_spaces(text);
        log::write(level, "node", clean);
        if (level == log::Level::debug && !raw.starts_with("Fatal")) return;
        const std::lock_guard lock(mutex);
        last_lines.push_back(clean);
        if (last_lines.size() > kKeptLines) last_lines.pop_front();
    }
    std::string said() {
        const std::lock_guard lock(mutex);
        std::string out;
        for (const auto& text : last_lines) out += (out.empty() ? "" : " | ") + text;
        last_lines.clear();
        return out.empty() ? "it said nothing" : out;
    }
};

std::string_view name_of(NodeState state) {
    switch (state) {
        case NodeState::stopped: return "stopped";
        case NodeState::starting: return "starting";
        case NodeState::running: return "running";
        case NodeState::waiting_to_restart: return "waiting to restart";
        case NodeState::failed: return "failed";
    }
    return "failed";
}

Result<void> check_clock_for_sealing(SystemTime now, std::optional<std::uint64_t> known_head_time) {
    const auto seconds = now.time_since_epoch().count() < 0 ? 0 : unix_seconds(now);
    if (seconds < kEarliestClock) {
        return fail(ErrorCode::invalid_argument,
                    "the machine's clock says " + to_rfc3339(now) + ", which cannot be; set it before the node starts");
    }
    if (known_head_time && seconds + kClockTolerance < *known_head_time) {
        const auto head = SystemTime(std::chrono::seconds(*known_head_time));
        return fail(ErrorCode::invalid_argument, "the machine's clock says " + to_rfc3339(now) + " but the chain's newest block is of " +
                                                     to_rfc3339(head) + ": no block could be sealed for " +
                                                     std::to_string(*known_head_time - seconds) +
                                                     " s; set the clock (if it is right, it was ahead when that block was sealed: the node "
                                                     "starts by itself once that time has come)");
    }
    return {};
}

Result<std::filesystem::path> socket_path_for(const std::filesystem::path& node_folder) {
    std::error_code error;
    const auto folder = std::filesystem::weakly_canonical(node_folder, error);
    if (error) return fail(error_from_errno(error.value(), "resolve", node_folder));
    const auto inside = folder / "geth.ipc";
    if (inside.string().size() <= kMaxSocketPath) return inside;
    const auto name = "fiducial-" + to_hex(ByteView(crypto::sha256(as_bytes(folder.string()))).first(8));
    const char* runtime = std::getenv("XDG_RUNTIME_DIR");
    std::filesystem::path base = runtime != nullptr && runtime[0] == '/' ? runtime : "/tmp";
    if ((base / name / "geth.ipc").string().size() > kMaxSocketPath || !std::filesystem::is_directory(base, error)) base = "/tmp";
    FID_CHECK(make_private_folder(base / name));
    return base / name / "geth.ipc";
}

LocalNode::LocalNode(LocalNodeSettings settings, crypto::Secret password, const Clock& clock)
    : settings_(std::move(settings)),
      password_(std::move(password)),
      clock_(clock),
      clock_guard_(clock_file(settings_.folder), clock, settings_.kernel_time),
      child_(std::make_unique<Child>()) {}

LocalNode::~LocalNode() {
    stop();
}

Result<void> LocalNode::check_clock() {
    FID_CHECK(check_clock_for_sealing(clock_.now(), settings_.known_head_time));
    clock_guard_.load();
    FID_CHECK(clock_guard_.check());
    if (!settings_.kernel_time().synchronised) {
        log::info("ledger",
                  "the machine's clock is not synchronised; a clock that is ahead stops the sealing of blocks once it is put right");
    }
    return {};
}

void LocalNode::keep_clock() {
    if (auto kept = clock_guard_.keep(); !kept) log::debug("ledger", "the clock is not remembered", {{"why", kept.error().message}});
}

Result<void> LocalNode::start() {
    FID_INVARIANT(!supervisor_.joinable(), "a node is started once");
    FID_TRY(socket_, socket_path_for(settings_.folder));
    {
        const std::lock_guard lock(mutex_);
        state_ = NodeState::starting;
        problem_.clear();
        fatal_.reset();
    }
    supervisor_ = std::jthread([this](std::stop_token stop) { supervise(std::move(stop)); });
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return state_ != NodeState::starting; });
    if (state_ == NodeState::running) return {};
    auto reason = fatal_.value_or(Error{ErrorCode::unavailable, problem_});
    const bool over = state_ == NodeState::failed;
    lock.unlock();
    if (over) stop();
    return fail(std::move(reason));
}

void LocalNode::stop() {
    if (supervisor_.joinable()) {
        supervisor_.request_stop();
        changed_.notify_all();
        supervisor_.join();
        supervisor_ = {};
    }
    const std::lock_guard lock(mutex_);
    if (state_ != NodeState::failed) state_ = NodeState::stopped;
}

// The child dies with the thread that started it, so this thread starts every one and outlives all of them.
void LocalNode::supervise(std::stop_token stop) {
    auto backoff = settings_.first_backoff;
    bool first = true;
    while (!stop.stop_requested()) {
        const auto started = clock_.steady_now();
        auto ready = prepare();
        if (ready) ready = launch();
        if (ready) ready = wait_until_ready(stop);
        if (ready) {
            first = false;
            set_state(NodeState::running, {});
            log::info("ledger", "the local node answers", {{"pid", process_id_.load()}, {"chain", settings_.chain_id}});
            ready = watch(stop);
        }
        const bool ended_by_itself = !stop.stop_requested();
        end_child();
        if (!ended_by_itself) break;
        if ((first && !settings_.keep_trying) || ready.error().code == ErrorCode::conflict) {
            const std::lock_guard lock(mutex_);
            fatal_ = ready.error();
            state_ = NodeState::failed;
            problem_ = fatal_->message;
            changed_.notify_all();
            return;
        }
        if (clock_.steady_now() - started > kStableAfter) backoff = settings_.first_backoff;
        const std::string why = ready.error().message;
        if (why != problem())
            log::error("ledger", "the local node is away and will be started again", {{"in_ms", backoff.count()}, {"why", why}});
        set_state(NodeState::waiting_to_restart, why);
        std::unique_lock lock(mutex_);
        changed_.wait_for(lock, stop, backoff, [] { return false; });
        lock.unlock();
        backoff = std::min(backoff * 2, settings_.last_backoff);
        ++restarts_;
    }
    set_state(NodeState::stopped, {});
}

/// geth would only say that it cannot unlock the account. What it does not see is checked once it answers.
Result<void> LocalNode::check_folder() const {
    const auto foreign = [&](const std::string& why) {
        return fail(ErrorCode::conflict,
                    "the folder " + settings_.folder.string() + " belongs to another chain: " + why + "; put this site's own in its place");
    };
    const auto text = read_file(settings_.folder / "genesis.json", std::size_t{1} << 20);
    if (text) {
        FID_TRY(const auto genesis, json::parse(as_text(*text), std::size_t{1} << 20));
        const auto* config = genesis.is_object() ? genesis.get_object().if_contains("config") : nullptr;
        const auto* id = config != nullptr && config->is_object() ? config->get_object().if_contains("chainId") : nullptr;
        if (id == nullptr || !id->is_int64())
            return fail(ErrorCode::corrupt, (settings_.folder / "genesis.json").string() + " names no chain id");
        if (static_cast<std::uint64_t>(id->get_int64()) != settings_.chain_id) {
            return foreign("its genesis.json is of chain " + std::to_string(id->get_int64()) + ", the site's is chain " +
                           std::to_string(settings_.chain_id));
        }
    } else if (text.error().code != ErrorCode::not_found) {
        return fail(text.error());
    }
    std::error_code error;
    for (const auto& entry : std::filesystem::directory_iterator(settings_.folder / "keystore", error)) {
        if (entry.path().filename().string().ends_with(to_hex(settings_.sealer))) return {};
    }
    return foreign("its keystore has no key of the site's sealer " + to_0x(settings_.sealer));
}

bool holds_chain(const std::filesystem::path& node_folder) {
    std::error_code error;
    return std::filesystem::is_directory(node_folder / "geth" / "chaindata", error);
}

/// Once, and again at each attempt until it succeeds: what may be put right while the archive goes on.
Result<void> LocalNode::prepare() {
    FID_CHECK(check_clock());
    if (prepared_) return {};
    FID_TRY(geth_, find_geth(settings_.geth));
    std::error_code error;
    if (!holds_chain(settings_.folder)) {
        return fail(ErrorCode::not_found,
                    settings_.folder.string() +
                        " holds no chain: put it back from a backup; where there is none, the runbook 'The chain is gone' "
                        "says what can be proved still and how to begin anew");
    }
    const auto folder = std::filesystem::weakly_canonical(settings_.folder, error).string();
    FID_CHECK(check_folder());
    for (const int pid : find_processes("--datadir", folder)) {
        log::warning("ledger", "a node that an earlier archive left behind is being stopped", {{"pid", pid}});
        FID_CHECK(stop_foreign(pid, "--datadir", folder, settings_.stop_timeout));
    }
    constexpr std::string_view kConfig = "[Node.P2P]\nListenAddr = \"\"\n";
    const auto path = settings_.folder / "geth.toml";
    if (const auto there = read_file(path, 4096); !there || as_text(*there) != kConfig)
        FID_CHECK(write_file_atomically(path, as_bytes(kConfig)));
    prepared_ = true;
    return {};
}

Result<void> LocalNode::launch() {
    std::error_code error;
    std::filesystem::remove(socket_, error);
    // Of a door that nobody uses; geth does not sync it, refuses to start with one that a power cut emptied, and makes it anew.
    constexpr std::uintmax_t kJwtSecretDigits = 64;
    const auto unused_secret = settings_.folder / "geth" / "jwtsecret";
    if (const auto size = std::filesystem::file_size(unused_secret, error); !error && size < kJwtSecretDigits)
        std::filesystem::remove(unused_secret, error);
    const auto folder = std::filesystem::weakly_canonical(settings_.folder, error).string();
    ProcessSpec spec;
    spec.program = geth_;
    spec.arguments =
        sealing_arguments({folder, socket_.string(), to_0x(settings_.sealer), "{fd0}", settings_.chain_id, settings_.cache_megabytes});
    spec.arguments.insert(spec.arguments.end(), {"--nodiscover", "--maxpeers", "0"});
    spec.inputs = {password_.view()};
    spec.on_line = [child = child_.get()](std::string_view line) { child->line(line); };
    FID_TRY(auto process, Process::start(spec));
    child_->process.emplace(std::move(process));
    process_id_ = child_->process->id();
    return {};
}

Result<void> LocalNode::wait_until_ready(std::stop_token stop) {
    Rpc rpc(std::make_shared<net::UnixSocketJson>(socket_),
            {.timeout = std::chrono::seconds(5), .first_backoff = std::chrono::milliseconds(0)});
    const auto deadline = clock_.steady_now() + settings_.start_timeout;
    Error last{ErrorCode::unavailable, "the node does not answer"};
    while (!stop.stop_requested()) {
        if (const auto status = child_->process->wait_for(std::chrono::milliseconds(10))) {
            child_->process->stop(std::chrono::milliseconds(0));  // reads what it said to the end
            return fail(ErrorCode::unavailable,
                        "the node ended with status " + std::to_string(*status) + " while it started: " + child_->said());
        }
        struct stat info {};
        if (::lstat(socket_.c_str(), &info) == 0) {
            const auto chain = rpc.chain_id();
            auto genesis = chain ? rpc.block(std::uint64_t{0}) : Result<std::optional<Block>>(fail(chain.error()));
            if (genesis && *genesis) {
                if (*chain != settings_.chain_id || (settings_.genesis_hash && (*genesis)->hash != *settings_.genesis_hash)) {
                    return fail(ErrorCode::conflict, "the folder " + settings_.folder.string() +
                                                         " belongs to another chain: it holds chain " + std::to_string(*chain) +
                                                         " with genesis " + to_0x((*genesis)->hash) + ", the site's is chain " +
                                                         std::to_string(settings_.chain_id) +
                                                         (settings_.genesis_hash ? " with genesis " + to_0x(*settings_.genesis_hash) : ""));
                }
                // It answers before the sealer's account is unlocked; only with that does it seal.
                const auto sealing = rpc.raw("eth_mining", "[]");
                if (sealing && sealing->is_bool() && sealing->get_bool()) {
                    const std::lock_guard lock(mutex_);
                    genesis_hash_ = (*genesis)->hash;
                    return {};
                }
                last = {ErrorCode::unavailable, "it answers but does not seal yet"};
            }
            if (!genesis) last = genesis.error();
        }
        if (clock_.steady_now() > deadline) {
            return fail(ErrorCode::unavailable, "the node did not answer within " + std::to_string(settings_.start_timeout.count()) +
                                                    " ms (" + last.message + "): " + child_->said());
        }
    }
    return fail(ErrorCode::cancelled, "stopped while the node started");
}

// Until it ends, is to be stopped, has not answered for too long (one that hangs is started again), or the clock is set far ahead: then no
// block is sealed, and what waits in the outbox waits on. Returns: always why.
Result<void> LocalNode::watch(std::stop_token stop) {
    Rpc rpc(std::make_shared<net::UnixSocketJson>(socket_),
            {.timeout = std::min(settings_.hung_after, std::chrono::milliseconds(2'000)), .first_backoff = std::chrono::milliseconds(0)});
    auto answered = clock_.steady_now();
    auto next_probe = answered + settings_.hung_after / 4;
    auto next_look_at_clock = answered;
    while (!stop.stop_requested()) {
        if (child_->process->wait_for(std::chrono::milliseconds(100)))
            return fail(ErrorCode::unavailable, "the node ended: " + child_->said());
        if (clock_.steady_now() >= next_look_at_clock) {
            FID_CHECK(clock_guard_.check());
            keep_clock();
            next_look_at_clock = clock_.steady_now() + kLookAtClockEvery;
        }
        if (clock_.steady_now() < next_probe) continue;
        if (rpc.block_number()) answered = clock_.steady_now();
        next_probe = clock_.steady_now() + settings_.hung_after / 4;
        if (clock_.steady_now() - answered > settings_.hung_after) {
            return fail(ErrorCode::unavailable,
                        "the node runs and has not answered for " + std::to_string(settings_.hung_after.count() / 1000) + " s");
        }
    }
    return fail(ErrorCode::cancelled, "stopped");
}

void LocalNode::end_child() {
    process_id_ = 0;
    if (!child_->process) return;
    child_->process->stop(settings_.stop_timeout);
    child_->process.reset();
    std::error_code error;
    std::filesystem::remove(socket_, error);
}

void LocalNode::set_state(NodeState state, std::string problem) {
    const std::lock_guard lock(mutex_);
    state_ = state;
    problem_ = std::move(problem);
    changed_.notify_all();
}

NodeState LocalNode::state() const {
    const std::lock_guard lock(mutex_);
    return state_;
}
std::string LocalNode::problem() const {
    const std::lock_guard lock(mutex_);
    return problem_;
}
std::filesystem::path LocalNode::socket_path() const {
    return socket_;
}
Hash LocalNode::genesis_hash() const {
    const std::lock_guard lock(mutex_);
    return genesis_hash_;
}
int LocalNode::process_id() const {
    return process_id_;
}
std::uint64_t LocalNode::restarts() const {
    return restarts_;
}

}  // namespace fiducial::ledger
