#include <CLI/CLI.hpp>
#include <algorithm>
#include <boost/json.hpp>
#include <cstdio>
#include <optional>

#include "app/commands.hpp"
#include "app/control.hpp"
#include "app/shown.hpp"
#include "app/terminal.hpp"
#include "archive/new_root.hpp"
#include "base/file.hpp"

namespace fiducial::app {
namespace {

namespace json = boost::json;

struct KeyOptions {
    std::string new_passphrase_file;
    unsigned needed = 2, shares = 3;
    std::vector<std::string> share_files;
};

void add_new_key_options(CLI::App& command, KeyOptions& options) {
    command.add_option("--shares", options.shares, "Recovery shares to make")->capture_default_str();
    command.add_option("--shares-needed", options.needed, "Shares that give the key back")->capture_default_str();
}

void print_new_key(const Globals& globals, const archive::RotateReport& report, unsigned needed) {
    if (globals.json) {
        json::array shares;
        for (const auto& share : report.shares) shares.emplace_back(as_text(share.to_text().view()));
        print_json({{"rotated", true}, {"recoveryShares", std::move(shares)}});
        return;
    }
    std::printf("%s the site has a new key\n", good("✓").c_str());
    print_shares(report.shares, needed);
    std::fflush(stdout);
}

int print_reencryption(const Globals& globals, const json::object& answer) {
    const bool finished = answer.at("finished").get_bool();
    if (globals.json) {
        print_json(answer);
        return finished ? 0 : 10;
    }
    for (const auto& why : answer.at("left").get_array()) std::printf("%s\n", bad("as it was: " + std::string(why.get_string())).c_str());
    if (finished)
        std::printf("%s no data are under former keys\n", good("✓").c_str());
    else
        std::printf("%s in %s still under former keys\n", human_bytes(shown::number(answer, "bytesLeft")).c_str(),
                    shown::counted(shown::number(answer, "segmentsLeft"), "segment", "segments").c_str());
    return finished ? 0 : 10;
}

/// Encrypts the stored data anew, in this process or in the archive that runs. Returns: the exit code.
Result<int> encrypt_anew(const Globals& globals, archive::Site site) {
    ProgressLine line(!globals.json && !globals.quiet);
    FID_TRY(const auto service, archive::Service::open(std::move(site), archive::Service::Ledger::none));
    FID_TRY(const auto answer, service->operate("reencrypt", {{"continue", true}}, byte_progress(line, false), stop_requested()));
    line.clear();
    return print_reencryption(globals, answer);
}

struct ReencryptOptions {
    bool asked_for = false, later = false, with_damage = false;
};

/// For a root key that has leaked. Goes on where an earlier run ended; begins where none did.
Result<int> rotate_and_reencrypt(const Globals& globals, const KeyOptions& key, const ReencryptOptions& options) {
    FID_CHECK(archive::Site::read_facts(globals.site));
    log::set_level(globals.verbose ? log::Level::debug : log::Level::warning);
    FID_TRY(auto passphrase, obtain_passphrase(globals.passphrase_file, "passphrase of the site", false));
    std::optional<crypto::Secret> fresh;
    if (!key.new_passphrase_file.empty()) {
        FID_TRY(fresh, obtain_passphrase(key.new_passphrase_file, "new passphrase", true));
    }
    auto unfinished = archive::is_new_root_unfinished(globals.site, passphrase);
    if (!unfinished && unfinished.error().code == ErrorCode::wrong_passphrase && fresh) {  // the same command once more
        passphrase = fresh->clone();
        unfinished = archive::is_new_root_unfinished(globals.site, passphrase);
    }
    FID_CHECK(unfinished);
    const auto tell = [&globals](std::string_view step) {
        if (!globals.json && !globals.quiet) std::printf("%s %s\n", good("✓").c_str(), std::string(step).c_str());
        std::fflush(stdout);
    };
    if (*unfinished) {
        FID_CHECK(archive::finish_new_root(globals.site, passphrase, tell));
    } else {
        FID_TRY(auto site, archive::Site::open(globals.site, passphrase));
        ProgressLine line(!globals.json && !globals.quiet);
        const auto control_key = site.derive(archive::kControlLabel);
        const auto asked =
            ask_running_archive(site.layout().control_socket(), control_key, "reencrypt", {}, byte_progress(line, false), stop_requested());
        line.clear();
        if (asked) return print_reencryption(globals, *asked);
        if (asked.error().code != ErrorCode::not_found) return fail(asked.error());
        FID_TRY(auto service, archive::Service::open(std::move(site), archive::Service::Ledger::none));
        const bool goes_on = service->is_reencrypting();
        service.reset();
        if (!goes_on) {
            if (!fresh)
                return fail(ErrorCode::invalid_argument,
                            "--reencrypt takes a new passphrase (--new-passphrase-file): whoever knows the former one would open the new "
                            "key file, too");
            archive::NewRootOptions new_root;
            new_root.recovery_needed = key.needed;
            new_root.recovery_shares = key.shares;
            new_root.with_damage = options.with_damage;
            new_root.on_shares = [&](const archive::RotateReport& report) { print_new_key(globals, report, key.needed); };
            new_root.on_step = tell;
            FID_CHECK(archive::give_new_root(globals.site, passphrase, *fresh, new_root));
            passphrase = std::move(*fresh);
        }
    }
    FID_TRY(auto site, archive::Site::open(globals.site, passphrase));
    if (!options.later) return encrypt_anew(globals, std::move(site));
    tell("the stored data are encrypted anew while the archive runs: start it (fiducial key status says how far it is)");
    return 0;
}

void add_rotate(CLI::App& key, Globals& globals, Action& action) {
    auto options = std::make_shared<KeyOptions>();
    auto reencrypt = std::make_shared<ReencryptOptions>();
    auto* rotate = key.add_subcommand("rotate", "A new site key, under the same or a new passphrase, with new recovery shares");
    rotate->add_option("--new-passphrase-file", options->new_passphrase_file, "File with a new passphrase; default: the passphrase stays");
    add_new_key_options(*rotate, *options);
    auto* flag = rotate->add_flag("--reencrypt", reencrypt->asked_for,
                                  "The passphrase leaked together with the key file: a new root key, too, and all data encrypted anew");
    rotate->add_flag("--later", reencrypt->later, "With --reencrypt: leave the stored data to the archive when it runs")->needs(flag);
    rotate
        ->add_flag("--with-damage", reencrypt->with_damage,
                   "With --reencrypt: although something is damaged, which no earlier backup mends afterwards")
        ->needs(flag);
    rotate->footer(
        "Works while the archive runs, but for the beginning of --reencrypt. Former recovery shares are of no more use afterwards, nor is "
        "the former\n"
        "passphrase if a new one is given. Should it be ended before the new shares are on the screen, rotate again: that makes others.\n"
        "--reencrypt may be ended at any moment: the same command goes on. See \"A key has leaked\" in docs/operating/runbooks.md.\n\n"
        "Examples:\n  fiducial key rotate --site clinic\n"
        "  fiducial key rotate --site clinic --reencrypt --new-passphrase-file new\n\n"
        "Exit codes: 0 done; 6 something is damaged, or the archive runs; 8 interrupted; 10 some data could not be encrypted anew (named, "
        "with the reason)");
    rotate->callback([&globals, &action, options, reencrypt] {
        action = [&globals, options, reencrypt]() -> Result<int> {
            if (reencrypt->asked_for) return rotate_and_reencrypt(globals, *options, *reencrypt);
            FID_CHECK(archive::Site::read_facts(globals.site));
            FID_TRY(const auto passphrase, obtain_passphrase(globals.passphrase_file, "passphrase of the site", false));
            auto fresh = passphrase.clone();
            if (!options->new_passphrase_file.empty()) {
                FID_TRY(fresh, obtain_passphrase(options->new_passphrase_file, "new passphrase", true));
            }
            FID_TRY(const auto report, archive::rotate_site_key(globals.site, passphrase, fresh, options->needed, options->shares));
            print_new_key(globals, report, options->needed);
            return 0;
        };
    });
}

void add_status(CLI::App& key, Globals& globals, Action& action) {
    auto* status = key.add_subcommand("status", "Whether data are still under former keys");
    status->footer("Exit codes: 0 none are; 10 some are: an archive that runs encrypts them anew, or fiducial key rotate --reencrypt");
    status->callback([&globals, &action] {
        action = [&globals]() -> Result<int> {
            FID_TRY(const auto answer, perform(
                                           globals, "key status", {}, [](const json::object&) {}, archive::Service::Ledger::none));
            return print_reencryption(globals, answer);
        };
    });
}

/// Until there are enough; what was mistyped is asked for again. A share ends with its last group, however it is broken into lines.
Result<std::vector<crypto::RecoveryShare>> ask_for_shares() {
    std::vector<crypto::RecoveryShare> shares;
    while (shares.empty() || shares.size() < shares.front().threshold) {
        std::fprintf(stderr, "recovery share %zu%s, all its lines, then an empty one:\n", shares.size() + 1,
                     shares.empty() ? "" : (" of " + std::to_string(shares.front().threshold)).c_str());
        FID_TRY(const auto typed, type_lines());
        auto share = crypto::RecoveryShare::parse(as_text(typed.view()));
        if (!share) {
            std::fprintf(stderr, "%s %s; once more\n", bad("✗").c_str(), share.error().message.c_str());
        } else if (std::any_of(shares.begin(), shares.end(), [&](const auto& one) { return one.index == share->index; })) {
            std::fprintf(stderr, "%s this share was given already; take another\n", bad("✗").c_str());
        } else {
            shares.push_back(std::move(*share));
        }
    }
    return shares;
}

void add_recover(CLI::App& key, Globals& globals, Action& action) {
    auto options = std::make_shared<KeyOptions>();
    auto* recover = key.add_subcommand("recover", "The passphrase is lost: recovery shares and a new passphrase open the site again");
    recover->add_option("--share-file", options->share_files, "File with one recovery share, once for each; default: they are typed");
    recover->add_option("--new-passphrase-file", options->new_passphrase_file,
                        "File with the new passphrase; default: FIDUCIAL_PASSPHRASE, or a prompt");
    add_new_key_options(*recover, *options);
    recover->footer(
        "Makes a new site key, with new recovery shares: those that were used have been seen, and are of no more use afterwards.\n\n"
        "Example:\n  fiducial key recover --site clinic\n\nExit codes: 0 done; 2 too few shares; 3 a share is mistyped (its group is "
        "named); 6 shares of another key");
    recover->callback([&globals, &action, options] {
        action = [&globals, options]() -> Result<int> {
            FID_CHECK(archive::Site::read_facts(globals.site));
            FID_TRY(const auto shares, options->share_files.empty() ? ask_for_shares() : read_share_files(options->share_files));
            FID_TRY(const auto fresh, obtain_passphrase(options->new_passphrase_file, "new passphrase for the site", true));
            FID_TRY(const auto report, archive::recover_site_key(globals.site, shares, fresh, options->needed, options->shares));
            print_new_key(globals, report, options->needed);
            return 0;
        };
    });
}

}  // namespace

void add_key_commands(CLI::App& cli, Globals& globals, Action& action) {
    auto* key = cli.add_subcommand("key", "The site's keys");
    key->require_subcommand(1);
    add_rotate(*key, globals, action);
    add_recover(*key, globals, action);
    add_status(*key, globals, action);
}

void print_shares(const std::vector<crypto::RecoveryShare>& shares, unsigned needed) {
    std::printf(
        "\nRecovery shares: any %u of these %zu give the site key back. Print them, give them to different people, and clear this "
        "screen.\n",
        needed, shares.size());
    for (std::size_t i = 0; i < shares.size(); ++i) {
        const auto text = shares[i].to_text();
        std::printf("\n  share %zu of %zu\n  %.*s\n", i + 1, shares.size(), static_cast<int>(text.size()),
                    std::string(as_text(text.view())).c_str());
    }
}

Result<std::vector<crypto::RecoveryShare>> read_share_files(const std::vector<std::string>& files) {
    std::vector<crypto::RecoveryShare> shares;
    for (const auto& file : files) {
        FID_TRY(auto text, read_file(file, crypto::RecoveryShare::kLongestText));
        auto share = crypto::RecoveryShare::parse(as_text(text));
        crypto::wipe(text);
        if (!share) return fail(share.error().with(file));
        shares.push_back(std::move(*share));
    }
    return shares;
}

}  // namespace fiducial::app
