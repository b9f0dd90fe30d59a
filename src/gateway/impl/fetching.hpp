#pragma once
#include <set>
#include <string>
#include <vector>

#include "dimse/query_user.hpp"
#include "gateway/dimse_fetch.hpp"
#include "gateway/impl/dimse_association.hpp"

namespace fiducial::gateway::impl {

/// One fetching of studies from a peer: looked for, then study by study on an association of its own.
/// Requires: awaited on a strand; what is referred to outlives it
class Fetching {
public:
    Fetching(DimseDoor& door, const DimsePeer& peer, const FetchRequest& request, const OnFetched& on_fetched)
        : door_(door), peer_(peer), request_(request), on_fetched_(on_fetched) {}
    /// Returns: a row a study, also where it did not come. Errors: those of the search; not_found: there is nothing.
    net::Task<Result<std::vector<FetchedStudy>>> run();

private:
    struct Found {
        std::string study_uid;
        std::set<std::string> sop_classes;  // of C-GET
    };
    net::Task<Result<std::vector<Found>>> look();
    net::Task<Result<std::set<std::string>>> classes_of(dimse::Association& association, const std::string& study_uid);
    net::Task<Result<void>> by_get(FetchedStudy& study, const std::set<std::string>& sop_classes, std::size_t studies);
    net::Task<Result<void>> by_move(FetchedStudy& study, std::size_t studies);
    bool tell(FetchedStudy& study, const dimse::RetrieveProgress& progress, std::size_t studies);

    DimseDoor& door_;
    const DimsePeer& peer_;
    const FetchRequest& request_;
    const OnFetched& on_fetched_;
    bool stopped_ = false;
};

}  // namespace fiducial::gateway::impl
