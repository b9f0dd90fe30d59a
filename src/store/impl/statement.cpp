#include "store/impl/statement.hpp"

#include <soci/soci.h>

namespace fiducial::store {

struct Statement::State {
    explicit State(soci::session& session) : statement(session) {}
    soci::statement statement;
    std::string sql;
    bool prepared = false;
    bool selects = false;
};

Statement::Statement(database::Transaction& transaction, std::string sql) : state_(std::make_unique<State>(transaction.sql())) { state_->sql = std::move(sql); }
Statement::Statement(Statement&&) noexcept = default;
Statement::~Statement() = default;

Statement& Statement::in(std::string& value) {
    state_->statement.exchange(soci::use(value));
    return *this;
}
Statement& Statement::in(long long& value) {
    state_->statement.exchange(soci::use(value));
    return *this;
}
Statement& Statement::out(std::string& value) {
    state_->statement.exchange(soci::into(value));
    state_->selects = true;
    return *this;
}
Statement& Statement::out(long long& value) {
    state_->statement.exchange(soci::into(value));
    state_->selects = true;
    return *this;
}

Result<void> Statement::run() {
    return database::attempt("index", [&] {
        if (!state_->prepared) {
            state_->statement.alloc();
            state_->statement.prepare(state_->sql);
            state_->statement.define_and_bind();
            state_->prepared = true;
        }
        state_->statement.execute(!state_->selects);  // without data exchange SQLite would not even begin a statement that gives no rows
    });
}

Result<bool> Statement::next() {
    return database::attempt("index", [&] { return state_->statement.fetch(); });
}

Result<void> execute(database::Transaction& transaction, const std::string& sql) {
    return database::attempt("index", [&] { transaction.sql() << sql; });
}

}  // namespace fiducial::store
