#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "dicom/attributes.hpp"
#include "dicom/matching.hpp"

namespace fiducial::archive {

/// One line of `[dimse] forward`: which instances go to which peer as soon as their exam is complete.
struct ForwardRule {
    std::string peer;               // AE title
    std::vector<std::string> from;  // AE titles of peers that brought it; none: whoever did, imports and STOW-RS as well
    std::vector<dicom::Matcher> keys;

    /// source: as it stands in the manifest; attributes: the indexed ones.
    bool wants(std::string_view source, const dicom::Attributes& attributes) const;
};

/// "PEER [from=AE_TITLE,…] [KEYWORD=VALUE]…", as in "WS3 from=CT1,CT2 Modality=CT BodyPartExamined=CHEST". Keywords are those of attributes
/// that can be asked for in lists, and `extra`. Values are matched as in queries; a comma parts alternatives, '?' stands for a space.
/// Errors: invalid_argument, quoting the line.
Result<ForwardRule> parse_forward_rule(std::string_view text, const std::vector<dicom::Tag>& extra);

/// The calling AE title in a source that the DIMSE door names ("dimse CT1 192.0.2.7"); empty: another door.
std::string_view calling_ae_title_of(std::string_view source);

}  // namespace fiducial::archive
