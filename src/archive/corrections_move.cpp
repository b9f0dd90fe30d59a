// Corrections: instances that belong to another study. Spec: docs/design/corrections.md#another-study
#include <array>
#include <map>
#include <span>

#include "archive/corrections.hpp"
#include "archive/ingest.hpp"
#include "archive/service.hpp"
#include "base/log.hpp"
#include "crypto/hash.hpp"
#include "crypto/secret.hpp"
#include "dicom/data_set_edit.hpp"
#include "dicom/image_import.hpp"

namespace fiducial::archive {
namespace {

namespace tags = dicom::tags;

constexpr std::size_t kPieceBytes = std::size_t{1} << 20;
constexpr std::string_view kMovedFrom = "moved from study ";

// What a study says in each of its data sets, besides whose it is. Spec: PS3.3 table C.7-3
struct OfStudy {
    dicom::Tag tag;
    std::string_view vr;
};
constexpr std::array<OfStudy, 6> kOfStudy{{{tags::kStudyDate, "DA"},
                                           {tags::kStudyTime, "TM"},
                                           {tags::kAccessionNumber, "SH"},
                                           {tags::kReferringPhysicianName, "PN"},
                                           {tags::kStudyDescription, "LO"},
                                           {tags::kStudyId, "SH"}}};
constexpr std::array<OfStudy, 5> kOfPatient{{{tags::kPatientName, "PN"},
                                             {tags::kPatientId, "LO"},
                                             {tags::kIssuerOfPatientId, "LO"},
                                             {tags::kPatientBirthDate, "DA"},
                                             {tags::kPatientSex, "CS"}}};

/// The same for the same thing moved to the same study: a move that was cut off is done again and ends where it would have.
Uid uid_in(const Uid& study_uid, ByteView what) {
    Bytes text;
    append_lp(text, as_bytes(study_uid.text()));
    append(text, what);
    return dicom::uid_from_hash(crypto::tagged_sha256("fid.moved1", {text}));
}

std::string source_of(const store::InstanceRow& row) {
    return std::string(kMovedFrom) + row.study_uid.text() + " series " + row.series_uid.text() + " instance " + row.sop_uid.text();
}

using Edits = std::map<dicom::Tag, dicom::AttributeEdit>;

void set(Edits& edits, dicom::Tag tag, std::string_view vr, std::optional<std::string> value) {
    edits[tag] = {tag, std::string(vr), std::move(value)};
}

/// What an instance moved into a study says of the study and its patient, as the study's first instance has them.
void take_over(Edits& edits, const dicom::Attributes& of_study, std::span<const OfStudy> which) {
    for (const auto& [tag, vr] : which) {
        const auto value = of_study.joined(tag);
        set(edits, tag, vr, value.empty() && tag == tags::kIssuerOfPatientId ? std::nullopt : std::optional(value));
    }
}

/// What becomes of the data sets of a study when they move to another.
Edits edits_for(const Uid& target_uid, const dicom::Attributes& of_target, const AppliedOverlay* overlay, bool is_new) {
    Edits edits;
    if (overlay != nullptr) {
        for (const auto& edit : overlay->edits) edits[edit.tag] = edit;
    }
    if (!is_new) {
        take_over(edits, of_target, kOfStudy);
        take_over(edits, of_target, kOfPatient);
    }
    set(edits, tags::kStudyInstanceUid, "UI", target_uid.text());
    return edits;
}

}  // namespace

Uid moved_from(std::string_view source) {
    if (!source.starts_with(kMovedFrom)) return {};
    const auto rest = source.substr(kMovedFrom.size());
    const auto uid = Uid::parse(rest.substr(0, rest.find(' ')));
    return uid ? *uid : Uid();
}

/// The copies are durable, and the versions that hold them made, before anything is taken out of where it was: whatever is killed when,
/// nothing is missing, and the same move done again goes on.
Result<Corrected> Service::move(const Requester& who, const Selector& what, std::string_view to_study, const CorrectionGround& ground) {
    FID_CHECK(check_words(ground));
    const auto new_uid = dicom::uid_from_hash(crypto::random_bytes32());
    FID_TRY(const auto target_uid, to_study.empty() ? Result<Uid>(new_uid) : Uid::parse(to_study));
    FID_TRY(const auto study, identify(what.study_uid));
    if (study.row.study_uid == target_uid) return fail(ErrorCode::invalid_argument, "that is the study in which it is");
    const std::lock_guard lock(corrections_mutex_);
    FID_TRY(const auto selected, select(what));
    const auto& rows = selected.rows;
    FID_CHECK(begin_correction(who, study, study.study_key, [&]() -> Result<void> {
        if (rows.empty()) return fail(ErrorCode::not_found, "there is no such study, series or instance");
        return check_holds(study.row.study_uid);
    }));
    FID_TRY(const auto target, identify_if_taken(target_uid));
    if (target) FID_CHECK(begin_correction(who, *target, target->study_key, [] { return Result<void>(); }));
    FID_CHECK(exams_->complete(study.row.study_uid));  // so that a version holds what goes

    FID_TRY(const auto moved, copy_into(target_uid, target ? &*target : nullptr, selected));
    std::vector<store::ObjectId> objects;
    for (const auto& row : rows) objects.push_back(row.object.ref.id);
    FID_CHECK(store_->change_states(objects, store::ObjectState::removed, "moved to study " + target_uid.text() + ": " + ground.text));
    auto corrected = end_correction(study.row.study_uid, objects.size());
    corrected.study_uid = target_uid.text();
    return corrected;
}

Result<std::set<Uid>> Service::copy_into(const Uid& target_uid, const StudyIdentity* target, const Selected& selected) {
    FID_TRY(const auto overlay, overlay_in_force(selected.rows.front().study_uid));
    FID_TRY(const auto version, versions_->latest(selected.rows.front().study_uid));
    dicom::Attributes of_target;
    if (target != nullptr) {
        FID_TRY(of_target, attributes_in_data_sets(target_uid));
    }
    const auto edits = edits_for(target_uid, of_target, overlay.get(), of_target.empty());
    dicom::ScanLimits limits;
    limits.header_bytes = static_cast<std::uint64_t>(site_.configuration().ingest_header_mib) << 20;
    StoreSession session(*store_, *exams_, limits, "move");
    FID_TRY(auto moved, show_again(target_uid, selected.rows));
    const auto copy_all = [&]() -> Result<void> {
        for (const auto& row : selected.rows) {
            if (moved.contains(uid_in(target_uid, row.object.ref.id))) continue;
            FID_CHECK(check_against_version(row, version.get(), selected.study_revision));
            FID_TRY(auto uid, copy_one(session, row, target_uid, edits));
            moved.insert(std::move(uid));
        }
        FID_CHECK(session.complete());
        return exams_->complete(target_uid).map([](bool) {});  // also where nothing had to be copied
    };
    auto copied = copy_all();
    if (copied) return moved;
    // Nothing was taken out of the one study, so nothing is to be added to the other.
    FID_TRY(const auto half, select({Level::study, target_uid.text(), {}, {}}));
    std::vector<store::ObjectId> stored;
    for (const auto& row : half.rows) {
        if (moved.contains(row.sop_uid)) stored.push_back(row.object.ref.id);
    }
    if (!stored.empty()) {
        FID_CHECK(store_->change_states(stored, store::ObjectState::removed, "a move that failed: " + copied.error().message));
        end_correction(target_uid, stored.size());
    }
    return fail(copied.error());
}

Result<Uid> Service::copy_one(StoreSession& session, const store::InstanceRow& row, const Uid& target_uid,
                              const std::map<dicom::Tag, dicom::AttributeEdit>& of_all) {
    if (row.object.state == store::ObjectState::quarantined)
        return fail(ErrorCode::conflict, "instance " + row.sop_uid.text() + " is in quarantine, and is not moved");
    const auto sop_uid = uid_in(target_uid, row.object.ref.id);
    auto edits_by_tag = of_all;
    set(edits_by_tag, tags::kSopInstanceUid, "UI", sop_uid.text());
    set(edits_by_tag, tags::kSeriesInstanceUid, "UI", uid_in(target_uid, as_bytes(row.series_uid.text())).text());
    std::vector<dicom::AttributeEdit> edits;
    for (auto& [tag, edit] : edits_by_tag) edits.push_back(std::move(edit));

    FID_TRY(auto reader, store_->open_object(row.object.ref));
    const dicom::EditedDataSet::ReadAt read = [&](std::uint64_t offset, MutableByteView out) { return reader.read(offset, out); };
    FID_TRY(const auto edited, dicom::EditedDataSet::plan(reader.size(), row.transfer_syntax_uid.text(), edits, read));
    InstanceFormat format;
    format.transfer_syntax_uid = row.transfer_syntax_uid.text();
    format.source.value = source_of(row);
    format.study_uid = target_uid.text();
    format.sop_class_uid = row.sop_class_uid.text();
    format.sop_uid = sop_uid.text();
    FID_CHECK(session.begin_instance(format));
    Bytes piece(kPieceBytes);
    for (std::uint64_t at = 0; at < edited.size();) {
        FID_TRY(const auto got, edited.read(at, piece, read));
        FID_CHECK(session.write(ByteView(piece).first(got)));
        at += got;
    }
    FID_TRY(const auto outcome, session.finish_instance());
    if (outcome.outcome == Outcome::stored || outcome.outcome == Outcome::duplicate) return sop_uid;
    return fail(ErrorCode::conflict, "instance " + row.sop_uid.text() + " cannot be moved there: " +
                                         (outcome.error ? outcome.error->message : std::string(name_of(outcome.outcome))));
}

/// What was moved there before and taken out since is shown again: sent once more, it would stay out.
Result<std::set<Uid>> Service::show_again(const Uid& target_uid, const std::vector<store::InstanceRow>& rows) {
    std::set<Uid> wanted, shown;
    for (const auto& row : rows) wanted.insert(uid_in(target_uid, row.object.ref.id));
    FID_TRY(const auto removed,
            store_->database().read([&](database::Transaction& t) { return store_->index().list_removed(t, target_uid); }));
    std::vector<store::ObjectId> objects;
    for (const auto& row : removed) {
        if (wanted.contains(row.instance.sop_uid) && shown.insert(row.instance.sop_uid).second)
            objects.push_back(row.instance.object.ref.id);
    }
    if (!objects.empty()) FID_CHECK(store_->change_states(objects, store::ObjectState::current, "moved here once more"));
    return shown;
}

}  // namespace fiducial::archive
