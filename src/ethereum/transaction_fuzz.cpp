#include <cstdlib>

#include "ethereum/transaction.hpp"

using namespace fiducial;
using namespace fiducial::ethereum;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const ByteView bytes(data, size);
    const auto decoded = decode_transaction(bytes);
    if (!decoded) return 0;
    if (decoded->encode() != to_bytes(bytes)) std::abort();
    (void)decoded->sender();
    (void)intrinsic_gas(decoded->transaction);
    return 0;
}
