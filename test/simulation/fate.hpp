#pragma once
#include <cstdint>
#include <limits>

namespace fiducial::simulation {

/// When the archive's process is killed: at one of its calls that change the disk or reach the node, before or after it took effect.
/// From then on nothing that it calls has any effect, so that whatever its destructors still do never happened.
class Fate {
public:
    enum class Moment : std::uint8_t { alive, dies_before, dies_after };

    /// A new process, killed at its nth call from now; 0: it is not.
    void begin(std::uint64_t nth, bool after) {
        dead_ = false;
        left_ = nth == 0 ? kNever : nth;
        after_ = after;
    }
    Moment tick() {
        if (left_ == kNever || --left_ > 0) return Moment::alive;
        return after_ ? Moment::dies_after : Moment::dies_before;
    }
    void die() { dead_ = true; }
    bool dead() const { return dead_; }

private:
    static constexpr std::uint64_t kNever = std::numeric_limits<std::uint64_t>::max();
    std::uint64_t left_ = kNever;
    bool after_ = false;
    bool dead_ = false;
};

}  // namespace fiducial::simulation
