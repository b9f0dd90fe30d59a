// Storage commitment: what a peer may have confirmed, and from when on. Spec: PS3.4 Annex J
#include "archive/commitments.hpp"

#include <algorithm>
#include <boost/json.hpp>
#include <map>
#include <set>

#include "archive/service.hpp"
#include "base/json.hpp"
#include "base/log.hpp"

namespace fiducial::archive {
namespace {

namespace json = boost::json;
using State = CommitmentInstance::State;

constexpr std::size_t kMostContent = std::size_t{16} << 20;

/// What a row of deliveries keeps of a request: {"policy": 1, "instances": [[class, instance, state]…]}
std::string content_of(const CommitmentRequest& request) {
    json::array instances;
    for (const auto& one : request.instances)
        instances.push_back(json::array{one.sop_class, one.sop_uid, static_cast<std::int64_t>(one.state)});
    return json::serialize(json::object{{"policy", static_cast<std::int64_t>(request.policy)}, {"instances", std::move(instances)}});
}

/// Requires: a row whose MAC fits
Result<CommitmentRequest> request_of(const Delivery& delivery) {
    FID_TRY(const auto document, fiducial::json::parse(delivery.content, kMostContent));
    CommitmentRequest out;
    out.policy = static_cast<CommitmentPolicy>(document.at("policy").as_int64());
    for (const auto& one : document.at("instances").as_array()) {
        const auto& columns = one.as_array();
        out.instances.push_back(
            {std::string(columns.at(0).as_string()), std::string(columns.at(1).as_string()), static_cast<State>(columns.at(2).as_int64())});
    }
    return out;
}

bool is_in_order(const store::InstanceRow& row) {
    return row.object.state == store::ObjectState::current;
}
/// Whether something is here under its UID; what was superseded, discarded or never acknowledged is not.
bool counts(const store::InstanceRow& row) {
    const auto state = row.object.state;
    return is_in_order(row) || state == store::ObjectState::set_aside || state == store::ObjectState::quarantined;
}

bool covers(const CheckedVersion& version, const store::InstanceRow& row) {
    const auto listed = version.by_uid.find(row.sop_uid.text());
    return listed != version.by_uid.end() && version.manifest.instances[listed->second].sha256 == row.object.sha256;
}

}  // namespace

/// Says of each instance what this peer may know of it: what it brought itself, and else what a list would show it.
/// Returns: studies of those that are here.
Result<std::set<Uid>> Service::look_at_committed(const Requester& who, CommitmentRequest& request) {
    std::set<Uid> studies;
    std::map<Uid, bool> may_know;
    for (auto& instance : request.instances) {
        FID_TRY(const auto uid, Uid::parse(instance.sop_uid));
        FID_TRY(const auto rows,
                store_->database().read([&](database::Transaction& t) { return store_->index().find_all_instances(t, uid); }));
        const bool brought =
            (request.also_brought && request.also_brought(instance.sop_uid)) ||
            std::any_of(rows.begin(), rows.end(), [&](const auto& row) { return row.object.source.value == request.source; });
        instance.state = State::unknown;
        for (const auto& row : rows) {
            if (!counts(row)) continue;
            if (!brought) {
                const auto [known, anew] = may_know.emplace(row.study_uid, false);
                if (anew) {
                    FID_TRY(known->second, may_identify(who, row.study_uid));
                }
                if (!known->second) continue;
            }
            if (!is_in_order(row)) {
                if (instance.state == State::unknown) instance.state = State::not_in_order;
                continue;
            }
            instance.state = row.sop_class_uid.text() == instance.sop_class ? State::kept : State::other_class;
            studies.insert(row.study_uid);
        }
    }
    return studies;
}

/// Decided and traced, as a row of a list.
Result<bool> Service::may_identify(const Requester& who, const Uid& study_uid) {
    FID_TRY(const auto study, identify_if_taken(study_uid));
    if (!study) return false;
    const auto decision = permit(who, &*study, Operation::identify);
    if (!decision && decision.error().code == ErrorCode::denied) return false;
    FID_CHECK(decision);
    FID_CHECK(tracer_->write(who, Operation::identify, *decision, &*study, study->study_key, {}));
    return true;
}

Result<Delivery> Service::request_commitment(const Requester& who, CommitmentRequest request) {
    FID_CHECK(permit(who, nullptr, Operation::store));
    FID_TRY(const auto studies, look_at_committed(who, request));
    Delivery delivery;
    delivery.kind = DeliveryKind::commitment;
    delivery.peer = request.peer;
    delivery.subject = request.transaction_uid;
    delivery.content = content_of(request);
    delivery.next_ms = static_cast<std::uint64_t>((system_clock().now().time_since_epoch() + request.hold).count());
    FID_CHECK(
        store_->database().write(database::Durability::full, [&](database::Transaction& t) { return deliveries_->add(t, delivery); }));
    for (const auto& study : studies) {  // whoever asks has sent all of the exam
        if (const auto completed = exams_->complete(study); !completed)
            log::error("archive", "a study could not be completed yet", {{"study", study.text()}, {"why", completed.error().message}});
    }
    outbox_->wake(true);
    return deliveries_->find(delivery.kind, delivery.peer, delivery.subject);
}

Result<CommitmentAnswer> Service::answer_commitment(const Delivery& delivery) {
    FID_TRY(auto request, request_of(delivery));
    CommitmentAnswer answer;
    std::map<Uid, std::shared_ptr<const CheckedVersion>> settled;  // null: no version of the study is
    for (auto& instance : request.instances) {
        if (instance.state != State::kept) continue;
        FID_TRY(const auto uid, Uid::parse(instance.sop_uid));
        FID_TRY(const auto row, store_->database().read([&](database::Transaction& t) { return store_->index().find_instance(t, uid); }));
        if (!row) instance.state = State::unknown;  // it was taken away since
        if (row && !is_in_order(*row)) instance.state = State::not_in_order;
        if (instance.state != State::kept || request.policy != CommitmentPolicy::settled) continue;
        const auto [found, anew] = settled.emplace(row->study_uid, nullptr);
        if (anew) {
            FID_TRY(found->second, settled_version(row->study_uid));
        }
        if (found->second && covers(*found->second, *row)) continue;
        answer.pending = true;
        answer.why = "the fingerprint is not settled on the ledger yet";
        return answer;
    }
    answer.instances = std::move(request.instances);
    return answer;
}

/// The newest version of a study that is settled; null: none is.
Result<std::shared_ptr<const CheckedVersion>> Service::settled_version(const Uid& study_uid) {
    FID_TRY(const auto study, identify(study_uid.text()));
    std::optional<store::StudyVersionRow> newest;
    {
        FID_TRY(auto transaction, store_->database().begin_read());
        FID_TRY(const auto versions, store_->index().versions_of(transaction, study_uid));
        for (const auto& version : versions) {
            if (newest && newest->record.version > version.record.version) continue;
            const auto anchor = outbox_->anchor(transaction, study.study_key, version.record.version);
            if (!anchor && anchor.error().code != ErrorCode::not_found) return fail(anchor.error());
            if (anchor && anchor->state == ledger::OutboxState::settled) newest = version;
        }
    }
    if (!newest) return std::shared_ptr<const CheckedVersion>();
    auto latest = versions_->latest(study_uid);
    if (latest && (*latest)->row.record.hash() == newest->record.hash()) return latest;
    return versions_->read(*newest);
}

}  // namespace fiducial::archive
