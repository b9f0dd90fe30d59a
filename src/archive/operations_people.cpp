#include <algorithm>
#include <boost/json.hpp>
#include <limits>

#include "archive/arguments.hpp"
#include "archive/front_desk.hpp"
#include "archive/operations.hpp"
#include "archive/service.hpp"
#include "base/hex.hpp"

namespace fiducial::archive {
namespace {

namespace json = boost::json;
}  // namespace

Result<json::object> Operations::add_person(const Arguments& arguments) {
    FID_TRY(const auto name, argument::required_text(arguments, "name"));
    FID_TRY(const auto role_names, argument::required_text(arguments, "roles"));
    FID_TRY(const auto roles, parse_roles(role_names));
    const auto there = service_.accounts_->by_name(name);
    if (there) return fail(ErrorCode::conflict, "there is a person of this name already");
    if (there.error().code != ErrorCode::not_found) return fail(there.error());
    const Person person{crypto::random_bytes32(), name, roles, system_clock().now().time_since_epoch().count()};
    FID_TRY(const auto registered, service_.front_desk_->register_person(service_.command_requester(), person, {}, nullptr));
    return json::object{{"id", to_hex(person.id)}, {"name", name}, {"roles", roles_text(roles)}, {"usable", registered.usable}};
}

Result<void> Operations::administer(const Bytes32& person, bool takes_away, std::uint32_t flags) {
    return service_.front_desk_->administer(service_.command_requester(), person, takes_away, flags);
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

Result<json::object> Operations::set_person_active(const Arguments& arguments) {
    FID_TRY(const auto name, argument::required_text(arguments, "name"));
    const bool active = argument::flag(arguments, "active");
    FID_TRY(const auto person, service_.accounts_->by_name(name));
    FID_TRY(const auto activity, service_.front_desk_->set_active(service_.command_requester(), person.id, active));
    return json::object{{"name", name}, {"active", active}, {"tokensRevoked", activity.tokens_revoked}, {"onLedger", activity.on_ledger}};
}

/// Where the site makes the first administrator, or another one when nobody can log in any more.
Result<json::object> Operations::make_first_link(const Arguments&) {
    FID_TRY(const auto token, service_.front_desk_->make_first_link());
    return json::object{{"link", first_link_url(service_.site_.configuration(), token)}};
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
