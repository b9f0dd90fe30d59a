#include "crypto/impl/sha256_engines.hpp"

#include <algorithm>

#include "crypto/hash.hpp"

#if defined(FIDUCIAL_HAVE_IPSEC_MB)
#include <intel-ipsec-mb.h>

#include <memory>
#endif

namespace fiducial::crypto::impl {

std::string_view name_of(Sha256Engine engine) {
    switch (engine) {
        case Sha256Engine::openssl: return "openssl";
        case Sha256Engine::sha_pair: return "sha_pair";
        case Sha256Engine::avx2: return "avx2";
        case Sha256Engine::avx512: return "avx512";
        case Sha256Engine::automatic: return "automatic";
    }
    return "unknown";
}

#if defined(FIDUCIAL_HAVE_IPSEC_MB)
namespace {

constexpr std::size_t kMostLanes = 16;
constexpr std::size_t kLongestInLane = std::size_t{1} << 20;  // longer ones gain nothing, and lanes count 64-byte blocks in 16 bits

struct ManagerDeleter {
    void operator()(IMB_MGR* manager) const { free_mb_mgr(manager); }
};
using Manager = std::unique_ptr<IMB_MGR, ManagerDeleter>;

Manager make_manager(std::uint64_t flags, void (*init)(IMB_MGR*)) {
    Manager manager(alloc_mb_mgr(flags));
    if (!manager) return nullptr;
    init(manager.get());
    if (imb_get_errno(manager.get()) != 0) return nullptr;
    return manager;
}

/// What the machine can do. Speeds in GB/s for chunks of 32 KiB, one core of a Sapphire Rapids at 2.3 GHz:
///   OpenSSL on the SHA instructions 1.3, without them 0.3 · sha_pair 1.8 · avx2, 8 lanes full 1.25 · avx512, 16 lanes full 3.3
/// A vector register costs the same however many of its lanes are in use, hence the least numbers of full lanes.
struct Machine {
    bool sha = false;
    bool avx2 = false;
    bool avx512 = false;

    Machine() {
        const Manager probe(alloc_mb_mgr(0));
        if (!probe) return;
        const std::uint64_t features = probe->features;
        avx2 = (features & IMB_FEATURE_AVX2) != 0 && (features & IMB_FEATURE_AESNI) != 0;
        avx512 = avx2 && (features & IMB_FEATURE_AVX512_SKX) == IMB_FEATURE_AVX512_SKX;
        sha = avx2 && (features & IMB_FEATURE_SHANI) != 0;
    }
    std::size_t group() const { return avx512 ? 16 : sha ? 2 : 8; }

    Sha256Engine best_for(std::size_t total, std::size_t longest) const {
        if (avx512 && total >= (sha ? 9U : 2U) * longest) return Sha256Engine::avx512;
        if (sha) return 2 * total >= 3 * longest ? Sha256Engine::sha_pair : Sha256Engine::openssl;
        if (avx2 && total >= 3 * longest) return Sha256Engine::avx2;
        return Sha256Engine::openssl;
    }
};

const Machine& machine() {
    static const Machine found;
    return found;
}

/// This thread's manager for an engine, made at its first use. Returns: null where there is none.
IMB_MGR* thread_manager(Sha256Engine engine) {
    thread_local Manager pair, avx2, avx512;
    switch (engine) {
        case Sha256Engine::sha_pair:
            // The SSE manager: the AVX2 one takes its eight lanes, eight times slower for two messages, where the processor has SHA
            // instructions but no GFNI (AMD's up to Zen 3).
            if (!pair && machine().sha) pair = make_manager(0, init_mb_mgr_sse);
            return pair.get();
        case Sha256Engine::avx2:
            if (!avx2 && machine().avx2) avx2 = make_manager(IMB_FLAG_SHANI_OFF, init_mb_mgr_avx2);
            return avx2.get();
        case Sha256Engine::avx512:
            if (!avx512 && machine().avx512) avx512 = make_manager(0, init_mb_mgr_avx512);
            return avx512.get();
        case Sha256Engine::openssl:
        case Sha256Engine::automatic: break;
    }
    return nullptr;
}

bool in_lane(ByteView message) {
    return !message.empty() && message.size() <= kLongestInLane;
}

/// Hashes up to kMostLanes messages. Those that no lane takes are left to OpenSSL. Returns: how many lanes took.
std::size_t hash_group(Sha256Engine engine, std::span<const ByteView> messages, std::span<Hash> out) {
    std::size_t total = 0;
    std::size_t longest = 0;
    for (const ByteView message : messages) {
        if (!in_lane(message)) continue;
        total += message.size();
        longest = std::max(longest, message.size());
    }
    if (engine == Sha256Engine::automatic) engine = machine().best_for(total, longest);
    IMB_MGR* manager = longest == 0 ? nullptr : thread_manager(engine);
    std::array<bool, kMostLanes> done{};
    const auto finished = [&](const IMB_JOB* job) {
        if (job->status == IMB_STATUS_COMPLETED) done[static_cast<const Hash*>(job->user_data) - out.data()] = true;
    };
    for (std::size_t i = 0; manager != nullptr && i < messages.size(); ++i) {
        if (!in_lane(messages[i])) continue;
        IMB_JOB* job = IMB_GET_NEXT_JOB(manager);
        std::memset(job, 0, sizeof(*job));
        job->cipher_mode = IMB_CIPHER_NULL;
        job->cipher_direction = IMB_DIR_ENCRYPT;
        job->chain_order = IMB_ORDER_HASH_CIPHER;
        job->hash_alg = IMB_AUTH_SHA_256;
        job->src = messages[i].data();
        job->msg_len_to_hash_in_bytes = messages[i].size();
        job->auth_tag_output = out[i].data();
        job->auth_tag_output_len_in_bytes = out[i].size();
        job->user_data = &out[i];
        for (job = IMB_SUBMIT_JOB_NOCHECK(manager); job != nullptr; job = IMB_GET_COMPLETED_JOB(manager)) finished(job);
    }
    while (manager != nullptr) {
        const IMB_JOB* job = IMB_FLUSH_JOB(manager);
        if (job == nullptr) break;
        finished(job);
    }
    for (std::size_t i = 0; i < messages.size(); ++i) {
        if (!done[i]) out[i] = sha256(messages[i]);
    }
    return static_cast<std::size_t>(std::count(done.begin(), done.end(), true));
}

}  // namespace

std::vector<Sha256Engine> available_sha256_engines() {
    std::vector<Sha256Engine> engines{Sha256Engine::openssl};
    for (const auto engine : {Sha256Engine::sha_pair, Sha256Engine::avx2, Sha256Engine::avx512}) {
        if (thread_manager(engine) != nullptr) engines.push_back(engine);
    }
    engines.push_back(Sha256Engine::automatic);
    return engines;
}

std::size_t sha256_many_with(Sha256Engine engine, std::span<const ByteView> messages, std::span<Hash> out) {
    const std::size_t step = engine == Sha256Engine::automatic ? machine().group() : kMostLanes;
    std::size_t side_by_side = 0;
    for (std::size_t at = 0; at < messages.size(); at += step) {
        const std::size_t count = std::min(step, messages.size() - at);
        side_by_side += hash_group(engine, messages.subspan(at, count), out.subspan(at, count));
    }
    return side_by_side;
}

#else

std::vector<Sha256Engine> available_sha256_engines() {
    return {Sha256Engine::openssl, Sha256Engine::automatic};
}

std::size_t sha256_many_with(Sha256Engine, std::span<const ByteView> messages, std::span<Hash> out) {
    for (std::size_t i = 0; i < messages.size(); ++i) out[i] = sha256(messages[i]);
    return 0;
}

#endif

}  // namespace fiducial::crypto::impl
