// Hashes, encryption and signatures against plain OpenSSL, in one run.
#include <benchmark/benchmark.h>
#include <openssl/evp.h>
#include <openssl/sha.h>

#include <vector>

#include "crypto/aead.hpp"
#include "crypto/hash.hpp"
#include "crypto/impl/sha256_engines.hpp"
#include "crypto/merkle.hpp"
#include "crypto/secp256k1.hpp"

namespace {

using namespace fiducial;

constexpr std::size_t kChunk = 32768;
constexpr std::size_t kChunks = 64;  // 2 MiB, as of a radiograph: larger than the first two caches

struct Chunks {
    Chunks() : bytes(kChunk * kChunks) {
        crypto::fill_random(bytes);
        for (std::size_t i = 0; i < kChunks; ++i) views.push_back(ByteView(bytes).subspan(i * kChunk, kChunk));
    }
    Bytes bytes;
    std::vector<ByteView> views;
};

void report_bytes(benchmark::State& state, std::size_t each) {
    state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations()) * static_cast<std::int64_t>(each));
}

void sha256_serial_openssl(benchmark::State& state) {
    const Chunks chunks;
    std::vector<Hash> out(kChunks);
    EVP_MD* algorithm = EVP_MD_fetch(nullptr, "SHA2-256", nullptr);
    EVP_MD_CTX* context = EVP_MD_CTX_new();
    for (auto _ : state) {
        for (std::size_t i = 0; i < kChunks; ++i) {
            EVP_DigestInit_ex2(context, algorithm, nullptr);
            EVP_DigestUpdate(context, chunks.views[i].data(), kChunk);
            EVP_DigestFinal_ex(context, out[i].data(), nullptr);
        }
        benchmark::DoNotOptimize(out.data());
    }
    EVP_MD_CTX_free(context);
    EVP_MD_free(algorithm);
    report_bytes(state, kChunk * kChunks);
}

void sha256_engine(benchmark::State& state, crypto::impl::Sha256Engine engine) {
    const Chunks chunks;
    std::vector<Hash> out(kChunks);
    for (auto _ : state) {
        crypto::impl::sha256_many_with(engine, chunks.views, out);
        benchmark::DoNotOptimize(out.data());
    }
    report_bytes(state, kChunk * kChunks);
}

void sha256_many_few(benchmark::State& state) {  // as many chunks at once as a streaming reader has
    const Chunks chunks;
    const auto count = static_cast<std::size_t>(state.range(0));
    std::vector<Hash> out(count);
    for (auto _ : state) {
        crypto::sha256_many(std::span(chunks.views).first(count), out);
        benchmark::DoNotOptimize(out.data());
    }
    report_bytes(state, kChunk * count);
}

void sha256_short(benchmark::State& state) {
    Bytes message(static_cast<std::size_t>(state.range(0)), 1);
    for (auto _ : state) {
        Hash hash = crypto::sha256(message);
        benchmark::DoNotOptimize(hash);
        message[0] = hash[0];
    }
}
void sha256_short_openssl_one_shot(benchmark::State& state) {
    Bytes message(static_cast<std::size_t>(state.range(0)), 1);
    for (auto _ : state) {
        Hash hash;
        SHA256(message.data(), message.size(), hash.data());
        benchmark::DoNotOptimize(hash);
        message[0] = hash[0];
    }
}

void hmac_short(benchmark::State& state) {
    Hash key{}, hash{};
    for (auto _ : state) {
        hash = crypto::hmac_sha256(key, {hash});
        benchmark::DoNotOptimize(hash);
    }
}

void keccak_short(benchmark::State& state) {
    Hash hash{};
    for (auto _ : state) {
        hash = crypto::keccak256({hash, hash});
        benchmark::DoNotOptimize(hash);
    }
}

void aes_gcm_seal(benchmark::State& state) {
    Bytes plain(kChunk), sealed(kChunk + crypto::kAeadTagSize);
    crypto::Aes256Gcm gcm(Bytes(32, 7));
    crypto::AeadNonce nonce{};
    for (auto _ : state) {
        ++nonce[11];
        gcm.seal(nonce, {}, plain, sealed);
        benchmark::DoNotOptimize(sealed.data());
    }
    report_bytes(state, kChunk);
}
void aes_gcm_seal_openssl(benchmark::State& state) {
    Bytes plain(kChunk), sealed(kChunk + 16), key(32, 7), nonce(12);
    EVP_CIPHER_CTX* context = EVP_CIPHER_CTX_new();
    EVP_EncryptInit_ex(context, EVP_aes_256_gcm(), nullptr, key.data(), nullptr);
    for (auto _ : state) {
        ++nonce[11];
        int written = 0;
        EVP_EncryptInit_ex(context, nullptr, nullptr, nullptr, nonce.data());
        EVP_EncryptUpdate(context, sealed.data(), &written, plain.data(), static_cast<int>(plain.size()));
        EVP_EncryptFinal_ex(context, sealed.data() + written, &written);
        EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, 16, sealed.data() + kChunk);
        benchmark::DoNotOptimize(sealed.data());
    }
    EVP_CIPHER_CTX_free(context);
    report_bytes(state, kChunk);
}
void aes_gcm_open(benchmark::State& state) {
    Bytes plain(kChunk), sealed(kChunk + crypto::kAeadTagSize);
    crypto::Aes256Gcm gcm(Bytes(32, 7));
    gcm.seal({}, {}, plain, sealed);
    for (auto _ : state) {
        if (!gcm.open({}, {}, sealed, plain)) state.SkipWithError("does not open");
        benchmark::DoNotOptimize(plain.data());
    }
    report_bytes(state, kChunk);
}

void merkle_root_of_chunks(benchmark::State& state) {
    std::vector<Hash> leaves(static_cast<std::size_t>(state.range(0)));
    for (Hash& leaf : leaves) leaf = crypto::random_bytes32();
    for (auto _ : state) {
        Hash root = crypto::merkle_root(leaves);
        benchmark::DoNotOptimize(root);
    }
    state.SetItemsProcessed(state.iterations() * state.range(0));
}

void sign(benchmark::State& state) {
    const crypto::Secret key = crypto::generate_private_key();
    Hash digest{};
    for (auto _ : state) digest = crypto::sign_recoverable(key, digest)->r;
}
void recover(benchmark::State& state) {
    const crypto::Secret key = crypto::generate_private_key();
    const auto signature = crypto::sign_recoverable(key, Hash{}).value();
    for (auto _ : state) benchmark::DoNotOptimize(crypto::recover_address(Hash{}, signature));
}

BENCHMARK(sha256_serial_openssl);
BENCHMARK(sha256_many_few)->Arg(1)->Arg(2)->Arg(4)->Arg(8)->Arg(16)->Arg(32);
BENCHMARK(sha256_short)->Arg(65)->Arg(200);
BENCHMARK(sha256_short_openssl_one_shot)->Arg(65)->Arg(200);
BENCHMARK(hmac_short);
BENCHMARK(keccak_short);
BENCHMARK(aes_gcm_seal);
BENCHMARK(aes_gcm_seal_openssl);
BENCHMARK(aes_gcm_open);
BENCHMARK(merkle_root_of_chunks)->Arg(16)->Arg(32768);
BENCHMARK(sign);
BENCHMARK(recover);

}  // namespace

int main(int argc, char** argv) {
    for (const auto engine : fiducial::crypto::impl::available_sha256_engines()) {
        benchmark::RegisterBenchmark(("sha256_many/" + std::string(name_of(engine))).c_str(), sha256_engine, engine);
    }
    benchmark::Initialize(&argc, argv);
    benchmark::RunSpecifiedBenchmarks();
}
