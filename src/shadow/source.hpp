#pragma once
#include <functional>
#include <string>
#include <vector>

#include "base/bytes.hpp"
#include "base/result.hpp"

namespace fiducial::shadow {

/// A study as an archive lists it: nothing of it names a patient.
struct ListedStudy {
    std::string study_uid;
    std::string date;        // as DICOM writes it; empty where there is none
    std::string modalities;  // with commas
};
struct ListedInstance {
    std::string study_uid, series_uid, sop_uid, sop_class_uid;
};

/// Takes a piece of an instance's file (PS3.10).
using TakePiece = std::function<Result<void>(ByteView piece)>;

/// An archive seen from outside, through the doors that everybody uses.
/// Errors:  unavailable, timeout: it does not answer; unauthenticated, denied; malformed: what it answers makes no sense
/// Threads: one at a time
class Source {
public:
    virtual ~Source() = default;
    /// Its address, for people.
    virtual std::string name() const = 0;
    /// Every study, until there are no more or `with` says false.
    virtual Result<void> each_study(const std::function<Result<bool>(const ListedStudy& study)>& with) = 0;
    /// Errors: not_found as well, or an empty list: it has no such study.
    virtual Result<std::vector<ListedInstance>> instances(const std::string& study_uid) = 0;
    /// Gives the instance's file, piece by piece, in the transfer syntax in which it is stored where the archive lets itself be asked for
    /// that. Errors: not_found as well; those of `take`.
    virtual Result<void> fetch(const ListedInstance& instance, const TakePiece& take) = 0;
};

}  // namespace fiducial::shadow
