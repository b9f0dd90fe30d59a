#include "archive/retrieve.hpp"

#include <set>

#include "archive/trace_reader.hpp"
#include "crypto/hash.hpp"
#include "dicom/data_set_scanner.hpp"
#include "evidence/data_set_hash.hpp"

namespace fiducial::archive {
namespace {

evidence::InstanceBody body_of(const store::InstanceRow& row) {
    evidence::InstanceBody body;
    body.sop_instance_uid = row.sop_uid;
    body.transfer_syntax_uid = row.transfer_syntax_uid;
    body.size = row.object.ref.size;
    body.sha256 = row.object.sha256;
    body.chunk_root = row.object.ref.chunk_root;
    body.source_sha256 = row.object.source_sha256;
    body.overlay_sha256 = row.overlay_sha256;
    return body;
}

}  // namespace

Result<StudyIdentity> identify_study(store::Store& store, const store::StudyRow& row) {
    FID_TRY(const auto pair, store.secrets().study_secrets(row.slot));
    FID_TRY(const auto p, store.secrets().patient_secret(row.patient.slot));
    const evidence::StudySecrets secrets(pair.k);
    StudyIdentity identity;
    identity.row = row;
    identity.study_key = evidence::study_key(secrets.blind(), row.study_uid);
    FID_TRY(identity.patient_key, evidence::patient_key(p, row.patient.issuer, row.patient.patient_id));
    identity.patient_ref = evidence::patient_ref(secrets.link(), identity.patient_key);
    identity.scope_ref = evidence::scope_ref(secrets.scope());
    return identity;
}

Result<Bytes> read_object(const store::Store& store, const store::ObjectRef& ref) {
    FID_TRY(auto reader, store.open_object(ref));
    Bytes bytes(reader.size());
    FID_TRY(const auto got, reader.read(0, bytes));
    bytes.resize(got);
    return bytes;
}

Result<std::shared_ptr<const CheckedVersion>> CheckedVersions::latest(const Uid& study_uid) {
    FID_TRY(const auto row, latest_.get(store_.database(), study_uid.text(), [&]() -> Result<store::StudyVersionRow> {
        FID_TRY(auto found, store_.database().read([&](database::Transaction& t) { return store_.index().latest_version(t, study_uid); }));
        if (!found) return fail(ErrorCode::not_found, "study " + study_uid.text() + " has no version yet");
        return *std::move(found);
    }));
    {
        const std::lock_guard lock(mutex_);
        if (const auto found = kept_.find(study_uid.text()); found != kept_.end() && found->second->row.record == row.record) {
            if (found->second->row.study_revision == row.study_revision) return found->second;
            auto covered = std::make_shared<CheckedVersion>(*found->second);  // the same version, of a later revision too
            covered->row = row;
            return found->second = covered;
        }
    }
    FID_TRY(auto checked, read(row));
    const std::lock_guard lock(mutex_);
    if (const auto former = kept_.find(study_uid.text()); former != kept_.end()) {
        kept_instances_ -= former->second->manifest.instances.size();
        kept_.erase(former);
    }
    if (kept_instances_ + checked->manifest.instances.size() > kMostKeptInstances) {
        kept_.clear();
        kept_instances_ = 0;
    }
    kept_instances_ += checked->manifest.instances.size();
    kept_.emplace(study_uid.text(), checked);
    return checked;
}

Result<std::shared_ptr<const CheckedVersion>> CheckedVersions::read(const store::StudyVersionRow& row) {
    const std::string what = "study " + row.study_uid.text() + " version " + std::to_string(row.record.version);
    FID_TRY(const auto object,
            store_.database().read([&](database::Transaction& t) { return store_.index().find_object(t, row.manifest); }));
    if (!object) return fail(ErrorCode::corrupt, "the manifest of " + what + " is not in the index");
    FID_TRY(const auto bytes, read_object(store_, object->ref));
    auto checked = std::make_shared<CheckedVersion>();
    checked->row = row;
    FID_TRY(checked->manifest, evidence::Manifest::decode(bytes));

    FID_TRY(const auto study,
            store_.database().read([&](database::Transaction& t) { return store_.index().find_study(t, row.study_uid); }));
    if (!study) return fail(ErrorCode::corrupt, what + " has no study row");
    FID_TRY(const auto pair, store_.secrets().study_secrets(study->slot));
    const evidence::StudySecrets secrets(pair.k);
    FID_TRY(const auto tree, evidence::study_tree(secrets, checked->manifest.bodies()));
    if (tree.root != row.record.root || tree.count != row.record.count)
        return fail(ErrorCode::corrupt, "the manifest of " + what + " does not give the root in its record");
    if (evidence::meta_hash(secrets, bytes) != row.record.meta)
        return fail(ErrorCode::corrupt, "the manifest of " + what + " is not the one its record names");
    for (std::size_t i = 0; i < checked->manifest.instances.size(); ++i) {
        checked->by_uid.emplace(checked->manifest.instances[i].sop_instance_uid.text(), i);
    }
    return checked;
}

bool is_current(const CheckedVersion& version, std::uint64_t study_revision) {
    return version.row.study_revision > 0 && study_revision <= version.row.study_revision;
}

Result<void> check_listed(std::span<const store::InstanceRow> rows, const Selector& what, const CheckedVersion* version,
                          std::uint64_t study_revision) {
    if (version == nullptr || !is_current(*version, study_revision)) return {};
    std::set<std::string_view> here;
    for (const auto& row : rows) here.insert(row.sop_uid.text());
    for (const auto& listed : version->manifest.instances) {
        if (what.level != Level::study && !what.series_uid.empty() && listed.series_instance_uid.text() != what.series_uid) continue;
        if (what.level == Level::instance && listed.sop_instance_uid.text() != what.sop_uid) continue;
        if (here.contains(listed.sop_instance_uid.text())) continue;
        return fail(ErrorCode::corrupt, "instance " + listed.sop_instance_uid.text() + " stands in version " +
                                            std::to_string(version->row.record.version) +
                                            " of its study and is missing in the index: rebuild the index (fsck --rebuild-index)");
    }
    return {};
}

Result<void> check_against_version(const store::InstanceRow& row, const CheckedVersion* version, std::uint64_t study_revision) {
    if (version == nullptr) return {};
    const auto found = version->by_uid.find(row.sop_uid.text());
    if (found == version->by_uid.end()) return {};  // came after the version: its row's MAC stands for it until the next one
    const auto& listed = version->manifest.instances[found->second];
    if (listed.body() == body_of(row)) return {};
    if (!is_current(*version, study_revision)) return {};  // changed since: the next version is on its way
    return fail(ErrorCode::corrupt, "the index row of instance " + row.sop_uid.text() + " is not what version " +
                                        std::to_string(version->row.record.version) + " of its study anchored");
}

Tracer::Tracer(audit::Trace& trace, store::Store& store, crypto::Secret staff_key, const Clock& clock)
    : trace_(trace), store_(store), staff_key_(std::move(staff_key)), clock_(clock) {}

Result<std::uint64_t> Tracer::write(const Requester& who, Operation operation, const Decision& decision, const StudyIdentity* study,
                                    const Bytes32& object, std::optional<ErrorCode> result, std::uint32_t flags) {
    std::uint64_t index = 0;
    FID_CHECK(with_entry(who, operation, decision, study, object, result, flags,
                         [&](const audit::Entry& entry, const audit::EntryKeys& keys) -> Result<void> {
                             FID_TRY(index, trace_.append_durable(entry, keys));
                             return {};
                         }));
    return index;
}

Result<void> Tracer::write_while(const Requester& who, Operation operation, const Decision& decision, const StudyIdentity& study,
                                 const Bytes32& object, std::optional<ErrorCode> result, const std::function<void()>& meanwhile) {
    audit::Trace::Ticket ticket;
    FID_CHECK(with_entry(who, operation, decision, &study, object, result, 0,
                         [&](const audit::Entry& entry, const audit::EntryKeys& keys) -> Result<void> {
                             FID_TRY(ticket, trace_.append(entry, keys));
                             return {};
                         }));
    meanwhile();
    FID_CHECK(trace_.wait_durable(ticket));
    return {};
}

Result<void> Tracer::write_all(const Requester& who, Operation operation, std::span<const TracedLook> looks) {
    std::vector<audit::Trace::Ticket> tickets;
    for (const auto& look : looks) {
        FID_CHECK(with_entry(who, operation, look.decision, look.study ? &*look.study : nullptr, kZero32, {}, 0,
                             [&](const audit::Entry& entry, const audit::EntryKeys& keys) -> Result<void> {
                                 FID_TRY(auto ticket, trace_.append(entry, keys));
                                 tickets.push_back(std::move(ticket));
                                 return {};
                             }));
    }
    for (const auto& ticket : tickets) FID_CHECK(trace_.wait_durable(ticket));
    return {};
}

Result<void> Tracer::with_entry(const Requester& who, Operation operation, const Decision& decision, const StudyIdentity* study,
                                const Bytes32& object, std::optional<ErrorCode> result, std::uint32_t flags, const Take& take) const {
    audit::Entry entry;
    entry.time = clock_.now();
    entry.operation = static_cast<std::uint8_t>(operation);
    entry.purpose = static_cast<std::uint8_t>(who.purpose);
    entry.allowed = decision.allowed;
    entry.reason = decision.reason;
    entry.obligation = decision.obligation;
    entry.block_number = decision.block_number;
    entry.block_hash = decision.block_hash;
    entry.flags = flags;
    if (decision.node_away) entry.flags |= audit::node_away;
    if (who.door == "command") entry.flags |= audit::command;
    if (who.device) entry.flags |= audit::device;
    const bool broken = decision.allowed &&
                        (operation == Operation::break_glass || decision.reason == static_cast<std::uint16_t>(Reason::emergency_opened));
    if (broken) entry.flags |= audit::emergency;
    entry.result = result ? static_cast<std::uint16_t>(static_cast<int>(*result) + 1) : std::uint16_t{0};

    audit::EntryKeys keys;
    entry.staff = audit::StaffPart{who.subject, who.address.substr(0, 255)};
    const auto staff = trace_staff_key(staff_key_, who.subject);
    keys.staff = {staff.id, &staff.key};

    TracePartKey patient;
    if (study != nullptr) {
        FID_TRY(const auto p, store_.secrets().patient_secret(study->row.patient.slot));
        entry.patient = audit::PatientPart{study->patient_key, study->study_key, object};
        patient = trace_patient_key(p);
        keys.patient = {patient.id, &patient.key};
    }
    return take(entry, keys);
}

StoreRetrieval::StoreRetrieval(store::Store& store, std::vector<store::InstanceRow> instances,
                               std::shared_ptr<const CheckedVersion> version, std::uint64_t study_revision, OnDamage on_damage,
                               std::shared_ptr<const AppliedOverlay> overlay)
    : store_(store),
      instances_(std::move(instances)),
      version_(std::move(version)),
      study_revision_(study_revision),
      on_damage_(std::move(on_damage)),
      overlay_(std::move(overlay)) {}

Error StoreRetrieval::damaged(const Error& error) {
    const auto& row = instances_[next_ - 1];
    if (error.code == ErrorCode::corrupt && on_damage_ && row.object.state != store::ObjectState::quarantined) on_damage_(row, error);
    reader_.reset();
    return error;
}

void StoreRetrieval::open_ahead() {
    if (next_ == instances_.size() || ahead_) return;
    ahead_ = open(instances_[next_]);
    if (*ahead_) static_cast<void>(reader_->read_chunk(0));  // read() reads again what could not be read, and says so
}

Result<std::optional<RetrievedInstance>> StoreRetrieval::next_instance() {
    if (!ahead_) reader_.reset();
    if (next_ == instances_.size()) return std::nullopt;
    const auto& row = instances_[next_++];
    const auto opened = ahead_ ? *ahead_ : open(row);
    ahead_.reset();
    if (!opened) return fail(damaged(opened.error()));
    auto instance = listed(next_ - 1);
    instance.prefix_size = prefix_.size();
    if (edited_) instance.data_set_size = edited_->size();
    return instance;
}

RetrievedInstance StoreRetrieval::listed(std::size_t index) const {
    const auto& row = instances_[index];
    RetrievedInstance instance{row.study_uid.text(),     row.series_uid.text(),          row.sop_uid.text(),
                               row.sop_class_uid.text(), row.transfer_syntax_uid.text(), row.object.ref.size};
    instance.object_id = row.object.ref.id;
    if (overlay_) {
        instance.overlay_sha256 = overlay_->sha256;
        instance.object_id = crypto::sha256({row.object.ref.id, overlay_->sha256});
    }
    return instance;
}

Result<void> StoreRetrieval::open(const store::InstanceRow& row) {
    if (row.object.state == store::ObjectState::quarantined) {
        return fail(ErrorCode::corrupt, "instance " + row.sop_uid.text() + " is in quarantine: it was found damaged and is not served");
    }
    FID_CHECK(check_against_version(row, version_.get(), study_revision_));
    FID_TRY(auto reader, store_.open_object(row.object.ref));
    FID_TRY(prefix_, reader.prefix());
    if (prefix_.empty()) {
        prefix_ = dicom::make_file_prefix(row.transfer_syntax_uid.text(), row.sop_class_uid, row.sop_uid);
    } else if (crypto::sha256(prefix_) != row.object.prefix_sha256) {
        return fail(ErrorCode::corrupt, "the file header of instance " + row.sop_uid.text() + " is not the one that was stored");
    }
    position_ = 0;
    reader_.emplace(std::move(reader));
    edited_.reset();
    if (!overlay_) return {};
    FID_TRY(edited_, overlay_->plan(row.transfer_syntax_uid.text(), *reader_).map_error([&](Error error) {
        return error.code == ErrorCode::unsupported ? error.with("instance " + row.sop_uid.text() + ", of a corrected study") : error;
    }));
    return {};
}

static_assert(Retrieval::kStride == evidence::kChunkSize);

Result<std::size_t> StoreRetrieval::read(MutableByteView out) {
    FID_INVARIANT(reader_.has_value(), "read() before next_instance(), or after an error");
    std::size_t done = 0;
    if (position_ < prefix_.size()) {
        done = std::min<std::size_t>(out.size(), prefix_.size() - position_);
        std::copy_n(prefix_.begin() + static_cast<std::ptrdiff_t>(position_), done, out.begin());
        position_ += done;
    }
    if (done < out.size()) {
        const auto stored = [this](std::uint64_t offset, MutableByteView bytes) { return reader_->read(offset, bytes); };
        const auto at = position_ - prefix_.size();
        auto got = edited_ ? edited_->read(at, out.subspan(done), stored) : stored(at, out.subspan(done));
        if (!got) return fail(damaged(got.error()));
        done += *got;
        position_ += *got;
    }
    return done;
}

}  // namespace fiducial::archive
