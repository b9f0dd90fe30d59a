#pragma once
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "archive/accounts.hpp"
#include "archive/devices.hpp"
#include "archive/requester.hpp"
#include "archive/site.hpp"
#include "audit/trace.hpp"
#include "store/store.hpp"

namespace fiducial::archive {

std::string_view name_of(Operation operation);
/// Errors: invalid_argument, with the names there are.
Result<Operation> parse_operation(std::string_view name);

/// What seals one part of trace entries.
struct TracePartKey {
    Bytes32 id{};
    crypto::Secret key;
};
/// `staff_key`: kTraceStaffLabel, of whichever root key.
TracePartKey trace_staff_key(const crypto::Secret& staff_key, const Bytes32& subject);
TracePartKey trace_patient_key(const crypto::Secret& patient_secret);

/// An entry of the trace in words, as far as it can be opened.
struct ReadEntry {
    std::uint64_t index = 0;
    audit::Entry clear;
    std::string who;         // name, or what is known of it
    std::string from;        // remote address
    std::string patient_id;  // empty: none, or unknown
    std::optional<audit::PatientPart> patient;
    std::string study_uid, object;                      // as far as they are known here
    bool staff_sealed = false, patient_sealed = false;  // there is a part, and nothing here opens it

    bool succeeded() const { return clear.result == 0; }
    std::string_view result() const;  // "success", or the error's name
    /// One sentence.
    std::string sentence() const;
};

/// What a search is for. Empty fields match all.
struct TraceFilter {
    std::optional<Bytes32> subject;
    std::vector<store::PatientRow> patients;  // one of these
    std::optional<Hash> study_key;            // of one of these patients
    std::optional<Operation> operation;
    std::optional<std::string> result;          // as ReadEntry::result()
    SystemTime from{}, to = SystemTime::max();  // `to` not included
    std::uint64_t before = ~std::uint64_t{0};
    std::size_t limit = 100;
};

/// Opens the parts of trace entries with the keys that the site has, and tells names where hashes stand.
/// Threads: one at a time.
class TraceReader {
public:
    /// Errors: those of the index; corrupt.
    static Result<TraceReader> open(const Site& site, store::Store& store, Accounts& accounts, Devices& devices);

    Result<ReadEntry> read(std::uint64_t index, const audit::StoredEntry& entry);
    /// The last ones before `before` that match, in order. Errors: corrupt, io: the trace cannot be read.
    Result<std::vector<ReadEntry>> search(const audit::Trace& trace, const TraceFilter& filter);

private:
    explicit TraceReader(store::Store& store) : store_(store) {}
    struct Subject {
        Bytes32 id{};
        std::string name;
        crypto::Secret key;
    };
    struct Patient {
        store::PatientRow row;
        crypto::Secret key;
    };
    Result<void> learn(const store::PatientRow& patient);
    Result<void> learn_all_patients();
    Result<void> name_study(ReadEntry& entry);

    store::Store& store_;
    std::map<Bytes32, Subject> staff_;     // by key id
    std::map<Bytes32, Patient> patients_;  // likewise
    std::map<Hash, std::string> studies_;  // study key → UID
    bool knows_all_patients_ = false;
};

}  // namespace fiducial::archive
