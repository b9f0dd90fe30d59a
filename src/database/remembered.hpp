#pragma once
#include <cstdint>
#include <functional>
#include <mutex>
#include <unordered_map>
#include <utility>

#include "database/database.hpp"

namespace fiducial::database {

/// What was read from a database, remembered until anyone writes to it: in this process or another, behind our back or not.
/// Threads: safe.
template <typename Key, typename Value, typename Hash = std::hash<Key>>
class Remembered {
public:
    /// `most`: that are kept; more are read each time.
    explicit Remembered(std::size_t most) : most_(most) {}

    /// `read` returns a Result<Value>, made only of what it reads from the database while it runs. Failures are not remembered.
    template <typename Read>
    Result<Value> get(Database& database, const Key& key, Read&& read) {
        FID_TRY(const auto stamp, database.stamp());  // before the reading: what is written meanwhile makes another
        {
            const std::lock_guard lock(mutex_);
            if (stamp > stamp_) {
                kept_.clear();
                stamp_ = stamp;
            }
            if (stamp == stamp_) {
                if (const auto found = kept_.find(key); found != kept_.end()) return found->second;
            }
        }
        Result<Value> value = std::forward<Read>(read)();
        if (value) {
            const std::lock_guard lock(mutex_);
            if (stamp == stamp_ && kept_.size() < most_) kept_.insert_or_assign(key, *value);
        }
        return value;
    }

private:
    const std::size_t most_;
    std::mutex mutex_;
    std::uint64_t stamp_ = 0;  // of what is kept
    std::unordered_map<Key, Value, Hash> kept_;
};

}  // namespace fiducial::database
