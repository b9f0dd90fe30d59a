#include <CLI/CLI.hpp>
#include <boost/json.hpp>
#include <cstdio>

#include "app/commands.hpp"
#include "app/shown.hpp"
#include "app/terminal.hpp"
#include "base/utf8.hpp"

namespace fiducial::app {
namespace {

namespace json = boost::json;

archive::EmitEvent progress_shower(ProgressLine& line, bool each_file, bool as_json) {
    return [&line, each_file, as_json](const json::object& event) {
        if (const auto* progress = event.if_contains("progress")) {
            const auto& now = progress->get_object();
            line.show(shown::number(now, "bytesDone"), shown::number(now, "bytesTotal"), shown::number(now, "filesDone"),
                      shown::number(now, "filesTotal"), "files");
        } else if (const auto* file = event.if_contains("file"); file != nullptr && each_file) {
            line.clear();
            if (as_json)
                std::printf("%s\n", json::serialize(event).c_str());
            else
                std::printf("%-11s %s\n", shown::text(file->get_object(), "outcome").c_str(),
                            shown::text(file->get_object(), "path").c_str());
            std::fflush(stdout);  // whoever reads along may count on it
        }
    };
}

void print_import_report(const json::object& report) {
    const auto ms = std::max<std::uint64_t>(1, shown::number(report, "milliseconds"));
    std::printf("%s stored, %s already there, %s new versions, %s set aside, %s refused, %s skipped\n",
                std::to_string(shown::number(report, "stored")).c_str(), std::to_string(shown::number(report, "duplicates")).c_str(),
                std::to_string(shown::number(report, "newVersions")).c_str(), std::to_string(shown::number(report, "setAside")).c_str(),
                std::to_string(shown::number(report, "refused")).c_str(), std::to_string(shown::number(report, "skipped")).c_str());
    std::printf("%s in %s (%s/s)\n", human_bytes(shown::number(report, "bytes")).c_str(), human_time(std::chrono::milliseconds(ms)).c_str(),
                human_bytes(shown::number(report, "bytes") * 1000 / ms).c_str());
    for (const auto& item : report.at("notable").get_array()) {
        const auto& file = item.get_object();
        std::printf("  %-10s %s\n             %s\n", shown::text(file, "outcome").c_str(), shown::text(file, "path").c_str(),
                    shown::text(file, "reason").c_str());
    }
    if (const auto strangers = shown::number(report, "withoutPatient"); strangers > 0) {
        std::printf(
            "%s without a patient, each a study of its own: say whose they are in a table (--patients, or patients.csv beside them)\n",
            shown::counted(strangers, "image came", "images came").c_str());
    }
    if (const auto& unused = report.at("unusedRows").get_array(); !unused.empty()) {
        std::printf("rows of the patient table that name no image that came:\n");
        for (const auto& row : unused) std::printf("  %s\n", std::string(row.get_string()).c_str());
    }
    if (const auto why = shown::text(report, "incomplete"); !why.empty()) std::printf("%s\n", bad(why).c_str());
    if (const auto* failure = report.at("failure").if_object()) {
        const bool full = shown::text(*failure, "code") == "no_space";
        std::printf("%s\n", bad((full ? "stopped: " : "the archive failed: ") + shown::text(*failure, "message")).c_str());
        std::printf("what was stored before is safe; %srun the same command again to take the rest\n", full ? "make room, then " : "");
    }
    if (report.at("interrupted").get_bool()) std::printf("interrupted: run the same command again to take the rest\n");
}

void add_import(CLI::App& cli, Globals& globals, Action& action) {
    struct Options {
        std::vector<std::string> paths;
        std::string patients;
        bool dx = false, each = false, wait = true;
        int wait_seconds = 60;
    };
    auto options = std::make_shared<Options>();
    auto* command = cli.add_subcommand("import", "Bring in DICOM files and folders, DICOMDIRs, ZIPs, and PNG or JPEG X-rays");
    command->add_option("PATH", options->paths, "Files and folders")->required();
    command->add_option("--patients", options->patients,
                        "CSV that says whose the PNG and JPEG files are (columns: file, patient id, name, birth date, sex, study date, …)");
    command->add_flag("--dx", options->dx, "PNG and JPEG radiographs become Digital X-Ray images instead of Computed Radiography");
    command->add_flag("--each", options->each,
                      "Name every file and what became of it; with --json each is a line, and the report the last one");
    command->add_option("--wait", options->wait_seconds, "Seconds to wait until the fingerprints are settled on the ledger")
        ->capture_default_str()
        ->check(CLI::Range(0, 86400));
    command->footer(
        "Running it again takes only what is not there yet.\n\nExamples:\n  fiducial import --site clinic /media/cdrom\n"
        "  fiducial import --site clinic --patients xrays.csv xrays/\n\nExit codes: 0 all taken or already there; 1 something was refused "
        "or set aside, or nothing was found;\n"
        "8 interrupted; others: fiducial help exit-codes");
    command->callback([&globals, &action, options] {
        action = [&globals, options]() -> Result<int> {
            json::array paths;
            for (const auto& path : options->paths) {
                if (!is_utf8(path))
                    return fail(ErrorCode::invalid_argument,
                                "the name " + readable(path) + " is not UTF-8: give the folder that it lies in");
                paths.emplace_back(std::filesystem::absolute(path).lexically_normal().string());
            }
            json::object arguments{{"paths", std::move(paths)}, {"dx", options->dx}, {"each", options->each}};
            if (!options->patients.empty()) arguments["patients"] = std::filesystem::absolute(options->patients).string();
            arguments["waitSeconds"] = options->wait_seconds;
            ProgressLine line(!globals.json && !globals.quiet);
            FID_TRY(const auto report, perform(globals, "import", arguments, progress_shower(line, options->each, globals.json)));
            line.clear();
            const bool nothing =
                !report.at("interrupted").get_bool() && !report.at("failure").is_object() && shown::text(report, "incomplete").empty() &&
                shown::number(report, "stored") + shown::number(report, "duplicates") + shown::number(report, "newVersions") +
                        shown::number(report, "setAside") + shown::number(report, "refused") + shown::number(report, "skipped") ==
                    0;
            if (globals.json && options->each) {
                std::printf("%s\n", json::serialize(report).c_str());
            } else if (globals.json) {
                print_json(report);
            } else {
                print_import_report(report);
                if (nothing) {
                    std::printf("nothing to import was found in what you named\n");
                } else if (const auto waiting = shown::number(report, "unsettled"); waiting > 0) {
                    std::printf("%s for the ledger; sent as soon as the archive runs and reaches it\n",
                                shown::counted(waiting, "study record waits", "study records wait").c_str());
                } else if (report.at("failure").is_null() && shown::text(report, "incomplete").empty()) {
                    std::printf("%s\n", good("every fingerprint is settled on the ledger").c_str());
                }
            }
            if (const auto* failure = report.at("failure").if_object()) return static_cast<int>(shown::number(*failure, "exitCode"));
            if (report.at("interrupted").get_bool()) return 8;
            if (!shown::text(report, "incomplete").empty()) return 1;
            if (!report.at("unusedRows").get_array().empty()) return 1;
            return !nothing && shown::number(report, "refused") + shown::number(report, "setAside") == 0 ? 0 : 1;
        };
    });
}

void add_export(CLI::App& cli, Globals& globals, Action& action) {
    struct Options {
        std::vector<std::string> studies;
        std::string to;
        bool all = false, set_aside = false, superseded = false, dicom = false, original = false;
    };
    auto options = std::make_shared<Options>();
    auto* command = cli.add_subcommand(
        "export", "Write images out, bit for bit as they came, but for what was corrected since; each is checked as it is read");
    command->add_option("STUDY", options->studies, "Study Instance UIDs");
    command->add_option("--to", options->to, "Folder to write into")->required();
    command->add_flag("--all", options->all, "Every study");
    command->add_flag("--set-aside", options->set_aside, "Only the objects that were set aside (for a custodian)");
    command->add_flag("--superseded", options->superseded, "Only the objects of earlier versions, which newer ones took the place of");
    command->add_flag("--original", options->original, "As they were stored, whatever was corrected since: what evidence covers");
    command->add_flag("--dicom", options->dicom,
                      "PNG and JPEG X-rays as the DICOM images they were made into, bare data sets with a file header");
    command->footer(
        "Example:\n  fiducial export --site clinic --all --to /mnt/copy\n\nExit codes: 0 done; 10 something was damaged (named); 8 "
        "interrupted");
    command->callback([&globals, &action, options] {
        action = [&globals, options]() -> Result<int> {
            const json::object arguments{{"studies", json::value_from(options->studies)},
                                         {"to", std::filesystem::absolute(options->to).string()},
                                         {"all", options->all},
                                         {"setAside", options->set_aside},
                                         {"superseded", options->superseded},
                                         {"original", options->original},
                                         {"dicom", options->dicom}};
            FID_TRY(const auto report, perform(globals, "export", arguments, [](const json::object&) {}));
            const auto& damaged = report.at("damaged").get_array();
            if (globals.json) {
                print_json(report);
            } else {
                std::printf("%s, %s, in %s\n", shown::counted(shown::number(report, "files"), "file", "files").c_str(),
                            human_bytes(shown::number(report, "bytes")).c_str(), shown::text(report, "folder").c_str());
                for (const auto& item : damaged) {
                    std::printf("%s %s\n  %s\n", bad("damaged").c_str(), shown::text(item.get_object(), "sopInstanceUid").c_str(),
                                shown::text(item.get_object(), "reason").c_str());
                }
            }
            if (report.at("interrupted").get_bool()) return 8;
            return damaged.empty() ? 0 : 10;
        };
    });
}

void add_list(CLI::App& cli, Globals& globals, Action& action) {
    struct Options {
        std::string patient_id, patient_name, accession, modality, from, to, cursor;
        int limit = 100;
    };
    auto options = std::make_shared<Options>();
    auto* command = cli.add_subcommand("list", "List studies, newest first");
    const auto date = [](const std::string& text) -> std::string {
        const bool digits = text.size() == 8 && text.find_first_not_of("0123456789") == std::string::npos;
        const auto month = digits ? text.substr(4, 2) : "", day = digits ? text.substr(6, 2) : "";
        return digits && month >= "01" && month <= "12" && day >= "01" && day <= "31" ? ""
                                                                                      : "'" + text + "' is no date; write it as YYYYMMDD";
    };
    command->add_option("--patient-id", options->patient_id, "Patient ID; * and ? match anything");
    command->add_option("--name", options->patient_name, "Patient's name; * and ? match anything");
    command->add_option("--accession", options->accession, "Accession number");
    command->add_option("--modality", options->modality, "CT, MR, US, DX, CR, …");
    command->add_option("--from", options->from, "Study date from, YYYYMMDD")->check(date);
    command->add_option("--to", options->to, "Study date to, YYYYMMDD")->check(date);
    command->add_option("--limit", options->limit, "At most so many")->check(CLI::Range(1, 1000))->capture_default_str();
    command->add_option("--cursor", options->cursor, "Where the last list ended");
    command->footer("Example:\n  fiducial list --site clinic --name 'ko*' --modality CT");
    command->callback([&globals, &action, options] {
        action = [&globals, options]() -> Result<int> {
            const json::object arguments{{"patientId", options->patient_id},
                                         {"patientName", options->patient_name},
                                         {"accession", options->accession},
                                         {"modality", options->modality},
                                         {"from", options->from},
                                         {"to", options->to},
                                         {"limit", options->limit},
                                         {"cursor", options->cursor}};
            FID_TRY(const auto answer, perform(globals, "list", arguments, [](const json::object&) {}));
            if (globals.json) {
                print_json(answer);
                return 0;
            }
            const auto& studies = answer.at("studies").get_array();
            const bool any_wish = !(options->patient_id + options->patient_name + options->accession + options->modality + options->from +
                                    options->to + options->cursor)
                                       .empty();
            if (studies.empty() && any_wish)
                std::printf("nothing matches\n");
            else if (studies.empty())
                std::printf("no studies; bring some in with: fiducial import --site %s PATH\n", globals.site.c_str());
            for (const auto& item : studies) {
                const auto& study = item.get_object();
                std::string modalities;
                for (const auto& modality : study.at("modalities").get_array())
                    modalities += (modalities.empty() ? "" : ",") + std::string(modality.get_string());
                std::printf("%-8s  %-6s %5llu  %s  %s  %s\n", shown::text(study, "date").c_str(), modalities.c_str(),
                            shown::count(study, "instances"), shown::padded(shown::text(study, "patientId"), 12).c_str(),
                            shown::padded(shown::text(study, "patientName"), 32).c_str(), shown::text(study, "studyInstanceUid").c_str());
            }
            if (const auto next = shown::text(answer, "next"); !next.empty()) std::printf("more: --cursor %s\n", next.c_str());
            return 0;
        };
    });
}

void add_show(CLI::App& cli, Globals& globals, Action& action) {
    auto study = std::make_shared<std::string>();
    auto* command = cli.add_subcommand("show", "Show a study: its versions with their states on the ledger, and its images");
    command->add_option("STUDY", *study, "Study Instance UID")->required();
    command->callback([&globals, &action, study] {
        action = [&globals, study]() -> Result<int> {
            FID_TRY(const auto answer, perform(globals, "show", json::object{{"study", *study}}, [](const json::object&) {}));
            if (globals.json) {
                print_json(answer);
                return 0;
            }
            std::printf("%s\n  %s  %s  %s  %s\n", strong(shown::text(answer, "studyInstanceUid")).c_str(),
                        shown::text(answer, "patientId").c_str(), shown::text(answer, "patientName").c_str(),
                        shown::text(answer, "date").c_str(), shown::text(answer, "description").c_str());
            for (const auto& item : answer.at("versions").get_array()) {
                const auto& version = item.get_object();
                std::printf("  version %llu (%s, %s): %s", shown::count(version, "version"), shown::text(version, "reasons").c_str(),
                            shown::counted(shown::number(version, "instances"), "image", "images").c_str(),
                            shown::text(version, "state").c_str());
                if (shown::number(version, "block") != 0) std::printf(" in block %llu", shown::count(version, "block"));
                std::printf("\n    record %s\n", shown::text(version, "record").c_str());
                if (const auto problem = shown::text(version, "problem"); !problem.empty()) std::printf("    %s\n", bad(problem).c_str());
            }
            for (const auto& item : answer.at("objects").get_array()) {
                const auto& object = item.get_object();
                std::printf("  %s  %9s  sha256 %s\n", shown::text(object, "sopInstanceUid").c_str(),
                            human_bytes(shown::number(object, "size")).c_str(), shown::text(object, "sha256").c_str());
            }
            return 0;
        };
    });
}

void add_rows_command(CLI::App& parent, Globals& globals, Action& action, std::string name, std::string description, std::string operation,
                      std::string key) {
    auto* command = parent.add_subcommand(std::move(name), std::move(description));
    command->callback([&globals, &action, operation, key] {
        action = [&globals, operation, key]() -> Result<int> {
            FID_TRY(const auto answer, perform(globals, operation, {}, [](const json::object&) {}));
            if (globals.json) {
                print_json(answer);
                return 0;
            }
            const auto& rows = answer.at(key).get_array();
            if (rows.empty()) std::printf("nothing here\n");
            for (const auto& item : rows) {
                const auto& row = item.get_object();
                std::printf("%s\n  instance %s\n  %s\n", shown::text(row, "objectId").c_str(), shown::text(row, "sopInstanceUid").c_str(),
                            shown::text(row, "reason").c_str());
            }
            return 0;
        };
    });
}

void add_decision(CLI::App& parent, Globals& globals, Action& action, std::string name, std::string description, bool accept) {
    struct Options {
        std::string object, reason;
    };
    auto options = std::make_shared<Options>();
    auto* command = parent.add_subcommand(std::move(name), std::move(description));
    command->add_option("OBJECT", options->object, "Object id, as listed")->required();
    command->add_option("--reason", options->reason, "Why; kept with the object")->required();
    command->callback([&globals, &action, options, accept] {
        action = [&globals, options, accept]() -> Result<int> {
            const json::object arguments{{"object", options->object}, {"accept", accept}, {"reason", options->reason}};
            FID_TRY(const auto answer, perform(globals, "set-aside decide", arguments, [](const json::object&) {}));
            if (globals.json)
                print_json(answer);
            else
                std::printf("%s: %s\n", shown::text(answer, "object").c_str(), shown::text(answer, "state").c_str());
            return 0;
        };
    });
}

}  // namespace

void add_image_commands(CLI::App& cli, Globals& globals, Action& action) {
    add_import(cli, globals, action);
    add_export(cli, globals, action);
    add_list(cli, globals, action);
    add_show(cli, globals, action);

    auto* set_aside =
        cli.add_subcommand("set-aside", "Objects kept apart: another object under a known UID, or a second patient in a study");
    set_aside->require_subcommand(1);
    add_rows_command(*set_aside, globals, action, "list", "List them, with the reason", "set-aside list", "setAside");
    add_decision(*set_aside, globals, action, "accept", "Take one in: it takes the place of what stood there, as the study's next version",
                 true);
    add_decision(*set_aside, globals, action, "discard", "Say no to one; it stays in the store and is never served", false);

    auto* quarantine = cli.add_subcommand("quarantine", "Objects found damaged");
    quarantine->require_subcommand(1);
    add_rows_command(*quarantine, globals, action, "list", "List them, with the reason", "quarantine list", "quarantined");
    auto object = std::make_shared<std::string>();
    auto* restore = quarantine->add_subcommand("restore", "Take one back after its bytes were mended; it is checked first");
    restore->add_option("OBJECT", *object, "Object id, as listed")->required();
    restore->callback([&globals, &action, object] {
        action = [&globals, object]() -> Result<int> {
            FID_TRY(const auto answer,
                    perform(globals, "quarantine restore", json::object{{"object", *object}}, [](const json::object&) {}));
            if (globals.json)
                print_json(answer);
            else
                std::printf("%s is whole again and is served\n", shown::text(answer, "object").c_str());
            return 0;
        };
    });
}

}  // namespace fiducial::app
