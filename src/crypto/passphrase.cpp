#include "crypto/passphrase.hpp"

#include <sodium.h>

#include <algorithm>

#include "crypto/hash.hpp"

namespace fiducial::crypto {
namespace {

constexpr std::string_view kTag = "fid.key1";  // the file's first bytes, after their count; a later layout gets another
constexpr std::uint8_t kArgon2id13 = 1;
constexpr std::uint8_t kAes256Gcm = 1;
constexpr std::size_t kChecksumSize = 8;
constexpr std::size_t kLongestLabel = 64;

bool good_label(std::string_view label) {
    return !label.empty() && label.size() <= kLongestLabel && std::all_of(label.begin(), label.end(), [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
    });
}

bool within_bounds(const Argon2Parameters& parameters) {
    return parameters.memory_kib >= Argon2Parameters::kLeastMemoryKib && parameters.memory_kib <= Argon2Parameters::kMostMemoryKib &&
           parameters.passes >= 1 && parameters.passes <= Argon2Parameters::kMostPasses;
}

/// All that stands before the sealed key; also its associated data.
Bytes head_of(const SealedKey& key) {
    Bytes head;
    head.push_back(static_cast<std::uint8_t>(kTag.size()));
    append(head, as_bytes(kTag));
    head.push_back(kArgon2id13);
    head.push_back(kAes256Gcm);
    head.push_back(static_cast<std::uint8_t>(key.label.size()));
    append(head, as_bytes(key.label));
    append_be(head, key.parameters.memory_kib);
    append_be(head, key.parameters.passes);
    append(head, key.salt);
    append(head, key.nonce);
    return head;
}

Hash checksum_of(ByteView bytes) {
    return tagged_sha256("fid.keysum1", {bytes});
}

}  // namespace

Result<Secret> derive_from_passphrase(const Secret& passphrase, ByteView salt16, const Argon2Parameters& parameters) {
    if (passphrase.empty()) return fail(ErrorCode::invalid_argument, "the passphrase is empty");
    if (salt16.size() != crypto_pwhash_argon2id_SALTBYTES) return fail(ErrorCode::invalid_argument, "Argon2id takes a salt of 16 bytes");
    if (!within_bounds(parameters)) return fail(ErrorCode::invalid_argument, "Argon2id: memory or passes are out of bounds");
    Secret key(32);
    const int result =
        crypto_pwhash_argon2id(key.bytes().data(), key.size(), as_text(passphrase.view()).data(), passphrase.size(), salt16.data(),
                               parameters.passes, std::size_t{parameters.memory_kib} * 1024, crypto_pwhash_argon2id_ALG_ARGON2ID13);
    if (result != 0) {
        return fail(ErrorCode::unavailable,
                    "Argon2id needs " + std::to_string(parameters.memory_kib / 1024) + " MiB of memory, which are not there");
    }
    return key;
}

Bytes SealedKey::serialise() const {
    Bytes file = head_of(*this);
    append(file, sealed);
    const Hash checksum = checksum_of(file);
    append(file, ByteView(checksum).first(kChecksumSize));
    return file;
}

Result<SealedKey> SealedKey::parse(ByteView file) {
    if (file.size() > kLongest) return fail(ErrorCode::malformed, "key file: longer than " + std::to_string(kLongest) + " bytes");
    ByteReader reader(file);
    SealedKey key;
    FID_TRY(const auto tag_size, reader.u8("key file: tag length"));
    FID_TRY(const auto tag, reader.take(tag_size, "key file: tag"));
    if (as_text(tag) != kTag) {
        if (as_text(tag).starts_with("fid.key")) return fail(ErrorCode::unsupported, "key file: of a later version");
        return fail(ErrorCode::malformed, "key file: not a key file");
    }
    FID_TRY(const auto derivation, reader.u8("key file: derivation"));
    FID_TRY(const auto cipher, reader.u8("key file: cipher"));
    if (derivation != kArgon2id13) return fail(ErrorCode::unsupported, "key file: unknown key derivation " + std::to_string(derivation));
    if (cipher != kAes256Gcm) return fail(ErrorCode::unsupported, "key file: unknown cipher " + std::to_string(cipher));
    FID_TRY(const auto label_size, reader.u8("key file: label length"));
    FID_TRY(const auto label, reader.take(label_size, "key file: label"));
    key.label = std::string(as_text(label));
    if (!good_label(key.label)) return fail(ErrorCode::malformed, "key file: label must be 1 to 64 of a-z 0-9 . _ -");
    FID_TRY(key.parameters.memory_kib, reader.u32("key file: memory"));
    FID_TRY(key.parameters.passes, reader.u32("key file: passes"));
    FID_TRY(key.salt, reader.array<16>("key file: salt"));
    FID_TRY(key.nonce, reader.array<12>("key file: nonce"));
    FID_TRY(key.sealed, reader.array<32 + kAeadTagSize>("key file: sealed key"));
    const std::size_t covered = reader.offset();
    FID_TRY(const auto checksum, reader.take(kChecksumSize, "key file: checksum"));
    if (!reader.at_end()) return fail(ErrorCode::malformed, "key file: " + std::to_string(reader.remaining()) + " bytes too many");
    const Hash expected = checksum_of(file.first(covered));
    if (!equal_constant_time(checksum, ByteView(expected).first(kChecksumSize))) {
        return fail(ErrorCode::corrupt, "key file: damaged, its checksum does not match (key \"" + key.label + "\")");
    }
    if (!within_bounds(key.parameters)) return fail(ErrorCode::limit_exceeded, "key file: Argon2id memory or passes are out of bounds");
    return key;
}

Result<SealedKey> seal_key(const Secret& key32, const Secret& passphrase, std::string_view label, const Argon2Parameters& parameters) {
    if (key32.size() != 32) return fail(ErrorCode::invalid_argument, "a key file holds a key of 32 bytes");
    if (!good_label(label)) return fail(ErrorCode::invalid_argument, "a key's label must be 1 to 64 of a-z 0-9 . _ -");
    SealedKey key;
    key.label = std::string(label);
    key.parameters = parameters;
    fill_random(key.salt);
    fill_random(key.nonce);
    FID_TRY(const Secret wrapping, derive_from_passphrase(passphrase, key.salt, parameters));
    Aes256Gcm(wrapping.view()).seal(key.nonce, head_of(key), key32.view(), key.sealed);
    return key;
}

Result<Secret> open_key(const SealedKey& sealed, const Secret& passphrase) {
    FID_TRY(const Secret wrapping, derive_from_passphrase(passphrase, sealed.salt, sealed.parameters));
    Secret key(32);
    if (!Aes256Gcm(wrapping.view()).open(sealed.nonce, head_of(sealed), sealed.sealed, key.bytes())) {
        return fail(ErrorCode::wrong_passphrase, "the passphrase does not open the key \"" + sealed.label + "\"");
    }
    return key;
}

}  // namespace fiducial::crypto
