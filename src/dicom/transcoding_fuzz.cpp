#include <algorithm>
#include <array>
#include <optional>

#include "dicom/impl/frame_decoder.hpp"
#include "dicom/transcoding.hpp"
#include "dicom/transfer_syntax.hpp"

// The first byte chooses the transfer syntaxes, the rest is a data set: whatever it is, it is given in the other one or refused, in bounded
// memory, and what is given does not depend on how it was read.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace fiducial;
    using namespace fiducial::dicom;
    constexpr std::array<std::string_view, 10> kFrom{kImplicitVrLittleEndian,         kExplicitVrLittleEndian,  kExplicitVrBigEndian,
                                                     kDeflatedExplicitVrLittleEndian, "1.2.840.10008.1.2.5",    "1.2.840.10008.1.2.4.80",
                                                     "1.2.840.10008.1.2.4.70",        "1.2.840.10008.1.2.4.90", kJpegBaseline,
                                                     impl::kEncapsulatedUncompressed};
    if (size < 2) return 0;
    const auto from = kFrom[data[0] % kFrom.size()];
    constexpr std::array<std::string_view, 4> kTo{kExplicitVrLittleEndian, kJpegLsLossless, kJpeg2000Lossless, kHtj2kLossless};
    const auto to = (data[0] & 128) != 0 ? kImplicitVrLittleEndian : kTo[data[0] / kFrom.size() % kTo.size()];
    const auto transcoded = [&](std::size_t stored_piece, std::size_t piece) -> std::optional<Bytes> {
        ByteView left(data + 1, size - 1);
        Transcoding transcoding(from, to, [&](MutableByteView out) -> Result<std::size_t> {
            const auto count = std::min({left.size(), out.size(), stored_piece});
            std::copy_n(left.begin(), count, out.begin());
            left = left.subspan(count);
            return count;
        });
        Bytes all, part(piece);
        while (all.size() < (std::size_t{16} << 20)) {
            const auto got = transcoding.read(part);
            if (!got) return std::nullopt;
            append(all, ByteView(part).first(*got));
            if (*got < part.size()) break;
        }
        return all;
    };
    const auto whole = transcoded(size, 4'096), pieces = transcoded(7, 4'096);
    FID_INVARIANT(whole == pieces, "what is given depends on how it was read");
    return 0;
}
