#pragma once
#include <string>
#include <string_view>

#include "base/bytes.hpp"

namespace fiducial::ethereum {

/// Returns: "0x" and 40 hex digits, their case a checksum. Spec: EIP-55.
std::string to_checksum(const Address& address);

/// Spec: EIP-55. Takes 40 hex digits after "0x"; all in one case, or with a right checksum.
/// Errors: malformed, also for a mixed case whose checksum is wrong.
Result<Address> parse_address(std::string_view text);

/// The address of the contract that `sender`'s transaction `nonce` creates: keccak256(rlp([sender, nonce])), last 20 bytes.
Address create_address(const Address& sender, std::uint64_t nonce);
/// Spec: EIP-1014.
Address create2_address(const Address& deployer, const Bytes32& salt, const Hash& init_code_hash);

}  // namespace fiducial::ethereum
