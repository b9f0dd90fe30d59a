#include <sys/mman.h>
#include <unistd.h>

#include "dicom/zip_reader.hpp"

// Any bytes as a ZIP file: nothing is read beyond the limits, no name leads outside.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace fiducial;
    static const int memory = memfd_create("zip", 0);
    if (ftruncate(memory, 0) != 0 || pwrite(memory, data, size, 0) != static_cast<ssize_t>(size)) return 0;
    dicom::ZipLimits limits;
    limits.entries = 50;
    limits.entry_bytes = 1u << 20;
    limits.total_bytes = 4u << 20;
    const auto zip = dicom::ZipReader::open("/proc/self/fd/" + std::to_string(memory), limits);
    if (!zip) return 0;
    for (const auto& entry : zip->entries()) {
        FID_INVARIANT(("/" + entry.name + "/").find("/../") == std::string::npos && entry.name.front() != '/', "a name leads outside");
        std::uint64_t total = 0;
        const auto read = zip->read(entry, [&](ByteView piece) {
            total += piece.size();
            return Result<void>{};
        });
        FID_INVARIANT(total <= entry.size, "more came out than was said");
        FID_INVARIANT(!read || total == entry.size, "less came out than was said");
    }
    return 0;
}
