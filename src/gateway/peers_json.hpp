#pragma once
#include <string_view>
#include <vector>

#include "base/json.hpp"
#include "gateway/dimse_gateway.hpp"

namespace fiducial::gateway {

// How peers are shown, by every door. Spec: docs/reference/http.md#peers
/// lacks: as PeerBook::lacks
boost::json::object peer_json(const PeerBook::Entry& entry, std::string_view lacks = {});
boost::json::object peers_json(const PeerBook& book);
boost::json::object knocks_json(PeerBook& book);
boost::json::object checks_json(const std::vector<PeerCheck>& checks);

}  // namespace fiducial::gateway
