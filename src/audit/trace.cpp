#include "audit/trace.hpp"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>

#include "audit/impl/trace_check.hpp"
#include "audit/impl/trace_format.hpp"

namespace fiducial::audit {

using impl::Head;
using impl::kHeaderSize;
using impl::LogKey;

namespace {

constexpr std::size_t kMostInGroup = 4096;  // entries in one write and sync
constexpr std::uint64_t kSparseStep = 128;  // every so many entries an offset is remembered
constexpr std::chrono::minutes kTellHeadAfter{1};
constexpr std::chrono::seconds kBetweenMends{1};
constexpr std::uint64_t kHeadFileLimit = 65536;
constexpr std::size_t kRoomBytes = std::size_t{256} << 10;  // of zeros, written ahead: a sync that need not note a new length is cheaper
constexpr std::size_t kPieceForOne = 65536;                 // read at once to find one entry
constexpr std::size_t kPieceForMany = std::size_t{1} << 20;

Result<void> write_head_slot(File& file, const LogKey& key, const Head& head) {
    return file.write_at(head.sequence % 2 * impl::kHeadSlotSize, impl::make_head_slot(key, head));
}

std::uint64_t now_ms() {
    return static_cast<std::uint64_t>(system_clock().now().time_since_epoch().count());
}

/// Log and head file as found or made, and the head after recovery.
struct Opened {
    File log;
    File head_file;
    LogKey key;
    Head head;
};

Result<Opened> make_new(Opened opened, const std::filesystem::path& folder) {
    opened.key.log_id = crypto::random_bytes32();
    opened.key.keys.former.clear();  // none of them vouches for anything here
    FID_CHECK(opened.log.truncate(0));
    FID_CHECK(opened.log.write_at(0, impl::make_header(opened.key, now_ms())));
    FID_CHECK(opened.log.sync());
    FID_CHECK(opened.head_file.write_at(0, Bytes(2 * impl::kHeadSlotSize)));  // all the room it will ever need: a full disk stops no head
    FID_CHECK(write_head_slot(opened.head_file, opened.key, opened.head));
    FID_CHECK(opened.head_file.sync());
    FID_CHECK(sync_folder(folder));
    return opened;
}

Error lost(std::string_view what) {
    return {ErrorCode::corrupt,
            "trace: " + std::string(what) + "; put the folder trace/ back from the backup, and find out who can write to it"};
}

Result<Opened> open_files(const std::filesystem::path& folder, TraceKeys keys, bool may_make) {
    if (keys.key.size() != 32) return fail(ErrorCode::invalid_argument, "trace: the MAC key has 32 bytes");
    Opened opened;
    opened.key.keys = std::move(keys);
    std::error_code ignored;
    const bool had_head = std::filesystem::exists(folder / impl::kHeadName, ignored);
    auto log = File::open(folder / impl::kLogName, may_make ? File::Mode::read_write_create : File::Mode::read_write);
    if (!log && !may_make && log.error().code == ErrorCode::not_found) return tl::make_unexpected(lost("trace.log is missing"));
    FID_TRY(opened.log, std::move(log));
    FID_CHECK(opened.log.lock_exclusively());
    FID_TRY(const auto log_size, opened.log.size());
    FID_TRY(opened.head_file, File::open(folder / impl::kHeadName, File::Mode::read_write_create));
    FID_TRY(const auto head_bytes, read_file(folder / impl::kHeadName, kHeadFileLimit));
    if (log_size < kHeaderSize) {
        if (had_head && !head_bytes.empty()) {
            return fail(ErrorCode::corrupt,
                        "trace: trace.head is there, but trace.log holds " + std::to_string(log_size) + " bytes: it was cut or replaced");
        }
        if (!may_make) return tl::make_unexpected(lost("trace.log is empty"));
        return make_new(std::move(opened), folder);
    }
    Bytes header(kHeaderSize);
    FID_CHECK(opened.log.read_exactly_at(0, header));
    FID_TRY(opened.key, impl::parse_header(header, std::move(opened.key.keys)));
    const auto head = impl::newest_head(head_bytes, opened.key);
    if (head) {
        opened.head = *head;
    } else if (!may_make || log_size > kHeaderSize) {
        return tl::make_unexpected(lost("trace.head is missing or damaged"));
    }
    if (log_size < opened.head.bytes) {
        return fail(ErrorCode::corrupt, "trace: the log ends at byte " + std::to_string(log_size) + ", but " +
                                            std::to_string(opened.head.tree.size()) + " entries in " + std::to_string(opened.head.bytes) +
                                            " bytes had been synced");
    }
    return opened;
}

/// Takes in what was written after the head, and cuts a torn tail.
Result<void> recover_tail(Opened& opened) {
    FID_TRY(const auto log_size, opened.log.size());
    const std::uint64_t before = opened.head.tree.size();
    FID_TRY(const auto tail, impl::scan_tail(opened.log, log_size, opened.key, opened.head));
    if (tail.fault) return fail(ErrorCode::corrupt, "trace: " + tail.fault->message);
    if (opened.head.bytes < log_size) {
        FID_TRY(const auto is_room, impl::is_room(opened.log, opened.head.bytes, log_size));
        FID_CHECK(opened.log.truncate(opened.head.bytes));
        if (!is_room)
            log::warning(
                "audit",
                "cut a torn tail off the trace: entries that were being written when the archive stopped, none of them acknowledged",
                {{"bytes", log_size - opened.head.bytes}, {"size", opened.head.tree.size()}});
    }
    if (opened.head.tree.size() != before || opened.head.bytes < log_size) FID_CHECK(opened.log.sync_data());
    ++opened.head.sequence;
    FID_CHECK(write_head_slot(opened.head_file, opened.key, opened.head));
    return opened.head_file.sync_data();
}

}  // namespace

struct Trace::Ticket::State {
    Bytes entry;
    Hash leaf_hash{};
    std::mutex mutex;
    std::condition_variable changed;
    std::optional<Result<std::uint64_t>> outcome;
    std::vector<Callback> callbacks;

    void settle(Result<std::uint64_t> result) {
        std::vector<Callback> to_call;
        {
            const std::lock_guard lock(mutex);
            outcome = result;
            to_call.swap(callbacks);
            Bytes().swap(entry);
            changed.notify_all();
        }
        for (const Callback& callback : to_call) callback(result);
    }
};

struct Trace::State {
    using Pending = std::shared_ptr<Ticket::State>;

    TraceOptions options;
    LogKey key;
    File log;        // writes: the writer's thread only
    File head_file;  // the same

    mutable std::mutex mutex;
    std::condition_variable work;  // something waits, or stop
    std::condition_variable room;  // the queue was emptied
    std::deque<Pending> queue;
    Head head;                    // what is durable
    std::optional<Error> failed;  // why nothing is taken: what a failed write or sync left could not be cut off yet
    bool stopping = false;
    std::uint64_t synced_head_size = 0, told_head_size = 0;                              // the writer's own
    std::uint64_t room_end = 0;                                                          // the same: zeros stand up to here
    std::chrono::steady_clock::time_point told_head = std::chrono::steady_clock::now();  // the same

    mutable std::mutex sparse_mutex;
    mutable std::vector<std::uint64_t> sparse{kHeaderSize};  // [i]: offset of entry i * kSparseStep

    std::thread writer;

    Result<Ticket> enqueue(std::unique_lock<std::mutex>& lock, Pending pending);
    void run();
    void write_group(std::vector<Pending> group);
    Result<void> write_durably(ByteView bytes, std::uint64_t at);
    /// Nothing is known of what followed the last good sync: it is cut off before anything else is taken. Returns: whether that was done.
    bool mend();
    void tell_head();
    Head snapshot() const {
        const std::lock_guard lock(mutex);
        return head;
    }
    using Visitor = std::function<bool(std::uint64_t, const StoredEntry&)>;
    Result<std::uint64_t> offset_of(std::uint64_t index, impl::Window& window) const;
    Result<void> visit(std::uint64_t from, std::size_t piece, const Visitor& visitor) const;
};

Trace::Trace(std::unique_ptr<State> state) : state_(std::move(state)) {}

Result<std::unique_ptr<Trace>> Trace::open(const std::filesystem::path& folder, TraceKeys keys, TraceOptions options) {
    return start(folder, std::move(keys), std::move(options), false);
}

Result<std::unique_ptr<Trace>> Trace::create(const std::filesystem::path& folder, TraceKeys keys, TraceOptions options) {
    return start(folder, std::move(keys), std::move(options), true);
}

Result<std::unique_ptr<Trace>> Trace::start(const std::filesystem::path& folder, TraceKeys keys, TraceOptions options, bool may_make) {
    FID_TRY(auto opened, open_files(folder, std::move(keys), may_make));
    FID_CHECK(recover_tail(opened));
    auto state = std::make_unique<State>();
    state->options = std::move(options);
    state->key = std::move(opened.key);
    state->log = std::move(opened.log);
    state->head_file = std::move(opened.head_file);
    state->head = std::move(opened.head);
    state->synced_head_size = state->told_head_size = state->head.tree.size();
    std::unique_ptr<Trace> trace(new Trace(std::move(state)));
    trace->state_->writer = std::thread([shared = trace->state_.get()] { shared->run(); });
    return trace;
}

Trace::~Trace() {
    {
        const std::lock_guard lock(state_->mutex);
        state_->stopping = true;
        state_->work.notify_all();
    }
    state_->writer.join();
    if (state_->options.on_head) state_->options.on_head(head());
    if (!state_->failed) {
        if (auto synced = state_->head_file.sync_data(); !synced)
            log::error("audit", "the trace's head could not be synced", {{"reason", synced.error().message}});
        static_cast<void>(state_->log.truncate(state_->head.bytes));  // room that stays is cut when it is opened
    }
}

Result<Trace::Ticket> Trace::State::enqueue(std::unique_lock<std::mutex>&, Pending pending) {
    if (failed) return fail(*failed);
    if (queue.size() >= options.most_queued)
        return fail(ErrorCode::unavailable, "trace: " + std::to_string(queue.size()) + " entries wait for the disk already");
    queue.push_back(pending);
    if (queue.size() == 1) work.notify_one();
    Ticket ticket;
    ticket.state_ = std::move(pending);
    return ticket;
}

namespace {

template <typename State>
Result<std::shared_ptr<State>> prepare(const Entry& entry, const EntryKeys& keys) {
    auto pending = std::make_shared<State>();
    FID_TRY(pending->entry, encode_entry(entry, keys));
    pending->leaf_hash = entry_leaf_hash(pending->entry);
    return pending;
}

}  // namespace

std::optional<Error> Trace::failure() const {
    const std::lock_guard lock(state_->mutex);
    return state_->failed;
}

Result<Trace::Ticket> Trace::append(const Entry& entry, const EntryKeys& keys) {
    FID_TRY(auto pending, prepare<Ticket::State>(entry, keys));
    std::unique_lock lock(state_->mutex);
    return state_->enqueue(lock, std::move(pending));
}

Result<std::uint64_t> Trace::append_durable(const Entry& entry, const EntryKeys& keys) {
    FID_TRY(auto pending, prepare<Ticket::State>(entry, keys));
    Ticket ticket;
    {
        std::unique_lock lock(state_->mutex);
        state_->room.wait(lock, [this] { return state_->failed || state_->queue.size() < state_->options.most_queued; });
        FID_TRY(ticket, state_->enqueue(lock, std::move(pending)));
    }
    return wait_durable(ticket);
}

Result<std::uint64_t> Trace::wait_durable(const Ticket& ticket) {
    if (ticket.state_ == nullptr) return fail(ErrorCode::invalid_argument, "trace: an empty ticket");
    std::unique_lock lock(ticket.state_->mutex);
    ticket.state_->changed.wait(lock, [&] { return ticket.state_->outcome.has_value(); });
    return *ticket.state_->outcome;
}

void Trace::when_durable(const Ticket& ticket, Callback callback) {
    if (ticket.state_ == nullptr) return callback(fail(ErrorCode::invalid_argument, "trace: an empty ticket"));
    std::optional<Result<std::uint64_t>> outcome;
    {
        const std::lock_guard lock(ticket.state_->mutex);
        outcome = ticket.state_->outcome;
        if (!outcome) ticket.state_->callbacks.push_back(std::move(callback));
    }
    if (outcome) callback(*outcome);
}

/// The writer's thread: while one group is on its way to the disk, the next one gathers.
void Trace::State::run() {
    const auto woken = [this] { return stopping || !queue.empty(); };
    for (;;) {
        std::vector<Pending> group;
        {
            std::unique_lock lock(mutex);
            if (failed) {
                work.wait_for(lock, kBetweenMends, woken);
            } else {
                work.wait(lock, woken);
            }
            if (queue.empty() && stopping) return;
            const std::size_t count = std::min(queue.size(), kMostInGroup);
            group.assign(std::make_move_iterator(queue.begin()),
                         std::make_move_iterator(queue.begin() + static_cast<std::ptrdiff_t>(count)));
            queue.erase(queue.begin(), queue.begin() + static_cast<std::ptrdiff_t>(count));
            room.notify_all();
        }
        write_group(std::move(group));
        tell_head();
    }
}

void Trace::State::write_group(std::vector<Pending> group) {
    const auto refuse_all = [&group](const Error& error) {
        for (const Pending& pending : group) pending->settle(fail(error));
    };
    Head next;
    std::optional<Error> earlier;
    {
        const std::lock_guard lock(mutex);
        earlier = failed;
        next = head;
    }
    if (earlier && !mend()) return refuse_all(*earlier);
    if (group.empty()) return;
    const std::uint64_t first = next.tree.size();
    const std::uint64_t start = next.bytes;
    Bytes bytes;
    for (std::size_t i = 0; i < group.size(); ++i) {
        impl::append_record(bytes, key, first + i, static_cast<std::uint32_t>(i), group[i]->entry, group[i]->leaf_hash);
        next.tree.add(group[i]->leaf_hash);
    }
    next.bytes += bytes.size();
    ++next.sequence;
    if (auto written = write_durably(bytes, start); !written) {
        log::error("audit", "entries of the trace could not be written; who waited for them is refused",
                   {{"entries", group.size()}, {"reason", written.error().message}});
        mend();
        if (options.on_failure) options.on_failure(written.error());
        return refuse_all(written.error());
    }
    // The head follows unsynced: it survives the process, and after a power cut an older one only means a longer tail to read.
    auto head_written = write_head_slot(head_file, key, next);
    if (head_written && next.tree.size() - synced_head_size >= options.sync_head_every) {
        head_written = head_file.sync_data();
        if (head_written) synced_head_size = next.tree.size();
    }
    {
        const std::lock_guard lock(mutex);
        head = std::move(next);
    }
    if (!head_written) {
        mend();
        if (options.on_failure) options.on_failure(head_written.error());
    }
    for (std::size_t i = 0; i < group.size(); ++i) group[i]->settle(first + i);
}

Result<void> Trace::State::write_durably(ByteView bytes, std::uint64_t at) {
    if (const auto end = at + bytes.size(); end > room_end) {
        const Bytes zeros(kRoomBytes);
        if (log.write_at(end, zeros)) room_end = end + kRoomBytes;  // without room a sync is slower, and nothing else
    }
    FID_CHECK(log.write_at(at, bytes));
    return log.sync_data();
}

// After a failed sync the kernel may have dropped the pages, and a second sync that succeeds says nothing of them.
bool Trace::State::mend() {
    const Head durable = snapshot();
    const auto put_right = [&]() -> Result<void> {
        room_end = 0;
        FID_CHECK(log.truncate(durable.bytes));
        FID_CHECK(log.sync());
        FID_CHECK(write_head_slot(head_file, key, durable));
        return head_file.sync_data();
    };
    const auto done = put_right();
    const std::lock_guard lock(mutex);
    if (done) {
        if (failed) log::info("audit", "what a failed write or sync had left of the trace was cut off; entries are taken again");
        failed.reset();
        synced_head_size = durable.tree.size();
        return true;
    }
    failed =
        Error{ErrorCode::unavailable,
              "trace: no entries are taken, since a write or sync failed and what it left cannot be cut off yet: " + done.error().message};
    room.notify_all();
    return false;
}

void Trace::State::tell_head() {
    if (!options.on_head) return;
    const Head durable = snapshot();
    const auto size = durable.tree.size();
    const auto now = std::chrono::steady_clock::now();
    if (size == told_head_size || (size - told_head_size < options.tell_head_every && now - told_head < kTellHeadAfter)) return;
    told_head_size = size;
    told_head = now;
    options.on_head({size, durable.tree.root()});
}

const Bytes32& Trace::id() const {
    return state_->key.log_id;
}

std::uint64_t Trace::size() const {
    const std::lock_guard lock(state_->mutex);
    return state_->head.tree.size();
}
Hash Trace::root() const {
    return head().root;
}
TraceHead Trace::head() const {
    const Head head = state_->snapshot();
    return {head.tree.size(), head.tree.root()};
}

Trace::Copy Trace::copy() const {
    const Head head = state_->snapshot();
    Copy out{{head.tree.size(), head.tree.root()}, head.bytes, Bytes(2 * impl::kHeadSlotSize)};
    const auto slot = impl::make_head_slot(state_->key, head);
    std::copy(slot.begin(), slot.end(), out.head_file.begin() + static_cast<std::ptrdiff_t>(head.sequence % 2 * impl::kHeadSlotSize));
    return out;
}

namespace {

Result<impl::Record> whole_record(impl::Window& window, std::uint64_t offset, std::uint64_t index, const LogKey& key) {
    FID_TRY(const auto found, impl::look_at(window, offset, key));
    if (found.place != impl::Place::whole || found.record.index != index) {
        return fail(ErrorCode::corrupt,
                    "trace: entry " + std::to_string(index) + " at byte " + std::to_string(offset) + " is not what was written");
    }
    return found.record;
}

}  // namespace

Result<std::uint64_t> Trace::State::offset_of(std::uint64_t index, impl::Window& window) const {
    std::uint64_t at = 0;
    std::uint64_t offset = 0;
    {
        const std::lock_guard lock(sparse_mutex);
        const std::uint64_t known = std::min<std::uint64_t>(index / kSparseStep, sparse.size() - 1);
        at = known * kSparseStep;
        offset = sparse[known];
    }
    while (at < index) {
        FID_TRY(const auto frame, window.at(offset, impl::kFrameSize));
        const std::uint32_t length = frame.size() < impl::kFrameSize ? 0 : read_be<std::uint32_t>(frame);
        if (length == 0 || length > kLongestEntry || read_be<std::uint64_t>(frame.subspan(4)) != at) {
            return fail(ErrorCode::corrupt,
                        "trace: entry " + std::to_string(at) + " at byte " + std::to_string(offset) + " is not what was written");
        }
        offset += impl::kFrameSize + length + impl::kMacSize;
        ++at;
        if (at % kSparseStep != 0) continue;
        const std::lock_guard lock(sparse_mutex);
        if (sparse.size() == at / kSparseStep) sparse.push_back(offset);
    }
    return offset;
}

Result<StoredEntry> Trace::read(std::uint64_t index) const {
    std::optional<StoredEntry> result;
    if (index >= size()) return fail(ErrorCode::not_found, "trace: there is no entry " + std::to_string(index));
    FID_CHECK(state_->visit(index, kPieceForOne, [&result](std::uint64_t, const StoredEntry& entry) {
        result = entry;
        return false;
    }));
    FID_INVARIANT(result.has_value(), "an entry below the trace's size was not visited");
    return *std::move(result);
}

Result<Hash> Trace::root_at(std::uint64_t size) const {
    const Head now = state_->snapshot();
    if (size > now.tree.size()) return fail(ErrorCode::not_found, "trace: there are only " + std::to_string(now.tree.size()) + " entries");
    if (size == now.tree.size()) return now.tree.root();
    crypto::MerkleAccumulator tree;
    if (size > 0) {
        FID_CHECK(for_each(0, [&](std::uint64_t index, const StoredEntry& entry) {
            tree.add(entry_leaf_hash(entry.bytes));
            return index + 1 < size;
        }));
    }
    return tree.root();
}

Result<void> Trace::for_each(std::uint64_t from, const std::function<bool(std::uint64_t, const StoredEntry&)>& visit) const {
    return state_->visit(from, kPieceForMany, visit);
}

Result<void> Trace::State::visit(std::uint64_t from, std::size_t piece, const Visitor& visitor) const {
    const Head durable = snapshot();
    if (from >= durable.tree.size()) return {};
    impl::Window window(log, durable.bytes, piece);
    FID_TRY(auto offset, offset_of(from, window));
    for (std::uint64_t index = from; index < durable.tree.size(); ++index) {
        FID_TRY(const auto record, whole_record(window, offset, index, key));
        auto entry = decode_entry(record.entry);
        if (!entry) return fail(entry.error().with("entry " + std::to_string(index)));
        offset = record.next;
        if (!visitor(index, *entry)) break;
    }
    return {};
}

Result<TraceReport> Trace::check() const {
    const Head head = state_->snapshot();
    return impl::check_log(state_->log, head.bytes, state_->key, head);
}

Result<TraceReport> Trace::check_folder(const std::filesystem::path& folder, const TraceKeys& keys) {
    if (keys.key.size() != 32) return fail(ErrorCode::invalid_argument, "trace: the MAC key has 32 bytes");
    FID_TRY(File log, File::open(folder / impl::kLogName, File::Mode::read));
    FID_CHECK(log.lock_exclusively());
    return impl::check_closed_log(log, folder, keys);
}

Result<void> Trace::change_key(const std::filesystem::path& folder, const TraceKeys& keys) {
    FID_INVARIANT(!keys.former.empty(), "the key that a trace had before stands last among the former ones");
    FID_TRY(File log, File::open(folder / impl::kLogName, File::Mode::read));
    FID_CHECK(log.lock_exclusively());
    Bytes header(kHeaderSize);
    FID_CHECK(log.read_exactly_at(0, header));
    FID_TRY(const auto now, impl::parse_header(header, keys.clone()));
    FID_TRY(const auto bytes, read_file(folder / impl::kHeadName, kHeadFileLimit));
    auto head = impl::newest_head(bytes, now);
    if (!head) {
        auto before = keys.clone();
        before.key = std::move(before.former.back().key);
        before.former.pop_back();
        const LogKey former{std::move(before), now.log_id};
        head = impl::newest_head(bytes, former);
        if (!head) return tl::make_unexpected(lost("trace.head is missing or damaged"));
        FID_TRY(const auto log_size, log.size());
        FID_TRY(const auto tail, impl::scan_tail(log, log_size, former, *head));  // a power cut may have left an older head
        if (tail.fault) return fail(ErrorCode::corrupt, "trace: " + tail.fault->message);
        ++head->sequence;
    }
    if (head->tree.size() != keys.former.back().entries) {
        return fail(ErrorCode::corrupt, "trace: it holds " + std::to_string(head->tree.size()) + " entries, and " +
                                            std::to_string(keys.former.back().entries) + " when its key was changed");
    }
    FID_TRY(auto head_file, File::open(folder / impl::kHeadName, File::Mode::read_write));
    FID_CHECK(write_head_slot(head_file, now, *head));
    FID_CHECK(head_file.sync_data());
    FID_CHECK(head_file.write_at((head->sequence + 1) % 2 * impl::kHeadSlotSize, Bytes(impl::kHeadSlotSize)));
    return head_file.sync_data();
}

TraceKeys TraceKeys::clone() const {
    TraceKeys copy(key.clone());
    for (const auto& one : former) copy.former.push_back({one.key.clone(), one.entries});
    return copy;
}

}  // namespace fiducial::audit
