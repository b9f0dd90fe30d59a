#include "crypto/ed25519.hpp"

#include <sodium.h>

namespace fiducial::crypto {
namespace {

struct KeyPair {
    Bytes32 public_key{};
    Secret secret{crypto_sign_SECRETKEYBYTES};

    explicit KeyPair(const Secret& seed) {
        FID_INVARIANT(seed.size() == crypto_sign_SEEDBYTES, "an Ed25519 seed has 32 bytes");
        FID_INVARIANT(crypto_sign_seed_keypair(public_key.data(), secret.bytes().data(), seed.view().data()) == 0,
                      "libsodium makes no key");
    }
};

}  // namespace

Bytes32 ed25519_public_key(const Secret& seed) {
    return KeyPair(seed).public_key;
}

Ed25519Signature ed25519_sign(const Secret& seed, ByteView message) {
    const KeyPair pair(seed);
    Ed25519Signature signature{};
    FID_INVARIANT(crypto_sign_detached(signature.data(), nullptr, message.data(), message.size(), pair.secret.view().data()) == 0,
                  "libsodium does not sign");
    return signature;
}

Result<void> ed25519_verify(const Bytes32& public_key, ByteView message, ByteView signature) {
    if (signature.size() == crypto_sign_BYTES &&
        crypto_sign_verify_detached(signature.data(), message.data(), message.size(), public_key.data()) == 0)
        return {};
    return fail(ErrorCode::unverified, "the Ed25519 signature does not fit key and text");
}

}  // namespace fiducial::crypto
