#pragma once
#include <chrono>
#include <condition_variable>
#include <mutex>

namespace fiducial::net::impl {

/// One caller at a time, with a time limit on waiting. (std::timed_mutex waits in a way that the thread sanitizer does not see.)
class Turn {
public:
    /// Holds the turn while it lives, if it got it in time.
    class Held {
    public:
        Held(Turn& turn, std::chrono::steady_clock::time_point deadline) : turn_(turn) {
            std::unique_lock lock(turn_.mutex_);
            got_ = turn_.changed_.wait_until(lock, deadline, [this] { return !turn_.taken_; });
            if (got_) turn_.taken_ = true;
        }
        ~Held() {
            if (!got_) return;
            const std::lock_guard lock(turn_.mutex_);
            turn_.taken_ = false;
            turn_.changed_.notify_one();
        }
        Held(const Held&) = delete;
        Held& operator=(const Held&) = delete;
        explicit operator bool() const { return got_; }

    private:
        Turn& turn_;
        bool got_ = false;
    };

private:
    std::mutex mutex_;
    std::condition_variable changed_;
    bool taken_ = false;
};

}  // namespace fiducial::net::impl
