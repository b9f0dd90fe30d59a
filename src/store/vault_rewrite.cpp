#include <algorithm>
#include <set>

#include "base/clock.hpp"
#include "base/hex.hpp"
#include "base/log.hpp"
#include "store/impl/vault_state.hpp"

namespace fiducial::store {
namespace {

constexpr std::size_t kPiece = std::size_t{1} << 20;
constexpr std::size_t kBlockBytes = std::size_t{4} << 20;
constexpr std::size_t kBlockRecords = 1000;

Result<Record> decode_at(const BlockRecord& record, const Segment& segment, std::uint64_t block) {
    auto decoded = decode_record(record.bytes);
    if (!decoded)
        return fail(ErrorCode::corrupt,
                    segment.name() + " offset " + std::to_string(block + record.offset) + ": " + decoded.error().message);
    return decoded;
}

Result<void> whole(const VaultShared::Walk& walk) {
    if (!walk.damage.empty()) return fail(walk.damage.front());
    return {};
}

/// Writes a segment from its beginning to its end, and compares what stands in it with where it came from.
class Copy {
public:
    Copy(const VaultShared& vault, std::shared_ptr<Segment> draft, const RewriteRules& rules)
        : vault_(vault), draft_(std::move(draft)), rules_(rules) {}

    std::uint64_t size() const { return tail_; }
    std::vector<MovedObject>& objects() { return objects_; }

    /// Returns: where the bytes lie in the new segment.
    Result<std::uint64_t> bytes(const std::shared_ptr<Segment>& from, std::uint64_t offset, std::uint64_t size) {
        const auto to = tail_;
        Bytes piece;
        for (std::uint64_t done = 0; done < size; done += piece.size()) {
            piece.resize(std::min<std::uint64_t>(kPiece, size - done));
            FID_CHECK(from->read_exactly_at(offset + done, piece));
            FID_CHECK(draft_->write_at(to + done, piece));
            FID_CHECK(rules_.pace(2 * piece.size()));
        }
        tail_ += size;
        ranges_.push_back({from, offset, size, to});
        return to;
    }
    /// object: nothing for a mark.
    Result<void> record(Bytes record, Location from, std::optional<MovedObject> object) {
        if (records_.size() == kBlockRecords || (!records_.empty() && payload_ + record.size() > kBlockBytes)) FID_CHECK(flush());
        moves_.push_back({{from.segment, from.offset, record.size()}, 0});
        payload_ += record.size();
        records_.push_back(std::move(record));
        waiting_.push_back(std::move(object));
        return {};
    }
    void moved(Extent from, std::uint64_t to) { placed_.push_back({from, to}); }

    /// Seals an object under the present D of its study: its parts, and its bytes where they are still there, in one extent of this
    /// segment. bytes: none of a hollow record. What cannot be opened of an object that is known to be damaged is not carried over: zeros
    /// stand in its place, which open as little.
    Result<void> reseal(ObjectRecord& record, ObjectReader* bytes, bool is_damaged) {
        FID_TRY(const auto secrets, vault_.secrets->study_secrets(record.header.slot));
        FID_TRY(const auto opened, open_record(record, secrets, secrets.former_until));
        const auto before = record.header.encode();
        auto key = derive_stream_key(secrets.d, record.header.id, "fid.object1");
        record.header.commitment = key.commitment;
        const auto now = record.header.encode();
        const auto reseal_part = [&](const Bytes32& id, std::string_view info, Bytes& sealed, bool may_be_damaged) -> Result<void> {
            if (sealed.empty()) return {};
            const auto plain = open_stream(derive_stream_key(opened.d, id, info).key, before, sealed);
            if (!plain && !may_be_damaged) return fail(plain.error());
            sealed = plain ? seal_stream(derive_stream_key(secrets.d, id, info).key, now, *plain) : Bytes(sealed.size());
            return {};
        };
        FID_CHECK(reseal_part(record.header.id, "fid.chunks1", record.sealed_chunk_hashes, false));
        FID_CHECK(reseal_part(record.header.id, "fid.facts1", record.sealed_description, false));
        FID_CHECK(reseal_part(record.header.id, "fid.prefix1", record.sealed_prefix, is_damaged));
        FID_CHECK(reseal_part(record.fragment_id, "fid.fragment1", record.sealed_fragment, is_damaged));
        if (!record.sealed_fragment.empty())
            record.fragment_commitment = derive_stream_key(secrets.d, record.fragment_id, "fid.fragment1").commitment;
        record.extents.clear();
        if (bytes == nullptr) return {};

        Resealed object{record.header, tail_, record.size, opened.chunk_hashes};
        StreamCipher cipher(key.key, now);
        const auto count = bytes->chunk_count();
        Bytes sealed;
        for (std::uint64_t i = 0; i < count; ++i) {
            const auto size = std::min<std::uint64_t>(kChunkSize, record.size - i * kChunkSize);
            const auto chunk = bytes->read_chunk(i);
            const auto at = sealed.size();
            sealed.resize(at + size + crypto::kAeadTagSize);
            if (chunk) {
                cipher.seal(static_cast<std::uint32_t>(i), i + 1 == count, *chunk, MutableByteView(sealed).subspan(at));
            } else if (is_damaged && chunk.error().code == ErrorCode::corrupt) {
                object.lost.insert(i);
            } else {
                return fail(chunk.error());
            }
            if (sealed.size() < kPiece && i + 1 < count) continue;
            FID_CHECK(draft_->write_at(tail_, sealed));
            tail_ += sealed.size();
            FID_CHECK(rules_.pace(2 * sealed.size()));
            sealed.clear();
        }
        record.extents.push_back({draft_->number(), object.at, tail_ - object.at});
        resealed_.push_back(std::move(object));
        return {};
    }
    /// Seals a mark under the present D of its study.
    Result<void> reseal(MarkRecord& mark) {
        FID_TRY(const auto secrets, vault_.secrets->study_secrets(mark.slot));
        FID_TRY(const auto secret, secret_of_stream(secrets, secrets.former_until, mark.id, "fid.mark1", mark.commitment));
        FID_TRY(const auto plain, open_stream(secret.key.key, mark.clear(), mark.sealed_mark));
        const auto key = derive_stream_key(secrets.d, mark.id, "fid.mark1");
        mark.commitment = key.commitment;
        mark.sealed_mark = seal_stream(key.key, mark.clear(), plain);
        return {};
    }
    const std::vector<MovesRecord::Move>& moves() const { return placed_; }

    Result<void> finish(SegmentHeader header, std::vector<MovesRecord::Move> earlier) {
        FID_CHECK(flush());
        MovesRecord table;
        table.moves = std::move(earlier);
        table.moves.insert(table.moves.end(), placed_.begin(), placed_.end());
        if (!table.moves.empty()) {
            header.moves_offset = aligned();
            records_.push_back(encode_record(table));
            payload_ = records_.back().size();
            FID_CHECK(write_block());
        }
        header.blocks = sequence_;
        FID_CHECK(draft_->write_at(0, header.encode()));
        FID_CHECK(draft_->sync());
        tail_ = std::max<std::uint64_t>(tail_, kSegmentHeaderSize);
        return compare(header);
    }
    /// Requires: what has its place in a block by now is asked for.
    Result<void> flush() {
        if (records_.empty()) return {};
        const auto first = placed_.size();
        std::uint64_t at = aligned() + kBlockHeaderSize;
        for (std::size_t i = 0; i < records_.size(); ++i) {
            moves_[i].to = at;
            if (waiting_[i]) {
                waiting_[i]->to.location = {draft_->number(), at};
                waiting_[i]->to.record_size = records_[i].size();
                objects_.push_back(*std::move(waiting_[i]));
            }
            at += records_[i].size();
        }
        placed_.insert(placed_.begin() + static_cast<std::ptrdiff_t>(first), moves_.begin(), moves_.end());
        moves_.clear();
        waiting_.clear();
        return write_block();
    }

private:
    std::uint64_t aligned() const { return (tail_ + kBlockAlignment - 1) / kBlockAlignment * kBlockAlignment; }
    Result<void> write_block() {
        BlockHeader header;
        header.record_count = static_cast<std::uint16_t>(records_.size());
        header.payload_size = static_cast<std::uint32_t>(payload_);
        header.sequence = ++sequence_;
        header.previous_offset = previous_;
        std::copy_n(vault_.site_id.begin(), header.site.size(), header.site.begin());
        previous_ = aligned();
        const auto block = encode_block(header, records_);
        FID_CHECK(draft_->write_at(previous_, block));
        tail_ = previous_ + block.size();
        records_.clear();
        payload_ = 0;
        return rules_.pace(block.size());
    }
    Result<void> compare(const SegmentHeader& header) {
        Bytes here, there;
        for (const auto& range : ranges_) {
            for (std::uint64_t done = 0; done < range.size; done += here.size()) {
                here.resize(std::min<std::uint64_t>(kPiece, range.size - done));
                there.resize(here.size());
                FID_CHECK(draft_->read_exactly_at(range.to + done, here));
                FID_CHECK(range.from->read_exactly_at(range.offset + done, there));
                if (here != there)
                    return fail(ErrorCode::corrupt, draft_->name() + " offset " + std::to_string(range.to + done) +
                                                        ": what was copied is not what stands in " + range.from->name());
                FID_CHECK(rules_.pace(2 * here.size()));
            }
        }
        FID_CHECK(compare_resealed());
        FID_TRY(const auto walked, vault_.walk(*draft_, 0, [&](std::uint64_t block, std::span<const BlockRecord> records) -> Result<void> {
            for (const auto& record : records) {
                if (rules_.reseal) FID_CHECK(check_record(record, block));
            }
            return {};
        }));
        FID_CHECK(whole(walked));
        if (walked.last_sequence != header.blocks)
            return fail(ErrorCode::corrupt, draft_->name() + " does not hold the blocks that were written");
        return {};
    }

    /// Opens under the present D alone what was sealed under it.
    Result<void> compare_resealed() {
        Bytes sealed, plain;
        for (const auto& object : resealed_) {
            const auto secrets = vault_.secrets->study_secrets(object.header.slot);
            if (!secrets && secrets.error().code == ErrorCode::not_found) continue;  // erased meanwhile
            if (!secrets) return fail(secrets.error());
            StreamCipher cipher(derive_stream_key(secrets->d, object.header.id, "fid.object1").key, object.header.encode());
            const auto count = object.chunk_hashes.size();
            for (std::size_t i = 0; i < count; ++i) {
                plain.resize(std::min<std::uint64_t>(kChunkSize, object.size - i * kChunkSize));
                sealed.resize(plain.size() + crypto::kAeadTagSize);
                FID_CHECK(draft_->read_exactly_at(object.at + i * kSealedChunkSize, sealed));
                const auto opened = cipher.open(static_cast<std::uint32_t>(i), i + 1 == count, sealed, plain);
                if (object.lost.contains(i) ? opened.has_value() : !opened || crypto::sha256(plain) != object.chunk_hashes[i])
                    return fail(ErrorCode::corrupt, draft_->name() + ": chunk " + std::to_string(i) + " of object " +
                                                        to_hex(object.header.id) + " is not what was written");
                FID_CHECK(rules_.pace(sealed.size()));
            }
        }
        return {};
    }
    Result<void> check_record(const BlockRecord& bytes, std::uint64_t block) {
        FID_TRY(auto record, decode_at(bytes, *draft_, block));
        const auto* mark = std::get_if<MarkRecord>(&record);
        auto* object = std::get_if<ObjectRecord>(&record);
        if (mark == nullptr && object == nullptr) return {};
        const auto secrets = vault_.secrets->study_secrets(mark != nullptr ? mark->slot : object->header.slot);
        if (!secrets && secrets.error().code == ErrorCode::not_found) return {};  // erased: nobody reads it
        if (!secrets) return fail(secrets.error());
        if (mark != nullptr) {
            FID_CHECK(open_mark(*mark, *secrets, draft_->number()));
            return {};
        }
        FID_CHECK(open_record(std::move(*object), *secrets, draft_->number()));
        return {};
    }

    struct Resealed {  // holds no key: there is little memory that is locked
        ObjectHeader header;
        std::uint64_t at = 0, size = 0;
        std::vector<Hash> chunk_hashes;
        std::set<std::uint64_t> lost{};  // chunks
    };
    struct Range {
        std::shared_ptr<Segment> from;
        std::uint64_t offset = 0, size = 0, to = 0;
    };
    const VaultShared& vault_;
    std::shared_ptr<Segment> draft_;
    const RewriteRules& rules_;
    std::uint64_t tail_ = kSegmentHeaderSize;
    std::uint64_t sequence_ = 0, previous_ = 0;
    std::vector<Bytes> records_;                       // of the block that is being gathered
    std::vector<std::optional<MovedObject>> waiting_;  // and what they are of
    std::vector<MovesRecord::Move> moves_;             // and where they were
    std::size_t payload_ = 0;
    std::vector<MovesRecord::Move> placed_;
    std::vector<MovedObject> objects_;
    std::vector<Range> ranges_;
    std::vector<Resealed> resealed_;
};

/// An extent in the segment that a record of another one names.
struct Foreign {
    Extent extent;
    std::optional<ObjectRef> check;
};

}  // namespace

Result<std::vector<SegmentInfo>> Vault::segments() const {
    FID_TRY(const auto names, state_->names());
    std::set<std::uint32_t> being_written;
    std::uint32_t open = 0;
    {
        const std::lock_guard lock(state_->tail_mutex);
        being_written = state_->being_written;
        if (state_->current) open = state_->current->number();
    }
    std::vector<SegmentInfo> segments;
    for (const auto& name : names) {
        if (being_written.contains(name.number)) continue;
        const auto segment = state_->segment(name.number);
        if (!segment && segment.error().code == ErrorCode::not_found) continue;  // given up meanwhile
        if (!segment) return fail(segment.error());
        FID_TRY(const bool begun, state_->is_begun(**segment));
        if (!begun) continue;
        FID_TRY(const auto size, (*segment)->size());
        segments.push_back({name.number, name.place, size, name.number == open});
    }
    return segments;
}

Result<void> Vault::close_segment(std::uint32_t number) {
    const std::lock_guard lock(state_->tail_mutex);
    if (!state_->current || state_->current->number() != number) return {};
    state_->current.reset();
    state_->unused.clear();
    return {};
}

bool Vault::is_behind(std::uint32_t number, std::uint32_t other) const {
    const auto names = state_->names();
    if (!names) return false;
    const auto first = place_of(*names, number), second = place_of(*names, other);
    return first && second && *first > *second;
}

namespace {

/// Visits the records of other segments that may name bytes of this one: those of the segments behind it, up to the first that was begun
/// when no unfinished object had bytes there. `address`: the number under which they name it.
Result<void> visit_others(const VaultShared& vault, std::span<const SegmentName> names, const SegmentName& name, std::uint32_t address,
                          bool data_only, const std::function<Result<void>(const ObjectRecord& record, const Location& location)>& visit,
                          const RewriteRules& rules) {
    const auto self = std::find_if(names.begin(), names.end(), [&](const SegmentName& one) { return one.number == name.number; });
    auto first = self;
    while (data_only && first != names.begin()) {  // a large object's record may stand in the segment that was open when its own was begun
        --first;
        FID_TRY(const auto before, vault.segment(first->number));
        FID_TRY(const bool begun, vault.is_begun(*before));
        if (!begun) continue;
        FID_TRY(const auto header, vault.header_of(*before));
        if (!header.data_only) break;
    }
    for (auto one = first; one != names.end(); ++one) {
        if (one == self) continue;
        const auto opened = vault.segment(one->number);
        if (!opened && opened.error().code == ErrorCode::not_found) continue;  // a large object was given up meanwhile
        if (!opened) return fail(opened.error());
        const auto& segment = **opened;
        FID_TRY(const bool begun, vault.is_begun(segment));
        if (!begun) continue;
        FID_TRY(const auto header, vault.header_of(segment));
        if (header.data_only) continue;
        if (one > self && header.first_unfinished > address) break;
        FID_TRY(const auto walked, vault.walk(segment, 0, [&](std::uint64_t block, std::span<const BlockRecord> records) -> Result<void> {
            for (const auto& bytes : records) {
                FID_TRY(const auto record, decode_at(bytes, segment, block));
                const auto* object = std::get_if<ObjectRecord>(&record);
                if (object == nullptr) continue;
                const bool names_it = std::any_of(object->extents.begin(), object->extents.end(),
                                                  [&](const Extent& extent) { return extent.segment == address; });
                if (names_it) FID_CHECK(visit(*object, {one->number, block + bytes.offset}));
            }
            return {};
        }));
        FID_CHECK(whole(walked));
        FID_TRY(const auto size, segment.size());
        FID_CHECK(rules.pace(size));
    }
    return {};
}

}  // namespace

Result<std::optional<Rewritten>> Vault::rewrite_segment(std::uint32_t number, const RewriteRules& rules) const {
    auto& vault = *state_;
    {
        std::unique_lock lock(vault.commit_mutex);
        vault.commit_done.wait(lock, [&] { return !vault.leading; });  // a block that was on its way into this segment stands there now
    }
    {
        const std::lock_guard lock(vault.tail_mutex);
        if ((vault.current && vault.current->number() == number) || vault.being_written.contains(number) ||
            vault.unfinished.contains(number)) {
            return fail(ErrorCode::conflict, "objects with bytes there are still being stored");
        }
    }
    FID_TRY(const auto names, vault.names());
    const auto found = std::find_if(names.begin(), names.end(), [&](const SegmentName& one) { return one.number == number; });
    if (found == names.end()) return fail(ErrorCode::not_found, "there is no such segment");
    const auto name = *found;
    FID_TRY(const auto source, vault.segment(number));
    FID_TRY(const bool begun, vault.is_begun(*source));
    if (!begun) return std::optional<Rewritten>();
    FID_TRY(const auto size, source->size());
    FID_TRY(const auto header, vault.header_of(*source));
    const auto address = header.data_only ? number : name.place;

    // What stays.
    std::uint64_t kept = kSegmentHeaderSize;
    std::vector<Foreign> foreign;
    FID_CHECK(visit_others(
        vault, names, name, address, header.data_only,
        [&](const ObjectRecord& record, const Location& location) -> Result<void> {
            FID_TRY(const auto keeping, rules.keep(record.header.id, record.header.slot, location));
            if (keeping.keep != Keep::whole) return {};
            auto check = keeping.check;
            for (const auto& extent : record.extents) {
                if (extent.segment != address) continue;
                foreign.push_back({extent, std::exchange(check, std::nullopt)});
                kept += extent.size;
            }
            return {};
        },
        rules));
    if (header.data_only) {
        if (!foreign.empty()) return std::optional<Rewritten>();
        return std::optional<Rewritten>(Rewritten{});
    }
    if (rules.reseal && !foreign.empty())
        return fail(ErrorCode::conflict, "a segment behind it, whose records name bytes there, is not encrypted anew yet");
    struct Planned {
        Keeping keeping;
        bool as_it_is = false;  // a large object's record goes only after the segment that nothing else names
    };
    const auto has_own_segment = [&](const ObjectRecord& object) -> Result<bool> {
        for (const auto& extent : object.extents) {
            if (extent.segment == number || extent.segment == name.place) continue;
            const auto own = vault.segment(extent.segment);
            if (!own) continue;
            FID_TRY(const auto head, vault.header_of(**own));
            if (head.data_only) return true;
        }
        return false;
    };
    std::vector<Planned> plan;
    FID_TRY(const auto planned, vault.walk(*source, 0, [&](std::uint64_t block, std::span<const BlockRecord> records) -> Result<void> {
        for (const auto& bytes : records) {
            FID_TRY(const auto record, decode_at(bytes, *source, block));
            Keeping keeping{Keep::nothing, {}};
            bool as_it_is = false;
            if (const auto* object = std::get_if<ObjectRecord>(&record)) {
                FID_TRY(keeping, rules.keep(object->header.id, object->header.slot, {number, block + bytes.offset}));
                if (keeping.keep == Keep::nothing) {
                    FID_TRY(as_it_is, has_own_segment(*object));
                }
                if (keeping.keep != Keep::nothing || as_it_is) kept += bytes.bytes.size();
                if (object->extents.empty()) keeping.check.reset();  // hollow already
                for (const auto& extent : object->extents) {
                    if (keeping.keep == Keep::whole && (rules.reseal || extent.segment == number)) kept += extent.size;
                }
            } else if (const auto* mark = std::get_if<MarkRecord>(&record)) {
                const auto secrets = vault.secrets->study_secrets(mark->slot);
                if (!secrets && secrets.error().code != ErrorCode::not_found) return fail(secrets.error());
                if (secrets) keeping.keep = Keep::record;
                if (secrets) kept += bytes.bytes.size();
            }
            plan.push_back({std::move(keeping), as_it_is});
        }
        return {};
    }));
    FID_CHECK(whole(planned));
    FID_CHECK(rules.pace(size));
    if (!rules.worth(kept)) return std::optional<Rewritten>();
    FID_CHECK(rules.fits(kept));

    SegmentName next{0, name.place};
    {
        const std::lock_guard lock(vault.tail_mutex);
        next.number = ++vault.highest_number;
    }
    FID_TRY(auto draft, vault.backend->create_draft(next));
    const auto write = [&]() -> Result<Rewritten> {
        Copy copy(vault, draft, rules);
        FID_TRY(const auto formerly, header.is_rewritten() ? vault.moves_of(number) : std::make_shared<const VaultShared::Moved>());
        for (const auto& [extent, check] : foreign) {
            if (check) FID_CHECK(check_object(*check));
            const auto at = header.is_rewritten() ? formerly->find({extent.segment, extent.offset}) : formerly->end();
            if (header.is_rewritten() && at == formerly->end())
                return fail(ErrorCode::corrupt, source->name() + " does not say where offset " + std::to_string(extent.offset) +
                                                    " of segment " + std::to_string(extent.segment) + " went");
            FID_TRY(const auto to, copy.bytes(source, header.is_rewritten() ? at->second : extent.offset, extent.size));
            copy.moved(extent, to);
        }
        std::size_t n = 0;
        FID_TRY(const auto walked, vault.walk(*source, 0, [&](std::uint64_t block, std::span<const BlockRecord> records) -> Result<void> {
            for (const auto& bytes : records) {
                if (n == plan.size()) return fail(ErrorCode::conflict, "records came while the segment was being rewritten");
                const auto& [keeping, as_it_is] = plan[n++];
                const auto& [keep, check, is_damaged] = keeping;
                if (keep == Keep::nothing && !as_it_is) continue;
                const Location from{number, block + bytes.offset};
                FID_TRY(auto record, decode_at(bytes, *source, block));
                auto* object = std::get_if<ObjectRecord>(&record);
                if (auto* mark = std::get_if<MarkRecord>(&record); mark != nullptr && rules.reseal) {
                    FID_CHECK(copy.reseal(*mark));
                    FID_CHECK(copy.record(encode_record(record), from, {}));
                    continue;
                }
                if (object == nullptr || as_it_is) {
                    FID_CHECK(copy.record(to_bytes(bytes.bytes), from, {}));
                    continue;
                }
                MovedObject moved{object->header.id, from, {}};
                if (rules.reseal) {
                    std::optional<ObjectReader> reader;
                    if (keep == Keep::whole && check) {
                        FID_TRY(reader, open_object(*check));
                        if (!is_damaged) FID_CHECK(reader->fragment());
                        if (!is_damaged) FID_CHECK(reader->prefix());
                    }
                    FID_CHECK(copy.reseal(*object, reader ? &*reader : nullptr, is_damaged));
                    for (const auto& extent : object->extents) moved.to.stored_size += extent.size;
                    moved.to.header_hash = object->header.hash();
                    FID_CHECK(copy.record(encode_record(record), from, std::move(moved)));
                    continue;
                }
                if (check) FID_CHECK(check_object(*check));
                moved.to.header_hash = object->header.hash();
                std::vector<Extent> extents;
                for (auto extent : object->extents) {
                    if (keep != Keep::whole) break;
                    if (extent.segment == number) {
                        FID_TRY(extent.offset, copy.bytes(source, extent.offset, extent.size));
                        extent.segment = next.number;
                    }
                    moved.to.stored_size += extent.size;
                    const bool adjoins = !extents.empty() && extents.back().segment == extent.segment &&
                                         extents.back().offset + extents.back().size == extent.offset;
                    if (adjoins)
                        extents.back().size += extent.size;
                    else
                        extents.push_back(extent);
                }
                object->extents = std::move(extents);
                moved.to.elsewhere = parts_elsewhere(object->extents, next.number);
                FID_CHECK(copy.record(encode_record(record), from, std::move(moved)));
            }
            return {};
        }));
        FID_CHECK(whole(walked));
        if (n != plan.size()) return fail(ErrorCode::conflict, "records went while the segment was being rewritten");
        FID_CHECK(copy.flush());

        // What this segment itself was asked for under earlier places.
        std::map<std::uint64_t, std::uint64_t> now;
        for (const auto& move : copy.moves()) {
            if (move.from.segment == number) now[move.from.offset] = move.to;
        }
        std::vector<MovesRecord::Move> earlier;
        for (const auto& [from, to] : *formerly) {
            const auto at = now.find(to);
            if (at != now.end()) earlier.push_back({{from.first, from.second, 0}, at->second});
        }
        auto head = header;
        head.number = next.number;
        head.place = next.place;
        head.created_ms = static_cast<std::uint64_t>(system_clock().now().time_since_epoch().count());
        head.end_sequence = planned.end_sequence;
        head.moves_offset = 0;
        FID_CHECK(copy.finish(head, std::move(earlier)));
        return Rewritten{next, copy.size(), std::move(copy.objects())};
    };
    auto written = write();
    if (!written) {
        draft.reset();
        const auto removed = vault.backend->remove_draft(next);
        (void)removed;  // what is left is gone at the next start
        return fail(written.error());
    }
    return std::optional<Rewritten>(*std::move(written));
}

Result<void> Vault::publish(const Rewritten& rewritten) const {
    if (rewritten.name.number == 0) return {};
    FID_CHECK(state_->backend->publish_draft(rewritten.name));
    const std::lock_guard lock(state_->segments_mutex);
    state_->rewritten[rewritten.name.place] = rewritten.name.number;
    return {};
}

Result<void> Vault::retire(std::uint32_t number) const {
    return state_->forget_segment(number);
}

Result<std::vector<std::uint32_t>> Vault::superseded() const {
    FID_TRY(const auto all, state_->backend->list());
    FID_TRY(const auto names, state_->names());
    std::vector<std::uint32_t> former;
    for (const auto& name : all) {
        const bool stands = std::any_of(names.begin(), names.end(), [&](const SegmentName& one) { return one.number == name.number; });
        if (!stands) former.push_back(name.number);
    }
    return former;
}

Result<std::vector<MovedObject>> Vault::moved_from(std::uint32_t number) const {
    FID_TRY(const auto names, state_->names());
    FID_TRY(const auto all, state_->backend->list());
    const auto former = std::find_if(all.begin(), all.end(), [&](const SegmentName& one) { return one.number == number; });
    if (former == all.end()) return fail(ErrorCode::not_found, "there is no segment " + std::to_string(number));
    const auto now = std::find_if(names.begin(), names.end(), [&](const SegmentName& one) { return one.place == former->place; });
    if (now == names.end() || now->number == number) return std::vector<MovedObject>();
    FID_TRY(const auto moved, state_->moves_of(now->number));
    std::map<std::uint64_t, std::uint64_t> before;
    for (const auto& [from, to] : *moved) {
        if (from.first == number) before[to] = from.second;
    }
    FID_TRY(const auto segment, state_->segment(now->number));
    std::vector<MovedObject> objects;
    FID_TRY(const auto walked, state_->walk(*segment, 0, [&](std::uint64_t block, std::span<const BlockRecord> records) -> Result<void> {
        for (const auto& bytes : records) {
            FID_TRY(const auto record, decode_at(bytes, *segment, block));
            const auto* object = std::get_if<ObjectRecord>(&record);
            const auto from = before.find(block + bytes.offset);
            if (object == nullptr || from == before.end()) continue;
            MovedObject one{object->header.id, {number, from->second}, {}};
            one.to.location = {now->number, block + bytes.offset};
            one.to.record_size = bytes.bytes.size();
            one.to.header_hash = object->header.hash();
            for (const auto& extent : object->extents) one.to.stored_size += extent.size;
            one.to.elsewhere = parts_elsewhere(object->extents, now->number);
            objects.push_back(std::move(one));
        }
        return {};
    }));
    FID_CHECK(whole(walked));
    return objects;
}

Result<Location> Vault::last_block_in_place_of(std::uint32_t former) const {
    FID_TRY(const auto all, state_->backend->list());
    const auto place = place_of(all, former);
    FID_TRY(const auto names, state_->names());
    const auto now = std::find_if(names.begin(), names.end(), [&](const SegmentName& one) { return place && one.place == *place; });
    if (now == names.end()) return fail(ErrorCode::not_found, "there is no segment in the place of " + std::to_string(former));
    FID_TRY(const auto segment, state_->segment(now->number));
    FID_TRY(const auto walked, state_->walk(*segment, 0, {}));
    return Location{now->number, walked.last_offset};
}

Result<std::string> Vault::name_of_segment(std::uint32_t number) const {
    FID_TRY(const auto segment, state_->segment(number));
    return segment->name();
}

}  // namespace fiducial::store
