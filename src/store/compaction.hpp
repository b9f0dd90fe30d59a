#pragma once
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "base/result.hpp"

namespace fiducial::store {

class Store;

struct CompactionOptions {
    unsigned dead_percent = 30;                // of a segment, from which on it is rewritten
    std::uint64_t least_dead_bytes = 1 << 20;  // and at least so much
    /// Called after each piece of work with the bytes read or written; waits as long as that takes at the rate wanted.
    /// Its error ends the work: nothing of the segment that was being rewritten has changed.
    std::function<Result<void>(std::uint64_t bytes)> pace{};
};
struct CompactionReport {
    std::uint64_t segments = 0;  // rewritten or removed
    std::uint64_t freed_bytes = 0, copied_bytes = 0;
    std::vector<std::string> left;  // why a segment with dead room was left as it is; at most 100
};

/// How compaction stands, for metrics and people.
struct CompactionStatus {
    std::uint32_t segment = 0;                                      // that is being rewritten; 0: none
    std::uint64_t segments = 0, freed_bytes = 0, copied_bytes = 0;  // since the start
    std::uint64_t dead_bytes = 0;                                   // in all segments, when last looked at
    std::string problem;                                            // of the last pass; empty: none
};

/// How far the data of a store that got a new root key are encrypted anew.
struct ReencryptionReport {
    bool finished = true;                             // nothing is under a former secret any more, and these are destroyed
    std::uint64_t segments = 0, bytes = 0;            // encrypted anew by this run
    std::uint64_t segments_left = 0, bytes_left = 0;  // still under former secrets
    std::vector<std::string> left;                    // why; at most 100
};
struct ReencryptionOptions {
    std::function<Result<void>(std::uint64_t bytes)> pace{};  // as that of compaction
    std::function<void(std::uint64_t bytes_done, std::uint64_t bytes_total)> progress{};
    bool gives_way = false;  // ends after a segment when another run, which does not, waits for this one
};

/// Rewrites segments in the background, one at a time and no faster than told: those with much dead room, and those that are to be
/// encrypted anew.
/// Threads: safe.
class Compactor {
public:
    struct Settings {
        CompactionOptions options;
        std::uint64_t bytes_per_second = 32 << 20;  // read and written together
        std::chrono::milliseconds every{60'000};
        bool compact = true;  // false: only what is to be encrypted anew
    };
    /// Requires: the store outlives it.
    Compactor(Store& store, Settings settings);
    ~Compactor();

private:
    void run(const std::stop_token& stop);
    Store& store_;
    Settings settings_;
    std::mutex mutex_;
    std::condition_variable_any changed_;
    std::jthread thread_;
};

}  // namespace fiducial::store
