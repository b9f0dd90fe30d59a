#include "ledger/node/clock_guard.hpp"

#include <gtest/gtest.h>

#include <fstream>

#include "base/file.hpp"
#include "ledger/ledger_test_support.hpp"

namespace fiducial::ledger {
namespace {

/// A machine whose clocks the tests set.
struct Machine final : Clock {
    SystemTime now() const override { return SystemTime(std::chrono::milliseconds(1'795'377'600'000)) + kernel.since_boot + set_ahead; }
    SteadyTime steady_now() const override { return SteadyTime(kernel.since_boot); }
    void wait(std::chrono::milliseconds time) { kernel.since_boot += time; }
    std::chrono::milliseconds set_ahead{0};
    static inline KernelTime kernel;
};

class ClockGuardTest : public ::testing::Test {
protected:
    void SetUp() override { Machine::kernel = {"first-boot", std::chrono::minutes(5), false}; }
    /// As a process that begins.
    ClockGuard guard() const {
        ClockGuard made(file_, machine_, [] { return Machine::kernel; });
        made.load();
        return made;
    }
    void expect_refused(const ClockGuard& guard, const std::string& minutes) const {
        const auto checked = guard.check();
        ASSERT_FALSE(checked);
        EXPECT_EQ(checked.error().code, ErrorCode::invalid_argument);
        EXPECT_NE(checked.error().message.find(minutes + " minutes ahead"), std::string::npos) << checked.error().message;
        EXPECT_NE(checked.error().message.find("fiducial ledger trust-clock"), std::string::npos) << checked.error().message;
    }
    testing::TemporaryFolder folder_;
    std::filesystem::path file_ = folder_.path() / "clock";
    Machine machine_;
};

TEST_F(ClockGuardTest, AnHourAheadWithinOneBootIsRefusedUntilItIsSetRight) {
    EXPECT_TRUE(guard().check()) << "nothing is known yet";
    ASSERT_TRUE(guard().keep());
    machine_.wait(std::chrono::hours(300));
    EXPECT_TRUE(guard().check()) << "time went on";
    machine_.set_ahead = std::chrono::hours(1);
    expect_refused(guard(), "60");
    EXPECT_FALSE(guard().keep()) << "what is wrong is not remembered as right";
    machine_.wait(std::chrono::hours(2));
    expect_refused(guard(), "60");
    machine_.set_ahead = std::chrono::seconds(0);
    EXPECT_TRUE(guard().check());
    machine_.set_ahead = -std::chrono::hours(1);
    EXPECT_TRUE(guard().check()) << "behind is told by the chain's head";
}

TEST_F(ClockGuardTest, DriftIsFollowed) {
    auto running = guard();
    for (int day = 0; day < 300; ++day) {
        machine_.wait(std::chrono::hours(24));
        machine_.set_ahead += std::chrono::seconds(20);
        ASSERT_TRUE(running.keep()) << day;
        ASSERT_TRUE(guard().check()) << day;
    }
}

TEST_F(ClockGuardTest, ATimeServiceAnotherBootOrAPersonKnowsBetter) {
    ASSERT_TRUE(guard().keep());
    machine_.set_ahead = std::chrono::hours(1);
    Machine::kernel.synchronised = true;
    EXPECT_TRUE(guard().check());
    Machine::kernel.synchronised = false;
    Machine::kernel.boot_id = "second-boot";
    EXPECT_TRUE(guard().check());
    Machine::kernel.boot_id = "first-boot";
    auto running = guard();
    expect_refused(running, "60");
    ASSERT_TRUE(guard().trust());  // by another process
    expect_refused(running, "60");
    running.load();
    EXPECT_TRUE(running.check());
    machine_.set_ahead += std::chrono::hours(1);
    expect_refused(guard(), "60");
}

TEST_F(ClockGuardTest, ADamagedFileKnowsNothing) {
    ASSERT_TRUE(guard().keep());
    const auto good = to_bytes(*read_file(file_, 1000));
    machine_.set_ahead = std::chrono::hours(1);
    for (std::size_t size = 0; size < good.size(); ++size) {
        std::filesystem::remove(file_);
        ASSERT_TRUE(write_file_atomically(file_, ByteView(good).first(size)));
        EXPECT_TRUE(guard().check()) << size;
    }
    std::ofstream(file_) << "first-boot x\n";
    EXPECT_TRUE(guard().check());
    std::ofstream(file_) << std::string(1000, '1');
    EXPECT_TRUE(guard().check());
    EXPECT_TRUE(guard().keep()) << "and is made anew";
    EXPECT_TRUE(guard().check());
    machine_.set_ahead += std::chrono::hours(1);
    expect_refused(guard(), "60");
}

TEST(KernelTime, IsThatOfThisBoot) {
    const auto first = kernel_time(), second = kernel_time();
    EXPECT_EQ(first.boot_id.size(), 36u);
    EXPECT_EQ(first.boot_id, second.boot_id);
    EXPECT_GT(first.since_boot.count(), 0);
    EXPECT_GE(second.since_boot, first.since_boot);
}

}  // namespace
}  // namespace fiducial::ledger
