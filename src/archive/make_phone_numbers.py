"""Writes phone_numbers.cpp from libphonenumber's metadata, as the npm package libphonenumber-js brings them:
python3 make_phone_numbers.py node_modules/libphonenumber-js/metadata.min.json > phone_numbers.cpp"""
import json
import sys

DIGIT = "[0-9]"
PATTERN, LEADING_DIGITS, TYPES = 2, 10, 11  # places in a country's list


def lengths_of(kind):
    return f"(?={'|'.join(f'{DIGIT}{{{length}}}$' for length in kind[1])})" if len(kind) > 1 and kind[1] else ""


def pattern_of(country, is_main):
    """Countries that share a calling code name the patterns of their kinds of numbers, of which one must fit, too; and some, what their numbers begin with (but the main one, which is tried last)."""
    described = metadata["countries"][country]
    kinds = [lengths_of(kind) + f"(?:{kind[0]})" for kind in (described[TYPES] if len(described) > TYPES and described[TYPES] else []) if kind]
    leading = described[LEADING_DIGITS] if len(described) > LEADING_DIGITS and described[LEADING_DIGITS] else ""
    begins = f"(?=(?:{leading}))" if leading and not is_main else ""
    return f"{begins}(?=(?:{described[PATTERN]})$)(?:{'|'.join(kinds)})" if kinds else f"{begins}(?:{described[PATTERN]})" if begins else described[PATTERN]


metadata = json.load(open(sys.argv[1]))
patterns = {}
for calling_code, countries in metadata["country_calling_codes"].items():
    patterns[calling_code] = [pattern_of(country, country == countries[0]) for country in countries]
for calling_code, described in metadata["nonGeographic"].items():
    patterns[calling_code] = [described[PATTERN]]

print('''// Made by make_phone_numbers.py from libphonenumber's metadata (Apache-2.0), which libphonenumber-js brings in a compact form.
#include "archive/phone_numbers.hpp"

#include <algorithm>
#include <array>

namespace fiducial::archive {
namespace {

struct CallingCode {
    std::string_view code, pattern;
};

// clang-format off''')
print(f"constexpr std::array<CallingCode, {len(patterns)}> kCallingCodes{{{{")
for calling_code in sorted(patterns):
    unique = list(dict.fromkeys(patterns[calling_code]))
    pattern = unique[0] if len(unique) == 1 else "|".join(f"(?:{one})" for one in unique)
    print(f'    {{"{calling_code}", R"re({pattern})re"}},')
print('''}};
// clang-format on

}  // namespace

std::string_view national_number_pattern(std::string_view calling_code) {
    const auto place = std::lower_bound(kCallingCodes.begin(), kCallingCodes.end(), calling_code,
                                        [](const CallingCode& one, std::string_view code) { return one.code < code; });
    return place != kCallingCodes.end() && place->code == calling_code ? place->pattern : std::string_view();
}

}  // namespace fiducial::archive''')
