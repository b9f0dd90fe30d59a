#pragma once
#include <cstdint>
#include <string>

#include "base/bytes.hpp"

namespace fiducial::evidence {

/// Where the data set of a DICOM file begins.
struct Part10Split {
    bool has_prefix = false;            // preamble, "DICM" and group 0002
    std::uint64_t data_set_offset = 0;  // 0 where there is no prefix: the file is taken for a bare data set
    std::string transfer_syntax_uid;    // 0002,0010 without padding; empty where there is none
};
inline constexpr std::size_t kMaxPart10PrefixBytes = std::size_t{1} << 20;

/// Finds the end of group 0002, without reading more of DICOM than that takes. The group is its elements: a wrong (0002,0000) moves
/// nothing, and neither does a missing preamble.
/// Spec: PS3.10 §7.1, PS3.5 §7.1. Requires: head is the file's beginning: all of it, or at least kMaxPart10PrefixBytes.
/// Errors: malformed when the file says it is DICOM and group 0002 does not end within `head`, or can be read in two ways: an element
/// twice or out of order.
Result<Part10Split> split_part10(ByteView head);

}  // namespace fiducial::evidence
