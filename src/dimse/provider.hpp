#pragma once
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/bytes.hpp"
#include "dicom/command_set.hpp"
#include "dicom/pdu.hpp"
#include "net/runtime.hpp"
#include "net/stream.hpp"
#include "net/task.hpp"

namespace fiducial::dimse {

struct ProviderLimits {
    std::size_t max_associations = 64;                // one more is rejected, transient, local limit exceeded
    std::uint32_t max_pdu_bytes = 131'072;            // of P-DATA-TF, as it is said to the peer
    std::chrono::milliseconds artim{10'000};          // PS3.8 §9.1.5: for the request to come whole, and for the peer to close at the end
    std::chrono::milliseconds idle_timeout{600'000};  // between messages
    std::chrono::milliseconds stall_timeout{30'000};  // for any one read or write inside a message
    std::uint64_t min_bytes_per_second = 1'024;       // of a message, over all the time spent waiting for the peer
    std::chrono::milliseconds rate_grace{10'000};     // waiting that costs nothing
};

/// Who asks for an association.
struct Caller {
    const dicom::AssociateRq& request;
    const std::string& peer;  // "192.0.2.1:4711"
    bool secure = false;
};
/// The answer: presentation contexts, or a rejection.
using Admission = std::variant<std::vector<dicom::AnsweredContext>, dicom::AssociateRj>;

/// A command that has come, in the presentation context that it came in.
struct Message {
    std::uint8_t context_id = 0;
    std::string abstract_syntax;
    std::string transfer_syntax;  // of its data set
    dicom::CommandSet command;
};

/// An association as its acceptor has it.
/// Errors:  of all: unavailable (the peer is gone), timeout, cancelled (aborted by the peer, or stop), malformed and limit_exceeded (the
/// peer
///          breaks the protocol; it was told so by A-ABORT). After any of them the association is over.
/// Threads: one coroutine, on the connection's executor
class Association {
public:
    virtual ~Association() = default;
    virtual const dicom::AssociateRq& request() const = 0;
    virtual const std::string& peer() const = 0;
    virtual bool secure() const = 0;
    /// Waits for the next command; what was left of the last data set is passed over.
    /// Returns: nothing once the peer has released the association, which is answered then.
    virtual net::Task<Result<std::optional<Message>>> next() = 0;
    /// Reads a piece of the data set of the command that came last. Returns: bytes read, 0 at its end.
    virtual net::Task<Result<std::size_t>> read(MutableByteView out) = 0;
    /// Sends a command, with its data set where it has one. In one write.
    virtual net::Task<Result<void>> send(std::uint8_t context_id, const dicom::CommandSet& command, ByteView data_set) = 0;
};

/// What a provider does with associations. Called side by side for different ones.
class Service {
public:
    virtual ~Service() = default;
    /// Says whom to let in, and with which presentation contexts. Called once an association was asked for whose protocol version and
    /// application context are ours. Does not block.
    virtual Admission admit(const Caller& caller) = 0;
    /// Serves an association until next() has nothing more or fails. One that is left before is aborted.
    virtual net::Task<void> serve(Association& association) = 0;
};

/// Accepts associations. Spec: PS3.8 §9, PS3.7; TLS as net::TlsContext says
/// Errors:   of start: as net::Listener::open
/// Threads:  safe
/// Security: a peer that is silent, slow or lies about lengths costs its own connection and at most 400 KiB of memory
class Provider {
public:
    struct Counters {
        std::uint64_t connections = 0;  // open now
        std::uint64_t accepted = 0;     // associations
        std::uint64_t rejected = 0;
        std::uint64_t failed = 0;  // connections that never became an association: no request, a malformed one, no TLS
        std::uint64_t broken = 0;  // associations that did not end by release
    };

    static Result<std::unique_ptr<Provider>> start(net::Runtime& runtime, const net::ListenSettings& listen, const ProviderLimits& limits,
                                                   std::shared_ptr<Service> service);
    ~Provider();  // stop() without grace
    std::uint16_t port() const;
    Counters counters() const;
    /// Stops accepting, breaks associations between two messages, lets the others finish theirs for up to grace.
    /// Requires: not called from a runtime thread; the runtime still runs.
    void stop(std::chrono::milliseconds grace);

private:
    Provider();
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace fiducial::dimse
