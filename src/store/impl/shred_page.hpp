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
    std::uint64_t generation = 1;    // one more at each rewrite
    std::uint32_t former_until = 0;  // of a study: segments up to this one may hold what is under a slot's former D. 0: there is none
    crypto::Secret slots;            // kSlotsPerPage slots one after another

    static ShredPage make(Kind kind, std::uint32_t number);  // fresh secrets in every slot
    std::size_t slot_size() const { return kind == Kind::patient ? 33 : former_until == 0 ? 65 : 97; }
    /// Returns: state byte ‖ secrets.
    ByteView slot(std::uint32_t index) const { return slots.view().subspan(index * slot_size(), slot_size()); }
    /// With a fresh D beside the former one in each live slot of a study, and wholly fresh secrets in slots from first_unused on.
    /// until: the highest segment under the former ones; 0: nothing is. Requires: former_until == 0.
    ShredPage renewed(std::uint32_t first_unused, std::uint32_t until) const;
    /// Without the former Ds.
    ShredPage settled() const;
    bool is_destroyed(std::uint32_t index) const { return slot(index)[0] != kLive; }
    void destroy(std::uint32_t index);

    static constexpr std::uint8_t kLive = 1;
    static constexpr std::uint8_t kDestroyed = 2;

    /// Under a fresh key, which is wrapped by wrapping_key.
    Bytes seal(const crypto::Secret& wrapping_key) const;
    /// Errors: malformed; unsupported for a newer format; corrupt when it does not open, or holds what cannot be.
    static Result<ShredPage> open(ByteView file, const crypto::Secret& wrapping_key);
    /// What the beginning of a page says of former_until, which is believed only when the page opens. Requires: kHeadSize bytes of it.
    static constexpr std::size_t kHeadSize = 28;
    static std::uint32_t claimed_former_until(ByteView head);
};

inline constexpr std::size_t kMaxShredPageBytes = 1 << 17;

}  // namespace fiducial::store
