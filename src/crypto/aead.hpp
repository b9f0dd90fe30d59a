#pragma once
#include <array>
#include <memory>

#include "base/bytes.hpp"
#include "crypto/secret.hpp"

namespace fiducial::crypto {

inline constexpr std::size_t kAeadTagSize = 16;
using AeadNonce = std::array<std::uint8_t, 12>;

/// AES-256-GCM under one key, its schedule made once.
/// Spec: NIST SP 800-38D. Requires: a nonce is never used twice under one key.
/// Threads: one object, one thread; make one for each stream.
class Aes256Gcm {
public:
    explicit Aes256Gcm(ByteView key);  // 32 bytes
    ~Aes256Gcm();
    Aes256Gcm(Aes256Gcm&&) noexcept;
    Aes256Gcm& operator=(Aes256Gcm&&) noexcept;

    /// out.size() == plain.size() + 16: ciphertext ‖ tag. `out` may start where `plain` does.
    void seal(const AeadNonce& nonce, ByteView associated, ByteView plain, MutableByteView out);
    /// plain.size() + 16 == sealed.size(). Errors: corrupt when the tag does not match; `plain` is then zeroed.
    Result<void> open(const AeadNonce& nonce, ByteView associated, ByteView sealed, MutableByteView plain);

private:
    struct State;
    std::unique_ptr<State> state_;
};

/// Spec: RFC 5869 with SHA-256.
void hkdf_sha256(ByteView ikm, ByteView salt, std::string_view info, MutableByteView out);

/// A small secret under a key: nonce ‖ ciphertext ‖ tag with a random nonce.
Bytes seal_small(ByteView key, ByteView associated, ByteView plain);
Result<Secret> open_small(ByteView key, ByteView associated, ByteView sealed);

}  // namespace fiducial::crypto
