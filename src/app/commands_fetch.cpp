#include <CLI/CLI.hpp>
#include <boost/json.hpp>
#include <cstdio>

#include "app/commands.hpp"
#include "app/serve.hpp"
#include "app/shown.hpp"
#include "app/terminal.hpp"

namespace fiducial::app {
namespace {

namespace json = boost::json;

struct FetchOptions {
    std::string peer, study, patient;
    bool move = false;
};

Result<int> fetch(const Globals& globals, const FetchOptions& options) {
    const json::object arguments{{"peer", options.peer}, {"study", options.study}, {"patient", options.patient}, {"move", options.move}};
    ProgressLine line(!globals.json && !globals.quiet);
    const auto progress = [&](const json::object& event) {
        const auto count = [&](const char* name) { return event.at(name).to_number<std::uint64_t>(); };
        const auto total = count("completed") + count("failed") + count("remaining");
        line.show(count("completed"), total, count("completed"), total, "instances");
    };
    auto answered = perform(globals, kFetchOperation, arguments, progress, archive::Service::Ledger::none);
    line.clear();
    if (!answered && answered.error().code == ErrorCode::not_found && answered.error().message.find("operation") != std::string::npos)
        return fail(ErrorCode::unavailable, "studies are fetched by the running archive: fiducial serve, with [dimse] listen");
    FID_TRY(const auto answer, std::move(answered));
    bool all = true;
    for (const auto& item : answer.at("studies").get_array()) {
        const auto& study = item.get_object();
        const auto failed = study.at("failed").to_number<std::uint64_t>();
        all = all && failed == 0 && !study.contains("problem");
        if (!globals.json)
            std::printf("%s  %llu came%s%s\n", shown::text(study, "studyInstanceUid").c_str(),
                        static_cast<unsigned long long>(study.at("completed").to_number<std::uint64_t>()),
                        failed > 0 ? (", " + std::to_string(failed) + " did not").c_str() : "",
                        study.contains("problem") ? (": " + shown::text(study, "problem")).c_str() : "");
    }
    if (globals.json) print_json(answer);
    return all ? 0 : 7;
}

}  // namespace

void add_fetch_command(CLI::App& cli, Globals& globals, Action& action) {
    auto options = std::make_shared<FetchOptions>();
    auto* command = cli.add_subcommand("fetch", "Fetch studies from another archive (C-FIND, then C-GET or C-MOVE)");
    command->add_option("PEER", options->peer, "AE title of a line of [dimse] peers with port=")->required();
    auto* study = command->add_option("--study", options->study, "Its Study Instance UID");
    command->add_option("--patient", options->patient, "All studies of a Patient ID")->excludes(study);
    command->add_flag("--by-move", options->move,
                      "By C-MOVE to ourselves, for archives without C-GET; they have to know our AE title and address");
    command->footer(
        "The running archive fetches. What comes is stored like what a peer brings: it has to be let in, and to be allowed to store.\n"
        "Exit codes: 0 all came; 5 the peer has no such study, or shows none to us; 7 some did not come, or the peer is away\n"
        "Example:\n  fiducial fetch --site clinic PACS --patient 4711");
    command->callback([&globals, &action, options] { action = [&globals, options] { return fetch(globals, *options); }; });
}

}  // namespace fiducial::app
