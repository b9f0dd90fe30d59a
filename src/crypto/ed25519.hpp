#pragma once
#include <array>

#include "base/bytes.hpp"
#include "crypto/secret.hpp"

namespace fiducial::crypto {

using Ed25519Signature = std::array<std::uint8_t, 64>;

/// Spec: RFC 8032 §5.1. Requires: seed.size() == 32.
Bytes32 ed25519_public_key(const Secret& seed);
Ed25519Signature ed25519_sign(const Secret& seed, ByteView message);
/// Errors: unverified.
Result<void> ed25519_verify(const Bytes32& public_key, ByteView message, ByteView signature);

}  // namespace fiducial::crypto
