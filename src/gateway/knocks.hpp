#pragma once
#include <cstdint>
#include <deque>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.hpp"

namespace fiducial::gateway {

/// Who asked for an association and was not let in, the last ones: for whoever puts a new modality to use.
/// Threads: safe
class Knocks {
public:
    struct Knock {
        std::string address;  // without the port
        std::string calling_ae_title, called_ae_title;
        std::string why;
        std::uint64_t times = 0;
        SystemTime last{};
    };
    static constexpr std::size_t kMost = 100;  // different ones; of more, that of longest ago is forgotten

    explicit Knocks(const Clock& clock = system_clock()) : clock_(clock) {}
    void add(std::string_view address, std::string_view calling_ae_title, std::string_view called_ae_title, std::string_view why);
    /// The last one first.
    std::vector<Knock> list() const;
    /// Those of an earlier run, as list() gave them.
    void restore(const std::vector<Knock>& knocks);
    /// How often somebody knocked in this run.
    std::uint64_t count() const;

private:
    const Clock& clock_;
    mutable std::mutex mutex_;
    std::deque<Knock> knocks_;  // the last one first
    std::uint64_t count_ = 0;
};

}  // namespace fiducial::gateway
