#include "dicom/upper_layer.hpp"

#include <gtest/gtest.h>

#include <fstream>
#include <map>

namespace fiducial::dicom {
namespace {

using Action = UpperLayerAction;
using Event = UpperLayerEvent;
using State = UpperLayerState;
using Role = UpperLayer::Role;
using Timer = UpperLayerStep::Timer;

constexpr std::string_view kActionNames[] = {"none", "ae1", "ae2", "ae3", "ae4", "ae5", "ae6", "ae7", "ae8", "dt1",
                                             "dt2",  "ar1", "ar2", "ar3", "ar4", "ar5", "ar6", "ar7", "ar8", "ar9",
                                             "ar10", "aa1", "aa2", "aa3", "aa4", "aa5", "aa6", "aa7", "aa8"};

TEST(UpperLayer, Ps38_9_2_Table9_10_IsThatOfAnotherImplementation) {
    std::ifstream file(FIDUCIAL_SOURCE_DIR "/test/vectors/dimse/states.txt");
    std::map<std::pair<int, int>, std::pair<std::string, int>> theirs;
    int event = 0, state = 0, next = 0;
    std::string action;
    while (file >> event >> state >> action >> next) theirs[{event, state}] = {action, next};
    ASSERT_EQ(theirs.size(), 123u);
    for (int e = 1; e <= static_cast<int>(kUpperLayerEvents); ++e) {
        for (int s = 1; s <= 13; ++s) {
            const auto cell = upper_layer_cell(static_cast<Event>(e - 1), static_cast<State>(s));
            const auto their = theirs.find({e, s});
            if (their == theirs.end()) {
                EXPECT_EQ(cell.action, Action::none) << "event " << e << " in Sta" << s;
                continue;
            }
            EXPECT_EQ(kActionNames[static_cast<std::size_t>(cell.action)], their->second.first) << "event " << e << " in Sta" << s;
            EXPECT_EQ(static_cast<int>(cell.next), their->second.second) << "event " << e << " in Sta" << s;
        }
    }
}

UpperLayer acceptor_in_sta6() {
    UpperLayer machine(Role::acceptor);
    EXPECT_EQ(machine.on(Event::connection_indication)->artim, Timer::start);
    const auto asked = machine.on(Event::associate_rq).value();
    EXPECT_EQ(asked.indication, Indication::associate);
    EXPECT_EQ(asked.artim, Timer::stop);
    EXPECT_EQ(machine.on(Event::associate_accept)->send, PduType::associate_ac);
    EXPECT_EQ(machine.state(), State::sta6);
    return machine;
}
UpperLayer requestor_in_sta6() {
    UpperLayer machine(Role::requestor);
    EXPECT_TRUE(machine.on(Event::associate_request)->connect);
    EXPECT_EQ(machine.on(Event::connection_confirmed)->send, PduType::associate_rq);
    EXPECT_EQ(machine.on(Event::associate_ac)->indication, Indication::associate_accepted);
    EXPECT_EQ(machine.state(), State::sta6);
    return machine;
}

TEST(UpperLayer, Ps38_7_2_AcceptorIsAskedForRelease) {
    auto machine = acceptor_in_sta6();
    EXPECT_EQ(machine.on(Event::p_data_tf)->indication, Indication::data);
    EXPECT_EQ(machine.on(Event::data_request)->send, PduType::p_data_tf);
    EXPECT_EQ(machine.on(Event::release_rq)->indication, Indication::release);
    EXPECT_EQ(machine.on(Event::data_request)->send, PduType::p_data_tf) << "answers may still go out (Sta8, AR-7)";
    const auto answered = machine.on(Event::release_response).value();
    EXPECT_EQ(answered.send, PduType::release_rp);
    EXPECT_EQ(answered.artim, Timer::start);
    EXPECT_EQ(machine.on(Event::connection_closed)->artim, Timer::stop);
    EXPECT_EQ(machine.state(), State::sta1);
}

TEST(UpperLayer, Ps38_7_2_RequestorReleases) {
    auto machine = requestor_in_sta6();
    EXPECT_EQ(machine.on(Event::release_request)->send, PduType::release_rq);
    EXPECT_EQ(machine.on(Event::p_data_tf)->indication, Indication::data) << "what was under way still comes (Sta7, AR-6)";
    const auto released = machine.on(Event::release_rp).value();
    EXPECT_EQ(released.indication, Indication::released);
    EXPECT_TRUE(released.close);
    EXPECT_EQ(machine.state(), State::sta1);
}

TEST(UpperLayer, Ps38_9_2_ReleaseCollisionGoesAnotherWayForEachSide) {
    auto requestor = requestor_in_sta6();
    ASSERT_TRUE(requestor.on(Event::release_request));
    EXPECT_EQ(requestor.on(Event::release_rq)->indication, Indication::release);
    EXPECT_EQ(requestor.state(), State::sta9);
    EXPECT_EQ(requestor.on(Event::release_response)->send, PduType::release_rp);
    EXPECT_TRUE(requestor.on(Event::release_rp)->close);

    auto acceptor = acceptor_in_sta6();
    ASSERT_TRUE(acceptor.on(Event::release_request));
    EXPECT_EQ(acceptor.on(Event::release_rq)->indication, Indication::release);
    EXPECT_EQ(acceptor.state(), State::sta10);
    EXPECT_EQ(acceptor.on(Event::release_rp)->indication, Indication::released);
    EXPECT_EQ(acceptor.on(Event::release_response)->send, PduType::release_rp);
    EXPECT_EQ(acceptor.state(), State::sta13);
}

TEST(UpperLayer, Ps38_9_2_RequestThatIsRejected) {
    UpperLayer machine(Role::acceptor);
    ASSERT_TRUE(machine.on(Event::connection_indication));
    ASSERT_TRUE(machine.on(Event::associate_rq));
    const auto refused = machine.on(Event::associate_reject).value();
    EXPECT_EQ(refused.send, PduType::associate_rj);
    EXPECT_EQ(refused.artim, Timer::start);
    EXPECT_EQ(machine.state(), State::sta13);
    EXPECT_EQ(machine.on(Event::associate_rq)->send, PduType::abort) << "a second request (AA-7)";
    EXPECT_TRUE(machine.on(Event::artim_expired)->close);
    EXPECT_EQ(machine.state(), State::sta1);
}

TEST(UpperLayer, Ps38_9_2_SilentPeerIsClosedWhenArtimExpires) {
    UpperLayer machine(Role::acceptor);
    ASSERT_TRUE(machine.on(Event::connection_indication));
    EXPECT_TRUE(machine.on(Event::artim_expired)->close);
    EXPECT_EQ(machine.state(), State::sta1);
}

TEST(UpperLayer, Ps38_9_3_8_AbortsSayWhoseFaultItWas) {
    UpperLayer early(Role::acceptor);
    ASSERT_TRUE(early.on(Event::connection_indication));
    const auto first = early.on(Event::p_data_tf).value();
    EXPECT_EQ(first.send, PduType::abort);
    EXPECT_FALSE(first.abort.by_provider) << "AA-1";

    auto unexpected = acceptor_in_sta6();
    const auto second = unexpected.on(Event::associate_rq).value();
    EXPECT_TRUE(second.abort.by_provider) << "AA-8";
    EXPECT_EQ(second.abort.reason, AbortReason::unexpected_pdu);
    EXPECT_EQ(second.indication, Indication::aborted);

    auto invalid = acceptor_in_sta6();
    EXPECT_EQ(invalid.on(Event::invalid_pdu)->abort.reason, AbortReason::invalid_pdu_parameter_value);

    auto aborted = acceptor_in_sta6();
    const auto by_peer = aborted.on(Event::abort).value();
    EXPECT_EQ(by_peer.indication, Indication::aborted);
    EXPECT_TRUE(by_peer.close);
    EXPECT_FALSE(by_peer.send);
}

TEST(UpperLayer, LocalEventsAtTheWrongTimeChangeNothing) {
    UpperLayer machine(Role::acceptor);
    for (const auto event : {Event::associate_accept, Event::associate_reject, Event::data_request, Event::release_request,
                             Event::release_response, Event::abort_request}) {
        const auto refused = machine.on(event);
        ASSERT_FALSE(refused);
        EXPECT_EQ(refused.error().code, ErrorCode::invalid_argument);
        EXPECT_EQ(machine.state(), State::sta1);
    }
    const auto late = machine.on(Event::p_data_tf);
    ASSERT_TRUE(late) << "what still comes on a connection that is gone is nothing";
    EXPECT_FALSE(late->send);
}

}  // namespace
}  // namespace fiducial::dicom
