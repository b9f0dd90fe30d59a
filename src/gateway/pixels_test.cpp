#include "gateway/impl/pixels.hpp"

#include <gtest/gtest.h>

namespace fiducial::gateway::impl {
namespace {

bool bit_of(ByteView bytes, std::uint64_t which) {
    return (bytes[which / 8] >> (which % 8) & 1) != 0;
}

TEST(Pixels, Ps35_8_1_1_FramesOfBitsBeginAtAByte) {
    Bytes all(40);
    for (std::size_t i = 0; i < all.size(); ++i) all[i] = static_cast<std::uint8_t>(37 * i + 11);
    for (const std::uint64_t bits : {1u, 7u, 8u, 9u, 15u, 63u, 64u, 65u}) {
        for (std::uint64_t first = 0; first < 24; ++first) {
            const auto begin = first / 8, end = (first + bits + 7) / 8;
            const auto frame = aligned_bits(ByteView(all).subspan(begin, end - begin), first % 8, bits);
            ASSERT_EQ(frame.size(), (bits + 7) / 8);
            for (std::uint64_t i = 0; i < 8 * frame.size(); ++i)
                ASSERT_EQ(bit_of(frame, i), i < bits && bit_of(all, first + i)) << bits << " bits from " << first << ": " << i;
        }
    }
}

TEST(Pixels, LengthsAreThoseOfWhatIsGiven) {
    EXPECT_EQ(length_of({{10, 5}, {20, 7}}), 12u);
    EXPECT_FALSE(shares_bytes({{10, 5}}));
    EXPECT_EQ(length_of({{10, 3, 7, 15}}), 2u);  // 3 bytes are read for it
    EXPECT_TRUE(shares_bytes({{10, 3, 7, 15}}));
}

}  // namespace
}  // namespace fiducial::gateway::impl
