#pragma once
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "audit/trace.hpp"
#include "crypto/secret.hpp"
#include "database/database.hpp"

namespace fiducial::archive {

/// A text that the index keeps under a name (docs/formats/index.md#people). Nothing where there is none.
/// checked: what was read under this name before; the same text again is not authenticated again.
/// Errors: corrupt when its MAC does not fit.
Result<std::optional<std::string>> read_fact(database::Transaction& transaction, const crypto::Secret& row_key, std::string_view name,
                                             std::string_view checked = {});
Result<void> write_fact(database::Transaction& transaction, const crypto::Secret& row_key, std::string_view name, const std::string& value);

/// Puts all that fit the former key under another one.
Result<void> rekey_facts(database::Transaction& transaction, const crypto::Secret& former, const crypto::Secret& now);

/// Keeps size and root of the trace in the index, so that a trace put back from an earlier time, head and all, is found.
/// Threads: safe.
class TraceWitness {
public:
    TraceWitness(database::Database& database, crypto::Secret row_key) : database_(database), row_key_(std::move(row_key)) {}

    /// Does the trace begin with what was kept? Where it does, its head is kept from now on; else what does not fit is the problem.
    /// Requires: index_is_new is true only for an index that was lost as a whole: then the trace is taken as it is.
    Result<void> compare(const audit::Trace& trace, bool index_is_new);
    /// Does nothing while there is a problem. A failure is logged: the next head stands for this one too.
    void keep(const audit::TraceHead& head);
    /// "SIZE ROOT" of the trace as the index last knew it; empty where it does not know.
    Result<std::string> kept() const;
    /// Empty: none.
    std::string problem() const;
    /// Goes on from the trace that is there.
    Result<void> accept(const audit::Trace& trace);

private:
    Result<std::string> find_problem(const audit::Trace& trace, bool index_is_new);
    void keep_now(const audit::TraceHead& head);
    Result<void> write(const audit::TraceHead& head);
    database::Database& database_;
    const crypto::Secret row_key_;
    mutable std::mutex mutex_;
    std::string problem_ = "it was not compared";
};

}  // namespace fiducial::archive
