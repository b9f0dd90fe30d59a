#include "gateway/impl/media_types.hpp"

#include "dicom/transfer_syntax.hpp"
#include "net/http_syntax.hpp"

namespace fiducial::gateway::impl {
namespace {

struct MediaOfSyntax {
    std::string_view syntax, media;
};
// Spec: PS3.18 table 8.7.3-5. What is not in it is native: octets.
constexpr MediaOfSyntax kMedia[] = {
    {"1.2.840.10008.1.2.4.50", "image/jpeg"},   {"1.2.840.10008.1.2.4.51", "image/jpeg"},   {"1.2.840.10008.1.2.4.57", "image/jpeg"},
    {"1.2.840.10008.1.2.4.70", "image/jpeg"},   {"1.2.840.10008.1.2.5", "image/dicom-rle"}, {"1.2.840.10008.1.2.4.80", "image/jls"},
    {"1.2.840.10008.1.2.4.81", "image/jls"},    {"1.2.840.10008.1.2.4.90", "image/jp2"},    {"1.2.840.10008.1.2.4.91", "image/jp2"},
    {"1.2.840.10008.1.2.4.92", "image/jpx"},    {"1.2.840.10008.1.2.4.93", "image/jpx"},    {"1.2.840.10008.1.2.4.201", "image/jphc"},
    {"1.2.840.10008.1.2.4.202", "image/jphc"},  {"1.2.840.10008.1.2.4.203", "image/jphc"},  {"1.2.840.10008.1.2.4.100", "video/mpeg2"},
    {"1.2.840.10008.1.2.4.101", "video/mpeg2"}, {"1.2.840.10008.1.2.4.102", "video/mp4"},   {"1.2.840.10008.1.2.4.103", "video/mp4"},
    {"1.2.840.10008.1.2.4.104", "video/mp4"},   {"1.2.840.10008.1.2.4.105", "video/mp4"},   {"1.2.840.10008.1.2.4.106", "video/mp4"},
    {"1.2.840.10008.1.2.4.107", "video/H265"},  {"1.2.840.10008.1.2.4.108", "video/H265"},
};

// The first of those that a media type may be in.
constexpr MediaOfSyntax kDefaults[] = {
    {dicom::kExplicitVrLittleEndian, kOctets}, {"1.2.840.10008.1.2.4.70", "image/jpeg"},   {"1.2.840.10008.1.2.5", "image/dicom-rle"},
    {"1.2.840.10008.1.2.4.80", "image/jls"},   {"1.2.840.10008.1.2.4.90", "image/jp2"},    {"1.2.840.10008.1.2.4.92", "image/jpx"},
    {"1.2.840.10008.1.2.4.201", "image/jphc"}, {"1.2.840.10008.1.2.4.100", "video/mpeg2"}, {"1.2.840.10008.1.2.4.102", "video/mp4"},
    {"1.2.840.10008.1.2.4.107", "video/H265"},
};

}  // namespace

std::string_view media_of(std::string_view syntax) {
    for (const auto& row : kMedia) {
        if (row.syntax == syntax) return row.media;
    }
    return kOctets;
}

std::string_view default_syntax_of(std::string_view media_type) {
    for (const auto& row : kDefaults) {
        if (net::equals_ignoring_case(row.media, media_type)) return row.syntax;
    }
    return {};
}

}  // namespace fiducial::gateway::impl
