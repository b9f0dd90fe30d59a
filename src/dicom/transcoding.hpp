#pragma once
#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <string_view>

#include "base/bytes.hpp"
#include "dicom/pixel_description.hpp"

namespace fiducial::dicom {

inline constexpr std::string_view kJpegLsLossless = "1.2.840.10008.1.2.4.80";
inline constexpr std::string_view kJpeg2000Lossless = "1.2.840.10008.1.2.4.90";
inline constexpr std::string_view kHtj2kLossless = "1.2.840.10008.1.2.4.201";
/// The compressions in which a data set can be given.
inline constexpr std::array kLosslessEncodings{kJpegLsLossless, kJpeg2000Lossless, kHtj2kLossless};

/// Whether a data set in one transfer syntax can be given in another: Explicit or Implicit VR Little Endian, or one of kLosslessEncodings.
/// What is compressed in a way that is not decoded (video, JPEG XL, …) cannot. Whether an image's kind of pixels can be compressed is seen
/// only when it is read.
bool can_transcode(std::string_view from, std::string_view to);

/// A frame in another transfer syntax than it is stored in: decoded, and where that syntax compresses, compressed without loss.
/// Without compression it is little-endian, colours by pixel, each value in Bits Allocated.
/// Requires: can_transcode(from, to)
/// Errors: malformed: damaged, or not of the size the header says; unsupported: a kind of pixels that is not decoded or not compressed;
/// limit_exceeded beyond kMostShownSamples.
Result<Bytes> transcode_frame(const PixelDescription& image, std::string_view from, std::string_view to, ByteView frame);

/// A data set that is read in another transfer syntax than it is in. Frames are decoded, and compressed, one after the other, without loss;
/// Photometric Interpretation and Planar Configuration follow; that an image was once compressed with losses stays written in it (PS3.3
/// §C.7.6.1.1.5).
/// Sequences come out with undefined lengths, without group lengths and offset tables. How long it becomes is not known before its end.
/// Spec:    PS3.5 §7, §8, Annex A
/// Units:   a frame, encoded and decoded, in memory, and 16 MiB of a header at most
/// Threads: one at a time
class Transcoding {
public:
    /// Reads on in the data set as it is stored. Returns: bytes put into out, 0 at its end.
    using Read = std::function<Result<std::size_t>(MutableByteView out)>;

    /// Requires: can_transcode(from, to)
    Transcoding(std::string_view from, std::string_view to, Read read);
    Transcoding(Transcoding&&) noexcept;
    Transcoding& operator=(Transcoding&&) noexcept;
    ~Transcoding();

    /// Returns: bytes put into out, fewer than wanted only at the end.
    /// Errors: those of `read`; malformed, limit_exceeded, unsupported. What was read before is then only a part of an instance.
    Result<std::size_t> read(MutableByteView out);

private:
    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace fiducial::dicom
