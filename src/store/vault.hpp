#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <vector>

#include "base/bytes.hpp"
#include "crypto/secret.hpp"
#include "store/keyring.hpp"
#include "store/segment_backend.hpp"
#include "store/shred_store.hpp"
#include "store/types.hpp"

namespace fiducial::store {

inline constexpr std::uint64_t kMaxObjectBytes = std::uint64_t{1} << 38;  // 256 GiB

struct VaultShared;  // what a vault and its writers and readers share

struct VaultOptions {
    std::uint64_t segment_bytes = std::uint64_t{1} << 30;   // a new segment is begun beyond this
    std::uint64_t own_file_bytes = std::uint64_t{1} << 30;  // objects larger than this get a segment of their own
    std::function<Result<void>()>
        admit{};  // asked before bytes of an object are taken (not of a manifest, nor a mark): its error refuses them
};

/// What the vault knows about an object when it is durable.
struct StoredObject {
    ObjectRef ref;
    ObjectDescription description;
    Hash sha256{};           // of the data set
    Hash prefix_sha256{};    // zeros: no prefix
    Hash fragment_sha256{};  // of the plain fragment; zeros: none
    std::uint64_t prefix_size = 0;
    std::uint64_t stored_size = 0;       // bytes that it takes in segments besides its record; 0: they were given up
    std::uint64_t record_size = 0;       // of its record
    std::vector<SegmentPart> elsewhere;  // of it in other segments than its record's
    // Filled in by the group hook:
    Admission admission = Admission::stored;
    std::string reason;  // why it was set aside; no patient's name
};

/// A later word on an object, kept in the segments so that the index can be made again from them alone.
struct Mark {
    ObjectId object{};
    Slot slot = 0;
    ObjectState state = ObjectState::current;
    std::uint64_t at_ms = 0;
    std::string reason;  // for people; no patient's name; at most 1024 bytes
};

/// What blocks hold, with the marks at their places among the objects: what an object becomes depends on what stands before it.
struct Group {
    struct PlacedMark {
        Mark mark;
        std::size_t objects_before = 0;
    };
    std::vector<StoredObject> objects;
    std::vector<PlacedMark> marks;

    void add(Mark mark) { marks.push_back({std::move(mark), objects.size()}); }
    std::size_t size() const { return objects.size() + marks.size(); }
};

/// Takes one object's bytes as they come, hashed and encrypted; memory does not grow with them (but for 32 bytes a chunk).
/// Threads: one at a time. Dropped without commit: its space is lost until compaction, nothing else.
class ObjectWriter {
public:
    ObjectWriter(ObjectWriter&&) noexcept;
    ObjectWriter& operator=(ObjectWriter&&) noexcept;
    ~ObjectWriter();

    const ObjectId& id() const;
    /// Errors: io, no_space; the writer is then of no more use. limit_exceeded beyond kMaxObjectBytes.
    Result<void> write(ByteView bytes);
    std::uint64_t size() const;
    /// No more bytes will come. Returns: the fingerprints, for a look whether the archive has these bytes already.
    /// Errors: invalid_argument for no bytes at all.
    struct Fingerprint {
        std::uint64_t size = 0;
        Hash sha256{};
        Hash chunk_root{};
    };
    Result<Fingerprint> finish();
    void abandon();

private:
    friend class Vault;
    struct State;
    explicit ObjectWriter(std::unique_ptr<State> state);
    std::unique_ptr<State> state_;
};

/// An object with all that goes with it, ready to be made durable.
struct PendingObject {
    ObjectWriter writer;
    ObjectDescription description;
    Bytes fragment;  // DICOM JSON; empty: none
    Bytes prefix;    // preamble and group 0002 as they came; empty: none
};

/// Reads one object at any place. A byte is released only after its chunk was decrypted (which proves that this archive wrote
/// it here) and its SHA-256 found in the list whose root is the given chunk_root.
/// Errors: corrupt, naming object, chunk, segment and offset.
/// Threads: one at a time.
class ObjectReader {
public:
    ObjectReader(ObjectReader&&) noexcept;
    ObjectReader& operator=(ObjectReader&&) noexcept;
    ~ObjectReader();

    std::uint64_t size() const;
    std::uint64_t chunk_count() const;
    /// Where a byte of the object lies on the disk, encrypted. Requires: position < size().
    Location place_of(std::uint64_t position) const;
    /// SHA-256 of each chunk, checked against chunk_root.
    std::span<const Hash> chunk_hashes() const;
    /// Returns: bytes put into out, fewer only at the object's end. Reads ahead by up to 8 chunks in sequence.
    Result<std::size_t> read(std::uint64_t offset, MutableByteView out);
    /// Returns: the chunk; valid until the next call.
    Result<ByteView> read_chunk(std::uint64_t index);
    /// DICOM JSON; empty where there is none.
    Result<Bytes> fragment() const;
    /// Preamble and group 0002; empty where there were none.
    Result<Bytes> prefix() const;
    const ObjectDescription& description() const;
    /// Reads every chunk, the fragment and the prefix.
    Result<void> check();

private:
    friend class Vault;
    struct State;
    explicit ObjectReader(std::unique_ptr<State> state);
    std::unique_ptr<State> state_;
};

/// What a look through the segments finds.
struct ScannedEntry {
    Location location;
    Location block;  // that holds it
    ObjectId id{};
    Slot slot = 0;
    std::optional<StoredObject> object;  // absent for a mark, and where the secrets are destroyed or do not fit
    std::optional<Mark> mark;
    std::vector<std::uint32_t> segments;  // that hold the object's bytes
    std::optional<Error> problem;         // not_found: its study was erased; else corrupt
    bool other_secrets = false;           // the problem: its secrets are not there, or not those that its header commits to
    Hash header_hash{};                   // of an object
};
struct ScanResult {
    std::uint64_t entries = 0;
    std::vector<std::uint32_t> data_only;  // segments of one large object each, without those that were being written when the scan began
    std::vector<Error> damage;             // blocks that should be there and are not readable; names segment and offset
};

/// What is kept of an object when its segment is rewritten.
enum class Keep : std::uint8_t {
    nothing,  // its study was erased
    record,   // what the index is made from; the bytes are given up
    whole,
};
struct Keeping {
    Keep keep = Keep::whole;
    std::optional<ObjectRef> check{};  // every chunk is checked before it is copied
    bool is_damaged = false;           // known to be, with no good copy to come: kept as damaged as it is
};
struct RewriteRules {
    std::function<Result<Keeping>(const ObjectId& id, Slot slot, const Location& location)> keep;
    std::function<bool(std::uint64_t kept_bytes)> worth;         // whether to go on, once it is known how much stays
    std::function<Result<void>(std::uint64_t kept_bytes)> fits;  // whether there is room for it
    std::function<Result<void>(std::uint64_t bytes)> pace;       // after each piece of work
    bool reseal = false;                                         // everything is sealed under the present D of its study
};
struct MovedObject {
    ObjectId id{};
    Location from;
    ObjectPlace to;
};
/// A segment that was written anew, durable and compared with the former one, which nobody sees yet.
struct Rewritten {
    SegmentName name;  // number 0: nothing was kept of a large object's own segment, there is no new one
    std::uint64_t bytes = 0;
    std::vector<MovedObject> objects;
};
struct SegmentInfo {
    std::uint32_t number = 0, place = 0;
    std::uint64_t bytes = 0;
    bool is_open = false;  // is written to
};

/// Append-only, encrypted object store over segments.
/// Spec: docs/formats/segments.md
/// Threads: safe. After a failed sync nobody knows what of the segment's newest bytes reached the disk, whatever a second sync says:
/// the block is cut off again, objects that had unfinished bytes there fail, and storing goes on in a new segment.
class Vault {
public:
    /// `known_block`: the last block that the index has seen; all zeros where it has seen none. A torn tail beyond it is cut
    /// off; damage before it is logged and reported by scans, and never cut. `known_segment`: the highest number that the index
    /// has heard of; no number up to it is given to a new segment, even where the segment is missing.
    static Result<std::unique_ptr<Vault>> open(std::unique_ptr<SegmentBackend> backend, const ShredStore& secrets, const Bytes32& site_id,
                                               const VaultOptions& options, Location known_block, std::uint32_t known_segment);
    /// Why nothing can be stored at present; nothing while all is well.
    std::optional<Error> failure() const;
    /// The highest number that a segment has, or had.
    std::uint32_t highest_segment() const;
    ~Vault();

    /// expected_size: 0 where unknown. Errors: not_found for a destroyed slot; no_space as VaultOptions::admit says; unavailable after a
    /// failed sync, until what it left could be cut off.
    Result<ObjectWriter> begin_object(Slot study_slot, ObjectKind kind, std::uint64_t expected_size = 0);

    /// Called by one thread at a time, in the order of the segments, when a group is durable and before its commits return.
    /// An error becomes the result of the whole group (whose objects then stay in the segments, to be found at the next start).
    using GroupHook = std::function<Result<void>(Group& group, Location block)>;
    void set_group_hook(GroupHook hook);

    /// Durable, and told to the group hook, when it returns. Several threads' commits share one sync.
    Result<StoredObject> commit(PendingObject object);
    Result<std::vector<StoredObject>> commit_many(std::vector<PendingObject> objects);
    Result<void> commit_mark(const Mark& mark) { return commit_marks({&mark, 1}); }
    /// Up to 4096 marks stand in one block: all of them are durable, or none.
    Result<void> commit_marks(std::span<const Mark> marks);

    /// Errors: corrupt when the record is not where ref says, or not the one that it says; not_found when its secrets are destroyed, or its
    /// bytes were given up.
    Result<ObjectReader> open_object(const ObjectRef& ref) const;

    /// Visits all entries of the block at `from` (all zeros: the first) and of those behind it, in order.
    Result<ScanResult> scan(Location from, const std::function<Result<void>(ScannedEntry&&)>& visit) const;
    /// Of a large object that never came to its end. Requires: no record names it.
    Result<void> remove_segment(std::uint32_t number);

    // Compaction. Spec: docs/formats/segments.md#compaction
    /// All but those of large objects that still come, and those that nothing was ever written to.
    Result<std::vector<SegmentInfo>> segments() const;
    /// Begins a new segment with what comes next, where this one is the open one.
    Result<void> close_segment(std::uint32_t number);
    /// Whether a segment stands behind another in the order.
    bool is_behind(std::uint32_t number, std::uint32_t other) const;
    /// Writes what is to be kept of a segment into a new one, under the same ciphertext (unless rules.reseal) and in the same order. The
    /// former one stays as it is. With rules.reseal objects take the bytes that they have in other segments with them. Returns: nothing
    /// where it is not worth it. Errors: conflict while objects with bytes there are still being stored; corrupt, for damage; those of the
    /// rules. Then nothing has changed.
    Result<std::optional<Rewritten>> rewrite_segment(std::uint32_t number, const RewriteRules& rules) const;
    /// From here on it stands in the former one's place, which is read no more but by those who read it already.
    Result<void> publish(const Rewritten& rewritten) const;
    /// Removes a segment in whose place another one stands, or of which nothing was kept.
    Result<void> retire(std::uint32_t number) const;
    /// Segments that are still there although another one stands in their place: a process ended in between.
    Result<std::vector<std::uint32_t>> superseded() const;
    /// What went from such a segment into the one in its place.
    Result<std::vector<MovedObject>> moved_from(std::uint32_t number) const;
    /// The last block of the segment that stands in the place of a former one. Offset 0: it has none.
    Result<Location> last_block_in_place_of(std::uint32_t former) const;
    /// Where the bytes of a segment lie, for people.
    Result<std::string> name_of_segment(std::uint32_t number) const;

    /// Reads and checks every chunk, the fragment and the prefix. Errors: as of ObjectReader.
    Result<void> check_object(const ObjectRef& ref) const;

    /// The last block when the vault was opened: the only one that need not have been durable when the archive stopped, and whose
    /// objects may thus be torn. All zeros where every block is known to have been durable.
    Location last_block_at_open() const;
    /// All that was written to these segments, by whatever process, is durable when it returns. One that is not there is passed over.
    Result<void> sync(const std::set<std::uint32_t>& segments) const;

    /// What lies in the segments' folder.
    struct Usage {
        std::uint32_t segments = 0;
        std::uint64_t bytes = 0;  // of whole files: with what nothing names any more
    };
    Result<Usage> usage() const;

    /// A segment and how much of it belongs to a copy.
    struct Part {
        SegmentName segment;
        std::uint64_t bytes = 0;
    };
    /// Requires: Store::keep_places(), until it is copied.
    /// What makes a whole vault of all that was committed when this was called, ascending: no block in it names a byte that is still to
    /// come, however long the copying takes. What lies between those bytes may change meanwhile (uploads that go on).
    Result<std::vector<Part>> committed_parts() const;

private:
    explicit Vault(std::shared_ptr<VaultShared> state);
    std::shared_ptr<VaultShared> state_;
};

}  // namespace fiducial::store
