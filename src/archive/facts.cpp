#include "archive/facts.hpp"

#include <soci/soci.h>

#include <charconv>

#include "base/hex.hpp"
#include "base/log.hpp"
#include "crypto/hash.hpp"

namespace fiducial::archive {
namespace {

constexpr std::string_view kTraceFact = "trace";

std::string mac_of(const crypto::Secret& row_key, std::string_view name, std::string_view value) {
    Bytes named;
    append_lp(named, as_bytes(name));
    return to_hex(crypto::tagged_hmac_sha256(row_key.view(), "fid.archivefact1", {named, as_bytes(value)}));
}

}  // namespace

Result<std::optional<std::string>> read_fact(database::Transaction& transaction, const crypto::Secret& row_key, std::string_view name,
                                             std::string_view checked) {
    return database::attempt("reading a fact", [&]() -> Result<std::optional<std::string>> {
        const std::string key(name);
        std::string value, mac;
        transaction.sql() << "SELECT value, mac FROM archive_facts WHERE name = :name", soci::use(key), soci::into(value), soci::into(mac);
        if (!transaction.sql().got_data()) return std::optional<std::string>();
        const bool known = !checked.empty() && value == checked;
        if (!known && mac != mac_of(row_key, name, value))
            return fail(ErrorCode::corrupt, "the table archive_facts: the row '" + key + "' was changed behind our back");
        return std::optional<std::string>(std::move(value));
    });
}

Result<void> write_fact(database::Transaction& transaction, const crypto::Secret& row_key, std::string_view name,
                        const std::string& value) {
    return database::attempt("keeping a fact", [&] {
        const std::string key(name), mac = mac_of(row_key, name, value);
        transaction.sql() << "DELETE FROM archive_facts WHERE name = :name", soci::use(key);
        transaction.sql() << "INSERT INTO archive_facts (name, value, mac) VALUES (:name, :value, :mac)", soci::use(key), soci::use(value),
            soci::use(mac);
    });
}

Result<void> rekey_facts(database::Transaction& transaction, const crypto::Secret& former, const crypto::Secret& now) {
    return database::attempt("putting facts under another key", [&] {
        struct Fact {
            std::string name, value, mac;
        };
        std::vector<Fact> facts;
        {
            Fact fact;
            soci::statement statement(transaction.sql());
            statement.exchange(soci::into(fact.name));
            statement.exchange(soci::into(fact.value));
            statement.exchange(soci::into(fact.mac));
            statement.alloc();
            statement.prepare("SELECT name, value, mac FROM archive_facts");
            statement.define_and_bind();
            statement.execute();
            while (statement.fetch()) facts.push_back(fact);
        }
        for (const auto& fact : facts) {
            if (fact.mac != mac_of(former, fact.name, fact.value)) continue;
            const auto mac = mac_of(now, fact.name, fact.value);
            transaction.sql() << "UPDATE archive_facts SET mac = :mac WHERE name = :name", soci::use(mac), soci::use(fact.name);
        }
    });
}

Result<std::string> TraceWitness::find_problem(const audit::Trace& trace, bool index_is_new) {
    const auto corrupt_or = [](Error error) -> Result<std::string> {
        if (error.code == ErrorCode::corrupt) return std::move(error.message);
        return tl::make_unexpected(std::move(error));
    };
    const auto kept = database_.read([&](database::Transaction& t) { return read_fact(t, row_key_, kTraceFact); });
    if (!kept) return corrupt_or(kept.error());
    if (!*kept) {
        if (!index_is_new) return std::string("the index no longer says how long it is");
        log::warning("archive", "the index was lost, and with it how long the trace is: the trace is taken as it is",
                     {{"entries", trace.size()}});
        return std::string();
    }
    const std::string& text = **kept;  // its MAC fits: ours
    std::uint64_t size = 0;
    std::from_chars(text.data(), text.data() + text.size(), size);
    const std::string root = text.substr(text.find(' ') + 1);
    if (trace.size() < size)
        return "it holds " + std::to_string(trace.size()) + " entries and had " + std::to_string(size) +
               ": it was put back from an earlier time, or cut";
    const auto now = trace.root_at(size);
    if (!now) return corrupt_or(now.error());
    if (to_hex(*now) != root)
        return "its first " + std::to_string(size) +
               " entries are not those that stood there: it was put back from an earlier time, or replaced";
    return std::string();
}

Result<void> TraceWitness::compare(const audit::Trace& trace, bool index_is_new) {
    FID_TRY(auto problem, find_problem(trace, index_is_new));
    const std::lock_guard lock(mutex_);
    problem_ = std::move(problem);
    if (problem_.empty()) keep_now(trace.head());
    return {};
}

void TraceWitness::keep(const audit::TraceHead& head) {
    const std::lock_guard lock(mutex_);
    if (problem_.empty()) keep_now(head);
}

void TraceWitness::keep_now(const audit::TraceHead& head) {
    if (auto done = write(head); !done)
        log::warning("archive", "the trace's head could not be kept in the index", {{"why", done.error().message}});
}

Result<std::string> TraceWitness::kept() const {
    FID_TRY(const auto text, database_.read([&](database::Transaction& t) { return read_fact(t, row_key_, kTraceFact); }));
    return text.value_or(std::string());
}

std::string TraceWitness::problem() const {
    const std::lock_guard lock(mutex_);
    return problem_;
}

Result<void> TraceWitness::accept(const audit::Trace& trace) {
    const std::lock_guard lock(mutex_);
    FID_CHECK(write(trace.head()));
    problem_.clear();
    return {};
}

Result<void> TraceWitness::write(const audit::TraceHead& head) {
    return database_.write(database::Durability::full, [&](database::Transaction& t) {
        return write_fact(t, row_key_, kTraceFact, std::to_string(head.size) + " " + to_hex(head.root));
    });
}

}  // namespace fiducial::archive
