#include "ledger/rights_events.hpp"

#include <unordered_map>

#include "ethereum/abi.hpp"

namespace fiducial::ledger::rights {
namespace {

using ethereum::AbiReader;

// Reads one event: indexed fields from the topics, the others from the data, each in the order of the signature.
class EventReader {
public:
    explicit EventReader(const Log& log) : log_(log), data_(log.data) {}
    Result<Bytes32> topic() {
        if (next_topic_ >= log_.topics.size()) return fail(ErrorCode::malformed, "an event has too few topics");
        return log_.topics[next_topic_++];
    }
    Result<Address> topic_address() {
        FID_TRY(const auto word, topic());
        AbiReader in(word);
        return in.address("indexed address");
    }
    AbiReader& data() { return data_; }
    Result<std::uint32_t> u32(std::string_view field) {
        FID_TRY(const auto value, data_.uint(32, field));
        return static_cast<std::uint32_t>(value);
    }
    Result<std::uint8_t> u8(std::string_view field) {
        FID_TRY(const auto value, data_.uint(8, field));
        return static_cast<std::uint8_t>(value);
    }
    template <typename Enum>
    Result<Enum> enumeration(Enum last, std::string_view field) {
        FID_TRY(const auto value, u8(field));
        if (value > static_cast<std::uint8_t>(last)) return fail(ErrorCode::malformed, "an event's " + std::string(field) + " is unknown");
        return static_cast<Enum>(value);
    }
    Result<contracts::Target> target() {
        contracts::Target out;
        FID_TRY(out.kind, enumeration(contracts::TargetKind::institution, "target kind"));
        FID_TRY(out.id, data_.bytes32("target id"));
        FID_TRY(out.role, u32("target role"));
        return out;
    }
    Result<void> finish() const {
        if (next_topic_ != log_.topics.size()) return fail(ErrorCode::malformed, "an event has too many topics");
        return data_.finish("event");
    }

private:
    const Log& log_;
    std::size_t next_topic_ = 1;  // after the signature
    AbiReader data_;
};

// One reader for each event; the struct says which.
Result<void> read(EventReader& in, InstitutionRegistered& out) {
    FID_TRY(out.institution, in.topic());
    FID_TRY(out.gateway, in.topic_address());
    FID_TRY(const auto name, in.data().string("name"));
    out.name = name;
    return {};
}
Result<void> read(EventReader& in, InstitutionEndpointChanged& out) {
    FID_TRY(out.institution, in.topic());
    FID_TRY(const auto endpoint, in.data().string("endpoint"));
    out.endpoint = endpoint;
    FID_TRY(out.certificate_sha256, in.data().bytes32("certificateHash"));
    return {};
}
Result<void> read(EventReader& in, InstitutionGatewayChanged& out) {
    FID_TRY(out.institution, in.topic());
    FID_TRY(out.gateway, in.topic_address());
    FID_TRY(out.previous, in.data().address("previous"));
    return {};
}
Result<void> read(EventReader& in, InstitutionActivityChanged& out) {
    FID_TRY(out.institution, in.topic());
    FID_TRY(out.active, in.data().boolean("active"));
    return {};
}
Result<void> read(EventReader& in, PersonRegistered& out) {
    FID_TRY(out.person, in.topic());
    FID_TRY(out.institution, in.topic());
    FID_TRY(out.account, in.data().address("account"));
    FID_TRY(out.roles, in.u32("roles"));
    FID_TRY(out.custody, in.enumeration(contracts::Custody::wallet, "custody"));
    return {};
}
Result<void> read(EventReader& in, PersonRolesChanged& out) {
    FID_TRY(out.person, in.topic());
    FID_TRY(out.roles, in.u32("roles"));
    FID_TRY(out.previous, in.u32("previous"));
    return {};
}
Result<void> read(EventReader& in, PersonActivityChanged& out) {
    FID_TRY(out.person, in.topic());
    FID_TRY(out.active, in.data().boolean("active"));
    return {};
}
Result<void> read(EventReader& in, PersonAccountChanged& out) {
    FID_TRY(out.person, in.topic());
    FID_TRY(out.account, in.topic_address());
    FID_TRY(out.previous, in.data().address("previous"));
    FID_TRY(out.custody, in.enumeration(contracts::Custody::wallet, "custody"));
    return {};
}
Result<void> read(EventReader& in, PersonRemoved& out) {
    FID_TRY(out.person, in.topic());
    return {};
}
Result<void> read(EventReader& in, CustodianAppointed& out) {
    FID_TRY(out.person, in.topic());
    FID_TRY(out.first_administrator, in.topic());
    FID_TRY(out.second_administrator, in.topic());
    return {};
}
Result<void> read(EventReader& in, DeviceRegistered& out) {
    FID_TRY(out.device, in.topic());
    FID_TRY(out.institution, in.topic());
    FID_TRY(out.operations, in.u32("operations"));
    FID_TRY(out.certificate_sha256, in.data().bytes32("certificateHash"));
    return {};
}
Result<void> read(EventReader& in, DeviceChanged& out) {
    FID_TRY(out.device, in.topic());
    FID_TRY(out.operations, in.u32("operations"));
    FID_TRY(out.certificate_sha256, in.data().bytes32("certificateHash"));
    FID_TRY(out.active, in.data().boolean("active"));
    return {};
}
Result<void> read(EventReader& in, DeviceRemoved& out) {
    FID_TRY(out.device, in.topic());
    return {};
}
Result<void> read(EventReader& in, ControllerChanged& out) {
    FID_TRY(out.holder, in.topic());
    FID_TRY(out.patient_key, in.topic());
    FID_TRY(out.controller, in.data().bytes32("controller"));
    FID_TRY(out.kind, in.enumeration(contracts::ControllerKind::wallet, "kind"));
    FID_TRY(out.epoch, in.data().u64("epoch"));
    return {};
}
Result<void> read(EventReader& in, GuardianChanged& out) {
    FID_TRY(out.holder, in.topic());
    FID_TRY(out.patient_key, in.topic());
    FID_TRY(out.guardian, in.topic());
    FID_TRY(out.until, in.data().u64("until"));
    return {};
}
Result<void> read(EventReader& in, Granted& out) {
    FID_TRY(out.holder, in.topic());
    FID_TRY(out.patient_key, in.topic());
    FID_TRY(out.grant_id, in.topic());
    FID_TRY(const auto holder, in.data().bytes32("holder"));
    FID_TRY(const auto patient_key, in.data().bytes32("patientKey"));
    if (holder != out.holder || patient_key != out.patient_key)
        return fail(ErrorCode::malformed, "a grant's terms are for another patient than its topics");
    FID_TRY(out.target, in.target());
    FID_TRY(out.scope, in.data().bytes32("scope"));
    FID_TRY(out.purpose, in.u8("purpose"));
    FID_TRY(out.from, in.data().u64("from"));
    FID_TRY(out.until, in.data().u64("until"));
    FID_TRY(out.epoch, in.data().u64("epoch"));
    FID_TRY(out.basis, in.enumeration(contracts::Basis::law, "basis"));
    FID_TRY(out.by, in.data().bytes32("by"));
    return {};
}
Result<void> read(EventReader& in, Revoked& out) {
    FID_TRY(out.holder, in.topic());
    FID_TRY(out.patient_key, in.topic());
    FID_TRY(out.grant_id, in.topic());
    FID_TRY(out.epoch, in.data().u64("epoch"));
    FID_TRY(out.current, in.data().u64("current"));
    FID_TRY(out.by, in.data().bytes32("by"));
    return {};
}
Result<void> read(EventReader& in, Restricted& out) {
    FID_TRY(out.holder, in.topic());
    FID_TRY(out.patient_key, in.topic());
    FID_TRY(out.restriction_id, in.topic());
    FID_TRY(out.target, in.target());
    FID_TRY(out.scope, in.data().bytes32("scope"));
    FID_TRY(out.on, in.data().boolean("on"));
    FID_TRY(out.serial, in.data().u64("serial"));
    FID_TRY(out.by, in.data().bytes32("by"));
    return {};
}
Result<void> read(EventReader& in, Asked& out) {
    FID_TRY(out.holder, in.topic());
    FID_TRY(out.patient_key, in.topic());
    FID_TRY(out.request_id, in.topic());
    FID_TRY(out.asker, in.data().bytes32("asker"));
    FID_TRY(out.scope, in.data().bytes32("scope"));
    FID_TRY(out.purpose, in.u8("purpose"));
    FID_TRY(out.until, in.data().u64("until"));
    return {};
}
Result<void> read(EventReader& in, Answered& out) {
    FID_TRY(out.holder, in.topic());
    FID_TRY(out.patient_key, in.topic());
    FID_TRY(out.request_id, in.topic());
    FID_TRY(out.accepted, in.data().boolean("accepted"));
    FID_TRY(out.by, in.data().bytes32("by"));
    return {};
}
Result<void> read(EventReader& in, Withdrawn& out) {
    FID_TRY(out.holder, in.topic());
    FID_TRY(out.patient_key, in.topic());
    FID_TRY(out.request_id, in.topic());
    return {};
}
Result<void> read(EventReader& in, EmergencyOpened& out) {
    FID_TRY(out.holder, in.topic());
    FID_TRY(out.patient_key, in.topic());
    FID_TRY(out.person, in.topic());
    FID_TRY(out.from, in.data().u64("from"));
    FID_TRY(out.until, in.data().u64("until"));
    FID_TRY(out.ground, in.data().bytes32("ground"));
    return {};
}
Result<void> read(EventReader& in, EmergencyClosed& out) {
    FID_TRY(out.holder, in.topic());
    FID_TRY(out.patient_key, in.topic());
    FID_TRY(out.person, in.topic());
    FID_TRY(out.at, in.data().u64("at"));
    return {};
}

template <typename Struct>
Result<Event> decode_as(const Log& log) {
    EventReader in(log);
    Struct out;
    FID_CHECK(read(in, out));
    FID_CHECK(in.finish());
    return Event(std::move(out));
}

constexpr contracts::Signature kEvents[] = {
    {"Members", "InstitutionRegistered(bytes32,address,string)", true},
    {"Members", "InstitutionEndpointChanged(bytes32,string,bytes32)", true},
    {"Members", "InstitutionGatewayChanged(bytes32,address,address)", true},
    {"Members", "InstitutionActivityChanged(bytes32,bool)", true},
    {"Members", "PersonRegistered(bytes32,bytes32,address,uint32,uint8)", true},
    {"Members", "PersonRolesChanged(bytes32,uint32,uint32)", true},
    {"Members", "PersonActivityChanged(bytes32,bool)", true},
    {"Members", "PersonAccountChanged(bytes32,address,address,uint8)", true},
    {"Members", "PersonRemoved(bytes32)", true},
    {"Members", "CustodianAppointed(bytes32,bytes32,bytes32)", true},
    {"Members", "DeviceRegistered(bytes32,bytes32,uint32,bytes32)", true},
    {"Members", "DeviceChanged(bytes32,uint32,bytes32,bool)", true},
    {"Members", "DeviceRemoved(bytes32)", true},
    {"Consents", "ControllerChanged(bytes32,bytes32,bytes32,uint8,uint64)", true},
    {"Consents", "GuardianChanged(bytes32,bytes32,bytes32,uint64)", true},
    {"Consents",
     "Granted(bytes32,bytes32,bytes32,(bytes32,bytes32,(uint8,bytes32,uint32),bytes32,uint8,uint64,uint64,uint64),uint8,bytes32)", true},
    {"Consents", "Revoked(bytes32,bytes32,bytes32,uint64,uint64,bytes32)", true},
    {"Consents", "Restricted(bytes32,bytes32,bytes32,(uint8,bytes32,uint32),bytes32,bool,uint64,bytes32)", true},
    {"Consents", "Asked(bytes32,bytes32,bytes32,bytes32,bytes32,uint8,uint64)", true},
    {"Consents", "Answered(bytes32,bytes32,bytes32,bool,bytes32)", true},
    {"Consents", "Withdrawn(bytes32,bytes32,bytes32)", true},
    {"Consents", "EmergencyOpened(bytes32,bytes32,bytes32,uint64,uint64,bytes32)", true},
    {"Consents", "EmergencyClosed(bytes32,bytes32,bytes32,uint64)", true},
};

using Decoder = Result<Event> (*)(const Log&);
// In the order of kEvents, which is that of Event's alternatives.
template <std::size_t... I>
std::unordered_map<Hash, Decoder, BytesHash> make_decoders(std::index_sequence<I...>) {
    return {{ethereum::event_topic(kEvents[I].text), &decode_as<std::variant_alternative_t<I + 1, Event>>}...};
}

}  // namespace

Result<Event> decode_event(const Log& log) {
    static_assert(std::size(kEvents) + 1 == std::variant_size_v<Event>);
    static const auto decoders = make_decoders(std::make_index_sequence<std::size(kEvents)>());
    if (log.topics.empty()) return Event{};
    const auto found = decoders.find(log.topics[0]);
    if (found == decoders.end()) return Event{};
    return found->second(log);
}

std::span<const contracts::Signature> event_signatures() {
    return kEvents;
}

}  // namespace fiducial::ledger::rights
