#pragma once
#include <functional>
#include <string_view>
#include <vector>

#include "dicom/pdu.hpp"

namespace fiducial::dicom {

inline constexpr std::string_view kVerificationSopClass = "1.2.840.10008.1.1";

/// Whether a UID names a class of composite objects that are stored with C-STORE and belong to a study.
/// Spec: PS3.4 table B.5-1 with its retired rows: everything below 1.2.840.10008.5.1.4.1.1, and what the standard put elsewhere
bool is_storage_sop_class(std::string_view uid);

/// What is done with the data sets of an abstract syntax.
enum class Served : std::uint8_t {
    no,
    not_for_this_peer,
    objects,      // they are kept, and given out, as they are: in every transfer syntax
    identifiers,  // they are read and written here: Explicit or Implicit VR Little Endian
};

/// Answers the presentation contexts of a request, in their order. Of the transfer syntaxes offered the first that is known here counts, so
/// that an object comes as its sender keeps it; but Explicit VR Little Endian before Implicit, in which private attributes lose their VR.
/// Spec: PS3.8 §9.3.3.2, PS3.5 §10.1
std::vector<AnsweredContext> negotiate(const std::vector<ProposedContext>& proposed,
                                       const std::function<Served(std::string_view abstract_syntax)>& served);

/// Answers the roles of a request: a requestor stays SCU where it wants to, and is SCP of the classes that may be sent to it (C-GET).
/// Spec: PS3.7 §D.3.3.4
std::vector<RoleSelection> negotiate_roles(const std::vector<RoleSelection>& proposed,
                                           const std::function<bool(std::string_view sop_class)>& may_be_sent);

/// What a requestor may ask for beyond the baseline of Query/Retrieve. Spec: PS3.4 §C.5.1.1, tables C.5-1 and C.5-3
struct QueryOptions {
    bool relational = false;          // C-FIND: keys of any level, without the unique ones above
    bool combined_date_time = false;  // C-FIND
    bool fuzzy_names = false;         // C-FIND
};
/// Answers extended negotiation of Query/Retrieve classes: of what is asked for, all that QueryOptions has and timezone query adjustment
/// are granted to C-FIND, nothing to C-MOVE and C-GET. Others are not answered.
std::vector<ExtendedNegotiation> negotiate_queries(const std::vector<ExtendedNegotiation>& proposed);
/// What was granted to a class.
QueryOptions query_options(const std::vector<ExtendedNegotiation>& answered, std::string_view sop_class);

}  // namespace fiducial::dicom
