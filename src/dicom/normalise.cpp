// Forms in which names, dates and times are compared.
#include <array>
#include <charconv>

#include "dicom/attributes.hpp"

namespace fiducial::dicom {
namespace {

constexpr char32_t kReplacement = 0xfffd;

// Reads one code point; what is not UTF-8 gives U+FFFD and goes on by a byte.
char32_t next_code_point(std::string_view text, std::size_t& at) {
    const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
    const unsigned char lead = byte(at);
    const int more = lead < 0x80                   ? 0
                     : lead >= 0xc2 && lead < 0xe0 ? 1
                     : lead >= 0xe0 && lead < 0xf0 ? 2
                     : lead >= 0xf0 && lead < 0xf5 ? 3
                                                   : -1;
    if (more < 0 || at + static_cast<std::size_t>(more) >= text.size()) {
        ++at;
        return more == 0 ? lead : kReplacement;
    }
    char32_t value = more == 0 ? lead : lead & (0x3fu >> more);
    for (int i = 1; i <= more; ++i) {
        const unsigned char next = byte(at + static_cast<std::size_t>(i));
        if ((next & 0xc0) != 0x80) {
            ++at;
            return kReplacement;
        }
        value = (value << 6) | (next & 0x3fu);
    }
    at += static_cast<std::size_t>(more) + 1;
    return value;
}

void append_utf8(std::string& out, char32_t c) {
    const auto put = [&](char32_t b) { out += static_cast<char>(static_cast<unsigned char>(b)); };
    if (c < 0x80) {
        put(c);
    } else if (c < 0x800) {
        put(0xc0 | (c >> 6)), put(0x80 | (c & 0x3f));
    } else if (c < 0x10000) {
        put(0xe0 | (c >> 12)), put(0x80 | ((c >> 6) & 0x3f)), put(0x80 | (c & 0x3f));
    } else {
        put(0xf0 | (c >> 18)), put(0x80 | ((c >> 12) & 0x3f)), put(0x80 | ((c >> 6) & 0x3f)), put(0x80 | (c & 0x3f));
    }
}

// U+00C0 to U+00FF and U+0100 to U+017F: the letters under the accents. '.' keeps the letter itself.
constexpr std::string_view kLatin1 = "aaaaaa.ceeeeiiiidnooooo.ouuuuy..aaaaaa.ceeeeiiiidnooooo.ouuuuy.y";
constexpr std::string_view kLatinA =
    "aaaaaaccccccccddddeeeeeeeeeegggggggghhhhiiiiiiiiii..jjkkkllllllllllnnnnnnnnnoooooo..rrrrrrssssssssttttttuuuuuuuuuuuuwwyyyzzzzzzs";
static_assert(kLatin1.size() == 64 && kLatinA.size() == 128);

void fold_greek(std::string& out, char32_t c) {
    switch (c) {
        case 0x386:
        case 0x3ac: c = 0x3b1; break;
        case 0x388:
        case 0x3ad: c = 0x3b5; break;
        case 0x389:
        case 0x3ae: c = 0x3b7; break;
        case 0x38a:
        case 0x390:
        case 0x3aa:
        case 0x3af:
        case 0x3ca: c = 0x3b9; break;
        case 0x38c:
        case 0x3cc: c = 0x3bf; break;
        case 0x38e:
        case 0x3ab:
        case 0x3b0:
        case 0x3cb:
        case 0x3cd: c = 0x3c5; break;
        case 0x38f:
        case 0x3ce: c = 0x3c9; break;
        case 0x3c2: c = 0x3c3; break;
        default:
            if (c >= 0x391 && c <= 0x3a9) c += 0x20;
    }
    append_utf8(out, c);
}

void fold_cyrillic(std::string& out, char32_t c) {
    if (c >= 0x410 && c <= 0x42f) c += 0x20;
    if (c >= 0x400 && c <= 0x40f) c += 0x50;
    if (c == 0x451) c = 0x435;  // ё is commonly written е
    if (c >= 0x460 && c <= 0x4ff && c != 0x482 && (c < 0x483 || c > 0x489) && (c < 0x4c0 || c > 0x4cf)) c |= 1;
    append_utf8(out, c);
}

// Folds one code point: case and common accents.
void fold(std::string& out, char32_t c) {
    if (c < 0x80) {
        out += static_cast<char>(c >= 'A' && c <= 'Z' ? c + 0x20 : c);
    } else if (c >= 0xc0 && c <= 0x17f) {
        const char letter = c <= 0xff ? kLatin1[c - 0xc0] : kLatinA[c - 0x100];
        if (letter != '.') {
            out += letter;
        } else if (c == 0xc6 || c == 0xe6) {
            out += "ae";
        } else if (c == 0xdf) {
            out += "ss";
        } else if (c == 0xde || c == 0xfe) {
            out += "th";
        } else if (c == 0x132 || c == 0x133) {
            out += "ij";
        } else if (c == 0x152 || c == 0x153) {
            out += "oe";
        } else {
            append_utf8(out, c);
        }
    } else if (c >= 0x300 && c <= 0x36f) {
        // combining accents go
    } else if (c >= 0x370 && c <= 0x3ff) {
        fold_greek(out, c);
    } else if (c >= 0x400 && c <= 0x4ff) {
        fold_cyrillic(out, c);
    } else if (c >= 0xff01 && c <= 0xff5e) {
        fold(out, c - 0xfee0);  // full-width forms
    } else {
        append_utf8(out, c == 0x3000 || c == 0xa0 ? U' ' : c);
    }
}

std::string fold_all(std::string_view value, std::string_view turned_to_space) {
    std::string folded;
    folded.reserve(value.size());
    for (std::size_t at = 0; at < value.size();) fold(folded, next_code_point(value, at));
    std::string out;
    out.reserve(folded.size());
    for (char c : folded) {
        if (turned_to_space.find(c) != std::string_view::npos || c == '\t' || c == '\r' || c == '\n') c = ' ';
        if (c == ' ' && (out.empty() || out.back() == ' ' || out.back() == '=')) continue;
        if (c == '=' && !out.empty() && out.back() == ' ') out.pop_back();
        out += c;
    }
    while (!out.empty() && out.back() == ' ') out.pop_back();
    return out;
}

std::string_view trimmed(std::string_view text) {
    while (!text.empty() && (text.back() == ' ' || text.back() == '\0')) text.remove_suffix(1);
    while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
    return text;
}

bool all_digits(std::string_view text) {
    return text.find_first_not_of("0123456789") == std::string_view::npos;
}

int number(std::string_view digits) {
    int value = 0;
    std::from_chars(digits.data(), digits.data() + digits.size(), value);
    return value;
}

bool is_date(std::string_view digits) {
    if (digits.size() != 8 || !all_digits(digits)) return false;
    static constexpr std::array kDays = {31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    const int year = number(digits.substr(0, 4)), month = number(digits.substr(4, 2)), day = number(digits.substr(6, 2));
    if (month < 1 || month > 12 || day < 1 || day > kDays[static_cast<std::size_t>(month - 1)]) return false;
    const bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return month != 2 || day != 29 || leap;
}

}  // namespace

PersonName split_person_name(std::string_view value) {
    const auto group = [](std::string_view text) {
        while (!text.empty() && (text.back() == ' ' || text.back() == '^')) text.remove_suffix(1);
        return std::string(trimmed(text));
    };
    PersonName name;
    const auto first = value.find('=');
    name.alphabetic = group(value.substr(0, first));
    if (first == std::string_view::npos) return name;
    value.remove_prefix(first + 1);
    const auto second = value.find('=');
    name.ideographic = group(value.substr(0, second));
    if (second != std::string_view::npos) name.phonetic = group(value.substr(second + 1));
    return name;
}

std::string normalise_person_name(std::string_view value) {
    auto out = fold_all(value, "^");
    while (!out.empty() && (out.back() == '=' || out.back() == ' ')) out.pop_back();
    return out;
}

std::string normalise_text(std::string_view value) {
    return fold_all(value, "");
}

std::optional<std::string> normalise_date(std::string_view value) {
    value = trimmed(value);
    std::string digits(value);
    if (digits.size() == 10 && digits[4] == digits[7] && (digits[4] == '.' || digits[4] == '-' || digits[4] == '/')) {
        digits.erase(7, 1);
        digits.erase(4, 1);
    }
    if (!is_date(digits)) return std::nullopt;
    return digits;
}

std::optional<std::string> normalise_time(std::string_view value) {
    value = trimmed(value);
    std::string digits;
    const auto point = value.find('.');
    const auto whole = value.substr(0, point);
    auto fraction = point == std::string_view::npos ? std::string_view{} : value.substr(point + 1);
    for (std::size_t i = 0; i < whole.size(); ++i) {
        if (whole[i] == ':' && (digits.size() == 2 || digits.size() == 4)) continue;
        digits += whole[i];
    }
    if (!all_digits(digits) || !all_digits(fraction) || fraction.size() > 6) return std::nullopt;
    if (digits.size() != 2 && digits.size() != 4 && digits.size() != 6) return std::nullopt;
    if (!fraction.empty() && digits.size() != 6) return std::nullopt;
    digits.append(6 - digits.size(), '0');
    if (number(digits.substr(0, 2)) > 23 || number(digits.substr(2, 2)) > 59 || number(digits.substr(4, 2)) > 60) return std::nullopt;
    std::string out = digits + ".";
    out += fraction;
    out.append(6 - fraction.size(), '0');
    return out;
}

std::optional<std::string> date_of_date_time(std::string_view value) {
    value = trimmed(value);
    return value.size() < 8 ? std::nullopt : normalise_date(value.substr(0, 8));
}

}  // namespace fiducial::dicom
