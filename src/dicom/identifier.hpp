#pragma once
#include <map>
#include <set>
#include <string>
#include <string_view>

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "dicom/attributes.hpp"

namespace fiducial::dicom {

/// The data set that stands beside a C-FIND, C-GET or C-MOVE: what is asked for, or what was found.
/// Spec: PS3.4 §C.4.1.1.3, §C.4.2.1.4
struct Identifier {
    Attributes attributes;            // UTF-8; a key without values is universal
    std::map<Tag, Attributes> items;  // sequences: the first item, none in it where there is none; a sequence in it is there without values
    std::set<Tag> nested_keys;        // of those in items, the ones that ask for a value
    std::string character_set;        // Specific Character Set as it came; empty: ASCII
};

/// Reads an identifier. Defects in a value cost that value.
/// Errors: malformed, unsupported (transfer syntax), limit_exceeded: more than kMostIdentifierBytes, or nested too deep
/// default_character_set: of one that names none, a defined term of (0008,0005); empty: ASCII
Result<Identifier> decode_identifier(ByteView data_set, std::string_view transfer_syntax, std::string_view default_character_set = {});
/// Whether text can be read in this character set alone. Spec: PS3.3 tables C.12-2, C.12-5
bool is_character_set(std::string_view defined_term);
inline constexpr std::size_t kMostIdentifierBytes = std::size_t{1} << 20;

/// A data set of the same kinds and bounds as a DICOM JSON object. Spec: PS3.18 Annex F
Result<std::string> data_set_json(ByteView data_set, std::string_view transfer_syntax);

/// Writes an identifier in Explicit or Implicit VR Little Endian. In its character set where that has all of the text, else in UTF-8
/// (ISO_IR 192); which of them is said in it, where there is more than ASCII or a character set was asked for. Values that their VR cannot
/// say are left empty, sequences that the dictionary does not know left out.
/// Requires: transfer_syntax is one of these two
Bytes encode_identifier(const Identifier& identifier, std::string_view transfer_syntax);

}  // namespace fiducial::dicom
