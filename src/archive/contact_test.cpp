#include "archive/contact.hpp"

#include <gtest/gtest.h>

#include <boost/json.hpp>

#include "base/file.hpp"
#include "base/json.hpp"

namespace fiducial::archive {
namespace {

TEST(Contact, names_are_text_of_a_length) {
    EXPECT_EQ(check_name("  Ada Lovelace ").value(), "Ada Lovelace");
    EXPECT_EQ(check_name("山田").value(), "山田");
    for (const std::string bad : {"", "A", "Ada\nEve", "\xff\xfe\xfd"}) EXPECT_FALSE(check_name(bad)) << bad;
    EXPECT_FALSE(check_name(std::string(101, 'a')));
}

TEST(Contact, Rfc5321Addresses) {
    EXPECT_EQ(check_email(" Ada.L+x@Mail.Example.ORG ").value(), "ada.l+x@mail.example.org");
    for (const std::string bad : {"", "ada", "ada@", "@example.org", "ada@example", "ada@@example.org", "ada..l@example.org",
                                  ".ada@example.org", "ada@-example.org", "ada@example..org", "ada l@example.org", "ada@exam_ple.org",
                                  "ada@127.0.0.1", "ada@example.org\r\nRCPT TO:<eve@example.org>"})
        EXPECT_FALSE(check_email(bad)) << bad;
    EXPECT_FALSE(check_email(std::string(65, 'a') + "@example.org"));
}

TEST(Contact, E164NumbersByTheirCountrysPlan) {
    EXPECT_EQ(check_phone("+43 1 40400-0").value(), "+431404000");
    EXPECT_EQ(check_phone("+1 (212) 555.0123").value(), "+12125550123");
    EXPECT_EQ(check_phone("+44 20 7946 0958").value(), "+442079460958");
    for (const std::string bad : {"", "+", "0043 1 40400", "+43", "+43 1", "+999 1234567", "+1 112 555 0123", "+44 20 7946 09581234",
                                  "+43 1 4o400", "+43140400123456789"})
        EXPECT_FALSE(check_phone(bad)) << bad;
}

TEST(Contact, numbers_are_judged_as_libphonenumber_judges_them) {
    const auto file = read_file(std::string(FIDUCIAL_SOURCE_DIR) + "/test/vectors/phone_numbers/verdicts.json", std::size_t{1} << 20);
    ASSERT_TRUE(file);
    const auto value = json::parse(as_text(*file), std::size_t{1} << 20);
    ASSERT_TRUE(value) << value.error().message;
    const auto& numbers = value->at("numbers").get_object();
    EXPECT_GT(numbers.size(), 3000U);
    std::size_t good = 0;
    for (const auto& [number, verdict] : numbers) {
        EXPECT_EQ(check_phone(number).has_value(), verdict.get_bool()) << number;
        good += verdict.get_bool() ? 1 : 0;
    }
    EXPECT_GT(good, 1000U);
}

TEST(Contact, passwords_that_others_try_first_are_refused) {
    EXPECT_TRUE(check_password("korrektes pferd batterie", "ada@example.org"));
    EXPECT_TRUE(check_password("пароль длинный", "ada@example.org"));
    for (const std::string bad :
         {"", "short", "1234567890", "Qwertyuiop", "PASSWORD123", "aaaaaaaaaaaa", "ada.lovelace1", "ada.lovelace@example.org"})
        EXPECT_FALSE(check_password(bad, "ada.lovelace@example.org")) << bad;
    EXPECT_FALSE(check_password(std::string(257, 'x') + "y", "ada@example.org"));
}

}  // namespace
}  // namespace fiducial::archive
