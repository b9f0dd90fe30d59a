// What this origin server offers of DICOMweb, as WADL; PS3.18 §8.9, Annex H.
#include "gateway/impl/service.hpp"
#include "gateway/impl/wado_uri.hpp"

namespace fiducial::gateway::impl {
namespace {

constexpr std::string_view kInstances = "multipart/related; type=\"application/dicom\"";
constexpr std::string_view kJson = "application/dicom+json", kXmlParts = "multipart/related; type=\"application/dicom+xml\"";
constexpr std::string_view kRendering[] = {"viewport", "window", "quality"};
constexpr std::string_view kSearching[] = {"{attribute}", "includefield", "fuzzymatching", "limit", "offset"};
constexpr std::string_view kUri[] = {"requestType",    "studyUID",     "seriesUID", "objectUID", "contentType",
                                     "transferSyntax", "frameNumber",  "rows",      "columns",   "windowCenter",
                                     "windowWidth",    "imageQuality", "region"};
constexpr std::string_view kPictures[] = {"image/jpeg", "image/png", "multipart/related; type=\"image/jpeg\"",
                                          "multipart/related; type=\"image/png\""};
constexpr std::string_view kMetadata[] = {kJson, kXmlParts}, kFiles[] = {kInstances}, kFile[] = {kInstances, "application/dicom"};
constexpr std::string_view kReport[] = {kJson, "application/dicom+xml"};
constexpr std::string_view kFrames[] = {"multipart/related; type=\"application/octet-stream\"",
                                        "application/octet-stream",
                                        "multipart/related; type=\"image/jpeg\"",
                                        "multipart/related; type=\"image/jls\"",
                                        "multipart/related; type=\"image/jp2\"",
                                        "multipart/related; type=\"image/jphc\"",
                                        "multipart/related; type=\"image/dicom-rle\""};
constexpr std::string_view kBulk[] = {"multipart/related; type=\"application/octet-stream\"", "application/octet-stream"};
constexpr std::string_view kUriTypes[] = {"application/dicom", "image/jpeg", "image/png"};

using Words = std::span<const std::string_view>;

/// What a route of DICOMweb's does, in the words of PS3.18 Annex H.
struct Offer {
    Service service;
    std::string_view id;
    Words gives;
    Words parameters = {};
    Words takes = {};
};

std::span<const Offer> offers() {
    static const Offer kOffers[] = {
        {serve_retrieve_study, "RetrieveStudy", kFiles},
        {serve_retrieve_series, "RetrieveSeries", kFiles},
        {serve_retrieve_instance, "RetrieveInstance", kFile},
        {serve_study_metadata, "RetrieveStudyMetadata", kMetadata},
        {serve_series_metadata, "RetrieveSeriesMetadata", kMetadata},
        {serve_instance_metadata, "RetrieveInstanceMetadata", kMetadata},
        {serve_frames, "RetrieveFrames", kFrames},
        {serve_bulk_data, "RetrieveBulkData", kBulk},
        {serve_rendered_study, "RetrieveRenderedStudy", kPictures, kRendering},
        {serve_rendered_series, "RetrieveRenderedSeries", kPictures, kRendering},
        {serve_rendered_instance, "RetrieveRenderedInstance", kPictures, kRendering},
        {serve_rendered_frames, "RetrieveRenderedFrames", kPictures, kRendering},
        {serve_study_thumbnail, "RetrieveStudyThumbnail", kPictures, kRendering},
        {serve_series_thumbnail, "RetrieveSeriesThumbnail", kPictures, kRendering},
        {serve_instance_thumbnail, "RetrieveInstanceThumbnail", kPictures, kRendering},
        {serve_frame_thumbnail, "RetrieveFrameThumbnail", kPictures, kRendering},
        {serve_wado_uri, "RetrieveInstanceByUri", kUriTypes, kUri},
        {serve_search_studies, "SearchForStudies", kMetadata, kSearching},
        {serve_search_series, "SearchForSeries", kMetadata, kSearching},
        {serve_search_instances, "SearchForInstances", kMetadata, kSearching},
        {serve_store, "StoreInstances", kReport, {}, kFile},
        {serve_capabilities, "RetrieveCapabilities", {}},
    };
    return kOffers;
}

std::string escaped(std::string_view text) {
    std::string out;
    for (const char c : text) {
        if (c == '"')
            out += "&quot;";
        else if (c == '&')
            out += "&amp;";
        else if (c == '<')
            out += "&lt;";
        else
            out += c;
    }
    return out;
}

std::string attribute(std::string_view name, std::string_view value) {
    return " " + std::string(name) + "=\"" + escaped(value) + "\"";
}

/// "/studies/{uid}/series/{uid}" as "studies/{study}/series/{series}".
std::string path_of(std::string_view pattern) {
    constexpr std::string_view kLevels[] = {"{study}", "{series}", "{instance}"};
    std::string out(pattern.substr(1));
    for (const auto level : kLevels) {
        const auto at = out.find("{uid}");
        if (at != std::string::npos) out.replace(at, 5, level);
    }
    if (const auto at = out.find("{rest}"); at != std::string::npos) out.replace(at, 6, "{path}");
    return out;
}

std::string method_of(const Route& route, const Offer& offer) {
    std::string out = "<method" + attribute("name", route.method) + attribute("id", offer.id) + "><request>";
    for (const auto parameter : offer.parameters) out += "<param" + attribute("name", parameter) + " style=\"query\"/>";
    for (const auto type : offer.takes) out += "<representation" + attribute("mediaType", type) + "/>";
    out += "</request><response>";
    for (const auto type : offer.gives) out += "<representation" + attribute("mediaType", type) + "/>";
    if (offer.service == serve_capabilities) out += "<representation mediaType=\"application/vnd.sun.wadl+xml\"/>";
    return out + "</response></method>";
}

}  // namespace

std::string capabilities(std::string_view base_url) {
    std::string out = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<application xmlns=\"http://wadl.dev.java.net/2009/02\"><resources" +
                      attribute("base", std::string(base_url) + "/") + ">";
    for (const auto& route : routes()) {
        for (const auto& offer : offers()) {
            if (offer.service != route.service) continue;
            const auto path = path_of(route.pattern);
            out += "<resource" + attribute("path", path) + ">" + method_of(route, offer) + "</resource>\n";
        }
    }
    return out + "</resources></application>\n";
}

net::Task<Result<void>> serve_capabilities(Call& call) {
    const auto accept = net::parse_accept(call.request.headers().joined("Accept").value_or(""));
    if (!accept) co_return fail(accept.error());
    constexpr std::string_view kWadl = "application/vnd.sun.wadl+xml";
    bool taken = accept->empty();
    for (const auto& item : *accept) {
        const auto range = item.range.essence();
        taken = taken || (item.q != 0 && (range == kWadl || range == "application/xml" || range == "application/*" || range == "*/*"));
    }
    if (!taken) {
        const Error other{ErrorCode::unsupported, "given is application/vnd.sun.wadl+xml"};
        co_return co_await call.refuse(other, 406);
    }
    co_return co_await call.answer(200, std::string(kWadl), capabilities(call.base_url()));
}

}  // namespace fiducial::gateway::impl
