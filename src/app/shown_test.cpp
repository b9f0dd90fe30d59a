#include "app/shown.hpp"

#include <gtest/gtest.h>

namespace fiducial::app::shown {
namespace {

TEST(Shown, ColumnsAreCountedAsATerminalShowsThem) {
    EXPECT_EQ(padded("Ada", 5), "Ada  ");
    EXPECT_EQ(padded("Ada Lovelace", 5), "Ada Lovelace");
    EXPECT_EQ(padded("Müller", 8), "Müller  ");
    EXPECT_EQ(padded("山田", 6), "山田  ");
    EXPECT_EQ(padded("홍", 3), "홍 ");
    EXPECT_EQ(padded("e\u0301", 3), "e\u0301  ");
    EXPECT_EQ(padded("\xe5", 3), "\xe5  ");  // cut off
}

TEST(Shown, OneIsSingular) {
    EXPECT_EQ(counted(1, "study", "studies"), "1 study");
    EXPECT_EQ(counted(0, "study", "studies"), "0 studies");
}

}  // namespace
}  // namespace fiducial::app::shown
