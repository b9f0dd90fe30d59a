// Patients' letters: the desk knows who somebody is, and the letter makes the account that the record is tied to.
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
#include "crypto/secp256k1.hpp"
#include "ledger/contracts.hpp"

namespace fiducial::archive {
namespace {

constexpr std::chrono::hours kLetterLasts{24 * 14};
constexpr std::int64_t kMostWrongCodes = 5;
/// Far more than the call takes; not estimated, since it waits for the registration before it.
constexpr std::uint64_t kControllerGas = 300'000;

/// Capitals and digits alone, as people copy it from paper.
std::string code_hash(std::string_view code) {
    std::string plain;
    for (const char c : code) {
        if (c >= 'a' && c <= 'z') plain += static_cast<char>(c - 'a' + 'A');
        if ((c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9')) plain += c;
    }
    return to_hex(crypto::sha256(as_bytes(plain)));
}

}  // namespace

FrontDesk::Answer FrontDesk::make_letter(const Visitor& visitor, const Said& said) {
    FID_TRY(const auto study, service_.identify(argument::text(said, "studyInstanceUid")));
    FID_TRY(const auto person, service_.accounts_->by_id(visitor.who.subject));
    FID_TRY(const auto decision, service_.permit(visitor.who, &study, Operation::identify));
    const bool desk = (person.roles & kDesk) != 0;
    FID_CHECK(service_.tracer_->write(visitor.who, Operation::identify, decision, &study, study.study_key,
                                      desk ? std::nullopt : std::optional(ErrorCode::denied)));
    if (!desk) return fail(ErrorCode::denied, "the desk, which has seen who it is, prints a patient's letter");
    Link link;
    link.kind = "patient";
    link.roles = kPatient;
    link.patient_key = study.patient_key;
    auto code = crypto::to_base32(ByteView(crypto::random_bytes32()).first(7)).substr(0, 10);
    link.code = code_hash(code);
    code.insert(5, "-");
    FID_TRY(const auto made, make_link(records_, link, kLetterLasts));
    return reply_of({{"code", code}, {"link", link_url(visitor, made.token)}, {"expires", rfc3339_of_ms(made.expires_ms)}});
}

FrontDesk::Answer FrontDesk::use_letter(const Visitor& visitor, const Said& said, Link& link) {
    if (!crypto::equal_constant_time(as_bytes(code_hash(argument::text(said, "code"))), as_bytes(link.code))) {
        link.wrong_codes += 1;
        FID_CHECK(records_.database().write(database::Durability::full, [&](database::Transaction& t) -> Result<void> {
            if (link.wrong_codes < kMostWrongCodes) return records_.put(t, kLinkRecord, {link.id, "", content_of(link)});
            FID_CHECK(records_.erase(t, kLinkRecord, link.id));
            return {};
        }));
        const auto left = kMostWrongCodes - link.wrong_codes;
        return fail(ErrorCode::unauthenticated, left > 0 ? "these are not the letter's ten characters; tries left: " + std::to_string(left)
                                                         : "these were not the letter's ten characters; ask the desk for another letter");
    }
    LogIn made;
    FID_TRY(made.name, check_name(argument::text(said, "name")));
    FID_TRY(made.email, check_email(argument::text(said, "email")));
    if (!argument::text(said, "phone").empty()) {
        FID_TRY(made.phone, check_phone(argument::text(said, "phone")));
    }
    const auto password = argument::text(said, "password");
    FID_CHECK(check_password(password, made.email));
    FID_TRY(const auto there, log_in_by_email(made.email));
    if (there) return fail(ErrorCode::conflict, "email: there is an account of this address already");
    FID_TRY(made.password, crypto::hash_password(as_bytes(password)));
    made.person = crypto::random_bytes32();
    made.state = LogIn::State::registered;
    made.role_asked = kPatient;
    made.since_ms = system_clock().now().time_since_epoch().count();
    const auto key = crypto::generate_private_key();
    made.kept_key = to_bytes(key.view());
    FID_TRY(const auto account, crypto::address_of(key));
    FID_TRY(const auto name, unused_name(made.name));
    const auto& facts = service_.site_.facts();
    const auto controls = ledger::contracts::set_controller_call(facts.institution, link.patient_key, made.person,
                                                                 ledger::contracts::ControllerKind::custodial);
    const auto tag = "controller " + to_hex(link.patient_key) + " " + to_hex(made.person);
    const Person person{made.person, name, kPatient, made.since_ms};
    FID_CHECK(register_person(service_.command_requester(), person, account, [&](database::Transaction& t) -> Result<void> {
        FID_CHECK(records_.erase(t, kLinkRecord, link.id));
        FID_CHECK(service_.outbox_->enqueue_call(t, facts.consents, controls, tag, kControllerGas));
        FID_CHECK(messages_.add(
            t, made.person, "activation",
            "Your account is active. From now on you decide who sees your images; until the ledger has settled it, a moment passes."));
        return put(t, made);
    }));
    service_.outbox_->wake(true);
    return next_step(visitor, std::move(made));
}

}  // namespace fiducial::archive
