#include "store/rights.hpp"

#include <algorithm>
#include <map>

#include "base/hex.hpp"
#include "base/log.hpp"
#include "store/impl/convert.hpp"
#include "store/impl/rows.hpp"

namespace fiducial::store {
namespace {

constexpr std::size_t kMaxReason = 1000;
constexpr std::size_t kMaxFindings = 1000;

// The columns are 64 bits with a sign; times and epochs may use all 64.
long long column(std::uint64_t value) {
    return static_cast<long long>(value);
}
std::uint64_t value(long long column) {
    return static_cast<std::uint64_t>(column);
}
std::string up_to(std::uint64_t block) {
    return "t.block <= " + std::to_string(column(block));
}

Error damaged(std::string_view table, std::string what) {
    return Error{ErrorCode::corrupt, "index: in " + std::string(table) + ", " + std::move(what) + "; follow the chain again"};
}

/// What an event said, into the columns that rights_changes and local_changes share.
template <typename Columns>
void put(Columns& row, const RightsChange& change) {
    row.fact = static_cast<long long>(change.fact);
    row.about = hex_or_empty(change.about);
    row.patient_key = hex_or_empty(change.patient_key);
    row.item = hex_or_empty(change.item);
    row.other = hex_or_empty(change.other);
    row.detail = change.detail;
    row.bits = change.bits;
    row.scope = hex_or_empty(change.scope);
    row.purpose = change.purpose;
    row.from_s = column(change.from);
    row.until_s = column(change.until);
    row.epoch = column(change.epoch);
    row.is_on = change.on ? 1 : 0;
}

template <typename Columns>
Result<RightsChange> change_of(const Columns& row) {
    const auto hash = [](const std::string& hex, std::string_view name) {
        return hash_of(hex, std::string(Columns::kTable) + "." + std::string(name));
    };
    RightsChange change;
    change.fact = static_cast<RightsFact>(row.fact);
    FID_TRY(change.about, hash(row.about, "about"));
    FID_TRY(change.patient_key, hash(row.patient_key, "patient_key"));
    FID_TRY(change.item, hash(row.item, "item"));
    FID_TRY(change.other, hash(row.other, "other"));
    FID_TRY(change.scope, hash(row.scope, "scope"));
    change.detail = static_cast<std::uint8_t>(row.detail);
    change.bits = static_cast<std::uint32_t>(row.bits);
    change.purpose = static_cast<std::uint8_t>(row.purpose);
    change.from = value(row.from_s);
    change.until = value(row.until_s);
    change.epoch = value(row.epoch);
    change.on = row.is_on != 0;
    return change;
}

Result<std::vector<RightsChange>> changes_of(const std::vector<RightsChangeColumns>& rows) {
    std::vector<RightsChange> changes;
    changes.reserve(rows.size());
    for (const auto& row : rows) {
        FID_TRY(auto change, change_of(row));
        change.log_index = value(row.log_index);
        changes.push_back(change);
    }
    return changes;
}

RightsState state_of(const RightsStateColumns& row) {
    return {value(row.first_block),   value(row.latest_block), value(row.latest_time),
            value(row.settled_block), value(row.answered),     value(row.changes)};
}

/// The one row of the state; a new one where there is none.
class Writer {
public:
    static Result<Writer> open(database::Transaction& transaction, const crypto::Secret& row_key) {
        FID_TRY(auto row, select_row<RightsStateColumns>(transaction, row_key, ""));
        Writer writer(transaction, row_key);
        if (row) writer.row = std::move(*row);
        return writer;
    }
    Result<void> save() { return row.id == 0 ? insert_row(transaction_, row_key_, row) : update_row(transaction_, row_key_, row); }
    Result<void> clear() {
        row.changes = 0;
        row.last_change.clear();
        return execute(transaction_, "DELETE FROM rights_changes");
    }
    Result<void> append(std::uint64_t block, const RightsChange& change) {
        RightsChangeColumns added;
        put(added, change);
        added.block = column(block);
        added.log_index = column(change.log_index);
        FID_TRY(const auto before, select_row<RightsChangeColumns>(
                                       transaction_, row_key_, "WHERE t.about = :a AND t.patient_key = :p ORDER BY t.ordinal DESC LIMIT 1",
                                       std::vector<std::string>{added.about, added.patient_key}));
        added.ordinal = before ? before->ordinal + 1 : 0;
        added.previous_mac = row.last_change;
        FID_CHECK(insert_row(transaction_, row_key_, added));
        if (added.id != row.changes + 1) return tl::make_unexpected(damaged(added.kTable, "the last rows are missing"));
        row.changes = added.id;
        row.last_change = added.mac;
        return {};
    }
    RightsStateColumns row;

private:
    Writer(database::Transaction& transaction, const crypto::Secret& row_key) : transaction_(transaction), row_key_(row_key) {}
    database::Transaction& transaction_;
    const crypto::Secret& row_key_;
};

Result<std::vector<LocalDenialColumns>> denial_rows(database::Transaction& transaction, const crypto::Secret& row_key) {
    return select_rows<LocalDenialColumns>(transaction, row_key, "ORDER BY t.id");
}
Result<std::vector<LocalChangeColumns>> local_change_rows(database::Transaction& transaction, const crypto::Secret& row_key) {
    return select_rows<LocalChangeColumns>(transaction, row_key, "ORDER BY t.id");
}

/// Over the MACs of what stands in this database alone: denials, then changes, each in the order of their ids. Empty without any.
Result<std::string> chain_of_local_rows(database::Transaction& transaction, const crypto::Secret& row_key) {
    std::string chain;
    FID_TRY(const auto denials, denial_rows(transaction, row_key));
    for (const auto& row : denials) chain = chain_next(row_key, chain, row.mac);
    FID_TRY(const auto changes, local_change_rows(transaction, row_key));
    for (const auto& row : changes) chain = chain_next(row_key, chain, row.mac);
    return chain;
}
Result<void> sign_local_rows(database::Transaction& transaction, const crypto::Secret& row_key) {
    FID_TRY(auto writer, Writer::open(transaction, row_key));
    FID_TRY(writer.row.denials, chain_of_local_rows(transaction, row_key));
    return writer.save();
}
/// Nothing may be signed again that was changed meanwhile.
Result<void> check_local_rows(database::Transaction& transaction, const crypto::Secret& row_key) {
    FID_TRY(const auto state, select_row<RightsStateColumns>(transaction, row_key, ""));
    FID_TRY(const auto chain, chain_of_local_rows(transaction, row_key));
    if (chain == (state ? state->denials : std::string())) return {};
    return fail(ErrorCode::corrupt, "index: a row of local_denials or local_changes was removed or put back behind the archive's back");
}

Result<LocalChange> local_change_of(const LocalChangeColumns& row) {
    LocalChange local;
    local.id = row.id;
    FID_TRY(local.change, change_of(row));
    FID_TRY(local.person, hash_of(row.person, "local_changes.person"));
    local.study_uid = row.study_uid;
    local.reason = row.reason;
    local.note = row.note;
    FID_TRY(local.salt, hash_of(row.salt, "local_changes.salt"));
    local.made = value(row.made_s);
    local.settled_block = value(row.settled_block);
    return local;
}

bool is_same(RightsChange a, RightsChange b) {
    a.log_index = b.log_index = 0;
    return a == b;
}

/// Writes the block in which each local change was told of: what `block_of` says, given the row as it stands.
template <typename BlockOf>
Result<void> note_settled(database::Transaction& transaction, const crypto::Secret& row_key, const std::string& which, BlockOf block_of) {
    FID_TRY(auto rows, select_rows<LocalChangeColumns>(transaction, row_key, which));
    if (rows.empty()) return {};
    FID_CHECK(check_local_rows(transaction, row_key));
    bool changed = false;
    for (auto& row : rows) {
        FID_TRY(const auto change, change_of(row));
        const auto block = column(block_of(change));
        if (row.settled_block == block) continue;
        row.settled_block = block;
        FID_CHECK(update_row(transaction, row_key, row));
        changed = true;
    }
    return changed ? sign_local_rows(transaction, row_key) : Result<void>();
}

/// In place of a row that cannot be read: vouches for the local rows that are left, whichever went with it. Errors: corrupt: one of them.
Result<void> write_state_anew(database::Transaction& transaction, const crypto::Secret& row_key) {
    RightsStateColumns row;
    FID_TRY(row.denials, chain_of_local_rows(transaction, row_key));
    FID_CHECK(execute(transaction, "DELETE FROM rights_state"));
    log::error(
        "store",
        "the state of the table of rights was changed behind our back and is written anew; whether a local denial, or a decision that "
        "was made here, was removed with it cannot be told: look whether all are there");
    return insert_row(transaction, row_key, row);
}

}  // namespace

Result<RightsState> Rights::state(database::Transaction& transaction) const {
    FID_TRY(const auto row, select_row<RightsStateColumns>(transaction, row_key_, ""));
    return row ? state_of(*row) : RightsState{};
}

Result<void> Rights::apply(database::Transaction& transaction, std::uint64_t block, std::uint64_t time,
                           std::span<const RightsChange> changes) {
    FID_TRY(auto writer, Writer::open(transaction, row_key_));
    auto& state = writer.row;
    if (state.first_block == 0)
        state.first_block = column(block);
    else if (value(state.latest_block) + 1 != block) {
        return fail(ErrorCode::conflict, "the table of rights stands at block " + std::to_string(state.latest_block) + ", and block " +
                                             std::to_string(block) + " was told next");
    }
    state.latest_block = column(block);
    state.latest_time = column(time);
    for (const auto& change : changes) FID_CHECK(writer.append(block, change));
    return writer.save();
}

Result<void> Rights::replace(database::Transaction& transaction, const RightsHistory& history) {
    if (const auto known = state(transaction); !known && known.error().code == ErrorCode::corrupt)
        FID_CHECK(write_state_anew(transaction, row_key_));
    FID_TRY(auto writer, Writer::open(transaction, row_key_));
    FID_CHECK(writer.clear());
    writer.row.first_block = column(history.first_block);
    writer.row.latest_block = column(history.latest_block);
    writer.row.latest_time = column(history.latest_time);
    writer.row.settled_block = column(history.settled_block);
    for (const auto& [block, change] : history.changes) FID_CHECK(writer.append(block, change));
    FID_CHECK(writer.save());
    return note_settled(transaction, row_key_, "ORDER BY t.id", [&](const RightsChange& local) -> std::uint64_t {
        const auto told = std::find_if(history.changes.begin(), history.changes.end(),
                                       [&](const auto& one) { return one.first <= history.settled_block && is_same(one.second, local); });
        return told == history.changes.end() ? 0 : told->first;
    });
}

Result<void> Rights::undo(database::Transaction& transaction, std::uint64_t block) {
    FID_TRY(auto writer, Writer::open(transaction, row_key_));
    auto& state = writer.row;
    if (state.first_block == 0 || value(state.latest_block) != block) return {};
    FID_CHECK(execute(transaction, "DELETE FROM rights_changes WHERE block = " + std::to_string(block)));
    FID_TRY(const auto last, select_row<RightsChangeColumns>(transaction, row_key_, "ORDER BY t.id DESC LIMIT 1"));
    state.changes = last ? last->id : 0;
    state.last_change = last ? last->mac : std::string();
    if (state.first_block == column(block))
        state.first_block = state.latest_block = 0;
    else
        state.latest_block = column(block - 1);
    state.settled_block = std::min(state.settled_block, state.latest_block);
    FID_CHECK(writer.save());
    return note_settled(transaction, row_key_, "WHERE t.settled_block = " + std::to_string(column(block)) + " ORDER BY t.id",
                        [](const RightsChange&) { return std::uint64_t{0}; });
}

Result<void> Rights::settle(database::Transaction& transaction, std::uint64_t block) {
    FID_TRY(auto writer, Writer::open(transaction, row_key_));
    writer.row.settled_block = column(block);
    FID_CHECK(writer.save());
    FID_TRY(const auto told, of_block(transaction, block));
    if (told.empty()) return {};
    return note_settled(transaction, row_key_, "WHERE t.settled_block = 0 ORDER BY t.id", [&](const RightsChange& local) {
        return std::any_of(told.begin(), told.end(), [&](const RightsChange& one) { return is_same(one, local); }) ? block : 0;
    });
}

Result<void> Rights::note_answer(database::Transaction& transaction, std::uint64_t seconds) {
    FID_TRY(auto writer, Writer::open(transaction, row_key_));
    writer.row.answered = column(seconds);
    return writer.save();
}

Result<std::vector<RightsChange>> Rights::changes_about(database::Transaction& transaction, const Bytes32& id, const Hash& patient_key,
                                                        std::uint64_t up_to_block) const {
    FID_TRY(const auto rows,
            select_rows<RightsChangeColumns>(transaction, row_key_,
                                             "WHERE t.about = :a AND t.patient_key = :p AND " + up_to(up_to_block) + " ORDER BY t.ordinal",
                                             {hex_or_empty(id), hex_or_empty(patient_key)}));
    for (std::size_t i = 0; i < rows.size(); ++i) {
        if (value(rows[i].ordinal) != i) {
            return tl::make_unexpected(
                damaged(RightsChangeColumns::kTable, "a row before row " + std::to_string(rows[i].id) + " is missing"));
        }
    }
    return changes_of(rows);
}

Result<std::vector<RightsChange>> Rights::about(database::Transaction& transaction, const Bytes32& id, std::uint64_t up_to_block) const {
    return changes_about(transaction, id, Hash{}, up_to_block);
}

Result<std::vector<RightsChange>> Rights::about_patient(database::Transaction& transaction, const Bytes32& holder, const Hash& patient_key,
                                                        std::uint64_t up_to_block) const {
    if (patient_key == Hash{}) return std::vector<RightsChange>{};  // nobody: contracts refuse it too
    return changes_about(transaction, holder, patient_key, up_to_block);
}

Result<std::vector<RightsChange>> Rights::of_block(database::Transaction& transaction, std::uint64_t block) const {
    FID_TRY(const auto rows, select_rows<RightsChangeColumns>(
                                 transaction, row_key_, "WHERE t.block = " + std::to_string(column(block)) + " ORDER BY t.log_index"));
    return changes_of(rows);
}

Result<bool> Rights::has_unreadable(database::Transaction& transaction, std::uint64_t up_to_block) const {
    FID_TRY(const auto row,
            select_row<RightsChangeColumns>(transaction, row_key_, "WHERE t.fact = 90 AND " + up_to(up_to_block) + " LIMIT 1"));
    return row.has_value();
}

Result<std::int64_t> Rights::add_denial(database::Transaction& transaction, LocalDenial denial) {
    if (denial.subject == Bytes32{} && denial.patient_key == Hash{})
        return fail(ErrorCode::invalid_argument, "a denial must name a person, a patient or both");
    if (denial.reason.size() > kMaxReason)
        return fail(ErrorCode::limit_exceeded, "the reason of a denial is longer than " + std::to_string(kMaxReason) + " bytes");
    LocalDenialColumns row;
    row.subject = hex_or_empty(denial.subject);
    row.patient_key = hex_or_empty(denial.patient_key);
    row.reason = std::move(denial.reason);
    row.since_s = column(denial.since);
    FID_CHECK(check_local_rows(transaction, row_key_));
    FID_CHECK(insert_row(transaction, row_key_, row));
    FID_CHECK(sign_local_rows(transaction, row_key_));
    return static_cast<std::int64_t>(row.id);
}

Result<void> Rights::remove_denial(database::Transaction& transaction, std::int64_t id) {
    FID_TRY(const auto rows, denials(transaction));
    if (std::none_of(rows.begin(), rows.end(), [&](const LocalDenial& denial) { return denial.id == id; })) {
        return fail(ErrorCode::not_found, "there is no local denial " + std::to_string(id));
    }
    FID_CHECK(execute(transaction, "DELETE FROM local_denials WHERE id = " + std::to_string(id)));
    return sign_local_rows(transaction, row_key_);
}

Result<std::vector<LocalDenial>> Rights::denials(database::Transaction& transaction) const {
    FID_CHECK(check_local_rows(transaction, row_key_));
    FID_TRY(const auto rows, denial_rows(transaction, row_key_));
    std::vector<LocalDenial> out;
    for (const auto& row : rows) {
        LocalDenial denial;
        denial.id = row.id;
        FID_TRY(denial.subject, hash_of(row.subject, "local_denials.subject"));
        FID_TRY(denial.patient_key, hash_of(row.patient_key, "local_denials.patient_key"));
        denial.reason = row.reason;
        denial.since = value(row.since_s);
        out.push_back(std::move(denial));
    }
    return out;
}

Result<std::int64_t> Rights::add_local_change(database::Transaction& transaction, const LocalChange& local) {
    if (local.reason.size() + local.note.size() > kMaxReason)
        return fail(ErrorCode::limit_exceeded, "the reason is longer than " + std::to_string(kMaxReason) + " bytes");
    LocalChangeColumns row;
    put(row, local.change);
    row.person = hex_or_empty(local.person);
    row.study_uid = local.study_uid;
    row.reason = local.reason;
    row.note = local.note;
    row.salt = hex_or_empty(local.salt);
    row.made_s = column(local.made);
    FID_CHECK(check_local_rows(transaction, row_key_));
    FID_CHECK(insert_row(transaction, row_key_, row));
    FID_CHECK(sign_local_rows(transaction, row_key_));
    return static_cast<std::int64_t>(row.id);
}

Result<std::vector<LocalChange>> Rights::local_changes(database::Transaction& transaction) const {
    FID_CHECK(check_local_rows(transaction, row_key_));
    FID_TRY(const auto rows, local_change_rows(transaction, row_key_));
    std::vector<LocalChange> out;
    for (const auto& row : rows) {
        FID_TRY(auto local, local_change_of(row));
        out.push_back(std::move(local));
    }
    return out;
}

Result<void> Rights::accept_local_rows(database::Transaction& transaction) {
    FID_CHECK(drop_damaged<LocalDenialColumns>(transaction, row_key_));
    FID_CHECK(drop_damaged<LocalChangeColumns>(transaction, row_key_));
    return sign_local_rows(transaction, row_key_);
}

Result<std::vector<Error>> Rights::check_all(database::Transaction& transaction) const {
    std::vector<Error> found;
    const auto take = [&](Error error) -> Result<void> {
        if (error.code != ErrorCode::corrupt) return tl::make_unexpected(std::move(error));
        if (found.size() < kMaxFindings) found.push_back(std::move(error));
        return {};
    };
    if (const auto rows = denials(transaction); !rows) FID_CHECK(take(rows.error()));
    auto state = select_row<RightsStateColumns>(transaction, row_key_, "");
    if (!state) {
        FID_CHECK(take(state.error()));
        return found;
    }
    const auto rows = select_rows<RightsChangeColumns>(transaction, row_key_, "ORDER BY t.id");
    if (!rows) {
        FID_CHECK(take(rows.error()));
        return found;
    }
    std::string previous;
    long long id = 0;
    for (const auto& row : *rows) {
        if (row.id != ++id || row.previous_mac != previous) {
            FID_CHECK(take(damaged(row.kTable, "a row before row " + std::to_string(row.id) + " was removed or put back")));
            return found;
        }
        previous = row.mac;
    }
    const long long changes = *state ? (*state)->changes : 0;
    if (id != changes || previous != (*state ? (*state)->last_change : std::string())) {
        FID_CHECK(take(damaged(RightsChangeColumns::kTable, "the last rows were removed or put back")));
    }
    return found;
}

}  // namespace fiducial::store
