#pragma once
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "audit/entry.hpp"
#include "crypto/merkle.hpp"

namespace fiducial::audit {

struct TraceHead {
    std::uint64_t size = 0;
    Hash root{};
};

/// What the MACs of a log are made with: 32 bytes each, for this log only.
struct TraceKeys {
    /// A key that the site had before; it vouches for no entry from `entries` on.
    struct Former {
        crypto::Secret key;
        std::uint64_t entries = 0;
    };
    TraceKeys() = default;
    TraceKeys(crypto::Secret present) : key(std::move(present)) {}  // NOLINT(google-explicit-constructor)
    TraceKeys(crypto::Secret present, std::vector<Former> earlier) : key(std::move(present)), former(std::move(earlier)) {}
    TraceKeys clone() const;

    crypto::Secret key;
    std::vector<Former> former{};  // ascending
};

struct TraceOptions {
    std::size_t most_queued = 65536;       // entries waiting for the disk
    std::uint64_t sync_head_every = 4096;  // entries between two synced heads
    /// Told of the durable head by the writer's thread every tell_head_every entries, with the first entry a minute after the last time,
    /// and at closing.
    std::function<void(const TraceHead&)> on_head{};
    std::uint64_t tell_head_every = 256;
    /// Told by the writer's thread why a write or sync failed.
    std::function<void(const Error&)> on_failure{};
};

/// One thing that a check found wrong.
struct TraceFault {
    std::uint64_t index = 0;   // of the entry, or the log's size where no single entry can be named
    std::uint64_t offset = 0;  // in the file
    std::string message;
};

struct TraceReport {
    std::uint64_t size = 0;             // entries read and found right
    Hash root{};                        // of all entries, when there are no faults
    std::uint64_t bytes = 0;            // of the file
    std::uint64_t torn_tail_bytes = 0;  // after the last entry; never acknowledged, cut at the next opening
    std::vector<TraceFault> faults;     // the first 100
    bool clean() const { return faults.empty(); }
};

/// The trace: an append-only list of entries, hashed as RFC 6962 does, one file and one fdatasync for many entries.
/// Spec: RFC 6962 §2.1; docs/formats/trace.md.
/// Threads: safe. A writer thread of its own collects what waits, writes it in one piece, syncs once and tells all who wait.
/// Security: what an outsider changes is found by `check`; cutting the log *and* putting back an older head is found only against a
/// head kept elsewhere (`on_head`; the chain's `Checkpoints`).
class Trace {
public:
    /// A place in the queue.
    class Ticket {
    public:
        Ticket() = default;

    private:
        friend class Trace;
        struct State;
        std::shared_ptr<State> state_;
    };
    using Callback = std::function<void(Result<std::uint64_t> index)>;

    /// Opens the log in folder.
    /// A torn tail after the last synced group is cut, and logged. Entries before the head are checked by `check`, not here.
    /// Errors: locked when another process has it; corrupt, naming the place, for anything that a crash cannot do, a missing log included;
    /// io; permission.
    static Result<std::unique_ptr<Trace>> open(const std::filesystem::path& folder, TraceKeys keys, TraceOptions options = {});
    /// The same, and makes the log where there is none, or finishes a making that was interrupted: for `init` alone. Requires: folder
    /// exists.
    static Result<std::unique_ptr<Trace>> create(const std::filesystem::path& folder, TraceKeys keys, TraceOptions options = {});
    /// Writes what waits, syncs log and head.
    ~Trace();
    Trace(const Trace&) = delete;
    Trace& operator=(const Trace&) = delete;

    /// Queues an entry; never waits. Nothing may be shown on its strength before it is durable.
    /// Errors: unavailable when the queue is full, or as long as failure() says why; invalid_argument as encode_entry.
    Result<Ticket> append(const Entry& entry, const EntryKeys& keys);
    /// Waits until the entry is on the disk. Returns: its index.
    /// Errors: no_space, io: a write or sync failed. Nothing that followed the last good sync is trusted: it is cut off, the cut synced,
    /// and the log goes on. As long as that fails, too (it is tried every second), everything fails as unavailable.
    Result<std::uint64_t> wait_durable(const Ticket& ticket);
    /// Calls back when durable or failed, from the writer's thread or at once; the callback must be quick.
    void when_durable(const Ticket& ticket, Callback callback);
    /// append and wait_durable; waits for room in the queue instead of failing.
    Result<std::uint64_t> append_durable(const Entry& entry, const EntryKeys& keys);

    /// Why the log takes no entries at present; nothing while all is well.
    std::optional<Error> failure() const;
    const Bytes32& id() const;   // random, made with the log
    std::uint64_t size() const;  // durable entries
    Hash root() const;           // of the durable entries
    TraceHead head() const;      // both, of one moment
    /// Of the first `size` entries: reads them all, but for the present size. Errors: not_found beyond the size; corrupt; io.
    Result<Hash> root_at(std::uint64_t size) const;

    /// Errors: not_found beyond the size; corrupt, naming the entry.
    Result<StoredEntry> read(std::uint64_t index) const;
    /// What makes a whole trace of the entries that are durable now: so many bytes of trace.log, and a file trace.head.
    struct Copy {
        TraceHead head;
        std::uint64_t log_bytes = 0;
        Bytes head_file;
    };
    Copy copy() const;
    static constexpr std::string_view kLogFile = "trace.log", kHeadFile = "trace.head";

    /// Reads durable entries in order, from `from` on, until the visitor returns false.
    Result<void> for_each(std::uint64_t from, const std::function<bool(std::uint64_t index, const StoredEntry& entry)>& visit) const;
    /// Hashes everything again and compares with the head. Errors: io only; what is wrong stands in the report.
    Result<TraceReport> check() const;
    /// The same for a log that nobody has open; changes nothing. Errors: not_found when there is no log; locked; io.
    static Result<TraceReport> check_folder(const std::filesystem::path& folder, const TraceKeys& keys);
    /// Puts the head of a log that nobody has open under a new key: what follows is under that one, too. `keys` has the former one last in
    /// its list, with the log's size. Can be repeated after it was interrupted. Errors: corrupt where the log has another size.
    static Result<void> change_key(const std::filesystem::path& folder, const TraceKeys& keys);

private:
    struct State;
    explicit Trace(std::unique_ptr<State> state);
    static Result<std::unique_ptr<Trace>> start(const std::filesystem::path& folder, TraceKeys keys, TraceOptions options, bool may_make);
    std::unique_ptr<State> state_;
};

}  // namespace fiducial::audit
