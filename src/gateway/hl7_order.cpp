#include "gateway/impl/hl7_order.hpp"

#include <algorithm>
#include <array>

namespace fiducial::gateway::impl {
namespace {

namespace tags = dicom::tags;
using dicom::Tag;

// Table 0357
constexpr std::string_view kSegmentSequence = "100", kRequiredField = "101", kDataType = "102", kTableValue = "103";
constexpr std::string_view kMessageType = "200", kEventCode = "201", kProcessingId = "202", kVersion = "203";

constexpr std::array<Tag, 4> kMayBeCut{tags::kRequestedProcedureDescription, tags::kScheduledStepDescription, 0x00080104,
                                       0x00401002};  // texts for people

/// The first so many characters. Requires: UTF-8.
std::string cut(std::string text, std::size_t characters) {
    std::size_t at = 0;
    for (std::size_t count = 0; at < text.size(); ++at) {
        if ((text[at] & 0xc0) != 0x80 && ++count > characters) break;
    }
    text.resize(at);
    return text;
}

Hl7Answer refusal(std::string_view code, std::string_view error, Hl7Place place, std::string text) {
    return {code, error, std::move(place), std::move(text)};
}

/// One group of segments that an order is made of.
struct Group {
    const Hl7Segment* orc = nullptr;
    const Hl7Segment* obr = nullptr;
    const Hl7Segment* tq1 = nullptr;
    const Hl7Segment* zds = nullptr;
    std::vector<const Hl7Segment*> ipc;
};

std::vector<Group> groups_of(const Hl7Message& message) {
    std::vector<Group> groups;
    for (const auto& segment : message.segments) {
        if (segment.name == "ORC") groups.push_back({&segment, nullptr, nullptr, nullptr, {}});
        if (groups.empty()) continue;
        auto& group = groups.back();
        if (segment.name == "OBR") {
            if (group.obr != nullptr) groups.push_back({group.orc, nullptr, nullptr, nullptr, {}});  // one ORC for several
            groups.back().obr = &segment;
        } else if (segment.name == "TQ1") {
            group.tq1 = &segment;
        } else if (segment.name == "ZDS") {
            group.zds = &segment;
        } else if (segment.name == "IPC") {
            group.ipc.push_back(&segment);
        }
    }
    return groups;
}

/// A name of XPN or XCN, whose family name is component `first`, as DICOM writes it: prefix and suffix change places.
std::string person_name(const Hl7Segment& segment, std::size_t field, std::size_t first, std::size_t repetition = 1) {
    std::string out;
    for (const std::size_t component : {0, 1, 2, 4, 3}) out += segment.text(field, first + component, repetition) + "^";
    while (out.ends_with('^')) out.pop_back();
    return out;
}

/// The groups of a patient's name: by Name Representation Code, the first one alphabetic where it has none.
std::string patient_name(const Hl7Segment& pid) {
    std::array<std::string, 3> groups;
    for (std::size_t repetition = 1; repetition <= pid.repetitions(5); ++repetition) {
        const auto code = pid.text(5, 8, repetition);
        const std::size_t group = code == "I" ? 1 : code == "P" ? 2 : 0;
        if (groups[group].empty()) groups[group] = person_name(pid, 5, 1, repetition);
    }
    auto name = groups[0] + "=" + groups[1] + "=" + groups[2];
    while (name.ends_with('=')) name.pop_back();
    return name;
}

/// Makes an entry, attribute by attribute; the first that cannot be taken is what is answered.
class Entry {
public:
    const std::optional<Hl7Answer>& problem() const { return problem_; }
    dicom::Attributes take() { return std::move(attributes_); }

    void put(Tag tag, std::string value, const Hl7Place& place) {
        if (problem_ || value.empty() || attributes_.has(tag)) return;
        if (std::find(kMayBeCut.begin(), kMayBeCut.end(), tag) != kMayBeCut.end()) value = cut(std::move(value), 64);
        std::replace(value.begin(), value.end(), '\\', tag == tags::kScheduledStationAeTitle ? '\\' : '/');  // which separates values
        const std::array field{dicom::NamedText{dicom::keyword_of(tag), std::move(value)}};
        auto read = dicom::read_worklist_entry(field);
        if (!read) {
            problem_ = refusal("AE", kDataType, place, read.error().message);
            return;
        }
        for (const auto& [read_tag, values] : *read) attributes_.set(read_tag, values);
    }
    void put(Tag tag, const Hl7Segment* segment, std::size_t field, std::size_t component = 1) {
        if (segment != nullptr) put(tag, segment->text(field, component), segment->place(field, component));
    }
    /// A moment: HL7 writes YYYYMMDDHHMM[SS[.S]][+ZZZZ].
    void put_moment(const Hl7Segment* segment, std::size_t field, std::size_t component) {
        if (segment == nullptr) return;
        const auto text = segment->text(field, component);
        const auto digits = text.substr(0, text.find_first_not_of("0123456789"));
        put(tags::kScheduledStartDate, digits.substr(0, 8), segment->place(field, component));
        if (digits.size() >= 10)
            put(tags::kScheduledStartTime,
                digits.substr(8, digits.size() >= 14   ? 6
                                 : digits.size() >= 12 ? 4
                                                       : 2),
                segment->place(field, component));
    }
    void need(Tag tag, const Hl7Segment* segment, std::string_view name, std::size_t field, std::size_t component = 0) {
        if (problem_ || attributes_.has(tag)) return;
        const auto place = segment != nullptr ? segment->place(field, component) : Hl7Place{std::string(name), 1, field, component};
        problem_ = refusal("AE", kRequiredField, place, dicom::keyword_of(tag) + " is missing");
    }

private:
    dicom::Attributes attributes_;
    std::optional<Hl7Answer> problem_;
};

void put_patient(Entry& entry, const Hl7Message& message) {
    const auto* pid = message.find("PID");
    if (pid != nullptr) {
        entry.put(tags::kPatientName, patient_name(*pid), pid->place(5));
        entry.put(tags::kPatientId, pid, 3);
        entry.put(tags::kIssuerOfPatientId, pid, 3, 4);
        entry.put(tags::kPatientBirthDate, pid->text(7).substr(0, 8), pid->place(7));
        const auto sex = pid->text(8);
        if (sex == "M" || sex == "F" || sex == "O") entry.put(tags::kPatientSex, sex, pid->place(8));
        if (sex == "A" || sex == "N") entry.put(tags::kPatientSex, "O", pid->place(8));  // ambiguous, not applicable
    }
    entry.need(tags::kPatientId, pid, "PID", 3);
    entry.need(tags::kPatientName, pid, "PID", 5);
    if (const auto* pv1 = message.find("PV1")) {
        entry.put(0x00380300, pv1, 3);  // Current Patient Location
        entry.put(tags::kReferringPhysicianName, person_name(*pv1, 8, 2), pv1->place(8));
        entry.put(0x00380010, pv1, 19);  // Admission ID
    }
}

/// Spec: HL7 table 0027, DICOM PS3.3 (0040,1003)
std::string priority_of(std::string_view text) {
    if (text == "S") return "STAT";
    if (text == "A") return "HIGH";
    if (text == "R") return "ROUTINE";
    return {};
}

void put_order(Entry& entry, const Group& group, const Hl7Segment* ipc) {
    const auto* orc = group.orc;
    const auto* obr = group.obr;
    entry.put(tags::kAccessionNumber, ipc, 1);
    entry.put(tags::kAccessionNumber, obr, 18);
    entry.put(tags::kAccessionNumber, orc, 3);
    entry.put(tags::kAccessionNumber, orc, 2);
    entry.need(tags::kAccessionNumber, obr, "OBR", 18);
    entry.put(tags::kRequestedProcedureId, ipc, 2);
    entry.put(tags::kRequestedProcedureId, obr, 19);
    entry.put(tags::kStudyInstanceUid, ipc, 3);
    entry.put(tags::kStudyInstanceUid, group.zds, 1);
    entry.put(tags::kScheduledStepId, ipc, 4);
    entry.put(tags::kScheduledStepId, obr, 20);
    entry.put(tags::kModality, ipc, 5);
    entry.put(tags::kModality, obr, 24);
    entry.need(tags::kModality, obr, "OBR", 24);
    entry.put(tags::kScheduledStepDescription, ipc, 6, 2);
    entry.put(0x00400010, ipc, 7);  // Scheduled Station Name
    entry.put(0x00400011, ipc, 8);  // Scheduled Procedure Step Location
    entry.put(tags::kScheduledStationAeTitle, ipc, 9);
    if (group.tq1 != nullptr) {
        entry.put_moment(group.tq1, 7, 1);
        entry.put(0x00401003, priority_of(group.tq1->text(9)), group.tq1->place(9));
    }
    for (const auto& [segment, field] : {std::pair(orc, std::size_t{7}), std::pair(obr, std::size_t{27})}) {
        if (segment == nullptr) continue;
        entry.put_moment(segment, field, 4);  // Quantity/Timing: start, then priority
        entry.put(0x00401003, priority_of(segment->text(field, 6)), segment->place(field, 6));
    }
    entry.put_moment(obr, 36, 1);
    entry.need(tags::kScheduledStartDate, orc, "ORC", 7, 4);
    entry.need(tags::kScheduledStartTime, orc, "ORC", 7, 4);
    entry.put(0x00402016, orc, 2);  // Placer, Filler Order Number
    entry.put(0x00402017, orc, 3);
    if (obr == nullptr) return;
    if (!obr->text(4, 2).empty() && !obr->text(4, 3).empty()) {  // a code has all three
        entry.put(0x00080100, obr, 4, 1);
        entry.put(0x00080102, obr, 4, 3);
        entry.put(0x00080104, obr, 4, 2);
    }
    entry.put(tags::kRequestedProcedureDescription, obr, 4, 2);
    entry.put(0x00102000, obr, 12);  // Medical Alerts: danger code
    entry.put(0x00321032, person_name(*obr, 16, 2), obr->place(16));
    entry.put(0x00401004, obr, 30);     // Patient Transport Arrangements
    entry.put(0x00401002, obr, 31, 2);  // Reason for the Requested Procedure
    entry.put(tags::kScheduledPerformingPhysician, person_name(*obr, 34, 2), obr->place(34));
}

/// Which order it is, where nothing but that is needed.
Hl7Orders::Cancelled cancelled_by(const Group& group, const Hl7Segment* ipc) {
    Entry entry;
    entry.put(tags::kAccessionNumber, ipc, 1);
    entry.put(tags::kAccessionNumber, group.obr, 18);
    entry.put(tags::kAccessionNumber, group.orc, 3);
    entry.put(tags::kAccessionNumber, group.orc, 2);
    entry.put(tags::kScheduledStepId, ipc, 4);
    entry.put(tags::kScheduledStepId, group.obr, 20);
    const auto attributes = entry.take();
    return {attributes.first(tags::kAccessionNumber), attributes.first(tags::kScheduledStepId),
            group.obr != nullptr ? group.obr->place(18) : group.orc->place(2)};
}

std::optional<Hl7Answer> check_header(const Hl7Message& message) {
    const auto& msh = message.header();
    const auto type = msh.text(9), event = msh.text(9, 2);
    if (type != "ORM" && type != "OMI") return refusal("AR", kMessageType, msh.place(9, 1), "taken are ORM O01 and OMI O23");
    if (event != (type == "ORM" ? "O01" : "O23")) return refusal("AR", kEventCode, msh.place(9, 2), "taken are ORM O01 and OMI O23");
    if (msh.text(10).empty() || msh.text(10).size() > 199)
        return refusal("AR", kRequiredField, msh.place(10), "the message control ID is missing, or too long");
    if (msh.text(11) != "P") return refusal("AR", kProcessingId, msh.place(11), "taken is processing ID P, production");
    const auto version = msh.text(12);
    static constexpr std::array<std::string_view, 5> kVersions{"2.3", "2.3.1", "2.4", "2.5", "2.5.1"};
    if (std::find(kVersions.begin(), kVersions.end(), version) == kVersions.end())
        return refusal("AR", kVersion, msh.place(12), "taken are versions 2.3 to 2.5.1");
    return std::nullopt;
}

}  // namespace

std::variant<Hl7Orders, Hl7Answer> read_hl7_orders(const Hl7Message& message) {
    if (const auto refused = check_header(message)) return *refused;
    Hl7Orders orders;
    const auto groups = groups_of(message);
    if (groups.empty()) return refusal("AE", kSegmentSequence, {"ORC"}, "there is no order");
    for (const auto& group : groups) {
        const auto control = group.orc->text(1);
        const bool schedules = control == "NW" || control == "XO", cancels = control == "CA" || control == "DC" || control == "OC";
        if (!schedules && !cancels) return refusal("AE", kTableValue, group.orc->place(1), "taken are order controls NW, XO, CA, DC, OC");
        if (schedules && group.obr == nullptr) return refusal("AE", kSegmentSequence, {"OBR"}, "an order has no OBR");
        auto steps = group.ipc;
        if (steps.empty()) steps.push_back(nullptr);
        for (const auto* ipc : steps) {
            if (cancels) {
                orders.cancelled.push_back(cancelled_by(group, ipc));
                if (orders.cancelled.back().accession_number.empty())
                    return refusal("AE", kRequiredField, orders.cancelled.back().place, "AccessionNumber is missing");
                continue;
            }
            Entry entry;
            put_patient(entry, message);
            put_order(entry, group, ipc);
            if (entry.problem()) return *entry.problem();
            orders.scheduled.push_back(entry.take());
        }
    }
    return orders;
}

}  // namespace fiducial::gateway::impl
