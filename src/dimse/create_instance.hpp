#pragma once
#include <cstdint>
#include <string>

#include "dimse/user.hpp"

namespace fiducial::dimse {

/// What a peer is to create.
struct NewInstance {
    std::string sop_class, sop_instance;
    Bytes attributes;  // a data set in Implicit VR Little Endian
};

/// Asks a peer to create an instance (N-CREATE), on an association of its own: `contexts` are not looked at.
/// Spec:    PS3.7 §10.1.5
/// Returns: the peer's status. Errors: those of User::open and Association; unsupported: the peer does not take the class
net::Task<Result<std::uint16_t>> create_instance(UserSettings settings, NewInstance instance);

}  // namespace fiducial::dimse
