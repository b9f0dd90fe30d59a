#include <CLI/CLI.hpp>
#include <boost/json.hpp>
#include <cstdio>

#include "app/commands.hpp"
#include "app/shown.hpp"
#include "app/terminal.hpp"
#include "base/file.hpp"
#include "evidence/bundle.hpp"
#include "evidence/file_fingerprint.hpp"
#include "evidence/verifier.hpp"

namespace fiducial::app {
namespace {

namespace json = boost::json;
constexpr std::uint64_t kMaxTrustBytes = std::uint64_t{4} << 20;

/// The same check as the program fiducial-verify: needs no site.
Result<int> verify_offline(const Globals& globals, const std::string& file, const std::string& bundle_file, const std::string& trust_file) {
    FID_TRY(const auto bundle, read_file(bundle_file, evidence::kMaxBundleBytes));
    Bytes trust;
    std::optional<std::string_view> trust_text;
    if (!trust_file.empty()) {
        FID_TRY(trust, read_file(trust_file, kMaxTrustBytes));
        trust_text = as_text(trust);
    }
    FID_TRY(const auto fingerprint, evidence::fingerprint_file(file));
    const auto report = evidence::verify(as_text(bundle), trust_text, fingerprint);
    const auto text = globals.json ? report.to_json() + "\n" : report.to_text();
    std::fputs(text.c_str(), stdout);
    return static_cast<int>(report.verdict);
}

int print_verification(const Globals& globals, const json::object& answer) {
    const auto& damaged = answer.at("damaged").get_array();
    if (globals.json) {
        print_json(answer);
        return damaged.empty() ? 0 : 10;
    }
    bool reached = true;
    for (const auto& item : answer.at("states").get_array()) {
        const auto& study = item.get_object();
        const auto state = shown::text(study, "state");
        reached = reached && state != "ledger not reached";
        std::printf("%s  version %llu  %s", shown::text(study, "studyInstanceUid").c_str(), shown::count(study, "version"),
                    state == "settled" ? good("settled").c_str() : state.c_str());
        if (shown::number(study, "block") != 0) std::printf(" in block %llu", shown::count(study, "block"));
        std::printf("\n");
    }
    for (const auto& item : damaged) {
        const auto& what = item.get_object();
        const auto subject = shown::text(what, "sopInstanceUid").empty() ? shown::text(what, "studyInstanceUid") : shown::text(what, "sopInstanceUid");
        std::printf("%s %s\n  %s\n", bad("damaged").c_str(), subject.c_str(), shown::text(what, "reason").c_str());
    }
    std::printf("%llu objects in %llu studies read and checked (%s): %s\n", shown::count(answer, "objects"), shown::count(answer, "studies"),
                human_bytes(shown::number(answer, "bytes")).c_str(),
                damaged.empty() ? good(reached ? "every byte is what was anchored" : "every byte is what this archive recorded; the ledger was not reached, so nothing was compared with it").c_str() : bad(std::to_string(damaged.size()) + " are not what was stored").c_str());
    return damaged.empty() ? 0 : 10;
}

void add_verify(CLI::App& cli, Globals& globals, Action& action) {
    struct Options {
        std::string what, evidence, trust, instance;
        bool all = false;
    };
    auto options = std::make_shared<Options>();
    auto* command = cli.add_subcommand("verify", "Check stored images against the ledger; or a file against an evidence bundle, offline");
    command->add_option("WHAT", options->what, "A Study Instance UID; with --evidence, a file");
    command->add_option("--instance", options->instance, "Only this SOP Instance UID");
    command->add_flag("--all", options->all, "Everything in the archive");
    command->add_option("--evidence", options->evidence, "Evidence bundle to check the file against");
    command->add_option("--trust", options->trust, "Trust file, obtained apart from the bundle");
    command->footer("Examples:\n  fiducial verify --site clinic --all\n  fiducial verify chest.dcm --evidence chest.evidence.json --trust trust.json\n\n"
                    "Exit codes: 0 all is well; 10 something is not what was stored (offline: mismatch); offline also 11 refused,\n"
                    "12 consistent but trust unverified, 13 development chain, 14 not settled");
    command->callback([&globals, &action, options] {
        action = [&globals, options]() -> Result<int> {
            if (!options->evidence.empty()) {
                if (options->what.empty()) return fail(ErrorCode::invalid_argument, "name the file to check against the evidence");
                return verify_offline(globals, options->what, options->evidence, options->trust);
            }
            json::array studies;
            if (!options->what.empty()) studies.emplace_back(options->what);
            ProgressLine line(!globals.json && !globals.quiet);
            const auto on_event = [&line](const json::object& event) {
                if (const auto* progress = event.if_contains("progress")) {
                    const auto& now = progress->get_object();
                    line.show(shown::number(now, "studiesDone"), shown::number(now, "studiesTotal"), shown::number(now, "studiesDone"), shown::number(now, "studiesTotal"), "studies");
                }
            };
            const json::object arguments{{"studies", std::move(studies)}, {"instance", options->instance}, {"all", options->all}};
            FID_TRY(const auto answer, perform(globals, "verify", arguments, on_event));
            line.clear();
            return print_verification(globals, answer);
        };
    });
}

void add_evidence(CLI::App& cli, Globals& globals, Action& action) {
    struct Options {
        std::string study, instance, out, trust_out;
    };
    auto options = std::make_shared<Options>();
    auto* command = cli.add_subcommand("evidence", "Make an evidence bundle of a study or one image, for anyone to check offline");
    command->add_option("STUDY", options->study, "Study Instance UID")->required();
    command->add_option("--instance", options->instance, "Only this SOP Instance UID");
    command->add_option("--out", options->out, "File to write; default: standard output");
    command->footer("Example:\n  fiducial evidence --site clinic 1.2.840.1 --out chest.evidence.json\n  fiducial-verify chest.evidence.json --trust trust.json chest.dcm");
    command->callback([&globals, &action, options] {
        action = [&globals, options]() -> Result<int> {
            const json::object arguments{{"study", options->study}, {"instance", options->instance}};
            FID_TRY(const auto answer, perform(globals, "evidence", arguments, [](const json::object&) {}));
            const auto bundle = shown::text(answer, "bundle");
            if (options->out.empty()) {
                std::fwrite(bundle.data(), 1, bundle.size(), stdout);
                return 0;
            }
            FID_CHECK(write_file_atomically(options->out, as_bytes(bundle), 0644));
            if (globals.json) print_json({{"file", options->out}, {"bytes", bundle.size()}});
            else std::printf("%s (%s)\n", options->out.c_str(), human_bytes(bundle.size()).c_str());
            return 0;
        };
    });
}

void add_fsck(CLI::App& cli, Globals& globals, Action& action) {
    struct Options {
        bool repair = false, rebuild = false, quick = false;
    };
    auto options = std::make_shared<Options>();
    auto* command = cli.add_subcommand("fsck", "Check objects, index, trace and ledger against each other");
    command->add_flag("--repair", options->repair, "Put damaged objects into quarantine, queue what was left out");
    command->add_flag("--rebuild-index", options->rebuild, "Make the index again from the stored objects first");
    command->add_flag("--quick", options->quick, "Records and rows only; objects are not read");
    command->footer("Exit codes: 0 clean; 10 something was found (named, with what to do)");
    command->callback([&globals, &action, options] {
        action = [&globals, options]() -> Result<int> {
            ProgressLine line(!globals.json && !globals.quiet);
            const auto on_event = [&line](const json::object& event) {
                if (const auto* progress = event.if_contains("progress")) {
                    const auto& now = progress->get_object();
                    line.show(shown::number(now, "bytesDone"), shown::number(now, "bytesTotal"), shown::number(now, "bytesDone") >> 20, shown::number(now, "bytesTotal") >> 20, "MiB");
                }
            };
            const json::object arguments{{"repair", options->repair}, {"rebuildIndex", options->rebuild}, {"quick", options->quick}};
            FID_TRY(const auto answer, perform(globals, "fsck", arguments, on_event));
            line.clear();
            const bool clean = answer.at("clean").get_bool();
            if (globals.json) {
                print_json(answer);
                return clean ? 0 : 10;
            }
            for (const auto& item : answer.at("findings").get_array()) {
                const auto& found = item.get_object();
                std::printf("%s %s: %s\n  %s\n", bad(shown::text(found, "kind")).c_str(), shown::text(found, "subject").c_str(), shown::text(found, "what").c_str(),
                            shown::text(found, "advice").c_str());
            }
            if (const auto ledger = shown::text(answer, "ledger"); !ledger.empty()) std::printf("ledger %s\n", ledger.c_str());
            std::printf("%llu objects (%s), %llu rows, %llu trace entries: %s\n", shown::count(answer, "objects"), human_bytes(shown::number(answer, "bytes")).c_str(),
                        shown::count(answer, "rows"), shown::count(answer, "traceEntries"), clean ? good("clean").c_str() : bad("not clean").c_str());
            return clean ? 0 : 10;
        };
    });
}

void add_ledger(CLI::App& cli, Globals& globals, Action& action) {
    auto* ledger = cli.add_subcommand("ledger", "The chain that the fingerprints stand on");
    ledger->require_subcommand(1);
    auto* status = ledger->add_subcommand("status", "Head, settled block, node and outbox");
    status->callback([&globals, &action] {
        action = [&globals]() -> Result<int> {
            FID_TRY(const auto answer, perform(globals, "ledger status", {}, [](const json::object&) {}));
            if (globals.json) {
                print_json(answer);
                return answer.at("healthy").get_bool() ? 0 : 7;
            }
            const auto& outbox = answer.at("outbox").get_object();
            std::printf("%s, chain id %llu\n", shown::text(answer, "ledger").c_str(), shown::count(answer, "chainId"));
            std::printf("head block %llu, settled up to %llu%s\n", shown::count(answer, "head"), shown::count(answer, "settled"),
                        answer.at("behind").get_bool() ? bad("  behind").c_str() : "");
            if (const auto problem = shown::text(answer, "problem"); !problem.empty()) std::printf("%s\n", bad(problem).c_str());
            if (const auto* node = answer.if_contains("node")) std::printf("node %s %s\n", shown::text(node->get_object(), "state").c_str(), shown::text(node->get_object(), "problem").c_str());
            std::printf("outbox: %llu stored, %llu submitted, %llu in a block, %llu incidents, %llu failed\n", shown::count(outbox, "stored"),
                        shown::count(outbox, "submitted"), shown::count(outbox, "included"), shown::count(outbox, "incidents"), shown::count(outbox, "failed"));
            for (const auto& [name, address] : answer.at("contracts").get_object()) {
                std::printf("  %-12s %s\n", std::string(name).c_str(), std::string(address.get_string()).c_str());
            }
            return answer.at("healthy").get_bool() ? 0 : 7;
        };
    });
    auto seconds = std::make_shared<int>(60);
    auto* wait = ledger->add_subcommand("wait", "Wait until everything stored is settled");
    wait->add_option("--seconds", *seconds, "At most so long")->capture_default_str();
    wait->callback([&globals, &action, seconds] {
        action = [&globals, seconds]() -> Result<int> {
            FID_TRY(const auto answer, perform(globals, "wait", json::object{{"seconds", *seconds}}, [](const json::object&) {}, archive::Service::Ledger::required));
            const bool settled = answer.at("settled").get_bool() && shown::number(answer, "waiting") == 0;
            if (globals.json) print_json(answer);
            else if (settled) std::printf("%s\n", good("everything is settled").c_str());
            else std::printf("%llu still wait\n", shown::count(answer, "waiting"));
            return settled ? 0 : 7;
        };
    });
}

void add_trust(CLI::App& cli, Globals& globals, Action& action) {
    auto* command = cli.add_subcommand("trust", "Print the trust file, to be given to whoever checks images");
    command->callback([&globals, &action] {
        action = [&globals]() -> Result<int> {
            FID_TRY(const auto bytes, read_file(archive::SiteLayout{globals.site}.trust_file(), kMaxTrustBytes));
            std::fwrite(bytes.data(), 1, bytes.size(), stdout);
            return 0;
        };
    });
}

}  // namespace

void add_proof_commands(CLI::App& cli, Globals& globals, Action& action) {
    add_verify(cli, globals, action);
    add_evidence(cli, globals, action);
    add_fsck(cli, globals, action);
    add_ledger(cli, globals, action);
    add_trust(cli, globals, action);
}

}  // namespace fiducial::app
