#include "ledger/contracts.hpp"

#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <set>

#include "base/hex.hpp"
#include "crypto/hash.hpp"
#include "ethereum/abi.hpp"
#include "ledger/ledger_test_support.hpp"
#include "ledger/rights_events.hpp"

namespace fiducial::ledger {
namespace {

using testing::must;
using testing::NodeKind;
using testing::Site;

std::string canonical_type(const boost::json::object& parameter) {
    const std::string type(parameter.at("type").as_string());
    if (!type.starts_with("tuple")) return type;
    std::string out = "(";
    for (const auto& member : parameter.at("components").as_array())
        out += (out.size() > 1 ? "," : "") + canonical_type(member.as_object());
    return out + ")" + type.substr(5);
}

// "f name(types)" or "e name(types)" of every entry of a committed ABI.
std::set<std::string> committed(std::string_view contract) {
    const auto abi = must(json::parse(contracts::artifact(contract).abi_json, 1 << 20));
    std::set<std::string> out;
    for (const auto& entry : abi.as_array()) {
        const auto& object = entry.as_object();
        const std::string kind(object.at("type").as_string());
        if (kind != "function" && kind != "event") continue;
        std::string text(object.at("name").as_string());
        text += "(";
        bool first = true;
        for (const auto& input : object.at("inputs").as_array()) {
            text += (first ? "" : ",") + canonical_type(input.as_object());
            first = false;
        }
        out.insert(kind.substr(0, 1) + " " + text + ")");
    }
    return out;
}

TEST(Contracts, EverySignatureStandsInTheCommittedAbi) {
    std::size_t compared = 0;
    for (const auto list : {contracts::signatures(), rights::event_signatures()}) {
        for (const auto& signature : list) {
            const auto wanted = (signature.event ? "e " : "f ") + std::string(signature.text);
            EXPECT_TRUE(committed(signature.contract).contains(wanted)) << signature.contract << " has no " << wanted;
            ++compared;
        }
    }
    EXPECT_GT(compared, 50U);
}

TEST(Contracts, ErrorsAreSaidByNameAndWithWhatToDo) {
    const auto revert = [](std::string_view signature) {
        auto data = to_bytes(ethereum::function_selector(signature));
        append(data, Bytes(64, 0));
        return contracts::describe_revert(data);
    };
    EXPECT_NE(revert("MembersCustodianNeedsTwo(bytes32)").find("MembersCustodianNeedsTwo: one administrator alone"), std::string::npos);
    EXPECT_EQ(revert("MembersZeroId()"), "refused with MembersZeroId");
    EXPECT_EQ(revert("ConsentsSpanInvalid(uint64,uint64)"), "refused with ConsentsSpanInvalid");
    EXPECT_NE(revert("SomeoneElsesError()").find("reverted with error 0x"), std::string::npos);
    EXPECT_EQ(contracts::describe_revert({}), "reverted without a reason");
    std::set<std::string> named;
    for (const auto& contract : contracts::artifacts()) {
        const auto abi = must(json::parse(contract.abi_json, 1 << 20));
        for (const auto& entry : abi.as_array()) {
            if (entry.as_object().at("type").as_string() == "error") named.emplace(entry.as_object().at("name").as_string());
        }
    }
    for (const auto& [error, text] : contracts::advice()) EXPECT_TRUE(named.contains(std::string(error))) << error;
}

// An event that nobody decodes must be one that we know to change no right.
TEST(Contracts, EveryEventOfTheCommittedAbiIsDecodedOrKnownToGiveNoRight) {
    const std::set<std::string> without_rights = {"e PersonAccountProposed(bytes32,address,uint64)",
                                                  "e PersonAccountProposalCancelled(bytes32)",
                                                  "e CustodianProposed(bytes32,bytes32)",
                                                  "e ConsortiumChanged(address[],uint32,uint64)",
                                                  "e ActionProposed(bytes32,address,bytes,address)",
                                                  "e ActionApproved(bytes32,address,uint32,uint64)",
                                                  "e ActionExecuted(bytes32)",
                                                  "e ActionApprovalWithdrawn(bytes32,address,uint32)",
                                                  "e EIP712DomainChanged()"};
    std::set<std::string> decoded;
    for (const auto& signature : rights::event_signatures()) decoded.insert("e " + std::string(signature.text));
    for (const char* contract : {"Members", "Consents"}) {
        for (const auto& entry : committed(contract)) {
            if (!entry.starts_with("e ")) continue;
            EXPECT_TRUE(decoded.contains(entry) || without_rights.contains(entry)) << contract << ": " << entry;
        }
    }
}

TEST(Contracts, AnUnknownEventIsNoneAndABrokenOneIsRefused) {
    Log log;
    EXPECT_TRUE(std::holds_alternative<std::monostate>(must(contracts::decode_studies_event(log))));
    log.topics = {ethereum::event_topic("StudyAnchored(bytes32,bytes32,uint64,bytes32)"), Hash{}, Hash{}};
    EXPECT_EQ(contracts::decode_studies_event(log).error().code, ErrorCode::malformed);
    log.data.resize(64);
    EXPECT_TRUE(contracts::decode_studies_event(log).has_value());
    log.data.resize(96);
    EXPECT_EQ(contracts::decode_studies_event(log).error().code, ErrorCode::malformed);
    log.data.resize(64);
    log.topics.pop_back();
    EXPECT_EQ(contracts::decode_studies_event(log).error().code, ErrorCode::malformed);
    log.topics = {ethereum::event_topic("PersonRemoved(bytes32)")};
    EXPECT_EQ(rights::decode_event(log).error().code, ErrorCode::malformed);
}

class OnEachNode : public ::testing::TestWithParam<NodeKind> {};
INSTANTIATE_TEST_SUITE_P(Nodes, OnEachNode, ::testing::Values(NodeKind::geth, NodeKind::anvil, NodeKind::ganache),
                         [](const auto& one) { return testing::name_of(one.param); });

TEST_P(OnEachNode, DeploysAndTheContractHashesARecordAsWeDo) {
    Site site(GetParam());
    FID_SKIP_WITHOUT(site);
    for (const auto& contract : site.deployment.all()) {
        EXPECT_EQ(must(contracts::code_hash(*site.rpc, contract.address)), contract.code_hash) << contract.name;
        EXPECT_GT(contract.from_block, 0U);
    }
    const auto record = site.record(7);
    const auto hashed = must(site.rpc->call({site.deployment.studies.address, contracts::hash_record_call(record), std::nullopt}));
    EXPECT_EQ(must(contracts::decode_hash(hashed.data)), record.hash());
    const auto holder = must(site.rpc->call(
        {site.deployment.members.address, contracts::institution_of_gateway_call(site.chain->gateway_address), std::nullopt}));
    EXPECT_EQ(must(contracts::decode_hash(holder.data)), site.institution);
    const auto entry = must(site.rpc->call({site.deployment.directory.address, contracts::directory_get_call("Studies"), std::nullopt}));
    ethereum::AbiReader in(entry.data);
    EXPECT_EQ(must(in.address("target")), site.deployment.studies.address);
    EXPECT_EQ(must(in.bytes32("code hash")), site.deployment.studies.code_hash);
}

TEST_P(OnEachNode, AnchorsABatchAndFollowsItToSettled) {
    Site site(GetParam());
    FID_SKIP_WITHOUT(site);
    site.run();
    std::vector<std::uint64_t> ids;
    for (std::uint64_t i = 0; i < 40; ++i) ids.push_back(site.enqueue(site.record(i)));
    ids.push_back(site.enqueue(site.record(0, 2, site.record(0).hash())));
    ASSERT_TRUE(site.outbox->wait_until_settled(std::chrono::seconds(60)))
        << site.outbox->status().problem << " / " << site.follower->status().problem;
    for (const auto id : ids) {
        const auto item = site.item(id);
        EXPECT_EQ(item.state, OutboxState::settled) << item.problem;
        EXPECT_NE(item.block_number, 0U);
    }
    for (std::uint64_t i = 0; i < 40; ++i) EXPECT_EQ(site.on_chain(site.record(i)), site.record(i).hash());
    EXPECT_EQ(site.on_chain(site.record(0, 2, site.record(0).hash())), site.record(0, 2, site.record(0).hash()).hash());
    EXPECT_TRUE(site.incidents.empty());
}

// The rights of people as the chain tells them.
class CollectEvents final : public LedgerChanges {
public:
    Result<void> apply(database::Transaction&, const Block&, std::span<const Log> logs) override {
        for (const auto& log : logs) {
            FID_TRY(auto event, rights::decode_event(log));
            events.push_back(std::move(event));
        }
        return {};
    }
    Result<void> undo(database::Transaction&, const Block&, bool) override { return {}; }
    Result<void> settle(database::Transaction&, const Block&) override { return {}; }
    template <typename T>
    std::vector<T> all() const {
        std::vector<T> out;
        for (const auto& event : events) {
            if (const auto* one = std::get_if<T>(&event)) out.push_back(*one);
        }
        return out;
    }
    std::vector<rights::Event> events;
};

TEST(Rights, EventsOfTheRealContractsBecomeStructs) {
    Site site(NodeKind::anvil);
    FID_SKIP_WITHOUT(site);
    CollectEvents collected;
    site.more_sinks = {&collected};
    site.reopen();
    const auto as_administrator = [&](const Address& to, Bytes data) {
        must(contracts::send_and_wait(*site.rpc, site.chain->deployer,
                                      {.chain_id = site.chain->chain_id, .to = to, .data = std::move(data), .value = {}}));
    };
    const auto as_gateway = [&](Bytes data) {
        must(contracts::send_and_wait(
            *site.rpc, site.chain->gateway,
            {.chain_id = site.chain->chain_id, .to = site.deployment.consents.address, .data = std::move(data), .value = {}}));
    };
    const auto members = site.deployment.members.address;
    const auto doctor = crypto::random_bytes32();
    const auto device = crypto::random_bytes32();
    const auto patient = crypto::random_bytes32();
    const Address account = must(crypto::address_of(crypto::generate_private_key()));
    as_administrator(members, contracts::register_person_call(doctor, site.institution, account, 1, contracts::Custody::kept));
    as_administrator(members, contracts::register_device_call(device, site.institution, 4, Hash{}));
    const contracts::Target target{contracts::TargetKind::subject, doctor, 0};
    as_gateway(contracts::restrict_call({site.institution, patient, target, Hash{}, true, 1}));
    as_gateway(contracts::grant_call({site.institution, patient, target, Hash{}, 0, 1'000, 2'000'000'000, 0}));
    as_gateway(contracts::revoke_call(site.institution, patient, contracts::grant_id(target, Hash{}, 0), 0));
    as_gateway(contracts::open_emergency_call(site.institution, patient, doctor, 1'700'000'000, 1'700'000'600, Hash{}));
    as_administrator(members, contracts::set_roles_call(doctor, 2));
    as_administrator(members, contracts::remove_person_call(doctor));

    must(site.follower->load());
    while (must(site.follower->step())) {
    }
    const auto institutions = collected.all<rights::InstitutionRegistered>();
    ASSERT_EQ(institutions.size(), 1U);
    EXPECT_EQ(institutions[0].institution, site.institution);
    EXPECT_EQ(institutions[0].gateway, site.chain->gateway_address);
    EXPECT_EQ(institutions[0].name, "Sankt Elisabeth");
    const auto people = collected.all<rights::PersonRegistered>();
    ASSERT_EQ(people.size(), 2U);
    EXPECT_EQ(people[1].person, doctor);
    EXPECT_EQ(people[1].account, account);
    EXPECT_EQ(people[1].roles, 1U);
    ASSERT_EQ(collected.all<rights::DeviceRegistered>().size(), 1U);
    EXPECT_EQ(collected.all<rights::DeviceRegistered>()[0].operations, 4U);
    const auto restrictions = collected.all<rights::Restricted>();
    ASSERT_EQ(restrictions.size(), 1U);
    EXPECT_EQ(restrictions[0].restriction_id, contracts::restriction_id(target, Hash{}));
    EXPECT_EQ(restrictions[0].target, target);
    EXPECT_TRUE(restrictions[0].on);
    const auto grants = collected.all<rights::Granted>();
    ASSERT_EQ(grants.size(), 1U);
    EXPECT_EQ(grants[0].grant_id, contracts::grant_id(target, Hash{}, 0));
    EXPECT_EQ(grants[0].until, 2'000'000'000U);
    const auto revocations = collected.all<rights::Revoked>();
    ASSERT_EQ(revocations.size(), 1U);
    EXPECT_EQ(revocations[0].current, 1U);
    ASSERT_EQ(collected.all<rights::EmergencyOpened>().size(), 1U);
    EXPECT_EQ(collected.all<rights::PersonRolesChanged>().size(), 1U);
    EXPECT_EQ(collected.all<rights::PersonRemoved>().size(), 1U);

    const contracts::DecideQuestion question{doctor, site.institution, patient, Hash{}, 0, 0, 1'800'000'000};
    EXPECT_FALSE(must(contracts::decide(*site.rpc, site.deployment.consents.address, question)).allowed);
    const auto state_answer =
        must(site.rpc->call({site.deployment.consents.address, contracts::patient_of_call(site.institution, patient), std::nullopt}));
    EXPECT_EQ(must(contracts::decode_patient(state_answer.data)).restrictions, 1U);
}

}  // namespace
}  // namespace fiducial::ledger
