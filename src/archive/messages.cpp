#include "archive/messages.hpp"

#include <soci/soci.h>

#include "base/clock.hpp"
#include "base/hex.hpp"
#include "base/log.hpp"
#include "crypto/aead.hpp"

namespace fiducial::archive {
namespace {

constexpr int kMostOfPerson = 500;

crypto::Secret seal_key_of(const crypto::Secret& accounts_key) {
    crypto::Secret out(32);
    crypto::hkdf_sha256(accounts_key.view(), {}, "fid.message-seal1", out.bytes());
    return out;
}

Bytes associated(const std::string& person, long long at_ms) {
    Bytes out(as_bytes(person).begin(), as_bytes(person).end());
    append_be(out, static_cast<std::uint64_t>(at_ms));
    return out;
}

std::string seal(const crypto::Secret& key, const std::string& person, long long at_ms, ByteView plain) {
    return to_hex(crypto::seal_small(key.view(), associated(person, at_ms), plain));
}

Result<crypto::Secret> open(const crypto::Secret& key, const std::string& person, long long at_ms, const std::string& sealed) {
    FID_TRY(const auto bytes, from_hex(sealed));
    return crypto::open_small(key.view(), associated(person, at_ms), bytes);
}

struct Row {
    long long id = 0, at_ms = 0, was_read = 0;
    std::string person, sealed;
};

/// Of one person, or everybody's where it is empty. Throws as SOCI does.
std::vector<Row> read_rows(database::Transaction& transaction, const std::string& person) {
    Row row;
    soci::statement statement(transaction.sql());
    statement.exchange(soci::into(row.id));
    statement.exchange(soci::into(row.person));
    statement.exchange(soci::into(row.at_ms));
    statement.exchange(soci::into(row.was_read));
    statement.exchange(soci::into(row.sealed));
    if (!person.empty()) statement.exchange(soci::use(person, "person"));
    statement.alloc();
    statement.prepare(std::string("SELECT id, person, at_ms, was_read, sealed FROM messages ") +
                      (person.empty() ? "" : "WHERE person = :person ") + "ORDER BY id DESC");
    statement.define_and_bind();
    statement.execute();
    std::vector<Row> rows;
    while (statement.fetch()) rows.push_back(row);
    return rows;
}

}  // namespace

Messages::Messages(database::Database& database, const crypto::Secret& accounts_key)
    : database_(database), seal_key_(seal_key_of(accounts_key)) {}

Result<void> Messages::add(database::Transaction& transaction, const Bytes32& person, std::string_view kind, std::string_view text) {
    Bytes plain;
    append_lp(plain, as_bytes(kind));
    append(plain, as_bytes(text));
    FID_CHECK(database::attempt("adding a message", [&] {
        const std::string whose = to_hex(person);
        const long long at_ms = system_clock().now().time_since_epoch().count();
        const std::string sealed = seal(seal_key_, whose, at_ms, plain);
        transaction.sql() << "INSERT INTO messages (person, at_ms, was_read, sealed) VALUES (:person, :at, 0, :sealed)", soci::use(whose),
            soci::use(at_ms), soci::use(sealed);
        transaction.sql()
            << "DELETE FROM messages WHERE person = :person AND id NOT IN (SELECT id FROM messages WHERE person = :person ORDER "
               "BY id DESC LIMIT " +
                   std::to_string(kMostOfPerson) + ")",
            soci::use(whose, "person");
    }));
    if (added_) added_(transaction, person);
    return {};
}

void Messages::tell(const Bytes32& person, std::string_view kind, std::string_view text) {
    const auto told = database_.write(database::Durability::full, [&](database::Transaction& t) { return add(t, person, kind, text); });
    if (!told) log::warning("archive", "a message was not kept", {{"kind", kind}, {"why", told.error().message}});
}

Result<std::vector<Message>> Messages::of(const Bytes32& person) {
    const std::string whose = to_hex(person);
    FID_TRY(const auto rows, database_.read([&](database::Transaction& t) {
        return database::attempt("reading messages", [&] { return read_rows(t, whose); });
    }));
    std::vector<Message> out;
    for (const auto& row : rows) {
        const auto plain = open(seal_key_, whose, row.at_ms, row.sealed);
        if (!plain) continue;
        ByteReader reader(plain->view());
        FID_TRY(const auto kind, reader.take_lp("message: kind"));
        FID_TRY(const auto text, reader.take(reader.remaining(), "message: text"));
        out.push_back({row.id, std::string(as_text(kind)), std::string(as_text(text)), row.at_ms, row.was_read != 0});
    }
    return out;
}

Result<std::uint64_t> Messages::unread(const Bytes32& person) {
    const std::string whose = to_hex(person);
    return database_.read([&](database::Transaction& t) {
        return database::attempt("counting messages", [&] {
            long long count = 0;
            t.sql() << "SELECT COUNT(*) FROM messages WHERE person = :person AND was_read = 0", soci::use(whose), soci::into(count);
            return static_cast<std::uint64_t>(count);
        });
    });
}

Result<void> Messages::mark_read(const Bytes32& person, const std::vector<std::int64_t>& ids) {
    const std::string whose = to_hex(person);
    return database_.write(database::Durability::full, [&](database::Transaction& t) {
        return database::attempt("marking messages", [&] {
            if (ids.empty()) t.sql() << "UPDATE messages SET was_read = 1 WHERE person = :person", soci::use(whose);
            for (const long long id : ids)
                t.sql() << "UPDATE messages SET was_read = 1 WHERE person = :person AND id = :id", soci::use(whose), soci::use(id);
        });
    });
}

Result<void> Messages::rekey(database::Transaction& transaction, const crypto::Secret& former, const crypto::Secret& now) {
    const auto before = seal_key_of(former), after = seal_key_of(now);
    return database::attempt("putting messages under another key", [&] {
        for (const auto& row : read_rows(transaction, "")) {
            const auto plain = open(before, row.person, row.at_ms, row.sealed);
            if (!plain) continue;
            const std::string sealed = seal(after, row.person, row.at_ms, plain->view());
            transaction.sql() << "UPDATE messages SET sealed = :sealed WHERE id = :id", soci::use(sealed), soci::use(row.id);
        }
    });
}

}  // namespace fiducial::archive
