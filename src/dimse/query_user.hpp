#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "dicom/identifier.hpp"
#include "dimse/association.hpp"

namespace fiducial::dimse {

/// What is asked of a peer's Query/Retrieve service. Spec: PS3.4 Annex C
struct QueryAsk {
    std::string sop_class;  // in a presentation context in Implicit VR Little Endian
    dicom::Identifier identifier;
    std::string move_destination{};  // of C-MOVE: an AE title
};

/// C-FIND. Returns: what was found, in the peer's order.
/// Errors:  those of the association; unsupported: the peer does not take this class; limit_exceeded: beyond `most` rows (C-CANCEL was
/// sent,
///          and the association is to be given up); conflict: the peer answers with a failure, which the message tells
net::Task<Result<std::vector<dicom::Identifier>>> find(Association& association, QueryAsk ask, std::size_t most);

/// How far a C-GET or C-MOVE is, as the peer tells it.
struct RetrieveProgress {
    std::uint16_t status = 0;
    std::uint16_t remaining = 0, completed = 0, failed = 0, warned = 0;
    std::string comment;
};
/// Told of what comes by C-GET, to be answered on the association.
using OnObject = std::function<net::Task<Result<void>>(const Message& message)>;
/// Told of pending answers; says whether to go on. Else C-CANCEL is sent, and the last answer waited for.
using OnProgress = std::function<bool(const RetrieveProgress& progress)>;

/// C-GET, or where there is a destination C-MOVE. Returns: the last answer, whatever its status.
/// Errors:  those of the association and of on_object; unsupported
net::Task<Result<RetrieveProgress>> retrieve(Association& association, QueryAsk ask, const OnObject& on_object,
                                             const OnProgress& on_progress);

}  // namespace fiducial::dimse
