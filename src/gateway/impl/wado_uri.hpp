#pragma once
#include <cstdint>
#include <string>

#include "dicom/rendering.hpp"
#include "gateway/impl/service.hpp"

namespace fiducial::gateway::impl {

/// The resources of DICOMweb that there are here, as WADL. Spec: PS3.18 Annex H
std::string capabilities(std::string_view base_url);  // capabilities.cpp

/// Answers with an instance as a file. transfer_syntax: UID; "*": as it is stored; empty: Explicit VR Little Endian, or as it is stored
/// where that cannot be.
net::Task<Result<void>> give_instance(Call& call, archive::Selector what, std::string transfer_syntax);  // wado.cpp

/// Answers with a picture of one frame.
net::Task<Result<void>> give_picture(Call& call, archive::Selector what, std::uint64_t frame, dicom::RenderOptions options,
                                     dicom::PictureFormat format);  // rendered.cpp

}  // namespace fiducial::gateway::impl
