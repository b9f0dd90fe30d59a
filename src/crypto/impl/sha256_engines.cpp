#include "crypto/impl/sha256_engines.hpp"

#include <algorithm>

#include "crypto/hash.hpp"

#if defined(FIDUCIAL_HAVE_IPSEC_MB)
#include <intel-ipsec-mb.h>

#include <memory>
#endif

namespace fiducial::crypto::impl {

std::string_view name_of(Sha256Engine engine) { return engine == Sha256Engine::openssl ? "openssl" : "multi_buffer"; }

#if defined(FIDUCIAL_HAVE_IPSEC_MB)
namespace {

constexpr std::size_t kMostLanes = 16;
constexpr std::size_t kLongestInLane = std::size_t{1} << 20;  // longer ones gain nothing, and lanes count 64-byte blocks in 16 bits

struct ManagerDeleter {
    void operator()(IMB_MGR* manager) const { free_mb_mgr(manager); }
};
using Manager = std::unique_ptr<IMB_MGR, ManagerDeleter>;

Manager make_manager(void (*init)(IMB_MGR*)) {
    Manager manager(alloc_mb_mgr(0));
    if (!manager) return nullptr;
    init(manager.get());
    if (imb_get_errno(manager.get()) != 0) return nullptr;
    return manager;
}

/// What this thread has. Speeds in GB/s for chunks of 32 KiB, one core of a Sapphire Rapids at 2.3 GHz:
///   OpenSSL with SHA-NI 1.3 · SHA-NI on two messages in turn 1.8 · AVX2, 8 lanes full 1.25 · AVX-512, 16 lanes full 3.3
/// A vector register costs the same however many of its lanes are in use, hence the least numbers of full lanes below.
struct Managers {
    Manager wide;  // messages in the lanes of AVX-512 or AVX2 registers
    Manager pair;  // two messages in turn on the SHA instructions
    std::size_t lanes = 1;
    std::size_t least_full_lanes = 1;  // for `wide` to be quicker than the next best

    Managers() {
        const Manager probe(alloc_mb_mgr(0));
        if (!probe) return;
        const std::uint64_t features = probe->features;
        const bool sha = (features & IMB_FEATURE_SHANI) != 0;
        const bool avx2 = (features & IMB_FEATURE_AVX2) != 0 && (features & IMB_FEATURE_AESNI) != 0;
        if (avx2 && (features & IMB_FEATURE_AVX512_SKX) == IMB_FEATURE_AVX512_SKX) {
            wide = make_manager(init_mb_mgr_avx512);
            lanes = 16;
            least_full_lanes = sha ? 9 : 3;
        } else if (avx2 && !sha) {
            wide = make_manager(init_mb_mgr_avx2);
            lanes = 8;
            least_full_lanes = 4;
        }
        if (avx2 && sha) pair = make_manager(init_mb_mgr_avx2);
        if (!wide) lanes = pair ? 2 : 1;
    }

    /// Returns: null when one message after the other is best.
    IMB_MGR* best_for(std::size_t total, std::size_t longest) const {
        if (wide && total >= least_full_lanes * longest) return wide.get();
        if (pair && 2 * total >= 3 * longest) return pair.get();
        return nullptr;
    }
};

const Managers& thread_managers() {
    thread_local const Managers managers;
    return managers;
}

bool in_lane(ByteView message) { return !message.empty() && message.size() <= kLongestInLane; }

/// Hashes up to kMostLanes messages. Those that no lane takes are left to OpenSSL. Returns: how many lanes took.
std::size_t hash_group(const Managers& managers, std::span<const ByteView> messages, std::span<Hash> out) {
    std::size_t total = 0;
    std::size_t longest = 0;
    for (const ByteView message : messages) {
        if (!in_lane(message)) continue;
        total += message.size();
        longest = std::max(longest, message.size());
    }
    IMB_MGR* manager = longest == 0 ? nullptr : managers.best_for(total, longest);
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
    if (thread_managers().wide || thread_managers().pair) engines.push_back(Sha256Engine::multi_buffer);
    return engines;
}

Sha256Engine chosen_sha256_engine() {
    static const Sha256Engine chosen = available_sha256_engines().back();
    return chosen;
}

std::size_t sha256_many_with(Sha256Engine engine, std::span<const ByteView> messages, std::span<Hash> out) {
    if (engine == Sha256Engine::openssl || messages.size() < 2) {
        for (std::size_t i = 0; i < messages.size(); ++i) out[i] = sha256(messages[i]);
        return 0;
    }
    std::size_t side_by_side = 0;
    const Managers& managers = thread_managers();
    const std::size_t step = std::max<std::size_t>(managers.lanes, 2);
    for (std::size_t at = 0; at < messages.size(); at += step) {
        const std::size_t count = std::min(step, messages.size() - at);
        side_by_side += hash_group(managers, messages.subspan(at, count), out.subspan(at, count));
    }
    return side_by_side;
}

#else

std::vector<Sha256Engine> available_sha256_engines() { return {Sha256Engine::openssl}; }
Sha256Engine chosen_sha256_engine() { return Sha256Engine::openssl; }

std::size_t sha256_many_with(Sha256Engine, std::span<const ByteView> messages, std::span<Hash> out) {
    for (std::size_t i = 0; i < messages.size(); ++i) out[i] = sha256(messages[i]);
    return 0;
}

#endif

}  // namespace fiducial::crypto::impl
