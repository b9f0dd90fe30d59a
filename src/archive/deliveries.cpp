#include "archive/deliveries.hpp"

#include <soci/soci.h>

#include <algorithm>
#include <array>

#include "base/hex.hpp"
#include "base/log.hpp"
#include "crypto/hash.hpp"

namespace fiducial::archive {
namespace {

using std::chrono::milliseconds;

constexpr std::array<std::string_view, 4> kKinds{"commitment", "object", "availability", "fetch"};
constexpr std::array<std::string_view, 3> kStates{"waiting", "failed", "done"};
constexpr std::size_t kMostProblem = 300;

template <typename Names>
std::size_t index_of(const Names& names, std::string_view name) {
    return static_cast<std::size_t>(std::find(names.begin(), names.end(), name) - names.begin());
}

/// A row as SOCI exchanges it.
struct Columns {
    long long id = 0, since_ms = 0, refusals = 0, next_ms = 0;
    std::string kind, peer, study_uid, subject, content, state, problem, mac;
};
constexpr std::string_view kColumns = "id, kind, peer, study_uid, subject, content, state, since_ms, refusals, next_ms, problem, mac";

std::string mac_of(const crypto::Secret& row_key, const Columns& row) {
    Bytes text;
    for (const std::string* column : {&row.kind, &row.peer, &row.study_uid, &row.subject}) append_lp(text, as_bytes(*column));
    return to_hex(crypto::tagged_hmac_sha256(row_key.view(), "fid.delivery1", {text, as_bytes(row.content)}));
}

Delivery delivery_of(Columns row) {
    Delivery out;
    out.id = row.id;
    out.kind = static_cast<DeliveryKind>(index_of(kKinds, row.kind));
    out.peer = std::move(row.peer);
    out.study_uid = std::move(row.study_uid);
    out.subject = std::move(row.subject);
    out.content = std::move(row.content);
    out.state = static_cast<DeliveryState>(index_of(kStates, row.state));
    out.since_ms = static_cast<std::uint64_t>(row.since_ms);
    out.refusals = static_cast<std::uint32_t>(row.refusals);
    out.next_ms = static_cast<std::uint64_t>(row.next_ms);
    out.problem = std::move(row.problem);
    return out;
}

/// Rows that fit a condition, whose named values `bind` exchanges. Throws as SOCI does.
std::vector<Columns> select(database::Transaction& transaction, const std::string& rest,
                            const std::function<void(soci::statement&)>& bind) {
    Columns row;
    soci::statement statement(transaction.sql());
    statement.exchange(soci::into(row.id));
    statement.exchange(soci::into(row.kind));
    statement.exchange(soci::into(row.peer));
    statement.exchange(soci::into(row.study_uid));
    statement.exchange(soci::into(row.subject));
    statement.exchange(soci::into(row.content));
    statement.exchange(soci::into(row.state));
    statement.exchange(soci::into(row.since_ms));
    statement.exchange(soci::into(row.refusals));
    statement.exchange(soci::into(row.next_ms));
    statement.exchange(soci::into(row.problem));
    statement.exchange(soci::into(row.mac));
    bind(statement);
    statement.alloc();
    statement.prepare("SELECT " + std::string(kColumns) + " FROM deliveries " + rest);
    statement.define_and_bind();
    statement.execute();
    std::vector<Columns> rows;
    while (statement.fetch()) rows.push_back(row);
    return rows;
}

}  // namespace

std::string_view name_of(DeliveryKind kind) {
    return kKinds.at(static_cast<std::size_t>(kind));
}
std::string_view name_of(DeliveryState state) {
    return kStates.at(static_cast<std::size_t>(state));
}

Result<void> Deliveries::add(database::Transaction& transaction, const Delivery& delivery) {
    return database::attempt("adding a delivery", [&]() -> Result<void> {
        Columns row;
        row.kind = name_of(delivery.kind);
        row.peer = delivery.peer;
        row.study_uid = delivery.study_uid;
        row.subject = delivery.subject;
        row.content = delivery.content;
        row.since_ms = static_cast<long long>(now_ms());
        row.next_ms = static_cast<long long>(delivery.next_ms);
        row.mac = mac_of(row_key_, row);
        auto& sql = transaction.sql();
        const long long forgotten = row.since_ms - milliseconds(limits_.keep_done).count();
        sql << "DELETE FROM deliveries WHERE state = 'done' AND since_ms < :before", soci::use(forgotten);
        soci::statement insert =
            (sql.prepare
                 << "INSERT INTO deliveries (kind, peer, study_uid, subject, content, state, since_ms, refusals, next_ms, problem, mac) "
                    "VALUES (:kind, :peer, :study, :subject, :content, 'waiting', :since, 0, :next, '', :mac) "
                    "ON CONFLICT (kind, peer, subject) DO NOTHING",
             soci::use(row.kind), soci::use(row.peer), soci::use(row.study_uid), soci::use(row.subject), soci::use(row.content),
             soci::use(row.since_ms), soci::use(row.next_ms), soci::use(row.mac));
        insert.execute(true);
        if (insert.get_affected_rows() == 1) return {};
        if (delivery.kind == DeliveryKind::commitment)
            return fail(ErrorCode::conflict, "there is a transaction " + delivery.subject + " of this peer already");
        // Another since_ms: what is on its way just now is as it was before, and when the peer has that, this still waits.
        sql << "UPDATE deliveries SET state = 'waiting', since_ms = CASE WHEN since_ms < :since THEN :since ELSE since_ms + 1 END, "
               "refusals = 0, next_ms = 0, problem = '' WHERE kind = :kind AND peer = :peer AND subject = :subject",
            soci::use(row.since_ms, "since"), soci::use(row.kind, "kind"), soci::use(row.peer, "peer"), soci::use(row.subject, "subject");
        return {};
    });
}

/// From one peer to the next in the index, so that it costs nothing how much waits for each.
Result<std::vector<std::string>> Deliveries::peers_waiting() {
    FID_TRY(auto peers, database_.read([&](database::Transaction& t) {
        return database::attempt("looking for deliveries", [&] {
            const auto now = static_cast<long long>(now_ms());
            std::string peer;
            std::vector<std::string> found;
            for (;;) {
                const auto last = peer;
                t.sql() << "SELECT peer FROM deliveries WHERE state = 'waiting' AND peer > :last ORDER BY peer LIMIT 1", soci::use(last),
                    soci::into(peer);
                if (!t.sql().got_data()) return found;
                long long id = 0;
                t.sql() << "SELECT id FROM deliveries WHERE state = 'waiting' AND peer = :peer AND next_ms <= :now LIMIT 1",
                    soci::use(peer), soci::use(now), soci::into(id);
                if (t.sql().got_data()) found.push_back(peer);
            }
        });
    }));
    const std::lock_guard lock(mutex_);
    std::erase_if(peers, [&](const std::string& peer) {
        const auto paused = paused_.find(peer);
        return paused != paused_.end() && clock_.steady_now() < paused->second.until;
    });
    return peers;
}

Result<std::vector<Delivery>> Deliveries::due(std::string_view peer, std::size_t most) {
    const std::string title(peer);
    FID_TRY(auto rows, database_.read([&](database::Transaction& t) {
        return database::attempt("reading deliveries", [&] {
            const auto now = static_cast<long long>(now_ms());
            const std::string due = "WHERE peer = :peer AND state = 'waiting' AND next_ms <= :now";
            const auto bind = [&](soci::statement& statement) {
                statement.exchange(soci::use(title));
                statement.exchange(soci::use(now));
            };
            auto first = select(t, due + " ORDER BY kind, id LIMIT 1", bind);
            if (first.empty() || first.front().kind != name_of(DeliveryKind::object)) return first;
            const auto study = first.front().study_uid;
            return select(t, due + " AND study_uid = :study AND kind = 'object' ORDER BY id LIMIT " + std::to_string(most),
                          [&](soci::statement& statement) {
                              bind(statement);
                              statement.exchange(soci::use(study));
                          });
        });
    }));
    std::vector<Delivery> out;
    for (auto& row : rows) {
        const bool ours = row.mac == mac_of(row_key_, row);
        auto delivery = delivery_of(std::move(row));
        if (ours) {
            out.push_back(std::move(delivery));
            continue;
        }
        log::error("archive", "a delivery's row was changed behind our back: it is not sent", {{"delivery", delivery.id}});
        FID_CHECK(give_up(delivery, "the row was changed behind our back"));
    }
    return out;
}

Result<Delivery> Deliveries::find(DeliveryKind kind, std::string_view peer, std::string_view subject) {
    const std::string of_kind(name_of(kind)), title(peer), uid(subject);
    FID_TRY(auto rows, database_.read([&](database::Transaction& t) {
        return database::attempt("looking for a delivery", [&] {
            return select(t, "WHERE kind = :kind AND peer = :peer AND subject = :subject AND state <> 'done'",
                          [&](soci::statement& statement) {
                              statement.exchange(soci::use(of_kind));
                              statement.exchange(soci::use(title));
                              statement.exchange(soci::use(uid));
                          });
        });
    }));
    if (rows.empty()) return fail(ErrorCode::not_found, "there is no such delivery");
    if (rows.front().mac != mac_of(row_key_, rows.front())) return fail(ErrorCode::corrupt, "a delivery's row was changed behind our back");
    return delivery_of(std::move(rows.front()));
}

Result<void> Deliveries::progress(const Delivery& delivery, DeliveryState state, std::uint32_t refusals, std::uint64_t next_ms,
                                  std::string_view why) {
    return database_.write(database::Durability::rebuildable, [&](database::Transaction& t) {
        return database::attempt("noting how far a delivery is", [&] {
            const std::string named(name_of(state)), problem(why.substr(0, kMostProblem));
            const long long next = static_cast<long long>(next_ms), tries = refusals, id = delivery.id;
            const auto since = static_cast<long long>(delivery.since_ms);
            t.sql() << "UPDATE deliveries SET state = :state, refusals = :refusals, next_ms = :next, problem = :problem "
                       "WHERE id = :id AND since_ms = :since",
                soci::use(named), soci::use(tries), soci::use(next), soci::use(problem), soci::use(id), soci::use(since);
        });
    });
}

Result<void> Deliveries::done(const Delivery& delivery) {
    if (delivery.kind == DeliveryKind::commitment) return progress(delivery, DeliveryState::done, delivery.refusals, 0, "");
    return database_.write(database::Durability::rebuildable, [&](database::Transaction& t) {
        return database::attempt("taking away a delivery", [&] {
            const long long id = delivery.id;
            const auto since = static_cast<long long>(delivery.since_ms);
            t.sql() << "DELETE FROM deliveries WHERE id = :id AND since_ms = :since", soci::use(id), soci::use(since);
        });
    });
}

milliseconds Deliveries::pause_after(std::uint32_t tries) const {
    auto pause = limits_.first_pause;
    for (std::uint32_t i = 0; i < tries && pause < limits_.longest_pause; ++i) pause *= 2;
    return std::min(pause, limits_.longest_pause);
}

Result<void> Deliveries::postpone(const Delivery& delivery, milliseconds pause, std::string_view why) {
    const bool too_old = delivery.since_ms + static_cast<std::uint64_t>(milliseconds(limits_.age).count()) < now_ms();
    if (too_old) return give_up(delivery, why);
    return progress(delivery, DeliveryState::waiting, delivery.refusals, now_ms() + static_cast<std::uint64_t>(pause.count()), why);
}

Result<void> Deliveries::refused(const Delivery& delivery, std::string_view why) {
    const auto refusals = delivery.refusals + 1;
    if (refusals >= limits_.refusals) {
        log::error("archive", "a delivery was refused too often: it is given up",
                   {{"peer", delivery.peer}, {"subject", delivery.subject}, {"why", why}});
        return progress(delivery, DeliveryState::failed, refusals, 0, why);
    }
    const auto pause = pause_after(delivery.refusals);
    return progress(delivery, DeliveryState::waiting, refusals, now_ms() + static_cast<std::uint64_t>(pause.count()), why);
}

Result<void> Deliveries::give_up(const Delivery& delivery, std::string_view why) {
    log::error("archive", "a delivery is given up", {{"peer", delivery.peer}, {"subject", delivery.subject}, {"why", why}});
    return progress(delivery, DeliveryState::failed, delivery.refusals, 0, why);
}

Result<void> Deliveries::pause(std::string_view peer, std::string_view why) {
    {
        const std::lock_guard lock(mutex_);
        auto& paused = paused_[std::string(peer)];
        paused.wait = std::clamp(paused.wait * 2, limits_.first_pause, limits_.longest_pause);
        paused.until = clock_.steady_now() + paused.wait;
        paused.why = why;
    }
    return database_.write(database::Durability::rebuildable, [&](database::Transaction& t) {
        return database::attempt("giving up old deliveries", [&] {
            const std::string title(peer), problem(why.substr(0, kMostProblem));
            const long long before = static_cast<long long>(now_ms()) - milliseconds(limits_.age).count();
            soci::statement statement = (t.sql().prepare << "UPDATE deliveries SET state = 'failed', problem = :problem WHERE peer = :peer "
                                                            "AND state = 'waiting' AND since_ms < :before",
                                         soci::use(problem), soci::use(title), soci::use(before));
            statement.execute(true);
            if (const auto count = statement.get_affected_rows(); count > 0)
                log::error("archive", "deliveries have waited too long for a peer: they are given up",
                           {{"peer", title}, {"deliveries", count}, {"why", problem}});
        });
    });
}

void Deliveries::resume(std::string_view peer) {
    const std::lock_guard lock(mutex_);
    if (const auto found = paused_.find(peer); found != paused_.end()) paused_.erase(found);
}

std::string Deliveries::problem_of(std::string_view peer) const {
    const std::lock_guard lock(mutex_);
    const auto found = paused_.find(peer);
    return found == paused_.end() ? std::string() : found->second.why;
}

Result<std::vector<Delivery>> Deliveries::list(std::int64_t after_id, std::size_t most) {
    FID_TRY(auto rows, database_.read([&](database::Transaction& t) {
        return database::attempt("listing deliveries", [&] {
            const long long after = after_id;
            return select(t, "WHERE state <> 'done' AND id > :after ORDER BY id LIMIT " + std::to_string(most),
                          [&](soci::statement& statement) { statement.exchange(soci::use(after)); });
        });
    }));
    std::vector<Delivery> out;
    for (auto& row : rows) out.push_back(delivery_of(std::move(row)));
    return out;
}

/// Runs a statement on those that are meant.
Result<std::uint64_t> Deliveries::change(const Which& which, const std::string& what) {
    std::string condition = " WHERE state <> 'done'";
    if (which.only_failed) condition += " AND state = 'failed'";
    if (!which.ids.empty()) {
        std::string ids;
        for (const auto id : which.ids) ids += (ids.empty() ? "" : ", ") + std::to_string(id);
        condition += " AND id IN (" + ids + ")";
    }
    condition += " AND (:everybody = 1 OR peer = :peer)";
    return database_.write(database::Durability::full, [&](database::Transaction& t) {
        return database::attempt("changing deliveries", [&] {
            const long long everybody = which.peer.empty() ? 1 : 0;
            soci::statement statement = (t.sql().prepare << what + condition, soci::use(everybody), soci::use(which.peer));
            statement.execute(true);
            return static_cast<std::uint64_t>(statement.get_affected_rows());
        });
    });
}

Result<std::uint64_t> Deliveries::retry(const Which& which) {
    {
        const std::lock_guard lock(mutex_);
        paused_.clear();
    }
    const auto now = std::to_string(now_ms());
    return change(which, "UPDATE deliveries SET state = 'waiting', since_ms = " + now + ", refusals = 0, next_ms = 0, problem = ''");
}

Result<std::uint64_t> Deliveries::discard(const Which& which) {
    return change(which, "DELETE FROM deliveries");
}

Result<std::vector<Deliveries::Count>> Deliveries::counts() {
    return database_.read([&](database::Transaction& t) {
        return database::attempt("counting deliveries", [&] {
            std::string peer, kind, state;
            long long count = 0, oldest = 0;
            soci::statement statement =
                (t.sql().prepare << "SELECT peer, kind, state, COUNT(*), MIN(since_ms) FROM deliveries WHERE state <> 'done' "
                                    "GROUP BY peer, kind, state",
                 soci::into(peer), soci::into(kind), soci::into(state), soci::into(count), soci::into(oldest));
            statement.execute();
            std::vector<Count> out;
            while (statement.fetch())
                out.push_back({peer, static_cast<DeliveryKind>(index_of(kKinds, kind)),
                               static_cast<DeliveryState>(index_of(kStates, state)), static_cast<std::uint64_t>(count),
                               static_cast<std::uint64_t>(oldest)});
            return out;
        });
    });
}

Result<void> Deliveries::rekey(database::Transaction& transaction, const crypto::Secret& former, const crypto::Secret& now) {
    return database::attempt("putting deliveries under another key", [&] {
        for (const auto& row : select(transaction, "", [](soci::statement&) {})) {
            if (row.mac != mac_of(former, row)) continue;
            const auto mac = mac_of(now, row);
            transaction.sql() << "UPDATE deliveries SET mac = :mac WHERE id = :id", soci::use(mac), soci::use(row.id);
        }
    });
}

}  // namespace fiducial::archive
