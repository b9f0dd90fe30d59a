#pragma once
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.hpp"
#include "shadow/comparison.hpp"
#include "shadow/source.hpp"

namespace fiducial::database {
class Database;
}

namespace fiducial::shadow {

enum class Side : std::uint8_t { old, here };

/// One walk through both archives. It goes on where it was stopped, night after night, until everything was listed.
struct Run {
    long long number = 0;
    SystemTime begun{};
    bool listed = false;  // the studies of both archives
    bool ended = false;
};

/// An instance as the journal knows it.
struct JournalRow {
    ListedInstance instance;
    Outcome outcome = Outcome::not_compared;
    std::string detail;
    bool was_there = false;  // the old archive listed it at some time
};

/// What a run saw, in figures.
struct Figures {
    struct Side {
        std::uint64_t studies = 0, instances = 0;
    };
    Run run;
    Side old, here;  // as listed by this run
    std::uint64_t studies_to_list = 0;
    std::uint64_t copied = 0, copied_bytes = 0, copies_failed = 0;  // by this run
    std::uint64_t compared = 0;                                     // by this run
    std::uint64_t never_compared = 0;
    std::uint64_t outcomes[kOutcomes] = {};  // by Outcome, of everything compared at any time and listed by either
    std::uint64_t missing_old = 0;           // here, and not listed by the old archive
    std::uint64_t vanished = 0;              // of these: it listed them once
    std::uint64_t missing_here = 0;
    std::uint64_t settled = 0;                                    // studies here
    std::vector<std::pair<std::int64_t, std::int64_t>> times_us;  // retrievals side by side: old, here; of this run, at most 100,000
};

/// What is known of both archives: which instances they list, and what became of comparing them. No names, no values.
/// Errors:  those of the database
/// Threads: one at a time
class Journal {
public:
    /// Makes it where it is missing.
    static Result<std::unique_ptr<Journal>> open(const std::filesystem::path& file);
    ~Journal();

    /// The run that was not ended, or a new one.
    Result<Run> begin_or_continue(SystemTime now);
    Result<std::optional<Run>> last_run();
    Result<void> note_study(const Run& run, Side side, const ListedStudy& study);
    Result<void> all_studies_noted(Run& run);
    /// The next study that this run has not looked at; nothing when there is none.
    struct Due {
        std::string study_uid;
        bool old = false, here = false;  // who lists it
    };
    Result<std::optional<Due>> next_study(const Run& run);
    Result<std::uint64_t> studies_due(const Run& run);
    /// What both list of a study. Returns: instances that the old one lists and this one does not.
    Result<std::vector<ListedInstance>> note_instances(const Run& run, const std::vector<ListedInstance>& old,
                                                       const std::vector<ListedInstance>& here);
    /// All that was to be done with a study is done.
    Result<void> note_looked(const Run& run, const std::string& study_uid);
    Result<void> note_copy(const Run& run, const ListedInstance& instance, std::uint64_t bytes);
    Result<void> note_failed_copy(const ListedInstance& instance, const std::string& why);
    /// The next instance that both list and that was not compared since; the one whose turn came longest ago.
    Result<std::optional<ListedInstance>> next_comparison(const Run& run, SystemTime before);
    Result<std::uint64_t> comparisons_due(const Run& run, SystemTime before);
    Result<void> note_comparison(const Run& run, const ListedInstance& instance, SystemTime now, const Comparison& comparison,
                                 const Seen* old, const Seen* here);
    /// Studies here that are not known to be settled.
    Result<std::vector<std::string>> unsettled(const Run& run);
    Result<void> note_state(const std::string& study_uid, const std::string& state);
    Result<void> end(const Run& run, SystemTime now);

    Result<Figures> figures(const Run& run);
    /// Every instance that somebody has to look at: differences, what is missing on either side, what could not be copied or compared.
    Result<void> each_finding(const Run& run, const std::function<Result<void>(const JournalRow& row, const std::string& what)>& with);

private:
    explicit Journal(std::unique_ptr<database::Database> database);
    std::unique_ptr<database::Database> database_;
};

}  // namespace fiducial::shadow
