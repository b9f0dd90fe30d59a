#include <CLI/CLI.hpp>
#include <boost/json.hpp>
#include <cstdio>

#include "app/commands.hpp"
#include "app/shown.hpp"

namespace fiducial::app {
namespace {

namespace json = boost::json;

void add_delivery_list(CLI::App& delivery, Globals& globals, Action& action) {
    auto after = std::make_shared<std::int64_t>(0);
    auto* command = delivery.add_subcommand("list", "List what waits to be brought to peers, or was given up");
    command->add_option("--after", *after, "Those after this id; 1,000 are listed at once");
    command->footer(
        "Objects that rules forward ([dimse] forward), notices of what is here ([dimse] notify), results of storage commitment, and "
        "studies to\n"
        "be fetched from a peer that announced them. Those that failed wait for you.");
    command->callback([&globals, &action, after] {
        action = [&globals, after]() -> Result<int> {
            const json::object arguments{{"after", *after}};
            FID_TRY(const auto answer,
                    perform(
                        globals, "delivery list", arguments, [](const json::object&) {}, archive::Service::Ledger::none));
            if (globals.json) {
                print_json(answer);
                return 0;
            }
            for (const auto& item : answer.at("deliveries").get_array()) {
                const auto& one = item.get_object();
                std::string subject;
                for (const auto* name : {"sopInstanceUid", "transactionUid", "studyInstanceUid"}) {
                    if (subject.empty()) subject = shown::text(one, name);
                }
                std::printf("%8lld %s %-12s %-7s %s %s%s\n", static_cast<long long>(one.at("id").as_int64()),
                            shown::padded(shown::text(one, "peer"), 16).c_str(), shown::text(one, "kind").c_str(),
                            shown::text(one, "state").c_str(), shown::text(one, "since").c_str(), subject.c_str(),
                            one.contains("problem") ? (": " + shown::text(one, "problem")).c_str() : "");
            }
            if (answer.at("more").as_bool()) std::printf("There are more: --after\n");
            return 0;
        };
    });
}

/// retry and discard: the same words say which.
void add_change(CLI::App& delivery, Globals& globals, Action& action, const std::string& name, const std::string& description,
                const std::string& footer, const std::string& done) {
    struct Options {
        std::vector<std::int64_t> ids;
        std::string peer;
        bool failed = false, all = false;
    };
    auto options = std::make_shared<Options>();
    auto* command = delivery.add_subcommand(name, description);
    command->add_option("ID", options->ids, "As listed");
    command->add_option("--peer", options->peer, "All of this peer, by its AE title");
    command->add_flag("--failed", options->failed, "Only those that were given up");
    command->add_flag("--all", options->all, "All of them");
    command->footer(footer);
    command->callback([&globals, &action, options, name, done] {
        action = [&globals, options, name, done]() -> Result<int> {
            const json::object arguments{
                {"ids", json::value_from(options->ids)}, {"peer", options->peer}, {"failed", options->failed}, {"all", options->all}};
            FID_TRY(const auto answer,
                    perform(
                        globals, "delivery " + name, arguments, [](const json::object&) {}, archive::Service::Ledger::none));
            if (globals.json)
                print_json(answer);
            else
                std::printf("%llu %s\n", static_cast<unsigned long long>(answer.at("deliveries").to_number<std::uint64_t>()), done.c_str());
            return 0;
        };
    });
}

}  // namespace

void add_delivery_commands(CLI::App& cli, Globals& globals, Action& action) {
    auto* delivery = cli.add_subcommand(
        "delivery", "What waits for peers: forwarded objects, notices, results of storage commitment, studies to be fetched");
    delivery->require_subcommand(1);
    add_delivery_list(*delivery, globals, action);
    add_change(*delivery, globals, action, "retry", "Try again now",
               "Also what was given up: it has all its tries again.\nExample:\n  fiducial delivery retry --site clinic --peer WS3",
               "are tried again");
    add_change(*delivery, globals, action, "discard", "Bring them no more",
               "What is stored stays stored. A peer whose storage commitment is discarded is told nothing.\nExample:\n  fiducial delivery "
               "discard --site clinic --failed",
               "are discarded");
}

}  // namespace fiducial::app
