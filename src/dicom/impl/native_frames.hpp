#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.hpp"
#include "dicom/pixel_description.hpp"

namespace fiducial::dicom::impl {

/// Whether native_frame() decodes it.
bool is_decoded(std::string_view transfer_syntax);

/// Photometric Interpretation of a frame once native_frame() has decoded it.
std::string native_photometric(const PixelDescription& image, std::string_view transfer_syntax);

/// Bytes of a frame in a native data set. Errors: unsupported: a kind of pixels that is not decoded; limit_exceeded beyond
/// kMostShownSamples.
Result<std::uint64_t> native_frame_bytes(const PixelDescription& image);

/// A frame as a native data set holds it: little-endian, colours by pixel, each value in Bits Allocated.
/// Errors: as native_frame_bytes(); malformed: damaged, or not of the size the header says.
Result<Bytes> native_frame(const PixelDescription& image, std::string_view transfer_syntax, ByteView frame);

/// Gathers the fragments of pixel data into frames, and decodes each once it is complete.
/// Spec:   PS3.5 §A.4. Without a usable offset table each fragment is a frame, or all of them are the only one
/// Errors: those of native_frame(); malformed where there are not as many frames as was said
/// Units:  holds one frame, encoded and decoded
class NativeFrames {
public:
    /// extended_offsets: of frames, from Extended Offset Table; empty where there is none.
    NativeFrames(PixelDescription image, std::uint64_t count, std::string_view transfer_syntax,
                 std::vector<std::uint64_t> extended_offsets);

    Result<void> begin_item(std::uint64_t length, Bytes& out);
    Result<void> take(ByteView bytes);
    Result<void> finish(Bytes& out);

private:
    bool begins_frame() const;
    Result<void> end_frame(Bytes& out);
    void use_offset_table();

    PixelDescription image_;
    std::uint64_t count_;
    std::string transfer_syntax_;
    std::vector<std::uint64_t> offsets_;
    std::uint64_t items_ = 0;
    std::uint64_t at_ = 0;  // of the item, counted from the first fragment's
    std::uint64_t next_ = 0;
    std::uint64_t done_ = 0;  // frames
    Bytes gathered_;          // of the offset table, then of a frame
};

}  // namespace fiducial::dicom::impl
