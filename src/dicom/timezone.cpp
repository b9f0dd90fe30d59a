#include "dicom/timezone.hpp"

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <ctime>

namespace fiducial::dicom {
namespace {

using std::chrono::minutes;

constexpr minutes kLeast{-12 * 60}, kMost{14 * 60};

int number(std::string_view digits) {
    int value = 0;
    std::from_chars(digits.data(), digits.data() + digits.size(), value);
    return value;
}

std::string in_digits(long long value, int width) {
    std::string text(24, '\0');
    text.resize(static_cast<std::size_t>(std::snprintf(text.data(), text.size(), "%0*lld", width, value)));
    return text;
}

std::optional<std::chrono::local_days> day_of(std::string_view date) {
    const std::chrono::year_month_day day{std::chrono::year(number(date.substr(0, 4))),
                                          std::chrono::month(static_cast<unsigned>(number(date.substr(4, 2)))),
                                          std::chrono::day(static_cast<unsigned>(number(date.substr(6, 2))))};
    if (!day.ok()) return std::nullopt;
    return std::chrono::local_days(day);
}

}  // namespace

std::optional<minutes> parse_utc_offset(std::string_view text) {
    while (text.ends_with(' ')) text.remove_suffix(1);
    if (text.size() != 5 || (text[0] != '+' && text[0] != '-')) return std::nullopt;
    if (!std::all_of(text.begin() + 1, text.end(), [](char c) { return c >= '0' && c <= '9'; })) return std::nullopt;
    const int in_hour = number(text.substr(3, 2));
    if (in_hour > 59) return std::nullopt;
    const minutes ahead(number(text.substr(1, 2)) * 60 + in_hour);
    const auto offset = text[0] == '-' ? -ahead : ahead;
    if (offset < kLeast || offset > kMost) return std::nullopt;
    return offset;
}

LocalDateTime moved(const LocalDateTime& at, minutes ahead) {
    if (at.date.size() != 8 || at.time.size() < 6) return at;
    const auto day = day_of(at.date);
    if (!day) return at;
    // Seconds and what follows them stay, a leap second too.
    const auto clock = *day + std::chrono::hours(number(at.time.substr(0, 2))) + minutes(number(at.time.substr(2, 2))) + ahead;
    const auto midnight = std::chrono::floor<std::chrono::days>(clock);
    const std::chrono::year_month_day date(midnight);
    const auto in_day = clock - midnight;
    return {in_digits(static_cast<int>(date.year()), 4) + in_digits(static_cast<unsigned>(date.month()), 2) +
                in_digits(static_cast<unsigned>(date.day()), 2),
            in_digits(in_day / std::chrono::hours(1), 2) + in_digits(in_day % std::chrono::hours(1) / minutes(1), 2) + at.time.substr(4)};
}

minutes local_utc_offset(const LocalDateTime& at) {
    std::tm local{};
    local.tm_year = number(std::string_view(at.date).substr(0, 4)) - 1900;
    local.tm_mon = number(std::string_view(at.date).substr(4, 2)) - 1;
    local.tm_mday = number(std::string_view(at.date).substr(6, 2));
    local.tm_hour = number(std::string_view(at.time).substr(0, 2));
    local.tm_min = number(std::string_view(at.time).substr(2, 2));
    local.tm_isdst = -1;
    std::mktime(&local);
    return minutes(local.tm_gmtoff / 60);
}

}  // namespace fiducial::dicom
