#pragma once
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "archive/archive.hpp"
#include "gateway/impl/store_report.hpp"
#include "net/multipart.hpp"

namespace fiducial::gateway::impl {

/// A STOW-RS request's body, taken apart as it comes, its instances given to the archive. Blocking: runs in the pool.
class StoreRun {
public:
    StoreRun(std::unique_ptr<archive::IngestSession> session, std::string study_uid)
        : session_(std::move(session)), study_uid_(std::move(study_uid)) {}
    StoreRun(const StoreRun&) = delete;
    StoreRun& operator=(const StoreRun&) = delete;
    virtual ~StoreRun() = default;

    StoreReport& report() { return report_; }
    /// Errors: malformed, limit_exceeded: the body is not what it should be.
    virtual Result<void> take(ByteView bytes) = 0;
    /// The body has come to its end. Errors: as take.
    virtual Result<void> finish() = 0;
    /// What was stored belongs to exams that are now complete, also where the body broke off.
    void complete();

protected:
    /// Returns: whether the archive takes the instance; else it is reported.
    bool begin_instance(const archive::InstanceFormat& format);
    /// An error ends the instance: end_instance() reports it.
    void write(ByteView bytes) { static_cast<void>(session_->write(bytes)); }
    void end_instance();
    /// It is reported by whoever gives it up.
    void abandon_instance();

    const std::unique_ptr<archive::IngestSession> session_;
    const std::string study_uid_;  // in the path; empty where there is none
    StoreReport report_;

private:
    bool in_instance_ = false;
};

/// Of DICOM files: parts, or the body itself where there is no reader.
std::unique_ptr<StoreRun> store_files(std::unique_ptr<archive::IngestSession> session, std::optional<net::MultipartReader> reader,
                                      std::string study_uid);  // stow.cpp

/// Of metadata and bulk data: documents first, as DICOM JSON or XML, then the values that they name by address.
/// A value is streamed where it is the last that its instance lacks and its length is known; what comes earlier is kept until then, all of
/// it kMostKeptBytes at most.
/// Spec: PS3.18 §10.5.1, §8.7.3.2, §8.6.1
std::unique_ptr<StoreRun> store_documents(std::unique_ptr<archive::IngestSession> session, net::MultipartReader reader,
                                          std::string study_uid, bool as_xml);  // stow_documents.cpp

inline constexpr std::size_t kMostKeptBytes = std::size_t{64} << 20;

}  // namespace fiducial::gateway::impl
