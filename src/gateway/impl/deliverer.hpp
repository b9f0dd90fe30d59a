#pragma once
#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "archive/commitments.hpp"
#include "dicom/availability.hpp"
#include "dimse/event_report.hpp"
#include "gateway/impl/dimse_association.hpp"
#include "net/runtime.hpp"

namespace fiducial::gateway::impl {

class OutgoingRetrievals;

/// Brings peers what waits for them: results of storage commitment, and objects that rules forward. One association at a time to each peer;
/// a peer that is away holds up no other.
/// Threads: safe
class Deliverer : public std::enable_shared_from_this<Deliverer> {
public:
    Deliverer(net::Runtime& runtime, std::shared_ptr<DimseDoor> door) : runtime_(runtime), door_(std::move(door)) {}
    void start();
    /// Begins nothing new, and waits up to grace for what is under way. What is not delivered waits for the next start.
    void stop(std::chrono::milliseconds grace);

private:
    using Batch = std::vector<archive::Delivery>;
    static net::Task<void> look(std::shared_ptr<Deliverer> self);
    static net::Task<void> bring(std::shared_ptr<Deliverer> self, std::string title);
    bool begin(const std::string& title);
    void end(const std::string& title);
    /// Each returns whether to go on with this peer now.
    net::Task<bool> report(const archive::Delivery& delivery);
    net::Task<bool> forward(const DimsePeer& peer, const Batch& batch);
    net::Task<bool> notify(const DimsePeer& peer, const archive::Delivery& delivery);
    net::Task<bool> fetch(const DimsePeer& peer, const archive::Delivery& delivery);
    net::Task<bool> send(const DimsePeer& peer, const Batch& batch, OutgoingRetrievals& objects);
    net::Task<bool> pause(std::string title, std::string why);
    using Progress = std::function<Result<void>()>;
    net::Task<bool> note(const Progress& progress);

    net::Runtime& runtime_;
    const std::shared_ptr<DimseDoor> door_;
    std::atomic<bool> stopping_ = false;
    std::atomic<int> active_ = 0;
    std::mutex mutex_;
    std::set<std::string> busy_;  // peers
};

/// What is reported of a transaction. Spec: PS3.4 §J.3.3
dimse::Event commitment_event(const archive::Delivery& delivery, const archive::CommitmentAnswer& answer, std::string_view our_ae_title,
                              std::string_view transfer_syntax);

/// What of a study the peer's device may know of. Blocking. Errors: those of the archive
Result<dicom::Availability> availability_of(const DimseDoor& door, const DimsePeer& peer, const std::string& study_uid);

}  // namespace fiducial::gateway::impl
