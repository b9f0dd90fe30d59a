#include "ethereum/test_support.hpp"

#include <boost/json.hpp>
#include <fstream>
#include <sstream>

#include "base/hex.hpp"
#include "crypto/hash.hpp"

namespace fiducial::ethereum::test {

boost::json::value load_vectors(std::string_view name) {
    std::ifstream file(std::string(FIDUCIAL_SOURCE_DIR "/test/vectors/ethereum/") + std::string(name), std::ios::binary);
    std::ostringstream text;
    text << file.rdbuf();
    return json::parse(text.str(), 1u << 20).value();
}

Bytes hex(std::string_view text) {
    return from_hex(text).value();
}

Hash hash_of_hex(std::string_view text) {
    return fixed_from_hex<32>(text, "hash").value();
}

crypto::Secret key_of_hex(std::string_view text) {
    return crypto::Secret::copy_of(hex(text));
}

crypto::Secret key_named(std::string_view name) {
    return crypto::Secret::copy_of(crypto::sha256(as_bytes(name)));
}

}  // namespace fiducial::ethereum::test
