#include <algorithm>
#include <charconv>
#include <optional>

#include "base/utf8.hpp"
#include "dicom/impl/document_element.hpp"
#include "dicom/impl/text.hpp"

namespace fiducial::dicom::impl {
namespace {

constexpr std::size_t kMostValues = 65'535;
constexpr std::string_view kComponents[] = {"FamilyName", "GivenName", "MiddleName", "NamePrefix", "NameSuffix"};
constexpr std::string_view kGroups[] = {"Alphabetic", "Ideographic", "Phonetic"};

bool is_space(char c) {
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/// Walks over tags and text. Names come without prefixes; comments and processing instructions are passed over.
class XmlReader {
public:
    explicit XmlReader(std::string_view xml) : text_(xml) {}

    enum class Event : std::uint8_t { open, close, end };
    std::string name;
    std::vector<std::pair<std::string, std::string>> attributes;
    std::string text;  // that stood before this event

    std::string_view attribute(std::string_view wanted) const {
        const auto found = std::find_if(attributes.begin(), attributes.end(), [&](const auto& one) { return one.first == wanted; });
        return found == attributes.end() ? std::string_view() : std::string_view(found->second);
    }

    Result<Event> next() {
        text.clear();
        if (closes_itself_) {
            closes_itself_ = false;
            return Event::close;
        }
        while (at_ < text_.size()) {
            const auto tag = std::min(text_.find('<', at_), text_.size());
            FID_CHECK(append_text(text_.substr(at_, tag - at_), text));
            at_ = tag;
            if (at_ == text_.size()) break;
            const auto rest = text_.substr(at_);
            if (rest.starts_with("<!--")) {
                FID_CHECK(skip_to("-->"));
            } else if (rest.starts_with("<![CDATA[")) {
                const auto begin = at_ + 9;
                FID_CHECK(skip_to("]]>"));
                text += text_.substr(begin, at_ - 3 - begin);
            } else if (rest.starts_with("<?")) {
                FID_CHECK(skip_to("?>"));
            } else if (rest.starts_with("<!")) {
                return fail(ErrorCode::unsupported, "XML with a document type");
            } else {
                return read_tag();
            }
        }
        return Event::end;
    }

    tl::unexpected<Error> wrong() const {
        return fail(ErrorCode::malformed, "XML that is not well-formed at offset " + std::to_string(at_));
    }

private:
    Result<void> skip_to(std::string_view end) {
        const auto found = text_.find(end, at_);
        if (found == std::string_view::npos) return wrong();
        at_ = found + end.size();
        return {};
    }

    void skip_spaces() {
        while (at_ < text_.size() && is_space(text_[at_])) ++at_;
    }

    std::string read_name() {
        const auto begin = at_;
        while (at_ < text_.size() && !is_space(text_[at_]) && std::string_view("=/><\"'&").find(text_[at_]) == std::string_view::npos)
            ++at_;
        auto full = text_.substr(begin, at_ - begin);
        if (const auto colon = full.find(':'); colon != std::string_view::npos) full.remove_prefix(colon + 1);
        return std::string(full);
    }

    Result<Event> read_tag() {
        ++at_;
        const bool closing = at_ < text_.size() && text_[at_] == '/';
        if (closing) ++at_;
        name = read_name();
        attributes.clear();
        if (name.empty()) return wrong();
        for (;;) {
            skip_spaces();
            if (at_ >= text_.size()) return wrong();
            if (text_[at_] == '>') break;
            if (text_[at_] == '/' && !closing && at_ + 1 < text_.size() && text_[at_ + 1] == '>') {
                closes_itself_ = true;
                ++at_;
                break;
            }
            if (closing) return wrong();
            FID_CHECK(read_attribute());
        }
        ++at_;
        return closing ? Event::close : Event::open;
    }

    Result<void> read_attribute() {
        auto attribute_name = read_name();
        skip_spaces();
        if (attribute_name.empty() || at_ >= text_.size() || text_[at_] != '=' || attributes.size() == 64) return wrong();
        ++at_;
        skip_spaces();
        if (at_ >= text_.size() || (text_[at_] != '"' && text_[at_] != '\'')) return wrong();
        const auto end = text_.find(text_[at_], at_ + 1);
        if (end == std::string_view::npos) return wrong();
        std::string value;
        FID_CHECK(append_text(text_.substr(at_ + 1, end - at_ - 1), value));
        at_ = end + 1;
        attributes.emplace_back(std::move(attribute_name), std::move(value));
        return {};
    }

    /// Spec: XML 1.0 §4.6 and character references.
    Result<void> append_text(std::string_view raw, std::string& out) const {
        struct Entity {
            std::string_view name;
            char character;
        };
        constexpr Entity kEntities[] = {{"amp", '&'}, {"lt", '<'}, {"gt", '>'}, {"quot", '"'}, {"apos", '\''}};
        while (!raw.empty()) {
            const auto ampersand = std::min(raw.find('&'), raw.size());
            out += raw.substr(0, ampersand);
            raw.remove_prefix(ampersand);
            if (raw.empty()) break;
            const auto end = raw.find(';');
            if (end == std::string_view::npos) return wrong();
            const auto reference = raw.substr(1, end - 1);
            raw.remove_prefix(end + 1);
            if (reference.starts_with('#')) {
                const bool hex = reference.starts_with("#x");
                const auto digits = reference.substr(hex ? 2 : 1);
                std::uint32_t code = 0;
                const auto [stop, problem] = std::from_chars(digits.data(), digits.data() + digits.size(), code, hex ? 16 : 10);
                if (problem != std::errc{} || stop != digits.data() + digits.size() || !append_code_point(out, code)) return wrong();
                continue;
            }
            const auto* known =
                std::find_if(std::begin(kEntities), std::end(kEntities), [&](const Entity& one) { return one.name == reference; });
            if (known == std::end(kEntities)) return wrong();
            out += known->character;
        }
        return {};
    }

    static bool append_code_point(std::string& out, std::uint32_t code) {
        if (code == 0 || code > 0x10ffff || (code >= 0xd800 && code < 0xe000)) return false;
        if (code < 0x80) {
            out += static_cast<char>(code);
        } else if (code < 0x800) {
            out += static_cast<char>(0xc0 | code >> 6);
            out += static_cast<char>(0x80 | (code & 0x3f));
        } else if (code < 0x10000) {
            out += static_cast<char>(0xe0 | code >> 12);
            out += static_cast<char>(0x80 | (code >> 6 & 0x3f));
            out += static_cast<char>(0x80 | (code & 0x3f));
        } else {
            out += static_cast<char>(0xf0 | code >> 18);
            out += static_cast<char>(0x80 | (code >> 12 & 0x3f));
            out += static_cast<char>(0x80 | (code >> 6 & 0x3f));
            out += static_cast<char>(0x80 | (code & 0x3f));
        }
        return true;
    }

    std::string_view text_;
    std::size_t at_ = 0;
    bool closes_itself_ = false;
};

using Event = XmlReader::Event;

class ModelReader {
public:
    ModelReader(std::string_view xml, std::size_t most_levels) : xml_(xml), most_levels_(most_levels) {}

    Result<std::vector<DocumentElement>> model() {
        FID_TRY(const auto event, xml_.next());
        if (event != Event::open || xml_.name != "NativeDicomModel") return fail(ErrorCode::malformed, "this is no Native DICOM Model");
        FID_TRY(auto elements, data_set("NativeDicomModel", 0));
        FID_TRY(const auto last, xml_.next());
        if (last != Event::end) return xml_.wrong();
        return elements;
    }

private:
    /// Up to the end of what it stands in.
    Result<std::vector<DocumentElement>> data_set(std::string_view within, std::size_t level) {
        if (level > most_levels_) return fail(ErrorCode::limit_exceeded, "sequences are nested too deep");
        std::vector<DocumentElement> out;
        for (;;) {
            FID_TRY(const auto event, xml_.next());
            if (event == Event::close && xml_.name == within) return out;
            if (event != Event::open || xml_.name != "DicomAttribute") return xml_.wrong();
            DocumentElement element;
            const auto tag = xml_.attribute("tag").size() == 8 ? parse_tag(xml_.attribute("tag")) : std::nullopt;
            if (!tag) return fail(ErrorCode::malformed, "an attribute whose tag has not eight digits");
            element.tag = *tag;
            element.vr = xml_.attribute("vr");
            FID_CHECK(content(element, level));
            out.push_back(std::move(element));
        }
    }

    Result<void> content(DocumentElement& element, std::size_t level) {
        for (;;) {
            FID_TRY(const auto event, xml_.next());
            if (event == Event::close && xml_.name == "DicomAttribute") return {};
            if (event != Event::open) return xml_.wrong();
            const auto name = xml_.name;
            if (name == "BulkData") {
                element.uri = xml_.attribute("uri");
                FID_CHECK(text_of(name));
            } else if (name == "InlineBinary") {
                FID_TRY(auto base64, text_of(name));
                std::erase_if(base64, is_space);
                FID_TRY(element.binary, decode_base64(base64));
            } else if (name == "Item") {
                if (element.items.size() == kMostValues) return xml_.wrong();
                FID_TRY(auto item, data_set(name, level + 1));
                element.items.push_back(std::move(item));
            } else if (name == "Value" || name == "PersonName") {
                FID_CHECK(make_room(element));
                FID_TRY(element.texts.back(), name == "Value" ? text_of(name) : person_name());
            } else {
                return xml_.wrong();
            }
        }
    }

    /// For the value whose number was said: those between are empty.
    Result<void> make_room(DocumentElement& element) {
        const auto said = xml_.attribute("number");
        std::size_t number = 0;
        const auto [stop, problem] = std::from_chars(said.data(), said.data() + said.size(), number);
        if (problem != std::errc{} || stop != said.data() + said.size() || number <= element.texts.size() || number > kMostValues)
            return fail(ErrorCode::malformed, tag_name(element.tag) + ": values are not numbered in order");
        element.texts.resize(number);
        return {};
    }

    /// Up to the end of an element that holds text alone.
    Result<std::string> text_of(std::string_view within) {
        FID_TRY(const auto event, xml_.next());
        if (event != Event::close || xml_.name != within) return xml_.wrong();
        return xml_.text;
    }

    Result<std::string> person_name() {
        std::string groups[3];
        for (;;) {
            FID_TRY(const auto event, xml_.next());
            if (event == Event::close && xml_.name == "PersonName") break;
            const auto* group = std::find(std::begin(kGroups), std::end(kGroups), xml_.name);
            if (event != Event::open || group == std::end(kGroups)) return xml_.wrong();
            FID_TRY(groups[group - std::begin(kGroups)], name_group(*group));
        }
        std::string out = groups[0] + '=' + groups[1] + '=' + groups[2];
        while (out.ends_with('=')) out.pop_back();
        return out;
    }

    Result<std::string> name_group(std::string_view within) {
        std::string parts[5];
        for (;;) {
            FID_TRY(const auto event, xml_.next());
            if (event == Event::close && xml_.name == within) break;
            const auto* component = std::find(std::begin(kComponents), std::end(kComponents), xml_.name);
            if (event != Event::open || component == std::end(kComponents)) return xml_.wrong();
            FID_TRY(parts[component - std::begin(kComponents)], text_of(*component));
        }
        std::string out = parts[0];
        for (std::size_t i = 1; i < std::size(parts); ++i) out += '^' + parts[i];
        while (out.ends_with('^')) out.pop_back();
        return out;
    }

    XmlReader xml_;
    std::size_t most_levels_;
};

}  // namespace

Result<std::vector<DocumentElement>> read_native_model(std::string_view xml, std::size_t most_levels) {
    if (xml.starts_with("\xef\xbb\xbf")) xml.remove_prefix(3);
    if (!is_utf8(xml)) return fail(ErrorCode::malformed, "XML that is not UTF-8");
    return ModelReader(xml, most_levels).model();
}

}  // namespace fiducial::dicom::impl
