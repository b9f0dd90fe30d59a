// Corrections: what is taken out of a study, and whose a study is. Stored bytes never change. Spec: docs/design/corrections.md
#include "archive/corrections.hpp"

#include <algorithm>
#include <array>
#include <boost/json.hpp>
#include <charconv>
#include <chrono>

#include "archive/service.hpp"
#include "base/hex.hpp"
#include "base/log.hpp"
#include "base/utf8.hpp"

namespace fiducial::archive {
namespace {

constexpr std::size_t kMostWords = 900;
constexpr std::size_t kMostNoteJson = std::size_t{16} << 20;
constexpr std::size_t kMostIdentifier = 1024;  // docs/formats/manifest.md
constexpr std::string_view kExpired = "expired";
constexpr std::array<RemovalReason, 5> kReasons{
    {{"quality", "113001"}, {"patient-safety", "113037"}, {"worklist", "113038"}, {kExpired, "113039"}, {"other", ""}}};

// What identifies a person besides name, ID, birth date and sex: none of it is the right patient's.
struct Identifying {
    dicom::Tag tag;
    std::string_view vr;
};
constexpr std::array<Identifying, 13> kIdentifying{{{0x00100022, "CS"},
                                                    {0x00100024, "SQ"},
                                                    {0x00100032, "TM"},
                                                    {0x00101000, "LO"},
                                                    {0x00101001, "PN"},
                                                    {0x00101002, "SQ"},
                                                    {0x00101005, "PN"},
                                                    {0x00101040, "LO"},
                                                    {0x00101060, "PN"},
                                                    {0x00102154, "SH"},
                                                    {0x00102155, "LT"},
                                                    {0x00102160, "SH"},
                                                    {0x00104000, "LT"}}};

const boost::json::array& items_of(const boost::json::object& object, std::string_view tag) {
    static const boost::json::array kNone;
    const auto* element = object.if_contains(tag);
    const auto* values = element != nullptr && element->is_object() ? element->get_object().if_contains("Value") : nullptr;
    return values != nullptr && values->is_array() ? values->get_array() : kNone;
}

std::string first_text(const boost::json::object& object, std::string_view tag) {
    const auto& values = items_of(object, tag);
    return !values.empty() && values.front().is_string() ? std::string(values.front().get_string()) : std::string();
}

std::string day_text(std::int64_t day) {
    return to_rfc3339(SystemTime(std::chrono::days(day))).substr(0, 10);
}

std::string reason_text_of(const CorrectionGround& ground) {
    return ground.reason.empty() ? ground.text : ground.reason + ": " + ground.text;
}

/// Errors: invalid_argument.
Result<void> check_patient(const PatientCorrection& right) {
    const auto bad = [](std::string what) { return fail(ErrorCode::invalid_argument, std::move(what)); };
    if (right.patient_id.value.empty()) return bad("say the right patient's ID");
    const std::array<const std::string*, 5> texts{&right.patient_id.value, &right.issuer.value, right.name ? &right.name->value : nullptr,
                                                  right.birth_date ? &right.birth_date->value : nullptr, right.sex ? &*right.sex : nullptr};
    for (const auto* text : texts) {
        if (text == nullptr) continue;
        const bool fits = text->size() <= kMostIdentifier && is_utf8(*text) && std::none_of(text->begin(), text->end(), [](char c) {
                              return static_cast<unsigned char>(c) < 0x20 || c == '\\';
                          });
        if (!fits) return bad("a patient's identifier, name, birth date or sex has at most 1024 bytes of UTF-8, and no backslash");
        if (!text->empty() && (text->front() == ' ' || text->back() == ' ')) return bad("a patient's identifiers have no outer spaces");
    }
    if (right.birth_date && !right.birth_date->value.empty()) {
        const auto& date = right.birth_date->value;
        if (date.size() != 8 || dicom::normalise_date(date) != date) return bad("'" + date + "' is no date; write it as YYYYMMDD");
    }
    if (right.sex && !right.sex->empty() && *right.sex != "M" && *right.sex != "F" && *right.sex != "O")
        return bad("a sex is M, F, O or empty");
    return {};
}

}  // namespace

std::span<const RemovalReason> removal_reasons() {
    return kReasons;
}

Result<void> check_words(const CorrectionGround& ground) {
    if (ground.text.empty() || ground.text.size() > kMostWords || !is_utf8(ground.text))
        return fail(ErrorCode::invalid_argument, "say in words why, in at most " + std::to_string(kMostWords) + " bytes");
    return {};
}

Result<void> check_removal_ground(const CorrectionGround& ground) {
    std::string names;
    bool known = false;
    for (const auto& reason : kReasons) {
        names += (names.empty() ? "" : ", ") + std::string(reason.name);
        known = known || reason.name == ground.reason;
    }
    if (!known) return fail(ErrorCode::invalid_argument, "that is no reason to remove something; reasons are: " + names);
    return check_words(ground);
}

std::optional<RejectionNote> rejection_note_of(std::string_view sop_uid, std::string_view dicom_json) {
    const auto value = fiducial::json::parse(dicom_json, kMostNoteJson);
    if (!value || !value->is_object()) return std::nullopt;
    const auto& document = value->get_object();
    const auto& titles = items_of(document, "0040A043");
    if (titles.empty() || !titles.front().is_object()) return std::nullopt;
    const auto& title = titles.front().get_object();
    if (first_text(title, "00080102") != "DCM") return std::nullopt;
    const auto code = first_text(title, "00080100");
    RejectionNote note;
    note.sop_uid = sop_uid;
    for (const auto& reason : kReasons) {
        if (!reason.dicom_code.empty() && reason.dicom_code == code) note.reason = reason.name;
    }
    if (note.reason.empty()) return std::nullopt;
    // PS3.3 C.17.2: the evidence sequence lists all that the document refers to.
    for (const auto& study : items_of(document, "0040A375")) {
        if (!study.is_object()) continue;
        for (const auto& series : items_of(study.get_object(), "00081115")) {
            if (!series.is_object()) continue;
            for (const auto& instance : items_of(series.get_object(), "00081199")) {
                if (instance.is_object())
                    note.named[first_text(study.get_object(), "0020000D")].insert(first_text(instance.get_object(), "00081155"));
            }
        }
    }
    return note;
}

Result<Hold> read_hold(const store::Store& store, store::ObjectRow row) {
    Hold hold{std::move(row), {}};
    FID_TRY(const auto bytes, read_object(store, hold.row.ref));
    hold.text = as_text(bytes);
    return hold;
}

Result<std::vector<Hold>> holds_of(database::Transaction& transaction, store::Store& store, const Uid& study_uid) {
    FID_TRY(auto rows, store.index().objects_of_study(transaction, study_uid, store::ObjectKind::hold));
    std::vector<Hold> holds;
    for (auto& row : rows) {
        // One that is damaged holds as long as nobody lifted it.
        const auto state = row.state == store::ObjectState::quarantined ? row.state_before : row.state;
        if (state != store::ObjectState::current) continue;
        auto hold = read_hold(store, row);
        holds.push_back(hold ? *std::move(hold) : Hold{std::move(row), "the reason is damaged"});
    }
    return holds;
}

boost::json::array shown_holds(std::span<const Hold> holds) {
    boost::json::array out;
    for (const auto& hold : holds) {
        out.push_back({{"studyInstanceUid", hold.row.study_uid.text()},
                       {"since", to_rfc3339(SystemTime(std::chrono::milliseconds(hold.row.arrival_ms)))},
                       {"text", hold.text},
                       {"objectId", to_hex(hold.row.ref.id)}});
    }
    return out;
}

std::int64_t kept_until_day(std::string_view date, std::uint64_t arrival_ms, std::int64_t retention_days) {
    int year = 0;
    unsigned month = 0, day = 0;
    const auto number = [&](std::size_t from, std::size_t size, auto& out) {
        if (date.size() == 8) std::from_chars(date.data() + from, date.data() + from + size, out);
    };
    number(0, 4, year);
    number(4, 2, month);
    number(6, 2, day);
    const std::chrono::year_month_day calendar{std::chrono::year(year), std::chrono::month(month), std::chrono::day(day)};
    const auto began = date.size() == 8 && calendar.ok() ? std::chrono::sys_days(calendar).time_since_epoch()
                                                         : std::chrono::floor<std::chrono::days>(std::chrono::milliseconds(arrival_ms));
    return began.count() + retention_days;
}

Result<void> Service::check_holds(const Uid& study_uid) {
    FID_TRY(auto transaction, store_->database().begin_read());
    FID_TRY(const auto holds, holds_of(transaction, *store_, study_uid));
    if (holds.empty()) return {};
    const auto& first = holds.front();
    return fail(ErrorCode::conflict, "the study is under a legal hold since " +
                                         to_rfc3339(SystemTime(std::chrono::milliseconds(first.row.arrival_ms))).substr(0, 10) +
                                         ", and nothing is taken out of it until that is lifted (fiducial hold lift): " + first.text);
}

Result<void> Service::check_retention(const store::StudyRow& study) {
    const auto today = std::chrono::floor<std::chrono::days>(system_clock().now()).time_since_epoch().count();
    const auto until = kept_until_day(study.date, study.changed_ms, site_.configuration().store_retention_days);
    if (until <= today) return {};
    return fail(ErrorCode::conflict, "the study is to be kept until " + day_text(until) + " ([store] retention_days is " +
                                         std::to_string(site_.configuration().store_retention_days) + ")");
}

Result<void> Service::begin_correction(const Requester& who, const StudyIdentity& study, const Bytes32& object,
                                       const std::function<Result<void>()>& check) {
    FID_TRY(const auto decision, permit(who, &study, Operation::correct));
    const auto checked = check();
    const auto outcome = checked ? std::optional<ErrorCode>() : checked.error().code;
    FID_CHECK(tracer_->write(who, Operation::correct, decision, &study, object, outcome));
    return checked;
}

Result<void> Service::permit_for(const Requester& who, StudyIdentity study, const store::PatientRow& patient) {
    study.row.patient = patient;
    FID_TRY(const auto other, identify_study(*store_, study.row));
    return begin_correction(who, other, other.study_key, [] { return Result<void>(); });
}

Corrected Service::end_correction(const Uid& study_uid, std::uint64_t instances) {
    Corrected corrected;
    corrected.instances = instances;
    if (auto made = exams_->complete(study_uid); !made) {
        log::error("archive", "a corrected study has no new version yet", {{"study", study_uid.text()}, {"why", made.error().message}});
        corrected.remarks.push_back("the new version is not made yet, which is tried again: " + made.error().message);
    }
    const auto latest = store_->database().read([&](database::Transaction& t) { return store_->index().latest_version(t, study_uid); });
    if (latest && *latest) corrected.version = (*latest)->record.version;
    return corrected;
}

Result<Corrected> Service::remove(const Requester& who, const Selector& what, const CorrectionGround& ground) {
    FID_CHECK(check_removal_ground(ground));
    FID_TRY(const auto study, identify(what.study_uid));
    const std::lock_guard lock(corrections_mutex_);
    FID_TRY(const auto selected, select(what));
    const auto& rows = selected.rows;
    const auto object = what.level == Level::instance && !rows.empty() ? rows.front().object.ref.id : study.study_key;
    FID_CHECK(begin_correction(who, study, object, [&]() -> Result<void> {
        if (rows.empty()) return fail(ErrorCode::not_found, "there is no such study, series or instance");
        FID_CHECK(check_holds(study.row.study_uid));
        return ground.reason == kExpired ? check_retention(study.row) : Result<void>();
    }));
    FID_CHECK(exams_->complete(study.row.study_uid));  // so that a version holds what goes
    std::vector<store::ObjectId> objects;
    for (const auto& row : rows) objects.push_back(row.object.ref.id);
    FID_CHECK(store_->change_states(objects, store::ObjectState::removed, reason_text_of(ground)));
    return end_correction(study.row.study_uid, objects.size());
}

Result<Corrected> Service::put_back(const Requester& who, const Selector& what, const CorrectionGround& ground) {
    FID_CHECK(check_words(ground));
    FID_TRY(const auto study, identify(what.study_uid));
    const std::lock_guard lock(corrections_mutex_);
    FID_TRY(auto rows,
            store_->database().read([&](database::Transaction& t) { return store_->index().list_removed(t, study.row.study_uid); }));
    std::erase_if(rows, [&](const store::SetAsideRow& row) {
        return (what.level != Level::study && !what.series_uid.empty() && row.instance.series_uid.text() != what.series_uid) ||
               (what.level == Level::instance && row.instance.sop_uid.text() != what.sop_uid);
    });
    const auto object = what.level == Level::instance && !rows.empty() ? rows.front().instance.object.ref.id : study.study_key;
    FID_CHECK(begin_correction(who, study, object, [&]() -> Result<void> {
        if (rows.empty()) return fail(ErrorCode::not_found, "nothing of that was removed");
        return {};
    }));
    std::vector<store::ObjectId> objects;
    for (const auto& row : rows) objects.push_back(row.instance.object.ref.id);
    FID_CHECK(store_->change_states(objects, store::ObjectState::current, reason_text_of(ground)));
    return end_correction(study.row.study_uid, objects.size());
}

Result<std::vector<std::string>> Service::reject(const Requester& who, const RejectionNote& note) {
    std::vector<std::string> remarks;
    for (const auto& [study_uid, named] : note.named) {
        const auto take_out = [&, &study_uid = study_uid, &named = named]() -> Result<void> {
            FID_TRY(const auto study, identify(study_uid));
            const std::lock_guard lock(corrections_mutex_);
            FID_TRY(auto selected, select({Level::study, study_uid, {}, {}}));
            std::erase_if(selected.rows, [&](const store::InstanceRow& row) {
                return !named.contains(row.sop_uid.text()) || row.sop_uid.text() == note.sop_uid;
            });
            if (selected.rows.empty()) return {};  // another time the same note
            FID_CHECK(begin_correction(who, study, study.study_key, [&]() -> Result<void> {
                FID_CHECK(check_holds(study.row.study_uid));
                return note.reason == kExpired ? check_retention(study.row) : Result<void>();
            }));
            FID_CHECK(exams_->complete(study.row.study_uid));  // so that a version holds what goes
            std::vector<store::ObjectId> objects;
            for (const auto& row : selected.rows) objects.push_back(row.object.ref.id);
            FID_CHECK(store_->change_states(objects, store::ObjectState::removed, note.reason + ": rejection note " + note.sop_uid));
            end_correction(study.row.study_uid, objects.size());
            return {};
        };
        auto done = take_out();
        if (done) continue;
        if (done.error().code == ErrorCode::io || done.error().code == ErrorCode::no_space) return fail(done.error());
        remarks.push_back("the rejection note is stored, and what it names in study " + study_uid +
                          " was not taken out: " + done.error().message);
        log::warning("archive", "a rejection note was not applied", {{"study", study_uid}, {"why", done.error().message}});
    }
    return remarks;
}

Result<std::shared_ptr<const AppliedOverlay>> Service::overlay_in_force(const Uid& study_uid) {
    FID_TRY(const auto row,
            store_->database().read([&](database::Transaction& t) { return store_->index().overlay_of_study(t, study_uid); }));
    if (!row) return std::shared_ptr<const AppliedOverlay>();
    return AppliedOverlay::read(*store_, *row, outbox_->account());
}

/// Of no effect until it is accepted: a process that ends before that leaves the study as it was.
Result<Corrected> Service::put_in_force(const Requester& who, const StudyIdentity& study, evidence::Overlay overlay,
                                        const dicom::Attributes& attributes) {
    const auto& study_uid = study.row.study_uid;
    overlay.study_instance_uid = study_uid;
    overlay.person = who.subject;
    overlay.at_ms = static_cast<std::uint64_t>(system_clock().now().time_since_epoch().count());
    FID_TRY(const auto gateway, site_.key(kGatewayKey));
    FID_CHECK(overlay.sign(gateway));
    FID_TRY(const auto bytes, overlay.encode());

    FID_TRY(auto writer, store_->begin_object(study_uid, store::ObjectKind::overlay, bytes.size()));
    FID_CHECK(writer.write(bytes));
    FID_CHECK(writer.finish());
    store::PendingObject object{std::move(writer), {}, {}, {}};
    auto& description = object.description;
    description.kind = store::ObjectKind::overlay;
    description.study_uid = study_uid;
    description.arrival_ms = overlay.at_ms;
    description.source.value = who.door;
    description.patient_id = overlay.patient.patient_id;
    description.issuer = overlay.patient.issuer;
    description.attributes = attributes;
    FID_TRY(const auto stored, store_->commit(std::move(object)));
    FID_CHECK(store_->change_state(stored.ref.id, store::ObjectState::current, overlay.reason));

    auto corrected = end_correction(study_uid, 0);
    const auto selected = select({Level::study, study_uid.text(), {}, {}});
    if (!selected) return corrected;
    corrected.instances = selected->rows.size();
    FID_TRY(const auto applied, overlay_in_force(study_uid));
    for (const auto& row : selected->rows) {
        auto reader = store_->open_object(row.object.ref);
        const auto planned = reader ? applied->plan(row.transfer_syntax_uid.text(), *reader).map([](const auto&) {}) : Result<void>();
        if (!planned)
            corrected.remarks.push_back("instance " + row.sop_uid.text() +
                                        " can be given out only as it was stored: " + planned.error().message);
    }
    return corrected;
}

Result<evidence::PatientIdentity> Service::patient_in_data_sets(const StudyIdentity& study) {
    FID_TRY(const auto in_force, overlay_in_force(study.row.study_uid));
    if (in_force) return in_force->overlay.patient_in_data_sets;
    return evidence::PatientIdentity{study.row.patient.issuer, study.row.patient.patient_id};
}

/// As the study's first instance has them.
Result<dicom::Attributes> Service::attributes_in_data_sets(const Uid& study_uid) {
    FID_TRY(const auto selected, select({Level::study, study_uid.text(), {}, {}}));
    if (selected.rows.empty()) return dicom::Attributes();
    FID_TRY(const auto reader, store_->open_object(selected.rows.front().object.ref));
    return reader.description().attributes;
}

Result<dicom::Attributes> Service::patient_attributes_in_data_sets(const Uid& study_uid) {
    FID_TRY(const auto all, attributes_in_data_sets(study_uid));
    dicom::Attributes attributes;
    for (const auto& [tag, values] : all) {
        const auto* known = dicom::find_query_attribute(tag);
        if (known != nullptr && known->level == dicom::QueryLevel::patient) attributes.set(tag, values);
    }
    return attributes;
}

Result<Corrected> Service::correct_patient(const Requester& who, std::string_view study_uid, const PatientCorrection& right,
                                           const CorrectionGround& ground) {
    FID_CHECK(check_words(ground));
    FID_CHECK(check_patient(right));
    FID_TRY(const auto study, identify(study_uid));
    const std::lock_guard lock(corrections_mutex_);
    FID_TRY(const auto known,
            store_->database().read([&](database::Transaction& t) { return store_->index().patients_with_id(t, right.patient_id); }));
    std::optional<store::PatientRow> patient;
    for (const auto& one : known) {
        if (one.issuer.value == right.issuer.value || (right.issuer.value.empty() && known.size() == 1)) patient = one;
    }
    FID_CHECK(begin_correction(who, study, study.study_key, [&]() -> Result<void> {
        if (patient || (right.name && (known.empty() || !right.issuer.value.empty()))) return {};
        if (!known.empty() && right.issuer.value.empty())
            return fail(ErrorCode::conflict, "several issuers have a patient of this ID: say which is meant");
        return fail(ErrorCode::invalid_argument, "no patient of this ID is known here: say the name, too");
    }));
    if (patient) FID_CHECK(permit_for(who, study, *patient));

    dicom::Attributes attributes;
    if (patient) {
        FID_TRY(attributes,
                store_->database().read([&](database::Transaction& t) { return store_->index().attributes_of_patient(t, patient->id); }));
    }
    const auto issuer = patient ? patient->issuer : right.issuer;
    const auto value = [&](dicom::Tag tag, const std::optional<std::string>& said) { return said ? *said : attributes.joined(tag); };
    const auto text_of = [](const std::optional<PatientText>& said) { return said ? std::optional(said->value) : std::nullopt; };
    using Edit = evidence::Overlay::Edit;
    evidence::Overlay overlay;
    overlay.reason = ground.text;
    overlay.patient = {issuer, right.patient_id};
    FID_TRY(overlay.patient_in_data_sets, patient_in_data_sets(study));
    overlay.edits = {
        Edit{dicom::tags::kPatientName, "PN", value(dicom::tags::kPatientName, text_of(right.name))},
        Edit{dicom::tags::kPatientId, "LO", right.patient_id.value},
        Edit{dicom::tags::kIssuerOfPatientId, "LO", issuer.value.empty() ? std::nullopt : std::optional<std::string>(issuer.value)},
        Edit{dicom::tags::kPatientBirthDate, "DA", value(dicom::tags::kPatientBirthDate, text_of(right.birth_date))},
        Edit{dicom::tags::kPatientSex, "CS", value(dicom::tags::kPatientSex, right.sex)}};
    dicom::Attributes corrected;
    for (const auto& edit : overlay.edits) {
        if (edit.value) corrected.set(edit.tag, edit.value->empty() ? std::vector<std::string>() : std::vector{*edit.value});
    }
    for (const auto& one : kIdentifying) overlay.edits.push_back({one.tag, std::string(one.vr), std::nullopt});
    std::sort(overlay.edits.begin(), overlay.edits.end(), [](const Edit& a, const Edit& b) { return a.tag < b.tag; });
    FID_TRY(const auto in_force, overlay_in_force(study.row.study_uid));
    if (in_force) overlay.previous = in_force->sha256;
    return put_in_force(who, study, std::move(overlay), corrected);
}

Result<Corrected> Service::take_correction_back(const Requester& who, std::string_view study_uid, const CorrectionGround& ground) {
    FID_CHECK(check_words(ground));
    FID_TRY(const auto study, identify(study_uid));
    const std::lock_guard lock(corrections_mutex_);
    FID_TRY(const auto in_force, overlay_in_force(study.row.study_uid));
    FID_CHECK(begin_correction(who, study, study.study_key, [&]() -> Result<void> {
        if (in_force && in_force->changes_anything()) return {};
        return fail(ErrorCode::not_found, "the study is its patient's as its data sets say: nothing is corrected");
    }));
    evidence::Overlay overlay;
    overlay.reason = ground.text;
    overlay.patient = overlay.patient_in_data_sets = in_force->overlay.patient_in_data_sets;
    overlay.previous = in_force->sha256;
    FID_TRY(const auto patient, store_->database().read([&](database::Transaction& t) {
        return store_->index().find_patient(t, overlay.patient.patient_id, overlay.patient.issuer, study.row.study_uid);
    }));
    if (patient) FID_CHECK(permit_for(who, study, *patient));
    FID_TRY(const auto attributes, patient_attributes_in_data_sets(study.row.study_uid));
    return put_in_force(who, study, std::move(overlay), attributes);
}

}  // namespace fiducial::archive
