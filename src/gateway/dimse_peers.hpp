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

    bool matches(std::string_view calling_ae_title, const std::array<std::uint8_t, 16>& address) const;
    bool is_loopback() const;
};

/// "AE_TITLE ADDRESS[/BITS] [plain] [set-aside=warning|success|failure]", as in "CT1 192.0.2.7 plain". An AE title with spaces in it does
/// not fit here: "*" stands for any. Errors: invalid_argument, quoting the line.
Result<DimsePeer> parse_dimse_peer(std::string_view text);
/// Reads an address as a socket tells it ("192.0.2.1:4711", "[2001:db8::1]:4711"). Errors: invalid_argument.
Result<std::array<std::uint8_t, 16>> address_of_socket(std::string_view text);
/// Returns: the first that matches, or nullptr.
const DimsePeer* find_peer(const std::vector<DimsePeer>& peers, std::string_view calling_ae_title,
                           const std::array<std::uint8_t, 16>& address);

}  // namespace fiducial::gateway
