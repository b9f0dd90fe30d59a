#include "dicom/command_set.hpp"

#include <algorithm>
#include <array>
#include <variant>

#include "base/identifiers.hpp"
#include "dicom/pdu.hpp"

namespace fiducial::dicom {
namespace {

using Number = std::optional<std::uint16_t> CommandSet::*;
using Text = std::string CommandSet::*;
using Tags = std::vector<Tag> CommandSet::*;

enum class Vr : std::uint8_t { us, ui, ae, lo, at };

/// An element of a command, but for those that say what it is: group length, command field, message identifiers, data set type.
struct Element {
    std::uint16_t number;  // of group 0000
    Vr vr;
    std::variant<Number, Text, Tags> member;
    std::string_view name;
};

constexpr std::uint16_t kGroupLength = 0x0000;
constexpr std::uint16_t kAffectedSopClass = 0x0002;
constexpr std::uint16_t kRequestedSopClass = 0x0003;
constexpr std::uint16_t kCommandField = 0x0100;
constexpr std::uint16_t kMessageId = 0x0110;
constexpr std::uint16_t kMessageIdRespondedTo = 0x0120;
constexpr std::uint16_t kDataSetType = 0x0800;
constexpr std::uint16_t kAffectedSopInstance = 0x1000;
constexpr std::uint16_t kRequestedSopInstance = 0x1001;
constexpr std::uint16_t kNoDataSet = 0x0101;
constexpr std::size_t kMostUidCharacters = 64;
constexpr std::uint16_t kSomeDataSet = 0x0001;  // anything else would do; this is what others write

/// Spec: PS3.7 Annex E, table E.1-1; ascending.
const std::array<Element, 19>& elements() {
    using C = CommandSet;
    static const std::array<Element, 19> table{{
        {kAffectedSopClass, Vr::ui, &C::sop_class, "Affected SOP Class UID"},
        {kRequestedSopClass, Vr::ui, &C::sop_class, "Requested SOP Class UID"},
        {0x0600, Vr::ae, &C::move_destination, "Move Destination"},
        {0x0700, Vr::us, &C::priority, "Priority"},
        {0x0900, Vr::us, &C::status, "Status"},
        {0x0901, Vr::at, &C::offending_elements, "Offending Element"},
        {0x0902, Vr::lo, &C::error_comment, "Error Comment"},
        {0x0903, Vr::us, &C::error_id, "Error ID"},
        {kAffectedSopInstance, Vr::ui, &C::sop_instance, "Affected SOP Instance UID"},
        {kRequestedSopInstance, Vr::ui, &C::sop_instance, "Requested SOP Instance UID"},
        {0x1002, Vr::us, &C::event_type, "Event Type ID"},
        {0x1005, Vr::at, &C::attributes, "Attribute Identifier List"},
        {0x1008, Vr::us, &C::action_type, "Action Type ID"},
        {0x1020, Vr::us, &C::remaining, "Number of Remaining Sub-operations"},
        {0x1021, Vr::us, &C::completed, "Number of Completed Sub-operations"},
        {0x1022, Vr::us, &C::failed, "Number of Failed Sub-operations"},
        {0x1023, Vr::us, &C::warned, "Number of Warning Sub-operations"},
        {0x1030, Vr::ae, &C::move_originator, "Move Originator Application Entity Title"},
        {0x1031, Vr::us, &C::move_originator_message, "Move Originator Message ID"},
    }};
    return table;
}

/// What a command must have. Spec: PS3.7 §9.3, §10.3
struct Rule {
    CommandField field;
    std::string_view name;
    bool requested;  // its SOP class and instance stand under "Requested"
    bool sop_class, sop_instance;
    enum class DataSet : std::uint8_t { never, may, must } data_set;
};
using Data = Rule::DataSet;
constexpr std::array kRules{
    Rule{CommandField::c_store_rq, "C-STORE-RQ", false, true, true, Data::must},
    Rule{CommandField::c_store_rsp, "C-STORE-RSP", false, false, false, Data::never},
    Rule{CommandField::c_get_rq, "C-GET-RQ", false, true, false, Data::must},
    Rule{CommandField::c_get_rsp, "C-GET-RSP", false, false, false, Data::may},
    Rule{CommandField::c_find_rq, "C-FIND-RQ", false, true, false, Data::must},
    Rule{CommandField::c_find_rsp, "C-FIND-RSP", false, false, false, Data::may},
    Rule{CommandField::c_move_rq, "C-MOVE-RQ", false, true, false, Data::must},
    Rule{CommandField::c_move_rsp, "C-MOVE-RSP", false, false, false, Data::may},
    Rule{CommandField::c_echo_rq, "C-ECHO-RQ", false, true, false, Data::never},
    Rule{CommandField::c_echo_rsp, "C-ECHO-RSP", false, false, false, Data::never},
    Rule{CommandField::c_cancel_rq, "C-CANCEL-RQ", false, false, false, Data::never},
    Rule{CommandField::n_event_report_rq, "N-EVENT-REPORT-RQ", false, true, true, Data::may},
    Rule{CommandField::n_event_report_rsp, "N-EVENT-REPORT-RSP", false, false, false, Data::may},
    Rule{CommandField::n_get_rq, "N-GET-RQ", true, true, true, Data::never},
    Rule{CommandField::n_get_rsp, "N-GET-RSP", false, false, false, Data::may},
    Rule{CommandField::n_set_rq, "N-SET-RQ", true, true, true, Data::must},
    Rule{CommandField::n_set_rsp, "N-SET-RSP", false, false, false, Data::may},
    Rule{CommandField::n_action_rq, "N-ACTION-RQ", true, true, true, Data::may},
    Rule{CommandField::n_action_rsp, "N-ACTION-RSP", false, false, false, Data::may},
    Rule{CommandField::n_create_rq, "N-CREATE-RQ", false, true, false, Data::may},
    Rule{CommandField::n_create_rsp, "N-CREATE-RSP", false, false, false, Data::may},
    Rule{CommandField::n_delete_rq, "N-DELETE-RQ", true, true, true, Data::never},
    Rule{CommandField::n_delete_rsp, "N-DELETE-RSP", false, false, false, Data::never},
};

const Rule* rule_of(CommandField field) {
    const auto found = std::find_if(kRules.begin(), kRules.end(), [&](const Rule& rule) { return rule.field == field; });
    return found == kRules.end() ? nullptr : &*found;
}

std::string where(std::uint16_t element) {
    return tag_name(element);
}

std::uint16_t u16le(ByteView bytes) {
    return static_cast<std::uint16_t>(bytes[0] | bytes[1] << 8);
}
std::uint32_t u32le(ByteView bytes) {
    return u16le(bytes) | static_cast<std::uint32_t>(u16le(bytes.subspan(2))) << 16;
}

/// Elements one after another, in bounds and ascending.
class ElementReader {
public:
    explicit ElementReader(ByteView bytes) : reader_(bytes) {}
    bool at_end() const { return reader_.at_end(); }
    std::size_t offset() const { return reader_.offset(); }

    struct Found {
        std::uint16_t number = 0;
        ByteView value;
    };
    Result<Found> next() {
        FID_TRY(const auto head, reader_.take(8, "command element"));
        const auto number = u16le(head.subspan(2));
        if (u16le(head) != 0)
            return fail(ErrorCode::malformed,
                        "a command holds " + tag_name(static_cast<Tag>(u16le(head)) << 16 | number) + ", which is not of group 0000");
        if (last_ && number <= *last_) return fail(ErrorCode::malformed, where(number) + " is not in ascending order");
        last_ = number;
        FID_TRY(const auto value, reader_.take(u32le(head.subspan(4)), where(number)));
        return Found{number, value};
    }

private:
    ByteReader reader_;
    std::optional<std::uint16_t> last_;
};

Result<std::uint16_t> number_of(const ElementReader::Found& found) {
    if (found.value.size() != 2) return fail(ErrorCode::malformed, where(found.number) + " is not one 16-bit number");
    return u16le(found.value);
}

std::string_view trimmed(ByteView value) {
    auto text = as_text(value);
    while (!text.empty() && (text.back() == ' ' || text.back() == '\0')) text.remove_suffix(1);
    while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
    return text;
}

Result<void> take_text(std::string& out, const Element& element, ByteView value) {
    const auto text = trimmed(value);
    const auto refuse = [&](std::string_view what) {
        return fail(ErrorCode::malformed, std::string(element.name) + " " + where(element.number) + " " + std::string(what));
    };
    const bool names_instance = element.number == kAffectedSopInstance || element.number == kRequestedSopInstance;
    if (names_instance && text.size() > kMostUidCharacters) return refuse("is longer than a UID");  // else 0117H is its answer
    if (element.vr == Vr::ui && !names_instance && !text.empty() && !Uid::parse(text)) return refuse("is not a UID");
    if (element.vr == Vr::ae && !text.empty() && !is_ae_title(text)) return refuse("is not an AE title");
    out = text.substr(0, 256);  // LO: 64 characters, of up to four bytes
    return {};
}

Result<void> take_value(CommandSet& command, const Element& element, const ElementReader::Found& found) {
    if (const auto* number = std::get_if<Number>(&element.member)) {
        FID_TRY(command.*(*number), number_of(found));
        return {};
    }
    if (const auto* text = std::get_if<Text>(&element.member)) return take_text(command.*(*text), element, found.value);
    if (found.value.size() % 4 != 0) return fail(ErrorCode::malformed, where(found.number) + " is not a list of tags");
    for (std::size_t at = 0; at < found.value.size(); at += 4) {
        const auto group = u16le(found.value.subspan(at));
        (command.*std::get<Tags>(element.member)).push_back(static_cast<Tag>(group) << 16 | u16le(found.value.subspan(at + 2)));
    }
    return {};
}

/// The numbers that say what a command is.
struct Heading {
    std::optional<std::uint16_t> field, message_id, responded_to, data_set_type;

    Result<bool> take(const ElementReader::Found& found) {
        std::optional<std::uint16_t>* const place = found.number == kCommandField           ? &field
                                                    : found.number == kMessageId            ? &message_id
                                                    : found.number == kMessageIdRespondedTo ? &responded_to
                                                    : found.number == kDataSetType          ? &data_set_type
                                                                                            : nullptr;
        if (place == nullptr) return false;
        FID_TRY(*place, number_of(found));
        return true;
    }
};

Result<void> check_complete(const CommandSet& command, const Rule& rule) {
    const auto missing = [&](std::string_view what) {
        return fail(ErrorCode::malformed, std::string(rule.name) + " without " + std::string(what));
    };
    if (rule.sop_class && command.sop_class.empty()) return missing("a SOP class");
    if (rule.sop_instance && command.sop_instance.empty()) return missing("a SOP instance");
    if (rule.data_set == Data::must && !command.has_data_set) return missing("a data set");
    if (rule.data_set == Data::never && command.has_data_set)
        return fail(ErrorCode::malformed, std::string(rule.name) + " announces a data set, it has none");
    if (is_response(command.field) && !command.status) return missing("a status");
    if (command.field == CommandField::c_move_rq && command.move_destination.empty()) return missing("a destination");
    if (command.field == CommandField::n_event_report_rq && !command.event_type) return missing("an event type");
    if (command.field == CommandField::n_action_rq && !command.action_type) return missing("an action type");
    return {};
}

void append_le(Bytes& out, std::uint32_t value, int bytes) {
    for (int i = 0; i < bytes; ++i) out.push_back(static_cast<std::uint8_t>(value >> (8 * i)));
}
void append_head(Bytes& out, std::uint16_t number, std::size_t length) {
    append_le(out, 0, 2);
    append_le(out, number, 2);
    append_le(out, static_cast<std::uint32_t>(length), 4);
}
void append_number(Bytes& out, std::uint16_t number, std::uint16_t value) {
    append_head(out, number, 2);
    append_le(out, value, 2);
}
void append_text(Bytes& out, const Element& element, std::string_view text) {
    append_head(out, element.number, text.size() + text.size() % 2);
    append(out, as_bytes(text));
    if (text.size() % 2 != 0) out.push_back(element.vr == Vr::ui ? 0 : ' ');
}

void append_element(Bytes& out, const CommandSet& command, const Element& element) {
    if (const auto* number = std::get_if<Number>(&element.member)) {
        if (const auto value = command.*(*number)) append_number(out, element.number, *value);
    } else if (const auto* text = std::get_if<Text>(&element.member)) {
        if (!(command.*(*text)).empty()) append_text(out, element, command.*(*text));
    } else if (const auto& tags = command.*std::get<Tags>(element.member); !tags.empty()) {
        append_head(out, element.number, tags.size() * 4);
        for (const auto tag : tags) {
            append_le(out, tag >> 16, 2);
            append_le(out, tag & 0xffff, 2);
        }
    }
}

}  // namespace

std::optional<std::string_view> name_of(CommandField field) {
    const auto* rule = rule_of(field);
    return rule != nullptr ? std::optional(rule->name) : std::nullopt;
}

bool is_response(CommandField field) {
    return (static_cast<std::uint16_t>(field) & 0x8000) != 0;
}

CommandField response_to(CommandField request) {
    return static_cast<CommandField>(static_cast<std::uint16_t>(request) | 0x8000);
}

CommandSet answer_to(const CommandSet& request, std::uint16_t status) {
    CommandSet answer;
    answer.field = response_to(request.field);
    answer.message_id = request.message_id;
    answer.sop_class = request.sop_class;
    answer.sop_instance = request.sop_instance;
    answer.status = status;
    return answer;
}

Result<CommandSet> decode_command_set(ByteView bytes) {
    ElementReader reader(bytes);
    FID_TRY(const auto length, reader.next());
    if (length.number != kGroupLength || length.value.size() != 4 || u32le(length.value) != bytes.size() - reader.offset())
        return fail(ErrorCode::malformed, "a command does not begin with its length (0000,0000)");
    CommandSet command;
    Heading heading;
    std::vector<ElementReader::Found> rest;
    while (!reader.at_end()) {
        FID_TRY(const auto found, reader.next());
        FID_TRY(const bool taken, heading.take(found));
        if (!taken) rest.push_back(found);
    }
    if (!heading.field) return fail(ErrorCode::malformed, "a command without Command Field " + where(kCommandField));
    command.field = static_cast<CommandField>(*heading.field);
    const auto* rule = rule_of(command.field);
    if (rule == nullptr) return fail(ErrorCode::unsupported, "there is no command " + std::to_string(*heading.field));
    const bool answers = is_response(command.field) || command.field == CommandField::c_cancel_rq;
    const auto& message_id = answers ? heading.responded_to : heading.message_id;
    if (!message_id) return fail(ErrorCode::malformed, std::string(rule->name) + " without a message identifier");
    if (!heading.data_set_type)
        return fail(ErrorCode::malformed, std::string(rule->name) + " without Command Data Set Type " + where(kDataSetType));
    command.message_id = *message_id;
    command.has_data_set = *heading.data_set_type != kNoDataSet;
    for (const auto& found : rest) {
        if (found.number == (rule->requested ? kAffectedSopClass : kRequestedSopClass)) continue;
        if (found.number == (rule->requested ? kAffectedSopInstance : kRequestedSopInstance)) continue;
        for (const auto& element : elements()) {
            if (element.number == found.number) FID_CHECK(take_value(command, element, found));
        }
    }
    FID_CHECK(check_complete(command, *rule));
    return command;
}

Bytes encode_command_set(const CommandSet& command) {
    const auto* rule = rule_of(command.field);
    FID_INVARIANT(rule != nullptr, "a command that is sent is one");
    const bool answers = is_response(command.field) || command.field == CommandField::c_cancel_rq;
    const std::array<std::pair<std::uint16_t, std::uint16_t>, 3> heading{{
        {kCommandField, static_cast<std::uint16_t>(command.field)},
        {answers ? kMessageIdRespondedTo : kMessageId, command.message_id},
        {kDataSetType, command.has_data_set ? kSomeDataSet : kNoDataSet},
    }};
    Bytes body;
    std::size_t headed = 0;
    const auto put_heading_before = [&](std::uint16_t number) {
        for (; headed < heading.size() && heading[headed].first < number; ++headed)
            append_number(body, heading[headed].first, heading[headed].second);
    };
    for (const auto& element : elements()) {
        put_heading_before(element.number);
        if (element.number == (rule->requested ? kAffectedSopClass : kRequestedSopClass)) continue;
        if (element.number == (rule->requested ? kAffectedSopInstance : kRequestedSopInstance)) continue;
        append_element(body, command, element);
    }
    put_heading_before(0xffff);
    Bytes out;
    append_head(out, kGroupLength, 4);
    append_le(out, static_cast<std::uint32_t>(body.size()), 4);
    append(out, body);
    return out;
}

StatusClass class_of_status(std::uint16_t status) {
    if (status == status::kSuccess) return StatusClass::success;
    if (status == status::kPending || status == status::kPendingWithoutOptionalKeys) return StatusClass::pending;
    if (status == status::kCancel) return StatusClass::cancel;
    // PS3.7 §C: 0001H, 0107H, 0116H and BxxxH
    if (status == 0x0001 || status == 0x0107 || status == 0x0116 || (status & 0xF000) == 0xB000) return StatusClass::warning;
    return StatusClass::failure;
}

}  // namespace fiducial::dicom
