#include <cstdlib>

#include "ethereum/rlp.hpp"

using namespace fiducial;
using namespace fiducial::ethereum;

namespace {

void encode_again(const rlp::Item& item, Bytes& out) {
    if (!item.is_list()) {
        rlp::append_bytes(out, item.payload());
        return;
    }
    Bytes payload;
    const auto items = item.items("item");
    if (!items) std::abort();
    for (const auto& inner : *items) encode_again(inner, payload);
    rlp::append_list_prefix(out, payload.size());
    append(out, payload);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const ByteView bytes(data, size);
    const auto item = rlp::decode(bytes);
    if (!item) return 0;
    Bytes again;
    encode_again(*item, again);
    if (again != to_bytes(bytes)) std::abort();  // there is one encoding only
    if (const auto number = item->uint256("number")) {
        Bytes encoded;
        rlp::append_uint256(encoded, *number);
        if (encoded != again) std::abort();
    }
    return 0;
}
