#pragma once
#include <functional>
#include <optional>
#include <set>
#include <vector>

#include "archive/archive.hpp"
#include "archive/corrections.hpp"
#include "archive/exams.hpp"
#include "dicom/data_set_scanner.hpp"
#include "store/store.hpp"

namespace fiducial::archive {

/// The one way in: bytes stream through the scanner, which finds out who they are, into the vault.
class StoreSession final : public IngestSession {
public:
    /// What is done about a rejection note that was stored. Returns: remarks for whoever sent it.
    using Reject = std::function<Result<std::vector<std::string>>(const RejectionNote& note)>;
    StoreSession(store::Store& store, Exams& exams, dicom::ScanLimits limits, std::string source, Reject reject = {},
                 const Clock& clock = system_clock());

    Result<void> begin_instance(const InstanceFormat& format) override;
    Result<void> write(ByteView bytes) override;
    Result<InstanceOutcome> finish_instance() override;
    InstanceOutcome known_so_far() const override;
    void abandon_instance() override;
    Result<void> complete() override;
    void complete_soon() override;

private:
    struct Incoming {
        dicom::DataSetScanner scanner;
        InstanceFormat format;
        Bytes waiting;  // of the data set, until it is known whose it is
        std::optional<store::ObjectWriter> writer;
        std::optional<Error> error;    // what is wrong with the instance
        std::optional<Error> failure;  // what is wrong with the archive
    };
    Result<void> take(ByteView piece);
    Result<void> open_writer();
    /// Notes that it was the archive that failed.
    Result<void> of_store(Result<void> done);
    Result<InstanceOutcome> commit(const dicom::InstanceHeader& header);
    Result<void> apply_rejection(const dicom::InstanceHeader& header, InstanceOutcome& outcome);
    Result<store::PendingObject> original(const dicom::InstanceHeader& header);
    store::ObjectDescription describe(const dicom::InstanceHeader& header) const;
    Bytes prefix(const dicom::InstanceHeader& header) const;

    store::Store& store_;
    Exams& exams_;
    const dicom::ScanLimits limits_;
    const std::string source_;
    const Reject reject_;
    const Clock& clock_;
    std::optional<Incoming> incoming_;
    std::set<Uid> touched_;
};

}  // namespace fiducial::archive
