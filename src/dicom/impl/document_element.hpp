#pragma once
#include <string>
#include <vector>

#include "base/bytes.hpp"
#include "dicom/attributes.hpp"

namespace fiducial::dicom::impl {

/// One attribute of a document: values, or bytes, or their address, or items.
struct DocumentElement {
    Tag tag = 0;
    std::string vr;
    std::vector<std::string> texts;
    Bytes binary;
    std::string uri;
    std::vector<std::vector<DocumentElement>> items;
};

/// The elements of a Native DICOM Model, as they stand there: tags and names are such, nothing else is checked.
/// Spec:   PS3.19 Annex A, XML 1.0 without a document type
/// Errors: malformed; unsupported for a document type; limit_exceeded beyond `most_levels` nested sequences
Result<std::vector<DocumentElement>> read_native_model(std::string_view xml, std::size_t most_levels);

}  // namespace fiducial::dicom::impl
