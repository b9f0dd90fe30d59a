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
#include "dimse/user.hpp"
#include "gateway/dimse_fetch.hpp"
#include "gateway/dimse_peers.hpp"
#include "gateway/peer_book.hpp"
#include "net/runtime.hpp"
#include "net/tls.hpp"

namespace fiducial::gateway {

struct DimseGatewaySettings {
    std::string address = "127.0.0.1";
    std::uint16_t port = 0;                        // 0: any free one
    std::optional<net::TlsSettings> tls;           // none: plain, for loopback and for peers that are listed as plain
    std::string ae_title = "FIDUCIAL";             // who else is called is refused
    std::vector<DimsePeer> peers;                  // and those that were added to the site; who else calls is refused
    std::vector<std::string> private_sop_classes;  // storage classes besides the standard's; one that ends with a dot: all below it
    std::vector<std::string> forward_to;           // AE titles: each must be a peer with a port and a device
    std::vector<std::string> notify;               // likewise
    dimse::ProviderLimits limits;
    std::size_t ingest_threads = 8;
    std::size_t retrieve_threads = 8;
};

/// What an association is held to with this peer.
dimse::AssociationLimits limits_for(const DimsePeer& peer, dimse::AssociationLimits limits);

/// What came of asking a peer whether it is there.
struct PeerCheck {
    PeerBook::Entry entry;
    std::optional<std::chrono::milliseconds> answered_in;  // by C-ECHO; nothing: it has no port, or
    std::string why_not;
    std::string lacks{};  // PeerBook::lacks
};

/// For an association with a peer that has a port; without presentation contexts yet. `tls`: what this side shows, to peers with a
/// certificate.
dimse::UserSettings user_settings(const DimsePeer& peer, const std::string& our_ae_title, const std::shared_ptr<net::TlsContext>& tls);

/// The door for DIMSE: C-ECHO, C-STORE, C-FIND, C-GET, C-MOVE and storage commitment as a provider; and what waits for peers is
/// brought to them. docs/reference/dimse.md lists what it takes and answers.
/// Spec:     DICOM PS3.8 §9, PS3.7 §9.1, PS3.4 Annexes A, B and C
/// Requires: archive and runtime outlive it
/// Threads:  safe
/// Security: an AE title proves nothing: who comes is known by title and address, and by its certificate where its line names one. What a
/// peer may do is decided in the archive.
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
    /// Fetches studies from a peer into the archive, one after the other. Blocking. Returns: a row a study, also where it did not come.
    /// Errors: not_found: no such peer, or it shows no such study; those of the search. Requires: not called from a runtime thread
    Result<std::vector<FetchedStudy>> fetch(const FetchRequest& request, const OnFetched& on_fetched);
    PeerBook& peers();
    /// Asks peers with a port whether they are there; ae_title: only this one, empty: all. Blocking.
    /// Requires: not called from a runtime thread
    std::vector<PeerCheck> check_peers(std::string_view ae_title);
    /// Lets messages that are under way finish for up to grace; what was stored is put into its studies' records.
    /// Requires: not called from a runtime thread; the runtime still runs.
    void stop(std::chrono::milliseconds grace);

private:
    explicit DimseGateway(net::Runtime& runtime);
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace fiducial::gateway
