#include <CLI/CLI.hpp>
#include <boost/json.hpp>
#include <cstdio>

#include "app/commands.hpp"
#include "app/completion.hpp"
#include "app/qr_code.hpp"
#include "app/serve.hpp"
#include "app/terminal.hpp"
#include "base/file.hpp"
#include "base/hex.hpp"
#include "ledger/node/geth.hpp"

namespace fiducial::app {
namespace {

namespace json = boost::json;

void print_init(const Globals& globals, const archive::InitReport& report, unsigned needed) {
    if (globals.json) {
        json::array shares;
        for (const auto& share : report.shares) shares.emplace_back(as_text(share.to_text().view()));
        print_json({{"site", globals.site.string()},
                    {"chainId", report.facts.chain_id},
                    {"trustSha256", to_hex(report.trust_sha256)},
                    {"gateway", to_0x(report.gateway)},
                    {"institution", to_hex(report.facts.institution)},
                    {"administratorLink", report.first_link},
                    {"recoveryShares", std::move(shares)}});
        return;
    }
    for (const auto& step : report.steps) std::printf("%s %s\n", good("✓").c_str(), step.c_str());
    std::printf("\nThe site lies in %s\n", globals.site.c_str());
    std::printf("SHA-256 of its trust file (print it on letters; who checks an image compares it):\n  %s\n%s",
                strong(to_hex(report.trust_sha256)).c_str(), qr_for_terminal(trust_file_code(report.trust_sha256)).c_str());
    if (report.facts.own_node) {
        std::printf(
            "\nWhat this ledger proves: that the holder of this site's sealing key sealed a fingerprint, in this order, and has not "
            "changed it\n"
            "since for anyone who kept a copy of a later block. It does not prove the time to a stranger, nor that the holder did not make "
            "a\n"
            "second chain: for that, let several hospitals seal together (a consortium).\n");
    } else if (report.facts.development) {
        std::printf("\nThis is a development chain: its blocks carry no seals, so evidence from it proves nothing to a stranger.\n");
    }
    print_shares(report.shares, needed);
    std::printf(
        "\nWhoever opens this link first becomes the administrator in the browser (once, within a week, while the archive runs):\n  %s\n",
        strong(report.first_link).c_str());
    std::printf(
        "\nNext:\n  fiducial import --site %s PATH      bring images in\n  fiducial serve --site %s           let others reach it\n",
        globals.site.c_str(), globals.site.c_str());
}

void add_init(CLI::App& cli, Globals& globals, Action& action) {
    auto options = std::make_shared<archive::InitOptions>();
    auto geth = std::make_shared<std::string>(), deployer_key = std::make_shared<std::string>();
    auto memory_mib = std::make_shared<std::uint32_t>(options->argon2.memory_kib / 1024);
    auto* command = cli.add_subcommand("init", "Make a site: keys, configuration, ledger, contracts, trust file");
    command->add_option("--name", options->name, "What people call this archive")->capture_default_str();
    command->add_option("--operator", options->operator_name, "Name of the first administrator and custodian")->capture_default_str();
    command->add_option("--ledger", options->ledger_url,
                        "JSON-RPC of an Ethereum node (http://…, or the path of an IPC socket); default: a local node of its own");
    command
        ->add_option("--deployer-key", *deployer_key,
                     "With --ledger: file with the private key (64 hex digits) of an account that holds ether there; it administers the "
                     "institution afterwards")
        ->check(CLI::ExistingFile);
    command->add_option("--clique-period", options->clique_period, "With --ledger: seconds between blocks, where the node does not tell");
    command->add_option("--clique-epoch", options->clique_epoch, "With --ledger: blocks between checkpoints, likewise");
    command->add_option("--geth", *geth, "Path of geth 1.13.15; default: looked for");
    command->add_option("--shares", options->recovery_shares, "Recovery shares to make")->capture_default_str();
    command->add_option("--shares-needed", options->recovery_needed, "Shares that give the key back")->capture_default_str();
    command->add_option("--argon2-memory-mib", *memory_mib, "Memory that turning the passphrase into a key takes, MiB")
        ->check(CLI::Range(8, 4096))
        ->capture_default_str();
    command->footer(
        "The passphrase comes from --passphrase-file, FIDUCIAL_PASSPHRASE, or a prompt.\n\nExamples:\n  fiducial init --site clinic --name "
        "'St. Luke Radiology'\n"
        "  fiducial init --site clinic --ledger http://127.0.0.1:8545\n"
        "  fiducial init --site clinic --ledger net/node1/geth.ipc --deployer-key net/deployer.key    (see fiducial ledger network)");
    command->callback([&globals, &action, options, geth, deployer_key, memory_mib] {
        action = [&globals, options, geth, deployer_key, memory_mib]() -> Result<int> {
            options->argon2.memory_kib = *memory_mib * 1024;
            log::set_level(globals.verbose ? log::Level::debug : log::Level::warning);
            options->folder = globals.site;
            options->geth = *geth;
            options->deployer_key = *deployer_key;
            FID_CHECK(archive::check_site_place(options->folder));  // before anybody thinks of a passphrase
            FID_TRY(const auto passphrase, obtain_passphrase(globals.passphrase_file, "new passphrase for the site", true));
            options->stop = &stop_requested();
            FID_TRY(const auto report, archive::init_site(*options, passphrase));
            print_init(globals, report, options->recovery_needed);
            return 0;
        };
    });
}

void add_serve(CLI::App& cli, Globals& globals, Action& action) {
    auto options = std::make_shared<ServeOptions>();
    auto* command = cli.add_subcommand("serve", "Run the archive until it is told to stop");
    command->add_option("--listen", options->listen, "Address and port, instead of the configuration's; port 0: any free one");
    command->add_option("--dimse", options->dimse_listen,
                        "The same for DIMSE, which is off unless it is given here or in the configuration");
    command->footer("Prints one line with the address once it is ready. Stops in order on SIGTERM or Ctrl-C.");
    command->callback([&globals, &action, options] { action = [&globals, options] { return serve(globals, *options); }; });
}

void add_config(CLI::App& cli, Globals& globals, Action& action) {
    auto* config = cli.add_subcommand("config", "The site's settings");
    config->require_subcommand(1);
    auto* check = config->add_subcommand("check", "Read the configuration and say what is wrong with it");
    check->callback([&globals, &action] {
        action = [&globals]() -> Result<int> {
            const auto path = archive::SiteLayout{globals.site}.configuration();
            FID_TRY(const auto configuration, Configuration::load(path));
            const auto check_it = [&]() -> Result<void> {  // what serve would refuse
                FID_TRY(const auto http_door, http_door_settings(configuration, {}));
                FID_CHECK(gateway::HttpGateway::check(http_door));
                FID_TRY(const auto dimse_door, dimse_door_settings(configuration, {}));
                if (dimse_door) FID_CHECK(gateway::DimseGateway::check(*dimse_door));
                FID_TRY(const auto hl7_door, hl7_door_settings(configuration));
                if (hl7_door) FID_CHECK(gateway::Hl7Gateway::check(*hl7_door));
                FID_CHECK(archive::extra_attributes(configuration));
                if (const auto facts = archive::Site::read_facts(globals.site))
                    FID_CHECK(archive::check_ledger_settings(*facts, configuration));
                if (!configuration.ledger_geth.empty() && configuration.ledger_url.empty())
                    FID_CHECK(ledger::find_geth(configuration.ledger_geth));
                if (!configuration.log_file.empty()) {
                    const auto folder = std::filesystem::absolute(configuration.log_file).parent_path();
                    std::error_code ec;
                    if (!std::filesystem::is_directory(folder, ec))
                        return fail(ErrorCode::not_found, "[log] file: there is no folder " + folder.string());
                }
                return {};
            };
            if (const auto checked = check_it(); !checked) return fail(checked.error().with(path.string()));
            if (globals.json)
                print_json({{"file", path.string()}, {"valid", true}});
            else
                std::printf("%s: %s\n", path.c_str(), good("valid").c_str());
            return 0;
        };
    });
    auto* defaults = config->add_subcommand("defaults", "Print every setting with what it means and its default");
    defaults->callback([&globals, &action] {
        action = [&globals]() -> Result<int> {
            std::fputs((globals.json ? Configuration{}.to_json() + "\n" : Configuration{}.to_toml()).c_str(), stdout);
            return 0;
        };
    });
}

void add_version(CLI::App& cli, Globals& globals, Action& action) {
    cli.set_version_flag("--version", "fiducial " FIDUCIAL_VERSION, "Print the version");
    auto* command = cli.add_subcommand("version", "Print the version");
    command->callback([&globals, &action] {
        action = [&globals]() -> Result<int> {
            if (globals.json)
                print_json({{"version", FIDUCIAL_VERSION}});
            else
                std::printf("fiducial " FIDUCIAL_VERSION "\n");
            return 0;
        };
    });
}

void add_completion(CLI::App& cli, Globals& globals, Action& action) {
    auto shell = std::make_shared<std::string>("bash");
    auto* command = cli.add_subcommand("completion", "Print a script that completes commands and options in a shell");
    command->add_option("SHELL", *shell, "bash or zsh")->check(CLI::IsMember({"bash", "zsh"}))->capture_default_str();
    command->footer("Example:\n  source <(fiducial completion bash)");
    command->callback([&cli, &globals, &action, shell] {
        action = [&cli, &globals, shell]() -> Result<int> {
            const auto script = completion_script(cli, *shell);
            if (globals.json)
                print_json({{"shell", *shell}, {"script", script}});
            else
                std::fputs(script.c_str(), stdout);
            return 0;
        };
    });
}

}  // namespace

void add_site_commands(CLI::App& cli, Globals& globals, Action& action) {
    add_init(cli, globals, action);
    add_serve(cli, globals, action);
    add_config(cli, globals, action);
    add_key_commands(cli, globals, action);
    add_version(cli, globals, action);
    add_completion(cli, globals, action);
}

}  // namespace fiducial::app
