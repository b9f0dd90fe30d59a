// Breaking the glass: a doctor says why, and may look for an hour; in a browser from then on without saying so again.
#include <boost/json.hpp>

#include "base/clock.hpp"
#include "base/json.hpp"
#include "gateway/impl/service.hpp"

namespace fiducial::gateway::impl {
namespace {

constexpr std::size_t kMostBody = 4'096;

/// {"reason":"…","text":"…"}
Result<archive::EmergencyGround> parse_ground(std::string_view body) {
    FID_TRY(const auto value, json::parse(body, kMostBody));
    const auto* object = value.if_object();
    const auto text = [&](std::string_view key) -> std::string {
        const auto* found = object != nullptr ? object->if_contains(key) : nullptr;
        return found != nullptr && found->is_string() ? std::string(found->get_string()) : std::string();
    };
    archive::EmergencyGround ground{text("reason"), text("text")};
    if (ground.reason.empty()) return fail(ErrorCode::malformed, "a JSON object with \"reason\" and \"text\" is wanted");
    return ground;
}

}  // namespace

net::Task<Result<void>> serve_break_glass(Call& call) {
    FID_CO_TRY(const auto body, co_await call.request.read_all(kMostBody));
    FID_CO_TRY(const auto ground, parse_ground(body));
    const auto study = call.parameters.at(0);
    auto open = [&]() { return call.door.archive.break_glass(call.who, study, ground); };
    FID_CO_TRY(const auto opened, co_await call.door.questions.run(open));
    const SystemTime until{std::chrono::seconds(opened.until)};
    if (const bool in_session = !call.request.headers().find("Authorization"); in_session)
        call.door.sessions.open_emergency(session_id_of(call), study, until);
    const boost::json::object out{{"until", to_rfc3339(until)}, {"nodeAway", opened.node_away}};
    auto text = boost::json::serialize(out);
    co_return co_await call.answer(201, "application/json", std::move(text));
}

}  // namespace fiducial::gateway::impl
