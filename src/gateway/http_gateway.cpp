#include "gateway/http_gateway.hpp"

#include <sys/random.h>

#include <algorithm>
#include <thread>

#include "base/clock.hpp"
#include "base/hex.hpp"
#include "base/identifiers.hpp"
#include "base/log.hpp"
#include "gateway/impl/service.hpp"

namespace fiducial::gateway {
namespace impl {
namespace {

std::string make_request_id() {
    std::array<std::uint8_t, 8> random{};
    FID_INVARIANT(::getrandom(random.data(), random.size(), 0) == static_cast<ssize_t>(random.size()), "the system gives no randomness");
    return to_hex(random);
}

bool is_host(std::string_view text) {
    return !text.empty() && text.size() <= 255 && std::all_of(text.begin(), text.end(), [](char c) {
        return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
               std::string_view(".-:[]").find(c) != std::string_view::npos;
    });
}

/// Of this machine, without a port: some clients (dicomweb-client) leave it out.
bool is_bare_loopback(std::string_view host) {
    return host == "localhost" || host == "[::1]" || (host.starts_with("127.") && host.find(':') == std::string_view::npos);
}

/// What a session looks for. The study for which the glass was broken in it is looked at in an emergency, whichever of our pages asks: the
/// viewer sends no header of ours, and asks for the study by its path or as a key.
archive::Purpose purpose_of(const Call& call, const RouteMatch& match, const Sessions::Held& session) {
    const bool looks = call.request.method() == "GET" || call.request.method() == "HEAD";
    if (session.emergencies.empty() || !looks) return session.purpose;
    const auto is_open = [&](std::string_view study) { return session.emergencies.contains(study); };
    if (!match.parameters.empty()) return is_open(match.parameters.front()) ? archive::Purpose::emergency : session.purpose;
    for (const auto* key : {"StudyInstanceUID", "0020000D", "studyUID"}) {
        const auto study = call.request.target().query_value(key);
        if (study && is_open(*study)) return archive::Purpose::emergency;
    }
    return session.purpose;
}

/// Finds out who asks: by a token, else by a browser's session. Errors: unauthenticated; denied; those of the archive.
net::Task<Result<archive::Requester>> identify(Call& call, const RouteMatch& match) {
    std::optional<Sessions::Held> session;
    std::string_view token;
    if (const auto field = call.request.headers().find("Authorization")) {
        const auto credentials = net::parse_authorization(*field);
        if (!credentials) co_return fail(ErrorCode::unauthenticated, credentials.error().message);
        if (!net::equals_ignoring_case(credentials->scheme, "Bearer"))
            co_return fail(ErrorCode::unauthenticated, "a bearer token is needed");
        token = credentials->value;
    } else {
        FID_CO_TRY(session, session_of(call));
        token = as_text(session->token.view());
    }
    auto ask = [&call, token]() { return call.door.archive.authenticate(token); };
    FID_CO_TRY(auto who, co_await call.door.questions.run(ask));
    who.address = call.request.peer();
    who.door = "http";
    if (session) who.purpose = purpose_of(call, match, *session);
    if (const auto purpose = call.request.headers().find("Fiducial-Purpose")) {
        FID_CO_TRY(who.purpose, archive::parse_purpose(*purpose));
    }
    co_return who;
}

/// Whether the token that asks was made for this.
Result<void> check_scope(const Call& call, const Route& route) {
    const bool looks = route.method == "GET", stores = route.service == serve_store;
    if (call.who.scope == archive::TokenScope::all || (call.who.scope == archive::TokenScope::read && looks) ||
        (call.who.scope == archive::TokenScope::store && stores))
        return {};
    return fail(ErrorCode::denied, "this token was made for something else: its scope is " + std::string(archive::name_of(call.who.scope)));
}

net::Task<Result<void>> dispatch(Call& call, const RouteMatch& match) {
    if (!match.route) {
        const Error no_such_resource{ErrorCode::not_found, "no such resource"};
        const Error no_such_method{ErrorCode::unsupported, "the resource does not know this method"};
        if (match.allowed.empty()) co_return co_await call.refuse(no_such_resource, 404);
        call.response.set_header("Allow", match.allowed);
        if (call.request.method() != "OPTIONS") co_return co_await call.refuse(no_such_method, 405);
        call.status = 204;  // RFC 9110 §9.3.7
        call.response.set_status(call.status);
        co_return co_await call.response.send({});
    }
    if (match.route->access == Access::person) {
        FID_CO_TRY(call.who, co_await identify(call, match));
        FID_CO_CHECK(check_scope(call, *match.route));
    }
    for (const auto& parameter : match.parameters) {
        const auto uid = Uid::parse(parameter);
        if (!uid) co_return fail(ErrorCode::malformed, "a part of the path is not a UID");
        call.parameters.push_back(uid->text());
    }
    call.rest = match.rest;
    co_return co_await match.route->service(call);
}

}  // namespace

Door::Door(archive::Archive& used, HttpGatewaySettings given, WebFiles files)
    : archive(used),
      settings(std::move(given)),
      questions("questions", 2, settings.max_waiting, net::JobLength::brief),
      reception("reception", 2, settings.max_waiting),
      retrieving("retrieving", settings.retrieve_threads, settings.max_waiting, net::JobLength::brief),
      reading_on("reading on", std::max(1U, std::thread::hardware_concurrency() - 1), settings.max_waiting),
      ingesting("ingesting", settings.ingest_threads, settings.max_waiting),
      rendering("rendering", settings.render_threads, settings.max_waiting),
      retrievals(settings.max_waiting),
      stores(settings.max_waiting),
      sessions({settings.session_idle}),
      web_files(std::move(files)),
      secure(settings.tls.has_value()) {}

Result<Admission::Ticket> Admission::enter() {
    if (inside_.fetch_add(1) < most_) return Ticket(*this);
    inside_ -= 1;
    return fail(ErrorCode::unavailable, "too many requests of this kind are under way; try again shortly");
}

void Door::stop() {
    questions.stop();
    reception.stop();
    retrieving.stop();
    reading_on.stop();
    ingesting.stop();
    rendering.stop();
}

Call::Call(Door& shared, net::Request& asked, net::Response& answered, std::string id)
    : door(shared), request(asked), response(answered), request_id(std::move(id)) {}

archive::Selector Call::selector(archive::Level level) const {
    archive::Selector what{level, parameters.at(0), {}, {}};
    if (level != archive::Level::study) what.series_uid = parameters.at(1);
    if (level == archive::Level::instance) what.sop_uid = parameters.at(2);
    return what;
}

std::string Call::base_url() const {
    if (!door.settings.public_url.empty()) return door.settings.public_url;
    const std::string scheme = door.secure ? "https://" : "http://";
    const auto host = request.headers().find("Host");
    if (host && is_bare_loopback(*host)) return scheme + std::string(*host) + ":" + std::to_string(door.port);
    if (host && is_host(*host)) return scheme + std::string(*host);
    return scheme + "localhost:" + std::to_string(door.port);
}

void Call::say_evidence(const archive::Look& look, bool transcoded) {
    if (look.overlay_sha256 != kZero32) response.set_header("Fiducial-Correction", "overlay=" + to_hex(look.overlay_sha256));
    std::string text;
    if (look.evidence) {
        const auto& evidence = *look.evidence;
        text = "version=" + std::to_string(evidence.version) + ", state=" + evidence.state;
        if (evidence.block != 0) text += ", block=" + std::to_string(evidence.block);
        text += evidence.complete ? ", complete" : ", complete=?0";
    }
    if (transcoded) text += text.empty() ? "transcoded" : ", transcoded";
    if (!text.empty()) response.set_header("Fiducial-Evidence", std::move(text));
}

bool Call::secure() const {
    return door.secure || door.settings.public_url.starts_with("https://");
}

net::Task<Result<void>> Call::answer(unsigned answer_status, std::string content_type, std::string body) {
    status = answer_status;
    body_bytes = body.size();
    response.set_status(answer_status);
    response.set_header("Content-Type", std::move(content_type));
    co_return co_await response.send(std::move(body));
}

net::Task<Result<void>> Call::refuse(Error error, unsigned refuse_status) {
    if (refuse_status == 0) refuse_status = describe(error.code).http_status;
    if (refuse_status == 401) {
        const bool presented = request.headers().find("Authorization").has_value();
        response.set_header("WWW-Authenticate",
                            presented ? "Bearer realm=\"fiducial\", error=\"invalid_token\"" : "Bearer realm=\"fiducial\"");
    }
    if (refuse_status == 503) response.set_header("Retry-After", "5");
    co_return co_await answer(refuse_status, "application/problem+json", net::problem_json(error, request_id, refuse_status));
}

/// Every request comes through here: found, identified, served, counted, logged.
class Handler final : public net::HttpHandler {
public:
    explicit Handler(std::shared_ptr<Door> door) : door_(std::move(door)) {}

    net::Task<Result<void>> handle(net::Request& request, net::Response& response) override {
        const auto began = system_clock().steady_now();
        Call call(*door_, request, response, make_request_id());
        response.set_header("X-Request-Id", call.request_id);
        response.set_header("Cache-Control", "no-store");
        response.set_header("X-Content-Type-Options", "nosniff");
        response.set_header("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'");
        response.set_header("Cross-Origin-Resource-Policy", "same-origin");
        response.set_header("Referrer-Policy", "no-referrer");
        if (call.secure()) response.set_header("Strict-Transport-Security", "max-age=31536000");
        const auto match = find_route(request.method(), request.target());
        auto outcome = co_await dispatch(call, match);
        std::string why = outcome ? std::string() : outcome.error().message;
        const bool broken = !outcome && response.begun();
        if (!outcome && outcome.error().code == ErrorCode::unauthenticated) door_->archive.turned_away("http", request.peer());
        if (!outcome && !broken) outcome = co_await call.refuse(outcome.error());
        const std::string_view route = match.route ? match.route->pattern : std::string_view("none");
        door_->counts.add(route, call.status, call.body_bytes);
        // The path stays out of the log: a query may hold a name.
        const auto took = std::chrono::duration_cast<std::chrono::milliseconds>(system_clock().steady_now() - began).count();
        const auto level = broken || call.status >= 500 ? log::Level::warning : log::Level::info;
        log::write(level, "gateway", broken ? "an answer was broken off" : "answered",
                   {{"request", call.request_id},
                    {"peer", request.peer()},
                    {"method", request.method().substr(0, 16)},
                    {"route", route},
                    {"status", call.status},
                    {"bytes", call.body_bytes},
                    {"ms", took},
                    {"why", why}});
        co_return outcome;
    }

private:
    std::shared_ptr<Door> door_;
};

}  // namespace impl

struct HttpGateway::Impl {
    std::shared_ptr<impl::Door> door;
    std::unique_ptr<net::HttpServer> server;
};

HttpGateway::HttpGateway() : impl_(std::make_unique<Impl>()) {}
HttpGateway::~HttpGateway() {
    stop(std::chrono::milliseconds(0));
}

namespace {
Result<net::ListenSettings> listen_settings(const HttpGatewaySettings& settings) {
    if (settings.demo && (settings.tls || !settings.public_url.empty()))
        return fail(ErrorCode::invalid_argument,
                    "a demo, which lets everybody in, is served on this machine alone: without [http] tls and public_url");
    net::ListenSettings listen;
    listen.address = settings.address;
    listen.port = settings.port;
    if (settings.tls) {
        FID_TRY(listen.tls, net::TlsContext::server(*settings.tls));
    }
    return listen;
}
}  // namespace

Result<void> HttpGateway::check(const HttpGatewaySettings& settings) {
    FID_TRY(const auto listen, listen_settings(settings));
    return net::Listener::check(listen);
}

Result<std::unique_ptr<HttpGateway>> HttpGateway::start(net::Runtime& runtime, archive::Archive& archive, HttpGatewaySettings settings) {
    FID_TRY(const auto listen, listen_settings(settings));
    const auto limits = settings.limits;
    while (settings.public_url.ends_with('/')) settings.public_url.pop_back();
    FID_TRY(auto files, impl::WebFiles::open(settings.viewer_folder, settings.app_folder));
    auto door = std::make_shared<impl::Door>(archive, std::move(settings), std::move(files));
    std::unique_ptr<HttpGateway> out(new HttpGateway);
    out->impl_->door = door;
    // The first request may come before start() returns.
    auto counters = std::make_shared<std::atomic<net::HttpServer*>>(nullptr);
    door->server_counters = [counters] {
        const auto* server = counters->load();
        return server ? server->counters() : net::HttpServerCounters{};
    };
    FID_TRY(out->impl_->server, net::HttpServer::start(runtime, listen, limits, std::make_shared<impl::Handler>(door)));
    counters->store(out->impl_->server.get());
    door->port = out->impl_->server->port();
    log::info("gateway", "listening", {{"address", door->settings.address}, {"port", door->port.load()}, {"tls", door->secure}});
    return out;
}

std::uint16_t HttpGateway::port() const {
    return impl_->server->port();
}

std::string HttpGateway::url() const {
    const auto& settings = impl_->door->settings;
    std::string host = settings.address;
    if (host == "0.0.0.0" || host == "::") host = "localhost";
    if (host.find(':') != std::string::npos) host = "[" + host + "]";
    return (impl_->door->secure ? "https://" : "http://") + host + ":" + std::to_string(port());
}

void HttpGateway::stop(std::chrono::milliseconds grace) {
    if (impl_->server) impl_->server->stop(grace);
    if (impl_->door) impl_->door->stop();
}

}  // namespace fiducial::gateway
