#pragma once
#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "archive/archive.hpp"
#include "base/clock.hpp"
#include "dimse/provider.hpp"
#include "gateway/dimse_gateway.hpp"
#include "net/runtime.hpp"

namespace fiducial::gateway::impl {

/// Commands answered, by name and status, for /metrics.
class CommandCounts {
public:
    void add(std::string_view command, std::uint16_t status);
    std::vector<archive::Metric> metrics() const;

private:
    mutable std::mutex mutex_;
    std::map<std::pair<std::string, std::uint16_t>, std::uint64_t> counts_;
};

/// What all associations share.
struct DimseDoor {
    archive::Archive& archive;
    const DimseGatewaySettings settings;
    net::BlockingPool ingesting;  // an association has at most one job in it, so that it is never found full
    CommandCounts counts;
    std::atomic<std::uint64_t> received_bytes = 0;

    DimseDoor(archive::Archive& used, DimseGatewaySettings given);
    bool is_storage(std::string_view sop_class) const;
};

/// What becomes of a C-STORE.
struct StoreAnswer {
    std::uint16_t status = 0;
    std::string comment;  // of at most 64 characters; empty where all is well
};

/// One association on its way through the door.
class DimseAssociation {
public:
    DimseAssociation(DimseDoor& door, dimse::Association& association, const DimsePeer& peer);

    /// Serves it to its end, puts what was stored into its studies' records, and logs one line.
    net::Task<void> run();

private:
    net::Task<Result<void>> serve_messages();
    net::Task<Result<void>> answer(const dimse::Message& message);

    // dimse_store.cpp
    net::Task<Result<void>> store(const dimse::Message& message);
    net::Task<Result<StoreAnswer>> take_object(const dimse::Message& message);
    net::Task<Result<std::size_t>> read_piece();
    Result<void> open_session();
    StoreAnswer answer_for(const archive::InstanceOutcome& outcome, std::string_view sop_instance);
    StoreAnswer refused(const Error& error, std::string_view sop_instance);
    Result<void> complete();

    DimseDoor& door_;
    dimse::Association& association_;
    const DimsePeer& peer_;
    std::unique_ptr<archive::IngestSession> session_;  // begun with the first C-STORE
    bool in_instance_ = false;
    SteadyTime permitted_{};
    Bytes piece_;
    std::uint64_t bytes_ = 0, echoes_ = 0, stored_ = 0, duplicates_ = 0, set_aside_ = 0, refused_ = 0;
};

}  // namespace fiducial::gateway::impl
