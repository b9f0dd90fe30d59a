#include "crypto/secret.hpp"

#include <sodium.h>
#include <sys/mman.h>
#include <unistd.h>

#include <bit>
#include <mutex>
#include <utility>
#include <vector>

namespace fiducial::crypto {
namespace {

void start_sodium() {
    static const int started = sodium_init();
    FID_INVARIANT(started >= 0, "libsodium cannot start: no source of randomness");
}

/// Locked memory for small secrets. libsodium's own allocator takes four pages for each one, and an archive holds the keys
/// of thousands of studies; here many share a page that is locked and left out of core dumps.
class LockedPool {
public:
    std::uint8_t* allocate(std::size_t size) {
        if (size > kLargestSlot) return map(size);
        const std::lock_guard lock(mutex_);
        auto& slots = free_[class_of(size)];
        if (slots.empty()) carve(class_of(size));
        std::uint8_t* slot = slots.back();
        slots.pop_back();
        return slot;
    }
    void release(std::uint8_t* data, std::size_t size) {
        sodium_memzero(data, size);
        if (size > kLargestSlot) {
            sodium_munlock(data, rounded(size));
            munmap(data, rounded(size));
            return;
        }
        const std::lock_guard lock(mutex_);
        free_[class_of(size)].push_back(data);
    }

private:
    static constexpr std::size_t kSmallestSlot = 32;
    static constexpr std::size_t kLargestSlot = 1024;
    static constexpr std::size_t kSlab = 16384;
    static constexpr std::size_t kClasses = 6;  // 32, 64, … 1024

    static std::size_t class_of(std::size_t size) {
        const std::size_t slot = std::bit_ceil(std::max(size, kSmallestSlot));
        return static_cast<std::size_t>(std::countr_zero(slot / kSmallestSlot));
    }
    static std::size_t rounded(std::size_t size) {
        static const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
        return (size + page - 1) / page * page;
    }
    std::uint8_t* map(std::size_t size) {
        start_sodium();
        void* memory = mmap(nullptr, rounded(size), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        FID_INVARIANT(memory != MAP_FAILED, "out of memory for secrets");
        if (sodium_mlock(memory, rounded(size)) != 0) warn_unlocked();  // sodium_mlock also sets MADV_DONTDUMP
        madvise(memory, rounded(size), MADV_DONTDUMP);                  // even where locking was refused
        return static_cast<std::uint8_t*>(memory);
    }
    void carve(std::size_t slot_class) {
        std::uint8_t* slab = map(kSlab);
        const std::size_t slot = kSmallestSlot << slot_class;
        for (std::size_t at = kSlab; at >= slot; at -= slot) free_[slot_class].push_back(slab + at - slot);
    }
    static void warn_unlocked() {
        static std::once_flag once;
        std::call_once(once, [] {
            log::warning(
                "crypto",
                "secrets cannot be locked in memory and may reach swap: raise the limit for locked memory (ulimit -l, LimitMEMLOCK)");
        });
    }

    std::mutex mutex_;
    std::array<std::vector<std::uint8_t*>, kClasses> free_;
};

LockedPool& pool() {
    static LockedPool* const instance = new LockedPool;  // never destroyed: secrets in other statics outlive it otherwise
    return *instance;
}

}  // namespace

Secret::Secret(std::size_t size) : data_(size == 0 ? nullptr : pool().allocate(size)), size_(size) {
    if (size_ != 0) std::memset(data_, 0, size_);
}

Secret Secret::copy_of(ByteView bytes) {
    Secret secret(bytes.size());
    if (!bytes.empty()) std::memcpy(secret.data_, bytes.data(), bytes.size());
    return secret;
}

Secret::Secret(Secret&& other) noexcept : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}

Secret& Secret::operator=(Secret&& other) noexcept {
    if (this != &other) {
        if (data_ != nullptr) pool().release(data_, size_);
        data_ = std::exchange(other.data_, nullptr);
        size_ = std::exchange(other.size_, 0);
    }
    return *this;
}

Secret::~Secret() {
    if (data_ != nullptr) pool().release(data_, size_);
}

void wipe(MutableByteView bytes) {
    if (!bytes.empty()) sodium_memzero(bytes.data(), bytes.size());
}

void fill_random(MutableByteView out) {
    start_sodium();
    if (!out.empty()) randombytes_buf(out.data(), out.size());
}

Bytes32 random_bytes32() {
    Bytes32 out;
    fill_random(out);
    return out;
}

Secret random_secret(std::size_t size) {
    Secret secret(size);
    fill_random(secret.bytes());
    return secret;
}

}  // namespace fiducial::crypto
