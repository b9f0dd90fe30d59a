#include <CLI/CLI.hpp>
#include <algorithm>
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

int print_help(const CLI::App& cli, const std::vector<std::string>& words, const app::Globals& globals) {
    if (words == std::vector<std::string>{"exit-codes"}) {
        std::printf("%s\n", kExitCodes);
        return 0;
    }
    const auto* command = &cli;
    auto name = cli.get_name();
    for (const auto& word : words) {
        const auto named = command->get_subcommands([&word](const CLI::App* one) { return one->get_name() == word; });
        if (named.empty())
            return complain(globals, Error{ErrorCode::invalid_argument, "there is no command '" + word + "'; fiducial help lists them"});
        command = named.front();
        name += " " + word;
    }
    std::fputs(command->get_formatter()->make_help(command, name, CLI::AppFormatMode::Normal).c_str(), stdout);
    return 0;
}

/// What is wrong with the command line.
int complain(const CLI::App& cli, const app::Globals& globals, const CLI::ParseError& error) {
    const auto words = cli.remaining(true);
    const bool unknown = dynamic_cast<const CLI::RequiredError*>(&error) != nullptr && !words.empty();
    std::string text = unknown ? "there is no command '" + words.front() + "'" : error.what();
    std::replace(text.begin(), text.end(), '\n', ' ');
    return complain(globals, Error{ErrorCode::invalid_argument, text + "; see fiducial help"});
}

}  // namespace

int main(int argc, char** argv) {
    app::catch_signals();
    if (auto hardened = crypto::harden_process(); !hardened)
        log::warning("app", "the process's memory is less protected than it should be", {{"why", hardened.error().message}});
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
    cli.footer(std::string("Start with:  fiducial init --site clinic\nEvery command explains itself: fiducial COMMAND --help\n\n") +
               kExitCodes);
    app::add_site_commands(cli, globals, action);
    app::add_image_commands(cli, globals, action);
    app::add_correction_commands(cli, globals, action);
    app::add_proof_commands(cli, globals, action);
    app::add_trust_commands(cli, globals, action);
    app::add_backup_commands(cli, globals, action);
    app::add_audit_commands(cli, globals, action);
    app::add_people_commands(cli, globals, action);
    app::add_device_commands(cli, globals, action);
    app::add_worklist_commands(cli, globals, action);
    app::add_delivery_commands(cli, globals, action);
    app::add_mail_commands(cli, globals, action);
    app::add_fetch_command(cli, globals, action);
    app::add_peer_commands(cli, globals, action);
    app::add_shadow_commands(cli, globals, action);
    app::add_consent_commands(cli, globals, action);
    app::add_vision_commands(cli, globals, action);
    app::add_demo_command(cli, globals, action);
    std::vector<std::string> topic;
    auto* help = cli.add_subcommand("help", "Explain a command, or: help exit-codes");
    help->add_option("TOPIC", topic, "A command, or exit-codes");
    help->callback([&] { action = [&]() -> Result<int> { return print_help(cli, topic, globals); }; });
    try {
        cli.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
        if (error.get_exit_code() == 0) return cli.exit(error);  // --help, --version
        globals.json = std::any_of(argv + 1, argv + argc, [](const char* word) { return std::string_view(word) == "--json"; });
        return complain(cli, globals, error);
    }
    if (globals.json) app::no_colours();
    if (!site.empty()) globals.site = site;
    if (!passphrase_file.empty()) globals.passphrase_file = passphrase_file;
    try {
        const auto outcome = action();
        return outcome ? *outcome : complain(globals, outcome.error());
    } catch (const std::exception& error) {
        return complain(globals, Error{ErrorCode::internal, std::string("this should not have happened: ") + error.what()});
    }
}
