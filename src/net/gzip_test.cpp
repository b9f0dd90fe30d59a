#include "net/gzip.hpp"

#include <gtest/gtest.h>
#include <zlib.h>

namespace fiducial::net {
namespace {

std::string unzipped(const std::string& bytes) {
    z_stream stream{};
    EXPECT_EQ(inflateInit2(&stream, 15 + 16), Z_OK);
    std::string out(std::size_t{8} << 20, '\0');
    std::string in = bytes;
    stream.next_in = reinterpret_cast<Bytef*>(in.data());
    stream.avail_in = static_cast<uInt>(in.size());
    stream.next_out = reinterpret_cast<Bytef*>(out.data());
    stream.avail_out = static_cast<uInt>(out.size());
    EXPECT_EQ(inflate(&stream, Z_FINISH), Z_STREAM_END);
    out.resize(stream.total_out);
    inflateEnd(&stream);
    return out;
}

TEST(Rfc1952, WhatIsWrittenInPiecesComesBackWhole) {
    std::string text;
    for (int i = 0; i < 200'000; ++i) text += "{\"00080018\":" + std::to_string(i * 7919) + "}";
    for (const std::size_t piece : {std::size_t{1'000}, std::size_t{65'536}, text.size()}) {
        GzipWriter writer;
        std::string out;
        for (std::size_t at = 0; at < text.size(); at += piece) writer.write(std::string_view(text).substr(at, piece), out);
        writer.finish(out);
        EXPECT_LT(out.size(), text.size() / 2);
        EXPECT_EQ(unzipped(out), text);
    }
    GzipWriter flushed;
    std::string begun;
    flushed.write("{\"00080018\"", begun);
    flushed.flush(begun);
    const auto size = begun.size();
    flushed.finish(begun);
    EXPECT_GT(size + 20, begun.size()) << "what was flushed is all there";
    EXPECT_EQ(unzipped(begun), "{\"00080018\"");
    GzipWriter nothing;
    std::string out;
    nothing.finish(out);
    EXPECT_EQ(unzipped(out), "");
}

TEST(Rfc9110Section12_5_3, WhoTakesGzip) {
    for (const auto* field : {"gzip", "GZIP", "deflate, gzip;q=0.5", "*", "br;q=1, *;q=0.1", "gzip;q=1.0"})
        EXPECT_TRUE(accepts_gzip(field)) << field;
    for (const auto* field : {"", "deflate", "gzip;q=0", "gzip; q=0.000, *", "*;q=0", "x-gzip2", ",,;"})
        EXPECT_FALSE(accepts_gzip(field)) << field;
}

}  // namespace
}  // namespace fiducial::net
