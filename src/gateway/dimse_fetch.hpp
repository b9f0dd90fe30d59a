#pragma once
#include <cstddef>
#include <functional>
#include <string>
#include <vector>

#include "base/result.hpp"

namespace fiducial::gateway {

/// What is to be fetched from another archive.
struct FetchRequest {
    std::string peer;                   // AE title of a line with a port
    std::string study_uid, patient_id;  // one of the two; lists are not taken
    bool by_move = false;               // by C-MOVE to ourselves instead of C-GET
};
/// One study of it.
struct FetchedStudy {
    std::string study_uid;
    std::size_t completed = 0, failed = 0, remaining = 0;  // instances, as the peer counts them
    std::string problem;                                   // why some or all did not come; empty: all is well
};
/// Told how far the study that is under way is. Returns: whether to go on.
using OnFetched = std::function<bool(const FetchedStudy& study, std::size_t studies)>;

}  // namespace fiducial::gateway
