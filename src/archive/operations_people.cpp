#include <algorithm>
#include <boost/json.hpp>
#include <limits>

#include "archive/arguments.hpp"
#include "archive/members_on_ledger.hpp"
#include "archive/operations.hpp"
#include "archive/service.hpp"
#include "base/hex.hpp"

namespace fiducial::archive {
namespace {

namespace json = boost::json;
constexpr std::chrono::seconds kSettlePatience{30};       // for a person's registration
constexpr std::string_view kDeactivated = "deactivated";  // reason of the denial that goes with it

}  // namespace

Result<json::object> Operations::add_person(const Arguments& arguments) {
    FID_TRY(const auto name, argument::required_text(arguments, "name"));
    FID_TRY(const auto role_names, argument::required_text(arguments, "roles"));
    FID_TRY(const auto roles, parse_roles(role_names));
    FID_TRY(const auto administrator, service_.site_.key(kOperatorKey));
    const auto there = service_.accounts_->by_name(name);
    if (there) return fail(ErrorCode::conflict, "there is a person of this name already");
    if (there.error().code != ErrorCode::not_found) return fail(there.error());
    Person person{crypto::random_bytes32(), name, roles, system_clock().now().time_since_epoch().count()};
    FID_TRY(const auto decision, service_.permit(service_.command_requester(), nullptr, Operation::inventory));
    // On the ledger first: a person known here without rights there could do nothing, one known there alone can be added again.
    FID_TRY(const auto block, register_person(*service_.rpc_, service_.site_.facts(), administrator, person.id, roles));
    FID_CHECK(service_.tracer_->write(service_.command_requester(), Operation::inventory, decision, nullptr, person.id, {}, audit::people));
    FID_CHECK(service_.store_->database().write(database::Durability::full,
                                                [&](database::Transaction& t) { return service_.accounts_->add(t, person); }));
    return json::object{{"id", to_hex(person.id)}, {"name", name}, {"roles", roles_text(roles)}, {"usable", wait_until_counts(block)}};
}

/// A right counts once it is settled, and stands in our own table of rights from then on. Returns: whether it does.
bool Operations::wait_until_counts(std::uint64_t block) {
    service_.follower_->wake();
    return service_.follower_->wait_until([&](const ledger::FollowerStatus& chain) { return chain.any && chain.settled >= block; },
                                          kSettlePatience);
}

/// The denial of a subject, of everything, that was made for this reason.
Result<std::optional<std::int64_t>> Operations::denial_of(const Bytes32& subject, std::string_view reason) {
    FID_TRY(const auto denials, service_.access_->denials());
    const auto found = std::find_if(denials.begin(), denials.end(), [&](const auto& denial) {
        return denial.subject == subject && denial.patient_key == kZero32 && denial.reason == reason;
    });
    return found == denials.end() ? std::nullopt : std::optional(found->id);
}

Result<void> Operations::administer(const Bytes32& person, bool takes_away, std::uint32_t flags) {
    const auto who = service_.command_requester();
    auto decision = service_.permit(who, nullptr, Operation::inventory);
    if (!decision && takes_away && decision.error().code == ErrorCode::unavailable) {
        decision = Decision{};
        decision->allowed = decision->node_away = true;
    }
    FID_CHECK(decision);
    FID_CHECK(service_.tracer_->write(who, Operation::inventory, *decision, nullptr, person, {}, flags));
    return {};
}

Result<json::object> Operations::list_people(const Arguments&) {
    FID_TRY(const auto people, service_.accounts_->all());
    json::array out;
    for (const auto& person : people.people)
        out.push_back({{"id", to_hex(person.id)}, {"name", person.name}, {"roles", roles_text(person.roles)}});
    json::array damaged;
    for (const auto& person : people.damaged) damaged.push_back({{"id", person.id}, {"name", person.name}, {"what", person.what}});
    return json::object{{"people", std::move(out)}, {"damaged", std::move(damaged)}};
}

/// Taking away counts here at once, whatever the node does: a local denial and no tokens; the ledger is told where it can be.
Result<json::object> Operations::set_person_active(const Arguments& arguments) {
    FID_TRY(const auto name, argument::required_text(arguments, "name"));
    const bool active = argument::flag(arguments, "active");
    FID_TRY(const auto person, service_.accounts_->by_name(name));
    if (person.id == service_.site_.facts().operator_person)
        return fail(ErrorCode::invalid_argument, "the operator cannot be deactivated: commands act as this person");
    FID_CHECK(administer(person.id, !active, active ? 0U : audit::people));
    FID_TRY(const auto denial, denial_of(person.id, kDeactivated));
    std::uint64_t tokens = 0;
    if (!active) {
        FID_TRY(tokens, service_.accounts_->revoke_tokens(person.id));
        if (!denial) FID_CHECK(service_.access_->add_denial(person.id, {}, std::string(kDeactivated)));
    }
    FID_TRY(const auto administrator, service_.site_.key(kOperatorKey));
    const auto told = archive::set_person_active(*service_.rpc_, service_.site_.facts(), administrator, person.id, active);
    const bool away = !told && (told.error().code == ErrorCode::unavailable || told.error().code == ErrorCode::timeout);
    if (!told && !(away && !active)) return fail(told.error());
    if (active && denial) FID_CHECK(service_.access_->remove_denial(*denial));
    if (told) service_.follower_->wake();
    return json::object{{"name", name}, {"active", active}, {"tokensRevoked", tokens}, {"onLedger", told.has_value()}};
}

Result<json::object> Operations::add_denial(const Arguments& arguments) {
    const auto name = argument::text(arguments, "person"), study_text = argument::text(arguments, "study");
    FID_TRY(auto reason, argument::required_text(arguments, "reason"));
    Bytes32 subject{};
    Hash patient_key{};
    if (!name.empty()) {
        FID_TRY(const auto person, service_.accounts_->by_name(name));
        subject = person.id;
    }
    if (!study_text.empty()) {
        FID_TRY(const auto study, service_.identify(study_text));
        patient_key = study.patient_key;
    }
    FID_CHECK(administer(subject, true));
    FID_TRY(const auto id, service_.access_->add_denial(subject, patient_key, std::move(reason)));
    return json::object{{"id", id}};
}

Result<json::object> Operations::remove_denial(const Arguments& arguments) {
    FID_TRY(const auto id, argument::number(arguments, "id", 0, 1, std::numeric_limits<std::int64_t>::max()));
    FID_CHECK(administer({}, false));
    FID_CHECK(service_.access_->remove_denial(id));
    return json::object{{"id", id}};
}

Result<json::object> Operations::list_denials(const Arguments&) {
    FID_TRY(const auto everybody, service_.accounts_->all());
    const auto& people = everybody.people;
    FID_TRY(const auto denials, service_.access_->denials());
    json::array out;
    for (const auto& denial : denials) {
        const auto person = std::find_if(people.begin(), people.end(), [&](const Person& known) { return known.id == denial.subject; });
        json::object item{
            {"id", denial.id}, {"reason", denial.reason}, {"since", to_rfc3339(SystemTime(std::chrono::seconds(denial.since)))}};
        if (denial.subject != kZero32) item["person"] = person != people.end() ? person->name : to_hex(denial.subject);
        if (denial.patient_key != kZero32) item["patientKey"] = to_hex(denial.patient_key);
        out.push_back(std::move(item));
    }
    return json::object{{"denials", std::move(out)}};
}

Result<json::object> Operations::make_token(const Arguments& arguments) {
    FID_TRY(const auto name, argument::required_text(arguments, "person"));
    FID_TRY(const auto person, service_.accounts_->by_name(name));
    FID_TRY(const auto days, argument::number(arguments, "days", 30, 0, 3650));  // 0: until it is taken back
    FID_CHECK(administer(person.id, false));
    FID_TRY(const auto token,
            service_.accounts_->make_token(person.id, static_cast<std::uint64_t>(days) * 86400, argument::text(arguments, "note")));
    return json::object{{"token", std::string(as_text(token.view()))}, {"person", name}, {"days", days}};
}

Result<json::object> Operations::revoke_tokens(const Arguments& arguments) {
    FID_TRY(const auto name, argument::required_text(arguments, "person"));
    FID_TRY(const auto person, service_.accounts_->by_name(name));
    FID_CHECK(administer(person.id, true, audit::people));
    FID_TRY(const auto count, service_.accounts_->revoke_tokens(person.id));
    return json::object{{"revoked", count}};
}

}  // namespace fiducial::archive
