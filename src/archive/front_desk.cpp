#include "archive/front_desk.hpp"

#include <algorithm>
#include <array>
#include <boost/json.hpp>

#include "archive/arguments.hpp"
#include "archive/contact.hpp"
#include "archive/front_desk_parts.hpp"
#include "archive/members_on_ledger.hpp"
#include "archive/service.hpp"
#include "base/hex.hpp"
#include "crypto/hash.hpp"
#include "crypto/password.hpp"
#include "crypto/secp256k1.hpp"

namespace fiducial::archive {
namespace {

namespace json = boost::json;
using std::chrono::milliseconds;

constexpr std::chrono::seconds kSettlePatience{30};  // for a person's registration
constexpr std::string_view kLinkPrefix = "lnk_";
constexpr std::chrono::hours kFirstLinkLasts{24 * 7};
constexpr std::string_view kDeactivated = "deactivated";  // reason of the denial that goes with it
constexpr std::string_view kNoSuchLink = "this link is not known here, was used, or has expired";
constexpr std::array<std::string_view, 3> kStates{"waiting", "refused", "registered"};

std::int64_t wall_ms() {
    return system_clock().now().time_since_epoch().count();
}

std::string link_id(std::string_view token) {
    return to_hex(crypto::sha256(as_bytes(token)));
}

json::array texts(const std::vector<std::string>& items) {
    json::array out;
    for (const auto& item : items) out.emplace_back(item);
    return out;
}

std::string log_in_content(const LogIn& log_in) {
    return json::serialize(json::object{{"state", kStates.at(static_cast<std::size_t>(log_in.state))},
                                        {"name", log_in.name},
                                        {"phone", log_in.phone},
                                        {"emailConfirmed", log_in.email_confirmed},
                                        {"roleAsked", log_in.role_asked},
                                        {"since", log_in.since_ms},
                                        {"password", log_in.password},
                                        {"secondFactor", to_hex(log_in.second_factor)},
                                        {"lastStep", log_in.last_step},
                                        {"recovery", texts(log_in.recovery)},
                                        {"networks", texts(log_in.networks)},
                                        {"key", to_hex(log_in.kept_key)},
                                        {"wallet", log_in.wallet}});
}

Result<LogIn> log_in_from(const AccountRecord& record) {
    LogIn out;
    FID_TRY(out.person, fixed_from_hex<32>(record.id, "account: person"));
    FID_TRY(const auto value, fiducial::json::parse(record.content, std::size_t{1} << 20));
    if (!value.is_object()) return fail(ErrorCode::corrupt, "account " + record.id + " is no JSON object");
    const auto& object = value.get_object();
    const auto state = std::find(kStates.begin(), kStates.end(), argument::text(object, "state"));
    if (state == kStates.end()) return fail(ErrorCode::corrupt, "account " + record.id + " is in no state that there is");
    out.state = static_cast<LogIn::State>(state - kStates.begin());
    out.email = record.lookup;
    out.name = argument::text(object, "name");
    out.phone = argument::text(object, "phone");
    out.email_confirmed = argument::flag(object, "emailConfirmed");
    out.wallet = argument::text(object, "wallet");
    out.password = argument::text(object, "password");
    FID_TRY(const auto role, argument::number(object, "roleAsked", 0, 0, 1 << 10));
    out.role_asked = static_cast<std::uint32_t>(role);
    FID_TRY(out.since_ms, argument::number(object, "since", 0, 0, INT64_MAX));
    FID_TRY(const auto step, argument::number(object, "lastStep", 0, 0, INT64_MAX));
    out.last_step = static_cast<std::uint64_t>(step);
    FID_TRY(out.second_factor, from_hex(argument::text(object, "secondFactor")));
    FID_TRY(out.kept_key, from_hex(argument::text(object, "key")));
    FID_TRY(out.recovery, argument::texts(object, "recovery"));
    FID_TRY(out.networks, argument::texts(object, "networks"));
    return out;
}

/// Of a record that has one of these; what is wrong with it is said without what is in it.
Result<std::string> checked_email(const json::object& said) {
    return check_email(argument::text(said, "email"));
}

}  // namespace

json::array roles_json(std::uint32_t roles) {
    json::array out;
    for (std::uint32_t bit = 1; bit <= kPatient; bit <<= 1) {
        if ((roles & bit) != 0) out.emplace_back(roles_text(bit));
    }
    return out;
}

Result<std::uint32_t> roles_from(const json::object& said) {
    FID_TRY(const auto names, argument::texts(said, "roles"));
    std::string text;
    for (const auto& name : names) text += (text.empty() ? "" : ",") + name;
    FID_TRY(const auto roles, parse_roles(text));
    if ((roles & kCustodian) != 0) return fail(ErrorCode::invalid_argument, "roles: two administrators appoint a custodian");
    return roles;
}

Result<Bytes32> person_from(const json::object& said) {
    auto person = fixed_from_hex<32>(argument::text(said, "id"), "id");
    if (!person) return fail(ErrorCode::invalid_argument, "id: a person's id is 64 hex digits");
    return person;
}

std::string rfc3339_of_ms(std::int64_t ms) {
    return to_rfc3339(SystemTime(milliseconds(ms)));
}

Reply reply_of(const json::object& object) {
    Reply out;
    out.json = json::serialize(object);
    return out;
}

std::string own_url(const Configuration& configuration) {
    auto base = configuration.http_public_url;
    while (base.ends_with('/')) base.pop_back();
    if (base.empty()) base = (configuration.http_tls_certificate.empty() ? "http://" : "https://") + configuration.http_listen;
    return base;
}

std::string first_link_url(const Configuration& configuration, const crypto::Secret& token) {
    return link_url({{}, {}, own_url(configuration)}, token);
}

std::string link_url(const Visitor& visitor, const crypto::Secret& token) {
    return visitor.base_url + "/app/link#" + std::string(as_text(token.view()));
}

FrontDesk::FrontDesk(Service& service, crypto::Secret accounts_key, std::optional<MailSettings> mail, const Clock& clock)
    : service_(service),
      records_(service.store_->database(), accounts_key.clone()),
      messages_(service.store_->database(), accounts_key),
      mails_(service.store_->database(), accounts_key, std::move(mail), clock),
      clock_(clock) {
    prepare_mails();
}
FrontDesk::~FrontDesk() = default;

struct FrontDesk::Row {
    std::string_view name;
    Answer (FrontDesk::*function)(const Visitor&, const Said&);
};

const FrontDesk::Row* FrontDesk::find(std::string_view name) {
    static constexpr Row kRows[] = {
        {"register", &FrontDesk::register_account},
        {"log in", &FrontDesk::log_in},
        {"code", &FrontDesk::enter_code},
        {"link", &FrontDesk::look_at_link},
        {"use link", &FrontDesk::use_link},
        {"session", &FrontDesk::session},
        {"account", &FrontDesk::own_account},
        {"change password", &FrontDesk::change_password},
        {"renew second factor", &FrontDesk::renew_second_factor},
        {"tokens", &FrontDesk::list_tokens},
        {"make token", &FrontDesk::make_token},
        {"revoke token", &FrontDesk::revoke_token},
        {"messages", &FrontDesk::list_messages},
        {"mark messages", &FrontDesk::mark_messages},
        {"wallet message", &FrontDesk::make_wallet_message},
        {"log in with wallet", &FrontDesk::log_in_with_wallet},
        {"tie wallet", &FrontDesk::tie_wallet},
        {"make rpc", &FrontDesk::make_rpc_address},
        {"rpc", &FrontDesk::ask_ledger},
        {"ledger question", &FrontDesk::ask_ledger_in_session},
        {"ledger", &FrontDesk::describe_ledger},
        {"trace", &FrontDesk::search_trace},
        {"trace proof", &FrontDesk::prove_entry},
        {"emergencies", &FrontDesk::list_emergencies},
        {"looks", &FrontDesk::list_looks},
        {"queues", &FrontDesk::list_queues},
        {"ask for reset", &FrontDesk::ask_for_reset},
        {"ask for confirmation", &FrontDesk::ask_for_confirmation},
        {"retry mails", &FrontDesk::retry_mails},
        {"discard mails", &FrontDesk::discard_mails},
        {"retry deliveries", &FrontDesk::retry_deliveries},
        {"discard deliveries", &FrontDesk::discard_deliveries},
        {"restore object", &FrontDesk::restore_object},
        {"reset second factor", &FrontDesk::reset_second_factor},
        {"people", &FrontDesk::list_people},
        {"activate", &FrontDesk::activate},
        {"refuse", &FrontDesk::refuse},
        {"deactivate", &FrontDesk::deactivate},
        {"invite", &FrontDesk::invite},
        {"password link", &FrontDesk::make_password_link},
        {"letter", &FrontDesk::make_letter},
    };
    const auto* found = std::find_if(std::begin(kRows), std::end(kRows), [&](const Row& row) { return row.name == name; });
    return found == std::end(kRows) ? nullptr : found;
}

Result<Reply> FrontDesk::ask(std::string_view what, const Visitor& visitor, const Said& said) {
    const auto* row = find(what);
    if (row == nullptr) return fail(ErrorCode::not_found, "the reception does not know '" + std::string(what) + "'");
    return (this->*row->function)(visitor, said);
}

// ---- records

Result<LogIn> FrontDesk::log_in_of(const Bytes32& person) {
    FID_TRY(auto log_in, records_.database().read([&](database::Transaction& t) { return log_in_in(t, person); }));
    if (!log_in) return fail(ErrorCode::not_found, "there is no account of this person");
    return std::move(*log_in);
}

Result<std::optional<LogIn>> FrontDesk::log_in_in(database::Transaction& transaction, const Bytes32& person) {
    FID_TRY(const auto record, records_.find(transaction, kLogInRecord, to_hex(person)));
    if (!record) return std::optional<LogIn>();
    FID_TRY(auto log_in, log_in_from(*record));
    return std::optional(std::move(log_in));
}

Result<std::optional<LogIn>> FrontDesk::log_in_by_email(const std::string& email) {
    FID_TRY(const auto record,
            records_.database().read([&](database::Transaction& t) { return records_.find_by(t, kLogInRecord, email); }));
    if (!record) return std::optional<LogIn>();
    FID_TRY(auto log_in, log_in_from(*record));
    return std::optional(std::move(log_in));
}

Result<void> FrontDesk::put(database::Transaction& transaction, const LogIn& log_in) {
    auto kept = records_.put(transaction, kLogInRecord, {to_hex(log_in.person), log_in.email, log_in_content(log_in)});
    if (!kept && kept.error().code == ErrorCode::conflict)
        return fail(ErrorCode::conflict, "email: there is an account of this address already");
    return kept;
}

Result<void> FrontDesk::save(const LogIn& log_in) {
    return records_.database().write(database::Durability::full, [&](database::Transaction& t) { return put(t, log_in); });
}

/// A log-in name that nobody has: the person's own, with a number where it is another's.
Result<std::string> FrontDesk::unused_name(const std::string& name) {
    for (int number = 1; number < 1000; ++number) {
        auto tried = number == 1 ? name : name + " " + std::to_string(number);
        const auto there = service_.accounts_->by_name(tried);
        if (!there && there.error().code == ErrorCode::not_found) return tried;
        if (!there && there.error().code != ErrorCode::corrupt) return fail(there.error());
    }
    return fail(ErrorCode::conflict, "there are too many people of this name");
}

// ---- rights

Result<void> FrontDesk::administer(const Requester& who, const Bytes32& person, bool takes_away, std::uint32_t flags) {
    auto decision = service_.permit(who, nullptr, Operation::inventory);
    if (!decision && takes_away && decision.error().code == ErrorCode::unavailable && who.subject == service_.command_requester().subject) {
        decision = Decision{};
        decision->allowed = decision->node_away = true;
    }
    FID_CHECK(decision);
    FID_CHECK(service_.tracer_->write(who, Operation::inventory, *decision, nullptr, person, {}, flags));
    return {};
}

bool FrontDesk::wait_until_counts(std::uint64_t block) {
    service_.follower_->wake();
    return service_.follower_->wait_until([&](const ledger::FollowerStatus& chain) { return chain.any && chain.settled >= block; },
                                          kSettlePatience);
}

Result<FrontDesk::Registered> FrontDesk::register_person(const Requester& who, const Person& person, const Address& account,
                                                         const std::function<Result<void>(database::Transaction&)>& also) {
    FID_TRY(const auto administrator, service_.site_.key(kOperatorKey));
    FID_TRY(const auto decision, service_.permit(who, nullptr, Operation::inventory));
    Registered out;
    FID_TRY(out.block, archive::register_person(*service_.rpc_, service_.site_.facts(), administrator, person.id, person.roles, account));
    FID_CHECK(service_.tracer_->write(who, Operation::inventory, decision, nullptr, person.id, {}, audit::people));
    FID_CHECK(records_.database().write(database::Durability::full, [&](database::Transaction& t) -> Result<void> {
        FID_CHECK(service_.accounts_->add(t, person));
        return also ? also(t) : Result<void>{};
    }));
    out.usable = wait_until_counts(out.block);
    return out;
}

Result<std::optional<std::int64_t>> FrontDesk::denial_of(const Bytes32& subject, std::string_view reason) {
    FID_TRY(const auto denials, service_.access_->denials());
    const auto found = std::find_if(denials.begin(), denials.end(), [&](const auto& denial) {
        return denial.subject == subject && denial.patient_key == kZero32 && denial.reason == reason;
    });
    return found == denials.end() ? std::nullopt : std::optional(found->id);
}

Result<bool> FrontDesk::is_deactivated(const Bytes32& person) {
    FID_TRY(const auto denial, denial_of(person, kDeactivated));
    return denial.has_value();
}

Result<void> FrontDesk::check_active(const Bytes32& person) {
    FID_CHECK(service_.accounts_->by_id(person));
    FID_TRY(const bool deactivated, is_deactivated(person));
    if (deactivated) return fail(ErrorCode::denied, "this account is not active");
    return {};
}

Result<FrontDesk::Activity> FrontDesk::set_active(const Requester& who, const Bytes32& person, bool active) {
    if (person == service_.site_.facts().operator_person)
        return fail(ErrorCode::invalid_argument, "the operator cannot be deactivated: commands act as this person");
    FID_CHECK(administer(who, person, !active, active ? 0U : audit::people));
    FID_TRY(const auto denial, denial_of(person, kDeactivated));
    Activity out;
    if (!active) {
        FID_TRY(out.tokens_revoked, service_.accounts_->revoke_tokens(person));
        if (!denial) FID_CHECK(service_.access_->add_denial(person, {}, std::string(kDeactivated)));
    }
    FID_TRY(const auto administrator, service_.site_.key(kOperatorKey));
    const auto told = archive::set_person_active(*service_.rpc_, service_.site_.facts(), administrator, person, active);
    const bool away = !told && (told.error().code == ErrorCode::unavailable || told.error().code == ErrorCode::timeout);
    if (!told && !(away && !active)) return fail(told.error());
    if (active && denial) FID_CHECK(service_.access_->remove_denial(*denial));
    if (told) service_.follower_->wake();
    out.on_ledger = told.has_value();
    return out;
}

void FrontDesk::tell_role(Role role, std::string_view kind, const std::string& text) {
    const auto everybody = service_.accounts_->all();
    if (!everybody) return;  // what is wrong with the register is said elsewhere
    for (const auto& person : everybody->people) {
        if ((person.roles & role) != 0) messages_.tell(person.id, kind, text);
    }
}

Result<std::vector<Person>> FrontDesk::administrators() {
    FID_TRY(const auto everybody, service_.accounts_->all());
    std::vector<Person> out;
    for (const auto& person : everybody.people) {
        if ((person.roles & kAdministrator) == 0) continue;
        FID_TRY(const bool deactivated, is_deactivated(person.id));
        if (!deactivated) out.push_back(person);
    }
    return out;
}

// ---- I work here

FrontDesk::Answer FrontDesk::register_account(const Visitor& visitor, const Said& said) {
    LogIn asked;
    FID_TRY(asked.name, check_name(argument::text(said, "name")));
    FID_TRY(asked.email, checked_email(said));
    FID_TRY(asked.phone, check_phone(argument::text(said, "phone")));
    const auto role = parse_roles(argument::text(said, "role"));
    if (!role || (*role & (kCustodian | kPatient)) != 0 || (*role & (*role - 1)) != 0)
        return fail(ErrorCode::invalid_argument,
                    "role: one of doctor, technologist, desk, privacy-officer, auditor, security-officer, "
                    "researcher, administrator is asked for");
    asked.role_asked = *role;
    const auto password = argument::text(said, "password");
    FID_CHECK(check_password(password, asked.email));
    FID_TRY(asked.password, crypto::hash_password(as_bytes(password)));
    asked.person = crypto::random_bytes32();
    asked.since_ms = wall_ms();
    FID_TRY(const auto whom, administrators());
    json::array told;
    for (const auto& person : whom) told.emplace_back(person.name);
    constexpr unsigned kMostFromNetwork = 50;
    if (mails_.on() && !count_try("asks for accounts " + visitor.network, kMostFromNetwork))
        return fail(ErrorCode::limit_exceeded, "too many ask for accounts from here; wait a quarter of an hour");
    const std::lock_guard lock(registrations_mutex_);
    FID_TRY(const auto there, log_in_by_email(asked.email));
    if (there && there->state == LogIn::State::registered) {
        messages_.tell(there->person, "security", "Somebody asked for an account with your e-mail address. Nothing was changed.");
    } else if (!there) {
        FID_CHECK(records_.database().write(database::Durability::full, [&](database::Transaction& t) -> Result<void> {
            FID_TRY(const auto everybody, records_.all(t, kLogInRecord));
            constexpr std::size_t kMostAccounts = 20'000;
            if (everybody.records.size() >= kMostAccounts)
                return fail(ErrorCode::limit_exceeded, "too many accounts wait for an administrator");
            FID_CHECK(put(t, asked));
            mail_confirmation(t, asked);
            for (const auto& person : whom)
                FID_CHECK(messages_.add(t, person.id, "registration",
                                        asked.name + " asks for an account as " + roles_text(asked.role_asked) + "."));
            return {};
        }));
    }
    return reply_of({{"step", "waiting"}, {"told", std::move(told)}, {"email", email_step(asked)}});
}

// ---- links

std::string FrontDesk::content_of(const Link& link) {
    return json::serialize(json::object{{"kind", link.kind},
                                        {"person", to_hex(link.person)},
                                        {"name", link.name},
                                        {"email", link.email},
                                        {"roles", link.roles},
                                        {"expires", link.expires_ms},
                                        {"patientKey", to_hex(link.patient_key)},
                                        {"code", link.code},
                                        {"wrongCodes", link.wrong_codes}});
}

Result<FrontDesk::MadeLink> FrontDesk::make_link(AccountRecords& records, Link link, std::chrono::minutes lasts) {
    return records.database().write(database::Durability::full,
                                    [&](database::Transaction& t) { return make_link(records, t, std::move(link), lasts); });
}

Result<FrontDesk::MadeLink> FrontDesk::make_link(AccountRecords& records, database::Transaction& transaction, Link link,
                                                 std::chrono::minutes lasts) {
    const auto token = std::string(kLinkPrefix) + to_hex(crypto::random_bytes32());
    link.expires_ms = wall_ms() + std::chrono::duration_cast<milliseconds>(lasts).count();
    FID_CHECK(records.put(transaction, kLinkRecord, {link_id(token), "", content_of(link)}));
    return MadeLink{crypto::Secret::copy_of(as_bytes(token)), link.expires_ms};
}

Result<void> FrontDesk::erase_links(database::Transaction& transaction, std::string_view kind, const Bytes32& person) {
    FID_TRY(const auto links, records_.all(transaction, kLinkRecord));
    for (const auto& record : links.records) {
        FID_TRY(const auto value, fiducial::json::parse(record.content, std::size_t{64} << 10));
        const auto* link = value.if_object();
        if (link != nullptr && argument::text(*link, "kind") == kind && argument::text(*link, "person") == to_hex(person))
            FID_CHECK(records_.erase(transaction, kLinkRecord, record.id));
    }
    return {};
}

Result<crypto::Secret> FrontDesk::make_first_link(AccountRecords& records) {
    Link link;
    link.kind = "administrator";
    link.roles = kAdministrator;
    FID_TRY(auto made, make_link(records, link, kFirstLinkLasts));
    return std::move(made.token);
}

Result<crypto::Secret> FrontDesk::make_first_link() {
    FID_CHECK(administer(service_.command_requester(), {}, false));
    return make_first_link(records_);
}

Result<FrontDesk::Link> FrontDesk::read_link(database::Transaction& transaction, const Said& said) {
    const auto token = argument::text(said, "link");
    if (!token.starts_with(kLinkPrefix) || token.size() != kLinkPrefix.size() + 64)
        return fail(ErrorCode::not_found, std::string(kNoSuchLink));
    Link link;
    link.id = link_id(token);
    FID_TRY(const auto record, records_.find(transaction, kLinkRecord, link.id));
    if (!record) return fail(ErrorCode::not_found, std::string(kNoSuchLink));
    FID_TRY(const auto value, fiducial::json::parse(record->content, std::size_t{64} << 10));
    const auto* object = value.if_object();
    if (object == nullptr) return fail(ErrorCode::corrupt, "a link's record is no JSON object");
    FID_TRY(link.expires_ms, argument::number(*object, "expires", 0, 0, INT64_MAX));
    if (link.expires_ms <= wall_ms()) return fail(ErrorCode::not_found, std::string(kNoSuchLink));
    link.kind = argument::text(*object, "kind");
    link.name = argument::text(*object, "name");
    link.email = argument::text(*object, "email");
    FID_TRY(link.person, fixed_from_hex<32>(argument::text(*object, "person"), "person"));
    FID_TRY(const auto roles, argument::number(*object, "roles", 0, 0, 1 << 10));
    link.roles = static_cast<std::uint32_t>(roles);
    FID_TRY(link.patient_key, fixed_from_hex<32>(argument::text(*object, "patientKey"), "patient"));
    link.code = argument::text(*object, "code");
    FID_TRY(link.wrong_codes, argument::number(*object, "wrongCodes", 0, 0, INT64_MAX));
    return link;
}

FrontDesk::Answer FrontDesk::look_at_link(const Visitor&, const Said& said) {
    FID_TRY(const auto link, records_.database().read([&](database::Transaction& t) { return read_link(t, said); }));
    json::object out{{"kind", link.kind == "reset" ? "password" : link.kind},
                     {"roles", roles_json(link.roles)},
                     {"expires", rfc3339_of_ms(link.expires_ms)}};
    if (!link.name.empty()) out["name"] = link.name;
    if (!link.email.empty()) out["email"] = link.email;
    return reply_of(out);
}

FrontDesk::Answer FrontDesk::use_link(const Visitor& visitor, const Said& said) {
    const std::lock_guard lock(registrations_mutex_);
    FID_TRY(auto link, records_.database().read([&](database::Transaction& t) { return read_link(t, said); }));
    if (link.kind == "patient") return use_letter(visitor, said, link);
    if (link.kind == "email") return use_email_link(link);
    if (link.kind == "password" || link.kind == "reset") return use_password_link(visitor, said, link);
    return use_account_link(visitor, said, link);
}

/// An account that is active from the beginning: the first administrator's, and that of somebody invited.
FrontDesk::Answer FrontDesk::use_account_link(const Visitor& visitor, const Said& said, const Link& link) {
    LogIn made;
    FID_TRY(made.name, check_name(argument::text(said, "name").empty() ? link.name : argument::text(said, "name")));
    if (link.email.empty()) {
        FID_TRY(made.email, checked_email(said));
    } else {
        made.email = link.email;
    }
    FID_TRY(made.phone, check_phone(argument::text(said, "phone")));
    const auto password = argument::text(said, "password");
    FID_CHECK(check_password(password, made.email));
    FID_TRY(const auto there, log_in_by_email(made.email));
    if (there && there->state == LogIn::State::registered)
        return fail(ErrorCode::conflict, "email: there is an account of this address already");
    FID_TRY(made.password, crypto::hash_password(as_bytes(password)));
    made.person = crypto::random_bytes32();
    made.state = LogIn::State::registered;
    made.role_asked = link.roles;
    made.since_ms = wall_ms();
    const auto key = crypto::generate_private_key();
    made.kept_key = to_bytes(key.view());
    FID_TRY(const auto account, crypto::address_of(key));
    FID_TRY(const auto name, unused_name(made.name));
    const Person person{made.person, name, link.roles, made.since_ms};
    FID_CHECK(register_person(service_.command_requester(), person, account, [&](database::Transaction& t) -> Result<void> {
        FID_CHECK(records_.erase(t, kLinkRecord, link.id));
        if (there) FID_CHECK(records_.erase(t, kLogInRecord, to_hex(there->person)));  // it waited, and this opens instead
        mail_confirmation(t, made);
        return put(t, made);
    }));
    return next_step(visitor, std::move(made));
}

FrontDesk::Answer FrontDesk::use_password_link(const Visitor& visitor, const Said& said, const Link& link) {
    std::unique_lock lock(changes_mutex_);
    FID_TRY(auto log_in, log_in_of(link.person));
    const auto password = argument::text(said, "password");
    FID_CHECK(check_password(password, log_in.email));
    FID_TRY(log_in.password, crypto::hash_password(as_bytes(password)));
    if (log_in.state == LogIn::State::registered) {
        FID_CHECK(service_.accounts_->revoke_tokens(log_in.person));  // whoever knew the former one is out
        messages_.tell(log_in.person, "security", "Your password was set anew by a link.");
    }
    FID_CHECK(records_.database().write(database::Durability::full, [&](database::Transaction& t) -> Result<void> {
        FID_CHECK(records_.erase(t, kLinkRecord, link.id));
        FID_CHECK(erase_links(t, "reset", link.person));  // whoever asked for another one asked before
        return put(t, log_in);
    }));
    lock.unlock();
    auto next = next_step(visitor, std::move(log_in));
    if (next) next->ends_others = true;
    return next;
}

}  // namespace fiducial::archive
