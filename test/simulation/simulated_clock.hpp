#pragma once
#include <cstdint>

namespace fiducial::simulation {

/// The machine's clocks. Time passes only when somebody sleeps, or the run says so.
class SimulatedClock {
public:
    static constexpr std::int64_t kSecond = 1'000'000'000;

    /// ns since the machine started.
    std::int64_t steady() const { return passed_; }
    /// ns since 1970, as the machine's clock shows it.
    std::int64_t wall() const { return kStart + passed_ + off_; }
    /// ns since 1970, as it is.
    std::int64_t true_time() const { return kStart + passed_; }

    void pass(std::int64_t ns) { passed_ += ns; }
    /// The clock is set so many ns ahead of the true time (back, where negative).
    void set_off(std::int64_t ns) { off_ = ns; }

private:
    static constexpr std::int64_t kStart = 1'790'000'000 * kSecond;
    std::int64_t passed_ = 1000 * kSecond;
    std::int64_t off_ = 0;
};

}  // namespace fiducial::simulation
