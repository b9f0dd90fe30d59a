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

/// Where segments are kept: a local folder now, an object store (a segment is an object, read by range) later.
class SegmentBackend {
public:
    virtual ~SegmentBackend() = default;
    /// Returns: the numbers of all segments, ascending.
    virtual Result<std::vector<std::uint32_t>> list() const = 0;
    /// Errors: conflict when it exists. The new segment's name is durable when it returns.
    virtual Result<std::shared_ptr<Segment>> create(std::uint32_t number) = 0;
    virtual Result<std::shared_ptr<Segment>> open(std::uint32_t number, bool writable) = 0;
    /// Of a large object that was given up.
    virtual Result<void> remove(std::uint32_t number) = 0;
};

/// Returns: "00000001.segment" for 1.
std::string segment_file_name(std::uint32_t number);
/// Files 00000001.segment, 00000002.segment … in a folder, which is made where missing.
Result<std::unique_ptr<SegmentBackend>> open_local_segments(const std::filesystem::path& folder);

}  // namespace fiducial::store
