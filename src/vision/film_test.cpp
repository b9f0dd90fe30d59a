#include "vision/film.hpp"

#include <gtest/gtest.h>

#include <algorithm>

#include "dicom/data_set_scanner.hpp"
#include "dicom/image_import.hpp"
#include "dicom/transfer_syntax.hpp"
#include "vision/test_films.hpp"

namespace fiducial::vision {
namespace {

using namespace test;

/// 4 × 2 values of 16 bits: 0, 100, …, 700; what a test changes of it.
struct Instance {
    std::string photometric = "MONOCHROME2", orientation, age, birth_date, study_date;
    std::uint16_t bits_stored = 12;
    int frames = 1;
    std::string center = "350", width = "701";
    std::vector<std::uint16_t> values{0, 100, 200, 300, 400, 500, 600, 700};
    int padding = -1;

    Bytes file() const;
};

void text(Bytes& out, dicom::Tag tag, std::string_view vr, std::string value) {
    if (value.size() % 2 != 0) value += vr == "UI" ? '\0' : ' ';
    for (const unsigned part : {tag >> 16 & 0xffffu, tag & 0xffffu}) {
        out.push_back(static_cast<std::uint8_t>(part));
        out.push_back(static_cast<std::uint8_t>(part >> 8));
    }
    append(out, as_bytes(vr));
    if (vr == "OW") out.insert(out.end(), 2, 0);
    for (std::size_t i = 0; i < (vr == "OW" ? 4u : 2u); ++i) out.push_back(static_cast<std::uint8_t>(value.size() >> (8 * i)));
    append(out, as_bytes(value));
}
std::string word(unsigned value) {
    return {static_cast<char>(value), static_cast<char>(value >> 8)};
}

Bytes Instance::file() const {
    Bytes data;
    text(data, 0x00080016, "UI", "1.2.840.10008.5.1.4.1.1.1.1");
    text(data, 0x00080018, "UI", "2.25.1");
    if (!study_date.empty()) text(data, 0x00080020, "DA", study_date);
    text(data, 0x00080060, "CS", "DX");
    if (!birth_date.empty()) text(data, 0x00100030, "DA", birth_date);
    if (!age.empty()) text(data, 0x00101010, "AS", age);
    text(data, 0x00180015, "CS", "CHEST");
    text(data, 0x00185101, "CS", "PA");
    text(data, 0x0020000d, "UI", "2.25.2");
    text(data, 0x0020000e, "UI", "2.25.3");
    if (!orientation.empty()) text(data, 0x00200020, "CS", orientation);
    text(data, 0x00280002, "US", word(1));
    text(data, 0x00280004, "CS", photometric);
    if (frames != 1) text(data, 0x00280008, "IS", std::to_string(frames));
    text(data, 0x00280010, "US", word(2));
    text(data, 0x00280011, "US", word(4));
    text(data, 0x00280100, "US", word(16));
    text(data, 0x00280101, "US", word(bits_stored));
    text(data, 0x00280102, "US", word(bits_stored - 1u));
    text(data, 0x00280103, "US", word(0));
    if (padding >= 0) text(data, 0x00280120, "US", word(static_cast<unsigned>(padding)));
    if (!center.empty()) {
        text(data, 0x00281050, "DS", center);
        text(data, 0x00281051, "DS", width);
    }
    std::string pixels;
    for (int frame = 0; frame < frames; ++frame) {
        for (const auto value : values) pixels += word(value);
    }
    text(data, 0x7fe00010, "OW", pixels);
    Bytes file = dicom::make_file_prefix(dicom::kExplicitVrLittleEndian, *Uid::parse("1.2.840.10008.5.1.4.1.1.1.1"), *Uid::parse("2.25.1"));
    append(file, data);
    return file;
}

Bytes samples_of(const Instance& instance) {
    const auto film = read_film(instance.file());
    EXPECT_TRUE(film) << film.error().message;
    return film ? film->pixels.samples : Bytes();
}

TEST(Film, Ps33SectionC11_2ValuesGoThroughTheWindow) {
    const auto samples = samples_of({});
    EXPECT_EQ(samples.front(), 0);
    EXPECT_EQ(samples.back(), 255);
    EXPECT_TRUE(std::is_sorted(samples.begin(), samples.end()));
    EXPECT_NEAR(samples[4], 255 * 4 / 7, 1);
}

TEST(Film, Monochrome1IsTurnedRound) {
    Instance negative;
    negative.photometric = "MONOCHROME1";
    auto samples = samples_of(negative);
    std::reverse(samples.begin(), samples.end());
    EXPECT_TRUE(std::is_sorted(samples.begin(), samples.end()));
    EXPECT_EQ(samples.back(), 255);
}

TEST(Film, PaddingIsBlackInEitherPolarity) {
    for (const std::string photometric : {"MONOCHROME1", "MONOCHROME2"}) {
        Instance padded;
        padded.photometric = photometric;
        padded.padding = 300;
        EXPECT_EQ(samples_of(padded)[3], 0) << photometric;
    }
}

TEST(Film, WithoutAWindowAllValuesMatter) {
    Instance plain;
    plain.center.clear();
    const auto samples = samples_of(plain);
    EXPECT_EQ(samples.front(), 0);
    EXPECT_EQ(samples.back(), 255);
}

TEST(Film, Ps33SectionC7_6_1_1_1OrientationPutsThePatientUpright) {
    const auto upright = samples_of({});
    Instance turned;
    turned.orientation = "L\\F";
    EXPECT_EQ(samples_of(turned), upright);
    turned.orientation = "R\\H";
    auto both = upright;
    std::reverse(both.begin(), both.end());
    EXPECT_EQ(samples_of(turned), both);
    turned.orientation = "F\\L";
    const auto film = read_film(turned.file());
    ASSERT_TRUE(film);
    EXPECT_EQ(film->pixels.rows, 4u);
    EXPECT_EQ(film->pixels.columns, 2u);
    EXPECT_EQ(film->pixels.samples[1], upright[4]);
    turned.orientation = "A\\F";
    const auto lateral = read_film(turned.file());
    ASSERT_TRUE(lateral);
    EXPECT_TRUE(lateral->is_lateral);
}

TEST(Film, Ps35Section6_2AgesAreRead) {
    Instance patient;
    const auto age = [&patient] { return read_film(patient.file())->age_years; };
    EXPECT_FALSE(age());
    patient.age = "004Y";
    EXPECT_EQ(age(), 4);
    patient.age = "018M";
    EXPECT_EQ(age(), 1.5);
    patient.age = "oldY";
    EXPECT_FALSE(age());
    patient.birth_date = "20150714";
    patient.study_date = "20180713";
    EXPECT_NEAR(*age(), 35 / 12.0, 1e-9);
    patient.study_date = "20140101";
    EXPECT_FALSE(age()) << "born after the exam";
}

TEST(Film, SeveralFramesAreRefused) {
    Instance cine;
    cine.frames = 2;
    const auto film = read_film(cine.file());
    ASSERT_FALSE(film);
    EXPECT_EQ(film.error().code, ErrorCode::unsupported);
    EXPECT_NE(film.error().message.find("2 frames"), std::string::npos);
}

TEST(Film, WhatIsNoImageIsRefused) {
    EXPECT_EQ(read_film({}).error().code, ErrorCode::malformed);
    EXPECT_EQ(read_film(as_bytes("this is a letter, not an image")).error().code, ErrorCode::malformed);
    auto cut = Instance{}.file();
    cut.resize(cut.size() - 5);
    EXPECT_FALSE(read_film(cut));
}

TEST(Film, PicturesAreReadAsTheyAreAndColoursRefused) {
    const auto film = noise(40, 30, 1);
    const auto png = dicom::png_of(film);
    ASSERT_TRUE(png);
    const auto read = read_film(*png);
    ASSERT_TRUE(read) << read.error().message;
    EXPECT_EQ(read->pixels.samples, film.samples);
    EXPECT_FALSE(read->has_header);

    dicom::Raster grey_in_colours{40, 30, 3, {}}, coloured{40, 30, 3, {}};
    for (const auto sample : film.samples) {
        grey_in_colours.samples.insert(grey_in_colours.samples.end(), 3, sample);
        for (const int part : {0, 90, 180}) coloured.samples.push_back(static_cast<std::uint8_t>(sample + part));
    }
    const auto same = read_film(*dicom::png_of(grey_in_colours));
    ASSERT_TRUE(same) << same.error().message;
    EXPECT_EQ(same->pixels.samples, film.samples);
    const auto refused = read_film(*dicom::png_of(coloured));
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().message, "the picture is in colours");
}

}  // namespace
}  // namespace fiducial::vision
