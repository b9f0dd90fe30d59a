#pragma once
#include <string>
#include <string_view>

#include "base/bytes.hpp"
#include "base/result.hpp"

namespace fiducial::crypto {

/// A password as it is kept: Argon2id (19 MiB, 2 passes, as OWASP asks for) under a salt of its own, which stands in the text with the
/// parameters. Spec: RFC 9106; the text is that of the reference implementation and of libsodium ("$argon2id$v=19$…"). Errors: unavailable
/// when the memory is not there.
Result<std::string> hash_password(ByteView password);
/// False for a text that is none, too.
bool password_fits(std::string_view kept, ByteView password);

}  // namespace fiducial::crypto
