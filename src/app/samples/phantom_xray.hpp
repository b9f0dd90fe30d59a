#pragma once
#include <cstdint>
#include <vector>

namespace fiducial::app::samples {

/// What a synthetic chest X-ray shows.
struct XrayPhantom {
    std::uint32_t columns = 1024;
    std::uint32_t rows = 1056;
    std::uint64_t anatomy_seed = 1;   // the same for all images of a person
    std::uint64_t exposure_seed = 1;  // noise and positioning
    bool female = false;
    double heart = 1.0;  // size; 1.25 is an enlarged one
    enum class Opacity : std::uint8_t { none, right_lower, left_lower, right_upper, both } opacity = Opacity::none;
    double opacity_strength = 1.0;  // 0 … 1.5
};

/// Draws a frontal chest X-ray of nobody: projected attenuation of trunk, lungs, heart, vessels, bones, then scatter, noise
/// and a side marker. No real image went into it.
/// Units: rows × columns samples of 12 bits, bright is dense (MONOCHROME2). The same parameters give the same image.
std::vector<std::uint16_t> draw_xray(const XrayPhantom& phantom);

}  // namespace fiducial::app::samples
