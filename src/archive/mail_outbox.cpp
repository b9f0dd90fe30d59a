#include "archive/mail_outbox.hpp"

#include <soci/soci.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>

#include "archive/contact.hpp"
#include "archive/front_desk.hpp"
#include "archive/mail_text.hpp"
#include "base/file.hpp"
#include "base/hex.hpp"
#include "base/log.hpp"
#include "crypto/aead.hpp"
#include "crypto/hash.hpp"

namespace fiducial::archive {
namespace {

using std::chrono::milliseconds;

constexpr std::array<std::string_view, 3> kStates{"waiting", "failed", "sent"};
constexpr std::string_view kRequest = "reset-request";
constexpr long long kMostWaiting = 10'000;
constexpr std::size_t kBatch = 50;
constexpr std::chrono::seconds kLookEvery{1};

struct Row {
    long long id = 0, since_ms = 0, next_ms = 0, tries = 0;
    std::string state, sealed, problem;
};

crypto::Secret seal_key_of(const crypto::Secret& accounts_key) {
    crypto::Secret out(32);
    crypto::hkdf_sha256(accounts_key.view(), {}, "fid.mail-seal1", out.bytes());
    return out;
}

Bytes associated(std::string_view column, long long since_ms) {
    Bytes out;
    append_lp(out, as_bytes(column));
    append_be(out, static_cast<std::uint64_t>(since_ms));
    return out;
}

std::string seal(const crypto::Secret& key, std::string_view column, long long since_ms, ByteView plain) {
    return to_hex(crypto::seal_small(key.view(), associated(column, since_ms), plain));
}

std::string seal_mail(const crypto::Secret& key, const Mail& mail) {
    Bytes plain;
    append_lp(plain, as_bytes(mail.kind));
    append_lp(plain, as_bytes(mail.to));
    append(plain, as_bytes(mail.text));
    return seal(key, "sealed", mail.since_ms, plain);
}

Result<crypto::Secret> open(const crypto::Secret& key, std::string_view column, long long since_ms, const std::string& sealed) {
    FID_TRY(const auto bytes, from_hex(sealed));
    return crypto::open_small(key.view(), associated(column, since_ms), bytes);
}

/// Errors: corrupt, malformed: the row was changed behind our back.
Result<Mail> mail_of(const crypto::Secret& key, const Row& row) {
    Mail out;
    out.id = row.id;
    out.since_ms = row.since_ms;
    out.next_ms = row.next_ms;
    out.tries = row.tries;
    const auto state = std::find(kStates.begin(), kStates.end(), row.state);
    if (state == kStates.end()) return fail(ErrorCode::corrupt, "a mail is in no state that there is");
    out.state = static_cast<MailState>(state - kStates.begin());
    FID_TRY(const auto plain, open(key, "sealed", row.since_ms, row.sealed));
    ByteReader reader(plain.view());
    FID_TRY(const auto kind, reader.take_lp("mail: kind"));
    FID_TRY(const auto to, reader.take_lp("mail: to"));
    FID_TRY(const auto text, reader.take(reader.remaining(), "mail: text"));
    out.kind = as_text(kind);
    out.to = as_text(to);
    out.text = as_text(text);
    if (!row.problem.empty()) {
        FID_TRY(const auto problem, open(key, "problem", row.since_ms, row.problem));
        out.problem = as_text(problem.view());
    }
    return out;
}

/// Throws as SOCI does.
std::vector<Row> read_rows(database::Transaction& transaction, const std::string& rest, const long long* now_ms = nullptr) {
    Row row;
    soci::statement statement(transaction.sql());
    statement.exchange(soci::into(row.id));
    statement.exchange(soci::into(row.state));
    statement.exchange(soci::into(row.since_ms));
    statement.exchange(soci::into(row.tries));
    statement.exchange(soci::into(row.next_ms));
    statement.exchange(soci::into(row.sealed));
    statement.exchange(soci::into(row.problem));
    if (now_ms != nullptr) statement.exchange(soci::use(*now_ms, "now"));
    statement.alloc();
    statement.prepare("SELECT id, state, since_ms, tries, next_ms, sealed, problem FROM mails " + rest);
    statement.define_and_bind();
    statement.execute();
    std::vector<Row> rows;
    while (statement.fetch()) rows.push_back(row);
    return rows;
}

Result<std::string> password_of(const std::filesystem::path& file) {
    const auto wrong = [&](const std::string& what) {
        return fail(ErrorCode::invalid_argument, "[mail] password_file: " + file.string() + " " + what);
    };
    struct stat status {};
    if (::stat(file.c_str(), &status) != 0) return wrong("cannot be read: put the password into it, as its first line");
    if ((status.st_mode & (S_IRWXG | S_IRWXO)) != 0) return wrong("may be read by others: chmod 600 it");
    FID_TRY(const auto bytes, read_file(file, 4096));
    std::string text(as_text(bytes));
    text.resize(std::min(text.find_first_of("\r\n"), text.size()));
    if (text.empty()) return wrong("has no password in its first line");
    return text;
}

}  // namespace

std::string_view name_of(MailState state) {
    return kStates.at(static_cast<std::size_t>(state));
}

Result<std::optional<MailSettings>> mail_settings(const Configuration& configuration) {
    if (configuration.mail_server.empty()) return std::optional<MailSettings>();
    MailSettings out;
    out.server.host = configuration.mail_server;
    out.server.port = static_cast<std::uint16_t>(configuration.mail_port);
    if (configuration.mail_security == "tls") out.server.security = net::SmtpSecurity::tls;
    if (configuration.mail_security == "none") out.server.security = net::SmtpSecurity::none;
    out.server.user = configuration.mail_user;
    out.server.ca_file = configuration.mail_authorities;
    if (!configuration.mail_password_file.empty()) {
        FID_TRY(out.server.password, password_of(configuration.mail_password_file));
    }
    auto from = check_email(configuration.mail_from);
    if (!from) return fail(ErrorCode::invalid_argument, "[mail] from: '" + configuration.mail_from + "' is no e-mail address");
    out.from = std::move(*from);
    out.from_name = configuration.site_name;
    out.base_url = own_url(configuration);
    return std::optional(std::move(out));
}

MailOutbox::MailOutbox(database::Database& database, const crypto::Secret& accounts_key, std::optional<MailSettings> settings,
                       const Clock& clock)
    : database_(database), seal_key_(seal_key_of(accounts_key)), settings_(std::move(settings)), clock_(clock) {}

MailOutbox::~MailOutbox() {
    stop();
}

void MailOutbox::start() {
    if (!on()) return;
    thread_ = std::jthread([this](const std::stop_token& stop) {
        std::mutex waiting;
        while (!stop.stop_requested()) {
            const auto looked = work(stop);
            if (!looked) log::error("archive", "mails cannot be looked for", {{"why", looked.error().message}});
            if (looked && *looked == kBatch) continue;
            std::unique_lock lock(waiting);
            wakes_.wait_for(lock, stop, kLookEvery, [] { return false; });
        }
    });
}

void MailOutbox::stop() {
    thread_.request_stop();
    if (thread_.joinable()) thread_.join();
}

Result<std::string> MailOutbox::written(const std::string& to, const std::string& subject, const std::string& body) const {
    MailText text;
    text.from_name = settings_->from_name;
    text.from = settings_->from;
    text.to = to;
    text.subject = subject;
    text.body = body;
    text.id = to_hex(ByteView(crypto::random_bytes32()).first(16));
    text.at_ms = now_ms();
    return write_mail(text);
}

Result<void> MailOutbox::insert(database::Transaction& transaction, const Mail& mail) {
    return database::attempt("adding a mail", [&]() -> Result<void> {
        auto& sql = transaction.sql();
        long long waiting = 0;
        sql << "SELECT COUNT(*) FROM mails WHERE state = 'waiting'", soci::into(waiting);
        if (waiting >= kMostWaiting) return fail(ErrorCode::limit_exceeded, "too many mails wait for the mail server");
        const long long since = mail.since_ms, forgotten = since - milliseconds(settings_->keep_sent).count();
        sql << "DELETE FROM mails WHERE state = 'sent' AND since_ms < :before", soci::use(forgotten);
        const auto sealed = seal_mail(seal_key_, mail);
        sql << "INSERT INTO mails (state, since_ms, tries, next_ms, sealed, problem) VALUES ('waiting', :since, 0, 0, :sealed, '')",
            soci::use(since), soci::use(sealed);
        return {};
    });
}

Result<void> MailOutbox::add(database::Transaction& transaction, std::string_view kind, const std::string& to, const std::string& subject,
                             const std::string& body) {
    Mail mail;
    mail.kind = kind;
    mail.to = to;
    mail.since_ms = now_ms();
    FID_TRY(mail.text, written(to, subject, body));
    return insert(transaction, mail);
}

Result<void> MailOutbox::request(database::Transaction& transaction, const std::string& to) {
    Mail mail;
    mail.kind = kRequest;
    mail.to = to;
    mail.since_ms = now_ms();
    return insert(transaction, mail);
}

milliseconds MailOutbox::wait_after(std::int64_t tries, milliseconds longest) const {
    auto wait = settings_->first_wait;
    for (std::int64_t i = 1; i < tries && wait < longest; ++i) wait *= 2;
    return std::min(wait, longest);
}

/// What has changed of it, and no more where it was discarded meanwhile.
Result<void> MailOutbox::note(const Mail& mail) {
    return database_.write(database::Durability::full, [&](database::Transaction& t) {
        return database::attempt("noting how far a mail is", [&] {
            const std::string state(name_of(mail.state)), sealed = seal_mail(seal_key_, mail);
            const auto problem = mail.problem.empty() ? std::string() : seal(seal_key_, "problem", mail.since_ms, as_bytes(mail.problem));
            const long long id = mail.id, since = mail.since_ms, tries = mail.tries, next = mail.next_ms;
            t.sql() << "UPDATE mails SET state = :state, tries = :tries, next_ms = :next, sealed = :sealed, problem = :problem WHERE id = "
                       ":id AND since_ms = :since",
                soci::use(state), soci::use(tries), soci::use(next), soci::use(sealed), soci::use(problem), soci::use(id), soci::use(since);
        });
    });
}

Result<void> MailOutbox::hand_over(Mail& mail, const std::stop_token& stop) {
    const auto outcome = net::send_mail(settings_->server, settings_->from, mail.to, mail.text, stop);
    if (stop.stop_requested() && outcome.kind != net::SmtpOutcome::Kind::taken) return {};
    using Kind = net::SmtpOutcome::Kind;
    const bool away = outcome.kind == Kind::unavailable;
    {
        const std::lock_guard lock(mutex_);
        if (away && problem_.empty()) log::warning("archive", "no mail can be handed over; they wait", {{"why", outcome.why}});
        if (!away && !problem_.empty()) log::info("archive", "mails are handed over again");
        problem_ = away ? outcome.text() : std::string();
        away_tries_ = away ? away_tries_ + 1 : 0;
        away_until_ms_ = away ? now_ms() + wait_after(away_tries_, settings_->longest_wait_for_server).count() : 0;
    }
    mail.tries += 1;
    mail.problem = outcome.kind == Kind::taken ? std::string() : outcome.text();
    const bool too_old = now_ms() - mail.since_ms >= milliseconds(settings_->age).count();
    if (outcome.kind == Kind::taken) {
        mail.state = MailState::sent;
        mail.text.clear();  // a link that opens something is not kept
    } else if (outcome.kind == Kind::refused || too_old) {
        mail.state = MailState::failed;
        log::warning("archive", "a mail was given up: fiducial mail list", {{"mail", mail.id}});
    } else {
        // Also where the server is away: one that it breaks off on does not hold up the others.
        mail.next_ms = now_ms() + wait_after(mail.tries, away ? settings_->longest_wait_for_server : settings_->longest_wait).count();
    }
    return note(mail);
}

Result<std::size_t> MailOutbox::work(const std::stop_token& stop) {
    const auto is_away = [&] {
        const std::lock_guard lock(mutex_);
        return now_ms() < away_until_ms_;
    };
    if (!on() || is_away()) return std::size_t{0};
    FID_TRY(const auto rows, database_.read([&](database::Transaction& t) {
        return database::attempt("reading mails", [&] {
            const long long now = now_ms();
            return read_rows(t, "WHERE state = 'waiting' AND next_ms <= :now ORDER BY id LIMIT " + std::to_string(kBatch), &now);
        });
    }));
    for (const auto& row : rows) {
        if (stop.stop_requested() || is_away()) break;
        auto mail = mail_of(seal_key_, row);
        if (!mail) {
            log::error("archive", "a mail's row was changed behind our back: it is not sent", {{"mail", row.id}});
            FID_CHECK(discard({{row.id}, false}));
        } else if (mail->kind == kRequest) {
            FID_CHECK(database_.write(database::Durability::full, [&](database::Transaction& t) -> Result<void> {
                const long long id = row.id;
                FID_CHECK(database::attempt("answering a request", [&] { t.sql() << "DELETE FROM mails WHERE id = :id", soci::use(id); }));
                return answer_ ? answer_(t, mail->to) : Result<void>{};
            }));
        } else {
            FID_CHECK(hand_over(*mail, stop));
        }
    }
    return rows.size();
}

Result<std::string> MailOutbox::test(const std::string& to) {
    if (!on()) return fail(ErrorCode::invalid_argument, "no mail server is set: [mail] in the settings (fiducial config defaults)");
    FID_TRY(const auto address, check_email(to));
    FID_TRY(const auto text,
            written(address, settings_->from_name + ": a test",
                    "This is a test of the e-mails of " + settings_->from_name + ".\n\n" + settings_->base_url + "/app/\n"));
    const auto outcome = net::send_mail(settings_->server, settings_->from, address, text);
    if (outcome.kind != net::SmtpOutcome::Kind::taken) return fail(ErrorCode::unavailable, outcome.text());
    return outcome.said;
}

std::string MailOutbox::problem() const {
    const std::lock_guard lock(mutex_);
    return problem_;
}

Result<std::vector<Mail>> MailOutbox::list(std::size_t most) {
    FID_TRY(const auto rows, database_.read([&](database::Transaction& t) {
        return database::attempt("reading mails", [&] { return read_rows(t, "ORDER BY id DESC LIMIT " + std::to_string(most)); });
    }));
    std::vector<Mail> out;
    for (const auto& row : rows) {
        auto mail = mail_of(seal_key_, row);
        if (!mail) {
            mail = Mail{};
            mail->id = row.id;
            mail->since_ms = row.since_ms;
            mail->state = MailState::failed;
            mail->problem = "the row was changed behind our back";
        }
        mail->text.clear();
        out.push_back(std::move(*mail));
    }
    return out;
}

Result<std::uint64_t> MailOutbox::change(const Which& which, const std::string& what) {
    return database_.write(database::Durability::full, [&](database::Transaction& t) {
        return database::attempt("changing mails", [&] {
            const std::string of = std::string(" WHERE state <> 'sent'") + (which.only_failed ? " AND state = 'failed'" : "");
            std::uint64_t count = 0;
            if (which.ids.empty()) {
                soci::statement statement = (t.sql().prepare << what + of);
                statement.execute(true);
                return static_cast<std::uint64_t>(statement.get_affected_rows());
            }
            for (const long long id : which.ids) {
                soci::statement statement = (t.sql().prepare << what + of + " AND id = :id", soci::use(id));
                statement.execute(true);
                count += static_cast<std::uint64_t>(statement.get_affected_rows());
            }
            return count;
        });
    });
}

Result<std::uint64_t> MailOutbox::retry(const Which& which) {
    FID_TRY(const auto count, change(which, "UPDATE mails SET state = 'waiting', tries = 0, next_ms = 0"));
    const std::lock_guard lock(mutex_);
    away_until_ms_ = 0;
    return count;
}

Result<std::uint64_t> MailOutbox::discard(const Which& which) {
    return change(which, "DELETE FROM mails");
}

Result<void> MailOutbox::rekey(database::Transaction& transaction, const crypto::Secret& former, const crypto::Secret& now) {
    const auto before = seal_key_of(former), after = seal_key_of(now);
    return database::attempt("putting mails under another key", [&] {
        for (const auto& row : read_rows(transaction, "ORDER BY id")) {
            const auto mail = mail_of(before, row);
            if (!mail) continue;
            const auto sealed = seal_mail(after, *mail);
            const auto problem = mail->problem.empty() ? std::string() : seal(after, "problem", mail->since_ms, as_bytes(mail->problem));
            transaction.sql() << "UPDATE mails SET sealed = :sealed, problem = :problem WHERE id = :id", soci::use(sealed),
                soci::use(problem), soci::use(row.id);
        }
    });
}

}  // namespace fiducial::archive
