#pragma once
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "archive/requester.hpp"
#include "base/bytes.hpp"
#include "base/result.hpp"
#include "crypto/secret.hpp"
#include "database/database.hpp"
#include "database/remembered.hpp"

namespace fiducial::archive {

/// Roles as bits; the numbers are those of the contracts' library Roles.
enum Role : std::uint32_t {
    kDoctor = 1,
    kTechnologist = 2,
    kDesk = 4,
    kPrivacyOfficer = 8,
    kAuditor = 16,
    kSecurityOfficer = 32,
    kResearcher = 64,
    kAdministrator = 128,
    kCustodian = 256,
    kPatient = 512,
};
/// Reads "doctor", "privacy-officer", … or several joined by commas. Errors: invalid_argument, with the names there are.
Result<std::uint32_t> parse_roles(std::string_view text);
std::string roles_text(std::uint32_t roles);

/// A person as this site knows them; what they may is in `Members` on the chain, under the same id.
struct Person {
    Bytes32 id{};
    std::string name;  // unique at the site
    std::uint32_t roles = 0;
    std::int64_t created_ms = 0;
    std::uint32_t token_epoch = 0;  // counts how often the tokens were taken back: those of an earlier epoch open nothing
};

/// A person whose row is not what was written, or is gone. All of it is as it stands there: nothing to rely on.
struct DamagedPerson {
    std::string id;    // hex where it is an id at all
    std::string name;  // empty where the row is gone
    std::string what;
};

struct People {
    std::vector<Person> people;  // by name
    std::vector<DamagedPerson> damaged;
};

/// Whose token it is, and what it opens.
struct TokenUse {
    Bytes32 person{};
    TokenScope scope = TokenScope::all;
};
/// A token as its person sees it later.
struct TokenRow {
    std::string id;  // the first half of its hash
    std::string note;
    TokenScope scope = TokenScope::all;
    std::int64_t created_ms = 0, expires_ms = 0;  // 0: until it is taken back
};

/// People's names and their tokens. Tokens are kept as hashes only. Each row carries a MAC, so that whoever can write to the
/// database cannot make a token or give one to somebody else; a register under a MAC of its own names all rows' MACs, so that none
/// can be deleted or put back from an earlier time. The register counts its changes: one put back while this object lives is found.
/// One put back together with the rows, before the archive starts, is found by `changed_at` and the trace.
/// Spec: docs/formats/index.md#people
/// Errors: corrupt, for this person alone, when row or register does not fit; for everybody when the register is not ours.
/// Threads: safe.
class Accounts {
public:
    Accounts(database::Database& database, crypto::Secret row_key) : database_(database), row_key_(std::move(row_key)) {}

    /// Errors: conflict when the name is taken; invalid_argument for an empty or overlong name.
    Result<void> add(database::Transaction& transaction, const Person& person);
    /// Errors: not_found.
    Result<Person> by_name(std::string_view name);
    Result<Person> by_id(const Bytes32& id);
    /// Damaged rows hinder no others. Errors: corrupt when the register is not ours.
    Result<People> all();
    /// Neither people nor a register: a new database.
    Result<bool> is_new();
    /// The trace's size when the register was last changed; nothing without a register.
    Result<std::optional<std::uint64_t>> changed_at();
    /// Asked for the trace's size at each change. Without one: 0. Requires: before any change.
    void set_trace_size(std::function<std::uint64_t()> trace_size) { trace_size_ = std::move(trace_size); }
    /// The newest block's time, in s: a token is judged by it or by the clock, whichever is later.
    void set_head_time(std::function<std::uint64_t()> time) { head_time_ = std::move(time); }
    /// Drops the damaged rows with their tokens. Where the register is not ours, or `all_tokens`, the rows that are whole go on and all
    /// tokens are taken back.
    Result<void> repair(bool all_tokens);

    /// Puts the rows of people and tokens, their register and all facts under another key. What did not fit the former one fits the new one
    /// as little. Requires: Durability::full. Can be repeated.
    static Result<void> rekey(database::Database& database, database::Transaction& transaction, const crypto::Secret& former,
                              const crypto::Secret& now);

    /// A fresh bearer token: 256 random bits as text, shown once. valid_seconds 0: until it is taken back.
    Result<crypto::Secret> make_token(const Bytes32& person, std::uint64_t valid_seconds, std::string_view note,
                                      TokenScope scope = TokenScope::all);
    /// Errors: unauthenticated when unknown, expired or taken back.
    Result<TokenUse> check_token(std::string_view token);
    /// Those that open something, newest first. Of rows that were changed there is none.
    Result<std::vector<TokenRow>> tokens_of(const Bytes32& person);
    /// Errors: not_found.
    Result<void> revoke_token(const Bytes32& person, std::string_view id);
    /// Also closed to rows of tokens that are put back later. Returns: how many were taken back. Errors: not_found.
    Result<std::uint64_t> revoke_tokens(const Bytes32& person);

private:
    std::string mac_of(const Person& person) const;
    std::string mac_of_token(std::string_view hash, std::string_view person, std::uint32_t epoch, std::int64_t expires_ms,
                             std::string_view scope) const;
    /// A transaction's view, with the register's least count that it may show.
    struct View;
    struct Row;
    struct Register;
    template <typename Body>
    auto read(Body&& body);
    /// Null: there is none.
    Result<std::shared_ptr<const Register>> load(View& view);
    static Result<std::shared_ptr<const Register>> parse_register(std::string text);
    Result<void> save(database::Transaction& transaction, Register& people);
    Result<void> enter(View& view, const Person& person);
    /// A new token epoch in the person's row: no token of an earlier one opens. May throw as SOCI does.
    void raise_epoch(database::Transaction& transaction, Person& person) const;
    Result<std::vector<Row>> read_rows(database::Transaction& transaction, const std::string& condition, const std::string& value) const;
    struct KnownToken {
        TokenUse use;
        long long expires_ms = 0;  // 0: never
    };
    Result<KnownToken> read_token(const std::string& hash);
    Result<Person> read_person(View& view, std::string_view column, const std::string& value);

    database::Database& database_;
    const crypto::Secret row_key_;
    std::function<std::uint64_t()> trace_size_;
    std::function<std::uint64_t()> head_time_;
    std::atomic<std::uint64_t> seen_{0};  // the highest count of the register that was read
    std::mutex last_mutex_;
    std::shared_ptr<const Register> last_;                        // as last read: parsed again only where it changed
    database::Remembered<std::string, KnownToken> tokens_{1024};  // by their hashes
};

/// The tables of this room, for Database::open.
std::span<const database::Migration> migrations();

}  // namespace fiducial::archive
