#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "crypto/secret.hpp"
#include "database/database.hpp"

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

/// People's names and their tokens. Tokens are kept as hashes only. Each row carries a MAC, so that whoever can write to the
/// database cannot make a token or give one to somebody else.
/// Errors: corrupt when a row's MAC does not fit.
/// Threads: safe.
class Accounts {
public:
    Accounts(database::Database& database, crypto::Secret row_key) : database_(database), row_key_(std::move(row_key)) {}

    /// Errors: conflict when the name is taken; invalid_argument for an empty or overlong name.
    Result<void> add(database::Transaction& transaction, const Person& person);
    /// Errors: not_found.
    Result<Person> by_name(std::string_view name);
    Result<Person> by_id(const Bytes32& id);
    Result<std::vector<Person>> all();

    /// A fresh bearer token: 256 random bits as text, shown once. valid_seconds 0: until it is taken back.
    Result<crypto::Secret> make_token(const Bytes32& person, std::uint64_t valid_seconds, std::string_view note);
    /// Returns: whose token it is. Errors: unauthenticated when unknown, expired or taken back.
    Result<Bytes32> check_token(std::string_view token);
    /// Also closed to rows of tokens that are put back later. Returns: how many were taken back. Errors: not_found.
    Result<std::uint64_t> revoke_tokens(const Bytes32& person);

private:
    std::string mac_of(const Person& person) const;
    std::string mac_of_token(std::string_view hash, std::string_view person, std::uint32_t epoch, std::int64_t expires_ms) const;
    Result<Person> read_person(database::Transaction& transaction, std::string_view column, const std::string& value) const;
    Result<std::vector<Person>> read_people(database::Transaction& transaction, const std::string& condition, const std::string& value) const;

    database::Database& database_;
    const crypto::Secret row_key_;
};

/// The tables of this room, for Database::open.
std::span<const database::Migration> migrations();

}  // namespace fiducial::archive
