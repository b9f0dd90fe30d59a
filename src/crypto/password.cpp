#include "crypto/password.hpp"

#include <sodium.h>

#include <array>

namespace fiducial::crypto {
namespace {

constexpr unsigned long long kPasses = 2;
constexpr std::size_t kMemory = std::size_t{19} << 20;

/// libsodium takes no null, not even of length 0.
const char* characters(ByteView password) {
    return password.empty() ? "" : as_text(password).data();
}

}  // namespace

Result<std::string> hash_password(ByteView password) {
    std::array<char, crypto_pwhash_argon2id_STRBYTES> text{};
    if (crypto_pwhash_argon2id_str(text.data(), characters(password), password.size(), kPasses, kMemory) != 0)
        return fail(ErrorCode::unavailable, "Argon2id needs 19 MiB of memory, which are not there");
    return std::string(text.data());
}

bool password_fits(std::string_view kept, ByteView password) {
    const std::string text(kept);  // ended by a zero
    return text.size() < crypto_pwhash_argon2id_STRBYTES &&
           crypto_pwhash_argon2id_str_verify(text.c_str(), characters(password), password.size()) == 0;
}

}  // namespace fiducial::crypto
