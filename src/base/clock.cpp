#include "base/clock.hpp"

#include <ctime>

namespace fiducial {
namespace {

class RealClock final : public Clock {
public:
    SystemTime now() const override { return std::chrono::time_point_cast<std::chrono::milliseconds>(std::chrono::system_clock::now()); }
    SteadyTime steady_now() const override { return std::chrono::steady_clock::now(); }
};

}  // namespace

const Clock& system_clock() {
    static const RealClock clock;
    return clock;
}

ClockWatch::ClockWatch(const Clock& clock, std::chrono::milliseconds tolerance)
    : clock_(clock), tolerance_(tolerance), wall_(clock.now()), steady_(clock.steady_now()) {}

std::chrono::milliseconds ClockWatch::look() {
    const auto wall = clock_.now();
    const auto steady = clock_.steady_now();
    const auto set = (wall - wall_) - std::chrono::duration_cast<std::chrono::milliseconds>(steady - steady_);
    wall_ = wall;
    steady_ = steady;
    return std::chrono::abs(set) > tolerance_ ? set : std::chrono::milliseconds(0);
}

std::uint64_t unix_seconds(SystemTime time) {
    return static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::seconds>(time.time_since_epoch()).count());
}

std::string to_rfc3339(SystemTime time) {
    const auto whole = std::chrono::floor<std::chrono::seconds>(time);  // also before 1970
    const auto ms = (time - whole).count();
    const std::time_t seconds = static_cast<std::time_t>(whole.time_since_epoch().count());
    std::tm parts{};
    gmtime_r(&seconds, &parts);
    char buffer[64];
    const auto size = std::strftime(buffer, sizeof buffer, "%Y-%m-%dT%H:%M:%S", &parts);
    std::string out(buffer, size);
    std::string fraction = std::to_string(ms);
    out += "." + std::string(3 - fraction.size(), '0') + fraction + "Z";
    return out;
}

}  // namespace fiducial
