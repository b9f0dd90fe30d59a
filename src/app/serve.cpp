#include "app/serve.hpp"

#include <boost/json.hpp>
#include <cstdio>
#include <thread>

#include "app/commands.hpp"
#include "app/control.hpp"
#include "app/terminal.hpp"
#include "crypto/secret.hpp"
#include "gateway/http_gateway.hpp"

namespace fiducial::app {
namespace {

constexpr std::size_t kSocketThreads = 2;
constexpr std::chrono::seconds kGrace{10};

struct Address {
    std::string host;
    std::uint16_t port = 0;
};

/// "127.0.0.1:8043", "[::1]:8043". Errors: invalid_argument.
Result<Address> parse_address(const std::string& where) {
    const auto colon = where.rfind(':');
    if (colon == std::string::npos)
        return fail(ErrorCode::invalid_argument, "listen address '" + where + "' has no port; write it as 127.0.0.1:8043");
    Address out;
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

/// Where deploy/viewer puts it: build/share beside build/bin, /usr/share beside /usr/bin. Empty: not there.
std::filesystem::path installed_viewer() {
    std::error_code problem;
    const auto program = std::filesystem::read_symlink("/proc/self/exe", problem);
    const auto folder = program.parent_path().parent_path() / "share" / "fiducial" / "viewer";
    return !problem && std::filesystem::exists(folder / "index.html", problem) ? folder : std::filesystem::path();
}

/// Of the door alone, which lives as long as the archive serves; the archive's own operations know nothing of it.
boost::json::object list_knocks(const gateway::Knocks& knocks) {
    boost::json::array out;
    for (const auto& knock : knocks.list())
        out.push_back({{"address", knock.address},
                       {"callingAeTitle", knock.calling_ae_title},
                       {"calledAeTitle", knock.called_ae_title},
                       {"why", knock.why},
                       {"times", knock.times},
                       {"last", to_rfc3339(knock.last)}});
    return {{"knocks", std::move(out)}};
}

}  // namespace

Result<gateway::HttpGatewaySettings> http_door_settings(const Configuration& configuration, const std::string& listen) {
    gateway::HttpGatewaySettings settings;
    FID_TRY(const auto where, parse_address(listen.empty() ? configuration.http_listen : listen));
    settings.address = where.host;
    settings.port = where.port;
    if (!configuration.http_tls_certificate.empty())
        settings.tls = net::TlsSettings{configuration.http_tls_certificate, configuration.http_tls_key};
    settings.limits.max_connections = static_cast<std::size_t>(configuration.http_max_connections);
    settings.max_waiting = settings.limits.max_connections;  // a connection has one request at a time: whoever gets one is let in
    settings.limits.idle_timeout = std::chrono::seconds(configuration.http_idle_timeout_s);
    settings.public_url = configuration.http_public_url;
    settings.viewer_folder = configuration.http_viewer.empty() ? installed_viewer() : std::filesystem::path(configuration.http_viewer);
    settings.session_idle = std::chrono::minutes(configuration.http_session_idle_min);
    settings.max_store_bytes = static_cast<std::uint64_t>(configuration.http_max_body_mib) << 20;
    return settings;
}

Result<std::optional<gateway::DimseGatewaySettings>> dimse_door_settings(const Configuration& configuration, const std::string& listen) {
    std::optional<gateway::DimseGatewaySettings> none;
    const std::string where_text = listen.empty() ? configuration.dimse_listen : listen;
    if (where_text.empty()) return none;
    gateway::DimseGatewaySettings settings;
    FID_TRY(const auto where, parse_address(where_text));
    settings.address = where.host;
    settings.port = where.port;
    settings.ae_title = configuration.dimse_ae_title;
    for (const auto& text : configuration.dimse_peers) {
        FID_TRY(auto peer, gateway::parse_dimse_peer(text));
        settings.peers.push_back(std::move(peer));
    }
    if (!configuration.dimse_tls_certificate.empty())
        settings.tls = net::TlsSettings{configuration.dimse_tls_certificate, configuration.dimse_tls_key};
    settings.private_sop_classes = configuration.dimse_private_sop_classes;
    settings.limits.max_associations = static_cast<std::size_t>(configuration.dimse_max_associations);
    settings.limits.association.idle_timeout = std::chrono::seconds(configuration.dimse_idle_timeout_s);
    return std::optional(std::move(settings));
}

Result<int> serve(const Globals& globals, const ServeOptions& options) {
    FID_TRY(auto site, open_site(globals));
    FID_CHECK(configure_log(site.configuration(), true, globals.verbose));
    FID_TRY(auto settings, http_door_settings(site.configuration(), options.listen));
    FID_TRY(const auto dimse_settings, dimse_door_settings(site.configuration(), options.dimse_listen));
    const auto socket = site.layout().control_socket();
    const auto control_key = site.derive(archive::kControlLabel);
    const auto name = site.configuration().site_name;
    FID_TRY(const auto service, archive::Service::open(std::move(site), archive::Service::Ledger::optional));
    service->start_upkeep();
    const auto knocks = std::make_shared<gateway::Knocks>();
    FID_TRY(const auto control,
            ControlServer::start(socket, control_key, [&](auto operation, const auto& arguments, const auto& emit, const auto& stop) {
                if (operation == kKnocksOperation) return Result<boost::json::object>(list_knocks(*knocks));
                return service->operate(operation, arguments, emit, stop);
            }));
    net::Runtime runtime(kSocketThreads);
    {
        std::unique_ptr<gateway::DimseGateway> dimse_door;
        std::string dimse_where;
        if (dimse_settings) {
            auto with_knocks = *dimse_settings;
            with_knocks.knocks = knocks;
            FID_TRY(dimse_door, gateway::DimseGateway::start(runtime, *service, with_knocks));
            dimse_where = dimse_settings->address + ":" + std::to_string(dimse_door->port());
            settings.other_metrics = [&dimse_door] { return dimse_door->metrics(); };
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
            ready["url"] = door->url();
            print_json(ready);
        } else {
            std::printf("%s is ready: %s (DICOMweb at %s/studies)\n", name.c_str(), door->url().c_str(), door->url().c_str());
            if (!settings.viewer_folder.empty()) std::printf("Images in the browser: the study list at the same address opens them.\n");
            if (dimse_door) std::printf("DIMSE: %s at %s\n", dimse_settings->ae_title.c_str(), dimse_where.c_str());
        }
        std::fflush(stdout);
        while (!stop_requested().load()) std::this_thread::sleep_for(std::chrono::milliseconds(100));
        log::info("app", "stopping");
        door->stop(kGrace);
        if (dimse_door) dimse_door->stop(kGrace);
    }
    runtime.stop(kGrace);
    return 0;
}

}  // namespace fiducial::app
