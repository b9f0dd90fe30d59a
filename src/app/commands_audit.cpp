#include <CLI/CLI.hpp>
#include <boost/json.hpp>
#include <cstdio>

#include "app/commands.hpp"
#include "app/shown.hpp"
#include "app/terminal.hpp"
#include "archive/trace_reader.hpp"
#include "audit/proof.hpp"
#include "base/file.hpp"

namespace fiducial::app {
namespace {

namespace json = boost::json;
using Ledger = archive::Service::Ledger;
constexpr std::string_view kAsWhom =
    "File with a bearer token: ask as this person (an auditor, a privacy officer); default: as the operator";

/// Whom the look into the trace is decided for, and written down as.
Result<std::string> read_token(const std::string& file) {
    if (file.empty()) return std::string();
    FID_TRY(const auto token, read_secret_file(file, "token"));
    return std::string(as_text(token.view()));
}

Result<std::string> read_text(const std::string& file) {
    FID_TRY(const auto bytes, read_file(file, 2 * audit::Note::kLongest));
    return std::string(as_text(bytes));
}

/// To a file, or to standard output.
Result<int> write_proof(const Globals& globals, const json::object& answer, const std::string& file, const std::string& what) {
    const auto proof = shown::text(answer, "proof");
    if (!file.empty()) FID_CHECK(write_file_atomically(file, as_bytes(proof), 0644));
    if (globals.json)
        print_json(answer);
    else if (file.empty())
        std::fputs(proof.c_str(), stdout);
    else
        std::printf("%s: %s\nanyone can check it, offline, with this key of the trace: %s\n", file.c_str(), what.c_str(),
                    shown::text(answer, "key").c_str());
    return 0;
}

void add_search(CLI::App& audit, Globals& globals, Action& action) {
    struct Options {
        std::string person, patient, study, from, to, what, result, token_file;
        int limit = 100;
        std::int64_t before = -1;
    };
    auto options = std::make_shared<Options>();
    auto* command = audit.add_subcommand("search", "Who looked at what: the newest entries that match, in order");
    command->add_option("--person", options->person, "Log-in name, or a device's name");
    command->add_option("--patient", options->patient, "Patient ID");
    command->add_option("--study", options->study, "StudyInstanceUID; lists that showed several of the patient's studies match too");
    command->add_option("--from", options->from, "Not before this day or moment (2026-11-30, 2026-11-30T08:00:00Z)");
    command->add_option("--to", options->to, "Not after this day, or before this moment");
    command->add_option("--action", options->what, "read, identify, store, correct, inventory, trace, consent, ask, break-glass or erase");
    command->add_option("--result", options->result, "success, or an error as denied, not_found, corrupt");
    command->add_option("--limit", options->limit, "At most so many")->capture_default_str()->check(CLI::Range(1, 100'000));
    command->add_option("--before", options->before, "Only entries before this one: to go on where the last answer began");
    command->add_option("--token-file", options->token_file, std::string(kAsWhom));
    command->footer(
        "Looking into the trace is itself written into it.\n\nExample:\n  fiducial audit search --site clinic --patient P1001 --from "
        "2026-11-01 --result denied");
    command->callback([&globals, &action, options] {
        action = [&globals, options]() -> Result<int> {
            FID_TRY(const auto token, read_token(options->token_file));
            const json::object arguments{{"person", options->person}, {"patient", options->patient},
                                         {"study", options->study},   {"from", options->from},
                                         {"to", options->to},         {"action", options->what},
                                         {"result", options->result}, {"limit", options->limit},
                                         {"before", options->before}, {"token", token}};
            FID_TRY(const auto answer, perform(globals, "audit search", arguments, [](const json::object&) {}));
            if (globals.json) {
                print_json(answer);
                return 0;
            }
            const auto& entries = answer.at("entries").get_array();
            for (const auto& item : entries) {
                const auto& entry = item.get_object();
                const auto line = shown::text(entry, "words");
                std::printf("%8llu  %s\n", shown::count(entry, "index"), entry.at("allowed").get_bool() ? line.c_str() : bad(line).c_str());
            }
            if (entries.empty()) std::printf("no entry matches\n");
            if (answer.contains("before")) std::printf("earlier ones: --before %llu\n", shown::count(answer, "before"));
            return 0;
        };
    });
}

void add_show(CLI::App& audit, Globals& globals, Action& action) {
    struct Options {
        std::int64_t index = 0;
        std::string token_file;
    };
    auto options = std::make_shared<Options>();
    auto* command = audit.add_subcommand("show", "One entry in words");
    command->add_option("INDEX", options->index, "Its number, from 0")->required();
    command->add_option("--token-file", options->token_file, std::string(kAsWhom));
    command->callback([&globals, &action, options] {
        action = [&globals, options]() -> Result<int> {
            FID_TRY(const auto token, read_token(options->token_file));
            FID_TRY(const auto answer,
                    perform(globals, "audit show", json::object{{"index", options->index}, {"token", token}}, [](const json::object&) {}));
            if (globals.json) {
                print_json(answer);
                return 0;
            }
            std::printf("%s\n", shown::text(answer, "words").c_str());
            for (const auto* key : {"who", "from", "action", "purpose", "reason", "result", "patientId", "studyInstanceUid", "object",
                                    "patientKey", "studyKey", "blockHash", "leafHash"}) {
                if (const auto value = shown::text(answer, key); !value.empty()) std::printf("  %-17s %s\n", key, value.c_str());
            }
            return 0;
        };
    });
}

void add_prove(CLI::App& audit, Globals& globals, Action& action) {
    struct Options {
        std::int64_t index = -1;
        std::string since, out, token_file;
    };
    auto options = std::make_shared<Options>();
    auto* command = audit.add_subcommand(
        "prove", "A proof to give away: that an entry stands in the trace, or that the trace goes on from a checkpoint");
    command->add_option("INDEX", options->index, "The entry's number")->check(CLI::NonNegativeNumber);
    command->add_option("--since", options->since, "File with an earlier checkpoint of this trace: that nothing in it was changed since");
    command->add_option("--out", options->out, "Where to; default: standard output");
    command->add_option("--token-file", options->token_file, std::string(kAsWhom));
    command->footer(
        "Formats: C2SP tlog-proof, with the entry as its extra data (parts about people stay sealed); with --since what C2SP tlog-witness\n"
        "takes. Anybody checks it offline: fiducial audit verify FILE --key KEY\n\nExample:\n  fiducial audit prove --site clinic 4711 "
        "--out entry.tlog-proof");
    command->callback([&globals, &action, options] {
        action = [&globals, options]() -> Result<int> {
            if ((options->index < 0) == options->since.empty())
                return fail(ErrorCode::invalid_argument, "wanted is the number of an entry, or --since FILE");
            FID_TRY(const auto token, read_token(options->token_file));
            if (options->since.empty()) {
                FID_TRY(const auto answer, perform(globals, "audit prove", json::object{{"index", options->index}, {"token", token}},
                                                   [](const json::object&) {}));
                return write_proof(
                    globals, answer, options->out,
                    "entry " + std::to_string(options->index) + " stands among " + std::to_string(shown::number(answer, "size")));
            }
            FID_TRY(const auto earlier, read_text(options->since));
            FID_TRY(const auto answer,
                    perform(globals, "audit growth", json::object{{"checkpoint", earlier}, {"token", token}}, [](const json::object&) {}));
            return write_proof(globals, answer, options->out,
                               "the trace of " + std::to_string(shown::number(answer, "size")) + " entries goes on from that of " +
                                   std::to_string(shown::number(answer, "oldSize")));
        };
    });
}

void add_verify(CLI::App& audit, Globals& globals, Action& action) {
    struct Options {
        std::string file, key, since;
    };
    auto options = std::make_shared<Options>();
    auto* command = audit.add_subcommand("verify", "Check a proof, offline: needs no site, only the key that its trace is known by");
    command->add_option("FILE", options->file, "The proof")->required();
    command->add_option("--key", options->key, "The trace's key, as audit checkpoint shows it, or a file with it")->required();
    command->add_option("--since", options->since, "The earlier checkpoint, where the proof is of the trace's growth");
    command->footer("Exit codes: 0 it holds; 11 nothing proves it");
    command->callback([&globals, &action, options] {
        action = [&globals, options]() -> Result<int> {
            auto text = options->key;
            if (text.find('+') == std::string::npos) {
                FID_TRY(text, read_text(options->key));
            }
            FID_TRY(const auto key, audit::NoteKey::parse(text));
            FID_TRY(const auto proof_text, read_text(options->file));
            json::object answer{{"log", key.name}};
            audit::Checkpoint checkpoint;
            if (proof_text.starts_with(audit::InclusionProof::kFirstLine)) {
                FID_TRY(const auto proof, audit::InclusionProof::parse(proof_text));
                FID_TRY(checkpoint, proof.verify(key));
                FID_TRY(const auto entry, audit::decode_entry(proof.entry));
                answer["index"] = proof.index;
                answer["time"] = to_rfc3339(entry.clear.time);
                answer["allowed"] = entry.clear.allowed;
                answer["action"] = std::string(name_of(static_cast<archive::Operation>(entry.clear.operation)));
            } else {
                if (options->since.empty())
                    return fail(ErrorCode::invalid_argument, "--since: the proof is of growth from an earlier checkpoint");
                FID_TRY(const auto proof, audit::ConsistencyProof::parse(proof_text));
                FID_TRY(const auto earlier_text, read_text(options->since));
                FID_TRY(const auto earlier, audit::open_checkpoint(earlier_text, key));
                FID_TRY(checkpoint, proof.verify(key, earlier.head));
                answer["oldSize"] = earlier.head.size;
            }
            answer["size"] = checkpoint.head.size;
            if (globals.json)
                print_json(answer);
            else if (answer.contains("index"))
                std::printf("%s entry %llu of %s, %s, %s, stands in the trace %s\n", good("it holds:").c_str(),
                            shown::count(answer, "index"), shown::text(answer, "time").c_str(), shown::text(answer, "action").c_str(),
                            answer.at("allowed").get_bool() ? "allowed" : "denied", key.name.c_str());
            else
                std::printf("%s the trace %s of %llu entries goes on from that of %llu\n", good("it holds:").c_str(), key.name.c_str(),
                            shown::count(answer, "size"), shown::count(answer, "oldSize"));
            return 0;
        };
    });
}

void add_export(CLI::App& audit, Globals& globals, Action& action) {
    struct Options {
        std::string format, out, token_file;
        std::int64_t from = 0, to = -1;
    };
    auto options = std::make_shared<Options>();
    auto* command = audit.add_subcommand("export", "Entries for other systems: one document a line");
    command
        ->add_option("--format", options->format, "fhir: AuditEvent of HL7 FHIR R4, in JSON; dicom: audit messages of PS3.15 A.5, in XML")
        ->required()
        ->check(CLI::IsMember({"fhir", "dicom"}));
    command->add_option("--from", options->from, "The first entry's number")->capture_default_str();
    command->add_option("--to", options->to, "Up to this one, not included; default: all there are");
    command->add_option("--out", options->out, "Where to; default: standard output");
    command->add_option("--token-file", options->token_file, std::string(kAsWhom));
    command->footer(
        "To a syslog server over TLS the archive brings new entries by itself ([trace] syslog in the settings).\n\nExample:\n  fiducial "
        "audit "
        "export --site clinic --format fhir --out events.ndjson");
    command->callback([&globals, &action, options] {
        action = [&globals, options]() -> Result<int> {
            FID_TRY(const auto token, read_token(options->token_file));
            File file;
            if (!options->out.empty()) {
                FID_TRY(file, File::open(options->out, File::Mode::create_new));
            }
            Result<void> written;
            const auto on_event = [&](const json::object& event) {
                const auto* entries = event.if_contains("entries");
                if (entries == nullptr || !written) return;
                std::string text;
                for (const auto& line : entries->get_array()) text += std::string(line.get_string()) + "\n";
                if (file.is_open())
                    written = file.append(as_bytes(text));
                else
                    std::fwrite(text.data(), 1, text.size(), stdout);
            };
            const json::object arguments{{"format", options->format}, {"from", options->from}, {"to", options->to}, {"token", token}};
            FID_TRY(const auto answer, perform(globals, "audit export", arguments, on_event));
            FID_CHECK(written);
            if (file.is_open()) FID_CHECK(file.sync());
            if (file.is_open() && globals.json) print_json(answer);
            if (file.is_open() && !globals.json)
                std::printf("%s: %s\n", options->out.c_str(),
                            shown::counted(shown::number(answer, "exported"), "entry", "entries").c_str());
            return answer.at("interrupted").get_bool() ? 8 : 0;
        };
    });
}

void add_check(CLI::App& audit, Globals& globals, Action& action) {
    auto token_file = std::make_shared<std::string>();
    auto* command =
        audit.add_subcommand("check", "Check all of the trace: every entry, its tiles, its times, and what the ledger holds of it");
    command->add_option("--token-file", *token_file, std::string(kAsWhom));
    command->footer(
        "Exit codes: 0 clean; 7 nothing found, but the ledger was not reached; 10 something was found (named, with what to do)");
    command->callback([&globals, &action, token_file] {
        action = [&globals, token_file]() -> Result<int> {
            FID_TRY(const auto token, read_token(*token_file));
            FID_TRY(const auto answer, perform(globals, "audit check", json::object{{"token", token}}, [](const json::object&) {}));
            const auto& findings = answer.at("findings").get_array();
            const auto not_compared = shown::text(answer, "notCompared");
            const int code = !findings.empty() ? 10 : !not_compared.empty() ? 7 : 0;
            if (globals.json) {
                print_json(answer);
                return code;
            }
            for (const auto& item : findings) {
                const auto& found = item.get_object();
                std::printf("%s %s: %s\n  %s\n", bad(shown::text(found, "kind")).c_str(), shown::text(found, "subject").c_str(),
                            shown::text(found, "what").c_str(), shown::text(found, "advice").c_str());
            }
            if (!not_compared.empty()) std::printf("%s\n", bad("not compared with the ledger: " + not_compared).c_str());
            if (const auto* ledger = answer.if_contains("ledger")) {
                const auto size = shown::number(ledger->get_object(), "size");
                if (size == 0)
                    std::printf("the ledger holds no checkpoint of it yet\n");
                else
                    std::printf("the ledger holds its checkpoint of %s, of %s\n", shown::counted(size, "entry", "entries").c_str(),
                                shown::text(ledger->get_object(), "time").c_str());
            }
            std::printf("%s: %s\n", shown::counted(shown::number(answer, "entries"), "entry", "entries").c_str(),
                        code == 0   ? good("clean").c_str()
                        : code == 7 ? "nothing found"
                                    : bad("not clean").c_str());
            return code;
        };
    });
}

void add_checkpoint(CLI::App& audit, Globals& globals, Action& action) {
    auto wait_seconds = std::make_shared<int>(30);
    auto* command =
        audit.add_subcommand("checkpoint", "Sign the trace's head now, and take it to the ledger; shows key and folder of tiles");
    command->add_option("--wait", *wait_seconds, "Seconds to wait until it is settled there")
        ->capture_default_str()
        ->check(CLI::Range(0, 3600));
    command->footer(
        "An archive that runs does this by itself ([trace] in the settings). The folder is a C2SP tlog-tiles log: serve it to whoever is "
        "to\n"
        "check it, or copy it. What it tells of people is sealed.\n\nExit codes: 0 done; 7 signed, but the ledger was not reached");
    command->callback([&globals, &action, wait_seconds] {
        action = [&globals, wait_seconds]() -> Result<int> {
            FID_TRY(const auto answer,
                    perform(globals, "audit checkpoint", json::object{{"waitSeconds", *wait_seconds}}, [](const json::object&) {}));
            const auto not_sent = shown::text(answer, "notSent");
            const int code = not_sent.empty() ? 0 : 7;
            if (globals.json) {
                print_json(answer);
                return code;
            }
            std::printf("%s\nkey    %s\nas a witness %s\ntiles  %s\n", shown::text(answer, "checkpoint").c_str(),
                        shown::text(answer, "key").c_str(), shown::text(answer, "witnessKey").c_str(),
                        shown::text(answer, "folder").c_str());
            if (code != 0)
                std::printf("%s\n", bad("not on the ledger: " + not_sent).c_str());
            else
                std::printf("ledger %s\n", shown::counted(shown::number(answer, "onLedger"), "entry", "entries").c_str());
            return code;
        };
    });
}

}  // namespace

void add_audit_commands(CLI::App& cli, Globals& globals, Action& action) {
    auto* audit = cli.add_subcommand("audit", "The trace: who looked at what, searched, proved and checked");
    audit->require_subcommand(1);
    add_search(*audit, globals, action);
    add_show(*audit, globals, action);
    add_prove(*audit, globals, action);
    add_verify(*audit, globals, action);
    add_export(*audit, globals, action);
    add_check(*audit, globals, action);
    add_checkpoint(*audit, globals, action);
}

}  // namespace fiducial::app
