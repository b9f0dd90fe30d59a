#include "gateway/impl/hl7_message.hpp"

#include <algorithm>
#include <array>

#include "base/utf8.hpp"

namespace fiducial::gateway::impl {
namespace {

constexpr std::size_t kMostSegments = 1'000, kMostFields = 200;
constexpr char kBegin = 0x0b, kEnd = 0x1c, kReturn = '\r';

std::vector<std::string_view> split(std::string_view text, char separator) {
    std::vector<std::string_view> parts;
    for (;;) {
        const auto end = text.find(separator);
        parts.push_back(text.substr(0, end));
        if (end == std::string_view::npos) return parts;
        text.remove_prefix(end + 1);
    }
}

/// Counted from 1; empty where there are fewer.
std::string_view part(std::string_view text, char separator, std::size_t number) {
    for (; number > 1; --number) {
        const auto end = text.find(separator);
        if (end == std::string_view::npos) return {};
        text.remove_prefix(end + 1);
    }
    return text.substr(0, text.find(separator));
}

std::string_view trimmed(std::string_view text) {
    while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
    while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
    return text;
}

bool is_ascii(std::string_view text) {
    return std::all_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0x80; });
}

std::string from_latin_1(std::string_view text) {
    std::string out;
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        if (byte < 0x80) {
            out += c;
        } else {
            out += static_cast<char>(0xc0 | byte >> 6);
            out += static_cast<char>(0x80 | (byte & 0x3f));
        }
    }
    return out;
}

/// Spec: HL7 table 0211
Result<std::string> to_utf8(std::string_view text, std::string_view character_set) {
    if (character_set.empty() || character_set == "ASCII") {
        if (!is_ascii(text)) return fail(ErrorCode::malformed, "bytes beyond ASCII, and MSH-18 names no other character set");
        return std::string(text);
    }
    if (character_set == "8859/1") return from_latin_1(text);
    if (character_set != "UNICODE UTF-8") return fail(ErrorCode::unsupported, "MSH-18 is none of ASCII, 8859/1, UNICODE UTF-8");
    if (!is_utf8(text)) return fail(ErrorCode::malformed, "MSH-18 says UTF-8, and it is none");
    return std::string(text);
}

bool is_delimiter(char c) {
    return c > 0x20 && c < 0x7f && (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z');
}

}  // namespace

std::string_view Hl7Segment::raw(std::size_t field) const {
    return field == 0 || field > fields_.size() ? std::string_view() : std::string_view(fields_[field - 1]);
}

std::size_t Hl7Segment::repetitions(std::size_t field) const {
    const auto whole = raw(field);
    return whole.empty() ? 0 : static_cast<std::size_t>(std::count(whole.begin(), whole.end(), repetition_)) + 1;
}

/// Escape sequences that are none, or that only format, are left out. Spec: HL7 v2.5.1 §2.7
std::string Hl7Segment::text(std::size_t field, std::size_t component, std::size_t repetition) const {
    const auto found = trimmed(part(part(part(raw(field), repetition_, repetition), component_, component), subcomponent_, 1));
    if (found == "\"\"") return {};  // to be deleted
    std::string out;
    for (std::size_t at = 0; at < found.size(); ++at) {
        if (found[at] != escape_) {
            out += found[at];
            continue;
        }
        const auto end = found.find(escape_, at + 1);
        if (end == std::string_view::npos) break;
        const auto escaped = found.substr(at + 1, end - at - 1);
        if (escaped == "F") out += '|';
        if (escaped == "S") out += component_;
        if (escaped == "T") out += subcomponent_;
        if (escaped == "R") out += repetition_;
        if (escaped == "E") out += escape_;
        if (escaped == ".br") out += ' ';
        at = end;
    }
    return out;
}

const Hl7Segment* Hl7Message::find(std::string_view name) const {
    const auto found = std::find_if(segments.begin(), segments.end(), [&](const Hl7Segment& segment) { return segment.name == name; });
    return found == segments.end() ? nullptr : &*found;
}

Result<Hl7Message> Hl7Message::parse(ByteView bytes) {
    if (bytes.size() > kMostHl7Bytes) return fail(ErrorCode::limit_exceeded, "the message is longer than 1 MiB");
    const auto raw = as_text(bytes);
    constexpr std::size_t kHead = 9;  // MSH|^~\&|
    if (raw.size() < kHead || !raw.starts_with("MSH")) return fail(ErrorCode::malformed, "the message does not begin with MSH");
    const char separator = raw[3];
    const auto encoding = raw.substr(4, 4);
    auto delimiters = std::string(1, separator) + std::string(encoding);
    std::sort(delimiters.begin(), delimiters.end());
    const bool different = std::adjacent_find(delimiters.begin(), delimiters.end()) == delimiters.end();
    if (!different || !std::all_of(delimiters.begin(), delimiters.end(), is_delimiter) || raw[8] != separator)
        return fail(ErrorCode::malformed, "MSH-1 and MSH-2 are not five different delimiters");
    const auto head = split(raw.substr(0, raw.find(kReturn)), separator);
    const auto character_set = head.size() > 17 ? part(head[17], encoding[1], 1) : std::string_view();
    FID_TRY(const auto text, to_utf8(raw, trimmed(character_set)));

    Hl7Message message;
    for (const auto line : split(text, kReturn)) {
        const auto whole = !line.empty() && line.front() == '\n' ? line.substr(1) : line;  // some end segments by both
        if (whole.empty()) continue;
        if (message.segments.size() == kMostSegments) return fail(ErrorCode::limit_exceeded, "the message has more than 1,000 segments");
        auto fields = split(whole, separator);
        if (fields.size() > kMostFields) return fail(ErrorCode::limit_exceeded, "a segment has more than 200 fields");
        Hl7Segment segment;
        segment.name = fields.front().substr(0, 3);
        segment.component_ = encoding[0];
        segment.repetition_ = encoding[1];
        segment.escape_ = encoding[2];
        segment.subcomponent_ = encoding[3];
        if (message.segments.empty()) segment.fields_.emplace_back(1, separator);  // MSH-1 is the separator itself
        segment.fields_.insert(segment.fields_.end(), fields.begin() + 1, fields.end());
        segment.sequence += static_cast<std::size_t>(std::count_if(message.segments.begin(), message.segments.end(),
                                                                   [&](const Hl7Segment& one) { return one.name == segment.name; }));
        message.segments.push_back(std::move(segment));
    }
    return message;
}

std::string encode_hl7_answer(const Hl7Message* message, const Hl7Answer& answer, std::string_view now, std::string_view id) {
    const auto plain = [](std::string text) {  // of what we say, and of what we were told: no delimiter may get into the answer
        std::replace_if(
            text.begin(), text.end(),
            [](char c) { return c < 0x20 || c > 0x7e || std::string_view("|^~\\&").find(c) != std::string_view::npos; }, ' ');
        return text;
    };
    const auto echoed = [&](std::size_t field) { return message == nullptr ? std::string() : plain(message->header().text(field)); };
    const auto event = message == nullptr ? std::string() : plain(message->header().text(9, 2));
    const auto version = message == nullptr || echoed(12).empty() ? std::string("2.5.1") : echoed(12);
    std::string out = "MSH|^~\\&|" + echoed(5) + "|" + echoed(6) + "|" + echoed(3) + "|" + echoed(4) + "|" + std::string(now) + "||ACK";
    if (!event.empty()) out += "^" + event + "^ACK";
    out += "|" + std::string(id) + "|" + (echoed(11).empty() ? "P" : echoed(11)) + "|" + version + "\r";
    out += "MSA|" + std::string(answer.code) + "|" + echoed(10) + "\r";
    if (answer.error.empty()) return out;
    std::string place;
    if (!answer.place.segment.empty()) {
        place = answer.place.segment + "^" + std::to_string(answer.place.sequence);
        if (answer.place.field != 0) place += "^" + std::to_string(answer.place.field);
        if (answer.place.component != 0) place += "^1^" + std::to_string(answer.place.component);
    }
    return out + "ERR||" + place + "|" + std::string(answer.error) + "^^HL70357|E||||" + plain(answer.text) + "\r";
}

Result<void> MllpReader::feed(ByteView bytes) {
    for (const auto byte : bytes) {
        const auto c = static_cast<char>(byte);
        if (!inside_) {
            inside_ = c == kBegin;
            continue;
        }
        if (ending_) {
            ending_ = false;
            if (c == kReturn) {
                whole_.push_back(std::move(current_));
                current_ = {};
                inside_ = false;
                continue;
            }
            current_.push_back(static_cast<std::uint8_t>(kEnd));
        }
        if (c == kEnd) {
            ending_ = true;
            continue;
        }
        if (current_.size() == kMostHl7Bytes) return fail(ErrorCode::limit_exceeded, "the message is longer than 1 MiB");
        current_.push_back(byte);
    }
    return {};
}

bool MllpReader::next(Bytes& out) {
    if (whole_.empty()) return false;
    out = std::move(whole_.front());
    whole_.erase(whole_.begin());
    return true;
}

std::string frame_mllp(std::string_view message) {
    return std::string(1, kBegin) + std::string(message) + kEnd + kReturn;
}

}  // namespace fiducial::gateway::impl
