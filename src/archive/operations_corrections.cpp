#include <boost/json.hpp>

#include "archive/arguments.hpp"
#include "archive/corrections.hpp"
#include "archive/operations.hpp"
#include "archive/service.hpp"
#include "base/hex.hpp"
#include "base/utf8.hpp"

namespace fiducial::archive {
namespace {

namespace json = boost::json;

Result<Selector> selector_of(const json::object& arguments) {
    Selector what;
    FID_TRY(what.study_uid, argument::required_text(arguments, "study"));
    what.series_uid = argument::text(arguments, "series");
    what.sop_uid = argument::text(arguments, "instance");
    what.level = !what.sop_uid.empty() ? Level::instance : !what.series_uid.empty() ? Level::series : Level::study;
    return what;
}

CorrectionGround ground_of(const json::object& arguments) {
    return {argument::text(arguments, "reason"), argument::text(arguments, "text")};
}

json::object shown(const Corrected& corrected) {
    json::object out{{"instances", corrected.instances}, {"version", corrected.version}, {"remarks", json::value_from(corrected.remarks)}};
    if (!corrected.study_uid.empty()) out["studyInstanceUid"] = corrected.study_uid;
    return out;
}

/// What is not given stays as it is known.
PatientCorrection patient_of(const json::object& arguments) {
    PatientCorrection right;
    right.patient_id.value = argument::text(arguments, "patientId");
    right.issuer.value = argument::text(arguments, "issuer");
    if (arguments.contains("name")) right.name = PatientText{{}, argument::text(arguments, "name")};
    if (arguments.contains("birthDate")) right.birth_date = PatientText{{}, argument::text(arguments, "birthDate")};
    if (arguments.contains("sex")) right.sex = argument::text(arguments, "sex");
    return right;
}

}  // namespace

Result<json::object> Operations::remove(const Arguments& arguments) {
    FID_TRY(const auto what, selector_of(arguments));
    FID_TRY(const auto done, service_.remove(service_.command_requester(), what, ground_of(arguments)));
    return shown(done);
}

Result<json::object> Operations::put_back(const Arguments& arguments) {
    FID_TRY(const auto what, selector_of(arguments));
    FID_TRY(const auto done, service_.put_back(service_.command_requester(), what, ground_of(arguments)));
    return shown(done);
}

Result<json::object> Operations::move_instances(const Arguments& arguments) {
    FID_TRY(const auto what, selector_of(arguments));
    FID_TRY(const auto done, service_.move(service_.command_requester(), what, argument::text(arguments, "to"), ground_of(arguments)));
    return shown(done);
}

Result<json::object> Operations::correct_patient(const Arguments& arguments) {
    FID_TRY(const auto study, argument::required_text(arguments, "study"));
    FID_TRY(const auto done, service_.correct_patient(service_.command_requester(), study, patient_of(arguments), ground_of(arguments)));
    return shown(done);
}

Result<json::object> Operations::take_correction_back(const Arguments& arguments) {
    FID_TRY(const auto study, argument::required_text(arguments, "study"));
    FID_TRY(const auto done, service_.take_correction_back(service_.command_requester(), study, ground_of(arguments)));
    return shown(done);
}

/// The signed document, which names both patients: for who may correct.
Result<json::object> Operations::show_correction(const Arguments& arguments) {
    FID_TRY(const auto study_uid, argument::required_text(arguments, "study"));
    FID_TRY(const auto study, service_.identify(study_uid));
    std::shared_ptr<const AppliedOverlay> in_force;
    FID_CHECK(service_.begin_correction(service_.command_requester(), study, study.study_key, [&]() -> Result<void> {
        FID_TRY(in_force, service_.overlay_in_force(study.row.study_uid));
        if (!in_force) return fail(ErrorCode::not_found, "nothing of this study was ever corrected");
        return {};
    }));
    const auto& overlay = in_force->overlay;
    FID_TRY(const auto document, overlay.encode());
    FID_TRY(const auto everybody, service_.accounts_->all());
    std::string person = to_hex(overlay.person);
    for (const auto& one : everybody.people) {
        if (one.id == overlay.person) person = one.name;
    }
    const auto shown_patient = [](const evidence::PatientIdentity& patient) {
        return json::object{{"patientId", patient.patient_id.value}, {"issuer", patient.issuer.value}};
    };
    json::object edits;
    for (const auto& edit : overlay.edits) edits[dicom::tag_text(edit.tag)] = edit.value ? json::value(*edit.value) : json::value();
    return json::object{{"sha256", to_hex(in_force->sha256)},
                        {"at", to_rfc3339(SystemTime(std::chrono::milliseconds(overlay.at_ms)))},
                        {"person", std::move(person)},
                        {"text", overlay.reason},
                        {"patientInDataSets", shown_patient(overlay.patient_in_data_sets)},
                        {"patient", shown_patient(overlay.patient)},
                        {"edits", std::move(edits)},
                        {"document", to_hex(document)}};
}

/// Each study of one patient becomes another's. One that fails ends it; done again, it goes on with what is left.
Result<json::object> Operations::merge_patients(const Arguments& arguments) {
    FID_TRY(const auto from, argument::required_text(arguments, "from"));
    const auto issuer = argument::text(arguments, "fromIssuer");
    const auto right = patient_of(arguments);
    if (right.patient_id.value == from && right.issuer.value == issuer)
        return fail(ErrorCode::invalid_argument, "that is one and the same patient");
    FID_TRY(const auto known, service_.store_->database().read([&](database::Transaction& t) {
        return service_.store_->index().patients_with_id(t, PatientText{{}, from});
    }));
    std::optional<std::int64_t> patient;
    for (const auto& one : known) {
        if (one.issuer.value == issuer || (issuer.empty() && known.size() == 1)) patient = one.id;
    }
    if (!patient && known.size() > 1)
        return fail(ErrorCode::conflict, "several issuers have a patient of the ID " + from + ": say which is meant");
    std::vector<std::string> studies;
    FID_CHECK(each_study([&](const store::StudyRow& study) -> Result<void> {
        if (patient && study.patient.id == *patient) studies.push_back(study.study_uid.text());
        return {};
    }));
    if (studies.empty()) return fail(ErrorCode::not_found, "no study is of a patient with the ID " + from);
    json::array done;
    for (const auto& study : studies) {
        if (stop_.load()) break;
        auto corrected = service_.correct_patient(service_.command_requester(), study, right, ground_of(arguments));
        if (!corrected) return fail(corrected.error().with("study " + study));
        auto one = shown(*corrected);
        one["studyInstanceUid"] = study;
        done.push_back(std::move(one));
    }
    return json::object{{"studies", std::move(done)}, {"interrupted", stop_.load()}};
}

Result<json::object> Operations::set_hold(const Arguments& arguments) {
    FID_TRY(const auto study_uid, argument::required_text(arguments, "study"));
    const auto ground = ground_of(arguments);
    FID_CHECK(check_words(ground));
    FID_TRY(const auto study, service_.identify(study_uid));
    const auto who = service_.command_requester();
    FID_CHECK(service_.begin_correction(who, study, study.study_key, [] { return Result<void>(); }));
    const std::lock_guard lock(service_.corrections_mutex_);
    const auto& uid = study.row.study_uid;
    FID_TRY(auto writer, service_.store_->begin_object(uid, store::ObjectKind::hold, ground.text.size()));
    FID_CHECK(writer.write(as_bytes(ground.text)));
    FID_CHECK(writer.finish());
    store::PendingObject object{std::move(writer), {}, {}, {}};
    object.description.kind = store::ObjectKind::hold;
    object.description.study_uid = uid;
    object.description.arrival_ms = static_cast<std::uint64_t>(system_clock().now().time_since_epoch().count());
    object.description.source.value = who.door;
    FID_TRY(const auto stored, service_.store_->commit(std::move(object)));
    return json::object{{"study", study_uid}, {"objectId", to_hex(stored.ref.id)}};
}

Result<json::object> Operations::lift_hold(const Arguments& arguments) {
    FID_TRY(const auto study_uid, argument::required_text(arguments, "study"));
    const auto ground = ground_of(arguments);
    FID_CHECK(check_words(ground));
    FID_TRY(const auto study, service_.identify(study_uid));
    const std::lock_guard lock(service_.corrections_mutex_);
    FID_TRY(auto transaction, service_.store_->database().begin_read());
    FID_TRY(const auto holds, holds_of(transaction, *service_.store_, study.row.study_uid));
    FID_CHECK(transaction.commit());
    FID_CHECK(service_.begin_correction(service_.command_requester(), study, study.study_key, [&]() -> Result<void> {
        if (holds.empty()) return fail(ErrorCode::not_found, "the study is under no hold");
        return {};
    }));
    std::vector<store::ObjectId> objects;
    for (const auto& hold : holds) objects.push_back(hold.row.ref.id);
    FID_CHECK(service_.store_->change_states(objects, store::ObjectState::removed, ground.text));
    return json::object{{"study", study_uid}, {"lifted", objects.size()}};
}

Result<json::object> Operations::list_holds(const Arguments&) {
    FID_CHECK(service_.permit(service_.command_requester(), nullptr, Operation::inventory));
    FID_TRY(auto rows, service_.store_->database().read([&](database::Transaction& t) { return service_.store_->index().list_holds(t); }));
    std::vector<Hold> holds;
    for (auto& row : rows) {
        FID_TRY(auto hold, read_hold(*service_.store_, std::move(row)));
        holds.push_back(std::move(hold));
    }
    return json::object{{"holds", shown_holds(holds)}};
}

}  // namespace fiducial::archive
