#include "store/impl/statement.hpp"

#include <soci/soci.h>

#include <utility>

namespace fiducial::store {

struct Statement::State {
    State(database::Transaction& transaction, std::string sql) : statement(transaction, std::move(sql)) {}
    database::PreparedStatement statement;
    bool prepared = false;
    bool selects = false;
};

Statement::Statement(database::Transaction& transaction, std::string sql) : state_(std::make_unique<State>(transaction, std::move(sql))) {}
Statement::Statement(Statement&&) noexcept = default;
Statement::~Statement() = default;

Statement& Statement::in(std::string& value) {
    state_->statement->exchange(soci::use(value));
    return *this;
}
Statement& Statement::in(long long& value) {
    state_->statement->exchange(soci::use(value));
    return *this;
}
Statement& Statement::out(std::string& value) {
    state_->statement->exchange(soci::into(value));
    state_->selects = true;
    return *this;
}
Statement& Statement::out(long long& value) {
    state_->statement->exchange(soci::into(value));
    state_->selects = true;
    return *this;
}

Result<void> Statement::run() {
    auto done = database::attempt("index", [&] {
        if (!std::exchange(state_->prepared, true)) state_->statement.prepare();
        state_->statement->execute(!state_->selects);  // without data exchange SQLite would not even begin a statement that gives no rows
    });
    if (!done) state_->statement.forget();
    return done;
}

Result<bool> Statement::next() {
    auto more = database::attempt("index", [&] { return state_->statement->fetch(); });
    if (!more) state_->statement.forget();
    return more;
}

Result<void> execute(database::Transaction& transaction, const std::string& sql) {
    return database::attempt("index", [&] { transaction.sql() << sql; });
}

}  // namespace fiducial::store
