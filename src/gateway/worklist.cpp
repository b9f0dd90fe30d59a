// The worklist for those who plan: listed, added to, cancelled. Spec: docs/reference/http.md#the-worklist
#include "archive/worklist.hpp"

#include <boost/json.hpp>

#include "gateway/impl/service.hpp"

namespace fiducial::gateway::impl {
namespace {

namespace json = boost::json;
constexpr std::size_t kMostBody = std::size_t{16} << 20;

struct ListRequest {
    dicom::WorklistCriteria criteria;
    bool only_open = true;
};

/// Keywords with values as C-FIND has them, and all=true. Errors: malformed, invalid_argument.
Result<ListRequest> read_list_request(const net::Query& query) {
    ListRequest request;
    for (const auto& [name, value] : query) {
        if (name == "all") {
            request.only_open = value != "true";
            continue;
        }
        const auto tag = dicom::parse_tag(name);
        if (!tag || dicom::find_worklist_attribute(*tag) == nullptr)
            return fail(ErrorCode::malformed, "the worklist has no such attribute, or none of this name");
        FID_CHECK(request.criteria.add(*tag, value));
    }
    request.criteria.combine_moments();
    return request;
}

bool is_theirs(const Error& error) {
    return error.code == ErrorCode::malformed || error.code == ErrorCode::invalid_argument || error.code == ErrorCode::limit_exceeded;
}

}  // namespace

net::Task<Result<void>> serve_worklist(Call& call) {
    const auto request = read_list_request(call.request.target().query);
    if (!request) co_return co_await call.refuse(request.error(), 400);
    FID_CO_TRY(const auto ticket, call.door.retrievals.enter());
    auto ask = [&]() { return call.door.archive.worklist().find(call.who, request->criteria, request->only_open); };
    const auto found = co_await call.door.retrieving.run(ask);
    if (!found && is_theirs(found.error())) co_return co_await call.refuse(found.error(), 400);
    if (!found) co_return fail(found.error());
    json::array out;
    for (const auto& entry : *found) {
        auto shown = dicom::worklist_entry_json(entry.attributes);
        shown["state"] = entry.state;
        shown["source"] = entry.source;
        out.push_back(std::move(shown));
    }
    auto text = json::serialize(out);
    co_return co_await call.answer(200, "application/json", std::move(text));
}

net::Task<Result<void>> serve_schedule(Call& call) {
    FID_CO_TRY(const auto body, co_await call.request.read_all(kMostBody));
    auto entries = dicom::read_worklist(body);
    if (!entries) co_return co_await call.refuse(entries.error(), 400);
    FID_CO_TRY(const auto ticket, call.door.stores.enter());
    auto add = [&]() { return call.door.archive.worklist().schedule(call.who, std::move(*entries), "http"); };
    const auto outcome = co_await call.door.ingesting.run(add);
    if (!outcome && is_theirs(outcome.error())) co_return co_await call.refuse(outcome.error(), 400);
    if (!outcome) co_return fail(outcome.error());
    const json::object answer{{"added", outcome->added}, {"changed", outcome->changed}, {"same", outcome->same}};
    auto text = json::serialize(answer);
    co_return co_await call.answer(200, "application/json", std::move(text));
}

net::Task<Result<void>> serve_cancel_scheduled(Call& call) {
    const auto& target = call.request.target();
    const std::string accession_number(target.query_value("AccessionNumber").value_or(""));
    const std::string step(target.query_value("ScheduledProcedureStepID").value_or(""));
    const Error which{ErrorCode::malformed, "AccessionNumber says which order is cancelled, ScheduledProcedureStepID which step of it"};
    if (accession_number.empty()) co_return co_await call.refuse(which, 400);
    FID_CO_TRY(const auto ticket, call.door.stores.enter());
    auto cancel = [&]() { return call.door.archive.worklist().cancel(call.who, accession_number, step); };
    FID_CO_TRY(const auto cancelled, co_await call.door.ingesting.run(cancel));
    const json::object answer{{"cancelled", cancelled}};
    auto text = json::serialize(answer);
    co_return co_await call.answer(200, "application/json", std::move(text));
}

}  // namespace fiducial::gateway::impl
