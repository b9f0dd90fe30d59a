#pragma once
#include <map>
#include <set>
#include <string>
#include <vector>

#include "base/json.hpp"
#include "dicom/data_set_scanner.hpp"
#include "dicom/impl/text.hpp"
#include "dicom/impl/tokenizer.hpp"

namespace fiducial::dicom::impl {

/// Writes kept elements as a DICOM JSON object, and collects the top-level ones as text.
/// Defects in a value cost that value, with a warning, never the instance. Errors: limit_exceeded (size, nesting).
/// Spec: PS3.18 Annex F.
class JsonWriter {
public:
    JsonWriter(const Tokenizer& source, const ScanLimits& limits);

    Result<void> run();

    std::string json() { return std::move(out_); }
    Attributes attributes() { return std::move(attributes_); }
    std::vector<BulkValue> bulk() { return std::move(bulk_); }
    std::vector<std::string> warnings() { return std::move(warnings_); }

private:
    // What holds for the elements of one item.
    struct Scope {
        Encoding encoding;
        std::string character_set;
        std::uint32_t depth = 0;
        std::string path;                               // "" at the top, else ending in '/'
        std::map<std::uint32_t, std::string> creators;  // group << 8 | block
        std::set<Tag> seen;
        bool first = true;
        bool request_item = false;  // first item of Request Attributes Sequence
    };
    struct Value {
        Tag tag;
        Vr vr;
        Encoding encoding;
        ByteView bytes;
        std::uint64_t offset;
        std::uint64_t length;
        bool present;  // false: the bytes were not kept
        bool encapsulated;
    };

    Result<void> top_level(const TopElement& element, Scope& scope);
    Result<void> element(Value value, Scope& scope);
    Result<void> check_size() const;
    void plain_value(const Value& value, Scope& scope);
    void note_scope(Tag tag, ByteView bytes, Scope& scope);
    Vr resolve(Tag tag, Vr written, const Scope& scope) const;
    Result<std::size_t> sequence(ByteView bytes, bool delimited, std::uint64_t offset, Encoding encoding, const Scope& outer, Tag tag);
    Result<std::size_t> item(ByteView bytes, bool delimited, std::uint64_t offset, Scope scope);
    Result<std::size_t> nested_element(ByteView bytes, std::uint64_t offset, Scope& scope);
    Result<std::size_t> fragments_length(ByteView bytes, bool big_endian) const;
    void open_element(Tag tag, Vr vr, Scope& scope);
    void bulk_value(const Value& value, const Scope& scope);
    void text_value(const Value& value, Scope& scope);
    void number_value(const Value& value, Scope& scope);
    void inline_value(const Value& value);
    void person_names(const std::vector<std::string>& values);
    void decimal(std::string_view text, bool integer);
    void remember(Tag tag, std::vector<std::string> values, const Scope& scope);
    void warn(std::string what);

    const Tokenizer& source_;
    const ScanLimits& limits_;
    bool pixels_signed_ = false;
    std::string out_;
    Attributes attributes_;
    std::vector<BulkValue> bulk_;
    std::vector<std::string> warnings_;
};

/// Specific Character Set as its values joined, each trimmed; "ISO 2022 IR 6" for an empty first value.
std::string character_set_of(std::string_view raw);

/// The values of an element in a DICOM JSON object, by its tag's eight digits. Returns: nullptr where there are none.
const boost::json::array* json_values(const boost::json::object& data_set, std::string_view tag);

}  // namespace fiducial::dicom::impl
