#include "base/utf8.hpp"

namespace fiducial {

std::size_t utf8_sequence(std::string_view text, std::size_t at) {
    const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
    const unsigned char lead = byte(at);
    if (lead < 0x80) return 1;
    const std::size_t length = lead >= 0xc2 && lead < 0xe0 ? 2 : lead >= 0xe0 && lead < 0xf0 ? 3 : lead >= 0xf0 && lead < 0xf5 ? 4 : 0;
    if (length == 0 || at + length > text.size()) return 0;
    for (std::size_t i = 1; i < length; ++i) {
        if ((byte(at + i) & 0xc0) != 0x80) return 0;
    }
    const unsigned char second = byte(at + 1);
    if ((lead == 0xe0 && second < 0xa0) || (lead == 0xed && second > 0x9f) || (lead == 0xf0 && second < 0x90) ||
        (lead == 0xf4 && second > 0x8f))
        return 0;
    return length;
}

bool is_utf8(std::string_view text) {
    for (std::size_t at = 0; at < text.size();) {
        const auto length = utf8_sequence(text, at);
        if (length == 0) return false;
        at += length;
    }
    return true;
}

std::string readable(std::string_view bytes, std::size_t max_bytes) {
    static constexpr char kHex[] = "0123456789abcdef";
    std::string out;
    for (std::size_t at = 0; at < bytes.size();) {
        const auto length = utf8_sequence(bytes, at);
        const auto byte = static_cast<unsigned char>(bytes[at]);
        const bool escaped = length == 0 || byte < 0x20 || byte == 0x7f;
        if ((escaped ? 4 : length) > max_bytes - out.size()) break;
        if (escaped) {
            out += "\\x";
            out += kHex[byte >> 4];
            out += kHex[byte & 15];
            at += 1;
        } else {
            out += bytes.substr(at, length);
            at += length;
        }
    }
    return out;
}

}  // namespace fiducial
