#include "store/impl/description_format.hpp"

// What is sealed comes from ourselves, but keys may leak: its readers are as careful as all others.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace fiducial;
    using namespace fiducial::store;
    if (size < 1) return 0;
    const ByteView bytes(data + 1, size - 1);
    switch (data[0] % 3) {
        case 0:
            if (const auto description = decode_description(bytes)) {
                const auto again = decode_description(encode_description(*description));
                FID_INVARIANT(again && encode_description(*again) == encode_description(*description), "a description does not round-trip");
            }
            break;
        case 1:
            if (const auto mark = decode_mark(bytes)) FID_INVARIANT(encode_mark(*mark) == to_bytes(bytes), "a mark does not round-trip");
            break;
        default:
            // A frame may claim up to the limit; inputs that do are left to the limit's own check.
            if (const auto plain = decompress_fragment(bytes))
                FID_INVARIANT(plain->size() <= kMaxFragmentBytes, "a fragment is larger than its limit");
    }
    return 0;
}
