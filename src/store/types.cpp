#include "store/types.hpp"

namespace fiducial::store {

std::string_view name_of(ObjectKind kind) {
    switch (kind) {
        case ObjectKind::instance: return "instance";
        case ObjectKind::manifest: return "manifest";
        case ObjectKind::source: return "source";
        case ObjectKind::overlay: return "overlay";
        case ObjectKind::hold: return "hold";
    }
    return "unknown";
}

std::string_view name_of(ObjectState state) {
    switch (state) {
        case ObjectState::current: return "current";
        case ObjectState::superseded: return "superseded";
        case ObjectState::set_aside: return "set_aside";
        case ObjectState::duplicate: return "duplicate";
        case ObjectState::quarantined: return "quarantined";
        case ObjectState::discarded: return "discarded";
        case ObjectState::torn: return "torn";
        case ObjectState::removed: return "removed";
    }
    return "unknown";
}

bool may_become(ObjectState from, ObjectState to) {
    switch (to) {
        case ObjectState::current: return from == ObjectState::set_aside || from == ObjectState::removed;
        case ObjectState::discarded: return from == ObjectState::set_aside;
        case ObjectState::removed: return from == ObjectState::current;
        case ObjectState::quarantined:
        case ObjectState::torn: return from != ObjectState::discarded && from != ObjectState::torn;
        default: return false;
    }
}

std::string_view name_of(Admission admission) {
    switch (admission) {
        case Admission::stored: return "stored";
        case Admission::duplicate: return "duplicate";
        case Admission::new_version: return "new_version";
        case Admission::set_aside: return "set_aside";
    }
    return "unknown";
}

std::string describe(const Location& location) {
    return "segment " + std::to_string(location.segment) + " offset " + std::to_string(location.offset);
}

}  // namespace fiducial::store
