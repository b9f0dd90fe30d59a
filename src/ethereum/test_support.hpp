#pragma once
// What the tests of this room share.
#include <string>
#include <string_view>

#include "base/bytes.hpp"
#include "base/json.hpp"
#include "crypto/secret.hpp"

namespace fiducial::ethereum::test {

/// A file of test/vectors/ethereum.
boost::json::value load_vectors(std::string_view name);
/// Requires: hex.
Bytes hex(std::string_view text);
Hash hash_of_hex(std::string_view text);
crypto::Secret key_of_hex(std::string_view text);
/// A private key made of a name, as geth's tests name their signers.
crypto::Secret key_named(std::string_view name);

}  // namespace fiducial::ethereum::test
