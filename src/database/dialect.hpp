#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"

namespace soci {
class session;
class statement;
}  // namespace soci

namespace fiducial::database {

/// All that differs between database systems. Another system is another implementation of this class; statements elsewhere
/// keep to what SQLite ≥ 3.35 and PostgreSQL ≥ 12 have in common (ON CONFLICT, RETURNING, partial indexes, row values).
/// Byte strings are stored as lower-case hex in text columns: SOCI's blobs behave differently in each back end.
class Dialect {
public:
    virtual ~Dialect() = default;

    /// Replaces placeholders in a migration: {id} (integer primary key that numbers itself), {int} (64 bits), {text}.
    /// Errors: invalid_argument for a placeholder that is not one.
    Result<std::string> translate(std::string_view portable_sql) const;

    /// `cache_kib`: pages that the session keeps in memory. May throw.
    virtual void prepare_session(soci::session& sql, std::uint32_t busy_timeout_ms, std::uint32_t cache_kib) const = 0;
    virtual void begin_read(soci::session& sql) const = 0;                         // may throw
    virtual void begin_write(soci::session& sql, bool full_durability) const = 0;  // may throw
    virtual void checkpoint(soci::session& sql) const = 0;                         // may throw
    /// Folds the write-ahead log from time to time, after a commit; calls `failed` where a sync fails on the way, of which the commit says
    /// nothing. Requires: `failed` outlives the session.
    virtual void fold_from_time_to_time(soci::session& sql, const std::function<void()>& failed) const = 0;
    /// Gives one number, which grows when another session commits.
    virtual std::string stamp_query() const = 0;
    virtual bool was_failed_sync(soci::session& sql) const = 0;            // what the session did last
    virtual void never_fold_again(soci::session& sql) const = 0;           // nor at closing
    virtual void reset(soci::statement& statement) const = 0;              // it holds no lock then; may throw
    virtual std::string integrity_findings(soci::session& sql) const = 0;  // empty when sound; may throw

protected:
    virtual std::string_view type_of(std::string_view placeholder) const = 0;  // empty when there is no such placeholder
};

const Dialect& sqlite_dialect();

/// Splits statements at ';', not inside quotes or "--" comments. Empty ones are left out.
std::vector<std::string> split_statements(std::string_view sql);

}  // namespace fiducial::database
