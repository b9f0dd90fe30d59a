#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/bytes.hpp"

namespace fiducial::evidence {

inline constexpr std::uint64_t kMaxJsonInteger = (std::uint64_t{1} << 53) - 1;

/// A value of the JSON subset of our signed and hashed documents: printable ASCII strings, integers from 0 to 2^53-1, true,
/// false, arrays, objects. There is exactly one way to write each value.
/// Spec: RFC 8785, restricted as docs/formats/evidence_bundle.md says.
class JsonValue {
public:
    using Array = std::vector<JsonValue>;
    using Object = std::map<std::string, JsonValue, std::less<>>;

    JsonValue() : value_(std::uint64_t{0}) {}
    JsonValue(bool value) : value_(value) {}
    JsonValue(std::uint64_t value) : value_(value) {}  // beyond kMaxJsonInteger: written as a decimal string
    JsonValue(std::string value) : value_(std::move(value)) {}
    JsonValue(std::string_view value) : value_(std::string(value)) {}
    JsonValue(const char* value) : value_(std::string(value)) {}
    JsonValue(Array value) : value_(std::move(value)) {}
    JsonValue(Object value) : value_(std::move(value)) {}
    template <typename Pointer>
    JsonValue(Pointer*) = delete;

    const bool* if_bool() const { return std::get_if<bool>(&value_); }
    const std::uint64_t* if_integer() const { return std::get_if<std::uint64_t>(&value_); }
    const std::string* if_string() const { return std::get_if<std::string>(&value_); }
    const Array* if_array() const { return std::get_if<Array>(&value_); }
    const Object* if_object() const { return std::get_if<Object>(&value_); }

private:
    std::variant<bool, std::uint64_t, std::string, Array, Object> value_;
};

/// Requires: strings and keys hold printable ASCII only (0x20 to 0x7e); anything else is a broken invariant.
std::string write_canonical(const JsonValue& value);

/// Bounds of one document.
struct JsonLimits {
    std::size_t max_bytes = std::size_t{16} << 20;
    std::size_t max_depth = 16;
    std::size_t max_values = 1 << 20;
};
/// Reads a document that is written canonically, to the last byte.
/// Errors: malformed, with the offset, for anything that write_canonical() would have written otherwise (spaces, order of keys,
/// escapes, leading zeros, floats, nulls, duplicate keys, other than ASCII); limit_exceeded beyond the limits.
Result<JsonValue> read_canonical(std::string_view text, const JsonLimits& limits = {});

/// Takes the members of an object one by one, then says whether any was left: keys are exact.
/// Errors: malformed, naming the document's part and the key. Requires: the value outlives the reader.
class ObjectReader {
public:
    static Result<ObjectReader> of(const JsonValue& value, std::string_view part);
    bool has(std::string_view key) const;
    Result<const JsonValue*> take(std::string_view key);
    Result<std::uint64_t> integer(std::string_view key, std::uint64_t max);  // a number, or a decimal string from 2^53 on
    Result<std::string> string(std::string_view key, std::size_t max_size);
    Result<const JsonValue::Array*> array(std::string_view key, std::size_t max_size);
    Result<ObjectReader> object(std::string_view key);
    template <std::size_t N>
    Result<std::array<std::uint8_t, N>> fixed_hex(std::string_view key) {
        FID_TRY(auto bytes, hex(key, N));
        return fixed<N>(bytes, part_ + "." + std::string(key));
    }
    Result<Bytes> hex(std::string_view key, std::size_t max_bytes);  // "0x" and lower-case digits
    Result<void> done() const;
    const std::string& part() const { return part_; }

private:
    ObjectReader(const JsonValue::Object& object, std::string part) : object_(&object), part_(std::move(part)) {}
    const JsonValue::Object* object_;
    std::string part_;
    std::vector<std::string_view> taken_;
};

/// "0x" and lower-case hex digits, an even number. Errors: malformed; limit_exceeded.
Result<Bytes> read_hex(const JsonValue& value, std::size_t max_bytes, std::string_view part);

}  // namespace fiducial::evidence
