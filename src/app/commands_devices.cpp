#include <CLI/CLI.hpp>
#include <boost/json.hpp>
#include <cstdio>

#include "app/commands.hpp"
#include "app/shown.hpp"

namespace fiducial::app {
namespace {

namespace json = boost::json;

void add_device_add(CLI::App& device, Globals& globals, Action& action) {
    struct Options {
        std::string name, may = "store";
    };
    auto options = std::make_shared<Options>();
    auto* command = device.add_subcommand("add", "Register a device, here and on the ledger");
    command->add_option("NAME", options->name, "Unique at the site; letters, digits, dots, dashes, underscores")->required();
    command->add_option("--may", options->may, "store, query, retrieve, correct (by rejection notes); several joined by commas")
        ->capture_default_str();
    command->footer(
        "A peer of [dimse] peers acts as the device that its line names (device=NAME). Who queries or retrieves needs it twice:\nhere, "
        "which "
        "the contracts ask for, and in its line (query, retrieve).\nExample:\n  fiducial device add --site clinic ct1\n  fiducial device "
        "add --site clinic workstation3 --may store,query,retrieve");
    command->callback([&globals, &action, options] {
        action = [&globals, options]() -> Result<int> {
            const json::object arguments{{"name", options->name}, {"may", options->may}};
            FID_TRY(const auto answer,
                    perform(
                        globals, "device add", arguments, [](const json::object&) {}, archive::Service::Ledger::required));
            if (globals.json) {
                print_json(answer);
                return 0;
            }
            std::printf("%s (%s) is registered as %s\n", shown::text(answer, "name").c_str(), shown::text(answer, "may").c_str(),
                        shown::text(answer, "id").c_str());
            if (!answer.at("usable").as_bool()) std::printf("The registration is not settled on the ledger yet; it counts from then on.\n");
            return 0;
        };
    });
}

void add_device_list(CLI::App& device, Globals& globals, Action& action) {
    auto* command = device.add_subcommand("list", "List the devices of this site");
    command->callback([&globals, &action] {
        action = [&globals]() -> Result<int> {
            FID_TRY(const auto answer, perform(
                                           globals, "device list", {}, [](const json::object&) {}, archive::Service::Ledger::none));
            if (globals.json) {
                print_json(answer);
                return 0;
            }
            for (const auto& item : answer.at("devices").get_array()) {
                std::printf("%s %-28s %s\n", shown::padded(shown::text(item.get_object(), "name"), 20).c_str(),
                            shown::text(item.get_object(), "may").c_str(), shown::text(item.get_object(), "id").c_str());
            }
            return 0;
        };
    });
}

void add_device_remove(CLI::App& device, Globals& globals, Action& action) {
    auto name = std::make_shared<std::string>();
    auto* command = device.add_subcommand("remove", "Take all of a device's rights away, at once and for ever");
    command->add_option("NAME", *name, "As it was added")->required();
    command->footer(
        "It counts here from the moment the command returns, also with the ledger's node away; run it again then, so that the "
        "ledger\nlearns of it. A device added under the same name later is another one. What this one did stays in the trace.");
    command->callback([&globals, &action, name] {
        action = [&globals, name]() -> Result<int> {
            const json::object arguments{{"name", *name}};
            FID_TRY(const auto answer,
                    perform(
                        globals, "device remove", arguments, [](const json::object&) {}, archive::Service::Ledger::optional));
            const bool on_ledger = answer.at("onLedger").as_bool();
            if (globals.json)
                print_json(answer);
            else
                std::printf("%s may do nothing any more\n", name->c_str());
            if (!globals.json && !on_ledger)
                std::printf("The ledger does not know of it yet: its node is away. Run the command again when it is back.\n");
            return on_ledger ? 0 : 7;
        };
    });
}

}  // namespace

void add_device_commands(CLI::App& cli, Globals& globals, Action& action) {
    auto* device = cli.add_subcommand("device", "Modalities, workstations and other archives of this site");
    device->require_subcommand(1);
    add_device_add(*device, globals, action);
    add_device_list(*device, globals, action);
    add_device_remove(*device, globals, action);
}

}  // namespace fiducial::app
