#pragma once
#include <chrono>
#include <cstdint>
#include <string>

namespace fiducial {

using SystemTime = std::chrono::sys_time<std::chrono::milliseconds>;
using SteadyTime = std::chrono::steady_clock::time_point;

/// The world's time, as a seam for tests. Threads: safe.
class Clock {
public:
    virtual ~Clock() = default;
    virtual SystemTime now() const = 0;         // wall clock, UTC; may jump
    virtual SteadyTime steady_now() const = 0;  // never goes back
};

/// The machine's own clock.
const Clock& system_clock();

/// Notices when the wall clock is set, by comparing it with the steady one. What NTP does slowly is no jump.
/// Threads: one at a time.
class ClockWatch {
public:
    explicit ClockWatch(const Clock& clock, std::chrono::milliseconds tolerance = std::chrono::seconds(2));
    /// Returns: by how much it was set since the last look, ahead where positive; 0: it ran as it should.
    std::chrono::milliseconds look();

private:
    const Clock& clock_;
    std::chrono::milliseconds tolerance_;
    SystemTime wall_;
    SteadyTime steady_;
};

/// Seconds since 1970-01-01 UTC.
std::uint64_t unix_seconds(SystemTime time);
/// Returns: RFC 3339 with milliseconds, as 2026-11-22T20:00:00.123Z.
std::string to_rfc3339(SystemTime time);

}  // namespace fiducial
