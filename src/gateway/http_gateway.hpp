#pragma once
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "archive/archive.hpp"
#include "base/result.hpp"
#include "net/http_server.hpp"
#include "net/runtime.hpp"
#include "net/tls.hpp"

namespace fiducial::gateway {

class DimseGateway;

/// What a demo site lets everybody on this machine do.
struct DemoDoor {
    struct Person {
        std::string name, roles, token;
    };
    std::vector<Person> people;  // whoever comes may be one of them, without a password
    /// Changes one bit of an object's stored bytes; back: changes it again and takes the object out of quarantine.
    std::function<Result<void>(const std::string& object_id, bool back)> flip;
};

struct HttpGatewaySettings {
    std::string address = "127.0.0.1";
    std::uint16_t port = 0;               // 0: any free one
    std::optional<net::TlsSettings> tls;  // none: loopback only
    net::HttpLimits limits;
    std::uint64_t max_store_bytes = 1ULL << 40;  // of one STOW-RS request
    std::string public_url;                      // "https://pacs.example.org", for the URLs in answers; empty: from the request's Host
    std::filesystem::path viewer_folder;         // what deploy/viewer installed; empty: no viewer
    std::filesystem::path app_folder;            // what deploy/web installed; empty: plain pages in its place
    std::chrono::milliseconds session_idle{1'800'000};  // a browser's session ends when it was not used for so long
    std::size_t retrieve_threads = 4;
    std::size_t ingest_threads = 4;
    std::size_t render_threads = 2;
    std::function<std::vector<archive::Metric>()> other_metrics;  // of the doors beside this one, for /metrics
    std::optional<DemoDoor> demo;                                 // Security: of demo sites alone; on loopback, without TLS or a proxy
    DimseGateway* dimse = nullptr;                                // whose peers are administered here; it outlives this door
    std::size_t max_waiting = 256;                                // pieces of blocking work of each kind; beyond: 503
};

/// The door for HTTP: DICOMweb (WADO-RS, QIDO-RS, STOW-RS), pages and viewer, evidence, health and metrics. docs/reference/http.md lists
/// what it answers. Spec:     DICOM PS3.18 §10.4, §10.5; RFC 9110, RFC 6750 (bearer tokens), RFC 9457 (problem documents) Requires: archive
/// and runtime outlive it Errors:   of start: those of TlsContext::server and HttpServer::start; invalid_argument for a demo that others
/// could reach Threads:  safe Security: nothing but /healthz and the pages themselves is answered without a token or a session; what a
/// person may do is decided in the
///           archive
class HttpGateway {
public:
    /// Whether start() can do with these settings, as far as that shows without listening. Errors: those of TlsContext::server and
    /// Listener::check
    static Result<void> check(const HttpGatewaySettings& settings);
    static Result<std::unique_ptr<HttpGateway>> start(net::Runtime& runtime, archive::Archive& archive, HttpGatewaySettings settings);
    ~HttpGateway();  // stop() without grace
    std::uint16_t port() const;
    /// "http://127.0.0.1:8043", as a client on this machine reaches it.
    std::string url() const;
    /// Lets running requests finish for up to grace. Requires: not called from a runtime thread; the runtime still runs.
    void stop(std::chrono::milliseconds grace);

private:
    HttpGateway();
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace fiducial::gateway
