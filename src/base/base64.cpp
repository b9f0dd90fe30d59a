#include "base/base64.hpp"

namespace fiducial {
namespace {

constexpr std::string_view kDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

}  // namespace

std::string to_base64(ByteView bytes) {
    std::string out;
    out.reserve((bytes.size() + 2) / 3 * 4);
    for (std::size_t i = 0; i < bytes.size(); i += 3) {
        const auto count = std::min<std::size_t>(3, bytes.size() - i);
        std::uint32_t group = 0;
        for (std::size_t k = 0; k < 3; ++k) group = group << 8 | (k < count ? bytes[i + k] : 0U);
        for (std::size_t k = 0; k < 4; ++k) out.push_back(k <= count ? kDigits[group >> (18 - 6 * k) & 63] : '=');
    }
    return out;
}

Result<Bytes> from_base64(std::string_view text, std::string_view what) {
    const auto refuse = [&] { return fail(ErrorCode::malformed, std::string(what) + " is not base64"); };
    if (text.size() % 4 != 0) return refuse();
    std::size_t digits = text.size();
    while (digits > 0 && text.size() - digits < 2 && text[digits - 1] == '=') --digits;
    Bytes out;
    out.reserve(text.size() / 4 * 3);
    std::uint32_t group = 0;
    unsigned bits = 0;
    for (const char c : text.substr(0, digits)) {
        const auto value = kDigits.find(c);
        if (value == std::string_view::npos) return refuse();
        group = group << 6 | static_cast<std::uint32_t>(value);
        bits += 6;
        if (bits < 8) continue;
        bits -= 8;
        out.push_back(static_cast<std::uint8_t>(group >> bits));
    }
    if (to_base64(out) != text) return refuse();  // bits that count for nothing
    return out;
}

}  // namespace fiducial
