#include "dicom/matching.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>

#include "dicom/timezone.hpp"

namespace fiducial::dicom {
namespace {

constexpr std::string_view kStartOfDay = "000000.000000";
constexpr std::string_view kEndOfDay = "235960.999999";  // with a leap second

constexpr Tag kBirthTime = 0x00100032;

// Attributes whose ranges are of the same moments.
constexpr std::array<std::pair<Tag, Tag>, 8> kDateAndTime{{
    {tags::kStudyDate, tags::kStudyTime},
    {0x00080021, 0x00080031},  // series
    {0x00400244, 0x00400245},  // performed procedure step start
    {0x00400002, 0x00400003},  // scheduled procedure step start
    {0x00400004, 0x00400005},  // its end
    {0x00080022, 0x00080032},  // acquisition
    {0x00080023, 0x00080033},  // content
    {tags::kPatientBirthDate, kBirthTime},
}};

constexpr std::array kComputed = {
    QueryAttribute{tags::kModalitiesInStudy, "ModalitiesInStudy", "CS", QueryLevel::study, Matching::exact, true, true, false},
    QueryAttribute{tags::kStudyRelatedSeries, "NumberOfStudyRelatedSeries", "IS", QueryLevel::study, Matching::number, false, false, false},
    QueryAttribute{tags::kStudyRelatedInstances, "NumberOfStudyRelatedInstances", "IS", QueryLevel::study, Matching::number, false, false,
                   false},
    QueryAttribute{tags::kSeriesRelatedInstances, "NumberOfSeriesRelatedInstances", "IS", QueryLevel::series, Matching::number, false,
                   false, false},
};

std::string_view trimmed(std::string_view text) {
    while (!text.empty() && (text.back() == ' ' || text.back() == '\0')) text.remove_suffix(1);
    while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
    return text;
}

std::size_t length_of_character(std::string_view text, std::size_t at) {
    std::size_t end = at + 1;
    while (end < text.size() && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) ++end;
    return end - at;
}

bool is_decimal(std::string_view vr) {
    return vr == "DS" || vr == "FL" || vr == "FD";
}

Matching matching_of(std::string_view vr) {
    if (vr == "UI") return Matching::uid;
    if (vr == "PN") return Matching::person_name;
    if (vr == "DA") return Matching::date;
    if (vr == "TM") return Matching::time;
    if (vr == "IS" || vr == "US" || vr == "SS" || vr == "UL" || vr == "SL" || vr == "UV" || vr == "SV") return Matching::number;
    if (vr == "LO" || vr == "SH" || vr == "ST" || vr == "LT" || vr == "UT" || vr == "UC") return Matching::text;
    return Matching::exact;
}

std::vector<std::string_view> split(std::string_view text, std::string_view separators) {
    std::vector<std::string_view> parts;
    for (;;) {
        const auto end = text.find_first_of(separators);
        parts.push_back(text.substr(0, end));
        if (end == std::string_view::npos) return parts;
        text.remove_prefix(end + 1);
    }
}

std::vector<std::string_view> words_of(std::string_view text) {
    auto words = split(text, " =*?");
    std::erase_if(words, [](std::string_view word) { return word.empty(); });
    return words;
}

std::optional<long long> integer(std::string_view text) {
    text = trimmed(text);
    if (text.starts_with('+')) text.remove_prefix(1);
    long long value = 0;
    const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (problem != std::errc{} || end != text.data() + text.size()) return std::nullopt;
    return value;
}

std::optional<double> decimal(std::string_view text) {
    text = trimmed(text);
    if (text.starts_with('+')) text.remove_prefix(1);
    double value = 0;
    const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (problem != std::errc{} || end != text.data() + text.size()) return std::nullopt;
    return value;
}

bool is_uid(std::string_view text) {
    return !text.empty() && text.size() <= 64 && text.find_first_not_of("0123456789.") == std::string_view::npos;
}

/// The last moment that a time stands for: a minute's last microsecond where seconds are left out.
Result<std::string> last_moment(std::string_view text, const std::string& normal) {
    std::string digits(trimmed(text));
    std::erase(digits, ':');
    const auto given = digits.size() > 7 ? digits.size() - 1 : digits.size();  // without the point
    if (given == 2) return normal.substr(0, 2) + "5960.999999";
    if (given == 4) return normal.substr(0, 4) + "60.999999";
    if (given == 6) return normal.substr(0, 6) + ".999999";
    return normal.substr(0, 1 + given) + std::string(12 - given, '9');
}

/// A date or time, or a range of them with '-'.
Result<Matcher::Alternative> compile_range(std::string_view text, bool is_time) {
    const std::string_view what = is_time ? "a time HHMMSS or a range of them" : "a date YYYYMMDD or a range of them";
    const auto wrong = [&] { return fail(ErrorCode::malformed, "wanted is " + std::string(what)); };
    const auto normal = [&](std::string_view one) { return is_time ? normalise_time(one) : normalise_date(one); };
    Matcher::Alternative out;
    out.kind = Matcher::Alternative::Kind::range;
    text = trimmed(text);
    auto first = text, last = text;
    if (const auto whole = normal(text); !whole) {  // an old date has dashes of its own
        const auto dash = text.find('-');
        if (dash == std::string_view::npos || text.size() == 1) return wrong();
        first = trimmed(text.substr(0, dash));
        last = trimmed(text.substr(dash + 1));
    }
    if (!first.empty()) {
        const auto from = normal(first);
        if (!from) return wrong();
        out.from = *from;
    }
    if (!last.empty()) {
        const auto to = normal(last);
        if (!to) return wrong();
        out.to = *to;
        if (is_time) {
            FID_TRY(out.to, last_moment(last, *to));
        }
    }
    return out;
}

bool in_range(const std::string& value, const Matcher::Alternative& range) {
    return (range.from.empty() || value >= range.from) && (range.to.empty() || value <= range.to);
}

bool name_fits(const std::string& name, const Matcher::Alternative& wanted) {
    const auto one = [&](std::string_view group, std::string_view pattern) {
        return wanted.kind == Matcher::Alternative::Kind::pattern ? matches_wildcards(group, pattern) : group == pattern;
    };
    const auto groups = split(name, "=");
    const auto asked = split(wanted.text, "=");
    if (asked.size() == 1) return std::any_of(groups.begin(), groups.end(), [&](auto group) { return one(group, asked[0]); });
    for (std::size_t i = 0; i < asked.size(); ++i) {
        if (!asked[i].empty() && !one(i < groups.size() ? groups[i] : std::string_view(), asked[i])) return false;
    }
    return true;
}

bool has_words(const std::string& name, const std::vector<std::string>& wanted) {
    const auto words = words_of(name);
    return std::all_of(wanted.begin(), wanted.end(), [&](const std::string& word) {
        return std::any_of(words.begin(), words.end(), [&](std::string_view had) { return had.starts_with(word); });
    });
}

}  // namespace

std::span<const QueryAttribute> computed_query_attributes() {
    return kComputed;
}

QueryAttribute describe_query_attribute(Tag tag) {
    if (const auto* known = find_query_attribute(tag)) return *known;
    for (const auto& row : kComputed) {
        if (row.tag == tag) return row;
    }
    const auto vr = dictionary_vr(tag);
    return {tag, {}, vr, QueryLevel::instance, matching_of(vr), true, false, false};
}

bool matches_wildcards(std::string_view text, std::string_view pattern) {
    std::size_t t = 0, p = 0, star = std::string_view::npos, back = 0;
    while (t < text.size()) {
        if (p < pattern.size() && pattern[p] == '*') {
            star = p++;
            back = t;
        } else if (p < pattern.size() && pattern[p] == '?') {
            t += length_of_character(text, t);
            ++p;
        } else if (p < pattern.size() && pattern[p] == text[t]) {
            ++t, ++p;
        } else if (star != std::string_view::npos) {
            p = star + 1;
            back += length_of_character(text, back);
            t = back;
        } else {
            return false;
        }
    }
    while (p < pattern.size() && pattern[p] == '*') ++p;
    return p == pattern.size();
}

Result<Matcher> Matcher::compile(Tag tag, std::string_view wanted, bool fuzzy) {
    const auto attribute = describe_query_attribute(tag);
    Matcher out(tag, attribute.matching);
    out.decimal_ = is_decimal(attribute.vr);
    out.wildcards_ = !out.decimal_ && attribute.vr != "AS";
    if (trimmed(wanted).empty()) return out;
    const bool commas = attribute.matching == Matching::uid || attribute.matching == Matching::number || attribute.vr == "CS";
    const auto parts = split(wanted, commas ? "\\," : "\\");
    if (parts.size() > kMostAlternatives)
        return fail(ErrorCode::limit_exceeded, "a list has at most " + std::to_string(kMostAlternatives) + " values");
    for (const auto part : parts) {
        FID_TRY(auto one, out.compile_one(part, fuzzy));
        const bool everything = one.kind == Alternative::Kind::pattern && one.text.find_first_not_of('*') == std::string::npos;
        if (everything || (one.kind == Alternative::Kind::words && one.words.empty())) {
            out.alternatives_.clear();
            return out;
        }
        out.alternatives_.push_back(std::move(one));
    }
    return out;
}

Result<Matcher::Alternative> Matcher::compile_one(std::string_view text, bool fuzzy) const {
    if (text.size() > kLongest) return fail(ErrorCode::limit_exceeded, "a value has at most " + std::to_string(kLongest) + " bytes");
    Alternative out;
    const auto normal = [&](std::string value) {
        out.text = std::move(value);
        if (wildcards_ && out.text.find_first_of("*?") != std::string::npos) out.kind = Alternative::Kind::pattern;
    };
    switch (matching_) {
        case Matching::date: return compile_range(text, false);
        case Matching::time: return compile_range(text, true);
        case Matching::number: {
            const auto number = integer(text);
            if (!number) return fail(ErrorCode::malformed, "wanted is an integer");
            out.text = std::to_string(*number);
            return out;
        }
        case Matching::uid:
            if (!is_uid(trimmed(text))) return fail(ErrorCode::malformed, "wanted is a UID or a list of them");
            out.text = trimmed(text);
            return out;
        case Matching::exact:
            if (decimal_ && !decimal(text)) return fail(ErrorCode::malformed, "wanted is a number");
            normal(std::string(trimmed(text)));
            return out;
        case Matching::text: normal(normalise_text(text)); return out;
        case Matching::person_name:
            normal(normalise_person_name(text));
            if (fuzzy) {
                out.kind = Alternative::Kind::words;
                for (const auto word : words_of(out.text)) out.words.emplace_back(word);
            }
            return out;
    }
    return fail(ErrorCode::internal, "a way of matching that there is not");
}

bool Matcher::fits(const std::string& value) const {
    const auto any = [&](const auto& fits_one) { return std::any_of(alternatives_.begin(), alternatives_.end(), fits_one); };
    const auto as_text = [&](const std::string& text) {
        return any(
            [&](const Alternative& a) { return a.kind == Alternative::Kind::pattern ? matches_wildcards(text, a.text) : text == a.text; });
    };
    switch (matching_) {
        case Matching::date: {
            const auto date = normalise_date(value);
            return date && any([&](const Alternative& a) { return in_range(*date, a); });
        }
        case Matching::time: {
            const auto time = normalise_time(value);
            return time && any([&](const Alternative& a) { return in_range(*time, a); });
        }
        case Matching::number: {
            const auto number = integer(value);
            return number && as_text(std::to_string(*number));
        }
        case Matching::uid: return as_text(std::string(trimmed(value)));
        case Matching::exact:
            if (decimal_) {
                const auto number = decimal(value);
                return number && any([&](const Alternative& a) { return decimal(a.text) == number; });
            }
            return as_text(std::string(trimmed(value)));
        case Matching::text: return as_text(normalise_text(value));
        case Matching::person_name: {
            const auto name = normalise_person_name(value);
            return any(
                [&](const Alternative& a) { return a.kind == Alternative::Kind::words ? has_words(name, a.words) : name_fits(name, a); });
        }
    }
    return false;
}

bool Matcher::matches(std::span<const std::string> values) const {
    if (is_universal()) return true;
    return std::any_of(values.begin(), values.end(), [&](const std::string& value) { return fits(value); });
}

Matcher Matcher::a_day_wider() const {
    auto out = *this;
    for (auto& one : out.alternatives_) {
        if (!one.from.empty()) one.from = moved({one.from, std::string(kStartOfDay)}, -std::chrono::days(1)).date;
        if (!one.to.empty()) one.to = moved({one.to, std::string(kStartOfDay)}, std::chrono::days(1)).date;
    }
    return out;
}

std::optional<DateTimeMatcher> DateTimeMatcher::combine(const Matcher& date, const Matcher& time) {
    const bool belong = std::find(kDateAndTime.begin(), kDateAndTime.end(), std::pair(date.tag(), time.tag())) != kDateAndTime.end();
    if (!belong || date.alternatives().size() != 1 || time.alternatives().size() != 1) return std::nullopt;
    const auto& days = date.alternatives().front();
    const auto& times = time.alternatives().front();
    if (days.from == days.to) return std::nullopt;  // one day: both by themselves say the same
    DateTimeMatcher out;
    out.date_ = date.tag();
    out.time_ = time.tag();
    if (!days.from.empty()) out.from_ = days.from + (times.from.empty() ? std::string(kStartOfDay) : times.from);
    if (!days.to.empty()) out.to_ = days.to + (times.to.empty() ? std::string(kEndOfDay) : times.to);
    return out;
}

bool DateTimeMatcher::matches(const Attributes& attributes) const {
    const auto date = normalise_date(attributes.first(date_));
    if (!date) return false;
    const auto time = normalise_time(attributes.first(time_));
    const auto earliest = *date + time.value_or(std::string(kStartOfDay));
    const auto latest = *date + time.value_or(std::string(kEndOfDay));
    return (from_.empty() || latest >= from_) && (to_.empty() || earliest <= to_);
}

namespace {

/// Whether a date or time is another one in another timezone.
bool moves(Tag tag, Tag std::pair<Tag, Tag>::*member) {
    if (tag == tags::kPatientBirthDate || tag == kBirthTime) return false;
    return std::any_of(kDateAndTime.begin(), kDateAndTime.end(), [&](const auto& pair) { return pair.*member == tag; });
}

/// Dates and times that have each other, in the timezone `to`; the rest as it is. from: none is this machine's.
Attributes as_clocks_showed(const Attributes& row, std::optional<std::chrono::minutes> from, std::chrono::minutes to) {
    auto out = row;
    for (const auto& [date_tag, time_tag] : kDateAndTime) {
        if (!moves(date_tag, &std::pair<Tag, Tag>::first)) continue;
        const auto date = normalise_date(row.first(date_tag)), time = normalise_time(row.first(time_tag));
        if (!date || !time) continue;
        const LocalDateTime at{*date, *time};
        const auto there = moved(at, to - (from ? *from : local_utc_offset(at)));
        out.set(date_tag, {there.date});
        out.set(time_tag, {there.time});
    }
    return out;
}

}  // namespace

void Criteria::add(Matcher key) {
    keys_.push_back(std::move(key));
}

void Criteria::combine_moments() {
    for (const auto& date : keys_) {
        for (const auto& time : keys_) {
            if (auto both = DateTimeMatcher::combine(date, time)) moments_.push_back(*std::move(both));
        }
    }
    // The days still narrow; the hours hold for the first and the last of them only.
    std::erase_if(keys_, [&](const Matcher& key) {
        return std::any_of(moments_.begin(), moments_.end(), [&](const auto& moment) { return moment.time_tag() == key.tag(); });
    });
}

const Matcher* Criteria::find(Tag tag) const {
    const auto found = std::find_if(keys_.begin(), keys_.end(), [tag](const Matcher& key) { return key.tag() == tag; });
    return found == keys_.end() ? nullptr : &*found;
}

void Criteria::in_timezone(std::chrono::minutes utc_offset) {
    utc_offset_ = utc_offset;
    std::vector<Matcher> keys;
    for (auto& key : keys_) {
        const bool is_date = moves(key.tag(), &std::pair<Tag, Tag>::first), is_time = moves(key.tag(), &std::pair<Tag, Tag>::second);
        if (is_date || is_time) clocked_.push_back(key);
        if (!is_time) keys.push_back(is_date ? key.a_day_wider() : std::move(key));
    }
    keys_ = std::move(keys);
}

bool Criteria::fit(QueryLevel level, const Attributes& attributes, std::string_view utc_offset) const {
    const auto fits = [&](const std::vector<Matcher>& keys, const Attributes& row) {
        return std::all_of(keys.begin(), keys.end(), [&](const Matcher& key) {
            return describe_query_attribute(key.tag()).level != level || key.matches(row.all(key.tag()));
        });
    };
    const auto moments_fit = [&](const Attributes& row) {
        return std::all_of(moments_.begin(), moments_.end(), [&](const DateTimeMatcher& moment) {
            return describe_query_attribute(moment.time_tag()).level != level || moment.matches(row);
        });
    };
    if (!fits(keys_, attributes)) return false;
    if (!utc_offset_) return moments_fit(attributes);
    const auto there = as_clocks_showed(attributes, parse_utc_offset(utc_offset), *utc_offset_);
    return fits(clocked_, there) && moments_fit(there);
}

bool Criteria::asks_of(QueryLevel level) const {
    const auto asks = [&](const Matcher& key) { return !key.is_universal() && describe_query_attribute(key.tag()).level == level; };
    return std::any_of(keys_.begin(), keys_.end(), asks) || std::any_of(clocked_.begin(), clocked_.end(), asks);
}

}  // namespace fiducial::dicom
