#include "net/runtime.hpp"

#include <atomic>
#include <boost/asio/async_result.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <condition_variable>
#include <deque>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

#include "base/log.hpp"

#if defined(__SANITIZE_THREAD__)
// Asio counts the references of an executor with a fence, which the sanitizer does not know.
extern "C" const char* __tsan_default_suppressions();
extern "C" const char* __tsan_default_suppressions() {
    return "race:boost::asio::execution::detail::shared_target_executor\n";
}
#endif

namespace fiducial::net {

namespace asio = boost::asio;

namespace {

std::string text_of(const std::exception_ptr& exception) {
    try {
        std::rethrow_exception(exception);
    } catch (const std::exception& e) {
        return e.what();
    } catch (...) {
        return "unknown exception";
    }
}

}  // namespace

struct Runtime::Impl {
    Impl(std::size_t thread_count, std::size_t may_be_lent)
        : to_lend(static_cast<std::ptrdiff_t>(may_be_lent)),
          context(static_cast<int>(thread_count + may_be_lent)),
          work(asio::make_work_guard(context)) {}

    /// The runtime whose thread this is.
    static thread_local Impl* here;

    std::atomic<std::ptrdiff_t> to_lend;
    std::mutex mutex;
    std::condition_variable changed;
    std::size_t running = 0;  // spawned coroutines
    bool stopped = false;
    std::vector<std::thread> threads;
    asio::io_context context;
    asio::executor_work_guard<asio::io_context::executor_type> work;

    void ended() {
        const std::lock_guard lock(mutex);
        --running;
        changed.notify_all();
    }
};

thread_local Runtime::Impl* Runtime::Impl::here = nullptr;

/// A thread of the runtime that a job holds, if it runs on one and there was one to lend.
class Runtime::Lent {
public:
    Lent() : from_(Impl::here) {
        if (from_ != nullptr && from_->to_lend.fetch_sub(1) <= 0) {
            from_->to_lend += 1;
            from_ = nullptr;
        }
    }
    ~Lent() {
        if (from_ != nullptr) from_->to_lend += 1;
    }
    Lent(const Lent&) = delete;
    Lent& operator=(const Lent&) = delete;
    explicit operator bool() const { return from_ != nullptr; }

private:
    Impl* from_;
};

Runtime::Runtime(std::size_t threads, std::size_t lent) : impl_(std::make_shared<Impl>(threads, lent)) {
    FID_INVARIANT(threads >= 1, "a runtime needs a thread");
    for (std::size_t i = 0; i < threads + lent; ++i) {
        impl_->threads.emplace_back([impl = impl_.get()] {
            Impl::here = impl;
            for (;;) {
                try {
                    impl->context.run();
                    return;
                } catch (const std::exception& e) {  // a handler of ours must not throw; going on is better than losing the thread
                    log::error("net", "an exception reached the runtime", {{"what", e.what()}});
                }
            }
        });
    }
}

Runtime::~Runtime() {
    stop(std::chrono::milliseconds(0));
}

Executor Runtime::executor() {
    return impl_->context.get_executor();
}

void Runtime::spawn(std::string name, Task<void> task) {
    const Executor strand = asio::make_strand(impl_->context);
    spawn_on(strand, std::move(name), std::move(task));
}

void Runtime::spawn_on(const Executor& strand, std::string name, Task<void> task) {
    {
        const std::lock_guard lock(impl_->mutex);
        if (impl_->stopped) return;
        ++impl_->running;
    }
    asio::co_spawn(strand, std::move(task), [impl = impl_.get(), name = std::move(name)](const std::exception_ptr& exception) {
        if (exception) log::error("net", "a coroutine ended by an exception", {{"name", name}, {"what", text_of(exception)}});
        impl->ended();
    });
}

Result<void> Runtime::wait_for(Task<void> task) {
    struct Outcome {
        std::mutex mutex;
        std::condition_variable changed;
        std::optional<Result<void>> result;
    };
    auto outcome = std::make_shared<Outcome>();
    {
        const std::lock_guard lock(impl_->mutex);
        if (impl_->stopped) return fail(ErrorCode::cancelled, "the runtime has stopped");
        ++impl_->running;
    }
    const Executor strand = asio::make_strand(impl_->context);
    asio::co_spawn(strand, std::move(task), [impl = impl_.get(), outcome](const std::exception_ptr& exception) {
        {
            const std::lock_guard lock(outcome->mutex);
            outcome->result = exception ? Result<void>(fail(ErrorCode::internal, text_of(exception))) : Result<void>();
            outcome->changed.notify_all();
        }
        impl->ended();
    });
    std::unique_lock lock(outcome->mutex);
    while (!outcome->result) {
        outcome->changed.wait_for(lock, std::chrono::milliseconds(100));
        if (!outcome->result && impl_->context.stopped()) return fail(ErrorCode::cancelled, "the runtime has stopped");
    }
    return *outcome->result;
}

void Runtime::stop(std::chrono::milliseconds grace) {
    {
        std::unique_lock lock(impl_->mutex);
        impl_->stopped = true;
        impl_->changed.wait_for(lock, grace, [this] { return impl_->running == 0; });
    }
    impl_->work.reset();
    impl_->context.stop();
    for (auto& thread : impl_->threads) thread.join();
    impl_->threads.clear();
}

Task<void> sleep_for(std::chrono::milliseconds time) {
    asio::steady_timer timer(co_await asio::this_coro::executor, time);
    co_await timer.async_wait(asio::use_awaitable);
}

Task<void> both_to_the_end(Task<void> first, Task<void> second) {
    using namespace asio::experimental::awaitable_operators;
    co_await (std::move(first) && std::move(second));
}

struct BlockingPool::Impl {
    struct Job {
        std::function<void()> work;
        std::function<void(Result<void>)> done;
    };
    std::string name;
    std::size_t max_queued = 0;
    JobLength length = JobLength::any;
    mutable std::mutex mutex;
    std::condition_variable changed;
    std::deque<Job> queue;
    std::size_t in_place = 0;      // jobs on threads of a runtime
    std::condition_variable left;  // none of them any more
    bool stopped = false;
    std::vector<std::thread> threads;

    /// Returns: whether there was room; job is left as it was otherwise.
    bool push(Job& job) {
        const std::lock_guard lock(mutex);
        if (stopped || queue.size() >= max_queued) return false;
        queue.push_back(std::move(job));
        changed.notify_one();
        return true;
    }

    /// Does a brief job on this thread, if the runtime lends it. Returns: nothing where it has to go to a thread of the pool.
    std::optional<Result<void>> perform_here(const std::function<void()>& work) {
        const Runtime::Lent thread;
        if (!thread) return std::nullopt;
        {
            const std::lock_guard lock(mutex);
            if (stopped) return std::nullopt;
            ++in_place;
        }
        auto outcome = perform(work);
        const std::lock_guard lock(mutex);
        if (--in_place == 0) left.notify_all();
        return outcome;
    }

    Result<void> perform(const std::function<void()>& work) const {
        try {
            work();
        } catch (const std::exception& e) {
            return fail(ErrorCode::internal, name + ": " + e.what());
        } catch (...) {
            return fail(ErrorCode::internal, name + ": unknown exception");
        }
        return {};
    }

    void serve() {
        for (;;) {
            std::unique_lock lock(mutex);
            changed.wait(lock, [this] { return stopped || !queue.empty(); });
            if (queue.empty()) return;
            Job job = std::move(queue.front());
            queue.pop_front();
            lock.unlock();
            auto outcome = perform(job.work);
            job.work = nullptr;
            job.done(std::move(outcome));
        }
    }
};

BlockingPool::BlockingPool(std::string name, std::size_t threads, std::size_t max_queued, JobLength length)
    : impl_(std::make_unique<Impl>()) {
    FID_INVARIANT(threads >= 1, "a pool needs a thread");
    impl_->name = std::move(name);
    impl_->max_queued = max_queued;
    impl_->length = length;
    for (std::size_t i = 0; i < threads; ++i) impl_->threads.emplace_back([impl = impl_.get()] { impl->serve(); });
}

BlockingPool::~BlockingPool() {
    stop();
}

void BlockingPool::stop() {
    {
        std::unique_lock lock(impl_->mutex);
        impl_->stopped = true;
        impl_->changed.notify_all();
        impl_->left.wait(lock, [this] { return impl_->in_place == 0; });
    }
    for (auto& thread : impl_->threads) thread.join();
    impl_->threads.clear();
}

std::size_t BlockingPool::queued() const {
    const std::lock_guard lock(impl_->mutex);
    return impl_->queue.size();
}

Task<Result<void>> BlockingPool::run_job(std::function<void()> job) {
    if (impl_->length == JobLength::brief) {
        if (auto done = impl_->perform_here(job)) co_return *std::move(done);
    }
    auto initiate = [this, &job](auto handler) {
        const auto executor = asio::get_associated_executor(handler);
        auto kept = std::make_shared<decltype(handler)>(std::move(handler));  // std::function wants what can be copied
        auto done = [executor, kept, guard = asio::make_work_guard(executor)](Result<void> outcome) {
            asio::post(executor, [kept, outcome = std::move(outcome)]() mutable { std::move (*kept)(std::move(outcome)); });
        };
        Impl::Job item{std::move(job), done};
        if (!impl_->push(item)) done(fail(ErrorCode::unavailable, impl_->name + ": too much work is waiting"));
    };
    co_return co_await asio::async_initiate<const asio::use_awaitable_t<>&, void(Result<void>)>(initiate, asio::use_awaitable);
}

}  // namespace fiducial::net
