#include "archive/consents.hpp"

#include <algorithm>
#include <array>
#include <set>

#include "base/hex.hpp"
#include "base/utf8.hpp"
#include "crypto/hash.hpp"
#include "ledger/contracts.hpp"

namespace fiducial::archive {
namespace {

namespace contracts = ledger::contracts;
using store::LocalChange;
using store::RightsChange;
using store::RightsFact;

constexpr std::size_t kMostWords = 900;
constexpr std::array<std::string_view, 4> kReasons{"life-threatening", "unable-to-consent", "ledger-away", "other"};
/// Far more than any of these calls takes (docs/reference/gas.md). They are not estimated: an estimate is made with the time of the newest
/// block, which on an idle chain is long ago, and before the calls that were stored first.
constexpr std::uint64_t kGas = 300'000;

contracts::Target target_of(const RightsChange& change) {
    return {static_cast<contracts::TargetKind>(change.detail), change.other, change.bits};
}
contracts::Target on_chain(const Target& target) {
    return {static_cast<contracts::TargetKind>(target.kind), target.id, target.role};
}
void put(RightsChange& change, const Target& target, const Hash& scope) {
    change.detail = static_cast<std::uint8_t>(target.kind);
    change.other = target.id;
    change.bits = target.role;
    change.scope = scope;
}

Bytes calldata_of(const RightsChange& change) {
    switch (change.fact) {
        case RightsFact::emergency_opened:
            return contracts::open_emergency_call(change.about, change.patient_key, change.other, change.from, change.until, change.item);
        case RightsFact::grant:
            return contracts::grant_call({change.about, change.patient_key, target_of(change), change.scope, change.purpose, change.from,
                                          change.until, change.epoch});
        case RightsFact::revocation: return contracts::revoke_call(change.about, change.patient_key, change.item, change.epoch);
        case RightsFact::restriction:
            return contracts::restrict_call({change.about, change.patient_key, target_of(change), change.scope, change.on, change.epoch});
        default: broken_invariant("a local change has a call", __FILE__, __LINE__);
    }
}

/// Unique to what is asked for: the same again is the same call.
std::string tag_of(const RightsChange& change) {
    const std::string_view name = change.fact == RightsFact::emergency_opened ? "emergency" : "consent";
    return std::string(name) + " " + to_hex(change.patient_key) + " " + to_hex(change.item) + " " + std::to_string(change.epoch) + " " +
           std::to_string(change.from);
}

/// What stands on the chain of why: nothing that a reader could guess.
Hash ground_of(const LocalChange& local) {
    Bytes words;
    append_lp(words, as_bytes(local.study_uid));
    append_lp(words, as_bytes(local.reason));
    append_lp(words, as_bytes(local.note));
    return crypto::tagged_sha256("fid.ground1", {local.salt, words});
}

}  // namespace

std::span<const std::string_view> emergency_reasons() {
    return kReasons;
}

Result<void> Consents::check_ground(std::string_view reason, std::string_view words) {
    if (std::find(kReasons.begin(), kReasons.end(), reason) == kReasons.end()) {
        std::string names;
        for (const auto name : kReasons) names += (names.empty() ? "" : ", ") + std::string(name);
        return fail(ErrorCode::invalid_argument, "that is no reason to break the glass; reasons are: " + names);
    }
    if (words.empty() || words.size() > kMostWords)
        return fail(ErrorCode::invalid_argument,
                    "say in words why the glass is broken, in at most " + std::to_string(kMostWords) + " bytes");
    return {};
}

Result<LocalChange> Consents::open_emergency(const Hash& patient_key, const By& by) {
    return decide(patient_key, by, [&](LocalChange& local, const Known& known) {
        local.salt = crypto::random_bytes32();
        auto& change = local.change;
        change.fact = RightsFact::emergency_opened;
        change.other = by.person;
        change.from = known.at;
        change.until = known.at + kEmergency_s;
        change.item = ground_of(local);
        return Result<void>();
    });
}

/// Both move it on: who decides instead, and a revocation.
std::uint64_t Consents::Known::epoch() const {
    std::uint64_t epoch = 0;
    for (const auto& change : changes) {
        if (change.fact == RightsFact::controller) epoch = std::max(epoch, change.epoch);
        if (change.fact == RightsFact::revocation) epoch = std::max(epoch, change.epoch + 1);
    }
    return epoch;
}

std::uint64_t Consents::Known::last_serial(const Hash& restriction_id) const {
    std::uint64_t serial = 0;
    for (const auto& change : changes) {
        if (change.fact == RightsFact::restriction && change.item == restriction_id) serial = std::max(serial, change.epoch);
    }
    return serial;
}

const RightsChange* Consents::Known::last(RightsFact fact, const Hash& item) const {
    const auto found = std::find_if(changes.rbegin(), changes.rend(), [&](const RightsChange& one) {
        return one.fact == fact && one.item == item && (one.on || fact != RightsFact::restriction);
    });
    return found != changes.rend() ? &*found : nullptr;
}

Result<LocalChange> Consents::grant(const Hash& patient_key, const Target& to, const Hash& scope, Purpose purpose, std::uint64_t until,
                                    const By& by) {
    if (to.kind == TargetKind::everyone)
        return fail(ErrorCode::invalid_argument, "nothing is granted to everyone: name a person, role or institution");
    if (purpose == Purpose::emergency || purpose == Purpose::administration)
        return fail(ErrorCode::invalid_argument, "a grant is for treatment, research or personal use");
    return decide(patient_key, by, [&](LocalChange& local, const Known& known) -> Result<void> {
        auto& change = local.change;
        change.fact = RightsFact::grant;
        change.item = grant_id(to, scope, purpose);
        put(change, to, scope);
        change.purpose = static_cast<std::uint8_t>(purpose);
        change.epoch = known.epoch();
        const auto* before = known.last(RightsFact::grant, change.item);
        const bool again = before != nullptr && before->epoch == change.epoch;
        change.from = again ? std::max(known.at, before->from + 1) : known.at;  // of two in an epoch the contract takes the later
        change.until = until;
        if (change.until <= change.from) return fail(ErrorCode::invalid_argument, "the grant would end before it begins");
        return {};
    });
}

Result<LocalChange> Consents::revoke(const Hash& patient_key, const Hash& grant_id, const By& by) {
    return decide(patient_key, by, [&](LocalChange& local, const Known& known) -> Result<void> {
        if (grant_id != kZero32 && known.last(RightsFact::grant, grant_id) == nullptr)
            return fail(ErrorCode::not_found, "the patient has no such grant");
        local.change.fact = RightsFact::revocation;
        local.change.item = grant_id;
        local.change.epoch = known.epoch();
        return {};
    });
}

Result<LocalChange> Consents::restrict(const Hash& patient_key, const Target& whom, const Hash& scope, const By& by) {
    return decide(patient_key, by, [&](LocalChange& local, const Known& known) {
        auto& change = local.change;
        change.fact = RightsFact::restriction;
        change.item = restriction_id(whom, scope);
        put(change, whom, scope);
        change.on = true;
        change.epoch = known.last_serial(change.item) + 1;
        return Result<void>();
    });
}

Result<LocalChange> Consents::lift(const Hash& patient_key, const Hash& restriction_id, const By& by) {
    return decide(patient_key, by, [&](LocalChange& local, const Known& known) -> Result<void> {
        const auto* made = known.last(RightsFact::restriction, restriction_id);
        if (made == nullptr) return fail(ErrorCode::not_found, "the patient has no such restriction");
        local.change = *made;
        local.change.log_index = 0;
        local.change.on = false;
        local.change.epoch = known.last_serial(restriction_id) + 1;
        return {};
    });
}

Hash Consents::grant_id(const Target& to, const Hash& scope, Purpose purpose) {
    return contracts::grant_id(on_chain(to), scope, static_cast<std::uint8_t>(purpose));
}
Hash Consents::restriction_id(const Target& whom, const Hash& scope) {
    return contracts::restriction_id(on_chain(whom), scope);
}

Result<Hash> Consents::find(const Hash& patient_key, RightsFact fact, std::string_view id_begins) const {
    FID_TRY(const auto known, database_.read([&](database::Transaction& t) { return known_of(t, patient_key); }));
    std::set<Hash> found;
    for (const auto& change : known) {
        if (change.fact == fact && to_hex(change.item).starts_with(id_begins)) found.insert(change.item);
    }
    if (found.empty())
        return fail(ErrorCode::not_found, "the patient has none whose id begins with " + std::string(id_begins.substr(0, 64)));
    if (found.size() > 1) return fail(ErrorCode::conflict, "several ids begin so: write more of it");
    return *found.begin();
}

Result<LocalChange> Consents::decide(const Hash& patient_key, const By& by,
                                     const std::function<Result<void>(LocalChange& local, const Known& known)>& fill) {
    LocalChange local;
    local.change.about = facts_.institution;
    local.change.patient_key = patient_key;
    local.person = by.person;
    local.study_uid = by.study_uid;
    local.reason = by.reason;
    local.note = readable(by.note);
    FID_CHECK(access_.change_local_rows([&](database::Transaction& t) -> Result<void> {
        FID_TRY(const auto state, rights_.state(t));
        Known known;
        local.made = unix_seconds(clock_.now());
        known.at = std::max(local.made, state.latest_time);
        FID_TRY(known.changes, known_of(t, patient_key));
        FID_CHECK(fill(local, known));
        FID_TRY(local.id, rights_.add_local_change(t, local));
        return enqueue(t, local);
    }));
    outbox_.wake(true);
    return local;
}

Result<std::vector<RightsChange>> Consents::known_of(database::Transaction& transaction, const Hash& patient_key) const {
    FID_TRY(const auto state, rights_.state(transaction));
    if (state.first_block == 0)
        return fail(ErrorCode::unavailable, "what the ledger says of this patient is not known here yet; try again when its node answers");
    FID_TRY(auto known, rights_.about_patient(transaction, facts_.institution, patient_key, state.latest_block));
    FID_TRY(const auto here, rights_.local_changes(transaction));
    for (const auto& one : here) {
        if (one.change.patient_key == patient_key && one.settled_block == 0) known.push_back(one.change);
    }
    return known;
}

Result<void> Consents::enqueue(database::Transaction& transaction, const LocalChange& local) {
    FID_CHECK(outbox_.enqueue_call(transaction, facts_.consents, calldata_of(local.change), tag_of(local.change), kGas));
    return {};
}

Result<std::vector<LocalChange>> Consents::unsent(database::Transaction& transaction) const {
    FID_TRY(auto here, rights_.local_changes(transaction));
    std::vector<LocalChange> out;
    for (auto& local : here) {
        if (local.settled_block != 0) continue;
        const auto item = sent(transaction, local);
        if (!item && item.error().code != ErrorCode::not_found) return fail(item.error());
        if (!item) out.push_back(std::move(local));
    }
    return out;
}

Result<std::vector<LocalChange>> Consents::unsent() const {
    return database_.read([&](database::Transaction& t) { return unsent(t); });
}

Result<std::uint64_t> Consents::send_again() {
    std::uint64_t count = 0;
    FID_CHECK(database_.write(database::Durability::full, [&](database::Transaction& t) -> Result<void> {
        FID_TRY(const auto lost, unsent(t));
        for (const auto& local : lost) FID_CHECK(enqueue(t, local));
        count = lost.size();
        return {};
    }));
    if (count > 0) outbox_.wake(true);
    return count;
}

Result<std::vector<LocalChange>> Consents::all() const {
    return database_.read([&](database::Transaction& t) { return rights_.local_changes(t); });
}

Result<ledger::OutboxItem> Consents::sent(database::Transaction& transaction, const LocalChange& local) const {
    return outbox_.call(transaction, tag_of(local.change));
}

}  // namespace fiducial::archive
