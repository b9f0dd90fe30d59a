#include "archive/rights_sink.hpp"

#include "base/log.hpp"
#include "ledger/rights_events.hpp"

namespace fiducial::archive {
namespace {

namespace events = ledger::rights;
using store::RightsChange;
using store::RightsFact;

constexpr std::chrono::minutes kNoteEvery{1};

RightsChange of_member(RightsFact fact, const Bytes32& id) {
    RightsChange change;
    change.fact = fact;
    change.about = id;
    return change;
}
template <typename Event>
RightsChange of_patient(RightsFact fact, const Event& event) {
    RightsChange change;
    change.fact = fact;
    change.about = event.holder;
    change.patient_key = event.patient_key;
    return change;
}
void set_target(RightsChange& change, const ledger::contracts::Target& target) {
    change.detail = static_cast<std::uint8_t>(target.kind);
    change.other = target.id;
    change.bits = target.role;
}

/// One function for each event; the others change nobody's rights.
struct Translate {
    using Out = std::optional<RightsChange>;
    Out operator()(const events::InstitutionRegistered& e) const { return of_member(RightsFact::institution_registered, e.institution); }
    Out operator()(const events::InstitutionActivityChanged& e) const {
        auto change = of_member(RightsFact::institution_activity, e.institution);
        change.on = e.active;
        return change;
    }
    Out operator()(const events::PersonRegistered& e) const {
        auto change = of_member(RightsFact::person_registered, e.person);
        change.other = e.institution;
        change.bits = e.roles;
        return change;
    }
    Out operator()(const events::PersonRolesChanged& e) const {
        auto change = of_member(RightsFact::person_roles, e.person);
        change.bits = e.roles;
        return change;
    }
    Out operator()(const events::PersonActivityChanged& e) const {
        auto change = of_member(RightsFact::person_activity, e.person);
        change.on = e.active;
        return change;
    }
    Out operator()(const events::PersonRemoved& e) const { return of_member(RightsFact::person_removed, e.person); }
    Out operator()(const events::DeviceRegistered& e) const {
        auto change = of_member(RightsFact::device_registered, e.device);
        change.other = e.institution;
        change.bits = e.operations;
        return change;
    }
    Out operator()(const events::DeviceChanged& e) const {
        auto change = of_member(RightsFact::device_changed, e.device);
        change.bits = e.operations;
        change.on = e.active;
        return change;
    }
    Out operator()(const events::DeviceRemoved& e) const { return of_member(RightsFact::device_removed, e.device); }
    Out operator()(const events::ControllerChanged& e) const {
        auto change = of_patient(RightsFact::controller, e);
        change.other = e.controller;
        change.detail = static_cast<std::uint8_t>(e.kind);
        change.epoch = e.epoch;
        return change;
    }
    Out operator()(const events::GuardianChanged& e) const {
        auto change = of_patient(RightsFact::guardian, e);
        change.other = e.guardian;
        change.until = e.until;
        return change;
    }
    Out operator()(const events::Granted& e) const {
        auto change = of_patient(RightsFact::grant, e);
        change.item = e.grant_id;
        set_target(change, e.target);
        change.scope = e.scope;
        change.purpose = e.purpose;
        change.from = e.from;
        change.until = e.until;
        change.epoch = e.epoch;
        return change;
    }
    Out operator()(const events::Revoked& e) const {
        auto change = of_patient(RightsFact::revocation, e);
        change.item = e.grant_id;
        change.epoch = e.epoch;
        return change;
    }
    Out operator()(const events::Restricted& e) const {
        auto change = of_patient(RightsFact::restriction, e);
        change.item = e.restriction_id;
        set_target(change, e.target);
        change.scope = e.scope;
        change.on = e.on;
        change.epoch = e.serial;
        return change;
    }
    Out operator()(const events::EmergencyOpened& e) const {
        auto change = of_patient(RightsFact::emergency_opened, e);
        change.other = e.person;
        change.from = e.from;
        change.until = e.until;
        change.item = e.ground;
        return change;
    }
    Out operator()(const events::EmergencyClosed& e) const {
        auto change = of_patient(RightsFact::emergency_closed, e);
        change.other = e.person;
        change.until = e.at;
        return change;
    }
    template <typename Other>
    Out operator()(const Other&) const {
        return std::nullopt;
    }
};

}  // namespace

std::optional<store::RightsChange> rights_change(const ledger::Log& log, const SiteFacts& facts) {
    if (log.address != facts.members && log.address != facts.consents) return std::nullopt;
    const auto event = events::decode_event(log);
    std::optional<RightsChange> change;
    if (event) {
        change = std::visit(Translate{}, *event);
    } else {
        log::error("archive", "an event about rights cannot be read", {{"block", log.block_number}, {"why", event.error().message}});
        change = of_member(RightsFact::unreadable, {});
    }
    if (change) change->log_index = log.index;
    return change;
}

/// A damaged table is the table's affair; anything else is tried again.
Result<void> RightsSink::go_on_if_damaged(Result<void> outcome) {
    if (outcome || (outcome.error().code != ErrorCode::corrupt && outcome.error().code != ErrorCode::conflict)) return outcome;
    log::error("archive", "the table of rights is damaged or does not fit the chain; it is read from the ledger again",
               {{"why", outcome.error().message}});
    whole_ = false;
    return {};
}

Result<void> RightsSink::apply(database::Transaction& transaction, const ledger::Block& block, std::span<const ledger::Log> logs) {
    if (head_ != block.number() - 1 && whole_ != false) whole_.reset();  // the first since the start, or a gap
    head_ = block.number();
    head_time_ = block.header.timestamp;
    if (whole_ == false) return {};
    std::vector<RightsChange> changes;
    for (const auto& log : logs) {
        if (auto change = rights_change(log, facts_)) changes.push_back(*change);
    }
    return go_on_if_damaged(rights_.apply(transaction, block.number(), block.header.timestamp, changes));
}

Result<void> RightsSink::undo(database::Transaction& transaction, const ledger::Block& block, bool) {
    head_ = block.number() - 1;
    settled_ = std::min(settled_, head_);
    if (whole_ == false) return {};
    return go_on_if_damaged(rights_.undo(transaction, block.number()));
}

Result<void> RightsSink::settle(database::Transaction& transaction, const ledger::Block& block) {
    settled_ = block.number();
    if (whole_ == false) return {};
    return go_on_if_damaged(rights_.settle(transaction, block.number()));
}

/// Looks once after a start, and after a gap.
Result<void> RightsSink::look_whether_whole() {
    if (whole_) return {};
    FID_TRY(auto transaction, database_.begin_read());
    const auto first = std::max<std::uint64_t>(facts_.from_block, 1);
    const auto read = rights_.state(transaction);
    if (!read && read.error().code == ErrorCode::corrupt) return go_on_if_damaged(fail(read.error()));
    FID_TRY(const auto state, read);
    if (state.first_block == 0) return {};  // nothing was followed yet
    if (head_ == 0) {
        head_ = state.latest_block;
        head_time_ = state.latest_time;
    }
    if (settled_ == 0) settled_ = state.settled_block;
    FID_TRY(const auto faults, rights_.check_all(transaction));
    whole_ = state.first_block <= first && faults.empty();
    if (!*whole_) {
        log::warning(
            "archive", "the table of rights is not whole; it is read from the ledger again",
            {{"begins_at_block", state.first_block}, {"why", faults.empty() ? std::string("it begins too late") : faults.front().message}});
    }
    return {};
}

Result<void> RightsSink::read_again() {
    constexpr std::uint64_t kSpan = 5000;
    store::RightsHistory history;
    history.first_block = std::max<std::uint64_t>(facts_.from_block, 1);
    history.latest_block = head_;
    history.latest_time = head_time_;
    history.settled_block = std::min(settled_, head_);
    ledger::LogFilter filter;
    filter.addresses = {facts_.members, facts_.consents};
    for (auto from = history.first_block; from <= head_; from += kSpan) {
        FID_TRY(const auto logs, rpc_.logs_in_range(from, std::min(head_, from + kSpan - 1), filter));
        for (const auto& log : logs) {
            if (auto change = rights_change(log, facts_)) history.changes.emplace_back(log.block_number, *change);
        }
    }
    FID_CHECK(database_.write(database::Durability::full, [&](database::Transaction& t) { return rights_.replace(t, history); }));
    whole_ = true;
    noted_.reset();
    log::info("archive", "the table of rights was read from the ledger again", {{"blocks", head_}, {"changes", history.changes.size()}});
    return {};
}

void RightsSink::answered(SystemTime at) {
    auto mended = look_whether_whole();
    const bool due = at >= again_at_ || at + pause_ < again_at_;  // the latter: the clock was set back
    if (mended && whole_ == false && head_ != 0 && due) {
        mended = read_again();
        again_at_ = at + pause_;
        pause_ = mended ? kFirstPause : std::min(pause_ * 2, kLongestPause);
    }
    if (!mended) {
        if (problem_ != mended.error().message)
            log::error("archive", "the table of rights cannot be read from the ledger again", {{"why", mended.error().message}});
        problem_ = mended.error().message;
    }
    if (whole_ != true) return;  // what stands in the table is older than this answer
    if (noted_ && at >= *noted_ && at - *noted_ < kNoteEvery) return;
    noted_ = at;
    const auto done = database_.write(database::Durability::rebuildable,
                                      [&](database::Transaction& t) { return rights_.note_answer(t, unix_seconds(at)); });
    if (!done)
        log::warning("archive", "it could not be written down when the ledger's node last answered", {{"why", done.error().message}});
}

}  // namespace fiducial::archive
