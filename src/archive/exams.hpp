#pragma once
#include <array>
#include <condition_variable>
#include <functional>
#include <map>
#include <mutex>
#include <span>
#include <string>
#include <thread>

#include "archive/retrieve.hpp"
#include "archive/site.hpp"
#include "base/clock.hpp"
#include "ledger/outbox.hpp"
#include "store/store.hpp"

namespace fiducial::archive {

/// Turns what has been stored into study versions and hands their records to the outbox.
/// An exam is complete when whoever brought it says so, or after a quiet time; a study that was touched and never completed
/// (the archive was killed) is found again by its rows.
/// Threads: safe; one thread of its own between start() and stop().
class Exams {
public:
    Exams(store::Store& store, CheckedVersions& versions, ledger::Outbox& outbox, const SiteFacts& facts, std::chrono::seconds quiet,
          const Clock& clock = system_clock());
    ~Exams();

    /// Builds the next version of a study if its instances differ from the last one's.
    /// Returns: whether there is a new version. Errors: not_found; corrupt.
    Result<bool> complete(const Uid& study_uid);
    /// The same in a moment, in the thread of its own: requests that bring a study one instance at a time make one version of what comes
    /// meanwhile, and wait for none. What fails is logged and tried again. Requires: start() was called, else the study waits for it.
    void complete_soon(const Uid& study_uid);
    /// Told of each new version, in its transaction: with the instances that are new in it, or are others than before. Set before start().
    using NewVersion = std::function<Result<void>(database::Transaction& transaction, std::span<const store::InstanceRow> added)>;
    void on_version(NewVersion callback) { on_version_ = std::move(callback); }
    /// All studies that wait for a version, whatever their quiet time.
    Result<std::uint64_t> complete_all();

    /// Versions that were lost with the database: made again from the manifests that stand in the segments, and handed to the
    /// outbox anew (a slot of the contract that holds the same record already is a success). Returns: how many.
    Result<std::uint64_t> recover_versions();

    void start();
    void stop();

private:
    struct Failed {
        SteadyTime again_at{};
        std::chrono::seconds wait{};
    };
    void run(std::stop_token stop);
    std::uint64_t now_ms() const;
    Result<evidence::StudyRecord> record_of(const store::StudyRow& study, const evidence::Manifest& manifest,
                                            ByteView manifest_bytes) const;
    Result<void> check_removed(const CheckedVersion& before, const evidence::Manifest& now) const;
    Result<std::uint64_t> recover_versions_of(const Uid& study_uid);
    Result<std::uint64_t> complete_older_than(std::uint64_t changed_before_ms);
    bool try_to_complete(const Uid& study_uid);
    void complete_due(SteadyTime now);
    std::mutex& lock_of(const Uid& study_uid);

    store::Store& store_;
    CheckedVersions& versions_;
    ledger::Outbox& outbox_;
    const SiteFacts facts_;
    const std::chrono::seconds quiet_;
    const Clock& clock_;
    NewVersion on_version_;

    std::array<std::mutex, 64> study_locks_;
    std::mutex mutex_;
    std::condition_variable_any wake_;
    std::map<Uid, SteadyTime> due_;                   // studies that are to be completed, and when
    std::map<std::string, Failed> failed_;            // studies that could not be completed
    std::map<std::string, std::string> unrecovered_;  // studies whose lost versions could not be made again, and why
    std::jthread thread_;
};

}  // namespace fiducial::archive
