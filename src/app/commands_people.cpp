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
    command->add_option("--role", options->roles, "doctor, technologist, desk, privacy-officer, auditor, security-officer, researcher, administrator, patient; several joined by commas")->required();
    command->footer("Example:\n  fiducial person add --site clinic ada --role doctor");
    command->callback([&globals, &action, options] {
        action = [&globals, options]() -> Result<int> {
            const json::object arguments{{"name", options->name}, {"roles", options->roles}};
            FID_TRY(const auto answer, perform(globals, "person add", arguments, [](const json::object&) {}, archive::Service::Ledger::required));
            if (globals.json) print_json(answer);
            else std::printf("%s (%s) is registered as %s\n", shown::text(answer, "name").c_str(), shown::text(answer, "roles").c_str(), shown::text(answer, "id").c_str());
            if (!globals.json && !answer.at("usable").as_bool()) std::printf("The registration is not settled on the ledger yet; it counts from then on.\n");
            return 0;
        };
    });
}

void add_person_list(CLI::App& person, Globals& globals, Action& action) {
    auto* command = person.add_subcommand("list", "List the people of this site");
    command->callback([&globals, &action] {
        action = [&globals]() -> Result<int> {
            FID_TRY(const auto answer, perform(globals, "person list", {}, [](const json::object&) {}, archive::Service::Ledger::none));
            if (globals.json) {
                print_json(answer);
                return 0;
            }
            for (const auto& item : answer.at("people").get_array()) {
                std::printf("%s %-28s %s\n", shown::padded(shown::text(item.get_object(), "name"), 20).c_str(), shown::text(item.get_object(), "roles").c_str(), shown::text(item.get_object(), "id").c_str());
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
    command->footer("Example:\n  TOKEN=$(fiducial token --site clinic --person ada)\n  curl -H \"Authorization: Bearer $TOKEN\" http://127.0.0.1:8043/studies/1.2.840.1 -o study.multipart");
    command->callback([&globals, &action, options] {
        action = [&globals, options]() -> Result<int> {
            const json::object arguments{{"person", options->person}, {"days", options->days}, {"note", options->note}};
            FID_TRY(const auto answer, perform(globals, options->revoke ? "token revoke" : "token", arguments, [](const json::object&) {}, archive::Service::Ledger::none));
            if (globals.json) print_json(answer);
            else if (options->revoke) std::printf("%s taken back\n", shown::counted(shown::number(answer, "revoked"), "token", "tokens").c_str());
            else std::printf("%s\n", shown::text(answer, "token").c_str());
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
    add_token(cli, globals, action);
}

}  // namespace fiducial::app
