#include "archive/backup_manifest.hpp"

// A manifest that was read is what it says: made again and read again, it is the same.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace fiducial;
    const auto found = archive::FoundManifest::decode({data, size});
    if (!found) return 0;
    const auto key = crypto::Secret::copy_of(kZero32);
    const auto again = archive::FoundManifest::decode(found->manifest.encode(key));
    FID_INVARIANT(again.has_value() && again->authenticate(key).has_value(), "a manifest that was made can be read");
    FID_INVARIANT(again->manifest.body() == found->manifest.body(), "a manifest says the same again");
    return 0;
}
