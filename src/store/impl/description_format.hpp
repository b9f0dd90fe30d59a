#pragma once
#include "base/bytes.hpp"
#include "store/types.hpp"
#include "store/vault.hpp"

namespace fiducial::store {

/// What is sealed with an object besides its bytes: all that its index rows are made from.
/// Spec: docs/formats/segments.md#description
struct SealedDescription {
    ObjectDescription description;
    Hash sha256{};
    Hash prefix_sha256{};
    Hash fragment_sha256{};
    std::uint64_t prefix_size = 0;
};
/// Texts longer than 65,535 bytes are cut there.
Bytes encode_description(const SealedDescription& description);
/// Errors: malformed; unsupported for a newer format.
Result<SealedDescription> decode_description(ByteView bytes);

Bytes encode_mark(const Mark& mark);  // without its slot, which stands in clear
Result<Mark> decode_mark(ByteView bytes);

/// A metadata fragment as it is stored: zstd, one frame that names its content's size.
Bytes compress_fragment(ByteView plain);
/// Errors: corrupt; limit_exceeded beyond kMaxFragmentBytes.
Result<Bytes> decompress_fragment(ByteView compressed);
inline constexpr std::size_t kMaxFragmentBytes = std::size_t{256} << 20;

}  // namespace fiducial::store
