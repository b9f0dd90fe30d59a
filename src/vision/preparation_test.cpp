#include "vision/preparation.hpp"

#include <gtest/gtest.h>

#include <algorithm>

#include "base/hex.hpp"
#include "base/json.hpp"
#include "crypto/hash.hpp"
#include "vision/test_films.hpp"

namespace fiducial::vision {
namespace {

using namespace test;

TEST(Preparation, PercentilesBecomeBlackAndWhite) {
    Bytes samples(1000, 100);
    for (std::size_t i = 0; i < 500; ++i) samples[i] = 150;
    std::fill_n(samples.begin(), 10, 0);  // one in a hundred: cut
    std::fill_n(samples.end() - 10, 10, 255);
    window_by_percentiles(samples);
    EXPECT_EQ(samples[0], 0);
    EXPECT_EQ(samples[20], 255) << "150";
    EXPECT_EQ(samples[600], 0) << "100";
    EXPECT_EQ(samples.back(), 255);
}

TEST(Preparation, OneValueOnlyIsBlack) {
    for (const int value : {0, 7, 255}) {
        Bytes samples(100, static_cast<std::uint8_t>(value));
        window_by_percentiles(samples);
        EXPECT_EQ(samples, Bytes(100, 0)) << value;
    }
}

TEST(Preparation, StretchingKeepsNoProportions) {
    dicom::Raster film{400, 200, 1, Bytes(400 * 200, 0)};
    for (std::size_t row = 200; row < 400; ++row) std::fill_n(film.samples.begin() + static_cast<std::ptrdiff_t>(row * 200), 200, 200);
    const auto square = stretched(film, kStretchedSide);
    EXPECT_EQ(square.rows, kStretchedSide);
    EXPECT_EQ(square.columns, kStretchedSide);
    EXPECT_EQ(square.samples.front(), 0);
    EXPECT_EQ(square.samples[square.samples.size() / 2 + 300], 200);
}

// The hashes are what ml/preparation.py made of the same films in the same OpenCV.
TEST(Preparation, TwoHundredFilmsAreBitForBitWhatTrainingSaw) {
    const auto folder = shared_films();
    if (folder.empty()) GTEST_SKIP() << "no chest films beside the project (shared/data)";
    std::size_t compared = 0;
    for (const auto& [name, stored] : stored_answers()) {
        const auto film = film_in(folder / name);
        ASSERT_TRUE(film) << name << ": " << film.error().message;
        EXPECT_EQ(to_hex(crypto::sha256(prepare(film->pixels))), stored.tensor_sha256) << name;
        ++compared;
    }
    EXPECT_GE(compared, 200u);
}

}  // namespace
}  // namespace fiducial::vision
