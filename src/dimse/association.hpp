#pragma once
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "dicom/command_set.hpp"
#include "dicom/pdu.hpp"
#include "net/task.hpp"

namespace fiducial::dimse {

/// What is waited for on an association that stands, and for how long.
struct AssociationLimits {
    std::uint32_t max_pdu_bytes = 131'072;    // of P-DATA-TF, as it is said to the peer
    std::chrono::milliseconds artim{10'000};  // PS3.8 §9.1.5: for the association to come about, and for the peer to close at the end
    std::chrono::milliseconds idle_timeout{600'000};   // between messages
    std::chrono::milliseconds answer_timeout{60'000};  // for the answer to a request of ours to begin
    std::chrono::milliseconds stall_timeout{30'000};   // for any one read or write inside a message
    std::uint64_t min_bytes_per_second = 1'024;        // of a message, over all the time spent waiting for the peer
    std::chrono::milliseconds rate_grace{10'000};      // waiting that costs nothing
};

/// A command that has come, in the presentation context that it came in.
struct Message {
    std::uint8_t context_id = 0;
    std::string abstract_syntax;
    std::string transfer_syntax;  // of its data set
    dicom::CommandSet command;
};

/// A presentation context that was agreed on.
struct Context {
    std::string abstract_syntax;
    std::string transfer_syntax;
    bool peer_is_scp = false;  // and takes requests of this class
};

/// An association that stands, as either side has it.
/// Errors:  of all: unavailable (the peer is gone), timeout, cancelled (aborted by the peer, or stop), malformed and limit_exceeded (the
///          peer breaks the protocol; it was told so by A-ABORT). After any of them the association is over.
/// Threads: one coroutine, on the connection's executor; what is const from anywhere
class Association {
public:
    virtual ~Association() = default;
    virtual const dicom::AssociateRq& request() const = 0;
    virtual const std::string& peer() const = 0;  // "192.0.2.1:4711"
    virtual bool secure() const = 0;
    virtual const std::string& certificate() const = 0;  // of the peer, as net::Stream::certificate()
    /// The context in which the peer takes requests of a class in a transfer syntax; nothing where there is none.
    virtual std::optional<std::uint8_t> find_context(std::string_view abstract_syntax, std::string_view transfer_syntax) const = 0;
    /// Of the variable field of P-DATA-TF, as the peer takes it; 0: no limit.
    virtual std::uint32_t peer_max_pdu_bytes() const = 0;

    /// Waits for the next command; what was left of the last data set is passed over.
    /// Returns: nothing once the peer has released the association, which is answered then.
    virtual net::Task<Result<std::optional<Message>>> next() = 0;
    /// Waits for what answers a request of ours; what the peer cancels meanwhile is kept for cancelled().
    /// Errors: cancelled as well when the association was released instead.
    virtual net::Task<Result<Message>> answer() = 0;
    /// Reads a piece of the data set of the command that came last. Returns: bytes read, 0 at its end.
    virtual net::Task<Result<std::size_t>> read(MutableByteView out) = 0;
    /// Whether the peer has cancelled a request, as far as has come: waits for nothing. To be asked again and again while one is answered:
    /// a provider that stops ends the association here. Requires: the request's data set has been read.
    virtual net::Task<Result<bool>> cancelled(std::uint16_t message_id) = 0;
    /// Sends a command, with its data set where it has one. In one write.
    virtual net::Task<Result<void>> send(std::uint8_t context_id, const dicom::CommandSet& command, ByteView data_set) = 0;
    /// Sends whole P-DATA-TF PDUs that are laid out already (dicom::MessageFramer).
    virtual net::Task<Result<void>> send_pdus(ByteView pdus) = 0;
    /// Ends the association with A-ABORT.
    virtual net::Task<void> abort() = 0;
};

}  // namespace fiducial::dimse
