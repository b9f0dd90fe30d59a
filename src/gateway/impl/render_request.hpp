#pragma once
#include <cstdint>
#include <string_view>
#include <vector>

#include "dicom/rendering.hpp"
#include "net/http_syntax.hpp"

namespace fiducial::gateway::impl {

/// "1,3,2": numbers of frames, from 1. Errors: malformed.
Result<std::vector<std::uint64_t>> read_frame_list(std::string_view text);

/// What a request for a picture asks for: viewport, window and quality. A thumbnail without viewport fits into 128 × 128.
/// Spec: PS3.18 §8.3.5.1.3, §8.3.5.1.4, §8.3.5.1.2, §8.3.5.2. Errors: malformed, naming the parameter.
Result<dicom::RenderOptions> read_render_options(const net::Query& parameters, bool thumbnail);

/// In which form pictures are given out.
struct PictureForm {
    dicom::PictureFormat format = dicom::PictureFormat::jpeg;
    bool multipart = false;
};
std::string_view media_type_of(dicom::PictureFormat format);

/// Spec: PS3.18 §8.7.3.3, §8.7.5. single: whether there is one picture, which then may stand by itself.
/// Errors: malformed; unsupported (406), saying what is given.
Result<PictureForm> negotiate_picture(std::string_view accept, bool single);

}  // namespace fiducial::gateway::impl
