#include "app/samples/sample_files.hpp"

#include <iconv.h>

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "app/samples/phantom_ct.hpp"
#include "app/samples/phantom_ultrasound.hpp"
#include "app/samples/phantom_xray.hpp"
#include "crypto/hash.hpp"
#include "dicom/data_set_scanner.hpp"
#include "dicom/data_set_writer.hpp"
#include "dicom/image_import.hpp"

namespace fiducial::app::samples {
namespace {

namespace tags = dicom::tags;
using dicom::DataSetWriter;

constexpr std::string_view kDigitalXray = "1.2.840.10008.5.1.4.1.1.1.1";
constexpr std::string_view kComputedXray = "1.2.840.10008.5.1.4.1.1.1";
constexpr std::string_view kCt = "1.2.840.10008.5.1.4.1.1.2";
constexpr std::string_view kUltrasoundMultiFrame = "1.2.840.10008.5.1.4.1.1.3.1";
constexpr std::string_view kMaker = "Fiducial phantoms";

std::string_view modality_of(SampleKind kind) {
    switch (kind) {
        case SampleKind::digital_xray: return "DX";
        case SampleKind::computed_xray: return "CR";
        case SampleKind::ct_series: return "CT";
        case SampleKind::ultrasound: return "US";
    }
    return "OT";
}

std::string_view sop_class_of(SampleKind kind) {
    switch (kind) {
        case SampleKind::digital_xray: return kDigitalXray;
        case SampleKind::computed_xray: return kComputedXray;
        case SampleKind::ct_series: return kCt;
        case SampleKind::ultrasound: return kUltrasoundMultiFrame;
    }
    return kComputedXray;
}

Uid sample_uid(std::uint64_t seed, std::string_view what, std::size_t study, std::uint32_t image) {
    const auto text =
        "fiducial sample " + std::to_string(seed) + " " + std::string(what) + " " + std::to_string(study) + " " + std::to_string(image);
    return dicom::uid_from_hash(crypto::sha256(as_bytes(text)));
}

std::string decimals(double value, int places = 4) {
    char text[32];
    std::snprintf(text, sizeof text, "%.*f", places, value);
    return text;
}

std::string patient_age(std::string_view born, std::string_view on) {
    const auto number = [](std::string_view t) { return std::stoi(std::string(t)); };
    int years = number(on.substr(0, 4)) - number(born.substr(0, 4));
    if (number(on.substr(4)) < number(born.substr(4))) --years;
    char text[8];
    std::snprintf(text, sizeof text, "%03dY", years % 1000);
    return text;
}

// Everything that one image's writers need.
struct Job {
    const SamplePerson& person;
    const SampleStudy& study;
    std::size_t study_index;
    std::uint32_t image;
    std::uint64_t seed;
    Uid sop_instance, study_uid, series_uid, frame_of_reference;

    std::string text(std::string_view utf8) const { return in_character_set(utf8, person.character_set); }
    bool is_radiograph() const { return study.kind == SampleKind::digital_xray || study.kind == SampleKind::computed_xray; }
    bool bedside() const { return study.description.find("AP") != std::string_view::npos; }
};

void write_general(DataSetWriter& w, const Job& j) {
    if (!j.person.character_set.empty()) w.text(tags::kSpecificCharacterSet, "CS", j.person.character_set);
    w.text(0x00080008, "CS",
           j.study.kind == SampleKind::ct_series      ? "ORIGINAL\\PRIMARY\\AXIAL"
           : j.study.kind == SampleKind::digital_xray ? "ORIGINAL\\PRIMARY\\"
                                                      : "ORIGINAL\\PRIMARY");
    w.text(tags::kSopClassUid, "UI", sop_class_of(j.study.kind));
    w.text(tags::kSopInstanceUid, "UI", j.sop_instance.text());
    for (const dicom::Tag tag : {0x00080020u, 0x00080021u, 0x00080022u, 0x00080023u}) w.text(tag, "DA", j.study.date);
    for (const dicom::Tag tag : {0x00080030u, 0x00080031u, 0x00080032u, 0x00080033u}) w.text(tag, "TM", j.study.time);
    w.text(tags::kAccessionNumber, "SH", "A" + std::string(j.study.date) + std::to_string(100 + j.study_index));
    w.text(tags::kModality, "CS", modality_of(j.study.kind));
    if (j.study.kind == SampleKind::digital_xray) w.text(0x00080068, "CS", "FOR PRESENTATION");
    w.text(0x00080070, "LO", kMaker);
    w.text(0x00080080, "LO", "Phantom Hospital");
    w.text(0x00080090, "PN", "Referrer^Ada");
    w.text(tags::kStudyDescription, "LO", j.text(j.study.description));
    w.text(tags::kSeriesDescription, "LO", j.is_radiograph() ? "Chest" : j.study.kind == SampleKind::ct_series ? "Thorax 4 mm" : "Cine");
    w.text(0x00081090, "LO", "Analytic 1");
    if (j.study.kind == SampleKind::digital_xray) {
        w.begin_sequence(0x00082218);
        w.begin_item();
        w.text(0x00080100, "SH", "51185008");
        w.text(0x00080102, "SH", "SCT");
        w.text(0x00080104, "LO", "Chest");
        w.end_item();
        w.end_sequence();
    }
    w.text(tags::kPatientName, "PN", j.text(j.person.name));
    w.text(tags::kPatientId, "LO", j.person.id);
    w.text(tags::kIssuerOfPatientId, "LO", "FIDUCIAL-SAMPLES");
    w.text(tags::kPatientBirthDate, "DA", j.person.birth_date);
    w.text(tags::kPatientSex, "CS", j.person.sex);
    w.text(0x00101010, "AS", patient_age(j.person.birth_date, j.study.date));
}

void write_relationship(DataSetWriter& w, const Job& j) {
    w.text(tags::kStudyInstanceUid, "UI", j.study_uid.text());
    w.text(tags::kSeriesInstanceUid, "UI", j.series_uid.text());
    w.text(tags::kStudyId, "SH", std::to_string(j.study_index + 1));
    w.text(tags::kSeriesNumber, "IS", "1");
    if (j.study.kind == SampleKind::ct_series) w.text(0x00200012, "IS", "1");
    w.text(tags::kInstanceNumber, "IS", std::to_string(j.image + 1));
}

void write_pixel_format(DataSetWriter& w, std::uint16_t rows, std::uint16_t columns, std::uint16_t allocated, std::uint16_t stored) {
    w.us(tags::kRows, rows);
    w.us(tags::kColumns, columns);
    if (stored > 8 && allocated == 16) w.text(0x00280030, "DS", "0.74\\0.74");
    w.us(0x00280100, allocated);
    w.us(0x00280101, stored);
    w.us(0x00280102, static_cast<std::uint16_t>(stored - 1));
    w.us(0x00280103, 0);
}

void write_xray(DataSetWriter& w, const Job& j) {
    const bool digital = j.study.kind == SampleKind::digital_xray;
    XrayPhantom phantom;
    phantom.anatomy_seed = j.seed * 1000 + j.study.person;
    phantom.exposure_seed = j.seed * 1000 + j.study_index;
    phantom.female = j.person.sex == "F" && j.person.birth_date < "20050000";
    phantom.heart = j.person.birth_date < "19500000" ? 1.2 : 1.0;
    phantom.opacity = j.study.opacity;
    phantom.opacity_strength = j.study.strength;
    const auto samples = draw_xray(phantom);
    w.text(0x00180015, "CS", "CHEST");
    w.text(0x00180060, "DS", j.bedside() ? "90" : "120");
    if (digital) w.text(0x00181164, "DS", "0.35\\0.35");  // Imager Pixel Spacing
    w.text(0x00185101, "CS", j.bedside() ? "AP" : "PA");
    if (digital) w.text(0x00187004, "CS", "DIRECT");  // Detector Type
    write_relationship(w, j);
    w.text(0x00200020, "CS", "L\\F");
    if (digital) w.text(0x00200062, "CS", "U");
    w.us(0x00280002, 1);
    w.text(0x00280004, "CS", "MONOCHROME2");
    w.us(tags::kRows, static_cast<std::uint16_t>(phantom.rows));
    w.us(tags::kColumns, static_cast<std::uint16_t>(phantom.columns));
    w.us(0x00280100, 16);
    w.us(0x00280101, 12);
    w.us(0x00280102, 11);
    w.us(0x00280103, 0);
    if (digital) {
        w.text(0x00280301, "CS", "NO");
        w.text(0x00281040, "CS", "LOG");
        w.binary(0x00281041, "SS", std::array<std::uint8_t, 2>{1, 0});
    }
    w.text(0x00281050, "DS", "2048");
    w.text(0x00281051, "DS", "4096");
    if (digital) {
        w.text(0x00281052, "DS", "0");
        w.text(0x00281053, "DS", "1");
        w.text(0x00281054, "LO", "US");
        w.text(0x00282110, "CS", "00");
        w.begin_sequence(0x00400555);
        w.end_sequence();
        w.text(0x20500020, "CS", "IDENTITY");
    }
    w.ow(tags::kPixelData, samples);
}

void write_ct(DataSetWriter& w, const Job& j) {
    CtPhantom phantom;
    phantom.slices = kCtSlices;
    phantom.seed = j.seed * 1000 + j.study.person;
    phantom.nodule = j.study.opacity != XrayPhantom::Opacity::none;
    const double z = (static_cast<double>(j.image) - kCtSlices / 2.0) * phantom.slice_mm;
    const double corner = -(phantom.size / 2.0 - 0.5) * phantom.pixel_mm;
    w.text(0x00180015, "CS", "CHEST");
    w.text(0x00180050, "DS", decimals(phantom.slice_mm, 1));
    w.text(0x00180060, "DS", "120");
    w.text(0x00185100, "CS", "HFS");
    write_relationship(w, j);
    w.text(0x00200032, "DS", decimals(corner, 2) + "\\" + decimals(corner, 2) + "\\" + decimals(z, 2));
    w.text(0x00200037, "DS", "1\\0\\0\\0\\1\\0");
    w.text(0x00200052, "UI", j.frame_of_reference.text());
    w.text(0x00201040, "LO", "");
    w.text(0x00201041, "DS", decimals(z, 2));
    w.us(0x00280002, 1);
    w.text(0x00280004, "CS", "MONOCHROME2");
    write_pixel_format(w, static_cast<std::uint16_t>(phantom.size), static_cast<std::uint16_t>(phantom.size), 16, 12);
    w.text(0x00281050, "DS", "40");
    w.text(0x00281051, "DS", "400");
    w.text(0x00281052, "DS", std::to_string(kCtIntercept));
    w.text(0x00281053, "DS", "1");
    w.text(0x00281054, "LO", "HU");
    w.ow(tags::kPixelData, draw_ct_slice(phantom, j.image));
}

void write_ultrasound(DataSetWriter& w, const Job& j) {
    UltrasoundPhantom phantom;
    phantom.seed = j.seed * 1000 + j.study_index;
    const auto pixels = draw_ultrasound(phantom);
    w.text(0x00181063, "DS", "66.7");  // Frame Time
    write_relationship(w, j);
    w.text(0x00200020, "CS", "");
    w.us(0x00280002, 1);
    w.text(0x00280004, "CS", "MONOCHROME2");
    w.text(tags::kNumberOfFrames, "IS", std::to_string(phantom.frames));
    w.at(0x00280009, 0x00181063);  // Frame Increment Pointer
    write_pixel_format(w, static_cast<std::uint16_t>(phantom.rows), static_cast<std::uint16_t>(phantom.columns), 8, 8);
    w.text(0x00282110, "CS", "00");
    w.binary(tags::kPixelData, "OB", pixels);
}

const char* iconv_name(std::string_view character_set) {
    if (character_set == "ISO_IR 100") return "ISO-8859-1";
    if (character_set == "ISO_IR 101") return "ISO-8859-2";
    if (character_set == "ISO_IR 144") return "ISO-8859-5";
    if (character_set == "ISO_IR 127") return "ISO-8859-6";
    if (character_set == "ISO_IR 126") return "ISO-8859-7";
    if (character_set == "\\ISO 2022 IR 87") return "ISO-2022-JP";
    return nullptr;
}

std::string converted(std::string_view utf8, const char* to) {
    const iconv_t converter = iconv_open(to, "UTF-8");
    FID_INVARIANT(converter != iconv_t(-1), "a character set that the C library does not have");
    std::string in(utf8), out(utf8.size() * 4 + 16, '\0');
    char* from = in.data();
    char* into = out.data();
    std::size_t in_left = in.size(), out_left = out.size();
    const bool done = iconv(converter, &from, &in_left, &into, &out_left) != static_cast<std::size_t>(-1) &&
                      iconv(converter, nullptr, nullptr, &into, &out_left) != static_cast<std::size_t>(-1);
    iconv_close(converter);
    FID_INVARIANT(done, "a sample text that its character set does not have");
    out.resize(out.size() - out_left);
    return out;
}

}  // namespace

std::string in_character_set(std::string_view utf8, std::string_view character_set) {
    const char* name = iconv_name(character_set);
    if (name == nullptr) return std::string(utf8);
    // Component by component: each must begin and end in the first character set (PS3.5 §6.1.2.5.3).
    std::string out;
    for (;;) {
        const auto end = utf8.find_first_of("^=");
        out += converted(utf8.substr(0, end), name);
        if (end == std::string_view::npos) return out;
        out += utf8[end];
        utf8.remove_prefix(end + 1);
    }
}

std::vector<SampleFile> plan_sample_files() {
    std::vector<SampleFile> files;
    const auto studies = sample_studies();
    for (std::size_t s = 0; s < studies.size(); ++s) {
        const auto& study = studies[s];
        const std::uint32_t images = study.kind == SampleKind::ct_series ? kCtSlices : 1;
        for (std::uint32_t i = 0; i < images; ++i) {
            char name[16];
            std::snprintf(name, sizeof name, "%04u.dcm", i + 1);
            const auto folder = std::filesystem::path(sample_people()[study.person].id) /
                                (std::string(study.date) + "-" + std::string(modality_of(study.kind)));
            files.push_back({s, i, folder / name});
        }
    }
    return files;
}

Bytes make_sample_file(const SampleFile& file, std::uint64_t seed) {
    const auto& study = sample_studies()[file.study];
    const Job job{sample_people()[study.person],
                  study,
                  file.study,
                  file.image,
                  seed,
                  sample_uid(seed, "instance", file.study, file.image),
                  sample_uid(seed, "study", file.study, 0),
                  sample_uid(seed, "series", file.study, 0),
                  sample_uid(seed, "frame", file.study, 0)};
    DataSetWriter writer;
    write_general(writer, job);
    switch (study.kind) {
        case SampleKind::digital_xray:
        case SampleKind::computed_xray: write_xray(writer, job); break;
        case SampleKind::ct_series: write_ct(writer, job); break;
        case SampleKind::ultrasound: write_ultrasound(writer, job); break;
    }
    const auto sop_class = Uid::parse(sop_class_of(study.kind));
    FID_INVARIANT(sop_class.has_value(), "a SOP class of our own list");
    Bytes out = dicom::make_file_prefix(dicom::kExplicitVrLittleEndian, *sop_class, job.sop_instance);
    append(out, writer.bytes());
    return out;
}

}  // namespace fiducial::app::samples
