#pragma once
#include <string>
#include <vector>

#include "dicom/grey_frame.hpp"
#include "vision/evaluation.hpp"

namespace fiducial::vision {

/// A curve in the unit square.
struct Plot {
    std::string title, x, y;
    std::vector<Evaluation::Point> points;
    bool diagonal = true;  // the line of chance, or of perfect calibration
};

std::string svg_of(const Plot& plot);
dicom::Raster raster_of(const Plot& plot);

}  // namespace fiducial::vision
