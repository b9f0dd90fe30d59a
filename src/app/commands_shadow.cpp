#include <CLI/CLI.hpp>
#include <algorithm>
#include <boost/json.hpp>
#include <cstdio>
#include <thread>

#include "app/commands.hpp"
#include "app/serve.hpp"
#include "app/shown.hpp"
#include "app/terminal.hpp"
#include "archive/front_desk.hpp"
#include "archive/trust.hpp"
#include "base/clock.hpp"
#include "base/file.hpp"
#include "evidence/trust_file.hpp"
#include "gateway/dimse_gateway.hpp"
#include "shadow/dicomweb_source.hpp"
#include "shadow/dimse_source.hpp"
#include "shadow/report.hpp"
#include "shadow/shadow.hpp"

namespace fiducial::app {
namespace {

namespace json = boost::json;
using std::chrono::milliseconds;

struct Options {
    std::string old_url, old_peer, move_listen, move_title = "FIDSHADOW", old_user, old_secret_file, old_ca, here_url, here_ca, token_file,
                                                hours = "0-0", report;
    double rate = 10;  // MiB/s
    unsigned again_days = 30;
    bool no_copy = false, once = false;
};

/// Who seals this site's ledger, in words; the trust file is public.
Result<std::string> sealed_by(const archive::SiteLayout& layout) {
    FID_TRY(const auto bytes, read_file(layout.trust_file(), archive::kMaxTrustBytes));
    FID_TRY(const auto trust, evidence::TrustFile::parse(as_text(bytes)));
    if (trust.signer_sets.empty()) return std::string("a development chain, which proves nothing to others");
    const auto signers = trust.signer_sets.back().signers.size();
    if (signers == 1) return std::string("self-sealed (1 of 1): it proves what the holder of one key sealed");
    return "sealed by at least " + std::to_string(signers / 2 + 1) + " of its " + std::to_string(signers) + " signers";
}

struct Paths {
    std::filesystem::path folder, journal, reports;
};
Paths paths_of(const Globals& globals, const Options& options) {
    const auto folder = globals.site / "shadow";
    return {folder, folder / "journal.db", options.report.empty() ? folder / "reports" : std::filesystem::path(options.report)};
}

json::object shown_figures(const shadow::Figures& f, bool complete, std::uint64_t findings) {
    json::object outcomes;
    for (std::size_t i = 0; i < std::size(f.outcomes); ++i) {
        static constexpr std::array<std::string_view, shadow::kOutcomes> kNames{
            "notCompared",   "same", "rewritten", "recompressed", "headerChanged",
            "pixelsChanged", "gone", "absent",    "unread",       "samePicture"};
        outcomes[kNames[i]] = f.outcomes[i];
    }
    return {{"run", f.run.number},
            {"complete", complete},
            {"old", {{"studies", f.old.studies}, {"instances", f.old.instances}}},
            {"here", {{"studies", f.here.studies}, {"instances", f.here.instances}}},
            {"copied", f.copied},
            {"copiesFailed", f.copies_failed},
            {"compared", f.compared},
            {"neverCompared", f.never_compared},
            {"outcomes", std::move(outcomes)},
            {"missingInOld", f.missing_old},
            {"missingHere", f.missing_here},
            {"settledStudies", f.settled},
            {"findings", findings}};
}

Result<std::uint64_t> report_on(const Globals& globals, const Options& options, shadow::Journal& journal, const shadow::Run& run,
                                bool complete, shadow::Figures& figures) {
    const archive::SiteLayout layout{globals.site};
    FID_TRY(const auto configuration, Configuration::load(layout.configuration()));
    FID_TRY(figures, journal.figures(run));
    FID_TRY(auto sealed, sealed_by(layout));
    const auto now = system_clock().now();
    const shadow::ReportInput input{configuration.site_name,
                                    !options.old_url.empty()    ? options.old_url
                                    : !options.old_peer.empty() ? options.old_peer
                                                                : "the old archive",
                                    std::move(sealed),
                                    now,
                                    complete,
                                    figures};
    return shadow::write_report(paths_of(globals, options).reports, to_rfc3339(now).substr(0, 10), input, journal);
}

int tell(const Globals& globals, const Options& options, const shadow::Figures& figures, bool complete, std::uint64_t findings) {
    const auto differences = figures.missing_old + figures.outcomes[4] + figures.outcomes[5] + figures.outcomes[6];
    if (globals.json) {
        auto out = shown_figures(figures, complete, findings);
        out["reports"] = paths_of(globals, options).reports.string();
        print_json(out);
    } else {
        std::printf("%s there, %s here; %s copied, %s compared%s\n", shown::counted(figures.old.instances, "image", "images").c_str(),
                    shown::counted(figures.here.instances, "image", "images").c_str(), std::to_string(figures.copied).c_str(),
                    std::to_string(figures.compared).c_str(), complete ? "" : "; the run goes on next time");
        std::printf("%s\nreport: %s\n",
                    findings == 0 ? good("no findings").c_str()
                                  : (differences > 0 ? bad(shown::counted(findings, "finding", "findings"))
                                                     : shown::counted(findings, "finding", "findings"))
                                        .c_str(),
                    paths_of(globals, options).reports.string().c_str());
    }
    return findings > 0 ? 10 : complete ? 0 : 8;
}

bool stopped() {
    return stop_requested();
}

/// Errors: not_found: no line of [dimse] peers has the title and a port
Result<dimse::UserSettings> old_peer(const Configuration& configuration, const std::string& ae_title) {
    std::optional<net::TlsSettings> shown_to_it;
    if (!configuration.dimse_tls_certificate.empty())
        shown_to_it = net::TlsSettings{configuration.dimse_tls_certificate, configuration.dimse_tls_key};
    FID_TRY(const auto tls, net::TlsContext::client(shown_to_it));
    for (const auto& line : configuration.dimse_peers) {
        FID_TRY(const auto peer, gateway::parse_dimse_peer(line));
        if (peer.port != 0 && peer.ae_title == ae_title) return gateway::user_settings(peer, configuration.dimse_ae_title, tls);
    }
    return fail(ErrorCode::not_found, "no line of [dimse] peers has the title " + ae_title + " with port=");
}

/// Where images come to that are asked for by C-MOVE. Returns: nothing where they are asked for by C-GET.
Result<std::optional<shadow::MoveTarget>> move_target(const Configuration& configuration, const Options& options,
                                                      const dimse::UserSettings& peer) {
    if (options.move_listen.empty()) return std::optional<shadow::MoveTarget>();
    if (!dicom::is_ae_title(options.move_title)) return fail(ErrorCode::invalid_argument, "--move-title: that is no AE title");
    FID_TRY(auto where, parse_listen_address(options.move_listen));
    shadow::MoveTarget target{options.move_title, {}};
    target.listen.address = std::move(where.host);
    target.listen.port = where.port;
    target.listen.quick_acknowledgements = true;
    target.listen.allow_plain_beyond_loopback = !peer.tls;  // as its line says; from its address only
    if (peer.tls) {
        if (configuration.dimse_tls_certificate.empty())
            return fail(ErrorCode::invalid_argument, "--move-listen: over TLS only with [dimse] tls_certificate");
        net::TlsSettings tls{configuration.dimse_tls_certificate, configuration.dimse_tls_key};
        tls.ask_for_certificate = true;
        FID_TRY(target.listen.tls, net::TlsContext::server(tls));
    }
    return target;
}

Result<std::unique_ptr<shadow::Source>> source_of(const shadow::DicomWebSettings& web, const std::optional<dimse::UserSettings>& peer,
                                                  const std::optional<shadow::MoveTarget>& target) {
    if (!peer) return std::make_unique<shadow::DicomWebSource>(web);
    FID_TRY(auto source, shadow::DimseSource::open(*peer, target));
    return std::unique_ptr<shadow::Source>(std::move(source));
}

/// Sleeps until the hours begin (again).
void wait_for(const shadow::Hours& hours, bool begin) {
    while (!stopped() && hours.holds(shadow::hour_of(system_clock().now())) != begin) std::this_thread::sleep_for(milliseconds(500));
}

Result<int> run(const Globals& globals, const Options& options) {
    FID_TRY(const auto configuration, Configuration::load(archive::SiteLayout{globals.site}.configuration()));
    FID_CHECK(configure_log(configuration, false, globals.verbose));
    shadow::ShadowSettings settings;
    FID_TRY(settings.hours, shadow::parse_hours(options.hours));
    settings.copy = !options.no_copy;
    settings.again = std::chrono::hours(24) * options.again_days;
    settings.bytes_per_second = static_cast<std::uint64_t>(std::max(0.0, options.rate) * 1024 * 1024);

    std::optional<dimse::UserSettings> peer;
    std::optional<shadow::MoveTarget> target;
    if (!options.old_peer.empty()) {
        FID_TRY(peer, old_peer(configuration, options.old_peer));
        FID_TRY(target, move_target(configuration, options, *peer));
    }
    shadow::DicomWebSettings old_settings;
    old_settings.url = options.old_url;
    old_settings.ca_file = options.old_ca;
    if (!options.old_secret_file.empty()) {
        FID_TRY(const auto secret, read_secret_file(options.old_secret_file, "secret"));
        if (options.old_user.empty())
            old_settings.bearer_token = as_text(secret.view());
        else
            old_settings.user_password = options.old_user + ":" + std::string(as_text(secret.view()));
    }
    FID_TRY(const auto token, read_secret_file(options.token_file, "token"));
    shadow::DicomWebSettings here_settings;
    here_settings.url = options.here_url.empty() ? archive::own_url(configuration) : options.here_url;
    here_settings.bearer_token = as_text(token.view());
    here_settings.purpose = "administration";
    here_settings.ca_file = options.here_ca;
    const auto paths = paths_of(globals, options);
    std::error_code problem;
    std::filesystem::create_directories(paths.folder, problem);
    if (problem) return fail(ErrorCode::io, paths.folder.string() + ": " + problem.message());
    FID_TRY(const auto journal, shadow::Journal::open(paths.journal));

    for (;;) {
        if (!options.once) wait_for(settings.hours, true);
        if (stopped()) return 8;
        const auto begun = std::chrono::steady_clock::now();
        shadow::DicomWebSource here(here_settings);
        FID_TRY(const auto old_archive, source_of(old_settings, peer, target));
        auto& old = *old_archive;
        ProgressLine line(!globals.json && !globals.quiet);
        shadow::Shadow night(old, here, *journal, settings, stop_requested(), [&line](const shadow::Step& step) {
            line.show(step.done, step.total, step.done, step.total,
                      std::string(step.what == "comparing" ? "images" : "studies") + ", " + std::string(step.what));
        });
        auto ran = night.run();
        line.clear();
        if (!ran && options.once) return fail(std::move(ran.error()));
        if (!ran) {  // tomorrow is another night
            std::fprintf(stderr, "the night ended early: %s\n", ran.error().message.c_str());
            FID_TRY(const auto last, journal->last_run());
            if (!last) return fail(std::move(ran.error()));
            ran = shadow::Shadow::Night{*last, false};
        }
        shadow::Figures figures;
        FID_TRY(const auto findings, report_on(globals, options, *journal, ran->run, ran->complete, figures));
        const int code = tell(globals, options, figures, ran->complete, findings);
        if (options.once) return code;
        std::fflush(stdout);
        if (settings.hours.from == settings.hours.to) {
            while (!stopped() && std::chrono::steady_clock::now() - begun < std::chrono::hours(24))
                std::this_thread::sleep_for(milliseconds(500));
        } else {
            wait_for(settings.hours, false);
        }
    }
}

void add_run(CLI::App& parent, Globals& globals, Action& action) {
    auto options = std::make_shared<Options>();
    auto* command = parent.add_subcommand("run", "Copy what the old archive has, compare every image, and write a report a night");
    auto* old = command->add_option_group("old archive", "How it is reached");
    old->add_option("--old", options->old_url, "DICOMweb address of the old archive, as https://pacs.example/dicom-web");
    old->add_option("--old-peer", options->old_peer, "Or its AE title, in a line of [dimse] peers with port=: by C-FIND and C-GET");
    old->require_option(1);
    auto* move = command->add_option("--move-listen", options->move_listen,
                                     "By C-MOVE instead of C-GET: address and port to which it sends then, as 0.0.0.0:11113");
    move->needs("--old-peer")->type_name("ADDRESS:PORT");
    command->add_option("--move-title", options->move_title, "The AE title that it knows that address by; default: FIDSHADOW")->needs(move);
    command->add_option("--old-user", options->old_user, "Name to log in there with");
    command->add_option("--old-secret-file", options->old_secret_file,
                        "File (mode 600) with the password there; without --old-user, a bearer token");
    command->add_option("--old-ca", options->old_ca, "PEM file of the authority that its certificate comes from; default: the system's");
    command->add_option("--token-file", options->token_file, "File (mode 600) with a token of this site: fiducial token --person …")
        ->required();
    command->add_option("--here", options->here_url, "Address of this site; default: by its settings");
    command->add_option("--here-ca", options->here_ca, "PEM file of the authority that its certificate comes from; default: the system's");
    command->add_option("--hours", options->hours, "When the old archive may be bothered, by the local clock, as 20-6; default: always");
    command->add_option("--rate", options->rate, "MiB a second at most, from both together; 0: as fast as it goes; default 10")
        ->check(CLI::NonNegativeNumber);
    command->add_option("--again", options->again_days, "Compare an image again after so many days; default 30");
    command->add_option("--report", options->report, "Folder of the reports; default: shadow/reports in the site");
    command->add_flag("--no-copy", options->no_copy, "Only compare: what is missing here comes by other ways, as by forwarding");
    command->add_flag("--once", options->once,
                      "One run, now, until it is complete or the hours are over; default: every night, until stopped");
    command->footer(
        "It goes on where it was stopped. Docs: docs/operating/shadow.md\n\n"
        "Example:\n  fiducial token --site clinic --person operator > token && chmod 600 token\n"
        "  fiducial shadow run --site clinic --old http://127.0.0.1:8042/dicom-web --token-file token --hours 20-6\n\n"
        "Exit codes: 0 all is the same; 7 an archive does not answer; 8 not complete yet, goes on next time; 10 something differs or is "
        "missing");
    command->callback([&globals, &action, options] { action = [&globals, options] { return run(globals, *options); }; });
}

void add_report(CLI::App& parent, Globals& globals, Action& action) {
    auto options = std::make_shared<Options>();
    auto* command = parent.add_subcommand("report", "Write the report of the last run again, from what is known");
    command->add_option("--report", options->report, "Folder of the reports; default: shadow/reports in the site");
    command->add_option("--old", options->old_url, "How the old archive is named in it");
    command->footer("Exit codes: 0 all is the same; 5 nothing ran yet; 10 something differs or is missing");
    command->callback([&globals, &action, options] {
        action = [&globals, options]() -> Result<int> {
            const auto paths = paths_of(globals, *options);
            if (!std::filesystem::exists(paths.journal)) return fail(ErrorCode::not_found, "nothing ran yet: fiducial shadow run");
            FID_TRY(const auto journal, shadow::Journal::open(paths.journal));
            FID_TRY(const auto last, journal->last_run());
            if (!last) return fail(ErrorCode::not_found, "nothing ran yet: fiducial shadow run");
            shadow::Figures figures;
            FID_TRY(const auto findings, report_on(globals, *options, *journal, *last, last->ended, figures));
            return tell(globals, *options, figures, last->ended, findings);
        };
    });
}

}  // namespace

void add_shadow_commands(CLI::App& cli, Globals& globals, Action& action) {
    auto* parent = cli.add_subcommand("shadow", "Run beside the archive of today: copy it, compare every image, report each night");
    parent->require_subcommand(1);
    add_run(*parent, globals, action);
    add_report(*parent, globals, action);
}

}  // namespace fiducial::app
