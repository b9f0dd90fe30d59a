#include <CLI/CLI.hpp>
#include <algorithm>
#include <boost/json.hpp>
#include <cstdio>

#include "app/commands.hpp"
#include "app/shown.hpp"
#include "app/terminal.hpp"
#include "archive/site.hpp"
#include "archive/trust.hpp"
#include "base/clock.hpp"
#include "base/file.hpp"
#include "base/hex.hpp"
#include "evidence/bundle.hpp"
#include "evidence/file_fingerprint.hpp"
#include "evidence/overlay.hpp"
#include "evidence/verifier.hpp"
#include "ledger/node/clock_guard.hpp"
#include "ledger/node/geth.hpp"
#include "ledger/node/network.hpp"

namespace fiducial::app {
namespace {

namespace json = boost::json;

/// The same check as the program fiducial-verify: needs no site.
Result<int> verify_offline(const Globals& globals, const std::string& file, const std::string& bundle_file, const std::string& trust_file,
                           const std::string& overlay_file) {
    FID_TRY(const auto bundle, read_file(bundle_file, evidence::kMaxBundleBytes));
    Bytes trust;
    std::optional<std::string_view> trust_text;
    if (!trust_file.empty()) {
        FID_TRY(trust, read_file(trust_file, archive::kMaxTrustBytes));
        trust_text = as_text(trust);
    }
    Bytes overlay;
    if (!overlay_file.empty()) {
        FID_TRY(overlay, read_file(overlay_file, evidence::kMaxOverlayBytes));
    }
    FID_TRY(const auto fingerprint, evidence::fingerprint_file(file));
    const auto report =
        evidence::verify(as_text(bundle), trust_text, fingerprint, overlay_file.empty() ? std::nullopt : std::optional<ByteView>(overlay));
    const auto text = globals.json ? report.to_json() + "\n" : report.to_text();
    std::fputs(text.c_str(), stdout);
    return static_cast<int>(report.verdict);
}

/// Damage that was found counts more than that not everything was looked at.
int check_exit_code(bool damage, bool interrupted, bool compared) {
    if (damage) return 10;
    if (interrupted) return 8;
    return compared ? 0 : 7;
}

int print_verification(const Globals& globals, const json::object& answer) {
    const auto& damaged = answer.at("damaged").get_array();
    const auto& states = answer.at("states").get_array();
    const bool interrupted = answer.at("interrupted").get_bool();
    const bool reached = std::none_of(states.begin(), states.end(), [](const json::value& study) {
        return shown::text(study.get_object(), "state") == "ledger not reached";
    });
    const int code = check_exit_code(!damaged.empty(), interrupted, reached);
    if (globals.json) {
        print_json(answer);
        return code;
    }
    for (const auto& item : states) {
        const auto& study = item.get_object();
        const auto state = shown::text(study, "state");
        std::printf("%s  version %llu  %s", shown::text(study, "studyInstanceUid").c_str(), shown::count(study, "version"),
                    state == "settled" ? good("settled").c_str() : state.c_str());
        if (shown::number(study, "block") != 0) std::printf(" in block %llu", shown::count(study, "block"));
        std::printf("\n");
    }
    for (const auto& item : damaged) {
        const auto& what = item.get_object();
        const auto subject =
            shown::text(what, "sopInstanceUid").empty() ? shown::text(what, "studyInstanceUid") : shown::text(what, "sopInstanceUid");
        std::printf("%s %s\n  %s\n", bad("damaged").c_str(), subject.c_str(), shown::text(what, "reason").c_str());
    }
    std::string verdict = good("every byte is what was anchored");
    if (!reached)
        verdict =
            bad("every byte is what this archive recorded, but the ledger was not reached: nothing was compared with it; see fiducial "
                "ledger status");
    if (interrupted) verdict = bad("interrupted: nothing wrong so far; the rest was not checked");
    if (!damaged.empty())
        verdict = bad(shown::counted(damaged.size(), "is not what was stored", "are not what was stored") +
                      (interrupted ? "; interrupted: the rest was not checked" : ""));
    std::printf("%s in %s read and checked (%s): %s\n", shown::counted(shown::number(answer, "objects"), "object", "objects").c_str(),
                shown::counted(std::min<std::uint64_t>(states.size(), shown::number(answer, "studies")), "study", "studies").c_str(),
                human_bytes(shown::number(answer, "bytes")).c_str(), verdict.c_str());
    return code;
}

void add_verify(CLI::App& cli, Globals& globals, Action& action) {
    struct Options {
        std::string what, evidence, trust, overlay, instance;
        bool all = false;
    };
    auto options = std::make_shared<Options>();
    auto* command = cli.add_subcommand("verify", "Check stored images against the ledger; or a file against an evidence bundle, offline");
    command->add_option("WHAT", options->what, "A Study Instance UID; with --evidence, a file");
    command->add_option("--instance", options->instance, "Only this SOP Instance UID");
    command->add_flag("--all", options->all, "Everything in the archive");
    command->add_option("--evidence", options->evidence, "Evidence bundle to check the file against");
    command->add_option("--trust", options->trust, "Trust file, obtained apart from the bundle");
    command->add_option("--overlay", options->overlay, "Correction in force beside the original file, as 'correct show --out' gave it");
    command->footer(
        "Examples:\n  fiducial verify --site clinic --all\n  fiducial verify chest.dcm --evidence chest.evidence.json --trust "
        "trust.json\n\n"
        "Exit codes: 0 all is well; 7 the ledger was not reached; 8 interrupted; 10 something is not what was stored (offline: "
        "mismatch);\noffline also 11 refused, "
        "12 consistent but trust unverified, 13 development chain, 14 not settled");
    command->callback([&globals, &action, options] {
        action = [&globals, options]() -> Result<int> {
            if (!options->evidence.empty()) {
                if (options->what.empty()) return fail(ErrorCode::invalid_argument, "name the file to check against the evidence");
                return verify_offline(globals, options->what, options->evidence, options->trust, options->overlay);
            }
            json::array studies;
            if (!options->what.empty()) studies.emplace_back(options->what);
            ProgressLine line(!globals.json && !globals.quiet);
            const auto on_event = [&line](const json::object& event) {
                if (const auto* progress = event.if_contains("progress")) {
                    const auto& now = progress->get_object();
                    line.show(shown::number(now, "studiesDone"), shown::number(now, "studiesTotal"), shown::number(now, "studiesDone"),
                              shown::number(now, "studiesTotal"), "studies");
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
    command->footer(
        "Example:\n  fiducial evidence --site clinic 1.2.840.1 --out chest.evidence.json\n  fiducial-verify chest.evidence.json --trust "
        "trust.json chest.dcm");
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
            if (globals.json)
                print_json({{"file", options->out}, {"bytes", bundle.size()}});
            else
                std::printf("%s (%s)\n", options->out.c_str(), human_bytes(bundle.size()).c_str());
            return 0;
        };
    });
}

void add_fsck(CLI::App& cli, Globals& globals, Action& action) {
    struct Options {
        bool repair = false, rebuild = false, force = false, new_trace = false, quick = false;
    };
    auto options = std::make_shared<Options>();
    auto* command = cli.add_subcommand("fsck", "Check objects, index, trace and ledger against each other");
    command->add_flag("--repair", options->repair,
                      "Put damaged objects into quarantine, queue what was left out, remove what killed uploads left");
    command->add_flag("--rebuild-index", options->rebuild, "Make the index again from the stored objects first");
    command->add_flag("--force", options->force, "With --rebuild-index: although segments are damaged; what is lost stands as missing")
        ->needs("--rebuild-index");
    command->add_flag("--new-trace", options->new_trace,
                      "Begin a new trace where the old one is lost; what is left of it is put aside, all tokens are taken back");
    command->add_flag("--quick", options->quick, "Records and rows only; objects are not read");
    command->footer(
        "Exit codes: 0 clean; 7 nothing found, but the ledger was not reached; 8 interrupted; 10 something was found (named, with what to "
        "do)");
    command->callback([&globals, &action, options] {
        action = [&globals, options]() -> Result<int> {
            ProgressLine line(!globals.json && !globals.quiet);
            const auto on_event = [&line](const json::object& event) {
                if (const auto* progress = event.if_contains("progress")) {
                    const auto& now = progress->get_object();
                    line.show(shown::number(now, "bytesDone"), shown::number(now, "bytesTotal"), shown::number(now, "bytesDone") >> 20,
                              shown::number(now, "bytesTotal") >> 20, "MiB");
                }
            };
            const json::object arguments{{"repair", options->repair},
                                         {"rebuildIndex", options->rebuild},
                                         {"force", options->force},
                                         {"newTrace", options->new_trace},
                                         {"quick", options->quick}};
            FID_TRY(auto answer, perform(globals, "fsck", arguments, on_event));
            line.clear();
            const auto& findings = answer.at("findings").get_array();
            const auto ledger = shown::text(answer, "ledger");  // why it was not compared
            const auto* stopped = answer.if_contains("interrupted");
            const bool interrupted = stopped != nullptr && stopped->get_bool();
            const int code = check_exit_code(!findings.empty(), interrupted, ledger.empty());
            if (globals.json) {
                answer["clean"] = code == 0;
                print_json(answer);
                return code;
            }
            for (const auto& item : findings) {
                const auto& found = item.get_object();
                std::printf("%s %s: %s\n  %s\n", bad(shown::text(found, "kind")).c_str(), shown::text(found, "subject").c_str(),
                            shown::text(found, "what").c_str(), shown::text(found, "advice").c_str());
            }
            if (const auto healed = shown::number(answer, "healed"); healed > 0)
                std::printf("%s with a good copy in place\n", shown::counted(healed, "damaged object", "damaged objects").c_str());
            if (!ledger.empty()) std::printf("%s\n", bad("ledger " + ledger).c_str());
            std::string verdict = good("clean");
            if (code == 7) verdict = bad("nothing wrong here, but not compared with the ledger; run fsck again when it is back");
            if (code == 8) verdict = bad("interrupted: nothing wrong so far; the rest was not checked");
            if (code == 10) verdict = bad(interrupted ? "not clean, and interrupted: the rest was not checked" : "not clean");
            std::printf("%s (%s), %s, %s: %s\n", shown::counted(shown::number(answer, "objects"), "object", "objects").c_str(),
                        human_bytes(shown::number(answer, "bytes")).c_str(),
                        shown::counted(shown::number(answer, "rows"), "row", "rows").c_str(),
                        shown::counted(shown::number(answer, "traceEntries"), "trace entry", "trace entries").c_str(), verdict.c_str());
            return code;
        };
    });
}

void add_compact(CLI::App& cli, Globals& globals, Action& action) {
    auto* command = cli.add_subcommand("compact", "Free the room of what was erased, discarded or given up: rewrite segments without it");
    command->footer(
        "An archive that runs does this by itself ([store] compact_… in the settings), slowly; asked for, it goes as fast as the disk "
        "does.\n"
        "The segment that is written to now comes later, once something stands behind it.\n\nExit codes: 0 done; 8 interrupted; 10 a "
        "segment was left as it is (named, with the reason)");
    command->callback([&globals, &action] {
        action = [&globals]() -> Result<int> {
            FID_TRY(const auto answer, perform(globals, "compact", {}, [](const json::object&) {}));
            const auto& left = answer.at("left").get_array();
            if (globals.json) {
                print_json(answer);
                return left.empty() ? 0 : 10;
            }
            for (const auto& why : left) std::printf("%s\n", bad("left as it is: " + std::string(why.get_string())).c_str());
            std::printf("%s rewritten, %s freed, %s dead still\n",
                        shown::counted(shown::number(answer, "segments"), "segment", "segments").c_str(),
                        human_bytes(shown::number(answer, "freedBytes")).c_str(), human_bytes(shown::number(answer, "deadBytes")).c_str());
            return left.empty() ? 0 : 10;
        };
    });
}

void add_ledger(CLI::App& cli, Globals& globals, Action& action) {
    auto* ledger = cli.add_subcommand("ledger", "The chain that the fingerprints stand on");
    ledger->require_subcommand(1);
    auto* status = ledger->add_subcommand("status", "Head, settled block, node, outbox and room on the disk");
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
            if (const auto& undone = answer.at("undone").get_object(); shown::number(undone, "times") > 0) {
                std::printf("%s\n", bad("settled blocks were undone, from block " + std::to_string(shown::number(undone, "fromBlock")) +
                                        " on; find out why, then: fiducial ledger acknowledge")
                                        .c_str());
            }
            if (answer.at("stalled").get_bool()) std::printf("%s\n", bad("chain_stalled: no block comes").c_str());
            if (const auto problem = shown::text(answer, "problem"); !problem.empty()) std::printf("%s\n", bad(problem).c_str());
            if (const auto* node = answer.if_contains("node"))
                std::printf("node %s %s\n", shown::text(node->get_object(), "state").c_str(),
                            shown::text(node->get_object(), "problem").c_str());
            std::printf("outbox: %llu stored, %llu submitted, %llu in a block, %llu incidents, %llu failed\n",
                        shown::count(outbox, "stored"), shown::count(outbox, "submitted"), shown::count(outbox, "included"),
                        shown::count(outbox, "incidents"), shown::count(outbox, "failed"));
            if (answer.contains("foreignNonce")) {
                std::printf("%s\n", bad("a transaction of the gateway's account is not known here (nonce " +
                                        std::to_string(shown::number(answer, "foreignNonce")) + "); run fsck")
                                        .c_str());
            }
            const auto& trust = answer.at("trust").get_object();
            std::printf("trust file version %llu\n", shown::count(trust, "version"));
            if (trust.at("outdated").get_bool())
                std::printf("%s\n", bad("the signers have changed since: see fiducial trust next").c_str());
            if (const auto* disk = answer.if_contains("disk")) {
                const auto& room = disk->get_object();
                const auto state = shown::text(room, "state");
                std::printf("disk: %s%s\n", shown::text(room, "text").c_str(),
                            state == "full"  ? bad("  full: nothing new is stored").c_str()
                            : state == "low" ? bad("  it fills up").c_str()
                                             : "");
            }
            for (const auto& [name, address] : answer.at("contracts").get_object()) {
                std::printf("  %-12s %s\n", std::string(name).c_str(), std::string(address.get_string()).c_str());
            }
            return answer.at("healthy").get_bool() ? 0 : 7;
        };
    });
    auto* acknowledge = ledger->add_subcommand(
        "acknowledge", "Say that somebody has looked into settled blocks that were undone: it is an incident until then");
    acknowledge->callback([&globals, &action] {
        action = [&globals]() -> Result<int> {
            FID_TRY(const auto answer, perform(globals, "ledger acknowledge", {}, [](const json::object&) {}));
            if (globals.json)
                print_json(answer);
            else if (shown::number(answer, "times") == 0)
                std::printf("there was nothing to acknowledge\n");
            else
                std::printf("acknowledged: settled blocks undone from block %llu on\n", shown::count(answer, "fromBlock"));
            return 0;
        };
    });
    auto* trust_clock = ledger->add_subcommand(
        "trust-clock", "Say that the machine's clock is right, where the local node is not run since it went far ahead");
    trust_clock->footer(
        "Before: compare the clock with another one. A block that is sealed with a clock that is ahead stops the chain until that time has "
        "come.\nAn archive that runs starts its node within half a minute.");
    trust_clock->callback([&globals, &action] {
        action = [&globals]() -> Result<int> {
            const auto file = ledger::clock_file(archive::SiteLayout{globals.site}.ledger());
            FID_CHECK(ledger::ClockGuard(file, system_clock()).trust());
            const auto now = to_rfc3339(system_clock().now());
            if (globals.json)
                print_json({{"clock", now}});
            else
                std::printf("the clock is taken for right: %s\n", now.c_str());
            return 0;
        };
    });
    auto network = std::make_shared<ledger::NetworkSettings>();
    auto folder = std::make_shared<std::string>();
    auto* make = ledger->add_subcommand("network", "Make a network of signers on this machine, to try a consortium out");
    make->add_option("N", network->signers, "How many signers; an odd number")->required()->check(CLI::Range(1, 25));
    make->add_option("DIR", *folder, "New folder for it")->required();
    make->add_option("--period", network->period, "Seconds between blocks")->capture_default_str()->check(CLI::Range(1, 3600));
    make->add_option("--first-port", network->first_port, "Of the nodes among themselves, counting up; 0: any free ones")
        ->capture_default_str();
    make->footer(
        "For trying out: all keys and passwords lie in DIR, and all nodes listen on loopback only.\n\nExample:\n  fiducial ledger network "
        "3 net\n  net/start\n"
        "  fiducial init --site clinic --ledger net/node1/geth.ipc --deployer-key net/deployer.key\n  net/stop node3        one signer "
        "away: it goes on\n  net/stop");
    make->callback([&globals, &action, network, folder] {
        action = [&globals, network, folder]() -> Result<int> {
            network->folder = *folder;
            FID_TRY(network->geth, ledger::find_geth({}));
            FID_TRY(const auto report, ledger::create_network(*network));
            if (globals.json) {
                json::array signers;
                for (const auto& signer : report.signers) signers.push_back(json::value(to_0x(signer)));
                print_json({{"folder", *folder},
                            {"chainId", report.chain_id},
                            {"signers", std::move(signers)},
                            {"ledger", report.sockets.front().string()},
                            {"deployerKey", report.deployer_key.string()}});
                return 0;
            }
            std::printf("%s of chain %llu lie in %s. A block is settled when %u of them stand on it, and as many blocks more.\n",
                        shown::counted(report.signers.size(), "signer", "signers").c_str(),
                        static_cast<unsigned long long>(report.chain_id), folder->c_str(), network->signers / 2 + 1);
            if (network->signers % 2 == 0)
                std::printf("%s an even number of signers can halt for ever when the network is cut in two halves.\n",
                            bad("Beware:").c_str());
            std::printf("\nNext:\n  %s/start\n  fiducial init --site SITE --ledger %s --deployer-key %s\n  %s/stop\n", folder->c_str(),
                        report.sockets.front().c_str(), report.deployer_key.c_str(), folder->c_str());
            return 0;
        };
    });
    auto seconds = std::make_shared<int>(60);
    auto* wait = ledger->add_subcommand("wait", "Wait until everything stored is settled");
    wait->add_option("--seconds", *seconds, "At most so long")->capture_default_str()->check(CLI::Range(0, 86400));
    wait->callback([&globals, &action, seconds] {
        action = [&globals, seconds]() -> Result<int> {
            FID_TRY(const auto answer, perform(
                                           globals, "wait", json::object{{"seconds", *seconds}}, [](const json::object&) {},
                                           archive::Service::Ledger::required));
            const bool settled = answer.at("settled").get_bool() && shown::number(answer, "waiting") == 0;
            if (globals.json)
                print_json(answer);
            else if (settled)
                std::printf("%s\n", good("everything is settled").c_str());
            else
                std::printf("%llu still wait\n", shown::count(answer, "waiting"));
            return settled ? 0 : 7;
        };
    });
}

}  // namespace

void add_proof_commands(CLI::App& cli, Globals& globals, Action& action) {
    add_verify(cli, globals, action);
    add_evidence(cli, globals, action);
    add_fsck(cli, globals, action);
    add_compact(cli, globals, action);
    add_ledger(cli, globals, action);
}

}  // namespace fiducial::app
