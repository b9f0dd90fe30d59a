#include "archive/exams.hpp"

#include <algorithm>
#include <set>

#include "archive/corrections.hpp"
#include "base/log.hpp"
#include "evidence/manifest.hpp"

namespace fiducial::archive {
namespace {

constexpr std::uint32_t kStudiesAtOnce = 500;
constexpr std::chrono::milliseconds kSoon{200};
constexpr std::chrono::seconds kScanEvery{1};
constexpr std::chrono::seconds kFirstRetry{2}, kLastRetry{600};  // of a study that cannot be completed

evidence::ManifestInstance manifest_instance(const store::InstanceRow& row) {
    evidence::ManifestInstance instance;
    instance.sop_instance_uid = row.sop_uid;
    instance.series_instance_uid = row.series_uid;
    instance.sop_class_uid = row.sop_class_uid;
    instance.transfer_syntax_uid = row.transfer_syntax_uid;
    instance.size = row.object.ref.size;
    instance.sha256 = row.object.sha256;
    instance.chunk_root = row.object.ref.chunk_root;
    instance.source_sha256 = row.object.source_sha256;
    instance.overlay_sha256 = row.overlay_sha256;
    instance.prefix_sha256 = row.object.prefix_sha256;
    instance.fragment_sha256 = row.object.fragment_sha256;
    instance.pixel_sha256 = row.object.pixel_sha256;
    instance.arrival_ms = row.object.arrival_ms;
    instance.source = row.object.source;
    return instance;
}

/// What the version before had: to say why there is a new one.
std::uint16_t reasons_of(const std::vector<evidence::ManifestInstance>& before, const std::vector<evidence::ManifestInstance>& now) {
    std::map<std::string_view, const evidence::ManifestInstance*> earlier;
    for (const auto& instance : before) earlier.emplace(instance.sop_instance_uid.text(), &instance);
    std::uint16_t reasons = 0;
    std::size_t kept = 0;
    for (const auto& instance : now) {
        const auto found = earlier.find(instance.sop_instance_uid.text());
        if (found == earlier.end()) {
            reasons |= evidence::kReasonAdded;
        } else {
            kept += 1;
            if (!(found->second->body() == instance.body())) reasons |= evidence::kReasonCorrected;
        }
    }
    if (kept < before.size()) reasons |= evidence::kReasonRemoved;
    return reasons == 0 ? std::uint16_t{evidence::kReasonCorrected} : reasons;
}

/// The study that this one replaces: all of it was moved from there. Empty: none.
Uid moved_from_one(const std::vector<evidence::ManifestInstance>& instances) {
    Uid from = instances.empty() ? Uid() : moved_from(instances.front().source.value);
    for (const auto& instance : instances) {
        if (moved_from(instance.source.value) != from) return {};
    }
    return from;
}

}  // namespace

Exams::Exams(store::Store& store, CheckedVersions& versions, ledger::Outbox& outbox, const SiteFacts& facts, std::chrono::seconds quiet,
             const Clock& clock)
    : store_(store), versions_(versions), outbox_(outbox), facts_(facts), quiet_(quiet), clock_(clock) {}

Exams::~Exams() {
    stop();
}

std::uint64_t Exams::now_ms() const {
    return static_cast<std::uint64_t>(clock_.now().time_since_epoch().count());
}

std::mutex& Exams::lock_of(const Uid& study_uid) {
    return study_locks_[std::hash<std::string>()(study_uid.text()) % study_locks_.size()];
}

Result<bool> Exams::complete(const Uid& study_uid) {
    const std::lock_guard study_lock(lock_of(study_uid));
    auto& index = store_.index();

    evidence::Manifest manifest;
    std::vector<store::InstanceRow> added;  // than the version before had
    std::optional<store::StudyRow> study;
    std::optional<store::StudyVersionRow> latest;
    {
        FID_TRY(auto transaction, store_.database().begin_read());
        FID_TRY(study, index.find_study(transaction, study_uid));
        if (!study) return fail(ErrorCode::not_found, "there is no study " + study_uid.text());
        FID_TRY(latest, index.latest_version(transaction, study_uid));
        {
            const std::lock_guard lock(mutex_);
            if (const auto found = unrecovered_.find(study_uid.text()); found != unrecovered_.end()) {
                return fail(ErrorCode::corrupt, "earlier versions of the study were lost with the index and could not be made again (" +
                                                    found->second + "): no new one may take their place");
            }
        }
        FID_TRY(added, index.instances_of_study(transaction, study_uid));
        for (const auto& row : added) manifest.instances.push_back(manifest_instance(row));
        if (manifest.instances.empty() && !latest) return false;
    }
    if (latest) {
        FID_TRY(const auto before, versions_.read(*latest));
        manifest.reasons = reasons_of(before->manifest.instances, manifest.instances);
        if (manifest.instances.empty()) manifest.reasons |= evidence::kReasonRemoved;
        std::erase_if(added, [&](const store::InstanceRow& row) {
            const auto listed = before->by_uid.find(row.sop_uid.text());
            return listed != before->by_uid.end() && before->manifest.instances[listed->second].body() == manifest_instance(row).body();
        });
        if ((manifest.reasons & evidence::kReasonRemoved) != 0) FID_CHECK(check_removed(*before, manifest));
    }

    manifest.study_instance_uid = study_uid;
    manifest.linked_study = moved_from_one(manifest.instances);
    manifest.version = latest ? latest->record.version + 1 : 1;
    if (latest) manifest.previous = latest->record.hash();
    manifest.patient = evidence::PatientIdentity{study->patient.issuer, study->patient.patient_id};
    FID_TRY(const auto manifest_bytes, manifest.encode());

    store::StudyVersionRow version;
    version.study_uid = study_uid;
    version.study_revision = study->revision;
    version.created_ms = now_ms();
    FID_TRY(version.record, record_of(*study, manifest, manifest_bytes));
    const auto& record = version.record;
    if (latest && latest->record.root == record.root && latest->record.patient_ref == record.patient_ref) {
        if (latest->study_revision != study->revision) {
            const auto same = latest->record.hash();
            FID_CHECK(store_.database().write(database::Durability::full,
                                              [&](database::Transaction& t) { return index.cover_revision(t, same, study->revision); }));
        }
        return false;
    }

    FID_TRY(auto writer, store_.begin_object(study_uid, store::ObjectKind::manifest, manifest_bytes.size()));
    FID_CHECK(writer.write(manifest_bytes));
    FID_CHECK(writer.finish());
    store::PendingObject object{std::move(writer), {}, {}, {}};
    object.description.kind = store::ObjectKind::manifest;
    object.description.study_uid = study_uid;
    object.description.arrival_ms = version.created_ms;
    object.description.patient_slot = study->patient.slot;  // so that an index made again knows it although every instance is lost
    FID_TRY(const auto stored, store_.commit(std::move(object)));
    version.manifest = stored.ref.id;

    FID_CHECK(store_.database().write(database::Durability::full, [&](database::Transaction& transaction) -> Result<void> {
        FID_CHECK(index.insert_version(transaction, version));
        FID_CHECK(outbox_.enqueue(transaction, record));
        return on_version_ ? on_version_(transaction, added) : Result<void>();
    }));
    outbox_.wake();
    return true;
}

/// An instance leaves a study when it is removed, or another one under its UID was accepted elsewhere; its row then stays. What left no row
/// was lost, and no version may make that official.
Result<void> Exams::check_removed(const CheckedVersion& before, const evidence::Manifest& now) const {
    std::set<std::string_view> here;
    for (const auto& instance : now.instances) here.insert(instance.sop_instance_uid.text());
    for (const auto& instance : before.manifest.instances) {
        const auto& uid = instance.sop_instance_uid;
        if (here.contains(uid.text())) continue;
        FID_TRY(const auto rows,
                store_.database().read([&](database::Transaction& t) { return store_.index().find_all_instances(t, uid); }));
        if (std::any_of(rows.begin(), rows.end(), [&](const store::InstanceRow& row) { return row.study_uid == before.row.study_uid; }))
            continue;
        return fail(ErrorCode::corrupt, "instance " + uid.text() + " stands in version " + std::to_string(before.row.record.version) +
                                            " and is missing in the index: rebuild the index (fsck --rebuild-index)");
    }
    return {};
}

/// A record is a pure function of its manifest, the study's secrets and the site's facts.
Result<evidence::StudyRecord> Exams::record_of(const store::StudyRow& study, const evidence::Manifest& manifest,
                                               ByteView manifest_bytes) const {
    FID_TRY(const auto pair, store_.secrets().study_secrets(study.slot));
    const evidence::StudySecrets secrets(pair.k);
    // An earlier version may be of another patient than the study is by now.
    auto owner = study.patient;
    const auto same = [](const PatientText& a, const PatientText& b) { return a.value == b.value; };
    if (manifest.patient && !(same(manifest.patient->patient_id, owner.patient_id) && same(manifest.patient->issuer, owner.issuer))) {
        FID_TRY(const auto known, store_.database().read([&](database::Transaction& t) {
            return store_.index().find_patient(t, manifest.patient->patient_id, manifest.patient->issuer, study.study_uid);
        }));
        if (!known) return fail(ErrorCode::corrupt, "the patient of an earlier version is not in the index");
        owner = *known;
    }
    FID_TRY(const auto p, store_.secrets().patient_secret(owner.slot));
    FID_TRY(const auto patient, evidence::patient_key(p, owner.issuer, owner.patient_id));
    FID_TRY(const auto tree, evidence::study_tree(secrets, manifest.bodies()));
    evidence::StudyRecord record;
    record.chain_id = facts_.chain_id;
    record.contract = facts_.studies;
    record.institution = facts_.institution;
    record.study_key = evidence::study_key(secrets.blind(), manifest.study_instance_uid);
    record.version = manifest.version;
    record.previous = manifest.previous;
    record.root = tree.root;
    record.count = tree.count;
    record.patient_ref = evidence::patient_ref(secrets.link(), patient);
    record.meta = evidence::meta_hash(secrets, manifest_bytes);
    record.reasons = manifest.reasons;
    return record;
}

Result<std::uint64_t> Exams::recover_versions() {
    FID_TRY(const auto studies,
            store_.database().read([&](database::Transaction& t) { return store_.index().studies_with_unnamed_manifests(t); }));
    std::uint64_t made = 0;
    for (const auto& study_uid : studies) {
        auto recovered = recover_versions_of(study_uid);
        const std::lock_guard lock(mutex_);
        unrecovered_.erase(study_uid.text());
        if (recovered) {
            made += *recovered;
            continue;
        }
        unrecovered_.emplace(study_uid.text(), recovered.error().message);
        log::error("archive", "the versions of a study could not be recovered from its manifests",
                   {{"study", study_uid.text()}, {"why", recovered.error().message}});
    }
    if (made > 0) {
        log::warning("archive", "versions that the index had lost were made again from their manifests", {{"versions", made}});
        outbox_.wake();
    }
    return made;
}

Result<std::uint64_t> Exams::recover_versions_of(const Uid& study_uid) {
    const std::lock_guard study_lock(lock_of(study_uid));
    auto& index = store_.index();
    FID_TRY(auto transaction, store_.database().begin_read());
    FID_TRY(const auto study, index.find_study(transaction, study_uid));
    if (!study) return 0;
    FID_TRY(auto objects, index.objects_of_study(transaction, study_uid, store::ObjectKind::manifest));
    std::sort(objects.begin(), objects.end(), [](const auto& a, const auto& b) { return a.ref.location < b.ref.location; });
    std::multimap<std::uint64_t, store::StudyVersionRow> candidates;  // those of one version in the order in which they were written
    std::set<Hash> named;                                             // as `previous`
    std::set<store::ObjectId> standing;
    FID_TRY(const auto versions, index.versions_of(transaction, study_uid));
    for (const auto& version : versions) standing.insert(version.manifest);
    for (const auto& object : objects) {
        if (standing.contains(object.ref.id) || object.state == store::ObjectState::torn) continue;  // torn: of a version that never was
        FID_TRY(const auto bytes, read_object(store_, object.ref));
        FID_TRY(const auto manifest, evidence::Manifest::decode(bytes));
        store::StudyVersionRow version;
        version.study_uid = study_uid;
        version.manifest = object.ref.id;
        version.created_ms = object.arrival_ms;
        FID_TRY(version.record, record_of(*study, manifest, bytes));
        named.insert(manifest.previous);
        candidates.emplace(manifest.version, std::move(version));
    }
    FID_TRY(const auto latest, index.latest_version(transaction, study_uid));
    auto number = latest ? latest->record.version + 1 : 1;
    auto previous = latest ? latest->record.hash() : Hash{};
    std::vector<store::StudyVersionRow> lost;
    for (;; ++number) {
        // A manifest may have been written in vain, when its version was not: the right one is named by the next, or is the last.
        const store::StudyVersionRow* right = nullptr;
        const auto [first, last] = candidates.equal_range(number);
        for (auto it = first; it != last; ++it) {
            if (it->second.record.previous != previous) continue;
            if (right == nullptr || !named.contains(right->record.hash())) right = &it->second;
        }
        if (right == nullptr) break;
        previous = right->record.hash();
        lost.push_back(*right);
    }
    if (lost.empty()) return 0;
    FID_CHECK(store_.database().write(database::Durability::full, [&](database::Transaction& t) -> Result<void> {
        for (const auto& version : lost) {
            FID_CHECK(index.insert_version(t, version));
            FID_CHECK(outbox_.enqueue(t, version.record));
        }
        return {};
    }));
    return lost.size();
}

Result<std::uint64_t> Exams::complete_older_than(std::uint64_t changed_before_ms) {
    std::uint64_t made = 0;
    std::size_t failed = 0;
    {
        const std::lock_guard lock(mutex_);
        failed = failed_.size();
    }
    FID_TRY(const auto waiting, store_.database().read([&](database::Transaction& t) {
        return store_.index().studies_without_version(t, changed_before_ms, now_ms(), kStudiesAtOnce + static_cast<std::uint32_t>(failed));
    }));
    if (failed > 0 && waiting.size() < kStudiesAtOnce + failed) {  // all that wait are here: forget those that wait no more
        std::set<std::string_view> still;
        for (const auto& study_uid : waiting) still.insert(study_uid.text());
        const std::lock_guard lock(mutex_);
        std::erase_if(failed_, [&](const auto& entry) { return !still.contains(entry.first); });
    }
    for (const auto& study_uid : waiting) made += try_to_complete(study_uid) ? 1 : 0;
    return made;
}

/// Returns: whether there is a new version.
bool Exams::try_to_complete(const Uid& study_uid) {
    const auto now = clock_.steady_now();
    {
        const std::lock_guard lock(mutex_);
        if (const auto found = failed_.find(study_uid.text()); found != failed_.end() && now < found->second.again_at) return false;
    }
    const auto completed = complete(study_uid);
    const std::lock_guard lock(mutex_);
    if (completed) {
        failed_.erase(study_uid.text());
        return *completed;
    }
    auto& entry = failed_[study_uid.text()];
    entry.wait = std::clamp(entry.wait * 2, kFirstRetry, kLastRetry);
    entry.again_at = now + entry.wait;
    log::error("archive", "a study could not be completed",
               {{"study", study_uid.text()}, {"why", completed.error().message}, {"again_in_s", entry.wait.count()}});
    return false;
}

void Exams::complete_soon(const Uid& study_uid) {
    {
        const std::lock_guard lock(mutex_);
        if (!due_.try_emplace(study_uid, clock_.steady_now() + kSoon).second) return;
    }
    wake_.notify_one();
}

void Exams::complete_due(SteadyTime now) {
    std::vector<Uid> studies;
    {
        const std::lock_guard lock(mutex_);
        for (const auto& [study_uid, at] : due_) {
            if (at <= now) studies.push_back(study_uid);
        }
        // Before they are completed: what comes from here on is for the next version.
        for (const auto& study_uid : studies) due_.erase(study_uid);
    }
    for (const auto& study_uid : studies) try_to_complete(study_uid);
}

Result<std::uint64_t> Exams::complete_all() {
    return complete_older_than(now_ms() + 1);
}

void Exams::start() {
    thread_ = std::jthread([this](std::stop_token stop) { run(stop); });
}

void Exams::stop() {
    if (!thread_.joinable()) return;
    thread_.request_stop();
    thread_.join();
}

void Exams::run(std::stop_token stop) {
    auto next_scan = clock_.steady_now();
    while (!stop.stop_requested()) {
        const auto now = clock_.steady_now();
        complete_due(now);
        if (now >= next_scan) {
            next_scan = now + kScanEvery;
            const auto quiet_since = clock_.now() - quiet_;
            if (auto made = complete_older_than(static_cast<std::uint64_t>(quiet_since.time_since_epoch().count())); !made) {
                log::error("archive", "studies that wait for completion cannot be listed", {{"why", made.error().message}});
            }
        }
        std::unique_lock lock(mutex_);
        auto until = next_scan;
        for (const auto& [study_uid, at] : due_) until = std::min(until, at);
        const auto wait = std::clamp<SteadyTime::duration>(until - clock_.steady_now(), std::chrono::milliseconds(1), kScanEvery);
        wake_.wait_for(lock, stop, wait, [this, known = due_.size()] { return due_.size() > known; });
    }
}

}  // namespace fiducial::archive
