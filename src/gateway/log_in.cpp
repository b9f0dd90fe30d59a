// Sessions of browsers: a cookie that opens what the token given at log-in opens, to our own pages alone.
#include <boost/json.hpp>

#include "archive/reception.hpp"
#include "base/json.hpp"
#include "base/log.hpp"
#include "gateway/impl/service.hpp"

namespace fiducial::gateway::impl {
namespace {

constexpr std::size_t kMostForm = 4'096;

/// "__Host-": browsers take such a cookie only by TLS and for this host alone (RFC 6265bis §4.1.3.2). Without TLS we are on loopback.
std::string_view cookie_name(const Call& call) {
    return call.secure() ? "__Host-fiducial" : "fiducial";
}

std::string cookie(const Call& call, std::string_view id) {
    auto text = std::string(cookie_name(call)) + "=" + std::string(id) + "; Path=/; HttpOnly; Secure; SameSite=Strict";
    if (id.empty()) text += "; Max-Age=0";
    return text;
}

std::optional<std::string> session_id(const Call& call) {
    const auto field = call.request.headers().find("Cookie");
    const auto id = field ? net::find_cookie(*field, cookie_name(call)) : std::nullopt;
    if (!id || id->empty()) return std::nullopt;
    return std::string(*id);
}

/// Whether one of our own pages asks, as far as the browser says. Where it says nothing a change is refused; and the cookie of a look is
/// SameSite=Strict in any case. "same-site" is another port of this host: not ours.
bool is_from_our_pages(const Call& call) {
    const bool changes = call.request.method() != "GET" && call.request.method() != "HEAD";
    const auto& headers = call.request.headers();
    if (const auto site = headers.find("Sec-Fetch-Site")) return *site == "same-origin" || (*site == "none" && !changes);
    const auto origin = headers.find("Origin");
    if (!origin) return !changes;
    const auto url = call.base_url();
    return *origin == url.substr(0, url.find('/', url.find("://") + 3));
}

constexpr const char* kNotFromOurPages = "this can only be asked from the archive's own pages";

void close_session(Call& call, std::string_view id) {
    const auto token = call.door.sessions.close(id);
    if (!token.empty()) call.door.archive.reception().end(as_text(token.view()));
}

/// The token of a person of the demo that anybody may be; empty: there is none.
std::string demo_token(const Call& call, std::string_view name) {
    if (!call.door.settings.demo) return {};
    for (const auto& person : call.door.settings.demo->people) {
        if (person.name == name) return person.token;
    }
    return {};
}

net::Task<Result<void>> open_session(Call& call) {
    FID_CO_TRY(const auto body, co_await call.request.read_all(kMostForm));
    FID_CO_TRY(const auto form, net::parse_query(body));
    std::string token;
    auto purpose = archive::Purpose::treatment;
    for (const auto& [name, value] : form) {
        if (name == "token") token = value;
        if (name == "demo") token = demo_token(call, value);
        if (name == "purpose") {
            FID_CO_TRY(purpose, archive::parse_purpose(value));
        }
    }
    if (token.empty()) co_return fail(ErrorCode::malformed, "a form with \"token\" is wanted");
    auto ask = [&]() { return call.door.archive.authenticate(token); };
    FID_CO_TRY(const auto who, co_await call.door.questions.run(ask));
    open_session_with(call, token, who.subject, purpose);
    co_return Result<void>{};
}

}  // namespace

std::string session_id_of(const Call& call) {
    return session_id(call).value_or(std::string());
}

Result<void> check_from_our_pages(const Call& call) {
    if (!is_from_our_pages(call)) return fail(ErrorCode::denied, kNotFromOurPages);
    return {};
}

void open_session_with(Call& call, std::string_view token, const Bytes32& person, archive::Purpose purpose) {
    const auto id = call.door.sessions.open(token, person, purpose, call.request.peer());
    if (const auto former = session_id(call)) close_session(call, *former);
    call.response.set_header("Set-Cookie", cookie(call, id));
}

Result<Sessions::Held> session_of(const Call& call) {
    const auto id = session_id(call);
    if (!id) return fail(ErrorCode::unauthenticated, "a bearer token is needed, or a log-in");
    if (!is_from_our_pages(call)) return fail(ErrorCode::denied, kNotFromOurPages);
    auto held = call.door.sessions.use(*id);
    if (!held) return fail(ErrorCode::unauthenticated, "the session has ended; log in again");
    return std::move(*held);
}

net::Task<Result<void>> serve_log_in(Call& call) {
    if (!is_from_our_pages(call)) co_return fail(ErrorCode::denied, kNotFromOurPages);
    if (!call.door.failed_log_ins.may_try(call.request.peer())) {
        call.response.set_header("Retry-After", "60");
        const Error too_many{ErrorCode::unavailable, "too many log-ins failed from this address; try again in a minute"};
        co_return co_await call.refuse(too_many, 429);
    }
    const auto opened = co_await open_session(call);
    if (!opened && opened.error().code == ErrorCode::unauthenticated) call.door.failed_log_ins.add(call.request.peer());
    FID_CO_CHECK(opened);
    call.status = 204;
    call.response.set_status(204);
    co_return co_await call.response.send({});
}

net::Task<Result<void>> serve_log_out(Call& call) {
    if (!is_from_our_pages(call)) co_return fail(ErrorCode::denied, kNotFromOurPages);
    if (const auto id = session_id(call)) close_session(call, *id);
    call.response.set_header("Set-Cookie", cookie(call, {}));
    call.response.set_header("Clear-Site-Data", "\"storage\"");  // what the viewer remembers of this person
    call.status = 204;
    call.response.set_status(204);
    co_return co_await call.response.send({});
}

net::Task<Result<void>> serve_session(Call& call) {
    const archive::Visitor visitor{call.who, {}, {}};
    auto ask = [&]() { return call.door.archive.reception().ask("session", visitor, {}); };
    FID_CO_TRY(const auto known, co_await call.door.questions.run(ask));
    FID_CO_TRY(const auto value, json::parse(known.json, kMostForm));
    const auto idle = std::chrono::duration_cast<std::chrono::seconds>(call.door.sessions.limits().idle).count();
    auto out = value.as_object();
    out["purpose"] = archive::name_of(call.who.purpose);
    out["idleSeconds"] = idle;
    out["viewer"] = call.door.web_files.has_viewer();
    out["demo"] = call.door.settings.demo.has_value();
    auto text = boost::json::serialize(out);
    co_return co_await call.answer(200, "application/json", std::move(text));
}

}  // namespace fiducial::gateway::impl
