#pragma once
// Data sets for tests, written without the code under test.
#include <zlib.h>

#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.hpp"
#include "dicom/attributes.hpp"

namespace fiducial::dicom::test {

enum class Form : std::uint8_t { implicit_le, explicit_le, explicit_be };

inline void put(Bytes& out, std::uint64_t value, int width, bool big_endian) {
    for (int i = 0; i < width; ++i) out.push_back(static_cast<std::uint8_t>(value >> (8 * (big_endian ? width - 1 - i : i))));
}

class Builder {
public:
    explicit Builder(Form form) : form_(form) {}

    Builder& head(Tag tag, std::string_view vr, std::uint32_t length) {
        number(group_of(tag), 2).number(element_of(tag), 2);
        if (form_ == Form::implicit_le || group_of(tag) == 0xfffe) return number(length, 4);
        append(out, as_bytes(vr));
        static constexpr std::string_view kLong = "OB OW OF OD OL OV SQ UC UN UR UT SV UV ";
        if (kLong.find(vr) == std::string_view::npos) return number(length, 2);
        return number(0, 2).number(length, 4);
    }
    Builder& text(Tag tag, std::string_view vr, std::string value) {
        if ((value.size() & 1) != 0) value += vr == "UI" ? '\0' : ' ';
        head(tag, vr, static_cast<std::uint32_t>(value.size()));
        append(out, as_bytes(value));
        return *this;
    }
    Builder& us(Tag tag, std::uint16_t value, std::string_view vr = "US") { return head(tag, vr, 2).number(value, 2); }
    Builder& raw(Tag tag, std::string_view vr, ByteView value) {
        head(tag, vr, static_cast<std::uint32_t>(value.size()));
        append(out, value);
        return *this;
    }
    Builder& number(std::uint64_t value, int width) {
        put(out, value, width, form_ == Form::explicit_be);
        return *this;
    }
    Builder& item(std::uint32_t length = 0xffffffff) { return head(0xfffee000, "", length); }
    Builder& end_item() { return head(0xfffee00d, "", 0); }
    Builder& end_sequence() { return head(0xfffee0dd, "", 0); }

    Bytes out;

private:
    Form form_;
};

inline constexpr std::string_view kSop = "1.2.3.4.5", kStudy = "1.2.3.4", kSeries = "1.2.3.4.1";

/// Identity of a test instance, up to (0020,000E).
inline Builder& identity(Builder& b, std::string_view character_set = "", const std::string& name = "Doe^Jane") {
    if (!character_set.empty()) b.text(0x00080005, "CS", std::string(character_set));
    b.text(0x00080016, "UI", "1.2.840.10008.5.1.4.1.1.7").text(0x00080018, "UI", std::string(kSop));
    b.text(0x00100010, "PN", name).text(0x00100020, "LO", " 4711 ");
    return b.text(0x0020000d, "UI", std::string(kStudy)).text(0x0020000e, "UI", std::string(kSeries));
}

/// Group 0002 with preamble.
inline Bytes prefix(std::string_view transfer_syntax) {
    Builder meta(Form::explicit_le);
    meta.text(0x00020010, "UI", std::string(transfer_syntax));
    Builder all(Form::explicit_le);
    all.head(0x00020000, "UL", 4).number(meta.out.size(), 4);
    Bytes out(128, 0);
    append(out, as_bytes("DICM"));
    append(out, all.out);
    append(out, meta.out);
    return out;
}

inline Bytes joined(Bytes a, ByteView b) {
    append(a, b);
    return a;
}

/// Raw deflate stream.
inline Bytes deflated(ByteView bytes) {
    z_stream z{};
    deflateInit2(&z, 9, Z_DEFLATED, -15, 9, Z_DEFAULT_STRATEGY);
    Bytes out(deflateBound(&z, bytes.size()) + 16);
    z.next_in = const_cast<Bytef*>(bytes.data());
    z.avail_in = static_cast<uInt>(bytes.size());
    z.next_out = out.data();
    z.avail_out = static_cast<uInt>(out.size());
    deflate(&z, Z_FINISH);
    const auto left = static_cast<std::ptrdiff_t>(z.avail_out);
    deflateEnd(&z);
    return {out.begin(), out.end() - left};
}

}  // namespace fiducial::dicom::test
