#pragma once
#include <atomic>
#include <chrono>
#include <filesystem>
#include <functional>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.hpp"
#include "base/json.hpp"
#include "base/result.hpp"

namespace fiducial::ledger {
struct AlteredRow;
}
namespace fiducial::evidence {
struct TrustFile;
}
namespace fiducial::store {
struct InstanceRow;
struct LocalChange;
struct StudyRow;
}  // namespace fiducial::store

namespace fiducial::archive {

/// Something that a person at the command line asks for, by name, with JSON arguments and a JSON answer; long ones tell how
/// far they are. The same code serves a command that opens the site itself and one that talks to the running archive.
using EmitEvent = std::function<void(const boost::json::object& event)>;
using RunOperation = std::function<Result<boost::json::object>(std::string_view name, const boost::json::object& arguments,
                                                               const EmitEvent& emit, const std::atomic<bool>& stop)>;

struct Target;
class BackupWriter;
class Retrieval;
class Service;
class TraceDesk;

/// The operations of one archive. To add one: a member function, a row of the table in operations.cpp, a command in `app`.
/// Security: they act for the custodian that `init` made, ask for a decision and leave a trace like everybody else.
class Operations {
public:
    Operations(Service& service, const EmitEvent& emit, const std::atomic<bool>& stop) : service_(service), emit_(emit), stop_(stop) {}
    /// Errors: not_found for an unknown name; invalid_argument; those of the operation.
    Result<boost::json::object> run(std::string_view name, const boost::json::object& arguments);
    /// See Service::settle_restored().
    Result<boost::json::object> settle_restored(std::uint64_t chain_head, bool chain_is_the_backups);
    /// See Service::prepare_new_root().
    Result<void> look_before_new_root(bool with_damage);

private:
    /// Every study, in pages, so that no cursor is open while the callback works. Ends early when asked to stop.
    Result<void> each_study(const std::function<Result<void>(const store::StudyRow& study)>& with_study);
    /// Those named in `studies`, or every one where `all` is set.
    Result<std::vector<std::string>> named_studies(const boost::json::object& arguments);

    /// Decides and traces work on somebody's account, or on the whole archive (zeros). What only takes away is never held up by a node that
    /// is away. `flags`: audit::people where a change to the table of people follows.
    Result<void> administer(const Bytes32& person, bool takes_away, std::uint32_t flags = 0);

    using Arguments = boost::json::object;
    using Answer = Result<boost::json::object>;
    struct Row;
    static const Row* find(std::string_view name);

    Answer import(const Arguments& arguments);
    Answer list(const Arguments& arguments);
    Answer show(const Arguments& arguments);
    Answer evidence(const Arguments& arguments);
    Answer ledger_status(const Arguments& arguments);
    Answer acknowledge_undone(const Arguments& arguments);
    Answer wait_settled(const Arguments& arguments);
    Answer list_set_aside(const Arguments& arguments);
    Answer decide_set_aside(const Arguments& arguments);
    Answer list_quarantine(const Arguments& arguments);
    Answer restore(const Arguments& arguments);
    Answer flip_bit(const Arguments& arguments);  // of demo sites
    std::uint64_t wait_until_settled(std::chrono::seconds patience);
    // operations_export.cpp
    Answer export_files(const Arguments& arguments);
    struct Export;
    Result<void> export_study(Export& out, const std::string& study_uid);
    Result<std::uint64_t> write_instance(const Export& out, std::filesystem::path path, Retrieval& retrieval,
                                         const store::InstanceRow& row);
    Result<void> export_superseded(Export& out, const std::string& study_uid);
    Result<void> export_set_aside(Export& out);
    Result<void> export_apart(Export& out, const store::InstanceRow& row, std::string_view folder);
    // operations_backup.cpp
    Answer back_up(const Arguments& arguments);
    struct Moment;
    Result<Moment> take_moment();
    Result<std::uint64_t> erase_again(const std::set<Hash>& erased_keys);
    Result<void> back_up_chain(BackupWriter& backup, Moment& moment, boost::json::object& answer);
    // operations_people.cpp
    Answer add_person(const Arguments& arguments);
    Answer list_people(const Arguments& arguments);
    Answer set_person_active(const Arguments& arguments);
    Answer add_denial(const Arguments& arguments);
    Answer remove_denial(const Arguments& arguments);
    Answer list_denials(const Arguments& arguments);
    Answer make_token(const Arguments& arguments);
    Answer revoke_tokens(const Arguments& arguments);
    Answer make_first_link(const Arguments& arguments);
    // operations_devices.cpp
    Answer add_device(const Arguments& arguments);
    Answer list_devices(const Arguments& arguments);
    Answer remove_device(const Arguments& arguments);
    // operations_worklist.cpp
    Answer add_to_worklist(const Arguments& arguments);
    Answer import_worklist(const Arguments& arguments);
    Answer list_worklist(const Arguments& arguments);
    Answer cancel_on_worklist(const Arguments& arguments);
    // operations_deliveries.cpp
    Answer list_deliveries(const Arguments& arguments);
    Answer retry_deliveries(const Arguments& arguments);
    Answer discard_deliveries(const Arguments& arguments);
    Answer list_mails(const Arguments& arguments);
    Answer retry_mails(const Arguments& arguments);
    Answer discard_mails(const Arguments& arguments);
    Answer test_mail(const Arguments& arguments);
    // operations_consents.cpp
    Answer break_glass(const Arguments& arguments);
    Answer list_emergencies(const Arguments& arguments);
    Answer show_consents(const Arguments& arguments);
    Answer grant(const Arguments& arguments);
    Answer revoke(const Arguments& arguments);
    Answer restrict(const Arguments& arguments);
    Answer lift(const Arguments& arguments);
    struct Named;
    Result<Named> patient_or_study(const Arguments& arguments);
    struct Deciding;
    Result<Deciding> as_institution(const Arguments& arguments, bool gives);
    Result<Target> target_of(const Arguments& arguments);
    Result<void> trace_consent(const Deciding& deciding, const Hash& item);
    Answer decided(const Deciding& deciding, const store::LocalChange& local);
    // operations_corrections.cpp
    Answer remove(const Arguments& arguments);
    Answer put_back(const Arguments& arguments);
    Answer move_instances(const Arguments& arguments);
    Answer correct_patient(const Arguments& arguments);
    Answer take_correction_back(const Arguments& arguments);
    Answer show_correction(const Arguments& arguments);
    Answer merge_patients(const Arguments& arguments);
    Answer set_hold(const Arguments& arguments);
    Answer lift_hold(const Arguments& arguments);
    Answer list_holds(const Arguments& arguments);
    // operations_trust.cpp
    Answer next_trust(const Arguments& arguments);
    Answer sign_trust(const Arguments& arguments);
    Answer accept_trust(const Arguments& arguments);
    struct ChainSigners;
    Result<ChainSigners> signers_of_chain(const evidence::TrustFile& trust);
    // new_root.cpp
    Answer reencrypt(const Arguments& arguments);
    Answer key_status(const Arguments& arguments);
    // operations_check.cpp
    Answer verify(const Arguments& arguments);
    Answer fsck(const Arguments& arguments);
    Answer compact(const Arguments& arguments);
    struct StudyCheck;
    Result<StudyCheck> check_study(const std::string& study_uid, const std::string& sop_uid);
    Result<void> check_chain();
    Result<void> check_chain_reaches(std::uint64_t chain_head, bool chain_is_the_backups);
    Result<boost::json::array> compare_with_ledger(bool repair);
    struct OnLedger;
    Result<OnLedger> look_for_unknown_versions();
    Result<void> mend_local_rows();
    Result<void> mend_outbox(std::span<const ledger::AlteredRow> altered);
    Result<void> check_people(boost::json::array& findings, bool repair);
    // operations_audit.cpp
    Answer search_trace(const Arguments& arguments);
    Answer show_entry(const Arguments& arguments);
    Answer prove_entry(const Arguments& arguments);
    Answer prove_growth(const Arguments& arguments);
    Answer export_trace(const Arguments& arguments);
    Answer check_whole_trace(const Arguments& arguments);
    Answer publish_checkpoint(const Arguments& arguments);
    Result<TraceDesk> trace_desk(const Arguments& arguments);
    /// The trace by itself and by what the index keeps of it. Returns: how many entries it has.
    Result<std::uint64_t> check_trace(boost::json::array& findings, bool repair);
    /// Errors: unavailable, timeout: the ledger does not answer.
    Result<boost::json::array> check_trace_on_ledger(bool repair);

    Service& service_;
    const EmitEvent& emit_;
    const std::atomic<bool>& stop_;
};

}  // namespace fiducial::archive
