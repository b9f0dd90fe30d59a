#include "archive/accounts.hpp"

#include <soci/soci.h>

#include <array>

#include "base/clock.hpp"
#include "base/hex.hpp"
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

std::int64_t now_ms() { return system_clock().now().time_since_epoch().count(); }

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
    return to_hex(crypto::tagged_hmac_sha256(row_key_.view(), "fid.person1",
                                             {person.id, name, big_endian(person.roles), big_endian(person.created_ms), big_endian(person.token_epoch)}));
}

std::string Accounts::mac_of_token(std::string_view hash, std::string_view person, std::uint32_t epoch, std::int64_t expires_ms) const {
    return to_hex(crypto::tagged_hmac_sha256(row_key_.view(), "fid.token1", {as_bytes(hash), as_bytes(person), big_endian(epoch), big_endian(expires_ms)}));
}

/// `condition` names at most the one value :value.
Result<std::vector<Person>> Accounts::read_people(database::Transaction& transaction, const std::string& condition, const std::string& value) const {
    return database::attempt("reading people", [&]() -> Result<std::vector<Person>> {
        std::vector<Person> people;
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
            FID_TRY(const auto bytes, fixed_from_hex<32>(id, "person id"));
            people.push_back({bytes, name, static_cast<std::uint32_t>(roles), created, static_cast<std::uint32_t>(epoch)});
            if (mac != mac_of(people.back())) return fail(ErrorCode::corrupt, "the table people: the row of person " + id + " was changed behind our back");
        }
        return people;
    });
}

Result<Person> Accounts::read_person(database::Transaction& transaction, std::string_view column, const std::string& value) const {
    FID_TRY(auto people, read_people(transaction, "WHERE " + std::string(column) + " = :value", value));
    if (people.empty()) return fail(ErrorCode::not_found, "there is no such person at this site");
    return std::move(people.front());
}

Result<void> Accounts::add(database::Transaction& transaction, const Person& person) {
    if (person.name.empty() || person.name.size() > 200) return fail(ErrorCode::invalid_argument, "a person's name has 1 to 200 bytes");
    auto added = database::attempt("adding a person", [&] {
        const std::string id = to_hex(person.id);
        const long long roles = person.roles, created = person.created_ms, epoch = person.token_epoch;
        const std::string mac = mac_of(person);
        transaction.sql() << "INSERT INTO people (id, name, roles, created_ms, token_epoch, mac) VALUES (:id, :name, :roles, :created, :epoch, :mac)", soci::use(id),
            soci::use(person.name), soci::use(roles), soci::use(created), soci::use(epoch), soci::use(mac);
    });
    if (!added && added.error().code == ErrorCode::conflict) return fail(ErrorCode::conflict, "there is a person of this name already");
    return added;
}

Result<Person> Accounts::by_name(std::string_view name) {
    return database_.read([&](database::Transaction& t) { return read_person(t, "name", std::string(name)); });
}

Result<Person> Accounts::by_id(const Bytes32& id) {
    return database_.read([&](database::Transaction& t) { return read_person(t, "id", to_hex(id)); });
}

Result<std::vector<Person>> Accounts::all() {
    return database_.read([&](database::Transaction& t) { return read_people(t, "", ""); });
}

Result<crypto::Secret> Accounts::make_token(const Bytes32& person, std::uint64_t valid_seconds, std::string_view note) {
    const auto random = crypto::random_bytes32();
    const std::string text = std::string(kTokenPrefix) + to_hex(random);
    const std::string hash = to_hex(crypto::sha256(as_bytes(text)));
    const std::string id = to_hex(person), remark(note.substr(0, 200));
    const long long created = now_ms();
    const long long expires = valid_seconds == 0 ? 0 : created + static_cast<long long>(valid_seconds) * 1000;
    FID_CHECK(database_.write(database::Durability::full, [&](database::Transaction& t) -> Result<void> {
        FID_TRY(const auto whose, read_person(t, "id", id));
        return database::attempt("storing a token", [&] {
            const long long epoch = whose.token_epoch;
            const std::string mac = mac_of_token(hash, id, whose.token_epoch, expires);
            t.sql() << "INSERT INTO tokens (hash, person, epoch, created_ms, expires_ms, note, mac) VALUES (:hash, :person, :epoch, :created, :expires, :note, :mac)",
                soci::use(hash), soci::use(id), soci::use(epoch), soci::use(created), soci::use(expires), soci::use(remark), soci::use(mac);
        });
    }));
    return crypto::Secret::copy_of(as_bytes(text));
}

Result<Bytes32> Accounts::check_token(std::string_view token) {
    if (token.size() > 200) return fail(ErrorCode::unauthenticated, "this token is not known here");
    const std::string hash = to_hex(crypto::sha256(as_bytes(token)));
    return database_.read([&](database::Transaction& t) -> Result<Bytes32> {
        std::string person, mac;
        long long expires = 0, epoch = 0;
        FID_CHECK(database::attempt("looking up a token", [&]() -> Result<void> {
            t.sql() << "SELECT person, epoch, expires_ms, mac FROM tokens WHERE hash = :hash", soci::use(hash), soci::into(person), soci::into(epoch), soci::into(expires), soci::into(mac);
            if (!t.sql().got_data()) return fail(ErrorCode::unauthenticated, "this token is not known here");
            return {};
        }));
        if (mac != mac_of_token(hash, person, static_cast<std::uint32_t>(epoch), expires)) return fail(ErrorCode::corrupt, "the table tokens: a row was changed behind our back");
        if (expires != 0 && expires <= now_ms()) return fail(ErrorCode::unauthenticated, "this token has expired");
        FID_TRY(const auto whose, read_person(t, "id", person));
        if (whose.token_epoch != static_cast<std::uint32_t>(epoch)) return fail(ErrorCode::unauthenticated, "this token was taken back");
        return whose.id;
    });
}

Result<std::uint64_t> Accounts::revoke_tokens(const Bytes32& person) {
    const std::string id = to_hex(person);
    return database_.write(database::Durability::full, [&](database::Transaction& t) -> Result<std::uint64_t> {
        FID_TRY(auto whose, read_person(t, "id", id));
        whose.token_epoch += 1;
        return database::attempt("taking back tokens", [&]() -> Result<std::uint64_t> {
            const long long epoch = whose.token_epoch;
            const std::string mac = mac_of(whose);
            t.sql() << "UPDATE people SET token_epoch = :epoch, mac = :mac WHERE id = :id", soci::use(epoch), soci::use(mac), soci::use(id);
            soci::statement statement = (t.sql().prepare << "DELETE FROM tokens WHERE person = :person", soci::use(id));
            statement.execute(true);
            return static_cast<std::uint64_t>(statement.get_affected_rows());
        });
    });
}

std::span<const database::Migration> migrations() {
    static constexpr std::array<database::Migration, 1> kMigrations{{
        {"archive", 1,
         "CREATE TABLE people (id {text} PRIMARY KEY, name {text} NOT NULL UNIQUE, roles {int} NOT NULL, created_ms {int} NOT NULL, token_epoch {int} NOT NULL,"
         " mac {text} NOT NULL);\n"
         "CREATE TABLE tokens (hash {text} PRIMARY KEY, person {text} NOT NULL, epoch {int} NOT NULL, created_ms {int} NOT NULL, expires_ms {int} NOT NULL, note {text} NOT NULL, mac {text} NOT NULL);\n"
         "CREATE INDEX tokens_person ON tokens (person);\n"},
    }};
    return kMigrations;
}

}  // namespace fiducial::archive
