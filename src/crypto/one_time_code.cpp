#include "crypto/one_time_code.hpp"

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <array>

#include "base/error.hpp"
#include "crypto/hash.hpp"

namespace fiducial::crypto {
namespace {

constexpr std::uint32_t kSixDigits = 1'000'000;

}  // namespace

std::string hotp(ByteView key, std::uint64_t counter) {
    Bytes message;
    append_be(message, counter);
    std::array<std::uint8_t, 20> mac{};
    unsigned size = 0;
    FID_INVARIANT(
        HMAC(EVP_sha1(), key.data(), static_cast<int>(key.size()), message.data(), message.size(), mac.data(), &size) != nullptr &&
            size == mac.size(),
        "OpenSSL makes no HMAC with SHA-1");
    const auto offset = mac.back() & 0xfU;
    const auto number = (read_be<std::uint32_t>(ByteView(mac).subspan(offset, 4)) & 0x7fff'ffffU) % kSixDigits;
    auto digits = std::to_string(number);
    return std::string(6 - digits.size(), '0') + digits;
}

std::optional<std::uint64_t> totp_step(ByteView key, std::string_view code, std::uint64_t now_s, std::uint64_t used) {
    const auto now = now_s / kTotpStep_s;
    std::optional<std::uint64_t> found;
    for (std::uint64_t step = now == 0 ? 0 : now - 1; step <= now + 1; ++step) {
        const auto right = hotp(key, step);
        if (right.size() == code.size() && equal_constant_time(as_bytes(right), as_bytes(code)) && step > used) found = step;
    }
    return found;
}

std::string to_base32(ByteView bytes) {
    static constexpr std::string_view kDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    std::string out;
    std::uint32_t bits = 0;
    unsigned count = 0;
    for (const auto byte : bytes) {
        bits = (bits << 8) | byte;
        for (count += 8; count >= 5; count -= 5) out += kDigits[(bits >> (count - 5)) & 31U];
    }
    if (count > 0) out += kDigits[(bits << (5 - count)) & 31U];
    return out;
}

}  // namespace fiducial::crypto
