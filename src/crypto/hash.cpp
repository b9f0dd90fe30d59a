#include "crypto/hash.hpp"

#include <cryptopp/keccak.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>

#include "crypto/impl/sha256_engines.hpp"
#include "crypto/secret.hpp"

namespace fiducial::crypto {
namespace {

constexpr std::size_t kBlockSize = 64;

const EVP_MD* sha256_algorithm() {
    static const EVP_MD* const algorithm = EVP_MD_fetch(nullptr, "SHA2-256", nullptr);  // fetched once, kept for the process
    FID_INVARIANT(algorithm != nullptr, "OpenSSL has no SHA-256");
    return algorithm;
}

/// One OpenSSL context, always in the state after its start or after update.
class Context {
public:
    Context() : context_(EVP_MD_CTX_new()) {
        FID_INVARIANT(context_ != nullptr, "out of memory for a SHA-256 context");
        FID_INVARIANT(EVP_DigestInit_ex2(context_, sha256_algorithm(), nullptr) == 1, "SHA-256 cannot be started");
    }
    Context(const Context& other) : context_(EVP_MD_CTX_new()) {
        FID_INVARIANT(context_ != nullptr, "out of memory for a SHA-256 context");
        FID_INVARIANT(EVP_MD_CTX_copy_ex(context_, other.context_) == 1, "SHA-256 state cannot be copied");
    }
    Context& operator=(const Context&) = delete;
    ~Context() { EVP_MD_CTX_free(context_); }

    void update(ByteView bytes) {
        if (bytes.empty()) return;
        FID_INVARIANT(EVP_DigestUpdate(context_, bytes.data(), bytes.size()) == 1, "SHA-256 update failed");
    }
    Hash finish() {
        Hash out;
        unsigned size = 0;
        FID_INVARIANT(EVP_DigestFinal_ex(context_, out.data(), &size) == 1 && size == out.size(), "SHA-256 final failed");
        FID_INVARIANT(EVP_DigestInit_ex2(context_, nullptr, nullptr) == 1, "SHA-256 cannot be started anew");
        return out;
    }

private:
    EVP_MD_CTX* context_;
};

/// A context for one-shot hashes of this thread: making one costs more than a short hash.
Context& thread_context() {
    thread_local Context context;
    return context;
}

struct TagPrefix {
    explicit TagPrefix(std::string_view tag) {
        FID_INVARIANT(!tag.empty() && tag.size() < bytes.size(), "a hash tag has 1 to 63 characters");
        bytes[0] = static_cast<std::uint8_t>(tag.size());
        std::memcpy(bytes.data() + 1, tag.data(), tag.size());
        size = tag.size() + 1;
    }
    ByteView view() const { return {bytes.data(), size}; }
    std::array<std::uint8_t, 64> bytes;
    std::size_t size = 0;
};

Hash hmac_of(ByteView key, ByteView first, std::initializer_list<ByteView> parts) {
    std::array<std::uint8_t, kBlockSize> pad{};
    if (key.size() > kBlockSize) {
        Hash short_key = sha256(key);
        std::memcpy(pad.data(), short_key.data(), short_key.size());
        wipe(short_key);
    } else if (!key.empty()) {
        std::memcpy(pad.data(), key.data(), key.size());
    }
    for (auto& byte : pad) byte ^= 0x36;
    Context& context = thread_context();
    context.update(pad);
    context.update(first);
    for (ByteView part : parts) context.update(part);
    const Hash inner = context.finish();
    for (auto& byte : pad) byte ^= 0x36 ^ 0x5c;
    context.update(pad);
    context.update(inner);
    wipe(pad);
    return context.finish();
}

}  // namespace

Hash sha256(ByteView bytes) {
    Context& context = thread_context();
    context.update(bytes);
    return context.finish();
}

Hash sha256(std::initializer_list<ByteView> parts) {
    Context& context = thread_context();
    for (ByteView part : parts) context.update(part);
    return context.finish();
}

struct Sha256::State {
    Context context;
};
Sha256::Sha256() : state_(std::make_unique<State>()) {}
Sha256::Sha256(const Sha256& other) : state_(std::make_unique<State>(*other.state_)) {}
Sha256& Sha256::operator=(const Sha256& other) {
    if (this != &other) state_ = std::make_unique<State>(*other.state_);
    return *this;
}
Sha256::Sha256(Sha256&&) noexcept = default;
Sha256& Sha256::operator=(Sha256&&) noexcept = default;
Sha256::~Sha256() = default;
void Sha256::update(ByteView bytes) {
    state_->context.update(bytes);
}
Hash Sha256::finish() {
    return state_->context.finish();
}

void sha256_many(std::span<const ByteView> messages, std::span<Hash> out) {
    FID_INVARIANT(messages.size() == out.size(), "sha256_many needs as many places as messages");
    impl::sha256_many_with(impl::Sha256Engine::automatic, messages, out);
}

Hash tagged_sha256(std::string_view tag, std::initializer_list<ByteView> parts) {
    const TagPrefix prefix(tag);
    Context& context = thread_context();
    context.update(prefix.view());
    for (ByteView part : parts) context.update(part);
    return context.finish();
}

Hash tagged_leaf_sha256(std::string_view tag, std::initializer_list<ByteView> parts) {
    constexpr std::uint8_t kLeaf = 0x00;
    const TagPrefix prefix(tag);
    Context& context = thread_context();
    context.update({&kLeaf, 1});
    context.update(prefix.view());
    for (ByteView part : parts) context.update(part);
    return context.finish();
}

Hash hmac_sha256(ByteView key, std::initializer_list<ByteView> parts) {
    return hmac_of(key, {}, parts);
}

Hash tagged_hmac_sha256(ByteView key, std::string_view tag, std::initializer_list<ByteView> parts) {
    return hmac_of(key, TagPrefix(tag).view(), parts);
}

bool equal_constant_time(ByteView a, ByteView b) {
    return a.size() == b.size() && (a.empty() || CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0);
}

Hash keccak256(ByteView bytes) {
    return keccak256({bytes});
}

Hash keccak256(std::initializer_list<ByteView> parts) {
    CryptoPP::Keccak_256 keccak;
    for (ByteView part : parts) {
        if (!part.empty()) keccak.Update(part.data(), part.size());
    }
    Hash out;
    keccak.Final(out.data());
    return out;
}

}  // namespace fiducial::crypto
