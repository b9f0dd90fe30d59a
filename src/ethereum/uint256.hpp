#pragma once
#include <array>
#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/bytes.hpp"

namespace fiducial::ethereum {

/// An unsigned integer of 256 bits, as the chain counts wei and difficulty.
class Uint256 {
public:
    constexpr Uint256() = default;
    constexpr Uint256(std::uint64_t value) : limbs_{value, 0, 0, 0} {}  // NOLINT: an integer is one

    static Uint256 from_be(const Bytes32& bytes);
    /// Takes 0 to 32 bytes, big-endian, leading zeros allowed. Errors: malformed beyond 32.
    static Result<Uint256> from_be_view(ByteView bytes);
    /// Takes decimal digits, or "0x" and 1 to 64 hex digits. Errors: malformed; limit_exceeded beyond 2^256-1.
    static Result<Uint256> parse(std::string_view text);
    static Uint256 max();

    Bytes32 to_be() const;
    /// Returns: big-endian without leading zeros; zero is empty (what RLP stores).
    Bytes to_minimal_be() const;
    std::string to_decimal() const;
    /// Returns: as JSON-RPC writes quantities: "0x0", "0x1f", no leading zeros.
    std::string to_quantity() const;

    bool is_zero() const { return *this == Uint256{}; }
    bool fits_u64() const { return (limbs_[1] | limbs_[2] | limbs_[3]) == 0; }
    std::uint64_t low_u64() const { return limbs_[0]; }
    /// Errors: limit_exceeded when larger than 2^64-1.
    Result<std::uint64_t> to_u64(std::string_view what) const;
    /// Returns: how many bits are needed; 0 for zero.
    unsigned bit_length() const;

    friend bool operator==(const Uint256&, const Uint256&) = default;
    friend std::strong_ordering operator<=>(const Uint256& a, const Uint256& b);

    // Errors: limit_exceeded on overflow or underflow; invalid_argument for a division by zero.
    Result<Uint256> plus(const Uint256& other) const;
    Result<Uint256> minus(const Uint256& other) const;
    Result<Uint256> times(const Uint256& other) const;
    struct Division;
    Result<Division> divided_by(const Uint256& other) const;

private:
    std::array<std::uint64_t, 4> limbs_{};  // lowest first
};

struct Uint256::Division {
    Uint256 quotient;
    Uint256 remainder;
};

/// Reads a JSON-RPC quantity that must fit 64 bits ("0x1f"). Errors: malformed without "0x", empty, or with leading zeros; limit_exceeded.
Result<std::uint64_t> parse_quantity_u64(std::string_view text, std::string_view what);
/// The same for any quantity up to 256 bits.
Result<Uint256> parse_quantity(std::string_view text, std::string_view what);

}  // namespace fiducial::ethereum
