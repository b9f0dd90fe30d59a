#include <algorithm>
#include <cstring>
#include <optional>
#include <set>

#include "base/hex.hpp"
#include "base/log.hpp"
#include "store/impl/vault_state.hpp"

namespace fiducial::store {
namespace {

constexpr std::size_t kWindow = std::size_t{1} << 20;

// Reads a segment's bytes in large steps, for the search at every place where a block may start.
class Window {
public:
    Window(const Segment& segment, std::uint64_t size) : segment_(segment), size_(size) {}
    /// Returns: up to kBlockHeaderSize bytes at offset.
    Result<ByteView> at(std::uint64_t offset) {
        const auto wanted = std::min<std::uint64_t>(kBlockHeaderSize, size_ - offset);
        if (offset < first_ || offset + wanted > first_ + bytes_.size()) {
            bytes_.resize(std::min<std::uint64_t>(kWindow, size_ - offset));
            first_ = offset;
            FID_CHECK(segment_.read_exactly_at(offset, bytes_));
        }
        return ByteView(bytes_).subspan(offset - first_, wanted);
    }

private:
    const Segment& segment_;
    std::uint64_t size_;
    std::uint64_t first_ = 0;
    Bytes bytes_;
};

struct GoodBlock {
    BlockHeader header;
    Bytes bytes;
    std::vector<BlockRecord> records;
};

Result<GoodBlock> read_block(const Segment& segment, std::uint64_t offset, std::uint64_t size, ByteView head, const Bytes32& site_id) {
    GoodBlock block;
    FID_TRY(block.header, BlockHeader::decode(head));
    if (!std::equal(block.header.site.begin(), block.header.site.end(), site_id.begin()))
        return fail(ErrorCode::malformed, "a block of another site");
    const std::uint64_t length = kBlockHeaderSize + block.header.payload_size + 4;
    if (length > size - offset) return fail(ErrorCode::malformed, "a block that is cut short");
    block.bytes.resize(length);
    FID_CHECK(segment.read_exactly_at(offset, block.bytes));
    FID_TRY(block.records, decode_block(block.header, block.bytes));
    return block;
}

}  // namespace

Result<VaultShared::Walk> VaultShared::walk(const Segment& segment, std::uint64_t from, const BlockVisitor& visit) const {
    Walk out;
    FID_TRY(const auto size, segment.size());
    FID_TRY(const bool begun, is_begun(segment));
    if (!begun) {
        out.header.number = segment.number();
        out.end = 0;
        return out;
    }
    const auto damage = [&](std::uint64_t offset, const std::string& what) {
        out.damage.push_back(Error{ErrorCode::corrupt, segment.name() + " offset " + std::to_string(offset) + ": " + what});
    };
    Bytes head(kSegmentHeaderSize);
    FID_CHECK(segment.read_exactly_at(0, head));
    if (auto header = SegmentHeader::decode(head); !header) {
        if (header.error().code == ErrorCode::unsupported) return fail(header.error().with(segment.name()));
        damage(0, header.error().message);
        out.header.number = segment.number();
    } else {
        out.header = *header;
        if (header->number != segment.number() || header->site_id != site_id)
            damage(0, "the segment of another place or site (number " + std::to_string(header->number) + ")");
    }
    if (out.header.data_only) {
        out.end = size;
        return out;
    }
    if (out.header.is_rewritten() && out.header.place >= segment.number())
        damage(0, "a segment that says it stands in the place of " + std::to_string(out.header.place));
    Window window(segment, size);
    bool first = true;
    std::uint64_t offset = std::max<std::uint64_t>(from, kSegmentHeaderSize);
    // Said as damage, so that nobody takes what is left for a torn tail and cuts it off.
    if (from != 0 && from + kBlockHeaderSize > size)
        damage(size, "the segment ends here, and the index knows a block at offset " + std::to_string(from));
    while (offset + kBlockHeaderSize <= size) {
        FID_TRY(const auto bytes, window.at(offset));
        const bool must_be_here = first && from != 0;
        if (!BlockHeader::has_magic(bytes) && !must_be_here) {
            offset += kBlockAlignment;
            continue;
        }
        auto block = read_block(segment, offset, size, bytes, site_id);
        if (!block) {
            if (block.error().code == ErrorCode::unsupported || block.error().code == ErrorCode::io)
                return fail(block.error().with(segment.name() + " offset " + std::to_string(offset)));
            if (must_be_here) damage(offset, "the block that the index knows here is not readable: " + block.error().message);
            if (!must_be_here && !out.torn_at) out.torn_at = offset;
            first = false;
            offset += kBlockAlignment;
            continue;
        }
        const auto expected = out.last_sequence + 1;
        const bool any_sequence = first && from != 0;
        if (!any_sequence && block->header.sequence < expected) {  // left by an attempt that failed
            offset += kBlockAlignment;
            continue;
        }
        if (!any_sequence && block->header.sequence > expected && !(from != 0 && out.last_sequence == 0)) {
            damage(out.torn_at.value_or(out.end),
                   "blocks " + std::to_string(expected) + " to " + std::to_string(block->header.sequence - 1) + " are not readable");
        }
        first = false;
        out.torn_at.reset();
        out.last_sequence = block->header.sequence;
        out.last_offset = offset;
        out.end = offset + block->header.padded_size();
        if (visit) FID_CHECK(visit(offset, block->records));
        offset = out.end;
    }
    out.end_sequence = out.last_sequence;
    if (out.header.is_rewritten()) {
        if (out.last_sequence < out.header.blocks)
            damage(out.end, "blocks " + std::to_string(out.last_sequence + 1) + " to " + std::to_string(out.header.blocks) +
                                " at its end are not readable");
        out.end_sequence = std::max(out.last_sequence, out.header.end_sequence);
    }
    return out;
}

std::optional<std::uint32_t> place_of(std::span<const SegmentName> names, std::uint32_t number) {
    std::optional<std::uint32_t> found;
    for (const auto& name : names) {
        if (name.number == number || name.place == number) found = name.place;
    }
    return found;
}

Result<void> VaultShared::resume(Location known_block) {
    FID_TRY(const auto names, this->names());
    if (names.empty()) {
        if (known_block.segment != 0) return fail(ErrorCode::corrupt, "all segments are missing; restore them from a backup");
        return {};
    }
    for (const auto& name : names)
        highest_number = std::max(highest_number, name.number);  // a missing one may come back from a backup: its number is not used again
    FID_TRY(const auto all, backend->list());                    // with those in whose place another one stands already
    const auto known_place = place_of(all, known_block.segment);
    if (known_block.segment != 0 && !known_place) {
        log::error("store", "the newest segment that the index knows is missing", {{"segment", known_block.segment}});
        return {};  // new objects go to a new segment; fsck names what is missing
    }
    std::optional<Walk> last;
    bool all_durable = false, ends_unbegun = false;
    for (const auto& [number, place] : names) {
        if (place < known_place.value_or(0)) continue;
        FID_TRY(const auto opened_segment, segment(number));
        FID_TRY(auto found, walk(*opened_segment, number == known_block.segment ? known_block.offset : 0, {}));
        for (const auto& error : found.damage) log::error("store", error.message);
        if (found.header.data_only) continue;
        ends_unbegun = !found.begun();
        if (ends_unbegun) continue;
        if (found.last_offset != 0) last_block_at_open = {number, found.last_offset};
        // A block is begun only when the one before is durable; where blocks are missing, the last that is left need not have been the
        // last.
        all_durable = !found.damage.empty() || found.torn_at.has_value() || (all_durable && found.last_offset == 0);
        if (last && found.header.previous_sequence > last->end_sequence) {
            all_durable = true;
            log::error("store", "blocks at a segment's end are missing",
                       {{"segment", last->header.number}, {"expected", found.header.previous_sequence}, {"found", last->end_sequence}});
        }
        last = std::move(found);
    }
    if (all_durable) last_block_at_open = {};
    if (!last || ends_unbegun || !last->damage.empty() || last->header.is_rewritten()) return {};
    FID_TRY(auto writable, backend->open(last->header.number, true));
    FID_TRY(const auto size, writable->size());
    if (size > last->end) {
        log::info("store", "bytes that were not yet acknowledged are cut off",
                  {{"segment", last->header.number}, {"from", last->end}, {"bytes", size - last->end}});
        FID_CHECK(writable->truncate(last->end));
    }
    remember(writable);
    current = std::move(writable);
    tail = last->end;
    sequence = last->last_sequence;
    previous_block = last->last_offset;
    committed_end = last->end;
    return {};
}

Result<Mark> open_mark(const MarkRecord& record, const StudySecretPair& secrets, std::uint32_t segment) {
    FID_TRY(const auto secret, secret_of_stream(secrets, segment, record.id, "fid.mark1", record.commitment));
    FID_TRY(const auto plain, open_stream(secret.key.key, record.clear(), record.sealed_mark));
    FID_TRY(auto mark, decode_mark(plain));
    mark.slot = record.slot;
    return mark;
}

namespace {

ScannedEntry read_entry(const ShredStore& secrets, Location block, const BlockRecord& bytes, Result<Record> record) {
    ScannedEntry entry;
    entry.block = block;
    entry.location = {block.segment, block.offset + bytes.offset};
    if (!record) {
        entry.problem = record.error();
        return entry;
    }
    const auto fit = [&]() -> Result<void> {
        if (auto* object = std::get_if<ObjectRecord>(&*record)) {
            entry.id = object->header.id;
            entry.slot = object->header.slot;
            entry.header_hash = object->header.hash();
            std::uint64_t stored_size = 0;
            const auto elsewhere = parts_elsewhere(object->extents, block.segment);
            for (const auto& extent : object->extents) {
                entry.segments.push_back(extent.segment);
                stored_size += extent.size;
            }
            auto pair_or_error = secrets.study_secrets(entry.slot);
            entry.other_secrets = pair_or_error
                                      ? !secret_of_stream(*pair_or_error, block.segment, entry.id, "fid.object1", object->header.commitment)
                                      : pair_or_error.error().code == ErrorCode::corrupt;
            FID_TRY(const auto pair, std::move(pair_or_error));
            FID_TRY(auto opened, open_record(std::move(*object), pair, block.segment));
            StoredObject stored;
            stored.ref = {entry.id, opened.record.header.hash(), opened.chunk_root, opened.record.size, entry.slot, entry.location};
            stored.description = std::move(opened.description.description);
            stored.sha256 = opened.description.sha256;
            stored.prefix_sha256 = opened.description.prefix_sha256;
            stored.fragment_sha256 = opened.description.fragment_sha256;
            stored.prefix_size = opened.description.prefix_size;
            stored.stored_size = stored_size;
            stored.record_size = bytes.bytes.size();
            stored.elsewhere = elsewhere;
            entry.object = std::move(stored);
            return {};
        }
        const auto& mark = std::get<MarkRecord>(*record);
        entry.id = mark.id;
        entry.slot = mark.slot;
        FID_TRY(const auto pair, secrets.study_secrets(mark.slot));
        FID_TRY(entry.mark, open_mark(mark, pair, block.segment));
        return {};
    };
    if (auto fitted = fit(); !fitted) entry.problem = fitted.error();
    return entry;
}

}  // namespace

Result<ScanResult> Vault::scan(Location from, const std::function<Result<void>(ScannedEntry&&)>& visit) const {
    ScanResult result;
    std::set<std::uint32_t> being_written;
    std::uint32_t highest = 0;
    {
        const std::lock_guard lock(state_->tail_mutex);
        being_written = state_->being_written;
        highest = state_->highest_number;
    }
    FID_TRY(const auto names, state_->names());
    const auto from_place = place_of(names, from.segment).value_or(from.segment);
    std::optional<VaultShared::Walk> last;
    for (const auto& name : names) {
        const auto number = name.number;
        if (name.place < from_place || being_written.contains(number)) continue;
        auto opened = state_->segment(number);
        if (!opened && opened.error().code == ErrorCode::not_found && number > highest)
            continue;  // a large object was begun and given up meanwhile
        FID_TRY(const auto segment, std::move(opened));
        const auto on_block = [&](std::uint64_t offset, std::span<const BlockRecord> records) -> Result<void> {
            for (const auto& record : records) {
                auto decoded = decode_record(record.bytes);
                if (decoded && std::holds_alternative<MovesRecord>(*decoded)) continue;
                ++result.entries;
                auto entry = read_entry(*state_->secrets, {number, offset}, record, std::move(decoded));
                if (entry.problem && entry.problem->code != ErrorCode::not_found) {
                    entry.problem = state_->name_problem(*entry.problem, entry.id, entry.location);
                }
                FID_CHECK(visit(std::move(entry)));
            }
            return {};
        };
        auto walked = state_->walk(*segment, number == from.segment ? from.offset : 0, on_block);
        if (!walked && walked.error().code == ErrorCode::io) {  // a disk that does not read says nothing of what stands there
            result.damage.push_back(walked.error());
            last.reset();
            continue;
        }
        FID_TRY(auto found, std::move(walked));
        result.damage.insert(result.damage.end(), found.damage.begin(), found.damage.end());
        if (found.header.data_only) {
            if (number <= highest) result.data_only.push_back(number);
            continue;
        }
        if (!found.begun()) continue;  // the next one follows the one before
        if (last && found.header.previous_sequence > last->end_sequence) {
            result.damage.push_back(Error{ErrorCode::corrupt, "segment " + std::to_string(last->header.number) + ": blocks " +
                                                                  std::to_string(last->end_sequence + 1) + " to " +
                                                                  std::to_string(found.header.previous_sequence) +
                                                                  " at its end are not readable"});
        }
        if (found.torn_at && number != names.back().number) {
            log::info("store", "a block was begun and never acknowledged", {{"segment", number}, {"offset", *found.torn_at}});
        }
        last = std::move(found);
    }
    return result;
}

}  // namespace fiducial::store
