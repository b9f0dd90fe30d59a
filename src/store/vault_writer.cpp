#include <algorithm>
#include <array>

#include "base/hex.hpp"

#include "store/impl/vault_state.hpp"
#include "store/impl/writer_state.hpp"

namespace fiducial::store {

Result<void> ObjectWriter::State::write(ByteView bytes) {
    if (failed) return fail(*failed);
    if (finished) return fail(ErrorCode::invalid_argument, "bytes for an object that is finished");
    if (bytes.size() > kMaxObjectBytes - size)
        return spoil({ErrorCode::limit_exceeded, "an object may have at most " + std::to_string(kMaxObjectBytes) + " bytes"});
    size += bytes.size();
    constexpr std::size_t kBatch = kHashedTogether * kChunkSize;
    while (!bytes.empty()) {
        // A chunk is sealed only when a byte behind it is known: the last one carries a flag.
        if (plain.empty() && bytes.size() > kBatch) {
            FID_CHECK(seal_chunks(bytes.first(kBatch), false));
            bytes = bytes.subspan(kBatch);
            continue;
        }
        if (plain.size() == kBatch) {
            FID_CHECK(seal_chunks(plain, false));
            plain.clear();
            continue;
        }
        const auto count = std::min(kBatch - plain.size(), bytes.size());
        append(plain, bytes.first(count));
        bytes = bytes.subspan(count);
    }
    return {};
}

Result<void> ObjectWriter::State::seal_chunks(ByteView bytes, bool last) {
    whole.update(bytes);
    const auto count = evidence::chunk_count(bytes.size());
    std::vector<ByteView> chunks;
    for (std::uint64_t i = 0; i < count; ++i)
        chunks.push_back(bytes.subspan(i * kChunkSize, std::min<std::size_t>(kChunkSize, bytes.size() - i * kChunkSize)));
    if (sealed.capacity() == 0) sealed.reserve(last ? sealed_size(bytes.size()) : kExtentBytes + kHashedTogether * kSealedChunkSize);
    const auto first = chunk_hashes.size();
    chunk_hashes.resize(first + count);
    crypto::sha256_many(chunks, std::span(chunk_hashes).subspan(first));
    for (std::uint64_t i = 0; i < count; ++i) {
        const auto at = sealed.size();
        sealed.resize(at + chunks[i].size() + crypto::kAeadTagSize);
        cipher.seal(static_cast<std::uint32_t>(first + i), last && i + 1 == count, chunks[i], MutableByteView(sealed).subspan(at));
    }
    while (sealed.size() > kExtentBytes || (sealed.size() == kExtentBytes && !last)) {
        FID_CHECK(write_extent(ByteView(sealed).first(kExtentBytes)));
        sealed.erase(sealed.begin(), sealed.begin() + static_cast<std::ptrdiff_t>(kExtentBytes));
    }
    return {};
}

Result<void> ObjectWriter::State::write_extent(ByteView bytes) {
    const auto placed = [&]() -> Result<VaultShared::Place> {
        FID_CHECK(vault->admit(header.kind));
        const std::vector<std::uint32_t> held(holds.begin(), holds.end());
        if (const auto lost = vault->spoiled_in(held)) return fail(*lost);
        const bool large = written + bytes.size() > vault->options.own_file_bytes || expected_size > vault->options.own_file_bytes;
        if (large && !own) {
            const std::lock_guard lock(vault->tail_mutex);
            FID_TRY(own, vault->make_segment(true));
            vault->being_written.insert(own->number());
            vault->hold(own->number(), holds);
            own_tail = kSegmentHeaderSize;
        }
        if (!own) return vault->reserve(bytes.size(), holds);
        VaultShared::Place place{own, own_tail};
        own_tail += bytes.size();
        return place;
    }();
    if (!placed) return spoil(placed.error());
    const auto number = placed->segment->number();
    if (auto put = placed->segment->write_at(placed->offset, bytes); !put) {
        if (!own) vault->give_back(std::array{Extent{number, placed->offset, bytes.size()}});
        return spoil(put.error());
    }
    if (!extents.empty() && extents.back().segment == number && extents.back().offset + extents.back().size == placed->offset) {
        extents.back().size += bytes.size();
    } else {
        extents.push_back({number, placed->offset, bytes.size()});
    }
    written += bytes.size();
    return {};
}

Result<ObjectWriter::Fingerprint> ObjectWriter::State::finish() {
    if (failed) return fail(*failed);
    if (finished) return *finished;
    if (size == 0) return fail(ErrorCode::invalid_argument, "an object without a byte");
    FID_CHECK(seal_chunks(plain, true));
    plain = {};
    FID_TRY(const auto root, evidence::chunk_root(chunk_hashes));
    finished = Fingerprint{size, whole.finish(), root};
    return *finished;
}

tl::unexpected<Error> ObjectWriter::State::spoil(Error error) {
    failed = error.with("object " + to_hex(header.id));
    plain = {};
    sealed = {};
    return fail(*failed);
}

Result<Bytes> ObjectWriter::State::make_record(const PendingObject& object, StoredObject& stored) {
    FID_TRY(const auto print, finish());
    if (!sealed.empty()) {
        FID_CHECK(write_extent(sealed));
        sealed = {};
    }
    ObjectRecord record;
    record.header = header;
    record.size = print.size;
    record.extents = extents;
    const auto associated = header.encode();
    const auto seal_part = [&](std::string_view info, ByteView part) {
        return seal_stream(derive_stream_key(d, header.id, info).key, associated, part);
    };
    Bytes hashes;
    hashes.reserve(chunk_hashes.size() * sizeof(Hash));
    for (const auto& hash : chunk_hashes) append(hashes, hash);
    record.sealed_chunk_hashes = seal_part("fid.chunks1", hashes);

    SealedDescription description{object.description, print.sha256, {}, {}, object.prefix.size()};
    if (!object.prefix.empty()) {
        description.prefix_sha256 = crypto::sha256(object.prefix);
        record.sealed_prefix = seal_part("fid.prefix1", object.prefix);
    }
    if (!object.fragment.empty()) {
        if (object.fragment.size() > kMaxFragmentBytes)
            return fail(ErrorCode::limit_exceeded, "a metadata fragment of " + std::to_string(object.fragment.size()) + " bytes");
        description.fragment_sha256 = crypto::sha256(object.fragment);
        record.fragment_id = crypto::random_bytes32();
        const auto fragment_key = derive_stream_key(d, record.fragment_id, "fid.fragment1");
        record.fragment_commitment = fragment_key.commitment;
        record.sealed_fragment = seal_stream(fragment_key.key, associated, compress_fragment(object.fragment));
    }
    record.sealed_description = seal_part("fid.facts1", encode_description(description));

    stored.ref = {header.id, header.hash(), print.chunk_root, print.size, header.slot, {}};
    stored.description = object.description;
    stored.sha256 = print.sha256;
    stored.prefix_sha256 = description.prefix_sha256;
    stored.fragment_sha256 = description.fragment_sha256;
    stored.prefix_size = description.prefix_size;
    stored.stored_size = written;
    return encode_record(record);
}

ObjectWriter::State::~State() {
    if (!committed) vault->give_back(extents);
    vault->let_go(holds);
    if (!own) return;
    const auto number = own->number();
    own.reset();
    if (!committed) {
        const auto removed = vault->forget_segment(number);
        (void)removed;  // what is left is found by fsck
    }
    const std::lock_guard lock(vault->tail_mutex);
    vault->being_written.erase(number);
}

ObjectWriter::ObjectWriter(std::unique_ptr<State> state) : state_(std::move(state)) {}
ObjectWriter::ObjectWriter(ObjectWriter&&) noexcept = default;
ObjectWriter& ObjectWriter::operator=(ObjectWriter&&) noexcept = default;
ObjectWriter::~ObjectWriter() = default;

const ObjectId& ObjectWriter::id() const {
    return state_->header.id;
}
Result<void> ObjectWriter::write(ByteView bytes) {
    if (!state_) return fail(ErrorCode::cancelled, "bytes for an object that was abandoned");
    return state_->write(bytes);
}
std::uint64_t ObjectWriter::size() const {
    return state_ ? state_->size : 0;
}
Result<ObjectWriter::Fingerprint> ObjectWriter::finish() {
    if (!state_) return fail(ErrorCode::cancelled, "the object was abandoned");
    return state_->finish();
}
void ObjectWriter::abandon() {
    state_.reset();
}

}  // namespace fiducial::store
