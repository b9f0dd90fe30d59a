#include <algorithm>

#include "base/identifiers.hpp"
#include "gateway/impl/uri_request.hpp"

// Any query string and Accept field: what is taken keeps to the bounds that rendering relies on.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace fiducial;
    using namespace fiducial::gateway::impl;
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    const auto end = std::min(text.find('\n'), text.size());
    const auto query = net::parse_query(text.substr(0, end));
    if (!query) return 0;
    const auto asked = read_uri_request(*query, text.substr(end));
    if (!asked) return 0;
    const auto& options = asked->options;
    FID_INVARIANT(Uid::parse(asked->what.sop_uid).has_value(), "an instance that is none");
    FID_INVARIANT(options.quality >= 1 && options.quality <= 100, "a quality that is none");
    FID_INVARIANT(!options.window || dicom::is_usable(*options.window), "a window that shows nothing");
    if (const auto& region = options.region) FID_INVARIANT((*region)[0] >= 0 && (*region)[2] <= 1, "a region beyond the image");
    if (const auto& viewport = options.viewport)
        FID_INVARIANT(viewport->width <= dicom::kMostViewport && viewport->height <= dicom::kMostViewport, "a viewport beyond its bounds");
    return 0;
}
