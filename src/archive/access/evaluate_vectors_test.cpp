// Random states of the contracts, made by transactions, with questions and the contracts' own answers (contracts/vectors).
// FIDUCIAL_DECIDE_VECTORS names another file of them, as the differential test of many seeds makes (contracts/differential).
#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <cstdlib>
#include <fstream>
#include <map>
#include <set>
#include <sstream>

#include "archive/access/evaluate.hpp"
#include "base/json.hpp"

namespace fiducial::archive {
namespace {

using boost::json::array;
using boost::json::value;

std::uint64_t number(const value& v) {
    return v.to_number<std::uint64_t>();
}

Bytes32 id(std::uint64_t number) {
    Bytes32 out{};
    for (int i = 0; i < 8; ++i) out[31 - static_cast<std::size_t>(i)] = static_cast<std::uint8_t>(number >> (8 * i));
    return out;
}
Bytes32 id(const value& v) {
    return id(number(v));
}

template <typename Enum>
Enum enumerator(const value& v) {
    return static_cast<Enum>(number(v));
}

Target target(const array& row) {
    return {enumerator<TargetKind>(row.at(0)), id(row.at(1)), static_cast<std::uint32_t>(number(row.at(2)))};
}

struct State {
    std::map<std::uint64_t, SubjectFacts> subjects;
    std::map<std::pair<std::uint64_t, std::uint64_t>, PatientFacts> patients;
};

State state_of(const boost::json::object& text) {
    State state;
    for (const auto& v : text.at("subjects").as_array()) {
        const auto& row = v.as_array();
        state.subjects[number(row.at(0))] = {enumerator<SubjectKind>(row.at(1)),
                                             number(row.at(2)) != 0,
                                             number(row.at(3)) != 0,
                                             id(row.at(4)),
                                             static_cast<std::uint32_t>(number(row.at(5))),
                                             static_cast<std::uint32_t>(number(row.at(6)))};
    }
    for (const auto& v : text.at("patients").as_array()) {
        const auto& facts = v.as_object();
        PatientFacts patient;
        patient.kind = enumerator<ControllerKind>(facts.at("kind"));
        patient.controller = id(facts.at("controller"));
        patient.void_below = number(facts.at("voidBelow"));
        for (const auto& g : facts.at("grants").as_array()) {
            const auto& row = g.as_array();
            patient.grants.push_back({target(row), id(row.at(3)), enumerator<Purpose>(row.at(4)), number(row.at(5)), number(row.at(6)),
                                      number(row.at(7)), number(row.at(8))});
        }
        for (const auto& r : facts.at("restrictions").as_array())
            patient.restrictions.push_back({target(r.as_array()), id(r.as_array().at(3))});
        for (const auto& g : facts.at("guardians").as_array())
            patient.guardians.push_back({id(g.as_array().at(0)), number(g.as_array().at(1))});
        for (const auto& e : facts.at("emergencies").as_array()) {
            patient.emergencies.push_back({id(e.as_array().at(0)), number(e.as_array().at(1)), number(e.as_array().at(2))});
        }
        state.patients[{number(facts.at("holder")), number(facts.at("key"))}] = patient;
    }
    return state;
}

template <typename Map, typename Key>
typename Map::mapped_type found_or_default(const Map& map, const Key& key) {
    const auto found = map.find(key);
    return found == map.end() ? typename Map::mapped_type{} : found->second;
}

std::string vectors_file() {
    const char* other = std::getenv("FIDUCIAL_DECIDE_VECTORS");
    return other != nullptr ? other : FIDUCIAL_SOURCE_DIR "/test/vectors/decide.json";
}

TEST(Evaluate, answers_what_the_contract_answers) {
    std::ifstream file(vectors_file());
    ASSERT_TRUE(file) << vectors_file();
    std::stringstream text;
    text << file.rdbuf();
    auto parsed = json::parse(text.str(), std::size_t{1} << 28);
    ASSERT_TRUE(parsed) << parsed.error().message;

    std::size_t queries = 0;
    std::size_t differing = 0;
    std::set<Reason> reasons;
    for (const auto& state_text : parsed->as_array()) {
        const State state = state_of(state_text.as_object());
        for (const auto& v : state_text.as_object().at("queries").as_array()) {
            const auto& row = v.as_array();
            RightsSnapshot snapshot;
            snapshot.subject_id = id(row.at(0));
            snapshot.subject = found_or_default(state.subjects, number(row.at(0)));
            snapshot.holder_id = id(row.at(1));
            snapshot.holder = found_or_default(state.subjects, number(row.at(1)));
            snapshot.patient = found_or_default(state.patients, std::pair(number(row.at(1)), number(row.at(2))));
            const Question question{id(row.at(3)), enumerator<Operation>(row.at(4)), enumerator<Purpose>(row.at(5)), number(row.at(6))};
            const std::int64_t until = row.at(10).to_number<std::int64_t>();
            const Verdict expected{number(row.at(7)) != 0, enumerator<Reason>(row.at(8)), enumerator<Obligation>(row.at(9)),
                                   until < 0 ? kForEver : static_cast<std::uint64_t>(until)};
            const Verdict answered = evaluate(snapshot, question);
            ++queries;
            reasons.insert(expected.reason);
            if (answered == expected) continue;
            if (++differing > 10) continue;
            ADD_FAILURE() << boost::json::serialize(v) << ": " << text_of(answered.reason) << " until " << answered.valid_until << ", not "
                          << text_of(expected.reason) << " until " << expected.valid_until << "\n"
                          << boost::json::serialize(state_text.as_object().at("patients"));
        }
    }
    EXPECT_EQ(differing, 0u);
    EXPECT_GE(queries, 1000u);
    if (std::getenv("FIDUCIAL_DECIDE_VECTORS") != nullptr) return;
    // Each reason that the contract can give occurs in the committed file, so that agreeing means something.
    for (int reason = 1; reason <= static_cast<int>(Reason::grant_expired); ++reason) {
        if (static_cast<Reason>(reason) == Reason::locally_denied) continue;
        EXPECT_TRUE(reasons.contains(static_cast<Reason>(reason))) << text_of(static_cast<Reason>(reason));
    }
}

}  // namespace
}  // namespace fiducial::archive
