#pragma once
#include <chrono>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "crypto/secret.hpp"
#include "evidence/study_record.hpp"
#include "ledger/chain_types.hpp"
#include "ledger/rpc.hpp"

/// What our contracts (contracts/src) are called with and answer. Selectors and topics come from the signatures written here;
/// a test compares every one of them with the committed ABI.
namespace fiducial::ledger::contracts {

// ---- the compiled contracts, as committed in contracts/abi

struct Artifact {
    std::string_view name;  // "Members"
    std::string_view abi_json;
    std::string_view bytecode;  // 0x…; constructor arguments follow it
    std::string_view deployed;  // 0x…; immutables are zero
};
std::span<const Artifact> artifacts();
/// Requires: name is one of artifacts().
const Artifact& artifact(std::string_view name);

/// Every function and event signature that this room relies on, by contract: for the test.
struct Signature {
    std::string_view contract;
    std::string_view text;
    bool event = false;
};
std::span<const Signature> signatures();

/// What to do about an error of the contracts. Every name stands in the committed ABI: for the test.
struct Advice {
    std::string_view error;  // "MembersCustodianNeedsTwo"
    std::string_view text;
};
std::span<const Advice> advice();
/// What a contract answered when it refused, for people: its error by the name in the committed ABI, with what to do where we know;
/// anything else as ethereum::describe_revert says it. Never fails.
std::string describe_revert(ByteView data);

// ---- enums of the contracts; the numbers are fixed

enum class Custody : std::uint8_t { kept, wallet };
enum class ControllerKind : std::uint8_t { institution, custodial, wallet };
enum class TargetKind : std::uint8_t { everyone, subject, role, institution };
enum class Basis : std::uint8_t { patient, guardian, paper, law };
enum class SkipReason : std::uint8_t { none, already_anchored, other_record, missing_predecessor, invalid_version };

struct Target {
    TargetKind kind = TargetKind::everyone;
    Bytes32 id{};
    std::uint32_t role = 0;
    bool operator==(const Target&) const = default;
};

// ---- Studies

Bytes anchor_call(std::span<const evidence::StudyRecord> records);
/// The records of such a call; chain, contract and institution are the caller's to fill in. Errors: malformed for any other call.
Result<std::vector<evidence::StudyRecord>> decode_anchor_call(ByteView calldata);
Bytes record_of_call(const Bytes32& institution, const Hash& study_key, std::uint64_t version);
Result<Hash> decode_hash(ByteView answer);
Bytes hash_record_call(const evidence::StudyRecord& record);

struct StudyAnchored {
    Bytes32 institution{};
    Hash study_key{};
    std::uint64_t version = 0;
    Hash record{};
};
struct StudySkipped {
    Bytes32 institution{};
    Hash study_key{};
    std::uint64_t version = 0;
    Hash record{};
    SkipReason reason = SkipReason::none;
    Hash found{};
};
/// Returns: monostate for an event that is none of these. Errors: malformed for one of these with other contents.
using StudiesEvent = std::variant<std::monostate, StudyAnchored, StudySkipped>;
Result<StudiesEvent> decode_studies_event(const Log& log);

// ---- Members

struct Founder {
    Bytes32 id{};
    Address account{};
    std::uint32_t roles = 0;
    Custody custody = Custody::kept;
};
Bytes register_institution_call(const Bytes32& id, const Address& gateway, const Hash& certificate_sha256, std::string_view name,
                                std::string_view endpoint, std::span<const Founder> founders);
Bytes register_person_call(const Bytes32& id, const Bytes32& institution, const Address& account, std::uint32_t roles, Custody custody);
Bytes set_roles_call(const Bytes32& person, std::uint32_t roles);
Bytes set_person_active_call(const Bytes32& person, bool active);
Bytes remove_person_call(const Bytes32& person);
Bytes recover_account_call(const Bytes32& person, const Address& account, Custody custody);
Bytes propose_custodian_call(const Bytes32& person);
Bytes appoint_custodian_call(const Bytes32& person);
Bytes register_device_call(const Bytes32& id, const Bytes32& institution, std::uint32_t operations, const Hash& certificate_sha256);
Bytes set_device_call(const Bytes32& device, std::uint32_t operations, const Hash& certificate_sha256, bool active);
Bytes remove_device_call(const Bytes32& device);
Bytes institution_of_gateway_call(const Address& gateway);

// ---- Consents

struct GrantTerms {
    Bytes32 holder{};
    Hash patient_key{};
    Target target;
    Hash scope{};
    std::uint8_t purpose = 0;
    std::uint64_t from = 0;
    std::uint64_t until = 0;
    std::uint64_t epoch = 0;
};
struct RestrictTerms {
    Bytes32 holder{};
    Hash patient_key{};
    Target target;
    Hash scope{};
    bool on = true;
    std::uint64_t serial = 0;
};
Bytes grant_call(const GrantTerms& terms);
Bytes revoke_call(const Bytes32& holder, const Hash& patient_key, const Hash& grant_id, std::uint64_t epoch);
Bytes restrict_call(const RestrictTerms& terms);
Bytes set_controller_call(const Bytes32& holder, const Hash& patient_key, const Bytes32& person, ControllerKind kind);
Bytes set_guardian_call(const Bytes32& holder, const Hash& patient_key, const Bytes32& person, std::uint64_t until);
Bytes ask_call(const Bytes32& holder, const Hash& patient_key, const Bytes32& asker, const Hash& scope, std::uint8_t purpose,
               std::uint64_t until);
Bytes answer_call(const Bytes32& holder, const Hash& patient_key, const Hash& request_id, bool accepted);
Bytes withdraw_call(const Bytes32& holder, const Hash& patient_key, const Hash& request_id);
Bytes open_emergency_call(const Bytes32& holder, const Hash& patient_key, const Bytes32& person, std::uint64_t from, std::uint64_t until,
                          const Hash& ground);
Bytes close_emergency_call(const Bytes32& holder, const Hash& patient_key, const Bytes32& person);
/// keccak256(abi.encode(kind, id, role, scope, purpose)).
Hash grant_id(const Target& target, const Hash& scope, std::uint8_t purpose);
Hash restriction_id(const Target& target, const Hash& scope);
Hash request_id(const Bytes32& asker, const Hash& scope, std::uint8_t purpose);

struct DecideQuestion {
    Bytes32 subject{};
    Bytes32 holder{};
    Hash patient_key{};
    Hash scope_ref{};
    std::uint8_t operation = 0;
    std::uint8_t purpose = 0;
    std::uint64_t at = 0;  // seconds
};
struct Decision {
    bool allowed = false;
    std::uint8_t reason = 0;
    std::uint8_t obligation = 0;
    std::uint64_t valid_until = 0;
    bool operator==(const Decision&) const = default;
};
inline constexpr std::uint8_t kFirstDenial = 15;  // of IConsents.Reason: those before it allow
inline constexpr std::uint8_t kLastReason = 34;
Bytes decide_call(const DecideQuestion& question);
/// Errors: malformed, also for a reason or an obligation that there is not, and for an allowance with a reason to deny.
Result<Decision> decode_decision(ByteView answer);
/// Asks the contract at a block. Errors: those of Rpc; unavailable when the call reverts (there is no contract there).
Result<Decision> decide(Rpc& rpc, const Address& consents, const DecideQuestion& question, const BlockId& at = Latest{});

struct PatientState {
    ControllerKind kind = ControllerKind::institution;
    std::uint64_t epoch = 0;
    std::uint64_t void_below = 0;
    std::uint32_t restrictions = 0;
    std::uint32_t scoped_restrictions = 0;
    Bytes32 controller{};
};
Bytes patient_of_call(const Bytes32& holder, const Hash& patient_key);
Result<PatientState> decode_patient(ByteView answer);

// ---- Checkpoints

Bytes submit_checkpoint_call(const Hash& origin, std::uint64_t size, const Hash& root, std::span<const Hash> consistency_proof);
Bytes checkpoint_of_call(const Bytes32& institution, const Hash& origin);
struct Checkpoint {
    Hash root{};
    std::uint64_t size = 0;
    std::uint64_t at = 0;
};
Result<Checkpoint> decode_checkpoint(ByteView answer);

// ---- Directory

Bytes directory_set_call(std::string_view name, const Address& target);
Bytes directory_get_call(std::string_view name);

// ---- deployment

struct Deployed {
    std::string name;
    Address address{};
    Hash code_hash{};  // keccak256 of the code on the chain
    std::uint64_t from_block = 0;
};
struct Deployment {
    Deployed members;
    Deployed studies;
    Deployed consents;
    Deployed checkpoints;
    Deployed directory;
    std::uint64_t last_block = 0;  // of the last transaction
    std::vector<Deployed> all() const { return {members, studies, consents, checkpoints, directory}; }
};
struct DeployRequest {
    std::uint64_t chain_id = 0;
    Bytes32 institution{};
    Address gateway{};
    std::string institution_name;
    std::string endpoint;
    Hash certificate_sha256{};
    std::vector<Founder> founders;
    ethereum::Uint256 fund_wei;  // what each of these gets where it has less; zero: nothing is sent
    std::vector<Address> fund;
    std::chrono::milliseconds patience{120'000};  // for each receipt
};
/// Deploys the five contracts in order, fills the directory, and registers the institution with its gateway and first people.
/// `deployer` pays for all of it and is the one administrator of the consortium.
/// Errors: unavailable (also when the account cannot pay); internal when a transaction reverts, naming the step.
Result<Deployment> deploy_all(Rpc& rpc, const crypto::Secret& deployer, const DeployRequest& request);

/// One transaction, sent and waited for. Not for the gateway's account once an outbox runs.
struct DirectTransaction {
    std::uint64_t chain_id = 0;
    std::optional<Address> to{};
    Bytes data{};
    ethereum::Uint256 value{};
    std::uint64_t gas_limit = 0;  // 0: estimated
    std::chrono::milliseconds patience{120'000};
};
/// Errors: invalid_argument when it would revert or did; unavailable, timeout.
Result<Receipt> send_and_wait(Rpc& rpc, const crypto::Secret& key, const DirectTransaction& transaction);

/// Reads what stands at an address. Errors: not_found when there is no code.
Result<Hash> code_hash(Rpc& rpc, const Address& address);

}  // namespace fiducial::ledger::contracts
