#pragma once
#include <string>
#include <string_view>

#include "base/bytes.hpp"
#include "crypto/aead.hpp"
#include "crypto/secret.hpp"

namespace fiducial::crypto {

/// What turning a passphrase into a key costs. Stored with each key, so that it can grow without a new format.
/// Spec: RFC 9106, Argon2id version 0x13, one lane.
struct Argon2Parameters {
    std::uint32_t memory_kib = 256 * 1024;
    std::uint32_t passes = 3;

    static constexpr std::uint32_t kLeastMemoryKib = 8;
    static constexpr std::uint32_t kMostMemoryKib = 4 * 1024 * 1024;  // a key file from elsewhere cannot ask for more
    static constexpr std::uint32_t kMostPasses = 64;
    bool operator==(const Argon2Parameters&) const = default;
};

/// Returns: 32 bytes. Errors: invalid_argument for an empty passphrase or parameters out of bounds; unavailable when the memory is not
/// there. Security: the passphrase is taken byte for byte (no Unicode normalisation).
Result<Secret> derive_from_passphrase(const Secret& passphrase, ByteView salt16, const Argon2Parameters& parameters);

/// A 32-byte key under a passphrase, as it lies in a file.
/// Spec: docs/formats/keys.md. Algorithm identifiers stand in the file; unknown ones are refused as unsupported.
struct SealedKey {
    std::string label;  // which key: 1 to 64 of a-z 0-9 . _ -
    Argon2Parameters parameters;
    std::array<std::uint8_t, 16> salt{};
    AeadNonce nonce{};
    std::array<std::uint8_t, 32 + kAeadTagSize> sealed{};

    static constexpr std::size_t kLongest = 256;  // bytes of a serialised one, at most
    Bytes serialise() const;
    /// Errors: malformed; unsupported; limit_exceeded for parameters out of bounds; corrupt when the file's checksum does not match,
    /// so that damage is not taken for a wrong passphrase.
    static Result<SealedKey> parse(ByteView file);
};

/// Seals under a fresh salt and nonce. Errors: invalid_argument for a key that is not 32 bytes, a bad label or an empty passphrase.
Result<SealedKey> seal_key(const Secret& key32, const Secret& passphrase, std::string_view label, const Argon2Parameters& parameters = {});
/// Errors: wrong_passphrase; unavailable when the memory for Argon2id is not there.
Result<Secret> open_key(const SealedKey& sealed, const Secret& passphrase);

}  // namespace fiducial::crypto
