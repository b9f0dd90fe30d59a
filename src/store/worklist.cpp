#include "store/worklist.hpp"

#include "dicom/worklist.hpp"
#include "store/impl/convert.hpp"
#include "store/impl/rows.hpp"

namespace fiducial::store {
namespace {

Result<StepState> state_of(long long number) {
    if (number < static_cast<long long>(StepState::scheduled) || number > static_cast<long long>(StepState::cancelled))
        return fail(ErrorCode::corrupt, "index: a step in a state that there is not");
    return static_cast<StepState>(number);
}

Result<ScheduledStep> step_of(const WorklistColumns& row) {
    ScheduledStep step{row.id, row.accession_number, row.step_id, {}, {}, row.source, static_cast<std::uint64_t>(row.changed_ms)};
    FID_TRY(step.state, state_of(row.state));
    FID_CHECK(add_attributes(step.attributes, row.attributes));
    return step;
}

Result<std::vector<ScheduledStep>> select_steps(database::Transaction& transaction, const crypto::Secret& row_key, const std::string& rest,
                                                std::vector<std::string> texts) {
    FID_TRY(const auto rows, select_rows<WorklistColumns>(transaction, row_key, rest, std::move(texts)));
    std::vector<ScheduledStep> steps;
    for (const auto& row : rows) {
        FID_TRY(auto step, step_of(row));
        steps.push_back(std::move(step));
    }
    return steps;
}

template <typename Columns>
Result<void> insert_or_update(database::Transaction& transaction, const crypto::Secret& row_key, Columns& row, std::int64_t& id) {
    if (id != 0) return update_row(transaction, row_key, row);
    FID_CHECK(insert_row(transaction, row_key, row));
    id = row.id;
    return {};
}

Result<std::uint64_t> remove(database::Transaction& transaction, const std::string& from_where, std::string value) {
    long long count = 0;
    Statement counting(transaction, "SELECT COUNT(*) FROM " + from_where);
    counting.in(value).out(count);
    FID_CHECK(counting.run());
    FID_CHECK(counting.next());
    Statement removal(transaction, "DELETE FROM " + from_where);
    removal.in(value);
    FID_CHECK(removal.run());
    return static_cast<std::uint64_t>(count);
}

}  // namespace

std::string_view name_of(StepState state) {
    switch (state) {
        case StepState::scheduled: return "scheduled";
        case StepState::started: return "started";
        case StepState::completed: return "completed";
        case StepState::discontinued: return "discontinued";
        case StepState::cancelled: return "cancelled";
    }
    return "unknown";
}

Result<void> Worklist::save(database::Transaction& transaction, ScheduledStep& step) {
    namespace tags = dicom::tags;
    WorklistColumns row;
    row.id = step.id;
    row.accession_number = step.accession_number;
    row.step_id = step.step_id;
    row.state = static_cast<long long>(step.state);
    row.start_date = step.attributes.first(tags::kScheduledStartDate);
    row.start_time = step.attributes.first(tags::kScheduledStartTime);
    row.source = step.source;
    row.changed_ms = static_cast<long long>(step.changed_ms);
    row.attributes = attributes_text(step.attributes);
    return insert_or_update(transaction, row_key_, row, step.id);
}

Result<std::optional<ScheduledStep>> Worklist::find(database::Transaction& transaction, std::string_view accession_number,
                                                    std::string_view step_id) const {
    FID_TRY(auto steps, select_steps(transaction, row_key_, "WHERE t.accession_number = :accession AND t.step_id = :step",
                                     {std::string(accession_number), std::string(step_id)}));
    if (steps.empty()) return std::optional<ScheduledStep>();
    return std::optional(std::move(steps.front()));
}

Result<std::vector<ScheduledStep>> Worklist::of_order(database::Transaction& transaction, std::string_view accession_number) const {
    return select_steps(transaction, row_key_, "WHERE t.accession_number = :accession ORDER BY t.id", {std::string(accession_number)});
}

Result<std::vector<ScheduledStep>> Worklist::list(database::Transaction& transaction, const WorklistRange& range, std::size_t most) const {
    std::string rest = "WHERE 1 = 1";
    std::vector<std::string> texts;
    const auto narrow = [&](std::string_view condition, const std::string& value) {
        if (value.empty()) return;
        rest += " AND " + std::string(condition);
        texts.push_back(value);
    };
    if (range.only_open) rest += " AND t.state <= " + std::to_string(static_cast<int>(StepState::started));
    narrow("t.start_date >= :first", range.from);
    narrow("t.start_date <= :last", range.to);
    return select_steps(transaction, row_key_, rest + " ORDER BY t.start_date, t.start_time, t.id LIMIT " + std::to_string(most),
                        std::move(texts));
}

Result<void> Worklist::save(database::Transaction& transaction, PerformedStep& step) {
    PerformedStepColumns row;
    row.id = step.id;
    row.sop_uid = step.sop_uid;
    row.state = static_cast<long long>(step.state);
    row.document = step.document;
    row.source = step.source;
    row.changed_ms = static_cast<long long>(step.changed_ms);
    return insert_or_update(transaction, row_key_, row, step.id);
}

Result<std::optional<PerformedStep>> Worklist::find_performed(database::Transaction& transaction, std::string_view sop_uid) const {
    FID_TRY(const auto row, select_row<PerformedStepColumns>(transaction, row_key_, "WHERE t.sop_uid = :uid", {std::string(sop_uid)}));
    if (!row) return std::optional<PerformedStep>();
    PerformedStep step{row->id, row->sop_uid, {}, row->document, row->source, static_cast<std::uint64_t>(row->changed_ms)};
    FID_TRY(step.state, state_of(row->state));
    return std::optional(std::move(step));
}

Result<std::uint64_t> Worklist::forget(database::Transaction& transaction, std::string_view before_date, std::uint64_t before_ms) {
    FID_TRY(const auto scheduled, remove(transaction, "worklist WHERE start_date < :date", std::string(before_date)));
    FID_TRY(const auto performed,
            remove(transaction, "performed_steps WHERE changed_ms < CAST(:moment AS BIGINT)", std::to_string(before_ms)));
    return scheduled + performed;
}

Result<void> Worklist::drop_damaged(database::Transaction& transaction) {
    FID_CHECK(store::drop_damaged<WorklistColumns>(transaction, row_key_));
    return store::drop_damaged<PerformedStepColumns>(transaction, row_key_);
}

Result<std::vector<Error>> Worklist::check_all(database::Transaction& transaction) const {
    std::vector<Error> found;
    const auto take = [&](const auto& rows) -> Result<void> {
        if (rows) return {};
        if (rows.error().code != ErrorCode::corrupt) return fail(rows.error());
        found.push_back(rows.error());
        return {};
    };
    FID_CHECK(take(select_rows<WorklistColumns>(transaction, row_key_, "")));
    FID_CHECK(take(select_rows<PerformedStepColumns>(transaction, row_key_, "")));
    return found;
}

}  // namespace fiducial::store
