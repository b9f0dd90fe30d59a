#pragma once
#include <cstddef>
#include <mutex>
#include <utility>
#include <vector>

#include "base/bytes.hpp"

namespace fiducial {

/// Large buffers that are used again: fresh memory costs a page fault every 4 KiB.
/// Threads: safe.
class BufferPool {
public:
    /// `most`: that are kept while nobody uses them.
    explicit BufferPool(std::size_t most) : most_(most) {}

    /// With what someone left in it, or empty.
    Bytes take() {
        const std::lock_guard lock(mutex_);
        if (free_.empty()) return {};
        Bytes buffer = std::move(free_.back());
        free_.pop_back();
        return buffer;
    }
    void give(Bytes buffer) {
        const std::lock_guard lock(mutex_);
        if (free_.size() < most_ && buffer.capacity() > 0) free_.push_back(std::move(buffer));
    }

private:
    const std::size_t most_;
    std::mutex mutex_;
    std::vector<Bytes> free_;
};

/// A buffer of a pool, as long as it is needed.
class PooledBuffer {
public:
    explicit PooledBuffer(BufferPool& pool) : pool_(pool), bytes_(pool.take()) {}
    ~PooledBuffer() { pool_.give(std::move(bytes_)); }
    PooledBuffer(const PooledBuffer&) = delete;
    PooledBuffer& operator=(const PooledBuffer&) = delete;
    Bytes& operator*() { return bytes_; }

private:
    BufferPool& pool_;
    Bytes bytes_;
};

}  // namespace fiducial
