#include "gateway/knocks.hpp"

#include <gtest/gtest.h>

namespace fiducial::gateway {
namespace {

TEST(Knocks, TheLastOneComesFirstAndTheSameAgainIsCounted) {
    Knocks knocks;
    knocks.add("192.0.2.7", "CT1", "FIDUCIAL", "not listed");
    knocks.add("192.0.2.8", "MR1", "ARCHIVE", "another title");
    knocks.add("192.0.2.7", "CT1", "FIDUCIAL", "not listed");
    knocks.add("192.0.2.7", "CT1", "FIDUCIAL", "needs TLS");
    const auto list = knocks.list();
    ASSERT_EQ(list.size(), 3u);
    EXPECT_EQ(list[0].why, "needs TLS");
    EXPECT_EQ(list[1].calling_ae_title, "CT1");
    EXPECT_EQ(list[1].times, 2u);
    EXPECT_GT(list[1].last, SystemTime{});
    EXPECT_EQ(list[2].address, "192.0.2.8");
}

TEST(Knocks, ThereIsABoundHoweverManyTitlesSomebodyTries) {
    Knocks knocks;
    knocks.add("192.0.2.7", "OLD", "FIDUCIAL", "not listed");
    for (std::size_t i = 0; i < 3 * Knocks::kMost; ++i) knocks.add("192.0.2.9", "T" + std::to_string(i), "FIDUCIAL", "not listed");
    const auto list = knocks.list();
    EXPECT_EQ(list.size(), Knocks::kMost);
    EXPECT_EQ(list.front().calling_ae_title, "T" + std::to_string(3 * Knocks::kMost - 1));
    for (const auto& knock : list) EXPECT_NE(knock.calling_ae_title, "OLD");
}

}  // namespace
}  // namespace fiducial::gateway
