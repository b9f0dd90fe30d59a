#pragma once
#include <optional>
#include <string>
#include <string_view>

namespace fiducial::dicom::impl {

struct Decoded {
    std::string text;      // UTF-8
    bool known = true;     // false: the character set has a term that we do not know; text is what could be had
    bool complete = true;  // false: some bytes became U+FFFD
};

/// Decodes text by the values of Specific Character Set, code extensions (ISO 2022) included. iconv of the C library has the
/// tables; DCMTK's own converter cannot be used for it, since on glibc it knows neither IR 87 nor IR 159.
/// `delimiters`: characters that switch back to the first character set, beside the control characters that always do.
/// Spec: PS3.3 C.12.1.1.2, PS3.5 §6.1.2.
Decoded decode_text(std::string_view raw, std::string_view character_set, std::string_view delimiters);

/// The other way round: text in UTF-8 in a character set; with code extensions the first of its terms that has a character is used for it,
/// and before a delimiter or control character all is as at the beginning.
/// Returns: nothing where the set does not have all the characters, or is not known.
/// Spec: PS3.5 §6.1.2.4, §6.1.2.5. Requires: UTF-8.
std::optional<std::string> encode_text(std::string_view text, std::string_view character_set, std::string_view delimiters);

}  // namespace fiducial::dicom::impl
