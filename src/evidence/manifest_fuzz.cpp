#include "evidence/manifest.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace fiducial;
    const ByteView bytes(data, size);
    if (const auto manifest = evidence::Manifest::decode(bytes)) {
        FID_INVARIANT(manifest->encode().value() == to_bytes(bytes), "a manifest is its own re-serialisation");
    }
    if (const auto body = evidence::InstanceBody::decode(bytes)) {
        FID_INVARIANT(body->encode() == to_bytes(bytes), "an instance body is its own re-serialisation");
    }
    return 0;
}
