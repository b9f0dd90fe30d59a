#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.hpp"
#include "base/result.hpp"

// Messages of HL7 version 2 in their vertical-bar encoding. Spec: HL7 v2.5.1 chapter 2; MLLP, release 1
namespace fiducial::gateway::impl {

inline constexpr std::size_t kMostHl7Bytes = std::size_t{1} << 20;

/// Where something stands, as errors name it: "PID" 1, field 5, repetition 1, component 2; zeros where it ends earlier.
struct Hl7Place {
    std::string segment;
    std::size_t sequence = 1;  // counted from 1 among segments of this name
    std::size_t field = 0, component = 0;
};

/// One segment. Fields, repetitions, components and subcomponents are counted from 1 as the standard does; what is not there is empty.
class Hl7Segment {
public:
    std::string name;
    std::size_t sequence = 1;  // among those of its name

    std::size_t repetitions(std::size_t field) const;
    /// The first subcomponent, its escape sequences undone.
    std::string text(std::size_t field, std::size_t component = 1, std::size_t repetition = 1) const;
    /// The field as it stands.
    std::string_view raw(std::size_t field) const;
    Hl7Place place(std::size_t field, std::size_t component = 0) const { return {name, sequence, field, component}; }

private:
    friend struct Hl7Message;
    std::vector<std::string> fields_;  // [0] is field 1
    char component_ = '^', repetition_ = '~', escape_ = '\\', subcomponent_ = '&';
};

struct Hl7Message {
    std::vector<Hl7Segment> segments;  // the first is MSH

    /// Reads a message without its frame, in UTF-8 or ISO 8859-1 as MSH-18 says (empty: ASCII).
    /// Errors: malformed: no MSH, delimiters that are none; bytes that the character set does not have. unsupported: another character set.
    /// limit_exceeded: more than kMostHl7Bytes, 1,000 segments, or 200 fields in one.
    static Result<Hl7Message> parse(ByteView bytes);
    const Hl7Segment& header() const { return segments.front(); }
    /// Returns: the first of this name, or nullptr.
    const Hl7Segment* find(std::string_view name) const;
};

/// What of a message is answered with, in the message's own character set. Spec: HL7 v2.5.1 §2.9.2, §2.15.5 (ERR), §2.15.8 (MSA)
struct Hl7Answer {
    std::string_view code = "AA";  // AA: done; AE: it could not be, and will not be like this; AR: refused, or try again later
    std::string_view error;        // of table 0357, for ERR-3; empty: none
    Hl7Place place;                // of what is wrong; no segment: of nothing in particular
    std::string text;              // for people, plain characters without a patient's name
};
/// `message`: null where it could not even be read. `now`: YYYYMMDDHHMMSS. `id`: of the answer, for its MSH-10.
std::string encode_hl7_answer(const Hl7Message* message, const Hl7Answer& answer, std::string_view now, std::string_view id);

/// Takes messages out of what comes by MLLP: <VT> message <FS><CR>. What stands before a <VT> is skipped.
class MllpReader {
public:
    /// Errors: limit_exceeded: a message of more than kMostHl7Bytes; nothing more can be read then.
    Result<void> feed(ByteView bytes);
    /// The next whole message. Returns: false where there is none yet.
    bool next(Bytes& out);
    /// Nothing of a message has come yet.
    bool at_rest() const { return !inside_ && whole_.empty(); }

private:
    bool inside_ = false, ending_ = false;
    Bytes current_;
    std::vector<Bytes> whole_;
};
std::string frame_mllp(std::string_view message);

}  // namespace fiducial::gateway::impl
