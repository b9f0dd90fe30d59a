#include "archive/strangers.hpp"

#include <algorithm>
#include <vector>

namespace fiducial::archive {

void Strangers::add(std::string_view door, std::string_view peer) {
    const auto address = peer.substr(0, peer.rfind(':'));  // ports tell nothing
    const std::lock_guard lock(mutex_);
    auto& counted = doors_[std::string(door)];
    ++counted.count;
    ++total_;
    if (const auto known = counted.peers.find(address); known != counted.peers.end())
        ++known->second;
    else if (counted.peers.size() < kMostPeers)
        counted.peers.emplace(address, 1);
    else
        ++counted.others;
}

std::vector<std::string> Strangers::take() {
    std::map<std::string, Door, std::less<>> doors;
    {
        const std::lock_guard lock(mutex_);
        doors.swap(doors_);
    }
    std::vector<std::string> out;
    for (const auto& [name, door] : doors) {
        const auto most =
            std::max_element(door.peers.begin(), door.peers.end(), [](const auto& a, const auto& b) { return a.second < b.second; });
        out.push_back(name + ": " + std::to_string(door.count) + (door.count == 1 ? " request" : " requests") + " of nobody known, from " +
                      std::to_string(door.peers.size()) + (door.others > 0 ? " or more" : "") +
                      (door.peers.size() == 1 ? " address" : " addresses") + ", most from " + most->first + " (" +
                      std::to_string(most->second) + ")");
    }
    return out;
}

std::uint64_t Strangers::total() const {
    const std::lock_guard lock(mutex_);
    return total_;
}

}  // namespace fiducial::archive
