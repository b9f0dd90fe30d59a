// The peers of DIMSE for those who administer: listed, added, removed, asked. Spec: docs/reference/http.md#peers
#include <boost/json.hpp>

#include "base/json.hpp"
#include "gateway/dimse_gateway.hpp"
#include "gateway/impl/service.hpp"
#include "gateway/peers_json.hpp"

namespace fiducial::gateway::impl {
namespace {

namespace json = boost::json;
constexpr std::size_t kMostBody = std::size_t{64} << 10;

Error no_dimse() {
    return {ErrorCode::not_found, "this archive does not serve DIMSE ([dimse] listen)"};
}

/// Blocking work of an administrator, answered with what it returns.
template <typename Work>
net::Task<Result<void>> answer_administrator(Call& call, Work work) {
    if (call.door.settings.dimse == nullptr) co_return co_await call.refuse(no_dimse(), 404);
    auto ask = [&]() -> Result<json::object> { return work(*call.door.settings.dimse); };
    const auto done = co_await call.door.reception.run(ask);  // an echo may take seconds
    if (!done && done.error().code == ErrorCode::invalid_argument) co_return co_await call.refuse(done.error(), 400);
    if (!done) co_return fail(done.error());
    auto text = json::serialize(*done);
    co_return co_await call.answer(200, "application/json", std::move(text));
}

std::string title_of(const Call& call) {
    return std::string(call.request.target().query_value("AETitle").value_or(""));
}

}  // namespace

net::Task<Result<void>> serve_peers(Call& call) {
    co_return co_await answer_administrator(call, [&](DimseGateway& dimse) -> Result<json::object> {
        FID_CHECK(call.door.archive.administer(call.who));
        return peers_json(dimse.peers());
    });
}

net::Task<Result<void>> serve_add_peer(Call& call) {
    FID_CO_TRY(const auto body, co_await call.request.read_all(kMostBody));
    const auto value = fiducial::json::parse(body, kMostBody);
    if (!value) co_return co_await call.refuse(value.error(), 400);
    const auto* object = value->if_object();
    const auto* line = object != nullptr ? object->if_contains("line") : nullptr;
    if (line == nullptr || !line->is_string()) {
        const Error wanted{ErrorCode::malformed, "a peer is written as {\"line\": \"AE_TITLE ADDRESS …\"}"};
        co_return co_await call.refuse(wanted, 400);
    }
    co_return co_await answer_administrator(call, [&](DimseGateway& dimse) -> Result<json::object> {
        FID_TRY(const auto entry, dimse.peers().add(call.who, std::string_view(line->get_string())));
        return peer_json(entry, dimse.peers().lacks(*entry.peer));
    });
}

net::Task<Result<void>> serve_remove_peer(Call& call) {
    const auto title = title_of(call);
    const Error which{ErrorCode::malformed, "AETitle says which peer is removed"};
    if (title.empty()) co_return co_await call.refuse(which, 400);
    co_return co_await answer_administrator(call, [&](DimseGateway& dimse) -> Result<json::object> {
        FID_TRY(const auto removed, dimse.peers().remove(call.who, title));
        return json::object{{"removed", removed}};
    });
}

net::Task<Result<void>> serve_check_peers(Call& call) {
    const auto title = title_of(call);
    co_return co_await answer_administrator(call, [&](DimseGateway& dimse) -> Result<json::object> {
        FID_CHECK(call.door.archive.administer(call.who));
        return checks_json(dimse.check_peers(title));
    });
}

net::Task<Result<void>> serve_knocks(Call& call) {
    co_return co_await answer_administrator(call, [&](DimseGateway& dimse) -> Result<json::object> {
        FID_CHECK(call.door.archive.administer(call.who));
        return knocks_json(dimse.peers());
    });
}

}  // namespace fiducial::gateway::impl
