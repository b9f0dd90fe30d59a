#include <gtest/gtest.h>

#include "gateway/impl/uri_request.hpp"
#include "gateway/impl/wado_uri.hpp"

namespace fiducial::gateway::impl {
namespace {

constexpr std::string_view kNamed = "requestType=WADO&studyUID=1.2&seriesUID=1.2.1&objectUID=1.2.1.1";

Result<UriRequest> read(std::string_view more, std::string_view accept = "") {
    const auto query = net::parse_query(std::string(kNamed) + std::string(more));
    EXPECT_TRUE(query);
    return read_uri_request(*query, accept);
}

TEST(UriRequest, Ps318Section9_1WhatIsAskedFor) {
    const auto plain = read("");
    ASSERT_TRUE(plain) << plain.error().message;
    EXPECT_EQ(plain->what.sop_uid, "1.2.1.1");
    EXPECT_FALSE(plain->as_dicom);
    EXPECT_EQ(plain->format, dicom::PictureFormat::jpeg);
    EXPECT_EQ(read("", "image/png")->format, dicom::PictureFormat::png);
    EXPECT_FALSE(read("&contentType=image/jpeg", "application/dicom")->as_dicom) << "the query counts, not the header";
    const auto file = read("&contentType=application/dicom&transferSyntax=1.2.840.10008.1.2.4.90");
    EXPECT_TRUE(file->as_dicom);
    EXPECT_EQ(file->transfer_syntax, "1.2.840.10008.1.2.4.90");
    const auto picture = read("&rows=100&windowCenter=-40&windowWidth=400.5&imageQuality=7&frameNumber=3&region=0,0.25,0.5,1");
    ASSERT_TRUE(picture) << picture.error().message;
    EXPECT_EQ(picture->options.viewport->height, 100u);
    EXPECT_EQ(picture->options.viewport->width, dicom::kMostViewport);
    EXPECT_EQ(picture->options.window->center, -40);
    EXPECT_EQ(picture->options.quality, 7u);
    EXPECT_EQ(picture->frame, 3u);
    EXPECT_EQ((*picture->options.region)[1], 0.25);
}

TEST(UriRequest, WhatCannotBeReadIsNamed) {
    const auto wrong = [](std::string_view more, ErrorCode code, std::string_view says) {
        const auto asked = read(more);
        ASSERT_FALSE(asked) << more;
        EXPECT_EQ(asked.error().code, code) << more;
        EXPECT_NE(asked.error().message.find(says), std::string::npos) << asked.error().message;
    };
    wrong("&windowCenter=1", ErrorCode::malformed, "come together");
    wrong("&windowCenter=1&windowWidth=0", ErrorCode::malformed, "windowWidth");
    wrong("&rows=0", ErrorCode::malformed, "rows");
    wrong("&columns=9999999", ErrorCode::malformed, "columns");
    wrong("&imageQuality=101", ErrorCode::malformed, "imageQuality");
    wrong("&frameNumber=0", ErrorCode::malformed, "frameNumber");
    for (const auto* region : {"0,0,1", "0,0,1,1,1", "0,0,1,2", "0.5,0,0.5,1", "0,0,nan,1", ""})
        wrong("&region=" + std::string(region), ErrorCode::malformed, "region");
    wrong("&contentType=video/mpeg", ErrorCode::unsupported, "application/dicom");
    wrong("&contentType=application/dicom&transferSyntax=x", ErrorCode::malformed, "transferSyntax");
    wrong("&anonymize=yes", ErrorCode::unsupported, "anonymize");
    for (const auto* query : {"", "requestType=WADO", "requestType=wado&studyUID=1&seriesUID=1&objectUID=1",
                              "requestType=WADO&studyUID=1&seriesUID=1&objectUID=x"})
        EXPECT_EQ(read_uri_request(*net::parse_query(query), "").error().code, ErrorCode::malformed) << query;
}

TEST(Capabilities, Ps318Section8_9SayAllOfDicomweb) {
    const auto wadl = capabilities("https://archive");
    for (const auto& route : routes()) {
        const auto& pattern = route.pattern;
        const bool other = pattern.find("/emergency") != std::string_view::npos || pattern.find("/record") != std::string_view::npos ||
                           pattern.find("/evidence") != std::string_view::npos || pattern.find("/put-back") != std::string_view::npos ||
                           pattern.find("/patient") != std::string_view::npos || pattern.find("/move") != std::string_view::npos ||
                           pattern.find("/looks") != std::string_view::npos || route.method == "DELETE";
        const bool dicomweb = pattern.starts_with("/studies") || pattern == "/series" || pattern == "/instances" || pattern == "/wado";
        if (!dicomweb || other) continue;
        std::string path(pattern.substr(1));
        for (const auto* level : {"{study}", "{series}", "{instance}"}) {
            if (const auto at = path.find("{uid}"); at != std::string::npos) path.replace(at, 5, level);
        }
        if (const auto at = path.find("{rest}"); at != std::string::npos) path.replace(at, 6, "{path}");
        const auto resource = "<resource path=\"" + path + "\"><method name=\"" + std::string(route.method) + "\"";
        EXPECT_NE(wadl.find(resource), std::string::npos) << resource;
    }
    EXPECT_NE(wadl.find("type=&quot;application/dicom&quot;"), std::string::npos);
}

}  // namespace
}  // namespace fiducial::gateway::impl
