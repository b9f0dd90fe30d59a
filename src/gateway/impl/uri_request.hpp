#pragma once
#include <cstdint>
#include <string>
#include <string_view>

#include "archive/archive.hpp"
#include "dicom/rendering.hpp"
#include "net/http_syntax.hpp"

namespace fiducial::gateway::impl {

/// What a request of the URI service asks for. Spec: PS3.18 §9.1.2
struct UriRequest {
    archive::Selector what;  // an instance
    bool as_dicom = false;   // else as a picture
    // As a file: UID; "*": as it is stored; empty: Explicit VR Little Endian, or as it is stored where that cannot be.
    std::string transfer_syntax;
    dicom::PictureFormat format = dicom::PictureFormat::jpeg;
    std::uint64_t frame = 0;  // from 1; 0: that which stands for the image
    dicom::RenderOptions options;
};
/// accept: the Accept field, which counts where the query has no contentType.
/// Errors: malformed, naming the parameter; unsupported (406): another contentType, or a parameter that would change what is given and is
/// not known.
Result<UriRequest> read_uri_request(const net::Query& parameters, std::string_view accept);

}  // namespace fiducial::gateway::impl
