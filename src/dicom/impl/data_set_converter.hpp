#pragma once
#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include "base/bytes.hpp"
#include "dicom/impl/native_frames.hpp"
#include "dicom/impl/tokenizer.hpp"
#include "dicom/transfer_syntax.hpp"

namespace fiducial::dicom::impl {

/// Writes a data set in another encoding while it streams by: VRs and byte order, pixel data decoded frame by frame (also of icons), and
/// compressed (but not of icons) where the other encoding wants that.
/// Sequences and items come out with undefined lengths, so that nothing has to be known before it was read. Group lengths and Extended
/// Offset Tables, which would be wrong, are left out; odd lengths made even.
/// Spec:     PS3.5 §7, §8, Annex A
/// Requires: `from` is not deflated (or inflated before), `to` is Explicit or Implicit VR Little Endian, or is_encoded().
/// Errors:   malformed, limit_exceeded, unsupported; what was written before is of no use then.
class DataSetConverter {
public:
    DataSetConverter(const TransferSyntax& from, const TransferSyntax& to);

    /// Takes bytes, split anywhere, and appends what becomes of them. Returns: how many were taken; fewer once a frame was decoded.
    Result<std::size_t> feed(ByteView bytes, Bytes& out);
    Result<void> finish(Bytes& out);

private:
    enum class Kind : std::uint8_t { elements, sequence, fragments };
    enum class Target : std::uint8_t { copy, gather, drop, frames, encode };

    /// The data set, a sequence, an item, or pixel data.
    struct Level {
        Kind kind = Kind::elements;
        Encoding from, to;
        std::uint64_t end = 0;  // in the input; kOpen where a delimiter tells
        // Of elements: what they say of an image, and those that wait until it is clear how that image comes out.
        PixelDescription image;
        std::uint64_t frames = 1;
        bool is_held = false;
        Bytes held;
        std::optional<std::size_t> photometric_at, planar_at;  // in held, where they belong
    };

    Result<void> head_complete(const ElementHead& head);
    Result<void> element(const ElementHead& head);
    Result<void> value(const ElementHead& head, Vr vr);
    Result<void> sequence(const ElementHead& head, Vr vr);
    Result<void> sequence_item(const ElementHead& head);
    Result<void> pixel_fragments(const ElementHead& head);
    Result<void> native_pixels(const ElementHead& head, Vr vr);
    void put_fragments_head();
    /// Whether pixel data that stands in this level is compressed.
    bool encodes(std::size_t level) const { return level == 0 && !encoding_.empty(); }
    Result<void> fragment(const ElementHead& head);
    Result<void> close_level();
    Result<void> close_full_levels();
    Result<void> take_value(ByteView bytes);
    Result<void> end_value();
    void end_gathered();
    void release(std::size_t level, bool decoded);
    Result<void> push(Level level);
    Vr vr_of(const ElementHead& head, const Level& level) const;

    Bytes& sink(std::size_t level);
    Bytes& sink() { return sink(levels_.size() - 1); }
    void put_head(Bytes& out, Encoding to, Tag tag, Vr vr, std::uint32_t length) const;
    void put_element(Bytes& out, Encoding to, Tag tag, Vr vr, ByteView value) const;
    tl::unexpected<Error> malformed(std::string what) const;

    const TransferSyntax& from_;
    std::string_view encoding_;  // how pixel data is compressed; empty: it is not
    Bytes* out_ = nullptr;
    std::vector<Level> levels_;
    std::uint64_t offset_ = 0;  // bytes taken
    std::array<std::uint8_t, 12> head_{};
    std::uint8_t head_have_ = 0, head_need_ = 0;  // need 0: not known yet
    bool trailing_zeros_ = false;
    bool frame_made_ = false;
    bool pixels_given_ = false;  // compressed
    std::size_t elements_ = 0;

    // The value that is being taken.
    Target target_ = Target::copy;
    Tag tag_ = 0;
    Vr vr_;
    std::size_t swap_ = 1;  // bytes of a number that has to be turned round
    std::uint64_t value_left_ = 0;
    bool is_odd_ = false;
    Bytes gathered_;

    std::optional<NativeFrames> native_;
    std::optional<EncodedFrames> encoded_;
    std::vector<std::uint64_t> extended_offsets_;
};

}  // namespace fiducial::dicom::impl
