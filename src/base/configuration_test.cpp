#include "base/configuration.hpp"

#include <gtest/gtest.h>

namespace fiducial {
namespace {

TEST(Configuration, WhatInitWritesIsReadBack) {
    Configuration configuration;
    configuration.site_name = "St \"Luke\" \\ North";
    configuration.index_extra_attributes = {"BodyPartExamined", "00180060"};
    configuration.http_max_connections = 7;
    configuration.dimse_peers = {"CT1 192.0.2.7 plain", "* 127.0.0.1"};
    const auto read = Configuration::parse(configuration.to_toml(), "fiducial.toml");
    ASSERT_TRUE(read) << read.error().message;
    EXPECT_EQ(read->site_name, configuration.site_name);
    EXPECT_EQ(read->dimse_peers, configuration.dimse_peers);
    EXPECT_EQ(read->index_extra_attributes, configuration.index_extra_attributes);
    EXPECT_EQ(read->to_toml(), configuration.to_toml());
}

struct Bad {
    const char* text;
    const char* said;
};
class BadConfiguration : public testing::TestWithParam<Bad> {};
TEST_P(BadConfiguration, IsNamedWithItsLine) {
    const auto read = Configuration::parse(GetParam().text, "f.toml");
    ASSERT_FALSE(read);
    EXPECT_NE(read.error().message.find(GetParam().said), std::string::npos) << read.error().message;
}
INSTANTIATE_TEST_SUITE_P(Each, BadConfiguration,
                         testing::Values(Bad{"[http]\nlissten = \"x\"\n", "f.toml:2: there is no setting [http] lissten"},
                                         Bad{"\n[http]\nlisten = 5\n", "f.toml:3: [http] listen must be a text"},
                                         Bad{"[ledger]\nbatch_size = 1000\n", "f.toml:2: [ledger] batch_size must be from 1 to 256"},
                                         Bad{"[ledger]\nbatch_size = \"x\"\n", "must be a whole number"},
                                         Bad{"[index]\nextra_attributes = [1]\n", "must be a list of texts"},
                                         Bad{"x = 1\n", "outside any [section]"}, Bad{"[http\n", "f.toml:1"},
                                         Bad{"[log]\nlevel = \"loud\"\n", "debug, info, warning or error"},
                                         Bad{"[http]\ntls_key = \"k\"\n", "go together"},
                                         Bad{"[dimse]\ntls_key = \"k\"\n", "go together"}));

}  // namespace
}  // namespace fiducial
