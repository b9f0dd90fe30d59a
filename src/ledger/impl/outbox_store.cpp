#include "ledger/impl/outbox_store.hpp"

#include <soci/soci.h>

#include <algorithm>

#include "base/hex.hpp"
#include "crypto/hash.hpp"

namespace fiducial::ledger {

namespace {
constexpr database::Migration kMigrations[] = {
    {"ledger", 1, R"(
create table ledger_meta (
  name {text} primary key,
  value {text} not null
);
create table ledger_blocks (
  number {int} primary key,
  hash {text} not null,
  header {text} not null,
  settled {int} not null
);
create table ledger_outbox (
  id {id},
  kind {int} not null,
  state {int} not null,
  created_ms {int} not null,
  not_before_ms {int} not null,
  study_key {text},
  version {int},
  record {text},
  fields {text},
  to_address {text},
  calldata {text},
  tag {text},
  gas_limit {int} not null,
  nonce {int},
  tx_hash {text},
  block_number {int},
  block_hash {text},
  problem {text} not null,
  mac {text} not null
);
create unique index ledger_outbox_slot on ledger_outbox(study_key, version);
create unique index ledger_outbox_tag on ledger_outbox(tag);
create index ledger_outbox_state on ledger_outbox(state, created_ms);
create index ledger_outbox_nonce on ledger_outbox(nonce);
create index ledger_outbox_block on ledger_outbox(block_hash);
create table ledger_transactions (
  nonce {int} not null,
  attempt {int} not null,
  raw {text} not null,
  hash {text} not null,
  sent_ms {int} not null,
  mined {int} not null,
  block_number {int},
  block_hash {text},
  primary key (nonce, attempt)
);
create index ledger_transactions_mined on ledger_transactions(mined);
create index ledger_transactions_block on ledger_transactions(block_number);
)"},
};
}  // namespace

std::span<const database::Migration> migrations() {
    return kMigrations;
}

namespace outbox_store {
namespace {

using soci::into;
using soci::use;

long long number(std::uint64_t value) {
    return static_cast<long long>(value);
}
std::uint64_t unsigned_of(long long value) {
    return static_cast<std::uint64_t>(value);
}
long long state_number(OutboxState state) {
    return static_cast<long long>(state);
}

// The record's fields beside study key and version: ABI words as the contract hashes them, so that nothing is lost.
Result<evidence::StudyRecord> record_from(ByteView words) {
    if (words.size() != 14 * 32)
        return fail(ErrorCode::corrupt, "a stored record has " + std::to_string(words.size()) + " bytes instead of 448");
    const auto word = [&](std::size_t i) { return words.subspan(i * 32, 32); };
    const auto hash = [&](std::size_t i) {
        Hash out;
        std::copy_n(word(i).begin(), 32, out.begin());
        return out;
    };
    const auto integer = [&](std::size_t i) { return read_be<std::uint64_t>(word(i).subspan(24)); };
    evidence::StudyRecord record;
    record.chain_id = integer(1);
    std::copy_n(word(2).begin() + 12, 20, record.contract.begin());
    record.institution = hash(3);
    record.study_key = hash(4);
    record.version = integer(5);
    record.previous = hash(6);
    record.root = hash(7);
    record.count = static_cast<std::uint32_t>(integer(8));
    record.patient_ref = hash(9);
    record.meta = hash(10);
    record.uploads = hash(11);
    record.format = static_cast<std::uint16_t>(integer(12));
    record.reasons = static_cast<std::uint16_t>(integer(13));
    if (record.abi_encoded() != to_bytes(words)) return fail(ErrorCode::corrupt, "a stored record does not encode to itself");
    return record;
}

constexpr const char* kPendingColumns =
    "id, kind, created_ms, coalesce(study_key, ''), coalesce(version, 0), coalesce(record, ''), coalesce(fields, ''), coalesce(to_address, "
    "''), "
    "coalesce(calldata, ''), coalesce(tag, ''), gas_limit, mac";

// The columns above, bound to a statement. (SOCI's rows know no types of expressions in SQLite.)
struct PendingColumns {
    long long id = 0;
    long long kind = 0;
    long long created_ms = 0;
    std::string study_key;
    long long version = 0;
    std::string record;
    std::string fields;
    std::string to;
    std::string calldata;
    std::string tag;
    long long gas_limit = 0;
    std::string mac;

    // Spec: docs/formats/index.md, "Outbox".
    std::string expected_mac(const crypto::Secret& key) const {
        Bytes text;
        const auto add = [&text](std::string_view value) {
            append_be(text, static_cast<std::uint32_t>(value.size()));
            text.insert(text.end(), value.begin(), value.end());
        };
        for (const auto value : {id, kind, created_ms}) add(std::to_string(value));
        add(study_key);
        add(std::to_string(version));
        for (const auto* value : {&record, &fields, &to, &calldata, &tag}) add(*value);
        add(std::to_string(gas_limit));
        return to_hex(crypto::tagged_hmac_sha256(key.view(), "fid.outboxrow1", {text}));
    }

    Result<Pending> read(const crypto::Secret& key) const {
        Pending out;
        out.id = unsigned_of(id);
        out.kind = kind == 0 ? Kind::anchor : Kind::call;
        out.created_ms = created_ms;
        out.intact = crypto::equal_constant_time(as_bytes(mac), as_bytes(expected_mac(key)));
        if (!out.intact) return out;
        if (out.kind == Kind::anchor) {
            FID_TRY(const auto words, from_hex(fields));
            FID_TRY(out.record, record_from(words));
        } else {
            FID_TRY(out.to, fixed_from_hex<20>(to, "stored address"));
            FID_TRY(out.calldata, from_hex(calldata));
            out.gas_limit = unsigned_of(gas_limit);
            out.tag = tag;
        }
        return out;
    }
};

template <typename... Uses>
Result<std::vector<Pending>> select_pending(database::Transaction& t, const crypto::Secret& key, const std::string& rest, Uses&... values) {
    return database::attempt("read outbox items", [&]() -> Result<std::vector<Pending>> {
        PendingColumns row;
        soci::statement statement(t.sql());
        statement.exchange(into(row.id));
        statement.exchange(into(row.kind));
        statement.exchange(into(row.created_ms));
        statement.exchange(into(row.study_key));
        statement.exchange(into(row.version));
        for (auto* text : {&row.record, &row.fields, &row.to, &row.calldata, &row.tag}) statement.exchange(into(*text));
        statement.exchange(into(row.gas_limit));
        statement.exchange(into(row.mac));
        (statement.exchange(use(values)), ...);
        statement.alloc();
        statement.prepare("select " + std::string(kPendingColumns) + " from ledger_outbox " + rest);
        statement.define_and_bind();
        statement.execute(false);
        std::vector<Pending> out;
        while (statement.fetch()) {
            FID_TRY(auto one, row.read(key));
            out.push_back(std::move(one));
        }
        return out;
    });
}

}  // namespace

Result<std::optional<std::uint64_t>> find_anchor(database::Transaction& t, const Hash& study_key, std::uint64_t version) {
    return database::attempt("look for an anchor", [&]() -> Result<std::optional<std::uint64_t>> {
        const auto key = to_hex(study_key);
        const auto v = number(version);
        long long id = 0;
        t.sql() << "select id from ledger_outbox where study_key = :k and version = :v", use(key), use(v), into(id);
        if (!t.sql().got_data()) return std::nullopt;
        return unsigned_of(id);
    });
}

Result<std::optional<std::uint64_t>> find_call(database::Transaction& t, std::string_view tag) {
    return database::attempt("look for a call", [&]() -> Result<std::optional<std::uint64_t>> {
        const std::string text(tag);
        long long id = 0;
        t.sql() << "select id from ledger_outbox where tag = :t", use(text), into(id);
        if (!t.sql().got_data()) return std::nullopt;
        return unsigned_of(id);
    });
}

namespace {
// The MAC covers the id, which the database gives.
std::uint64_t insert(database::Transaction& t, const crypto::Secret& key, PendingColumns row) {
    if (row.kind == 0) {
        t.sql() << "insert into ledger_outbox(kind, state, created_ms, not_before_ms, study_key, version, record, fields, gas_limit, "
                   "problem, mac) "
                   "values(0, 0, :c, 0, :k, :v, :r, :f, 0, '', '') returning id",
            use(row.created_ms), use(row.study_key), use(row.version), use(row.record), use(row.fields), into(row.id);
    } else {
        t.sql() << "insert into ledger_outbox(kind, state, created_ms, not_before_ms, to_address, calldata, tag, gas_limit, problem, mac) "
                   "values(1, 0, :c, 0, :a, :d, :t, :g, '', '') returning id",
            use(row.created_ms), use(row.to), use(row.calldata), use(row.tag), use(row.gas_limit), into(row.id);
    }
    row.mac = row.expected_mac(key);
    t.sql() << "update ledger_outbox set mac = :m where id = :i", use(row.mac), use(row.id);
    return unsigned_of(row.id);
}
}  // namespace

Result<std::uint64_t> insert_anchor(database::Transaction& t, const crypto::Secret& key, const evidence::StudyRecord& record,
                                    std::int64_t now_ms) {
    return database::attempt("store a record to be anchored", [&] {
        PendingColumns row;
        row.created_ms = now_ms;
        row.study_key = to_hex(record.study_key);
        row.version = number(record.version);
        row.record = to_hex(record.hash());
        row.fields = to_hex(record.abi_encoded());
        return insert(t, key, std::move(row));
    });
}

Result<std::uint64_t> insert_call(database::Transaction& t, const crypto::Secret& key, const Address& to, ByteView calldata,
                                  std::string_view tag, std::uint64_t gas, std::int64_t now_ms) {
    return database::attempt("store a call", [&] {
        PendingColumns row;
        row.kind = 1;
        row.created_ms = now_ms;
        row.to = to_hex(to);
        row.calldata = to_hex(calldata);
        row.tag = tag;
        row.gas_limit = number(gas);
        return insert(t, key, std::move(row));
    });
}

Result<OutboxItem> item(database::Transaction& t, const crypto::Secret& key, std::uint64_t id) {
    FID_TRY(const auto row, pending(t, key, id));
    return database::attempt("read an outbox item", [&]() -> Result<OutboxItem> {
        const auto wanted = number(id);
        long long state = 0;
        long long nonce = -1;
        long long block = 0;
        std::string tag;
        std::string tx;
        std::string hash;
        std::string problem;
        t.sql() << "select state, coalesce(tag, ''), coalesce(nonce, -1), coalesce(tx_hash, ''), coalesce(block_number, 0), "
                   "coalesce(block_hash, ''), problem "
                   "from ledger_outbox where id = :i",
            use(wanted), into(state), into(tag), into(nonce), into(tx), into(block), into(hash), into(problem);
        if (state < 0 || state > state_number(OutboxState::failed)) return fail(ErrorCode::corrupt, "an outbox item is in no known state");
        OutboxItem out;
        out.id = id;
        out.state = static_cast<OutboxState>(state);
        out.tag = tag;
        if (nonce >= 0) out.nonce = unsigned_of(nonce);
        if (!tx.empty()) {
            FID_TRY(out.transaction, fixed_from_hex<32>(tx, "transaction hash"));
        }
        out.block_number = unsigned_of(block);
        if (!hash.empty()) {
            FID_TRY(out.block_hash, fixed_from_hex<32>(hash, "block hash"));
        }
        out.problem = problem;
        if (!row.intact) {
            out.state = OutboxState::incident;
            out.problem = kAlteredRow;
        }
        return out;
    });
}

Result<Pending> pending(database::Transaction& t, const crypto::Secret& key, std::uint64_t id) {
    const auto wanted = number(id);
    FID_TRY(auto found, select_pending(t, key, "where id = :i", wanted));
    if (found.empty()) return fail(ErrorCode::not_found, "there is no outbox item " + std::to_string(id));
    return std::move(found.front());
}

Result<std::vector<Pending>> due(database::Transaction& t, const crypto::Secret& key, std::int64_t now_ms, std::size_t limit) {
    const long long now = now_ms;
    const long long never = now_ms + kLongestPauseMs;
    const auto most = number(limit);
    return select_pending(t, key, "where state = 0 and (not_before_ms <= :n or not_before_ms > :f) order by id limit :l", now, never, most);
}

Result<DueCount> count_due(database::Transaction& t, std::int64_t now_ms) {
    return database::attempt("count what is to be sent", [&] {
        const long long now = now_ms;
        const long long never = now_ms + kLongestPauseMs;
        long long count = 0;
        long long oldest = 0;
        long long kinds = 0;
        t.sql() << "select count(*), coalesce(min(created_ms), 0), coalesce(max(kind), 0) from ledger_outbox where state = 0 and "
                   "(not_before_ms <= :n or not_before_ms > :f)",
            use(now), use(never), into(count), into(oldest), into(kinds);
        return DueCount{unsigned_of(count), oldest, kinds != 0};
    });
}

Result<std::vector<AlteredRow>> altered_rows(database::Transaction& t, const crypto::Secret& key) {
    std::vector<AlteredRow> out;
    long long after = -1;
    long long most = 1000;
    for (;;) {
        FID_TRY(const auto page, select_pending(t, key, "where id > :i order by id limit :l", after, most));
        if (page.empty()) return out;
        for (const auto& row : page) {
            if (!row.intact) out.push_back({row.id, row.kind == Kind::call});
        }
        after = number(page.back().id);
    }
}

Result<void> remove_items(database::Transaction& t, std::span<const AlteredRow> rows) {
    return database::attempt("remove outbox items", [&] {
        for (const auto& row : rows) {
            const auto id = number(row.id);
            t.sql() << "delete from ledger_outbox where id = :i", use(id);
        }
    });
}

Result<std::vector<Pending>> items_of(database::Transaction& t, const crypto::Secret& key, std::uint64_t nonce) {
    const auto n = number(nonce);
    return select_pending(t, key, "where nonce = :n and state = 1 order by id", n);
}

namespace {
Result<std::vector<Open>> select_transactions(database::Transaction& t, const std::string& columns_and_rows) {
    return database::attempt("read signed transactions", [&]() -> Result<std::vector<Open>> {
        std::vector<Open> out;
        long long nonce = 0;
        long long number_of = 0;
        long long sent = 0;
        std::string hash;
        std::string raw;
        soci::statement statement =
            (t.sql().prepare << "select nonce, attempt, hash, sent_ms, " + columns_and_rows + " order by nonce, attempt", into(nonce),
             into(number_of), into(hash), into(sent), into(raw));
        statement.execute(false);
        while (statement.fetch()) {
            Attempt attempt;
            attempt.number = unsigned_of(number_of);
            // What does not read as one is nobody's: it is found out when the bytes are to be sent.
            attempt.hash = fixed_from_hex<32>(hash, "transaction hash").value_or(Hash{});
            attempt.raw = from_hex(raw).value_or(Bytes{});
            attempt.sent_ms = sent;
            if (out.empty() || out.back().nonce != unsigned_of(nonce)) out.push_back({unsigned_of(nonce), {}});
            out.back().attempts.push_back(std::move(attempt));
        }
        return out;
    });
}

}  // namespace

Result<std::vector<Open>> open_transactions(database::Transaction& t) {
    return select_transactions(t, "'' from ledger_transactions where mined = 0");
}
Result<std::vector<Open>> kept_transactions(database::Transaction& t) {
    return select_transactions(t, "raw from ledger_transactions where mined <> 2");
}

Result<Mined> mined_from(database::Transaction& t, std::uint64_t nonce) {
    Mined out;
    const auto rows = "from ledger_transactions where mined = 1 and nonce >= " + std::to_string(nonce);
    FID_TRY(out.transactions, select_transactions(t, "'' " + rows));
    return database::attempt("read the blocks of transactions", [&] {
        const soci::rowset<soci::row> found = (t.sql().prepare << "select cast(nonce as text), block_hash " + rows);
        for (const auto& row : found)
            out.blocks[std::stoull(row.get<std::string>(0))] = fixed_from_hex<32>(row.get<std::string>(1), "block hash").value_or(Hash{});
        return out;
    });
}

Result<Bytes> raw_of(database::Transaction& t, std::uint64_t nonce, std::uint64_t attempt) {
    return database::attempt("read a signed transaction", [&]() -> Result<Bytes> {
        const auto n = number(nonce);
        const auto a = number(attempt);
        std::string raw;
        t.sql() << "select raw from ledger_transactions where nonce = :n and attempt = :a", use(n), use(a), into(raw);
        return from_hex(raw).value_or(Bytes{});
    });
}

Result<std::uint64_t> nonce_after_mined(database::Transaction& t) {
    return database::attempt("read the last nonce", [&] {
        long long highest = -1;
        t.sql() << "select coalesce(max(nonce), -1) from ledger_transactions where mined <> 0", into(highest);
        return unsigned_of(highest + 1);
    });
}

namespace {
std::string nonces_mac(const crypto::Secret& key, const std::string& value) {
    return to_hex(crypto::tagged_hmac_sha256(key.view(), "fid.outboxnonces1", {as_bytes(value)}));
}
}  // namespace

// A row that somebody changed says nothing.
Result<Nonces> nonces(database::Transaction& t, const crypto::Secret& key) {
    return database::attempt("read the accounted nonces", [&]() -> Result<Nonces> {
        std::string row;
        t.sql() << "select value from ledger_meta where name = 'nonces'", into(row);
        const auto end = row.rfind(' ');
        if (!t.sql().got_data() || end == std::string::npos || row.substr(end + 1) != nonces_mac(key, row.substr(0, end))) return Nonces{};
        Nonces out;
        const auto middle = row.find(' ');
        out.accounted = std::stoull(row.substr(0, middle));
        if (middle < end) out.foreign = std::stoull(row.substr(middle + 1, end - middle - 1));
        return out;
    });
}

Result<void> set_nonces(database::Transaction& t, const crypto::Secret& key, const Nonces& nonces) {
    return database::attempt("keep the accounted nonces", [&] {
        t.sql() << "delete from ledger_meta where name = 'nonces'";
        if (!nonces.accounted) return;
        std::string value = std::to_string(*nonces.accounted);
        if (nonces.foreign) value += " " + std::to_string(*nonces.foreign);
        const std::string row = value + " " + nonces_mac(key, value);
        t.sql() << "insert into ledger_meta(name, value) values('nonces', :v)", use(row);
    });
}

Result<void> add_attempt(database::Transaction& t, std::uint64_t nonce, const Attempt& attempt) {
    return database::attempt("store a signed transaction", [&] {
        const auto n = number(nonce);
        const auto a = number(attempt.number);
        const auto raw = to_hex(attempt.raw);
        const auto hash = to_hex(attempt.hash);
        // What an undone block had under this nonce, and was settled, has lost its bytes; this one takes its place.
        t.sql() << "delete from ledger_transactions where nonce = :n and attempt = :a and mined <> 0", use(n), use(a);
        t.sql() << "insert into ledger_transactions(nonce, attempt, raw, hash, sent_ms, mined) values(:n, :a, :r, :h, 0, 0)", use(n),
            use(a), use(raw), use(hash);
    });
}

Result<void> mark_sent(database::Transaction& t, std::uint64_t nonce, std::uint64_t attempt, std::int64_t now_ms) {
    return database::attempt("note that a transaction was sent", [&] {
        const auto n = number(nonce);
        const auto a = number(attempt);
        const long long now = now_ms;
        t.sql() << "update ledger_transactions set sent_ms = :s where nonce = :n and attempt = :a", use(now), use(n), use(a);
    });
}

Result<void> mark_mined(database::Transaction& t, std::uint64_t nonce, const Place& place, bool settled) {
    return database::attempt("note that a transaction is in a block", [&] {
        const auto n = number(nonce);
        const auto block = number(place.block_number);
        const auto hash = to_hex(place.block_hash);
        t.sql() << "update ledger_transactions set mined = 1, block_number = :b, block_hash = :h where nonce = :n", use(block), use(hash),
            use(n);
        if (settled) t.sql() << "update ledger_transactions set mined = 2, raw = '' where nonce = :n", use(n);
    });
}

Result<void> forget_transaction(database::Transaction& t, std::uint64_t nonce) {
    return database::attempt("forget a transaction", [&] {
        const auto n = number(nonce);
        t.sql() << "delete from ledger_transactions where nonce = :n and mined = 0", use(n);
    });
}

Result<void> submit(database::Transaction& t, std::span<const std::uint64_t> items, std::uint64_t nonce) {
    return database::attempt("submit items", [&] {
        const auto n = number(nonce);
        long long id = 0;
        soci::statement statement =
            (t.sql().prepare << "update ledger_outbox set state = 1, nonce = :n where id = :i and state = 0", use(n), use(id));
        for (const auto item : items) {
            id = number(item);
            statement.execute(true);
        }
    });
}

Result<void> set_included(database::Transaction& t, std::uint64_t item, const Place& place, bool settled) {
    return database::attempt("note that an item is in a block", [&] {
        const auto id = number(item);
        const auto state = state_number(settled ? OutboxState::settled : OutboxState::included);
        const auto tx = to_hex(place.transaction);
        const auto block = number(place.block_number);
        const auto hash = to_hex(place.block_hash);
        t.sql() << "update ledger_outbox set state = :s, tx_hash = :t, block_number = :b, block_hash = :h, problem = '' where id = :i",
            use(state), use(tx), use(block), use(hash), use(id);
    });
}

Result<void> set_stored(database::Transaction& t, std::uint64_t item, std::string_view problem, std::int64_t not_before_ms) {
    return database::attempt("put an item back", [&] {
        const auto id = number(item);
        const std::string text(problem);
        const long long when = not_before_ms;
        t.sql() << "update ledger_outbox set state = 0, nonce = null, tx_hash = null, block_number = null, block_hash = null, problem = "
                   ":p, not_before_ms = :w where id = :i",
            use(text), use(when), use(id);
    });
}

Result<void> set_ended(database::Transaction& t, std::uint64_t item, OutboxState state, std::string_view problem,
                       const std::optional<Place>& place) {
    if (place) FID_CHECK(set_included(t, item, *place, false));
    return database::attempt("end an item", [&] {
        const auto id = number(item);
        const auto value = state_number(state);
        const std::string text(problem);
        t.sql() << "update ledger_outbox set state = :s, problem = :p where id = :i", use(value), use(text), use(id);
    });
}

Result<bool> is_settled_block(database::Transaction& t, std::uint64_t block, const Hash& hash) {
    return database::attempt("look at a followed block", [&] {
        const auto n = number(block);
        std::string known;
        long long settled = 0;
        t.sql() << "select hash, settled from ledger_blocks where number = :n", use(n), into(known), into(settled);
        if (t.sql().got_data()) return settled != 0 && known == to_hex(hash);
        // Older than the headers that are kept: the node, whose chain we follow, has it, and all above it is settled.
        long long lowest = 0;
        soci::indicator indicator = soci::i_null;
        t.sql() << "select min(number) from ledger_blocks where settled = 1", into(lowest, indicator);
        return indicator == soci::i_ok && n < lowest;
    });
}

Result<UndoneBlock> undo_block(database::Transaction& t, const Hash& hash) {
    return database::attempt("undo a block's items", [&] {
        const auto h = to_hex(hash);
        UndoneBlock out;
        const soci::rowset<long long> rows =
            (t.sql().prepare << "select id from ledger_outbox where block_hash = :h and state = 3", use(h));
        for (const auto id : rows) out.settled.push_back(unsigned_of(id));
        // With the signed bytes at hand the same transaction is sent again; without, the item starts afresh.
        t.sql() << "update ledger_outbox set state = 0, nonce = null where block_hash = :h and state in (2, 3, 4, 5) and "
                   "(nonce is null or nonce not in (select nonce from ledger_transactions where block_hash = :g and raw <> ''))",
            use(h), use(h);
        t.sql() << "update ledger_outbox set state = 1 where block_hash = :h and state in (2, 3, 4, 5)", use(h);
        t.sql() << "update ledger_outbox set tx_hash = null, block_number = null, block_hash = null, not_before_ms = 0 where block_hash = "
                   ":h and state in (0, 1)",
            use(h);
        long long last = -1;
        t.sql() << "select coalesce(max(nonce), -1) from ledger_transactions where block_hash = :h and raw = ''", use(h), into(last);
        if (last >= 0) out.last_forgotten = unsigned_of(last);
        t.sql() << "delete from ledger_transactions where block_hash = :h and raw = ''", use(h);
        t.sql() << "update ledger_transactions set mined = 0, sent_ms = 0, block_number = null, block_hash = null where block_hash = :h",
            use(h);
        return out;
    });
}

Result<void> settle_block(database::Transaction& t, std::uint64_t block, const Hash& hash) {
    std::vector<Hash> others;
    FID_CHECK(database::attempt("settle a block's items", [&]() -> Result<void> {
        const auto n = number(block);
        const auto h = to_hex(hash);
        const soci::rowset<std::string> rows =
            (t.sql().prepare
                 << "select distinct block_hash from ledger_transactions where block_number = :n and block_hash <> :h and mined = 1",
             use(n), use(h));
        for (const auto& text : rows) {
            FID_TRY(const auto other, fixed_from_hex<32>(text, "block hash"));
            others.push_back(other);
        }
        t.sql() << "update ledger_outbox set state = 3 where block_hash = :h and state = 2", use(h);
        t.sql() << "update ledger_transactions set mined = 2, raw = '' where block_hash = :h", use(h);
        return {};
    }));
    for (const auto& other : others) FID_CHECK(undo_block(t, other));
    return {};
}

Result<Counts> counts(database::Transaction& t) {
    return database::attempt("count the outbox", [&] {
        Counts out;
        long long state = 0;
        long long count = 0;
        long long oldest = 0;
        soci::statement statement =
            (t.sql().prepare << "select state, count(*), min(created_ms) from ledger_outbox where state in (0, 1, 2, 4, 5) group by state",
             into(state), into(count), into(oldest));
        statement.execute(false);
        while (statement.fetch()) {
            out.by_state[state] = unsigned_of(count);
            const auto earlier = [&](std::int64_t& place) { place = place == 0 ? oldest : std::min<std::int64_t>(place, oldest); };
            if (state <= 2) earlier(out.oldest_unsettled_ms);
            if (state <= 1) earlier(out.oldest_unsent_ms);
        }
        long long open = 0;
        t.sql() << "select count(distinct nonce) from ledger_transactions where mined = 0", into(open);
        out.open = unsigned_of(open);
        return out;
    });
}

}  // namespace outbox_store
}  // namespace fiducial::ledger
