// What waits for peers and for people.
#include "archive/queue_desk.hpp"

#include <boost/json.hpp>

#include "archive/arguments.hpp"
#include "archive/deliveries.hpp"
#include "archive/front_desk.hpp"
#include "archive/service.hpp"
#include "base/hex.hpp"

namespace fiducial::archive {
namespace {

namespace json = boost::json;
using std::chrono::milliseconds;
constexpr std::size_t kMostListed = 1000;

json::object shown(const store::InstanceRow& row) {
    return {{"studyInstanceUid", row.study_uid.text()},
            {"sopInstanceUid", row.sop_uid.text()},
            {"objectId", to_hex(row.object.ref.id)},
            {"size", row.object.ref.size},
            {"arrived", to_rfc3339(SystemTime(milliseconds(row.object.arrival_ms)))}};
}

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
        return fail(ErrorCode::invalid_argument, "say which ones: by their ids, a peer, those that were given up, or all");
    return which;
}

Result<MailOutbox::Which> which_mails(json::object arguments) {
    arguments.erase("peer");
    FID_TRY(auto which, which_of(arguments));
    return MailOutbox::Which{std::move(which.ids), which.only_failed};
}

}  // namespace

Result<json::object> QueueDesk::list_deliveries(const json::object& arguments) {
    FID_TRY(const auto after, argument::number(arguments, "after", 0, 0, INT64_MAX));
    FID_TRY(const auto deliveries, service_.deliveries_->list(after, kMostListed));
    json::array out;
    for (const auto& one : deliveries) out.push_back(shown(one, service_.deliveries_->problem_of(one.peer)));
    return json::object{{"deliveries", std::move(out)}, {"more", deliveries.size() == kMostListed}};
}

Result<json::object> QueueDesk::retry_deliveries(const json::object& arguments) {
    FID_TRY(const auto which, which_of(arguments));
    FID_TRY(const auto count, service_.deliveries_->retry(which));
    return json::object{{"deliveries", count}};
}

Result<json::object> QueueDesk::discard_deliveries(const json::object& arguments) {
    FID_TRY(const auto which, which_of(arguments));
    FID_TRY(const auto count, service_.deliveries_->discard(which));
    return json::object{{"deliveries", count}};
}

Result<json::object> QueueDesk::list_set_aside(const json::object& arguments) {
    FID_TRY(const auto rows, service_.store_->database().read([&](database::Transaction& t) {
        return service_.store_->index().list_set_aside(t, argument::text(arguments, "after"), 1000);
    }));
    json::array out;
    for (const auto& row : rows) {
        auto item = shown(row.instance);
        item["reason"] = row.reason;
        out.push_back(std::move(item));
    }
    return json::object{{"setAside", std::move(out)}};
}

Result<json::object> QueueDesk::list_quarantine() {
    FID_TRY(const auto rows,
            service_.store_->database().read([&](database::Transaction& t) { return service_.store_->index().list_quarantined(t); }));
    json::array out;
    for (const auto& row : rows) {
        out.push_back({{"objectId", to_hex(row.object.ref.id)},
                       {"sopInstanceUid", row.sop_uid.text()},
                       {"reason", row.reason},
                       {"at", to_rfc3339(SystemTime(milliseconds(row.at_ms)))}});
    }
    return json::object{{"quarantined", std::move(out)}};
}

Result<json::object> QueueDesk::restore(const Requester& who, const json::object& arguments) {
    FID_TRY(const auto id_text, argument::required_text(arguments, "object"));
    FID_TRY(const auto id, fixed_from_hex<32>(id_text, "object id"));
    FID_TRY(const auto decision, service_.permit(who, nullptr, Operation::inventory));
    FID_CHECK(service_.tracer_->write(who, Operation::correct, decision, nullptr, id, {}));
    FID_CHECK(service_.store_->restore(id));
    return json::object{{"object", id_text}, {"state", "restored"}};
}

Result<json::object> QueueDesk::list_mails() {
    auto& outbox = service_.front_desk_->mails();
    FID_TRY(const auto mails, outbox.list(kMostListed));
    json::array out;
    for (const auto& mail : mails) {
        json::object item{{"id", mail.id},
                          {"kind", mail.kind},
                          {"to", mail.to},
                          {"state", name_of(mail.state)},
                          {"since", to_rfc3339(SystemTime(milliseconds(mail.since_ms)))},
                          {"tries", mail.tries}};
        if (mail.state == MailState::waiting && mail.next_ms > 0) item["next"] = to_rfc3339(SystemTime(milliseconds(mail.next_ms)));
        if (!mail.problem.empty()) item["problem"] = mail.problem;
        out.push_back(std::move(item));
    }
    json::object answer{{"on", outbox.on()}, {"mails", std::move(out)}};
    if (const auto problem = outbox.problem(); !problem.empty()) answer["problem"] = problem;
    return answer;
}

Result<json::object> QueueDesk::retry_mails(const json::object& arguments) {
    FID_TRY(const auto which, which_mails(arguments));
    FID_TRY(const auto count, service_.front_desk_->mails().retry(which));
    return json::object{{"mails", count}};
}

Result<json::object> QueueDesk::discard_mails(const json::object& arguments) {
    FID_TRY(const auto which, which_mails(arguments));
    FID_TRY(const auto count, service_.front_desk_->mails().discard(which));
    return json::object{{"mails", count}};
}

Result<json::object> QueueDesk::room() {
    FID_TRY(const auto room, service_.disks_->look());
    return json::object{{"state", std::string(store::name_of(room.state))},
                        {"freeBytes", room.free_bytes},
                        {"totalBytes", room.total_bytes},
                        {"warnBelowBytes", room.warn_below},
                        {"refuseBelowBytes", room.refuse_below},
                        {"text", room.text()}};
}

}  // namespace fiducial::archive
