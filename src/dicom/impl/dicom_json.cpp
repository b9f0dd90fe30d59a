#include "dicom/impl/dicom_json.hpp"

#include <algorithm>
#include <bit>
#include <boost/json.hpp>
#include <charconv>
#include <cmath>

namespace fiducial::dicom::impl {
namespace {

constexpr std::size_t kInlineBinary = 4096;  // longer binary values are named by BulkDataURI
constexpr std::size_t kMaxWarnings = 50;

bool is_text(Vr vr) {
    static constexpr std::string_view kList = "AE AS CS DA DS DT IS LO LT PN SH ST TM UC UI UR UT ";
    for (std::size_t i = 0; i < kList.size(); i += 3) {
        if (vr == kList.substr(i, 2)) return true;
    }
    return false;
}
bool is_converted(Vr vr) {
    return vr == "LO" || vr == "LT" || vr == "PN" || vr == "SH" || vr == "ST" || vr == "UC" || vr == "UT";
}
bool is_single(Vr vr) {
    return vr == "LT" || vr == "ST" || vr == "UT" || vr == "UR";
}

// Bytes of one value of a binary number; 0 for other VRs.
std::size_t number_size(Vr vr) {
    if (vr == "US" || vr == "SS") return 2;
    if (vr == "UL" || vr == "SL" || vr == "FL" || vr == "AT") return 4;
    if (vr == "FD" || vr == "SV" || vr == "UV") return 8;
    return 0;
}
// Bytes that change places between byte orders in a binary stream.
std::size_t word_size(Vr vr) {
    if (vr == "OW") return 2;
    if (vr == "OF" || vr == "OL") return 4;
    if (vr == "OD" || vr == "OV") return 8;
    return 1;
}

template <typename Number>
std::string shortest(Number value) {
    char buffer[40];
    const auto end = std::to_chars(std::begin(buffer), std::end(buffer), value).ptr;
    return {std::begin(buffer), end};
}

template <typename Float>
std::string float_text(Float value) {
    if (std::isnan(value)) return "NaN";
    if (std::isinf(value)) return value < 0 ? "-inf" : "inf";
    return shortest(value);
}

std::uint64_t read_u64(const std::uint8_t* at, bool big_endian) {
    const std::uint64_t a = read_u32(at, big_endian), b = read_u32(at + 4, big_endian);
    return big_endian ? (a << 32) | b : (b << 32) | a;
}

std::string number_text(Vr vr, const std::uint8_t* at, bool be) {
    if (vr == "US") return std::to_string(read_u16(at, be));
    if (vr == "SS") return std::to_string(static_cast<std::int16_t>(read_u16(at, be)));
    if (vr == "UL") return std::to_string(read_u32(at, be));
    if (vr == "SL") return std::to_string(static_cast<std::int32_t>(read_u32(at, be)));
    if (vr == "FL") return float_text(std::bit_cast<float>(read_u32(at, be)));
    if (vr == "FD") return float_text(std::bit_cast<double>(read_u64(at, be)));
    if (vr == "SV") return std::to_string(static_cast<std::int64_t>(read_u64(at, be)));
    if (vr == "UV") return std::to_string(read_u64(at, be));
    return tag_text(make_tag(read_u16(at, be), read_u16(at + 2, be)));  // AT
}

// Spec: RFC 8259 §6. Turns what DICOM lets pass ("+1", "007", ".5", "5.") into a JSON number; empty where it is none.
std::string json_number(std::string_view text, bool integer) {
    std::string out;
    std::size_t at = 0;
    const auto digit = [&] { return at < text.size() && text[at] >= '0' && text[at] <= '9'; };
    if (at < text.size() && (text[at] == '+' || text[at] == '-')) out += text[at++] == '-' ? "-" : "";
    std::string whole;
    while (digit()) whole += text[at++];
    bool any = !whole.empty();
    whole.erase(0, std::min(whole.find_first_not_of('0'), whole.size()));
    out += whole.empty() ? "0" : whole;
    if (!integer && at < text.size() && text[at] == '.') {
        ++at;
        std::string fraction;
        while (digit()) fraction += text[at++];
        any = any || !fraction.empty();
        if (!fraction.empty()) out += "." + fraction;
    }
    if (!integer && any && at < text.size() && (text[at] == 'e' || text[at] == 'E')) {
        out += 'e';
        ++at;
        if (at < text.size() && (text[at] == '+' || text[at] == '-')) out += text[at++];
        if (!digit()) return {};
        while (digit()) out += text[at++];
    }
    return any && at == text.size() && text.size() <= 64 ? out : std::string{};
}

}  // namespace

std::string character_set_of(std::string_view raw) {
    std::string out;
    bool later = false;
    for (const auto& value : split_values(raw)) {
        if (later) out += '\\';
        out += value;
        later = true;
    }
    return out;
}

JsonWriter::JsonWriter(const Tokenizer& source, const ScanLimits& limits) : source_(source), limits_(limits) {}

void JsonWriter::warn(std::string what) {
    if (warnings_.size() < kMaxWarnings && std::find(warnings_.begin(), warnings_.end(), what) == warnings_.end())
        warnings_.push_back(std::move(what));
}

Result<void> JsonWriter::run() {
    std::vector<const TopElement*> order;
    order.reserve(source_.elements().size());
    for (const auto& element : source_.elements()) order.push_back(&element);
    std::stable_sort(order.begin(), order.end(), [](const TopElement* a, const TopElement* b) { return a->tag < b->tag; });
    Scope scope;
    scope.encoding = source_.encoding();
    for (const auto* element : order) {
        if (element->tag != 0x00280103 || element->length < 2 || element->kept == kNotKept) continue;
        pixels_signed_ = read_u16(source_.value_of(*element).data(), scope.encoding.big_endian && !(element->vr == "UN")) == 1;
    }
    out_ += '{';
    for (const auto* element : order) FID_CHECK(top_level(*element, scope));
    out_ += '}';
    std::sort(bulk_.begin(), bulk_.end(), [](const BulkValue& a, const BulkValue& b) { return a.offset < b.offset; });
    return {};
}

Vr JsonWriter::resolve(Tag tag, Vr written, const Scope& scope) const {
    Vr vr = written;
    if (vr == "UN" || !scope.encoding.explicit_vr) {
        if (is_private(tag) && element_of(tag) >= 0x1000) {
            const auto creator = scope.creators.find((std::uint32_t{group_of(tag)} << 8) | (element_of(tag) >> 8));
            vr = creator == scope.creators.end() ? Vr{} : private_vr(tag, creator->second);
        } else {
            vr = standard_vr(tag);
        }
    } else if (!is_known_vr(vr)) {
        return Vr{};
    }
    if (vr == "xs") return Vr::of(pixels_signed_ ? "SS" : "US");
    if (vr == "ox" || vr == "lt") return Vr::of("OW");
    return vr;
}

// Values that change how others of the same item are read.
void JsonWriter::note_scope(Tag tag, ByteView bytes, Scope& scope) {
    if (tag == tags::kSpecificCharacterSet) scope.character_set = character_set_of(as_text(bytes));
    if (is_private(tag) && element_of(tag) >= 0x10 && element_of(tag) <= 0xff && bytes.size() <= 64) {
        scope.creators[(std::uint32_t{group_of(tag)} << 8) | element_of(tag)] = std::string(trim(as_text(bytes)));
    }
}

Result<void> JsonWriter::top_level(const TopElement& top, Scope& scope) {
    const auto kept = source_.value_of(top);
    const Vr vr = resolve(top.tag, top.vr, scope);
    const bool fragments = top.undefined_length && !(top.vr == "SQ" || top.vr == "UN");
    const Encoding value_encoding = top.vr == "UN" && scope.encoding.explicit_vr ? Encoding{false, false} : scope.encoding;
    if (!(vr == "SQ" || (top.undefined_length && !fragments))) {
        return element(Value{top.tag, vr, value_encoding, kept, top.offset, top.length, top.kept != kNotKept, fragments}, scope);
    }
    if (top.kept == kNotKept) return element(Value{top.tag, Vr{}, value_encoding, {}, top.offset, top.length, false, false}, scope);
    if (!scope.seen.insert(top.tag).second) {
        warn(tag_name(top.tag) + " occurs more than once; the first one counts");
        return {};
    }
    const auto json_before = out_.size();
    const auto bulk_before = bulk_.size();
    const bool first_before = scope.first;
    open_element(top.tag, Vr::of("SQ"), scope);
    auto read = sequence(kept, false, top.offset, value_encoding, scope, top.tag);
    if (read) {
        out_ += '}';
        return {};
    }
    if (read.error().code == ErrorCode::limit_exceeded) return fail(read.error());
    warn(tag_name(top.tag) + " is a sequence that cannot be read: " + read.error().message);
    out_.resize(json_before);
    bulk_.resize(bulk_before);
    scope.first = first_before;
    open_element(top.tag, Vr::of("SQ"), scope);
    out_ += '}';
    return {};
}

void JsonWriter::open_element(Tag tag, Vr vr, Scope& scope) {
    if (!scope.first) out_ += ',';
    scope.first = false;
    out_ += '"';
    out_ += tag_text(tag);
    out_ += R"(":{"vr":")";
    out_ += vr.view();
    out_ += '"';
}

Result<void> JsonWriter::element(Value value, Scope& scope) {
    if (element_of(value.tag) == 0 || value.tag == 0xfffcfffc) return {};  // group lengths and padding say nothing
    if (!scope.seen.insert(value.tag).second) {
        warn(tag_name(value.tag) + " occurs more than once; the first one counts");
        return {};
    }
    if (value.present) note_scope(value.tag, value.bytes, scope);
    open_element(value.tag, value.vr, scope);
    plain_value(value, scope);
    out_ += '}';
    return check_size();
}

Result<void> JsonWriter::check_size() const {
    if (out_.size() > limits_.json_bytes)
        return fail(ErrorCode::limit_exceeded, "the attributes as JSON are larger than " + std::to_string(limits_.json_bytes) + " bytes");
    return {};
}

// Values longer than the bulk threshold stay where they are, at every depth: what is made of one value is bounded by it.
void JsonWriter::plain_value(const Value& value, Scope& scope) {
    const bool binary = !is_text(value.vr) && number_size(value.vr) == 0;
    if (!value.present || value.encapsulated || value.length > (binary ? kInlineBinary : limits_.bulk_threshold)) {
        bulk_value(value, scope);
    } else if (is_text(value.vr)) {
        text_value(value, scope);
    } else if (number_size(value.vr) != 0) {
        number_value(value, scope);
    } else if (value.length != 0) {
        inline_value(value);
    }
}

void JsonWriter::bulk_value(const Value& value, const Scope& scope) {
    BulkValue bulk{scope.path + tag_text(value.tag), std::string(value.vr.view()), value.offset, value.length};
    out_ += R"(,"BulkDataURI":"bulk/)" + bulk.path + '"';
    bulk_.push_back(std::move(bulk));
}

void JsonWriter::inline_value(const Value& value) {
    out_ += R"(,"InlineBinary":")";
    const auto word = word_size(value.vr);
    if (value.encoding.big_endian && word > 1) {  // JSON carries little endian
        Bytes swapped = to_bytes(value.bytes);
        for (std::size_t i = 0; i + word <= swapped.size(); i += word)
            std::reverse(swapped.begin() + static_cast<std::ptrdiff_t>(i), swapped.begin() + static_cast<std::ptrdiff_t>(i + word));
        append_base64(out_, swapped);
    } else {
        append_base64(out_, value.bytes);
    }
    out_ += '"';
}

void JsonWriter::remember(Tag tag, std::vector<std::string> values, const Scope& scope) {
    if (scope.depth == 0 || (scope.request_item && (tag == 0x00400009 || tag == 0x00401001) && !attributes_.has(tag)))
        attributes_.set(tag, std::move(values));
}

void JsonWriter::number_value(const Value& value, Scope& scope) {
    const auto size = number_size(value.vr);
    if (value.bytes.size() % size != 0) warn(tag_name(value.tag) + " has a length that is no multiple of its values' size");
    std::vector<std::string> texts;
    for (std::size_t i = 0; i + size <= value.bytes.size(); i += size)
        texts.push_back(number_text(value.vr, value.bytes.data() + i, value.encoding.big_endian));
    if (!texts.empty()) {
        out_ += R"(,"Value":[)";
        for (std::size_t i = 0; i < texts.size(); ++i) {
            if (i != 0) out_ += ',';
            const bool quoted = value.vr == "AT" || texts[i].find_first_of("nN") != std::string::npos ||
                                ((value.vr == "SV" || value.vr == "UV") && texts[i].size() > 15);
            if (quoted) out_ += '"';
            out_ += texts[i];
            if (quoted) out_ += '"';
        }
        out_ += ']';
    }
    remember(value.tag, std::move(texts), scope);
}

void JsonWriter::decimal(std::string_view text, bool integer) {
    auto number = json_number(text, integer);
    if (!number.empty() && !(integer && number.size() > 15)) {
        out_ += number;
    } else {
        append_json_string(out_, text);
    }
}

void JsonWriter::person_names(const std::vector<std::string>& values) {
    for (std::size_t i = 0; i < values.size(); ++i) {
        if (i != 0) out_ += ',';
        const auto name = split_person_name(values[i]);
        bool first = true;
        const auto group = [&](std::string_view label, const std::string& text) {
            if (text.empty()) return;
            out_ += first ? "{\"" : ",\"";
            first = false;
            out_ += label;
            out_ += "\":";
            append_json_string(out_, text);
        };
        group("Alphabetic", name.alphabetic);
        group("Ideographic", name.ideographic);
        group("Phonetic", name.phonetic);
        out_ += first ? "null" : "}";
    }
}

void JsonWriter::text_value(const Value& value, Scope& scope) {
    const auto raw = as_text(value.bytes);
    const bool single = is_single(value.vr);
    Converted converted;
    if (is_converted(value.vr)) {
        converted = to_utf8(raw, scope.character_set,
                            single             ? TextKind::single
                            : value.vr == "PN" ? TextKind::person_names
                                               : TextKind::multi_valued);
    } else {
        converted = to_utf8(raw, "ISO_IR 6", TextKind::multi_valued);
    }
    if (converted.defect == TextDefect::unknown_character_set) warn("the character set of " + tag_name(value.tag) + " is not known");
    if (converted.defect == TextDefect::not_declared)
        warn(tag_name(value.tag) + " holds characters beyond ASCII without a character set that has them");
    if (converted.defect == TextDefect::not_convertible)
        warn(tag_name(value.tag) + " holds characters that its character set does not have");

    std::vector<std::string> values;
    if (single) {
        const auto text = trim(converted.text, true);
        if (!text.empty()) values.emplace_back(text);
    } else {
        values = split_values(converted.text, value.vr == "UC");
    }
    if (value.tag == tags::kSpecificCharacterSet && !values.empty()) values = {"ISO_IR 192"};  // what JSON and Attributes are in
    if (!values.empty()) {
        out_ += R"(,"Value":[)";
        if (value.vr == "PN") {
            person_names(values);
        } else {
            for (std::size_t i = 0; i < values.size(); ++i) {
                if (i != 0) out_ += ',';
                if (values[i].empty()) {
                    out_ += "null";
                } else if (value.vr == "DS" || value.vr == "IS") {
                    decimal(values[i], value.vr == "IS");
                } else {
                    append_json_string(out_, values[i]);
                }
            }
        }
        out_ += ']';
    }
    remember(value.tag, std::move(values), scope);
}

// Returns: bytes taken. `delimited`: a delimiter ends the sequence, else the end of bytes does.
Result<std::size_t> JsonWriter::sequence(ByteView bytes, bool delimited, std::uint64_t offset, Encoding encoding, const Scope& outer,
                                         Tag tag) {
    if (outer.depth + 1 > limits_.depth)
        return fail(ErrorCode::limit_exceeded, tag_name(tag) + " is nested deeper than " + std::to_string(limits_.depth) + " sequences");
    std::size_t at = 0, items = 0;
    for (;;) {
        if (at == bytes.size() && !delimited) break;
        if (bytes.size() - at < 8) return fail(ErrorCode::malformed, "it ends inside the head of an item");
        const auto head = read_head(bytes.subspan(at, 8), Encoding{false, encoding.big_endian});
        if (head.tag == kSequenceDelimiter) {
            at += 8;
            if (!delimited && at != bytes.size()) return fail(ErrorCode::malformed, "something follows its delimiter");
            break;
        }
        if (head.tag != kItem) return fail(ErrorCode::malformed, "it holds " + tag_name(head.tag) + " where an item should be");
        at += 8;
        const bool open = head.length == kUndefinedLength;
        if (!open && head.length > bytes.size() - at) return fail(ErrorCode::malformed, "an item is longer than what holds it");
        Scope inner;
        inner.encoding = encoding;
        inner.character_set = outer.character_set;
        inner.depth = outer.depth + 1;
        inner.path = outer.path + tag_text(tag) + "/" + std::to_string(items) + "/";
        inner.request_item = outer.depth == 0 && tag == tags::kRequestAttributesSequence && items == 0;
        out_ += items == 0 ? R"(,"Value":[)" : ",";
        FID_CHECK(check_size());
        FID_TRY(const std::size_t taken,
                item(open ? bytes.subspan(at) : bytes.subspan(at, head.length), open, offset + at, std::move(inner)));
        at += taken;
        ++items;
    }
    if (items != 0) out_ += ']';
    return at;
}

Result<std::size_t> JsonWriter::item(ByteView bytes, bool delimited, std::uint64_t offset, Scope scope) {
    out_ += '{';
    std::size_t at = 0;
    for (;;) {
        if (at == bytes.size() && !delimited) break;
        if (bytes.size() - at < 8) return fail(ErrorCode::malformed, "it ends inside the head of an element");
        if (delimited && make_tag(read_u16(bytes.data() + at, scope.encoding.big_endian),
                                  read_u16(bytes.data() + at + 2, scope.encoding.big_endian)) == kItemDelimiter) {
            at += 8;
            break;
        }
        FID_TRY(const std::size_t taken, nested_element(bytes.subspan(at), offset + at, scope));
        FID_CHECK(check_size());
        at += taken;
    }
    out_ += '}';
    return at;
}

Result<std::size_t> JsonWriter::nested_element(ByteView bytes, std::uint64_t offset, Scope& scope) {
    auto size = head_size(bytes.first(8), scope.encoding);
    if (!size) return fail(size.error());
    if (bytes.size() < *size) return fail(ErrorCode::malformed, "it ends inside the head of an element");
    const auto head = read_head(bytes.first(*size), scope.encoding);
    if (group_of(head.tag) == 0xfffe) return fail(ErrorCode::malformed, "it holds " + tag_name(head.tag) + " where an element should be");
    const auto rest = bytes.subspan(*size);
    const auto value_offset = offset + *size;
    const bool open = head.length == kUndefinedLength;
    if (!open && head.length > rest.size()) return fail(ErrorCode::malformed, tag_name(head.tag) + " is longer than what holds it");
    const bool unknown = head.vr == "UN" && scope.encoding.explicit_vr;
    const Encoding value_encoding = unknown ? Encoding{false, false} : scope.encoding;
    const Vr vr = resolve(head.tag, head.vr, scope);
    const bool fragments = open && (head.vr == "OB" || head.vr == "OW" || head.vr == "ox");
    if (fragments) {
        FID_TRY(const std::size_t length, fragments_length(rest, scope.encoding.big_endian));
        FID_CHECK(element(Value{head.tag, vr, value_encoding, {}, value_offset, length, false, true}, scope));
        return *size + length + 8;
    }
    if (open && !(head.vr == "SQ" || head.vr == "UN"))
        return fail(ErrorCode::malformed, tag_name(head.tag) + " has a length that is not defined");
    if (open || vr == "SQ") {
        const bool again = !scope.seen.insert(head.tag).second;
        if (again) return fail(ErrorCode::malformed, tag_name(head.tag) + " occurs twice in an item");
        open_element(head.tag, Vr::of("SQ"), scope);
        FID_TRY(const std::size_t taken,
                sequence(open ? rest : rest.first(head.length), open, value_offset, value_encoding, scope, head.tag));
        out_ += '}';
        return *size + taken;
    }
    FID_CHECK(element(Value{head.tag, vr, value_encoding, rest.first(head.length), value_offset, head.length, true, false}, scope));
    return *size + head.length;
}

// Returns: length of the fragments with their heads, without the delimiter.
Result<std::size_t> JsonWriter::fragments_length(ByteView bytes, bool big_endian) const {
    for (std::size_t at = 0;;) {
        if (bytes.size() - at < 8) return fail(ErrorCode::malformed, "it ends between fragments");
        const auto head = read_head(bytes.subspan(at, 8), Encoding{false, big_endian});
        if (head.tag == kSequenceDelimiter) return at;
        if (head.tag != kItem || head.length > bytes.size() - at - 8) return fail(ErrorCode::malformed, "its fragments do not add up");
        at += 8 + std::size_t{head.length};
    }
}

const boost::json::array* json_values(const boost::json::object& data_set, std::string_view tag) {
    const auto* element = data_set.if_contains(tag);
    const auto* object = element != nullptr ? element->if_object() : nullptr;
    const auto* values = object != nullptr ? object->if_contains("Value") : nullptr;
    return values != nullptr ? values->if_array() : nullptr;
}

}  // namespace fiducial::dicom::impl
