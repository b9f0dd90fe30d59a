// What an object's bytes cost on their way in and out: fingerprinted (whole and by chunk) and encrypted; decrypted and checked. Beside
// each the same work by OpenSSL alone, one call after the other, in the same run.
#include <benchmark/benchmark.h>
#include <openssl/evp.h>

#include "crypto/hash.hpp"
#include "evidence/data_set_hash.hpp"
#include "store/impl/object_cipher.hpp"

namespace {

using namespace fiducial;
using evidence::kChunkSize;
using store::kSealedChunkSize;

constexpr std::size_t kAtOnce = 8;  // chunks, as the reader takes them

struct Object {
    explicit Object(std::int64_t size)
        : plain(static_cast<std::size_t>(size)), sealed(store::sealed_size(plain.size())), opened(plain.size()) {
        crypto::fill_random(plain);
    }
    std::size_t chunks() const { return (plain.size() + kChunkSize - 1) / kChunkSize; }
    ByteView chunk(std::size_t i) const {
        return ByteView(plain).subspan(i * kChunkSize, std::min(kChunkSize, plain.size() - i * kChunkSize));
    }
    MutableByteView sealed_chunk(std::size_t i) {
        return MutableByteView(sealed).subspan(i * kSealedChunkSize, chunk(i).size() + crypto::kAeadTagSize);
    }
    MutableByteView opened_chunk(std::size_t i) { return MutableByteView(opened).subspan(i * kChunkSize, chunk(i).size()); }
    Bytes plain, sealed, opened;
};

store::StreamCipher cipher() {
    return {crypto::Secret::copy_of(Bytes(32, 7)), Bytes(store::ObjectHeader::kSize, 1)};
}

void count(benchmark::State& state) {
    state.SetBytesProcessed(state.iterations() * state.range(0));
}

void hash_and_encrypt(benchmark::State& state) {
    Object object(state.range(0));
    auto stream = cipher();
    for (auto _ : state) {
        evidence::DataSetHasher hasher;
        hasher.update(object.plain);
        for (std::size_t i = 0; i < object.chunks(); ++i)
            stream.seal(static_cast<std::uint32_t>(i), i + 1 == object.chunks(), object.chunk(i), object.sealed_chunk(i));
        auto print = hasher.finish();
        benchmark::DoNotOptimize(print);
    }
    count(state);
}

void decrypt_and_check(benchmark::State& state) {
    Object object(state.range(0));
    auto stream = cipher();
    std::vector<Hash> wanted(object.chunks()), hashes(kAtOnce);
    for (std::size_t i = 0; i < object.chunks(); ++i) {
        stream.seal(static_cast<std::uint32_t>(i), i + 1 == object.chunks(), object.chunk(i), object.sealed_chunk(i));
        wanted[i] = crypto::sha256(object.chunk(i));
    }
    for (auto _ : state) {
        for (std::size_t first = 0; first < object.chunks(); first += kAtOnce) {
            std::vector<ByteView> views;
            for (std::size_t i = first; i < std::min(first + kAtOnce, object.chunks()); ++i) {
                if (!stream.open(static_cast<std::uint32_t>(i), i + 1 == object.chunks(), object.sealed_chunk(i), object.opened_chunk(i)))
                    state.SkipWithError("does not open");
                views.push_back(object.opened_chunk(i));
            }
            crypto::sha256_many(views, std::span(hashes).first(views.size()));
            for (std::size_t i = 0; i < views.size(); ++i) {
                if (hashes[i] != wanted[first + i]) state.SkipWithError("another hash");
            }
        }
    }
    count(state);
}

/// The same work, as a program that calls OpenSSL and nothing else would do it.
struct OpenSsl {
    OpenSsl() { EVP_CipherInit_ex(gcm, EVP_aes_256_gcm(), nullptr, Bytes(32, 7).data(), nullptr, 1); }
    ~OpenSsl() {
        EVP_CIPHER_CTX_free(gcm);
        EVP_MD_CTX_free(digest);
        EVP_MD_free(sha256);
    }
    OpenSsl(const OpenSsl&) = delete;
    OpenSsl& operator=(const OpenSsl&) = delete;

    Hash hash(ByteView bytes) {
        Hash out;
        EVP_DigestInit_ex2(digest, sha256, nullptr);
        EVP_DigestUpdate(digest, bytes.data(), bytes.size());
        EVP_DigestFinal_ex(digest, out.data(), nullptr);
        return out;
    }
    bool crypt(bool encrypt, std::uint8_t chunk, ByteView in, MutableByteView out, std::uint8_t* tag) {
        const std::array<std::uint8_t, 12> nonce{chunk};
        const Bytes associated(store::ObjectHeader::kSize, 1);
        int written = 0;
        EVP_CipherInit_ex(gcm, nullptr, nullptr, nullptr, nonce.data(), encrypt ? 1 : 0);
        EVP_CipherUpdate(gcm, nullptr, &written, associated.data(), static_cast<int>(associated.size()));
        EVP_CipherUpdate(gcm, out.data(), &written, in.data(), static_cast<int>(in.size()));
        if (!encrypt) EVP_CIPHER_CTX_ctrl(gcm, EVP_CTRL_AEAD_SET_TAG, crypto::kAeadTagSize, tag);
        if (EVP_CipherFinal_ex(gcm, out.data() + written, &written) != 1) return false;
        if (encrypt) EVP_CIPHER_CTX_ctrl(gcm, EVP_CTRL_AEAD_GET_TAG, crypto::kAeadTagSize, tag);
        return true;
    }
    bool seal(Object& object, std::size_t i) {
        const auto out = object.sealed_chunk(i);
        return crypt(true, static_cast<std::uint8_t>(i), object.chunk(i), out, out.data() + object.chunk(i).size());
    }
    EVP_MD* sha256 = EVP_MD_fetch(nullptr, "SHA2-256", nullptr);
    EVP_MD_CTX* digest = EVP_MD_CTX_new();
    EVP_CIPHER_CTX* gcm = EVP_CIPHER_CTX_new();
};

void hash_and_encrypt_openssl(benchmark::State& state) {
    Object object(state.range(0));
    OpenSsl openssl;
    for (auto _ : state) {
        auto whole = openssl.hash(object.plain);
        benchmark::DoNotOptimize(whole);
        for (std::size_t i = 0; i < object.chunks(); ++i) {
            auto one = openssl.hash(object.chunk(i));
            benchmark::DoNotOptimize(one);
            openssl.seal(object, i);
        }
    }
    count(state);
}

void decrypt_and_check_openssl(benchmark::State& state) {
    Object object(state.range(0));
    OpenSsl openssl;
    for (std::size_t i = 0; i < object.chunks(); ++i) openssl.seal(object, i);
    for (auto _ : state) {
        for (std::size_t i = 0; i < object.chunks(); ++i) {
            const auto sealed = object.sealed_chunk(i);
            const auto size = object.chunk(i).size();
            if (!openssl.crypt(false, static_cast<std::uint8_t>(i), sealed.first(size), object.opened_chunk(i), sealed.data() + size))
                state.SkipWithError("does not open");
            auto one = openssl.hash(object.opened_chunk(i));
            benchmark::DoNotOptimize(one);
        }
    }
    count(state);
}

constexpr std::int64_t kSmall = 32'768, kLarge = 1'000'000;
BENCHMARK(hash_and_encrypt)->Arg(kSmall)->Arg(kLarge);
BENCHMARK(hash_and_encrypt_openssl)->Arg(kSmall)->Arg(kLarge);
BENCHMARK(decrypt_and_check)->Arg(kSmall)->Arg(kLarge);
BENCHMARK(decrypt_and_check_openssl)->Arg(kSmall)->Arg(kLarge);

}  // namespace

BENCHMARK_MAIN();
