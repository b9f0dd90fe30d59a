#pragma once
#include <initializer_list>
#include <memory>
#include <span>
#include <string_view>

#include "base/bytes.hpp"

namespace fiducial::crypto {

/// Spec: FIPS 180-4.
Hash sha256(ByteView bytes);
Hash sha256(std::initializer_list<ByteView> parts);  // of their concatenation

/// SHA-256 in pieces. Copyable: a copy goes on from the same state.
class Sha256 {
public:
    Sha256();
    Sha256(const Sha256& other);
    Sha256& operator=(const Sha256& other);
    Sha256(Sha256&&) noexcept;
    Sha256& operator=(Sha256&&) noexcept;
    ~Sha256();
    void update(ByteView bytes);
    Hash finish();  // the object then starts anew

private:
    struct State;
    std::unique_ptr<State> state_;
};

/// SHA-256 of many messages at once, side by side where the machine can (libipsec-mb; OpenSSL where it is missing).
/// Requires: out.size() == messages.size().
void sha256_many(std::span<const ByteView> messages, std::span<Hash> out);

/// Hash that starts with a domain tag, as every hash of the formats does: prefix ‖ u8 tag length ‖ tag ‖ parts.
/// Spec: docs/formats/hashes.md. `prefix` is empty, or the one RFC 6962 byte (0x00 leaf, 0x01 node).
Hash tagged_sha256(std::string_view tag, std::initializer_list<ByteView> parts);
Hash tagged_leaf_sha256(std::string_view tag, std::initializer_list<ByteView> parts);  // H(0x00 ‖ tag ‖ parts)

/// Spec: RFC 2104 with SHA-256.
Hash hmac_sha256(ByteView key, std::initializer_list<ByteView> parts);
/// HMAC(key, u8 tag length ‖ tag ‖ parts).
Hash tagged_hmac_sha256(ByteView key, std::string_view tag, std::initializer_list<ByteView> parts);
/// Compares in constant time.
bool equal_constant_time(ByteView a, ByteView b);

/// Ethereum's hash (Keccak with its original padding, not SHA-3).
Hash keccak256(ByteView bytes);
Hash keccak256(std::initializer_list<ByteView> parts);

}  // namespace fiducial::crypto
