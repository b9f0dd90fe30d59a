#include "dicom/impl/tokenizer.hpp"

#include <algorithm>

namespace fiducial::dicom::impl {
namespace {

constexpr std::size_t kMaxElements = 100'000;  // top level
constexpr std::size_t kMaxWarnings = 50;

constexpr std::string_view kShortVrs = "AE AS AT CS DA DS DT FL FD IS LO LT PN SH SL SS ST TM UI UL US ";
constexpr std::string_view kLongVrs = "OB OD OF OL OV OW SQ SV UC UN UR UT UV ";

bool listed(std::string_view list, std::string_view vr) {
    for (std::size_t i = 0; i < list.size(); i += 3) {
        if (list.substr(i, 2) == vr) return true;
    }
    return false;
}

bool is_pixel_tag(Tag tag) {
    return tag == tags::kFloatPixelData || tag == tags::kDoubleFloatPixelData || tag == tags::kPixelData;
}

}  // namespace

std::uint16_t read_u16(const std::uint8_t* at, bool big_endian) {
    return static_cast<std::uint16_t>(big_endian ? (at[0] << 8) | at[1] : (at[1] << 8) | at[0]);
}
std::uint32_t read_u32(const std::uint8_t* at, bool big_endian) {
    const std::uint32_t a = read_u16(at, big_endian), b = read_u16(at + 2, big_endian);
    return big_endian ? (a << 16) | b : (b << 16) | a;
}

bool is_known_vr(Vr vr) {
    return listed(kShortVrs, vr.view()) || listed(kLongVrs, vr.view());
}

bool has_short_length(Vr vr) {
    return listed(kShortVrs, vr.view());
}

Result<std::uint8_t> head_size(ByteView first8, Encoding encoding) {
    if (!encoding.explicit_vr) return std::uint8_t{8};
    if (read_u16(first8.data(), encoding.big_endian) == 0xfffe) return std::uint8_t{8};  // items and delimiters have no VR
    const Vr vr{{static_cast<char>(first8[4]), static_cast<char>(first8[5])}};
    const auto capital = [](char c) { return c >= 'A' && c <= 'Z'; };
    if (!capital(vr.text[0]) || !capital(vr.text[1])) return fail(ErrorCode::malformed, "no value representation");
    return has_short_length(vr) ? std::uint8_t{8} : std::uint8_t{12};
}

ElementHead read_head(ByteView head, Encoding encoding) {
    const bool be = encoding.big_endian;
    ElementHead out;
    out.size = static_cast<std::uint8_t>(head.size());
    out.tag = make_tag(read_u16(head.data(), be), read_u16(head.data() + 2, be));
    if (group_of(out.tag) == 0xfffe) {
        out.vr = Vr::of("na");
        out.length = read_u32(head.data() + 4, be);
    } else if (!encoding.explicit_vr) {
        out.vr = standard_vr(out.tag);
        out.length = read_u32(head.data() + 4, be);
    } else {
        out.vr = Vr{{static_cast<char>(head[4]), static_cast<char>(head[5])}};
        out.length = head.size() == 12 ? read_u32(head.data() + 8, be) : read_u16(head.data() + 6, be);
    }
    return out;
}

tl::unexpected<Error> Tokenizer::malformed(std::string what) const {
    return fail(ErrorCode::malformed, std::move(what) + " at offset " + std::to_string(head_offset_) + " of the data set");
}

void Tokenizer::warn(std::string what) {
    if (warnings_.size() < kMaxWarnings) warnings_.push_back(std::move(what));
}

ByteView Tokenizer::value_of(const TopElement& element) const {
    if (element.kept == kNotKept || element.length > kept_.size() - element.kept) return {};
    return ByteView(kept_).subspan(element.kept, static_cast<std::size_t>(element.length));
}

Result<void> Tokenizer::keep(ByteView bytes) {
    used_ += bytes.size();
    if (used_ > limits_.header_bytes) {
        return fail(ErrorCode::limit_exceeded,
                    "attributes beside the pixel data are larger than " + std::to_string(limits_.header_bytes) + " bytes");
    }
    append(kept_, bytes);
    return {};
}

Result<void> Tokenizer::feed(ByteView bytes) {
    while (!bytes.empty()) {
        if (trailing_zeros_) {
            if (std::any_of(bytes.begin(), bytes.end(), [](std::uint8_t b) { return b != 0; }))
                return malformed("something follows the zeros that begin");
            offset_ += bytes.size();
            return {};
        }
        if (value_left_ > 0) {
            const auto part = bytes.first(static_cast<std::size_t>(std::min<std::uint64_t>(value_left_, bytes.size())));
            FID_CHECK(take_value(part));
            value_left_ -= part.size();
            offset_ += part.size();
            bytes = bytes.subspan(part.size());
            continue;
        }
        if (head_have_ == 0) head_offset_ = offset_;
        const std::size_t wanted = (head_need_ == 0 ? 8u : head_need_) - head_have_;
        const auto part = bytes.first(std::min(wanted, bytes.size()));
        std::copy(part.begin(), part.end(), head_.begin() + head_have_);
        head_have_ = static_cast<std::uint8_t>(head_have_ + part.size());
        offset_ += part.size();
        bytes = bytes.subspan(part.size());
        if (head_need_ == 0 && head_have_ == 8) {
            if (frames_.empty() && std::all_of(head_.begin(), head_.begin() + 8, [](std::uint8_t b) { return b == 0; })) {
                trailing_zeros_ = true;
                warn("zeros follow the data set");
                continue;
            }
            auto need = head_size(ByteView(head_).first(8), current());
            if (!need) return malformed("no element begins");
            head_need_ = *need;
        }
        if (head_need_ != 0 && head_have_ == head_need_) {
            const auto head = read_head(ByteView(head_).first(head_need_), current());
            head_have_ = head_need_ = 0;
            FID_CHECK(head_complete(head));
        }
    }
    return {};
}

Result<void> Tokenizer::take_value(ByteView bytes) {
    if (target_ == Target::pixel) pixel_hash_.update(bytes);
    if (target_ == Target::keep) return keep(bytes);
    return {};
}

Result<void> Tokenizer::head_complete(const ElementHead& head) {
    return frames_.empty() ? top_element(head) : in_container(head);
}

Result<void> Tokenizer::top_element(const ElementHead& head) {
    if (group_of(head.tag) == 0xfffe) return malformed("an item or delimiter outside of a sequence");
    if (group_of(head.tag) == 0 || group_of(head.tag) == 2)
        return malformed("an element of group " + tag_text(head.tag).substr(0, 4) + ", which a data set cannot hold,");
    if (elements_.size() >= kMaxElements) return fail(ErrorCode::limit_exceeded, "more than " + std::to_string(kMaxElements) + " elements");
    if (!is_known_vr(head.vr) && head.vr.text[0] >= 'A' && head.vr.text[0] <= 'Z')
        warn(tag_name(head.tag) + " has a value representation that is not known");
    if (!elements_.empty() && head.tag < last_tag_) warn(tag_name(head.tag) + " stands out of order");
    if (head.length != kUndefinedLength && (head.length & 1) != 0) warn(tag_name(head.tag) + " has an odd length");
    last_tag_ = std::max(last_tag_, head.tag);
    if (head.tag > tags::kSeriesInstanceUid && identity_passed_ == kNotKept) identity_passed_ = elements_.size();

    TopElement element{head.tag, head.vr, head.length == kUndefinedLength, offset_, 0, kNotKept};
    used_ += 16;
    if (is_pixel_tag(head.tag)) {
        if (pixel_ != kNotKept) return malformed("a second pixel data element");
        pixel_ = elements_.size();
        target_ = Target::pixel;
    } else if (!element.undefined_length && head.length > limits_.bulk_threshold && !(head.vr == "SQ")) {
        target_ = Target::skip;
    } else {
        target_ = Target::keep;
        element.kept = kept_.size();
    }
    element.length = element.undefined_length ? 0 : head.length;
    elements_.push_back(element);
    if (!element.undefined_length) {
        value_left_ = head.length;
        return {};
    }
    if (target_ == Target::pixel) return push(FrameKind::fragments, encoding_, head);
    return nested_undefined(head, encoding_);
}

// An element of undefined length: which container does it open?
Result<void> Tokenizer::nested_undefined(const ElementHead& head, Encoding here) {
    if (head.vr == "SQ") return push(FrameKind::sequence, here, head);
    // Spec: PS3.5 §6.2.2 note: UN of undefined length is a sequence in Implicit VR Little Endian.
    if (head.vr == "UN") return push(FrameKind::sequence, here.explicit_vr ? Encoding{false, false} : here, head);
    if (head.vr == "OB" || head.vr == "OW" || head.vr == "ox") return push(FrameKind::fragments, here, head);
    return malformed(tag_name(head.tag) + " with a length that is not defined");
}

Result<void> Tokenizer::push(FrameKind kind, Encoding encoding, const ElementHead& head) {
    if (frames_.size() >= std::size_t{limits_.depth} * 2) {
        return fail(ErrorCode::limit_exceeded,
                    tag_name(head.tag) + " is nested deeper than " + std::to_string(limits_.depth) + " sequences");
    }
    frames_.push_back({kind, encoding});
    return {};
}

Result<void> Tokenizer::in_container(const ElementHead& head) {
    const Frame frame = frames_.back();
    const bool closes = frame.kind == FrameKind::item ? head.tag == kItemDelimiter : head.tag == kSequenceDelimiter;
    if (closes && head.length != 0) warn("a delimiter with a length");
    const bool last = closes && frames_.size() == 1;
    if (!last) {  // the delimiter that ends a top-level value is not a part of it
        const auto bytes = ByteView(head_).first(head.size);
        if (target_ == Target::pixel) pixel_hash_.update(bytes);
        if (target_ == Target::keep) FID_CHECK(keep(bytes));
    }
    if (closes) return close_container();

    if (frame.kind == FrameKind::item) {
        if (group_of(head.tag) == 0xfffe) return malformed("an item or delimiter that does not belong here");
        if (head.length == kUndefinedLength) return nested_undefined(head, frame.encoding);
        value_left_ = head.length;
        return {};
    }
    if (head.tag != kItem) return malformed("no item, but " + tag_name(head.tag) + " in a sequence");
    if (frame.kind == FrameKind::sequence && head.length == kUndefinedLength) return push(FrameKind::item, frame.encoding, head);
    if (head.length == kUndefinedLength) return malformed("a fragment with a length that is not defined");
    value_left_ = head.length;
    return {};
}

Result<void> Tokenizer::close_container() {
    frames_.pop_back();
    if (!frames_.empty()) return {};
    auto& element = elements_.back();
    element.length = head_offset_ - element.offset;
    return {};
}

Result<void> Tokenizer::finish() {
    if (trailing_zeros_) return {};
    const auto at = "the input ends at offset " + std::to_string(offset_) + " of the data set, ";
    if (head_have_ != 0) {
        // In big endian a tag may begin with zeros: there they could be a cut.
        const bool zeros = frames_.empty() && !encoding_.big_endian &&
                           std::all_of(head_.begin(), head_.begin() + head_have_, [](std::uint8_t b) { return b == 0; });
        if (!zeros) return fail(ErrorCode::malformed, at + "inside the head of an element");
        warn("zeros follow the data set");
    }
    const auto where = elements_.empty() ? std::string("an element") : tag_name(elements_.back().tag);
    if (value_left_ != 0) return fail(ErrorCode::malformed, at + std::to_string(value_left_) + " bytes before the end of " + where);
    if (!frames_.empty()) return fail(ErrorCode::malformed, at + "before the delimiter that ends " + where);
    if (elements_.empty()) return fail(ErrorCode::malformed, "the data set is empty");
    return {};
}

}  // namespace fiducial::dicom::impl
