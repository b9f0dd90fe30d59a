#include "archive/contact.hpp"

#include <algorithm>
#include <map>
#include <mutex>
#include <regex>

#include "archive/common_passwords.hpp"
#include "archive/phone_numbers.hpp"
#include "base/utf8.hpp"

namespace fiducial::archive {
namespace {

constexpr std::size_t kLeastPassword = 10, kMostPassword = 256;

bool is_digit(char c) {
    return c >= '0' && c <= '9';
}
bool is_letter(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

std::string lower_case(std::string_view text) {
    std::string out(text);
    for (auto& c : out) {
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    }
    return out;
}

std::string_view trimmed(std::string_view text) {
    while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
    while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
    return text;
}

std::size_t characters(std::string_view utf8) {
    return static_cast<std::size_t>(std::count_if(utf8.begin(), utf8.end(), [](char c) { return (c & 0xc0) != 0x80; }));
}

/// Calls `is_part` with what stands between dots.
template <typename IsPart>
bool all_parts(std::string_view text, IsPart is_part) {
    for (;;) {
        const auto dot = text.find('.');
        if (!is_part(text.substr(0, dot))) return false;
        if (dot == std::string_view::npos) return true;
        text.remove_prefix(dot + 1);
    }
}

bool is_atom(std::string_view part) {
    static constexpr std::string_view kMarks = "!#$%&'*+-/=?^_`{|}~";
    return !part.empty() && std::all_of(part.begin(), part.end(),
                                        [](char c) { return is_letter(c) || is_digit(c) || kMarks.find(c) != std::string_view::npos; });
}

bool is_label(std::string_view part) {
    return !part.empty() && part.size() <= 63 && part.front() != '-' && part.back() != '-' &&
           std::all_of(part.begin(), part.end(), [](char c) { return is_letter(c) || is_digit(c) || c == '-'; });
}

/// Compiling a country's pattern takes longer than everything else here; there are some 200. `pattern`: one of phone_numbers.cpp.
const std::regex& compiled(std::string_view pattern) {
    static std::mutex mutex;
    static std::map<std::string_view, std::regex> known;
    const std::lock_guard lock(mutex);
    const auto found = known.find(pattern);
    return found != known.end() ? found->second : known.emplace(pattern, std::regex(pattern.begin(), pattern.end())).first->second;
}

}  // namespace

Result<std::string> check_name(std::string_view text) {
    text = trimmed(text);
    const bool good = is_utf8(text) && characters(text) >= 2 && characters(text) <= 100 &&
                      std::none_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
    if (!good) return fail(ErrorCode::invalid_argument, "name: a name has 2 to 100 characters");
    return std::string(text);
}

Result<std::string> check_email(std::string_view text) {
    const auto address = lower_case(trimmed(text));
    const auto at = address.rfind('@');
    const auto local = std::string_view(address).substr(0, at);
    const auto domain = at == std::string::npos ? std::string_view() : std::string_view(address).substr(at + 1);
    const bool good = at != std::string::npos && address.size() <= 254 && local.size() <= 64 && all_parts(local, is_atom) &&
                      domain.find('.') != std::string_view::npos && all_parts(domain, is_label) && !is_digit(domain.back());
    if (!good) return fail(ErrorCode::invalid_argument, "email: this is no e-mail address");
    return address;
}

Result<std::string> check_phone(std::string_view text) {
    static constexpr std::string_view kMarks = " -.()/";
    std::string digits;
    text = trimmed(text);
    if (!text.starts_with('+'))
        return fail(ErrorCode::invalid_argument, "phone: the number begins with + and the country's code, as +43 1 …");
    for (const char c : text.substr(1)) {
        if (is_digit(c))
            digits += c;
        else if (kMarks.find(c) == std::string_view::npos)
            return fail(ErrorCode::invalid_argument, "phone: a number has digits, spaces, dashes, dots and brackets");
        if (digits.size() > 17) break;  // calling code and national number: 15, and where countries have longer ones, 17
    }
    for (std::size_t length = 1; length <= 3 && length < digits.size(); ++length) {
        const auto pattern = national_number_pattern(std::string_view(digits).substr(0, length));
        if (pattern.empty()) continue;
        if (std::regex_match(digits.substr(length), compiled(pattern))) return "+" + digits;
        return fail(ErrorCode::invalid_argument, "phone: there is no such number in the plan of +" + digits.substr(0, length));
    }
    return fail(ErrorCode::invalid_argument, "phone: there is no country with this code");
}

Result<void> check_password(std::string_view password, std::string_view email) {
    if (!is_utf8(password) || password.size() > kMostPassword)
        return fail(ErrorCode::invalid_argument, "password: at most 256 bytes of text are taken");
    if (characters(password) < kLeastPassword) return fail(ErrorCode::invalid_argument, "password: it needs ten characters or more");
    const auto lower = lower_case(password);
    const bool one_sign = std::all_of(lower.begin(), lower.end(), [&](char c) { return c == lower.front(); });
    if (one_sign || is_common_password(lower))
        return fail(ErrorCode::invalid_argument, "password: this is one of those that everybody tries first");
    const auto local = email.substr(0, email.find('@'));
    if (lower == email || (local.size() >= 4 && lower.starts_with(local) && lower.size() < local.size() + 5))
        return fail(ErrorCode::invalid_argument, "password: it is too much like the e-mail address");
    return {};
}

}  // namespace fiducial::archive
