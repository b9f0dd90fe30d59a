#include <CLI/CLI.hpp>
#include <boost/json.hpp>
#include <cstdio>

#include "app/commands.hpp"
#include "app/shown.hpp"
#include "app/terminal.hpp"
#include "archive/restore.hpp"

namespace fiducial::app {
namespace {

namespace json = boost::json;

void add_backup(CLI::App& cli, Globals& globals, Action& action) {
    auto folder = std::make_shared<std::string>();
    auto* command =
        cli.add_subcommand("backup", "Copy the site into a folder, whether the archive runs or not; the next time only what is new");
    command->add_option("DIR", *folder, "Folder for this site's backup alone, on another disk")->required();
    command->footer(
        "The folder holds the newest backup only. It is encrypted as the site is, and opens with the passphrase that the site has now: "
        "keep it, or\n"
        "the recovery shares. Killed or interrupted, it leaves the last complete backup as it was; run it again.\n"
        "What is erased in the site lives on in a backup until the next one into the same folder.\n\n"
        "Examples:\n  fiducial backup --site clinic /mnt/backup/clinic\n  fiducial restore --check /mnt/backup/clinic\n\n"
        "Exit codes: 0 done; 6 the folder holds something else; 7 done, but the ledger's newest blocks are not in it, for its node is "
        "away; 13 another backup is running;\n"
        "others: fiducial help exit-codes");
    command->callback([&globals, &action, folder] {
        action = [&globals, folder]() -> Result<int> {
            const json::object arguments{{"to", std::filesystem::absolute(*folder).lexically_normal().string()}};
            ProgressLine line(!globals.json && !globals.quiet);
            FID_TRY(const auto report, perform(globals, "backup", arguments, byte_progress(line, false)));
            line.clear();
            const auto ledger = shown::text(report, "ledger"), people = shown::text(report, "people");
            if (globals.json) {
                print_json(report);
            } else {
                std::printf("%s in %s as of %s; %s copied, the rest was there\n", human_bytes(shown::number(report, "bytes")).c_str(),
                            shown::text(report, "folder").c_str(), shown::text(report, "made").c_str(),
                            human_bytes(shown::number(report, "bytesCopied")).c_str());
                for (const auto& lacking : {ledger, people}) {
                    if (!lacking.empty()) std::printf("%s\n", bad(lacking).c_str());
                }
            }
            return ledger.empty() ? 0 : 7;
        };
    });
}

void print_restored(const Globals& globals, const json::object& report) {
    std::printf("%s from the backup of %s: %s in %s\n", good("restored").c_str(), shown::text(report, "made").c_str(),
                human_bytes(shown::number(report, "bytes")).c_str(), shown::text(report, "folder").c_str());
    if (const auto erased = shown::number(report, "erased"); erased > 0)
        std::printf("%s again, as the ledger says\n", shown::counted(erased, "study was erased", "studies were erased").c_str());
    const auto& lost = report.at("lost").get_array();
    if (!lost.empty()) {
        std::printf("%s\n", bad("the ledger holds " + shown::counted(lost.size(), "version that came", "versions that came") +
                                " after this backup: send these exams again, or restore a newer one")
                                .c_str());
        for (const auto& item : lost) {
            const auto& one = item.get_object();
            const auto uid = shown::text(one, "studyInstanceUid");
            std::printf("  %s version %llu\n", (uid.empty() ? "study key " + shown::text(one, "studyKey") : "study " + uid).c_str(),
                        shown::count(one, "version"));
        }
    }
    std::printf(
        "All tokens were taken back; people and local denials are as they were at that time.\n"
        "Never let this site and the one it is a copy of run at the same time.\n\n"
        "Next:\n  fiducial fsck --site %s\n  fiducial token --site %s --person NAME\n",
        globals.site.c_str(), globals.site.c_str());
}

void add_restore(CLI::App& cli, Globals& globals, Action& action) {
    struct Options {
        std::string source, ledger, geth;
        std::vector<std::string> share_files;
        bool check = false;
    };
    auto options = std::make_shared<Options>();
    auto* command = cli.add_subcommand("restore", "Make a site again from a backup, in a new folder");
    command->add_option("DIR", options->source, "A folder that fiducial backup wrote")->required();
    command->add_flag("--check", options->check, "Only read all of it and compare it with its manifest");
    command->add_option("--ledger", options->ledger,
                        "The former site's ledger/ folder, where it survived: its chain is newer than the backup's. For a site without a "
                        "node of its own: where its node is now");
    command->add_option("--geth", options->geth, "Path of geth 1.13.15; default: as in the site's settings");
    command->add_option(
        "--share-file", options->share_files,
        "The passphrase is lost: file with one recovery share, once for each; the site then gets the passphrase that is given now");
    command->footer(
        "Everything is checked before anything is put in place. What the ledger says was erased since is erased again first.\n\n"
        "Examples:\n  fiducial restore --site clinic /mnt/backup/clinic\n  fiducial restore --site clinic /mnt/backup/clinic --ledger "
        "/old/clinic/ledger\n"
        "  fiducial restore --check /mnt/backup/clinic\n\n"
        "Exit codes: 0 done; 1 done, but the ledger holds versions that the backup does not (named); 6 the folder is not empty; 7 the "
        "ledger does not answer;\n"
        "10 the backup is damaged or altered (what, is named); 12 wrong passphrase: the one that the site had when the backup was made");
    command->callback([&globals, &action, options] {
        action = [&globals, options]() -> Result<int> {
            log::set_level(globals.verbose ? log::Level::debug : log::Level::warning);
            if (!options->check) FID_CHECK(archive::check_site_place(globals.site));  // before anybody thinks of a passphrase
            const bool fresh = !options->share_files.empty();
            FID_TRY(auto shares, read_share_files(options->share_files));
            FID_TRY(const auto passphrase,
                    obtain_passphrase(globals.passphrase_file, fresh ? "new passphrase for the site" : "passphrase of the site", fresh));
            archive::RestoreOptions what{options->source, globals.site, options->ledger, options->geth, std::move(shares)};
            ProgressLine line(!globals.json && !globals.quiet);
            const auto emit = byte_progress(line, !globals.json && !globals.quiet);
            if (options->check) {
                FID_TRY(const auto report, archive::check_backup(what, passphrase, emit, stop_requested()));
                line.clear();
                if (globals.json)
                    print_json(report);
                else
                    std::printf("%s: %s of %s, as of %s\n", options->source.c_str(), good("whole").c_str(),
                                human_bytes(shown::number(report, "bytes")).c_str(), shown::text(report, "made").c_str());
                return 0;
            }
            FID_TRY(const auto report, archive::restore_site(what, passphrase, emit, stop_requested()));
            line.clear();
            if (globals.json)
                print_json(report);
            else
                print_restored(globals, report);
            return report.at("lost").get_array().empty() ? 0 : 1;
        };
    });
}

}  // namespace

archive::EmitEvent byte_progress(ProgressLine& line, bool tell_steps) {
    return [&line, tell_steps](const json::object& event) {
        if (const auto* progress = event.if_contains("progress")) {
            const auto& now = progress->get_object();
            const auto done = shown::number(now, "bytesDone"), total = shown::number(now, "bytesTotal");
            line.show(done, total, done >> 20, total >> 20, "MiB");
        } else if (const auto step = shown::text(event, "step"); !step.empty() && tell_steps) {
            line.clear();
            std::printf("%s\n", step.c_str());
            std::fflush(stdout);
        }
    };
}

void add_backup_commands(CLI::App& cli, Globals& globals, Action& action) {
    add_backup(cli, globals, action);
    add_restore(cli, globals, action);
}

}  // namespace fiducial::app
