#pragma once
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.hpp"
#include "crypto/secret.hpp"

namespace fiducial::crypto {

/// One of n parts of a 32-byte key, any k of which give it back; fewer tell nothing about it.
/// Spec: Shamir 1979 over GF(2^8) with the polynomial 0x11b, byte by byte; docs/formats/keys.md.
struct RecoveryShare : log::NotForLogs {
    std::uint8_t threshold = 0;               // k
    std::uint8_t count = 0;                   // n
    std::uint8_t index = 0;                   // 1 … n
    std::array<std::uint8_t, 4> set{};        // random, the same for all shares made together
    std::array<std::uint8_t, 4> key_check{};  // tells whether what came out is the key that went in
    Secret value;                             // 32 bytes

    /// Returns: 20 groups of 5 letters and digits in 4 lines (Crockford's base32), the last of each group its check character.
    Secret to_text() const;
    /// Reads text typed from paper: case, spaces, dashes and line ends do not matter; O reads as 0, I and L as 1.
    /// Errors: malformed, naming the group with the typo (numbered from 1); unsupported for a later version.
    static Result<RecoveryShare> parse(std::string_view text);

    static constexpr std::size_t kGroups = 20;
    static constexpr std::size_t kLongestText = 1024;
};

/// Requires: nothing of the caller; the result is tested before it is given out.
/// Errors: invalid_argument for a key that is not 32 bytes, or not 1 <= threshold <= count <= 255.
Result<std::vector<RecoveryShare>> split_key(const Secret& key32, unsigned threshold, unsigned count);

/// Gives the key back. More shares than needed are all checked against each other.
/// Errors: invalid_argument for fewer distinct shares than the threshold; conflict for shares of different sets;
/// corrupt when shares contradict each other or do not give the key they were made from.
Result<Secret> combine_shares(std::span<const RecoveryShare> shares);

}  // namespace fiducial::crypto
