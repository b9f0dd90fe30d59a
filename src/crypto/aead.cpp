#include "crypto/aead.hpp"

#include <openssl/evp.h>

#include <algorithm>

#include "crypto/hash.hpp"

namespace fiducial::crypto {
namespace {

constexpr std::size_t kLargestStep = std::size_t{1} << 30;  // OpenSSL counts in int

const EVP_CIPHER* gcm_algorithm() {
    static const EVP_CIPHER* const algorithm = EVP_CIPHER_fetch(nullptr, "AES-256-GCM", nullptr);
    FID_INVARIANT(algorithm != nullptr, "OpenSSL has no AES-256-GCM");
    return algorithm;
}

}  // namespace

struct Aes256Gcm::State {
    explicit State(ByteView key) : context(EVP_CIPHER_CTX_new()) {
        FID_INVARIANT(key.size() == 32, "AES-256-GCM takes a key of 32 bytes");
        FID_INVARIANT(context != nullptr, "out of memory for an AES-256-GCM context");
        FID_INVARIANT(EVP_CipherInit_ex2(context, gcm_algorithm(), key.data(), nullptr, 1, nullptr) == 1, "AES-256-GCM takes no key");
    }
    State(const State&) = delete;
    State& operator=(const State&) = delete;
    ~State() { EVP_CIPHER_CTX_free(context); }  // wipes the key schedule

    void start(const AeadNonce& nonce, ByteView associated, bool sealing) {
        FID_INVARIANT(EVP_CipherInit_ex2(context, nullptr, nullptr, nonce.data(), sealing ? 1 : 0, nullptr) == 1,
                      "AES-256-GCM cannot start");
        run(associated, nullptr);
    }
    void run(ByteView in, std::uint8_t* out) {
        for (std::size_t at = 0; at < in.size(); at += kLargestStep) {
            const int size = static_cast<int>(std::min(kLargestStep, in.size() - at));
            int written = 0;
            FID_INVARIANT(EVP_CipherUpdate(context, out == nullptr ? nullptr : out + at, &written, in.data() + at, size) == 1,
                          "AES-256-GCM update failed");
        }
    }

    EVP_CIPHER_CTX* context;
};

Aes256Gcm::Aes256Gcm(ByteView key) : state_(std::make_unique<State>(key)) {}
Aes256Gcm::~Aes256Gcm() = default;
Aes256Gcm::Aes256Gcm(Aes256Gcm&&) noexcept = default;
Aes256Gcm& Aes256Gcm::operator=(Aes256Gcm&&) noexcept = default;

void Aes256Gcm::seal(const AeadNonce& nonce, ByteView associated, ByteView plain, MutableByteView out) {
    FID_INVARIANT(out.size() == plain.size() + kAeadTagSize, "sealed bytes are 16 longer than plain ones");
    state_->start(nonce, associated, true);
    state_->run(plain, out.data());
    int written = 0;
    std::uint8_t nothing = 0;
    FID_INVARIANT(EVP_CipherFinal_ex(state_->context, &nothing, &written) == 1, "AES-256-GCM final failed");
    FID_INVARIANT(EVP_CIPHER_CTX_ctrl(state_->context, EVP_CTRL_AEAD_GET_TAG, kAeadTagSize, out.data() + plain.size()) == 1,
                  "AES-256-GCM gives no tag");
}

Result<void> Aes256Gcm::open(const AeadNonce& nonce, ByteView associated, ByteView sealed, MutableByteView plain) {
    FID_INVARIANT(sealed.size() == plain.size() + kAeadTagSize, "sealed bytes are 16 longer than plain ones");
    std::array<std::uint8_t, kAeadTagSize> tag;
    std::memcpy(tag.data(), sealed.data() + plain.size(), tag.size());
    state_->start(nonce, associated, false);
    state_->run(sealed.first(plain.size()), plain.data());
    FID_INVARIANT(EVP_CIPHER_CTX_ctrl(state_->context, EVP_CTRL_AEAD_SET_TAG, kAeadTagSize, tag.data()) == 1, "AES-256-GCM takes no tag");
    int written = 0;
    std::uint8_t nothing = 0;
    if (EVP_CipherFinal_ex(state_->context, &nothing, &written) != 1) {
        wipe(plain);
        return fail(ErrorCode::corrupt, "encrypted bytes do not match their tag");
    }
    return {};
}

void hkdf_sha256(ByteView ikm, ByteView salt, std::string_view info, MutableByteView out) {
    FID_INVARIANT(out.size() <= 255 * sizeof(Hash), "HKDF-SHA-256 gives at most 8160 bytes");
    Hash key = hmac_sha256(salt, {ikm});
    Hash block{};
    std::size_t done = 0;
    for (std::uint8_t counter = 1; done < out.size(); ++counter) {
        block = hmac_sha256(key, {ByteView(block).first(counter == 1 ? 0 : block.size()), as_bytes(info), ByteView(&counter, 1)});
        const std::size_t count = std::min(block.size(), out.size() - done);
        std::memcpy(out.data() + done, block.data(), count);
        done += count;
    }
    wipe(key);
    wipe(block);
}

Bytes seal_small(ByteView key, ByteView associated, ByteView plain) {
    Bytes out(sizeof(AeadNonce) + plain.size() + kAeadTagSize);
    AeadNonce nonce;
    fill_random(nonce);
    std::memcpy(out.data(), nonce.data(), nonce.size());
    Aes256Gcm(key).seal(nonce, associated, plain, MutableByteView(out).subspan(nonce.size()));
    return out;
}

Result<Secret> open_small(ByteView key, ByteView associated, ByteView sealed) {
    AeadNonce nonce;
    if (sealed.size() < nonce.size() + kAeadTagSize) return fail(ErrorCode::malformed, "a sealed secret is shorter than its nonce and tag");
    std::memcpy(nonce.data(), sealed.data(), nonce.size());
    Secret plain(sealed.size() - nonce.size() - kAeadTagSize);
    FID_CHECK(Aes256Gcm(key).open(nonce, associated, sealed.subspan(nonce.size()), plain.bytes()));
    return plain;
}

}  // namespace fiducial::crypto
