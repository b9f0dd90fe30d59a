#pragma once
#include <array>
#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "archive/commitments.hpp"
#include "base/result.hpp"

namespace fiducial::gateway {

/// What a modality is told when its object was set aside for a custodian to decide. The object is kept either way.
enum class SetAsideAnswer : std::uint8_t { warning, success, failure };

/// One line of `[dimse] peers`: who may come, from where.
struct DimsePeer {
    std::string ae_title;  // "*": any
    std::array<std::uint8_t, 16> network{};
    unsigned prefix_bits = 128;  // of network, IPv4 mapped into IPv6
    std::string certificate;     // SHA-256 of its TLS certificate, in hex: without it, it does not come, nor is anything sent to it
    bool plain = false;          // may come without TLS from beyond this machine
    SetAsideAnswer set_aside = SetAsideAnswer::warning;
    std::string device;                                                      // that it acts as; empty: it stores for the institution
    bool query = false;                                                      // may ask for lists
    bool retrieve = false;                                                   // may fetch
    bool worklist = false;                                                   // may ask what is to be done
    archive::CommitmentPolicy commitment = archive::CommitmentPolicy::none;  // when instances are committed to
    std::uint16_t port = 0;                                                  // at which it takes what is moved to it; 0: nothing
    bool announce = false;                                                   // what it says that another archive has is fetched
    // Where it is not as others are:
    std::uint32_t max_pdu_bytes = 0;  // of P-DATA-TF, both ways; 0: as the association says
    std::chrono::seconds timeout{0};  // that it may be silent between messages, or take to answer; 0: as for all
    bool uncompressed = false;        // what is stored compressed is sent to it transcoded, whatever it says that it takes
    std::string character_set;        // of its queries that name none, a defined term of (0008,0005); empty: the standard's default
    std::string line;                 // as it was read, without what is before and after it

    bool matches(std::string_view calling_ae_title, const std::array<std::uint8_t, 16>& address) const;
    bool is_loopback() const;
    std::string address() const;       // of the network, as text
    std::string network_text() const;  // with /BITS where it is not one address
};

/// "AE_TITLE ADDRESS[/BITS] [plain] [set-aside=warning|success|failure] [device=NAME] [query] [retrieve] [worklist] [port=N]
/// [commitment=durable|settled] [certificate=SHA256] [announce] [pdu=BYTES] [timeout=SECONDS] [uncompressed] [charset=TERM]", as in "CT1
/// 192.0.2.7 plain". An AE title with spaces in it does not fit here: "*" stands for any. Errors: invalid_argument, quoting the line.
Result<DimsePeer> parse_dimse_peer(std::string_view text);
/// secure: whether the door has TLS. Errors: invalid_argument: the peer could not come
Result<void> check_can_come(const DimsePeer& peer, bool secure);
/// Reads an address as a socket tells it ("192.0.2.1:4711", "[2001:db8::1]:4711"). Errors: invalid_argument.
Result<std::array<std::uint8_t, 16>> address_of_socket(std::string_view text);
/// Returns: the first that matches, or nullptr.
const DimsePeer* find_peer(const std::vector<DimsePeer>& peers, std::string_view calling_ae_title,
                           const std::array<std::uint8_t, 16>& address);

}  // namespace fiducial::gateway
