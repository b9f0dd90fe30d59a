// The worklist at the command line.
#include <boost/json.hpp>

#include "archive/arguments.hpp"
#include "archive/operations.hpp"
#include "archive/service.hpp"
#include "base/file.hpp"

namespace fiducial::archive {
namespace {

namespace json = boost::json;
constexpr std::uint64_t kMostFileBytes = std::uint64_t{16} << 20;

json::object shown(const ScheduleOutcome& outcome) {
    return {{"added", outcome.added}, {"changed", outcome.changed}, {"same", outcome.same}};
}

}  // namespace

Result<json::object> Operations::add_to_worklist(const Arguments& arguments) {
    FID_TRY(const auto texts, argument::texts(arguments, "attributes"));
    std::vector<dicom::NamedText> fields;
    for (const auto& text : texts) {
        const auto equals = text.find('=');
        if (equals == std::string::npos) return fail(ErrorCode::invalid_argument, "an attribute is written as Keyword=value");
        fields.emplace_back(text.substr(0, equals), text.substr(equals + 1));
    }
    FID_TRY(auto entry, dicom::read_worklist_entry(fields));
    FID_TRY(const auto outcome, service_.worklist().schedule(service_.command_requester(), {std::move(entry)}, "command"));
    return shown(outcome);
}

Result<json::object> Operations::import_worklist(const Arguments& arguments) {
    FID_TRY(const auto path, argument::required_text(arguments, "path"));
    FID_TRY(const auto bytes, read_file(path, kMostFileBytes));
    FID_TRY(auto entries, dicom::read_worklist(as_text(bytes)));
    FID_TRY(const auto outcome, service_.worklist().schedule(service_.command_requester(), std::move(entries), "file"));
    return shown(outcome);
}

Result<json::object> Operations::list_worklist(const Arguments& arguments) {
    dicom::WorklistCriteria criteria;
    FID_CHECK(criteria.add(dicom::tags::kScheduledStartDate, argument::text(arguments, "date")));
    FID_CHECK(criteria.add(dicom::tags::kModality, argument::text(arguments, "modality")));
    FID_CHECK(criteria.add(dicom::tags::kScheduledStationAeTitle, argument::text(arguments, "station")));
    FID_TRY(const auto entries, service_.worklist().find(service_.command_requester(), criteria, !argument::flag(arguments, "all")));
    json::array out;
    for (const auto& entry : entries)
        out.push_back({{"state", entry.state}, {"source", entry.source}, {"attributes", dicom::worklist_entry_json(entry.attributes)}});
    return json::object{{"entries", std::move(out)}};
}

Result<json::object> Operations::cancel_on_worklist(const Arguments& arguments) {
    FID_TRY(const auto accession_number, argument::required_text(arguments, "accessionNumber"));
    FID_TRY(const auto cancelled,
            service_.worklist().cancel(service_.command_requester(), accession_number, argument::text(arguments, "step")));
    return json::object{{"cancelled", cancelled}};
}

}  // namespace fiducial::archive
