#pragma once
#include <cstdint>
#include <string_view>
#include <vector>

#include "archive/requester.hpp"
#include "base/bytes.hpp"

namespace fiducial::archive {

// Numbers as in IConsents and IMembers (contracts/src/interfaces).
enum class Obligation : std::uint8_t { none, deidentify };
enum class SubjectKind : std::uint8_t { none, person, device, institution };
enum class ControllerKind : std::uint8_t { institution, custodial, wallet };
enum class TargetKind : std::uint8_t { everyone, subject, role, institution };
enum class Reason : std::uint8_t {
    none,
    // allowed
    own_record,
    guardianship,
    custodian,
    emergency_opened,
    staff_treatment,
    staff_identities,
    staff_store,
    staff_inventory,
    staff_trace,
    granted,
    may_break_glass,
    may_ask,
    device_listed,
    institution_itself,
    // denied
    unknown_subject,
    subject_inactive,
    institution_inactive,
    unknown_holder,
    holder_inactive,
    locally_denied,
    restricted,
    role_not_allowed,
    purpose_not_allowed,
    not_own_studies,
    not_own_record,
    guardianship_over,
    device_not_listed,
    identities_withheld,
    emergency_not_opened,
    emergency_over,
    not_granted,
    grant_not_yet,
    grant_revoked,
    grant_expired,
};
/// Returns: a short text for people and the trace, as "restricted by the patient".
std::string_view text_of(Reason reason);

/// Bits of a person's roles, as in contracts/src/interfaces/IMembers.sol.
namespace roles {
inline constexpr std::uint32_t kDoctor = 1u << 0;
inline constexpr std::uint32_t kTechnologist = 1u << 1;
inline constexpr std::uint32_t kDesk = 1u << 2;
inline constexpr std::uint32_t kPrivacyOfficer = 1u << 3;
inline constexpr std::uint32_t kAuditor = 1u << 4;
inline constexpr std::uint32_t kSecurityOfficer = 1u << 5;
inline constexpr std::uint32_t kResearcher = 1u << 6;
inline constexpr std::uint32_t kAdministrator = 1u << 7;
inline constexpr std::uint32_t kCustodian = 1u << 8;
inline constexpr std::uint32_t kPatient = 1u << 9;
}  // namespace roles

inline constexpr std::uint64_t kForEver = ~std::uint64_t{0};

/// What `Members.subjectOf` says of an id.
struct SubjectFacts {
    SubjectKind kind = SubjectKind::none;
    bool active = false;
    bool institution_active = false;
    Bytes32 institution{};         // its own id for an institution
    std::uint32_t roles = 0;       // people
    std::uint32_t operations = 0;  // devices: bit n is Operation n
};

struct Target {
    TargetKind kind = TargetKind::everyone;
    Bytes32 id{};
    std::uint32_t role = 0;  // one bit, with kind role only
    bool operator==(const Target&) const = default;
};

/// A grant as it stands in `Consents`; one under a (target, scope, purpose).
struct GrantFacts {
    Target target;
    Bytes32 scope{};  // zeros: all studies
    Purpose purpose = Purpose::treatment;
    std::uint64_t from = 0, until = 0;  // s since 1970; until exclusive
    std::uint64_t epoch = 0;
    std::uint64_t void_below = 0;  // of this grant alone
};
/// A restriction that is in force.
struct RestrictionFacts {
    Target target;
    Bytes32 scope{};
};
struct GuardianFacts {
    Bytes32 person{};
    std::uint64_t until = 0;
};
struct EmergencyFacts {
    Bytes32 person{};
    std::uint64_t from = 0, until = 0;
};

/// What `Consents` holds for (holder, patientKey). The default is a patient nobody has written about.
struct PatientFacts {
    ControllerKind kind = ControllerKind::institution;
    Bytes32 controller{};
    std::uint64_t void_below = 0;
    std::vector<GrantFacts> grants;
    std::vector<RestrictionFacts> restrictions;
    std::vector<GuardianFacts> guardians;
    std::vector<EmergencyFacts> emergencies;
};

/// All that a decision about one subject and one patient can depend on, at one block.
/// Restrictions and revocations made here and not yet on the chain are put into `patient` by whoever makes the snapshot, and
/// so are emergencies that were opened here and wait to be anchored.
struct RightsSnapshot {
    Bytes32 subject_id{};
    SubjectFacts subject;
    Bytes32 holder_id{};
    SubjectFacts holder;
    PatientFacts patient;
    bool locally_denied = false;  // the gateway's own denial stands for this subject; `decide` knows of none
};

struct Question {
    Bytes32 scope{};  // scopeRef; zeros: all of the patient's studies
    Operation operation = Operation::read;
    Purpose purpose = Purpose::treatment;
    std::uint64_t at = 0;  // s since 1970: max(gateway clock, head time)
};

/// What the rule says; archive/access.hpp puts it together with where it comes from.
struct Verdict {
    bool allowed = false;
    Reason reason = Reason::none;
    Obligation obligation = Obligation::none;
    std::uint64_t valid_until = 0;  // exclusive; 0 for denials, which are never kept
    bool operator==(const Verdict&) const = default;
};

/// The rule of `Consents.decide`, over facts at hand. Pure.
/// Spec:    docs/design/rights.md; contracts/src/Decisions.sol, with which a test compares it.
/// Returns: exactly what the contract answers for these facts, but for `locally_denied`, which it does not know.
/// Threads: safe.
Verdict evaluate(const RightsSnapshot& snapshot, const Question& question);

/// A grant counts once settled, a revocation from the moment it is seen.
/// Returns: allowed only if both are, until the earlier end, with the stricter obligation; else the denial, the latest's first.
Verdict allowed_by_both(const Verdict& settled, const Verdict& latest);

enum class NodeState : std::uint8_t {
    answering,
    away,  // away or behind for at most 24 h
    away_longer,
    gone,  // away longer, and it cannot come back by itself: the chain that it alone had is gone
};
/// What a consent operation would do; anything else has `none`.
enum class ConsentChange : std::uint8_t { none, grant, revoke_or_restrict };

struct AwayDecision {
    enum class Answer : std::uint8_t { allowed, denied, unavailable };
    Answer answer = Answer::unavailable;
    Verdict decision;           // what the last settled state says
    bool flagged = false;       // the trace and the door say that the node was away
    bool anchor_later = false;  // a durable entry comes first and goes to the chain when the node is back
};

/// What may be done while the own node does not answer. Pure.
/// Spec:     docs/design/rights.md, second table.
/// Requires: `last_settled` is the last settled state this archive knows, with what was decided here since.
/// Returns:  `answering` gives evaluate()'s answer, unflagged. `unavailable` is never to be shown as a denial.
/// Security: fails closed: what the table does not open is unavailable.
AwayDecision decide_while_node_away(const RightsSnapshot& last_settled, const Question& question, ConsentChange change, NodeState state);

}  // namespace fiducial::archive
