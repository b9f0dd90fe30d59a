#include "crypto/secp256k1.hpp"

#include <secp256k1.h>
#include <secp256k1_recovery.h>

#include "crypto/hash.hpp"

namespace fiducial::crypto {
namespace {

// The group's order n and (n - 1) / 2, SEC 2 §2.4.1.
constexpr Bytes32 kOrder = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfe,
                            0xba, 0xae, 0xdc, 0xe6, 0xaf, 0x48, 0xa0, 0x3b, 0xbf, 0xd2, 0x5e, 0x8c, 0xd0, 0x36, 0x41, 0x41};
constexpr Bytes32 kHalfOrder = {0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                                0x5d, 0x57, 0x6e, 0x73, 0x57, 0xa4, 0x50, 0x1d, 0xdf, 0xe9, 0x2f, 0x46, 0x68, 0x1b, 0x20, 0xa0};

const secp256k1_context* context() {
    static const secp256k1_context* const shared = [] {
        secp256k1_context* made = secp256k1_context_create(SECP256K1_CONTEXT_SIGN | SECP256K1_CONTEXT_VERIFY);
        FID_INVARIANT(made != nullptr, "libsecp256k1 cannot start");
        Bytes32 seed = random_bytes32();  // blinds the signing against side channels
        FID_INVARIANT(secp256k1_context_randomize(made, seed.data()) == 1, "libsecp256k1 takes no seed");
        wipe(seed);
        return made;
    }();
    return shared;
}

Result<void> check_values(const RecoverableSignature& signature) {
    if (signature.v > 1) return fail(ErrorCode::malformed, "signature: recovery id must be 0 or 1");
    if (signature.r == kZero32 || signature.r >= kOrder) return fail(ErrorCode::malformed, "signature: r is not within the group's order");
    if (signature.s == kZero32 || signature.s >= kOrder) return fail(ErrorCode::malformed, "signature: s is not within the group's order");
    if (signature.s > kHalfOrder) return fail(ErrorCode::malformed, "signature: s is in the upper half of the order (EIP-2)");
    return {};
}

Result<void> check_private_key(const Secret& key) {
    if (key.size() != 32 || secp256k1_ec_seckey_verify(context(), key.view().data()) != 1) {
        return fail(ErrorCode::invalid_argument, "not a secp256k1 private key");
    }
    return {};
}

std::array<std::uint8_t, 64> point_of(const secp256k1_pubkey& key) {
    std::array<std::uint8_t, 65> tagged;
    std::size_t size = tagged.size();
    secp256k1_ec_pubkey_serialize(context(), tagged.data(), &size, &key, SECP256K1_EC_UNCOMPRESSED);
    FID_INVARIANT(size == tagged.size(), "an uncompressed public key has 65 bytes");
    std::array<std::uint8_t, 64> point;
    std::memcpy(point.data(), tagged.data() + 1, point.size());
    return point;
}

Address address_of_public_key(const secp256k1_pubkey& key) {
    const Hash hash = keccak256(point_of(key));
    Address address;
    std::memcpy(address.data(), hash.data() + 12, address.size());
    return address;
}

}  // namespace

std::array<std::uint8_t, 65> RecoverableSignature::serialised() const {
    std::array<std::uint8_t, 65> out;
    std::memcpy(out.data(), r.data(), 32);
    std::memcpy(out.data() + 32, s.data(), 32);
    out[64] = v;
    return out;
}

Result<RecoverableSignature> RecoverableSignature::parse(ByteView bytes65) {
    FID_TRY(const auto bytes, fixed<65>(bytes65, "signature"));
    RecoverableSignature signature;
    std::memcpy(signature.r.data(), bytes.data(), 32);
    std::memcpy(signature.s.data(), bytes.data() + 32, 32);
    signature.v = bytes[64] == 27 || bytes[64] == 28 ? static_cast<std::uint8_t>(bytes[64] - 27) : bytes[64];
    FID_CHECK(check_values(signature));
    return signature;
}

Result<RecoverableSignature> sign_recoverable(const Secret& private_key, const Hash& digest) {
    FID_CHECK(check_private_key(private_key));
    Bytes32 extra{};
    for (;;) {  // runs once: recovery ids 2 and 3 need an r between the order and the field's prime (one in 2^127)
        secp256k1_ecdsa_recoverable_signature raw;
        FID_INVARIANT(secp256k1_ecdsa_sign_recoverable(context(), &raw, digest.data(), private_key.view().data(),
                                                       secp256k1_nonce_function_rfc6979, extra == kZero32 ? nullptr : extra.data()) == 1,
                      "signing with a valid key failed");
        std::array<std::uint8_t, 64> compact;
        int recovery_id = 0;
        secp256k1_ecdsa_recoverable_signature_serialize_compact(context(), compact.data(), &recovery_id, &raw);
        if (recovery_id > 1) {
            ++extra[31];
            continue;
        }
        RecoverableSignature signature;
        std::memcpy(signature.r.data(), compact.data(), 32);
        std::memcpy(signature.s.data(), compact.data() + 32, 32);
        signature.v = static_cast<std::uint8_t>(recovery_id);
        return signature;
    }
}

Result<Address> recover_address(const Hash& digest, const RecoverableSignature& signature) {
    FID_CHECK(check_values(signature));
    std::array<std::uint8_t, 64> compact;
    std::memcpy(compact.data(), signature.r.data(), 32);
    std::memcpy(compact.data() + 32, signature.s.data(), 32);
    secp256k1_ecdsa_recoverable_signature raw;
    secp256k1_pubkey key;
    if (secp256k1_ecdsa_recoverable_signature_parse_compact(context(), &raw, compact.data(), signature.v) != 1 ||
        secp256k1_ecdsa_recover(context(), &key, &raw, digest.data()) != 1) {
        return fail(ErrorCode::unverified, "signature: no key fits it");
    }
    return address_of_public_key(key);
}

Result<Address> address_of(const Secret& private_key) {
    FID_CHECK(check_private_key(private_key));
    secp256k1_pubkey key;
    FID_INVARIANT(secp256k1_ec_pubkey_create(context(), &key, private_key.view().data()) == 1, "a valid private key has a public key");
    return address_of_public_key(key);
}

Result<std::array<std::uint8_t, 64>> public_key_of(const Secret& private_key) {
    FID_CHECK(check_private_key(private_key));
    secp256k1_pubkey key;
    FID_INVARIANT(secp256k1_ec_pubkey_create(context(), &key, private_key.view().data()) == 1, "a valid private key has a public key");
    return point_of(key);
}

Secret generate_private_key() {
    for (;;) {
        Secret key = random_secret(32);
        if (check_private_key(key)) return key;
    }
}

}  // namespace fiducial::crypto
