#pragma once
// For tests.
#include <atomic>
#include <chrono>

#include "base/clock.hpp"

namespace fiducial::archive {

/// Stands still until the test lets it go on; looked at by other threads.
class HandClock final : public Clock {
public:
    SystemTime now() const override { return SystemTime(std::chrono::hours(24 * 365 * 50) + passed()); }
    SteadyTime steady_now() const override { return SteadyTime(passed()); }
    void advance(std::chrono::milliseconds time) { passed_ms_ += time.count(); }

private:
    std::chrono::milliseconds passed() const { return std::chrono::milliseconds(passed_ms_.load()); }
    std::atomic<std::int64_t> passed_ms_{0};
};

}  // namespace fiducial::archive
