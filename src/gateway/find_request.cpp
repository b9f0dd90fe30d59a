#include "gateway/impl/find_request.hpp"

#include <algorithm>

#include "dicom/matching.hpp"
#include "dicom/timezone.hpp"

namespace fiducial::gateway::impl {
namespace {

using dicom::Tag;
namespace tags = dicom::tags;

constexpr std::size_t kMostKeys = 256;

/// What stands in an identifier and is no key.
constexpr bool is_control(Tag tag) {
    return tag == tags::kSpecificCharacterSet || tag == tags::kQueryRetrieveLevel || tag == tags::kRetrieveAeTitle ||
           tag == tags::kInstanceAvailability || tag == tags::kTimezoneOffsetFromUtc;
}

template <typename Tags>
bool contains(const Tags& all, Tag tag) {
    return std::find(all.begin(), all.end(), tag) != all.end();
}

}  // namespace

Result<FindRequest> read_find_request(dicom::Identifier identifier, dicom::QueryLevel root, const dicom::QueryOptions& options) {
    FindRequest request;
    const auto& keys = identifier.attributes;
    const auto level = dicom::parse_query_level(keys.first(tags::kQueryRetrieveLevel));
    if (!level || *level < root) return fail(ErrorCode::malformed, "Query/Retrieve Level (0008,0052) is not one of this SOP class");
    request.query.level = *level;
    request.query.combined_date_time = options.combined_date_time;
    request.query.fuzzy_names = options.fuzzy_names;
    if (keys.size() > kMostKeys) return fail(ErrorCode::limit_exceeded, "a query has at most " + std::to_string(kMostKeys) + " keys");
    if (const auto offset = keys.joined(tags::kTimezoneOffsetFromUtc); !offset.empty()) {
        request.query.utc_offset = dicom::parse_utc_offset(offset);
        if (!request.query.utc_offset) return fail(ErrorCode::malformed, "Timezone Offset From UTC (0008,0201): wanted is +HHMM or -HHMM");
    }
    for (const auto& [tag, values] : keys) {
        if (!is_control(tag)) request.query.keys.push_back({tag, keys.joined(tag)});
    }
    for (const auto& [sequence, item] : identifier.items) {
        for (const auto& [tag, values] : item) {
            if (sequence == tags::kRequestAttributesSequence && dicom::describe_query_attribute(tag).in_request)
                request.query.keys.push_back({tag, item.joined(tag)});
            else
                request.ignored.push_back(tag);
        }
        if (sequence != tags::kRequestAttributesSequence) request.ignored.push_back(sequence);
    }
    request.asked = std::move(identifier);
    return request;
}

dicom::Identifier find_answer(const FindRequest& request, const std::vector<Tag>& ignored, const dicom::Attributes& row,
                              std::string_view our_ae_title) {
    dicom::Identifier answer;
    answer.character_set = request.asked.character_set;
    const auto put = [&](dicom::Attributes& into, Tag tag) {
        if (contains(ignored, tag)) return;
        const auto values = row.all(tag);
        into.set(tag, {values.begin(), values.end()});
    };
    for (const auto& [tag, values] : request.asked.attributes) {
        if (tag != tags::kSpecificCharacterSet) put(answer.attributes, tag);
    }
    answer.attributes.set(tags::kQueryRetrieveLevel, {std::string(dicom::text_of(request.query.level))});
    answer.attributes.set(tags::kRetrieveAeTitle, {std::string(our_ae_title)});
    const auto asked = request.asked.items.find(tags::kRequestAttributesSequence);
    if (asked == request.asked.items.end()) return answer;
    dicom::Attributes item;
    for (const auto& row_of : dicom::query_attributes()) {
        const bool wanted = asked->second.empty() || asked->second.has(row_of.tag);  // without keys: all that there is
        if (row_of.in_request && wanted && row_of.level <= request.query.level) put(item, row_of.tag);
    }
    const bool any = std::any_of(item.begin(), item.end(), [](const auto& one) { return !one.second.empty(); });
    answer.items[tags::kRequestAttributesSequence] = any ? std::move(item) : dicom::Attributes();
    return answer;
}

}  // namespace fiducial::gateway::impl
