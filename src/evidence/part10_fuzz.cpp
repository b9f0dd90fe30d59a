#include "evidence/file_fingerprint.hpp"
#include "evidence/part10.hpp"

// The first byte says in which pieces the file arrives: the fingerprint does not depend on it.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace fiducial;
    if (size == 0) return 0;
    const std::size_t piece = data[0] + std::size_t{1};
    const ByteView file(data + 1, size - 1);
    if (const auto split = evidence::split_part10(file))
        FID_INVARIANT(split->data_set_offset <= file.size(), "the data set lies in the file");
    evidence::FileFingerprinter whole, in_pieces;
    whole.update(file);
    for (std::size_t at = 0; at < file.size(); at += piece) in_pieces.update(file.subspan(at, std::min(piece, file.size() - at)));
    FID_INVARIANT(whole.finish() == in_pieces.finish(), "pieces make no difference");
    return 0;
}
