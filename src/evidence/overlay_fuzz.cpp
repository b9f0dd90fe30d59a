#include "evidence/overlay.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace fiducial;
    const ByteView bytes(data, size);
    if (const auto overlay = evidence::Overlay::decode(bytes)) {
        FID_INVARIANT(overlay->encode().value() == to_bytes(bytes), "an overlay is its own re-serialisation");
    }
    return 0;
}
