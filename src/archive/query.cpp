// Lists of patients, studies, series and instances: what C-FIND and QIDO-RS ask for.
#include "archive/query.hpp"

#include <algorithm>
#include <deque>
#include <map>
#include <set>

#include "archive/service.hpp"
#include "base/log.hpp"
#include "dicom/matching.hpp"

namespace fiducial::archive {
namespace {

using dicom::QueryLevel;
namespace tags = dicom::tags;

constexpr std::uint32_t kLeastPage = 32, kMostPage = 512;  // studies read from the index at a time

void add(dicom::Attributes& to, const dicom::Attributes& more) {
    for (const auto& [tag, values] : more) to.set(tag, values);
}

void set_availability(dicom::Attributes& attributes, bool here) {
    attributes.set(tags::kInstanceAvailability, {here ? "ONLINE" : "UNAVAILABLE"});
}

bool is_quarantined(const store::InstanceRow& instance) {
    return instance.object.state == store::ObjectState::quarantined;
}

class StoreQuery final : public QueryAnswer {
public:
    StoreQuery(store::Store& store, Access& access, Tracer& tracer, Requester who, const Query& query, dicom::Criteria criteria,
               std::vector<dicom::Tag> ignored)
        : store_(store),
          access_(access),
          tracer_(tracer),
          who_(std::move(who)),
          level_(query.level),
          to_skip_(query.offset),
          criteria_(std::move(criteria)),
          ignored_(std::move(ignored)) {}

    Result<std::vector<dicom::Attributes>> next(std::size_t most) override;
    Result<bool> has_more() override;
    const std::vector<dicom::Tag>& ignored() const override { return ignored_; }

private:
    struct Shown {
        Decision decision;
        std::shared_ptr<const StudyIdentity> study;
        dicom::Attributes attributes;
    };
    Result<void> advance(std::size_t wanted);
    Result<void> next_page(std::size_t wanted);
    Result<void> take(store::StudyRow study);
    Result<std::vector<dicom::Attributes>> rows_of(const store::StudyRow& study);
    Result<void> trace(std::span<const Shown> shown);

    store::Store& store_;
    Access& access_;
    Tracer& tracer_;
    const Requester who_;
    const QueryLevel level_;
    std::uint64_t to_skip_;
    const dicom::Criteria criteria_;
    const std::vector<dicom::Tag> ignored_;

    std::deque<store::StudyRow> studies_;  // read from the index, not decided yet
    std::string place_;                    // where the index goes on
    bool at_end_ = false;
    std::deque<Shown> ready_;
    std::set<std::int64_t> patients_;      // shown already, in a list of patients
    bool anything_ = false;                // was traced
    std::map<std::int64_t, Hash> traced_;  // patients, each with the study that its entry names; zeros: several
};

Result<std::vector<dicom::Attributes>> StoreQuery::next(std::size_t most) {
    std::vector<Shown> shown;
    while (shown.size() < most) {
        if (ready_.empty()) FID_CHECK(advance(most - shown.size()));
        if (ready_.empty()) break;
        shown.push_back(std::move(ready_.front()));
        ready_.pop_front();
    }
    FID_CHECK(trace(shown));
    std::vector<dicom::Attributes> rows;
    rows.reserve(shown.size());
    for (auto& one : shown) rows.push_back(std::move(one.attributes));
    return rows;
}

Result<bool> StoreQuery::has_more() {
    if (ready_.empty()) FID_CHECK(advance(1));
    return !ready_.empty();
}

/// Goes on until something is ready, or to the end.
Result<void> StoreQuery::advance(std::size_t wanted) {
    while (ready_.empty()) {
        if (studies_.empty()) {
            if (at_end_) return {};
            FID_CHECK(next_page(wanted));
            continue;
        }
        auto study = std::move(studies_.front());
        studies_.pop_front();
        FID_CHECK(take(std::move(study)));
    }
    return {};
}

Result<void> StoreQuery::next_page(std::size_t wanted) {
    const auto size = static_cast<std::uint32_t>(std::clamp<std::uint64_t>(to_skip_ + wanted + 1, kLeastPage, kMostPage));
    FID_TRY(auto page,
            store_.database().read([&](database::Transaction& t) { return store_.index().list_studies(t, criteria_, place_, size); }));
    std::move(page.studies.begin(), page.studies.end(), std::back_inserter(studies_));
    place_ = page.next;
    at_end_ = page.next.empty();
    return {};
}

Result<void> StoreQuery::take(store::StudyRow row) {
    if (row.instance_count == 0) return {};  // all of it was removed
    if (level_ == QueryLevel::patient && patients_.contains(row.patient.id)) return {};
    auto identity = identify_study(store_, row);
    if (!identity && identity.error().code == ErrorCode::not_found) return {};  // erased at this moment
    if (!identity) return fail(identity.error());
    FID_TRY(const auto decision, access_.decide_listed(who_, {identity->patient_key, identity->scope_ref}, Operation::identify));
    if (!decision.allowed || decision.obligation != 0) return {};
    FID_TRY(auto rows, rows_of(row));
    if (level_ == QueryLevel::patient) patients_.insert(row.patient.id);
    identity->row.attributes = {};
    const auto study = std::make_shared<const StudyIdentity>(*std::move(identity));
    for (auto& attributes : rows) {
        if (to_skip_ > 0)
            --to_skip_;
        else
            ready_.push_back({decision, study, std::move(attributes)});
    }
    return {};
}

Result<std::vector<dicom::Attributes>> StoreQuery::rows_of(const store::StudyRow& study) {
    std::vector<dicom::Attributes> rows;
    auto above = study.attributes;
    above.set(tags::kSpecificCharacterSet, {"ISO_IR 192"});
    if (level_ == QueryLevel::patient || level_ == QueryLevel::study) {
        set_availability(above, !study.misses_some);
        rows.push_back(std::move(above));
        return rows;
    }
    FID_TRY(auto transaction, store_.database().begin_read());
    FID_TRY(const auto all_series, store_.index().list_series(transaction, study, criteria_));
    for (const auto& series : all_series) {
        auto of_series = above;
        add(of_series, series.attributes);
        if (level_ == QueryLevel::series) {
            bool here = true;
            if (study.misses_some) {
                FID_TRY(const auto all, store_.index().list_instances(transaction, study, series, {}));
                here = std::none_of(all.begin(), all.end(), is_quarantined);
            }
            set_availability(of_series, here);
            rows.push_back(std::move(of_series));
            continue;
        }
        FID_TRY(const auto instances, store_.index().list_instances(transaction, study, series, criteria_));
        for (const auto& instance : instances) {
            auto of_instance = of_series;
            add(of_instance, instance.attributes);
            set_availability(of_instance, !is_quarantined(instance));
            rows.push_back(std::move(of_instance));
        }
    }
    return rows;
}

Result<void> StoreQuery::trace(std::span<const Shown> shown) {
    std::map<std::int64_t, TracedLook> by_patient;
    for (const auto& one : shown) {
        const auto [at, is_first] = by_patient.try_emplace(one.study->row.patient.id, TracedLook{one.decision, *one.study});
        if (!is_first && at->second.study->study_key != one.study->study_key) at->second.study->study_key = {};  // several of them
    }
    std::vector<TracedLook> looks;
    for (auto& [patient, look] : by_patient) {
        const auto [before, is_first] = traced_.try_emplace(patient, look.study->study_key);
        if (!is_first) {
            if (before->second == Hash{} || before->second == look.study->study_key) continue;  // its entry says it all
            before->second = look.study->study_key = {};
        }
        looks.push_back(std::move(look));
    }
    if (shown.empty() && !anything_) {
        Decision nothing_shown;
        nothing_shown.allowed = true;
        looks.push_back({nothing_shown, std::nullopt});
    }
    if (looks.empty()) return {};
    anything_ = true;
    return tracer_.write_all(who_, Operation::identify, looks);
}

}  // namespace

Result<std::unique_ptr<QueryAnswer>> Service::query(const Requester& who, const Query& query) {
    dicom::Criteria criteria;
    std::vector<dicom::Tag> ignored;
    for (const auto& key : query.keys) {
        if (dicom::describe_query_attribute(key.tag).level > query.level || !store_->index().is_indexed(key.tag)) {
            ignored.push_back(key.tag);
            continue;
        }
        auto matcher = dicom::Matcher::compile(key.tag, key.value, query.fuzzy_names);
        if (!matcher) {
            const auto keyword = dicom::keyword_of(key.tag);
            return fail(matcher.error().with(keyword.empty() ? dicom::tag_text(key.tag) : keyword));
        }
        criteria.add(*std::move(matcher));
    }
    if (query.combined_date_time) criteria.combine_moments();
    if (query.utc_offset) criteria.in_timezone(*query.utc_offset);
    return std::unique_ptr<QueryAnswer>(
        std::make_unique<StoreQuery>(*store_, *access_, *tracer_, who, query, std::move(criteria), std::move(ignored)));
}

}  // namespace fiducial::archive
