#include "app/serve.hpp"

#include <algorithm>
#include <boost/json.hpp>
#include <cstdio>
#include <mutex>
#include <shared_mutex>
#include <thread>

#include "app/commands.hpp"
#include "app/control.hpp"
#include "app/terminal.hpp"
#include "archive/arguments.hpp"
#include "crypto/secret.hpp"
#include "gateway/http_gateway.hpp"
#include "gateway/peers_json.hpp"

namespace fiducial::app {
namespace {

constexpr std::size_t kSocketThreads = 2;
constexpr std::chrono::seconds kGrace{10};

/// To brief jobs: more than there are cores, since some of them wait for the disk.
std::size_t threads_to_lend() {
    return std::max<std::size_t>(8, 2 * std::thread::hardware_concurrency());
}

/// Where deploy/viewer and deploy/web put them: build/share beside build/bin, /usr/share beside /usr/bin. Empty: not there.
std::filesystem::path installed(const char* what) {
    std::error_code problem;
    const auto program = std::filesystem::read_symlink("/proc/self/exe", problem);
    const auto folder = program.parent_path().parent_path() / "share" / "fiducial" / what;
    return !problem && std::filesystem::exists(folder / "index.html", problem) ? folder : std::filesystem::path();
}

/// The DIMSE door while it is open, for operations that need it.
class OpenDoor {
public:
    explicit OpenDoor(const archive::Service& service) : service_(service) {}
    void set(gateway::DimseGateway* door) {
        const std::unique_lock lock(mutex_);
        door_ = door;
    }
    /// Of the peers: "peer show", "add", "remove", "check", "knocks".
    Result<boost::json::object> peers(std::string_view operation, const boost::json::object& arguments) {
        const std::shared_lock lock(mutex_);
        if (door_ == nullptr) return fail(ErrorCode::unavailable, "this archive does not serve DIMSE ([dimse] listen)");
        auto& book = door_->peers();
        const auto title = archive::argument::text(arguments, "aeTitle");
        if (operation == kKnocksOperation) return gateway::knocks_json(book);
        if (operation == "peer check") return gateway::checks_json(door_->check_peers(title));
        if (operation == "peer add") {
            FID_TRY(const auto line, archive::argument::required_text(arguments, "line"));
            FID_TRY(const auto entry, book.add(service_.command_requester(), line));
            return gateway::peer_json(entry, book.lacks(*entry.peer));
        }
        if (operation == "peer remove") {
            FID_TRY(const auto removed, book.remove(service_.command_requester(), title));
            return boost::json::object{{"removed", removed}};
        }
        return gateway::peers_json(book);
    }
    /// Spec of the arguments: {"peer", "study" or "patient", "move"}.
    Result<boost::json::object> fetch(const boost::json::object& arguments, const archive::EmitEvent& emit, const std::atomic<bool>& stop) {
        const std::shared_lock lock(mutex_);  // the door stays open meanwhile
        if (door_ == nullptr) return fail(ErrorCode::unavailable, "this archive does not serve DIMSE ([dimse] listen)");
        gateway::FetchRequest request;
        request.peer = archive::argument::text(arguments, "peer");
        request.study_uid = archive::argument::text(arguments, "study");
        request.patient_id = archive::argument::text(arguments, "patient");
        request.by_move = archive::argument::flag(arguments, "move");
        if (request.study_uid.empty() == request.patient_id.empty())
            return fail(ErrorCode::invalid_argument, "a study or a patient is to be named");
        const auto shown = [](const gateway::FetchedStudy& study) {
            boost::json::object out{{"studyInstanceUid", study.study_uid}, {"completed", study.completed}, {"failed", study.failed}};
            if (!study.problem.empty()) out["problem"] = study.problem;
            return out;
        };
        const gateway::OnFetched on_fetched = [&](const gateway::FetchedStudy& study, std::size_t studies) {
            auto event = shown(study);
            event["remaining"] = study.remaining;
            event["studies"] = studies;
            emit(event);
            return !stop && !stop_requested();
        };
        FID_TRY(const auto fetched, door_->fetch(request, on_fetched));
        boost::json::array studies;
        for (const auto& study : fetched) studies.push_back(shown(study));
        return boost::json::object{{"studies", std::move(studies)}};
    }

private:
    const archive::Service& service_;
    std::shared_mutex mutex_;
    gateway::DimseGateway* door_ = nullptr;
};

}  // namespace

Result<ListenAddress> parse_listen_address(const std::string& where) {
    const auto colon = where.rfind(':');
    if (colon == std::string::npos)
        return fail(ErrorCode::invalid_argument, "listen address '" + where + "' has no port; write it as 127.0.0.1:8043");
    ListenAddress out;
    out.host = where.substr(0, colon);
    if (out.host.starts_with("[") && out.host.ends_with("]")) out.host = out.host.substr(1, out.host.size() - 2);
    const auto port_text = where.substr(colon + 1);
    const auto port = std::strtoul(port_text.c_str(), nullptr, 10);
    if (port_text.empty() || port_text.find_first_not_of("0123456789") != std::string::npos || port > 65535) {
        return fail(ErrorCode::invalid_argument, "'" + port_text + "' is no port");
    }
    out.port = static_cast<std::uint16_t>(port);
    return out;
}

Result<gateway::HttpGatewaySettings> http_door_settings(const Configuration& configuration, const std::string& listen) {
    gateway::HttpGatewaySettings settings;
    FID_TRY(const auto where, parse_listen_address(listen.empty() ? configuration.http_listen : listen));
    settings.address = where.host;
    settings.port = where.port;
    if (!configuration.http_tls_certificate.empty())
        settings.tls = net::TlsSettings{configuration.http_tls_certificate, configuration.http_tls_key};
    settings.limits.max_connections = static_cast<std::size_t>(configuration.http_max_connections);
    settings.max_waiting = settings.limits.max_connections;  // a connection has one request at a time: whoever gets one is let in
    settings.limits.idle_timeout = std::chrono::seconds(configuration.http_idle_timeout_s);
    settings.public_url = configuration.http_public_url;
    settings.viewer_folder = configuration.http_viewer.empty() ? installed("viewer") : std::filesystem::path(configuration.http_viewer);
    settings.app_folder = installed("web");
    settings.session_idle = std::chrono::minutes(configuration.http_session_idle_min);
    settings.max_store_bytes = static_cast<std::uint64_t>(configuration.http_max_body_mib) << 20;
    return settings;
}

Result<std::optional<gateway::DimseGatewaySettings>> dimse_door_settings(const Configuration& configuration, const std::string& listen) {
    std::optional<gateway::DimseGatewaySettings> none;
    const std::string where_text = listen.empty() ? configuration.dimse_listen : listen;
    if (where_text.empty() && !(configuration.dimse_forward.empty() && configuration.dimse_notify.empty()))
        return fail(ErrorCode::invalid_argument, "[dimse] forward, notify: nothing goes to peers without [dimse] listen");
    if (where_text.empty()) return none;
    gateway::DimseGatewaySettings settings;
    FID_TRY(const auto where, parse_listen_address(where_text));
    settings.address = where.host;
    settings.port = where.port;
    settings.ae_title = configuration.dimse_ae_title;
    for (const auto& text : configuration.dimse_peers) {
        FID_TRY(auto peer, gateway::parse_dimse_peer(text));
        settings.peers.push_back(std::move(peer));
    }
    if (!configuration.dimse_tls_certificate.empty())
        settings.tls = net::TlsSettings{configuration.dimse_tls_certificate, configuration.dimse_tls_key};
    FID_TRY(const auto rules, archive::forward_rules(configuration));
    for (const auto& rule : rules) settings.forward_to.push_back(rule.peer);
    settings.notify = configuration.dimse_notify;
    settings.private_sop_classes = configuration.dimse_private_sop_classes;
    settings.limits.max_associations = static_cast<std::size_t>(configuration.dimse_max_associations);
    settings.limits.association.idle_timeout = std::chrono::seconds(configuration.dimse_idle_timeout_s);
    return std::optional(std::move(settings));
}

Result<std::optional<gateway::Hl7GatewaySettings>> hl7_door_settings(const Configuration& configuration) {
    std::optional<gateway::Hl7GatewaySettings> none;
    if (configuration.hl7_listen.empty()) return none;
    gateway::Hl7GatewaySettings settings;
    FID_TRY(const auto where, parse_listen_address(configuration.hl7_listen));
    settings.address = where.host;
    settings.port = where.port;
    for (const auto& text : configuration.hl7_senders) {
        FID_TRY(auto sender, gateway::parse_hl7_sender(text));
        settings.senders.push_back(std::move(sender));
    }
    if (!configuration.hl7_tls_certificate.empty())
        settings.tls = net::TlsSettings{configuration.hl7_tls_certificate, configuration.hl7_tls_key};
    return std::optional(std::move(settings));
}

Result<int> serve(const Globals& globals, const ServeOptions& options) {
    FID_TRY(auto site, open_site(globals));
    FID_CHECK(configure_log(site.configuration(), true, globals.verbose));
    FID_TRY(auto settings, http_door_settings(site.configuration(), options.listen));
    FID_TRY(const auto dimse_settings, dimse_door_settings(site.configuration(), options.dimse_listen));
    FID_TRY(const auto hl7_settings, hl7_door_settings(site.configuration()));
    const auto socket = site.layout().control_socket();
    const auto control_key = site.derive(archive::kControlLabel);
    const auto name = site.configuration().site_name;
    FID_TRY(const auto service, archive::Service::open(std::move(site), archive::Service::Ledger::optional));
    service->start_upkeep();
    OpenDoor open_door(*service);
    FID_TRY(const auto control,
            ControlServer::start(socket, control_key, [&](auto operation, const auto& arguments, const auto& emit, const auto& stop) {
                if (operation == kFetchOperation) return open_door.fetch(arguments, emit, stop);
                if (operation.starts_with("peer ")) return open_door.peers(operation, arguments);
                return service->operate(operation, arguments, emit, stop);
            }));
    net::Runtime runtime(kSocketThreads, threads_to_lend());
    {
        std::unique_ptr<gateway::DimseGateway> dimse_door;
        std::string dimse_where;
        if (dimse_settings) {
            FID_TRY(dimse_door, gateway::DimseGateway::start(runtime, *service, *dimse_settings));
            settings.dimse = dimse_door.get();
            open_door.set(dimse_door.get());
            dimse_where = dimse_settings->address + ":" + std::to_string(dimse_door->port());
        }
        std::unique_ptr<gateway::Hl7Gateway> hl7_door;
        std::string hl7_where;
        if (hl7_settings) {
            FID_TRY(hl7_door, gateway::Hl7Gateway::start(runtime, *service, *hl7_settings));
            hl7_where = hl7_settings->address + ":" + std::to_string(hl7_door->port());
        }
        settings.other_metrics = [&dimse_door, &hl7_door] {
            auto metrics = dimse_door ? dimse_door->metrics() : std::vector<archive::Metric>();
            auto more = hl7_door ? hl7_door->metrics() : std::vector<archive::Metric>();
            std::move(more.begin(), more.end(), std::back_inserter(metrics));
            return metrics;
        };
        if (!options.demo_people.empty()) {
            settings.demo =
                gateway::DemoDoor{options.demo_people, [&](const std::string& object, bool back) -> Result<void> {
                                      const auto ignored = [](const boost::json::object&) {};
                                      FID_CHECK(service->operate("demo flip", {{"object", object}}, ignored, stop_requested()));
                                      if (!back) return {};
                                      FID_CHECK(service->operate("quarantine restore", {{"object", object}}, ignored, stop_requested()));
                                      return {};
                                  }};
        }
        auto opened = gateway::HttpGateway::start(runtime, *service, settings);
        if (!opened && opened.error().code == ErrorCode::conflict && options.another_port) {
            settings.port = 0;
            opened = gateway::HttpGateway::start(runtime, *service, settings);
        }
        FID_TRY(const auto door, std::move(opened));
        if (options.on_ready) {
            options.on_ready(door->url());
        } else if (globals.json) {
            boost::json::object ready{{"ready", true}};
            if (dimse_door) ready["dimse"] = dimse_where;
            if (hl7_door) ready["hl7"] = hl7_where;
            ready["url"] = door->url();
            print_json(ready);
        } else {
            std::printf("%s is ready: %s (DICOMweb at %s/studies)\n", name.c_str(), door->url().c_str(), door->url().c_str());
            if (!settings.viewer_folder.empty()) std::printf("Images in the browser: the study list at the same address opens them.\n");
            if (hl7_door) std::printf("HL7 by MLLP at %s\n", hl7_where.c_str());
            if (dimse_door) std::printf("DIMSE: %s at %s\n", dimse_settings->ae_title.c_str(), dimse_where.c_str());
        }
        std::fflush(stdout);
        while (!stop_requested().load()) std::this_thread::sleep_for(std::chrono::milliseconds(100));
        log::info("app", "stopping");
        open_door.set(nullptr);
        door->stop(kGrace);
        if (dimse_door) dimse_door->stop(kGrace);
        if (hl7_door) hl7_door->stop(kGrace);
    }
    runtime.stop(kGrace);
    return 0;
}

}  // namespace fiducial::app
