#include "audit/entry.hpp"

// Any bytes: decoding never harms, and what passes has one encoding only. Sealed parts are opened with a key that fits none.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace fiducial;
    const auto stored = audit::decode_entry({data, size});
    if (!stored) return 0;
    FID_INVARIANT(stored->bytes == Bytes(data, data + size), "an entry does not keep its bytes");
    static const crypto::Secret key(32);
    (void)stored->open_staff(key);
    (void)stored->open_patient(key);
    if (!stored->staff && !stored->patient) {
        FID_INVARIANT(audit::encode_entry(stored->clear, {}) == stored->bytes, "an entry does not round-trip");
    }
    return 0;
}
