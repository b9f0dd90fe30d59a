// What administrators do with accounts.
#include <algorithm>
#include <boost/json.hpp>
#include <set>

#include "archive/arguments.hpp"
#include "archive/contact.hpp"
#include "archive/front_desk_parts.hpp"
#include "archive/service.hpp"
#include "base/hex.hpp"
#include "crypto/secp256k1.hpp"

namespace fiducial::archive {
namespace {

namespace json = boost::json;
constexpr std::chrono::hours kInvitationLasts{24 * 7}, kPasswordLinkLasts{24}, kResetLasts{24};

}  // namespace

FrontDesk::Answer FrontDesk::list_people(const Visitor& visitor, const Said&) {
    FID_CHECK(administer(visitor.who, {}, false));
    FID_TRY(const auto everybody, service_.accounts_->all());
    FID_TRY(const auto records, records_.database().read([&](database::Transaction& t) { return records_.all(t, kLogInRecord); }));
    std::map<Bytes32, LogIn> log_ins;
    for (const auto& record : records.records) {
        FID_TRY(const auto person, fixed_from_hex<32>(record.id, "account: person"));
        FID_TRY(auto log_in, log_in_of(person));
        log_ins.emplace(person, std::move(log_in));
    }
    json::array out;
    const auto add = [&](const Bytes32& id, const std::string& name, std::uint32_t roles, std::string_view state, std::int64_t since_ms) {
        json::object shown{
            {"id", to_hex(id)}, {"name", name}, {"roles", roles_json(roles)}, {"state", state}, {"since", rfc3339_of_ms(since_ms)}};
        if (const auto found = log_ins.find(id); found != log_ins.end()) {
            shown["email"] = found->second.email;
            if (mails_.on()) shown["emailConfirmed"] = found->second.email_confirmed;
            shown["phone"] = found->second.phone;
            shown["roleAsked"] = roles_text(found->second.role_asked);
            shown["secondFactor"] = !found->second.second_factor.empty();
        }
        out.push_back(std::move(shown));
    };
    for (const auto& [id, log_in] : log_ins) {
        if (log_in.state == LogIn::State::waiting) add(id, log_in.name, 0, "waiting", log_in.since_ms);
    }
    for (const auto& person : everybody.people) {
        FID_TRY(const bool deactivated, is_deactivated(person.id));
        add(person.id, person.name, person.roles, deactivated ? "inactive" : "active", person.created_ms);
    }
    for (const auto& [id, log_in] : log_ins) {
        if (log_in.state == LogIn::State::refused) add(id, log_in.name, 0, "refused", log_in.since_ms);
    }
    return reply_of({{"people", std::move(out)}, {"damaged", records.damaged.size() + everybody.damaged.size()}});
}

FrontDesk::Answer FrontDesk::activate(const Visitor& visitor, const Said& said) {
    FID_TRY(const auto id, person_from(said));
    const std::lock_guard lock(registrations_mutex_);
    const auto there = service_.accounts_->by_id(id);
    if (there) {
        FID_CHECK(set_active(visitor.who, id, true));
        messages_.tell(id, "activation", "Your account is active again.");
        return reply_of({{"id", to_hex(id)}, {"state", "active"}, {"settled", true}});
    }
    if (there.error().code != ErrorCode::not_found) return fail(there.error());
    FID_TRY(auto log_in, log_in_of(id));
    FID_TRY(const auto roles, roles_from(said));
    const auto key = crypto::generate_private_key();
    FID_TRY(const auto account, crypto::address_of(key));
    FID_TRY(const auto name, unused_name(log_in.name));
    log_in.kept_key = to_bytes(key.view());
    log_in.state = LogIn::State::registered;
    const Person person{id, name, roles, system_clock().now().time_since_epoch().count()};
    FID_TRY(const auto registered, register_person(visitor.who, person, account, [&](database::Transaction& t) -> Result<void> {
                FID_CHECK(put(t, log_in));
                return messages_.add(t, id, "activation", "Your account is active: you work here as " + roles_text(roles) + ".");
            }));
    return reply_of({{"id", to_hex(id)}, {"state", "active"}, {"settled", registered.usable}});
}

FrontDesk::Answer FrontDesk::refuse(const Visitor& visitor, const Said& said) {
    FID_TRY(const auto id, person_from(said));
    FID_CHECK(administer(visitor.who, id, true));
    const std::lock_guard lock(registrations_mutex_);
    FID_TRY(auto log_in, log_in_of(id));
    if (log_in.state == LogIn::State::registered) return fail(ErrorCode::conflict, "this person is registered already: deactivate them");
    log_in.state = LogIn::State::refused;
    FID_CHECK(save(log_in));
    return reply_of({{"id", to_hex(id)}, {"state", "refused"}});
}

FrontDesk::Answer FrontDesk::deactivate(const Visitor& visitor, const Said& said) {
    FID_TRY(const auto id, person_from(said));
    if (id == visitor.who.subject) return fail(ErrorCode::invalid_argument, "id: another administrator deactivates you");
    FID_CHECK(service_.accounts_->by_id(id));
    FID_TRY(const auto activity, set_active(visitor.who, id, false));
    messages_.tell(id, "deactivation", "Your account was deactivated.");
    return reply_of({{"id", to_hex(id)}, {"state", "inactive"}, {"onLedger", activity.on_ledger}});
}

FrontDesk::Answer FrontDesk::invite(const Visitor& visitor, const Said& said) {
    Link link;
    link.kind = "invitation";
    FID_TRY(link.roles, roles_from(said));
    if (!argument::text(said, "name").empty()) {
        FID_TRY(link.name, check_name(argument::text(said, "name")));
    }
    if (!argument::text(said, "email").empty()) {
        FID_TRY(link.email, check_email(argument::text(said, "email")));
        FID_TRY(const auto there, log_in_by_email(link.email));
        if (there && there->state == LogIn::State::registered)
            return fail(ErrorCode::conflict, "email: there is an account of this address already");
    }
    FID_CHECK(administer(visitor.who, {}, false));
    FID_TRY(const auto made, make_link(records_, link, kInvitationLasts));
    return reply_of({{"link", link_url(visitor, made.token)}, {"expires", rfc3339_of_ms(made.expires_ms)}});
}

FrontDesk::Answer FrontDesk::make_password_link(const Visitor& visitor, const Said& said) {
    Link link;
    link.kind = "password";
    FID_TRY(link.person, person_from(said));
    FID_TRY(const auto log_in, log_in_of(link.person));
    link.name = log_in.name;
    link.email = log_in.email;
    FID_CHECK(administer(visitor.who, link.person, false));
    FID_TRY(const auto made, make_link(records_, link, kPasswordLinkLasts));
    messages_.tell(link.person, "security", "An administrator made a link by which your password can be set anew.");
    return reply_of({{"link", link_url(visitor, made.token)}, {"expires", rfc3339_of_ms(made.expires_ms)}});
}

/// One administrator says so, another one does it.
FrontDesk::Answer FrontDesk::reset_second_factor(const Visitor& visitor, const Said& said) {
    FID_TRY(const auto id, person_from(said));
    if (id == visitor.who.subject) return fail(ErrorCode::invalid_argument, "id: two other administrators reset your second factor");
    FID_CHECK(administer(visitor.who, id, false));
    const std::lock_guard lock(changes_mutex_);
    FID_TRY(auto log_in, log_in_of(id));
    const auto key = to_hex(id), by = to_hex(visitor.who.subject);
    const auto now_ms = system_clock().now().time_since_epoch().count();
    FID_TRY(const auto proposed, records_.database().read([&](database::Transaction& t) { return records_.find(t, kResetRecord, key); }));
    json::object proposal;
    if (proposed) {
        FID_TRY(auto value, fiducial::json::parse(proposed->content, std::size_t{4} << 10));
        if (value.is_object()) proposal = std::move(value.get_object());
    }
    FID_TRY(const auto until, argument::number(proposal, "until", 0, 0, INT64_MAX));
    if (until <= now_ms || argument::text(proposal, "by") == by) {
        const auto lasts = std::chrono::duration_cast<std::chrono::milliseconds>(kResetLasts).count();
        const auto content = json::serialize(json::object{{"by", by}, {"until", now_ms + lasts}});
        FID_CHECK(records_.database().write(database::Durability::full, [&](database::Transaction& t) {
            return records_.put(t, kResetRecord, {key, "", content});
        }));
        FID_TRY(const auto others, administrators());
        for (const auto& person : others) {
            if (person.id != visitor.who.subject)
                messages_.tell(person.id, "security",
                               "The second factor of " + log_in.name + " is to be reset; a second administrator decides.");
        }
        messages_.tell(id, "security", "An administrator wants to reset your second factor.");
        return reply_of({{"id", key}, {"state", "proposed"}});
    }
    log_in.second_factor.clear();
    log_in.recovery.clear();
    log_in.last_step = 0;
    FID_CHECK(service_.accounts_->revoke_tokens(id));
    FID_CHECK(records_.database().write(database::Durability::full, [&](database::Transaction& t) -> Result<void> {
        FID_CHECK(records_.erase(t, kResetRecord, key));
        return put(t, log_in);
    }));
    messages_.tell(id, "security", "Two administrators reset your second factor: enrol a new one at your next log-in.");
    return reply_of({{"id", key}, {"state", "reset"}});
}

}  // namespace fiducial::archive
