#include "dicom/impl/data_set_converter.hpp"

#include <algorithm>
#include <charconv>
#include <limits>

#include "dicom/attributes.hpp"
#include "dicom/impl/frame_encoder.hpp"
#include "dicom/impl/text.hpp"

namespace fiducial::dicom::impl {
namespace {

constexpr std::uint64_t kOpen = std::numeric_limits<std::uint64_t>::max();
constexpr std::size_t kMostLevels = 64;
constexpr std::size_t kMostHeld = 16u << 20;
constexpr std::size_t kMostGathered = 16u << 20;
constexpr std::size_t kMostLayoutValue = 64;

constexpr Tag kSamples = 0x00280002, kPhotometric = 0x00280004, kPlanar = 0x00280006, kBitsAllocated = 0x00280100, kBitsStored = 0x00280101,
              kHighBit = 0x00280102, kRepresentation = 0x00280103, kExtendedOffsets = 0x7fe00001, kExtendedLengths = 0x7fe00002,
              kEncapsulatedLength = 0x7fe00003;

bool is_layout(Tag tag) {
    constexpr Tag kLayout[] = {kSamples,       kPhotometric, kPlanar,  tags::kNumberOfFrames, tags::kRows, tags::kColumns,
                               kBitsAllocated, kBitsStored,  kHighBit, kRepresentation};
    return std::find(std::begin(kLayout), std::end(kLayout), tag) != std::end(kLayout);
}

/// Of what becomes wrong when frames are decoded.
bool is_of_fragments(Tag tag) {
    return tag == kExtendedOffsets || tag == kExtendedLengths || tag == kEncapsulatedLength;
}

/// Spec: PS3.5 §7.3: what is turned round where the byte order changes.
std::size_t number_bytes(Vr vr) {
    struct Width {
        std::string_view vr;
        std::size_t bytes;
    };
    constexpr Width kWidths[] = {{"US", 2}, {"SS", 2}, {"OW", 2}, {"AT", 2}, {"UL", 4}, {"SL", 4}, {"FL", 4},
                                 {"OL", 4}, {"OF", 4}, {"FD", 8}, {"OD", 8}, {"OV", 8}, {"SV", 8}, {"UV", 8}};
    for (const auto& row : kWidths) {
        if (vr == row.vr) return row.bytes;
    }
    return 1;
}

std::uint8_t padding_of(Vr vr) {
    constexpr std::string_view kText = "AE AS CS DA DS DT IS LO LT PN SH ST TM UC UR UT ";
    return kText.find(vr.view()) != std::string_view::npos ? ' ' : '\0';
}

void put_u16(Bytes& out, std::uint32_t value) {
    out.push_back(static_cast<std::uint8_t>(value));
    out.push_back(static_cast<std::uint8_t>(value >> 8));
}
void put_u32(Bytes& out, std::uint32_t value) {
    put_u16(out, value);
    put_u16(out, value >> 16);
}

}  // namespace

DataSetConverter::DataSetConverter(const TransferSyntax& from, const TransferSyntax& to) : from_(from) {
    FID_INVARIANT(!to.big_endian && !to.deflated && (!to.encapsulated || is_encoded(to.uid)), "data sets are not converted to that");
    if (to.encapsulated) encoding_ = to.uid;
    Level top;
    top.from = {from.explicit_vr, from.big_endian};
    top.to = {to.explicit_vr, false};
    top.end = kOpen;
    levels_.push_back(std::move(top));
}

tl::unexpected<Error> DataSetConverter::malformed(std::string what) const {
    return fail(ErrorCode::malformed, std::move(what) + " before offset " + std::to_string(offset_) + " of the data set");
}

/// Where a level's bytes go: to what is held of it or of the nearest level around it, else out.
Bytes& DataSetConverter::sink(std::size_t level) {
    for (auto i = level + 1; i > 0; --i) {
        if (levels_[i - 1].is_held) return levels_[i - 1].held;
    }
    return *out_;
}

void DataSetConverter::put_head(Bytes& out, Encoding to, Tag tag, Vr vr, std::uint32_t length) const {
    put_u16(out, group_of(tag));
    put_u16(out, element_of(tag));
    if (!to.explicit_vr || group_of(tag) == 0xfffe) return put_u32(out, length);
    if (has_short_length(vr) && length > 0xffff) vr = Vr::of("UN");  // PS3.5 §6.2.2
    append(out, as_bytes(vr.view()));
    if (has_short_length(vr)) return put_u16(out, length);
    put_u16(out, 0);
    put_u32(out, length);
}

void DataSetConverter::put_element(Bytes& out, Encoding to, Tag tag, Vr vr, ByteView value) const {
    put_head(out, to, tag, vr, static_cast<std::uint32_t>(value.size() + value.size() % 2));
    append(out, value);
    if (value.size() % 2 != 0) out.push_back(padding_of(vr));
}

Result<std::size_t> DataSetConverter::feed(ByteView bytes, Bytes& out) {
    out_ = &out;
    frame_made_ = false;
    const auto size = bytes.size();
    while (!bytes.empty() && !frame_made_) {
        std::size_t taken = bytes.size();
        if (value_left_ > 0) {
            taken = static_cast<std::size_t>(std::min<std::uint64_t>(value_left_, bytes.size()));
            if (target_ == Target::encode) taken = static_cast<std::size_t>(std::min<std::uint64_t>(taken, encoded_->wanted()));
            FID_CHECK(take_value(bytes.first(taken)));
            value_left_ -= taken;
            offset_ += taken;
            if (value_left_ == 0) FID_CHECK(end_value());
        } else if (!trailing_zeros_) {
            if (head_have_ == 0) FID_CHECK(close_full_levels());
            taken = std::min<std::size_t>((head_need_ == 0 ? 8u : head_need_) - head_have_, bytes.size());
            std::copy_n(bytes.begin(), taken, head_.begin() + head_have_);
            head_have_ = static_cast<std::uint8_t>(head_have_ + taken);
            offset_ += taken;
            if (head_need_ == 0 && head_have_ == 8) {
                trailing_zeros_ =
                    levels_.size() == 1 && std::all_of(head_.begin(), head_.begin() + 8, [](std::uint8_t b) { return b == 0; });
                const auto need = head_size(ByteView(head_).first(8), levels_.back().from);
                if (!need && !trailing_zeros_) return malformed("no element begins");
                head_need_ = trailing_zeros_ ? std::uint8_t{0} : *need;
            }
            if (head_need_ != 0 && head_have_ == head_need_) {
                const auto head = read_head(ByteView(head_).first(head_need_), levels_.back().from);
                head_have_ = head_need_ = 0;
                FID_CHECK(head_complete(head));
            }
        }
        if (auto& held = sink(); &held != out_ && held.size() > kMostHeld)
            return fail(ErrorCode::limit_exceeded, "the description of an image is too long");
        bytes = bytes.subspan(taken);
    }
    return size - bytes.size();
}

Result<void> DataSetConverter::head_complete(const ElementHead& head) {
    const auto& level = levels_.back();
    if (head.length != kUndefinedLength && level.end != kOpen && head.length > level.end - std::min(level.end, offset_))
        return malformed(tag_name(head.tag) + " reaches beyond what it stands in,");
    switch (level.kind) {
        case Kind::sequence: return sequence_item(head);
        case Kind::fragments: return fragment(head);
        case Kind::elements: break;
    }
    if (head.tag == kItemDelimiter && levels_.size() > 1 && level.end == kOpen) return close_level();
    if (group_of(head.tag) == 0xfffe) return malformed("an item or delimiter that does not belong there");
    return element(head);
}

/// What an element's VR is in the output.
Vr DataSetConverter::vr_of(const ElementHead& head, const Level& level) const {
    if (level.from.explicit_vr) return head.vr;
    if (head.vr == "ox" || head.vr == "lt") return Vr::of("OW");
    if (head.vr == "xs") return Vr::of(level.image.is_signed ? "SS" : "US");
    return head.vr;
}

Result<void> DataSetConverter::element(const ElementHead& head) {
    auto& level = levels_.back();
    const auto vr = vr_of(head, level);
    if (levels_.size() == 1 && group_of(head.tag) > 0x0028) release(0, true);
    const bool may_change = from_.encapsulated || encodes(levels_.size() - 1);
    if (may_change && group_of(head.tag) == 0x0028 && !level.is_held && head.tag <= kRepresentation) level.is_held = true;
    if (head.length == kUndefinedLength && head.tag == tags::kPixelData && from_.encapsulated) return pixel_fragments(head);
    const bool is_sequence = vr == "SQ" || head.length == kUndefinedLength;
    return is_sequence ? sequence(head, vr) : value(head, vr);
}

Result<void> DataSetConverter::sequence(const ElementHead& head, Vr vr) {
    if (!(vr == "SQ") && !(vr == "UN")) return malformed(tag_name(head.tag) + " with a length that is not defined");
    const auto& level = levels_.back();
    Level inner;
    inner.kind = Kind::sequence;
    inner.from = level.from;
    inner.to = level.to;
    // Spec: PS3.5 §6.2.2 note: UN of undefined length is a sequence in Implicit VR Little Endian.
    if (vr == "UN" && inner.from.explicit_vr) inner.from = {false, false};
    if (vr == "UN") inner.to = {false, false};
    inner.end = head.length == kUndefinedLength ? kOpen : offset_ + head.length;
    inner.image.is_signed = level.image.is_signed;
    put_head(sink(), level.to, head.tag, vr, kUndefinedLength);
    return push(std::move(inner));
}

Result<void> DataSetConverter::push(Level level) {
    if (levels_.size() == kMostLevels) return fail(ErrorCode::limit_exceeded, "sequences are nested too deep");
    levels_.push_back(std::move(level));
    return {};
}

Result<void> DataSetConverter::sequence_item(const ElementHead& head) {
    const auto& level = levels_.back();
    if (head.tag == kSequenceDelimiter && level.end == kOpen) return close_level();
    if (head.tag != kItem) return malformed("no item, but " + tag_name(head.tag) + " in a sequence");
    Level inner;
    inner.from = level.from;
    inner.to = level.to;
    inner.end = head.length == kUndefinedLength ? kOpen : offset_ + head.length;
    inner.image.is_signed = level.image.is_signed;
    put_head(sink(), level.to, kItem, {}, kUndefinedLength);
    return push(std::move(inner));
}

Result<void> DataSetConverter::close_level() {
    const auto kind = levels_.back().kind;
    if (kind == Kind::fragments) {
        FID_CHECK(native_->finish(sink()));
        native_.reset();
        frame_made_ = true;
        const auto& image = levels_[levels_.size() - 2];
        FID_TRY(const auto bytes, native_frame_bytes(image.image));
        if (encodes(levels_.size() - 2)) {
            put_head(sink(), image.to, kSequenceDelimiter, {}, 0);
        } else if (bytes * image.frames % 2 != 0) {
            sink().push_back(0);
        }
    } else {
        release(levels_.size() - 1, false);
        put_head(sink(), levels_.back().to, kind == Kind::sequence ? kSequenceDelimiter : kItemDelimiter, {}, 0);
    }
    levels_.pop_back();
    return {};
}

Result<void> DataSetConverter::close_full_levels() {
    while (levels_.size() > 1 && levels_.back().end == offset_) FID_CHECK(close_level());
    return {};
}

/// Begins fragments, with an offset table that says nothing. Spec: PS3.5 §A.4
void DataSetConverter::put_fragments_head() {
    put_head(sink(), levels_[0].to, tags::kPixelData, Vr::of("OB"), kUndefinedLength);
    put_head(sink(), levels_[0].to, kItem, {}, 0);
    pixels_given_ = true;
}

/// Native pixel data that is compressed.
Result<void> DataSetConverter::native_pixels(const ElementHead& head, Vr vr) {
    const auto& level = levels_.back();
    FID_TRY(const auto frame_bytes, native_frame_bytes(level.image));
    const auto bytes = level.frames <= head.length / frame_bytes ? level.frames * frame_bytes : std::uint64_t{0};
    if (bytes == 0 || head.length > bytes + bytes % 2) return malformed("pixel data of another length than its header says");
    release(0, true);
    put_fragments_head();
    encoded_.emplace(level.image, level.frames, encoding_, frame_bytes, level.from.big_endian ? number_bytes(vr) : 1);
    target_ = Target::encode;
    value_left_ = head.length;
    return {};
}

/// Spec: PS3.5 §A.4. Pixel data that is decoded: how long it becomes is known from the image's header.
Result<void> DataSetConverter::pixel_fragments(const ElementHead& head) {
    const auto index = levels_.size() - 1;
    const auto image = levels_[index].image;
    const auto frames = levels_[index].frames;
    FID_TRY(const auto frame_bytes, native_frame_bytes(image));
    const auto most = std::numeric_limits<std::uint32_t>::max() - 2;
    if (frames > most / frame_bytes && !encodes(index))
        return fail(ErrorCode::unsupported,
                    "the image is too large for a transfer syntax without compression; its frames can be had one by one");
    release(index, true);
    if (encodes(index)) {
        put_fragments_head();
    } else {
        auto bytes = frames * frame_bytes;
        bytes += bytes % 2;
        put_head(sink(), levels_[index].to, head.tag, Vr::of(image.bits_allocated > 8 ? "OW" : "OB"), static_cast<std::uint32_t>(bytes));
    }
    native_.emplace(image, frames, from_.uid, index == 0 ? std::move(extended_offsets_) : std::vector<std::uint64_t>(),
                    encodes(index) ? encoding_ : std::string_view());
    Level inner;
    inner.kind = Kind::fragments;
    inner.from = levels_[index].from;
    inner.end = kOpen;
    return push(std::move(inner));
}

Result<void> DataSetConverter::fragment(const ElementHead& head) {
    if (head.tag == kSequenceDelimiter) return close_level();
    if (head.tag != kItem || head.length == kUndefinedLength) return malformed("no fragment, but " + tag_name(head.tag) + " in pixel data");
    auto& out = sink();
    const auto had = out.size();
    FID_CHECK(native_->begin_item(head.length, out));
    frame_made_ = out.size() > had;
    target_ = Target::frames;
    value_left_ = head.length;
    return {};
}

Result<void> DataSetConverter::value(const ElementHead& head, Vr vr) {
    auto& level = levels_.back();
    const bool is_pixels = head.tag == tags::kPixelData;
    const bool drops = element_of(head.tag) == 0 || (from_.encapsulated && is_of_fragments(head.tag));
    if (is_pixels && head.length > 0 && from_.encapsulated && levels_.size() == 1) return malformed("pixel data without fragments");
    if (is_pixels && encodes(levels_.size() - 1)) return native_pixels(head, vr);
    if (is_pixels) release(levels_.size() - 1, false);
    tag_ = head.tag;
    vr_ = vr;
    swap_ = level.from.big_endian ? number_bytes(vr) : 1;
    value_left_ = head.length;
    is_odd_ = head.length % 2 != 0;
    gathered_.clear();
    const bool gathers =
        (is_layout(head.tag) && head.length <= kMostLayoutValue) || (drops && head.tag == kExtendedOffsets && levels_.size() == 1);
    if (gathers && head.length > kMostGathered) return fail(ErrorCode::limit_exceeded, "the pixel data's offset table is too long");
    target_ = gathers ? Target::gather : drops ? Target::drop : Target::copy;
    if (target_ == Target::copy) put_head(sink(), level.to, head.tag, vr, head.length + (is_odd_ ? 1 : 0));
    return value_left_ == 0 ? end_value() : Result<void>();
}

Result<void> DataSetConverter::take_value(ByteView bytes) {
    if (target_ == Target::drop) return {};
    if (target_ == Target::frames) return native_->take(bytes);
    if (target_ == Target::encode) {
        FID_TRY(frame_made_, encoded_->take(bytes, sink()));
        return {};
    }
    if (target_ == Target::gather || swap_ > 1) append(gathered_, bytes);
    if (target_ == Target::gather) return {};
    auto& out = sink();
    if (swap_ == 1) {
        append(out, bytes);
        return {};
    }
    const auto whole = turn_round(gathered_, swap_);
    append(out, ByteView(gathered_).first(whole));
    gathered_.erase(gathered_.begin(), gathered_.begin() + static_cast<std::ptrdiff_t>(whole));
    return {};
}

Result<void> DataSetConverter::end_value() {
    if (target_ == Target::gather) {
        end_gathered();
    } else if (target_ == Target::copy) {
        auto& out = sink();
        append(out, gathered_);  // less than a number
        if (is_odd_) out.push_back(padding_of(vr_));
    } else if (target_ == Target::encode) {
        encoded_.reset();
        put_head(sink(), levels_.back().to, kSequenceDelimiter, {}, 0);
    }
    gathered_.clear();
    return {};
}

/// A value that is looked at: of the image's layout, or where frames begin.
void DataSetConverter::end_gathered() {
    auto& level = levels_.back();
    auto& image = level.image;
    turn_round(gathered_, swap_);
    const std::uint32_t number = gathered_.size() >= 2 ? read_u16(gathered_.data(), false) : 0;
    const auto text = trim(as_text(gathered_));
    switch (tag_) {
        case kExtendedOffsets:
            for (std::size_t at = 0; at + 8 <= gathered_.size(); at += 8)
                extended_offsets_.push_back(std::uint64_t{read_u32(gathered_.data() + at + 4, false)} << 32 |
                                            read_u32(gathered_.data() + at, false));
            return;
        case kSamples: image.samples = number; break;
        case tags::kRows: image.rows = number; break;
        case tags::kColumns: image.columns = number; break;
        case kBitsAllocated:
            image.bits_allocated = image.bits_stored = number;
            image.high_bit = number - 1;
            break;
        case kBitsStored:
            image.bits_stored = number;
            image.high_bit = number - 1;
            break;
        case kHighBit: image.high_bit = number; break;
        case kRepresentation: image.is_signed = number == 1; break;
        case kPhotometric: image.photometric = text; break;
        case kPlanar: image.is_planar = number == 1; break;
        default: {  // Number of Frames
            std::uint64_t frames = 0;
            std::from_chars(text.data(), text.data() + text.size(), frames);
            level.frames = std::max<std::uint64_t>(frames, 1);
        }
    }
    if (level.is_held && (tag_ == kPhotometric || tag_ == kPlanar)) {
        (tag_ == kPhotometric ? level.photometric_at : level.planar_at) = level.held.size();
        return;
    }
    put_element(sink(), level.to, tag_, vr_, gathered_);
}

/// Lets go what is held of a level, once it is clear whether its pixel data is decoded.
void DataSetConverter::release(std::size_t index, bool decoded) {
    auto& level = levels_[index];
    if (!level.is_held) return;
    level.is_held = false;
    auto held = ByteView(level.held);
    auto& out = sink(index);
    std::size_t at = 0;
    const auto up_to = [&](std::size_t end) {
        append(out, held.subspan(at, end - at));
        at = end;
    };
    const auto put_photometric = [&] {
        if (!level.photometric_at) return;
        up_to(*level.photometric_at);
        auto photometric = decoded ? native_photometric(level.image, from_.uid) : level.image.photometric;
        if (decoded && encodes(index)) photometric = encoded_photometric(photometric, encoding_);
        put_element(out, level.to, kPhotometric, Vr::of("CS"), as_bytes(photometric));
    };
    const auto put_planar = [&] {
        if (!level.planar_at) return;
        up_to(*level.planar_at);
        const std::uint8_t planar[] = {static_cast<std::uint8_t>(!decoded && level.image.is_planar ? 1 : 0), 0};
        put_element(out, level.to, kPlanar, Vr::of("US"), planar);
    };
    // Where they stand the wrong way round, they stay so.
    const bool planar_first = level.photometric_at && level.planar_at && *level.planar_at < *level.photometric_at;
    if (planar_first) put_planar();
    put_photometric();
    if (!planar_first) put_planar();
    up_to(held.size());
    level.held = {};
    level.photometric_at.reset();
    level.planar_at.reset();
}

Result<void> DataSetConverter::finish(Bytes& out) {
    out_ = &out;
    if (trailing_zeros_) head_have_ = 0;
    FID_CHECK(close_full_levels());
    const bool zeros = levels_.size() == 1 && std::all_of(head_.begin(), head_.begin() + head_have_, [](std::uint8_t b) { return b == 0; });
    if (value_left_ != 0 || levels_.size() != 1 || (head_have_ != 0 && !zeros)) return malformed("the data set ends");
    if (!encoding_.empty() && !pixels_given_)
        return fail(ErrorCode::unsupported, "the instance has no pixel data that could be compressed");
    release(0, false);
    return {};
}

}  // namespace fiducial::dicom::impl
