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

Result<void> take_word(DimsePeer& peer, const std::string& word) {
    if (word == "plain")
        peer.plain = true;
    else if (word == "set-aside=warning")
        peer.set_aside = SetAsideAnswer::warning;
    else if (word == "set-aside=success")
        peer.set_aside = SetAsideAnswer::success;
    else if (word == "set-aside=failure")
        peer.set_aside = SetAsideAnswer::failure;
    else
        return fail(ErrorCode::invalid_argument, "'" + word + "' is neither plain nor set-aside=warning, =success or =failure");
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

Result<DimsePeer> parse_dimse_peer(std::string_view text) {
    const auto parse = [&]() -> Result<DimsePeer> {
        std::istringstream words{std::string(text)};
        DimsePeer peer;
        std::string network, word;
        if (!(words >> peer.ae_title >> network)) return fail(ErrorCode::invalid_argument, "an AE title and an address are needed");
        if (!dicom::is_ae_title(peer.ae_title)) return fail(ErrorCode::invalid_argument, "that is no AE title");
        FID_CHECK(take_network(peer, network));
        while (words >> word) FID_CHECK(take_word(peer, word));
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
