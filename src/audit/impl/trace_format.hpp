#pragma once
// The bytes of trace.log and trace.head. Spec: docs/formats/trace.md.
#include <optional>

#include "audit/entry.hpp"
#include "audit/trace.hpp"
#include "base/file.hpp"
#include "crypto/merkle.hpp"

namespace fiducial::audit::impl {

inline constexpr std::string_view kLogName = Trace::kLogFile;
inline constexpr std::string_view kHeadName = Trace::kHeadFile;
inline constexpr std::size_t kHeaderSize = 1 + 13 + 32 + 8 + 16;
inline constexpr std::size_t kFrameSize = 4 + 8 + 4;  // length, index, place in its group
inline constexpr std::size_t kMacSize = 16;
inline constexpr std::size_t kHeadSlotSize = 4096;  // two of them, written in turn

/// What the MACs of one log are made with.
struct LogKey {
    TraceKeys keys;
    Bytes32 log_id{};
    /// Of the entry with this index.
    const crypto::Secret& of(std::uint64_t index) const;
};

/// Of a new log: under the present key. Requires: no former ones.
Bytes make_header(const LogKey& key, std::uint64_t created_ms);
/// Reads the log id. Former keys from before the log was begun are dropped. Errors: malformed; unsupported; corrupt when the MAC does not
/// match (altered, or another key).
Result<LogKey> parse_header(ByteView header, TraceKeys keys);

std::array<std::uint8_t, kMacSize> record_mac(const LogKey& key, std::uint64_t index, std::uint32_t place, const Hash& leaf_hash);
void append_record(Bytes& out, const LogKey& key, std::uint64_t index, std::uint32_t place, ByteView entry, const Hash& leaf_hash);

/// Where the log stood after a group: enough to go on from there.
struct Head {
    std::uint64_t sequence = 0;  // the slot with the higher one counts
    std::uint64_t bytes = kHeaderSize;
    crypto::MerkleAccumulator tree;
};
Bytes make_head_slot(const LogKey& key, const Head& head);
/// Errors: corrupt.
Result<Head> parse_head_slot(ByteView slot, const LogKey& key);
/// The better of the two slots of a head file; nothing when neither is whole.
std::optional<Head> newest_head(ByteView file, const LogKey& key);

/// Reads a file in large pieces, for scanning.
class Window {
public:
    Window(const File& file, std::uint64_t end, std::size_t piece = std::size_t{1} << 20) : file_(file), end_(end), piece_(piece) {}
    std::uint64_t end() const { return end_; }
    /// Returns: the bytes at offset, fewer only at the end; valid until the next call.
    Result<ByteView> at(std::uint64_t offset, std::size_t size);

private:
    const File& file_;
    std::uint64_t end_;
    std::size_t piece_;
    std::uint64_t start_ = 0;
    Bytes buffer_;
};

struct Record {
    std::uint64_t index = 0;
    std::uint32_t place = 0;
    std::uint64_t next = 0;  // offset after it
    ByteView entry;          // valid until the window moves
    Hash leaf_hash{};
    std::uint64_t group_start() const { return index - place; }
};
/// What stands at an offset. A whole record has a good MAC for the index it bears, which need not be the expected one.
enum class Place : std::uint8_t { whole, damaged, cut_off };  // cut_off: the file ends before the record does
struct Found {
    Place place = Place::damaged;
    Record record;                  // when whole
    std::uint64_t likely_next = 0;  // when damaged: where the next record would be by the frame, or 0
};
Result<Found> look_at(Window& window, std::uint64_t offset, const LogKey& key);
/// Searches byte by byte, from offset on, for the next whole record with least <= index.
Result<std::optional<std::uint64_t>> find_whole_record(Window& window, std::uint64_t offset, std::uint64_t least, const LogKey& key);
/// Searches for a record of a group that began after index `bad`: its presence proves that the group of `bad` had been synced.
Result<std::optional<std::uint64_t>> find_later_group(Window& window, std::uint64_t offset, std::uint64_t bad, const LogKey& key);

}  // namespace fiducial::audit::impl
