#include "dicom/upper_layer.hpp"

#include <array>

namespace fiducial::dicom {
namespace {

using Action = UpperLayerAction;
using State = UpperLayerState;
using Event = UpperLayerEvent;
using Cell = UpperLayerCell;
using Timer = UpperLayerStep::Timer;

constexpr std::size_t kStates = 13;
using Row = std::array<Cell, kStates>;  // Sta1 to Sta13

constexpr Cell to(Action action, int next) {
    return {action, static_cast<State>(next)};
}
constexpr Cell no{};
constexpr Cell aa1 = to(Action::aa1, 13);
constexpr Cell aa2 = to(Action::aa2, 1);
constexpr Cell aa3 = to(Action::aa3, 1);
constexpr Cell aa4 = to(Action::aa4, 1);
constexpr Cell aa6 = to(Action::aa6, 13);
constexpr Cell aa7 = to(Action::aa7, 13);
constexpr Cell aa8 = to(Action::aa8, 13);

/// A row with one cell that is something.
constexpr Row only(int state, Cell cell) {
    Row row{};
    row[static_cast<std::size_t>(state - 1)] = cell;
    return row;
}

// PS3.8 table 9-10.
// clang-format off
constexpr std::array<Row, kUpperLayerEvents> kTable{{
    /* A-ASSOCIATE request     */ only(1, to(Action::ae1, 4)),
    /* connection confirmed    */ only(4, to(Action::ae2, 5)),
    /*                             1   2    3    4    5                    6                    7                    8    9    10                     11                   12   13 */
    /* A-ASSOCIATE-AC PDU      */ {no, aa1, aa8, no,  to(Action::ae3, 6), aa8,                 aa8,                 aa8, aa8, aa8,                   aa8,                 aa8, aa6},
    /* A-ASSOCIATE-RJ PDU      */ {no, aa1, aa8, no,  to(Action::ae4, 1), aa8,                 aa8,                 aa8, aa8, aa8,                   aa8,                 aa8, aa6},
    /* connection indication   */ only(1, to(Action::ae5, 2)),
    /* A-ASSOCIATE-RQ PDU      */ {no, to(Action::ae6, 3), aa8, no, aa8,  aa8,                 aa8,                 aa8, aa8, aa8,                   aa8,                 aa8, aa7},
    /* A-ASSOCIATE accept      */ only(3, to(Action::ae7, 6)),
    /* A-ASSOCIATE reject      */ only(3, to(Action::ae8, 13)),
    /* P-DATA request          */ {no, no,  no,  no,  no,  to(Action::dt1, 6), no,  to(Action::ar7, 8), no,  no,  no,  no,  no},
    /* P-DATA-TF PDU           */ {no, aa1, aa8, no,  aa8, to(Action::dt2, 6), to(Action::ar6, 7), aa8, aa8, aa8, aa8, aa8, aa6},
    /* A-RELEASE request       */ only(6, to(Action::ar1, 7)),
    /* A-RELEASE-RQ PDU        */ {no, aa1, aa8, no,  aa8, to(Action::ar2, 8), to(Action::ar8, 9), aa8, aa8, aa8, aa8, aa8, aa6},
    /* A-RELEASE-RP PDU        */ {no, aa1, aa8, no,  aa8, aa8, to(Action::ar3, 1), aa8, aa8, to(Action::ar10, 12), to(Action::ar3, 1), aa8, aa6},
    /* A-RELEASE response      */ {no, no,  no,  no,  no,  no,  no,  to(Action::ar4, 13), to(Action::ar9, 11), no,  no,  to(Action::ar4, 13), no},
    /* A-ABORT request         */ {no, no,  aa1, aa2, aa1, aa1, aa1, aa1, aa1, aa1, aa1, aa1, no},
    /* A-ABORT PDU             */ {no, aa2, aa3, no,  aa3, aa3, aa3, aa3, aa3, aa3, aa3, aa3, aa2},
    /* connection closed       */ {no, to(Action::aa5, 1), aa4, aa4, aa4, aa4, aa4, aa4, aa4, aa4, aa4, aa4, to(Action::ar5, 1)},
    /* ARTIM expired           */ {no, aa2, no,  no,  no,  no,  no,  no,  no,  no,  no,  no,  aa2},
    /* invalid PDU             */ {no, aa1, aa8, no,  aa8, aa8, aa8, aa8, aa8, aa8, aa8, aa8, aa7},
}};
// clang-format on

bool is_local(Event event) {
    switch (event) {
        case Event::associate_request:
        case Event::associate_accept:
        case Event::associate_reject:
        case Event::data_request:
        case Event::release_request:
        case Event::release_response:
        case Event::abort_request: return true;
        default: return false;
    }
}

}  // namespace

UpperLayerCell upper_layer_cell(UpperLayerEvent event, UpperLayerState state) {
    return kTable[static_cast<std::size_t>(event)][static_cast<std::size_t>(state) - 1];
}

UpperLayerEvent UpperLayer::event_of(PduType type) {
    switch (type) {
        case PduType::associate_rq: return Event::associate_rq;
        case PduType::associate_ac: return Event::associate_ac;
        case PduType::associate_rj: return Event::associate_rj;
        case PduType::p_data_tf: return Event::p_data_tf;
        case PduType::release_rq: return Event::release_rq;
        case PduType::release_rp: return Event::release_rp;
        case PduType::abort: return Event::abort;
    }
    return Event::invalid_pdu;
}

Result<UpperLayerStep> UpperLayer::on(UpperLayerEvent event) {
    const auto cell = upper_layer_cell(event, state_);
    if (cell.action == Action::none) {
        if (is_local(event))
            return fail(ErrorCode::invalid_argument,
                        "not possible in state Sta" + std::to_string(static_cast<int>(state_)) + " (PS3.8 §9.2)");
        return UpperLayerStep{};  // of a connection that is not there (any more)
    }
    const auto next = cell.action == Action::ar8 && role_ == Role::acceptor ? State::sta10 : cell.next;
    auto step = perform(cell.action, event);
    state_ = next;
    return step;
}

UpperLayerStep UpperLayer::perform(UpperLayerAction action, UpperLayerEvent event) {
    UpperLayerStep step;
    switch (action) {
        case Action::ae1: step.connect = true; break;
        case Action::ae2: step.send = PduType::associate_rq; break;
        case Action::ae3: step.indication = Indication::associate_accepted; break;
        case Action::ae4:
            step.indication = Indication::associate_rejected;
            step.close = true;
            break;
        case Action::ae5: step.artim = Timer::start; break;
        case Action::ae6:
            step.artim = Timer::stop;
            step.indication = Indication::associate;
            break;
        case Action::ae7: step.send = PduType::associate_ac; break;
        case Action::ae8:
            step.send = PduType::associate_rj;
            step.artim = Timer::start;
            break;
        case Action::dt1:
        case Action::ar7: step.send = PduType::p_data_tf; break;
        case Action::dt2:
        case Action::ar6: step.indication = Indication::data; break;
        case Action::ar1: step.send = PduType::release_rq; break;
        case Action::ar2:
        case Action::ar8: step.indication = Indication::release; break;
        case Action::ar3:
            step.indication = Indication::released;
            step.close = true;
            break;
        case Action::ar4:
            step.send = PduType::release_rp;
            step.artim = Timer::start;
            break;
        case Action::ar5:
        case Action::aa5: step.artim = Timer::stop; break;
        case Action::ar9: step.send = PduType::release_rp; break;
        case Action::ar10: step.indication = Indication::released; break;
        case Action::aa1:
            step.send = PduType::abort;
            step.artim = Timer::start;
            break;
        case Action::aa2:
            step.artim = Timer::stop;
            step.close = true;
            break;
        case Action::aa3:
            step.indication = Indication::aborted;
            step.close = true;
            break;
        case Action::aa4: step.indication = Indication::aborted; break;
        case Action::aa7:
        case Action::aa8:
            step.send = PduType::abort;
            step.abort = {true, event == Event::invalid_pdu ? AbortReason::invalid_pdu_parameter_value : AbortReason::unexpected_pdu};
            if (action == Action::aa7) break;
            step.artim = Timer::start;
            step.indication = Indication::aborted;
            break;
        case Action::aa6:
        case Action::none: break;
    }
    return step;
}

}  // namespace fiducial::dicom
