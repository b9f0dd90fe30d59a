#pragma once
#include <chrono>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.hpp"
#include "dicom/attributes.hpp"

namespace fiducial::dicom {

/// One key of a query, ready to be compared with what attributes hold.
/// Spec:     PS3.4 §C.2.2.2, PS3.18 §8.3.4.1: single value, list, wildcard, range, universal. The attribute's row in query_attributes()
/// says
///           which of them it takes; an attribute that is not there is compared as its VR wants.
/// Choices:  Identifiers and codes compare as they are written, texts and names without regard to case and accents. '?' is one character.
///           A name without '=' may be in any component group. A time that leaves out seconds stands for all of that minute.
///           Values listed with a backslash are alternatives (what no string may hold); so are those with commas for UIDs and codes.
class Matcher {
public:
    /// fuzzy: for names; each word asked for begins one of the name's words, in any order and group.
    /// Errors: malformed for what is no date, time, number or UID; limit_exceeded beyond kLongest bytes a value or kMostAlternatives
    /// values.
    ///         The messages say what was wanted and hold nothing of the value.
    static Result<Matcher> compile(Tag tag, std::string_view wanted, bool fuzzy = false);

    Tag tag() const { return tag_; }
    Matching matching() const { return matching_; }
    /// Whether everything fits, an attribute that is not there as well.
    bool is_universal() const { return alternatives_.empty(); }
    bool matches(std::span<const std::string> values) const;

    /// One value or pattern, in the form in which the attribute is compared.
    struct Alternative {
        enum class Kind : std::uint8_t { value, pattern, range, words };
        Kind kind = Kind::value;
        std::string text;      // value, or pattern with * and ?
        std::string from, to;  // of a range, both inclusive; empty: open
        std::vector<std::string> words;
    };
    /// What an index may narrow by. None where it is universal.
    std::span<const Alternative> alternatives() const { return alternatives_; }

    /// The same of dates, a day more at both ends: in another timezone it may be the day before or after.
    Matcher a_day_wider() const;

    static constexpr std::size_t kLongest = 1'024;
    static constexpr std::size_t kMostAlternatives = 2'000;

private:
    Matcher(Tag tag, Matching matching) : tag_(tag), matching_(matching) {}
    Result<Alternative> compile_one(std::string_view text, bool fuzzy) const;
    bool fits(const std::string& value) const;

    Tag tag_;
    Matching matching_;
    bool wildcards_ = true;
    bool decimal_ = false;
    std::vector<Alternative> alternatives_;
};

/// A range of dates and one of times over the same moments: from the first date at the first time to the last date at the last time.
/// Spec: PS3.4 §C.2.2.2.5.4 (combined date-time matching). Requires: both are ranges.
class DateTimeMatcher {
public:
    /// Returns: nothing where the two are not a date and a time that belong together, or not both ranges.
    static std::optional<DateTimeMatcher> combine(const Matcher& date, const Matcher& time);
    Tag time_tag() const { return time_; }
    /// A day without a time fits where any moment of it does.
    bool matches(const Attributes& attributes) const;

private:
    Tag date_ = 0, time_ = 0;
    std::string from_, to_;  // YYYYMMDDHHMMSS.FFFFFF, empty: open
};

/// Keys of a query, all of which have to fit.
class Criteria {
public:
    void add(Matcher key);
    /// Where both a date and its time are ranges, they are one range of moments from here on.
    void combine_moments();
    /// The keys' dates and times stand in that timezone: what a row says is compared as the clock showed it there. A date without a time is
    /// that day everywhere, and so is a birth date. After combine_moments. Spec: PS3.4 §C.2.2.2.5
    void in_timezone(std::chrono::minutes utc_offset);
    std::span<const Matcher> keys() const { return keys_; }
    const Matcher* find(Tag tag) const;
    /// Whether what is asked of this level fits. Keys of other levels are not looked at.
    /// utc_offset: the row's own, Timezone Offset From UTC (0008,0201) of its study; where it is none, this machine's timezone counts.
    bool fit(QueryLevel level, const Attributes& attributes, std::string_view utc_offset = {}) const;
    bool asks_of(QueryLevel level) const;

private:
    std::vector<Matcher> keys_;
    std::vector<DateTimeMatcher> moments_;
    std::optional<std::chrono::minutes> utc_offset_;
    std::vector<Matcher> clocked_;  // dates and times that stand in it
};

/// What no instance holds: modalities in a study, numbers of related series and instances.
std::span<const QueryAttribute> computed_query_attributes();
/// The row of an attribute, computed or not; one made up from the dictionary's VR, at instance level, where the table has none.
QueryAttribute describe_query_attribute(Tag tag);

/// '*' any characters, '?' one. Requires: UTF-8.
bool matches_wildcards(std::string_view text, std::string_view pattern);

}  // namespace fiducial::dicom
