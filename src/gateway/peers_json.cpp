#include "gateway/peers_json.hpp"

#include <boost/json.hpp>

namespace fiducial::gateway {
namespace {

namespace json = boost::json;

json::array may(const DimsePeer& peer) {
    json::array out{"store"};
    if (peer.query) out.emplace_back("query");
    if (peer.retrieve) out.emplace_back("retrieve");
    if (peer.worklist) out.emplace_back("worklist");
    if (peer.commitment != archive::CommitmentPolicy::none) out.emplace_back("commitment");
    return out;
}

}  // namespace

json::object peer_json(const PeerBook::Entry& entry, std::string_view lacks) {
    const auto& peer = *entry.peer;
    json::object out{{"aeTitle", peer.ae_title}, {"network", peer.network_text()},
                     {"may", may(peer)},         {"device", peer.device},
                     {"line", peer.line},        {"added", entry.added}};
    if (peer.port != 0) out["port"] = peer.port;
    if (!peer.certificate.empty()) out["certificate"] = peer.certificate;
    if (entry.came) out["came"] = to_rfc3339(*entry.came);
    if (entry.echoed) out["echoed"] = to_rfc3339(*entry.echoed);
    if (!lacks.empty()) out["lacks"] = lacks;
    return out;
}

json::object peers_json(const PeerBook& book) {
    json::array out;
    for (const auto& entry : book.list()) out.push_back(peer_json(entry, book.lacks(*entry.peer)));
    return {{"peers", std::move(out)}};
}

json::object knocks_json(PeerBook& book) {
    json::array out;
    for (const auto& knock : book.knocks().list())
        out.push_back({{"address", knock.address},
                       {"callingAeTitle", knock.calling_ae_title},
                       {"calledAeTitle", knock.called_ae_title},
                       {"why", knock.why},
                       {"times", knock.times},
                       {"last", to_rfc3339(knock.last)}});
    return {{"knocks", std::move(out)}};
}

json::object checks_json(const std::vector<PeerCheck>& checks) {
    json::array out;
    for (const auto& check : checks) {
        auto shown = peer_json(check.entry, check.lacks);
        if (check.entry.peer->port != 0) {
            shown["address"] = check.entry.peer->address();
            shown["answers"] = check.answered_in.has_value();
        }
        if (check.answered_in) shown["ms"] = check.answered_in->count();
        if (!check.why_not.empty()) shown["why"] = check.why_not;
        out.push_back(std::move(shown));
    }
    return {{"peers", std::move(out)}};
}

}  // namespace fiducial::gateway
