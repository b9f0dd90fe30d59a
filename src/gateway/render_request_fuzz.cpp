#include "gateway/impl/render_request.hpp"

// Any query string and Accept field: what is taken keeps to the bounds that rendering relies on.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace fiducial;
    using namespace fiducial::gateway::impl;
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    if (const auto frames = read_frame_list(text)) {
        for (const auto number : *frames) FID_INVARIANT(number > 0, "frame 0");
    }
    static_cast<void>(negotiate_picture(text, size % 2 == 0));
    const auto query = net::parse_query(text);
    if (!query) return 0;
    const auto options = read_render_options(*query, size % 2 == 0);
    if (!options) return 0;
    FID_INVARIANT(options->quality >= 1 && options->quality <= 100, "a quality that is none");
    FID_INVARIANT(!options->window || dicom::is_usable(*options->window), "a window that shows nothing");
    if (const auto& viewport = options->viewport) {
        FID_INVARIANT(viewport->width >= 1 && viewport->width <= dicom::kMostViewport && viewport->height >= 1 &&
                          viewport->height <= dicom::kMostViewport && viewport->x >= 0 && viewport->y >= 0,
                      "a viewport beyond its bounds");
    }
    return 0;
}
