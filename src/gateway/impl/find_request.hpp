#pragma once
#include <string>
#include <vector>

#include "archive/query.hpp"
#include "dicom/identifier.hpp"
#include "dicom/negotiation.hpp"
#include "dicom/query_retrieve.hpp"

namespace fiducial::gateway::impl {

/// What a C-FIND asks for.
struct FindRequest {
    archive::Query query;
    dicom::Identifier asked;          // as it came
    std::vector<dicom::Tag> ignored;  // keys that are not known here, whatever they hold: in a sequence that is not, for one
};

/// Reads the identifier of a C-FIND. Keys above the level may be there or not, as relational queries have it.
/// Spec: PS3.4 §C.4.1.1.3, §C.4.1.2.2. Errors: malformed, naming the key and nothing of its value.
Result<FindRequest> read_find_request(dicom::Identifier identifier, dicom::QueryLevel root, const dicom::QueryOptions& options);

/// What of a row is given out: the keys that were asked for and are known here, empty where the row has nothing for them; of sequences an
/// item with those. Spec: PS3.4 §C.4.1.1.3.2
dicom::Identifier find_answer(const FindRequest& request, const std::vector<dicom::Tag>& ignored, const dicom::Attributes& row,
                              std::string_view our_ae_title);

}  // namespace fiducial::gateway::impl
