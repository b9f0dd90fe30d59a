#pragma once
#include <cstdint>

#include "base/bytes.hpp"
#include "crypto/secret.hpp"

namespace fiducial::store {

/// One file of the shred store. Spec: docs/formats/shred_store.md
struct ShredPage {
    enum class Kind : std::uint8_t { study = 1, patient = 2 };
    Kind kind = Kind::study;
    std::uint32_t number = 0;
    std::uint64_t generation = 1;  // one more at each rewrite
    crypto::Secret slots;          // kSlotsPerPage slots one after another

    static std::size_t slot_size(Kind kind) { return kind == Kind::study ? 65 : 33; }
    static ShredPage make(Kind kind, std::uint32_t number);  // fresh secrets in every slot
    /// Returns: state byte ‖ secrets.
    ByteView slot(std::uint32_t index) const { return slots.view().subspan(index * slot_size(kind), slot_size(kind)); }
    bool is_destroyed(std::uint32_t index) const { return slot(index)[0] != kLive; }
    void destroy(std::uint32_t index);

    static constexpr std::uint8_t kLive = 1;
    static constexpr std::uint8_t kDestroyed = 2;

    /// Under a fresh key, which is wrapped by wrapping_key.
    Bytes seal(const crypto::Secret& wrapping_key) const;
    /// Errors: malformed; unsupported for a newer format; corrupt when it does not open, or holds what cannot be.
    static Result<ShredPage> open(ByteView file, const crypto::Secret& wrapping_key);
};

inline constexpr std::size_t kMaxShredPageBytes = 1 << 17;

}  // namespace fiducial::store
