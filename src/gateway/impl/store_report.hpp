#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "archive/archive.hpp"

namespace fiducial::gateway::impl {

/// What a STOW-RS request is answered with.
/// Spec: PS3.18 §10.5.3, Annex I: a Store Instances Response as DICOM JSON (Annex F) or Native DICOM Model (PS3.19 Annex A)
class StoreReport {
public:
    void add(const archive::InstanceOutcome& outcome);
    /// An instance of which nothing could be read.
    void add_failure(const Error& error);

    std::size_t stored() const { return stored_; }
    std::size_t failed() const { return failed_; }
    /// 200: all stored; 202: some, or with warnings; none: 507 where each time there was no room (RFC 4918 §11.5), 503 where each time the
    /// archive failed, else 409.
    unsigned status() const;

    std::string to_json(std::string_view base_url) const;
    std::string to_xml(std::string_view base_url) const;

private:
    struct Item {
        std::string sop_class_uid, sop_uid, study_uid, series_uid;
        std::uint16_t reason = 0;  // failure or warning; 0: neither
        bool stored = false;
        bool no_space = false;
    };
    std::vector<Item> items_;
    std::size_t stored_ = 0;
    std::size_t failed_ = 0;
    std::size_t warned_ = 0;
};

/// The status that says why an instance was not stored. Spec: PS3.18 §10.5.3, table Store Instances Response Failure Reason
std::uint16_t failure_reason(ErrorCode code);

}  // namespace fiducial::gateway::impl
