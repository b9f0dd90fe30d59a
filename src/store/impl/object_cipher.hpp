#pragma once
#include <cstdint>
#include <optional>

#include "base/bytes.hpp"
#include "crypto/aead.hpp"
#include "evidence/data_set_hash.hpp"
#include "store/types.hpp"

namespace fiducial::store {

using evidence::kChunkSize;
inline constexpr std::size_t kSealedChunkSize = kChunkSize + crypto::kAeadTagSize;

/// Bytes that `plain_size` bytes take when sealed chunk by chunk.
std::uint64_t sealed_size(std::uint64_t plain_size);
/// The reverse; nothing for a length that no stream has.
std::optional<std::uint64_t> plain_size(std::uint64_t sealed_size);

/// Key of one stream and the value that commits to it. Spec: docs/formats/segments.md#streams
struct StreamKey {
    crypto::Secret key;
    Hash commitment{};
};
StreamKey derive_stream_key(const crypto::Secret& d, const Bytes32& id, std::string_view info);

/// AES-256-GCM a chunk of 32 KiB, nonce = 7 zero bytes ‖ u32 chunk ‖ last flag (STREAM).
class StreamCipher {
public:
    StreamCipher(const crypto::Secret& key, Bytes associated) : aead_(key.view()), associated_(std::move(associated)) {}
    /// Requires: out.size() == plain.size() + 16.
    void seal(std::uint32_t chunk, bool last, ByteView plain, MutableByteView out) {
        aead_.seal(nonce(chunk, last), associated_, plain, out);
    }
    /// Errors: corrupt; plain is zeroed.
    Result<void> open(std::uint32_t chunk, bool last, ByteView sealed, MutableByteView plain) {
        return aead_.open(nonce(chunk, last), associated_, sealed, plain);
    }

private:
    static crypto::AeadNonce nonce(std::uint32_t chunk, bool last);
    crypto::Aes256Gcm aead_;
    Bytes associated_;
};

/// A whole stream that fits into memory.
Bytes seal_stream(const crypto::Secret& key, ByteView associated, ByteView plain);
Result<Bytes> open_stream(const crypto::Secret& key, ByteView associated, ByteView sealed);

/// What stands in clear of each object, and in the associated data of each of its chunks.
struct ObjectHeader {
    static constexpr std::size_t kSize = 80;
    ObjectKind kind = ObjectKind::instance;
    Slot slot = 0;
    ObjectId id{};
    Hash commitment{};

    Bytes encode() const;
    /// Errors: malformed; unsupported for a newer format or another algorithm.
    static Result<ObjectHeader> decode(ByteView bytes);
    Hash hash() const;
};

}  // namespace fiducial::store
