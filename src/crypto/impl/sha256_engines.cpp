#include "crypto/impl/sha256_engines.hpp"

#include "crypto/hash.hpp"

#if defined(FIDUCIAL_HAVE_IPSEC_MB)
#include <intel-ipsec-mb.h>

#include <memory>
#endif

namespace fiducial::crypto::impl {

std::string_view name_of(Sha256Engine engine) { return engine == Sha256Engine::openssl ? "openssl" : "multi_buffer"; }

#if defined(FIDUCIAL_HAVE_IPSEC_MB)
namespace {

constexpr std::size_t kBurst = 64;
constexpr std::size_t kLongestInLane = std::size_t{1} << 20;  // lane lengths are 16-bit counts of 64-byte blocks in some variants

struct ManagerDeleter {
    void operator()(IMB_MGR* manager) const { free_mb_mgr(manager); }
};
using Manager = std::unique_ptr<IMB_MGR, ManagerDeleter>;

Manager make_manager() {
    Manager manager(alloc_mb_mgr(0));
    if (!manager) return nullptr;
    IMB_ARCH arch = IMB_ARCH_NONE;
    init_mb_mgr_auto(manager.get(), &arch);
    if (imb_get_errno(manager.get()) != 0 || arch == IMB_ARCH_NONE || arch == IMB_ARCH_NOAESNI) return nullptr;
    return manager;
}

IMB_MGR* thread_manager() {
    thread_local const Manager manager = make_manager();
    return manager.get();
}

void hash_burst(IMB_MGR* manager, std::span<const ByteView> messages, std::span<Hash> out) {
    std::array<IMB_JOB, kBurst> jobs;
    std::array<std::size_t, kBurst> places;
    std::size_t count = 0;
    for (std::size_t i = 0; i < messages.size(); ++i) {
        if (messages[i].empty() || messages[i].size() > kLongestInLane) {
            out[i] = sha256(messages[i]);
            continue;
        }
        IMB_JOB& job = jobs[count];
        std::memset(&job, 0, sizeof(job));
        job.src = messages[i].data();
        job.hash_start_src_offset_in_bytes = 0;
        job.msg_len_to_hash_in_bytes = messages[i].size();
        job.auth_tag_output = out[i].data();
        job.auth_tag_output_len_in_bytes = out[i].size();
        job.hash_alg = IMB_AUTH_SHA_256;
        places[count++] = i;
    }
    if (count == 0) return;
    const std::uint32_t done = IMB_SUBMIT_HASH_BURST_NOCHECK(manager, jobs.data(), static_cast<std::uint32_t>(count), IMB_AUTH_SHA_256);
    for (std::size_t j = 0; j < count; ++j) {
        if (done != count || jobs[j].status != IMB_STATUS_COMPLETED) out[places[j]] = sha256(messages[places[j]]);
    }
}

}  // namespace

std::vector<Sha256Engine> available_sha256_engines() {
    std::vector<Sha256Engine> engines{Sha256Engine::openssl};
    if (thread_manager() != nullptr) engines.push_back(Sha256Engine::multi_buffer);
    return engines;
}

Sha256Engine chosen_sha256_engine() {
    static const Sha256Engine chosen = [] {
        const IMB_MGR* manager = thread_manager();
        return manager == nullptr ? Sha256Engine::openssl : Sha256Engine::multi_buffer;
    }();
    return chosen;
}

void sha256_many_with(Sha256Engine engine, std::span<const ByteView> messages, std::span<Hash> out) {
    IMB_MGR* manager = engine == Sha256Engine::multi_buffer && messages.size() > 1 ? thread_manager() : nullptr;
    if (manager == nullptr) {
        for (std::size_t i = 0; i < messages.size(); ++i) out[i] = sha256(messages[i]);
        return;
    }
    for (std::size_t at = 0; at < messages.size(); at += kBurst) {
        const std::size_t count = std::min(kBurst, messages.size() - at);
        hash_burst(manager, messages.subspan(at, count), out.subspan(at, count));
    }
}

#else

std::vector<Sha256Engine> available_sha256_engines() { return {Sha256Engine::openssl}; }
Sha256Engine chosen_sha256_engine() { return Sha256Engine::openssl; }

void sha256_many_with(Sha256Engine, std::span<const ByteView> messages, std::span<Hash> out) {
    for (std::size_t i = 0; i < messages.size(); ++i) out[i] = sha256(messages[i]);
}

#endif

}  // namespace fiducial::crypto::impl
