#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "audit/note.hpp"

namespace fiducial::audit {

/// Hash of the tree over the leaves from `begin` to before `end`.
using RangeHash = std::function<Result<Hash>(std::uint64_t begin, std::uint64_t end)>;

/// Sibling hashes, lowest first. Spec: RFC 6962 §2.1.1. Requires: index < size. Errors: those of `hash`.
Result<std::vector<Hash>> inclusion_path(std::uint64_t index, std::uint64_t size, const RangeHash& hash);
/// Spec: RFC 6962 §2.1.2. Requires: old_size <= size. Errors: those of `hash`.
Result<std::vector<Hash>> consistency_path(std::uint64_t old_size, std::uint64_t size, const RangeHash& hash);

/// Shows, without the log, that an entry stands in it.
/// Spec: C2SP tlog-proof; its extra data is the entry.
struct InclusionProof {
    Bytes entry;
    std::uint64_t index = 0;
    std::vector<Hash> path;
    std::string checkpoint;  // a note

    static constexpr std::string_view kFirstLine = "c2sp.org/tlog-proof@v1\n";
    std::string text() const;
    /// Errors: malformed; limit_exceeded.
    static Result<InclusionProof> parse(std::string_view text);
    /// Returns: the checkpoint under which it stands. Errors: unverified; malformed.
    Result<Checkpoint> verify(const NoteKey& key) const;
};

/// Shows, without the log, that it goes on from an earlier checkpoint.
/// Spec: C2SP tlog-witness, the body of add-checkpoint.
struct ConsistencyProof {
    std::uint64_t old_size = 0;
    std::vector<Hash> path;
    std::string checkpoint;  // a note

    std::string text() const;
    /// Errors: malformed; limit_exceeded.
    static Result<ConsistencyProof> parse(std::string_view text);
    /// Returns: the later checkpoint. Errors: unverified; malformed.
    Result<Checkpoint> verify(const NoteKey& key, const TraceHead& old) const;
};

}  // namespace fiducial::audit
