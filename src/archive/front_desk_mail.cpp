// What is mailed to people: that there is a message for them, and links that open something once. No names, nothing of patients.
#include <boost/json.hpp>

#include "archive/arguments.hpp"
#include "archive/contact.hpp"
#include "archive/front_desk_parts.hpp"
#include "archive/queue_desk.hpp"
#include "archive/service.hpp"
#include "base/hex.hpp"
#include "base/log.hpp"

namespace fiducial::archive {
namespace {

namespace json = boost::json;
constexpr std::chrono::hours kConfirmationLasts{72};
constexpr std::chrono::minutes kMailedResetLasts{30};
constexpr unsigned kMostOfAddress = 3, kMostOfNetwork = 20;  // in a quarter of an hour
constexpr std::string_view kFoot = "\n\nThis address only sends; nobody reads what is sent to it.\n";

void log_failure(const Result<void>& mailed) {
    if (!mailed) log::warning("archive", "a mail was not taken for sending", {{"why", mailed.error().message}});
}

}  // namespace

void FrontDesk::prepare_mails() {
    messages_.on_added([this](database::Transaction& t, const Bytes32& person) { mail_of_message(t, person); });
    mails_.set_answerer([this](database::Transaction& t, const std::string& email) { return mail_reset(t, email); });
}

std::string_view FrontDesk::email_step(const LogIn& log_in) const {
    if (!mails_.on()) return "off";
    return log_in.email_confirmed ? "confirmed" : "sent";
}

/// Whatever the message says: mail is read by others on its way.
void FrontDesk::mail_of_message(database::Transaction& transaction, const Bytes32& person) {
    if (!mails_.on()) return;
    log_failure([&]() -> Result<void> {
        FID_TRY(const auto log_in, log_in_in(transaction, person));
        if (!log_in || !log_in->email_confirmed || log_in->state != LogIn::State::registered) return {};
        const auto& site = service_.site_.configuration().site_name;
        return mails_.add(transaction, "message", log_in->email, site + ": there is a message for you",
                          "There is a new message for you. Read it here:\n\n" + mails_.base_url() + "/app/inbox" + std::string(kFoot));
    }());
}

void FrontDesk::mail_confirmation(database::Transaction& transaction, const LogIn& log_in) {
    if (!mails_.on() || log_in.email_confirmed) return;
    log_failure([&]() -> Result<void> {
        FID_CHECK(erase_links(transaction, "email", log_in.person));
        Link link;
        link.kind = "email";
        link.person = log_in.person;
        link.email = log_in.email;
        FID_TRY(const auto made, make_link(records_, transaction, link, kConfirmationLasts));
        const auto& site = service_.site_.configuration().site_name;
        return mails_.add(
            transaction, "confirmation", log_in.email, site + ": confirm your e-mail address",
            "Somebody, most likely you, has given this address for an account. Confirm within three days that it is yours:\n\n" +
                link_url({{}, {}, mails_.base_url()}, made.token) + "\n\nIf it was not you, do nothing: nothing is sent here any more." +
                std::string(kFoot));
    }());
}

/// Only to an address that was confirmed: to any other one it would open the account to whoever reads there.
Result<void> FrontDesk::mail_reset(database::Transaction& transaction, const std::string& email) {
    FID_TRY(const auto record, records_.find_by(transaction, kLogInRecord, email));
    if (!record) return {};
    FID_TRY(const auto person, fixed_from_hex<32>(record->id, "account: person"));
    FID_TRY(const auto log_in, log_in_in(transaction, person));
    if (!log_in || !log_in->email_confirmed || log_in->state == LogIn::State::refused) return {};
    FID_CHECK(erase_links(transaction, "reset", person));
    Link link;
    link.kind = "reset";
    link.person = person;
    link.name = log_in->name;
    link.email = log_in->email;
    FID_TRY(const auto made, make_link(records_, transaction, link, kMailedResetLasts));
    const auto& site = service_.site_.configuration().site_name;
    return mails_.add(transaction, "reset", email, site + ": choose a new password",
                      "Somebody, most likely you, has asked for a new password. Within 30 minutes, and once, it can be chosen here:\n\n" +
                          link_url({{}, {}, mails_.base_url()}, made.token) +
                          "\n\nIf it was not you, do nothing: your password stays as it is." + std::string(kFoot));
}

/// Whether there is such an account shows neither in the answer nor in how long it takes: who it is for is looked up later.
FrontDesk::Answer FrontDesk::ask_for_reset(const Visitor& visitor, const Said& said) {
    if (!mails_.on()) return fail(ErrorCode::conflict, "no e-mail is sent here: ask an administrator for a link");
    FID_TRY(const auto email, check_email(argument::text(said, "email")));
    if (!count_try("asks for resets " + visitor.network, kMostOfNetwork))
        return fail(ErrorCode::limit_exceeded, "too many links were asked for from here; wait a quarter of an hour");
    if (count_try("reset of " + email, kMostOfAddress)) {
        FID_CHECK(
            records_.database().write(database::Durability::full, [&](database::Transaction& t) { return mails_.request(t, email); }));
    }
    return reply_of({{"email", "sent"}});
}

FrontDesk::Answer FrontDesk::ask_for_confirmation(const Visitor& visitor, const Said&) {
    if (!mails_.on()) return fail(ErrorCode::conflict, "no e-mail is sent here");
    FID_TRY(const auto log_in, log_in_of(visitor.who.subject));
    if (!log_in.email_confirmed) {
        if (!count_try("confirmation of " + log_in.email, kMostOfAddress))
            return fail(ErrorCode::limit_exceeded, "it was sent just now; wait a quarter of an hour");
        FID_CHECK(records_.database().write(database::Durability::full, [&](database::Transaction& t) -> Result<void> {
            mail_confirmation(t, log_in);
            return {};
        }));
    }
    return reply_of({{"email", email_step(log_in)}});
}

FrontDesk::Answer FrontDesk::use_email_link(const Link& link) {
    const std::lock_guard lock(changes_mutex_);
    auto log_in = log_in_of(link.person);
    const bool fits = log_in && log_in->email == link.email;
    if (!log_in && log_in.error().code != ErrorCode::not_found) return fail(log_in.error());
    if (fits) log_in->email_confirmed = true;
    FID_CHECK(records_.database().write(database::Durability::full, [&](database::Transaction& t) -> Result<void> {
        FID_CHECK(records_.erase(t, kLinkRecord, link.id));
        return fits ? put(t, *log_in) : Result<void>{};
    }));
    if (!fits) return fail(ErrorCode::not_found, "the account of this link has another address now, or is gone");
    return reply_of({{"step", "confirmed"}});
}

FrontDesk::Answer FrontDesk::retry_mails(const Visitor& visitor, const Said& said) {
    FID_CHECK(administer(visitor.who, {}, false));
    FID_TRY(const auto answer, QueueDesk(service_).retry_mails(said));
    return reply_of(answer);
}

FrontDesk::Answer FrontDesk::discard_mails(const Visitor& visitor, const Said& said) {
    FID_CHECK(administer(visitor.who, {}, false));
    FID_TRY(const auto answer, QueueDesk(service_).discard_mails(said));
    return reply_of(answer);
}

}  // namespace fiducial::archive
