#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "app/perform.hpp"
#include "gateway/dimse_gateway.hpp"
#include "gateway/hl7_gateway.hpp"
#include "gateway/http_gateway.hpp"

namespace fiducial::app {

struct ServeOptions {
    std::string listen;                                    // instead of the configuration's; empty: that
    std::string dimse_listen;                              // likewise
    bool another_port = false;                             // any free one where that one is taken
    std::vector<gateway::DemoDoor::Person> demo_people;    // of a demo site: whoever comes may be one of them
    std::function<void(const std::string& url)> on_ready;  // says where it is, instead of the usual line
};

/// Answered by an archive that serves DIMSE: who was not let in.
inline constexpr std::string_view kKnocksOperation = "peer knocks";

/// Answered by an archive that serves DIMSE: studies of another archive come here.
inline constexpr std::string_view kFetchOperation = "fetch";

/// Runs the archive with its doors until a signal says stop.
/// Returns: the exit code.
Result<int> serve(const Globals& globals, const ServeOptions& options);

struct ListenAddress {
    std::string host;
    std::uint16_t port = 0;
};
/// "127.0.0.1:8043", "[::1]:8043". Errors: invalid_argument.
Result<ListenAddress> parse_listen_address(const std::string& where);

/// What a configuration asks of the doors. listen: instead of the configuration's; empty: that.
/// Errors: invalid_argument.
Result<gateway::HttpGatewaySettings> http_door_settings(const Configuration& configuration, const std::string& listen);
/// Returns: nothing where there is to be no DIMSE.
Result<std::optional<gateway::DimseGatewaySettings>> dimse_door_settings(const Configuration& configuration, const std::string& listen);
/// Returns: nothing where there is to be no HL7.
Result<std::optional<gateway::Hl7GatewaySettings>> hl7_door_settings(const Configuration& configuration);

}  // namespace fiducial::app
