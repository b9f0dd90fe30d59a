#include "app/completion.hpp"

#include <CLI/CLI.hpp>

namespace fiducial::app {
namespace {

std::string words_of(const CLI::App& app) {
    std::string words;
    for (const auto* sub : app.get_subcommands([](const CLI::App*) { return true; })) words += sub->get_name() + " ";
    for (const auto* option : app.get_options()) {
        if (!option->get_lnames().empty()) words += "--" + option->get_lnames().front() + " ";
    }
    return words;
}

void add_cases(const CLI::App& app, const std::string& path, std::string& cases) {
    for (const auto* sub : app.get_subcommands([](const CLI::App*) { return true; })) {
        const auto name = path.empty() ? sub->get_name() : path + " " + sub->get_name();
        cases += "    \"" + name + "\") words=\"" + words_of(*sub) + "--site --passphrase-file --json --help\" ;;\n";
        add_cases(*sub, name, cases);
    }
}

}  // namespace

std::string completion_script(const CLI::App& cli, std::string_view shell) {
    std::string cases;
    add_cases(cli, "", cases);
    std::string script;
    if (shell == "zsh") script += "autoload -U +X bashcompinit && bashcompinit\n";
    script +=
        "_fiducial() {\n"
        "  local current=\"${COMP_WORDS[COMP_CWORD]}\" path=\"\" words=\"\" word i\n"
        "  for ((i = 1; i < COMP_CWORD; i++)); do\n"
        "    word=\"${COMP_WORDS[i]}\"\n"
        "    [[ $word == -* || ${COMP_WORDS[i-1]} == --site || ${COMP_WORDS[i-1]} == --passphrase-file ]] && continue\n"
        "    case \"${path:+$path }$word\" in\n";
    std::string names;
    for (std::size_t at = 0; (at = cases.find("    \"", at)) != std::string::npos;) {
        const auto end = cases.find("\")", at);
        names += (names.empty() ? "" : "|") + cases.substr(at + 4, end - at - 3);
        at = end;
    }
    script += "      " + names + ") path=\"${path:+$path }$word\" ;;\n    esac\n  done\n  case \"$path\" in\n" + cases;
    script += "    *) words=\"" + words_of(cli) + "\" ;;\n  esac\n";
    script +=
        "  COMPREPLY=($(compgen -W \"$words\" -- \"$current\"))\n  [ ${#COMPREPLY[@]} -eq 0 ] && COMPREPLY=($(compgen -f -- "
        "\"$current\"))\n}\n";
    script += "complete -o filenames -F _fiducial fiducial\n";
    return script;
}

}  // namespace fiducial::app
