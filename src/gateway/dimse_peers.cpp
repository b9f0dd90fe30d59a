#include "gateway/dimse_peers.hpp"

#include <arpa/inet.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <sstream>

#include "dicom/pdu.hpp"

namespace fiducial::gateway {
namespace {

using Address = std::array<std::uint8_t, 16>;

constexpr unsigned kMappedBits = 96;  // of ::ffff:0:0, under which IPv4 lies

Result<Address> parse_address(const std::string& text, bool* is_v4 = nullptr) {
    Address out{};
    in_addr v4{};
    if (is_v4 != nullptr) *is_v4 = false;
    if (::inet_pton(AF_INET, text.c_str(), &v4) == 1) {
        out[10] = out[11] = 0xff;
        std::memcpy(out.data() + 12, &v4, 4);
        if (is_v4 != nullptr) *is_v4 = true;
        return out;
    }
    if (::inet_pton(AF_INET6, text.c_str(), out.data()) == 1) return out;
    return fail(ErrorCode::invalid_argument, "'" + text + "' is not a numeric IP address");
}

bool same_bits(const Address& a, const Address& b, unsigned bits) {
    for (unsigned i = 0; i < bits; ++i) {
        const auto mask = static_cast<std::uint8_t>(0x80u >> (i % 8));
        if ((a[i / 8] & mask) != (b[i / 8] & mask)) return false;
    }
    return true;
}

Result<void> take_network(DimsePeer& peer, const std::string& text) {
    const auto slash = text.find('/');
    bool v4 = false;
    FID_TRY(peer.network, parse_address(text.substr(0, slash), &v4));
    peer.prefix_bits = 128;
    if (slash == std::string::npos) return {};
    unsigned bits = 0;
    const auto* end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data() + slash + 1, end, bits);
    if (error != std::errc() || stop != end || bits > (v4 ? 32u : 128u))
        return fail(ErrorCode::invalid_argument, "'" + text.substr(slash) + "' is not the length of an address's prefix");
    peer.prefix_bits = v4 ? bits + kMappedBits : bits;
    return {};
}

Result<void> take_port(DimsePeer& peer, std::string_view text) {
    const auto* end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data(), end, peer.port);
    if (error != std::errc() || stop != end || peer.port == 0)
        return fail(ErrorCode::invalid_argument, "'" + std::string(text) + "' is no port");
    return {};
}

Result<void> check(const DimsePeer& peer) {
    if ((peer.query || peer.retrieve || peer.worklist) && peer.device.empty())
        return fail(ErrorCode::invalid_argument, "who queries or retrieves does it as a device: device=NAME (fiducial device add)");
    if (peer.port != 0 && (peer.ae_title == "*" || peer.prefix_bits != 128))
        return fail(ErrorCode::invalid_argument, "port=N is of one peer, with an AE title and an address of its own");
    if (peer.port != 0 && !peer.plain && !peer.is_loopback())
        return fail(ErrorCode::invalid_argument,
                    "port=N goes with plain: objects are moved without TLS, which beyond this machine is to be said");
    return {};
}

Result<void> take_word(DimsePeer& peer, const std::string& word) {
    static constexpr std::string_view kDevice = "device=", kPort = "port=";
    if (word == "plain")
        peer.plain = true;
    else if (word == "query")
        peer.query = true;
    else if (word == "retrieve")
        peer.retrieve = true;
    else if (word == "worklist")
        peer.worklist = true;
    else if (word.starts_with(kDevice) && word.size() > kDevice.size())
        peer.device = word.substr(kDevice.size());
    else if (word.starts_with(kPort))
        return take_port(peer, std::string_view(word).substr(kPort.size()));
    else if (word == "set-aside=warning")
        peer.set_aside = SetAsideAnswer::warning;
    else if (word == "set-aside=success")
        peer.set_aside = SetAsideAnswer::success;
    else if (word == "set-aside=failure")
        peer.set_aside = SetAsideAnswer::failure;
    else
        return fail(
            ErrorCode::invalid_argument,
            "'" + word + "' is none of plain, set-aside=warning, =success, =failure, device=NAME, query, retrieve, worklist, port=N");
    return {};
}

}  // namespace

bool DimsePeer::matches(std::string_view calling_ae_title, const Address& address) const {
    return (ae_title == "*" || ae_title == calling_ae_title) && same_bits(network, address, prefix_bits);
}

bool DimsePeer::is_loopback() const {
    static constexpr Address kV4{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 127};
    static constexpr Address kV6{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
    return (prefix_bits >= kMappedBits + 8 && same_bits(network, kV4, kMappedBits + 8)) || (prefix_bits == 128 && network == kV6);
}

std::string DimsePeer::address() const {
    static constexpr Address kMapped{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    char text[INET6_ADDRSTRLEN] = {};
    if (same_bits(network, kMapped, kMappedBits))
        ::inet_ntop(AF_INET, network.data() + 12, text, sizeof text);
    else
        ::inet_ntop(AF_INET6, network.data(), text, sizeof text);
    return text;
}

std::string DimsePeer::network_text() const {
    if (prefix_bits == 128) return address();
    const auto text = address();
    return text + "/" + std::to_string(text.find(':') == std::string::npos ? prefix_bits - kMappedBits : prefix_bits);
}

Result<DimsePeer> parse_dimse_peer(std::string_view text) {
    const auto parse = [&]() -> Result<DimsePeer> {
        std::istringstream words{std::string(text)};
        DimsePeer peer;
        std::string network, word;
        if (!(words >> peer.ae_title >> network)) return fail(ErrorCode::invalid_argument, "an AE title and an address are needed");
        if (!dicom::is_ae_title(peer.ae_title)) return fail(ErrorCode::invalid_argument, "that is no AE title");
        FID_CHECK(take_network(peer, network));
        while (words >> word) FID_CHECK(take_word(peer, word));
        FID_CHECK(check(peer));
        return peer;
    };
    auto peer = parse();
    if (!peer) return fail(peer.error().with("[dimse] peers: \"" + std::string(text) + "\""));
    return peer;
}

Result<Address> address_of_socket(std::string_view text) {
    const auto colon = text.rfind(':');
    if (colon == std::string_view::npos) return fail(ErrorCode::invalid_argument, "no port");
    auto host = text.substr(0, colon);
    if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
    return parse_address(std::string(host.substr(0, host.find('%'))));
}

const DimsePeer* find_peer(const std::vector<DimsePeer>& peers, std::string_view calling_ae_title, const Address& address) {
    const auto found =
        std::find_if(peers.begin(), peers.end(), [&](const DimsePeer& peer) { return peer.matches(calling_ae_title, address); });
    return found == peers.end() ? nullptr : &*found;
}

}  // namespace fiducial::gateway
