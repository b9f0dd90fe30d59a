#include <CLI/CLI.hpp>
#include <boost/json.hpp>
#include <cstdio>
#include <functional>

#include "app/commands.hpp"
#include "app/shown.hpp"
#include "archive/consents.hpp"

namespace fiducial::app {
namespace {

namespace json = boost::json;

constexpr const char* kWhoHelp = "A study (StudyInstanceUID), or a patient (PatientID) with all studies";

void add_break_glass(CLI::App& cli, Globals& globals, Action& action) {
    struct Options {
        std::string who, person, reason, text;
    };
    auto options = std::make_shared<Options>();
    auto* command = cli.add_subcommand("break-glass", "Open a patient's studies to a doctor in an emergency, for an hour");
    command->add_option("STUDY", options->who, kWhoHelp)->required();
    command->add_option("--as", options->person, "The doctor, by log-in name")->required();
    std::string reasons;
    for (const auto reason : archive::emergency_reasons()) reasons += (reasons.empty() ? "" : ", ") + std::string(reason);
    command->add_option("--reason", options->reason, reasons)->required();
    command->add_option("--text", options->text, "Why, in words, without a patient's name")->required();
    command->footer(
        "It counts at once, whatever the patient restricted and also with the ledger's node away: it is written down here first and sent "
        "to\nthe ledger, where the patient sees it. The doctor then asks with purpose emergency (HTTP: the header Fiducial-Purpose: "
        "emergency).\nDoctors break the glass by themselves with POST /studies/{study}/emergency.\nExample:\n  fiducial break-glass --site "
        "clinic 1.2.840.1 --as ada --reason life-threatening --text 'polytrauma, history unknown'\nExit codes: 0 open; 2 no such reason; 4 "
        "not a doctor, or denied at this site; 5 no such study, patient or person");
    command->callback([&globals, &action, options] {
        action = [&globals, options]() -> Result<int> {
            const json::object arguments{
                {"who", options->who}, {"as", options->person}, {"reason", options->reason}, {"text", options->text}};
            FID_TRY(const auto answer, perform(globals, "break-glass", arguments, [](const json::object&) {}));
            if (globals.json) {
                print_json(answer);
                return 0;
            }
            std::printf("open to %s until %s, with purpose emergency; every look is traced as one\n", options->person.c_str(),
                        shown::text(answer, "until").c_str());
            if (answer.at("nodeAway").as_bool())
                std::printf("The ledger's node is away: it is written down here, and sent when the node is back.\n");
            return 0;
        };
    });
}

// ---- what the institution decides for patients who have no wallet

struct ConsentOptions {
    std::string who, person, role, institution, purpose = "treatment", note, id;
    int days = 30;
    bool all = false;
};

/// Runs the operation, then says what it did.
Action consent_action(Globals& globals, std::shared_ptr<ConsentOptions> options, std::string operation,
                      std::function<json::object(const ConsentOptions&)> arguments,
                      std::function<void(const ConsentOptions&, const json::object&)> say) {
    return [&globals, options, operation = std::move(operation), arguments = std::move(arguments), say = std::move(say)]() -> Result<int> {
        auto asked = arguments(*options);
        asked["who"] = options->who;
        asked["note"] = options->note;
        FID_TRY(const auto answer, perform(globals, operation, asked, [](const json::object&) {}));
        const bool later = answer.at("nodeAway").as_bool();
        if (globals.json) {
            print_json(answer);
        } else {
            say(*options, answer);
            if (later)
                std::printf("The ledger's node is away: it counts here from now on, and is sent when the node is back.\n");
            else if (!answer.at("settled").as_bool())
                std::printf("It is on its way to the ledger, and not settled there yet.\n");
        }
        return later ? 1 : 0;
    };
}

void add_target(CLI::App& command, ConsentOptions& options, const std::string& whom) {
    command.add_option("--person", options.person, whom + " person, by log-in name, or by id in Members (64 hex digits)");
    command.add_option("--role", options.role, whom + " who has a role at this institution, or at the one named");
    command.add_option("--institution", options.institution, "An institution's id (64 hex digits); with --role also: any");
}
void add_who(CLI::App& command, ConsentOptions& options) {
    command.add_option("STUDY", options.who, kWhoHelp)->required();
}
void add_note(CLI::App& command, ConsentOptions& options) {
    command.add_option("--note", options.note, "What it rests on, without a patient's name: \"form of 3 March\"");
}
json::object target_arguments(const ConsentOptions& options) {
    return {{"person", options.person}, {"role", options.role}, {"institution", options.institution}};
}

void add_consent_show(CLI::App& consent, Globals& globals, Action& action) {
    auto options = std::make_shared<ConsentOptions>();
    auto* command = consent.add_subcommand("show", "Who decides for a patient, and what was decided");
    add_who(*command, *options);
    command->footer("Example:\n  fiducial consent show --site clinic PAT001\nExit codes: 0 shown; 5 no such study or patient");
    command->callback([&globals, &action, options] {
        action = [&globals, options]() -> Result<int> {
            FID_TRY(const auto answer, perform(globals, "consent show", json::object{{"who", options->who}}, [](const json::object&) {}));
            if (globals.json) {
                print_json(answer);
                return 0;
            }
            std::printf("decided by %s\n", shown::text(answer, "decides").c_str());
            const auto list = [&](const char* key, const char* title, auto&& line) {
                const auto& items = answer.at(key).get_array();
                if (!items.empty()) std::printf("%s\n", title);
                for (const auto& item : items) std::printf("  %s\n", line(item.get_object()).c_str());
            };
            const auto part = [](const json::object& item, const char* key) { return shown::text(item, key); };
            list("restrictions", "restricted:", [&](const json::object& one) {
                return part(one, "id").substr(0, 16) + "  for " + part(one, "whom") + ", " + part(one, "scope");
            });
            list("grants", "granted:", [&](const json::object& one) {
                return part(one, "id").substr(0, 16) + "  to " + part(one, "to") + ", " + part(one, "scope") + ", " + part(one, "purpose") +
                       ", until " + part(one, "until") + "  " + part(one, "state");
            });
            list("emergencies", "opened in an emergency:", [&](const json::object& one) {
                return "to " + part(one, "person") + " until " + part(one, "until");
            });
            list("waiting", "not settled on the ledger yet:", [&](const json::object& one) {
                const auto problem = part(one, "problem");
                return part(one, "what") + "  " + part(one, "state") + (problem.empty() ? "" : ": " + problem);
            });
            return 0;
        };
    });
}

void add_consent_grant(CLI::App& consent, Globals& globals, Action& action) {
    auto options = std::make_shared<ConsentOptions>();
    auto* command = consent.add_subcommand("grant", "Let somebody see a patient's studies, or one");
    add_who(*command, *options);
    add_target(*command, *options, "A");
    command->add_option("--purpose", options->purpose, "treatment, research, personal")->capture_default_str();
    command->add_option("--days", options->days, "In force so long")->capture_default_str();
    add_note(*command, *options);
    command->footer(
        "It counts once it is settled on the ledger, and is refused while the ledger's node is away.\nExample:\n  fiducial consent grant "
        "--site "
        "clinic 1.2.840.1 --person bob --purpose personal --days 90 --note 'asked for at the desk'\nExit codes: 0 granted; 4 the patient "
        "decides; 5 no such study, patient or person; 6 the ledger refused it; 7 its node is away");
    command->callback([&globals, &action, options] {
        action = consent_action(
            globals, options, "consent grant",
            [](const ConsentOptions& asked) {
                auto arguments = target_arguments(asked);
                arguments["purpose"] = asked.purpose;
                arguments["days"] = asked.days;
                return arguments;
            },
            [](const ConsentOptions&, const json::object& answer) {
                std::printf("granted until %s; to take it back: --grant %s\n", shown::text(answer, "until").c_str(),
                            shown::text(answer, "id").substr(0, 16).c_str());
            });
    });
}

void add_consent_revoke(CLI::App& consent, Globals& globals, Action& action) {
    auto options = std::make_shared<ConsentOptions>();
    auto* command = consent.add_subcommand("revoke", "Take back a grant, or all of a patient's");
    add_who(*command, *options);
    command->add_option("--grant", options->id, "As consent show tells it; its first digits are enough");
    command->add_flag("--all", options->all, "All of them");
    add_note(*command, *options);
    command->footer(
        "It counts here from the moment the command returns, also with the ledger's node away.\nExample:\n  fiducial consent revoke --site "
        "clinic PAT001 --all\nExit codes: 0 taken back; 1 here, and sent to the ledger later; 4 the patient decides; 5 no such grant; 6 "
        "the "
        "ledger refused it");
    command->callback([&globals, &action, options] {
        action = consent_action(
            globals, options, "consent revoke",
            [](const ConsentOptions& asked) {
                return json::object{{"grant", asked.id}, {"all", asked.all}};
            },
            [](const ConsentOptions& asked, const json::object&) {
                std::printf("%s\n", asked.all ? "all grants are taken back" : "taken back");
            });
    });
}

void add_consent_restrict(CLI::App& consent, Globals& globals, Action& action) {
    auto options = std::make_shared<ConsentOptions>();
    auto* command = consent.add_subcommand("restrict", "Close a patient's studies, or one, to everybody or somebody");
    add_who(*command, *options);
    add_target(*command, *options, "Only a");
    add_note(*command, *options);
    command->footer(
        "It stands above grants and the right of the hospital's own staff; a doctor can break the glass, and the patient sees it. It "
        "counts "
        "here\nfrom the moment the command returns, also with the ledger's node away.\nExample:\n  fiducial consent restrict --site clinic "
        "PAT001 --person bob --note 'is a neighbour'\nExit codes: 0 restricted; 1 here, and sent to the ledger later; 4 the patient "
        "decides; "
        "5 no such study, patient or person;\n6 the ledger refused it");
    command->callback([&globals, &action, options] {
        action =
            consent_action(globals, options, "consent restrict", target_arguments, [](const ConsentOptions&, const json::object& answer) {
                std::printf("restricted from now on; to lift it: --restriction %s\n", shown::text(answer, "id").substr(0, 16).c_str());
            });
    });
}

void add_consent_lift(CLI::App& consent, Globals& globals, Action& action) {
    auto options = std::make_shared<ConsentOptions>();
    auto* command = consent.add_subcommand("lift", "Lift a restriction");
    add_who(*command, *options);
    command->add_option("--restriction", options->id, "As consent show tells it; its first digits are enough")->required();
    add_note(*command, *options);
    command->footer(
        "It counts once it is settled on the ledger, and is refused while the ledger's node is away.\nExample:\n  fiducial consent lift "
        "--site "
        "clinic PAT001 --restriction 5c0a31\nExit codes: 0 lifted; 4 the patient decides; 5 no such restriction; 6 the ledger refused it; "
        "7 "
        "its node is away");
    command->callback([&globals, &action, options] {
        action = consent_action(
            globals, options, "consent lift",
            [](const ConsentOptions& asked) {
                return json::object{{"restriction", asked.id}};
            },
            [](const ConsentOptions&, const json::object&) { std::printf("lifted\n"); });
    });
}

void add_emergencies(CLI::App& cli, Globals& globals, Action& action) {
    auto* emergency = cli.add_subcommand("emergency", "Emergencies in which the glass was broken");
    emergency->require_subcommand(1);
    auto* list = emergency->add_subcommand("list", "List them for the privacy officer: those that the ledger does not have yet first");
    list->footer(
        "Example:\n  fiducial emergency list --site clinic\nExit codes: 0 listed; 7 the ledger's node is away for more than a day");
    list->callback([&globals, &action] {
        action = [&globals]() -> Result<int> {
            FID_TRY(const auto answer, perform(globals, "emergency list", {}, [](const json::object&) {}));
            if (globals.json) {
                print_json(answer);
                return 0;
            }
            const auto& emergencies = answer.at("emergencies").get_array();
            if (emergencies.empty()) std::printf("nobody has broken the glass\n");
            for (const auto& item : emergencies) {
                const auto& one = item.get_object();
                const auto problem = shown::text(one, "problem");
                const auto state =
                    one.at("anchored").as_bool() ? std::string("on the ledger") : "WAITS (" + shown::text(one, "state") + ")";
                std::printf("%s  %s  %s  %s\n    %s: %s\n", shown::text(one, "from").c_str(),
                            shown::padded(shown::text(one, "person"), 20).c_str(), shown::padded(state, 18).c_str(),
                            (shown::text(one, "patientId") + ", study " + shown::text(one, "studyInstanceUid")).c_str(),
                            shown::text(one, "reason").c_str(), shown::text(one, "text").c_str());
                if (!problem.empty()) std::printf("    the ledger: %s\n", problem.c_str());
            }
            return 0;
        };
    });
}

}  // namespace

void add_consent_commands(CLI::App& cli, Globals& globals, Action& action) {
    auto* consent = cli.add_subcommand("consent", "What a patient without a wallet decided, written down by the institution");
    consent->require_subcommand(1);
    add_consent_show(*consent, globals, action);
    add_consent_grant(*consent, globals, action);
    add_consent_revoke(*consent, globals, action);
    add_consent_restrict(*consent, globals, action);
    add_consent_lift(*consent, globals, action);
    add_break_glass(cli, globals, action);
    add_emergencies(cli, globals, action);
}

}  // namespace fiducial::app
