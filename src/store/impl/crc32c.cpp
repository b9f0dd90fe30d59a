#include "store/impl/crc32c.hpp"

#include <array>
#include <cstring>

namespace fiducial::store {
namespace {

constexpr std::array<std::uint32_t, 256> make_table() {
    std::array<std::uint32_t, 256> table{};
    for (std::uint32_t i = 0; i < 256; ++i) {
        std::uint32_t value = i;
        for (int bit = 0; bit < 8; ++bit) value = (value >> 1) ^ ((value & 1) != 0 ? 0x82f63b78u : 0u);
        table[i] = value;
    }
    return table;
}
constexpr auto kTable = make_table();

std::uint32_t by_table(std::uint32_t state, ByteView bytes) {
    for (const auto byte : bytes) state = (state >> 8) ^ kTable[(state ^ byte) & 0xff];
    return state;
}

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) std::uint32_t by_instruction(std::uint32_t state, ByteView bytes) {
    std::uint64_t wide = state;
    std::size_t at = 0;
    for (; at + 8 <= bytes.size(); at += 8) {
        std::uint64_t word = 0;
        std::memcpy(&word, bytes.data() + at, 8);
        wide = __builtin_ia32_crc32di(wide, word);
    }
    return by_table(static_cast<std::uint32_t>(wide), bytes.subspan(at));
}
#endif

}  // namespace

std::uint32_t crc32c(ByteView bytes) {
#if defined(__x86_64__)
    static const bool has_instruction = __builtin_cpu_supports("sse4.2");
    if (has_instruction) return ~by_instruction(~0u, bytes);
#endif
    return ~by_table(~0u, bytes);
}

}  // namespace fiducial::store
