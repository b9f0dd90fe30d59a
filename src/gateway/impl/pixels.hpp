#pragma once
#include <cstdint>
#include <string_view>
#include <vector>

#include "archive/archive.hpp"
#include "dicom/rendering.hpp"

namespace fiducial::gateway::impl {

inline constexpr std::uint64_t kMostFrameBytes = 4 * dicom::kMostShownSamples;  // of a frame as it is stored

/// Whether pixels that cannot be decoded or shown are the reason, and not the archive: nothing is wrong with the request then, and nothing
/// else of the answer helps: 406.
bool is_of_pixels(const Error& error);

/// The transfer syntax in which an instance's values and frames are read: Explicit VR Little Endian where it is stored deflated or
/// big-endian, else the stored one.
std::string_view syntax_of_parts(const archive::ValueLook& look);

/// A frame of single bits that begins within a byte, so that it begins with one; what of the last byte is not the frame's becomes 0.
/// Spec: PS3.5 §8.1.1: the first pixel is the lowest bit. Requires: bytes holds first_bit + bits bits, first_bit < 8
Bytes aligned_bits(ByteView bytes, unsigned first_bit, std::uint64_t bits);

/// Of what is read there.
std::uint64_t length_of(const std::vector<archive::ValuePlace>& places);
/// Whether it is not these bytes, but what becomes of them by aligned_bits().
bool shares_bytes(const std::vector<archive::ValuePlace>& places);

/// What stands in these places of an instance, a frame of single bits from a byte's beginning on. Errors: limit_exceeded beyond `most`;
/// malformed; those of the look.
Result<Bytes> read_places(archive::ValueLook& look, const std::vector<archive::ValuePlace>& places, std::uint64_t most);

}  // namespace fiducial::gateway::impl
