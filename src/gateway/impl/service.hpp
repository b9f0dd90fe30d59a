#pragma once
#include <array>
#include <atomic>
#include <functional>
#include <map>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "archive/archive.hpp"
#include "gateway/http_gateway.hpp"
#include "gateway/impl/sessions.hpp"
#include "gateway/impl/web_files.hpp"
#include "net/http_server.hpp"
#include "net/runtime.hpp"
#include "net/task.hpp"

namespace fiducial::gateway::impl {

/// Requests answered, by route and status, for /metrics.
class RequestCounts {
public:
    void add(std::string_view route, unsigned status, std::uint64_t body_bytes);
    std::vector<archive::Metric> metrics() const;

private:
    struct Count {
        std::uint64_t requests = 0;
        std::uint64_t bytes = 0;
    };
    mutable std::mutex mutex_;
    std::map<std::pair<std::string, unsigned>, Count> counts_;
};

/// Lets so many requests in at a time. Each has at most one job in its pool, so that whoever was let in never finds the pool full
/// halfway through a body.
class Admission {
public:
    explicit Admission(std::size_t most) : most_(most) {}
    class Ticket {
    public:
        explicit Ticket(Admission& from) : from_(&from) {}
        Ticket(Ticket&& other) noexcept : from_(std::exchange(other.from_, nullptr)) {}
        Ticket& operator=(Ticket&&) = delete;
        ~Ticket() {
            if (from_ != nullptr) from_->inside_ -= 1;
        }

    private:
        Admission* from_;
    };
    /// Errors: unavailable when as many are inside already. Threads: safe.
    Result<Ticket> enter();
    std::size_t inside() const { return inside_; }

private:
    const std::size_t most_;
    std::atomic<std::size_t> inside_{0};
};

/// What all requests share.
struct Door {
    archive::Archive& archive;
    HttpGatewaySettings settings;
    net::BlockingPool questions;  // short ones: tokens, health, metrics
    net::BlockingPool reception;  // accounts, peers: a password takes a tenth of a second, the ledger or an echo seconds
    net::BlockingPool retrieving;
    net::BlockingPool reading_on;  // the next piece of an answer, while one is sent
    net::BlockingPool ingesting;
    net::BlockingPool rendering;  // each job may take half a gigabyte
    Admission retrievals, stores;
    Sessions sessions;
    FailedLogIns failed_log_ins;
    const WebFiles web_files;
    RequestCounts counts;
    std::function<net::HttpServerCounters()> server_counters;
    std::atomic<std::uint16_t> port = 0;
    bool secure = false;

    Door(archive::Archive& used, HttpGatewaySettings given, WebFiles files);
    void stop();
};

/// One request on its way through a service.
struct Call {
    Door& door;
    net::Request& request;
    net::Response& response;
    std::string request_id;
    archive::Requester who{};               // of services that want a person
    std::vector<std::string> parameters{};  // what stood in the places of {…} in the route, checked to be UIDs
    std::string rest{};                     // what stood in the place of {rest} or {frames}; not checked
    unsigned status = 200;                  // as answered
    std::uint64_t body_bytes = 0;

    Call(Door& shared, net::Request& asked, net::Response& answer, std::string id);
    /// What the route's parameters name, read as study, series, instance as far as the level goes.
    archive::Selector selector(archive::Level level) const;
    /// Where a client finds things here, without a slash at the end.
    std::string base_url() const;
    /// Whether browsers reach us by TLS, be it that of a proxy.
    bool secure() const;
    /// Puts how far the ledger vouches for what is given into the answer's header. transcoded: it is made from what the ledger vouches for.
    /// Spec: docs/reference/http.md, RFC 8941 §3.2
    void say_evidence(const archive::Look& look, bool transcoded = false);
    net::Task<Result<void>> answer(unsigned answer_status, std::string content_type, std::string body);
    /// Answers with a problem document. status 0: that of the error table.
    net::Task<Result<void>> refuse(Error error, unsigned refuse_status = 0);
};

/// The session that a request's cookie names. Errors: unauthenticated; denied where the request does not come from one of our own pages.
/// Spec: RFC 6265; W3C Fetch Metadata; RFC 6454 §7
Result<Sessions::Held> session_of(const Call& call);  // log_in.cpp
/// The cookie's id, whatever it opens; empty: none.
std::string session_id_of(const Call& call);
/// Errors: denied where a change is not asked for by one of our own pages.
Result<void> check_from_our_pages(const Call& call);
/// Opens a session with this token, in place of the one that the cookie names.
void open_session_with(Call& call, std::string_view token, const Bytes32& person, archive::Purpose purpose);

using Service = net::Task<Result<void>> (*)(Call& call);

// One file a service.
net::Task<Result<void>> serve_liveness(Call& call);              // health.cpp
net::Task<Result<void>> serve_readiness(Call& call);             // health.cpp
net::Task<Result<void>> serve_witness(Call& call);               // witness.cpp
net::Task<Result<void>> serve_metrics(Call& call);               // metrics.cpp
net::Task<Result<void>> serve_log_in(Call& call);                // log_in.cpp
net::Task<Result<void>> serve_log_out(Call& call);               // log_in.cpp
net::Task<Result<void>> serve_session(Call& call);               // log_in.cpp
net::Task<Result<void>> serve_reception(Call& call);             // accounts.cpp
net::Task<Result<void>> serve_own_sessions(Call& call);          // accounts.cpp
net::Task<Result<void>> serve_rpc(Call& call);                   // accounts.cpp
net::Task<Result<void>> serve_end_session(Call& call);           // accounts.cpp
net::Task<Result<void>> serve_demo(Call& call);                  // demo.cpp
net::Task<Result<void>> serve_demo_flip(Call& call);             // demo.cpp
net::Task<Result<void>> serve_page(Call& call);                  // pages.cpp
net::Task<Result<void>> serve_viewer(Call& call);                // pages.cpp
net::Task<Result<void>> serve_retrieve_study(Call& call);        // wado.cpp
net::Task<Result<void>> serve_retrieve_series(Call& call);       // wado.cpp
net::Task<Result<void>> serve_retrieve_instance(Call& call);     // wado.cpp
net::Task<Result<void>> serve_study_metadata(Call& call);        // metadata.cpp
net::Task<Result<void>> serve_series_metadata(Call& call);       // metadata.cpp
net::Task<Result<void>> serve_instance_metadata(Call& call);     // metadata.cpp
net::Task<Result<void>> serve_frames(Call& call);                // values.cpp
net::Task<Result<void>> serve_bulk_data(Call& call);             // values.cpp
net::Task<Result<void>> serve_rendered_study(Call& call);        // rendered.cpp
net::Task<Result<void>> serve_rendered_series(Call& call);       // rendered.cpp
net::Task<Result<void>> serve_rendered_instance(Call& call);     // rendered.cpp
net::Task<Result<void>> serve_rendered_frames(Call& call);       // rendered.cpp
net::Task<Result<void>> serve_study_thumbnail(Call& call);       // rendered.cpp
net::Task<Result<void>> serve_series_thumbnail(Call& call);      // rendered.cpp
net::Task<Result<void>> serve_instance_thumbnail(Call& call);    // rendered.cpp
net::Task<Result<void>> serve_frame_thumbnail(Call& call);       // rendered.cpp
net::Task<Result<void>> serve_wado_uri(Call& call);              // wado_uri.cpp
net::Task<Result<void>> serve_capabilities(Call& call);          // capabilities.cpp
net::Task<Result<void>> serve_search_studies(Call& call);        // qido.cpp
net::Task<Result<void>> serve_search_series(Call& call);         // qido.cpp
net::Task<Result<void>> serve_search_instances(Call& call);      // qido.cpp
net::Task<Result<void>> serve_store(Call& call);                 // stow.cpp
net::Task<Result<void>> serve_break_glass(Call& call);           // emergency.cpp
net::Task<Result<void>> serve_worklist(Call& call);              // worklist.cpp
net::Task<Result<void>> serve_schedule(Call& call);              // worklist.cpp
net::Task<Result<void>> serve_cancel_scheduled(Call& call);      // worklist.cpp
net::Task<Result<void>> serve_remove_study(Call& call);          // corrections.cpp
net::Task<Result<void>> serve_remove_series(Call& call);         // corrections.cpp
net::Task<Result<void>> serve_remove_instance(Call& call);       // corrections.cpp
net::Task<Result<void>> serve_put_back_study(Call& call);        // corrections.cpp
net::Task<Result<void>> serve_put_back_series(Call& call);       // corrections.cpp
net::Task<Result<void>> serve_put_back_instance(Call& call);     // corrections.cpp
net::Task<Result<void>> serve_move_study(Call& call);            // corrections.cpp
net::Task<Result<void>> serve_move_series(Call& call);           // corrections.cpp
net::Task<Result<void>> serve_move_instance(Call& call);         // corrections.cpp
net::Task<Result<void>> serve_correct_patient(Call& call);       // corrections.cpp
net::Task<Result<void>> serve_take_correction_back(Call& call);  // corrections.cpp
net::Task<Result<void>> serve_peers(Call& call);                 // peers.cpp
net::Task<Result<void>> serve_add_peer(Call& call);              // peers.cpp
net::Task<Result<void>> serve_remove_peer(Call& call);           // peers.cpp
net::Task<Result<void>> serve_check_peers(Call& call);           // peers.cpp
net::Task<Result<void>> serve_knocks(Call& call);                // peers.cpp
net::Task<Result<void>> serve_study_record(Call& call);          // evidence.cpp
net::Task<Result<void>> serve_study_evidence(Call& call);        // evidence.cpp
net::Task<Result<void>> serve_instance_evidence(Call& call);     // evidence.cpp

enum class Access : std::uint8_t { anonymous, person };  // person: by a token, or by a session

struct Route {
    std::string_view method;  // GET also answers HEAD
    std::string_view
        pattern;  // "/studies/{uid}": {uid} stands for one segment that is a UID, {frames} for one, {rest} for all that are left
    Access access;
    Service service;
};

/// All that this door answers: routes.cpp.
std::span<const Route> routes();

struct RouteMatch {
    const Route* route = nullptr;  // nothing: see allowed
    std::vector<std::string> parameters;
    std::string rest;
    std::string allowed;  // methods that the path has; empty: no such path
};
RouteMatch find_route(std::string_view method, const net::Target& target);

/// The text format of Prometheus, version 0.0.4: metrics of one name stand together.
std::string prometheus_text(std::vector<archive::Metric> metrics);

}  // namespace fiducial::gateway::impl
