// Accounts over HTTP: what each route asks the reception for, with a JSON object, and how its answer goes out.
// Spec: docs/reference/http.md#accounts
#include <algorithm>
#include <boost/json.hpp>

#include "archive/reception.hpp"
#include "base/clock.hpp"
#include "base/json.hpp"
#include "gateway/impl/service.hpp"

namespace fiducial::gateway::impl {
namespace {

namespace json = boost::json;
constexpr std::size_t kMostBody = std::size_t{64} << 10;

struct Request {
    std::string_view method, path, what;
    unsigned status = 200;
    bool is_try = false;  // guesses are counted by address
};
constexpr Request kRequests[] = {
    {"POST", "/accounts", "register", 201, true},
    {"POST", "/session/password", "log in", 200, true},
    {"POST", "/session/code", "code", 200, true},
    {"POST", "/links", "link", 200, true},
    {"POST", "/links/use", "use link", 200, true},
    {"POST", "/session/wallet/message", "wallet message", 200, true},
    {"POST", "/session/wallet", "log in with wallet", 200, true},
    {"POST", "/session/reset", "ask for reset", 202, true},
    {"GET", "/account", "account"},
    {"POST", "/account/confirmation", "ask for confirmation", 202},
    {"POST", "/account/wallet/message", "wallet message"},
    {"POST", "/account/wallet", "tie wallet"},
    {"POST", "/account/rpc", "make rpc", 201},
    {"PUT", "/account/password", "change password", 204},
    {"POST", "/account/second-factor", "renew second factor"},
    {"GET", "/account/tokens", "tokens"},
    {"POST", "/account/tokens", "make token", 201},
    {"DELETE", "/account/tokens", "revoke token", 204},
    {"GET", "/account/messages", "messages"},
    {"POST", "/account/messages/read", "mark messages", 204},
    {"GET", "/people", "people"},
    {"POST", "/people/activate", "activate"},
    {"POST", "/people/refuse", "refuse"},
    {"POST", "/people/deactivate", "deactivate"},
    {"POST", "/people/invite", "invite", 201},
    {"POST", "/people/password-link", "password link", 201},
    {"POST", "/people/second-factor", "reset second factor"},
    {"POST", "/letters", "letter", 201},
    {"GET", "/queues", "queues"},
    {"POST", "/queues/deliveries/retry", "retry deliveries"},
    {"POST", "/queues/deliveries/discard", "discard deliveries"},
    {"POST", "/queues/mails/retry", "retry mails"},
    {"POST", "/queues/mails/discard", "discard mails"},
    {"POST", "/queues/quarantine/restore", "restore object"},
};

const Request& request_of(const Call& call) {
    const auto match = find_route(call.request.method(), call.request.target());
    const auto* found = std::find_if(std::begin(kRequests), std::end(kRequests), [&](const Request& one) {
        return one.path == match.route->pattern && one.method == match.route->method;
    });
    FID_INVARIANT(found != std::end(kRequests), "a route asks the reception for nothing");
    return *found;
}

/// A body of JSON, and `id` of the query string. Errors: malformed.
Result<json::object> said_in(const Call& call, std::string_view body) {
    json::object said;
    if (!body.empty()) {
        FID_TRY(auto value, fiducial::json::parse(body, kMostBody));
        if (!value.is_object()) return fail(ErrorCode::malformed, "a JSON object is wanted");
        said = std::move(value.get_object());
    }
    if (const auto id = call.request.target().query_value("id")) said["id"] = *id;
    return said;
}

unsigned status_of(const Error& error) {
    if (error.code == ErrorCode::invalid_argument || error.code == ErrorCode::malformed) return 400;
    return error.code == ErrorCode::limit_exceeded ? 429 : 0;
}

net::Task<Result<void>> refuse_reception(Call& call, const Error& error) {
    const auto status = status_of(error);
    if (status == 429) call.response.set_header("Retry-After", "900");
    if (status == 0) co_return fail(error);
    co_return co_await call.refuse(error, status);
}

net::Task<Result<void>> answer_nothing(Call& call) {
    call.status = 204;
    call.response.set_status(204);
    co_return co_await call.response.send({});
}

}  // namespace

net::Task<Result<void>> serve_reception(Call& call) {
    const auto& request = request_of(call);
    if (request.is_try) {
        FID_CO_CHECK(check_from_our_pages(call));
        if (!call.door.failed_log_ins.may_try(call.request.peer())) {
            const Error too_many{ErrorCode::unavailable, "too many log-ins failed from this address; try again in a minute"};
            call.response.set_header("Retry-After", "60");
            co_return co_await call.refuse(too_many, 429);
        }
    }
    FID_CO_TRY(const auto body, co_await call.request.read_all(kMostBody));
    const auto said = said_in(call, body);
    if (!said) co_return co_await refuse_reception(call, said.error());
    archive::Visitor visitor{call.who, network_of(call.request.peer()), call.base_url()};
    visitor.who.address = call.request.peer();
    visitor.who.door = "http";
    auto ask = [&]() { return call.door.archive.reception().ask(request.what, visitor, *said); };
    auto reply = co_await call.door.reception.run(ask);
    if (!reply) {
        const auto code = reply.error().code;
        const bool guessed = code == ErrorCode::unauthenticated || (code == ErrorCode::not_found && request.path.starts_with("/links"));
        if (request.is_try && guessed) call.door.failed_log_ins.add(call.request.peer());
        co_return co_await refuse_reception(call, reply.error());
    }
    if (!reply->pass.empty()) {
        auto purpose = archive::Purpose::treatment;
        if (const auto* wanted = said->if_contains("purpose"); wanted != nullptr && wanted->is_string()) {
            FID_CO_TRY(purpose, archive::parse_purpose(std::string_view(wanted->get_string())));
        }
        open_session_with(call, as_text(reply->pass.view()), reply->person, purpose);
    }
    if (request.status == 204) co_return co_await answer_nothing(call);
    co_return co_await call.answer(request.status, "application/json", std::move(reply->json));
}

/// The token in the path is the log-in: wallets send no headers of ours.
net::Task<Result<void>> serve_rpc(Call& call) {
    FID_CO_TRY(const auto body, co_await call.request.read_all(kMostBody));
    auto question = fiducial::json::parse(body, kMostBody);
    if (!question) co_return co_await call.refuse(question.error(), 400);
    const json::object said{{"token", call.rest}, {"question", std::move(*question)}};
    const archive::Visitor visitor{};
    auto ask = [&]() { return call.door.archive.reception().ask("rpc", visitor, said); };
    auto reply = co_await call.door.reception.run(ask);
    if (!reply) co_return co_await refuse_reception(call, reply.error());
    co_return co_await call.answer(200, "application/json", std::move(reply->json));
}

net::Task<Result<void>> serve_own_sessions(Call& call) {
    json::array out;
    for (const auto& session : call.door.sessions.of(call.who.subject, session_id_of(call))) {
        out.push_back({{"id", session.id},
                       {"opened", to_rfc3339(session.opened)},
                       {"used", to_rfc3339(session.used)},
                       {"address", network_of(session.address)},
                       {"current", session.current}});
    }
    auto text = json::serialize(json::object{{"sessions", std::move(out)}});
    co_return co_await call.answer(200, "application/json", std::move(text));
}

net::Task<Result<void>> serve_end_session(Call& call) {
    const auto id = call.request.target().query_value("id").value_or("");
    const Error which{ErrorCode::malformed, "id says which session is to end"};
    if (id.empty()) co_return co_await call.refuse(which, 400);
    const auto tokens = call.door.sessions.end(call.who.subject, id, {});
    if (tokens.empty()) co_return fail(ErrorCode::not_found, "there is no such session");
    for (const auto& token : tokens) call.door.archive.reception().end(as_text(token.view()));
    co_return co_await answer_nothing(call);
}

}  // namespace fiducial::gateway::impl
