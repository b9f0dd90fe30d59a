#pragma once
#include <cstdint>
#include <span>
#include <variant>
#include <vector>

#include "base/bytes.hpp"
#include "store/impl/object_cipher.hpp"
#include "store/types.hpp"

namespace fiducial::store {

/// Byte formats of a segment. Spec: docs/formats/segments.md
/// All decoders are bounded by their input and never throw. Errors: malformed; unsupported for a newer format.

inline constexpr std::uint64_t kBlockAlignment = 512;
inline constexpr std::size_t kSegmentHeaderSize = 512;
inline constexpr std::size_t kBlockHeaderSize = 52;
inline constexpr std::size_t kMaxBlockPayload = std::size_t{320} << 20;
inline constexpr std::uint32_t kMaxBlockRecords = 4096;

struct SegmentHeader {
    std::uint32_t number = 0;
    bool data_only = false;  // one large object's bytes; its record stands in another segment
    Bytes32 site_id{};
    std::uint64_t created_ms = 0;
    std::uint64_t previous_sequence = 0;  // the segment before holds blocks at least up to this one
    std::uint32_t first_unfinished = 0;   // lowest segment with bytes of an object that was not finished when this one was begun
    // Of a segment that holds what was kept of another, and will never be written to again:
    std::uint32_t place = 0;         // the first segment that stood here, where this one stands in the order; 0: it is none of these
    std::uint64_t blocks = 0;        // how many it has
    std::uint64_t end_sequence = 0;  // of the last block of that first segment
    std::uint64_t moves_offset = 0;  // of the block that says what was where; 0: none

    bool is_rewritten() const { return place != 0; }
    Bytes encode() const;
    static Result<SegmentHeader> decode(ByteView bytes);
};

struct BlockHeader {
    std::uint16_t record_count = 0;
    std::uint32_t payload_size = 0;
    std::uint64_t sequence = 0;           // 1, 2, 3 … within the segment
    std::uint64_t previous_offset = 0;    // of the block before; 0: none
    std::array<std::uint8_t, 16> site{};  // first half of the site id

    /// Bytes from the block's start to the next place where one may start.
    std::uint64_t padded_size() const;
    Bytes encode() const;
    static Result<BlockHeader> decode(ByteView bytes);
    /// A quick look, for the search through a segment.
    static bool has_magic(ByteView bytes);
};
/// header ‖ records ‖ crc32c ‖ zeros.
Bytes encode_block(const BlockHeader& header, std::span<const Bytes> records);
/// Returns: the records, each with its offset in the block. `block` is without padding.
struct BlockRecord {
    std::uint64_t offset = 0;
    ByteView bytes;
};
Result<std::vector<BlockRecord>> decode_block(const BlockHeader& header, ByteView block);

struct Extent {
    std::uint32_t segment = 0;
    std::uint64_t offset = 0;
    std::uint64_t size = 0;
};

/// Everything about one object but its chunks.
struct ObjectRecord {
    ObjectHeader header;
    std::uint64_t size = 0;
    std::vector<Extent> extents;  // none: a hollow record, whose bytes were given up for good
    Bytes sealed_chunk_hashes;
    Bytes32 fragment_id{};
    Hash fragment_commitment{};
    Bytes sealed_fragment;  // empty: none
    Bytes sealed_prefix;    // empty: none
    Bytes sealed_description;
};
struct MarkRecord {
    Slot slot = 0;
    Bytes32 id{};  // of the mark
    Hash commitment{};
    Bytes sealed_mark;
    /// What stands in the associated data.
    Bytes clear() const;
};
/// In a rewritten segment: where that which other segments and older rows look for elsewhere lies now.
struct MovesRecord {
    struct Move {
        Extent from;
        std::uint64_t to = 0;  // offset in this segment
    };
    std::vector<Move> moves;
};
using Record = std::variant<ObjectRecord, MarkRecord, MovesRecord>;

/// u32 size ‖ u8 type ‖ body ‖ crc32c.
Bytes encode_record(const Record& record);
Result<Record> decode_record(ByteView bytes);
inline constexpr std::size_t kMinRecordSize = 9;

}  // namespace fiducial::store
