#include "ethereum/uint256.hpp"

#include <algorithm>
#include <bit>

#include "base/hex.hpp"

namespace fiducial::ethereum {
namespace {

__extension__ using Wide = unsigned __int128;

// value = value * factor + addend; false on overflow.
bool multiply_add(std::array<std::uint64_t, 4>& limbs, std::uint64_t factor, std::uint64_t addend) {
    Wide carry = addend;
    for (auto& limb : limbs) {
        const Wide product = static_cast<Wide>(limb) * factor + carry;
        limb = static_cast<std::uint64_t>(product);
        carry = product >> 64;
    }
    return carry == 0;
}

// value = value / divisor; returns the remainder.
std::uint64_t divide_small(std::array<std::uint64_t, 4>& limbs, std::uint64_t divisor) {
    Wide rest = 0;
    for (std::size_t i = 4; i-- > 0;) {
        const Wide part = (rest << 64) | limbs[i];
        limbs[i] = static_cast<std::uint64_t>(part / divisor);
        rest = part % divisor;
    }
    return static_cast<std::uint64_t>(rest);
}

}  // namespace

Uint256 Uint256::from_be(const Bytes32& bytes) {
    Uint256 out;
    for (std::size_t i = 0; i < 4; ++i) out.limbs_[3 - i] = read_be<std::uint64_t>(ByteView(bytes).subspan(i * 8, 8));
    return out;
}

Result<Uint256> Uint256::from_be_view(ByteView bytes) {
    if (bytes.size() > 32) return fail(ErrorCode::malformed, "an integer of " + std::to_string(bytes.size()) + " bytes, more than 32");
    Bytes32 full{};
    std::copy(bytes.begin(), bytes.end(), full.end() - static_cast<std::ptrdiff_t>(bytes.size()));
    return from_be(full);
}

Result<Uint256> Uint256::parse(std::string_view text) {
    if (text.starts_with("0x")) {
        const auto digits = text.substr(2);
        if (digits.empty() || digits.size() > 64 || digits.find_first_of("xX") != std::string_view::npos) {
            return fail(ErrorCode::malformed, "an integer needs 1 to 64 hex digits");
        }
        FID_TRY(const auto bytes, from_hex(digits.size() % 2 == 0 ? std::string(digits) : "0" + std::string(digits)));
        return from_be_view(bytes);
    }
    if (text.empty()) return fail(ErrorCode::malformed, "an integer without digits");
    Uint256 out;
    for (const char c : text) {
        if (c < '0' || c > '9') return fail(ErrorCode::malformed, "an integer with a character that is not a digit");
        if (!multiply_add(out.limbs_, 10, static_cast<std::uint64_t>(c - '0'))) {
            return fail(ErrorCode::limit_exceeded, "an integer beyond 256 bits");
        }
    }
    return out;
}

Uint256 Uint256::max() {
    Uint256 out;
    out.limbs_.fill(~std::uint64_t{0});
    return out;
}

Bytes32 Uint256::to_be() const {
    Bytes32 out;
    for (std::size_t i = 0; i < 32; ++i) out[31 - i] = static_cast<std::uint8_t>(limbs_[i / 8] >> (8 * (i % 8)));
    return out;
}

Bytes Uint256::to_minimal_be() const {
    const auto full = to_be();
    const auto first = std::find_if(full.begin(), full.end(), [](std::uint8_t byte) { return byte != 0; });
    return {first, full.end()};
}

std::string Uint256::to_decimal() const {
    if (is_zero()) return "0";
    std::string out;
    for (auto limbs = limbs_; limbs != decltype(limbs){};) out.push_back(static_cast<char>('0' + divide_small(limbs, 10)));
    std::reverse(out.begin(), out.end());
    return out;
}

std::string Uint256::to_quantity() const {
    if (is_zero()) return "0x0";
    const auto digits = to_hex(to_minimal_be());
    return "0x" + (digits.front() == '0' ? digits.substr(1) : digits);
}

Result<std::uint64_t> Uint256::to_u64(std::string_view what) const {
    if (!fits_u64()) return fail(ErrorCode::limit_exceeded, std::string(what) + " does not fit 64 bits");
    return limbs_[0];
}

unsigned Uint256::bit_length() const {
    for (std::size_t i = 4; i-- > 0;) {
        if (limbs_[i] != 0) return static_cast<unsigned>(i * 64) + static_cast<unsigned>(std::bit_width(limbs_[i]));
    }
    return 0;
}

std::strong_ordering operator<=>(const Uint256& a, const Uint256& b) {
    for (std::size_t i = 4; i-- > 0;) {
        if (const auto order = a.limbs_[i] <=> b.limbs_[i]; order != 0) return order;
    }
    return std::strong_ordering::equal;
}

Result<Uint256> Uint256::plus(const Uint256& other) const {
    Uint256 out;
    Wide carry = 0;
    for (std::size_t i = 0; i < 4; ++i) {
        carry += static_cast<Wide>(limbs_[i]) + other.limbs_[i];
        out.limbs_[i] = static_cast<std::uint64_t>(carry);
        carry >>= 64;
    }
    if (carry != 0) return fail(ErrorCode::limit_exceeded, "a sum beyond 256 bits");
    return out;
}

Result<Uint256> Uint256::minus(const Uint256& other) const {
    if (*this < other) return fail(ErrorCode::limit_exceeded, "a difference below zero");
    Uint256 out;
    std::uint64_t borrow = 0;
    for (std::size_t i = 0; i < 4; ++i) {
        const Wide part = static_cast<Wide>(limbs_[i]) - other.limbs_[i] - borrow;
        out.limbs_[i] = static_cast<std::uint64_t>(part);
        borrow = (part >> 64) != 0 ? 1 : 0;
    }
    return out;
}

Result<Uint256> Uint256::times(const Uint256& other) const {
    std::array<std::uint64_t, 8> product{};
    for (std::size_t i = 0; i < 4; ++i) {
        Wide carry = 0;
        for (std::size_t j = 0; j < 4; ++j) {
            carry += static_cast<Wide>(limbs_[i]) * other.limbs_[j] + product[i + j];
            product[i + j] = static_cast<std::uint64_t>(carry);
            carry >>= 64;
        }
        product[i + 4] = static_cast<std::uint64_t>(carry);
    }
    if ((product[4] | product[5] | product[6] | product[7]) != 0) return fail(ErrorCode::limit_exceeded, "a product beyond 256 bits");
    Uint256 out;
    std::copy_n(product.begin(), 4, out.limbs_.begin());
    return out;
}

Result<Uint256::Division> Uint256::divided_by(const Uint256& other) const {
    if (other.is_zero()) return fail(ErrorCode::invalid_argument, "a division by zero");
    Division out;
    for (unsigned bit = bit_length(); bit-- > 0;) {  // schoolbook, one bit at a time: this is not on a hot path
        auto& rest = out.remainder.limbs_;
        const bool carried = (rest[3] >> 63) != 0;
        for (std::size_t i = 3; i > 0; --i) rest[i] = (rest[i] << 1) | (rest[i - 1] >> 63);
        rest[0] = (rest[0] << 1) | ((limbs_[bit / 64] >> (bit % 64)) & 1);
        if (!carried && out.remainder < other) continue;
        std::uint64_t borrow = 0;
        for (std::size_t i = 0; i < 4; ++i) {
            const Wide part = static_cast<Wide>(rest[i]) - other.limbs_[i] - borrow;
            rest[i] = static_cast<std::uint64_t>(part);
            borrow = (part >> 64) != 0 ? 1 : 0;
        }
        out.quotient.limbs_[bit / 64] |= std::uint64_t{1} << (bit % 64);
    }
    return out;
}

Result<Uint256> parse_quantity(std::string_view text, std::string_view what) {
    const bool shaped = text.starts_with("0x") && text.size() > 2 && (text[2] != '0' || text.size() == 3);
    if (!shaped) return fail(ErrorCode::malformed, std::string(what) + " is not a JSON-RPC quantity");
    auto value = Uint256::parse(text);
    if (!value) return fail(value.error().with(what));
    return value;
}

Result<std::uint64_t> parse_quantity_u64(std::string_view text, std::string_view what) {
    FID_TRY(const auto value, parse_quantity(text, what));
    return value.to_u64(what);
}

}  // namespace fiducial::ethereum
