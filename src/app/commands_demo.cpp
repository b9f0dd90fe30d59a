#include <CLI/CLI.hpp>
#include <boost/json.hpp>
#include <cstdio>

#include "app/commands.hpp"
#include "app/demo.hpp"

namespace fiducial::app {

void add_demo_command(CLI::App& cli, Globals& globals, Action& action) {
    auto serve_it = std::make_shared<bool>(false);
    auto* command = cli.add_subcommand("demo", "See the main job done on sample exams: in, encrypted, anchored, out, verified, damage caught");
    command->add_flag("--serve", *serve_it, "Leave the archive running afterwards and print where to go");
    command->footer("Makes a demo site in the folder given by --site (default: fiducial-demo); can be run again without harm.\nA demo site's passphrase lies beside it: for trying out only.");
    command->callback([&globals, &action, serve_it] {
        action = [&globals, serve_it]() -> Result<int> {
            if (globals.site == std::filesystem::path("fiducial-site")) globals.site = "fiducial-demo";
            return run_demo(globals, *serve_it);
        };
    });
}

}  // namespace fiducial::app
