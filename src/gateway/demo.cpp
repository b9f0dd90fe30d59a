// A demo site's own door: who one can be without a password, and the one bit to flip. On this machine alone (HttpGateway::start).
#include <boost/json.hpp>

#include "base/json.hpp"
#include "gateway/impl/service.hpp"

namespace fiducial::gateway::impl {
namespace {

constexpr std::size_t kMostBody = 1'024;

}  // namespace

/// Names and roles, nobody where this is no demo; who picks one logs in with "demo=NAME" (log_in.cpp).
net::Task<Result<void>> serve_demo(Call& call) {
    const auto& demo = call.door.settings.demo;
    boost::json::array people;
    for (const auto& person : demo ? demo->people : std::vector<DemoDoor::Person>())
        people.push_back({{"name", person.name}, {"roles", person.roles}});
    const boost::json::object out{{"people", std::move(people)}};
    auto text = boost::json::serialize(out);
    co_return co_await call.answer(200, "application/json", std::move(text));
}

/// {"object":"…","back":false}
net::Task<Result<void>> serve_demo_flip(Call& call) {
    const auto& demo = call.door.settings.demo;
    if (!demo) co_return fail(ErrorCode::not_found, "this is no demo");
    FID_CO_TRY(const auto body, co_await call.request.read_all(kMostBody));
    FID_CO_TRY(const auto value, json::parse(body, kMostBody));
    const auto* asked = value.if_object();
    const auto* object = asked != nullptr ? asked->if_contains("object") : nullptr;
    const auto* back = asked != nullptr ? asked->if_contains("back") : nullptr;
    if (object == nullptr || !object->is_string()) co_return fail(ErrorCode::malformed, "a JSON object with \"object\" is wanted");
    const auto id = std::string(object->get_string());
    const bool restores = back != nullptr && back->is_bool() && back->get_bool();
    auto flip = [&]() { return demo->flip(id, restores); };
    FID_CO_CHECK(co_await call.door.retrieving.run(flip));
    call.status = 204;
    call.response.set_status(204);
    co_return co_await call.response.send({});
}

}  // namespace fiducial::gateway::impl
