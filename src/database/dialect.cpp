#include "database/dialect.hpp"

#include <soci/soci.h>
#include <soci/sqlite3/soci-sqlite3.h>
#include <sqlite3.h>

namespace fiducial::database {

Result<std::string> Dialect::translate(std::string_view portable_sql) const {
    std::string out;
    std::size_t at = 0;
    while (true) {
        const auto open = portable_sql.find('{', at);
        if (open == std::string_view::npos) break;
        const auto close = portable_sql.find('}', open);
        if (close == std::string_view::npos) return fail(ErrorCode::invalid_argument, "a migration has '{' without '}'");
        const auto placeholder = portable_sql.substr(open + 1, close - open - 1);
        const auto type = type_of(placeholder);
        if (type.empty())
            return fail(ErrorCode::invalid_argument, "a migration has the unknown placeholder {" + std::string(placeholder) + "}");
        out += portable_sql.substr(at, open - at);
        out += type;
        at = close + 1;
    }
    out += portable_sql.substr(at);
    return out;
}

namespace {

using namespace sqlite_api;  // where SOCI puts it

constexpr int kFoldAfterPages = 4000;

sqlite3* connection_of(soci::session& sql) {
    return static_cast<soci::sqlite3_session_backend*>(sql.get_backend())->conn_;
}

int fold_when_long(void* failed, sqlite3* connection, const char* name, int pages) {
    if (pages < kFoldAfterPages) return SQLITE_OK;
    sqlite3_wal_checkpoint_v2(connection, name, SQLITE_CHECKPOINT_PASSIVE, nullptr, nullptr);
    if (sqlite3_extended_errcode(connection) == SQLITE_IOERR_FSYNC) (*static_cast<const std::function<void()>*>(failed))();
    return SQLITE_OK;  // the commit has been made, and the log is there to be folded later
}

class SqliteDialect final : public Dialect {
public:
    void prepare_session(soci::session& sql, std::uint32_t busy_timeout_ms, std::uint32_t cache_kib) const override {
        sql << "PRAGMA busy_timeout=" << busy_timeout_ms;
        std::string mode;
        sql << "PRAGMA journal_mode=WAL", soci::into(mode);
        if (mode != "wal") throw std::runtime_error("the file system does not support the write-ahead log (journal mode is " + mode + ")");
        sql << "PRAGMA synchronous=FULL";
        sql << "PRAGMA foreign_keys=ON";
        sql << "PRAGMA temp_store=MEMORY";
        sql << "PRAGMA cache_size=-" << cache_kib;
        sql << "PRAGMA journal_size_limit=67108864";
        sql << "PRAGMA trusted_schema=OFF";
        sql << "PRAGMA cell_size_check=ON";
    }
    void begin_read(soci::session& sql) const override { sql << "BEGIN DEFERRED"; }
    void begin_write(soci::session& sql, bool full_durability) const override {
        // In WAL mode a FULL commit syncs the log, and with it all NORMAL commits before it.
        sql << (full_durability ? "PRAGMA synchronous=FULL" : "PRAGMA synchronous=NORMAL");
        sql << "BEGIN IMMEDIATE";
    }
    void checkpoint(soci::session& sql) const override {
        int busy = 0;
        sql << "PRAGMA synchronous=FULL";
        sql << "PRAGMA wal_checkpoint(TRUNCATE)", soci::into(busy);
    }
    void fold_from_time_to_time(soci::session& sql, const std::function<void()>& failed) const override {
        sqlite3_wal_hook(connection_of(sql), &fold_when_long, const_cast<std::function<void()>*>(&failed));
    }
    std::string stamp_query() const override { return "PRAGMA data_version"; }
    bool was_failed_sync(soci::session& sql) const override { return sqlite3_extended_errcode(connection_of(sql)) == SQLITE_IOERR_FSYNC; }
    void never_fold_again(soci::session& sql) const override {
        sqlite3_wal_hook(connection_of(sql), nullptr, nullptr);
        sqlite3_db_config(connection_of(sql), SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, nullptr);
    }
    void reset(soci::statement& statement) const override {
        auto& backend = *static_cast<soci::sqlite3_statement_backend*>(statement.get_backend());
        sqlite3_reset(backend.stmt_);
        backend.databaseReady_ = true;
    }
    std::string integrity_findings(soci::session& sql) const override {
        const soci::rowset<std::string> rows = (sql.prepare << "PRAGMA integrity_check(20)");
        std::string findings;
        for (const auto& row : rows) {
            if (row != "ok") findings += (findings.empty() ? "" : "; ") + row;
        }
        return findings;
    }

protected:
    std::string_view type_of(std::string_view placeholder) const override {
        if (placeholder == "id") return "INTEGER PRIMARY KEY";
        if (placeholder == "int") return "INTEGER";
        if (placeholder == "text") return "TEXT";
        return {};
    }
};

}  // namespace

const Dialect& sqlite_dialect() {
    static const SqliteDialect dialect;
    return dialect;
}

std::vector<std::string> split_statements(std::string_view sql) {
    std::vector<std::string> statements;
    std::string current;
    bool anything = false;  // besides white space and comments
    for (std::size_t i = 0; i < sql.size(); ++i) {
        const char c = sql[i];
        if (c == '-' && i + 1 < sql.size() && sql[i + 1] == '-') {
            const auto end = sql.find('\n', i);
            i = end == std::string_view::npos ? sql.size() : end;
            current += '\n';
        } else if (c == '\'' || c == '"') {
            const auto end = sql.find(c, i + 1);
            const auto last = end == std::string_view::npos ? sql.size() - 1 : end;
            current += sql.substr(i, last - i + 1);
            anything = true;
            i = last;
        } else if (c == ';') {
            if (anything) statements.push_back(current);
            current.clear();
            anything = false;
        } else {
            current += c;
            if (c != ' ' && c != '\n' && c != '\t' && c != '\r') anything = true;
        }
    }
    if (anything) statements.push_back(current);
    return statements;
}

}  // namespace fiducial::database
