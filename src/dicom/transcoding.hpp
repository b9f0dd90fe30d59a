#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <string_view>

#include "base/bytes.hpp"
#include "dicom/pixel_description.hpp"

namespace fiducial::dicom {

/// Whether a data set in one transfer syntax can be given in another: Explicit or Implicit VR Little Endian, without compression.
/// What is compressed in a way that is not decoded (video, JPEG XL, …) cannot.
bool can_transcode(std::string_view from, std::string_view to);

/// A frame as a data set without compression holds it: little-endian, colours by pixel, each value in Bits Allocated.
/// Errors: malformed: damaged, or not of the size the header says; unsupported; limit_exceeded beyond kMostShownSamples.
Result<Bytes> decode_frame(const PixelDescription& image, std::string_view transfer_syntax, ByteView frame);

/// A data set that is read in another transfer syntax than it is in. Compressed frames are decoded, one after the other; Photometric
/// Interpretation and Planar Configuration follow; that an image was once compressed with losses stays written in it (PS3.3 §C.7.6.1.1.5).
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
