#include "ledger/contracts.hpp"

#include <algorithm>

#include "base/hex.hpp"
#include "crypto/hash.hpp"
#include "ethereum/abi.hpp"

namespace fiducial::ledger::contracts {
namespace {

using ethereum::AbiReader;
using ethereum::AbiWriter;

constexpr std::string_view kAnchor = "anchor((bytes32,uint64,bytes32,bytes32,uint32,bytes32,bytes32,bytes32,uint16,uint16)[])";
constexpr std::string_view kRecordOf = "recordOf(bytes32,bytes32,uint64)";
constexpr std::string_view kHashRecord =
    "hashRecord(bytes32,(bytes32,uint64,bytes32,bytes32,uint32,bytes32,bytes32,bytes32,uint16,uint16))";
constexpr std::string_view kStudyAnchored = "StudyAnchored(bytes32,bytes32,uint64,bytes32)";
constexpr std::string_view kStudySkipped = "StudySkipped(bytes32,bytes32,uint64,bytes32,uint8,bytes32)";
constexpr std::string_view kRegisterInstitution =
    "registerInstitution(bytes32,address,bytes32,string,string,(bytes32,address,uint32,uint8)[])";
constexpr std::string_view kRegisterPerson = "registerPerson(bytes32,bytes32,address,uint32,uint8)";
constexpr std::string_view kSetRoles = "setRoles(bytes32,uint32)";
constexpr std::string_view kSetPersonActive = "setPersonActive(bytes32,bool)";
constexpr std::string_view kRemovePerson = "removePerson(bytes32)";
constexpr std::string_view kRecoverAccount = "recoverAccount(bytes32,address,uint8)";
constexpr std::string_view kProposeCustodian = "proposeCustodian(bytes32)";
constexpr std::string_view kAppointCustodian = "appointCustodian(bytes32)";
constexpr std::string_view kRegisterDevice = "registerDevice(bytes32,bytes32,uint32,bytes32)";
constexpr std::string_view kSetDevice = "setDevice(bytes32,uint32,bytes32,bool)";
constexpr std::string_view kRemoveDevice = "removeDevice(bytes32)";
constexpr std::string_view kInstitutionOfGateway = "institutionOfGateway(address)";
constexpr std::string_view kGrant = "grant((bytes32,bytes32,(uint8,bytes32,uint32),bytes32,uint8,uint64,uint64,uint64))";
constexpr std::string_view kRevoke = "revoke(bytes32,bytes32,bytes32,uint64)";
constexpr std::string_view kRestrict = "restrict((bytes32,bytes32,(uint8,bytes32,uint32),bytes32,bool,uint64))";
constexpr std::string_view kSetController = "setController(bytes32,bytes32,bytes32,uint8)";
constexpr std::string_view kSetGuardian = "setGuardian(bytes32,bytes32,bytes32,uint64)";
constexpr std::string_view kAsk = "ask(bytes32,bytes32,bytes32,bytes32,uint8,uint64)";
constexpr std::string_view kAnswer = "answer(bytes32,bytes32,bytes32,bool)";
constexpr std::string_view kWithdraw = "withdraw(bytes32,bytes32,bytes32)";
constexpr std::string_view kOpenEmergency = "openEmergency(bytes32,bytes32,bytes32,uint64,uint64,bytes32)";
constexpr std::string_view kCloseEmergency = "closeEmergency(bytes32,bytes32,bytes32)";
constexpr std::string_view kDecide = "decide(bytes32,bytes32,bytes32,bytes32,uint8,uint8,uint64)";
constexpr std::string_view kPatientOf = "patientOf(bytes32,bytes32)";
constexpr std::string_view kSubmit = "submit(bytes32,uint64,bytes32,bytes32[])";
constexpr std::string_view kCheckpointOf = "checkpointOf(bytes32,bytes32)";
constexpr std::string_view kDirectorySet = "set(bytes32,address)";
constexpr std::string_view kDirectoryGet = "get(bytes32)";

constexpr Signature kSignatures[] = {
    {"Studies", kAnchor},
    {"Studies", kRecordOf},
    {"Studies", kHashRecord},
    {"Studies", kStudyAnchored, true},
    {"Studies", kStudySkipped, true},
    {"Members", kRegisterInstitution},
    {"Members", kRegisterPerson},
    {"Members", kSetRoles},
    {"Members", kSetPersonActive},
    {"Members", kRemovePerson},
    {"Members", kRecoverAccount},
    {"Members", kProposeCustodian},
    {"Members", kAppointCustodian},
    {"Members", kRegisterDevice},
    {"Members", kSetDevice},
    {"Members", kRemoveDevice},
    {"Members", kInstitutionOfGateway},
    {"Consents", kGrant},
    {"Consents", kRevoke},
    {"Consents", kRestrict},
    {"Consents", kSetController},
    {"Consents", kSetGuardian},
    {"Consents", kAsk},
    {"Consents", kAnswer},
    {"Consents", kWithdraw},
    {"Consents", kOpenEmergency},
    {"Consents", kCloseEmergency},
    {"Consents", kDecide},
    {"Consents", kPatientOf},
    {"Checkpoints", kSubmit},
    {"Checkpoints", kCheckpointOf},
    {"Directory", kDirectorySet},
    {"Directory", kDirectoryGet},
};

template <typename Enum>
std::uint64_t number(Enum value) {
    return static_cast<std::uint64_t>(value);
}

void write_record(AbiWriter& out, const evidence::StudyRecord& record) {
    out.bytes32(record.study_key)
        .u64(record.version)
        .bytes32(record.previous)
        .bytes32(record.root)
        .u64(record.count)
        .bytes32(record.patient_ref);
    out.bytes32(record.meta).bytes32(record.uploads).u64(record.format).u64(record.reasons);
}

void write_target(AbiWriter& out, const Target& target) {
    out.u64(number(target.kind)).bytes32(target.id).u64(target.role);
}

Bytes32 name_word(std::string_view name) {
    FID_INVARIANT(name.size() <= 32, "a directory name fits a word");
    Bytes32 word{};
    std::copy(name.begin(), name.end(), word.begin());
    return word;
}

}  // namespace

std::span<const Signature> signatures() {
    return kSignatures;
}

const Artifact& artifact(std::string_view name) {
    const auto all = artifacts();
    const auto found = std::find_if(all.begin(), all.end(), [name](const Artifact& one) { return one.name == name; });
    FID_INVARIANT(found != all.end(), "a contract that was compiled in");
    return *found;
}

// ---- Studies

Bytes anchor_call(std::span<const evidence::StudyRecord> records) {
    AbiWriter items;
    for (const auto& record : records) {
        AbiWriter members;
        write_record(members, record);
        items.tuple(members);
    }
    AbiWriter arguments;
    return arguments.array(items).call(kAnchor);
}

Result<std::vector<evidence::StudyRecord>> decode_anchor_call(ByteView calldata) {
    constexpr std::size_t kSelector = 4;
    const auto empty = anchor_call({});
    if (calldata.size() < kSelector || !std::equal(calldata.begin(), calldata.begin() + kSelector, empty.begin()))
        return fail(ErrorCode::malformed, "not a call of Studies.anchor");
    AbiReader in(calldata.subspan(kSelector));
    FID_TRY(auto items, in.array("records"));
    std::vector<evidence::StudyRecord> records(items.count);
    for (auto& record : records) {
        FID_TRY(record.study_key, items.items.bytes32("studyKey"));
        FID_TRY(record.version, items.items.u64("version"));
        FID_TRY(record.previous, items.items.bytes32("previous"));
        FID_TRY(record.root, items.items.bytes32("root"));
        FID_TRY(const auto count, items.items.uint(32, "count"));
        FID_TRY(record.patient_ref, items.items.bytes32("patientRef"));
        FID_TRY(record.meta, items.items.bytes32("meta"));
        FID_TRY(record.uploads, items.items.bytes32("uploads"));
        FID_TRY(const auto format, items.items.uint(16, "format"));
        FID_TRY(const auto reasons, items.items.uint(16, "reasons"));
        record.count = static_cast<std::uint32_t>(count);
        record.format = static_cast<std::uint16_t>(format);
        record.reasons = static_cast<std::uint16_t>(reasons);
    }
    FID_CHECK(in.finish("call of Studies.anchor"));
    return records;
}

Bytes record_of_call(const Bytes32& institution, const Hash& study_key, std::uint64_t version) {
    return AbiWriter().bytes32(institution).bytes32(study_key).u64(version).call(kRecordOf);
}

Bytes hash_record_call(const evidence::StudyRecord& record) {
    AbiWriter out;
    out.bytes32(record.institution);
    write_record(out, record);
    return out.call(kHashRecord);
}

Result<Hash> decode_hash(ByteView answer) {
    AbiReader in(answer);
    FID_TRY(const auto hash, in.bytes32("answer"));
    FID_CHECK(in.finish("answer"));
    return hash;
}

Result<StudiesEvent> decode_studies_event(const Log& log) {
    static const Hash anchored = ethereum::event_topic(kStudyAnchored);
    static const Hash skipped = ethereum::event_topic(kStudySkipped);
    if (log.topics.empty() || (log.topics[0] != anchored && log.topics[0] != skipped)) return StudiesEvent{};
    if (log.topics.size() != 3)
        return fail(ErrorCode::malformed, "an event of Studies has " + std::to_string(log.topics.size()) + " topics");
    AbiReader in(log.data);
    FID_TRY(const auto version, in.u64("version"));
    FID_TRY(const auto record, in.bytes32("record"));
    if (log.topics[0] == anchored) {
        FID_CHECK(in.finish("StudyAnchored"));
        return StudyAnchored{log.topics[1], log.topics[2], version, record};
    }
    FID_TRY(const auto reason, in.uint(8, "reason"));
    FID_TRY(const auto found, in.bytes32("found"));
    FID_CHECK(in.finish("StudySkipped"));
    if (reason > number(SkipReason::invalid_version)) return fail(ErrorCode::malformed, "Studies skipped a record for an unknown reason");
    return StudySkipped{log.topics[1], log.topics[2], version, record, static_cast<SkipReason>(reason), found};
}

// ---- Members

Bytes register_institution_call(const Bytes32& id, const Address& gateway, const Hash& certificate_sha256, std::string_view name,
                                std::string_view endpoint, std::span<const Founder> founders) {
    AbiWriter people;
    for (const auto& founder : founders) {
        people.tuple(AbiWriter().bytes32(founder.id).address(founder.account).u64(founder.roles).u64(number(founder.custody)));
    }
    return AbiWriter()
        .bytes32(id)
        .address(gateway)
        .bytes32(certificate_sha256)
        .string(name)
        .string(endpoint)
        .array(people)
        .call(kRegisterInstitution);
}
Bytes register_person_call(const Bytes32& id, const Bytes32& institution, const Address& account, std::uint32_t roles, Custody custody) {
    return AbiWriter().bytes32(id).bytes32(institution).address(account).u64(roles).u64(number(custody)).call(kRegisterPerson);
}
Bytes set_roles_call(const Bytes32& person, std::uint32_t roles) {
    return AbiWriter().bytes32(person).u64(roles).call(kSetRoles);
}
Bytes set_person_active_call(const Bytes32& person, bool active) {
    return AbiWriter().bytes32(person).boolean(active).call(kSetPersonActive);
}
Bytes remove_person_call(const Bytes32& person) {
    return AbiWriter().bytes32(person).call(kRemovePerson);
}
Bytes recover_account_call(const Bytes32& person, const Address& account, Custody custody) {
    return AbiWriter().bytes32(person).address(account).u64(number(custody)).call(kRecoverAccount);
}
Bytes propose_custodian_call(const Bytes32& person) {
    return AbiWriter().bytes32(person).call(kProposeCustodian);
}
Bytes appoint_custodian_call(const Bytes32& person) {
    return AbiWriter().bytes32(person).call(kAppointCustodian);
}
Bytes register_device_call(const Bytes32& id, const Bytes32& institution, std::uint32_t operations, const Hash& certificate_sha256) {
    return AbiWriter().bytes32(id).bytes32(institution).u64(operations).bytes32(certificate_sha256).call(kRegisterDevice);
}
Bytes set_device_call(const Bytes32& device, std::uint32_t operations, const Hash& certificate_sha256, bool active) {
    return AbiWriter().bytes32(device).u64(operations).bytes32(certificate_sha256).boolean(active).call(kSetDevice);
}
Bytes remove_device_call(const Bytes32& device) {
    return AbiWriter().bytes32(device).call(kRemoveDevice);
}
Bytes institution_of_gateway_call(const Address& gateway) {
    return AbiWriter().address(gateway).call(kInstitutionOfGateway);
}

// ---- Consents

Bytes grant_call(const GrantTerms& terms) {
    AbiWriter out;
    out.bytes32(terms.holder).bytes32(terms.patient_key);
    write_target(out, terms.target);
    return out.bytes32(terms.scope).u64(terms.purpose).u64(terms.from).u64(terms.until).u64(terms.epoch).call(kGrant);
}
Bytes revoke_call(const Bytes32& holder, const Hash& patient_key, const Hash& grant, std::uint64_t epoch) {
    return AbiWriter().bytes32(holder).bytes32(patient_key).bytes32(grant).u64(epoch).call(kRevoke);
}
Bytes restrict_call(const RestrictTerms& terms) {
    AbiWriter out;
    out.bytes32(terms.holder).bytes32(terms.patient_key);
    write_target(out, terms.target);
    return out.bytes32(terms.scope).boolean(terms.on).u64(terms.serial).call(kRestrict);
}
Bytes set_controller_call(const Bytes32& holder, const Hash& patient_key, const Bytes32& person, ControllerKind kind) {
    return AbiWriter().bytes32(holder).bytes32(patient_key).bytes32(person).u64(number(kind)).call(kSetController);
}
Bytes set_guardian_call(const Bytes32& holder, const Hash& patient_key, const Bytes32& person, std::uint64_t until) {
    return AbiWriter().bytes32(holder).bytes32(patient_key).bytes32(person).u64(until).call(kSetGuardian);
}
Bytes ask_call(const Bytes32& holder, const Hash& patient_key, const Bytes32& asker, const Hash& scope, std::uint8_t purpose,
               std::uint64_t until) {
    return AbiWriter().bytes32(holder).bytes32(patient_key).bytes32(asker).bytes32(scope).u64(purpose).u64(until).call(kAsk);
}
Bytes answer_call(const Bytes32& holder, const Hash& patient_key, const Hash& request, bool accepted) {
    return AbiWriter().bytes32(holder).bytes32(patient_key).bytes32(request).boolean(accepted).call(kAnswer);
}
Bytes withdraw_call(const Bytes32& holder, const Hash& patient_key, const Hash& request) {
    return AbiWriter().bytes32(holder).bytes32(patient_key).bytes32(request).call(kWithdraw);
}
Bytes open_emergency_call(const Bytes32& holder, const Hash& patient_key, const Bytes32& person, std::uint64_t from, std::uint64_t until,
                          const Hash& ground) {
    return AbiWriter().bytes32(holder).bytes32(patient_key).bytes32(person).u64(from).u64(until).bytes32(ground).call(kOpenEmergency);
}
Bytes close_emergency_call(const Bytes32& holder, const Hash& patient_key, const Bytes32& person) {
    return AbiWriter().bytes32(holder).bytes32(patient_key).bytes32(person).call(kCloseEmergency);
}

Hash grant_id(const Target& target, const Hash& scope, std::uint8_t purpose) {
    AbiWriter out;
    write_target(out, target);
    return crypto::keccak256(out.bytes32(scope).u64(purpose).finish());
}
Hash restriction_id(const Target& target, const Hash& scope) {
    AbiWriter out;
    write_target(out, target);
    return crypto::keccak256(out.bytes32(scope).finish());
}
Hash request_id(const Bytes32& asker, const Hash& scope, std::uint8_t purpose) {
    return crypto::keccak256(AbiWriter().bytes32(asker).bytes32(scope).u64(purpose).finish());
}

Bytes decide_call(const DecideQuestion& q) {
    return AbiWriter()
        .bytes32(q.subject)
        .bytes32(q.holder)
        .bytes32(q.patient_key)
        .bytes32(q.scope_ref)
        .u64(q.operation)
        .u64(q.purpose)
        .u64(q.at)
        .call(kDecide);
}

Result<Decision> decode_decision(ByteView answer) {
    AbiReader in(answer);
    Decision out;
    FID_TRY(out.allowed, in.boolean("allowed"));
    FID_TRY(const auto reason, in.uint(8, "reason"));
    FID_TRY(const auto obligation, in.uint(8, "obligation"));
    FID_TRY(out.valid_until, in.u64("validUntil"));
    FID_CHECK(in.finish("decision"));
    if (reason > kLastReason || obligation > 1 || (out.allowed && reason >= kFirstDenial)) {
        return fail(ErrorCode::malformed, "a decision with reason " + std::to_string(reason) + " and obligation " +
                                              std::to_string(obligation) + ", which there is not");
    }
    out.reason = static_cast<std::uint8_t>(reason);
    out.obligation = static_cast<std::uint8_t>(obligation);
    return out;
}

Result<Decision> decide(Rpc& rpc, const Address& consents, const DecideQuestion& question, const BlockId& at) {
    FID_TRY(const auto answer, rpc.call({consents, decide_call(question), std::nullopt}, at));
    if (answer.reverted) return fail(ErrorCode::unavailable, "decide reverted: " + describe_revert(answer.data));
    if (answer.data.empty()) return fail(ErrorCode::unavailable, "there is no contract at " + to_0x(consents));
    return decode_decision(answer.data);
}

Bytes patient_of_call(const Bytes32& holder, const Hash& patient_key) {
    return AbiWriter().bytes32(holder).bytes32(patient_key).call(kPatientOf);
}

Result<PatientState> decode_patient(ByteView answer) {
    AbiReader in(answer);
    PatientState out;
    FID_TRY(const auto kind, in.uint(8, "kind"));
    if (kind > number(ControllerKind::wallet)) return fail(ErrorCode::malformed, "a patient has an unknown kind of controller");
    out.kind = static_cast<ControllerKind>(kind);
    FID_TRY(out.epoch, in.u64("epoch"));
    FID_TRY(out.void_below, in.u64("voidBelow"));
    FID_TRY(const auto restrictions, in.uint(32, "restrictions"));
    FID_TRY(const auto scoped, in.uint(32, "scopedRestrictions"));
    FID_TRY(out.controller, in.bytes32("controller"));
    FID_CHECK(in.finish("patient"));
    out.restrictions = static_cast<std::uint32_t>(restrictions);
    out.scoped_restrictions = static_cast<std::uint32_t>(scoped);
    return out;
}

// ---- Checkpoints and Directory

Bytes submit_checkpoint_call(const Hash& origin, std::uint64_t size, const Hash& root, std::span<const Hash> consistency_proof) {
    AbiWriter nodes;
    for (const auto& node : consistency_proof) nodes.bytes32(node);
    return AbiWriter().bytes32(origin).u64(size).bytes32(root).array(nodes).call(kSubmit);
}
Bytes checkpoint_of_call(const Bytes32& institution, const Hash& origin) {
    return AbiWriter().bytes32(institution).bytes32(origin).call(kCheckpointOf);
}
Result<Checkpoint> decode_checkpoint(ByteView answer) {
    AbiReader in(answer);
    Checkpoint out;
    FID_TRY(out.root, in.bytes32("root"));
    FID_TRY(out.size, in.u64("size"));
    FID_TRY(out.at, in.u64("at"));
    FID_CHECK(in.finish("checkpoint"));
    return out;
}

Bytes directory_set_call(std::string_view name, const Address& target) {
    return AbiWriter().bytes32(name_word(name)).address(target).call(kDirectorySet);
}
Bytes directory_get_call(std::string_view name) {
    return AbiWriter().bytes32(name_word(name)).call(kDirectoryGet);
}

}  // namespace fiducial::ledger::contracts
