#pragma once
#include <cstdint>
#include <optional>
#include <string>

#include "base/bytes.hpp"
#include "base/clock.hpp"
#include "crypto/secret.hpp"

namespace fiducial::audit {

/// Bits of Entry::flags.
enum Flag : std::uint32_t {
    node_away = 1U << 0,     // decided without an answer of the ledger node
    emergency = 1U << 1,     // glass was broken
    device = 1U << 2,        // a device asked, no person
    command = 1U << 3,       // a command on the machine, not a door
    deidentified = 1U << 4,  // what was given out had its identity removed
    people = 1U << 5,        // a change to the site's people or to who holds tokens follows
    begun_anew = 1U << 6,    // the first entry after a trace that was lost; the staff part says how long that one was
    counted = 1U << 7,       // many refusals of nobody known, counted; the staff part says how many, and from where
};

/// Who asked, and from where. Encrypted under a key of that person or device.
struct StaffPart {
    using not_for_logs = void;
    Bytes32 subject{};           // id of the person, device or institution
    std::string remote_address;  // "192.0.2.7:4711", an AE title, a user at a terminal; at most 255 bytes
    bool operator==(const StaffPart&) const = default;
};

/// Whose data, and which. Hashes and random ids only, no names. Encrypted under a key of that patient.
struct PatientPart {
    using not_for_logs = void;
    Bytes32 patient_key{};
    Bytes32 study_key{};
    Bytes32 object{};  // object id or record; zeros where a whole study is meant
    bool operator==(const PatientPart&) const = default;
};

/// One look, or one refusal to look.
/// Spec: docs/formats/trace.md. Codes of operation, purpose, reason and obligation are those of the contracts.
struct Entry {
    SystemTime time{};  // ms since 1970-01-01 UTC
    std::uint8_t operation = 0;
    std::uint8_t purpose = 0;
    bool allowed = false;
    std::uint16_t reason = 0;
    std::uint8_t obligation = 0;
    std::uint64_t block_number = 0;  // of the decision
    Bytes32 block_hash{};
    std::uint32_t flags = 0;
    std::uint16_t result = 0;  // ErrorCode + 1 of what came of it; 0: success
    std::optional<StaffPart> staff;
    std::optional<PatientPart> patient;
    bool operator==(const Entry&) const = default;
};

/// A key under which one part of an entry is sealed. Requires: key outlives the call.
struct PartKey {
    Bytes32 id{};                         // stands in clear beside the sealed part: random, says nothing of who it belongs to
    const crypto::Secret* key = nullptr;  // 32 bytes
};
struct EntryKeys {
    PartKey staff;    // needed where Entry::staff is set
    PartKey patient;  // needed where Entry::patient is set
};

/// A part of an entry that only its key opens. When the key is gone, the entry stays in the tree and says nothing more.
struct SealedPart {
    Bytes32 key_id{};
    Bytes sealed;  // nonce ‖ ciphertext ‖ tag
};

/// An entry as stored: what everyone with the log may read, and the sealed parts.
struct StoredEntry {
    Entry clear;  // staff and patient are empty
    std::optional<SealedPart> staff;
    std::optional<SealedPart> patient;
    Bytes bytes;  // the canonical encoding; its leaf hash is H(0x00 ‖ bytes)

    /// Errors: not_found when there is no such part; corrupt when the key does not open it.
    Result<StaffPart> open_staff(const crypto::Secret& key) const;
    Result<PatientPart> open_patient(const crypto::Secret& key) const;
};

inline constexpr std::size_t kLongestEntry = 4096;  // bytes of an encoded entry

/// Errors: invalid_argument when a part has no key, a key is not 32 bytes, or the remote address is too long.
Result<Bytes> encode_entry(const Entry& entry, const EntryKeys& keys);
/// Errors: malformed, naming the field; unsupported for a later version; limit_exceeded beyond kLongestEntry. Only the canonical encoding
/// passes.
Result<StoredEntry> decode_entry(ByteView bytes);
/// RFC 6962 leaf hash: H(0x00 ‖ bytes).
Hash entry_leaf_hash(ByteView bytes);

}  // namespace fiducial::audit
