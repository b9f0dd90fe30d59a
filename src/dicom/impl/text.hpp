#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.hpp"

namespace fiducial::dicom::impl {

/// What a conversion could not do as it should.
enum class TextDefect : std::uint8_t {
    none,
    unknown_character_set,  // Specific Character Set holds a term that we do not know
    not_declared,           // bytes beyond ASCII without a character set
    not_convertible,        // bytes that the declared character set does not have
};

struct Converted {
    std::string text;  // always valid UTF-8
    TextDefect defect = TextDefect::none;
};

enum class TextKind : std::uint8_t { single, multi_valued, person_names };

/// Turns text of a data set into UTF-8. What cannot be converted becomes U+FFFD, never an error.
/// Spec: PS3.3 C.12.1.1.2, PS3.5 §6.1, code extensions by ISO 2022 included.
Converted to_utf8(std::string_view raw, std::string_view character_set, TextKind kind);

/// The other way round. Returns: nothing where the character set does not have it all. Requires: UTF-8.
std::optional<std::string> from_utf8(std::string_view text, std::string_view character_set, TextKind kind);

/// Splits at backslashes; each value without its padding. An empty text has no values.
std::vector<std::string> split_values(std::string_view text, bool keep_leading_spaces = false);
std::string_view trim(std::string_view text, bool keep_leading_spaces = false);
/// Appends a JSON string (RFC 8259). Requires: UTF-8.
void append_json_string(std::string& out, std::string_view text);
/// Appends base64 (RFC 4648 §4).
void append_base64(std::string& out, ByteView bytes);
/// Errors: malformed for a character that is none of base64's.
Result<Bytes> decode_base64(std::string_view text);

}  // namespace fiducial::dicom::impl
