#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "audit/trace.hpp"
#include "base/clock.hpp"
#include "crypto/ed25519.hpp"

namespace fiducial::audit {

/// How a key signs a note.
enum class NoteAlgorithm : std::uint8_t {
    ed25519 = 1,      // of the text: a log's
    cosignature = 4,  // of time and text: a witness's
};

/// A public key under a name: what people are given to check a log's checkpoints by.
/// Spec: C2SP signed-note, golang.org/x/mod/sumdb/note ("vkey").
struct NoteKey {
    std::string name;
    NoteAlgorithm algorithm = NoteAlgorithm::ed25519;
    Bytes32 public_key{};

    std::uint32_t id() const;
    /// name+id in hex+base64(algorithm ‖ public key)
    std::string text() const;
    /// Errors: malformed; unsupported for another algorithm.
    static Result<NoteKey> parse(std::string_view text);
    bool operator==(const NoteKey&) const = default;
};

struct NoteSignature {
    std::string name;
    std::uint32_t key_id = 0;
    Bytes bytes;
    std::string line() const;  // with the newline
    bool operator==(const NoteSignature&) const = default;
};

/// A text that one or more keys have signed.
/// Spec: C2SP signed-note.
struct Note {
    static constexpr std::size_t kLongest = 65536, kMostSignatures = 64;

    std::string text;  // ends with a newline
    std::vector<NoteSignature> signatures;

    std::string serialise() const;
    /// Errors: malformed; limit_exceeded.
    static Result<Note> parse(std::string_view bytes);
    /// Lines of signatures alone, as a witness answers. Errors: malformed; limit_exceeded.
    static Result<std::vector<NoteSignature>> parse_signatures(std::string_view lines);
    /// Errors: unverified where the key has not signed, or its signature does not fit.
    Result<void> verify(const NoteKey& key) const;
    /// When the key, a witness's, signed, in s. Errors: as verify.
    Result<std::uint64_t> cosigned_at(const NoteKey& key) const;
};

/// A log's size and root, under its name.
/// Spec: C2SP tlog-checkpoint.
struct Checkpoint {
    std::string origin;
    TraceHead head;

    std::string text() const;
    /// Errors: malformed. Further lines are let pass.
    static Result<Checkpoint> parse(std::string_view text);
};

/// Signs as the log of that origin.
Note sign_checkpoint(const Checkpoint& checkpoint, const crypto::Secret& seed);
NoteKey log_key(std::string_view origin, const crypto::Secret& seed);
/// Errors: those of Note::parse and Checkpoint::parse; unverified when it is not signed by the key, or under another name than the key's.
Result<Checkpoint> open_checkpoint(std::string_view note, const NoteKey& key);
/// Spec: C2SP tlog-cosignature, Ed25519.
NoteSignature cosign(std::string_view text, std::string_view name, const crypto::Secret& seed, SystemTime now);

}  // namespace fiducial::audit
