#pragma once
#include "crypto/hash.hpp"
#include "store/impl/vault_state.hpp"

namespace fiducial::store {

struct ObjectWriter::State {
    State(std::shared_ptr<VaultShared> shared, ObjectHeader object_header, StreamKey key, crypto::Secret study_d, std::uint64_t expected)
        : vault(std::move(shared)),
          header(object_header),
          d(std::move(study_d)),
          cipher(key.key, object_header.encode()),
          expected_size(expected) {}
    ~State();
    State(const State&) = delete;
    State& operator=(const State&) = delete;

    Result<void> write(ByteView bytes);
    Result<Fingerprint> finish();
    /// Puts the last extent in its place and makes the record. Fills in all of `stored` but its location.
    Result<Bytes> make_record(const PendingObject& object, StoredObject& stored);

    Result<void> seal_chunks(ByteView bytes, bool last);
    Result<void> write_extent(ByteView bytes);
    tl::unexpected<Error> spoil(Error error);

    std::shared_ptr<VaultShared> vault;
    ObjectHeader header;
    crypto::Secret d;
    StreamCipher cipher;
    std::uint64_t expected_size = 0;
    crypto::Sha256 whole;
    Bytes plain;   // not yet sealed, at most 16 chunks
    Bytes sealed;  // not yet placed, at most an extent and 16 chunks
    std::vector<Hash> chunk_hashes;
    std::vector<Extent> extents;
    std::set<std::uint32_t> holds;  // segments that they lie in
    std::uint64_t size = 0;
    std::uint64_t written = 0;     // sealed bytes that have their place
    std::shared_ptr<Segment> own;  // of a very large object
    std::uint64_t own_tail = 0;
    std::optional<Fingerprint> finished;
    std::optional<Error> failed;
    bool committed = false;
};

}  // namespace fiducial::store
