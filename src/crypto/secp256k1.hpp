#pragma once
#include "base/bytes.hpp"
#include "crypto/secret.hpp"

namespace fiducial::crypto {

/// r ‖ s ‖ recovery id (0 or 1), s in the lower half of the order. Spec: SEC 1 §4.1; EIP-2.
struct RecoverableSignature {
    Bytes32 r{};
    Bytes32 s{};
    std::uint8_t v = 0;  // 0 or 1

    std::array<std::uint8_t, 65> serialised() const;
    /// Takes v as 0/1 or 27/28. Errors: malformed for another size, v, a zero or too large r or s, or a high s.
    static Result<RecoverableSignature> parse(ByteView bytes65);
};

/// Deterministic (RFC 6979) signature of a 32-byte digest.
/// Errors: invalid_argument when key is not a valid private key.
Result<RecoverableSignature> sign_recoverable(const Secret& private_key, const Hash& digest);
/// Errors: unverified when no key fits; malformed for a high s or v not 0/1.
Result<Address> recover_address(const Hash& digest, const RecoverableSignature& signature);
Result<Address> address_of(const Secret& private_key);
/// The point as x ‖ y, as devp2p names nodes (EIP-778). Errors: invalid_argument.
Result<std::array<std::uint8_t, 64>> public_key_of(const Secret& private_key);
/// A fresh private key.
Secret generate_private_key();

}  // namespace fiducial::crypto
