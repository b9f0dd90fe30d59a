#include "gateway/dimse_peers.hpp"

#include <arpa/inet.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <sstream>

#include "base/hex.hpp"
#include "dicom/identifier.hpp"
#include "dicom/pdu.hpp"

namespace fiducial::gateway {
namespace {

using Address = std::array<std::uint8_t, 16>;

constexpr std::uint32_t kLeastPdu = 4'096, kMostPdu = 131'072;
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

/// A whole number. Errors: invalid_argument, naming it and what it is for.
Result<std::uint32_t> number_of(std::string_view word, std::uint32_t least, std::uint32_t most) {
    const auto text = word.substr(word.find('=') + 1);
    std::uint32_t out = 0;
    const auto* end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data(), end, out);
    if (error != std::errc() || stop != end || out < least || out > most)
        return fail(ErrorCode::invalid_argument,
                    "'" + std::string(word) + "' is no number from " + std::to_string(least) + " to " + std::to_string(most));
    return out;
}

/// A defined term, with _ for its spaces.
Result<void> take_character_set(DimsePeer& peer, std::string term) {
    std::replace(term.begin(), term.end(), '_', ' ');
    if (term.starts_with("ISO IR")) term[3] = '_';
    if (!dicom::is_character_set(term))
        return fail(ErrorCode::invalid_argument, "'" + term + "' is no character set of (0008,0005) that stands alone, such as ISO_IR_100");
    peer.character_set = std::move(term);
    return {};
}

Result<void> check(const DimsePeer& peer) {
    if ((peer.query || peer.retrieve || peer.worklist || peer.announce) && peer.device.empty())
        return fail(ErrorCode::invalid_argument,
                    "who queries, retrieves or announces does it as a device: device=NAME (fiducial device add)");
    if (peer.port != 0 && (peer.ae_title == "*" || peer.prefix_bits != 128))
        return fail(ErrorCode::invalid_argument, "port=N is of one peer, with an AE title and an address of its own");
    if (!peer.certificate.empty() && peer.plain) return fail(ErrorCode::invalid_argument, "a peer with a certificate does not come plain");
    if (peer.port != 0 && peer.certificate.empty() && !peer.plain && !peer.is_loopback())
        return fail(ErrorCode::invalid_argument,
                    "port=N goes with certificate=SHA256, or with plain: without TLS, which beyond this machine is to be said");
    return {};
}

/// As openssl x509 -fingerprint -sha256 shows it, or in hex without colons.
Result<void> take_certificate(DimsePeer& peer, std::string text) {
    std::erase(text, ':');
    const auto bytes = from_hex(text);
    if (!bytes || bytes->size() != sizeof(Hash)) return fail(ErrorCode::invalid_argument, "'" + text + "' is no SHA-256 fingerprint");
    peer.certificate = to_hex(*bytes);
    return {};
}

Result<void> take_word(DimsePeer& peer, const std::string& word) {
    static constexpr std::string_view kDevice = "device=", kCertificate = "certificate=", kCharacterSet = "charset=";
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
    else if (word == "announce")
        peer.announce = true;
    else if (word == "uncompressed")
        peer.uncompressed = true;
    else if (word.starts_with("port=")) {
        FID_TRY(const auto port, number_of(word, 1, 65'535));
        peer.port = static_cast<std::uint16_t>(port);
    } else if (word.starts_with("pdu=")) {
        FID_TRY(peer.max_pdu_bytes, number_of(word, kLeastPdu, kMostPdu));
    } else if (word.starts_with("timeout=")) {
        FID_TRY(const auto seconds, number_of(word, 1, 86'400));
        peer.timeout = std::chrono::seconds(seconds);
    } else if (word.starts_with(kCharacterSet))
        return take_character_set(peer, word.substr(kCharacterSet.size()));
    else if (word.starts_with(kCertificate))
        return take_certificate(peer, word.substr(kCertificate.size()));
    else if (word == "set-aside=warning")
        peer.set_aside = SetAsideAnswer::warning;
    else if (word == "set-aside=success")
        peer.set_aside = SetAsideAnswer::success;
    else if (word == "set-aside=failure")
        peer.set_aside = SetAsideAnswer::failure;
    else if (word == "commitment=durable")
        peer.commitment = archive::CommitmentPolicy::durable;
    else if (word == "commitment=settled")
        peer.commitment = archive::CommitmentPolicy::settled;
    else
        return fail(ErrorCode::invalid_argument,
                    "'" + word +
                        "' is none of plain, set-aside=warning, =success, =failure, device=NAME, query, retrieve, worklist, "
                        "port=N, commitment=durable, =settled, certificate=SHA256, announce, pdu=BYTES, timeout=SECONDS, uncompressed, "
                        "charset=TERM");
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
        const auto first = text.find_first_not_of(" \t"), last = text.find_last_not_of(" \t");
        peer.line = text.substr(first, last - first + 1);
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

Result<void> check_can_come(const DimsePeer& peer, bool secure) {
    if (secure || (peer.certificate.empty() ? peer.plain || peer.is_loopback() : peer.port != 0))
        return {};  // what is only sent to wants no TLS here
    return fail(ErrorCode::invalid_argument,
                "[dimse] peers: " + peer.ae_title + " could not come: there is no TLS, and it is not listed as plain");
}

}  // namespace fiducial::gateway
