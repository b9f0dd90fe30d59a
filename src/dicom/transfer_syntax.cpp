#include "dicom/transfer_syntax.hpp"

#include <algorithm>
#include <array>

namespace fiducial::dicom {
namespace {

// uid, name, explicit, big endian, encapsulated, deflated, lossy, retired
constexpr std::array kTable = {
    TransferSyntax{"1.2.840.10008.1.2", "Implicit VR Little Endian", false, false, false, false, false, false},
    TransferSyntax{"1.2.840.10008.1.2.1", "Explicit VR Little Endian", true, false, false, false, false, false},
    TransferSyntax{"1.2.840.10008.1.2.1.98", "Encapsulated Uncompressed Explicit VR Little Endian", true, false, true, false, false, false},
    TransferSyntax{"1.2.840.10008.1.2.1.99", "Deflated Explicit VR Little Endian", true, false, false, true, false, false},
    TransferSyntax{"1.2.840.10008.1.2.2", "Explicit VR Big Endian", true, true, false, false, false, true},
    TransferSyntax{"1.2.840.10008.1.2.4.100", "MPEG2 Main Profile / Main Level", true, false, true, false, true, false},
    TransferSyntax{"1.2.840.10008.1.2.4.100.1", "Fragmentable MPEG2 Main Profile / Main Level", true, false, true, false, true, false},
    TransferSyntax{"1.2.840.10008.1.2.4.101", "MPEG2 Main Profile / High Level", true, false, true, false, true, false},
    TransferSyntax{"1.2.840.10008.1.2.4.101.1", "Fragmentable MPEG2 Main Profile / High Level", true, false, true, false, true, false},
    TransferSyntax{"1.2.840.10008.1.2.4.102", "MPEG-4 AVC/H.264 High Profile / Level 4.1", true, false, true, false, true, false},
    TransferSyntax{"1.2.840.10008.1.2.4.102.1", "Fragmentable MPEG-4 AVC/H.264 High Profile / Level 4.1", true, false, true, false, true,
                   false},
    TransferSyntax{"1.2.840.10008.1.2.4.103", "MPEG-4 AVC/H.264 BD-compatible High Profile / Level 4.1", true, false, true, false, true,
                   false},
    TransferSyntax{"1.2.840.10008.1.2.4.103.1", "Fragmentable MPEG-4 AVC/H.264 BD-compatible High Profile / Level 4.1", true, false, true,
                   false, true, false},
    TransferSyntax{"1.2.840.10008.1.2.4.104", "MPEG-4 AVC/H.264 High Profile / Level 4.2 For 2D Video", true, false, true, false, true,
                   false},
    TransferSyntax{"1.2.840.10008.1.2.4.104.1", "Fragmentable MPEG-4 AVC/H.264 High Profile / Level 4.2 For 2D Video", true, false, true,
                   false, true, false},
    TransferSyntax{"1.2.840.10008.1.2.4.105", "MPEG-4 AVC/H.264 High Profile / Level 4.2 For 3D Video", true, false, true, false, true,
                   false},
    TransferSyntax{"1.2.840.10008.1.2.4.105.1", "Fragmentable MPEG-4 AVC/H.264 High Profile / Level 4.2 For 3D Video", true, false, true,
                   false, true, false},
    TransferSyntax{"1.2.840.10008.1.2.4.106", "MPEG-4 AVC/H.264 Stereo High Profile / Level 4.2", true, false, true, false, true, false},
    TransferSyntax{"1.2.840.10008.1.2.4.106.1", "Fragmentable MPEG-4 AVC/H.264 Stereo High Profile / Level 4.2", true, false, true, false,
                   true, false},
    TransferSyntax{"1.2.840.10008.1.2.4.107", "HEVC/H.265 Main Profile / Level 5.1", true, false, true, false, true, false},
    TransferSyntax{"1.2.840.10008.1.2.4.108", "HEVC/H.265 Main 10 Profile / Level 5.1", true, false, true, false, true, false},
    TransferSyntax{"1.2.840.10008.1.2.4.110", "JPEG XL Lossless", true, false, true, false, false, false},
    TransferSyntax{"1.2.840.10008.1.2.4.111", "JPEG XL JPEG Recompression", true, false, true, false, true, false},
    TransferSyntax{"1.2.840.10008.1.2.4.112", "JPEG XL", true, false, true, false, true, false},
    TransferSyntax{"1.2.840.10008.1.2.4.201", "High-Throughput JPEG 2000 Image Compression (Lossless Only)", true, false, true, false,
                   false, false},
    TransferSyntax{"1.2.840.10008.1.2.4.202", "High-Throughput JPEG 2000 with RPCL Options Image Compression (Lossless Only)", true, false,
                   true, false, false, false},
    TransferSyntax{"1.2.840.10008.1.2.4.203", "High-Throughput JPEG 2000 Image Compression", true, false, true, false, true, false},
    TransferSyntax{"1.2.840.10008.1.2.4.50", "JPEG Baseline (Process 1)", true, false, true, false, true, false},
    TransferSyntax{"1.2.840.10008.1.2.4.51", "JPEG Extended (Process 2 & 4)", true, false, true, false, true, false},
    TransferSyntax{"1.2.840.10008.1.2.4.53", "JPEG Spectral Selection, Non-Hierarchical (Process 6 & 8)", true, false, true, false, true,
                   true},
    TransferSyntax{"1.2.840.10008.1.2.4.55", "JPEG Full Progression, Non-Hierarchical (Process 10 & 12)", true, false, true, false, true,
                   true},
    TransferSyntax{"1.2.840.10008.1.2.4.57", "JPEG Lossless, Non-Hierarchical (Process 14)", true, false, true, false, false, false},
    TransferSyntax{"1.2.840.10008.1.2.4.70", "JPEG Lossless, Non-Hierarchical, First-Order Prediction (Process 14, Selection Value 1)",
                   true, false, true, false, false, false},
    TransferSyntax{"1.2.840.10008.1.2.4.80", "JPEG-LS Lossless Image Compression", true, false, true, false, false, false},
    TransferSyntax{"1.2.840.10008.1.2.4.81", "JPEG-LS Lossy (Near-Lossless) Image Compression", true, false, true, false, true, false},
    TransferSyntax{"1.2.840.10008.1.2.4.90", "JPEG 2000 Image Compression (Lossless Only)", true, false, true, false, false, false},
    TransferSyntax{"1.2.840.10008.1.2.4.91", "JPEG 2000 Image Compression", true, false, true, false, true, false},
    TransferSyntax{"1.2.840.10008.1.2.4.92", "JPEG 2000 Part 2 Multi-component Image Compression (Lossless Only)", true, false, true, false,
                   false, false},
    TransferSyntax{"1.2.840.10008.1.2.4.93", "JPEG 2000 Part 2 Multi-component Image Compression", true, false, true, false, true, false},
    TransferSyntax{"1.2.840.10008.1.2.5", "RLE Lossless", true, false, true, false, false, false},
    TransferSyntax{"1.2.840.10008.1.2.8.1", "Deflated Image Frame Compression", true, false, true, false, false, false},
};

constexpr bool ascending() {
    for (std::size_t i = 1; i < kTable.size(); ++i) {
        if (kTable[i - 1].uid >= kTable[i].uid) return false;
    }
    return true;
}
static_assert(ascending());

}  // namespace

std::span<const TransferSyntax> transfer_syntaxes() {
    return kTable;
}

const TransferSyntax* find_transfer_syntax(std::string_view uid) {
    const auto found =
        std::lower_bound(kTable.begin(), kTable.end(), uid, [](const TransferSyntax& row, std::string_view key) { return row.uid < key; });
    return found != kTable.end() && found->uid == uid ? &*found : nullptr;
}

}  // namespace fiducial::dicom
