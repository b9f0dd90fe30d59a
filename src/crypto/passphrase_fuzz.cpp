#include "crypto/hash.hpp"
#include "crypto/passphrase.hpp"

namespace {

using fiducial::ByteView;

void check(ByteView file) {
    if (const auto key = fiducial::crypto::SealedKey::parse(file)) {
        FID_INVARIANT(key->serialise() == fiducial::to_bytes(file), "a key file does not round-trip");
    }
}

}  // namespace

// A key file that passes is the only form of what it says: written again, it is the same bytes. Each input is tried as it is,
// and with the checksum that its bytes ought to have.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    check({data, size});
    if (size < 8 || size > 1024) return 0;
    fiducial::Bytes forged(data, data + size - 8);
    const fiducial::Hash checksum = fiducial::crypto::tagged_sha256("fid.keysum1", {forged});
    fiducial::append(forged, ByteView(checksum).first(8));
    check(forged);
    return 0;
}
