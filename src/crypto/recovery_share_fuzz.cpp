#include "crypto/recovery_share.hpp"

namespace {

using fiducial::crypto::RecoveryShare;

void check(std::string_view typed) {
    auto share = RecoveryShare::parse(typed);
    if (!share) return;
    const auto text = share->to_text();
    const auto again = RecoveryShare::parse(fiducial::as_text(text.view()));
    FID_INVARIANT(again && fiducial::to_bytes(again->value.view()) == fiducial::to_bytes(share->value.view()),
                  "a share does not round-trip");
    const auto key = fiducial::crypto::combine_shares({&*share, 1});
    FID_INVARIANT(!key || share->threshold == 1, "one share gave a key that needs more");
}

}  // namespace

// Each input is tried as typed text, and as the numbers of a share whose text is then well-formed but for them.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    check({reinterpret_cast<const char*>(data), size});
    if (size < 43) return 0;
    RecoveryShare share;
    share.threshold = data[0];
    share.count = data[1];
    share.index = data[2];
    std::memcpy(share.set.data(), data + 3, 4);
    std::memcpy(share.key_check.data(), data + 7, 4);
    share.value = fiducial::crypto::Secret::copy_of({data + 11, 32});
    const auto text = share.to_text();
    check(fiducial::as_text(text.view()));
    return 0;
}
