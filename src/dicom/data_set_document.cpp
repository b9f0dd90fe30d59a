#include "dicom/data_set_document.hpp"

#include <algorithm>
#include <boost/json.hpp>
#include <charconv>
#include <cmath>
#include <optional>

#include "base/json.hpp"
#include "dicom/data_set_writer.hpp"
#include "dicom/impl/document_element.hpp"
#include "dicom/impl/text.hpp"
#include "dicom/impl/tokenizer.hpp"

namespace fiducial::dicom {

namespace {

namespace json = boost::json;
using impl::DocumentElement;
using Elements = std::vector<DocumentElement>;

constexpr std::size_t kMostLevels = 64;
constexpr Tag kAvailableTransferSyntax = 0x00083002;

tl::unexpected<Error> wrong(Tag tag, std::string_view what) {
    return fail(ErrorCode::malformed, tag_name(tag) + ": " + std::string(what));
}

bool is_left_out(Tag tag) {
    return group_of(tag) <= 2 || group_of(tag) == 0xfffe || element_of(tag) == 0 || tag == kAvailableTransferSyntax ||
           tag == tags::kSpecificCharacterSet;
}

bool is_ascii(std::string_view text) {
    return std::all_of(text.begin(), text.end(), [](unsigned char c) { return c < 0x80; });
}

/// A number as DS takes it: of at most 16 characters.
std::string decimal(double number) {
    char text[32];
    auto end = std::to_chars(std::begin(text), std::end(text), number).ptr;
    for (int digits = 15; end - text > 16 && digits > 0; --digits)
        end = std::to_chars(std::begin(text), std::end(text), number, std::chars_format::general, digits).ptr;
    return {text, end};
}

/// Of a VR whose values are binary numbers; 0 for others.
std::size_t number_bytes(std::string_view vr) {
    if (vr == "US" || vr == "SS") return 2;
    if (vr == "UL" || vr == "SL" || vr == "FL" || vr == "AT") return 4;
    return vr == "UV" || vr == "SV" || vr == "FD" ? 8 : 0;
}

std::optional<std::string> text_of(const json::value& value, std::string_view vr) {
    if (value.is_null()) return std::string();
    if (value.is_string()) return std::string(value.get_string());
    if (value.is_int64()) return std::to_string(value.get_int64());
    if (value.is_uint64()) return std::to_string(value.get_uint64());
    if (value.is_double() && std::isfinite(value.get_double())) return decimal(value.get_double());
    if (!value.is_object() || vr != "PN") return std::nullopt;
    std::string name, separators;
    for (const auto* group : {"Alphabetic", "Ideographic", "Phonetic"}) {
        const auto* part = value.get_object().if_contains(group);
        if (part != nullptr && !part->is_string()) return std::nullopt;
        if (part != nullptr && !part->get_string().empty()) {
            name += separators + std::string(part->get_string());
            separators.clear();
        }
        separators += '=';
    }
    return name;
}

Result<Elements> elements_of(const json::object& object, std::size_t level);

Result<void> read_values(const json::array& values, DocumentElement& out, std::size_t level) {
    for (const auto& value : values) {
        if (out.vr == "SQ") {
            if (!value.is_object() && !value.is_null()) return wrong(out.tag, "an item that is no object");
            FID_TRY(auto item, value.is_null() ? Elements() : elements_of(value.get_object(), level + 1));
            out.items.push_back(std::move(item));
            continue;
        }
        auto text = text_of(value, out.vr);
        if (!text) return wrong(out.tag, "a value of a kind that its VR does not have");
        out.texts.push_back(*std::move(text));
    }
    return {};
}

Result<DocumentElement> element_of_json(Tag tag, const json::value& value, std::size_t level) {
    DocumentElement out;
    out.tag = tag;
    const auto* object = value.if_object();
    const auto* vr = object != nullptr ? object->if_contains("vr") : nullptr;
    if (vr == nullptr || !vr->is_string()) return wrong(tag, "without a VR");
    out.vr = vr->get_string();
    const auto* values = object->if_contains("Value");
    const auto* inlined = object->if_contains("InlineBinary");
    const auto* uri = object->if_contains("BulkDataURI");
    if ((values != nullptr) + (inlined != nullptr) + (uri != nullptr) > 1) return wrong(tag, "with more than one kind of value");
    if (values != nullptr) {
        if (!values->is_array()) return wrong(tag, "values that are no array");
        FID_CHECK(read_values(values->get_array(), out, level));
    } else if (inlined != nullptr) {
        if (!inlined->is_string()) return wrong(tag, "an inline value that is no text");
        FID_TRY(out.binary, impl::decode_base64(inlined->get_string()));
    } else if (uri != nullptr) {
        if (!uri->is_string() || uri->get_string().empty()) return wrong(tag, "an address that is none");
        out.uri = uri->get_string();
    }
    return out;
}

Result<Elements> elements_of(const json::object& object, std::size_t level) {
    if (level > kMostLevels) return fail(ErrorCode::limit_exceeded, "sequences are nested too deep");
    Elements out;
    out.reserve(object.size());
    for (const auto& [name, value] : object) {
        const auto tag = name.size() == 8 ? parse_tag(name) : std::nullopt;
        if (!tag) return fail(ErrorCode::malformed, "an attribute whose name is no tag of eight digits");
        FID_TRY(auto element, element_of_json(*tag, value, level));
        out.push_back(std::move(element));
    }
    return out;
}

/// Puts elements into order, and checks what does not depend on bulk data. Sets `plain` to false where a text is not ASCII.
Result<void> check(Elements& elements, bool& plain) {
    std::erase_if(elements, [](const DocumentElement& one) { return is_left_out(one.tag); });
    std::stable_sort(elements.begin(), elements.end(), [](const auto& a, const auto& b) { return a.tag < b.tag; });
    const DocumentElement* before = nullptr;
    for (auto& element : elements) {
        if (before != nullptr && before->tag == element.tag) return wrong(element.tag, "twice");
        before = &element;
        const auto vr = impl::Vr::of(element.vr);
        if (element.vr.size() != 2 || !impl::is_known_vr(vr)) return wrong(element.tag, "a VR that there is not");
        const bool binary = element.vr[0] == 'O' || element.vr == "UN";
        if (!element.texts.empty() && binary) return wrong(element.tag, "values where its VR has bytes");
        if (!element.items.empty() && element.vr != "SQ") return wrong(element.tag, "items where its VR has none");
        if (!element.binary.empty() && element.vr == "SQ") return wrong(element.tag, "bytes where its VR has items");
        if (!element.uri.empty() && element.vr == "SQ") return wrong(element.tag, "an address in place of items");
        for (const auto& text : element.texts) plain = plain && is_ascii(text);
        for (auto& item : element.items) FID_CHECK(check(item, plain));
    }
    return {};
}

class Writer {
public:
    Writer(DataSetWriter& out, const DataSetDocument::Find& find) : out_(out), find_(find) {}

    Result<void> element(const DocumentElement& element) {
        if (element.vr == "SQ") return sequence(element);
        if (!element.uri.empty()) {
            const auto* value = find_(element.uri);
            if (value == nullptr) return wrong(element.tag, "what its BulkDataURI names did not come");
            return binary(element, *value);
        }
        if (!element.binary.empty()) return binary(element, element.binary);
        return texts(element);
    }

private:
    static bool has_short_length(std::string_view vr) { return impl::has_short_length(impl::Vr::of(vr)); }

    Result<void> sequence(const DocumentElement& element) {
        out_.begin_sequence(element.tag);
        for (const auto& item : element.items) {
            out_.begin_item();
            for (const auto& one : item) FID_CHECK(this->element(one));
            out_.end_item();
        }
        out_.end_sequence();
        return {};
    }

    Result<void> binary(const DocumentElement& element, const Bytes& value) {
        if (has_short_length(element.vr) ? value.size() > 0xfffe : value.size() >= 0xfffffffe)
            return wrong(element.tag, "a value that is too long for its VR");
        if (element.vr[0] == 'O' || element.vr == "UN" || number_bytes(element.vr) != 0) {
            out_.binary(element.tag, element.vr, value);
        } else {
            out_.text(element.tag, element.vr, as_text(value));
        }
        return {};
    }

    Result<void> texts(const DocumentElement& element) {
        if (const auto width = number_bytes(element.vr)) return numbers(element, width);
        std::string joined;
        for (const auto& text : element.texts) {
            if (&text != &element.texts.front()) joined += '\\';
            joined += text;
        }
        if (has_short_length(element.vr) && joined.size() > 0xfffe) return wrong(element.tag, "a value that is too long for its VR");
        if (element.vr[0] == 'O' || element.vr == "UN") {
            out_.binary(element.tag, element.vr, {});
        } else {
            out_.text(element.tag, element.vr, joined);
        }
        return {};
    }

    Result<void> numbers(const DocumentElement& element, std::size_t width) {
        auto texts = element.texts;
        std::erase(texts, "");
        if (texts.size() * width > 0xfffe) return wrong(element.tag, "more values than its VR can hold");
        const auto had = out_.bytes().size();
        out_.numbers(element.tag, element.vr, texts);
        const auto head = has_short_length(element.vr) ? 8u : 12u;
        if (out_.bytes().size() != had + head + texts.size() * width) return wrong(element.tag, "a value that is no number of its VR");
        return {};
    }

    DataSetWriter& out_;
    const DataSetDocument::Find& find_;
};

void find_references(const Elements& elements, Tag top, std::vector<DataSetDocument::Reference>& out) {
    for (const auto& element : elements) {
        if (!element.uri.empty()) out.push_back({top != 0 ? top : element.tag, element.uri, top != 0});
        for (const auto& item : element.items) find_references(item, top != 0 ? top : element.tag, out);
    }
}

Result<Elements> checked(Elements elements) {
    bool plain = true;
    FID_CHECK(check(elements, plain));
    if (plain) return elements;
    DocumentElement utf8;
    utf8.tag = tags::kSpecificCharacterSet;
    utf8.vr = "CS";
    utf8.texts.emplace_back("ISO_IR 192");
    const auto place = std::find_if(elements.begin(), elements.end(), [&](const auto& one) { return one.tag > utf8.tag; });
    elements.insert(place, std::move(utf8));
    return elements;
}

}  // namespace

DataSetDocument::DataSetDocument(std::vector<impl::DocumentElement> elements) : elements_(std::move(elements)) {
    find_references(elements_, 0, references_);
}
DataSetDocument::DataSetDocument(DataSetDocument&&) noexcept = default;
DataSetDocument& DataSetDocument::operator=(DataSetDocument&&) noexcept = default;
DataSetDocument::~DataSetDocument() = default;

Result<std::vector<DataSetDocument>> DataSetDocument::read_json(std::string_view text) {
    FID_TRY(const auto parsed, fiducial::json::parse(text, kMostBytes));
    std::vector<DataSetDocument> out;
    const auto add = [&](const json::value& value) -> Result<void> {
        if (!value.is_object()) return fail(ErrorCode::malformed, "DICOM JSON is an array of objects");
        FID_TRY(auto elements, elements_of(value.get_object(), 0));
        FID_TRY(elements, checked(std::move(elements)));
        out.push_back(DataSetDocument(std::move(elements)));
        return {};
    };
    if (!parsed.is_array()) {
        FID_CHECK(add(parsed));
        return out;
    }
    for (const auto& value : parsed.get_array()) FID_CHECK(add(value));
    return out;
}

Result<DataSetDocument> DataSetDocument::read_xml(std::string_view text) {
    if (text.size() > kMostBytes) return fail(ErrorCode::limit_exceeded, "a document that is too long");
    FID_TRY(auto elements, impl::read_native_model(text, kMostLevels));
    FID_TRY(elements, checked(std::move(elements)));
    return DataSetDocument(std::move(elements));
}

const impl::DocumentElement* DataSetDocument::find_element(Tag tag) const {
    const auto found =
        std::lower_bound(elements_.begin(), elements_.end(), tag, [](const auto& one, Tag wanted) { return one.tag < wanted; });
    return found != elements_.end() && found->tag == tag ? &*found : nullptr;
}

std::string_view DataSetDocument::first(Tag tag) const {
    const auto* element = find_element(tag);
    return element == nullptr || element->texts.empty() ? std::string_view() : impl::trim(element->texts.front());
}

std::string_view DataSetDocument::vr(Tag tag) const {
    const auto* element = find_element(tag);
    return element == nullptr ? std::string_view() : std::string_view(element->vr);
}

Result<void> DataSetDocument::write(Bytes& out, Tag from, Tag before, const Find& find) const {
    DataSetWriter written;
    Writer writer(written, find);
    for (const auto& element : elements_) {
        if (element.tag >= from && element.tag < before) FID_CHECK(writer.element(element));
    }
    append(out, written.bytes());
    return {};
}

}  // namespace fiducial::dicom
