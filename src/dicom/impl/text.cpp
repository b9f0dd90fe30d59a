#include "dicom/impl/text.hpp"

#include <algorithm>

#include "base/base64.hpp"
#include "base/utf8.hpp"
#include "dicom/impl/character_sets.hpp"

namespace fiducial::dicom::impl {
namespace {

constexpr std::string_view kReplacement = "\xef\xbf\xbd";

bool plain(std::string_view raw) {
    return std::all_of(raw.begin(), raw.end(), [](char c) { return static_cast<unsigned char>(c) < 0x80 && c != 0x1b; });
}

// Keeps what is UTF-8, replaces the rest.
std::string repaired_utf8(std::string_view raw) {
    std::string out;
    out.reserve(raw.size());
    for (std::size_t at = 0; at < raw.size();) {
        const auto length = utf8_sequence(raw, at);
        if (length == 0) {
            out += kReplacement;
            ++at;
        } else {
            out.append(raw.substr(at, length));
            at += length;
        }
    }
    return out;
}

std::string from_latin1(std::string_view raw) {
    std::string out;
    for (const char c : raw) {
        const auto byte = static_cast<unsigned char>(c);
        if (byte < 0x80) {
            out += c;
        } else {
            out += static_cast<char>(0xc0 | (byte >> 6));
            out += static_cast<char>(0x80 | (byte & 0x3f));
        }
    }
    return out;
}

// What switches back to the first character set.
std::string_view delimiters_of(TextKind kind) {
    return kind == TextKind::person_names ? "\\^=" : kind == TextKind::multi_valued ? "\\" : "";
}

}  // namespace

std::optional<std::string> from_utf8(std::string_view text, std::string_view character_set, TextKind kind) {
    if (plain(text)) return std::string(text);
    return encode_text(text, character_set, delimiters_of(kind));
}

Converted to_utf8(std::string_view raw, std::string_view character_set, TextKind kind) {
    if (plain(raw)) return {std::string(raw), TextDefect::none};
    if (character_set.empty() || character_set == "ISO_IR 6") {
        if (is_utf8(raw) && raw.find('\x1b') == std::string_view::npos) return {std::string(raw), TextDefect::not_declared};
        return {from_latin1(raw), TextDefect::not_declared};
    }
    if (character_set == "ISO_IR 192") {
        if (is_utf8(raw)) return {std::string(raw), TextDefect::none};
        return {repaired_utf8(raw), TextDefect::not_convertible};
    }
    auto decoded = decode_text(raw, character_set, delimiters_of(kind));
    if (!decoded.known && is_utf8(raw)) return {std::string(raw), TextDefect::unknown_character_set};
    if (!is_utf8(decoded.text)) return {repaired_utf8(decoded.text), TextDefect::not_convertible};
    return {std::move(decoded.text), !decoded.known     ? TextDefect::unknown_character_set
                                     : decoded.complete ? TextDefect::none
                                                        : TextDefect::not_convertible};
}

std::string_view trim(std::string_view text, bool keep_leading_spaces) {
    while (!text.empty() && (text.back() == ' ' || text.back() == '\0')) text.remove_suffix(1);
    while (!keep_leading_spaces && !text.empty() && text.front() == ' ') text.remove_prefix(1);
    return text;
}

std::vector<std::string> split_values(std::string_view text, bool keep_leading_spaces) {
    std::vector<std::string> values;
    if (trim(text, keep_leading_spaces).empty()) return values;
    for (;;) {
        const auto end = text.find('\\');
        values.emplace_back(trim(text.substr(0, end), keep_leading_spaces));
        if (end == std::string_view::npos) return values;
        text.remove_prefix(end + 1);
    }
}

void append_json_string(std::string& out, std::string_view text) {
    static constexpr char kHex[] = "0123456789abcdef";
    out += '"';
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        if (c == '"' || c == '\\') {
            out += '\\';
            out += c;
        } else if (byte >= 0x20 && byte != 0x7f) {
            out += c;
        } else if (c == '\n') {
            out += "\\n";
        } else if (c == '\r') {
            out += "\\r";
        } else if (c == '\t') {
            out += "\\t";
        } else {
            out += "\\u00";
            out += kHex[byte >> 4];
            out += kHex[byte & 15];
        }
    }
    out += '"';
}

void append_base64(std::string& out, ByteView bytes) {
    out += to_base64(bytes);
}

Result<Bytes> decode_base64(std::string_view text) {
    Bytes out;
    std::uint32_t bits = 0;
    unsigned count = 0;
    for (const char c : text) {
        if (c == '=') break;
        constexpr std::string_view kDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        const auto digit = kDigits.find(c);
        if (digit == std::string_view::npos) return fail(ErrorCode::malformed, "an inline value that is not base64");
        bits = bits << 6 | static_cast<std::uint32_t>(digit);
        count += 6;
        if (count < 8) continue;
        count -= 8;
        out.push_back(static_cast<std::uint8_t>(bits >> count));
    }
    return out;
}

}  // namespace fiducial::dicom::impl
