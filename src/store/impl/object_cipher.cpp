#include "store/impl/object_cipher.hpp"

#include <algorithm>
#include <cstring>

#include "crypto/hash.hpp"

namespace fiducial::store {
namespace {

constexpr std::string_view kMagic = "FOBJ";
constexpr std::uint16_t kFormat = 1;
constexpr std::uint8_t kAlgorithm = 1;  // AES-256-GCM STREAM, HKDF-SHA-256
constexpr std::uint8_t kChunkSizeLog2 = 15;

}  // namespace

std::uint64_t sealed_size(std::uint64_t plain_size) {
    return plain_size + evidence::chunk_count(plain_size) * crypto::kAeadTagSize;
}

std::optional<std::uint64_t> plain_size(std::uint64_t sealed) {
    const auto full = sealed / kSealedChunkSize;
    const auto rest = sealed % kSealedChunkSize;
    if (rest == 0) return full * kChunkSize;
    if (rest <= crypto::kAeadTagSize) return std::nullopt;
    return full * kChunkSize + rest - crypto::kAeadTagSize;
}

StreamKey derive_stream_key(const crypto::Secret& d, const Bytes32& id, std::string_view info) {
    crypto::Secret both(64);
    crypto::hkdf_sha256(d.view(), id, info, both.bytes());
    StreamKey out{crypto::Secret::copy_of(both.view().first(32)), {}};
    std::memcpy(out.commitment.data(), both.view().data() + 32, 32);
    return out;
}

crypto::AeadNonce StreamCipher::nonce(std::uint32_t chunk, bool last) {
    crypto::AeadNonce nonce{};
    for (std::size_t i = 0; i < 4; ++i) nonce[7 + i] = static_cast<std::uint8_t>(chunk >> (24 - 8 * i));
    nonce[11] = last ? 1 : 0;
    return nonce;
}

Bytes seal_stream(const crypto::Secret& key, ByteView associated, ByteView plain) {
    Bytes out(sealed_size(plain.size()));
    StreamCipher cipher(key, to_bytes(associated));
    const auto count = evidence::chunk_count(plain.size());
    for (std::uint64_t i = 0; i < count; ++i) {
        const auto chunk = plain.subspan(i * kChunkSize, std::min<std::size_t>(kChunkSize, plain.size() - i * kChunkSize));
        cipher.seal(static_cast<std::uint32_t>(i), i + 1 == count, chunk,
                    MutableByteView(out).subspan(i * kSealedChunkSize, chunk.size() + crypto::kAeadTagSize));
    }
    return out;
}

Result<Bytes> open_stream(const crypto::Secret& key, ByteView associated, ByteView sealed) {
    const auto size = plain_size(sealed.size());
    if (!size) return fail(ErrorCode::corrupt, "a sealed stream cannot have " + std::to_string(sealed.size()) + " bytes");
    Bytes out(*size);
    StreamCipher cipher(key, to_bytes(associated));
    const auto count = evidence::chunk_count(*size);
    for (std::uint64_t i = 0; i < count; ++i) {
        const auto chunk = MutableByteView(out).subspan(i * kChunkSize, std::min<std::size_t>(kChunkSize, out.size() - i * kChunkSize));
        FID_CHECK(cipher.open(static_cast<std::uint32_t>(i), i + 1 == count,
                              sealed.subspan(i * kSealedChunkSize, chunk.size() + crypto::kAeadTagSize), chunk));
    }
    return out;
}

Bytes ObjectHeader::encode() const {
    Bytes out;
    out.reserve(kSize);
    append(out, as_bytes(kMagic));
    append_be(out, kFormat);
    out.push_back(kAlgorithm);
    out.push_back(kChunkSizeLog2);
    out.push_back(static_cast<std::uint8_t>(kind));
    out.insert(out.end(), 3, 0);
    append_be(out, slot);
    append(out, id);
    append(out, commitment);
    return out;
}

Result<ObjectHeader> ObjectHeader::decode(ByteView bytes) {
    ByteReader reader(bytes);
    FID_TRY(const auto magic, reader.take(kMagic.size(), "object header"));
    if (as_text(magic) != kMagic) return fail(ErrorCode::malformed, "not an object header");
    FID_TRY(const auto format, reader.u16("object format"));
    FID_TRY(const auto algorithm, reader.u8("object algorithm"));
    FID_TRY(const auto chunk_size, reader.u8("object chunk size"));
    if (format != kFormat || algorithm != kAlgorithm || chunk_size != kChunkSizeLog2) {
        return fail(ErrorCode::unsupported, "object format " + std::to_string(format) + ", algorithm " + std::to_string(algorithm) +
                                                ", chunk size 2^" + std::to_string(chunk_size));
    }
    FID_TRY(const auto kind, reader.u8("object kind"));
    if (kind < 1 || kind > 5) return fail(ErrorCode::malformed, "object kind " + std::to_string(kind));
    FID_TRY(const auto zeros, reader.array<3>("reserved bytes"));
    if (zeros != std::array<std::uint8_t, 3>{}) return fail(ErrorCode::malformed, "reserved bytes of an object header are not zero");
    ObjectHeader header;
    header.kind = static_cast<ObjectKind>(kind);
    FID_TRY(header.slot, reader.u32("key slot"));
    FID_TRY(header.id, reader.array<32>("object id"));
    FID_TRY(header.commitment, reader.array<32>("key commitment"));
    if (!reader.at_end()) return fail(ErrorCode::malformed, "an object header has 80 bytes");
    return header;
}

Hash ObjectHeader::hash() const {
    return crypto::tagged_sha256("fid.header1", {encode()});
}

}  // namespace fiducial::store
