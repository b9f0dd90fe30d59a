#include "gateway/impl/render_request.hpp"

#include <gtest/gtest.h>

namespace fiducial::gateway::impl {
namespace {

using dicom::PictureFormat;
using dicom::WindowShape;

TEST(RenderRequest, Ps318Section8_3_5Parameters) {
    const auto read =
        read_render_options({{"viewport", "512,256,10,,-100,"}, {"window", "-600.5,1500,SIGMOID"}, {"quality", "75"}, {"x", "y"}}, false);
    ASSERT_TRUE(read) << read.error().message;
    ASSERT_TRUE(read->viewport && read->window);
    EXPECT_EQ(read->viewport->width, 512u);
    EXPECT_EQ(read->viewport->height, 256u);
    EXPECT_EQ(read->viewport->x, 10);
    EXPECT_EQ(read->viewport->y, 0);
    EXPECT_EQ(read->viewport->part_width, -100);
    EXPECT_EQ(read->viewport->part_height, 0);
    EXPECT_EQ(read->window->center, -600.5);
    EXPECT_EQ(read->window->width, 1500);
    EXPECT_EQ(read->window->shape, WindowShape::sigmoid);
    EXPECT_EQ(read->quality, 75u);
    EXPECT_EQ(read_render_options({{"window", "1,0.5,linear-exact"}}, false)->window->shape, WindowShape::linear_exact);
    EXPECT_FALSE(read_render_options({}, false)->viewport);
    EXPECT_EQ(read_render_options({}, true)->viewport->width, 128u);
    EXPECT_EQ(read_render_options({{"viewport", "64,32"}}, true)->viewport->height, 32u);
}

TEST(RenderRequest, Ps318Section8_3_5Refuses) {
    const std::pair<const char*, const char*> wrong[] = {
        {"viewport", ""},
        {"viewport", "1"},
        {"viewport", "0,1"},
        {"viewport", "8193,1"},
        {"viewport", "1,1,1"},
        {"viewport", "1,1,-1,0,1,1"},
        {"viewport", "1,1,a,0,1,1"},
        {"viewport", "1 ,1"},
        {"viewport", "1,1,1,1,1,1,1,1,1,1,1"},
        {"window", "1,2"},
        {"window", "1,0.5,linear"},
        {"window", "1,0,sigmoid"},
        {"window", "nan,1,linear"},
        {"window", "1,inf,linear"},
        {"window", "1,2,square"},
        {"window", "1,2,"},
        {"quality", "0"},
        {"quality", "101"},
        {"quality", "9x"},
    };
    for (const auto& [name, value] : wrong) {
        const auto read = read_render_options({{name, value}}, false);
        ASSERT_FALSE(read) << name << "=" << value;
        EXPECT_EQ(read.error().code, ErrorCode::malformed);
        EXPECT_TRUE(read.error().message.starts_with(name)) << read.error().message;
    }
}

TEST(RenderRequest, Ps318Section8_7WhichPicture) {
    const auto is = [](std::string_view accept, bool single, PictureFormat format, bool multipart) {
        const auto form = negotiate_picture(accept, single);
        return form && form->format == format && form->multipart == multipart;
    };
    for (const char* accept : {"", "*/*", "image/*", "image/jpeg", "image/webp, image/jpeg;q=0.5"})
        EXPECT_TRUE(is(accept, true, PictureFormat::jpeg, false)) << accept;
    EXPECT_TRUE(is("image/jpeg;q=0.5, image/png", true, PictureFormat::png, false));
    EXPECT_TRUE(is("multipart/related; type=\"image/png\"", true, PictureFormat::png, true));
    for (const char* accept : {"", "*/*", "multipart/related", "multipart/related; type=image/jpeg"})
        EXPECT_TRUE(is(accept, false, PictureFormat::jpeg, true)) << accept;
    for (const char* accept : {"image/gif", "application/dicom", "multipart/related; type=\"application/dicom\"", "image/jpeg;q=0"})
        EXPECT_EQ(negotiate_picture(accept, true).error().code, ErrorCode::unsupported) << accept;
    EXPECT_EQ(negotiate_picture("image/jpeg", false).error().code, ErrorCode::unsupported);
    EXPECT_EQ(negotiate_picture("image", true).error().code, ErrorCode::malformed);
}

TEST(RenderRequest, ListsOfFrames) {
    EXPECT_EQ(*read_frame_list("3,1"), (std::vector<std::uint64_t>{3, 1}));
    for (const char* text : {"", "0", "1,", ",1", "1,,2", "a", "-1", "1;2", "99999999999999999999"})
        EXPECT_EQ(read_frame_list(text).error().code, ErrorCode::malformed) << text;
}

}  // namespace
}  // namespace fiducial::gateway::impl
