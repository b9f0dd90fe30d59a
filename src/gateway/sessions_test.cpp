#include "gateway/impl/sessions.hpp"

#include <gtest/gtest.h>

namespace fiducial::gateway::impl {
namespace {

using namespace std::chrono_literals;

class HandClock final : public Clock {
public:
    SystemTime now() const override { return wall; }
    SteadyTime steady_now() const override { return time; }
    SystemTime wall{};
    SteadyTime time{1h};
};

Bytes32 person(std::uint8_t number) {
    Bytes32 id{};
    id[0] = number;
    return id;
}

TEST(Sessions, HoldWhatWasGivenAtLogIn) {
    HandClock clock;
    Sessions sessions({}, clock);
    const auto id = sessions.open("fid_token", person(1), archive::Purpose::research);
    EXPECT_EQ(id.size(), 64u);
    EXPECT_NE(id, sessions.open("fid_token", person(1), archive::Purpose::research));
    const auto held = sessions.use(id);
    ASSERT_TRUE(held);
    EXPECT_EQ(as_text(held->token.view()), "fid_token");
    EXPECT_EQ(held->purpose, archive::Purpose::research);
    EXPECT_FALSE(sessions.use(id.substr(1)));
    EXPECT_FALSE(sessions.use(""));
    sessions.close(id);
    EXPECT_FALSE(sessions.use(id));
}

TEST(Sessions, KnowTheEmergenciesThatLast) {
    HandClock clock;
    SessionLimits limits;
    limits.most_emergencies = 2;
    Sessions sessions(limits, clock);
    const auto id = sessions.open("a", person(1), archive::Purpose::treatment);
    const auto open_studies = [&] {
        const auto held = sessions.use(id);
        std::string out;
        if (held) {
            for (const auto& [study, until] : held->emergencies) out += study + " ";
        }
        return out;
    };
    sessions.open_emergency(id, "1.2", clock.now() + 60min);
    sessions.open_emergency("nobody's", "1.9", clock.now() + 60min);
    EXPECT_EQ(open_studies(), "1.2 ");
    sessions.open_emergency(id, "1.3", clock.now() + 30min);
    sessions.open_emergency(id, "1.4", clock.now() + 90min);
    EXPECT_EQ(open_studies(), "1.2 1.4 ") << "the one that ends first makes room";
    clock.wall += 60min;
    EXPECT_EQ(open_studies(), "1.4 ");
}

TEST(Sessions, EndWhenTheyIdleAndAfterTheirLifetimeInAnyCase) {
    HandClock clock;
    Sessions sessions({30min, 2h}, clock);
    const auto idle = sessions.open("a", person(1), {});
    const auto used = sessions.open("b", person(1), {});
    clock.time += 20min;
    EXPECT_TRUE(sessions.use(used));
    clock.time += 10min;
    EXPECT_FALSE(sessions.use(idle));
    clock.time += 19min;
    EXPECT_TRUE(sessions.use(used));
    clock.time += 30min;
    EXPECT_FALSE(sessions.use(used));

    const auto busy = sessions.open("c", person(1), {});
    for (int i = 0; i < 7; ++i) {
        clock.time += 15min;
        EXPECT_TRUE(sessions.use(busy)) << i;
    }
    clock.time += 15min;
    EXPECT_FALSE(sessions.use(busy));
}

TEST(Sessions, TheLongestIdleOneMakesRoom) {
    HandClock clock;
    Sessions sessions({30min, 12h, 4, 2}, clock);
    const auto open = [&](std::uint8_t who) {
        clock.time += 1s;
        return sessions.open("t", person(who), {});
    };
    const auto a1 = open(1), a2 = open(1);
    clock.time += 1s;
    EXPECT_TRUE(sessions.use(a1));
    const auto a3 = open(1);  // the third of one person: a2 has idled for longer
    EXPECT_FALSE(sessions.use(a2));
    const auto b = open(2), c = open(3);
    EXPECT_EQ(sessions.count(), 4u);
    EXPECT_TRUE(sessions.use(a1));
    const auto d = open(4);  // the fifth of all
    EXPECT_EQ(sessions.count(), 4u);
    EXPECT_FALSE(sessions.use(a3));
    for (const auto& id : {a1, b, c, d}) EXPECT_TRUE(sessions.use(id));
}

TEST(FailedLogIns, TenInAMinuteFromOneAddress) {
    HandClock clock;
    FailedLogIns failed(clock);
    for (int i = 0; i < 10; ++i) {
        EXPECT_TRUE(failed.may_try("192.0.2.1:1000"));
        failed.add("192.0.2.1:" + std::to_string(1000 + i));
    }
    EXPECT_FALSE(failed.may_try("192.0.2.1:2000"));
    EXPECT_TRUE(failed.may_try("192.0.2.2:2000"));
    clock.time += 59s;
    EXPECT_FALSE(failed.may_try("192.0.2.1:2000"));
    clock.time += 1s;
    EXPECT_TRUE(failed.may_try("192.0.2.1:2000"));
}

TEST(FailedLogIns, AnIpv6NetworkIsOneParty) {
    HandClock clock;
    FailedLogIns failed(clock);
    for (int i = 0; i < 10; ++i) failed.add("[2001:db8:0:1::" + std::to_string(i) + "]:443");
    EXPECT_FALSE(failed.may_try("[2001:db8:0:1:ffff::1]:1"));
    EXPECT_TRUE(failed.may_try("[2001:db8:0:2::1]:1"));
}

}  // namespace
}  // namespace fiducial::gateway::impl
