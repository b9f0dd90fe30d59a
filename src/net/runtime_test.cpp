#include "net/runtime.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <stdexcept>
#include <thread>

namespace fiducial::net {
namespace {

using namespace std::chrono_literals;

TEST(Runtime, BlockOnReturnsValuesErrorsAndWhatWasThrown) {
    Runtime runtime(2);
    auto value = []() -> Task<Result<int>> { co_return 7; };
    EXPECT_EQ(runtime.block_on(value()).value_or(0), 7);
    auto error = []() -> Task<Result<int>> { co_return fail(ErrorCode::not_found, "no"); };
    EXPECT_EQ(runtime.block_on(error()).error().code, ErrorCode::not_found);
    auto thrown = []() -> Task<Result<int>> {
        throw std::runtime_error("thrown");
        co_return 1;
    };
    EXPECT_EQ(runtime.block_on(thrown()).error().code, ErrorCode::internal);
}

TEST(Runtime, StopWaitsForWhatWasSpawnedAndThenTakesNothing) {
    std::atomic<int> ended = 0;
    Runtime runtime(2);
    auto one = [&]() -> Task<void> {
        co_await sleep_for(20ms);
        ++ended;
    };
    for (int i = 0; i < 10; ++i) runtime.spawn("one", one());
    runtime.stop(20s);
    EXPECT_EQ(ended, 10);
    runtime.spawn("late", one());
    auto value = []() -> Task<Result<int>> { co_return 7; };
    EXPECT_EQ(runtime.block_on(value()).error().code, ErrorCode::cancelled);
}

TEST(Runtime, ACoroutineThatNeverEndsDoesNotHoldItUp) {
    Runtime runtime(1);
    auto never = []() -> Task<void> { co_await sleep_for(std::chrono::hours(24)); };
    runtime.spawn("never", never());
    runtime.stop(10ms);
}

TEST(Runtime, BothGoOnSideBySideAndBothAreWaitedFor) {
    Runtime runtime(2);
    BlockingPool pool("pool", 1, 4);
    auto run = [&]() -> Task<Result<std::string>> {
        std::string order;
        std::promise<void> begun;
        auto first = [&]() -> Task<Result<int>> {  // waits for what only the second one sets in motion
            auto wait = [&]() -> Result<int> {
                begun.get_future().wait();
                return 1;
            };
            auto value = co_await pool.run(wait);
            order += "first ";
            co_return value;
        };
        auto second = [&]() -> Task<Result<std::string>> {
            order += "second ";
            begun.set_value();
            co_return fail(ErrorCode::denied, "no");
        };
        const auto [one, two] = co_await both(first(), second());
        co_return order + (one ? std::to_string(*one) : "") + (two ? "" : " " + two.error().message);
    };
    EXPECT_EQ(runtime.block_on(run()).value_or("broken"), "second first 1 no");
}

TEST(Runtime, BothPassOnWhatOneOfThemThrows) {
    Runtime runtime(1);
    auto run = []() -> Task<Result<int>> {
        auto throws = []() -> Task<Result<int>> {
            throw std::runtime_error("thrown");
            co_return 1;
        };
        auto value = []() -> Task<Result<int>> { co_return 2; };
        const auto [one, two] = co_await both(throws(), value());
        co_return one ? *one : *two;
    };
    EXPECT_EQ(runtime.block_on(run()).error().code, ErrorCode::internal);
}

TEST(BlockingPool, RunsOnItsOwnThreadsAndComesBack) {
    Runtime runtime(1);
    BlockingPool pool("pool", 2, 16);
    auto there_and_back = [&]() -> Task<Result<bool>> {
        const auto here = std::this_thread::get_id();
        auto ask = []() -> Result<std::thread::id> { return std::this_thread::get_id(); };
        FID_CO_TRY(const auto there, co_await pool.run(ask));
        co_return there != here&& std::this_thread::get_id() == here;
    };
    EXPECT_TRUE(runtime.block_on(there_and_back()).value_or(false));
}

TEST(BlockingPool, BriefJobsAreDoneWhereTheCallerIsWhileThereIsAThreadToLend) {
    Runtime runtime(1, 1);
    BlockingPool pool("pool", 1, 16, JobLength::brief);
    const auto ask = []() -> Result<std::thread::id> { return std::this_thread::get_id(); };
    auto alone = [&]() -> Task<Result<bool>> {
        const auto here = std::this_thread::get_id();
        FID_CO_TRY(const auto there, co_await pool.run(ask));
        co_return there == here;
    };
    EXPECT_TRUE(runtime.block_on(alone()).value_or(false));

    std::promise<void> running, release;
    auto gate = release.get_future().share();
    auto hold = [&]() -> Task<Result<bool>> {
        const auto here = std::this_thread::get_id();
        auto job = [&, gate]() -> Result<std::thread::id> {
            running.set_value();
            gate.wait();
            return std::this_thread::get_id();
        };
        FID_CO_TRY(const auto there, co_await pool.run(job));
        co_return there == here;
    };
    auto holding = std::async(std::launch::async, [&] { return runtime.block_on(hold()); });
    running.get_future().wait();
    EXPECT_FALSE(runtime.block_on(alone()).value_or(true)) << "the one to lend is taken: the pool does it, and the runtime goes on";
    release.set_value();
    EXPECT_TRUE(holding.get().value_or(false));

    auto throws = [&]() -> Task<Result<int>> {
        auto job = []() -> Result<int> { throw std::runtime_error("thrown"); };
        co_return co_await pool.run(job);
    };
    EXPECT_EQ(runtime.block_on(throws()).error().code, ErrorCode::internal);
    EXPECT_TRUE(runtime.block_on(alone()).value_or(false)) << "given back";
    pool.stop();
    EXPECT_EQ(runtime.block_on(alone()).error().code, ErrorCode::unavailable);
}

TEST(BlockingPool, AFullQueueIsUnavailable) {
    Runtime runtime(2);
    BlockingPool pool("pool", 1, 1);
    std::promise<void> running, release;
    auto gate = release.get_future().share();
    auto hold = [&]() -> Task<Result<int>> {
        auto job = [&, gate]() -> Result<int> {
            running.set_value();
            gate.wait();
            return 1;
        };
        co_return co_await pool.run(job);
    };
    auto quick = [&]() -> Task<Result<int>> {
        auto job = []() -> Result<int> { return 2; };
        co_return co_await pool.run(job);
    };
    auto first = std::async(std::launch::async, [&] { return runtime.block_on(hold()); });
    running.get_future().wait();
    auto second = std::async(std::launch::async, [&] { return runtime.block_on(quick()); });
    while (pool.queued() == 0) std::this_thread::yield();
    EXPECT_EQ(runtime.block_on(quick()).error().code, ErrorCode::unavailable);
    release.set_value();
    EXPECT_EQ(first.get().value_or(0), 1);
    EXPECT_EQ(second.get().value_or(0), 2);
}

TEST(BlockingPool, ErrorsAndExceptionsComeBackAndAStoppedPoolRefuses) {
    Runtime runtime(1);
    BlockingPool pool("pool", 1, 4);
    auto run = [&](int what) -> Task<Result<int>> {
        auto job = [what]() -> Result<int> {
            if (what == 1) return fail(ErrorCode::corrupt, "bad");
            throw std::runtime_error("thrown");
        };
        co_return co_await pool.run(job);
    };
    EXPECT_EQ(runtime.block_on(run(1)).error().code, ErrorCode::corrupt);
    EXPECT_EQ(runtime.block_on(run(2)).error().code, ErrorCode::internal);
    pool.stop();
    EXPECT_EQ(runtime.block_on(run(1)).error().code, ErrorCode::unavailable);
}

}  // namespace
}  // namespace fiducial::net
