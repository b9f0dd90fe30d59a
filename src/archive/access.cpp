#include "archive/access.hpp"

#include <array>

#include "base/log.hpp"
#include "crypto/hash.hpp"
#include "ledger/contracts.hpp"

namespace fiducial::archive {
namespace {

constexpr std::size_t kMaxCached = 200'000;
constexpr std::uint64_t kMostAway_s = 24 * 3600;

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
constexpr std::uint16_t kFirstDenial = 15;
constexpr std::uint16_t kStaffFirst = 1, kGranted = 10, kEmergencyOpened = 4;  // bounds of what may rest on the last state seen

}  // namespace

std::string_view reason_text(std::uint16_t reason) { return reason < kReasons.size() ? kReasons[reason] : "a reason this version does not know"; }

Result<void> Decision::require() const {
    if (allowed) return {};
    return fail(ErrorCode::denied, "access denied: " + std::string(reason_text(reason)));
}

Access::Access(ledger::Rpc& rpc, const SiteFacts& facts, const Clock& clock) : rpc_(rpc), facts_(facts), clock_(clock) {}

std::uint64_t Access::cached() const {
    const std::lock_guard lock(mutex_);
    return cache_.size();
}

Result<Decision> Access::decide(const Requester& who, const Subject& about, Operation operation) {
    const std::uint8_t numbers[2] = {static_cast<std::uint8_t>(operation), static_cast<std::uint8_t>(who.purpose)};
    const Key key = crypto::sha256({who.subject, about.patient_key, about.scope_ref, ByteView(numbers)});
    const auto now = unix_seconds(clock_.now());
    const bool known_behind = follower_ != nullptr && follower_->status().any && follower_->status().behind;
    std::uint64_t generation = 0;
    {
        const std::lock_guard lock(mutex_);
        generation = generation_;
        if (const auto found = cache_.find(key); found != cache_.end() && !known_behind && now < found->second.valid_until) {
            return found->second;
        }
    }
    auto answer = ask(who, about, operation);
    if (!answer) {
        if (answer.error().code == ErrorCode::unavailable || answer.error().code == ErrorCode::timeout) return without_node(key, answer.error());
        return answer;
    }
    // Only a follower tells of changes: without one nothing may be remembered.
    const std::lock_guard lock(mutex_);
    if (answer->allowed && follower_ != nullptr && generation == generation_) {  // a denial may end by time alone
        if (cache_.size() >= kMaxCached) cache_.clear();
        cache_.insert_or_assign(key, *answer);
    }
    return answer;
}

Result<Decision> Access::ask(const Requester& who, const Subject& about, Operation operation) {
    FID_TRY(const auto latest, rpc_.block(ledger::Latest{}));
    if (!latest) return fail(ErrorCode::unavailable, "the node has no block");
    const auto at = std::max(unix_seconds(clock_.now()), latest->header.timestamp);
    FID_TRY(auto now, ask_at(who, about, operation, latest->hash, latest->number(), at));
    const auto status = follower_ != nullptr ? follower_->status() : ledger::FollowerStatus{};
    if (!now.allowed || !status.any || status.settled_hash == latest->hash) return now;
    FID_TRY(auto settled, ask_at(who, about, operation, status.settled_hash, status.settled, at));
    if (!settled.allowed) return settled;  // a grant counts only once it is settled
    now.valid_until = std::min(now.valid_until, settled.valid_until);
    return now;
}

Result<Decision> Access::ask_at(const Requester& who, const Subject& about, Operation operation, const Hash& block_hash, std::uint64_t block,
                                std::uint64_t at) {
    const ledger::contracts::DecideQuestion question{who.subject,      facts_.institution, about.patient_key, about.scope_ref, static_cast<std::uint8_t>(operation),
                                                     static_cast<std::uint8_t>(who.purpose), at};
    FID_TRY(const auto said, ledger::contracts::decide(rpc_, facts_.consents, question, block));
    Decision decision;
    decision.allowed = said.allowed;
    decision.reason = said.reason;
    decision.obligation = said.obligation;
    decision.valid_until = said.valid_until;
    decision.block_number = block;
    decision.block_hash = block_hash;
    FID_INVARIANT(!decision.allowed || decision.reason < kFirstDenial, "the contract allows with a reason to deny");
    return decision;
}

/// Own people may go on by the last state seen, for a day; outsiders' grants may not.
Result<Decision> Access::without_node(const Key& key, const Error& why) {
    const auto status = follower_ != nullptr ? follower_->status() : ledger::FollowerStatus{};
    const auto now = unix_seconds(clock_.now());
    const bool within_a_day = status.last_answer && now < unix_seconds(*status.last_answer) + kMostAway_s;
    const std::lock_guard lock(mutex_);
    const auto found = cache_.find(key);
    if (!within_a_day || found == cache_.end()) return fail(ErrorCode::unavailable, "the ledger node is away and nothing is known for this request: " + why.message);
    Decision decision = found->second;
    const bool own = decision.allowed && decision.reason >= kStaffFirst && decision.reason < kGranted && decision.reason != kEmergencyOpened;
    if (!own || now >= decision.valid_until) return fail(ErrorCode::unavailable, "the ledger node is away; until it is back only own staff and own records are served");
    decision.node_away = true;
    return decision;
}

Result<void> Access::apply(database::Transaction&, const ledger::Block&, std::span<const ledger::Log> logs) {
    for (const auto& log : logs) drop_ = drop_ || log.address == facts_.members || log.address == facts_.consents;
    return {};
}

Result<void> Access::undo(database::Transaction&, const ledger::Block&, bool) {
    drop_ = true;
    return {};
}

Result<void> Access::settle(database::Transaction&, const ledger::Block&) { return {}; }

void Access::committed() {
    if (!drop_) return;
    drop_ = false;
    const std::lock_guard lock(mutex_);
    cache_.clear();
    generation_ += 1;
}

}  // namespace fiducial::archive
