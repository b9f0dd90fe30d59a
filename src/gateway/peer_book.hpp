#pragma once
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "archive/archive.hpp"
#include "base/clock.hpp"
#include "base/result.hpp"
#include "gateway/dimse_peers.hpp"
#include "gateway/knocks.hpp"

namespace fiducial::gateway {

/// The peers of a site: those that its settings list, and those that an administrator added while it ran; when each came last, and who was
/// turned away. What was added stays over a restart, and so do times and knocks.
/// Spec:     docs/formats/index.md#peers
/// Requires: archive outlives it
/// Threads:  safe
class PeerBook {
public:
    using Peer = std::shared_ptr<const DimsePeer>;
    struct Entry {
        Peer peer;
        bool added = false;                      // not by the settings
        std::optional<SystemTime> came, echoed;  // last association from there; last C-ECHO in one
    };
    static constexpr std::size_t kMostAdded = 1'000;

    /// `secure`: whether the door has TLS, for peers that do not come plain.
    /// Errors: invalid_argument: a peer could not come; those of Archive::kept but corrupt
    static Result<std::shared_ptr<PeerBook>> open(archive::Archive& archive, const std::vector<DimsePeer>& of_settings, bool secure,
                                                  const Clock& clock = system_clock());

    /// The first that matches, those of the settings first. Returns: nullptr where there is none.
    Peer calling(std::string_view ae_title, const std::array<std::uint8_t, 16>& address) const;
    /// The one with this AE title and a port. Returns: nullptr where there is none.
    Peer destination(std::string_view ae_title) const;
    std::vector<Entry> list() const;

    /// Adds a peer by its line, at once, when `who` administers this site. Errors: invalid_argument: the line; conflict: there is one of
    /// this title and address; limit_exceeded; those of Archive::administer
    Result<Entry> add(const archive::Requester& who, std::string_view line);
    /// Those that were added under this title go; associations that they have stay. Returns: how many.
    /// Errors: not_found: none was added; conflict: it stands in the settings; those of Archive::administer
    Result<std::size_t> remove(const archive::Requester& who, std::string_view ae_title);

    /// What the ledger's rights of its device lack of what its line lets a peer do, and what helps, in words; empty: nothing, or nobody can
    /// tell at present. Blocking.
    std::string lacks(const DimsePeer& peer) const;
    /// The same, logged where it is another than the last time. Blocking.
    void warn_of_lacks(const DimsePeer& peer);

    void note_arrival(const DimsePeer& peer);
    void note_echo(const DimsePeer& peer);
    Knocks& knocks() { return knocks_; }

    /// Whether there are arrivals or knocks that keep() has not written.
    bool has_news() const;
    /// Errors: those of Archive::keep
    Result<void> keep();

private:
    PeerBook(archive::Archive& archive, bool secure, const Clock& clock)
        : archive_(archive), secure_(secure), clock_(clock), knocks_(clock) {}
    Result<void> read_added();
    Result<void> read_seen();
    Result<void> keep_added(const std::vector<Entry>& entries);

    archive::Archive& archive_;
    const bool secure_;
    const Clock& clock_;
    Knocks knocks_;
    std::mutex changing_;  // one change at a time
    mutable std::mutex mutex_;
    std::vector<Entry> entries_;  // those of the settings first
    bool arrivals_ = false;       // since keep()
    std::uint64_t kept_knocks_ = 0;
    std::map<std::string, std::string> warned_;  // by line: what it lacked
};

}  // namespace fiducial::gateway
