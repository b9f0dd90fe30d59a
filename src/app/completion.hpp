#pragma once
#include <string>
#include <string_view>

namespace CLI {
class App;
}

namespace fiducial::app {

/// A script for bash, or zsh through its bashcompinit, that offers commands, their subcommands and options, else files.
std::string completion_script(const CLI::App& cli, std::string_view shell);

}  // namespace fiducial::app
