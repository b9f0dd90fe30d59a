#pragma once
#include <atomic>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "archive/access.hpp"
#include "archive/accounts.hpp"
#include "archive/archive.hpp"
#include "archive/checkpoints.hpp"
#include "archive/commitments.hpp"
#include "archive/consents.hpp"
#include "archive/corrections.hpp"
#include "archive/deliveries.hpp"
#include "archive/exams.hpp"
#include "archive/facts.hpp"
#include "archive/forward_rules.hpp"
#include "archive/ingest.hpp"
#include "archive/operations.hpp"
#include "archive/ready_metadata.hpp"
#include "archive/retrieve.hpp"
#include "archive/rights_sink.hpp"
#include "archive/scheduled_work.hpp"
#include "archive/site.hpp"
#include "archive/strangers.hpp"
#include "archive/syslog_feed.hpp"
#include "audit/trace.hpp"
#include "audit/witness.hpp"
#include "database/remembered.hpp"
#include "ledger/follower.hpp"
#include "ledger/node/local_node.hpp"
#include "ledger/outbox.hpp"
#include "ledger/rpc.hpp"
#include "ledger/status.hpp"
#include "store/store.hpp"

namespace fiducial::archive {

class FrontDesk;
class QueueDesk;
class TraceDesk;

/// The attributes that a configuration wants indexed. Errors: invalid_argument for one that there is not.
Result<std::vector<dicom::Tag>> extra_attributes(const Configuration& configuration);

/// The disks that a site lies on, with the marks that its settings name.
std::shared_ptr<const store::DiskWatch> watch_disks(const Site& site);

/// The rules that a configuration forwards by. Errors: invalid_argument, quoting the line.
Result<std::vector<ForwardRule>> forward_rules(const Configuration& configuration);

/// How a site's store is opened, with the tables of this room and of the ledger's in its index.
Result<store::StoreOptions> store_options(const Configuration& configuration);

/// The store of a site, with the tables of this room and of the ledger's in its index.
/// Errors: locked when an archive runs on the site; those of Store::open; invalid_argument for an attribute that is none.
Result<std::unique_ptr<store::Store>> open_store(const Site& site, bool replace_damaged_index = false,
                                                 std::shared_ptr<const store::DiskWatch> disks = {});

/// Something that people should look at. Kept for the process's life, newest last, at most 1,000.
struct Alarm {
    SystemTime at;
    std::string kind;  // "damaged_object", "ledger_incident"
    std::string text;
};

/// The archive of one site, with everything that it needs running: store, node, outbox, follower, trace.
/// Threads: safe.
class Service final : public Archive {
public:
    enum class Ledger : std::uint8_t {
        required,  // fails where the node cannot be reached
        optional,  // goes on without, as the design's node-away table says
        silent,    // as required, but nothing is followed or sent (the last step of a restore)
        none,      // does not start or ask a node (fsck of the store alone, list)
    };
    /// What a person asked for because something is lost.
    struct Replacing {
        bool damaged_index = false;  // as in StoreOptions
        bool lost_trace = false;     // a trace that cannot be opened is put aside and a new one begun; all tokens are taken back
    };
    /// Errors: locked when an archive runs on the site; those of its parts.
    static Result<std::unique_ptr<Service>> open(Site site, Ledger ledger, Replacing replacing);
    static Result<std::unique_ptr<Service>> open(Site site, Ledger ledger) { return open(std::move(site), ledger, Replacing()); }
    ~Service() override;

    Result<Requester> authenticate(std::string_view bearer_token) override;
    Reception& reception() override;
    Result<std::string> name_of_person(const Requester& who) override;
    Result<Requester> authenticate_device(std::string_view ae_title) override;
    Result<std::unique_ptr<IngestSession>> begin_ingest(const Requester& who, std::string_view source) override;
    Result<std::unique_ptr<Retrieval>> retrieve(const Requester& who, const Selector& what) override;
    Result<std::unique_ptr<QueryAnswer>> query(const Requester& who, const Query& query) override;
    Result<std::unique_ptr<MetadataLook>> metadata(const Requester& who, const Selector& what) override;
    Result<std::unique_ptr<ImageLook>> images(const Requester& who, const Selector& what, bool only_one) override;
    Result<std::unique_ptr<ValueLook>> values(const Requester& who, const Selector& instance) override;
    Worklist& worklist() override { return *scheduled_work_; }
    Result<std::string> evidence(const Requester& who, const Selector& instance) override;
    Result<OpenedEmergency> break_glass(const Requester& who, std::string_view study_uid, const EmergencyGround& ground) override;
    Result<Corrected> remove(const Requester& who, const Selector& what, const CorrectionGround& ground) override;
    Result<Corrected> put_back(const Requester& who, const Selector& what, const CorrectionGround& ground) override;
    Result<Corrected> correct_patient(const Requester& who, std::string_view study_uid, const PatientCorrection& right,
                                      const CorrectionGround& ground) override;
    Result<Corrected> take_correction_back(const Requester& who, std::string_view study_uid, const CorrectionGround& ground) override;
    Result<Corrected> move(const Requester& who, const Selector& what, std::string_view to_study, const CorrectionGround& ground) override;
    Result<std::string> describe_study(const Requester& who, std::string_view study_uid) override;
    Result<Delivery> request_commitment(const Requester& who, CommitmentRequest request) override;
    Result<CommitmentAnswer> answer_commitment(const Delivery& delivery) override;
    Deliveries& deliveries() override { return *deliveries_; }
    Result<void> request_fetch(const Requester& who, std::string_view peer, const Uid& study_uid) override;
    Result<void> administer(const Requester& who) override;
    Result<std::string> kept(std::string_view name) override;
    Result<void> keep(std::string_view name, const std::string& text) override;
    Result<std::string> duties_missing(std::string_view device, const std::vector<Operation>& wanted) override;
    void turned_away(std::string_view door, std::string_view peer) override { strangers_.add(door, peer); }
    Result<audit::WitnessAnswer> cosign(std::string_view request) override;
    Health health() override;
    std::vector<Metric> metrics() override;

    /// Runs an operation for a command. See operations.cpp for their names, arguments and answers.
    Result<boost::json::object> operate(std::string_view name, const boost::json::object& arguments, const EmitEvent& emit,
                                        const std::atomic<bool>& stop);

    /// The last step of a restore, before anything else is done with the site: studies that the ledger or the records call erased, and
    /// those whose secrets are destroyed, are erased here too; all tokens are taken back. Needs a ledger that knows of all that was erased
    /// before. `chain_head`: the backup's last block. `chain_is_the_backups`: there is no newer chain; else the newest block that the index
    /// knows counts, too. Errors: conflict: it is another chain; unavailable: it does not answer, is catching up, or ends before these
    /// blocks. Returns: what was erased, and which versions the ledger holds and this copy does not.
    Result<boost::json::object> settle_restored(std::uint64_t chain_head, bool chain_is_the_backups, const EmitEvent& emit,
                                                const std::atomic<bool>& stop);
    /// The last look before the site gets a new root key: traced, and only where nothing is damaged that could still be mended, or
    /// `with_damage`. Errors: conflict.
    struct BeforeNewRoot {
        store::UsedSecrets used;
        std::uint64_t trace_entries = 0;
    };
    Result<BeforeNewRoot> prepare_new_root(bool with_damage);
    /// Closes the archive and keeps its lock.
    static File close_keeping_lock(std::unique_ptr<Service> service);
    bool is_reencrypting() const { return store_->is_reencrypting(); }

    /// Work that goes on beside requests while an archive runs for long: compaction, and encrypting anew. Requires: called once, from the
    /// process that serves.
    void start_upkeep();

    /// For whom commands act: the custodian that `init` made.
    Requester command_requester(Purpose purpose = Purpose::administration) const;
    std::vector<Alarm> alarms() const;

private:
    friend class FrontDesk;
    friend class Operations;
    friend class QueueDesk;
    friend class TraceDesk;
    store::CompactionOptions compaction_options() const;
    void watch_clock_and_disks(const std::stop_token& stop);
    explicit Service(Site site);
    Result<void> open_trace_and_people(bool replace_lost_trace);
    Result<std::unique_ptr<audit::Trace>> open_trace(bool replace_lost);
    Result<void> tell_of_lost_trace();
    Result<void> prepare_checkpoints();
    Result<TraceReader> open_trace_reader();
    AuditSource audit_source() const;
    void trace_strangers();
    void start_syslog();
    Result<void> restore_operator();
    Result<void> open_ledger(Ledger ledger);
    /// Current instances, and the revision of their study at the same moment. None: the rows are empty.
    struct Selected {
        std::vector<store::InstanceRow> rows;
        std::uint64_t study_revision = 0;
    };
    Result<Selected> select(const Selector& what);
    Result<Selected> read_selected(const Selector& what);
    /// How a version's record stands on the chain; `complete` is not said. Nothing: it has none.
    Result<std::optional<StudyEvidence>> anchor_of(const StudyIdentity& study, std::uint64_t version);
    // corrections.cpp
    /// Decides and traces a correction, whether it then goes on or not. `check`: what must hold first.
    Result<void> begin_correction(const Requester& who, const StudyIdentity& study, const Bytes32& object,
                                  const std::function<Result<void>()>& check);
    Result<void> check_holds(const Uid& study_uid);
    Result<void> check_retention(const store::StudyRow& study);
    /// What was corrected gets its version. Errors: none that undo it: it stands, and the version is made later.
    Corrected end_correction(const Uid& study_uid, std::uint64_t instances);
    Result<std::shared_ptr<const AppliedOverlay>> overlay_in_force(const Uid& study_uid);
    Result<Corrected> put_in_force(const Requester& who, const StudyIdentity& study, evidence::Overlay overlay,
                                   const dicom::Attributes& attributes);
    /// The same question about another patient, who is to have the study, or to have had it.
    Result<void> permit_for(const Requester& who, StudyIdentity study, const store::PatientRow& patient);
    Result<evidence::PatientIdentity> patient_in_data_sets(const StudyIdentity& study);
    Result<dicom::Attributes> patient_attributes_in_data_sets(const Uid& study_uid);
    // corrections_move.cpp
    /// Returns: the SOP Instance UIDs of the copies. target: null: the study is new. Where it fails, nothing of it is left to be seen.
    Result<std::set<Uid>> copy_into(const Uid& target_uid, const StudyIdentity* target, const Selected& selected);
    Result<Uid> copy_one(StoreSession& session, const store::InstanceRow& row, const Uid& target_uid,
                         const std::map<dicom::Tag, dicom::AttributeEdit>& of_all);
    Result<std::set<Uid>> show_again(const Uid& target_uid, const std::vector<store::InstanceRow>& rows);
    Result<dicom::Attributes> attributes_in_data_sets(const Uid& study_uid);
    /// Instances that a rejection note names are removed from their studies, where `who` may.
    Result<std::vector<std::string>> reject(const Requester& who, const RejectionNote& note);
    /// A look that was decided and traced: what is there, and the version that vouches for it.
    struct Seen {
        store::Slot slot = 0;  // of the study's secrets
        std::vector<store::InstanceRow> rows;
        std::shared_ptr<const CheckedVersion> version;  // null: none yet
        std::uint64_t study_revision = 0;
        std::optional<StudyEvidence> evidence;
        std::shared_ptr<const AppliedOverlay> overlay;  // null: none is to be applied
    };
    /// Decides, finds and traces. meanwhile: what is to be done with it while its entry in the trace is on its way to the disk.
    Result<Seen> look(const Requester& who, const Selector& what, const std::function<void(Seen&)>& meanwhile = {});
    Result<Seen> see(const StudyIdentity& study, const Result<std::shared_ptr<const CheckedVersion>>& version, Result<Selected> selected,
                     std::shared_ptr<const AppliedOverlay> overlay);
    Result<StudyIdentity> identify(std::string_view study_uid);
    /// Nothing where all that came of the study was set aside: it then has no patient yet.
    Result<std::optional<StudyIdentity>> identify_if_taken(const Uid& study_uid);
    /// decide and, when denied, trace. Returns: the decision, allowed.
    Result<Decision> permit(const Requester& who, const StudyIdentity* study, Operation operation,
                            ConsentChange change = ConsentChange::none);
    /// The decided, traced opening of a patient's studies. Requires: `patient` names a study of the patient's, whichever.
    Result<OpenedEmergency> open_emergency(Requester who, const StudyIdentity& patient, const EmergencyGround& ground);
    // commitments.cpp
    Result<std::set<Uid>> look_at_committed(const Requester& who, CommitmentRequest& request);
    Result<bool> may_identify(const Requester& who, const Uid& study_uid);
    Result<std::shared_ptr<const CheckedVersion>> settled_version(const Uid& study_uid);
    /// Whatever a rule wants of what came waits for its peer from now on; so do notices for those who are told of every exam.
    Result<void> forward(database::Transaction& transaction, std::span<const store::InstanceRow> added);
    void count_deliveries(std::vector<Metric>& metrics);
    void damaged(const store::InstanceRow& instance, const Error& error);
    void raise(std::string kind, std::string text);
    /// An error of the node with what our own node's supervisor knows of it: better than "connection refused".
    Error with_nodes_reason(Error error) const;
    /// What the index holds. Counting reads all of it, which takes a minute for ten million instances: it takes a thousandth of the time at
    /// most.
    std::optional<store::IndexCounts> counted_index();
    std::string trust_text() const;
    /// Whether the signers have voted since: evidence of newer blocks needs the next trust file.
    bool trust_file_outdated(const ledger::FollowerStatus& chain) const;
    /// Evidence speaks of the new one from now on. Errors: those of install_next_trust_file.
    Result<std::vector<Address>> take_over_trust_file(std::string_view next, std::span<const crypto::RecoverableSignature> signatures);

    Site site_;
    std::mutex counts_mutex_;
    std::optional<store::IndexCounts> counts_;
    std::chrono::steady_clock::time_point count_again_{};
    mutable std::mutex alarms_mutex_;  // before the trace, which raises alarms until it is closed
    std::vector<Alarm> alarms_;
    std::shared_ptr<const store::DiskWatch> disks_;
    std::unique_ptr<store::Store> store_;
    std::unique_ptr<TraceWitness> trace_witness_;  // told of the trace's last head when the trace closes
    std::unique_ptr<audit::Trace> trace_;
    std::unique_ptr<Accounts> accounts_;
    std::unique_ptr<FrontDesk> front_desk_;
    std::unique_ptr<Devices> devices_;
    std::unique_ptr<Deliveries> deliveries_;
    std::vector<ForwardRule> forward_rules_;
    std::unique_ptr<CheckedVersions> versions_;
    // Asked for again and again while a study is being looked at.
    database::Remembered<std::string, StudyIdentity> identities_{1024};              // by Study Instance UID
    database::Remembered<std::string, std::optional<StudyEvidence>> anchors_{1024};  // by study and version
    database::Remembered<std::string, Selected> instances_{4096};                    // by SOP Instance UID
    ReadyMetadata ready_metadata_{std::size_t{32} << 20};
    std::unique_ptr<Tracer> tracer_;
    std::unique_ptr<ledger::LocalNode> node_;
    std::unique_ptr<ledger::Rpc> rpc_, outbox_rpc_, follower_rpc_;
    std::unique_ptr<store::Rights> rights_;
    std::unique_ptr<RightsSink> rights_sink_;
    std::unique_ptr<Access> access_;
    std::unique_ptr<ledger::Outbox> outbox_;
    std::unique_ptr<Checkpoints> checkpoints_;
    std::unique_ptr<audit::Witness> witness_;  // null: of nobody
    std::unique_ptr<SyslogFeed> syslog_;       // null: none
    std::unique_ptr<Consents> consents_;
    std::unique_ptr<ledger::Follower> follower_;
    std::unique_ptr<Exams> exams_;
    std::unique_ptr<ScheduledWork> scheduled_work_;
    mutable std::mutex trust_mutex_;
    std::string lost_trace_;  // what is known of a trace in whose place a new one was begun just now
    std::string trust_text_;
    std::unique_ptr<store::Compactor> compactor_;

    Strangers strangers_;

    std::mutex backup_mutex_;       // one backup at a time
    std::mutex corrections_mutex_;  // one correction at a time: each names the one before it
    /// The machine's clock was set while the archive ran.
    struct ClockJump {
        SystemTime at;
        std::chrono::milliseconds by{0};
    };
    std::optional<ClockJump> clock_jump_;  // the last one; under alarms_mutex_
    std::uint64_t clock_jumps_ = 0;
    std::atomic<std::uint64_t> ingested_{0}, retrieved_{0}, denied_{0}, quarantined_{0};
    std::condition_variable_any upkeep_wakes_;
    std::mutex upkeep_mutex_;
    std::jthread upkeep_;  // last: it ends first
};

}  // namespace fiducial::archive
