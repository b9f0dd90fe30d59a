#include "ethereum/address.hpp"

#include <algorithm>

#include "base/hex.hpp"
#include "crypto/hash.hpp"
#include "ethereum/rlp.hpp"

namespace fiducial::ethereum {
namespace {

Address last_20(const Hash& hash) {
    Address out;
    std::copy(hash.begin() + 12, hash.end(), out.begin());
    return out;
}

bool is_lower(char c) {
    return c >= 'a' && c <= 'f';
}
bool is_upper(char c) {
    return c >= 'A' && c <= 'F';
}

}  // namespace

std::string to_checksum(const Address& address) {
    auto digits = to_hex(address);
    const auto hash = crypto::keccak256(as_bytes(digits));
    for (std::size_t i = 0; i < digits.size(); ++i) {
        const unsigned nibble = i % 2 == 0 ? hash[i / 2] >> 4u : hash[i / 2] & 15u;
        if (nibble >= 8 && is_lower(digits[i])) digits[i] = static_cast<char>(digits[i] - 'a' + 'A');
    }
    return "0x" + digits;
}

Result<Address> parse_address(std::string_view text) {
    if (!text.starts_with("0x") || text.size() != 42) return fail(ErrorCode::malformed, "an address is 0x and 40 hex digits");
    FID_TRY(const auto address, fixed_from_hex<20>(text.substr(2), "an address"));
    const auto digits = text.substr(2);
    const bool mixed = std::any_of(digits.begin(), digits.end(), is_lower) && std::any_of(digits.begin(), digits.end(), is_upper);
    if (mixed && to_checksum(address) != text) return fail(ErrorCode::malformed, "an address whose checksum (EIP-55) is wrong");
    return address;
}

Address create_address(const Address& sender, std::uint64_t nonce) {
    return last_20(crypto::keccak256(rlp::ListWriter().bytes(sender).u64(nonce).finish()));
}

Address create2_address(const Address& deployer, const Bytes32& salt, const Hash& init_code_hash) {
    const std::array<std::uint8_t, 1> prefix{0xff};
    return last_20(crypto::keccak256({ByteView(prefix), ByteView(deployer), ByteView(salt), ByteView(init_code_hash)}));
}

}  // namespace fiducial::ethereum
