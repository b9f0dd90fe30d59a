#include <algorithm>
#include <cstring>
#include <set>

#include "base/clock.hpp"
#include "base/hex.hpp"
#include "base/log.hpp"
#include "store/impl/vault_state.hpp"
#include "store/impl/writer_state.hpp"

namespace fiducial::store {
namespace {

constexpr std::size_t kOpenSegments = 512;  // file descriptors
constexpr std::size_t kGroupBytes = std::size_t{64} << 20;
constexpr std::size_t kMaxBacklog = 10'000;

}  // namespace

Result<std::shared_ptr<Segment>> VaultShared::segment(std::uint32_t number) const {
    const std::lock_guard lock(segments_mutex);
    if (const auto found = opened.find(number); found != opened.end()) return found->second;
    FID_TRY(auto segment, backend->open(number, false));
    keep_open(segment);
    return segment;
}

void VaultShared::keep_open(const std::shared_ptr<Segment>& segment) const {
    if (opened.size() >= kOpenSegments) opened.erase(opened.begin());  // whoever reads it keeps it open
    opened[segment->number()] = segment;
}

Result<std::vector<SegmentName>> VaultShared::names() const {
    FID_TRY(auto names, backend->list());
    std::map<std::uint32_t, std::uint32_t> newest;
    for (const auto& name : names) {
        if (name.is_rewritten()) newest[name.place] = std::max(newest[name.place], name.number);
    }
    std::erase_if(names, [&](const SegmentName& name) {
        const auto found = newest.find(name.place);
        return found != newest.end() && found->second != name.number;
    });
    const std::lock_guard lock(segments_mutex);
    rewritten = std::move(newest);
    return names;
}

Result<bool> VaultShared::is_begun(const Segment& segment) const {
    FID_TRY(const auto size, segment.size());
    if (size != kSegmentHeaderSize) return size > kSegmentHeaderSize;
    Bytes head(kSegmentHeaderSize);
    FID_CHECK(segment.read_exactly_at(0, head));
    const auto header = SegmentHeader::decode(head);
    return header || header.error().code != ErrorCode::malformed;
}

Result<SegmentHeader> VaultShared::header_of(const Segment& segment) const {
    Bytes head(kSegmentHeaderSize);
    FID_CHECK(segment.read_exactly_at(0, head));
    auto header = SegmentHeader::decode(head);
    if (!header) return fail(header.error().with(segment.name()));
    return header;
}

Result<std::shared_ptr<const VaultShared::Moved>> VaultShared::moves_of(std::uint32_t number) const {
    constexpr std::size_t kKept = 16;
    {
        const std::lock_guard lock(segments_mutex);
        if (const auto found = moves.find(number); found != moves.end()) return found->second;
    }
    FID_TRY(const auto held, segment(number));
    FID_TRY(const auto header, header_of(*held));
    auto moved = std::make_shared<Moved>();
    if (header.moves_offset != 0) {
        FID_TRY(const auto bytes, read_record_bytes(*held, header.moves_offset + kBlockHeaderSize));
        FID_TRY(const auto record, decode_record(bytes));
        const auto* table = std::get_if<MovesRecord>(&record);
        if (table == nullptr)
            return fail(ErrorCode::corrupt,
                        held->name() + " offset " + std::to_string(header.moves_offset) + ": the record of what was moved is not there");
        for (const auto& move : table->moves) moved->emplace(std::pair(move.from.segment, move.from.offset), move.to);
    }
    const std::lock_guard lock(segments_mutex);
    if (moves.size() >= kKept) moves.clear();
    moves[number] = moved;
    return moved;
}

Result<VaultShared::Resolved> VaultShared::resolve(std::uint32_t number, std::uint64_t offset) const {
    auto there = segment(number);
    if (there) return Resolved{*std::move(there), offset};
    if (there.error().code != ErrorCode::not_found) return fail(there.error());
    std::vector<std::uint32_t> where;  // the one in its place first
    {
        const std::lock_guard lock(segments_mutex);
        const auto direct = rewritten.find(number);
        if (direct != rewritten.end()) where.push_back(direct->second);
        for (const auto& [place, newest] : rewritten) {
            if (place != number && newest > number) where.push_back(newest);  // it may have stood in this place in between
        }
    }
    for (const auto candidate : where) {
        FID_TRY(const auto moved, moves_of(candidate));
        const auto found = moved->find({number, offset});
        if (found == moved->end()) continue;
        FID_TRY(auto now, segment(candidate));
        return Resolved{std::move(now), found->second};
    }
    return fail(there.error());
}

std::vector<SegmentPart> parts_elsewhere(std::span<const Extent> extents, std::uint32_t own) {
    std::map<std::uint32_t, std::uint64_t> bytes;
    for (const auto& extent : extents) {
        if (extent.segment != own) bytes[extent.segment] += extent.size;
    }
    std::vector<SegmentPart> parts;
    for (const auto& [segment, size] : bytes) parts.push_back({segment, size});
    return parts;
}

void VaultShared::remember(const std::shared_ptr<Segment>& segment) const {
    const std::lock_guard lock(segments_mutex);
    keep_open(segment);
}

Result<std::shared_ptr<Segment>> VaultShared::make_segment(bool data_only) {
    FID_TRY(auto segment, backend->create(highest_number + 1));
    ++highest_number;
    SegmentHeader header;
    header.number = segment->number();
    header.data_only = data_only;
    header.site_id = site_id;
    header.created_ms = static_cast<std::uint64_t>(system_clock().now().time_since_epoch().count());
    header.previous_sequence = data_only ? 0 : sequence;
    header.first_unfinished = unfinished.empty() ? header.number : std::min(header.number, unfinished.begin()->first);
    auto begun = segment->write_at(0, header.encode());
    if (begun) begun = segment->sync();
    if (!begun) {  // a full disk would gather one empty file an attempt
        const auto removed = backend->remove(segment->number());
        (void)removed;
        return fail(begun.error());
    }
    remember(segment);
    return segment;
}

Result<void> VaultShared::forget_segment(std::uint32_t number) {
    {
        const std::lock_guard lock(segments_mutex);
        opened.erase(number);
        moves.erase(number);
    }
    return backend->remove(number);
}

void VaultShared::hold(std::uint32_t segment, std::set<std::uint32_t>& holder) {
    if (holder.insert(segment).second) ++unfinished[segment];
}

void VaultShared::let_go(const std::set<std::uint32_t>& holder) {
    const std::lock_guard lock(tail_mutex);
    for (const auto segment : holder) {
        if (--unfinished[segment] == 0) unfinished.erase(segment);
    }
}

std::optional<Error> VaultShared::spoiled_in(std::span<const std::uint32_t> segments) {
    const std::lock_guard lock(tail_mutex);
    for (const auto number : segments) {
        if (const auto found = spoiled.find(number); found != spoiled.end()) return found->second;
    }
    return std::nullopt;
}

Result<VaultShared::Place> VaultShared::reserve(std::uint64_t size, std::set<std::uint32_t>& holder) {
    const std::lock_guard lock(tail_mutex);
    for (auto at = unused.begin(); at != unused.end(); ++at) {
        const auto [offset, room] = *at;
        if (room < size) continue;
        unused.erase(at);
        if (room > size) unused[offset + size] = room - size;
        hold(current->number(), holder);
        return Place{current, offset};
    }
    FID_TRY(auto place, reserve_aligned(size, 1));
    hold(place.segment->number(), holder);
    return place;
}

void VaultShared::give_back(std::span<const Extent> extents) {
    const std::lock_guard lock(tail_mutex);
    for (const auto& extent : extents) {
        if (!current || extent.segment != current->number()) continue;  // nothing is written to a former segment any more
        auto at = unused.emplace(extent.offset, extent.size).first;
        if (const auto next = std::next(at); next != unused.end() && at->first + at->second == next->first) {
            at->second += next->second;
            unused.erase(next);
        }
        if (at != unused.begin()) {
            if (const auto before = std::prev(at); before->first + before->second == at->first) {
                before->second += at->second;
                unused.erase(at);
                at = before;
            }
        }
        if (at->first + at->second == tail) {
            tail = at->first;
            unused.erase(at);
        }
    }
}

Result<VaultShared::Place> VaultShared::reserve_aligned(std::uint64_t size, std::uint64_t alignment) {
    auto offset = (tail + alignment - 1) / alignment * alignment;
    if (!current || (offset + size > options.segment_bytes && tail > kSegmentHeaderSize)) {
        FID_TRY(auto next, make_segment(false));
        current = std::move(next);
        unused.clear();
        sequence = 0;
        previous_block = 0;
        committed_end = kSegmentHeaderSize;
        offset = kSegmentHeaderSize;
    }
    tail = offset + size;
    return Place{current, offset};
}

Result<Location> VaultShared::write_block(std::span<PendingEntry* const> group) {
    BlockHeader header;
    std::vector<Bytes> records;
    std::size_t payload = 0;
    for (auto* entry : group) {
        payload += entry->record.size();
        records.push_back(std::move(entry->record));
    }
    header.record_count = static_cast<std::uint16_t>(group.size());
    header.payload_size = static_cast<std::uint32_t>(payload);
    std::memcpy(header.site.data(), site_id.data(), header.site.size());
    Place place;
    {
        const std::lock_guard lock(tail_mutex);
        FID_TRY(place, reserve_aligned(header.padded_size(), kBlockAlignment));
        header.sequence =
            sequence + 1;  // counted once the block is durable: a failed attempt leaves a torn block that the next one outdates
        header.previous_offset = previous_block;
    }
    if (auto written = place.segment->write_at(place.offset, encode_block(header, records)); !written) {
        // What stands there now, whole but for its padding perhaps, would be taken for the next block.
        Result<void> wiped = fail(written.error());
        if (wiped.error().code == ErrorCode::no_space) wiped = place.segment->write_at(place.offset, Bytes(kBlockHeaderSize));
        if (!wiped && wiped.error().code != ErrorCode::no_space) return fail(withdraw(place, place.segment->number(), wiped.error()));
        for (auto* entry : group) entry->never_whole = true;
        return fail(written.error());
    }

    // Data before the block that names them; the block's own segment last.
    std::set<std::uint32_t> touched;
    for (const auto* entry : group) touched.insert(entry->segments.begin(), entry->segments.end());
    touched.erase(place.segment->number());
    auto syncing = place.segment->number();
    const auto sync_all = [&]() -> Result<void> {
        for (const auto number : touched) {
            syncing = number;
            FID_TRY(const auto data, segment(number));
            FID_CHECK(data->sync());
        }
        syncing = place.segment->number();
        return place.segment->sync();
    };
    if (auto synced = sync_all(); !synced) return fail(withdraw(place, syncing, synced.error()));
    {
        const std::lock_guard lock(tail_mutex);
        if (current == place.segment) {
            sequence = header.sequence;
            previous_block = place.offset;
            committed_end = place.offset + header.padded_size();
        }
        for (const auto number : touched) being_written.erase(number);  // named by a durable block from now on
    }
    std::uint64_t at = place.offset + kBlockHeaderSize;
    for (std::size_t i = 0; i < group.size(); ++i) {
        if (auto* object = group[i]->object; object != nullptr) {
            object->ref.location = {place.segment->number(), at};
            object->record_size = records[i].size();
            object->elsewhere = parts_elsewhere(group[i]->extents, place.segment->number());
        }
        at += records[i].size();
    }
    return Location{place.segment->number(), place.offset};
}

// A second sync may succeed although the first one's pages were dropped: neither the block nor what unfinished objects have in
// the segment counts any more. What earlier blocks name was synced before, and stays.
Error VaultShared::withdraw(const Place& block, std::uint32_t failed, const Error& why) {
    {
        const std::lock_guard lock(tail_mutex);
        for (const auto number : {block.segment->number(), failed}) {
            spoiled[number] =
                Error{why.code, "what was written to segment " + std::to_string(number) +
                                    " and not yet acknowledged is lost, since the disk failed; send it again: " + why.message};
            if (current && current->number() == number) current.reset();
        }
        if (!current) unused.clear();
    }
    log::error("store", "the disk failed; storing goes on in a new segment", {{"segment", failed}, {"why", why.message}});
    const std::lock_guard lock(commit_mutex);
    doubtful = Doubtful{block.segment, block.offset};
    tried_to_mend = {};
    mend();
    return why;
}

void VaultShared::mend() {
    constexpr std::chrono::seconds kBetween{1};
    const auto now = std::chrono::steady_clock::now();
    if (!doubtful || (poisoned && now - tried_to_mend < kBetween)) return;
    tried_to_mend = now;
    if (auto cut = doubtful->segment->truncate(doubtful->offset); !cut) {
        poisoned = Error{ErrorCode::unavailable,
                         "nothing can be stored, since the disk failed and what that left cannot be cut off yet: " + cut.error().message};
        return;
    }
    if (poisoned) log::info("store", "what a failing disk left was cut off; storing goes on");
    doubtful.reset();
    poisoned.reset();
}

Result<void> VaultShared::call_hook(std::span<PendingEntry* const> group, Location block) {
    if (!hook) return {};
    // What an earlier group's hook failed on is durable all the same: it goes first, so that the index stays in the segments' order.
    auto at = backlog.objects.size();
    for (const auto* entry : group) {
        if (entry->object != nullptr) backlog.objects.push_back(*entry->object);
        if (entry->mark != nullptr) backlog.add(*entry->mark);
    }
    if (auto done = hook(backlog, block); !done) {
        if (backlog.size() > kMaxBacklog) {
            const std::lock_guard lock(commit_mutex);
            poisoned =
                Error{ErrorCode::unavailable,
                      "nothing can be stored until the archive is started again, since the index takes nothing: " + done.error().message};
        }
        return done;
    }
    for (auto* entry : group) {
        if (entry->object != nullptr) *entry->object = std::move(backlog.objects[at++]);
    }
    backlog = {};
    return {};
}

Result<void> VaultShared::write_group(std::span<PendingEntry* const> group) {
    FID_TRY(const auto block, write_block(group));
    return call_hook(group, block);
}

Result<void> VaultShared::commit_entries(std::vector<PendingEntry>& entries) {
    std::unique_lock lock(commit_mutex);
    if (!leading) mend();
    if (poisoned) return fail(*poisoned);
    for (auto& entry : entries) {
        entry.call = &entries;
        queue.push_back(&entry);
    }
    const auto all_done = [&] { return std::all_of(entries.begin(), entries.end(), [](const PendingEntry& e) { return e.done; }); };
    while (!all_done()) {
        if (leading) {
            commit_done.wait(lock);
            continue;
        }
        leading = true;
        std::vector<PendingEntry*> group;
        std::size_t bytes = 0;
        while (group.size() < queue.size() && group.size() < kMaxBlockRecords &&
               (group.empty() || bytes + queue[group.size()]->record.size() <= kGroupBytes)) {
            bytes += queue[group.size()]->record.size();
            group.push_back(queue[group.size()]);
        }
        queue.erase(queue.begin(), queue.begin() + static_cast<std::ptrdiff_t>(group.size()));
        std::erase_if(group, [&](PendingEntry* entry) {
            for (const auto& together : *entry->call) {
                if (const auto lost = spoiled_in(together.segments)) {
                    entry->outcome = fail(*lost);
                    return entry->done = true;
                }
            }
            return false;
        });
        Result<void> outcome;
        if (poisoned) {
            outcome = fail(*poisoned);
        } else if (!group.empty()) {
            lock.unlock();
            std::optional<Error> thrown;  // whoever waits must hear of it, and the entries are gone once this call returns
            try {
                outcome = write_group(group);
            } catch (const std::exception& error) {
                thrown = Error{ErrorCode::unavailable,
                               std::string("nothing can be stored until the archive is started again, since storing stopped half-way: ") +
                                   error.what()};
            }
            lock.lock();
            if (thrown) {
                poisoned = thrown;
                outcome = fail(*thrown);
            }
        }
        for (auto* entry : group) {
            entry->outcome = outcome;
            entry->done = true;
        }
        leading = false;
        commit_done.notify_all();
    }
    return {};
}

ObjectId new_object_id(const Clock& clock) {
    auto id = crypto::random_bytes32();
    const auto now_s = static_cast<std::uint32_t>(std::chrono::duration_cast<std::chrono::seconds>(clock.now().time_since_epoch()).count());
    for (std::size_t i = 0; i < sizeof(now_s); ++i) id[i] = static_cast<std::uint8_t>(now_s >> (24 - 8 * i));
    return id;
}

Vault::Vault(std::shared_ptr<VaultShared> state) : state_(std::move(state)) {}
Vault::~Vault() = default;

void Vault::set_group_hook(GroupHook hook) {
    state_->hook = std::move(hook);
}

Result<std::unique_ptr<Vault>> Vault::open(std::unique_ptr<SegmentBackend> backend, const ShredStore& secrets, const Bytes32& site_id,
                                           const VaultOptions& options, Location known_block, std::uint32_t known_segment) {
    auto state = std::make_shared<VaultShared>();
    state->backend = std::move(backend);
    state->secrets = &secrets;
    state->site_id = site_id;
    state->options = options;
    state->highest_number = std::max(known_segment, known_block.segment);
    FID_CHECK(state->resume(known_block));
    return std::unique_ptr<Vault>(new Vault(std::move(state)));
}

std::optional<Error> Vault::failure() const {
    const std::lock_guard lock(state_->commit_mutex);
    if (!state_->leading) state_->mend();
    return state_->poisoned;
}

Result<ObjectWriter> Vault::begin_object(Slot study_slot, ObjectKind kind, std::uint64_t expected_size) {
    {
        const std::lock_guard lock(state_->commit_mutex);
        if (!state_->leading) state_->mend();
        if (state_->poisoned) return fail(*state_->poisoned);
    }
    FID_CHECK(state_->admit(kind));
    FID_TRY(auto secrets, state_->secrets->study_secrets(study_slot));
    ObjectHeader header;
    header.kind = kind;
    header.slot = study_slot;
    header.id = new_object_id();
    auto key = derive_stream_key(secrets.d, header.id, "fid.object1");
    header.commitment = key.commitment;
    return ObjectWriter(std::make_unique<ObjectWriter::State>(state_, header, std::move(key), std::move(secrets.d), expected_size));
}

Result<StoredObject> Vault::commit(PendingObject object) {
    std::vector<PendingObject> one;
    one.push_back(std::move(object));
    FID_TRY(auto stored, commit_many(std::move(one)));
    return std::move(stored.front());
}

Result<std::vector<StoredObject>> Vault::commit_many(std::vector<PendingObject> objects) {
    std::vector<StoredObject> stored(objects.size());
    std::vector<PendingEntry> entries(objects.size());
    for (std::size_t i = 0; i < objects.size(); ++i) {
        auto& writer = objects[i].writer.state_;
        if (!writer) return fail(ErrorCode::cancelled, "an object that was abandoned cannot be committed");
        objects[i].description.kind = writer->header.kind;
        FID_TRY(entries[i].record, writer->make_record(objects[i], stored[i]));
        for (const auto& extent : writer->extents) entries[i].segments.push_back(extent.segment);
        entries[i].extents = writer->extents;
        entries[i].object = &stored[i];
    }
    for (auto& object : objects) object.writer.state_->committed = true;  // from here on the bytes may be named by a durable record
    const auto committed = state_->commit_entries(entries);
    const auto taken_back = [](const PendingEntry& entry) { return entry.never_whole; };
    if (!committed || std::all_of(entries.begin(), entries.end(), taken_back)) {
        for (auto& object : objects) object.writer.state_->committed = false;  // no record names the bytes: their place is taken again
    }
    FID_CHECK(committed);
    for (const auto& entry : entries) FID_CHECK(entry.outcome);
    return stored;
}

Result<void> Vault::commit_marks(std::span<const Mark> marks) {
    std::vector<PendingEntry> entries(marks.size());
    for (std::size_t i = 0; i < marks.size(); ++i) {
        FID_TRY(const auto secrets, state_->secrets->study_secrets(marks[i].slot));
        MarkRecord record;
        record.slot = marks[i].slot;
        record.id = crypto::random_bytes32();
        const auto key = derive_stream_key(secrets.d, record.id, "fid.mark1");
        record.commitment = key.commitment;
        record.sealed_mark = seal_stream(key.key, record.clear(), encode_mark(marks[i]));
        entries[i].record = encode_record(record);
        entries[i].mark = &marks[i];
    }
    FID_CHECK(state_->commit_entries(entries));
    for (const auto& entry : entries) FID_CHECK(entry.outcome);
    return {};
}

std::uint32_t Vault::highest_segment() const {
    const std::lock_guard lock(state_->tail_mutex);
    return state_->highest_number;
}

Result<void> Vault::remove_segment(std::uint32_t number) {
    return state_->forget_segment(number);
}

Location Vault::last_block_at_open() const {
    return state_->last_block_at_open;
}

Result<void> Vault::sync(const std::set<std::uint32_t>& segments) const {
    for (const auto number : segments) {
        const auto segment = state_->segment(number);
        if (!segment && segment.error().code == ErrorCode::not_found) continue;  // lost, or another one stands in its place
        FID_CHECK(segment);
        FID_CHECK((*segment)->sync());
    }
    return {};
}

Result<std::vector<Vault::Part>> Vault::committed_parts() const {
    std::set<std::uint32_t> left_out;
    std::uint32_t highest = 0;
    std::optional<Part> last;
    {
        std::unique_lock committing(state_->commit_mutex);
        state_->commit_done.wait(committing,
                                 [&] { return !state_->leading; });  // a block that was on its way into a former segment stands there now
        const std::lock_guard lock(state_->tail_mutex);
        left_out = state_->being_written;
        highest = state_->highest_number;
        if (state_->current) last = Part{{state_->current->number(), state_->current->number()}, state_->committed_end};
    }
    FID_TRY(const auto names, state_->names());
    std::vector<Part> parts;
    for (const auto& name : names) {
        if (name.number > highest || left_out.contains(name.number)) continue;
        if (last && name.number == last->segment.number) {
            parts.push_back(*last);
            continue;
        }
        FID_TRY(const auto segment, state_->segment(name.number));
        FID_TRY(const auto size, segment->size());
        parts.push_back({name, size});
    }
    return parts;
}

Result<Vault::Usage> Vault::usage() const {
    FID_TRY(const auto names, state_->backend->list());
    Usage usage;
    usage.segments = static_cast<std::uint32_t>(names.size());
    for (const auto& name : names) {
        const auto segment = state_->segment(name.number);
        if (!segment && segment.error().code == ErrorCode::not_found) continue;  // compacted, or given up, since it was listed
        if (!segment) return fail(segment.error());
        FID_TRY(const auto size, (*segment)->size());
        usage.bytes += size;
    }
    return usage;
}

}  // namespace fiducial::store
