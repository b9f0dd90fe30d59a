#include <CLI/CLI.hpp>
#include <algorithm>
#include <boost/json.hpp>
#include <cstdio>
#include <thread>

#include "app/commands.hpp"
#include "app/serve.hpp"
#include "app/shown.hpp"
#include "app/terminal.hpp"
#include "dimse/user.hpp"
#include "gateway/dimse_gateway.hpp"
#include "gateway/peers_json.hpp"
#include "net/runtime.hpp"

namespace fiducial::app {
namespace {

namespace json = boost::json;
using gateway::DimsePeer;

Result<Configuration> configuration_of(const Globals& globals) {
    return Configuration::load(archive::SiteLayout{globals.site}.configuration());
}

Result<std::vector<DimsePeer>> peers_of(const Configuration& configuration) {
    std::vector<DimsePeer> peers;
    for (const auto& text : configuration.dimse_peers) {
        FID_TRY(auto peer, gateway::parse_dimse_peer(text));
        peers.push_back(std::move(peer));
    }
    return peers;
}

/// Asks the archive that runs on the site. Errors: not_found where none does; what the operation says
Result<json::object> ask(const Globals& globals, std::string_view operation, const json::object& arguments) {
    return perform(
        globals, operation, arguments, [](const json::object&) {}, archive::Service::Ledger::none);
}
bool nobody_runs(const Result<json::object>& answered) {
    return !answered && answered.error().code == ErrorCode::not_found &&
           answered.error().message.starts_with("this archive does not know the operation");
}

std::string may_text(const json::object& peer) {
    std::string out;
    for (const auto& one : peer.at("may").as_array()) out += (out.empty() ? "" : ", ") + std::string(one.as_string());
    return out;
}

std::string where_text(const json::object& peer) {
    const auto port = shown::number(peer, "port");
    return shown::text(peer, "network") + (port != 0 ? " port " + std::to_string(port) : "");
}

/// Peers as the settings have them: no archive runs, so that nobody knows more.
Result<json::object> peers_of_settings(const Globals& globals) {
    FID_TRY(const auto configuration, configuration_of(globals));
    FID_TRY(const auto peers, peers_of(configuration));
    json::array out;
    for (const auto& one : peers) out.push_back(gateway::peer_json({std::make_shared<const DimsePeer>(one), false, {}, {}}));
    return json::object{{"peers", std::move(out)}};
}

void add_peer_list(CLI::App& peer, Globals& globals, Action& action) {
    auto* command = peer.add_subcommand("list", "List the peers: those of the settings ([dimse] peers), and those that were added");
    command->footer("When each came last is known while the archive runs, as are those that were added.");
    command->callback([&globals, &action] {
        action = [&globals]() -> Result<int> {
            auto answered = ask(globals, "peer show", {});
            const bool away = nobody_runs(answered) || (!answered && answered.error().code == ErrorCode::unavailable);
            if (away) answered = peers_of_settings(globals);
            FID_TRY(const auto answer, answered);
            if (globals.json) {
                print_json(answer);
                return 0;
            }
            for (const auto& item : answer.at("peers").as_array()) {
                const auto& one = item.as_object();
                const auto device = shown::text(one, "device"), came = shown::text(one, "came");
                std::printf("%s %s %s %s%s%s\n", shown::padded(shown::text(one, "aeTitle"), 16).c_str(),
                            shown::padded(where_text(one), 30).c_str(), shown::padded(may_text(one), 22).c_str(),
                            device.empty() ? "as the institution" : ("as " + device).c_str(), one.at("added").as_bool() ? ", added" : "",
                            came.empty() ? "" : (", came last " + came).c_str());
                if (const auto lacks = shown::text(one, "lacks"); !lacks.empty()) std::printf("%17s%s\n", "", lacks.c_str());
            }
            return 0;
        };
    });
}

void add_peer_add(CLI::App& peer, Globals& globals, Action& action) {
    auto line = std::make_shared<std::string>();
    auto* command = peer.add_subcommand("add", "Let a peer in, at once; it stays over a restart");
    command->add_option("LINE", *line, "As in [dimse] peers: AE title, address, and what it may")->required();
    command->footer(
        "Wants the archive to run. docs/reference/dimse.md has the words of a line.\n"
        "Example:\n  fiducial peer add --site clinic 'CT2 192.0.2.9 plain device=ct2'");
    command->callback([&globals, &action, line] {
        action = [&globals, line]() -> Result<int> {
            const auto answered = ask(globals, "peer add", {{"line", *line}});
            if (nobody_runs(answered))
                return fail(ErrorCode::unavailable, "no archive is running on this site: start it, or put the line into [dimse] peers");
            FID_TRY(const auto answer, answered);
            if (globals.json)
                print_json(answer);
            else
                std::printf("%s may come from %s: %s\n", shown::text(answer, "aeTitle").c_str(), shown::text(answer, "network").c_str(),
                            may_text(answer).c_str());
            return 0;
        };
    });
}

void add_peer_remove(CLI::App& peer, Globals& globals, Action& action) {
    auto title = std::make_shared<std::string>();
    auto* command = peer.add_subcommand("remove", "Take back what was added; a peer of the settings is taken out of them");
    command->add_option("AE_TITLE", *title, "Which")->required();
    command->callback([&globals, &action, title] {
        action = [&globals, title]() -> Result<int> {
            const auto answered = ask(globals, "peer remove", {{"aeTitle", *title}});
            if (nobody_runs(answered)) return fail(ErrorCode::unavailable, "no archive is running on this site: start it");
            FID_TRY(const auto answer, answered);
            if (globals.json)
                print_json(answer);
            else
                std::printf("%s may not come any more\n", title->c_str());
            return 0;
        };
    });
}

/// Asks from here, without an archive: only one of the two ways.
Result<json::object> check_from_here(const Globals& globals, const std::string& title) {
    FID_TRY(const auto configuration, configuration_of(globals));
    FID_TRY(const auto peers, peers_of(configuration));
    std::optional<net::TlsSettings> shown_to_peers;
    if (!configuration.dimse_tls_certificate.empty())
        shown_to_peers = net::TlsSettings{configuration.dimse_tls_certificate, configuration.dimse_tls_key};
    FID_TRY(const auto tls, net::TlsContext::client(shown_to_peers));
    net::Runtime runtime(1);
    std::vector<gateway::PeerCheck> checks;
    for (const auto& one : peers) {
        if (one.port == 0 || (!title.empty() && one.ae_title != title)) continue;
        const auto answered = runtime.block_on(dimse::echo(gateway::user_settings(one, configuration.dimse_ae_title, tls)));
        checks.push_back({{std::make_shared<const DimsePeer>(one), false, {}, {}}, {}, {}});
        if (answered)
            checks.back().answered_in = *answered;
        else
            checks.back().why_not = answered.error().message;
    }
    return gateway::checks_json(checks);
}

/// Waits until each of these peers has come since they were asked.
Result<void> await_arrivals(const Globals& globals, json::array& peers, std::chrono::seconds most) {
    const auto until = std::chrono::steady_clock::now() + most;
    const auto all_came = [&] {
        return std::all_of(peers.begin(), peers.end(), [](const json::value& one) { return one.at("cameNow").as_bool(); });
    };
    for (auto& one : peers) one.as_object()["cameNow"] = false;
    while (!all_came() && std::chrono::steady_clock::now() < until && !stop_requested()) {
        std::this_thread::sleep_for(std::chrono::milliseconds(300));
        FID_TRY(const auto now, ask(globals, "peer show", {}));
        for (auto& one : peers) {
            for (const auto& seen : now.at("peers").as_array()) {
                if (seen.at("line") != one.at("line")) continue;
                const auto came = shown::text(seen.as_object(), "came");
                if (came.empty() || came == shown::text(one.as_object(), "came")) continue;
                one.as_object()["came"] = came;
                one.as_object()["cameNow"] = true;
            }
        }
    }
    return {};
}

void print_check(const json::object& one, bool running) {
    const auto title = shown::padded(shown::text(one, "aeTitle"), 16);
    if (const auto* answers = one.if_contains("answers")) {
        const auto said = answers->as_bool() ? "answers, " + std::to_string(shown::number(one, "ms")) + " ms" : shown::text(one, "why");
        std::printf("%s from here: %s\n", title.c_str(), said.c_str());
    } else {
        std::printf("%s from here: not asked, its line has no port=\n", title.c_str());
    }
    if (!running) return;
    const std::string indent(title.size(), ' ');
    if (const auto lacks = shown::text(one, "lacks"); !lacks.empty()) std::printf("%s %s\n", indent.c_str(), lacks.c_str());
    const auto came = shown::text(one, "came"), echoed = shown::text(one, "echoed");
    std::printf("%s from there: %s\n", indent.c_str(),
                came.empty() ? "never came (fiducial peer knocks says who was turned away)"
                             : ("came last " + came + (echoed.empty() ? "" : ", asked whether we are here " + echoed)).c_str());
}

void add_peer_check(CLI::App& peer, Globals& globals, Action& action) {
    auto title = std::make_shared<std::string>();
    auto wait = std::make_shared<unsigned>(0);
    auto* command = peer.add_subcommand("check", "Both ways: ask peers whether they are there (C-ECHO), and see when they came here");
    command->add_option("AE_TITLE", *title, "Which; default: all");
    command->add_option("--wait", *wait, "Seconds to wait for each to come here: press its button for C-ECHO meanwhile");
    command->footer(
        "From here: to the peer's port=, under our AE title. From there: the peer has to ask, by its own menu or echoscu -aet AE_TITLE\n"
        "-aec FIDUCIAL …; whether it did is known while the archive runs.\n"
        "Exit codes: 0 all that were asked answer, and with --wait all came; 5 there is no such peer; 7 one does not answer, rejects us, "
        "or\n"
        "did not come");
    command->callback([&globals, &action, title, wait] {
        action = [&globals, title, wait]() -> Result<int> {
            auto answered = ask(globals, "peer check", {{"aeTitle", *title}});
            const bool running = !nobody_runs(answered) && (answered || answered.error().code != ErrorCode::unavailable);
            if (!running && *wait > 0) return fail(ErrorCode::unavailable, "no archive is running on this site, so that nobody can come");
            if (!running) answered = check_from_here(globals, *title);
            FID_TRY(auto answer, answered);
            auto& peers = answer.at("peers").as_array();
            if (peers.empty())
                return fail(ErrorCode::not_found, title->empty() ? "there are no peers" : "there is no peer '" + *title + "'");
            if (*wait > 0) FID_CHECK(await_arrivals(globals, peers, std::chrono::seconds(*wait)));
            const bool all = std::all_of(peers.begin(), peers.end(), [](const json::value& item) {
                const auto& one = item.as_object();
                const auto is_false = [&](std::string_view name) { return one.contains(name) && !one.at(name).as_bool(); };
                return !is_false("answers") && !is_false("cameNow");
            });
            if (globals.json) {
                print_json(answer);
            } else {
                for (const auto& one : peers) print_check(one.as_object(), running);
            }
            return all ? 0 : 7;
        };
    });
}

void add_peer_knocks(CLI::App& peer, Globals& globals, Action& action) {
    auto* command = peer.add_subcommand("knocks", "Who asked the running archive for an association and was not let in");
    command->footer("The last hundred. To let one in, at once: fiducial peer add.");
    command->callback([&globals, &action] {
        action = [&globals]() -> Result<int> {
            const auto answered = ask(globals, kKnocksOperation, {});
            if (nobody_runs(answered)) return fail(ErrorCode::not_found, "no archive is running on this site, so that nobody could knock");
            FID_TRY(const auto answer, answered);
            if (globals.json) {
                print_json(answer);
                return 0;
            }
            for (const auto& item : answer.at("knocks").get_array()) {
                const auto& knock = item.get_object();
                std::printf("%s %s from %s to %s %s: %s\n", shown::text(knock, "last").c_str(),
                            shown::padded(shown::text(knock, "callingAeTitle"), 16).c_str(),
                            shown::padded(shown::text(knock, "address"), 15).c_str(),
                            shown::padded(shown::text(knock, "calledAeTitle"), 16).c_str(),
                            shown::counted(shown::number(knock, "times"), "time", "times").c_str(), shown::text(knock, "why").c_str());
            }
            if (answer.at("knocks").get_array().empty()) std::printf("nobody was turned away\n");
            return 0;
        };
    });
}

}  // namespace

void add_peer_commands(CLI::App& cli, Globals& globals, Action& action) {
    auto* peer = cli.add_subcommand("peer", "Peers of DIMSE: who may come, from where, and who was turned away");
    peer->require_subcommand(1);
    add_peer_list(*peer, globals, action);
    add_peer_add(*peer, globals, action);
    add_peer_remove(*peer, globals, action);
    add_peer_check(*peer, globals, action);
    add_peer_knocks(*peer, globals, action);
}

}  // namespace fiducial::app
