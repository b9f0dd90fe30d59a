#include "store/impl/segment_format.hpp"

#include "store/impl/crc32c.hpp"

namespace fiducial::store {
namespace {

constexpr std::string_view kSegmentMagic = "FIDUCIAL SEGMENT";
constexpr std::string_view kBlockMagic = "FIDBLOCK";
constexpr std::uint16_t kFormat = 1;
constexpr std::uint8_t kObjectRecord = 1;
constexpr std::uint8_t kMarkRecord = 2;
constexpr std::uint8_t kMovesRecord = 3;
constexpr std::uint16_t kDataOnly = 1;
constexpr std::uint16_t kRewritten = 2;

void append_sized(Bytes& out, ByteView bytes) {
    append_be(out, static_cast<std::uint32_t>(bytes.size()));
    append(out, bytes);
}
Result<ByteView> take_sized(ByteReader& reader, std::string_view field) {
    FID_TRY(const auto size, reader.u32(field));
    return reader.take(size, field);
}

}  // namespace

Bytes SegmentHeader::encode() const {
    Bytes out;
    out.reserve(kSegmentHeaderSize);
    append(out, as_bytes(kSegmentMagic));
    append_be(out, kFormat);
    append_be(out, data_only ? kDataOnly : is_rewritten() ? kRewritten : std::uint16_t{0});
    append_be(out, number);
    append(out, site_id);
    append_be(out, created_ms);
    append_be(out, previous_sequence);
    append_be(out, first_unfinished);
    append_be(out, place);
    append_be(out, blocks);
    append_be(out, end_sequence);
    append_be(out, moves_offset);
    out.resize(kSegmentHeaderSize - 4);
    append_be(out, crc32c(out));
    return out;
}

Result<SegmentHeader> SegmentHeader::decode(ByteView bytes) {
    if (bytes.size() != kSegmentHeaderSize) return fail(ErrorCode::malformed, "a segment header has 512 bytes");
    ByteReader reader(bytes);
    FID_TRY(const auto magic, reader.take(kSegmentMagic.size(), "segment magic"));
    if (as_text(magic) != kSegmentMagic) return fail(ErrorCode::malformed, "not a segment");
    if (read_be<std::uint32_t>(bytes.last(4)) != crc32c(bytes.first(kSegmentHeaderSize - 4)))
        return fail(ErrorCode::malformed, "the segment header's checksum does not match");
    FID_TRY(const auto format, reader.u16("segment format"));
    if (format != kFormat) return fail(ErrorCode::unsupported, "segment format " + std::to_string(format));
    FID_TRY(const auto flags, reader.u16("segment flags"));
    if (flags > kRewritten) return fail(ErrorCode::unsupported, "segment flags " + std::to_string(flags));
    SegmentHeader header;
    header.data_only = flags == kDataOnly;
    FID_TRY(header.number, reader.u32("segment number"));
    FID_TRY(header.site_id, reader.array<32>("site id"));
    FID_TRY(header.created_ms, reader.u64("segment time"));
    FID_TRY(header.previous_sequence, reader.u64("previous sequence"));
    FID_TRY(header.first_unfinished, reader.u32("first unfinished segment"));
    FID_TRY(header.place, reader.u32("place"));
    FID_TRY(header.blocks, reader.u64("block count"));
    FID_TRY(header.end_sequence, reader.u64("end sequence"));
    FID_TRY(header.moves_offset, reader.u64("place of the moves"));
    if (header.is_rewritten() != (flags == kRewritten))
        return fail(ErrorCode::malformed, "a segment's flags and its place do not go together");
    return header;
}

std::uint64_t BlockHeader::padded_size() const {
    const std::uint64_t size = kBlockHeaderSize + payload_size + 4;
    return (size + kBlockAlignment - 1) / kBlockAlignment * kBlockAlignment;
}

bool BlockHeader::has_magic(ByteView bytes) {
    return bytes.size() >= kBlockMagic.size() && as_text(bytes.first(kBlockMagic.size())) == kBlockMagic;
}

Bytes BlockHeader::encode() const {
    Bytes out;
    out.reserve(kBlockHeaderSize);
    append(out, as_bytes(kBlockMagic));
    append_be(out, kFormat);
    append_be(out, record_count);
    append_be(out, payload_size);
    append_be(out, sequence);
    append_be(out, previous_offset);
    append(out, site);
    append_be(out, crc32c(out));
    return out;
}

Result<BlockHeader> BlockHeader::decode(ByteView bytes) {
    if (bytes.size() < kBlockHeaderSize)
        return fail(ErrorCode::malformed, "a block header has 52 bytes, here are " + std::to_string(bytes.size()));
    if (!has_magic(bytes)) return fail(ErrorCode::malformed, "not a block");
    if (read_be<std::uint32_t>(bytes.subspan(kBlockHeaderSize - 4, 4)) != crc32c(bytes.first(kBlockHeaderSize - 4))) {
        return fail(ErrorCode::malformed, "the block header's checksum does not match");
    }
    ByteReader reader(bytes.subspan(kBlockMagic.size()));
    FID_TRY(const auto format, reader.u16("block format"));
    if (format != kFormat) return fail(ErrorCode::unsupported, "block format " + std::to_string(format));
    BlockHeader header;
    FID_TRY(header.record_count, reader.u16("record count"));
    FID_TRY(header.payload_size, reader.u32("payload size"));
    FID_TRY(header.sequence, reader.u64("sequence"));
    FID_TRY(header.previous_offset, reader.u64("previous block"));
    FID_TRY(header.site, reader.array<16>("site"));
    if (header.payload_size > kMaxBlockPayload)
        return fail(ErrorCode::malformed, "a block of " + std::to_string(header.payload_size) + " bytes");
    if (header.record_count == 0 || header.record_count > kMaxBlockRecords)
        return fail(ErrorCode::malformed, "a block of " + std::to_string(header.record_count) + " records");
    return header;
}

Bytes encode_block(const BlockHeader& header, std::span<const Bytes> records) {
    Bytes out = header.encode();
    out.reserve(header.padded_size());
    for (const auto& record : records) append(out, record);
    FID_INVARIANT(out.size() == kBlockHeaderSize + header.payload_size, "a block header names its payload's size");
    append_be(out, crc32c(out));
    out.resize(header.padded_size());
    return out;
}

Result<std::vector<BlockRecord>> decode_block(const BlockHeader& header, ByteView block) {
    const std::size_t body_end = kBlockHeaderSize + header.payload_size;
    if (block.size() != body_end + 4)
        return fail(ErrorCode::malformed,
                    "a block has " + std::to_string(block.size()) + " bytes, expected " + std::to_string(body_end + 4));
    if (read_be<std::uint32_t>(block.subspan(body_end)) != crc32c(block.first(body_end)))
        return fail(ErrorCode::malformed, "the block's checksum does not match");
    std::vector<BlockRecord> records;
    std::size_t at = kBlockHeaderSize;
    while (at < body_end) {
        if (body_end - at < kMinRecordSize) return fail(ErrorCode::malformed, "a record is cut short");
        const auto size = read_be<std::uint32_t>(block.subspan(at, 4));
        if (size < kMinRecordSize || size > body_end - at)
            return fail(ErrorCode::malformed, "a record of " + std::to_string(size) + " bytes does not fit its block");
        if (records.size() == header.record_count) return fail(ErrorCode::malformed, "a block holds more records than it says");
        records.push_back({at, block.subspan(at, size)});
        at += size;
    }
    if (records.size() != header.record_count) return fail(ErrorCode::malformed, "a block holds fewer records than it says");
    return records;
}

Bytes MarkRecord::clear() const {
    Bytes out;
    append_be(out, slot);
    append(out, id);
    append(out, commitment);
    return out;
}

namespace {

Bytes encode_body(const ObjectRecord& record) {
    Bytes out = record.header.encode();
    append_be(out, record.size);
    append_be(out, static_cast<std::uint32_t>(record.extents.size()));
    for (const auto& extent : record.extents) {
        append_be(out, extent.segment);
        append_be(out, extent.offset);
        append_be(out, extent.size);
    }
    append_sized(out, record.sealed_chunk_hashes);
    append(out, record.fragment_id);
    append(out, record.fragment_commitment);
    append_sized(out, record.sealed_fragment);
    append_sized(out, record.sealed_prefix);
    append_sized(out, record.sealed_description);
    return out;
}
Bytes encode_body(const MarkRecord& record) {
    Bytes out = record.clear();
    append_sized(out, record.sealed_mark);
    return out;
}

Bytes encode_body(const MovesRecord& record) {
    Bytes out;
    append_be(out, static_cast<std::uint32_t>(record.moves.size()));
    for (const auto& move : record.moves) {
        append_be(out, move.from.segment);
        append_be(out, move.from.offset);
        append_be(out, move.from.size);
        append_be(out, move.to);
    }
    return out;
}

Result<Record> decode_object(ByteReader& reader) {
    ObjectRecord record;
    FID_TRY(const auto header, reader.take(ObjectHeader::kSize, "object header"));
    FID_TRY(record.header, ObjectHeader::decode(header));
    FID_TRY(record.size, reader.u64("object size"));
    if (record.size == 0 || record.size > std::uint64_t{0xffffffff} * kChunkSize)
        return fail(ErrorCode::malformed, "an object of " + std::to_string(record.size) + " bytes");
    FID_TRY(const auto count, reader.u32("extent count"));
    if (count > reader.remaining() / 20) return fail(ErrorCode::malformed, "an object of " + std::to_string(count) + " extents");
    record.extents.reserve(count);
    std::uint64_t total = 0;
    const auto expected = sealed_size(record.size);
    for (std::uint32_t i = 0; i < count; ++i) {
        Extent extent;
        FID_TRY(extent.segment, reader.u32("extent segment"));
        FID_TRY(extent.offset, reader.u64("extent offset"));
        FID_TRY(extent.size, reader.u64("extent size"));
        // Chunks never straddle two extents.
        if (extent.size == 0 || extent.size > expected - total || extent.offset > (std::uint64_t{1} << 62))
            return fail(ErrorCode::malformed, "an extent that does not fit its object");
        if (i + 1 < count && extent.size % kSealedChunkSize != 0) return fail(ErrorCode::malformed, "an extent that ends within a chunk");
        total += extent.size;
        record.extents.push_back(extent);
    }
    if (count > 0 && total != expected)
        return fail(ErrorCode::malformed,
                    "extents of " + std::to_string(total) + " bytes for an object that takes " + std::to_string(expected));
    FID_TRY(const auto hashes, take_sized(reader, "chunk hashes"));
    if (hashes.size() != sealed_size(evidence::chunk_count(record.size) * sizeof(Hash)))
        return fail(ErrorCode::malformed, "the list of chunk hashes has another length than the object calls for");
    record.sealed_chunk_hashes = to_bytes(hashes);
    FID_TRY(record.fragment_id, reader.array<32>("fragment id"));
    FID_TRY(record.fragment_commitment, reader.array<32>("fragment commitment"));
    FID_TRY(const auto fragment, take_sized(reader, "fragment"));
    FID_TRY(const auto prefix, take_sized(reader, "prefix"));
    FID_TRY(const auto description, take_sized(reader, "description"));
    record.sealed_fragment = to_bytes(fragment);
    record.sealed_prefix = to_bytes(prefix);
    record.sealed_description = to_bytes(description);
    return record;
}

Result<Record> decode_mark(ByteReader& reader) {
    MarkRecord record;
    FID_TRY(record.slot, reader.u32("mark slot"));
    FID_TRY(record.id, reader.array<32>("mark id"));
    FID_TRY(record.commitment, reader.array<32>("mark commitment"));
    FID_TRY(const auto sealed, take_sized(reader, "mark"));
    record.sealed_mark = to_bytes(sealed);
    return record;
}

Result<Record> decode_moves(ByteReader& reader) {
    MovesRecord record;
    FID_TRY(const auto count, reader.u32("count of moves"));
    if (count > reader.remaining() / 28) return fail(ErrorCode::malformed, "a record of " + std::to_string(count) + " moves");
    record.moves.resize(count);
    for (auto& move : record.moves) {
        FID_TRY(move.from.segment, reader.u32("segment moved from"));
        FID_TRY(move.from.offset, reader.u64("offset moved from"));
        FID_TRY(move.from.size, reader.u64("size moved"));
        FID_TRY(move.to, reader.u64("offset moved to"));
    }
    return record;
}

}  // namespace

Bytes encode_record(const Record& record) {
    const auto body = std::visit([](const auto& r) { return encode_body(r); }, record);
    Bytes out;
    out.reserve(body.size() + kMinRecordSize);
    append_be(out, static_cast<std::uint32_t>(body.size() + kMinRecordSize));
    static_assert(kObjectRecord == 1 && kMarkRecord == 2 && kMovesRecord == 3, "the variant's order");
    out.push_back(static_cast<std::uint8_t>(record.index() + 1));
    append(out, body);
    append_be(out, crc32c(out));
    return out;
}

Result<Record> decode_record(ByteView bytes) {
    if (bytes.size() < kMinRecordSize) return fail(ErrorCode::malformed, "a record of " + std::to_string(bytes.size()) + " bytes");
    if (read_be<std::uint32_t>(bytes) != bytes.size()) return fail(ErrorCode::malformed, "a record's size does not match");
    if (read_be<std::uint32_t>(bytes.last(4)) != crc32c(bytes.first(bytes.size() - 4)))
        return fail(ErrorCode::malformed, "a record's checksum does not match");
    ByteReader reader(bytes.subspan(5, bytes.size() - kMinRecordSize));
    Result<Record> record = fail(ErrorCode::unsupported, "record type " + std::to_string(bytes[4]));
    if (bytes[4] == kObjectRecord) record = decode_object(reader);
    if (bytes[4] == kMarkRecord) record = decode_mark(reader);
    if (bytes[4] == kMovesRecord) record = decode_moves(reader);
    if (record && !reader.at_end())
        return fail(ErrorCode::malformed, "a record has " + std::to_string(reader.remaining()) + " bytes too many");
    return record;
}

}  // namespace fiducial::store
