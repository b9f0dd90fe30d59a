#pragma once
#include <cstdint>
#include <optional>
#include <string_view>

#include "base/result.hpp"
#include "dicom/pdu.hpp"

namespace fiducial::dicom {

/// Spec: PS3.8 tables 9-1 to 9-5
enum class UpperLayerState : std::uint8_t {
    sta1 = 1,  // idle
    sta2,      // connection open, awaiting A-ASSOCIATE-RQ
    sta3,      // awaiting the local A-ASSOCIATE response
    sta4,      // awaiting the connection to open
    sta5,      // awaiting A-ASSOCIATE-AC or -RJ
    sta6,      // association established
    sta7,      // awaiting A-RELEASE-RP
    sta8,      // awaiting the local A-RELEASE response
    sta9,      // release collision, requestor: awaiting the local A-RELEASE response
    sta10,     // release collision, acceptor: awaiting A-RELEASE-RP
    sta11,     // release collision, requestor: awaiting A-RELEASE-RP
    sta12,     // release collision, acceptor: awaiting the local A-RELEASE response
    sta13,     // awaiting the connection to close
};

/// What happens: rows of PS3.8 table 9-10, in its order.
enum class UpperLayerEvent : std::uint8_t {
    associate_request,      // local
    connection_confirmed,   // of the transport
    associate_ac,           // PDU
    associate_rj,           // PDU
    connection_indication,  // of the transport
    associate_rq,           // PDU
    associate_accept,       // local
    associate_reject,       // local
    data_request,           // local
    p_data_tf,              // PDU
    release_request,        // local
    release_rq,             // PDU
    release_rp,             // PDU
    release_response,       // local
    abort_request,          // local
    abort,                  // PDU
    connection_closed,      // of the transport
    artim_expired,
    invalid_pdu,  // not recognized, or not valid
};
inline constexpr std::size_t kUpperLayerEvents = 19;

/// Spec: PS3.8 tables 9-6 to 9-9
enum class UpperLayerAction : std::uint8_t {
    none,  // the event is not possible in this state
    ae1,
    ae2,
    ae3,
    ae4,
    ae5,
    ae6,
    ae7,
    ae8,
    dt1,
    dt2,
    ar1,
    ar2,
    ar3,
    ar4,
    ar5,
    ar6,
    ar7,
    ar8,
    ar9,
    ar10,
    aa1,
    aa2,
    aa3,
    aa4,
    aa5,
    aa6,
    aa7,
    aa8,
};

/// One cell of PS3.8 table 9-10. Of actions whose next state depends on more (AE-6, AR-8), `next` is the first of the two. AE-6 always
/// leads to Sta3 here: what the provider itself would refuse goes the way of a local rejection, which is the same on the wire.
struct UpperLayerCell {
    UpperLayerAction action = UpperLayerAction::none;
    UpperLayerState next = UpperLayerState::sta1;
};
UpperLayerCell upper_layer_cell(UpperLayerEvent event, UpperLayerState state);

/// What is told to the service user.
enum class Indication : std::uint8_t {
    none,
    associate,           // somebody asks for an association
    associate_accepted,  // confirm
    associate_rejected,  // confirm
    data,
    release,   // the peer asks for release
    released,  // confirm
    aborted,   // A-ABORT or A-P-ABORT: the association is over
};

/// What the transport is to do now, in this order: send, set the timer, close.
struct UpperLayerStep {
    enum class Timer : std::uint8_t { leave, start, stop };
    bool connect = false;
    std::optional<PduType> send;  // its content is the caller's
    Abort abort{};                // where send is `abort`
    Timer artim = Timer::leave;
    bool close = false;
    Indication indication = Indication::none;
};

/// The DICOM upper layer's protocol machine of one association: events in, actions out; no socket, no clock. The ARTIM timer is the
/// caller's, its expiry an event.
/// Spec:    PS3.8 §9.2
/// Errors:  of on(): invalid_argument for a local event that the state does not allow (the state is unchanged)
/// Threads: one at a time
class UpperLayer {
public:
    enum class Role : std::uint8_t { acceptor, requestor };
    explicit UpperLayer(Role role) : role_(role) {}

    UpperLayerState state() const { return state_; }
    Result<UpperLayerStep> on(UpperLayerEvent event);
    /// The event that a PDU is.
    static UpperLayerEvent event_of(PduType type);

private:
    UpperLayerStep perform(UpperLayerAction action, UpperLayerEvent event);

    const Role role_;
    UpperLayerState state_ = UpperLayerState::sta1;
};

}  // namespace fiducial::dicom
