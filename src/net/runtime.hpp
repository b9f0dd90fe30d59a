#pragma once
#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "base/result.hpp"
#include "net/task.hpp"

namespace fiducial::net {

/// The threads that all sockets and timers of the process run on. Never block on one of them: blocking work goes to a BlockingPool.
/// Threads: safe.
class Runtime {
public:
    /// lent: so many threads more, which brief jobs of pools may hold at a time (see JobLength). Requires: threads >= 1. They start at
    /// once.
    explicit Runtime(std::size_t threads, std::size_t lent = 0);
    ~Runtime();  // stop() without grace
    Runtime(const Runtime&) = delete;
    Runtime& operator=(const Runtime&) = delete;

    /// Starts a coroutine on a strand of its own, so that whatever it awaits comes back one at a time.
    /// An exception that leaves it is logged under the name and ends only this coroutine. Ignored once stopped.
    void spawn(std::string name, Task<void> task);
    /// The same on a given strand of this runtime.
    void spawn_on(const Executor& strand, std::string name, Task<void> task);
    /// Runs a coroutine and waits for its value. Requires: not called from a runtime thread.
    /// Errors: cancelled when the runtime stops first; internal when an exception left the coroutine.
    template <typename T>
    Result<T> block_on(Task<Result<T>> task) {
        auto out = std::make_shared<std::optional<Result<T>>>();
        if (auto ran = wait_for(store(std::move(task), out)); !ran) return fail(std::move(ran).error());
        return std::move(**out);
    }
    Executor executor();

    /// Waits up to grace for spawned coroutines to end, then stops the threads and joins them. What is still suspended then is destroyed
    /// with the Runtime. Requires: not called from a runtime thread; servers, listeners and pools go before the Runtime does.
    void stop(std::chrono::milliseconds grace);

private:
    template <typename T>
    static Task<void> store(Task<Result<T>> task, std::shared_ptr<std::optional<Result<T>>> out) {
        out->emplace(co_await std::move(task));
    }
    Result<void> wait_for(Task<void> task);

    friend class BlockingPool;
    class Lent;
    struct Impl;
    std::shared_ptr<Impl> impl_;
};

/// Suspends the calling coroutine.
Task<void> sleep_for(std::chrono::milliseconds time);

/// Use both(). Ends when both have.
Task<void> both_to_the_end(Task<void> first, Task<void> second);

/// Runs two coroutines at once, both where the caller is, one at a time. Returns: what both gave, once both have.
template <typename A, typename B>
Task<std::pair<A, B>> both(Task<A> first, Task<B> second) {
    std::optional<A> a;
    std::optional<B> b;
    const auto keep = [](auto task, auto& out) -> Task<void> { out.emplace(co_await std::move(task)); };
    co_await both_to_the_end(keep(std::move(first), a), keep(std::move(second), b));
    co_return std::pair<A, B>(std::move(*a), std::move(*b));
}

/// brief: some milliseconds at most. To wake a thread and be woken by it takes longer than many such jobs, so they are done where the
/// caller is while the runtime has a thread to lend, and by the pool only beyond that.
enum class JobLength : std::uint8_t { any, brief };

/// Threads for work that blocks: disk, SQL, long computations. Its queue has a bound; when it is full, the work is refused at once
/// with unavailable, so that load shows at the door instead of growing in memory.
/// Threads: safe.
class BlockingPool {
public:
    /// Requires: threads >= 1. max_queued counts the jobs that wait, not those that run.
    BlockingPool(std::string name, std::size_t threads, std::size_t max_queued, JobLength length = JobLength::any);
    ~BlockingPool();  // stop()
    BlockingPool(const BlockingPool&) = delete;
    BlockingPool& operator=(const BlockingPool&) = delete;

    /// Runs function on a thread of the pool, or a brief one on the caller's; the caller goes on where it was (its own executor).
    /// Requires: function returns a Result; what it refers to lives until the Task ends.
    /// Returns: what the function returned.
    /// Errors: those of the function; unavailable when the queue is full or the pool stopped; internal when it threw.
    /// Threads: cancelling the awaiting coroutine does not stop a job that has begun; the Task ends after it.
    template <typename Function>
    Task<std::invoke_result_t<Function&>> run(Function function) {
        std::optional<std::invoke_result_t<Function&>> out;
        std::function<void()> job = [&function, &out] { out.emplace(function()); };
        auto ran = co_await run_job(std::move(job));
        if (!ran) co_return fail(std::move(ran).error());
        co_return std::move(*out);
    }

    /// Refuses new work, finishes what is queued, joins. Requires: not called from one of its own threads.
    void stop();
    std::size_t queued() const;

private:
    Task<Result<void>> run_job(std::function<void()> job);

    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace fiducial::net
