#include <cstdlib>

#include "ethereum/typed_data.hpp"

using namespace fiducial;
using namespace fiducial::ethereum;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto text = as_text(ByteView(data, size));
    (void)StructHasher(text).u64(1).bytes32({}).string("x").finish();
    const auto typed = TypedData::parse(text);
    if (!typed) return 0;
    if (!typed->encoded_type().starts_with(typed->primary_type() + "(")) std::abort();
    (void)typed->digest();
    return 0;
}
