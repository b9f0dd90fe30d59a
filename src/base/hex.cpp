#include "base/hex.hpp"

namespace fiducial {
namespace {

constexpr char kDigits[] = "0123456789abcdef";

int value_of(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

}  // namespace

std::string to_hex(ByteView bytes) {
    std::string out;
    out.reserve(bytes.size() * 2);
    for (auto byte : bytes) {
        out.push_back(kDigits[byte >> 4]);
        out.push_back(kDigits[byte & 15]);
    }
    return out;
}

std::string to_0x(ByteView bytes) {
    return "0x" + to_hex(bytes);
}

Result<Bytes> from_hex(std::string_view text) {
    if (text.starts_with("0x") || text.starts_with("0X")) text.remove_prefix(2);
    if (text.size() % 2 != 0)
        return fail(ErrorCode::malformed, "hex text has an odd number of digits (" + std::to_string(text.size()) + ")");
    Bytes out(text.size() / 2);
    for (std::size_t i = 0; i < text.size(); ++i) {
        const int digit = value_of(text[i]);
        if (digit < 0) return fail(ErrorCode::malformed, "not a hex digit at position " + std::to_string(i));
        out[i / 2] = static_cast<std::uint8_t>(out[i / 2] << 4 | digit);
    }
    return out;
}

}  // namespace fiducial
