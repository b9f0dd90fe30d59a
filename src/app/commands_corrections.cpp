#include <CLI/CLI.hpp>
#include <boost/json.hpp>
#include <cstdio>

#include "app/commands.hpp"
#include "app/shown.hpp"
#include "archive/corrections.hpp"
#include "base/file.hpp"
#include "base/hex.hpp"

namespace fiducial::app {
namespace {

namespace json = boost::json;

constexpr const char* kTextHelp = "Why, in words, without a patient's name; kept with what is corrected";
constexpr const char* kExitCodes =
    "Exit codes: 0 done; 2 no such reason, or no words; 4 not allowed; 5 no such study, series or instance; 6 a legal hold, a retention "
    "or\n"
    "another object stands against it; 7 the ledger's node is away for longer than a day";

int show_corrected(const Globals& globals, const json::object& answer, const char* what) {
    if (globals.json) {
        print_json(answer);
        return 0;
    }
    std::printf("%s: %s, version %llu of the study\n", what, shown::counted(shown::number(answer, "instances"), "image", "images").c_str(),
                shown::count(answer, "version"));
    for (const auto& remark : answer.at("remarks").get_array()) std::printf("  %s\n", remark.get_string().c_str());
    return 0;
}

struct What {
    std::string study, series, instance, reason, text;
    json::object arguments() const {
        return {{"study", study}, {"series", series}, {"instance", instance}, {"reason", reason}, {"text", text}};
    }
};

void add_parts(CLI::App& command, What& what) {
    command.add_option("STUDY", what.study, "Study Instance UID")->required();
    command.add_option("--series", what.series, "Only this series");
    command.add_option("--instance", what.instance, "Only this instance");
    command.add_option("--text", what.text, kTextHelp)->required();
}

void add_remove(CLI::App& cli, Globals& globals, Action& action) {
    auto what = std::make_shared<What>();
    auto* command = cli.add_subcommand("remove", "Take images out of their study: nobody finds them any more, the stored bytes stay");
    add_parts(*command, *what);
    std::string reasons;
    for (const auto& reason : archive::removal_reasons()) reasons += (reasons.empty() ? "" : ", ") + std::string(reason.name);
    command->add_option("--reason", what->reason, reasons)->required();
    command->footer(
        "The study gets a new version without them, with the reason `removed`; earlier versions still hold and prove them. It can be "
        "taken\n"
        "back: fiducial put-back. `expired` is taken only when [store] retention_days are over; a legal hold stands against all of it.\n"
        "Example:\n  fiducial remove --site clinic 1.2.840.1 --instance 1.2.840.1.7 --reason quality --text 'motion, repeated'\n" +
        std::string(kExitCodes));
    command->callback([&globals, &action, what] {
        action = [&globals, what]() -> Result<int> {
            FID_TRY(const auto answer, perform(globals, "remove", what->arguments(), [](const json::object&) {}));
            return show_corrected(globals, answer, "removed");
        };
    });
}

void add_put_back(CLI::App& cli, Globals& globals, Action& action) {
    auto what = std::make_shared<What>();
    auto* command = cli.add_subcommand("put-back", "Take a removal back: the study's next version has the images again");
    add_parts(*command, *what);
    command->footer(
        "`fiducial show STUDY` lists what was removed, and why.\nExample:\n  fiducial put-back --site clinic 1.2.840.1 --text "
        "'it was the right one'\n" +
        std::string(kExitCodes));
    command->callback([&globals, &action, what] {
        action = [&globals, what]() -> Result<int> {
            FID_TRY(const auto answer, perform(globals, "put-back", what->arguments(), [](const json::object&) {}));
            return show_corrected(globals, answer, "put back");
        };
    });
}

struct Patient {
    std::string study, from, from_issuer, id, issuer, name, birth_date, sex, text;
};

void add_patient_options(CLI::App& command, Patient& patient, const char* id_option) {
    command.add_option(id_option, patient.id, "The right patient's ID")->required();
    command.add_option("--issuer", patient.issuer, "Its issuer; needed where several patients have that ID");
    command.add_option("--name", patient.name, "Name, as Family^Given; needed where the patient is not known here");
    command.add_option("--birth-date", patient.birth_date, "YYYYMMDD");
    command.add_option("--sex", patient.sex, "M, F or O");
    command.add_option("--text", patient.text, kTextHelp)->required();
}

json::object arguments_of(const CLI::App& command, const Patient& patient) {
    json::object arguments{{"study", patient.study},  {"from", patient.from},     {"fromIssuer", patient.from_issuer},
                           {"patientId", patient.id}, {"issuer", patient.issuer}, {"text", patient.text}};
    if (command.count("--name") > 0) arguments["name"] = patient.name;
    if (command.count("--birth-date") > 0) arguments["birthDate"] = patient.birth_date;
    if (command.count("--sex") > 0) arguments["sex"] = patient.sex;
    return arguments;
}

void add_correct(CLI::App& cli, Globals& globals, Action& action) {
    auto* correct = cli.add_subcommand("correct", "Whose a study is and what belongs to it, put right; the stored bytes stay as they are");
    correct->require_subcommand(1);

    auto wrong = std::make_shared<Patient>();
    auto* patient = correct->add_subcommand("patient", "A study was stored under the wrong patient");
    patient->add_option("STUDY", wrong->study, "Study Instance UID")->required();
    add_patient_options(*patient, *wrong, "--patient-id");
    patient->footer(
        "From the next version on the study is found, decided and given out as the right patient's; what the wrong patient granted no\n"
        "longer opens it. Data sets are given out with the right patient's name, ID, birth date and sex, and without what else identified\n"
        "the wrong one. Who may correct can still ask for them as they were stored. Taken back by: fiducial correct undo.\nExample:\n  "
        "fiducial correct patient --site clinic 1.2.840.1 --patient-id 4711 --text 'picked the line above in the worklist'\n" +
        std::string(kExitCodes));
    patient->callback([&globals, &action, wrong, patient] {
        action = [&globals, wrong, patient]() -> Result<int> {
            FID_TRY(const auto answer, perform(globals, "correct patient", arguments_of(*patient, *wrong), [](const json::object&) {}));
            return show_corrected(globals, answer, "corrected");
        };
    });

    struct Move : What {
        std::string to;
    };
    auto moved = std::make_shared<Move>();
    auto* move =
        correct->add_subcommand("move", "Images belong to another study: a series that was stored with the wrong one, a study to be split");
    move->add_option("STUDY", moved->study, "Study Instance UID of where they are")->required();
    move->add_option("--series", moved->series, "Only this series");
    move->add_option("--instance", moved->instance, "Only this image (SOP Instance UID)");
    move->add_option("--to", moved->to, "Study Instance UID of where they belong; default: a new study of the same patient");
    move->add_option("--text", moved->text, kTextHelp)->required();
    move->footer(
        "Copies that name the other study, and its patient, are stored there under new UIDs; then the originals are taken out of this "
        "one,\n"
        "where they stay as what is removed stays. Taken back by: fiducial remove (there) and fiducial put-back (here).\nExample:\n  "
        "fiducial correct move --site clinic 1.2.840.1 --series 1.2.840.1.4 --to 1.2.840.2 --text 'the second exam of the day'\n" +
        std::string(kExitCodes));
    move->callback([&globals, &action, moved] {
        action = [&globals, moved]() -> Result<int> {
            auto arguments = moved->arguments();
            arguments["to"] = moved->to;
            FID_TRY(const auto answer, perform(globals, "correct move", arguments, [](const json::object&) {}));
            return show_corrected(globals, answer, ("moved to study " + shown::text(answer, "studyInstanceUid")).c_str());
        };
    });

    auto what = std::make_shared<What>();
    auto* undo = correct->add_subcommand("undo", "The study is again the patient's whom its data sets name");
    undo->add_option("STUDY", what->study, "Study Instance UID")->required();
    undo->add_option("--text", what->text, kTextHelp)->required();
    undo->footer("Example:\n  fiducial correct undo --site clinic 1.2.840.1 --text 'the first entry was right'\n" +
                 std::string(kExitCodes));
    undo->callback([&globals, &action, what] {
        action = [&globals, what]() -> Result<int> {
            FID_TRY(const auto answer, perform(globals, "correct undo", what->arguments(), [](const json::object&) {}));
            return show_corrected(globals, answer, "taken back");
        };
    });

    auto shown_study = std::make_shared<std::string>();
    auto out = std::make_shared<std::string>();
    auto* show = correct->add_subcommand("show", "The correction in force: who, when, why, what; the evidence names its SHA-256");
    show->add_option("STUDY", *shown_study, "Study Instance UID")->required();
    show->add_option("--out", *out, "A file for the signed document itself");
    show->footer("It names both patients. Example:\n  fiducial correct show --site clinic 1.2.840.1 --out study.overlay");
    show->callback([&globals, &action, shown_study, out] {
        action = [&globals, shown_study, out]() -> Result<int> {
            FID_TRY(const auto answer, perform(globals, "correct show", json::object{{"study", *shown_study}}, [](const json::object&) {}));
            if (!out->empty()) {
                FID_TRY(const auto document, from_hex(shown::text(answer, "document")));
                FID_CHECK(write_file_atomically(*out, document));
            }
            if (globals.json) {
                print_json(answer);
                return 0;
            }
            const auto id_of = [&](const char* key) { return shown::text(answer.at(key).get_object(), "patientId"); };
            std::printf("%s by %s: %s\n  data sets name %s, the study is %s's\n  sha256 %s\n", shown::text(answer, "at").c_str(),
                        shown::text(answer, "person").c_str(), shown::text(answer, "text").c_str(), id_of("patientInDataSets").c_str(),
                        id_of("patient").c_str(), shown::text(answer, "sha256").c_str());
            return 0;
        };
    });

    auto one = std::make_shared<Patient>();
    auto* merge = correct->add_subcommand("merge", "Two patients are one person: all studies of the one become the other's");
    merge->add_option("FROM", one->from, "Patient ID that goes")->required();
    merge->add_option("--from-issuer", one->from_issuer, "Its issuer; needed where several patients have that ID");
    add_patient_options(*merge, *one, "--into");
    merge->footer(
        "Each study is corrected for itself; interrupted, it is done again and goes on.\nExample:\n  fiducial correct merge --site "
        "clinic TMP-17 --into 4711 --text 'identified by the ward'\n" +
        std::string(kExitCodes));
    merge->callback([&globals, &action, one, merge] {
        action = [&globals, one, merge]() -> Result<int> {
            FID_TRY(const auto answer, perform(globals, "correct merge", arguments_of(*merge, *one), [](const json::object&) {}));
            if (globals.json) print_json(answer);
            for (const auto& item : answer.at("studies").get_array()) {
                if (globals.json) break;
                show_corrected(globals, item.get_object(), shown::text(item.get_object(), "studyInstanceUid").c_str());
            }
            return answer.at("interrupted").get_bool() ? 8 : 0;
        };
    });
}

void add_hold(CLI::App& cli, Globals& globals, Action& action) {
    auto* hold = cli.add_subcommand("hold", "Legal holds: while one stands, nothing is taken out of the study");
    hold->require_subcommand(1);
    const auto add = [&](const char* name, const char* description, const char* operation, const char* done) {
        auto what = std::make_shared<What>();
        auto* command = hold->add_subcommand(name, description);
        command->add_option("STUDY", what->study, "Study Instance UID")->required();
        command->add_option("--text", what->text, kTextHelp)->required();
        command->callback([&globals, &action, what, operation, done] {
            action = [&globals, what, operation, done]() -> Result<int> {
                FID_TRY(const auto answer, perform(globals, operation, what->arguments(), [](const json::object&) {}));
                if (globals.json)
                    print_json(answer);
                else
                    std::printf("%s: %s\n", what->study.c_str(), done);
                return 0;
            };
        });
    };
    add("set", "Put a study under a hold", "hold set", "nothing is taken out of it until the hold is lifted");
    add("lift", "Lift the holds of a study", "hold lift", "under no hold any more");
    auto* list = hold->add_subcommand("list", "Holds in force, with the reason");
    list->callback([&globals, &action] {
        action = [&globals]() -> Result<int> {
            FID_TRY(const auto answer, perform(globals, "hold list", {}, [](const json::object&) {}));
            if (globals.json) {
                print_json(answer);
                return 0;
            }
            if (answer.at("holds").get_array().empty()) std::printf("no study is under a hold\n");
            for (const auto& item : answer.at("holds").get_array()) {
                const auto& one = item.get_object();
                std::printf("%s  since %s\n  %s\n", shown::text(one, "studyInstanceUid").c_str(), shown::text(one, "since").c_str(),
                            shown::text(one, "text").c_str());
            }
            return 0;
        };
    });
}

}  // namespace

void add_correction_commands(CLI::App& cli, Globals& globals, Action& action) {
    add_remove(cli, globals, action);
    add_put_back(cli, globals, action);
    add_correct(cli, globals, action);
    add_hold(cli, globals, action);
}

}  // namespace fiducial::app
