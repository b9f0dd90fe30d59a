#include "app/perform.hpp"

#include <boost/json.hpp>

#include "app/control.hpp"
#include "app/terminal.hpp"

namespace fiducial::app {

Result<archive::Site> open_site(const Globals& globals) {
    FID_CHECK(archive::Site::read_facts(globals.site));  // before anybody is asked for a passphrase
    FID_TRY(const auto passphrase, obtain_passphrase(globals.passphrase_file, "passphrase of the site", false));
    return archive::Site::open(globals.site, passphrase);
}

Result<void> configure_log(const Configuration& configuration, bool serving, bool verbose) {
    log::Level level = log::Level::info;
    if (configuration.log_level == "debug") level = log::Level::debug;
    if (configuration.log_level == "warning" || !serving) level = log::Level::warning;
    if (configuration.log_level == "error") level = log::Level::error;
    if (verbose) level = log::Level::debug;
    log::set_level(level);
    if (!configuration.log_file.empty()) FID_CHECK(log::also_to_file(configuration.log_file));
    return {};
}

Result<boost::json::object> perform(const Globals& globals, std::string_view operation, const boost::json::object& arguments,
                                    const archive::EmitEvent& emit, archive::Service::Ledger ledger) {
    FID_TRY(auto site, open_site(globals));
    FID_CHECK(configure_log(site.configuration(), false, globals.verbose));
    const auto socket = site.layout().control_socket();
    const auto control_key = site.derive(archive::kControlLabel);
    auto asked = ask_running_archive(socket, control_key, operation, arguments, emit, stop_requested());
    if (asked || asked.error().code != ErrorCode::not_found || !asked.error().message.starts_with("no archive is running")) return asked;
    const auto asked_for = [&](std::string_view flag) {
        const auto* value = arguments.if_contains(flag);
        return operation == "fsck" && value != nullptr && value->is_bool() && value->get_bool();
    };
    FID_TRY(auto service, archive::Service::open(std::move(site), ledger,
                                                 {.damaged_index = asked_for("rebuildIndex"), .lost_trace = asked_for("newTrace")}));
    return service->operate(operation, arguments, emit, stop_requested());
}

}  // namespace fiducial::app
