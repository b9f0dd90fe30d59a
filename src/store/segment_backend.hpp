#pragma once
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "base/bytes.hpp"

namespace fiducial::store {

/// One segment's bytes, wherever they lie. Threads: reads and writes of different places may run side by side.
class Segment {
public:
    virtual ~Segment() = default;
    virtual std::uint32_t number() const = 0;
    /// For error texts.
    virtual std::string name() const = 0;
    virtual Result<std::uint64_t> size() const = 0;
    /// Errors: corrupt when the segment ends before.
    virtual Result<void> read_exactly_at(std::uint64_t offset, MutableByteView out) const = 0;
    virtual Result<void> write_at(std::uint64_t offset, ByteView bytes) = 0;
    /// All that was written is durable when it returns.
    virtual Result<void> sync() = 0;
    virtual Result<void> truncate(std::uint64_t size) = 0;
};

/// What a segment is called. One that was rewritten stands where the segment stood whose place it took: `place` is that one's number.
struct SegmentName {
    std::uint32_t number = 0;
    std::uint32_t place = 0;
    bool is_rewritten() const { return place != number; }
    /// In the order in which they are read: by place, then by number.
    bool operator<(const SegmentName& other) const { return place != other.place ? place < other.place : number < other.number; }
};

/// Where segments are kept: a local folder now, an object store (a segment is an object, read by range) later.
class SegmentBackend {
public:
    virtual ~SegmentBackend() = default;
    /// Returns: all segments but drafts, in their order.
    virtual Result<std::vector<SegmentName>> list() const = 0;
    /// Errors: conflict when it exists. The new segment's name is durable when it returns.
    virtual Result<std::shared_ptr<Segment>> create(std::uint32_t number) = 0;
    /// A segment that nobody sees before it is published; one that never was is gone at the next start.
    virtual Result<std::shared_ptr<Segment>> create_draft(SegmentName name) = 0;
    /// Requires: the draft is synced. The name is durable when it returns.
    virtual Result<void> publish_draft(SegmentName name) = 0;
    virtual Result<void> remove_draft(SegmentName name) = 0;
    virtual Result<std::shared_ptr<Segment>> open(std::uint32_t number, bool writable) = 0;
    virtual Result<void> remove(std::uint32_t number) = 0;
};

/// Returns: "00000001.segment" for 1, "00000001-00000007.segment" for 7 in the place of 1.
std::string segment_file_name(SegmentName name);
/// Files with these names in a folder, which is made where missing. Drafts that lie there are removed.
Result<std::unique_ptr<SegmentBackend>> open_local_segments(const std::filesystem::path& folder);

}  // namespace fiducial::store
