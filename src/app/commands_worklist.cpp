#include <CLI/CLI.hpp>
#include <boost/json.hpp>
#include <cstdio>

#include "app/commands.hpp"
#include "app/shown.hpp"

namespace fiducial::app {
namespace {

namespace json = boost::json;

const archive::EmitEvent kSilent = [](const json::object&) {};

void print_outcome(const Globals& globals, const json::object& answer) {
    if (globals.json) return print_json(answer);
    const auto count = [&](std::string_view key) { return std::to_string(answer.at(key).to_number<std::uint64_t>()); };
    std::printf("%s added, %s changed, %s the same already\n", count("added").c_str(), count("changed").c_str(), count("same").c_str());
}

void add_worklist_add(CLI::App& worklist, Globals& globals, Action& action) {
    auto attributes = std::make_shared<std::vector<std::string>>();
    auto* command = worklist.add_subcommand("add", "Put one step on the worklist, or change it");
    command->add_option("ATTRIBUTES", *attributes, "Keyword=value of the attributes")->required();
    command->footer(
        "PatientName, PatientID, AccessionNumber, Modality, ScheduledProcedureStepStartDate and …StartTime are needed. Without\n"
        "ScheduledStationAETitle the step is for any station that asks. All attributes: docs/operating/worklist.md\nExample:\n"
        "  fiducial worklist add --site clinic PatientName=Doe^Jane PatientID=P1 AccessionNumber=A1 Modality=CT \\\n"
        "    ScheduledStationAETitle=CT1 ScheduledProcedureStepStartDate=20261201 ScheduledProcedureStepStartTime=0830\n"
        "Exit codes: 0 done; 6 the step was begun already");
    command->callback([&globals, &action, attributes] {
        action = [&globals, attributes]() -> Result<int> {
            const json::object arguments{{"attributes", json::value_from(*attributes)}};
            FID_TRY(const auto answer, perform(globals, "worklist add", arguments, kSilent));
            print_outcome(globals, answer);
            return 0;
        };
    });
}

void add_worklist_import(CLI::App& worklist, Globals& globals, Action& action) {
    auto path = std::make_shared<std::string>();
    auto* command = worklist.add_subcommand("import", "Put the steps of a file on the worklist: a table (CSV) or JSON");
    command->add_option("FILE", *path, "CSV with keywords in its first line, or JSON: a list of objects")
        ->required()
        ->check(CLI::ExistingFile);
    command->footer("All of them or, where something is wrong, none. The same file again changes nothing. docs/operating/worklist.md");
    command->callback([&globals, &action, path] {
        action = [&globals, path]() -> Result<int> {
            const json::object arguments{{"path", std::filesystem::absolute(*path).string()}};
            FID_TRY(const auto answer, perform(globals, "worklist import", arguments, kSilent));
            print_outcome(globals, answer);
            return 0;
        };
    });
}

void add_worklist_list(CLI::App& worklist, Globals& globals, Action& action) {
    struct Options {
        std::string date, modality, station;
        bool all = false;
    };
    auto options = std::make_shared<Options>();
    auto* command = worklist.add_subcommand("list", "List what is to be done, by its start; traced as a look");
    command->add_option("--date", options->date, "YYYYMMDD, or a range with a dash");
    command->add_option("--modality", options->modality, "CT, MR, …");
    command->add_option("--station", options->station, "Its AE title");
    command->add_flag("--all", options->all, "Also what is completed, discontinued or cancelled");
    command->callback([&globals, &action, options] {
        action = [&globals, options]() -> Result<int> {
            const json::object arguments{
                {"date", options->date}, {"modality", options->modality}, {"station", options->station}, {"all", options->all}};
            FID_TRY(const auto answer, perform(globals, "worklist list", arguments, kSilent));
            if (globals.json) {
                print_json(answer);
                return 0;
            }
            for (const auto& item : answer.at("entries").get_array()) {
                const auto& attributes = item.at("attributes").get_object();
                const auto column = [&](std::string_view keyword, std::size_t width) {
                    return shown::padded(shown::text(attributes, keyword), width);
                };
                std::printf("%s %s %s %s %s %s %s %s\n", column("ScheduledProcedureStepStartDate", 8).c_str(),
                            column("ScheduledProcedureStepStartTime", 6).c_str(), column("Modality", 4).c_str(),
                            column("ScheduledStationAETitle", 16).c_str(), column("AccessionNumber", 16).c_str(),
                            column("PatientID", 16).c_str(), column("PatientName", 30).c_str(),
                            shown::text(item.get_object(), "state").c_str());
            }
            return 0;
        };
    });
}

void add_worklist_cancel(CLI::App& worklist, Globals& globals, Action& action) {
    struct Options {
        std::string accession_number, step;
    };
    auto options = std::make_shared<Options>();
    auto* command = worklist.add_subcommand("cancel", "Take an order, or one step of it, off the worklist");
    command->add_option("ACCESSION", options->accession_number, "Its accession number")->required();
    command->add_option("--step", options->step, "Scheduled Procedure Step ID; default: all of them");
    command->footer("Exit codes: 0 done; 5 there is no such order or step; 6 one was begun already");
    command->callback([&globals, &action, options] {
        action = [&globals, options]() -> Result<int> {
            const json::object arguments{{"accessionNumber", options->accession_number}, {"step", options->step}};
            FID_TRY(const auto answer, perform(globals, "worklist cancel", arguments, kSilent));
            if (globals.json)
                print_json(answer);
            else
                std::printf("%s cancelled\n", std::to_string(answer.at("cancelled").to_number<std::uint64_t>()).c_str());
            return 0;
        };
    });
}

}  // namespace

void add_worklist_commands(CLI::App& cli, Globals& globals, Action& action) {
    auto* worklist = cli.add_subcommand("worklist", "What is to be done at the modalities");
    worklist->require_subcommand(1);
    add_worklist_add(*worklist, globals, action);
    add_worklist_import(*worklist, globals, action);
    add_worklist_list(*worklist, globals, action);
    add_worklist_cancel(*worklist, globals, action);
}

}  // namespace fiducial::app
