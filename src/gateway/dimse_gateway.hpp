#pragma once
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "archive/archive.hpp"
#include "base/result.hpp"
#include "dimse/provider.hpp"
#include "gateway/dimse_peers.hpp"
#include "gateway/knocks.hpp"
#include "net/runtime.hpp"
#include "net/tls.hpp"

namespace fiducial::gateway {

struct DimseGatewaySettings {
    std::string address = "127.0.0.1";
    std::uint16_t port = 0;                        // 0: any free one
    std::optional<net::TlsSettings> tls;           // none: plain, for loopback and for peers that are listed as plain
    std::string ae_title = "FIDUCIAL";             // who else is called is refused
    std::vector<DimsePeer> peers;                  // who else calls is refused
    std::vector<std::string> private_sop_classes;  // storage classes besides the standard's; one that ends with a dot: all below it
    dimse::ProviderLimits limits;
    std::shared_ptr<Knocks> knocks;  // who was not let in is told to it; may be null
    std::size_t ingest_threads = 8;
    std::size_t retrieve_threads = 8;
};

/// The door for DIMSE: C-ECHO, C-STORE, C-FIND, C-GET and C-MOVE as a provider. docs/reference/dimse.md lists what it takes and answers.
/// Spec:     DICOM PS3.8 §9, PS3.7 §9.1, PS3.4 Annexes A, B and C
/// Requires: archive and runtime outlive it
/// Threads:  safe
/// Security: an AE title proves nothing: who comes is known by title and address. What a peer may do is decided in the archive.
class DimseGateway {
public:
    /// Whether start() can do with these settings, as far as that shows without listening.
    /// Errors: invalid_argument; those of TlsContext::server and Listener::check
    static Result<void> check(const DimseGatewaySettings& settings);
    /// Errors: those of check; conflict: the port is taken.
    static Result<std::unique_ptr<DimseGateway>> start(net::Runtime& runtime, archive::Archive& archive, DimseGatewaySettings settings);
    ~DimseGateway();  // stop() without grace
    std::uint16_t port() const;
    std::vector<archive::Metric> metrics() const;
    /// Lets messages that are under way finish for up to grace; what was stored is put into its studies' records.
    /// Requires: not called from a runtime thread; the runtime still runs.
    void stop(std::chrono::milliseconds grace);

private:
    DimseGateway();
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace fiducial::gateway
