#include "base/hex.hpp"

#include <array>

namespace fiducial {
namespace {

constexpr char kDigits[] = "0123456789abcdef";

/// Of each character: the digit, or -1.
constexpr auto kValues = [] {
    std::array<std::int8_t, 256> values{};
    values.fill(-1);
    for (int i = 0; i < 10; ++i) values[static_cast<std::size_t>('0' + i)] = static_cast<std::int8_t>(i);
    for (int i = 0; i < 6; ++i)
        values[static_cast<std::size_t>('a' + i)] = values[static_cast<std::size_t>('A' + i)] = static_cast<std::int8_t>(10 + i);
    return values;
}();
int value_of(char c) {
    return kValues[static_cast<unsigned char>(c)];
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
    for (std::size_t i = 0; i < out.size(); ++i) {
        const int high = value_of(text[2 * i]), low = value_of(text[2 * i + 1]);
        if (high < 0 || low < 0)
            return fail(ErrorCode::malformed, "not a hex digit at position " + std::to_string(high < 0 ? 2 * i : 2 * i + 1));
        out[i] = static_cast<std::uint8_t>(high << 4 | low);
    }
    return out;
}

}  // namespace fiducial
