#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.hpp"

namespace fiducial::crypto {

inline constexpr std::uint64_t kTotpStep_s = 30;

/// Six digits. Spec: RFC 4226 §5.3, with SHA-1.
std::string hotp(ByteView key, std::uint64_t counter);
/// Whether `code` is that of a moment within one step of `now_s` (s since 1970), and of a later one than the step `used`.
/// Spec:     RFC 6238, with SHA-1, as authenticator apps have it
/// Returns:  its step, which the caller keeps: a code counts once
/// Security: compares in constant time
std::optional<std::uint64_t> totp_step(ByteView key, std::string_view code, std::uint64_t now_s, std::uint64_t used);
/// Spec: RFC 4648 §6, without padding.
std::string to_base32(ByteView bytes);

}  // namespace fiducial::crypto
