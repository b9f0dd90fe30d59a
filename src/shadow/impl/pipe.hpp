#pragma once
#include <algorithm>
#include <condition_variable>
#include <cstddef>
#include <cstring>
#include <mutex>
#include <optional>

#include "base/bytes.hpp"

namespace fiducial::shadow::impl {

/// Bytes from one thread to another, at most a MiB of them waiting.
/// Threads: one that puts, one that takes.
class Pipe {
public:
    /// Waits for room. Errors: cancelled once nobody takes any more.
    Result<void> put(ByteView bytes) {
        while (!bytes.empty()) {
            std::unique_lock lock(mutex_);
            changed_.wait(lock, [this] { return waiting_.size() < kMost || abandoned_; });
            if (abandoned_) return fail(ErrorCode::cancelled, "what was read is not wanted any more");
            const auto now = bytes.first(std::min(bytes.size(), kMost - waiting_.size()));
            append(waiting_, now);
            bytes = bytes.subspan(now.size());
            changed_.notify_all();
        }
        return {};
    }
    /// Nothing more comes: it is complete, or ended by an error.
    void end(std::optional<Error> error) {
        const std::lock_guard lock(mutex_);
        ended_ = true;
        error_ = std::move(error);
        changed_.notify_all();
    }
    /// Waits for bytes. Returns: 0 at the end. Errors: the one that it was ended by.
    Result<std::size_t> take(MutableByteView out) {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [this] { return !waiting_.empty() || ended_; });
        if (error_) return fail(*error_);
        const auto count = std::min(out.size(), waiting_.size());
        std::copy_n(waiting_.begin(), count, out.begin());
        waiting_.erase(waiting_.begin(), waiting_.begin() + static_cast<std::ptrdiff_t>(count));
        changed_.notify_all();
        return count;
    }
    void abandon() {
        const std::lock_guard lock(mutex_);
        abandoned_ = true;
        changed_.notify_all();
    }

private:
    static constexpr std::size_t kMost = std::size_t{1} << 20;
    std::mutex mutex_;
    std::condition_variable changed_;
    Bytes waiting_;
    bool ended_ = false, abandoned_ = false;
    std::optional<Error> error_;
};

}  // namespace fiducial::shadow::impl
