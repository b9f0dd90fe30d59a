#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "archive/query.hpp"
#include "archive/requester.hpp"
#include "base/bytes.hpp"
#include "base/identifiers.hpp"
#include "base/result.hpp"

namespace fiducial::audit {
struct WitnessAnswer;
}

namespace fiducial::archive {

class Deliveries;
class Reception;
struct CommitmentAnswer;
struct CommitmentRequest;
struct Delivery;
class Worklist;

/// What became of one instance that was offered.
enum class Outcome : std::uint8_t {
    stored,       // new here
    duplicate,    // these very bytes were here already
    new_version,  // same pixel data under another header: the study's next version
    set_aside,    // another object under a known UID, or a second patient in a study: kept apart, reported, decided by a custodian
    refused,      // not taken; `reason` says why
};
std::string_view name_of(Outcome outcome);

struct InstanceOutcome {
    Outcome outcome = Outcome::refused;
    std::string study_uid, series_uid, sop_uid, sop_class_uid;  // as far as they could be read
    std::optional<Error> error;                                 // for refused, and why for set_aside
    std::vector<std::string> warnings;                          // defects accepted
};

/// How the bytes of one instance come in.
struct InstanceFormat {
    std::string transfer_syntax_uid;  // empty: a DICOM file (PS3.10); otherwise a bare data set in that syntax
    PatientText source;               // where it comes from, for the manifest: a path, a peer; kept encrypted
    Hash source_sha256{};             // of the file as it was brought, where that was not DICOM; else zeros
    Bytes original;                   // that file, where the data set does not hold it byte for byte; else empty
    // What it must be, where the door was told; anything else is refused with conflict.
    std::string study_uid{};
    std::string sop_class_uid{};
    std::string sop_uid{};  // a data set that was sent under it came in a message: it gets the header that makes a file of it
};

/// What one association, request or import run brings. Studies it touched are complete when it is completed.
/// Threads: one at a time; several sessions side by side.
class IngestSession {
public:
    virtual ~IngestSession() = default;  // what was begun and not finished is dropped; what was finished stays
    virtual Result<void> begin_instance(const InstanceFormat& format) = 0;
    /// Streams bytes of the instance. Errors: malformed, unsupported, limit_exceeded, no_space, io. After an error the instance
    /// is over: finish_instance() still reports it, further bytes are ignored.
    virtual Result<void> write(ByteView bytes) = 0;
    /// Durable when it returns stored or new_version. Errors only where the archive itself failed (io, no_space, …);
    /// what is wrong with the instance is in the outcome.
    virtual Result<InstanceOutcome> finish_instance() = 0;
    /// What is known so far of the instance that is being taken: for an answer that names what the archive failed to store.
    virtual InstanceOutcome known_so_far() const { return {}; }
    /// Like finish_instance(), but everything of this instance is dropped.
    virtual void abandon_instance() = 0;
    /// The exam is complete: study records are built and put into the outbox. Errors: of the first study that could not be,
    /// naming these studies; the others are complete. The archive tries them again by itself.
    virtual Result<void> complete() = 0;
    /// The same in a moment and in the background: what others bring to these studies until then is in the same version. Its errors are
    /// logged, and it is tried again.
    virtual void complete_soon() = 0;
};

struct RetrievedInstance {
    std::string study_uid, series_uid, sop_uid, sop_class_uid, transfer_syntax_uid;
    std::uint64_t data_set_size = 0;  // bytes of the data set
    std::uint64_t prefix_size = 0;    // bytes of preamble and group 0002 as the file came, or as made for a bare data set
    Bytes32 object_id{};              // of these bytes and no others: they never change under it
    Hash overlay_sha256{};            // of the correction by which they are not those that were stored; zeros: they are
    std::uint64_t file_size() const { return data_set_size + prefix_size; }
};

/// How far the ledger vouches for a study: its newest version.
struct StudyEvidence {
    std::uint64_t version = 0;
    std::string state;        // ledger::OutboxState, as a word
    std::uint64_t block = 0;  // 0: in none yet
    bool complete = false;    // nothing came to the study, and nothing in it changed, since
};

/// A decided, traced look at a study, or at a part of one.
class Look {
public:
    virtual ~Look() = default;
    std::optional<StudyEvidence> evidence;  // nothing: the study has no version yet
    Hash overlay_sha256{};                  // of the correction that is applied to what is given out; zeros: none
};

/// Bytes that read() gives are decrypted and checked against the anchored leaf already.
/// Threads: one at a time.
class Retrieval : public Look {
public:
    virtual std::size_t instance_count() const = 0;
    /// What next_instance() will give, counted from 0; the prefix is not known yet. Requires: index < instance_count()
    virtual RetrievedInstance listed(std::size_t index) const = 0;
    /// Goes to the next instance, whose file (PS3.10) is then read. Returns: nothing at the end.
    virtual Result<std::optional<RetrievedInstance>> next_instance() = 0;
    /// Bytes of the data set that are checked together: reads that end at a multiple of it cost least.
    static constexpr std::uint64_t kStride = 32'768;
    /// Fills `out` as far as it can. Returns: bytes written, 0 at the instance's end.
    /// Errors: corrupt: the object has been quarantined and an alarm raised; the answer under way must be broken off.
    virtual Result<std::size_t> read(MutableByteView out) = 0;
    /// Leaves out so many bytes of the instance's file. Requires: they are there.
    virtual void skip(std::uint64_t bytes) = 0;
};

/// What instances say of themselves. What long values hold is not in it.
/// Threads: one at a time.
class MetadataLook : public Look {
public:
    /// Goes to the next instance. Returns: nothing at the end. Its document is a DICOM JSON object (PS3.18 Annex F) as it was made when the
    /// instance came; a BulkDataURI in it is "bulk/" and a path (dicom::BulkValue). Errors: corrupt.
    struct Document {
        std::string series_uid, sop_uid, dicom_json;
    };
    virtual Result<std::optional<Document>> next() = 0;
};

/// Where a value, or a frame of pixel data, lies in an instance.
struct ValuePlace {
    std::uint64_t offset = 0, length = 0;  // in the data set; where that is deflated or big-endian, in it as Explicit VR Little Endian
    // Of a frame of single bits that shares bytes with its neighbours (PS3.5 §8.1.1): where in the first byte it begins, from the lowest
    // bit on, and how long it is. 0 bits: it is these bytes.
    unsigned first_bit = 0;
    std::uint64_t bits = 0;
};

/// One instance, at any place. Bytes are checked as those of a Retrieval.
/// Threads: one at a time.
class ValueLook : public Look {
public:
    virtual const std::string& transfer_syntax_uid() const = 0;
    virtual const std::string& series_uid() const = 0;
    virtual const std::string& sop_uid() const = 0;
    /// What the instance says of itself, as MetadataLook::Document::dicom_json. Errors: corrupt.
    virtual Result<std::string> header() = 0;
    /// The value at a path (dicom::BulkValue). Errors: not_found; corrupt.
    virtual Result<ValuePlace> find(std::string_view path) = 0;
    /// The places that make up a frame of pixel data, in order, counted from 1: one where frames are native, else its fragments.
    /// Errors: not_found: there is no such frame; unsupported: it cannot be told where it is; corrupt.
    virtual Result<std::vector<ValuePlace>> find_frame(std::uint64_t number) = 0;
    /// Returns: bytes put into out, fewer only at the data set's end. Errors: corrupt, as Retrieval::read.
    virtual Result<std::size_t> read(std::uint64_t offset, MutableByteView out) = 0;
};

/// Images, one after the other: in each series by Instance Number. Threads: one at a time.
class ImageLook : public Look {
public:
    virtual std::size_t image_count() const = 0;
    /// Returns: null at the end. Errors: corrupt; unsupported: out of this one no parts are given.
    virtual Result<std::unique_ptr<ValueLook>> next() = 0;
};

enum class Level : std::uint8_t { study, series, instance };
struct Selector {
    Level level = Level::study;
    std::string study_uid, series_uid, sop_uid;  // as far as the level needs them
    bool original = false;                       // as it was stored, whatever was corrected: for who may correct
};

/// Why something is corrected.
struct CorrectionGround {
    std::string reason;  // of a removal, one of a list: archive/corrections.hpp
    std::string text;    // in words, without a patient's name
};
/// Whose a study is. What is not said stays as it is known of that patient.
struct PatientCorrection {
    PatientText patient_id, issuer;
    std::optional<PatientText> name, birth_date;  // PN; YYYYMMDD
    std::optional<std::string> sex;
};
struct Corrected {
    std::uint64_t instances = 0;       // that it was about
    std::uint64_t version = 0;         // the study's newest, which says so
    std::vector<std::string> remarks;  // what could not be done to each of them
    std::string study_uid{};           // that they were moved to
};

/// Why a doctor breaks the glass.
struct EmergencyGround {
    std::string reason;  // one of a list: archive/consents.hpp
    std::string text;    // in words, without a patient's name
};
struct OpenedEmergency {
    std::uint64_t until = 0;  // s since 1970
    bool node_away = false;   // it is written down here and sent to the ledger later
};

struct Metric {
    std::string name, help, type;  // "gauge" or "counter"
    std::vector<std::pair<std::string, std::string>> labels;
    double value = 0;
};
struct Health {
    bool ready = false;              // the store takes objects
    std::vector<std::string> notes;  // what is not as it should be, in words
};

/// The use cases of the archive as its doors see them. Blocking; threads: safe.
class Archive {
public:
    virtual ~Archive() = default;

    /// Errors: unauthenticated.
    virtual Result<Requester> authenticate(std::string_view bearer_token) = 0;

    /// Where people get an account and come in: archive/reception.hpp.
    virtual Reception& reception() = 0;

    /// The log-in name of whoever asks, for showing it to them. Errors: not_found for what is no person of this site.
    virtual Result<std::string> name_of_person(const Requester& who) = 0;

    /// Whom a peer acts as that the door knows by title and address: the device of this name, or where the settings name none the
    /// institution that lists it. Errors: not_found.
    virtual Result<Requester> authenticate_device(std::string_view name) = 0;

    /// Which of these operations the contracts do not list for a device, in the words of `device add`, joined by commas; empty: none.
    /// Nothing is looked at, and nothing traced. Errors: not_found: there is no such device; unavailable: nobody can tell at present
    virtual Result<std::string> duties_missing(std::string_view device, const std::vector<Operation>& wanted);

    /// Errors: denied; unavailable and no_space when nothing can be taken at present.
    virtual Result<std::unique_ptr<IngestSession>> begin_ingest(const Requester& who, std::string_view source) = 0;

    /// Decides, writes the trace, and opens. The trace entry is durable before this returns.
    /// Errors: denied (the reason is in the message), not_found, unavailable, corrupt.
    virtual Result<std::unique_ptr<Retrieval>> retrieve(const Requester& who, const Selector& what) = 0;

    /// The rows of a list, each decided and traced as it is given out (QueryAnswer).
    /// Errors: malformed, limit_exceeded: a key's value, which the message names.
    virtual Result<std::unique_ptr<QueryAnswer>> query(const Requester& who, const Query& query) = 0;

    /// Like retrieve(), of what the instances say of themselves; in the order of their UIDs.
    virtual Result<std::unique_ptr<MetadataLook>> metadata(const Requester& who, const Selector& what) = 0;

    /// Like retrieve(), of parts of one instance.
    virtual Result<std::unique_ptr<ValueLook>> values(const Requester& who, const Selector& instance) = 0;

    /// Like retrieve(), of the instances that hold pixels; `only_one`: the one that stands for them all, in the middle of the largest
    /// series.
    virtual Result<std::unique_ptr<ImageLook>> images(const Requester& who, const Selector& what, bool only_one) = 0;

    /// What is to be done at the modalities: archive/worklist.hpp.
    virtual Worklist& worklist() = 0;

    /// Evidence of one instance, as canonical JSON. Errors: not_found, denied, unavailable (node away; not settled yet).
    virtual Result<std::string> evidence(const Requester& who, const Selector& instance) = 0;

    /// Opens all studies of a study's patient to a doctor who then asks with purpose *emergency*, whatever the patient restricted: at once
    /// and for an hour, also with the ledger's node away. Written down first, here and in the trace. Errors: denied; not_found;
    /// invalid_argument for a ground that says nothing.
    virtual Result<OpenedEmergency> break_glass(const Requester& who, std::string_view study_uid, const EmergencyGround& ground) = 0;

    /// Takes instances out of their study, which gets a new version without them: no list and no retrieval has them any more. Their bytes
    /// and the earlier versions stay. All of them, or none. Errors: denied; not_found; invalid_argument for a ground that says nothing;
    /// conflict: the study is under a legal hold, or is to be kept for longer; unavailable.
    virtual Result<Corrected> remove(const Requester& who, const Selector& what, const CorrectionGround& ground) = 0;
    /// Takes a removal back. Errors: as of remove(); conflict: another object stands in its place by now.
    virtual Result<Corrected> put_back(const Requester& who, const Selector& what, const CorrectionGround& ground) = 0;
    /// The study is another patient's than its data sets say: from here on it is found, decided and given out as that patient's.
    /// Nobody who was let in by the former patient is let in by that any more. Errors: as of remove().
    virtual Result<Corrected> correct_patient(const Requester& who, std::string_view study_uid, const PatientCorrection& right,
                                              const CorrectionGround& ground) = 0;
    /// The study is again the patient's whom its data sets name. Errors: as of remove(); not_found: nothing is corrected.
    virtual Result<Corrected> take_correction_back(const Requester& who, std::string_view study_uid, const CorrectionGround& ground) = 0;
    /// Instances belong to another study: copies that say so, under UIDs of their own, come into that, and they are taken out of this one.
    /// to_study: its Study Instance UID; empty: a new one, of the same patient. Durable when it returns; cut off, it is done again.
    /// Errors: not_found, denied, unavailable, invalid_argument; conflict: a legal hold, damage, or another patient's study of which the
    /// data sets cannot be made; unsupported: a data set cannot be written anew
    virtual Result<Corrected> move(const Requester& who, const Selector& what, std::string_view to_study,
                                   const CorrectionGround& ground) = 0;

    /// A JSON document on a study: versions, states, instances with their fingerprints. Errors: denied, not_found.
    virtual Result<std::string> describe_study(const Requester& who, std::string_view study_uid) = 0;

    /// Takes down, durably, that a peer is to be told what of these instances is kept for good, and completes their exams. What a peer did
    /// not bring and may not know of is unknown to it. Returns: the delivery that the answer is.
    /// Errors: denied; conflict: there is a transaction of this UID already. archive/commitments.hpp
    virtual Result<Delivery> request_commitment(const Requester& who, CommitmentRequest request) = 0;
    virtual Result<CommitmentAnswer> answer_commitment(const Delivery& delivery) = 0;

    /// What waits to be brought to peers, by the door that reaches them: archive/deliveries.hpp
    virtual Deliveries& deliveries() = 0;
    /// A study that `who` says another archive has is fetched from there, by its AE title, when it can be. Durable when it returns.
    /// Errors: denied, unavailable: who may store here; io
    virtual Result<void> request_fetch(const Requester& who, std::string_view peer, const Uid& study_uid) = 0;
    /// Decides and traces that `who` changes how this site works. Errors: denied, unavailable
    virtual Result<void> administer(const Requester& who) = 0;
    /// What a door keeps here of its own under a name, in whatever form. Empty: nothing yet. Errors: corrupt: it was changed behind our
    /// back
    virtual Result<std::string> kept(std::string_view name) = 0;
    virtual Result<void> keep(std::string_view name, const std::string& text) = 0;
    /// A door has turned somebody away who did not say who they are. Quick, and never an error: they are counted, and the trace tells of
    /// them together.
    virtual void turned_away(std::string_view door, std::string_view peer);
    /// Another member's log asks for a cosignature: C2SP tlog-witness, add-checkpoint. Errors: not_found: this archive is no witness; io, …
    virtual Result<audit::WitnessAnswer> cosign(std::string_view request);

    virtual Health health() = 0;
    virtual std::vector<Metric> metrics() = 0;
};

}  // namespace fiducial::archive
