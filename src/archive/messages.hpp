#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "crypto/secret.hpp"
#include "database/database.hpp"

namespace fiducial::archive {

/// Something that a person is told.
struct Message {
    std::int64_t id = 0;
    std::string kind;  // registration, activation, deactivation, grant, revocation, break-glass, quarantine, security
    std::string text;
    std::int64_t at_ms = 0;
    bool was_read = false;
};

/// Everybody's inbox, sealed: at most 500 messages a person, the oldest go first. A row that was changed is not shown; one that is gone is
/// not missed: what happened stands in the trace.
/// Spec: docs/formats/index.md#accounts
/// Threads: safe
class Messages {
public:
    Messages(database::Database& database, const crypto::Secret& accounts_key);
    /// Called with each message that is added, in its transaction. Requires: set before anything is added.
    using OnAdded = std::function<void(database::Transaction&, const Bytes32& person)>;
    void on_added(OnAdded added) { added_ = std::move(added); }
    Result<void> add(database::Transaction& transaction, const Bytes32& person, std::string_view kind, std::string_view text);
    /// The same in a transaction of its own. What fails is logged: what the message is about has happened.
    void tell(const Bytes32& person, std::string_view kind, std::string_view text);
    /// Newest first.
    Result<std::vector<Message>> of(const Bytes32& person);
    Result<std::uint64_t> unread(const Bytes32& person);
    /// ids: none: all.
    Result<void> mark_read(const Bytes32& person, const std::vector<std::int64_t>& ids);
    static Result<void> rekey(database::Transaction& transaction, const crypto::Secret& former, const crypto::Secret& now);

private:
    database::Database& database_;
    const crypto::Secret seal_key_;
    OnAdded added_;
};

}  // namespace fiducial::archive
