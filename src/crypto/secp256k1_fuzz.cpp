#include "crypto/secp256k1.hpp"

// Any 65 bytes and a digest: parsed, recovered and written again without harm; v only in its short form.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size < 32) return 0;
    fiducial::Hash digest;
    std::memcpy(digest.data(), data, digest.size());
    const auto signature = fiducial::crypto::RecoverableSignature::parse({data + 32, size - 32});
    if (!signature) return 0;
    const auto again = fiducial::crypto::RecoverableSignature::parse(signature->serialised());
    FID_INVARIANT(again && again->serialised() == signature->serialised(), "a signature does not round-trip");
    const auto address = fiducial::crypto::recover_address(digest, *signature);
    FID_INVARIANT(address || address.error().code == fiducial::ErrorCode::unverified, "a parsed signature is called malformed");
    return 0;
}
