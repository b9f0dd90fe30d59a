#include <CLI/CLI.hpp>
#include <algorithm>
#include <boost/json.hpp>
#include <cstdio>

#include "app/commands.hpp"
#include "app/serve.hpp"
#include "app/shown.hpp"
#include "dimse/user.hpp"
#include "gateway/dimse_gateway.hpp"
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

std::string may_text(const DimsePeer& peer) {
    return std::string("store") + (peer.query ? ", query" : "") + (peer.retrieve ? ", retrieve" : "") + (peer.worklist ? ", worklist" : "");
}

void add_peer_list(CLI::App& peer, Globals& globals, Action& action) {
    auto* command = peer.add_subcommand("list", "List the peers of the settings ([dimse] peers)");
    command->callback([&globals, &action] {
        action = [&globals]() -> Result<int> {
            FID_TRY(const auto configuration, configuration_of(globals));
            FID_TRY(const auto peers, peers_of(configuration));
            json::array out;
            for (const auto& one : peers) {
                json::object shown{
                    {"aeTitle", one.ae_title}, {"network", one.network_text()}, {"may", may_text(one)}, {"device", one.device}};
                if (one.port != 0) shown["port"] = one.port;
                if (!globals.json)
                    std::printf("%s %s %s %s\n", shown::padded(one.ae_title, 16).c_str(),
                                shown::padded(one.network_text() + (one.port != 0 ? " port " + std::to_string(one.port) : ""), 30).c_str(),
                                shown::padded(may_text(one), 22).c_str(),
                                one.device.empty() ? "as the institution" : ("as " + one.device).c_str());
                out.push_back(std::move(shown));
            }
            if (globals.json) print_json({{"peers", std::move(out)}});
            return 0;
        };
    });
}

/// Asks for an association and echoes over it.
Result<std::chrono::milliseconds> echo(net::Runtime& runtime, const Configuration& configuration, const DimsePeer& peer) {
    dimse::UserSettings settings;
    settings.address = peer.address();
    settings.port = peer.port;
    settings.called_ae_title = peer.ae_title;
    settings.calling_ae_title = configuration.dimse_ae_title;
    return runtime.block_on(dimse::echo(std::move(settings)));
}

void add_peer_check(CLI::App& peer, Globals& globals, Action& action) {
    auto title = std::make_shared<std::string>();
    auto* command = peer.add_subcommand("check", "Ask peers whether they are there (C-ECHO)");
    command->add_option("AE_TITLE", *title, "Which; default: every one with a port");
    command->footer(
        "From here to the peer's port, under our AE title. The other way round, ask from there: echoscu -aet AE_TITLE -aec FIDUCIAL …\n"
        "Exit codes: 0 all answer; 5 there is no such peer with a port; 7 one does not answer, or rejects us");
    command->callback([&globals, &action, title] {
        action = [&globals, title]() -> Result<int> {
            FID_TRY(const auto configuration, configuration_of(globals));
            FID_TRY(const auto peers, peers_of(configuration));
            net::Runtime runtime(1);
            json::array out;
            bool all = true;
            for (const auto& one : peers) {
                if (one.port == 0 || (!title->empty() && one.ae_title != *title)) continue;
                const auto answered = echo(runtime, configuration, one);
                all = all && answered;
                const auto where = one.address() + " port " + std::to_string(one.port);
                json::object shown{
                    {"aeTitle", one.ae_title}, {"address", one.address()}, {"port", one.port}, {"answers", answered.has_value()}};
                if (answered)
                    shown["ms"] = answered->count();
                else
                    shown["why"] = answered.error().message;
                if (!globals.json)
                    std::printf(
                        "%s %s %s\n", shown::padded(one.ae_title, 16).c_str(), shown::padded(where, 30).c_str(),
                        answered ? ("answers, " + std::to_string(answered->count()) + " ms").c_str() : answered.error().message.c_str());
                out.push_back(std::move(shown));
            }
            if (out.empty())
                return fail(ErrorCode::not_found, title->empty() ? "no peer of the settings has a port (port=N)"
                                                                 : "no peer '" + *title + "' has a port (port=N)");
            if (globals.json) print_json({{"peers", std::move(out)}});
            return all ? 0 : 7;
        };
    });
}

void add_peer_knocks(CLI::App& peer, Globals& globals, Action& action) {
    auto* command = peer.add_subcommand("knocks", "Who asked the running archive for an association and was not let in");
    command->footer("The last hundred, as long as the archive runs. To let one in: a line in [dimse] peers, and a restart.");
    command->callback([&globals, &action] {
        action = [&globals]() -> Result<int> {
            const auto answered = perform(
                globals, kKnocksOperation, {}, [](const json::object&) {}, archive::Service::Ledger::none);
            if (!answered && answered.error().code == ErrorCode::not_found)
                return fail(ErrorCode::not_found, "no archive is running on this site, so that nobody could knock");
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
    auto* peer = cli.add_subcommand("peer", "Peers of DIMSE, as the settings list them");
    peer->require_subcommand(1);
    add_peer_list(*peer, globals, action);
    add_peer_check(*peer, globals, action);
    add_peer_knocks(*peer, globals, action);
}

}  // namespace fiducial::app
