#include <CLI/CLI.hpp>
#include <boost/json.hpp>
#include <cstdio>

#include "app/commands.hpp"
#include "app/demo.hpp"

namespace fiducial::app {

namespace {

void add_samples(CLI::App& cli, Globals& globals, Action& action) {
    auto folder = std::make_shared<std::string>();
    auto* command = cli.add_subcommand("samples", "Draw the sample exams: twelve made-up people, chest X-rays, a CT, an ultrasound");
    command->add_option("--to", *folder, "Folder to write into")->required();
    command->callback([&globals, &action, folder] {
        action = [&globals, folder]() -> Result<int> {
            FID_TRY(const auto drawn, draw_samples(*folder));
            if (globals.json)
                print_json({{"files", drawn.files}, {"bytes", drawn.bytes}});
            else
                std::printf("%zu files in %s\n", drawn.files, folder->c_str());
            return 0;
        };
    });
}

}  // namespace

void add_demo_command(CLI::App& cli, Globals& globals, Action& action) {
    add_samples(cli, globals, action);
    auto serve_it = std::make_shared<bool>(false);
    auto* command =
        cli.add_subcommand("demo", "See the main job done on sample exams: in, encrypted, anchored, out, verified, damage caught");
    command->add_flag("--serve", *serve_it, "Leave the archive running afterwards and print where to go");
    command->footer(
        "Makes a demo site in the folder given by --site (default: fiducial-demo); can be run again without harm.\nA demo site's "
        "passphrase lies beside it: for trying out only.");
    command->callback([&globals, &action, serve_it] {
        action = [&globals, serve_it]() -> Result<int> {
            if (globals.site == std::filesystem::path("fiducial-site")) globals.site = "fiducial-demo";
            return run_demo(globals, *serve_it);
        };
    });
}

}  // namespace fiducial::app
