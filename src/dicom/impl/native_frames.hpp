#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.hpp"
#include "dicom/pixel_description.hpp"

namespace fiducial::dicom::impl {

/// Turns numbers of so many bytes round, the whole ones. Returns: how many bytes they are.
std::size_t turn_round(Bytes& numbers, std::size_t width);

/// Whether native_frame() decodes it.
bool is_decoded(std::string_view transfer_syntax);

/// Photometric Interpretation of a frame once native_frame() has decoded it.
std::string native_photometric(const PixelDescription& image, std::string_view transfer_syntax);

/// What a header says of an image once native_frame() has decoded it.
PixelDescription native_description(const PixelDescription& image, std::string_view transfer_syntax);

/// Bytes of a frame in a native data set. Errors: unsupported: a kind of pixels that is not decoded; limit_exceeded beyond
/// kMostShownSamples.
Result<std::uint64_t> native_frame_bytes(const PixelDescription& image);

/// A frame as a native data set holds it: little-endian, colours by pixel, each value in Bits Allocated.
/// Errors: as native_frame_bytes(); malformed: damaged, or not of the size the header says.
Result<Bytes> native_frame(const PixelDescription& image, std::string_view transfer_syntax, ByteView frame);

/// Gathers the fragments of pixel data into frames, decodes each once it is complete, and compresses it again where that is asked for.
/// Spec:   PS3.5 §A.4. Without a usable offset table each fragment is a frame, or all of them are the only one
/// Errors: those of native_frame(); malformed where there are not as many frames as was said
/// Units:  holds one frame, encoded and decoded
class NativeFrames {
public:
    /// extended_offsets: of frames, from Extended Offset Table; empty where there is none.
    /// encoding: how each frame is compressed (is_encoded), a fragment each; empty: it is not.
    NativeFrames(PixelDescription image, std::uint64_t count, std::string_view transfer_syntax, std::vector<std::uint64_t> extended_offsets,
                 std::string_view encoding);

    Result<void> begin_item(std::uint64_t length, Bytes& out);
    Result<void> take(ByteView bytes);
    Result<void> finish(Bytes& out);

private:
    bool begins_frame() const;
    Result<void> end_frame(Bytes& out);
    void use_offset_table();

    PixelDescription image_;
    std::uint64_t count_;
    std::string transfer_syntax_, encoding_;
    std::vector<std::uint64_t> offsets_;
    std::uint64_t items_ = 0;
    std::uint64_t at_ = 0;  // of the item, counted from the first fragment's
    std::uint64_t next_ = 0;
    std::uint64_t done_ = 0;  // frames
    Bytes gathered_;          // of the offset table, then of a frame
};

/// Gathers native pixel data into frames, and compresses each once it is complete.
/// Errors: those of encode_frame()
/// Units:  holds one frame, and what it becomes
class EncodedFrames {
public:
    /// number_bytes: of the numbers that have to be turned round; 1: none.
    EncodedFrames(PixelDescription image, std::uint64_t count, std::string_view encoding, std::uint64_t frame_bytes,
                  std::size_t number_bytes);

    /// Until the frame is complete.
    std::uint64_t wanted() const { return frame_bytes_ - gathered_.size(); }
    /// Takes wanted() bytes at most; what comes after the last frame pads. Returns: whether a frame was made.
    Result<bool> take(ByteView bytes, Bytes& out);

private:
    PixelDescription image_;
    std::uint64_t left_;  // frames
    std::string encoding_;
    std::uint64_t frame_bytes_;
    std::size_t number_bytes_;
    Bytes gathered_;
};

}  // namespace fiducial::dicom::impl
