#include "dicom/impl/prefix.hpp"

#include <algorithm>

#include "base/identifiers.hpp"
#include "dicom/impl/text.hpp"
#include "dicom/impl/tokenizer.hpp"

namespace fiducial::dicom::impl {
namespace {

constexpr std::size_t kPreamble = 128;
constexpr std::size_t kMaxMeta = 1u << 20;

// A first element of (0002,0000) to (0002,0016) in Explicit VR Little Endian.
bool begins_with_meta(ByteView file) {
    if (file.size() < 8 || read_u16(file.data(), false) != 2 || read_u16(file.data() + 2, false) > 0x16) return false;
    const auto vr = as_text(file.subspan(4, 2));
    return vr == "UL" || vr == "OB" || vr == "UI";
}

}  // namespace

const TransferSyntax* recognise_data_set(ByteView first8) {
    if (first8.size() < 8) return nullptr;
    for (const bool big_endian : {false, true}) {
        if (read_u16(first8.data(), big_endian) != 8 || read_u16(first8.data() + 2, big_endian) > 0x18) continue;
        const Vr vr{{static_cast<char>(first8[4]), static_cast<char>(first8[5])}};
        if (is_known_vr(vr)) return find_transfer_syntax(big_endian ? "1.2.840.10008.1.2.2" : kExplicitVrLittleEndian);
        if (!big_endian && read_u32(first8.data() + 4, false) <= 256) return find_transfer_syntax(kImplicitVrLittleEndian);
    }
    return nullptr;
}

Result<bool> PrefixReader::find_start(ByteView file, bool at_end) {
    const bool has_magic = file.size() >= kPreamble + 4 && as_text(file.subspan(kPreamble, 4)) == "DICM";
    if (!has_magic && file.size() < kPreamble + 4 && !at_end) return false;
    if (file.empty()) return fail(ErrorCode::malformed, "the input is empty");
    if (has_magic) {
        at_ = kPreamble + 4;
        step_ = Step::meta;
    } else if (begins_with_meta(file)) {
        warnings_.emplace_back("the file has no preamble");
        step_ = Step::meta;
    } else if (recognise_data_set(file) != nullptr) {
        warnings_.emplace_back("the file has neither preamble nor group 0002");
        step_ = Step::data_set;
    } else {
        return fail(ErrorCode::malformed, "this is not DICOM: no \"DICM\" at offset 128 and no data set at offset 0");
    }
    return true;
}

void PrefixReader::meta_element(std::uint16_t element, std::string_view value) {
    if (element == 0x0002) sop_class_ = trim(value);
    if (element == 0x0003) sop_instance_ = trim(value);
    if (element == 0x0010) syntax_ = trim(value);
}

// Returns: false while more is needed.
Result<bool> PrefixReader::walk_meta(ByteView file, bool at_end) {
    constexpr Encoding kMeta{true, false};
    for (;;) {
        const auto rest = file.subspan(at_);
        if (rest.size() < 2 || (rest[0] == 2 && rest[1] == 0 && rest.size() < 8)) {
            if (!at_end) return false;
            if (rest.empty() && meta_seen_) break;
            return fail(ErrorCode::malformed, "the input ends at offset " + std::to_string(file.size()) + " in group 0002");
        }
        if (rest[0] != 2 || rest[1] != 0) {
            break;
        }
        const auto size = head_size(rest.first(8), kMeta);
        if (!size) return fail(ErrorCode::malformed, "group 0002 is not in Explicit VR Little Endian at offset " + std::to_string(at_));
        if (rest.size() >= *size) {
            const auto head = read_head(rest.first(*size), kMeta);
            if (at_ + head.length > kMaxMeta + kPreamble) return fail(ErrorCode::limit_exceeded, "group 0002 is larger than 1 MiB");
            if (rest.size() - *size >= head.length) {
                // What two readers may read differently is not taken: the evidence would speak of one of two images.
                if (element_of(head.tag) <= last_meta_)
                    return fail(ErrorCode::malformed, "group 0002 holds an element twice or out of order at offset " + std::to_string(at_));
                last_meta_ = element_of(head.tag);
                const auto value = rest.subspan(*size, head.length);
                at_ += *size + head.length;
                if (element_of(head.tag) == 0 && head.length == 4) {
                    meta_end_ = at_ + read_u32(value.data(), false);
                } else {
                    meta_element(element_of(head.tag), as_text(value));
                }
                meta_seen_ = true;
                continue;
            }
        }
        if (!at_end) return false;
        return fail(ErrorCode::malformed, "the input ends at offset " + std::to_string(file.size()) + " in group 0002");
    }
    if (!meta_seen_) warnings_.emplace_back("the file has no group 0002");
    if (meta_end_ != 0 && at_ != meta_end_) warnings_.emplace_back("the length of group 0002 is wrong");
    step_ = Step::data_set;
    return true;
}

Result<std::optional<PrefixReader::Found>> PrefixReader::find_syntax(ByteView file, bool at_end) {
    const auto rest = file.subspan(at_);
    if (sop_class_ == kMediaStorageDirectory) return fail(ErrorCode::unsupported, "this is a DICOMDIR, not an instance");
    if (rest.empty() && at_end)
        return fail(ErrorCode::malformed, "the input ends at offset " + std::to_string(file.size()) + ", before the data set");
    if (!syntax_.empty()) {
        const auto* syntax = find_transfer_syntax(syntax_);
        const bool is_uid = Uid::parse(syntax_).has_value();
        if (syntax == nullptr && !is_uid) return fail(ErrorCode::malformed, "the transfer syntax in group 0002 is not a UID");
        if (syntax == nullptr) return fail(ErrorCode::unsupported, "transfer syntax " + syntax_ + " is not known");
        if (rest.empty() && !at_end) return std::optional<Found>{};
        return std::optional<Found>(Found{at_, syntax});
    }
    if (rest.size() < 8 && !at_end) return std::optional<Found>{};
    const auto* syntax = recognise_data_set(rest);
    if (syntax == nullptr)
        return fail(ErrorCode::malformed,
                    "no transfer syntax is given, and the data set at offset " + std::to_string(at_) + " does not show one");
    if (meta_seen_) warnings_.emplace_back("group 0002 names no transfer syntax; the data set shows it");
    return std::optional<Found>(Found{at_, syntax});
}

Result<std::optional<PrefixReader::Found>> PrefixReader::look(ByteView file, bool at_end) {
    if (step_ == Step::start) {
        FID_TRY(const bool known, find_start(file, at_end));
        if (!known) return std::optional<Found>{};
    }
    if (step_ == Step::meta) {
        FID_TRY(const bool walked, walk_meta(file, at_end));
        if (!walked) return std::optional<Found>{};
    }
    return find_syntax(file, at_end);
}

}  // namespace fiducial::dicom::impl
