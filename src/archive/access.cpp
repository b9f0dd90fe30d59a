#include "archive/access.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include "archive/access/snapshot.hpp"
#include "archive/rights_sink.hpp"
#include "base/log.hpp"
#include "crypto/hash.hpp"
#include "ledger/contracts.hpp"

namespace fiducial::archive {
namespace {

constexpr std::size_t kMaxCached = 200'000;
constexpr std::uint64_t kClockSlack_s = 300;      // how far ahead of our clock the last answer may lie
constexpr int kMostTries = 3;                     // of a decision while the ledger goes on
constexpr std::chrono::seconds kFirstAnswer{10};  // how long a request waits for the follower's first poll

/// Texts of IConsents.Reason, by number.
constexpr std::array<std::string_view, 35> kReasons{{
    "no answer",
    "it is the person's own record",
    "the person is the patient's guardian",
    "custodian of the holding institution",
    "an emergency has been opened",
    "staff of the holding institution, for treatment",
    "staff who may see identities",
    "staff who may store",
    "administrator: the inventory",
    "staff who may see the trace",
    "the patient granted it",
    "a doctor may open it in an emergency",
    "everybody may ask",
    "the device is listed for it",
    "the institution itself",
    "nobody of this id is registered on the ledger",
    "the person or device has been deactivated",
    "the institution has been deactivated",
    "the holding institution is not registered",
    "the holding institution has been deactivated",
    "it was denied at this site",
    "the patient has restricted it",
    "the role does not allow it",
    "the purpose does not allow it",
    "it is another institution's study and nothing was granted",
    "it is not the person's own record",
    "the guardianship has ended",
    "the device is not listed for it",
    "identities are withheld for this purpose",
    "no emergency has been opened",
    "the emergency is over",
    "the patient has not granted it",
    "the grant is not in force yet",
    "the grant was revoked",
    "the grant has expired",
}};
static_assert(ledger::contracts::kFirstDenial == static_cast<std::uint8_t>(Reason::unknown_subject));
static_assert(ledger::contracts::kLastReason == static_cast<std::uint8_t>(Reason::grant_expired) &&
              kReasons.size() == ledger::contracts::kLastReason + 1U);

void take(Decision& decision, const Verdict& verdict) {
    decision.allowed = verdict.allowed;
    decision.reason = static_cast<std::uint16_t>(verdict.reason);
    decision.obligation = static_cast<std::uint8_t>(verdict.obligation);
    decision.valid_until = verdict.valid_until;
}

}  // namespace

std::string_view reason_text(std::uint16_t reason) {
    return reason < kReasons.size() ? kReasons[reason] : "a reason this version does not know";
}

Result<void> Decision::require() const {
    if (allowed) return {};
    std::string text = "access denied: " + std::string(reason_text(reason));
    switch (static_cast<Reason>(reason)) {  // and what to do where a doctor can do something
        case Reason::restricted:
        case Reason::emergency_not_opened:
        case Reason::emergency_over:
            text +=
                "; in an emergency a doctor breaks the glass (fiducial break-glass, or POST /studies/{study}/emergency) and asks with "
                "purpose emergency";
            break;
        default: break;
    }
    return fail(ErrorCode::denied, std::move(text));
}

Access::Access(ledger::Rpc& rpc, const SiteFacts& facts, database::Database& database, store::Rights& rights, const Clock& clock)
    : rpc_(rpc), facts_(facts), database_(database), rights_(rights), clock_(clock) {}

std::uint64_t Access::cached() const {
    const std::lock_guard lock(mutex_);
    return cache_.size();
}

Result<Decision> Access::decide(const Requester& who, const Subject& about, Operation operation, ConsentChange change) {
    for (int tries = 1;; ++tries) {
        FID_TRY(const auto waited, waiting(about.patient_key));
        FID_TRY(auto answer, by_node(who, about, operation, change));
        FID_TRY(auto decided, with_local_rows(who, about, operation, std::move(answer)));
        if (tries == kMostTries || waited.empty()) return decided;
        FID_TRY(const bool again, is_outdated(decided));
        if (!again) return decided;
    }
}

Result<Decision> Access::decide_listed(const Requester& who, const Subject& about, Operation operation) {
    const auto status = chain();
    if (follower_ == nullptr || !status.current) return decide(who, about, operation);
    for (const auto source : {Source::table, Source::node}) {
        if (const auto kept = remembered(key_of(who, about, operation, source), status))
            return with_local_rows(who, about, operation, *kept);
    }
    const auto began = generation();
    FID_TRY(const auto waited, waiting(about.patient_key));
    FID_TRY(const auto answer, by_table(who, about, operation, status));
    if (!answer) return decide(who, about, operation);
    remember(key_of(who, about, operation, Source::table), who, about, *answer, status, began);
    FID_TRY(auto decided, with_local_rows(who, about, operation, *answer));
    if (waited.empty()) return decided;
    FID_TRY(const bool again, is_outdated(decided));
    return again ? decide(who, about, operation) : decided;
}

/// What waited here when the ledger was asked may be settled by now: then neither its answer of before nor what waits says so.
Result<bool> Access::is_outdated(const Decision& decision) {
    if (decision.allowed || decision.node_away || follower_ == nullptr) return false;
    FID_TRY(const auto known, database_.read([&](database::Transaction& t) { return rights_.state(t); }));
    return known.settled_block > decision.block_number;
}

/// What this site decided by itself. Denials last, so that one made while the answer was under way counts: only "nobody known" and
/// "inactive" come before it.
Result<Decision> Access::with_local_rows(const Requester& who, const Subject& about, Operation operation, Decision answer) {
    if (!answer.node_away) {
        FID_TRY(answer, with_local_changes(who, about, operation, answer));
    }
    FID_TRY(const bool denied_here, is_denied_here(who.subject, about.patient_key));
    if (denied_here && (answer.allowed || answer.reason > static_cast<std::uint16_t>(Reason::holder_inactive)))
        take(answer, {false, Reason::locally_denied, Obligation::none, 0});
    return answer;
}

Result<Decision> Access::with_local_changes(const Requester& who, const Subject& about, Operation operation, Decision answer) {
    using store::RightsFact;
    FID_TRY(const auto waiting, this->waiting(about.patient_key));
    const bool matters = std::any_of(waiting.begin(), waiting.end(), [&](const store::RightsChange& local) {
        return (local.fact == RightsFact::emergency_opened) != answer.allowed;  // what opens to a denial, what takes away to an allowance
    });
    if (!matters) return answer;
    FID_TRY(const auto here, database_.read([&](database::Transaction& t) -> Result<Verdict> {
        FID_TRY(const auto known, rights_.state(t));
        const Question question{about.scope_ref, operation, who.purpose, std::max(unix_seconds(clock_.now()), known.latest_time)};
        FID_TRY(const auto settled, snapshot_at(t, who, about, known.settled_block, waiting));
        FID_TRY(const auto latest, snapshot_at(t, who, about, known.latest_block, waiting));
        return allowed_by_both(evaluate(settled, question), evaluate(latest, question));
    }));
    if (answer.allowed) {
        if (!here.allowed) take(answer, here);
        return answer;
    }
    if (!here.allowed || here.reason != Reason::emergency_opened) return answer;
    // What was opened here counts for whoever may break the glass at this moment, as the contract says.
    FID_TRY(const auto may, by_node(who, about, Operation::break_glass, ConsentChange::none));
    if (may.allowed) take(answer, here);
    return answer;
}

Access::Key Access::key_of(const Requester& who, const Subject& about, Operation operation, Source source) {
    const std::uint8_t numbers[3] = {static_cast<std::uint8_t>(operation), static_cast<std::uint8_t>(who.purpose),
                                     static_cast<std::uint8_t>(source)};
    return crypto::sha256({who.subject, about.patient_key, about.scope_ref, ByteView(numbers)});
}

std::optional<Decision> Access::remembered(const Key& key, const ledger::FollowerStatus& status) {
    const auto at = std::max(unix_seconds(clock_.now()), status.head_time);  // a clock that was set back makes nothing last longer
    const std::lock_guard lock(mutex_);
    if (!status.current) cache_.clear();  // a revocation may stand in blocks that were not told yet
    const auto found = cache_.find(key);
    if (found == cache_.end() || at >= found->second.decision.valid_until) return std::nullopt;
    return found->second.decision;
}

/// Only a follower tells of changes: without one nothing may be remembered. A denial may end by time alone.
void Access::remember(const Key& key, const Requester& who, const Subject& about, const Decision& answer,
                      const ledger::FollowerStatus& status, std::uint64_t generation) {
    const std::lock_guard lock(mutex_);
    if (!answer.allowed || !status.current || generation != generation_) return;
    if (cache_.size() >= kMaxCached) cache_.clear();
    cache_.insert_or_assign(key, Kept{answer, who.subject, about.patient_key});
}

std::uint64_t Access::generation() const {
    const std::lock_guard lock(mutex_);
    return generation_;
}

/// The rule over the table of rights. Returns: nothing where the table is not as new as the chain.
Result<std::optional<Decision>> Access::by_table(const Requester& who, const Subject& about, Operation operation,
                                                 const ledger::FollowerStatus& status) {
    FID_TRY(auto transaction, database_.begin_read());
    FID_TRY(const auto known, rights_.state(transaction));
    const bool whole = known.first_block != 0 && known.first_block <= std::max<std::uint64_t>(facts_.from_block, 1);
    if (!whole || known.settled_block == 0 || known.latest_block < status.head) return std::optional<Decision>();
    const Question question{about.scope_ref, operation, who.purpose, std::max(unix_seconds(clock_.now()), known.latest_time)};
    const auto verdict_at = [&](std::uint64_t block) -> Result<Verdict> {
        FID_TRY(const auto snapshot, rights_snapshot(transaction, rights_, who.subject, facts_.institution, about.patient_key, block));
        return evaluate(snapshot, question);
    };
    FID_TRY(auto verdict, verdict_at(known.settled_block));
    if (known.latest_block != known.settled_block) {
        FID_TRY(const auto latest, verdict_at(known.latest_block));
        verdict = allowed_by_both(verdict, latest);
    }
    Decision decision;
    take(decision, verdict);
    decision.block_number = known.settled_block;
    if (status.settled == known.settled_block) decision.block_hash = status.settled_hash;
    return std::optional<Decision>(decision);
}

/// The follower's view; at the start its first poll is waited for.
ledger::FollowerStatus Access::chain() const {
    if (follower_ == nullptr) return {};
    auto status = follower_->status();
    if (status.last_answer || !status.problem.empty()) return status;
    (void)follower_->wait_until([](const ledger::FollowerStatus& now) { return now.last_answer || !now.problem.empty(); }, kFirstAnswer);
    return follower_->status();
}

Result<Decision> Access::by_node(const Requester& who, const Subject& about, Operation operation, ConsentChange change) {
    const auto status = chain();
    if (follower_ != nullptr && status.behind)
        return without_node(who, about, operation, change, status.problem.empty() ? "it has not answered for too long" : status.problem);
    const Key key = key_of(who, about, operation, Source::node);
    const auto began = generation();
    if (auto kept = remembered(key, status)) return *std::move(kept);
    auto answer = ask(who, about, operation);
    if (!answer) {
        const bool away = answer.error().code == ErrorCode::unavailable || answer.error().code == ErrorCode::timeout;
        return away ? without_node(who, about, operation, change, answer.error().message) : answer;
    }
    remember(key, who, about, *answer, status, began);
    return answer;
}

Result<Decision> Access::ask(const Requester& who, const Subject& about, Operation operation) {
    FID_TRY(const auto latest, rpc_.block(ledger::Latest{}));
    if (!latest) return fail(ErrorCode::unavailable, "the node has no block");
    const auto at = std::max(unix_seconds(clock_.now()), latest->header.timestamp);
    FID_TRY(auto now, ask_at(who, about, operation, latest->hash, latest->number(), at));
    const auto status = follower_ != nullptr ? follower_->status() : ledger::FollowerStatus{};
    if (now.allowed && !status.any) return fail(ErrorCode::unavailable, "nothing of the ledger has been followed yet");
    if (!now.allowed || status.settled_hash == latest->hash) return now;
    FID_TRY(auto settled, ask_at(who, about, operation, status.settled_hash, status.settled, at));
    if (!settled.allowed) return settled;  // a grant counts only once it is settled
    now.valid_until = std::min(now.valid_until, settled.valid_until);
    return now;
}

Result<Decision> Access::ask_at(const Requester& who, const Subject& about, Operation operation, const Hash& block_hash,
                                std::uint64_t block, std::uint64_t at) {
    const ledger::contracts::DecideQuestion question{who.subject,
                                                     facts_.institution,
                                                     about.patient_key,
                                                     about.scope_ref,
                                                     static_cast<std::uint8_t>(operation),
                                                     static_cast<std::uint8_t>(who.purpose),
                                                     at};
    // By hash (EIP-1898), so that a reorganisation in between is noticed; Ganache takes numbers only.
    const auto at_block = facts_.development ? ledger::BlockId(block) : ledger::BlockId(block_hash);
    const auto answer = ledger::contracts::decide(rpc_, facts_.consents, question, at_block);
    if (!answer && answer.error().code == ErrorCode::not_found) return fail(ErrorCode::unavailable, "the chain changed while it was asked");
    FID_TRY(const auto said, answer);
    Decision decision;
    decision.allowed = said.allowed;
    decision.reason = said.reason;
    decision.obligation = said.obligation;
    decision.valid_until = said.valid_until;
    decision.block_number = block;
    decision.block_hash = block_hash;
    return decision;
}

/// The second table of docs/design/rights.md over what the table of rights says of the settled and of the latest state.
Result<Decision> Access::without_node(const Requester& who, const Subject& about, Operation operation, ConsentChange change,
                                      const std::string& why) {
    FID_TRY(const bool denied_here, is_denied_here(who.subject, about.patient_key));
    FID_TRY(const auto waiting, this->waiting(about.patient_key));
    FID_TRY(auto transaction, database_.begin_read());
    FID_TRY(const auto known, rights_.state(transaction));
    // Never answered: the table has not reached the node's head yet, and what was taken away since may be missing.
    if (known.first_block == 0 || known.first_block > std::max<std::uint64_t>(facts_.from_block, 1) || known.settled_block == 0 ||
        known.answered == 0) {
        if (operation == Operation::store) return store_by_accounts(who, denied_here, why);
        return fail(ErrorCode::unavailable, "the ledger node is away and not enough is known here to go on without it: " + why);
    }
    const auto status = follower_ != nullptr ? follower_->status() : ledger::FollowerStatus{};
    const auto now = unix_seconds(clock_.now());
    const auto last_answer = known.answered;  // the table's, not the follower's: only then was the table as new as the answer
    // A clock that was set back says nothing about how long the node has been away.
    const bool within_limit = last_answer <= now + kClockSlack_s && now <= last_answer + away_limit_s_;
    const bool gone = !within_limit && chain_gone_ && chain_gone_();
    const auto state = within_limit ? NodeState::away : gone ? NodeState::gone : NodeState::away_longer;

    const Question question{about.scope_ref, operation, who.purpose, std::max(now, known.latest_time)};
    FID_TRY(auto settled, snapshot_at(transaction, who, about, known.settled_block, waiting));
    settled.locally_denied = denied_here;
    auto away = decide_while_node_away(settled, question, change, state);
    if (away.answer == AwayDecision::Answer::allowed && known.latest_block != known.settled_block) {
        // What was taken away counts from the moment it was seen.
        FID_TRY(auto latest, snapshot_at(transaction, who, about, known.latest_block, waiting));
        latest.locally_denied = denied_here;
        away.decision = allowed_by_both(away.decision, evaluate(latest, question));
        if (!away.decision.allowed) away.answer = AwayDecision::Answer::denied;
    }
    if (away.answer == AwayDecision::Answer::unavailable) {
        const std::string_view how = within_limit ? "the ledger node is away; this waits until it is back ("
                                     : gone       ? "the site's chain is gone; this waits until it is put back, or a new site is made ("
                                                  : "the ledger node is away for too long; this waits until it is back (";
        return fail(ErrorCode::unavailable, std::string(how) + std::string(text_of(away.decision.reason)) + ")");
    }
    Decision decision;
    take(decision, away.decision);
    decision.allowed = away.answer == AwayDecision::Answer::allowed;
    if (decision.allowed && within_limit) decision.valid_until = std::min(decision.valid_until, last_answer + away_limit_s_);
    decision.block_number = known.settled_block;
    if (status.settled == known.settled_block) decision.block_hash = status.settled_hash;
    decision.node_away = true;
    return decision;
}

/// An exam cannot wait for a node that has never been followed: who may store by the roles that this site itself gave may go on.
Result<Decision> Access::store_by_accounts(const Requester& who, bool denied_here, const std::string& why) {
    if (accounts_ == nullptr) return fail(ErrorCode::unavailable, "the ledger node is away and nobody is known here who may store: " + why);
    RightsSnapshot snapshot;
    snapshot.subject_id = who.subject;
    if (who.subject == facts_.institution) {  // for peers that it lists without a device
        snapshot.subject = {SubjectKind::institution, true, true, facts_.institution, 0, 0};
    } else if (who.device) {
        FID_TRY(const auto device, devices_->by_id(who.subject));
        snapshot.subject = {SubjectKind::device, true, true, facts_.institution, 0, device.operations};
    } else {
        FID_TRY(const auto person, accounts_->by_id(who.subject));
        snapshot.subject = {SubjectKind::person, true, true, facts_.institution, person.roles, 0};
    }
    snapshot.holder_id = facts_.institution;
    snapshot.holder = {SubjectKind::institution, true, true, facts_.institution, 0, 0};
    snapshot.locally_denied = denied_here;
    const auto away = decide_while_node_away(snapshot, {{}, Operation::store, who.purpose, unix_seconds(clock_.now())}, ConsentChange::none,
                                             NodeState::away_longer);
    if (away.answer == AwayDecision::Answer::unavailable) {
        return fail(ErrorCode::unavailable, "the ledger node is away and not enough is known here to go on without it: " + why);
    }
    Decision decision;
    decision.allowed = away.answer == AwayDecision::Answer::allowed;
    decision.reason = static_cast<std::uint16_t>(away.decision.reason);
    decision.node_away = true;
    return decision;
}

Result<RightsSnapshot> Access::snapshot_at(database::Transaction& transaction, const Requester& who, const Subject& about,
                                           std::uint64_t block, std::span<const store::RightsChange> waiting) const {
    return rights_snapshot(transaction, rights_, who.subject, facts_.institution, about.patient_key, block, waiting);
}

Result<std::shared_ptr<const Access::Local>> Access::local() const {
    const std::lock_guard lock(local_mutex_);
    if (local_) return local_;
    auto local = std::make_shared<Local>();
    FID_CHECK(database_.read([&](database::Transaction& t) -> Result<void> {
        FID_TRY(local->denials, rights_.denials(t));
        FID_TRY(const auto changes, rights_.local_changes(t));
        for (const auto& one : changes) {
            if (one.settled_block == 0) local->waiting[one.change.patient_key].push_back(one.change);
        }
        return {};
    }));
    local_ = local;
    return local_;
}

Result<std::vector<store::RightsChange>> Access::waiting(const Hash& patient_key) const {
    FID_TRY(const auto local, this->local());
    const auto found = local->waiting.find(patient_key);
    return found != local->waiting.end() ? found->second : std::vector<store::RightsChange>();
}

Result<std::vector<store::LocalDenial>> Access::denials() const {
    FID_TRY(const auto local, this->local());
    return local->denials;
}

Result<bool> Access::is_denied_here(const Bytes32& subject, const Hash& patient_key) const {
    FID_TRY(const auto local, this->local());
    return std::any_of(local->denials.begin(), local->denials.end(), [&](const store::LocalDenial& denial) {
        return (denial.subject == kZero32 || denial.subject == subject) &&
               (denial.patient_key == kZero32 || denial.patient_key == patient_key);
    });
}

Result<void> Access::change_local_rows(const std::function<Result<void>(database::Transaction&)>& body) {
    const std::lock_guard lock(local_mutex_);
    local_.reset();
    return database_.write(database::Durability::full, body);
}

Result<std::int64_t> Access::add_denial(const Bytes32& subject, const Hash& patient_key, std::string reason) {
    std::int64_t id = 0;
    FID_CHECK(change_local_rows([&](database::Transaction& t) -> Result<void> {
        FID_TRY(id, rights_.add_denial(t, {0, subject, patient_key, reason, unix_seconds(clock_.now())}));
        return {};
    }));
    return id;
}

Result<void> Access::remove_denial(std::int64_t id) {
    return change_local_rows([&](database::Transaction& t) { return rights_.remove_denial(t, id); });
}

/// Notes whose answers may be others now.
void Access::touch(const store::RightsChange& change) {
    using store::RightsFact;
    switch (change.fact) {
        case RightsFact::person_registered:
        case RightsFact::person_roles:
        case RightsFact::person_activity:
        case RightsFact::person_removed:
        case RightsFact::device_registered:
        case RightsFact::device_changed:
        case RightsFact::device_removed: touched_.subjects.insert(change.about); break;
        case RightsFact::controller:
        case RightsFact::guardian:
        case RightsFact::grant:
        case RightsFact::revocation:
        case RightsFact::restriction:
        case RightsFact::emergency_opened:
        case RightsFact::emergency_closed:
            if (change.about == facts_.institution) touched_.patients.insert(change.patient_key);
            break;
        case RightsFact::institution_registered:
        case RightsFact::institution_activity:
        case RightsFact::unreadable: touched_.everything = true; break;
    }
}

Result<void> Access::apply(database::Transaction&, const ledger::Block& block, std::span<const ledger::Log> logs) {
    if (last_applied_ && *last_applied_ + 1 != block.number()) touched_.everything = true;  // a gap
    last_applied_ = block.number();
    for (const auto& log : logs) {
        if (const auto change = rights_change(log, facts_)) touch(*change);
    }
    return {};
}

Result<void> Access::undo(database::Transaction&, const ledger::Block& block, bool) {
    touched_.everything = true;
    last_applied_ = block.number() - 1;
    return {};
}

/// What was settled in between may deny what both an older settled state and the latest allowed.
Result<void> Access::settle(database::Transaction& transaction, const ledger::Block& block) {
    const auto changes = rights_.of_block(transaction, block.number());
    if (!changes)
        touched_.everything = true;
    else
        for (const auto& change : *changes) touch(change);
    return {};
}

void Access::committed() {
    if (!touched_.any()) return;
    const auto touched = std::exchange(touched_, {});
    {
        const std::lock_guard lock(local_mutex_);
        local_.reset();  // what waited may be settled now, or wait again
    }
    const std::lock_guard lock(mutex_);
    generation_ += 1;
    if (touched.everything)
        cache_.clear();
    else
        std::erase_if(cache_, [&](const auto& entry) {
            return touched.subjects.contains(entry.second.subject) || touched.patients.contains(entry.second.patient_key);
        });
}

}  // namespace fiducial::archive
