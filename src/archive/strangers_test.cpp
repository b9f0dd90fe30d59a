#include "archive/strangers.hpp"

#include <gtest/gtest.h>

namespace fiducial::archive {
namespace {

TEST(Strangers, AreCountedByDoorAndAddressAndToldOfOnce) {
    Strangers strangers;
    EXPECT_TRUE(strangers.take().empty());
    for (int port = 1; port <= 500; ++port) strangers.add("http", "192.0.2.7:" + std::to_string(port));
    for (int i = 0; i < 12; ++i) strangers.add("http", "[2001:db8::1]:4711");
    strangers.add("dimse", "198.51.100.1:104");
    EXPECT_EQ(strangers.take(),
              (std::vector<std::string>{"dimse: 1 request of nobody known, from 1 address, most from 198.51.100.1 (1)",
                                        "http: 512 requests of nobody known, from 2 addresses, most from 192.0.2.7 (500)"}));
    EXPECT_TRUE(strangers.take().empty());
    EXPECT_EQ(strangers.total(), 513U);
}

TEST(Strangers, FromHoweverManyAddressesHoldBoundedRoom) {
    Strangers strangers;
    constexpr std::size_t kAddresses = 100'000;
    for (std::size_t i = 0; i < kAddresses; ++i)
        strangers.add("http", "10.0." + std::to_string(i / 250) + "." + std::to_string(i % 250) + ":1");
    const auto told = strangers.take();
    ASSERT_EQ(told.size(), 1U);
    EXPECT_TRUE(told.front().starts_with("http: 100000 requests of nobody known, from 256 or more addresses, most from 10.0."))
        << told.front();
    EXPECT_LE(told.front().size(), 255U);  // what an entry of the trace holds of an address
}

}  // namespace
}  // namespace fiducial::archive
