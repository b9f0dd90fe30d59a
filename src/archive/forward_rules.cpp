#include "archive/forward_rules.hpp"

#include <algorithm>
#include <sstream>

namespace fiducial::archive {
namespace {

constexpr std::string_view kDoor = "dimse ";

std::vector<std::string> split(std::string_view text) {
    std::vector<std::string> out;
    for (;;) {
        const auto comma = text.find(',');
        out.emplace_back(text.substr(0, comma));
        if (comma == std::string_view::npos) return out;
        text = text.substr(comma + 1);
    }
}

Result<void> take_word(ForwardRule& rule, const std::string& word, const std::vector<dicom::Tag>& extra) {
    const auto equals = word.find('=');
    if (equals == std::string::npos || equals == 0 || equals + 1 == word.size())
        return fail(ErrorCode::invalid_argument, "'" + word + "' is neither from=AE_TITLE nor KEYWORD=VALUE");
    const auto name = word.substr(0, equals);
    auto value = word.substr(equals + 1);
    if (name == "from") {
        rule.from = split(value);
        return {};
    }
    const auto tag = dicom::parse_tag(name);
    const auto& known = dicom::query_attributes();
    const bool indexed = tag && (std::any_of(known.begin(), known.end(), [&](const auto& row) { return row.tag == *tag; }) ||
                                 std::find(extra.begin(), extra.end(), *tag) != extra.end());
    if (!indexed) return fail(ErrorCode::invalid_argument, "'" + name + "' is no attribute that is indexed");
    std::replace(value.begin(), value.end(), ',', '\\');  // which parts alternatives of every kind
    FID_TRY(auto matcher, dicom::Matcher::compile(*tag, value));
    rule.keys.push_back(std::move(matcher));
    return {};
}

}  // namespace

std::string_view calling_ae_title_of(std::string_view source) {
    if (!source.starts_with(kDoor)) return {};
    source.remove_prefix(kDoor.size());
    return source.substr(0, source.rfind(' '));
}

bool ForwardRule::wants(std::string_view source, const dicom::Attributes& attributes) const {
    const auto title = calling_ae_title_of(source);
    if (title == peer) return false;  // it has it
    if (!from.empty() && std::find(from.begin(), from.end(), title) == from.end()) return false;
    return std::all_of(keys.begin(), keys.end(), [&](const dicom::Matcher& key) { return key.matches(attributes.all(key.tag())); });
}

Result<ForwardRule> parse_forward_rule(std::string_view text, const std::vector<dicom::Tag>& extra) {
    const auto parse = [&]() -> Result<ForwardRule> {
        std::istringstream words{std::string(text)};
        ForwardRule rule;
        if (!(words >> rule.peer)) return fail(ErrorCode::invalid_argument, "the AE title of a peer is needed");
        std::string word;
        while (words >> word) FID_CHECK(take_word(rule, word, extra));
        return rule;
    };
    auto rule = parse();
    if (!rule) return fail(Error{ErrorCode::invalid_argument, rule.error().message}.with("[dimse] forward: \"" + std::string(text) + "\""));
    return rule;
}

}  // namespace fiducial::archive
