#pragma once
#include <memory>
#include <string>

#include "database/database.hpp"

namespace fiducial::store {

/// One SQL statement with its variables: in() and out() in the order of the placeholders and columns, then run(), next().
/// Variables must outlive the statement; run() again takes their new values. Only text and 64-bit integers.
class Statement {
public:
    Statement(database::Transaction& transaction, std::string sql);
    Statement(Statement&&) noexcept;
    ~Statement();

    Statement& in(std::string& value);
    Statement& in(long long& value);
    Statement& out(std::string& value);
    Statement& out(long long& value);

    /// Runs it; a first row, where there is one, is fetched by next().
    Result<void> run();
    /// Returns: false when there are no more rows.
    Result<bool> next();

private:
    struct State;
    std::unique_ptr<State> state_;
};

/// Runs a statement without variables.
Result<void> execute(database::Transaction& transaction, const std::string& sql);

}  // namespace fiducial::store
