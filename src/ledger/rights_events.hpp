#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "ledger/chain_types.hpp"
#include "ledger/contracts.hpp"

/// The events of Members and Consents that the table of rights is made from, as plain structs. Fields are named as in
/// contracts/src/interfaces; ids are of Members; times are seconds since 1970.
namespace fiducial::ledger::rights {

struct InstitutionRegistered {
    Bytes32 institution{};
    Address gateway{};
    std::string name;
};
struct InstitutionEndpointChanged {
    Bytes32 institution{};
    std::string endpoint;
    Hash certificate_sha256{};
};
struct InstitutionGatewayChanged {
    Bytes32 institution{};
    Address gateway{};
    Address previous{};
};
struct InstitutionActivityChanged {
    Bytes32 institution{};
    bool active = false;
};
struct PersonRegistered {
    Bytes32 person{};
    Bytes32 institution{};
    Address account{};
    std::uint32_t roles = 0;
    contracts::Custody custody{};
};
struct PersonRolesChanged {
    Bytes32 person{};
    std::uint32_t roles = 0;
    std::uint32_t previous = 0;
};
struct PersonActivityChanged {
    Bytes32 person{};
    bool active = false;
};
struct PersonAccountChanged {
    Bytes32 person{};
    Address account{};
    Address previous{};
    contracts::Custody custody{};
};
struct PersonRemoved {
    Bytes32 person{};
};
struct CustodianAppointed {
    Bytes32 person{};
    Bytes32 first_administrator{};
    Bytes32 second_administrator{};
};
struct DeviceRegistered {
    Bytes32 device{};
    Bytes32 institution{};
    std::uint32_t operations = 0;
    Hash certificate_sha256{};
};
struct DeviceChanged {
    Bytes32 device{};
    std::uint32_t operations = 0;
    Hash certificate_sha256{};
    bool active = false;
};
struct DeviceRemoved {
    Bytes32 device{};
};

struct ControllerChanged {
    Bytes32 holder{};
    Hash patient_key{};
    Bytes32 controller{};
    contracts::ControllerKind kind{};
    std::uint64_t epoch = 0;
};
struct GuardianChanged {
    Bytes32 holder{};
    Hash patient_key{};
    Bytes32 guardian{};
    std::uint64_t until = 0;
};
struct Granted {
    Bytes32 holder{};
    Hash patient_key{};
    Hash grant_id{};
    contracts::Target target;
    Hash scope{};
    std::uint8_t purpose = 0;
    std::uint64_t from = 0;
    std::uint64_t until = 0;
    std::uint64_t epoch = 0;
    contracts::Basis basis{};
    Bytes32 by{};
};
/// grant_id zero: all. Grants of `epoch` and earlier are void; `current` is the patient's epoch from now on.
struct Revoked {
    Bytes32 holder{};
    Hash patient_key{};
    Hash grant_id{};
    std::uint64_t epoch = 0;
    std::uint64_t current = 0;
    Bytes32 by{};
};
struct Restricted {
    Bytes32 holder{};
    Hash patient_key{};
    Hash restriction_id{};
    contracts::Target target;
    Hash scope{};
    bool on = false;
    std::uint64_t serial = 0;
    Bytes32 by{};
};
struct Asked {
    Bytes32 holder{};
    Hash patient_key{};
    Hash request_id{};
    Bytes32 asker{};
    Hash scope{};
    std::uint8_t purpose = 0;
    std::uint64_t until = 0;
};
struct Answered {
    Bytes32 holder{};
    Hash patient_key{};
    Hash request_id{};
    bool accepted = false;
    Bytes32 by{};
};
struct Withdrawn {
    Bytes32 holder{};
    Hash patient_key{};
    Hash request_id{};
};
struct EmergencyOpened {
    Bytes32 holder{};
    Hash patient_key{};
    Bytes32 person{};
    std::uint64_t from = 0;
    std::uint64_t until = 0;
    Hash ground{};
};
struct EmergencyClosed {
    Bytes32 holder{};
    Hash patient_key{};
    Bytes32 person{};
    std::uint64_t at = 0;
};

/// monostate: an event that changes nobody's rights (proposals, the consortium's own affairs), or none of ours.
using Event = std::variant<std::monostate, InstitutionRegistered, InstitutionEndpointChanged, InstitutionGatewayChanged,
                           InstitutionActivityChanged, PersonRegistered, PersonRolesChanged, PersonActivityChanged, PersonAccountChanged,
                           PersonRemoved, CustodianAppointed, DeviceRegistered, DeviceChanged, DeviceRemoved, ControllerChanged,
                           GuardianChanged, Granted, Revoked, Restricted, Asked, Answered, Withdrawn, EmergencyOpened, EmergencyClosed>;

/// Requires: the log's address has been compared with the pinned contract's.
/// Errors: malformed when one of these events does not have the contents it should. The caller must then take nothing for
///         granted: an event that cannot be read may be a revocation.
Result<Event> decode_event(const Log& log);

/// The signatures decoded here, for the test against the committed ABI.
std::span<const contracts::Signature> event_signatures();

}  // namespace fiducial::ledger::rights
