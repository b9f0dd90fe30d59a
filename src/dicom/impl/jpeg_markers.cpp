#include "dicom/impl/jpeg_markers.hpp"

#include <algorithm>
#include <cstring>
#include <string>

namespace fiducial::dicom::impl {
namespace {

constexpr std::uint32_t kMaxScans = 200;  // a progressive file can ask for the whole image to be gone over in each
constexpr std::uint8_t kStartOfImage = 0xd8, kEndOfImage = 0xd9, kStartOfScan = 0xda;

bool is_frame_marker(std::uint8_t marker) {
    return marker >= 0xc0 && marker <= 0xcf && marker != 0xc4 && marker != 0xc8 && marker != 0xcc;
}
bool stands_alone(std::uint8_t marker) {
    return marker == 0x01 || (marker >= 0xd0 && marker <= 0xd8);
}

class MarkerWalker {
public:
    explicit MarkerWalker(ByteView file) : file_(file) {}

    Result<JpegHeader> run() {
        if (file_.size() < 4 || file_[0] != 0xff || file_[1] != kStartOfImage) return malformed("does not begin with its start marker");
        at_ = 2;
        for (;;) {
            FID_TRY(const auto marker, next_marker());
            if (marker == kEndOfImage) break;
            if (marker == kStartOfImage) return malformed("has a second start marker");
            if (stands_alone(marker)) continue;
            FID_TRY(const auto segment, take_segment());
            if (is_frame_marker(marker)) FID_CHECK(frame(marker, segment));
            if (marker == 0xee) adobe(segment);
            if (marker == 0xe0 && segment.size() >= 5 && std::memcmp(segment.data(), "JFIF", 5) == 0) jfif_ = true;
            if (marker == 0xdc) return fail(ErrorCode::unsupported, "the JPEG file gives its height behind the image");
            if (marker == kStartOfScan) FID_CHECK(scan());
        }
        if (!frame_seen_ || header_.scans == 0) return malformed("holds no image");
        header_.colour = colour();
        const auto rest = file_.subspan(at_);
        header_.clean_end = std::all_of(rest.begin(), rest.end(), [](std::uint8_t b) { return b == 0; });
        return header_;
    }

private:
    tl::unexpected<Error> malformed(std::string_view what) const {
        return fail(ErrorCode::malformed, "the JPEG file " + std::string(what) + " at offset " + std::to_string(at_));
    }

    Result<std::uint8_t> next_marker() {
        if (at_ >= file_.size() || file_[at_] != 0xff)
            return malformed(at_ >= file_.size() ? "is cut off" : "has no marker where one should be");
        while (at_ < file_.size() && file_[at_] == 0xff) ++at_;
        if (at_ >= file_.size()) return malformed("is cut off");
        const auto marker = file_[at_++];
        if (marker == 0) return malformed("has no marker where one should be");
        return marker;
    }

    Result<ByteView> take_segment() {
        if (file_.size() - at_ < 2) return malformed("is cut off");
        const std::size_t length = read_be<std::uint16_t>(file_.subspan(at_));
        if (length < 2 || length > file_.size() - at_) return malformed(length < 2 ? "has a segment without length" : "is cut off");
        const auto segment = file_.subspan(at_ + 2, length - 2);
        at_ += length;
        return segment;
    }

    Result<void> frame(std::uint8_t marker, ByteView segment) {
        if (frame_seen_) return malformed("has a second frame");
        if (segment.size() < 6) return malformed("has a short frame header");
        frame_seen_ = true;
        header_.process = marker == 0xc0   ? JpegProcess::baseline
                          : marker == 0xc1 ? JpegProcess::extended
                          : marker == 0xc2 ? JpegProcess::progressive
                                           : JpegProcess::other;
        header_.precision = segment[0];
        header_.rows = read_be<std::uint16_t>(segment.subspan(1));
        header_.columns = read_be<std::uint16_t>(segment.subspan(3));
        header_.components = segment[5];
        if (segment.size() != 6u + 3u * header_.components) return malformed("has a frame header that does not add up");
        if (header_.rows == 0 || header_.columns == 0 || header_.components == 0) return malformed("has an empty frame");
        if (header_.components == 3) rgb_ids_ = segment[6] == 'R' && segment[9] == 'G' && segment[12] == 'B';
        return {};
    }

    void adobe(ByteView segment) {
        if (segment.size() >= 12 && std::memcmp(segment.data(), "Adobe", 5) == 0) adobe_transform_ = segment[11];
    }

    // Runs over entropy-coded data to the next marker that is not a restart.
    Result<void> scan() {
        if (!frame_seen_) return malformed("has a scan before its frame");
        if (++header_.scans > kMaxScans)
            return fail(ErrorCode::limit_exceeded, "the JPEG file has more than " + std::to_string(kMaxScans) + " scans");
        while (at_ < file_.size()) {
            const auto* found = static_cast<const std::uint8_t*>(std::memchr(file_.data() + at_, 0xff, file_.size() - at_));
            if (found == nullptr || found + 1 == file_.data() + file_.size()) break;
            at_ = static_cast<std::size_t>(found - file_.data());
            const auto next = file_[at_ + 1];
            if (next != 0 && next != 0xff && !(next >= 0xd0 && next <= 0xd7)) return {};
            at_ += next == 0xff ? 1 : 2;
        }
        at_ = file_.size();
        return malformed("is cut off");
    }

    // As libjpeg decides it.
    JpegColour colour() const {
        if (header_.components == 1) return JpegColour::grey;
        if (header_.components != 3) return JpegColour::cmyk;
        if (jfif_) return JpegColour::ycc;
        if (adobe_transform_ >= 0) return adobe_transform_ == 0 ? JpegColour::rgb : JpegColour::ycc;
        return rgb_ids_ ? JpegColour::rgb : JpegColour::ycc;
    }

    ByteView file_;
    std::size_t at_ = 0;
    JpegHeader header_;
    bool frame_seen_ = false;
    bool jfif_ = false;
    bool rgb_ids_ = false;
    int adobe_transform_ = -1;
};

}  // namespace

Result<JpegHeader> read_jpeg_header(ByteView file) {
    return MarkerWalker(file).run();
}

}  // namespace fiducial::dicom::impl
