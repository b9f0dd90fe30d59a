#pragma once
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "dicom/pdu.hpp"
#include "dimse/association.hpp"
#include "net/runtime.hpp"
#include "net/stream.hpp"
#include "net/task.hpp"

namespace fiducial::dimse {

struct ProviderLimits {
    std::size_t max_associations = 64;  // one more is rejected, transient, local limit exceeded
    AssociationLimits association;
};

/// Who asks for an association.
struct Caller {
    const dicom::AssociateRq& request;
    const std::string& peer;  // "192.0.2.1:4711"
    bool secure = false;
    const std::string& certificate;  // as net::Stream::certificate()
};
/// What of a request is accepted.
struct Acceptance {
    std::vector<dicom::AnsweredContext> contexts;
    std::vector<dicom::RoleSelection> roles{};           // answered ones; of classes without an answer the default holds
    std::vector<dicom::ExtendedNegotiation> extended{};  // likewise
    std::optional<AssociationLimits> limits{};           // of this association; nothing: those of all
};
using Admission = std::variant<Acceptance, dicom::AssociateRj>;

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
    /// Stops accepting, breaks associations between two messages (or two sub-operations, two batches of answers), lets the others finish
    /// theirs for up to grace. Requires: not called from a runtime thread; the runtime still runs.
    void stop(std::chrono::milliseconds grace);

private:
    Provider();
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace fiducial::dimse
