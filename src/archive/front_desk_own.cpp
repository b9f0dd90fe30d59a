// What people do with their own accounts.
#include <algorithm>
#include <boost/json.hpp>

#include "archive/arguments.hpp"
#include "archive/contact.hpp"
#include "archive/front_desk_parts.hpp"
#include "archive/service.hpp"
#include "base/hex.hpp"
#include "crypto/hash.hpp"
#include "crypto/password.hpp"
#include "crypto/secp256k1.hpp"

namespace fiducial::archive {
namespace {

namespace json = boost::json;

}  // namespace

FrontDesk::Answer FrontDesk::session(const Visitor& visitor, const Said&) {
    FID_TRY(const auto person, service_.accounts_->by_id(visitor.who.subject));
    FID_TRY(const auto unread, messages_.unread(person.id));
    json::object out{{"person", person.name}, {"personId", to_hex(person.id)}, {"roles", roles_json(person.roles)}, {"unread", unread}};
    if (const auto log_in = log_in_of(person.id)) out["email"] = log_in->email;
    return reply_of(out);
}

FrontDesk::Answer FrontDesk::own_account(const Visitor& visitor, const Said&) {
    FID_TRY(const auto log_in, log_in_of(visitor.who.subject));
    FID_TRY(const auto person, service_.accounts_->by_id(visitor.who.subject));
    FID_TRY(const bool deactivated, is_deactivated(person.id));
    json::object out{{"personId", to_hex(person.id)},
                     {"name", person.name},
                     {"email", log_in.email},
                     {"emailState", email_step(log_in)},
                     {"phone", log_in.phone},
                     {"roles", roles_json(person.roles)},
                     {"active", !deactivated},
                     {"secondFactor", !log_in.second_factor.empty()},
                     {"recoveryCodesLeft", log_in.recovery.size()},
                     {"custody", "none"}};
    if (!log_in.kept_key.empty()) {
        FID_TRY(const auto address, crypto::address_of(crypto::Secret::copy_of(log_in.kept_key)));
        out["address"] = to_0x(address);
        out["custody"] = "kept";
    }
    if (!log_in.wallet.empty()) {
        out["address"] = log_in.wallet;
        out["custody"] = "wallet";
    }
    return reply_of(out);
}

FrontDesk::Answer FrontDesk::change_password(const Visitor& visitor, const Said& said) {
    const std::lock_guard lock(changes_mutex_);
    FID_TRY(auto log_in, log_in_of(visitor.who.subject));
    FID_CHECK(may_try(&log_in, log_in.email, visitor.network));
    if (!crypto::password_fits(log_in.password, as_bytes(argument::text(said, "current")))) {
        count_failure(log_in.email, visitor.network);
        return fail(ErrorCode::denied, "the current password is wrong");
    }
    const auto password = argument::text(said, "password");
    FID_CHECK(check_password(password, log_in.email));
    FID_TRY(log_in.password, crypto::hash_password(as_bytes(password)));
    FID_CHECK(save(log_in));
    FID_CHECK(service_.accounts_->revoke_tokens(log_in.person));
    messages_.tell(log_in.person, "security",
                   "Your password was changed; all sessions and tokens but the one it was changed in have ended.");
    FID_TRY(const auto person, service_.accounts_->by_id(log_in.person));
    Reply reply;
    reply.pass = make_pass(person);
    reply.person = person.id;
    reply.ends_others = true;
    return reply;
}

FrontDesk::Answer FrontDesk::renew_second_factor(const Visitor& visitor, const Said& said) {
    FID_TRY(const auto log_in, log_in_of(visitor.who.subject));
    FID_CHECK(may_try(&log_in, log_in.email, visitor.network));
    if (!crypto::password_fits(log_in.password, as_bytes(argument::text(said, "password")))) {
        count_failure(log_in.email, visitor.network);
        return fail(ErrorCode::denied, "the password is wrong");
    }
    auto key = to_bytes(crypto::random_secret(20).view());
    FID_TRY(const auto ticket, make_ticket(log_in.person, key));
    Reply reply;
    reply.json = enrol_text(log_in, ticket, key);
    return reply;
}

FrontDesk::Answer FrontDesk::list_tokens(const Visitor& visitor, const Said&) {
    FID_TRY(const auto tokens, service_.accounts_->tokens_of(visitor.who.subject));
    json::array out;
    for (const auto& token : tokens) {
        json::object shown{
            {"id", token.id}, {"note", token.note}, {"scope", name_of(token.scope)}, {"created", rfc3339_of_ms(token.created_ms)}};
        if (token.expires_ms != 0) shown["expires"] = rfc3339_of_ms(token.expires_ms);
        out.push_back(std::move(shown));
    }
    return reply_of({{"tokens", std::move(out)}});
}

FrontDesk::Answer FrontDesk::make_token(const Visitor& visitor, const Said& said) {
    FID_TRY(const auto scope, parse_token_scope(argument::text(said, "scope")));
    FID_TRY(const auto days, argument::number(said, "days", 30, 1, 3650));
    FID_TRY(const auto token, service_.accounts_->make_token(visitor.who.subject, static_cast<std::uint64_t>(days) * 86'400,
                                                             argument::text(said, "note"), scope));
    FID_TRY(const auto tokens, service_.accounts_->tokens_of(visitor.who.subject));
    const auto id = to_hex(crypto::sha256(token.view())).substr(0, 32);
    messages_.tell(visitor.who.subject, "security", "A token was made that opens your account to programs.");
    return reply_of({{"token", as_text(token.view())}, {"id", id}});
}

FrontDesk::Answer FrontDesk::revoke_token(const Visitor& visitor, const Said& said) {
    FID_CHECK(service_.accounts_->revoke_token(visitor.who.subject, argument::text(said, "id")));
    return Reply{};
}

FrontDesk::Answer FrontDesk::list_messages(const Visitor& visitor, const Said&) {
    FID_TRY(const auto messages, messages_.of(visitor.who.subject));
    json::array out;
    std::uint64_t unread = 0;
    for (const auto& message : messages) {
        unread += message.was_read ? 0 : 1;
        out.push_back({{"id", message.id},
                       {"at", rfc3339_of_ms(message.at_ms)},
                       {"kind", message.kind},
                       {"text", message.text},
                       {"read", message.was_read}});
    }
    return reply_of({{"messages", std::move(out)}, {"unread", unread}});
}

FrontDesk::Answer FrontDesk::mark_messages(const Visitor& visitor, const Said& said) {
    std::vector<std::int64_t> ids;
    const auto* list = said.if_contains("ids");
    if (list != nullptr && list->is_array()) {
        for (const auto& id : list->get_array()) {
            if (!id.is_int64()) return fail(ErrorCode::invalid_argument, "ids: numbers are wanted");
            ids.push_back(id.get_int64());
        }
    }
    if (ids.empty() && !argument::flag(said, "all")) return fail(ErrorCode::invalid_argument, "ids: which messages, or \"all\": true");
    FID_CHECK(messages_.mark_read(visitor.who.subject, ids));
    return Reply{};
}

}  // namespace fiducial::archive
