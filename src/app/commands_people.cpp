#include <CLI/CLI.hpp>
#include <boost/json.hpp>
#include <cstdio>

#include "app/commands.hpp"
#include "app/shown.hpp"
#include "app/terminal.hpp"

namespace fiducial::app {
namespace {

namespace json = boost::json;

void add_person_add(CLI::App& person, Globals& globals, Action& action) {
    struct Options {
        std::string name, roles;
    };
    auto options = std::make_shared<Options>();
    auto* command = person.add_subcommand("add", "Register a person, here and on the ledger");
    command->add_option("NAME", options->name, "Log-in name, unique at the site")->required();
    command
        ->add_option("--role", options->roles,
                     "doctor, technologist, desk, privacy-officer, auditor, security-officer, researcher, administrator, patient; several "
                     "joined by commas")
        ->required();
    command->footer("Example:\n  fiducial person add --site clinic ada --role doctor");
    command->callback([&globals, &action, options] {
        action = [&globals, options]() -> Result<int> {
            const json::object arguments{{"name", options->name}, {"roles", options->roles}};
            FID_TRY(const auto answer,
                    perform(
                        globals, "person add", arguments, [](const json::object&) {}, archive::Service::Ledger::required));
            if (globals.json)
                print_json(answer);
            else
                std::printf("%s (%s) is registered as %s\n", shown::text(answer, "name").c_str(), shown::text(answer, "roles").c_str(),
                            shown::text(answer, "id").c_str());
            if (!globals.json && !answer.at("usable").as_bool())
                std::printf("The registration is not settled on the ledger yet; it counts from then on.\n");
            return 0;
        };
    });
}

void add_person_list(CLI::App& person, Globals& globals, Action& action) {
    auto* command = person.add_subcommand("list", "List the people of this site");
    command->callback([&globals, &action] {
        action = [&globals]() -> Result<int> {
            FID_TRY(const auto answer, perform(
                                           globals, "person list", {}, [](const json::object&) {}, archive::Service::Ledger::none));
            if (globals.json) {
                print_json(answer);
                return 0;
            }
            for (const auto& item : answer.at("people").get_array()) {
                std::printf("%s %-28s %s\n", shown::padded(shown::text(item.get_object(), "name"), 20).c_str(),
                            shown::text(item.get_object(), "roles").c_str(), shown::text(item.get_object(), "id").c_str());
            }
            for (const auto& item : answer.at("damaged").get_array()) {
                std::fprintf(stderr, "person %s %s: %s; run fsck\n", shown::text(item.get_object(), "name").c_str(),
                             shown::text(item.get_object(), "id").c_str(), shown::text(item.get_object(), "what").c_str());
            }
            return 0;
        };
    });
}

void add_person_activity(CLI::App& person, Globals& globals, Action& action, bool active) {
    auto name = std::make_shared<std::string>();
    auto* command =
        person.add_subcommand(active ? "activate" : "deactivate",
                              active ? "Give a person's rights back" : "Take all of a person's rights and tokens away, at once");
    command->add_option("NAME", *name, "Log-in name")->required();
    if (!active)
        command->footer(
            "It counts here from the moment the command returns, also with the ledger's node away; run it again then, so that the "
            "ledger\nlearns of it. What the person did stays in the trace.");
    command->callback([&globals, &action, name, active] {
        action = [&globals, name, active]() -> Result<int> {
            const json::object arguments{{"name", *name}, {"active", active}};
            FID_TRY(const auto answer,
                    perform(
                        globals, "person activity", arguments, [](const json::object&) {}, archive::Service::Ledger::optional));
            const bool on_ledger = answer.at("onLedger").as_bool();
            if (globals.json)
                print_json(answer);
            else if (active)
                std::printf("%s is active again; tokens must be made anew\n", name->c_str());
            else
                std::printf("%s may do nothing any more; %s taken back\n", name->c_str(),
                            shown::counted(shown::number(answer, "tokensRevoked"), "token", "tokens").c_str());
            if (!globals.json && !on_ledger)
                std::printf("The ledger does not know of it yet: its node is away. Run the command again when it is back.\n");
            return on_ledger ? 0 : 7;
        };
    });
}

void add_person_link(CLI::App& person, Globals& globals, Action& action) {
    auto* command = person.add_subcommand("link", "Print a link that makes an administrator in the browser, once, within a week");
    command->footer("For the first one, when the link that init printed is lost or over, and when no administrator can log in any more.");
    command->callback([&globals, &action] {
        action = [&globals]() -> Result<int> {
            FID_TRY(const auto answer, perform(
                                           globals, "person link", {}, [](const json::object&) {}, archive::Service::Ledger::required));
            if (globals.json)
                print_json(answer);
            else
                std::printf("%s\n", shown::text(answer, "link").c_str());
            return 0;
        };
    });
}

void add_deny(CLI::App& cli, Globals& globals, Action& action) {
    struct Options {
        std::string person, study, reason;
        std::int64_t id = 0;
    };
    auto* deny = cli.add_subcommand("deny", "Deny at this site, at once, whatever the ledger says");
    deny->require_subcommand(1);
    auto options = std::make_shared<Options>();

    auto* add = deny->add_subcommand("add", "Deny a person everything, everybody a study's patient, or a person that patient");
    add->add_option("--person", options->person, "Whom; default: everybody");
    add->add_option("--study", options->study, "A study of the patient; default: all patients");
    add->add_option("--reason", options->reason, "For people, without a patient's name")->required();
    add->footer(
        "A denial stands above grants, restrictions and emergencies, with the ledger's node away too. It is this site's own: "
        "other\nhospitals do not learn of it.\nExample:\n  fiducial deny add --site clinic --person bob --study 1.2.840.1 --reason 'court "
        "order 12/26'");
    add->callback([&globals, &action, options] {
        action = [&globals, options]() -> Result<int> {
            const json::object arguments{{"person", options->person}, {"study", options->study}, {"reason", options->reason}};
            FID_TRY(const auto answer, perform(
                                           globals, "deny add", arguments, [](const json::object&) {}, archive::Service::Ledger::optional));
            if (globals.json)
                print_json(answer);
            else
                std::printf("denied from now on; to take it back: fiducial deny remove %llu\n", shown::count(answer, "id"));
            return 0;
        };
    });
    auto* remove = deny->add_subcommand("remove", "Take a denial back");
    remove->add_option("ID", options->id, "As deny list shows it")->required();
    remove->callback([&globals, &action, options] {
        action = [&globals, options]() -> Result<int> {
            FID_TRY(const auto answer, perform(
                                           globals, "deny remove", json::object{{"id", options->id}}, [](const json::object&) {},
                                           archive::Service::Ledger::optional));
            if (globals.json)
                print_json(answer);
            else
                std::printf("taken back\n");
            return 0;
        };
    });
    auto* list = deny->add_subcommand("list", "List the denials that stand");
    list->callback([&globals, &action] {
        action = [&globals]() -> Result<int> {
            FID_TRY(const auto answer, perform(
                                           globals, "deny list", {}, [](const json::object&) {}, archive::Service::Ledger::none));
            const auto& denials = answer.at("denials").get_array();
            if (globals.json) {
                print_json(answer);
                return 0;
            }
            if (denials.empty()) std::printf("nobody is denied\n");
            for (const auto& item : denials) {
                const auto& denial = item.get_object();
                const auto person = shown::text(denial, "person"), patient = shown::text(denial, "patientKey");
                std::printf("%4llu  %s  %s  %s  %s\n", shown::count(denial, "id"), shown::text(denial, "since").c_str(),
                            shown::padded(person.empty() ? "everybody" : person, 20).c_str(),
                            patient.empty() ? "all patients" : patient.substr(0, 16).c_str(), shown::text(denial, "reason").c_str());
            }
            return 0;
        };
    });
}

void add_token(CLI::App& cli, Globals& globals, Action& action) {
    struct Options {
        std::string person, note;
        int days = 30;
        bool revoke = false;
    };
    auto options = std::make_shared<Options>();
    auto* command = cli.add_subcommand("token", "Make a bearer token for a person; it is shown once");
    command->add_option("--person", options->person, "Whose")->required();
    command->add_option("--days", options->days, "Valid so long; 0: until it is taken back")->capture_default_str();
    command->add_option("--note", options->note, "What it is for");
    command->add_flag("--revoke", options->revoke, "Take all tokens of the person back instead");
    command->footer(
        "Example:\n  TOKEN=$(fiducial token --site clinic --person ada)\n  curl -H \"Authorization: Bearer $TOKEN\" "
        "http://127.0.0.1:8043/studies/1.2.840.1 -o study.multipart");
    command->callback([&globals, &action, options] {
        action = [&globals, options]() -> Result<int> {
            const json::object arguments{{"person", options->person}, {"days", options->days}, {"note", options->note}};
            FID_TRY(const auto answer, perform(
                                           globals, options->revoke ? "token revoke" : "token", arguments, [](const json::object&) {},
                                           archive::Service::Ledger::optional));
            if (globals.json)
                print_json(answer);
            else if (options->revoke)
                std::printf("%s taken back\n", shown::counted(shown::number(answer, "revoked"), "token", "tokens").c_str());
            else
                std::printf("%s\n", shown::text(answer, "token").c_str());
            return 0;
        };
    });
}

}  // namespace

void add_people_commands(CLI::App& cli, Globals& globals, Action& action) {
    auto* person = cli.add_subcommand("person", "People of this site");
    person->require_subcommand(1);
    add_person_add(*person, globals, action);
    add_person_list(*person, globals, action);
    add_person_activity(*person, globals, action, false);
    add_person_activity(*person, globals, action, true);
    add_person_link(*person, globals, action);
    add_deny(cli, globals, action);
    add_token(cli, globals, action);
}

}  // namespace fiducial::app
