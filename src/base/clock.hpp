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
    virtual SystemTime now() const = 0;          // wall clock, UTC; may jump
    virtual SteadyTime steady_now() const = 0;   // never goes back
};

/// The machine's own clock.
const Clock& system_clock();

/// Seconds since 1970-01-01 UTC.
std::uint64_t unix_seconds(SystemTime time);
/// Returns: RFC 3339 with milliseconds, as 2026-11-22T20:00:00.123Z.
std::string to_rfc3339(SystemTime time);

}  // namespace fiducial
