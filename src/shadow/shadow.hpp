#pragma once
#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <string>

#include "shadow/dicomweb_source.hpp"
#include "shadow/journal.hpp"

namespace fiducial::shadow {

/// The hours in which the old archive may be bothered, by the local clock: from 20 to 6 is a night; the same hour twice, always.
struct Hours {
    int from = 0, to = 0;  // 0 to 23
    bool holds(int hour) const { return from == to || (from < to ? hour >= from && hour < to : hour >= from || hour < to); }
};
/// Reads "20-6". Errors: invalid_argument.
Result<Hours> parse_hours(const std::string& text);
/// The hour of the local clock.
int hour_of(SystemTime time);

/// Keeps a transfer rate, over all the time since it was made.
class Pace {
public:
    /// 0: as fast as it goes.
    explicit Pace(std::uint64_t bytes_per_second) : bytes_per_second_(bytes_per_second), begun_(std::chrono::steady_clock::now()) {}
    /// How long to wait after so many bytes more. What was not used for a while cannot be made up for.
    std::chrono::milliseconds after(std::uint64_t bytes, std::chrono::steady_clock::time_point now);

private:
    std::uint64_t bytes_per_second_;
    std::chrono::steady_clock::time_point begun_;  // when, at this rate, all bytes so far would have begun
};

struct ShadowSettings {
    bool copy = true;                           // what is missing here
    std::chrono::hours again{24 * 30};          // an instance is compared again after so long
    std::uint64_t bytes_per_second = 10 << 20;  // from both archives together; 0: as fast as it goes
    Hours hours;
};

/// Where a run is.
struct Step {
    std::string_view what;  // "listing", "copying", "comparing"
    std::uint64_t done = 0, total = 0;
};

/// One night beside the old archive: lists both, copies what is missing here, compares what is due. It goes on with the run that was not
/// ended, and leaves it open when the hours are over or it is told to stop.
/// Errors: those of the journal, and of an archive that cannot be reached; what is wrong with one study or instance is in the journal.
class Shadow {
public:
    Shadow(Source& old, DicomWebSource& here, Journal& journal, ShadowSettings settings, const std::atomic<bool>& stop,
           std::function<void(const Step& step)> on_step)
        : old_(old),
          here_(here),
          journal_(journal),
          settings_(settings),
          stop_(stop),
          on_step_(std::move(on_step)),
          pace_(settings.bytes_per_second) {}
    /// Returns: the run; whether it came to its end.
    struct Night {
        Run run;
        bool complete = false;
    };
    Result<Night> run();

private:
    bool over() const;
    void wait_after(std::uint64_t bytes);
    Result<void> list_studies(Run& run);
    Result<bool> list_instances(const Run& run);
    Result<void> copy(const Run& run, const ListedInstance& instance);
    Result<bool> compare_what_is_due(const Run& run);
    Result<void> compare(const Run& run, const ListedInstance& instance);
    Comparison compare_pixels(const ListedInstance& instance, const Seen& old, const Seen& here, Comparison otherwise);
    Result<void> ask_for_states(const Run& run);
    Result<std::size_t> ask_for_unsettled(const Run& run);

    Source& old_;
    DicomWebSource& here_;
    Journal& journal_;
    const ShadowSettings settings_;
    const std::atomic<bool>& stop_;
    std::function<void(const Step& step)> on_step_;
    Pace pace_;
    std::uint64_t failures_ = 0;  // one after the other
    bool old_first_ = true;       // they take turns: whoever comes second finds a warm disk in neither case
};

}  // namespace fiducial::shadow
