#pragma once
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "base/clock.hpp"
#include "base/configuration.hpp"
#include "base/result.hpp"
#include "crypto/secret.hpp"
#include "database/database.hpp"
#include "net/smtp.hpp"

namespace fiducial::archive {

struct MailSettings {
    net::SmtpSettings server;
    std::string from, from_name;
    std::string base_url;  // what links begin with
    std::chrono::milliseconds first_wait{2'000}, longest_wait{3'600'000}, longest_wait_for_server{300'000};
    std::chrono::hours age{72};         // what could not be handed over for so long is given up
    std::chrono::hours keep_sent{168};  // that, when and to whom; not what
};
/// Nothing: no e-mail is set up. Errors: invalid_argument, io: a setting of [mail] that cannot be used, and what to do.
Result<std::optional<MailSettings>> mail_settings(const Configuration& configuration);

enum class MailState : std::uint8_t { waiting, failed, sent };
std::string_view name_of(MailState state);

struct Mail {
    std::int64_t id = 0;
    std::string kind;  // message, confirmation, reset, reset-request
    std::string to;
    std::string text;  // header and body; empty once it is sent, and of a request
    MailState state = MailState::waiting;
    std::int64_t since_ms = 0, next_ms = 0, tries = 0;
    std::string problem;  // the last one, with the server's own words
};

/// E-mails on their way to the mail server: sealed rows, each handed over at least once (again, under the same Message-ID, where the
/// archive is killed before it has noted that the server took it), or given up with what the server said. At most 10,000 wait: beyond that
/// no further ones are taken, which is logged; what they tell of stands in the inbox all the same. Spec: docs/formats/index.md#mails
/// Security: addresses and texts stand nowhere in clear, nor in the log.
/// Threads: safe; one of its own.
class MailOutbox {
public:
    /// Requires: the database outlives it.
    MailOutbox(database::Database& database, const crypto::Secret& accounts_key, std::optional<MailSettings> settings,
               const Clock& clock = system_clock());
    ~MailOutbox();

    bool on() const { return settings_.has_value(); }
    const std::string& base_url() const { return settings_->base_url; }

    /// Errors: invalid_argument: those of write_mail(); limit_exceeded: too many wait. Requires: on()
    Result<void> add(database::Transaction& transaction, std::string_view kind, const std::string& to, const std::string& subject,
                     const std::string& body);
    /// Somebody asks for a mail to an address that may be nobody's: which of both it is shows in nothing that is done now.
    Result<void> request(database::Transaction& transaction, const std::string& to);
    using Answerer = std::function<Result<void>(database::Transaction&, const std::string& to)>;
    /// What then adds the mail, or does not. Requires: before start().
    void set_answerer(Answerer answer) { answer_ = std::move(answer); }

    void start();
    void stop();
    /// Hands over what is due. Returns: how many were looked at.
    Result<std::size_t> work(const std::stop_token& stop);
    /// A mail that only tries the way, past the outbox. Errors: invalid_argument, unavailable: with the server's own words.
    Result<std::string> test(const std::string& to);

    /// Why nothing is handed over at present; empty: all is well.
    std::string problem() const;
    /// Newest first.
    Result<std::vector<Mail>> list(std::size_t most);
    struct Which {
        std::vector<std::int64_t> ids;  // none: all
        bool only_failed = false;
    };
    /// Returns: how many.
    Result<std::uint64_t> retry(const Which& which);
    Result<std::uint64_t> discard(const Which& which);

    static Result<void> rekey(database::Transaction& transaction, const crypto::Secret& former, const crypto::Secret& now);

private:
    std::int64_t now_ms() const { return clock_.now().time_since_epoch().count(); }
    Result<void> insert(database::Transaction& transaction, const Mail& mail);
    Result<void> note(const Mail& mail);
    Result<void> hand_over(Mail& mail, const std::stop_token& stop);
    Result<std::uint64_t> change(const Which& which, const std::string& what);
    std::chrono::milliseconds wait_after(std::int64_t tries, std::chrono::milliseconds longest) const;
    Result<std::string> written(const std::string& to, const std::string& subject, const std::string& body) const;

    database::Database& database_;
    const crypto::Secret seal_key_;
    const std::optional<MailSettings> settings_;
    const Clock& clock_;
    Answerer answer_;
    mutable std::mutex mutex_;
    std::string problem_;
    std::int64_t away_since_ms_ = 0, away_tries_ = 0, away_until_ms_ = 0;  // of the server
    std::condition_variable_any wakes_;
    std::jthread thread_;
};

}  // namespace fiducial::archive
