#pragma once
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

namespace fiducial::archive {

/// Counts refusals of those who did not say who they are, so that a flood of them is a few entries of the trace and never in the way of
/// anybody's look: counting touches no disk, and holds at most kMostPeers addresses a door.
/// Threads: safe.
class Strangers {
public:
    static constexpr std::size_t kMostPeers = 256;

    void add(std::string_view door, std::string_view peer);
    /// What was counted since the last time, in a text for each door that fits an entry: "http: 512 requests without a right to be here,
    /// from 3 addresses, most from 192.0.2.7 (500)". Empty: nothing.
    std::vector<std::string> take();
    std::uint64_t total() const;

private:
    struct Door {
        std::uint64_t count = 0, others = 0;  // others: from addresses beyond the first kMostPeers
        std::map<std::string, std::uint64_t, std::less<>> peers;
    };
    mutable std::mutex mutex_;
    std::map<std::string, Door, std::less<>> doors_;
    std::uint64_t total_ = 0;
};

}  // namespace fiducial::archive
