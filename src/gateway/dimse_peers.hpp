#pragma once
#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"

namespace fiducial::gateway {

/// What a modality is told when its object was set aside for a custodian to decide. The object is kept either way.
enum class SetAsideAnswer : std::uint8_t { warning, success, failure };

/// One line of `[dimse] peers`: who may come, from where.
struct DimsePeer {
    std::string ae_title;  // "*": any
    std::array<std::uint8_t, 16> network{};
    unsigned prefix_bits = 128;  // of network, IPv4 mapped into IPv6
    bool plain = false;          // may come without TLS from beyond this machine
    SetAsideAnswer set_aside = SetAsideAnswer::warning;
    std::string device;      // that it acts as; empty: it stores for the institution
    bool query = false;      // may ask for lists
    bool retrieve = false;   // may fetch
    bool worklist = false;   // may ask what is to be done
    std::uint16_t port = 0;  // at which it takes what is moved to it; 0: nothing

    bool matches(std::string_view calling_ae_title, const std::array<std::uint8_t, 16>& address) const;
    bool is_loopback() const;
    std::string address() const;       // of the network, as text
    std::string network_text() const;  // with /BITS where it is not one address
};

/// "AE_TITLE ADDRESS[/BITS] [plain] [set-aside=warning|success|failure] [device=NAME] [query] [retrieve] [worklist] [port=N]", as in
/// "CT1 192.0.2.7 plain". An AE title with spaces in it does not fit here: "*" stands for any. Errors: invalid_argument, quoting the line.
Result<DimsePeer> parse_dimse_peer(std::string_view text);
/// Reads an address as a socket tells it ("192.0.2.1:4711", "[2001:db8::1]:4711"). Errors: invalid_argument.
Result<std::array<std::uint8_t, 16>> address_of_socket(std::string_view text);
/// Returns: the first that matches, or nullptr.
const DimsePeer* find_peer(const std::vector<DimsePeer>& peers, std::string_view calling_ae_title,
                           const std::array<std::uint8_t, 16>& address);

}  // namespace fiducial::gateway
