#include "dicom/identifier.hpp"

#include <algorithm>
#include <boost/json.hpp>
#include <optional>

#include "base/json.hpp"
#include "dicom/data_set_writer.hpp"
#include "dicom/impl/dicom_json.hpp"
#include "dicom/transfer_syntax.hpp"

namespace fiducial::dicom {
namespace {

namespace json = boost::json;

constexpr std::uint32_t kDeepest = 8;
constexpr std::size_t kMostJsonBytes = 8 * kMostIdentifierBytes;
constexpr std::string_view kUtf8 = "ISO_IR 192";

ScanLimits identifier_limits() {
    ScanLimits limits;
    limits.header_bytes = kMostIdentifierBytes;
    limits.bulk_threshold = kMostIdentifierBytes;  // a list of UIDs may be long
    limits.json_bytes = kMostJsonBytes;
    limits.inflated_bytes = kMostIdentifierBytes;
    limits.depth = kDeepest;
    return limits;
}

std::string text_of(const json::value& value) {
    if (const auto* text = value.if_string()) return std::string(*text);
    if (const auto* name = value.if_object()) {  // of a person
        const auto group = [&](std::string_view which) {
            const auto* text = name->if_contains(which);
            return text != nullptr && text->is_string() ? std::string(text->get_string()) : std::string();
        };
        auto out = group("Alphabetic") + "=" + group("Ideographic") + "=" + group("Phonetic");
        while (out.ends_with('=')) out.pop_back();
        return out;
    }
    return value.is_null() ? std::string() : json::serialize(value);
}

/// Whether anything but universal keys stands in a sequence's items, however deep.
bool asks_for_values(const json::array& items) {
    return std::any_of(items.begin(), items.end(), [](const json::value& item) {
        return item.is_object() && std::any_of(item.get_object().begin(), item.get_object().end(), [](const auto& named) {
                   const auto* values = named.value().is_object() ? named.value().get_object().if_contains("Value") : nullptr;
                   if (values == nullptr || !values->is_array()) return false;
                   const bool is_sequence = named.value().get_object().at("vr").as_string() == "SQ";
                   return is_sequence ? asks_for_values(values->get_array()) : !values->get_array().empty();
               });
    });
}

/// An item of a sequence, of the sequences in it which there are.
Attributes attributes_of(const json::object& item, std::set<Tag>& nested_keys) {
    Attributes out;
    for (const auto& [name, element] : item) {
        const auto tag = parse_tag(name);
        const auto* object = element.if_object();
        if (!tag || object == nullptr) continue;
        if (object->at("vr").as_string() == "SQ") {
            out.set(*tag, {});
            const auto* items = object->if_contains("Value");
            if (items != nullptr && items->is_array() && asks_for_values(items->get_array())) nested_keys.insert(*tag);
            continue;
        }
        std::vector<std::string> texts;
        if (const auto* values = object->if_contains("Value")) {
            for (const auto& value : values->as_array()) texts.push_back(text_of(value));
        }
        out.set(*tag, std::move(texts));
    }
    return out;
}

void take_sequences(Identifier& out, const json::object& data_set) {
    for (const auto& [name, element] : data_set) {
        const auto& object = element.as_object();
        if (object.at("vr").as_string() != "SQ") continue;
        const auto* values = object.if_contains("Value");
        const bool any = values != nullptr && !values->as_array().empty();
        out.items[*parse_tag(name)] = any ? attributes_of(values->as_array().front().as_object(), out.nested_keys) : Attributes();
    }
}

impl::TextKind kind_of(std::string_view vr) {
    if (vr == "PN") return impl::TextKind::person_names;
    return vr == "LT" || vr == "ST" || vr == "UT" ? impl::TextKind::single : impl::TextKind::multi_valued;
}
bool has_character_set(std::string_view vr) {
    return vr == "LO" || vr == "LT" || vr == "PN" || vr == "SH" || vr == "ST" || vr == "UC" || vr == "UT";
}

/// Writes what an identifier holds, in a character set.
class IdentifierWriter {
public:
    IdentifierWriter(const Identifier& identifier, std::string_view transfer_syntax, std::string_view character_set)
        : identifier_(identifier), character_set_(character_set), out_(transfer_syntax != kImplicitVrLittleEndian) {}

    /// Returns: nothing where the character set does not have it all.
    std::optional<Bytes> run() {
        auto item = identifier_.items.begin();
        for (const auto& [tag, values] : identifier_.attributes) {
            for (; item != identifier_.items.end() && item->first < tag; ++item) sequence(item->first, item->second);
            if (tag == tags::kSpecificCharacterSet)
                out_.text(tag, "CS", character_set_);
            else if (!identifier_.items.contains(tag))
                element(tag, values);
        }
        for (; item != identifier_.items.end(); ++item) sequence(item->first, item->second);
        if (!complete_) return std::nullopt;
        return out_.take();
    }

private:
    void sequence(Tag tag, const Attributes& item) {
        if (dictionary_vr(tag) != "SQ") return;  // in Implicit VR nobody could tell that it is one
        out_.begin_sequence(tag);
        if (!item.empty()) {
            out_.begin_item();
            for (const auto& [in_item, values] : item) element(in_item, values);
            out_.end_item();
        }
        out_.end_sequence();
    }

    void element(Tag tag, const std::vector<std::string>& values) {
        const auto vr = dictionary_vr(tag);
        if (vr == "SQ") return sequence(tag, {});
        if (out_.numbers(tag, vr, values)) return;
        std::string joined;
        for (std::size_t i = 0; i < values.size(); ++i) joined += (i == 0 ? "" : "\\") + values[i];
        if (has_character_set(vr)) {
            auto text = impl::from_utf8(joined, character_set_, kind_of(vr));
            complete_ = complete_ && text;
            joined = text.value_or(std::string());
        } else if (!std::all_of(joined.begin(), joined.end(), [](char c) { return static_cast<unsigned char>(c) < 0x80; })) {
            joined.clear();
        }
        static constexpr std::size_t kMostShort = 0xfffe;
        if (joined.size() > kMostShort) joined.clear();
        out_.text(tag, vr, joined);
    }

    const Identifier& identifier_;
    const std::string_view character_set_;
    DataSetWriter out_;
    bool complete_ = true;
};

bool is_plain(const Attributes& attributes) {
    return std::all_of(attributes.begin(), attributes.end(), [](const auto& one) {
        return std::all_of(one.second.begin(), one.second.end(), [](const std::string& value) {
            return std::all_of(value.begin(), value.end(), [](char c) { return static_cast<unsigned char>(c) < 0x80; });
        });
    });
}

/// Reads a data set, and gives what was read to `take`.
template <typename Take>
auto with_data_set(ByteView data_set, std::string_view transfer_syntax, Take&& take)
    -> std::invoke_result_t<Take, const impl::Tokenizer&, impl::JsonWriter&> {
    const auto* syntax = find_transfer_syntax(transfer_syntax);
    if (syntax == nullptr || syntax->deflated || syntax->encapsulated)
        return fail(ErrorCode::unsupported, "an identifier does not come in this transfer syntax");
    if (data_set.size() > kMostIdentifierBytes) return fail(ErrorCode::limit_exceeded, "the identifier is too long");
    const auto limits = identifier_limits();
    impl::Tokenizer tokenizer({syntax->explicit_vr, syntax->big_endian}, limits);
    FID_CHECK(tokenizer.feed(data_set));
    FID_CHECK(tokenizer.finish());
    impl::JsonWriter writer(tokenizer, limits);
    FID_CHECK(writer.run());
    return take(tokenizer, writer);
}

Result<Identifier> decode(ByteView data_set, std::string_view transfer_syntax) {
    return with_data_set(data_set, transfer_syntax, [](const impl::Tokenizer& tokenizer, impl::JsonWriter& writer) -> Result<Identifier> {
        Identifier out;
        out.attributes = writer.attributes();
        for (const auto& element : tokenizer.elements()) {
            if (element.tag == tags::kSpecificCharacterSet)
                out.character_set = impl::character_set_of(as_text(tokenizer.value_of(element)));
        }
        FID_TRY(const auto document, fiducial::json::parse(writer.json(), kMostJsonBytes));
        take_sequences(out, document.as_object());
        if (const auto request = out.items.find(tags::kRequestAttributesSequence); request != out.items.end()) {
            for (const auto& [tag, values] : request->second) out.attributes.erase(tag);  // which are indexed as if they stood above
        }
        return out;
    });
}

}  // namespace

bool is_character_set(std::string_view defined_term) {
    if (defined_term.empty() || defined_term.find('\\') != std::string_view::npos) return false;
    const auto read = impl::to_utf8("\xe9", defined_term, impl::TextKind::multi_valued);
    return read.defect != impl::TextDefect::unknown_character_set;
}

Result<Identifier> decode_identifier(ByteView data_set, std::string_view transfer_syntax, std::string_view default_character_set) {
    FID_TRY(auto read, decode(data_set, transfer_syntax));
    if (!read.character_set.empty() || default_character_set.empty()) return read;
    DataSetWriter named(transfer_syntax != kImplicitVrLittleEndian);
    named.text(tags::kSpecificCharacterSet, "CS", default_character_set);
    auto bytes = named.take();
    append(bytes, data_set);
    return decode(bytes, transfer_syntax);
}

Result<std::string> data_set_json(ByteView data_set, std::string_view transfer_syntax) {
    return with_data_set(data_set, transfer_syntax,
                         [](const impl::Tokenizer&, impl::JsonWriter& writer) -> Result<std::string> { return writer.json(); });
}

Bytes encode_identifier(const Identifier& identifier, std::string_view transfer_syntax) {
    Identifier shown = identifier;
    const bool plain = is_plain(shown.attributes) &&
                       std::all_of(shown.items.begin(), shown.items.end(), [](const auto& item) { return is_plain(item.second); });
    shown.attributes.erase(tags::kSpecificCharacterSet);
    if (!plain || !shown.character_set.empty()) shown.attributes.set(tags::kSpecificCharacterSet, {});
    for (const std::string_view character_set : {std::string_view(shown.character_set), kUtf8}) {
        if (auto written = IdentifierWriter(shown, transfer_syntax, character_set).run()) return *std::move(written);
    }
    FID_INVARIANT(false, "attributes are in UTF-8");
    return {};
}

}  // namespace fiducial::dicom
