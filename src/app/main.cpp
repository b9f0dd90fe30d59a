#include <CLI/CLI.hpp>
#include <boost/json.hpp>
#include <cstdio>
#include <cstdlib>

#include "app/commands.hpp"
#include "app/terminal.hpp"
#include "base/log.hpp"
#include "crypto/harden.hpp"

namespace {

using namespace fiducial;

constexpr const char* kExitCodes =
    "Exit codes: 0 done; 1 done with remarks; 2 wrong usage; 3 bad data; 4 denied; 5 not found; 6 conflict; 7 a part is away;\n"
    "8 interrupted; 10 damaged or not what was stored; 12 wrong passphrase; 13 another process has it; 14 permission; 15 disk full;\n"
    "16 input/output; 70 internal error";

int complain(const app::Globals& globals, const Error& error) {
    const auto& row = describe(error.code);
    if (globals.json) {
        app::print_json({{"error", {{"code", std::string(row.name)}, {"message", error.message}}}});
    } else {
        std::fprintf(stderr, "%s %s\n", app::bad("fiducial:").c_str(), error.message.c_str());
    }
    return row.exit_code;
}

}  // namespace

int main(int argc, char** argv) {
    app::catch_signals();
    if (auto hardened = crypto::harden_process(); !hardened) log::warning("app", "the process's memory is less protected than it should be", {{"why", hardened.error().message}});
    app::Globals globals;
    if (const char* site = std::getenv("FIDUCIAL_SITE"); site != nullptr) globals.site = site;
    app::Action action;
    std::string site, passphrase_file;

    CLI::App cli{"Fiducial: a medical image archive that can prove what it keeps.", "fiducial"};
    cli.require_subcommand(1);
    cli.fallthrough();
    cli.add_option("--site", site, "Folder of the site (or FIDUCIAL_SITE); default: fiducial-site");
    cli.add_option("--passphrase-file", passphrase_file, "File with the site's passphrase (or FIDUCIAL_PASSPHRASE, or a prompt)");
    cli.add_flag("--json", globals.json, "Answer in JSON");
    cli.add_flag("-v,--verbose", globals.verbose, "Log everything");
    cli.add_flag("-q,--quiet", globals.quiet, "No progress");
    cli.footer(std::string("Start with:  fiducial init --site clinic\nEvery command explains itself: fiducial COMMAND --help\n\n") + kExitCodes);
    app::add_site_commands(cli, globals, action);
    app::add_image_commands(cli, globals, action);
    app::add_proof_commands(cli, globals, action);
    app::add_people_commands(cli, globals, action);
    app::add_demo_command(cli, globals, action);
    try {
        cli.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
        return cli.exit(error) == 0 ? 0 : 2;
    }
    if (!site.empty()) globals.site = site;
    if (!passphrase_file.empty()) globals.passphrase_file = passphrase_file;
    try {
        const auto outcome = action();
        return outcome ? *outcome : complain(globals, outcome.error());
    } catch (const std::exception& error) {
        return complain(globals, Error{ErrorCode::internal, std::string("this should not have happened: ") + error.what()});
    }
}
