#include "evidence/data_set_hash.hpp"

#include "crypto/merkle.hpp"

namespace fiducial::evidence {

namespace {

constexpr std::size_t kBatch = 16;  // chunks hashed side by side
constexpr std::uint64_t kMaxChunks = std::uint64_t{1} << 32;

}  // namespace

Hash chunk_leaf(std::uint32_t index, const Hash& chunk_sha256) {
    Bytes number;
    append_be(number, index);
    return crypto::tagged_leaf_sha256("fid.chunk1", {number, chunk_sha256});
}

Result<Hash> chunk_root(std::span<const Hash> chunk_hashes) {
    if (chunk_hashes.empty()) return fail(ErrorCode::invalid_argument, "a data set of no bytes has no fingerprint");
    if (chunk_hashes.size() > kMaxChunks) return fail(ErrorCode::limit_exceeded, "a data set of more than 2^32 chunks");
    crypto::MerkleAccumulator tree;
    for (std::size_t i = 0; i < chunk_hashes.size(); ++i) tree.add(chunk_leaf(static_cast<std::uint32_t>(i), chunk_hashes[i]));
    return tree.root();
}

std::uint64_t chunk_count(std::uint64_t size) {
    return size / kChunkSize + (size % kChunkSize != 0 ? 1 : 0);
}

DataSetHasher::DataSetHasher() {
    pending_.reserve(kBatch * kChunkSize);
}

void DataSetHasher::hash_chunks(ByteView bytes) {
    std::array<ByteView, kBatch> messages;
    while (!bytes.empty()) {
        std::size_t count = 0;
        for (; count < kBatch && !bytes.empty(); ++count) {
            messages[count] = bytes.first(std::min(bytes.size(), kChunkSize));
            bytes = bytes.subspan(messages[count].size());
        }
        const std::size_t start = chunks_.size();
        chunks_.resize(start + count);
        crypto::sha256_many(std::span(messages).first(count), std::span(chunks_).subspan(start));
    }
}

void DataSetHasher::update(ByteView bytes) {
    whole_.update(bytes);
    size_ += bytes.size();
    if (!pending_.empty()) {
        const std::size_t wanted = std::min(bytes.size(), kBatch * kChunkSize - pending_.size());
        append(pending_, bytes.first(wanted));
        bytes = bytes.subspan(wanted);
        if (pending_.size() < kBatch * kChunkSize) return;
        hash_chunks(pending_);
        pending_.clear();
    }
    const std::size_t whole = bytes.size() - bytes.size() % (kBatch * kChunkSize);
    hash_chunks(bytes.first(whole));
    append(pending_, bytes.subspan(whole));
}

Result<DataSetFingerprint> DataSetHasher::finish() {
    hash_chunks(pending_);
    pending_.clear();
    DataSetFingerprint out{std::exchange(size_, 0), whole_.finish(), {}, std::exchange(chunks_, {})};
    FID_TRY(out.chunk_root, evidence::chunk_root(out.chunk_hashes));
    return out;
}

}  // namespace fiducial::evidence
