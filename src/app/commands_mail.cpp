#include <CLI/CLI.hpp>
#include <boost/json.hpp>
#include <cstdio>

#include "app/commands.hpp"
#include "app/shown.hpp"

namespace fiducial::app {
namespace {

namespace json = boost::json;

void add_mail_test(CLI::App& mail, Globals& globals, Action& action) {
    auto to = std::make_shared<std::string>();
    auto* command = mail.add_subcommand("test", "Send a mail that only tries the way");
    command->add_option("ADDRESS", *to, "Where it goes")->required();
    command->footer(
        "Says what is wrong with [mail] in the settings, or with the mail server.\nExample:\n  fiducial mail test ada@example.org");
    command->callback([&globals, &action, to] {
        action = [&globals, to]() -> Result<int> {
            const json::object arguments{{"to", *to}};
            FID_TRY(const auto answer, perform(
                                           globals, "mail test", arguments, [](const json::object&) {}, archive::Service::Ledger::none));
            if (globals.json)
                print_json(answer);
            else
                std::printf("The mail server took it for %s: %s\n", shown::text(answer, "to").c_str(),
                            shown::text(answer, "server").c_str());
            return 0;
        };
    });
}

void add_mail_list(CLI::App& mail, Globals& globals, Action& action) {
    auto* command = mail.add_subcommand("list", "List mails that wait for the mail server, were given up, or were sent in the last week");
    command->callback([&globals, &action] {
        action = [&globals]() -> Result<int> {
            FID_TRY(const auto answer, perform(
                                           globals, "mail list", {}, [](const json::object&) {}, archive::Service::Ledger::none));
            if (globals.json) {
                print_json(answer);
                return 0;
            }
            if (!answer.at("on").as_bool()) std::printf("No mail server is set: [mail] in the settings\n");
            if (answer.contains("problem")) std::printf("They wait: %s\n", shown::text(answer, "problem").c_str());
            for (const auto& item : answer.at("mails").get_array()) {
                const auto& one = item.get_object();
                std::printf("%8lld %-7s %-13s %s %s%s\n", static_cast<long long>(one.at("id").as_int64()),
                            shown::text(one, "state").c_str(), shown::text(one, "kind").c_str(), shown::text(one, "since").c_str(),
                            shown::text(one, "to").c_str(), one.contains("problem") ? (": " + shown::text(one, "problem")).c_str() : "");
            }
            return 0;
        };
    });
}

/// retry and discard: the same words say which.
void add_change(CLI::App& mail, Globals& globals, Action& action, const std::string& name, const std::string& description,
                const std::string& done) {
    struct Options {
        std::vector<std::int64_t> ids;
        bool failed = false, all = false;
    };
    auto options = std::make_shared<Options>();
    auto* command = mail.add_subcommand(name, description);
    command->add_option("ID", options->ids, "As listed");
    command->add_flag("--failed", options->failed, "Only those that were given up");
    command->add_flag("--all", options->all, "All that were not sent");
    command->callback([&globals, &action, options, name, done] {
        action = [&globals, options, name, done]() -> Result<int> {
            const json::object arguments{{"ids", json::value_from(options->ids)}, {"failed", options->failed}, {"all", options->all}};
            FID_TRY(const auto answer, perform(
                                           globals, "mail " + name, arguments, [](const json::object&) {}, archive::Service::Ledger::none));
            if (globals.json)
                print_json(answer);
            else
                std::printf("%llu %s\n", static_cast<unsigned long long>(answer.at("mails").to_number<std::uint64_t>()), done.c_str());
            return 0;
        };
    });
}

}  // namespace

void add_mail_commands(CLI::App& cli, Globals& globals, Action& action) {
    auto* mail = cli.add_subcommand("mail", "E-mails to people: try the way, see what waits");
    mail->require_subcommand(1);
    add_mail_test(*mail, globals, action);
    add_mail_list(*mail, globals, action);
    add_change(*mail, globals, action, "retry", "Try mails again now", "are tried again");
    add_change(*mail, globals, action, "discard", "Give mails up, and forget them", "are forgotten");
}

}  // namespace fiducial::app
