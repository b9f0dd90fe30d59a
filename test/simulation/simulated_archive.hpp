#pragma once
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "archive/exams.hpp"
#include "archive/ingest.hpp"
#include "archive/retrieve.hpp"
#include "archive/rights_sink.hpp"
#include "audit/trace.hpp"
#include "ledger/follower.hpp"
#include "ledger/outbox.hpp"
#include "net/client.hpp"
#include "store/rights.hpp"
#include "store/store.hpp"

namespace fiducial::simulation {

/// What outlives a process of the archive, besides the disk.
struct SimulatedSite {
    std::filesystem::path folder;
    archive::SiteFacts facts;
    crypto::Secret root_key, gateway, trace_key, staff_key, row_key;
    std::uint64_t period = 0;
    std::vector<Address> signers;
    std::uint64_t segment_bytes = 0, own_file_bytes = 0;
};

/// A look that was answered: what the trace must say of it for ever.
struct AnsweredLook {
    std::uint64_t entry = 0;
    Hash entry_sha256{};
    Bytes file;
};

/// One life of the archive: the parts that archive::Service puts together, in its order, each driven by the caller instead of a thread of
/// its own. Accounts, access and doors are left out.
class SimulatedArchive {
public:
    /// `first`: makes the site's folders.
    static Result<std::unique_ptr<SimulatedArchive>> open(const SimulatedSite& site, std::shared_ptr<net::JsonTransport> network,
                                                          bool first);

    store::Store& store() { return *store_; }
    audit::Trace& trace() { return *trace_; }
    ledger::Outbox& outbox() { return *outbox_; }
    ledger::Follower& follower() { return *follower_; }
    archive::Exams& exams() { return *exams_; }
    archive::CheckedVersions& versions() { return *versions_; }
    const std::vector<ledger::LedgerIncident>& incidents() const { return incidents_; }

    /// One DICOM file, as a door takes it; its exam goes on.
    Result<archive::InstanceOutcome> ingest(ByteView file);
    /// The same, broken off.
    Result<void> begin_and_give_up(ByteView file);
    /// As Service::retrieve of one instance, with what the caller then reads.
    Result<AnsweredLook> look(const std::string& study_uid, const std::string& sop_uid);

private:
    SimulatedArchive() = default;

    std::unique_ptr<store::Store> store_;
    std::unique_ptr<audit::Trace> trace_;
    std::unique_ptr<archive::CheckedVersions> versions_;
    std::unique_ptr<archive::Tracer> tracer_;
    std::unique_ptr<ledger::Rpc> outbox_rpc_, follower_rpc_;
    std::unique_ptr<store::Rights> rights_;
    std::unique_ptr<archive::RightsSink> rights_sink_;
    std::unique_ptr<ledger::Outbox> outbox_;
    std::unique_ptr<archive::Exams> exams_;
    std::unique_ptr<ledger::Follower> follower_;
    std::vector<ledger::LedgerIncident> incidents_;
};

}  // namespace fiducial::simulation
