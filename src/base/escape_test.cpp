#include "base/escape.hpp"

#include <gtest/gtest.h>

using namespace fiducial;

TEST(Escape, html_ends_no_tag_and_no_attribute) {
    EXPECT_EQ(escape_html("<b a=\"1\">&amp;"), "&lt;b a=&quot;1&quot;&gt;&amp;amp;");
}

TEST(Escape, rfc4180_quotes_within_a_cell_are_doubled) {
    EXPECT_EQ(csv_cell("plain, \"quoted\"\nand on"), "\"plain, \"\"quoted\"\"\nand on\"");
    EXPECT_EQ(csv_cell(""), "\"\"");
}

TEST(Escape, no_cell_is_a_formula) {
    for (const std::string formula : {"=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"}) EXPECT_EQ(csv_cell(formula), "\"'" + formula + "\"");
    EXPECT_EQ(csv_cell("1=1"), "\"1=1\"");
}
