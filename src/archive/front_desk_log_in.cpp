// Password, code, pass.
#include <algorithm>
#include <boost/json.hpp>

#include "archive/arguments.hpp"
#include "archive/contact.hpp"
#include "archive/front_desk_parts.hpp"
#include "archive/service.hpp"
#include "base/hex.hpp"
#include "crypto/hash.hpp"
#include "crypto/one_time_code.hpp"
#include "crypto/password.hpp"

namespace fiducial::archive {
namespace {

namespace json = boost::json;

constexpr std::string_view kPassPrefix = "ses_", kTicketPrefix = "tkt_";
constexpr std::chrono::hours kPassLasts{12};
constexpr std::chrono::minutes kTicketLasts{5};
constexpr unsigned kMostCodes = 5;  // a ticket
constexpr std::size_t kMostPasses = 4096, kMostTickets = 4096, kMostTries = 20'000, kMostNetworks = 8;
constexpr std::chrono::minutes kTriesWindow{15};
constexpr unsigned kMostTriesOfAccount = 20, kMostTriesOfNetwork = 10;
constexpr std::size_t kSecondFactorBytes = 20;  // RFC 4226 §4, R6
constexpr int kRecoveryCodes = 10;

constexpr std::string_view kWrong = "the e-mail address or the password is wrong";

Hash key_of(std::string_view token) {
    return crypto::sha256(as_bytes(token));
}

/// "7KQ4M-X2PDA": ten of 32 characters, 50 bits.
std::string make_recovery_code() {
    auto text = crypto::to_base32(ByteView(crypto::random_bytes32()).first(7)).substr(0, 10);
    text.insert(5, "-");
    return text;
}

/// As it is hashed: capitals and digits alone.
std::string recovery_hash(std::string_view code) {
    std::string plain;
    for (const char c : code) {
        if (c >= 'a' && c <= 'z') plain += static_cast<char>(c - 'a' + 'A');
        if ((c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9')) plain += c;
    }
    return to_hex(crypto::sha256(as_bytes(plain)));
}

std::string percent_encoded(std::string_view text) {
    std::string out;
    for (const char c : text) {
        const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_';
        if (plain)
            out += c;
        else
            out += "%" + to_hex(as_bytes(std::string_view(&c, 1)));
    }
    return out;
}

}  // namespace

// ---- passes

bool FrontDesk::is_pass(std::string_view token) {
    return token.starts_with(kPassPrefix);
}

crypto::Secret FrontDesk::make_pass(const Person& person) {
    const auto text = std::string(kPassPrefix) + to_hex(crypto::random_bytes32());
    const std::lock_guard lock(mutex_);
    const auto now = clock_.steady_now();
    forget_ended(passes_, now, kMostPasses);
    passes_[key_of(text)] = {person.id, person.token_epoch, now + kPassLasts};
    return crypto::Secret::copy_of(as_bytes(text));
}

Result<Bytes32> FrontDesk::check_pass(std::string_view pass) {
    Pass found;
    {
        const std::lock_guard lock(mutex_);
        const auto place = passes_.find(key_of(pass));
        if (place == passes_.end() || place->second.until <= clock_.steady_now())
            return fail(ErrorCode::unauthenticated, "the session has ended; log in again");
        found = place->second;
    }
    FID_TRY(const auto person, service_.accounts_->by_id(found.person));
    if (person.token_epoch != found.token_epoch) return fail(ErrorCode::unauthenticated, "the session has ended; log in again");
    return person.id;
}

void FrontDesk::end(std::string_view pass) {
    const std::lock_guard lock(mutex_);
    passes_.erase(key_of(pass));
}

// ---- tries

Result<void> FrontDesk::may_try(const LogIn* log_in, const std::string& email, const std::string& network) {
    const std::lock_guard lock(mutex_);
    const auto now = clock_.steady_now();
    const auto failures = [&](const std::string& key) {
        const auto found = tries_.find(key);
        return found == tries_.end() || now - found->second.since >= kTriesWindow ? 0U : found->second.failures;
    };
    const bool known = log_in != nullptr && std::find(log_in->networks.begin(), log_in->networks.end(), network) != log_in->networks.end();
    if (failures(email + " " + network) >= kMostTriesOfNetwork || (!known && failures(email) >= kMostTriesOfAccount))
        return fail(ErrorCode::limit_exceeded, "too many tries; wait a quarter of an hour, or ask an administrator for a link");
    return {};
}

void FrontDesk::count_failure(const std::string& email, const std::string& network) {
    const std::lock_guard lock(mutex_);
    const auto now = clock_.steady_now();
    if (tries_.size() >= kMostTries) std::erase_if(tries_, [&](const auto& item) { return now - item.second.since >= kTriesWindow; });
    if (tries_.size() >= kMostTries) tries_.clear();  // whoever has so many addresses is not held by counting them
    for (const auto& key : {email, email + " " + network}) {
        auto& tries = tries_[key];
        if (now - tries.since >= kTriesWindow) tries = {now, 0};
        ++tries.failures;
    }
}

bool FrontDesk::count_try(const std::string& what, unsigned most) {
    const std::lock_guard lock(mutex_);
    const auto now = clock_.steady_now();
    if (tries_.size() >= kMostTries) std::erase_if(tries_, [&](const auto& item) { return now - item.second.since >= kTriesWindow; });
    if (tries_.size() >= kMostTries) return false;
    auto& tries = tries_[what];
    if (now - tries.since >= kTriesWindow) tries = {now, 0};
    return ++tries.failures <= most;
}

// ---- log-in

FrontDesk::Answer FrontDesk::log_in(const Visitor& visitor, const Said& said) {
    const auto email = check_email(argument::text(said, "email"));
    const auto password = argument::text(said, "password");
    if (!email || password.size() > 1024) return fail(ErrorCode::unauthenticated, std::string(kWrong));
    FID_TRY(auto log_in, log_in_by_email(*email));
    FID_CHECK(may_try(log_in ? &*log_in : nullptr, *email, visitor.network));
    // For a stranger a password is looked at as well: how long it takes tells nobody who has an account.
    static const auto kNobodys = crypto::hash_password(as_bytes(to_hex(crypto::random_bytes32())));
    FID_TRY(const auto nobodys, kNobodys);
    const bool fits = crypto::password_fits(log_in ? log_in->password : nobodys, as_bytes(password));
    if (!log_in || !fits) {
        count_failure(*email, visitor.network);
        return fail(ErrorCode::unauthenticated, std::string(kWrong));
    }
    return next_step(visitor, std::move(*log_in));
}

FrontDesk::Answer FrontDesk::next_step(const Visitor& visitor, LogIn log_in) {
    if (log_in.state == LogIn::State::refused) return fail(ErrorCode::denied, "this account is not active");
    if (log_in.state == LogIn::State::waiting) {
        FID_TRY(const auto whom, administrators());
        json::array told;
        for (const auto& person : whom) told.emplace_back(person.name);
        return reply_of({{"step", "waiting"}, {"told", std::move(told)}, {"email", email_step(log_in)}});
    }
    FID_TRY(const bool deactivated, is_deactivated(log_in.person));
    if (deactivated) return fail(ErrorCode::denied, "this account is not active");
    FID_TRY(const auto person, service_.accounts_->by_id(log_in.person));
    if (!log_in.second_factor.empty()) {
        FID_TRY(const auto ticket, make_ticket(log_in.person, {}));
        return reply_of({{"step", "code"}, {"ticket", ticket}});
    }
    if (!is_staff(person.roles)) return let_in(visitor, log_in, {});
    auto key = to_bytes(crypto::random_secret(kSecondFactorBytes).view());
    FID_TRY(const auto ticket, make_ticket(log_in.person, key));
    Reply reply;
    reply.json = enrol_text(log_in, ticket, key);
    return reply;
}

Result<std::string> FrontDesk::make_ticket(const Bytes32& person, Bytes new_factor) {
    const auto text = std::string(kTicketPrefix) + to_hex(crypto::random_bytes32());
    const std::lock_guard lock(mutex_);
    const auto now = clock_.steady_now();
    forget_ended(tickets_, now, kMostTickets);
    tickets_[key_of(text)] = {person, std::move(new_factor), 0, now + kTicketLasts};
    return text;
}

/// Spec: the Key URI Format of authenticator apps.
std::string FrontDesk::enrol_text(const LogIn& log_in, const std::string& ticket, ByteView key) const {
    const auto secret = crypto::to_base32(key);
    const auto issuer = percent_encoded(service_.site_.configuration().site_name);
    const auto uri = "otpauth://totp/" + issuer + ":" + percent_encoded(log_in.email) + "?secret=" + secret + "&issuer=" + issuer +
                     "&algorithm=SHA1&digits=6&period=30";
    return json::serialize(json::object{{"step", "enrol"}, {"ticket", ticket}, {"secret", secret}, {"uri", uri}});
}

FrontDesk::Answer FrontDesk::enter_code(const Visitor& visitor, const Said& said) {
    const auto which = key_of(argument::text(said, "ticket"));
    const auto code = argument::text(said, "code");
    Ticket ticket;
    {
        const std::lock_guard lock(mutex_);
        const auto found = tickets_.find(which);
        if (found == tickets_.end() || found->second.until <= clock_.steady_now() || found->second.tries >= kMostCodes)
            return fail(ErrorCode::unauthenticated, "log in again");
        found->second.tries += 1;
        ticket = found->second;
    }
    const std::lock_guard changes(changes_mutex_);  // a code counts once
    FID_TRY(auto log_in, log_in_of(ticket.person));
    FID_CHECK(may_try(&log_in, log_in.email, visitor.network));
    const bool enrols = !ticket.new_factor.empty();
    const auto step = crypto::totp_step(enrols ? ticket.new_factor : log_in.second_factor, code, unix_seconds(clock_.now()),
                                        enrols ? 0 : log_in.last_step);
    std::vector<std::string> recovery_codes;
    if (step) {
        log_in.last_step = *step;
        if (enrols) {
            log_in.second_factor = ticket.new_factor;
            log_in.recovery.clear();
            for (int i = 0; i < kRecoveryCodes; ++i) {
                recovery_codes.push_back(make_recovery_code());
                log_in.recovery.push_back(recovery_hash(recovery_codes.back()));
            }
        }
    } else if (enrols || std::erase(log_in.recovery, recovery_hash(code)) == 0) {
        count_failure(log_in.email, visitor.network);
        return fail(ErrorCode::unauthenticated, "the code is wrong");
    } else {
        messages_.tell(log_in.person, "security",
                       "A recovery code opened your account; " + std::to_string(log_in.recovery.size()) + " are left.");
    }
    {
        const std::lock_guard lock(mutex_);
        tickets_.erase(which);
    }
    return let_in(visitor, log_in, std::move(recovery_codes));
}

FrontDesk::Answer FrontDesk::let_in(const Visitor& visitor, LogIn& log_in, std::vector<std::string> recovery_codes) {
    FID_TRY(const bool deactivated, is_deactivated(log_in.person));
    if (deactivated) return fail(ErrorCode::denied, "this account is not active");
    std::erase(log_in.networks, visitor.network);
    log_in.networks.push_back(visitor.network);
    if (log_in.networks.size() > kMostNetworks) log_in.networks.erase(log_in.networks.begin());
    FID_CHECK(save(log_in));
    FID_TRY(const auto person, service_.accounts_->by_id(log_in.person));
    json::object out{{"step", "done"}, {"name", person.name}, {"roles", roles_json(person.roles)}};
    if (!recovery_codes.empty()) {
        json::array codes;
        for (const auto& code : recovery_codes) codes.emplace_back(code);
        out["recoveryCodes"] = std::move(codes);
    }
    auto reply = reply_of(out);
    reply.pass = make_pass(person);
    reply.person = person.id;
    return reply;
}

}  // namespace fiducial::archive
