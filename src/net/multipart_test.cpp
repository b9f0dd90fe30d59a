#include "net/multipart.hpp"

#include <gtest/gtest.h>

#include <utility>
#include <vector>

namespace fiducial::net {
namespace {

using Event = MultipartReader::Event;
using Part = std::pair<std::string, std::string>;  // Content-Type and data

struct Outcome {
    std::vector<Part> parts;
    std::optional<Error> error;
};

/// Reads a whole body, given in pieces of a size.
Outcome read_in_pieces(std::string_view body, std::size_t piece, std::string_view boundary = "b", MultipartLimits limits = {}) {
    Outcome out;
    auto reader = MultipartReader::create(boundary, limits);
    if (!reader) {
        out.error = reader.error();
        return out;
    }
    for (std::size_t at = 0; at < body.size(); at += piece) {
        const Bytes copy = to_bytes(as_bytes(body.substr(at, piece)));  // a buffer of its own, so that a stale view shows
        reader->feed(copy);
        for (;;) {
            auto event = reader->next();
            if (!event) {
                out.error = event.error();
                EXPECT_EQ(reader->next().error().message, out.error->message);
                return out;
            }
            if (*event == Event::part_begin) out.parts.emplace_back(reader->headers().find("content-type").value_or(""), "");
            if (*event == Event::part_data) {
                EXPECT_FALSE(reader->data().empty());
                out.parts.back().second += as_text(reader->data());
            }
            if (*event == Event::need_more || *event == Event::end) break;
        }
    }
    if (auto finished = reader->finish(); !finished) out.error = finished.error();
    return out;
}

void expect_parts(std::string_view body, const std::vector<Part>& parts, std::string_view boundary = "b") {
    for (std::size_t piece = 1; piece <= body.size(); ++piece) {
        const auto outcome = read_in_pieces(body, piece, boundary);
        EXPECT_FALSE(outcome.error) << outcome.error->message << " at pieces of " << piece;
        EXPECT_EQ(outcome.parts, parts) << "at pieces of " << piece;
    }
}

TEST(Multipart, Rfc2046PartsWhereverTheInputIsCut) {
    expect_parts(
        "preamble\r\n--b\r\nContent-Type: a/b\r\n\r\none\r\n--b \t\r\ncontent-type:c/d\r\nX: y\r\n\r\ntwo\r\n--b--\r\nepilogue --b\r\n",
        {{"a/b", "one"}, {"c/d", "two"}});
}

TEST(Multipart, Rfc2046WhatOnlyLooksLikeABoundaryIsData) {
    const std::string data = "\r\n\r\n-\r\n--\r\n--a\r\n-b\r\r\n--\r\r\n\r--b--b\n--b\r";
    expect_parts("--b\r\n\r\n" + data + "\r\n--b--", {{"", data}});
    expect_parts("--xx\r\n\r\n\r\n--xy\r\n--x\r\n--xx--", {{"", "\r\n--xy\r\n--x"}}, "xx");
}

TEST(Multipart, Rfc2046EmptyPartsAndEmptyBodies) {
    expect_parts("--b\r\n\r\n\r\n--b\r\n\r\n\r\n--b--", {{"", ""}, {"", ""}});
    expect_parts("--b--\r\n", {});
}

TEST(Multipart, Rfc5322FoldedHeaderLinesAreJoined) {
    expect_parts("--b\r\nContent-Type: multipart/related;\r\n  type=x\r\n\r\nd\r\n--b--", {{"multipart/related; type=x", "d"}});
}

TEST(Multipart, OurOwnWriterIsReadBack) {
    const auto boundary = make_boundary();
    EXPECT_EQ(boundary.size(), 32u);
    EXPECT_NE(boundary, make_boundary());
    HeaderFields headers;
    headers.add("Content-Type", "application/dicom");
    std::string body;
    std::vector<Part> parts;
    for (int i = 0; i < 3; ++i) {
        const std::string data(static_cast<std::size_t>(i) * 1000, static_cast<char>(i));
        body += multipart_part_head(boundary, i == 0, headers) + data;
        parts.emplace_back("application/dicom", data);
    }
    body += multipart_close(boundary);
    for (const std::size_t piece : {1u, 7u, 1000u, 100'000u}) EXPECT_EQ(read_in_pieces(body, piece, boundary).parts, parts);
    EXPECT_FALSE(read_in_pieces(multipart_close(boundary, true), 5, boundary).error);
}

TEST(Multipart, DataAreHandedOutWithoutACopy) {
    auto reader = MultipartReader::create("b");
    ASSERT_TRUE(reader);
    const std::string text = "--b\r\n\r\n" + std::string(100'000, 'x');
    const auto bytes = as_bytes(text);
    reader->feed(bytes);
    EXPECT_EQ(reader->next().value_or(Event::end), Event::part_begin);
    EXPECT_EQ(reader->next().value_or(Event::end), Event::part_data);
    EXPECT_EQ(reader->data().size(), 100'000u);
    EXPECT_EQ(reader->data().data(), bytes.data() + 7);
    EXPECT_EQ(reader->next().value_or(Event::end), Event::need_more);
}

void expect_error(std::string_view body, ErrorCode code, MultipartLimits limits = {}) {
    for (std::size_t piece = 1; piece <= body.size(); piece = piece * 2 + 1) {
        const auto outcome = read_in_pieces(body, piece, "b", limits);
        ASSERT_TRUE(outcome.error) << body;
        EXPECT_EQ(outcome.error->code, code) << body << ": " << outcome.error->message;
    }
}

TEST(Multipart, Rfc2046Refuses) {
    expect_error("--b\r\n\r\ndata", ErrorCode::malformed);                       // no end
    expect_error("--b\r\n\r\ndata\r\n--b", ErrorCode::malformed);                // an end cut off
    expect_error("--b\r\n\r\ndata\r\n--bb\r\n\r\n--b--", ErrorCode::malformed);  // a longer boundary than announced
    expect_error("--b\r\n\r\ndata\r\n--b-x", ErrorCode::malformed);
    expect_error("--b\n\r\n", ErrorCode::malformed);  // a bare line feed
    expect_error("--b\r\nNo colon\r\n\r\n", ErrorCode::malformed);
    expect_error("--b\r\n: v\r\n\r\n", ErrorCode::malformed);
    expect_error("--b\r\n folded: v\r\n\r\n", ErrorCode::malformed);
    expect_error(std::string_view("--b\r\nA: \0\r\n\r\n", 13), ErrorCode::malformed);
    expect_error("--b\r\nA: b\nC: d\r\n\r\n", ErrorCode::malformed);
    expect_error("no boundary at all", ErrorCode::malformed);
}

TEST(Multipart, LimitsAreKept) {
    MultipartLimits limits;
    limits.max_parts = 2;
    limits.max_header_bytes = 32;
    limits.max_preamble_bytes = 10;
    expect_error("--b\r\n\r\n\r\n--b\r\n\r\n\r\n--b\r\n\r\n\r\n--b--", ErrorCode::limit_exceeded, limits);
    expect_error("--b\r\nA: " + std::string(40, 'x') + "\r\n\r\n\r\n--b--", ErrorCode::limit_exceeded, limits);
    expect_error("--b" + std::string(40, ' ') + "\r\n\r\n\r\n--b--", ErrorCode::limit_exceeded, limits);
    expect_error("pppppppppppppppppppp\r\n--b--", ErrorCode::limit_exceeded, limits);
}

TEST(Multipart, Rfc2046RefusesBoundaries) {
    for (const std::string& bad :
         {std::string(), std::string(71, 'a'), std::string("a "), std::string("a\r\nb"), std::string("a\"b"), std::string("ä")}) {
        EXPECT_EQ(MultipartReader::create(bad).error().code, ErrorCode::malformed) << bad;
    }
    EXPECT_TRUE(MultipartReader::create("a b'()+_,-./:=?Z9"));
}

}  // namespace
}  // namespace fiducial::net
