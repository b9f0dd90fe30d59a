#pragma once
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.hpp"

namespace fiducial::archive {

/// A mail before it is written down.
struct MailText {
    std::string from_name, from, to;  // addresses as check_email() gives them
    std::string subject;              // UTF-8
    std::string body;                 // UTF-8, lines ended by "\n"
    std::string id;                   // what stands before the @ of the Message-ID: letters and digits
    std::int64_t at_ms = 0;
};

/// Header and body, as SMTP takes them: ASCII, lines of 76 characters and CR LF.
/// Spec:     RFC 5322; RFC 2047 §4.1 (names and subjects in other alphabets); RFC 2045 §6.8 (base64); RFC 3834 §5 (Auto-Submitted)
/// Errors:   invalid_argument: an address that is none, or a name or subject with a line break or another control character in it: nothing
///           that comes from a person can add a field.
Result<std::string> write_mail(const MailText& text);

}  // namespace fiducial::archive
