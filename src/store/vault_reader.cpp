#include <algorithm>
#include <cstring>

#include "base/buffer_pool.hpp"
#include "base/hex.hpp"
#include "store/impl/vault_state.hpp"

namespace fiducial::store {
namespace {

constexpr std::uint64_t kReadAhead = 16;  // chunks: as many as are hashed side by side; sealed and plain, they stay in a core's own cache

// What readers read into: each of them two.
BufferPool& reading_buffers() {
    static BufferPool pool(16);
    return pool;
}

}  // namespace

Result<StreamSecret> secret_of_stream(const StudySecretPair& secrets, std::uint32_t segment, const Bytes32& id, std::string_view info,
                                      const Hash& commitment) {
    const auto fits = [&](const StreamKey& key) { return crypto::equal_constant_time(key.commitment, commitment); };
    if (auto key = derive_stream_key(secrets.d, id, info); fits(key)) return StreamSecret{secrets.d.clone(), std::move(key)};
    // What came since is under the present secret, or was not stored by us: whoever knows the former one could have written it.
    if (segment <= secrets.former_until) {
        if (auto key = derive_stream_key(secrets.former_d, id, info); fits(key))
            return StreamSecret{secrets.former_d.clone(), std::move(key)};
    }
    return fail(ErrorCode::corrupt, "the key commitment does not match");
}

bool is_named(const ObjectHeader& header, const Hash& header_hash, const StudySecretPair& secrets) {
    if (header.hash() == header_hash) return true;
    if (secrets.former_until == 0) return false;
    const auto under = [&](const crypto::Secret& d) {
        auto other = header;
        other.commitment = derive_stream_key(d, header.id, "fid.object1").commitment;
        return other.hash() == header_hash;
    };
    return under(secrets.d) || under(secrets.former_d);
}

Result<OpenedRecord> open_record(ObjectRecord record, const StudySecretPair& secrets, std::uint32_t segment) {
    OpenedRecord opened;
    FID_TRY(auto secret, secret_of_stream(secrets, segment, record.header.id, "fid.object1", record.header.commitment));
    opened.d = std::move(secret.d);
    opened.key = std::move(secret.key);
    const auto& d = opened.d;
    const auto associated = record.header.encode();
    const auto open_part = [&](std::string_view info, std::string_view what, ByteView sealed) -> Result<Bytes> {
        auto plain = open_stream(derive_stream_key(d, record.header.id, info).key, associated, sealed);
        if (!plain) return fail(plain.error().with(what));
        return plain;
    };
    FID_TRY(const auto hashes, open_part("fid.chunks1", "list of chunk hashes", record.sealed_chunk_hashes));
    if (hashes.size() != evidence::chunk_count(record.size) * sizeof(Hash))
        return fail(ErrorCode::corrupt, "the list of chunk hashes has another length than the object calls for");
    opened.chunk_hashes.resize(hashes.size() / sizeof(Hash));
    std::memcpy(opened.chunk_hashes.data(), hashes.data(), hashes.size());
    FID_TRY(opened.chunk_root, evidence::chunk_root(opened.chunk_hashes));
    FID_TRY(const auto description, open_part("fid.facts1", "description", record.sealed_description));
    FID_TRY(opened.description, decode_description(description));
    opened.record = std::move(record);
    return opened;
}

struct ObjectReader::State {
    State(std::shared_ptr<const VaultShared> shared, ObjectRef object_ref, OpenedRecord record)
        : vault(std::move(shared)), ref(object_ref), opened(std::move(record)), cipher(opened.key.key, opened.record.header.encode()) {
        std::uint64_t at = 0;
        for (const auto& extent : opened.record.extents) {
            starts.push_back(at);
            at += extent.size;
            // Held from here on, so that a segment that is rewritten meanwhile stays readable. What is missing is named when it is read.
            places.push_back(vault->resolve(extent.segment, extent.offset).value_or(VaultShared::Resolved{}));
        }
    }

    std::uint64_t count() const { return opened.chunk_hashes.size(); }
    std::size_t chunk_size(std::uint64_t index) const {
        return static_cast<std::size_t>(std::min(kChunkSize, ref.size - index * kChunkSize));
    }

    /// Reads, decrypts and checks chunks, at most `wanted` of them, into the beginning of `into`. Returns: how many.
    /// Requires: there are that many, and they fit.
    Result<std::uint64_t> load(std::uint64_t first, std::uint64_t wanted, MutableByteView into) {
        const std::uint64_t at = first * kSealedChunkSize;
        const auto next = std::upper_bound(starts.begin(), starts.end(), at);
        const auto index = static_cast<std::size_t>(next - starts.begin()) - 1;
        const auto& extent = opened.record.extents[index];
        auto& place = places[index];
        Result<void> found;
        if (!place.segment) {
            auto again = vault->resolve(extent.segment, extent.offset);
            if (again)
                place = *std::move(again);
            else
                found = fail(again.error());
        }
        const std::uint32_t number = place.segment ? place.segment->number() : extent.segment;
        const std::uint64_t offset = (place.segment ? place.offset : extent.offset) + (at - starts[index]);
        const std::uint64_t left = extent.size - (at - starts[index]);
        const auto chunks = std::min(wanted, (left + kSealedChunkSize - 1) / kSealedChunkSize);
        const auto sealed_bytes = std::min<std::uint64_t>(chunks * kSealedChunkSize, left);
        const auto name = [&](Error error, std::uint64_t chunk) {
            if (error.code == ErrorCode::not_found) error.code = ErrorCode::corrupt;
            return error.with("object " + to_hex(ref.id) + ": chunk " + std::to_string(chunk) + " (" +
                              describe({number, offset + (chunk - first) * kSealedChunkSize}) + ")");
        };
        if ((*sealed).size() < sealed_bytes) (*sealed).resize(sealed_bytes);
        if (!found) return fail(name(found.error(), first));
        if (auto got = place.segment->read_exactly_at(offset, MutableByteView(*sealed).first(sealed_bytes)); !got)
            return fail(name(got.error(), first));
        std::vector<ByteView> views;
        for (std::uint64_t i = 0; i < chunks; ++i) {
            const auto plain = into.subspan(i * kChunkSize, chunk_size(first + i));
            const auto part = ByteView(*sealed).subspan(i * kSealedChunkSize, plain.size() + crypto::kAeadTagSize);
            if (auto ok = cipher.open(static_cast<std::uint32_t>(first + i), first + i + 1 == count(), part, plain); !ok)
                return fail(name(ok.error(), first + i));
            views.push_back(plain);
        }
        std::vector<Hash> hashes(views.size());
        crypto::sha256_many(views, hashes);
        for (std::uint64_t i = 0; i < chunks; ++i) {
            if (hashes[i] != opened.chunk_hashes[first + i])
                return fail(
                    name({ErrorCode::corrupt, "the bytes do not have the hash that the object's fingerprint calls for"}, first + i));
        }
        return chunks;
    }
    Result<void> load_window(std::uint64_t first, std::uint64_t wanted) {
        window_count = 0;
        wanted = std::min(wanted, count() - first);
        if ((*window).size() < wanted * kChunkSize) (*window).resize(wanted * kChunkSize);
        FID_TRY(window_count, load(first, wanted, *window));
        window_first = first;
        return {};
    }
    bool in_window(std::uint64_t index) const { return index >= window_first && index < window_first + window_count; }

    /// Chunks from `first` on that fit into `out` whole, without a copy in between. Returns: bytes, 0 where it is not worth it, or where
    /// one of them is damaged: chunk() says which.
    std::size_t load_into(std::uint64_t first, MutableByteView out) {
        std::uint64_t chunks = 0;
        for (std::size_t bytes = 0; chunks < kReadAhead && first + chunks < count(); ++chunks) {
            bytes += chunk_size(first + chunks);
            if (bytes > out.size()) break;
        }
        if (chunks < 2) return 0;
        const auto loaded = load(first, chunks, out);
        if (!loaded) return 0;
        return (*loaded - 1) * kChunkSize + chunk_size(first + *loaded - 1);
    }

    Location place_of(std::uint64_t position) const {
        const std::uint64_t at = position / kChunkSize * kSealedChunkSize + position % kChunkSize;
        const auto index = static_cast<std::size_t>(std::upper_bound(starts.begin(), starts.end(), at) - starts.begin()) - 1;
        const auto& extent = opened.record.extents[index];
        const auto& place = places[index];
        if (!place.segment) return {extent.segment, extent.offset + (at - starts[index])};
        return {place.segment->number(), place.offset + (at - starts[index])};
    }

    Result<ByteView> chunk(std::uint64_t index) {
        if (index >= count())
            return fail(ErrorCode::invalid_argument, "chunk " + std::to_string(index) + " of an object of " + std::to_string(count()));
        if (!in_window(index)) {
            const bool in_sequence = window_count > 0 ? index == window_first + window_count : index == 0;
            auto loaded = load_window(index, in_sequence ? kReadAhead : 1);
            if (!loaded && in_sequence) loaded = load_window(index, 1);  // one behind it may be the damaged one
            FID_CHECK(loaded);
        }
        return ByteView(*window).subspan((index - window_first) * kChunkSize, chunk_size(index));
    }

    std::shared_ptr<const VaultShared> vault;
    ObjectRef ref;
    OpenedRecord opened;
    StreamCipher cipher;
    std::vector<std::uint64_t> starts;          // of each extent, in the sealed stream
    std::vector<VaultShared::Resolved> places;  // of each extent; no segment: not found yet
    PooledBuffer sealed{reading_buffers()};
    PooledBuffer window{reading_buffers()};  // checked chunks window_first … window_first + window_count - 1
    std::uint64_t window_first = 0;
    std::uint64_t window_count = 0;
};

ObjectReader::ObjectReader(std::unique_ptr<State> state) : state_(std::move(state)) {}
ObjectReader::ObjectReader(ObjectReader&&) noexcept = default;
ObjectReader& ObjectReader::operator=(ObjectReader&&) noexcept = default;
ObjectReader::~ObjectReader() = default;

Location ObjectReader::place_of(std::uint64_t position) const {
    return state_->place_of(position);
}
std::uint64_t ObjectReader::size() const {
    return state_->ref.size;
}
std::uint64_t ObjectReader::chunk_count() const {
    return state_->count();
}
std::span<const Hash> ObjectReader::chunk_hashes() const {
    return state_->opened.chunk_hashes;
}
const ObjectDescription& ObjectReader::description() const {
    return state_->opened.description.description;
}
Result<ByteView> ObjectReader::read_chunk(std::uint64_t index) {
    return state_->chunk(index);
}

Result<std::size_t> ObjectReader::read(std::uint64_t offset, MutableByteView out) {
    std::size_t done = 0;
    while (done < out.size() && offset + done < state_->ref.size) {
        const std::uint64_t at = offset + done;
        if (at % kChunkSize == 0 && !state_->in_window(at / kChunkSize)) {
            if (const auto direct = state_->load_into(at / kChunkSize, out.subspan(done)); direct > 0) {
                done += direct;
                continue;
            }
        }
        FID_TRY(const auto chunk, state_->chunk(at / kChunkSize));
        const auto part = chunk.subspan(at % kChunkSize);
        const auto count = std::min(part.size(), out.size() - done);
        std::memcpy(out.data() + done, part.data(), count);
        done += count;
    }
    return done;
}

Result<Bytes> ObjectReader::fragment() const {
    const auto& record = state_->opened.record;
    if (record.sealed_fragment.empty()) return Bytes{};
    const auto named = [&](Error error) {
        return error.with("object " + to_hex(state_->ref.id) + ": fragment (" + describe(state_->ref.location) + ")");
    };
    const auto key = derive_stream_key(state_->opened.d, record.fragment_id, "fid.fragment1");
    if (!crypto::equal_constant_time(key.commitment, record.fragment_commitment))
        return fail(named({ErrorCode::corrupt, "the key commitment does not match"}));
    auto compressed = open_stream(key.key, record.header.encode(), record.sealed_fragment);
    if (!compressed) return fail(named(compressed.error()));
    auto plain = decompress_fragment(*compressed);
    if (!plain) return fail(named(plain.error()));
    if (crypto::sha256(*plain) != state_->opened.description.fragment_sha256)
        return fail(named({ErrorCode::corrupt, "its hash is not the one that was stored"}));
    return plain;
}

Result<Bytes> ObjectReader::prefix() const {
    const auto& record = state_->opened.record;
    if (record.sealed_prefix.empty()) return Bytes{};
    const auto named = [&](Error error) {
        return error.with("object " + to_hex(state_->ref.id) + ": prefix (" + describe(state_->ref.location) + ")");
    };
    auto plain =
        open_stream(derive_stream_key(state_->opened.d, record.header.id, "fid.prefix1").key, record.header.encode(), record.sealed_prefix);
    if (!plain) return fail(named(plain.error()));
    if (crypto::sha256(*plain) != state_->opened.description.prefix_sha256)
        return fail(named({ErrorCode::corrupt, "its hash is not the one that was stored"}));
    return plain;
}

Result<Bytes> read_record_bytes(const Segment& segment, std::uint64_t offset) {
    Bytes bytes(4096);
    FID_TRY(const auto size, segment.size());
    if (offset + kMinRecordSize > size) return fail(ErrorCode::corrupt, segment.name() + " ends at " + std::to_string(size));
    bytes.resize(std::min<std::uint64_t>(bytes.size(), size - offset));
    FID_CHECK(segment.read_exactly_at(offset, bytes));
    const auto wanted = read_be<std::uint32_t>(bytes);
    if (wanted < kMinRecordSize || wanted > kMaxBlockPayload || wanted > size - offset)
        return fail(ErrorCode::corrupt, "no record stands there");
    const auto have = std::min<std::size_t>(bytes.size(), wanted);
    bytes.resize(wanted);
    if (wanted > have) FID_CHECK(segment.read_exactly_at(offset + have, MutableByteView(bytes).subspan(have)));
    return bytes;
}

Error VaultShared::name_problem(Error error, const ObjectId& id, const Location& location) const {
    // A missing segment or a record that does not parse is damage; unsupported stays what it is.
    if (error.code == ErrorCode::malformed || error.code == ErrorCode::not_found || error.code == ErrorCode::limit_exceeded)
        error.code = ErrorCode::corrupt;
    return error.with("object " + to_hex(id) + " (" + describe(location) + ")");
}

Result<ObjectReader> Vault::open_object(const ObjectRef& ref) const {
    const auto named = [&](const Error& error) { return fail(state_->name_problem(error, ref.id, ref.location)); };
    auto secrets = state_->secrets->study_secrets(ref.slot);
    if (!secrets) return fail(secrets.error().with("object " + to_hex(ref.id)));  // not_found: erased
    const auto place = state_->resolve(ref.location.segment, ref.location.offset);
    if (!place) return named(place.error());
    const auto bytes = read_record_bytes(*place->segment, place->offset);
    if (!bytes) return named(bytes.error());
    auto record = decode_record(*bytes);
    if (!record) return named(record.error());
    auto* object = std::get_if<ObjectRecord>(&*record);
    if (object == nullptr) return named({ErrorCode::corrupt, "another kind of record stands there"});
    if (object->header.id != ref.id) return named({ErrorCode::corrupt, "another object stands there: " + to_hex(object->header.id)});
    if (object->header.slot != ref.slot || !is_named(object->header, ref.header_hash, *secrets) || object->size != ref.size) {
        return named({ErrorCode::corrupt, "its header is not the one that the index names"});
    }
    if (object->extents.empty())
        return fail(ErrorCode::not_found,
                    "object " + to_hex(ref.id) +
                        ": its bytes were given up when the segment was rewritten, since nobody can ask for them any more");
    auto opened = open_record(std::move(*object), *secrets, place->segment->number());
    if (!opened) return named(opened.error());
    if (opened->chunk_root != ref.chunk_root) return named({ErrorCode::corrupt, "its chunk hashes do not lead to the fingerprint"});
    return ObjectReader(std::make_unique<ObjectReader::State>(state_, ref, *std::move(opened)));
}

Result<void> ObjectReader::check() {
    for (std::uint64_t i = 0; i < chunk_count(); ++i) FID_CHECK(read_chunk(i));
    FID_CHECK(fragment());
    FID_CHECK(prefix());
    return {};
}

Result<void> Vault::check_object(const ObjectRef& ref) const {
    FID_TRY(auto reader, open_object(ref));
    return reader.check();
}

}  // namespace fiducial::store
