#include "archive/mail_text.hpp"

#include <algorithm>
#include <array>
#include <cstdio>
#include <ctime>

#include "archive/contact.hpp"
#include "base/base64.hpp"
#include "base/utf8.hpp"

namespace fiducial::archive {
namespace {

constexpr std::size_t kMostInWord = 45;    // bytes that become 60 characters, 75 with what stands around them
constexpr std::size_t kMostOfField = 300;  // bytes of a name or a subject
constexpr std::size_t kLineOfBase64 = 57;  // bytes that become 76 characters

bool is_plain(std::string_view text) {
    return std::all_of(text.begin(), text.end(), [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == ' ' || c == '-' || c == '.' || c == ':' ||
               c == ',' || c == '_';
    });
}

/// Words of RFC 2047, one a line: a character is never cut in two.
std::string encoded(std::string_view text) {
    std::string out;
    while (!text.empty()) {
        auto length = std::min(kMostInWord, text.size());
        while (length < text.size() && (text[length] & 0xc0) == 0x80) --length;
        out += (out.empty() ? "=?UTF-8?B?" : "\r\n =?UTF-8?B?") + to_base64(as_bytes(text.substr(0, length))) + "?=";
        text.remove_prefix(length);
    }
    return out;
}

Result<std::string> field(std::string_view name, std::string_view text) {
    const bool controls = std::any_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
    if (controls || !is_utf8(text) || text.size() > kMostOfField)
        return fail(ErrorCode::invalid_argument, "a mail's " + std::string(name) + " is too long or holds what no line of text can");
    return is_plain(text) && text.size() <= 60 ? std::string(text) : encoded(text);
}

/// Spec: RFC 5322 §3.3, in UTC, whatever the locale.
std::string date(std::int64_t ms) {
    static constexpr std::array<const char*, 7> kDays{"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static constexpr std::array<const char*, 12> kMonths{"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                         "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    const std::time_t seconds = ms / 1000;
    std::tm utc{};
    ::gmtime_r(&seconds, &utc);
    std::array<char, 64> text{};
    std::snprintf(text.data(), text.size(), "%s, %02d %s %04d %02d:%02d:%02d +0000", kDays.at(static_cast<std::size_t>(utc.tm_wday)),
                  utc.tm_mday, kMonths.at(static_cast<std::size_t>(utc.tm_mon)), utc.tm_year + 1900, utc.tm_hour, utc.tm_min, utc.tm_sec);
    return text.data();
}

std::string lines_of_base64(std::string_view text) {
    std::string out;
    for (; !text.empty(); text.remove_prefix(std::min(kLineOfBase64, text.size())))
        out += to_base64(as_bytes(text.substr(0, kLineOfBase64))) + "\r\n";
    return out;
}

}  // namespace

Result<std::string> write_mail(const MailText& text) {
    FID_TRY(const auto from, check_email(text.from));
    FID_TRY(const auto to, check_email(text.to));
    FID_TRY(const auto name, field("sender", text.from_name));
    FID_TRY(const auto subject, field("subject", text.subject));
    if (text.id.empty() || text.id.find_first_not_of("0123456789abcdefghijklmnopqrstuvwxyz") != std::string::npos)
        return fail(ErrorCode::invalid_argument, "a mail's id is made of small letters and digits");
    std::string body;
    for (const char c : text.body) body += c == '\n' ? std::string("\r\n") : std::string(1, c);
    const bool quoted = is_plain(name) && !name.empty();
    std::string out = "Date: " + date(text.at_ms) + "\r\n";
    out += "From: " + (quoted ? "\"" + name + "\"" : name) + (name.empty() ? "" : "\r\n ") + "<" + from + ">\r\n";
    out += "To: <" + to + ">\r\n";
    out += "Subject: " + subject + "\r\n";
    out += "Message-ID: <" + text.id + "@" + from.substr(from.find('@') + 1) + ">\r\n";
    out += "Auto-Submitted: auto-generated\r\nMIME-Version: 1.0\r\n";
    out += "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n";
    return out + lines_of_base64(body);
}

}  // namespace fiducial::archive
