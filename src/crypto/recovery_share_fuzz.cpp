#include "crypto/recovery_share.hpp"

// A share that passes prints and reads as itself, and combining it never gives anything but its own set's key.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using fiducial::crypto::RecoveryShare;
    auto share = RecoveryShare::parse({reinterpret_cast<const char*>(data), size});
    if (!share) return 0;
    const auto text = share->to_text();
    const auto again = RecoveryShare::parse(fiducial::as_text(text.view()));
    FID_INVARIANT(again && fiducial::to_bytes(again->value.view()) == fiducial::to_bytes(share->value.view()), "a share does not round-trip");
    const auto key = fiducial::crypto::combine_shares({&*share, 1});
    FID_INVARIANT(!key || share->threshold == 1, "one share gave a key that needs more");
    return 0;
}
