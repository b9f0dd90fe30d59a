#include <cstdlib>

#include "ethereum/abi.hpp"

using namespace fiducial;
using namespace fiducial::ethereum;

namespace {

// The first byte of the input says what to read from the rest.
Result<Bytes> read_flat(AbiReader reader) {
    AbiWriter out;
    FID_TRY(const auto key, reader.bytes32("key"));
    FID_TRY(const auto version, reader.u64("version"));
    FID_TRY(const auto text, reader.string("text"));
    FID_TRY(const auto flag, reader.boolean("flag"));
    FID_TRY(const auto who, reader.address("who"));
    FID_TRY(const auto raw, reader.bytes("raw"));
    FID_TRY(const auto number, reader.i64("number"));
    FID_CHECK(reader.finish("all"));
    return out.bytes32(key).u64(version).string(text).boolean(flag).address(who).bytes(raw).i64(number).finish();
}

Result<Bytes> read_nested(AbiReader reader) {
    AbiWriter items;
    FID_TRY(auto list, reader.array("list"));
    for (std::size_t i = 0; i < list.count; ++i) {
        FID_TRY(auto entry, list.items.tuple("entry"));
        AbiWriter fields;
        FID_TRY(const auto number, entry.uint256("number"));
        FID_TRY(const auto text, entry.bytes("text"));
        FID_TRY(auto words, entry.array("words"));
        AbiWriter inner;
        for (std::size_t j = 0; j < words.count && j < 1000; ++j) {
            FID_TRY(const auto word, words.items.bytes_n(4, "word"));
            inner.bytes_n(word);
        }
        if (words.count > 1000 || i > 200) return fail(ErrorCode::limit_exceeded, "more than this fuzzer walks");
        items.tuple(fields.uint256(number).bytes(text).array(inner));
    }
    FID_CHECK(reader.finish("all"));
    return AbiWriter().array(items).finish();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size == 0) return 0;
    const ByteView bytes = ByteView(data, size).subspan(1);
    (void)describe_revert(bytes);
    const auto again = (data[0] & 1) != 0 ? read_flat(AbiReader(bytes)) : read_nested(AbiReader(bytes));
    if (!again) return 0;
    // Offsets may overlap or stand in another order; what is written from the values reads as the same values.
    const auto twice = (data[0] & 1) != 0 ? read_flat(AbiReader(*again)) : read_nested(AbiReader(*again));
    if (!twice || *twice != *again) std::abort();
    return 0;
}
