#include "archive/operations.hpp"

#include <boost/json.hpp>

#include "archive/arguments.hpp"
#include "archive/importer.hpp"
#include "archive/queue_desk.hpp"
#include "archive/service.hpp"
#include "base/file.hpp"
#include "base/hex.hpp"
#include "base/log.hpp"

namespace fiducial::archive {
namespace {

namespace json = boost::json;
using std::chrono::milliseconds;

constexpr std::int64_t kMaxWaitSeconds = 86400;
constexpr std::chrono::seconds kNodeMayCome{35};

json::object shown(const ImportedFile& file) {
    json::object out{{"path", file.path}, {"outcome", std::string(name_of(file.outcome))}};
    if (!file.sop_uid.empty()) out["sopInstanceUid"] = file.sop_uid;
    if (!file.reason.empty()) out["reason"] = file.reason;
    if (!file.warnings.empty()) out["warnings"] = json::value_from(file.warnings);
    return out;
}

json::object shown(const store::StudyRow& row) {
    return {{"studyInstanceUid", row.study_uid.text()},
            {"patientId", row.patient.patient_id.value},
            {"patientName", row.patient.name.value},
            {"birthDate", row.patient.birth_date.value},
            {"sex", row.patient.sex},
            {"date", row.date},
            {"description", row.description.value},
            {"modalities", json::value_from(row.modalities)},
            {"series", row.series_count},
            {"instances", row.instance_count}};
}

}  // namespace

struct Operations::Row {
    std::string_view name;
    Answer (Operations::*function)(const Arguments&);
};

const Operations::Row* Operations::find(std::string_view name) {
    static constexpr Row kRows[] = {
        {"import", &Operations::import},
        {"export", &Operations::export_files},
        {"backup", &Operations::back_up},
        {"list", &Operations::list},
        {"show", &Operations::show},
        {"evidence", &Operations::evidence},
        {"verify", &Operations::verify},
        {"fsck", &Operations::fsck},
        {"compact", &Operations::compact},
        {"reencrypt", &Operations::reencrypt},
        {"key status", &Operations::key_status},
        {"person add", &Operations::add_person},
        {"person list", &Operations::list_people},
        {"person activity", &Operations::set_person_active},
        {"person link", &Operations::make_first_link},
        {"device add", &Operations::add_device},
        {"device list", &Operations::list_devices},
        {"device remove", &Operations::remove_device},
        {"worklist add", &Operations::add_to_worklist},
        {"worklist import", &Operations::import_worklist},
        {"worklist list", &Operations::list_worklist},
        {"worklist cancel", &Operations::cancel_on_worklist},
        {"delivery list", &Operations::list_deliveries},
        {"delivery retry", &Operations::retry_deliveries},
        {"delivery discard", &Operations::discard_deliveries},
        {"mail list", &Operations::list_mails},
        {"mail retry", &Operations::retry_mails},
        {"mail discard", &Operations::discard_mails},
        {"mail test", &Operations::test_mail},
        {"deny add", &Operations::add_denial},
        {"deny remove", &Operations::remove_denial},
        {"deny list", &Operations::list_denials},
        {"token", &Operations::make_token},
        {"token revoke", &Operations::revoke_tokens},
        {"consent show", &Operations::show_consents},
        {"consent grant", &Operations::grant},
        {"consent revoke", &Operations::revoke},
        {"consent restrict", &Operations::restrict},
        {"consent lift", &Operations::lift},
        {"break-glass", &Operations::break_glass},
        {"emergency list", &Operations::list_emergencies},
        {"remove", &Operations::remove},
        {"put-back", &Operations::put_back},
        {"correct move", &Operations::move_instances},
        {"correct patient", &Operations::correct_patient},
        {"correct undo", &Operations::take_correction_back},
        {"correct show", &Operations::show_correction},
        {"correct merge", &Operations::merge_patients},
        {"hold set", &Operations::set_hold},
        {"hold lift", &Operations::lift_hold},
        {"hold list", &Operations::list_holds},
        {"audit search", &Operations::search_trace},
        {"audit show", &Operations::show_entry},
        {"audit prove", &Operations::prove_entry},
        {"audit growth", &Operations::prove_growth},
        {"audit export", &Operations::export_trace},
        {"audit check", &Operations::check_whole_trace},
        {"audit checkpoint", &Operations::publish_checkpoint},
        {"trust next", &Operations::next_trust},
        {"trust sign", &Operations::sign_trust},
        {"trust accept", &Operations::accept_trust},
        {"ledger status", &Operations::ledger_status},
        {"ledger acknowledge", &Operations::acknowledge_undone},
        {"wait", &Operations::wait_settled},
        {"set-aside list", &Operations::list_set_aside},
        {"set-aside decide", &Operations::decide_set_aside},
        {"quarantine list", &Operations::list_quarantine},
        {"quarantine restore", &Operations::restore},
        {"demo flip", &Operations::flip_bit},
    };
    for (const auto& row : kRows) {
        if (row.name == name) return &row;
    }
    return nullptr;
}

Result<json::object> Operations::run(std::string_view name, const json::object& arguments) {
    const auto* row = find(name);
    if (row == nullptr) return fail(ErrorCode::not_found, "this archive does not know the operation '" + std::string(name) + "'");
    return (this->*row->function)(arguments);
}

Result<json::object> Service::operate(std::string_view name, const json::object& arguments, const EmitEvent& emit,
                                      const std::atomic<bool>& stop) {
    try {
        auto answer = Operations(*this, emit, stop).run(name, arguments);
        if (!answer) return fail(with_nodes_reason(std::move(answer.error())));
        return answer;
    } catch (const std::exception& error) {  // a library threw where nobody expected it: this operation ends, the archive does not
        return fail(ErrorCode::internal, "the operation '" + std::string(name) + "' failed unexpectedly: " + error.what());
    }
}

Result<json::object> Service::settle_restored(std::uint64_t chain_head, bool chain_is_the_backups, const EmitEvent& emit,
                                              const std::atomic<bool>& stop) {
    return Operations(*this, emit, stop).settle_restored(chain_head, chain_is_the_backups);
}

/// Waits until everything is settled, at most so long; for a ledger that never answered since the archive was opened no longer than
/// a node of ours may take between two attempts to start. Returns: how many study records are not settled yet.
std::uint64_t Operations::wait_until_settled(std::chrono::seconds patience) {
    const auto begin = std::chrono::steady_clock::now();
    const auto deadline = begin + patience;
    for (;;) {
        if (service_.outbox_->wait_until_settled(milliseconds(250))) return 0;
        const auto status = service_.outbox_->status();
        const auto waiting = status.stored + status.submitted + status.included;
        emit_({{"waiting", waiting}});
        const auto chain = service_.follower_->status();
        const auto now = std::chrono::steady_clock::now();
        const bool given_up = !chain.last_answer && !chain.problem.empty() && now >= begin + kNodeMayCome;
        if (stop_.load() || given_up || now >= deadline) return waiting;
    }
}

Result<json::object> Operations::import(const Arguments& arguments) {
    ImportOptions options;
    FID_TRY(const auto paths, argument::texts(arguments, "paths"));
    for (const auto& path : paths) options.paths.emplace_back(path);
    options.patient_table = argument::text(arguments, "patients");
    options.digital_radiography = argument::flag(arguments, "dx");
    FID_TRY(const auto wait_seconds, argument::number(arguments, "waitSeconds", 0, 0, kMaxWaitSeconds));
    FID_TRY(auto session, service_.begin_ingest(service_.command_requester(), "import"));
    const auto secret = service_.site_.image_uid_key();
    Importer importer(*session, secret);
    importer.on_progress([&](const ImportProgress& now) {
        emit_({{"progress",
                {{"filesDone", now.files_done},
                 {"filesTotal", now.files_total},
                 {"bytesDone", now.bytes_done},
                 {"bytesTotal", now.bytes_total}}}});
    });
    if (argument::flag(arguments, "each")) {
        importer.on_file([&](const ImportedFile& file) { emit_({{"file", shown(file)}}); });
    }
    FID_TRY(const auto report, importer.run(options, stop_));
    service_.outbox_->wake(true);
    const auto unsettled = wait_until_settled(std::chrono::seconds(report.failure ? 0 : wait_seconds));
    json::array notable;
    for (const auto& file : report.notable) notable.push_back(shown(file));
    json::value failure;
    if (report.failure) {
        failure = {{"code", std::string(name_of(report.failure->code))},
                   {"message", report.failure->message},
                   {"exitCode", describe(report.failure->code).exit_code}};
    }
    return json::object{{"stored", report.stored},
                        {"duplicates", report.duplicates},
                        {"newVersions", report.new_versions},
                        {"setAside", report.set_aside},
                        {"refused", report.refused},
                        {"skipped", report.skipped},
                        {"bytes", report.bytes},
                        {"milliseconds", report.took.count()},
                        {"interrupted", report.interrupted},
                        {"notable", std::move(notable)},
                        {"withoutPatient", report.without_patient},
                        {"unusedRows", json::value_from(report.unused_rows)},
                        {"failure", std::move(failure)},
                        {"incomplete", report.incomplete ? report.incomplete->message : ""},
                        {"unsettled", unsettled}};
}

Result<void> Operations::each_study(const std::function<Result<void>(const store::StudyRow& study)>& with_study) {
    constexpr std::size_t kAtOnce = 1000;
    std::string cursor;
    do {
        FID_TRY(const auto page, service_.store_->database().read([&](database::Transaction& t) {
            return service_.store_->index().list_studies(t, {}, cursor, kAtOnce);
        }));
        for (const auto& study : page.studies) {
            if (stop_.load()) return {};
            FID_CHECK(with_study(study));
        }
        cursor = page.next;
    } while (!cursor.empty());
    return {};
}

Result<std::vector<std::string>> Operations::named_studies(const Arguments& arguments) {
    FID_TRY(auto studies, argument::texts(arguments, "studies"));
    if (!argument::flag(arguments, "all")) return studies;
    FID_CHECK(each_study([&](const store::StudyRow& study) -> Result<void> {
        studies.push_back(study.study_uid.text());
        return {};
    }));
    return studies;
}

Result<json::object> Operations::list(const Arguments& arguments) {
    const auto from = argument::text(arguments, "from"), to = argument::text(arguments, "to");
    const std::pair<dicom::Tag, std::string> keys[] = {{dicom::tags::kPatientId, argument::text(arguments, "patientId")},
                                                       {dicom::tags::kPatientName, argument::text(arguments, "patientName")},
                                                       {dicom::tags::kAccessionNumber, argument::text(arguments, "accession")},
                                                       {dicom::tags::kStudyDate, from.empty() && to.empty() ? "" : from + "-" + to},
                                                       {dicom::tags::kModalitiesInStudy, argument::text(arguments, "modality")}};
    dicom::Criteria criteria;
    for (const auto& [tag, value] : keys) {
        auto key = dicom::Matcher::compile(tag, value);
        if (!key) return fail(key.error().with(dicom::keyword_of(tag)));
        criteria.add(*std::move(key));
    }
    FID_TRY(const auto limit, argument::number(arguments, "limit", 100, 1, 1000));
    // A list of names is a look too, at nobody in particular.
    FID_TRY(const auto decision, service_.permit(service_.command_requester(), nullptr, Operation::identify));
    FID_CHECK(service_.tracer_->write(service_.command_requester(), Operation::identify, decision, nullptr, {}, {}));
    FID_TRY(const auto page, service_.store_->database().read([&](database::Transaction& t) {
        return service_.store_->index().list_studies(t, criteria, argument::text(arguments, "cursor"), static_cast<std::uint32_t>(limit));
    }));
    json::array studies;
    for (const auto& row : page.studies) studies.push_back(shown(row));
    return json::object{{"studies", std::move(studies)}, {"next", page.next}};
}

Result<json::object> Operations::show(const Arguments& arguments) {
    FID_TRY(const auto study, argument::required_text(arguments, "study"));
    FID_TRY(const auto text, service_.describe_study(service_.command_requester(), study));
    FID_TRY(auto value, fiducial::json::parse(text, text.size()));
    return std::move(value.get_object());
}

Result<json::object> Operations::evidence(const Arguments& arguments) {
    Selector what;
    FID_TRY(what.study_uid, argument::required_text(arguments, "study"));
    what.sop_uid = argument::text(arguments, "instance");
    what.level = what.sop_uid.empty() ? Level::study : Level::instance;
    FID_TRY(const auto bundle, service_.evidence(service_.command_requester(), what));
    return json::object{{"bundle", bundle}, {"trustFile", service_.trust_text()}};
}

Result<json::object> Operations::ledger_status(const Arguments&) {
    service_.follower_->wait_until([](const ledger::FollowerStatus& now) { return now.last_answer.has_value() || !now.problem.empty(); },
                                   milliseconds(3000));
    const auto status = ledger::collect_status(*service_.follower_, *service_.outbox_, service_.node_.get());
    const auto& facts = service_.site_.facts();
    FID_TRY(const auto trust, evidence::TrustFile::parse(service_.trust_text()));
    json::object out{{"chainId", facts.chain_id},
                     {"trust",
                      {{"version", trust.version},
                       {"signers", trust.signer_sets.empty() ? 0 : trust.signer_sets.back().signers.size()},
                       {"outdated", service_.trust_file_outdated(status.chain)}}},
                     {"ledger", facts.own_node      ? "local node, self-sealed (1 of 1)"
                                : facts.development ? "development chain"
                                                    : "external node"},
                     {"healthy", status.healthy},
                     {"reachable", status.chain.reachable},
                     {"behind", status.chain.behind},
                     {"stalled", status.chain_stalled},
                     {"head", status.chain.head},
                     {"settled", status.chain.settled},
                     {"undone", {{"times", status.chain.unacknowledged}, {"fromBlock", status.chain.lowest_undone}}},
                     {"problem", status.chain.problem},
                     {"contracts",
                      {{"Members", to_0x(facts.members)},
                       {"Studies", to_0x(facts.studies)},
                       {"Consents", to_0x(facts.consents)},
                       {"Checkpoints", to_0x(facts.checkpoints)},
                       {"Directory", to_0x(facts.directory)}}},
                     {"gateway", to_0x(service_.outbox_->account())},
                     {"outbox",
                      {{"stored", status.outbox.stored},
                       {"submitted", status.outbox.submitted},
                       {"included", status.outbox.included},
                       {"incidents", status.outbox.incidents},
                       {"failed", status.outbox.failed},
                       {"oldestUnsettledMs", status.outbox.oldest_unsettled.count()},
                       {"problem", status.outbox.problem}}}};
    if (status.outbox.foreign_nonce) out["foreignNonce"] = *status.outbox.foreign_nonce;
    if (auto room = QueueDesk(service_).room()) out["disk"] = std::move(*room);
    if (status.own_node) {
        out["node"] = {
            {"state", std::string(ledger::name_of(status.node))}, {"problem", status.node_problem}, {"restarts", status.node_restarts}};
    }
    return out;
}

/// Settled blocks that were undone stay an incident, over restarts, until somebody says that he has looked into it.
Result<json::object> Operations::acknowledge_undone(const Arguments&) {
    const auto status = service_.follower_->status();
    FID_CHECK(administer({}, true));
    FID_CHECK(service_.follower_->acknowledge_undone(status));
    return json::object{{"times", status.unacknowledged}, {"fromBlock", status.lowest_undone}};
}

Result<json::object> Operations::wait_settled(const Arguments& arguments) {
    FID_TRY(const auto seconds, argument::number(arguments, "seconds", 60, 0, kMaxWaitSeconds));
    FID_CHECK(service_.exams_->complete_all());
    service_.outbox_->wake(true);
    const auto waiting = wait_until_settled(std::chrono::seconds(seconds));
    return json::object{{"settled", waiting == 0}, {"waiting", waiting}, {"incidents", service_.outbox_->status().incidents}};
}

Result<json::object> Operations::list_set_aside(const Arguments& arguments) {
    FID_CHECK(service_.permit(service_.command_requester(), nullptr, Operation::inventory));
    return QueueDesk(service_).list_set_aside(arguments);
}

Result<json::object> Operations::decide_set_aside(const Arguments& arguments) {
    FID_TRY(const auto id_text, argument::required_text(arguments, "object"));
    FID_TRY(const auto id, fixed_from_hex<32>(id_text, "object id"));
    const bool accept = argument::flag(arguments, "accept");
    FID_TRY(const auto row,
            service_.store_->database().read([&](database::Transaction& t) { return service_.store_->index().find_instance_of(t, id); }));
    if (!row) return fail(ErrorCode::not_found, "there is no such object");
    FID_TRY(const auto identity, service_.identify_if_taken(row->study_uid));
    const auto* study = identity ? &*identity : nullptr;
    FID_TRY(const auto decision, service_.permit(service_.command_requester(), study, Operation::correct));
    FID_CHECK(service_.tracer_->write(service_.command_requester(), Operation::correct, decision, study, id, {}));
    FID_CHECK(service_.store_->change_state(id, accept ? store::ObjectState::current : store::ObjectState::discarded,
                                            argument::text(arguments, "reason")));
    if (accept) FID_CHECK(service_.exams_->complete(row->study_uid));
    return json::object{{"object", id_text}, {"state", accept ? "current" : "discarded"}};
}

Result<json::object> Operations::list_quarantine(const Arguments&) {
    FID_CHECK(service_.permit(service_.command_requester(), nullptr, Operation::inventory));
    return QueueDesk(service_).list_quarantine();
}

Result<json::object> Operations::restore(const Arguments& arguments) {
    return QueueDesk(service_).restore(service_.command_requester(), arguments);
}

/// Flips the lowest bit of a stored byte in the middle of an object, on the disk. Done twice, all is as it was.
Result<json::object> Operations::flip_bit(const Arguments& arguments) {
    if (!service_.site_.facts().demo) return fail(ErrorCode::denied, "only a demo site may be damaged on purpose");
    FID_TRY(const auto id_text, argument::required_text(arguments, "object"));
    FID_TRY(const auto id, fixed_from_hex<32>(id_text, "object id"));
    FID_TRY(const auto row,
            service_.store_->database().read([&](database::Transaction& t) { return service_.store_->index().find_object(t, id); }));
    if (!row) return fail(ErrorCode::not_found, "there is no such object");
    FID_TRY(const auto reader, service_.store_->open_object(row->ref));
    const auto place = reader.place_of(row->ref.size / 2);
    FID_TRY(const auto path, service_.store_->vault().name_of_segment(place.segment));
    FID_TRY(auto file, File::open(path, File::Mode::read_write));
    std::array<std::uint8_t, 1> byte{};
    FID_CHECK(file.read_exactly_at(place.offset, byte));
    byte[0] ^= 1;
    FID_CHECK(file.write_at(place.offset, byte));
    FID_CHECK(file.sync_data());
    return json::object{{"file", path}, {"offset", place.offset}};
}

}  // namespace fiducial::archive
