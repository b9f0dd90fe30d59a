#pragma once
#include <cstdint>
#include <span>
#include <string_view>

namespace fiducial::dicom {

/// One transfer syntax and how its data sets are written.
/// Spec: PS3.5 Annex A, PS3.6 Table A-1.
struct TransferSyntax {
    std::string_view uid;
    std::string_view name;
    bool explicit_vr;
    bool big_endian;
    bool encapsulated;  // pixel data stands in fragments
    bool deflated;      // the data set is one raw deflate stream
    bool lossy;         // its compressor can lose information (it need not)
    bool retired;
};

inline constexpr std::string_view kImplicitVrLittleEndian = "1.2.840.10008.1.2";
inline constexpr std::string_view kExplicitVrLittleEndian = "1.2.840.10008.1.2.1";
inline constexpr std::string_view kDeflatedExplicitVrLittleEndian = "1.2.840.10008.1.2.1.99";
inline constexpr std::string_view kExplicitVrBigEndian = "1.2.840.10008.1.2.2";
inline constexpr std::string_view kJpegBaseline = "1.2.840.10008.1.2.4.50";

/// Every transfer syntax we take in, ascending by UID text.
std::span<const TransferSyntax> transfer_syntaxes();
/// Returns: nullptr for one that is not in the table.
const TransferSyntax* find_transfer_syntax(std::string_view uid);

}  // namespace fiducial::dicom
