#include "evidence/part10.hpp"

#include <optional>

namespace fiducial::evidence {

namespace {

constexpr std::size_t kPreamble = 128;

std::uint16_t u16le(ByteView bytes, std::size_t at) {
    return static_cast<std::uint16_t>(bytes[at] | bytes[at + 1] << 8);
}
std::uint32_t u32le(ByteView bytes, std::size_t at) {
    return static_cast<std::uint32_t>(u16le(bytes, at)) | static_cast<std::uint32_t>(u16le(bytes, at + 2)) << 16;
}

bool has_long_length(std::string_view vr) {  // PS3.5 §7.1.2
    for (std::string_view known : {"OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV"}) {
        if (vr == known) return true;
    }
    return false;
}

}  // namespace

Result<Part10Split> split_part10(ByteView head) {
    Part10Split out;
    const bool has_magic = head.size() >= kPreamble + 4 && as_text(head.subspan(kPreamble, 4)) == "DICM";
    const bool has_group = head.size() >= 8 && u16le(head, 0) == 0x0002;  // no data set begins so: the preamble is missing
    if (!has_magic && !has_group) return out;
    out.has_prefix = true;
    std::size_t at = has_magic ? kPreamble + 4 : 0;
    const auto bad = [&](std::string_view what) {
        return fail(ErrorCode::malformed, "DICOM file meta information: " + std::string(what) + " at byte " + std::to_string(at));
    };
    int last = -1;
    while (true) {
        if (at == head.size()) break;  // no data set follows; its size of 0 is refused where it is hashed
        if (head.size() - at < 8) return bad("an element is cut off");
        if (u16le(head, at) != 0x0002) break;
        const std::uint16_t element = u16le(head, at + 2);
        if (element <= last) return bad("an element is there twice, or out of order");
        last = element;
        std::uint64_t length = 0;
        std::size_t header = 8;
        if (has_long_length(as_text(head.subspan(at + 4, 2)))) {
            if (head.size() - at < 12) return bad("an element is cut off");
            header = 12;
            length = u32le(head, at + 8);
        } else {
            length = u16le(head, at + 6);
        }
        if (length > head.size() - at - header) return bad("an element is longer than what is left of the first MiB");
        if (element == 0x0010) {
            auto value = as_text(head.subspan(at + header, static_cast<std::size_t>(length)));
            while (!value.empty() && (value.back() == '\0' || value.back() == ' ')) value.remove_suffix(1);
            if (value.size() > 64 || value.find_first_not_of("0123456789.") != std::string_view::npos)
                return bad("a Transfer Syntax UID that is none");
            out.transfer_syntax_uid = value;
        }
        at += header + static_cast<std::size_t>(length);
    }
    out.data_set_offset = at;
    return out;
}

}  // namespace fiducial::evidence
