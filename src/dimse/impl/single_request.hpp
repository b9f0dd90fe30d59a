#pragma once
#include <string_view>

#include "dimse/user.hpp"

namespace fiducial::dimse::impl {

/// Sends one command on an association of its own, in Implicit VR Little Endian, and waits for its answer: `contexts` are not looked at.
/// name: of the command, for errors.
/// Returns: the peer's status. Errors: those of User::open and Association; unsupported, with `not_taken`: the peer does not take the class
net::Task<Result<std::uint16_t>> single_request(UserSettings settings, dicom::CommandSet command, Bytes data_set,
                                                dicom::CommandField answered_by, std::string_view name, std::string not_taken);

}  // namespace fiducial::dimse::impl
