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

}  // namespace

Result<gateway::HttpGatewaySettings> door_settings(const Configuration& configuration, const std::string& listen) {
    gateway::HttpGatewaySettings settings;
    const std::string where = listen.empty() ? configuration.http_listen : listen;
    const auto colon = where.rfind(':');
    if (colon == std::string::npos)
        return fail(ErrorCode::invalid_argument, "listen address '" + where + "' has no port; write it as 127.0.0.1:8043");
    settings.address = where.substr(0, colon);
    if (settings.address.starts_with("[") && settings.address.ends_with("]"))
        settings.address = settings.address.substr(1, settings.address.size() - 2);
    const auto port_text = where.substr(colon + 1);
    const auto port = std::strtoul(port_text.c_str(), nullptr, 10);
    if (port_text.empty() || port_text.find_first_not_of("0123456789") != std::string::npos || port > 65535) {
        return fail(ErrorCode::invalid_argument, "'" + port_text + "' is no port");
    }
    settings.port = static_cast<std::uint16_t>(port);
    if (!configuration.http_tls_certificate.empty())
        settings.tls = net::TlsSettings{configuration.http_tls_certificate, configuration.http_tls_key};
    settings.limits.max_connections = static_cast<std::size_t>(configuration.http_max_connections);
    settings.max_waiting = settings.limits.max_connections;  // a connection has one request at a time: whoever gets one is let in
    settings.limits.idle_timeout = std::chrono::seconds(configuration.http_idle_timeout_s);
    settings.max_store_bytes = static_cast<std::uint64_t>(configuration.http_max_body_mib) << 20;
    return settings;
}

Result<int> serve(const Globals& globals, const ServeOptions& options) {
    FID_TRY(auto site, open_site(globals));
    FID_CHECK(configure_log(site.configuration(), true, globals.verbose));
    FID_TRY(auto settings, door_settings(site.configuration(), options.listen));
    const auto socket = site.layout().control_socket();
    const auto control_key = site.derive(archive::kControlLabel);
    const auto name = site.configuration().site_name;
    FID_TRY(const auto service, archive::Service::open(std::move(site), archive::Service::Ledger::optional));
    service->start_upkeep();
    FID_TRY(const auto control, ControlServer::start(socket, control_key,
                                                     [&service](auto operation, const auto& arguments, const auto& emit, const auto& stop) {
                                                         return service->operate(operation, arguments, emit, stop);
                                                     }));
    net::Runtime runtime(kSocketThreads);
    {
        auto opened = gateway::HttpGateway::start(runtime, *service, settings);
        if (!opened && opened.error().code == ErrorCode::conflict && options.another_port) {
            settings.port = 0;
            opened = gateway::HttpGateway::start(runtime, *service, settings);
        }
        FID_TRY(const auto door, std::move(opened));
        if (options.on_ready) {
            options.on_ready(door->url());
        } else if (globals.json) {
            print_json({{"ready", true}, {"url", door->url()}});
        } else {
            std::printf("%s is ready: %s (DICOMweb at %s/studies)\n", name.c_str(), door->url().c_str(), door->url().c_str());
        }
        std::fflush(stdout);
        while (!stop_requested().load()) std::this_thread::sleep_for(std::chrono::milliseconds(100));
        log::info("app", "stopping");
        door->stop(kGrace);
    }
    runtime.stop(kGrace);
    return 0;
}

}  // namespace fiducial::app
