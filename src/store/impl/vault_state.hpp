#pragma once
#include <chrono>
#include <condition_variable>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <span>
#include <vector>

#include "base/clock.hpp"
#include "crypto/hash.hpp"
#include "store/impl/description_format.hpp"
#include "store/impl/segment_format.hpp"
#include "store/vault.hpp"

namespace fiducial::store {

inline constexpr std::size_t kExtentBytes = 32 * kSealedChunkSize;  // 1 MiB of chunks
inline constexpr std::size_t kHashedTogether = 16;                  // chunks

/// Unique, and later than those of the seconds before: the index's pages of ids are then written one after the other, however many objects
/// there are. Spec: docs/formats/segments.md
ObjectId new_object_id(const Clock& clock = system_clock());

/// One object or mark on its way into a block.
struct PendingEntry {
    Bytes record;
    std::vector<std::uint32_t> segments;  // that hold its extents
    std::span<const Extent> extents;
    StoredObject* object = nullptr;  // one of the two
    const Mark* mark = nullptr;
    const std::vector<PendingEntry>* call = nullptr;  // all that were committed together: all are taken, or none
    bool never_whole = false;                         // its block is not whole on the disk, and never was
    Result<void> outcome;
    bool done = false;
};

struct VaultShared {
    std::unique_ptr<SegmentBackend> backend;
    const ShredStore* secrets = nullptr;
    Bytes32 site_id{};
    VaultOptions options;

    // Where the next bytes go.
    std::mutex tail_mutex;
    std::shared_ptr<Segment> current;  // none until the first write
    std::uint64_t tail = 0;
    std::map<std::uint64_t, std::uint64_t> unused;  // offset → size in `current`, before `tail`: given back by uploads that were abandoned
    std::uint64_t sequence = 0;                     // of the last block in `current`
    std::uint64_t previous_block = 0;
    std::uint64_t committed_end = 0;  // of `current`: behind its last durable block
    std::uint32_t highest_number = 0;
    Location last_block_at_open;
    std::set<std::uint32_t> being_written;            // segments of large objects that still come
    std::map<std::uint32_t, std::size_t> unfinished;  // segment → objects with bytes there that are neither committed nor given up
    std::map<std::uint32_t, Error> spoiled;           // segments that could not be synced: what is unfinished there is lost

    // Segments by number.
    mutable std::mutex segments_mutex;
    mutable std::map<std::uint32_t, std::shared_ptr<Segment>> opened;
    mutable std::map<std::uint32_t, std::uint32_t> rewritten;  // place → the segment that stands there instead of the first one
    using Moved = std::map<std::pair<std::uint32_t, std::uint64_t>, std::uint64_t>;  // (segment, offset) → offset
    mutable std::map<std::uint32_t, std::shared_ptr<const Moved>> moves;             // of rewritten segments, as far as they were asked for

    // Group commit.
    std::mutex commit_mutex;
    std::condition_variable commit_done;
    std::vector<PendingEntry*> queue;
    bool leading = false;
    std::optional<Error> poisoned;  // nothing is taken
    /// A block of which nobody knows whether it is on the disk, and the segment it stands in.
    struct Doubtful {
        std::shared_ptr<Segment> segment;
        std::uint64_t offset = 0;
    };
    std::optional<Doubtful> doubtful;  // why poisoned, where that can be mended
    std::chrono::steady_clock::time_point tried_to_mend{};
    Vault::GroupHook hook;
    Group backlog;  // durable, and not taken by the hook yet

    Result<std::shared_ptr<Segment>> segment(std::uint32_t number) const;
    /// All segments in their order, but for those in whose place another one stands. Fills in `rewritten`.
    Result<std::vector<SegmentName>> names() const;
    /// Nothing is written behind a segment's header before that is durable. Of one whose making failed, or was cut off, a part of the
    /// header may be left, or a sector of anything.
    Result<bool> is_begun(const Segment& segment) const;
    Result<SegmentHeader> header_of(const Segment& segment) const;
    /// Where something lies now that was last seen there. Errors: not_found.
    struct Resolved {
        std::shared_ptr<Segment> segment;
        std::uint64_t offset = 0;
    };
    Result<Resolved> resolve(std::uint32_t number, std::uint64_t offset) const;
    Result<std::shared_ptr<const Moved>> moves_of(std::uint32_t number) const;
    void remember(const std::shared_ptr<Segment>& segment) const;
    void keep_open(const std::shared_ptr<Segment>& segment) const;  // requires segments_mutex
    /// Requires: tail_mutex. Makes a segment and writes its header.
    Result<std::shared_ptr<Segment>> make_segment(bool data_only);
    /// Room for `size` bytes that belong to one extent: what was given back first. Begins a new segment where the current one is full.
    struct Place {
        std::shared_ptr<Segment> segment;
        std::uint64_t offset = 0;
    };
    /// `holder`: the segments in which the object has bytes so far.
    Result<Place> reserve(std::uint64_t size, std::set<std::uint32_t>& holder);
    /// Requires: tail_mutex.
    void hold(std::uint32_t segment, std::set<std::uint32_t>& holder);
    void let_go(const std::set<std::uint32_t>& holder);
    /// Why an object with bytes in these segments cannot be committed any more.
    std::optional<Error> spoiled_in(std::span<const std::uint32_t> segments);
    /// Requires: no record names the extents, none ever will, and nobody writes to them any more.
    void give_back(std::span<const Extent> extents);
    /// Requires: tail_mutex.
    Result<Place> reserve_aligned(std::uint64_t size, std::uint64_t alignment);

    Result<void> forget_segment(std::uint32_t number);

    /// Whether bytes of an object of this kind may be taken at present.
    Result<void> admit(ObjectKind kind) const { return kind == ObjectKind::manifest || !options.admit ? Result<void>() : options.admit(); }

    Result<void> commit_entries(std::vector<PendingEntry>& entries);
    Result<void> write_group(std::span<PendingEntry* const> group);
    /// After a failed sync of `failed`, or a failed write of the block: nothing more is written there, nor behind the block.
    Error withdraw(const Place& block, std::uint32_t failed, const Error& why);
    /// Requires: commit_mutex, and that nobody leads. Cuts a doubtful block off, where that could not be done at once.
    void mend();
    Result<Location> write_block(std::span<PendingEntry* const> group);
    Result<void> call_hook(std::span<PendingEntry* const> group, Location block);

    /// Goes through one segment's blocks. Spec: docs/formats/segments.md#recovery
    struct Walk {
        SegmentHeader header;
        std::uint64_t last_sequence = 0;
        std::uint64_t last_offset = 0;           // of the last good block; 0: none
        std::uint64_t end = kSegmentHeaderSize;  // behind it; 0: the segment was never begun
        std::optional<std::uint64_t> torn_at;    // something that began as a block, behind the last good one
        std::uint64_t end_sequence = 0;          // up to which the blocks are accounted for: those that were rewritten, too
        std::vector<Error> damage;
        bool begun() const { return end != 0; }
    };
    using BlockVisitor = std::function<Result<void>(std::uint64_t offset, std::span<const BlockRecord> records)>;
    Result<Walk> walk(const Segment& segment, std::uint64_t from, const BlockVisitor& visit) const;
    /// Finds where to go on writing; cuts a torn tail off.
    Result<void> resume(Location known_block);

    Error name_problem(Error error, const ObjectId& id, const Location& location) const;
};

/// Where a segment stands in the order, or stood until it was rewritten. Nothing: it is missing.
std::optional<std::uint32_t> place_of(std::span<const SegmentName> names, std::uint32_t number);

/// Returns: how much lies in each other segment, ascending.
std::vector<SegmentPart> parts_elsewhere(std::span<const Extent> extents, std::uint32_t own);

/// Reads the record that stands at offset; its checksum is not looked at. Errors: corrupt where there is none.
Result<Bytes> read_record_bytes(const Segment& segment, std::uint64_t offset);

/// The D under which a stream in this segment was sealed, told by its commitment: the study's, or the former one while data are encrypted
/// anew. Errors: corrupt where it is neither.
struct StreamSecret {
    crypto::Secret d;
    StreamKey key;
};
Result<StreamSecret> secret_of_stream(const StudySecretPair& secrets, std::uint32_t segment, const Bytes32& id, std::string_view info,
                                      const Hash& commitment);
/// Whether a row names this header: as it stands, or as it stands under the other D of its study while data are encrypted anew.
bool is_named(const ObjectHeader& header, const Hash& header_hash, const StudySecretPair& secrets);

/// Opens what is sealed in an object's record, having checked that all belongs together.
struct OpenedRecord {
    ObjectRecord record;
    crypto::Secret d;
    StreamKey key;
    std::vector<Hash> chunk_hashes;
    Hash chunk_root{};
    SealedDescription description;
};
Result<OpenedRecord> open_record(ObjectRecord record, const StudySecretPair& secrets, std::uint32_t segment);
/// What stands in a mark's record. Errors: corrupt.
Result<Mark> open_mark(const MarkRecord& record, const StudySecretPair& secrets, std::uint32_t segment);

}  // namespace fiducial::store
