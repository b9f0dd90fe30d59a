#include "dicom/impl/native_frames.hpp"

#include <algorithm>
#include <functional>

#include "dicom/impl/frame_decoder.hpp"
#include "dicom/impl/frame_encoder.hpp"
#include "dicom/impl/tokenizer.hpp"
#include "dicom/rendering.hpp"
#include "dicom/transfer_syntax.hpp"

namespace fiducial::dicom::impl {
namespace {

constexpr std::uint64_t kMostTableBytes = 16u << 20;

bool is_jpeg(std::string_view syntax) {
    return syntax == "1.2.840.10008.1.2.4.50" || syntax == "1.2.840.10008.1.2.4.51" || syntax == "1.2.840.10008.1.2.4.57" ||
           syntax == "1.2.840.10008.1.2.4.70";
}

/// One value, with its sign where it has one and grows.
std::uint32_t widened(std::uint32_t value, const RawFrame& raw) {
    const bool negative = raw.is_signed && (value >> raw.high_bit & 1) != 0;
    return negative && raw.high_bit + 1 < 32 ? value | ~0u << (raw.high_bit + 1) : value;
}

Bytes laid_out(const PixelDescription& image, const RawFrame& raw) {
    const std::size_t pixels = std::size_t{image.rows} * image.columns, samples = image.samples;
    const std::size_t from = raw.sample_bits / 8, to = image.bits_allocated / 8;
    Bytes out(pixels * samples * to);
    auto* put = out.data();
    for (std::size_t pixel = 0; pixel < pixels; ++pixel) {
        for (std::size_t sample = 0; sample < samples; ++sample) {
            const auto* value = raw.values.data() + from * (raw.is_planar ? sample * pixels + pixel : pixel * samples + sample);
            std::uint32_t number = 0;
            for (std::size_t i = 0; i < from; ++i) number |= std::uint32_t{value[i]} << (8 * i);
            if (to > from) number = widened(number, raw);
            for (std::size_t i = 0; i < to; ++i) *put++ = static_cast<std::uint8_t>(number >> (8 * i));
        }
    }
    return out;
}

/// Compresses a frame into a fragment of its own. Spec: PS3.5 table A.4-1
Result<void> put_encoded(const PixelDescription& image, std::string_view encoding, ByteView frame, Bytes& out) {
    FID_TRY(auto encoded, encode_frame(image, encoding, frame));
    if (encoded.size() % 2 != 0) encoded.push_back(0);
    constexpr std::uint8_t kItemTag[] = {0xfe, 0xff, 0x00, 0xe0};
    append(out, kItemTag);
    for (unsigned i = 0; i < 4; ++i) out.push_back(static_cast<std::uint8_t>(encoded.size() >> (8 * i)));
    append(out, encoded);
    return {};
}

}  // namespace

std::size_t turn_round(Bytes& numbers, std::size_t width) {
    const auto whole = numbers.size() / width * width;
    for (std::size_t at = 0; width > 1 && at < whole; at += width)
        std::reverse(numbers.begin() + static_cast<std::ptrdiff_t>(at), numbers.begin() + static_cast<std::ptrdiff_t>(at + width));
    return whole;
}

bool is_decoded(std::string_view transfer_syntax) {
    constexpr std::string_view kOthers[] = {"1.2.840.10008.1.2.5",     "1.2.840.10008.1.2.4.80",  "1.2.840.10008.1.2.4.81",
                                            "1.2.840.10008.1.2.4.90",  "1.2.840.10008.1.2.4.91",  "1.2.840.10008.1.2.4.201",
                                            "1.2.840.10008.1.2.4.202", "1.2.840.10008.1.2.4.203", kEncapsulatedUncompressed,
                                            kDeflatedImageFrame};
    return is_jpeg(transfer_syntax) || std::find(std::begin(kOthers), std::end(kOthers), transfer_syntax) != std::end(kOthers);
}

std::string native_photometric(const PixelDescription& image, std::string_view transfer_syntax) {
    if (image.samples != 3 || !image.photometric.starts_with("YBR_")) return image.photometric;
    const bool by_jpeg_2000 = image.photometric == "YBR_RCT" || image.photometric == "YBR_ICT";
    return is_jpeg(transfer_syntax) || by_jpeg_2000 ? "RGB" : image.photometric;
}

PixelDescription native_description(const PixelDescription& image, std::string_view transfer_syntax) {
    auto native = image;
    native.photometric = native_photometric(image, transfer_syntax);
    native.is_planar = false;
    return native;
}

Result<std::uint64_t> native_frame_bytes(const PixelDescription& image) {
    const auto bits = image.bits_allocated;
    const bool known = image.rows >= 1 && image.columns >= 1 && (image.samples == 1 || image.samples == 3) &&
                       (bits == 8 || bits == 16 || bits == 32) && image.bits_stored >= 1 && image.bits_stored <= bits &&
                       image.high_bit < bits && image.high_bit + 1 >= image.bits_stored;
    if (!known) return fail(ErrorCode::unsupported, "the image's pixels are of a kind that is not decoded");
    if (image.sample_count() > kMostShownSamples) return fail(ErrorCode::limit_exceeded, "a frame of the image is too large to be decoded");
    return image.sample_count() * bits / 8;
}

Result<Bytes> native_frame(const PixelDescription& image, std::string_view transfer_syntax, ByteView frame) {
    FID_CHECK(native_frame_bytes(image));
    FID_TRY(auto raw, decode_frame(image, transfer_syntax, frame));
    if (raw.photometric != native_photometric(image, transfer_syntax) || raw.is_subsampled)
        return fail(ErrorCode::unsupported, "the image's colours are coded in a way that its header does not say");
    if (raw.sample_bits > image.bits_allocated || raw.sample_bits < 8)
        return fail(ErrorCode::malformed, "the image's values are wider than its header says");
    if (raw.sample_bits == image.bits_allocated && !raw.is_planar)
        return raw.decoded.empty() ? to_bytes(raw.values) : std::move(raw.decoded);
    return laid_out(image, raw);
}

NativeFrames::NativeFrames(PixelDescription image, std::uint64_t count, std::string_view transfer_syntax,
                           std::vector<std::uint64_t> extended_offsets, std::string_view encoding)
    : image_(std::move(image)),
      count_(count),
      transfer_syntax_(transfer_syntax),
      encoding_(encoding),
      offsets_(std::move(extended_offsets)) {}

/// A table that does not say where each frame begins says nothing.
void NativeFrames::use_offset_table() {
    if (offsets_.empty()) {
        for (std::size_t at = 0; at + 4 <= gathered_.size(); at += 4) offsets_.push_back(read_u32(gathered_.data() + at, false));
    }
    const bool ascending = std::adjacent_find(offsets_.begin(), offsets_.end(), std::greater_equal<>()) == offsets_.end();
    if (offsets_.size() != count_ || offsets_.front() != 0 || !ascending) offsets_.clear();
    gathered_.clear();
}

bool NativeFrames::begins_frame() const {
    if (items_ == 2 || count_ == 1) return false;  // there is one already
    return offsets_.empty() || (done_ + 1 < offsets_.size() && offsets_[done_ + 1] <= at_);
}

Result<void> NativeFrames::begin_item(std::uint64_t length, Bytes& out) {
    ++items_;
    if (items_ == 1) {
        if (length > kMostTableBytes) return fail(ErrorCode::limit_exceeded, "the pixel data's offset table is too long");
        return {};
    }
    if (items_ == 2) {
        use_offset_table();
    } else {
        at_ = next_;
    }
    next_ = at_ + 8 + length;
    if (begins_frame()) FID_CHECK(end_frame(out));
    // No coding makes a frame twice as large as it is.
    if (gathered_.size() + length > 4 * image_.sample_count() * image_.bits_allocated / 8 + 65'536)
        return fail(ErrorCode::malformed, "a frame's fragments are far too long");
    return {};
}

Result<void> NativeFrames::take(ByteView bytes) {
    append(gathered_, bytes);
    return {};
}

Result<void> NativeFrames::end_frame(Bytes& out) {
    if (done_ == count_) return fail(ErrorCode::malformed, "the pixel data has more frames than its header says");
    FID_TRY(const auto frame, native_frame(image_, transfer_syntax_, gathered_));
    if (encoding_.empty()) {
        append(out, frame);
    } else {
        FID_CHECK(put_encoded(native_description(image_, transfer_syntax_), encoding_, frame, out));
    }
    gathered_.clear();
    ++done_;
    return {};
}

Result<void> NativeFrames::finish(Bytes& out) {
    if (items_ >= 2) FID_CHECK(end_frame(out));
    if (done_ != count_) return fail(ErrorCode::malformed, "the pixel data has fewer frames than its header says");
    return {};
}

EncodedFrames::EncodedFrames(PixelDescription image, std::uint64_t count, std::string_view encoding, std::uint64_t frame_bytes,
                             std::size_t number_bytes)
    : image_(std::move(image)), left_(count), encoding_(encoding), frame_bytes_(frame_bytes), number_bytes_(number_bytes) {}

Result<bool> EncodedFrames::take(ByteView bytes, Bytes& out) {
    if (left_ == 0) return false;
    append(gathered_, bytes);
    if (gathered_.size() < frame_bytes_) return false;
    --left_;
    if (frame_bytes_ % number_bytes_ != 0) return fail(ErrorCode::unsupported, "the image's frames begin within a number");
    turn_round(gathered_, number_bytes_);
    FID_CHECK(put_encoded(image_, encoding_, gathered_, out));
    gathered_.clear();
    return true;
}

}  // namespace fiducial::dicom::impl
