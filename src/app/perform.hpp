#pragma once
#include <filesystem>
#include <string>
#include <string_view>

#include "archive/operations.hpp"
#include "archive/service.hpp"

namespace fiducial::app {

/// What every command takes.
struct Globals {
    std::filesystem::path site = "fiducial-site";
    std::filesystem::path passphrase_file;
    bool json = false;
    bool verbose = false;
    bool quiet = false;
};

/// Opens the site with its passphrase. Errors: those of Site::open and obtain_passphrase.
Result<archive::Site> open_site(const Globals& globals);

/// Runs an operation: through the archive that is running on the site, or in this process where none is.
Result<boost::json::object> perform(const Globals& globals, std::string_view operation, const boost::json::object& arguments,
                                    const archive::EmitEvent& emit, archive::Service::Ledger ledger = archive::Service::Ledger::optional);

/// Sets levels and file of the log as the configuration says. Commands log warnings only, unless they are verbose.
Result<void> configure_log(const Configuration& configuration, bool serving, bool verbose);

}  // namespace fiducial::app
