#pragma once
#include <string>
#include <string_view>

#include "base/result.hpp"

namespace fiducial::archive {

// What people say of themselves, checked. Errors, of all: invalid_argument, whose message begins with the field's name.

/// Without outer spaces: 2 to 100 characters, no control characters.
Result<std::string> check_name(std::string_view text);
/// In lower case. Spec: RFC 5321 §4.1.2, of its forms the one with a dot-atom before the @ and a domain name of two labels or more behind
/// it.
Result<std::string> check_email(std::string_view text);
/// "+43 1 234567" as "+431234567". Spec: ITU-T E.164: a country calling code that is assigned, and as many digits as its numbers may have,
/// by libphonenumber's metadata.
Result<std::string> check_phone(std::string_view text);
/// Errors: shorter than ten characters, longer than 256 bytes, one of the common ones, or what the e-mail address says.
Result<void> check_password(std::string_view password, std::string_view email);

}  // namespace fiducial::archive
