#pragma once
#include <cstdint>
#include <exception>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "base/result.hpp"

namespace soci {
class session;
class statement;
}  // namespace soci

namespace fiducial::database {

/// What a commit promises.
enum class Durability : std::uint8_t {
    rebuildable,  // visible at once; a power cut may take it back. Only for what can be made again from elsewhere
    full,         // on the disk before commit() returns, with all that was committed before it
};

/// One step of a room's schema. Never edited once released: add another.
/// `sql` holds statements, each ended by ';' at a line's end, in portable SQL with the placeholders of dialect.hpp.
struct Migration {
    std::string_view room;
    std::uint32_t number = 0;  // 1, 2, 3 … within the room
    std::string_view sql;
};

struct Options {
    std::filesystem::path path;              // of the SQLite file; made where missing, mode 0600
    std::uint32_t readers = 8;               // sessions that may read at one time
    std::uint32_t busy_timeout_ms = 10'000;  // how long to wait for a session, or for another process's lock
};

class Database;

/// A transaction: everything or nothing. Rolls back when it goes without commit().
/// Threads: one at a time. Close it before waiting for a peer: a reader's open snapshot keeps old pages alive, a writer holds up all
/// others.
class Transaction {
public:
    Transaction(Transaction&& other) noexcept;
    Transaction& operator=(Transaction&&) = delete;
    ~Transaction();

    /// For .cpp files that include <soci/soci.h>. What SOCI throws is turned into an Error by attempt() below.
    soci::session& sql();
    bool writes() const { return writes_; }
    /// Errors: those of attempt(); nothing is stored then. Requires: called at most once.
    Result<void> commit();

private:
    friend class Database;
    friend class PreparedStatement;
    Transaction(Database& database, std::size_t session, bool writes) : database_(&database), session_(session), writes_(writes) {}
    Database* database_;
    std::size_t session_;
    bool writes_;
    bool open_ = true;
};

/// A statement that its session remembers by its SQL once it is prepared: parsing costs more than most statements do.
/// Requires: goes before its transaction does.
class PreparedStatement {
public:
    PreparedStatement(Transaction& transaction, std::string sql);
    PreparedStatement(const PreparedStatement&) = delete;
    PreparedStatement& operator=(const PreparedStatement&) = delete;
    ~PreparedStatement();

    /// To exchange variables with; without any at first.
    soci::statement& operator*() { return *statement_; }
    soci::statement* operator->() { return statement_.get(); }
    /// After the variables, before the first execute(). May throw as SOCI does.
    void prepare();
    /// Something went wrong with it: it is not remembered.
    void forget() { prepared_ = false; }

private:
    Database& database_;
    const std::size_t session_;
    std::string sql_;
    std::unique_ptr<soci::statement> statement_;
    bool prepared_ = true;
};

/// One site's database: one writer at a time, readers beside it, each on a snapshot of its own.
/// SQLite in WAL mode now; what differs between database systems lies in dialect.cpp alone.
/// Threads: safe.
class Database {
public:
    /// Opens the database and brings its schema up to date, each migration in a transaction of its own.
    /// Errors: unsupported when a newer program has been here (migrations that we do not know); corrupt when a migration that
    /// was applied is not the one we know, a table is missing, or the file is no database; permission, locked, io.
    static Result<std::unique_ptr<Database>> open(const Options& options, std::span<const Migration> migrations);
    ~Database();
    Database(const Database&) = delete;
    Database& operator=(const Database&) = delete;

    /// Why nothing can be written until the database is opened again: a sync failed. Nothing while all is well. What was committed before
    /// and not yet synced may be lost then, in the middle of the log, and what came behind it would be lost with it after a power cut.
    std::optional<Error> failure() const;

    /// Waits for its turn. Errors: timeout when no turn came within busy_timeout_ms; unavailable as failure() says.
    /// Requires: the calling thread has no write transaction open (it would wait for itself).
    Result<Transaction> begin_write(Durability durability);
    Result<Transaction> begin_read();

    /// Runs body(Transaction&), which returns a Result, and commits if it succeeded.
    template <typename Body>
    auto write(Durability durability, Body&& body) -> std::invoke_result_t<Body, Transaction&> {
        FID_TRY(auto transaction, begin_write(durability));
        auto outcome = std::forward<Body>(body)(transaction);
        if (outcome) FID_CHECK(transaction.commit());
        return outcome;
    }
    template <typename Body>
    auto read(Body&& body) -> std::invoke_result_t<Body, Transaction&> {
        FID_TRY(auto transaction, begin_read());
        return std::forward<Body>(body)(transaction);
    }

    /// Makes a new file of the database as a reading transaction sees it, page by page; others go on meanwhile (the write-ahead log
    /// cannot be folded until it is done). Not synced. Errors: conflict when the file exists; cancelled, and others that `progress` gives.
    Result<void> copy(Transaction& reading, const std::filesystem::path& file,
                      const std::function<Result<void>(std::uint64_t pages_left, std::uint64_t pages)>& progress);

    /// A number that grows with every commit, whichever session or process made it: what was read after the number was asked for holds
    /// as long as the number stays the same. Costs some microseconds.
    Result<std::uint64_t> stamp();

    /// Puts everything committed so far on the disk and folds the write-ahead log into the file.
    Result<void> checkpoint();
    /// Asks the database to check its own structure. Errors: corrupt with what it found.
    Result<void> check_integrity();

private:
    friend class Transaction;
    friend class PreparedStatement;
    struct State;
    explicit Database(std::unique_ptr<State> state);
    void give_back(std::size_t session, bool writes) noexcept;
    soci::session& session(std::size_t index);
    void stop_writing();
    std::unique_ptr<State> state_;
};

/// The Error for the exception being handled. Requires: called inside a catch block.
/// Returns: conflict for a broken constraint, unavailable when busy, corrupt, no_space, permission, io, else internal.
/// Security: neither values bound to a statement nor the statement itself are in the message.
Error error_from_current_exception(std::string_view what) noexcept;

/// Runs SQL (or anything else that throws) and turns exceptions into an Error that says `what` was being done.
/// `body` may return void, a value or a Result.
template <typename Body>
auto attempt(std::string_view what, Body&& body) {
    using Value = std::invoke_result_t<Body>;
    if constexpr (std::is_void_v<Value>) {
        try {
            std::forward<Body>(body)();
            return Result<void>{};
        } catch (const std::exception&) {
            return Result<void>(tl::make_unexpected(error_from_current_exception(what)));
        }
    } else if constexpr (requires(Value v) {
                             v.error();
                             v.has_value();
                         }) {
        try {
            return std::forward<Body>(body)();
        } catch (const std::exception&) {
            return Value(tl::make_unexpected(error_from_current_exception(what)));
        }
    } else {
        try {
            return Result<Value>(std::forward<Body>(body)());
        } catch (const std::exception&) {
            return Result<Value>(tl::make_unexpected(error_from_current_exception(what)));
        }
    }
}

}  // namespace fiducial::database
