#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"

namespace fiducial {

using Bytes = std::vector<std::uint8_t>;
using ByteView = std::span<const std::uint8_t>;
using MutableByteView = std::span<std::uint8_t>;
using Bytes32 = std::array<std::uint8_t, 32>;
using Bytes20 = std::array<std::uint8_t, 20>;
using Hash = Bytes32;     // SHA-256 or keccak256, as its name says
using Address = Bytes20;  // an Ethereum account

inline constexpr Bytes32 kZero32{};

inline ByteView as_bytes(std::string_view text) {
    return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}
inline std::string_view as_text(ByteView bytes) {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}
inline Bytes to_bytes(ByteView view) {
    return {view.begin(), view.end()};
}

inline void append(Bytes& out, ByteView bytes) {
    out.insert(out.end(), bytes.begin(), bytes.end());
}

/// Appends an unsigned integer, big-endian, in its own width.
template <typename Integer>
void append_be(Bytes& out, Integer value) {
    static_assert(std::is_unsigned_v<Integer>);
    for (int shift = static_cast<int>(sizeof(Integer)) * 8 - 8; shift >= 0; shift -= 8) {
        out.push_back(static_cast<std::uint8_t>(value >> shift));
    }
}
/// Reads a big-endian integer from the first bytes. Requires: bytes.size() >= sizeof(Integer).
template <typename Integer>
Integer read_be(ByteView bytes) {
    Integer value = 0;
    for (std::size_t i = 0; i < sizeof(Integer); ++i) value = static_cast<Integer>((value << 8) | bytes[i]);
    return value;
}
/// lp(x) of the formats: u16be length ‖ bytes. Requires: bytes.size() <= 65535.
void append_lp(Bytes& out, ByteView bytes);

/// Copies a view of exactly N bytes into an array. Errors: malformed when the size differs.
template <std::size_t N>
Result<std::array<std::uint8_t, N>> fixed(ByteView bytes, std::string_view what) {
    if (bytes.size() != N) {
        return fail(ErrorCode::malformed,
                    std::string(what) + " must be " + std::to_string(N) + " bytes, not " + std::to_string(bytes.size()));
    }
    std::array<std::uint8_t, N> out;
    std::memcpy(out.data(), bytes.data(), N);
    return out;
}

/// Reads fields from bytes of outside origin; never past the end.
/// Errors: malformed, naming the field and the offset; the reader then stays where it was.
class ByteReader {
public:
    explicit ByteReader(ByteView bytes) : bytes_(bytes) {}
    std::size_t offset() const { return offset_; }
    std::size_t remaining() const { return bytes_.size() - offset_; }
    bool at_end() const { return remaining() == 0; }

    Result<ByteView> take(std::size_t count, std::string_view field);
    Result<ByteView> take_lp(std::string_view field);
    Result<std::uint8_t> u8(std::string_view field) { return integer<std::uint8_t>(field); }
    Result<std::uint16_t> u16(std::string_view field) { return integer<std::uint16_t>(field); }
    Result<std::uint32_t> u32(std::string_view field) { return integer<std::uint32_t>(field); }
    Result<std::uint64_t> u64(std::string_view field) { return integer<std::uint64_t>(field); }
    template <std::size_t N>
    Result<std::array<std::uint8_t, N>> array(std::string_view field) {
        FID_TRY(auto view, take(N, field));
        return fixed<N>(view, field);
    }

private:
    template <typename Integer>
    Result<Integer> integer(std::string_view field) {
        FID_TRY(auto view, take(sizeof(Integer), field));
        return read_be<Integer>(view);
    }
    ByteView bytes_;
    std::size_t offset_ = 0;
};

struct BytesHash {  // for unordered containers keyed by hashes and ids, which are uniformly distributed
    template <std::size_t N>
    std::size_t operator()(const std::array<std::uint8_t, N>& key) const {
        std::size_t value = 0;
        std::memcpy(&value, key.data(), sizeof(value) < N ? sizeof(value) : N);
        return value;
    }
};

}  // namespace fiducial
