#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "database/database.hpp"
#include "dicom/attributes.hpp"
#include "store/keyring.hpp"

namespace fiducial::store {

/// What has become of a scheduled step. The numbers stand in the database.
enum class StepState : std::uint8_t { scheduled = 1, started = 2, completed = 3, discontinued = 4, cancelled = 5 };
std::string_view name_of(StepState state);
/// It stays on the worklist.
constexpr bool is_open(StepState state) {
    return state == StepState::scheduled || state == StepState::started;
}

/// An entry of the worklist.
struct ScheduledStep {
    std::int64_t id = 0;
    std::string accession_number, step_id;  // together they tell entries apart
    StepState state = StepState::scheduled;
    dicom::Attributes attributes;  // of dicom::worklist_attributes()
    std::string source;            // that it came from: "command", "http", "hl7 …"
    std::uint64_t changed_ms = 0;
};

/// What a modality said of a step that it performs.
struct PerformedStep {
    std::int64_t id = 0;
    std::string sop_uid;
    StepState state = StepState::started;  // started, completed, discontinued
    std::string document;                  // DICOM JSON of all that was said, the last word on each attribute
    std::string source;
    std::uint64_t changed_ms = 0;
};

/// Which entries of the worklist are wanted.
struct WorklistRange {
    bool only_open = true;
    std::string from, to;  // start dates YYYYMMDD, both inclusive, empty where open
};

/// What is to be done and what was done, each row under a MAC of the site's row key that is checked when it is read. Names stand in clear,
/// as in the index. A row deleted or put back from an earlier time is not found: nothing is proved by it.
/// Spec:    docs/formats/index.md#worklist
/// Errors:  corrupt, naming table and row. Changes want Durability::full.
/// Threads: safe; a Transaction belongs to one thread.
class Worklist {
public:
    explicit Worklist(const Keyring& keyring) : row_key_(keyring.row_key().clone()) {}

    /// Inserts it where id is 0, else changes that row. Errors: conflict where there is such an entry already.
    Result<void> save(database::Transaction& transaction, ScheduledStep& step);
    Result<std::optional<ScheduledStep>> find(database::Transaction& transaction, std::string_view accession_number,
                                              std::string_view step_id) const;
    /// All steps of an order.
    Result<std::vector<ScheduledStep>> of_order(database::Transaction& transaction, std::string_view accession_number) const;
    /// By start, then as they came. Returns: at most `most`.
    Result<std::vector<ScheduledStep>> list(database::Transaction& transaction, const WorklistRange& range, std::size_t most) const;

    Result<void> save(database::Transaction& transaction, PerformedStep& step);
    Result<std::optional<PerformedStep>> find_performed(database::Transaction& transaction, std::string_view sop_uid) const;

    /// Forgets entries that start before a date, and performed steps last changed before a moment. Returns: how many.
    Result<std::uint64_t> forget(database::Transaction& transaction, std::string_view before_date, std::uint64_t before_ms);

    /// Deletes rows whose MAC does not fit: orders can be sent again, and one of them would keep the whole list from being read.
    Result<void> drop_damaged(database::Transaction& transaction);

    /// Checks every MAC. Returns: what does not fit, one for each table.
    Result<std::vector<Error>> check_all(database::Transaction& transaction) const;

private:
    crypto::Secret row_key_;
};

}  // namespace fiducial::store
