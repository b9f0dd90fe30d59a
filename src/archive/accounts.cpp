#include "archive/accounts.hpp"

#include <soci/soci.h>

#include <algorithm>
#include <array>
#include <map>

#include "archive/facts.hpp"
#include "base/clock.hpp"
#include "base/hex.hpp"
#include "base/utf8.hpp"
#include "crypto/hash.hpp"

namespace fiducial::archive {
namespace {

struct RoleName {
    Role role;
    std::string_view name;
};
constexpr std::array<RoleName, 10> kRoles{{{kDoctor, "doctor"},
                                           {kTechnologist, "technologist"},
                                           {kDesk, "desk"},
                                           {kPrivacyOfficer, "privacy-officer"},
                                           {kAuditor, "auditor"},
                                           {kSecurityOfficer, "security-officer"},
                                           {kResearcher, "researcher"},
                                           {kAdministrator, "administrator"},
                                           {kCustodian, "custodian"},
                                           {kPatient, "patient"}}};

constexpr std::string_view kTokenPrefix = "fid_";
constexpr std::string_view kPeopleFact = "people";
constexpr std::string_view kAdvice = "; find out who can write to the index, then run fsck --repair";

std::int64_t now_ms() {
    return system_clock().now().time_since_epoch().count();
}

/// From the clock, so that tokens from before a lost database do not fit.
std::uint32_t next_epoch(std::uint32_t epoch) {
    return std::max(epoch + 1, static_cast<std::uint32_t>(now_ms() / 1000));
}

Bytes big_endian(std::int64_t value) {
    Bytes out;
    append_be(out, static_cast<std::uint64_t>(value));
    return out;
}

}  // namespace

Result<std::uint32_t> parse_roles(std::string_view text) {
    std::uint32_t roles = 0;
    while (!text.empty()) {
        const auto comma = text.find(',');
        const auto word = text.substr(0, comma);
        text = comma == std::string_view::npos ? std::string_view() : text.substr(comma + 1);
        bool found = false;
        for (const auto& [role, name] : kRoles) {
            if (word == name) {
                roles |= role;
                found = true;
            }
        }
        if (!found) return fail(ErrorCode::invalid_argument, "there is no role '" + std::string(word) + "'; roles are: " + roles_text(~0U));
    }
    if (roles == 0) return fail(ErrorCode::invalid_argument, "name a role: " + roles_text(~0U));
    return roles;
}

std::string roles_text(std::uint32_t roles) {
    std::string text;
    for (const auto& [role, name] : kRoles) {
        if ((roles & role) == 0) continue;
        if (!text.empty()) text += ", ";
        text += name;
    }
    return text;
}

std::string Accounts::mac_of(const Person& person) const {
    Bytes name;
    append_lp(name, as_bytes(person.name));
    return to_hex(crypto::tagged_hmac_sha256(
        row_key_.view(), "fid.person1",
        {person.id, name, big_endian(person.roles), big_endian(person.created_ms), big_endian(person.token_epoch)}));
}

std::string Accounts::mac_of_token(std::string_view hash, std::string_view person, std::uint32_t epoch, std::int64_t expires_ms,
                                   std::string_view scope) const {
    if (scope != name_of(TokenScope::all)) {
        return to_hex(crypto::tagged_hmac_sha256(
            row_key_.view(), "fid.token2", {as_bytes(hash), as_bytes(person), big_endian(epoch), big_endian(expires_ms), as_bytes(scope)}));
    }
    return to_hex(crypto::tagged_hmac_sha256(row_key_.view(), "fid.token1",
                                             {as_bytes(hash), as_bytes(person), big_endian(epoch), big_endian(expires_ms)}));
}

struct Accounts::View {
    database::Transaction& transaction;
    std::uint64_t least = 0;
};

struct Accounts::Row {
    Person person;
    std::string id, mac;  // as they stand there
    bool whole = false;   // the MAC fits
};

/// All people's ids and the MACs of their rows, both in hex.
struct Accounts::Register {
    std::string text;              // that it was read from
    std::uint64_t count = 0;       // of its changes
    std::uint64_t trace_size = 0;  // when it was last changed
    std::map<std::string, std::string> macs;
    std::string to_hex() const;
    bool names(const Row& row) const {
        const auto found = macs.find(row.id);
        return found != macs.end() && found->second == row.mac;
    }
};

/// What may be seen is settled before the transaction begins: a later change can then not look like an earlier one.
template <typename Body>
auto Accounts::read(Body&& body) {
    const auto least = seen_.load();
    return database_.read([&](database::Transaction& t) {
        View view{t, least};
        return body(view);
    });
}

Result<std::shared_ptr<const Accounts::Register>> Accounts::load(View& view) {
    auto people = [&] {
        const std::lock_guard lock(last_mutex_);
        return last_;
    }();
    FID_TRY(auto text, read_fact(view.transaction, row_key_, kPeopleFact, people ? std::string_view(people->text) : std::string_view()));
    if (!text) {
        if (view.least > 0) return fail(ErrorCode::corrupt, "the register of people was taken away behind our back" + std::string(kAdvice));
        return nullptr;
    }
    if (!people || people->text != *text) {
        FID_TRY(people, parse_register(std::move(*text)));
        const std::lock_guard lock(last_mutex_);
        last_ = people;
    }
    if (people->count < view.least)
        return fail(ErrorCode::corrupt, "the register of people was put back from an earlier time" + std::string(kAdvice));
    auto seen = seen_.load();
    while (seen < people->count && !seen_.compare_exchange_weak(seen, people->count)) {
    }
    return people;
}

Result<std::shared_ptr<const Accounts::Register>> Accounts::parse_register(std::string text) {
    FID_TRY(const auto bytes, from_hex(text));
    ByteReader reader(bytes);
    Register people;
    people.text = std::move(text);
    FID_TRY(people.count, reader.u64("register of people: count"));
    FID_TRY(people.trace_size, reader.u64("register of people: trace size"));
    while (!reader.at_end()) {
        FID_TRY(const auto id, reader.take(32, "register of people: id"));
        FID_TRY(const auto mac, reader.take(32, "register of people: MAC"));
        people.macs.emplace(to_hex(id), to_hex(mac));
    }
    return std::make_shared<const Register>(std::move(people));
}

Result<void> Accounts::save(database::Transaction& transaction, Register& people) {
    people.count += 1;
    people.trace_size = trace_size_ ? trace_size_() : 0;
    return write_fact(transaction, row_key_, kPeopleFact, people.to_hex());
}

std::string Accounts::Register::to_hex() const {
    Bytes numbers;
    append_be(numbers, count);
    append_be(numbers, trace_size);
    auto out = fiducial::to_hex(numbers);
    for (const auto& [id, mac] : macs) out += id + mac;
    return out;
}

/// Writes the person's MAC into the register; what it says of others stays.
Result<void> Accounts::enter(View& view, const Person& person) {
    FID_TRY(const auto known, load(view));
    if (!known) {
        FID_TRY(const auto others, read_rows(view.transaction, "", ""));
        if (others.size() > 1) return fail(ErrorCode::corrupt, "there is no register of people" + std::string(kAdvice));
    }
    auto people = known ? *known : Register();
    people.macs[to_hex(person.id)] = mac_of(person);
    return save(view.transaction, people);
}

/// `condition` names at most the one value :value.
Result<std::vector<Accounts::Row>> Accounts::read_rows(database::Transaction& transaction, const std::string& condition,
                                                       const std::string& value) const {
    return database::attempt("reading people", [&]() -> Result<std::vector<Row>> {
        std::vector<Row> rows;
        std::string id, name, mac;
        long long roles = 0, created = 0, epoch = 0;
        soci::statement statement(transaction.sql());
        statement.exchange(soci::into(id));
        statement.exchange(soci::into(name));
        statement.exchange(soci::into(roles));
        statement.exchange(soci::into(created));
        statement.exchange(soci::into(epoch));
        statement.exchange(soci::into(mac));
        if (!condition.empty()) statement.exchange(soci::use(value));
        statement.alloc();
        statement.prepare("SELECT id, name, roles, created_ms, token_epoch, mac FROM people " + condition + " ORDER BY name");
        statement.define_and_bind();
        statement.execute();
        while (statement.fetch()) {
            Row row{{{}, name, static_cast<std::uint32_t>(roles), created, static_cast<std::uint32_t>(epoch)}, id, mac, false};
            if (const auto bytes = fixed_from_hex<32>(id, "person id")) {
                row.person.id = *bytes;
                row.whole = id == to_hex(*bytes) && mac == mac_of(row.person);
            }
            rows.push_back(std::move(row));
        }
        return rows;
    });
}

void Accounts::raise_epoch(database::Transaction& transaction, Person& person) const {
    person.token_epoch = next_epoch(person.token_epoch);
    const std::string id = to_hex(person.id), mac = mac_of(person);
    const long long epoch = person.token_epoch;
    transaction.sql() << "UPDATE people SET token_epoch = :epoch, mac = :mac WHERE id = :id", soci::use(epoch), soci::use(mac),
        soci::use(id);
}

Result<Person> Accounts::read_person(View& view, std::string_view column, const std::string& value) {
    FID_TRY(auto rows, read_rows(view.transaction, "WHERE " + std::string(column) + " = :value", value));
    if (rows.empty()) return fail(ErrorCode::not_found, "there is no such person at this site");
    auto& row = rows.front();
    FID_TRY(const auto people, load(view));
    if (!people) return fail(ErrorCode::corrupt, "there is no register of people" + std::string(kAdvice));
    if (!row.whole)
        return fail(ErrorCode::corrupt,
                    "the table people: the row of person " + row.id + " was changed behind our back" + std::string(kAdvice));
    if (!people->names(row))
        return fail(ErrorCode::corrupt,
                    "the table people: the row of person " + row.id + " was put back from an earlier time" + std::string(kAdvice));
    return std::move(row.person);
}

Result<void> Accounts::add(database::Transaction& transaction, const Person& person) {
    if (person.name.empty() || person.name.size() > 200) return fail(ErrorCode::invalid_argument, "a person's name has 1 to 200 bytes");
    auto added = database::attempt("adding a person", [&] {
        const std::string id = to_hex(person.id);
        const long long roles = person.roles, created = person.created_ms, epoch = person.token_epoch;
        const std::string mac = mac_of(person);
        transaction.sql()
            << "INSERT INTO people (id, name, roles, created_ms, token_epoch, mac) VALUES (:id, :name, :roles, :created, :epoch, :mac)",
            soci::use(id), soci::use(person.name), soci::use(roles), soci::use(created), soci::use(epoch), soci::use(mac);
    });
    if (!added && added.error().code == ErrorCode::conflict) return fail(ErrorCode::conflict, "there is a person of this name already");
    FID_CHECK(added);
    View view{transaction, seen_.load()};
    return enter(view, person);
}

Result<Person> Accounts::by_name(std::string_view name) {
    return read([&](View& view) { return read_person(view, "name", std::string(name)); });
}

Result<Person> Accounts::by_id(const Bytes32& id) {
    return read([&](View& view) { return read_person(view, "id", to_hex(id)); });
}

Result<People> Accounts::all() {
    return read([&](View& view) -> Result<People> {
        FID_TRY(auto rows, read_rows(view.transaction, "", ""));
        FID_TRY(const auto known, load(view));
        if (!known && !rows.empty()) return fail(ErrorCode::corrupt, "there is no register of people" + std::string(kAdvice));
        People people;
        auto gone = known ? known->macs : std::map<std::string, std::string>();
        for (auto& row : rows) {
            if (row.whole && known->names(row))
                people.people.push_back(std::move(row.person));
            else
                people.damaged.push_back(
                    {row.id, row.person.name, row.whole ? "it was put back from an earlier time" : "it was changed behind our back"});
            gone.erase(row.id);
        }
        for (const auto& [id, mac] : gone) people.damaged.push_back({id, "", "it was deleted behind our back"});
        return people;
    });
}

Result<bool> Accounts::is_new() {
    return database_.read([&](database::Transaction& t) {
        return database::attempt("counting people", [&] {
            long long rows = 0, facts = 0;
            t.sql() << "SELECT COUNT(*) FROM people", soci::into(rows);
            t.sql() << "SELECT COUNT(*) FROM archive_facts", soci::into(facts);
            return rows == 0 && facts == 0;
        });
    });
}

Result<std::optional<std::uint64_t>> Accounts::changed_at() {
    return read([&](View& view) -> Result<std::optional<std::uint64_t>> {
        FID_TRY(const auto people, load(view));
        return people ? std::optional(people->trace_size) : std::nullopt;
    });
}

Result<void> Accounts::repair(bool all_tokens) {
    return database_.write(database::Durability::full, [&](database::Transaction& t) -> Result<void> {
        View view{t, seen_.load()};
        const auto loaded = load(view);
        if (!loaded && loaded.error().code != ErrorCode::corrupt) return fail(loaded.error());
        const bool ours = loaded && *loaded != nullptr;
        Register people;
        people.count = std::max(view.least, ours ? (*loaded)->count : 0);
        FID_TRY(auto rows, read_rows(t, "", ""));
        return database::attempt("repairing the table of people", [&]() -> Result<void> {
            for (auto& row : rows) {
                if (!row.whole || (ours && !(*loaded)->names(row))) {
                    t.sql() << "DELETE FROM people WHERE id = :id", soci::use(row.id);
                    t.sql() << "DELETE FROM tokens WHERE person = :id", soci::use(row.id);
                    continue;
                }
                if (!ours || all_tokens) {
                    raise_epoch(t, row.person);
                }
                people.macs.emplace(row.id, mac_of(row.person));
            }
            if (!ours || all_tokens) t.sql() << "DELETE FROM tokens";
            return save(t, people);
        });
    });
}

Result<void> Accounts::rekey(database::Database& database, database::Transaction& transaction, const crypto::Secret& former,
                             const crypto::Secret& now) {
    Accounts before(database, former.clone());
    const Accounts after(database, now.clone());
    View view{transaction, 0};
    const auto known = before.load(view);
    if (!known && known.error().code != ErrorCode::corrupt) return fail(known.error());
    FID_TRY(const auto rows, before.read_rows(transaction, "", ""));
    if (known && *known != nullptr) {
        auto people = **known;
        for (const auto& row : rows) {
            if (row.whole && people.names(row)) people.macs[row.id] = after.mac_of(row.person);
        }
        FID_CHECK(write_fact(transaction, now, kPeopleFact, people.to_hex()));
    }
    FID_CHECK(rekey_facts(transaction, former, now));
    return database::attempt("putting people under another key", [&] {
        for (const auto& row : rows) {
            if (!row.whole) continue;
            const auto mac = after.mac_of(row.person);
            transaction.sql() << "UPDATE people SET mac = :mac WHERE id = :id", soci::use(mac), soci::use(row.id);
        }
        struct Token {
            std::string hash, person, mac, scope;
            long long epoch = 0, expires = 0;
        };
        std::vector<Token> tokens;
        {
            Token token;
            soci::statement statement(transaction.sql());
            statement.exchange(soci::into(token.hash));
            statement.exchange(soci::into(token.person));
            statement.exchange(soci::into(token.epoch));
            statement.exchange(soci::into(token.expires));
            statement.exchange(soci::into(token.mac));
            statement.exchange(soci::into(token.scope));
            statement.alloc();
            statement.prepare("SELECT hash, person, epoch, expires_ms, mac, scope FROM tokens");
            statement.define_and_bind();
            statement.execute();
            while (statement.fetch()) tokens.push_back(token);
        }
        for (const auto& token : tokens) {
            const auto epoch = static_cast<std::uint32_t>(token.epoch);
            if (token.mac != before.mac_of_token(token.hash, token.person, epoch, token.expires, token.scope)) continue;
            const auto mac = after.mac_of_token(token.hash, token.person, epoch, token.expires, token.scope);
            transaction.sql() << "UPDATE tokens SET mac = :mac WHERE hash = :hash", soci::use(mac), soci::use(token.hash);
        }
    });
}

Result<crypto::Secret> Accounts::make_token(const Bytes32& person, std::uint64_t valid_seconds, std::string_view note, TokenScope scope) {
    const auto random = crypto::random_bytes32();
    const std::string text = std::string(kTokenPrefix) + to_hex(random);
    const std::string hash = to_hex(crypto::sha256(as_bytes(text)));
    const std::string id = to_hex(person), remark(readable(note, 200)), opens(name_of(scope));
    const long long created = now_ms();
    const long long expires = valid_seconds == 0 ? 0 : created + static_cast<long long>(valid_seconds) * 1000;
    FID_CHECK(database_.write(database::Durability::full, [&](database::Transaction& t) -> Result<void> {
        View view{t, seen_.load()};
        FID_TRY(const auto whose, read_person(view, "id", id));
        return database::attempt("storing a token", [&] {
            const long long epoch = whose.token_epoch;
            const std::string mac = mac_of_token(hash, id, whose.token_epoch, expires, opens);
            t.sql() << "INSERT INTO tokens (hash, person, epoch, created_ms, expires_ms, note, mac, scope) VALUES (:hash, :person, :epoch, "
                       ":created, :expires, :note, :mac, :scope)",
                soci::use(hash), soci::use(id), soci::use(epoch), soci::use(created), soci::use(expires), soci::use(remark), soci::use(mac),
                soci::use(opens);
        });
    }));
    return crypto::Secret::copy_of(as_bytes(text));
}

Result<TokenUse> Accounts::check_token(std::string_view token) {
    if (token.size() > 200) return fail(ErrorCode::unauthenticated, "this token is not known here");
    const std::string hash = to_hex(crypto::sha256(as_bytes(token)));
    FID_TRY(const auto known, tokens_.get(database_, hash, [&] { return read_token(hash); }));
    const auto head_ms = head_time_ ? static_cast<long long>(head_time_()) * 1000 : 0;  // a clock that was set back opens nothing again
    if (known.expires_ms != 0 && known.expires_ms <= std::max<long long>(now_ms(), head_ms))
        return fail(ErrorCode::unauthenticated, "this token has expired");
    return known.use;
}

Result<Accounts::KnownToken> Accounts::read_token(const std::string& hash) {
    return read([&](View& view) -> Result<KnownToken> {
        auto& t = view.transaction;
        std::string person, mac, scope;
        long long expires = 0, epoch = 0;
        FID_CHECK(database::attempt("looking up a token", [&]() -> Result<void> {
            t.sql() << "SELECT person, epoch, expires_ms, mac, scope FROM tokens WHERE hash = :hash", soci::use(hash), soci::into(person),
                soci::into(epoch), soci::into(expires), soci::into(mac), soci::into(scope);
            if (!t.sql().got_data()) return fail(ErrorCode::unauthenticated, "this token is not known here");
            return {};
        }));
        if (mac != mac_of_token(hash, person, static_cast<std::uint32_t>(epoch), expires, scope))
            return fail(ErrorCode::corrupt, "the table tokens: a row was changed behind our back");
        FID_TRY(const auto whose, read_person(view, "id", person));
        if (whose.token_epoch != static_cast<std::uint32_t>(epoch)) return fail(ErrorCode::unauthenticated, "this token was taken back");
        FID_TRY(const auto opens, parse_token_scope(scope));
        return KnownToken{{whose.id, opens}, expires};
    });
}

Result<std::vector<TokenRow>> Accounts::tokens_of(const Bytes32& person) {
    const std::string id = to_hex(person);
    return read([&](View& view) -> Result<std::vector<TokenRow>> {
        FID_TRY(const auto whose, read_person(view, "id", id));
        return database::attempt("listing tokens", [&] {
            std::vector<TokenRow> rows;
            std::string hash, note, scope, mac;
            long long epoch = 0, created = 0, expires = 0;
            soci::statement statement(view.transaction.sql());
            for (auto* text : {&hash, &note, &scope, &mac}) statement.exchange(soci::into(*text));
            for (auto* number : {&epoch, &created, &expires}) statement.exchange(soci::into(*number));
            statement.exchange(soci::use(id));
            statement.alloc();
            statement.prepare(
                "SELECT hash, note, scope, mac, epoch, created_ms, expires_ms FROM tokens WHERE person = :person ORDER BY "
                "created_ms DESC, hash");
            statement.define_and_bind();
            statement.execute();
            while (statement.fetch()) {
                const auto opens = parse_token_scope(scope);
                if (!opens || mac != mac_of_token(hash, id, static_cast<std::uint32_t>(epoch), expires, scope)) continue;
                if (static_cast<std::uint32_t>(epoch) != whose.token_epoch || (expires != 0 && expires <= now_ms())) continue;
                rows.push_back({hash.substr(0, 32), note, *opens, created, expires});
            }
            return rows;
        });
    });
}

Result<void> Accounts::revoke_token(const Bytes32& person, std::string_view id) {
    const std::string whose = to_hex(person), which(id);
    return database_.write(database::Durability::full, [&](database::Transaction& t) -> Result<void> {
        return database::attempt("taking back a token", [&]() -> Result<void> {
            soci::statement statement = (t.sql().prepare << "DELETE FROM tokens WHERE person = :person AND substr(hash, 1, 32) = :id",
                                         soci::use(whose), soci::use(which));
            statement.execute(true);
            if (statement.get_affected_rows() == 0) return fail(ErrorCode::not_found, "there is no such token");
            return {};
        });
    });
}

Result<std::uint64_t> Accounts::revoke_tokens(const Bytes32& person) {
    const std::string id = to_hex(person);
    return database_.write(database::Durability::full, [&](database::Transaction& t) -> Result<std::uint64_t> {
        View view{t, seen_.load()};
        FID_TRY(auto whose, read_person(view, "id", id));
        return database::attempt("taking back tokens", [&]() -> Result<std::uint64_t> {
            raise_epoch(t, whose);
            FID_CHECK(enter(view, whose));
            soci::statement statement = (t.sql().prepare << "DELETE FROM tokens WHERE person = :person", soci::use(id));
            statement.execute(true);
            return static_cast<std::uint64_t>(statement.get_affected_rows());
        });
    });
}

std::span<const database::Migration> migrations() {
    static constexpr std::array<database::Migration, 5> kMigrations{{
        {"archive", 1,
         "CREATE TABLE people (id {text} PRIMARY KEY, name {text} NOT NULL UNIQUE, roles {int} NOT NULL, created_ms {int} NOT NULL, "
         "token_epoch {int} NOT NULL,"
         " mac {text} NOT NULL);\n"
         "CREATE TABLE tokens (hash {text} PRIMARY KEY, person {text} NOT NULL, epoch {int} NOT NULL, created_ms {int} NOT NULL, "
         "expires_ms {int} NOT NULL, note {text} NOT NULL, mac {text} NOT NULL);\n"
         "CREATE INDEX tokens_person ON tokens (person);\n"},
        {"archive", 2, "CREATE TABLE archive_facts (name {text} PRIMARY KEY, value {text} NOT NULL, mac {text} NOT NULL);\n"},
        {"archive", 3,
         "CREATE TABLE deliveries (id {id}, kind {text} NOT NULL, peer {text} NOT NULL, study_uid {text} NOT NULL, subject {text} NOT "
         "NULL, "
         "content {text} NOT NULL, state {text} NOT NULL, since_ms {int} NOT NULL, refusals {int} NOT NULL, next_ms {int} NOT NULL, "
         "problem {text} NOT NULL, mac {text} NOT NULL, UNIQUE (kind, peer, subject));\n"
         "CREATE INDEX deliveries_due ON deliveries (state, peer, kind, id);\n"
         "CREATE INDEX deliveries_study ON deliveries (state, peer, study_uid, id);\n"},
        {"archive", 4,
         "CREATE TABLE account_records (kind {text} NOT NULL, id {text} NOT NULL, lookup {text} NOT NULL, sealed {text} NOT NULL, PRIMARY "
         "KEY "
         "(kind, id), UNIQUE (kind, lookup));\n"
         "CREATE TABLE messages (id {id}, person {text} NOT NULL, at_ms {int} NOT NULL, was_read {int} NOT NULL, sealed {text} NOT NULL);\n"
         "CREATE INDEX messages_person ON messages (person, id);\n"
         "ALTER TABLE tokens ADD COLUMN scope {text} NOT NULL DEFAULT 'all';\n"},
        {"archive", 5,
         "CREATE TABLE mails (id {id}, state {text} NOT NULL, since_ms {int} NOT NULL, tries {int} NOT NULL, next_ms {int} NOT NULL, "
         "sealed {text} NOT NULL, problem {text} NOT NULL);\n"
         "CREATE INDEX mails_due ON mails (state, id);\n"},
    }};
    return kMigrations;
}

}  // namespace fiducial::archive
