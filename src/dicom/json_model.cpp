#include "dicom/json_model.hpp"

#include <array>
#include <boost/json.hpp>
#include <charconv>
#include <optional>

#include "base/json.hpp"
#include "dicom/matching.hpp"

namespace fiducial::dicom {
namespace {

namespace json = boost::json;

constexpr std::size_t kMostJson = std::size_t{256} << 20;
constexpr std::array<std::string_view, 3> kGroups = {"Alphabetic", "Ideographic", "Phonetic"};

template <typename Number>
std::optional<Number> number_of(std::string_view text) {
    while (text.ends_with(' ')) text.remove_suffix(1);
    while (text.starts_with(' ') || text.starts_with('+')) text.remove_prefix(1);
    Number value{};
    const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (problem != std::errc{} || end != text.data() + text.size()) return std::nullopt;
    return value;
}

json::value json_of(std::string_view vr, const std::string& text) {
    if (text.empty()) return nullptr;
    if (vr == "PN") {
        const auto name = split_person_name(text);
        json::object out;
        if (!name.alphabetic.empty()) out[kGroups[0]] = name.alphabetic;
        if (!name.ideographic.empty()) out[kGroups[1]] = name.ideographic;
        if (!name.phonetic.empty()) out[kGroups[2]] = name.phonetic;
        return out;
    }
    if (vr == "IS" || vr == "US" || vr == "SS" || vr == "UL" || vr == "SL" || vr == "UV" || vr == "SV") {
        const auto number = number_of<std::int64_t>(text);
        return number ? json::value(*number) : json::value(nullptr);
    }
    if (vr == "DS" || vr == "FL" || vr == "FD") {
        if (const auto whole = number_of<std::int64_t>(text)) return *whole;
        const auto number = number_of<double>(text);
        return number ? json::value(*number) : json::value(nullptr);
    }
    return json::value(text);
}

json::object json_element(std::string_view vr, const std::vector<std::string>& texts) {
    json::object element;
    element["vr"] = vr;
    json::array values;
    bool any = false;
    for (const auto& text : texts) {
        values.push_back(json_of(vr, text));
        any = any || !values.back().is_null();
    }
    if (any) element["Value"] = std::move(values);
    return element;
}

void append_escaped(std::string& out, std::string_view text) {
    for (const char c : text) {
        switch (c) {
            case '&': out += "&amp;"; break;
            case '<': out += "&lt;"; break;
            case '>': out += "&gt;"; break;
            case '"': out += "&quot;"; break;
            // XML 1.0 has no other control characters
            default:
                if (static_cast<unsigned char>(c) >= 0x20 || c == '\t' || c == '\n' || c == '\r') out += c;
        }
    }
}

void append_attribute(std::string& out, std::string_view name, std::string_view value) {
    out += ' ';
    out += name;
    out += "=\"";
    append_escaped(out, value);
    out += '"';
}

class NativeModel {
public:
    Result<void> data_set(const json::object& object) {
        for (const auto& [tag, element] : object) FID_CHECK(attribute(object, tag, element));
        return {};
    }
    std::string out;

private:
    static tl::unexpected<Error> wrong(std::string_view tag) {
        return fail(ErrorCode::malformed, "attribute " + std::string(tag.substr(0, 8)) + " is not one of DICOM JSON");
    }

    Result<void> attribute(const json::object& object, std::string_view name, const json::value& value) {
        const auto tag = name.size() == 8 ? parse_tag(name) : std::nullopt;
        const auto* element = value.if_object();
        const auto* vr = element != nullptr ? element->if_contains("vr") : nullptr;
        if (!tag || vr == nullptr || !vr->is_string()) return wrong(name);
        out += "<DicomAttribute";
        append_attribute(out, "tag", name);
        append_attribute(out, "vr", vr->get_string());
        if (const auto keyword = keyword_of(*tag); !keyword.empty()) append_attribute(out, "keyword", keyword);
        if ((group_of(*tag) & 1) != 0 && element_of(*tag) >= 0x1000) append_creator(object, *tag);
        out += '>';
        FID_CHECK(content(name, *element));
        out += "</DicomAttribute>";
        return {};
    }

    void append_creator(const json::object& object, Tag tag) {
        const Tag creator = (tag & 0xffff0000) | (element_of(tag) >> 8);
        const auto* element = object.if_contains(tag_text(creator));
        const auto* values = element != nullptr && element->is_object() ? element->get_object().if_contains("Value") : nullptr;
        if (values == nullptr || !values->is_array() || values->get_array().empty()) return;
        if (const auto* text = values->get_array().front().if_string()) append_attribute(out, "privateCreator", *text);
    }

    Result<void> content(std::string_view tag, const json::object& element) {
        if (const auto* uri = element.if_contains("BulkDataURI"); uri != nullptr && uri->is_string()) {
            out += "<BulkData";
            append_attribute(out, "uri", uri->get_string());
            out += "/>";
        }
        if (const auto* inline_binary = element.if_contains("InlineBinary"); inline_binary != nullptr && inline_binary->is_string()) {
            out += "<InlineBinary>";
            append_escaped(out, inline_binary->get_string());
            out += "</InlineBinary>";
        }
        const auto* values = element.if_contains("Value");
        if (values == nullptr) return {};
        if (!values->is_array()) return wrong(tag);
        std::size_t number = 0;
        for (const auto& value : values->get_array()) FID_CHECK(one_value(tag, element.at("vr").get_string(), ++number, value));
        return {};
    }

    Result<void> one_value(std::string_view tag, std::string_view vr, std::size_t number, const json::value& value) {
        const auto numbered = " number=\"" + std::to_string(number) + "\">";
        if (value.is_null()) {
            if (vr == "SQ") return wrong(tag);
            out += (vr == "PN" ? "<PersonName" + numbered + "</PersonName>" : "<Value" + numbered + "</Value>");
        } else if (vr == "SQ") {
            if (!value.is_object()) return wrong(tag);
            out += "<Item" + numbered;
            FID_CHECK(data_set(value.get_object()));
            out += "</Item>";
        } else if (vr == "PN") {
            if (!value.is_object()) return wrong(tag);
            out += "<PersonName" + numbered;
            for (const auto group : kGroups) {
                const auto* text = value.get_object().if_contains(group);
                if (text != nullptr && text->is_string()) append_name(group, text->get_string());
            }
            out += "</PersonName>";
        } else {
            out += "<Value" + numbered;
            append_escaped(out, value.is_string() ? std::string(value.get_string()) : json::serialize(value));
            out += "</Value>";
        }
        return {};
    }

    /// Spec: PS3.19 §A.1.3: the components of a group by name.
    void append_name(std::string_view group, std::string_view text) {
        static constexpr std::array<std::string_view, 5> kComponents = {"FamilyName", "GivenName", "MiddleName", "NamePrefix",
                                                                        "NameSuffix"};
        out += '<';
        out += group;
        out += '>';
        for (const auto component : kComponents) {
            const auto end = std::min(text.find('^'), text.size());
            if (end > 0) {
                out += '<';
                out += component;
                out += '>';
                append_escaped(out, text.substr(0, end));
                out += "</";
                out += component;
                out += '>';
            }
            text.remove_prefix(std::min(end + 1, text.size()));
        }
        out += "</";
        out += group;
        out += '>';
    }
};

}  // namespace

std::string to_dicom_json(const Attributes& attributes) {
    json::object out, request;
    for (const auto& [tag, values] : attributes) {
        const auto row = describe_query_attribute(tag);
        (row.in_request ? request : out)[tag_text(tag)] = json_element(row.vr, values);
    }
    if (!request.empty()) {
        json::object sequence;
        sequence["vr"] = "SQ";
        sequence["Value"] = json::array{std::move(request)};
        out[tag_text(tags::kRequestAttributesSequence)] = std::move(sequence);
    }
    return json::serialize(out);
}

Result<std::string> to_native_model(std::string_view dicom_json) {
    FID_TRY(const auto parsed, fiducial::json::parse(dicom_json, kMostJson));
    if (!parsed.is_object()) return fail(ErrorCode::malformed, "DICOM JSON is an object");
    NativeModel model;
    model.out = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<NativeDicomModel xmlns=\"http://dicom.nema.org/PS3.19/models/NativeDICOM\">";
    FID_CHECK(model.data_set(parsed.get_object()));
    return model.out + "</NativeDicomModel>\n";
}

}  // namespace fiducial::dicom
