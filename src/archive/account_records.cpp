#include "archive/account_records.hpp"

#include <soci/soci.h>

#include <algorithm>

#include "archive/facts.hpp"
#include "base/hex.hpp"
#include "crypto/aead.hpp"
#include "crypto/hash.hpp"

namespace fiducial::archive {
namespace {

constexpr std::string_view kRegisterFact = "account-records";

crypto::Secret derived(const crypto::Secret& key, std::string_view label) {
    crypto::Secret out(32);
    crypto::hkdf_sha256(key.view(), {}, label, out.bytes());
    return out;
}

std::string name_of(std::string_view kind, std::string_view id) {
    Bytes text;
    append_lp(text, as_bytes(kind));
    append_lp(text, as_bytes(id));
    return to_hex(crypto::tagged_sha256("fid.accountname1", {text}));
}

Bytes associated(std::string_view kind, std::string_view id) {
    Bytes text;
    append_lp(text, as_bytes(kind));
    append_lp(text, as_bytes(id));
    return text;
}

Error changed(std::string_view kind, std::string_view id, std::string_view how) {
    return {ErrorCode::corrupt, "the table account_records: " + std::string(kind) + " " + std::string(id) + " was " + std::string(how) +
                                    "; find out who can write to the index"};
}

}  // namespace

struct AccountRecords::Row {
    std::string kind, id, lookup, sealed;
    std::string digest() const { return to_hex(crypto::sha256(as_bytes(sealed))); }
};

struct AccountRecords::Register {
    std::uint64_t count = 0;                     // of its changes
    std::map<std::string, std::string> digests;  // by name_of(kind, id)
    bool names(const Row& row) const {
        const auto found = digests.find(name_of(row.kind, row.id));
        return found != digests.end() && found->second == row.digest();
    }
};

AccountRecords::AccountRecords(database::Database& database, crypto::Secret accounts_key)
    : database_(database),
      row_key_(std::move(accounts_key)),
      seal_key_(derived(row_key_, "fid.account-seal1")),
      lookup_key_(derived(row_key_, "fid.account-lookup1")) {}

std::string AccountRecords::lookup_hash(std::string_view kind, std::string_view lookup) const {
    Bytes named;
    append_lp(named, as_bytes(kind));
    return to_hex(crypto::tagged_hmac_sha256(lookup_key_.view(), "fid.accountlookup1", {named, as_bytes(lookup)}));
}

Result<AccountRecords::Register> AccountRecords::load(database::Transaction& transaction) const {
    FID_TRY(const auto text, read_fact(transaction, row_key_, kRegisterFact));
    Register names;
    if (text) {
        FID_TRY(const auto bytes, from_hex(*text));
        ByteReader reader(bytes);
        FID_TRY(names.count, reader.u64("register of accounts: count"));
        while (!reader.at_end()) {
            FID_TRY(const auto name, reader.take(32, "register of accounts: name"));
            FID_TRY(const auto digest, reader.take(32, "register of accounts: digest"));
            names.digests.emplace(to_hex(name), to_hex(digest));
        }
    }
    return names;
}

void AccountRecords::note(std::uint64_t count) {
    auto seen = seen_.load();
    while (seen < count && !seen_.compare_exchange_weak(seen, count)) {
    }
}

Result<void> AccountRecords::save(database::Transaction& transaction, Register& names) const {
    Bytes count;
    append_be(count, ++names.count);
    auto text = to_hex(count);
    for (const auto& [name, digest] : names.digests) text += name + digest;
    return write_fact(transaction, row_key_, kRegisterFact, text);
}

/// `condition` names the kind as :kind, and :value where it names another.
Result<std::vector<AccountRecords::Row>> AccountRecords::read_rows(database::Transaction& transaction, const std::string& condition,
                                                                   const std::string& kind, const std::string& value) const {
    return database::attempt("reading accounts", [&] {
        std::vector<Row> rows;
        Row row;
        soci::statement statement(transaction.sql());
        statement.exchange(soci::into(row.kind));
        statement.exchange(soci::into(row.id));
        statement.exchange(soci::into(row.lookup));
        statement.exchange(soci::into(row.sealed));
        if (!kind.empty()) statement.exchange(soci::use(kind, "kind"));
        if (!value.empty()) statement.exchange(soci::use(value, "value"));
        statement.alloc();
        statement.prepare("SELECT kind, id, lookup, sealed FROM account_records " + condition + " ORDER BY kind, id");
        statement.define_and_bind();
        statement.execute();
        while (statement.fetch()) rows.push_back(row);
        return rows;
    });
}

AccountRecords::Row AccountRecords::seal(std::string_view kind, const AccountRecord& record) const {
    Bytes plain;
    append_lp(plain, as_bytes(record.lookup));
    append(plain, as_bytes(record.content));
    Row row{std::string(kind), record.id, lookup_hash(kind, record.lookup.empty() ? "id " + record.id : "by " + record.lookup),
            to_hex(crypto::seal_small(seal_key_.view(), associated(kind, record.id), plain))};
    crypto::wipe(plain);
    return row;
}

Result<AccountRecord> AccountRecords::open(const Row& row) const {
    const auto sealed = from_hex(row.sealed);
    if (!sealed) return fail(changed(row.kind, row.id, "changed behind our back"));
    const auto plain = crypto::open_small(seal_key_.view(), associated(row.kind, row.id), *sealed);
    if (!plain) return fail(changed(row.kind, row.id, "changed behind our back"));
    ByteReader reader(plain->view());
    FID_TRY(const auto lookup, reader.take_lp("account: lookup"));
    FID_TRY(const auto content, reader.take(reader.remaining(), "account: content"));
    return AccountRecord{row.id, std::string(as_text(lookup)), std::string(as_text(content))};
}

Result<std::optional<AccountRecord>> AccountRecords::find_one(database::Transaction& transaction, const std::string& column,
                                                              const std::string& kind, const std::string& value) {
    const auto least = seen_.load();
    FID_TRY(const auto rows, read_rows(transaction, "WHERE kind = :kind AND " + column + " = :value", kind, value));
    if (rows.empty()) return std::optional<AccountRecord>();
    const auto& row = rows.front();
    FID_TRY(const auto names, load(transaction));
    if (!transaction.writes()) note(names.count);
    if (names.count < least || !names.names(row)) return fail(changed(row.kind, row.id, "put back from an earlier time"));
    FID_TRY(auto record, open(row));
    return std::optional(std::move(record));
}

Result<std::optional<AccountRecord>> AccountRecords::find(database::Transaction& transaction, std::string_view kind, std::string_view id) {
    return find_one(transaction, "id", std::string(kind), std::string(id));
}

Result<std::optional<AccountRecord>> AccountRecords::find_by(database::Transaction& transaction, std::string_view kind,
                                                             std::string_view lookup) {
    return find_one(transaction, "lookup", std::string(kind), lookup_hash(kind, "by " + std::string(lookup)));
}

Result<AccountRecords::All> AccountRecords::all(database::Transaction& transaction, std::string_view kind) {
    FID_TRY(const auto rows, read_rows(transaction, "WHERE kind = :kind", std::string(kind), ""));
    FID_TRY(const auto names, load(transaction));
    All out;
    for (const auto& row : rows) {
        auto record = names.names(row) ? open(row) : fail(changed(row.kind, row.id, "put back"));
        if (record)
            out.records.push_back(std::move(*record));
        else
            out.damaged.push_back(row.id);
    }
    return out;
}

Result<void> AccountRecords::write(database::Transaction& transaction, const Row& row) {
    auto written = database::attempt("keeping an account", [&] {
        transaction.sql() << "DELETE FROM account_records WHERE kind = :kind AND id = :id", soci::use(row.kind), soci::use(row.id);
        transaction.sql() << "INSERT INTO account_records (kind, id, lookup, sealed) VALUES (:kind, :id, :lookup, :sealed)",
            soci::use(row.kind), soci::use(row.id), soci::use(row.lookup), soci::use(row.sealed);
    });
    if (!written && written.error().code == ErrorCode::conflict) return fail(ErrorCode::conflict, "there is an account of this already");
    return written;
}

Result<void> AccountRecords::put(database::Transaction& transaction, std::string_view kind, const AccountRecord& record) {
    const auto row = seal(kind, record);
    FID_CHECK(write(transaction, row));
    FID_TRY(auto names, load(transaction));
    if (names.count < seen_.load()) return fail(changed(row.kind, row.id, "put back from an earlier time"));
    names.digests[name_of(row.kind, row.id)] = row.digest();
    return save(transaction, names);
}

Result<bool> AccountRecords::erase(database::Transaction& transaction, std::string_view kind, std::string_view id) {
    FID_TRY(auto names, load(transaction));
    if (names.digests.erase(name_of(kind, id)) == 0) return false;
    FID_CHECK(database::attempt("removing an account", [&] {
        const std::string of_kind(kind), which(id);
        transaction.sql() << "DELETE FROM account_records WHERE kind = :kind AND id = :id", soci::use(of_kind), soci::use(which);
    }));
    FID_CHECK(save(transaction, names));
    return true;
}

Result<void> AccountRecords::rekey(database::Database& database, database::Transaction& transaction, const crypto::Secret& former,
                                   const crypto::Secret& now) {
    const AccountRecords before(database, former.clone()), after(database, now.clone());
    FID_TRY(const auto rows, before.read_rows(transaction, "", "", ""));
    FID_TRY(auto names, after.load(transaction));
    for (const auto& row : rows) {
        const auto record = before.open(row);
        if (!record || !names.names(row)) continue;
        const auto sealed = after.seal(row.kind, *record);
        FID_CHECK(write(transaction, sealed));
        names.digests[name_of(row.kind, row.id)] = sealed.digest();
    }
    return rows.empty() ? Result<void>{} : after.save(transaction, names);
}

}  // namespace fiducial::archive
