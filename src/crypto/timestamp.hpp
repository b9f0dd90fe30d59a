#pragma once
#include <filesystem>

#include "base/bytes.hpp"
#include "base/clock.hpp"

namespace fiducial::crypto {

/// Asks a time stamping authority about a SHA-256; the answer is to bring its certificate.
/// Spec: RFC 3161 §2.4.1. Returns: DER of a TimeStampReq.
Bytes timestamp_request(const Hash& sha256, std::uint64_t nonce);
/// Whether an answer stamps this hash, by an authority that `authorities` (PEM) vouch for. Spec: RFC 3161 §2.4.2.
/// Returns: the time in it. Errors: unverified; malformed; denied: the authority refused; not_found, malformed: the file.
Result<SystemTime> verify_timestamp(ByteView response, const Hash& sha256, std::uint64_t nonce, const std::filesystem::path& authorities);

}  // namespace fiducial::crypto
