#include "dicom/worklist.hpp"

#include <algorithm>
#include <array>
#include <boost/json.hpp>

#include "base/identifiers.hpp"
#include "base/utf8.hpp"
#include "dicom/impl/csv_reader.hpp"
#include "dicom/impl/text.hpp"
#include "dicom/pdu.hpp"

namespace fiducial::dicom {
namespace {

constexpr std::size_t kMostTableBytes = 16u << 20;
constexpr std::size_t kMostKeys = 256;
constexpr Tag kStep = tags::kScheduledProcedureStepSequence, kCode = tags::kRequestedProcedureCodeSequence;

constexpr std::array kTable{
    WorklistAttribute{tags::kAccessionNumber, 0, true, false},
    WorklistAttribute{tags::kReferringPhysicianName, 0, false, false},
    WorklistAttribute{tags::kPatientName, 0, true, false},
    WorklistAttribute{tags::kPatientId, 0, true, false},
    WorklistAttribute{tags::kIssuerOfPatientId, 0, false, false},
    WorklistAttribute{tags::kPatientBirthDate, 0, false, false},
    WorklistAttribute{tags::kPatientSex, 0, false, false},
    WorklistAttribute{0x00101020, 0, false, false},  // Patient's Size
    WorklistAttribute{0x00101030, 0, false, false},  // Patient's Weight
    WorklistAttribute{0x00102000, 0, false, true},   // Medical Alerts
    WorklistAttribute{0x00102110, 0, false, true},   // Allergies
    WorklistAttribute{0x001021b0, 0, false, false},  // Additional Patient History
    WorklistAttribute{0x001021c0, 0, false, false},  // Pregnancy Status
    WorklistAttribute{tags::kStudyInstanceUid, 0, false, false},
    WorklistAttribute{0x00321032, 0, false, false},  // Requesting Physician
    WorklistAttribute{0x00321033, 0, false, false},  // Requesting Service
    WorklistAttribute{tags::kRequestedProcedureDescription, 0, false, false},
    WorklistAttribute{0x00380010, 0, false, false},  // Admission ID
    WorklistAttribute{0x00380050, 0, false, false},  // Special Needs
    WorklistAttribute{0x00380300, 0, false, false},  // Current Patient Location
    WorklistAttribute{0x00380500, 0, false, false},  // Patient State
    WorklistAttribute{tags::kRequestedProcedureId, 0, false, false},
    WorklistAttribute{0x00401002, 0, false, false},  // Reason for the Requested Procedure
    WorklistAttribute{0x00401003, 0, false, false},  // Requested Procedure Priority
    WorklistAttribute{0x00401004, 0, false, false},  // Patient Transport Arrangements
    WorklistAttribute{0x00401400, 0, false, false},  // Requested Procedure Comments
    WorklistAttribute{0x00402016, 0, false, false},  // Placer Order Number / Imaging Service Request
    WorklistAttribute{0x00402017, 0, false, false},  // Filler Order Number / Imaging Service Request
    WorklistAttribute{0x00403001, 0, false, false},  // Confidentiality Constraint on Patient Data Description
    WorklistAttribute{0x00080100, kCode, false, false},
    WorklistAttribute{0x00080102, kCode, false, false},
    WorklistAttribute{0x00080104, kCode, false, false},
    WorklistAttribute{tags::kModality, kStep, true, false},
    WorklistAttribute{0x00321070, kStep, false, false},  // Requested Contrast Agent
    WorklistAttribute{tags::kScheduledStationAeTitle, kStep, false, true},
    WorklistAttribute{tags::kScheduledStartDate, kStep, true, false},
    WorklistAttribute{tags::kScheduledStartTime, kStep, true, false},
    WorklistAttribute{0x00400004, kStep, false, false},  // Scheduled Procedure Step End Date
    WorklistAttribute{0x00400005, kStep, false, false},  // Scheduled Procedure Step End Time
    WorklistAttribute{tags::kScheduledPerformingPhysician, kStep, false, false},
    WorklistAttribute{tags::kScheduledStepDescription, kStep, false, false},
    WorklistAttribute{tags::kScheduledStepId, kStep, false, false},
    WorklistAttribute{0x00400010, kStep, false, true},   // Scheduled Station Name
    WorklistAttribute{0x00400011, kStep, false, false},  // Scheduled Procedure Step Location
    WorklistAttribute{0x00400012, kStep, false, false},  // Pre-Medication
    WorklistAttribute{tags::kScheduledStepStatus, kStep, false, false},
    WorklistAttribute{0x00400400, kStep, false, false},  // Comments on the Scheduled Procedure Step
};

std::size_t characters(std::string_view text) {
    return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xc0) != 0x80; }));
}

struct Longest {
    std::string_view vr;
    std::size_t characters;
};
constexpr std::array kLongest{Longest{"SH", 16}, Longest{"LO", 64}, Longest{"LT", 10'240}, Longest{"PN", 64}, Longest{"CS", 16}};

bool is_code_string(std::string_view text) {
    return std::all_of(text.begin(), text.end(),
                       [](char c) { return (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == ' ' || c == '_'; });
}
bool is_number(std::string_view text) {
    return text.size() <= 16 && text.find_first_not_of("0123456789.+-") == std::string_view::npos;
}

/// A value as it is kept. Errors: invalid_argument without a word of it.
Result<std::string> read_value(std::string_view vr, std::string_view text) {
    const auto wrong = [](std::string what) { return fail(ErrorCode::invalid_argument, std::move(what)); };
    if (!is_utf8(text) || std::any_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }))
        return wrong("holds control characters, or is not UTF-8");
    if (vr == "DA") {
        const auto date = normalise_date(text);
        if (!date) return wrong("is not a date YYYYMMDD");
        return *date;
    }
    if (vr == "TM") {
        const auto time = normalise_time(text);
        if (!time) return wrong("is not a time HHMMSS");
        return time->substr(0, 6);
    }
    if (vr == "UI" && !Uid::parse(text)) return wrong("is not a UID");
    if (vr == "AE" && !is_ae_title(text)) return wrong("is not an AE title");
    if (vr == "CS" && !is_code_string(text)) return wrong("is not a code: capitals, digits, spaces and underscores");
    if ((vr == "DS" || vr == "US") && !is_number(text)) return wrong("is not a number");
    const auto longest = std::find_if(kLongest.begin(), kLongest.end(), [&](const Longest& row) { return row.vr == vr; });
    // Of a name each component group may be as long.
    if (longest != kLongest.end() && characters(text) > longest->characters * (vr == "PN" ? 3 : 1))
        return wrong("is longer than " + std::to_string(longest->characters) + " characters");
    return std::string(text);
}

Result<std::vector<std::string>> read_values(const WorklistAttribute& attribute, std::string_view text) {
    std::vector<std::string> values;
    for (const auto& one : impl::split_values(text)) {
        FID_TRY(auto value, read_value(dictionary_vr(attribute.tag), one));
        values.push_back(std::move(value));
    }
    if (values.size() > 1 && !attribute.multiple) return fail(ErrorCode::invalid_argument, "has one value, without a backslash");
    return values;
}

Result<std::string> text_of(const std::string& keyword, const boost::json::value& value) {
    if (const auto* text = value.if_string()) return std::string(*text);
    if (value.is_number()) return boost::json::serialize(value);
    return fail(ErrorCode::invalid_argument, readable(keyword, 64) + " is no text, no number and no list of texts");
}

Result<Attributes> read_worklist_object(const boost::json::object& object) {
    std::vector<NamedText> fields;
    for (const auto& [key, value] : object) {
        const std::string keyword(key);
        std::string joined;
        if (const auto* list = value.if_array()) {
            for (const auto& one : *list) {
                FID_TRY(const auto text, text_of(keyword, one));
                joined += (joined.empty() ? "" : "\\") + text;
            }
        } else {
            FID_TRY(joined, text_of(keyword, value));
        }
        fields.emplace_back(keyword, std::move(joined));
    }
    return read_worklist_entry(fields);
}

bool contains(std::span<const Tag> all, Tag tag) {
    return std::find(all.begin(), all.end(), tag) != all.end();
}

bool is_sequence(Tag tag) {
    return dictionary_vr(tag) == "SQ";
}

/// Whether anything in a sequence is more than a universal key.
bool asks_for_a_value(const Attributes& item, const std::set<Tag>& nested_keys) {
    return std::any_of(item.begin(), item.end(),
                       [&](const auto& one) { return nested_keys.contains(one.first) || !item.joined(one.first).empty(); });
}

}  // namespace

std::span<const WorklistAttribute> worklist_attributes() {
    return kTable;
}

const WorklistAttribute* find_worklist_attribute(Tag tag) {
    const auto found = std::find_if(kTable.begin(), kTable.end(), [&](const WorklistAttribute& row) { return row.tag == tag; });
    return found == kTable.end() ? nullptr : &*found;
}

Result<Attributes> read_worklist_entry(std::span<const NamedText> fields) {
    Attributes entry;
    for (const auto& [keyword, text] : fields) {
        const auto tag = parse_tag(keyword);
        const auto* attribute = tag ? find_worklist_attribute(*tag) : nullptr;
        if (attribute == nullptr || *tag == tags::kScheduledStepStatus)
            return fail(ErrorCode::invalid_argument, "an entry of the worklist has no attribute '" + readable(keyword, 64) + "'");
        if (entry.has(*tag)) return fail(ErrorCode::invalid_argument, keyword + " is there twice");
        auto values = read_values(*attribute, impl::trim(text));
        if (!values) return fail(ErrorCode::invalid_argument, keyword + " " + values.error().message);
        if (!values->empty() && !values->front().empty()) entry.set(*tag, *std::move(values));
    }
    return entry;
}

Result<void> check_worklist_entry(const Attributes& entry) {
    for (const auto& attribute : kTable) {
        if (attribute.required && entry.first(attribute.tag).empty())
            return fail(ErrorCode::invalid_argument, keyword_of(attribute.tag) + " is missing");
    }
    return {};
}

Result<std::vector<Attributes>> read_worklist_table(std::string_view csv) {
    if (csv.size() > kMostTableBytes) return fail(ErrorCode::limit_exceeded, "the worklist's table is larger than 16 MiB");
    if (csv.starts_with("\xef\xbb\xbf")) csv.remove_prefix(3);
    impl::CsvReader reader(csv, "the worklist's table");
    if (reader.at_end()) return fail(ErrorCode::malformed, "the worklist's table is empty");
    FID_TRY(const auto keywords, reader.record());
    std::vector<Attributes> entries;
    for (reader.next_line(); !reader.at_end(); reader.next_line()) {
        const auto where = "line " + std::to_string(reader.line()) + " of the worklist's table";
        FID_TRY(auto texts, reader.record());
        if (texts.size() == 1 && texts[0].empty()) continue;
        if (texts.size() != keywords.size())
            return fail(ErrorCode::malformed,
                        where + ": " + std::to_string(texts.size()) + " fields instead of " + std::to_string(keywords.size()));
        if (entries.size() == kMostWorklistEntries)
            return fail(ErrorCode::limit_exceeded, "the worklist's table has more than " + std::to_string(kMostWorklistEntries) + " lines");
        std::vector<NamedText> fields;
        for (std::size_t i = 0; i < texts.size(); ++i) fields.emplace_back(impl::trim(keywords[i]), std::move(texts[i]));
        auto entry = read_worklist_entry(fields);
        if (!entry) return fail(entry.error().with(where));
        entries.push_back(*std::move(entry));
    }
    return entries;
}

Result<std::vector<Attributes>> read_worklist(std::string_view text) {
    const auto first = text.find_first_not_of(" \t\r\n");
    if (first == std::string_view::npos || (text[first] != '[' && text[first] != '{')) return read_worklist_table(text);
    FID_TRY(const auto parsed, json::parse(text, kMostTableBytes));
    boost::json::array one;
    if (parsed.is_object()) one.push_back(parsed);
    const auto& objects = parsed.is_object() ? one : parsed.get_array();
    if (objects.size() > kMostWorklistEntries)
        return fail(ErrorCode::limit_exceeded, "more than " + std::to_string(kMostWorklistEntries) + " entries of the worklist");
    std::vector<Attributes> entries;
    for (const auto& object : objects) {
        const auto where = "entry " + std::to_string(entries.size() + 1);
        if (!object.is_object()) return fail(ErrorCode::malformed, where + " is no JSON object");
        auto entry = read_worklist_object(object.get_object());
        if (!entry) return fail(entry.error().with(where));
        entries.push_back(*std::move(entry));
    }
    return entries;
}

boost::json::object worklist_entry_json(const Attributes& entry) {
    boost::json::object out;
    for (const auto& [tag, values] : entry) {
        if (values.size() == 1)
            out[keyword_of(tag)] = values.front();
        else
            out[keyword_of(tag)] = boost::json::value_from(values);
    }
    return out;
}

Result<void> WorklistCriteria::add(Tag tag, std::string_view value) {
    auto matcher = Matcher::compile(tag, value);
    if (!matcher) return fail(matcher.error().with(keyword_of(tag)));
    if (!matcher->is_universal()) keys_.push_back(*std::move(matcher));
    return {};
}

void WorklistCriteria::combine_moments() {
    for (const auto& date : keys_) {
        for (const auto& time : keys_) {
            if (auto both = DateTimeMatcher::combine(date, time)) moments_.push_back(*std::move(both));
        }
    }
}

bool WorklistCriteria::fit(const Attributes& entry) const {
    const auto key_fits = [&](const Matcher& key) {
        if (key.tag() == tags::kScheduledStationAeTitle && !entry.has(key.tag())) return true;
        const bool combined =
            std::any_of(moments_.begin(), moments_.end(), [&](const DateTimeMatcher& one) { return one.time_tag() == key.tag(); });
        return combined || key.matches(entry.all(key.tag()));
    };
    return std::all_of(keys_.begin(), keys_.end(), key_fits) &&
           std::all_of(moments_.begin(), moments_.end(), [&](const DateTimeMatcher& one) { return one.matches(entry); });
}

std::pair<std::string, std::string> WorklistCriteria::dates() const {
    for (const auto& key : keys_) {
        if (key.tag() == tags::kScheduledStartDate && key.alternatives().size() == 1)
            return {key.alternatives().front().from, key.alternatives().front().to};
    }
    return {};
}

Result<WorklistRequest> read_worklist_request(Identifier identifier) {
    WorklistRequest request;
    std::size_t keys = identifier.attributes.size();
    for (const auto& [sequence, item] : identifier.items) keys += item.size();
    if (keys > kMostKeys) return fail(ErrorCode::limit_exceeded, "a query has at most " + std::to_string(kMostKeys) + " keys");
    const auto take = [&](const Attributes& from, Tag sequence) -> Result<void> {
        for (const auto& [tag, values] : from) {
            if (tag == tags::kSpecificCharacterSet) continue;
            const auto* attribute = find_worklist_attribute(tag);
            if (is_sequence(tag) && !identifier.nested_keys.contains(tag)) continue;  // comes empty
            if (attribute == nullptr || attribute->sequence != sequence)
                request.ignored.push_back(tag);
            else
                FID_CHECK(request.criteria.add(tag, from.joined(tag)));
        }
        return {};
    };
    FID_CHECK(take(identifier.attributes, 0));
    for (const auto& [sequence, item] : identifier.items) {
        if (sequence == kStep || sequence == kCode) {
            FID_CHECK(take(item, sequence));
        } else if (asks_for_a_value(item, identifier.nested_keys)) {
            request.ignored.push_back(sequence);
        }
    }
    request.criteria.combine_moments();
    request.asked = std::move(identifier);
    return request;
}

Identifier worklist_answer(const WorklistRequest& request, const Attributes& entry, std::string_view station) {
    Identifier answer;
    answer.character_set = request.asked.character_set;
    const auto put = [&](Attributes& into, Tag tag) {
        const auto values = entry.all(tag);
        into.set(tag, {values.begin(), values.end()});
        if (tag == tags::kScheduledStationAeTitle && values.empty()) into.set(tag, {std::string(station)});
    };
    for (const auto& [tag, values] : request.asked.attributes) {
        if (tag != tags::kSpecificCharacterSet && !contains(request.ignored, tag)) put(answer.attributes, tag);
    }
    for (const auto& [sequence, asked] : request.asked.items) {
        Attributes item;
        bool any = false;
        for (const auto& attribute : kTable) {
            if (attribute.sequence != sequence || !(asked.empty() || asked.has(attribute.tag))) continue;
            put(item, attribute.tag);
            any = any || !entry.all(attribute.tag).empty();
        }
        for (const auto& [tag, values] : asked) {
            if (is_sequence(tag) && !contains(request.ignored, tag)) item.set(tag, {});
        }
        answer.items[sequence] = any ? std::move(item) : Attributes();
    }
    return answer;
}

}  // namespace fiducial::dicom
