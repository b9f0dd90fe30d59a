#include <boost/json.hpp>

#include "archive/arguments.hpp"
#include "archive/deliveries.hpp"
#include "archive/operations.hpp"
#include "archive/service.hpp"

namespace fiducial::archive {
namespace {

namespace json = boost::json;
constexpr std::size_t kMostListed = 1000;

json::object shown(const Delivery& delivery, const std::string& problem_of_peer) {
    const bool held_up = delivery.state == DeliveryState::waiting && !problem_of_peer.empty();  // the newer reason
    const auto& problem = held_up ? problem_of_peer : delivery.problem;
    json::object out{{"id", delivery.id},
                     {"kind", name_of(delivery.kind)},
                     {"peer", delivery.peer},
                     {"state", name_of(delivery.state)},
                     {"since", to_rfc3339(SystemTime(std::chrono::milliseconds(delivery.since_ms)))},
                     {"refusals", delivery.refusals}};
    if (delivery.kind == DeliveryKind::object) out["sopInstanceUid"] = delivery.subject;
    if (delivery.kind == DeliveryKind::commitment) out["transactionUid"] = delivery.subject;
    if (delivery.kind != DeliveryKind::commitment) out["studyInstanceUid"] = delivery.study_uid;
    if (!problem.empty()) out["problem"] = problem;
    return out;
}

/// Errors: invalid_argument: nothing is named, or an id is none
Result<Deliveries::Which> which_of(const json::object& arguments) {
    Deliveries::Which which;
    which.peer = argument::text(arguments, "peer");
    which.only_failed = argument::flag(arguments, "failed");
    if (const auto* ids = arguments.if_contains("ids"); ids != nullptr && ids->is_array()) {
        for (const auto& id : ids->get_array()) {
            if (!id.is_int64()) return fail(ErrorCode::invalid_argument, "an id is a number");
            which.ids.push_back(id.get_int64());
        }
    }
    if (which.ids.empty() && which.peer.empty() && !which.only_failed && !argument::flag(arguments, "all"))
        return fail(ErrorCode::invalid_argument, "say which deliveries: by their ids, a peer, those that were given up, or all");
    return which;
}

}  // namespace

Result<json::object> Operations::list_deliveries(const Arguments& arguments) {
    FID_TRY(const auto after, argument::number(arguments, "after", 0, 0, INT64_MAX));
    FID_TRY(const auto deliveries, service_.deliveries_->list(after, kMostListed));
    json::array out;
    for (const auto& one : deliveries) out.push_back(shown(one, service_.deliveries_->problem_of(one.peer)));
    return json::object{{"deliveries", std::move(out)}, {"more", deliveries.size() == kMostListed}};
}

Result<json::object> Operations::retry_deliveries(const Arguments& arguments) {
    FID_TRY(const auto which, which_of(arguments));
    FID_TRY(const auto count, service_.deliveries_->retry(which));
    return json::object{{"deliveries", count}};
}

Result<json::object> Operations::discard_deliveries(const Arguments& arguments) {
    FID_TRY(const auto which, which_of(arguments));
    FID_TRY(const auto count, service_.deliveries_->discard(which));
    return json::object{{"deliveries", count}};
}

}  // namespace fiducial::archive
