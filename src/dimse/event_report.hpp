#pragma once
#include <cstdint>
#include <string>

#include "dimse/user.hpp"

namespace fiducial::dimse {

/// What is reported: an event of an instance that this side provides.
struct Event {
    std::string sop_class, sop_instance;
    std::uint16_t type = 0;
    Bytes information;  // a data set in Implicit VR Little Endian; empty: none
};

/// Reports an event on an association of its own, in which this side is the SCP: `contexts` and `roles` are not looked at. A peer that says
/// nothing of roles is taken at its word that it accepts the class.
/// Spec:    PS3.7 §10.1.1, §D.3.3.4
/// Returns: the peer's status. Errors: those of User::open and Association; unsupported: the peer does not take such reports
net::Task<Result<std::uint16_t>> report_event(UserSettings settings, Event event);

/// The command with which an event is reported.
dicom::CommandSet event_report(const Event& event, std::uint16_t message_id);

}  // namespace fiducial::dimse
