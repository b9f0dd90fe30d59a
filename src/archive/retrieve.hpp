#pragma once
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>

#include "archive/access.hpp"
#include "archive/archive.hpp"
#include "archive/overlays.hpp"
#include "audit/trace.hpp"
#include "database/remembered.hpp"
#include "evidence/manifest.hpp"
#include "ledger/outbox.hpp"
#include "store/store.hpp"

namespace fiducial::archive {

/// A study's secrets and pseudonyms, as everything that asks the contracts about it needs them.
struct StudyIdentity {
    store::StudyRow row;
    Hash study_key{}, patient_key{}, patient_ref{}, scope_ref{};
};
Result<StudyIdentity> identify_study(store::Store& store, const store::StudyRow& row);

/// Reads a whole object, a manifest for one, into memory. Errors: those of ObjectReader.
Result<Bytes> read_object(const store::Store& store, const store::ObjectRef& ref);

/// A study version that was checked: its manifest gives the root that stands in the record.
struct CheckedVersion {
    store::StudyVersionRow row;
    evidence::Manifest manifest;
    std::unordered_map<std::string, std::size_t> by_uid;  // SOP Instance UID → place in the manifest
};

/// Whether the version's instances are what the study should hold now: nothing came or changed since.
bool is_current(const CheckedVersion& version, std::uint64_t study_revision);

/// Checked versions of studies, the latest of each, kept for the next look.
/// Threads: safe.
class CheckedVersions {
public:
    explicit CheckedVersions(store::Store& store) : store_(store) {}
    /// Errors: not_found when the study has no version yet; corrupt when manifest, record and rows contradict each other.
    Result<std::shared_ptr<const CheckedVersion>> latest(const Uid& study_uid);
    /// Any version, not kept. Errors: not_found; corrupt.
    Result<std::shared_ptr<const CheckedVersion>> read(const store::StudyVersionRow& row);

private:
    static constexpr std::size_t kMostKeptInstances = 8'192;  // about 5 MB

    store::Store& store_;
    database::Remembered<std::string, store::StudyVersionRow> latest_{1024};  // by Study Instance UID
    std::mutex mutex_;
    std::unordered_map<std::string, std::shared_ptr<const CheckedVersion>> kept_;  // as long as their records are the latest
    std::size_t kept_instances_ = 0;
};

/// A look that is to be traced.
struct TracedLook {
    Decision decision;
    std::optional<StudyIdentity> study;  // nothing: at nothing in particular; a study_key of zeros: at several of the patient's
};

/// Writes a look into the trace, durably. Returns: the entry's index.
class Tracer {
public:
    Tracer(audit::Trace& trace, store::Store& store, crypto::Secret staff_key, const Clock& clock = system_clock());
    /// `study` may be null: a look at nothing in particular. `flags`: of audit::Flag, besides those that who and decision make.
    Result<std::uint64_t> write(const Requester& who, Operation operation, const Decision& decision, const StudyIdentity* study,
                                const Bytes32& object, std::optional<ErrorCode> result, std::uint32_t flags = 0);
    /// Calls `meanwhile` while the entry is on its way to the disk; returns once it is there. Errors: as write; unavailable: too many wait.
    Result<void> write_while(const Requester& who, Operation operation, const Decision& decision, const StudyIdentity& study,
                             const Bytes32& object, std::optional<ErrorCode> result, const std::function<void()>& meanwhile);
    /// All of them share one sync.
    Result<void> write_all(const Requester& who, Operation operation, std::span<const TracedLook> looks);

private:
    using Take = std::function<Result<void>(const audit::Entry& entry, const audit::EntryKeys& keys)>;
    Result<void> with_entry(const Requester& who, Operation operation, const Decision& decision, const StudyIdentity* study,
                            const Bytes32& object, std::optional<ErrorCode> result, std::uint32_t flags, const Take& take) const;

    audit::Trace& trace_;
    store::Store& store_;
    const crypto::Secret staff_key_;
    const Clock& clock_;
};

/// What a retrieval does when bytes turn out to be damaged: quarantine and alarm.
using OnDamage = std::function<void(const store::InstanceRow& instance, const Error& error)>;

/// The instances of one decided look, one after the other.
class StoreRetrieval final : public Retrieval {
public:
    StoreRetrieval(store::Store& store, std::vector<store::InstanceRow> instances, std::shared_ptr<const CheckedVersion> version,
                   std::uint64_t study_revision, OnDamage on_damage, std::shared_ptr<const AppliedOverlay> overlay = {});
    /// Opens the first instance and reads its beginning, which next_instance() and read() then have at hand.
    void open_ahead();
    std::size_t instance_count() const override { return instances_.size(); }
    RetrievedInstance listed(std::size_t index) const override;
    Result<std::optional<RetrievedInstance>> next_instance() override;
    Result<std::size_t> read(MutableByteView out) override;
    void skip(std::uint64_t bytes) override { position_ += bytes; }

private:
    Result<void> open(const store::InstanceRow& row);
    Error damaged(const Error& error);

    store::Store& store_;
    const std::vector<store::InstanceRow> instances_;
    const std::shared_ptr<const CheckedVersion> version_;  // null: none yet
    const std::uint64_t study_revision_;
    const OnDamage on_damage_;
    const std::shared_ptr<const AppliedOverlay> overlay_;  // null: as stored
    std::size_t next_ = 0;
    std::optional<Result<void>> ahead_;  // what opening the next one gave, when that is done already
    std::optional<store::ObjectReader> reader_;
    std::optional<dicom::EditedDataSet> edited_;
    Bytes prefix_;
    std::uint64_t position_ = 0;  // in the file
};

/// Opens a reader for an instance after its row was compared with the checked version: what is served is what was anchored.
/// Errors: corrupt when they differ.
Result<void> check_against_version(const store::InstanceRow& row, const CheckedVersion* version, std::uint64_t study_revision);

/// Nothing that the version lists may be missing among the rows, unless the study changed since.
/// Errors: corrupt, naming the first that is.
Result<void> check_listed(std::span<const store::InstanceRow> rows, const Selector& what, const CheckedVersion* version,
                          std::uint64_t study_revision);

}  // namespace fiducial::archive
