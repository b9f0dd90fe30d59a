#pragma once
#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "shadow/source.hpp"

namespace fiducial::shadow {

/// What an instance was when it came from an archive.
struct Seen {
    std::string transfer_syntax;
    std::uint64_t bytes = 0;  // of the data set
    Hash data_set_sha256{};
    Hash pixel_sha256{};     // of the value as encoded; zeros without pixel data
    std::string dicom_json;  // every other value
    std::chrono::microseconds took{};
};

/// Fetches an instance, and keeps nothing of it but what comparing needs. `also`, where given, gets each piece as well.
/// Errors: those of Source::fetch; malformed, unsupported, limit_exceeded: what came is no DICOM file
Result<Seen> look_at(Source& source, const ListedInstance& instance, const TakePiece& also = {});

/// Fetches an instance, and looks at it as it is in Explicit VR Little Endian, its frames decoded.
/// Requires: dicom::can_transcode(transfer_syntax, …), in which the archive gives it
/// Errors: those of look_at(), and of dicom::Transcoding
Result<Seen> look_at_decoded(Source& source, const ListedInstance& instance, const std::string& transfer_syntax);

/// How the two archives' copies of one instance compare. Written to a file: values keep their meaning.
enum class Outcome : std::uint8_t {
    not_compared = 0,
    same = 1,            // the same data set, byte for byte
    rewritten = 2,       // the same values and pixels, written anew
    recompressed = 3,    // in another transfer syntax, and not the same pixels: one loses something, or cannot be decoded
    header_changed = 4,  // the same pixels under other values
    pixels_changed = 5,
    gone = 6,          // listed by the old archive, and not given by it
    absent = 7,        // not given here
    unread = 8,        // could not be compared: `detail` says why
    same_picture = 9,  // in another compression: decoded, the same values and pixels
};
inline constexpr std::size_t kOutcomes = 10;
std::string_view text_of(Outcome outcome);
/// Whether somebody has to look at it.
bool is_difference(Outcome outcome);

struct Comparison {
    Outcome outcome = Outcome::not_compared;
    std::string detail;           // which attributes, never what is in them
    bool needs_decoding = false;  // the pixels are in different compressions: compare_decoded() says more
};
Comparison compare(const Seen& old, const Seen& here);

/// What it comes to once both were decoded. `old` and `here` are as they were given, the others as look_at_decoded() saw them.
Comparison compare_decoded(const Seen& old, const Seen& here, const Seen& old_decoded, const Seen& here_decoded);

}  // namespace fiducial::shadow
