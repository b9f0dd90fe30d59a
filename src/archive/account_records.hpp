#pragma once
#include <atomic>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "crypto/secret.hpp"
#include "database/database.hpp"

namespace fiducial::archive {

/// What is kept of accounts, sealed: log-ins, links, letters.
struct AccountRecord {
    std::string id;       // unique within its kind
    std::string lookup;   // found by this, too: unique within its kind, or empty
    std::string content;  // JSON
};

inline constexpr std::string_view kLogInRecord = "log-in";   // id: the person's, in hex; lookup: e-mail address in lower case
inline constexpr std::string_view kLinkRecord = "link";      // id: SHA-256 of the link's token, in hex
inline constexpr std::string_view kWalletRecord = "wallet";  // id: the person's; lookup: the wallet's address, 0x…
inline constexpr std::string_view kRpcRecord = "rpc";  // id: the person's; lookup: SHA-256 of the token by which a wallet asks the ledger
inline constexpr std::string_view kResetRecord = "reset";  // id: the person's whose second factor one administrator wants to reset

/// Records in the index, each sealed, so that the disk names nobody; a register under a MAC of its own names their digests, so that none
/// can be deleted or put back from an earlier time while this object lives. Spec: docs/formats/index.md#accounts Errors: of all: corrupt: a
/// record, or the register, is not what was written; unavailable, io: the index Threads: safe
class AccountRecords {
public:
    AccountRecords(database::Database& database, crypto::Secret accounts_key);

    /// Nothing: there is none.
    Result<std::optional<AccountRecord>> find(database::Transaction& transaction, std::string_view kind, std::string_view id);
    Result<std::optional<AccountRecord>> find_by(database::Transaction& transaction, std::string_view kind, std::string_view lookup);
    struct All {
        std::vector<AccountRecord> records;  // by id
        std::vector<std::string> damaged;    // ids: changed, put back or deleted behind our back
    };
    Result<All> all(database::Transaction& transaction, std::string_view kind);
    /// Adds it, or takes the place of the one with its id. Errors: conflict: the lookup is another's.
    Result<void> put(database::Transaction& transaction, std::string_view kind, const AccountRecord& record);
    /// Returns: whether there was one.
    Result<bool> erase(database::Transaction& transaction, std::string_view kind, std::string_view id);
    database::Database& database() { return database_; }

    /// Seals them under another key. Those that did not open under the former one do not open under the new one. Requires: the facts are
    /// under the new key.
    static Result<void> rekey(database::Database& database, database::Transaction& transaction, const crypto::Secret& former,
                              const crypto::Secret& now);

private:
    struct Row;
    struct Register;
    Result<std::vector<Row>> read_rows(database::Transaction& transaction, const std::string& condition, const std::string& kind,
                                       const std::string& value) const;
    Result<Register> load(database::Transaction& transaction) const;
    Result<void> save(database::Transaction& transaction, Register& names) const;
    void note(std::uint64_t count);
    Result<AccountRecord> open(const Row& row) const;
    Result<std::optional<AccountRecord>> find_one(database::Transaction& transaction, const std::string& column, const std::string& kind,
                                                  const std::string& value);
    std::string lookup_hash(std::string_view kind, std::string_view lookup) const;
    Row seal(std::string_view kind, const AccountRecord& record) const;
    static Result<void> write(database::Transaction& transaction, const Row& row);

    database::Database& database_;
    const crypto::Secret row_key_, seal_key_, lookup_key_;
    std::atomic<std::uint64_t> seen_{0};  // the highest count of the register that was read
};

}  // namespace fiducial::archive
