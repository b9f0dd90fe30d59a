#include "dicom/dicomdir.hpp"

// Any bytes: no path that comes out leads out of the folder.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace fiducial;
    (void)dicom::is_dicomdir({data, size});
    const auto entries = dicom::read_dicomdir({data, size});
    if (!entries) return 0;
    for (const auto& entry : *entries) {
        const std::string framed = "/" + entry.path + "/";
        FID_INVARIANT(!entry.path.empty() && framed.find("/../") == std::string::npos && framed.find("//") == std::string::npos &&
                          framed.find('\0') == std::string::npos,
                      "a path leads outside");
    }
    return 0;
}
