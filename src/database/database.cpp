#include "database/database.hpp"

#include <soci/soci.h>
#include <soci/sqlite3/soci-sqlite3.h>
#include <sqlite3.h>
#include <algorithm>
#include <chrono>
#include <map>
#include <thread>
#include <unordered_map>

#include <condition_variable>
#include <mutex>
#include <set>
#include <vector>

#include "base/clock.hpp"
#include "base/file.hpp"
#include "base/hex.hpp"
#include "base/log.hpp"
#include "crypto/hash.hpp"
#include "database/dialect.hpp"

namespace fiducial::database {

namespace {

constexpr std::size_t kMostRemembered = 100;  // statements of a session
// What a session keeps of the file in memory. The kernel keeps it, too: readers, of whom there are several, need little.
constexpr std::uint32_t kWriterCacheKib = 32 * 1024;
constexpr std::uint32_t kReaderCacheKib = 8 * 1024;
constexpr std::uint32_t kWatcherCacheKib = 64;

ErrorCode code_of(int sqlite_result) {
    switch (sqlite_result & 0xff) {
        case SQLITE_CONSTRAINT: return ErrorCode::conflict;
        case SQLITE_BUSY:
        case SQLITE_LOCKED: return ErrorCode::unavailable;
        case SQLITE_CORRUPT:
        case SQLITE_NOTADB: return ErrorCode::corrupt;
        case SQLITE_FULL: return ErrorCode::no_space;
        case SQLITE_READONLY:
        case SQLITE_PERM:
        case SQLITE_AUTH: return ErrorCode::permission;
        case SQLITE_IOERR:
        case SQLITE_CANTOPEN: return ErrorCode::io;
        default: return ErrorCode::internal;
    }
}

}  // namespace

Error error_from_current_exception(std::string_view what) noexcept {
    Error error;
    try {
        throw;
    } catch (const soci::sqlite3_soci_error& e) {
        error = Error{code_of(e.result()), "database: " + e.get_error_message()};
    } catch (const soci::soci_error& e) {
        error = Error{ErrorCode::internal, "database: " + e.get_error_message()};  // what() would hold the bound values
    } catch (const std::bad_alloc&) {
        error = Error{ErrorCode::limit_exceeded, "out of memory"};
    } catch (const std::exception& e) {
        error = Error{ErrorCode::internal, e.what()};
    } catch (...) {
        error = Error{ErrorCode::internal, "unknown exception"};
    }
    return error.with(what);
}

// Session 0 is the writer's; the others are the readers', opened when first needed.
struct Database::State {
    using Remembered = std::unordered_map<std::string, std::unique_ptr<soci::statement>>;
    Options options;
    const Dialect* dialect = nullptr;
    std::vector<std::unique_ptr<soci::session>> sessions;
    std::vector<Remembered> remembered;  // of each session, those that nobody uses; they go before the sessions
    std::mutex mutex;
    std::condition_variable freed;
    std::vector<std::size_t> free_readers;
    bool writer_busy = false;
    bool sync_failed = false;
    std::function<void()> on_failed_sync;
    std::mutex watch_mutex;
    std::unique_ptr<soci::session> watcher;  // never writes: every commit is another's
    std::unique_ptr<soci::statement> watching;
    long long stamp = 0;  // what `watching` read last

    std::unique_ptr<soci::session> open_session(std::uint32_t cache_kib) const {  // may throw
        auto session = std::make_unique<soci::session>(soci::sqlite3, "db=\"" + options.path.string() + "\"");
        dialect->prepare_session(*session, options.busy_timeout_ms, cache_kib);
        return session;
    }

    Result<void> connect(std::size_t index) {
        return attempt("opening " + options.path.string(), [&] {
            auto session = open_session(index == 0 ? kWriterCacheKib : kReaderCacheKib);
            dialect->fold_from_time_to_time(*session, on_failed_sync);
            sessions[index] = std::move(session);
        });
    }
};

Database::Database(std::unique_ptr<State> state) : state_(std::move(state)) {
    state_->on_failed_sync = [this] { stop_writing(); };
}

Database::~Database() {
    if (!state_->sync_failed) return;
    for (const auto& session : state_->sessions) {
        if (session)
            state_->dialect->never_fold_again(*session);  // what the log holds is read again, with its checksums, at the next opening
    }
}

void Database::stop_writing() {
    {
        const std::lock_guard lock(state_->mutex);
        if (std::exchange(state_->sync_failed, true)) return;
    }
    log::error("database", failure()->message);
}

std::optional<Error> Database::failure() const {
    const std::lock_guard lock(state_->mutex);
    if (!state_->sync_failed) return {};
    return Error{ErrorCode::unavailable,
                 "a sync of " + state_->options.path.string() + " failed: nothing can be written to it until the archive is started again"};
}

soci::session& Database::session(std::size_t index) {
    return *state_->sessions[index];
}

void Database::give_back(std::size_t session, bool writes) noexcept {
    {
        const std::lock_guard lock(state_->mutex);
        if (writes) {
            state_->writer_busy = false;
        } else {
            state_->free_readers.push_back(session);
        }
    }
    state_->freed.notify_all();
}

Result<Transaction> Database::begin_write(Durability durability) {
    if (auto failed = failure()) return fail(*std::move(failed));
    {
        std::unique_lock lock(state_->mutex);
        if (!state_->freed.wait_for(lock, std::chrono::milliseconds(state_->options.busy_timeout_ms),
                                    [&] { return !state_->writer_busy; })) {
            return fail(ErrorCode::timeout,
                        "another write to the database took longer than " + std::to_string(state_->options.busy_timeout_ms) + " ms");
        }
        state_->writer_busy = true;
    }
    auto begun = attempt("beginning a transaction", [&] { state_->dialect->begin_write(session(0), durability == Durability::full); });
    if (!begun) {
        give_back(0, true);
        return fail(std::move(begun).error());
    }
    return Transaction(*this, 0, true);
}

Result<Transaction> Database::begin_read() {
    std::size_t index = 0;
    {
        std::unique_lock lock(state_->mutex);
        if (!state_->freed.wait_for(lock, std::chrono::milliseconds(state_->options.busy_timeout_ms),
                                    [&] { return !state_->free_readers.empty(); })) {
            return fail(ErrorCode::timeout, "all " + std::to_string(state_->options.readers) + " database sessions are busy");
        }
        index = state_->free_readers.back();
        state_->free_readers.pop_back();
    }
    Result<void> ready;
    if (!state_->sessions[index]) ready = state_->connect(index);  // only the holder of an index touches its session
    if (ready) ready = attempt("beginning a transaction", [&] { state_->dialect->begin_read(session(index)); });
    if (!ready) {
        give_back(index, false);
        return fail(std::move(ready).error());
    }
    return Transaction(*this, index, false);
}

Transaction::Transaction(Transaction&& other) noexcept
    : database_(other.database_), session_(other.session_), writes_(other.writes_), open_(std::exchange(other.open_, false)) {}

Transaction::~Transaction() {
    if (!open_) return;
    const auto rolled_back = attempt("rolling back", [&] { sql() << "ROLLBACK"; });
    // SQLite rolls back by itself after some errors; "no transaction is active" is then the expected answer.
    if (!rolled_back) log::debug("database", "rollback", {{"error", rolled_back.error().message}});
    database_->give_back(session_, writes_);
}

PreparedStatement::PreparedStatement(Transaction& transaction, std::string sql)
    : database_(*transaction.database_), session_(transaction.session_), sql_(std::move(sql)) {
    auto& remembered = database_.state_->remembered[session_];
    if (const auto found = remembered.find(sql_); found != remembered.end()) {
        statement_ = std::move(found->second);
        remembered.erase(found);
    } else {
        statement_ = std::make_unique<soci::statement>(transaction.sql());
        prepared_ = false;
    }
}

void PreparedStatement::prepare() {
    if (!prepared_) {
        statement_->alloc();
        statement_->prepare(sql_);
        prepared_ = true;
    }
    statement_->define_and_bind();
}

PreparedStatement::~PreparedStatement() {
    auto& remembered = database_.state_->remembered[session_];
    if (!prepared_ || remembered.size() >= kMostRemembered) return;
    const auto done = attempt("forgetting a statement's variables", [&] {
        statement_->bind_clean_up();
        database_.state_->dialect->reset(*statement_);
        remembered.emplace(std::move(sql_), std::move(statement_));
    });
    if (!done) log::debug("database", "a statement is not remembered", {{"error", done.error().message}});
}

soci::session& Transaction::sql() {
    return database_->session(session_);
}

Result<void> Transaction::commit() {
    FID_INVARIANT(open_, "a transaction is committed once");
    if (auto done = attempt("committing", [&] { sql() << "COMMIT"; }); !done) {
        if (writes_ && database_->state_->dialect->was_failed_sync(sql())) database_->stop_writing();
        return done;
    }
    open_ = false;
    database_->give_back(session_, writes_);
    return {};
}

Result<void> Database::copy(Transaction& reading, const std::filesystem::path& file,
                            const std::function<Result<void>(std::uint64_t, std::uint64_t)>& progress) {
    using namespace sqlite_api;  // where SOCI puts it
    constexpr int kPagesAtOnce = 4096;
    { FID_TRY(const auto fresh, File::open(file, File::Mode::create_new)); }  // private from the start
    return attempt("copying " + state_->options.path.string(), [&]() -> Result<void> {
        int pages = 0;
        reading.sql() << "SELECT count(*) FROM sqlite_master", soci::into(pages);  // from here on the transaction has its snapshot
        soci::session target(soci::sqlite3, "db=\"" + file.string() + "\" synchronous=off");
        const auto connection = [](soci::session& session) {
            return static_cast<soci::sqlite3_session_backend*>(session.get_backend())->conn_;
        };
        const std::unique_ptr<sqlite3_backup, int (*)(sqlite3_backup*)> copying(
            sqlite3_backup_init(connection(target), "main", connection(reading.sql()), "main"), sqlite3_backup_finish);
        if (!copying) throw soci::sqlite3_soci_error(sqlite3_errmsg(connection(target)), sqlite3_errcode(connection(target)));
        for (;;) {
            const int outcome = sqlite3_backup_step(copying.get(), kPagesAtOnce);
            if (outcome != SQLITE_OK && outcome != SQLITE_DONE) throw soci::sqlite3_soci_error(sqlite3_errstr(outcome), outcome);
            FID_CHECK(progress(static_cast<std::uint64_t>(sqlite3_backup_remaining(copying.get())),
                               static_cast<std::uint64_t>(sqlite3_backup_pagecount(copying.get()))));
            if (outcome == SQLITE_DONE) return {};
        }
    });
}

Result<std::uint64_t> Database::stamp() {
    auto& state = *state_;
    const std::lock_guard lock(state.watch_mutex);
    return attempt("asking whether anything was written", [&] {
        if (!state.watching) {
            auto session = state.open_session(kWatcherCacheKib);
            auto statement = std::make_unique<soci::statement>(*session);
            statement->exchange(soci::into(state.stamp));
            statement->alloc();
            statement->prepare(state.dialect->stamp_query());
            statement->define_and_bind();
            state.watcher = std::move(session);
            state.watching = std::move(statement);
        }
        state.watching->execute(true);
        state.dialect->reset(*state.watching);
        return static_cast<std::uint64_t>(state.stamp);
    });
}

Result<void> Database::checkpoint() {
    // Not inside a transaction: take the writer's turn, end the transaction, fold the log.
    FID_TRY(auto turn, begin_write(Durability::full));
    auto& sql = turn.sql();
    FID_CHECK(attempt("ending a transaction", [&] { sql << "COMMIT"; }));
    auto done = attempt("folding the write-ahead log", [&] { state_->dialect->checkpoint(sql); });
    if (!done && state_->dialect->was_failed_sync(sql)) stop_writing();
    turn.open_ = false;
    give_back(0, true);
    return done;
}

Result<void> Database::check_integrity() {
    FID_TRY(auto turn, begin_read());
    FID_TRY(const auto findings, attempt("checking the database", [&] { return state_->dialect->integrity_findings(turn.sql()); }));
    if (!findings.empty()) return fail(ErrorCode::corrupt, state_->options.path.string() + ": " + findings);
    return {};
}

namespace {

struct Applied {
    std::string room;
    std::uint32_t number = 0;
    std::string checksum;
};

std::string checksum_of(const Migration& migration) {
    return to_hex(crypto::sha256(as_bytes(migration.sql)));
}

Result<void> check_numbering(std::span<const Migration> migrations) {
    std::map<std::string_view, std::uint32_t> last;
    for (const auto& migration : migrations) {
        if (migration.number != last[migration.room] + 1) {
            return fail(ErrorCode::invalid_argument, "migrations of " + std::string(migration.room) + " are not numbered 1, 2, 3 …");
        }
        last[migration.room] = migration.number;
    }
    return {};
}

Result<std::vector<Applied>> read_applied(Database& database) {
    return database.write(Durability::full, [&](Transaction& transaction) {
        return attempt("reading the schema's versions", [&] {
            auto& sql = transaction.sql();
            sql << "CREATE TABLE IF NOT EXISTS schema_migrations (room TEXT NOT NULL, number INTEGER NOT NULL, checksum TEXT NOT NULL,"
                   " applied_at TEXT NOT NULL, PRIMARY KEY (room, number))";
            std::vector<Applied> applied;
            const soci::rowset<soci::row> rows =
                (sql.prepare << "SELECT room, CAST(number AS TEXT), checksum FROM schema_migrations ORDER BY room, number");
            for (const auto& row : rows) {
                applied.push_back(
                    {row.get<std::string>(0), static_cast<std::uint32_t>(std::stoul(row.get<std::string>(1))), row.get<std::string>(2)});
            }
            return applied;
        });
    });
}

Result<void> apply(Database& database, const Dialect& dialect, const Migration& migration) {
    FID_TRY(const auto translated, dialect.translate(migration.sql));
    const auto name = std::string(migration.room) + " " + std::to_string(migration.number);
    return database.write(Durability::full, [&](Transaction& transaction) {
        return attempt("applying migration " + name, [&] {
            auto& sql = transaction.sql();
            for (const auto& statement : split_statements(translated)) sql << statement;
            const std::string room(migration.room);
            const long long number = migration.number;
            const auto checksum = checksum_of(migration);
            const auto now = to_rfc3339(system_clock().now());
            sql << "INSERT INTO schema_migrations (room, number, checksum, applied_at) VALUES (:room, :number, :checksum, :at)",
                soci::use(room, "room"), soci::use(number, "number"), soci::use(checksum, "checksum"), soci::use(now, "at");
        });
    });
}

Result<void> migrate(Database& database, const Dialect& dialect, const std::filesystem::path& path, std::span<const Migration> migrations) {
    FID_CHECK(check_numbering(migrations));
    FID_TRY(const auto applied, read_applied(database));
    std::set<std::pair<std::string_view, std::uint32_t>> done;
    for (const auto& row : applied) {
        const bool ours = std::any_of(migrations.begin(), migrations.end(), [&](const Migration& m) { return m.room == row.room; });
        if (!ours) continue;  // a tool that opens only some rooms' tables
        const auto known = std::find_if(migrations.begin(), migrations.end(),
                                        [&](const Migration& m) { return m.room == row.room && m.number == row.number; });
        const auto name = row.room + " " + std::to_string(row.number);
        if (known == migrations.end()) {
            return fail(ErrorCode::unsupported,
                        path.string() + " was written by a newer version of this program (it has migration " + name +
                            ", which this version does not know); use that version, or restore a backup made before it");
        }
        if (checksum_of(*known) != row.checksum) {
            return fail(ErrorCode::corrupt, path.string() + ": migration " + name + " was applied in another form than this program's");
        }
        done.insert({known->room, known->number});
    }
    for (const auto& migration : migrations) {
        if (!done.contains({migration.room, migration.number})) FID_CHECK(apply(database, dialect, migration));
    }
    return {};
}

std::vector<std::string> tables_of(soci::session& sql) {  // may throw
    std::vector<std::string> names;
    const soci::rowset<std::string> rows = (sql.prepare << "SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name");
    for (const auto& name : rows) names.push_back(name);
    return names;
}

// What the migrations make must be there.
Result<void> check_tables(Database& database, const Dialect& dialect, const std::filesystem::path& path,
                          std::span<const Migration> migrations) {
    soci::session model(soci::sqlite3, "db=:memory:");
    for (const auto& migration : migrations) {
        FID_TRY(const auto translated, dialect.translate(migration.sql));
        FID_CHECK(attempt("making a model of the schema", [&] {
            for (const auto& statement : split_statements(translated)) model << statement;
        }));
    }
    return database.read([&](Transaction& transaction) {
        return attempt("reading the schema", [&]() -> Result<void> {
            const auto there = tables_of(transaction.sql());
            for (const auto& name : tables_of(model)) {
                if (!std::binary_search(there.begin(), there.end(), name))
                    return fail(ErrorCode::corrupt, path.string() + ": the table " + name + " is missing");
            }
            return {};
        });
    });
}

}  // namespace

Result<std::unique_ptr<Database>> Database::open(const Options& options, std::span<const Migration> migrations) {
    if (options.path.string().find('"') != std::string::npos) {
        return fail(ErrorCode::invalid_argument, "the database's path may not hold a quotation mark: " + options.path.string());
    }
    { FID_TRY(const auto file, File::open(options.path, File::Mode::read_write_create)); }  // so that it is private from the start
    auto state = std::make_unique<State>();
    state->options = options;
    state->dialect = &sqlite_dialect();
    state->sessions.resize(options.readers + 1);
    state->remembered.resize(options.readers + 1);
    for (std::size_t i = options.readers; i >= 1; --i) state->free_readers.push_back(i);
    FID_CHECK(state->connect(0));
    std::unique_ptr<Database> database(new Database(std::move(state)));
    FID_CHECK(database->checkpoint());  // a former process may have read and believed what no sync had put on the disk
    FID_CHECK(migrate(*database, *database->state_->dialect, options.path, migrations));
    FID_CHECK(check_tables(*database, *database->state_->dialect, options.path, migrations));
    // SQLite syncs the folder for its log's entry by itself, and says nothing when that fails: a power cut would take the log.
    FID_CHECK(sync_folder(options.path.has_parent_path() ? options.path.parent_path() : "."));
    return database;
}

}  // namespace fiducial::database
