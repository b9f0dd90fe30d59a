#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "base/bytes.hpp"
#include "crypto/hash.hpp"

namespace fiducial::evidence {

inline constexpr std::size_t kChunkSize = 32768;

/// What identifies the bytes of one data set.
/// Spec: docs/formats/chunks.md
struct DataSetFingerprint {
    std::uint64_t size = 0;
    Hash sha256{};
    Hash chunk_root{};
    std::vector<Hash> chunk_hashes;  // plain SHA-256 of each chunk of 32 KiB; the last chunk may be shorter
    bool operator==(const DataSetFingerprint&) const = default;
};

/// H(0x00 ‖ tag "fid.chunk1" ‖ u32 index ‖ SHA-256(chunk)).
Hash chunk_leaf(std::uint32_t index, const Hash& chunk_sha256);
/// Root of the RFC 6962 tree over the chunk leaves. Errors: invalid_argument for no chunks; limit_exceeded beyond 2^32 chunks.
Result<Hash> chunk_root(std::span<const Hash> chunk_hashes);
/// ceil(size / 32768).
std::uint64_t chunk_count(std::uint64_t size);

/// Fingerprints a data set that arrives in pieces of any size.
/// Units: memory is half a megabyte and 32 bytes a chunk.
/// Threads: one object, one thread.
class DataSetHasher {
public:
    DataSetHasher();
    void update(ByteView bytes);
    std::uint64_t size() const { return size_; }
    /// The object then starts anew. Errors: invalid_argument for a data set of no bytes; limit_exceeded beyond 2^32 chunks.
    Result<DataSetFingerprint> finish();

private:
    void hash_chunks(ByteView bytes);

    crypto::Sha256 whole_;
    Bytes pending_;
    std::vector<Hash> chunks_;
    std::uint64_t size_ = 0;
};

}  // namespace fiducial::evidence
