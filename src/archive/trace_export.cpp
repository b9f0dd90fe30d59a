#include "archive/trace_export.hpp"

#include <boost/json.hpp>
#include <vector>

#include "archive/access/evaluate.hpp"
#include "base/base64.hpp"
#include "base/hex.hpp"

namespace fiducial::archive {
namespace {

namespace json = boost::json;

/// Spec: PS3.16 Annex D (coding scheme DCM).
struct Code {
    std::string_view value, meaning;
};
constexpr Code kProcedure{"110180", "Study Instance UID"}, kUserRole{"110153", "Source Role ID"};

struct Event {
    Code id;
    std::string_view action;  // C, R, U, D, E
    std::optional<Code> type{};
};

Event event_of(const audit::Entry& entry) {
    constexpr Code kAccessed{"110103", "DICOM Instances Accessed"}, kQuery{"110112", "Query"}, kLogUsed{"110101", "Audit Log Used"},
        kAlert{"110113", "Security Alert"}, kDeleted{"110105", "DICOM Study Deleted"};
    constexpr Code kRestricted{"110132", "Use of Restricted Function"}, kAttributes{"110137", "User Security Attributes Changed"},
        kRoles{"110136", "Security Roles Changed"}, kOverride{"110127", "Emergency Override Started"};
    switch (static_cast<Operation>(entry.operation)) {
        case Operation::read: return {kAccessed, "R"};
        case Operation::identify: return {kQuery, "E"};
        case Operation::store: return {kAccessed, "C"};
        case Operation::correct: return {kAccessed, "U"};
        case Operation::trace: return {kLogUsed, "R"};
        case Operation::erase: return {kDeleted, "D"};
        case Operation::consent: return {kAlert, "E", kRoles};
        case Operation::break_glass: return {kAlert, "E", kOverride};
        case Operation::inventory: return {kAlert, "E", (entry.flags & audit::people) != 0 ? kAttributes : kRestricted};
        case Operation::ask: break;
    }
    return {kAlert, "E", kRestricted};
}

/// 0: done; 4: refused, or nothing there; 8: something is wrong here.
std::string_view outcome_of(const ReadEntry& entry) {
    if (entry.succeeded()) return "0";
    switch (static_cast<ErrorCode>(entry.clear.result - 1)) {
        case ErrorCode::corrupt:
        case ErrorCode::io:
        case ErrorCode::no_space:
        case ErrorCode::internal: return "8";
        default: return "4";
    }
}

/// An address without its port; nothing where it is none.
std::string network_address(const std::string& from) {
    const bool digits = !from.empty() && from.find_first_not_of("0123456789.:[]abcdefABCDEF") == std::string::npos;
    if (!digits) return {};
    if (from.front() == '[') return from.substr(1, from.find(']') - 1);
    return from.substr(0, from.rfind(':'));
}

class Xml {
public:
    Xml& open(std::string_view name) {
        close_tag();
        text_ += '<';
        text_ += name;
        names_.emplace_back(name);
        in_tag_ = true;
        return *this;
    }
    Xml& attribute(std::string_view name, std::string_view value) {
        text_ += ' ';
        text_ += name;
        text_ += "=\"";
        escape(value);
        text_ += '"';
        return *this;
    }
    Xml& text(std::string_view value) {
        close_tag();
        escape(value);
        return *this;
    }
    Xml& close() {
        if (in_tag_) {
            text_ += "/>";
            in_tag_ = false;
        } else {
            text_ += "</" + names_.back() + ">";
        }
        names_.pop_back();
        return *this;
    }
    Xml& code(std::string_view element, std::string_view value, std::string_view scheme, std::string_view meaning) {
        return open(element).attribute("csd-code", value).attribute("codeSystemName", scheme).attribute("originalText", meaning).close();
    }
    std::string take() { return std::move(text_); }

private:
    void close_tag() {
        if (in_tag_) text_ += '>';
        in_tag_ = false;
    }
    void escape(std::string_view value) {
        for (const char c : value) {
            switch (c) {
                case '<': text_ += "&lt;"; break;
                case '>': text_ += "&gt;"; break;
                case '&': text_ += "&amp;"; break;
                case '"': text_ += "&quot;"; break;
                default: text_ += static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? ' ' : c;  // XML 1.0 has no way to say most of these
            }
        }
    }
    std::string text_ = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>";
    std::vector<std::string> names_;
    bool in_tag_ = false;
};

/// What else the entry says, by name.
std::vector<std::pair<std::string, std::string>> details_of(const ReadEntry& entry, const AuditSource& source) {
    std::vector<std::pair<std::string, std::string>> out{{"purpose", std::string(name_of(static_cast<Purpose>(entry.clear.purpose)))},
                                                         {"reason", std::string(text_of(static_cast<Reason>(entry.clear.reason)))},
                                                         {"trace", to_hex(source.log_id)},
                                                         {"entry", std::to_string(entry.index)}};
    if (entry.clear.block_number != 0) {
        out.emplace_back("block", std::to_string(entry.clear.block_number));
        out.emplace_back("blockHash", to_0x(entry.clear.block_hash));
    }
    if (!entry.object.empty()) out.emplace_back("instance", entry.object);
    return out;
}

std::string who_of(const ReadEntry& entry) {
    return entry.who.empty() ? "unknown" : entry.who;
}

}  // namespace

std::string dicom_audit_message(const ReadEntry& entry, const AuditSource& source) {
    const auto event = event_of(entry.clear);
    Xml xml;
    xml.open("AuditMessage");
    xml.open("EventIdentification")
        .attribute("EventActionCode", event.action)
        .attribute("EventDateTime", to_rfc3339(entry.clear.time))
        .attribute("EventOutcomeIndicator", outcome_of(entry));
    xml.code("EventID", event.id.value, "DCM", event.id.meaning);
    if (event.type) xml.code("EventTypeCode", event.type->value, "DCM", event.type->meaning);
    if (!entry.succeeded()) xml.open("EventOutcomeDescription").text(entry.result()).close();
    xml.close();
    const bool device = (entry.clear.flags & audit::device) != 0;
    xml.open("ActiveParticipant").attribute("UserID", who_of(entry)).attribute("UserIsRequestor", "true");
    if (const auto address = network_address(entry.from); !address.empty())
        xml.attribute("NetworkAccessPointID", address).attribute("NetworkAccessPointTypeCode", "2");
    if (device) xml.code("RoleIDCode", "110150", "DCM", "Application");
    xml.close();
    xml.open("ActiveParticipant").attribute("UserID", source.application).attribute("UserIsRequestor", "false");
    xml.code("RoleIDCode", kUserRole.value, "DCM", kUserRole.meaning);
    xml.close();
    xml.open("AuditSourceIdentification").attribute("AuditEnterpriseSiteID", source.site).attribute("AuditSourceID", source.application);
    xml.open("AuditSourceTypeCode").attribute("csd-code", "4").close();
    xml.close();
    const auto details = [&] {
        for (const auto& [name, value] : details_of(entry, source))
            xml.open("ParticipantObjectDetail").attribute("type", name).attribute("value", to_base64(as_bytes(value))).close();
    };
    if (entry.patient && entry.patient->study_key != kZero32) {
        const auto study = entry.study_uid.empty() ? to_hex(entry.patient->study_key) : entry.study_uid;
        xml.open("ParticipantObjectIdentification")
            .attribute("ParticipantObjectID", study)
            .attribute("ParticipantObjectTypeCode", "2")
            .attribute("ParticipantObjectTypeCodeRole", "3")
            .attribute("ParticipantObjectDataLifeCycle", "6");
        xml.code("ParticipantObjectIDTypeCode", kProcedure.value, "DCM", kProcedure.meaning);
        xml.open("ParticipantObjectName").text(study).close();
        details();
        xml.close();
    }
    if (entry.patient) {
        const auto patient = entry.patient_id.empty() ? to_hex(entry.patient->patient_key) : entry.patient_id;
        xml.open("ParticipantObjectIdentification")
            .attribute("ParticipantObjectID", patient)
            .attribute("ParticipantObjectTypeCode", "1")
            .attribute("ParticipantObjectTypeCodeRole", "1");
        xml.code("ParticipantObjectIDTypeCode", "2", "RFC-3881", "Patient Number");
        xml.open("ParticipantObjectName").text(patient).close();
        xml.close();
    } else {
        const auto trace = to_hex(source.log_id);
        xml.open("ParticipantObjectIdentification")
            .attribute("ParticipantObjectID", trace)
            .attribute("ParticipantObjectTypeCode", "2")
            .attribute("ParticipantObjectTypeCodeRole", "13");
        xml.code("ParticipantObjectIDTypeCode", "12", "RFC-3881", "URI");
        xml.open("ParticipantObjectName").text("Security Audit Log").close();
        details();
        xml.close();
    }
    xml.close();
    return xml.take();
}

std::string fhir_audit_event(const ReadEntry& entry, const AuditSource& source) {
    constexpr std::string_view kDcm = "http://dicom.nema.org/resources/ontology/DCM";
    const auto coding = [&](const Code& code) { return json::object{{"system", kDcm}, {"code", code.value}, {"display", code.meaning}}; };
    const auto event = event_of(entry.clear);
    json::object out{{"resourceType", "AuditEvent"}, {"type", coding(event.id)}};
    if (event.type) out["subtype"] = json::array{coding(*event.type)};
    out["action"] = event.action;
    out["recorded"] = to_rfc3339(entry.clear.time);
    out["outcome"] = outcome_of(entry);
    if (!entry.succeeded()) out["outcomeDesc"] = std::string(entry.result());
    const auto purpose = static_cast<Purpose>(entry.clear.purpose);
    const std::string_view reasons[] = {"TREAT", "ETREAT", "HRESCH", "HOPERAT", "PATRQT"};  // v3-ActReason
    json::object purpose_of_event{{"text", std::string(name_of(purpose))}};
    if (entry.clear.purpose < std::size(reasons))
        purpose_of_event["coding"] = json::array{
            json::object{{"system", "http://terminology.hl7.org/CodeSystem/v3-ActReason"}, {"code", reasons[entry.clear.purpose]}}};
    out["purposeOfEvent"] = json::array{std::move(purpose_of_event)};
    json::object who{{"altId", who_of(entry)}, {"requestor", true}};
    if (const auto address = network_address(entry.from); !address.empty())
        who["network"] = json::object{{"address", address}, {"type", "2"}};
    json::object application{{"altId", source.application}, {"requestor", false}};
    out["agent"] = json::array{std::move(who), std::move(application)};
    out["source"] = json::object{
        {"site", source.site},
        {"observer", {{"display", source.application}}},
        {"type", json::array{json::object{{"system", "http://terminology.hl7.org/CodeSystem/security-source-type"}, {"code", "4"}}}}};
    json::array details;
    for (const auto& [name, value] : details_of(entry, source)) details.push_back({{"type", name}, {"valueString", value}});
    const auto entity = [](std::string_view type, std::string_view role, json::object what) {
        return json::object{{"what", std::move(what)},
                            {"type", {{"system", "http://terminology.hl7.org/CodeSystem/audit-entity-type"}, {"code", type}}},
                            {"role", {{"system", "http://terminology.hl7.org/CodeSystem/object-role"}, {"code", role}}}};
    };
    json::array entities;
    if (entry.patient && entry.patient->study_key != kZero32) {
        json::object identifier = entry.study_uid.empty()
                                      ? json::object{{"value", to_hex(entry.patient->study_key)}}
                                      : json::object{{"system", "urn:dicom:uid"}, {"value", "urn:oid:" + entry.study_uid}};
        entities.push_back(entity("2", "3", {{"type", "ImagingStudy"}, {"identifier", std::move(identifier)}}));
        entities.back().as_object()["detail"] = std::move(details);
    }
    if (entry.patient) {
        const auto patient = entry.patient_id.empty() ? to_hex(entry.patient->patient_key) : entry.patient_id;
        entities.push_back(entity("1", "1", {{"type", "Patient"}, {"identifier", {{"value", patient}}}}));
    } else {
        entities.push_back(entity("2", "13", {{"display", "trace " + to_hex(source.log_id)}}));
        entities.back().as_object()["detail"] = std::move(details);
    }
    out["entity"] = std::move(entities);
    return json::serialize(out);
}

}  // namespace fiducial::archive
