#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "archive/query.hpp"
#include "net/http_syntax.hpp"

namespace fiducial::gateway::impl {

/// What a search asks for.
struct QidoRequest {
    archive::Query query;
    std::vector<dicom::Tag> include;  // to be given besides what always is
    bool include_all = false;         // everything that is known of these levels
    dicom::QueryLevel from_level{};   // the highest level whose attributes are always given
    std::uint64_t limit = 0;
    std::vector<std::string> ignored;  // parameters that name no attribute, as a warning says them
};

inline constexpr std::uint64_t kMostResults = 5'000;  // in one answer
inline constexpr std::uint64_t kMostSkipped = 10'000'000;

/// A search's query parameters. `study_uid` and `series_uid` stand in the path; empty where they do not.
/// Spec: PS3.18 §8.3.4, §10.6.1.2. Errors: malformed, naming the parameter and nothing of its value.
Result<QidoRequest> read_qido_request(const net::Query& parameters, dicom::QueryLevel level, const std::string& study_uid,
                                      const std::string& series_uid);

/// What of a row is given out. Spec: PS3.18 tables 10.6.3-3 to -5. RetrieveURL is the door's.
dicom::Attributes select_attributes(const QidoRequest& request, const dicom::Attributes& row);

}  // namespace fiducial::gateway::impl
