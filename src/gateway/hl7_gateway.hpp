#pragma once
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "archive/archive.hpp"
#include "base/result.hpp"
#include "gateway/dimse_peers.hpp"
#include "net/runtime.hpp"
#include "net/tls.hpp"

namespace fiducial::gateway {

/// One line of `[hl7] senders`: "ADDRESS[/BITS] [plain] [device=NAME]". A message's sending application proves nothing; its address counts.
/// Errors: invalid_argument, quoting the line.
Result<DimsePeer> parse_hl7_sender(std::string_view text);

struct Hl7GatewaySettings {
    std::string address = "127.0.0.1";
    std::uint16_t port = 0;               // 0: any free one
    std::optional<net::TlsSettings> tls;  // none: plain, for loopback and for senders that are listed as plain
    std::vector<DimsePeer> senders;       // who else comes is turned away
    std::size_t max_connections = 32;
    std::size_t threads = 2;
};

/// The door for HL7 version 2: orders by MLLP, into the worklist. docs/reference/hl7.md says what it takes and answers.
/// Spec:     HL7 v2.5.1 §2.9 (original mode), §4.4; MLLP release 1
/// Requires: archive and runtime outlive it
/// Threads:  safe
/// Security: what was acknowledged with AA is durable. A sender that is silent, slow or lies costs its connection and at most 2 MiB.
class Hl7Gateway {
public:
    /// Whether start() can do with these settings, as far as that shows without listening.
    /// Errors: invalid_argument; those of TlsContext::server and Listener::check
    static Result<void> check(const Hl7GatewaySettings& settings);
    /// Errors: those of check; conflict: the port is taken.
    static Result<std::unique_ptr<Hl7Gateway>> start(net::Runtime& runtime, archive::Archive& archive, Hl7GatewaySettings settings);
    ~Hl7Gateway();  // stop() without grace
    std::uint16_t port() const;
    std::vector<archive::Metric> metrics() const;
    /// Lets messages that are under way finish for up to grace. Requires: not called from a runtime thread; the runtime still runs.
    void stop(std::chrono::milliseconds grace);

private:
    Hl7Gateway();
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace fiducial::gateway
