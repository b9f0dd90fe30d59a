#include "crypto/passphrase.hpp"

// A key file that passes is the only form of what it says: written again, it is the same bytes.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const fiducial::ByteView file(data, size);
    if (const auto key = fiducial::crypto::SealedKey::parse(file)) {
        FID_INVARIANT(key->serialise() == fiducial::to_bytes(file), "a key file does not round-trip");
    }
    return 0;
}
