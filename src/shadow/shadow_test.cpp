#include "shadow/shadow.hpp"

#include <gtest/gtest.h>

#include <thread>

#include "shadow/impl/pipe.hpp"

namespace fiducial::shadow {
namespace {

using std::chrono::milliseconds;

TEST(Hours, ANightGoesPastMidnight) {
    const auto night = parse_hours("20-6");
    ASSERT_TRUE(night);
    EXPECT_TRUE(night->holds(20) && night->holds(23) && night->holds(0) && night->holds(5));
    EXPECT_FALSE(night->holds(6) || night->holds(12) || night->holds(19));
    EXPECT_TRUE(parse_hours("9-17")->holds(9));
    EXPECT_FALSE(parse_hours("9-17")->holds(17));
    EXPECT_TRUE(parse_hours("22-24")->holds(23));
    EXPECT_FALSE(parse_hours("22-24")->holds(0));
    for (int hour = 0; hour < 24; ++hour) EXPECT_TRUE(parse_hours("0-0")->holds(hour));
    for (const auto* wrong : {"", "20", "-6", "20-", "25-6", "20-25", "a-b", "20-6-7", "020-6"}) EXPECT_FALSE(parse_hours(wrong)) << wrong;
}

TEST(Pace, KeepsItsRateAndSavesNothingUp) {
    Pace pace(1'000'000);
    auto now = std::chrono::steady_clock::now();
    EXPECT_NEAR(static_cast<double>(pace.after(500'000, now).count()), 500, 5);
    EXPECT_NEAR(static_cast<double>(pace.after(500'000, now).count()), 1000, 5);
    now += std::chrono::hours(1);
    EXPECT_NEAR(static_cast<double>(pace.after(1'000'000, now).count()), 750, 5) << "but for a quarter of a second";
    EXPECT_EQ(Pace(0).after(1'000'000'000, now).count(), 0);
}

TEST(Pipe, GivesAllOfItInOrderAndThenTheEnd) {
    impl::Pipe pipe;
    Bytes sent(5'000'000);
    for (std::size_t i = 0; i < sent.size(); ++i) sent[i] = static_cast<std::uint8_t>(i * 7 + i / 256);
    std::thread writer([&] {
        for (std::size_t at = 0; at < sent.size(); at += 70'000)
            EXPECT_TRUE(pipe.put(ByteView(sent).subspan(at, std::min<std::size_t>(70'000, sent.size() - at))));
        pipe.end({});
    });
    Bytes got, piece(50'000);
    for (;;) {
        const auto count = pipe.take(piece);
        ASSERT_TRUE(count);
        if (*count == 0) break;
        append(got, ByteView(piece).first(*count));
    }
    writer.join();
    EXPECT_EQ(got, sent);
}

TEST(Pipe, AnErrorOfOneSideReachesTheOther) {
    impl::Pipe pipe;
    pipe.end(Error{ErrorCode::unavailable, "gone"});
    Bytes piece(10);
    EXPECT_EQ(pipe.take(piece).error().code, ErrorCode::unavailable);
    impl::Pipe unread;
    std::thread writer([&] { EXPECT_EQ(unread.put(Bytes(3'000'000)).error().code, ErrorCode::cancelled); });
    unread.abandon();
    writer.join();
}

}  // namespace
}  // namespace fiducial::shadow
