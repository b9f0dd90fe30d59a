#include "dicom/image_import.hpp"

#include <algorithm>
#include <array>

#include "base/hex.hpp"
#include "base/utf8.hpp"
#include "crypto/hash.hpp"
#include "dicom/attributes.hpp"
#include "dicom/data_set_scanner.hpp"
#include "dicom/data_set_writer.hpp"
#include "dicom/impl/image_decode.hpp"
#include "dicom/impl/jpeg_markers.hpp"
#include "dicom/impl/text.hpp"

namespace fiducial::dicom {
namespace {

constexpr std::string_view kComputedRadiography = "1.2.840.10008.5.1.4.1.1.1";
constexpr std::string_view kDigitalXRay = "1.2.840.10008.5.1.4.1.1.1.1";
constexpr std::string_view kSecondaryCapture = "1.2.840.10008.5.1.4.1.1.7";
constexpr std::string_view kUidTag = "fid.import1";

// An image on its way into a data set.
struct Picture {
    std::uint32_t rows = 0;
    std::uint32_t columns = 0;
    std::uint8_t samples = 1;
    std::uint8_t bits = 8;
    std::string photometric = "MONOCHROME2";
    ByteView wrapped;  // the JPEG file, where it goes in as it is
    Bytes native;      // else the pixels
    bool from_jpeg = false;
    std::uint64_t source_bytes = 0;
    std::string_view sop_class;

    bool is_secondary_capture() const { return sop_class == kSecondaryCapture; }
    bool is_digital() const { return sop_class == kDigitalXRay; }
    std::string_view modality() const { return is_secondary_capture() ? "OT" : is_digital() ? "DX" : "CR"; }
};

std::size_t characters(std::string_view utf8) {
    return static_cast<std::size_t>(
        std::count_if(utf8.begin(), utf8.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }));
}

// Errors name the attribute, never its value.
Result<void> check_text(std::string_view value, std::string_view name, std::size_t most, bool code_string = false) {
    const auto bad = [&](std::string_view why) { return fail(ErrorCode::invalid_argument, std::string(name) + " " + std::string(why)); };
    if (!is_utf8(value)) return bad("is not UTF-8");
    if (characters(value) > most) return bad("is longer than " + std::to_string(most) + " characters");
    const bool control =
        std::any_of(value.begin(), value.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == '\\' || c == 0x7f; });
    if (control) return bad("holds a backslash or control character");
    if (code_string && value.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 _") != std::string_view::npos)
        return bad("is not a code string");
    return {};
}

Result<void> check_name(std::string_view name) {
    FID_CHECK(check_text(name, "patient name", 64 * 3 + 2));
    std::size_t groups = 1;
    for (std::string_view rest = name;; ++groups) {
        const auto end = rest.find('=');
        if (characters(rest.substr(0, end)) > 64) return fail(ErrorCode::invalid_argument, "patient name is longer than 64 characters");
        if (end == std::string_view::npos) break;
        rest.remove_prefix(end + 1);
    }
    if (groups > 3) return fail(ErrorCode::invalid_argument, "patient name has more than three component groups");
    return {};
}

Result<void> check_patient(const ImportedPatient& patient) {
    FID_CHECK(check_text(patient.patient_id.value, "patient id", 64));
    FID_CHECK(check_text(patient.issuer.value, "issuer of patient id", 64));
    FID_CHECK(check_name(patient.name.value));
    FID_CHECK(check_text(patient.accession_number.value, "accession number", 16));
    FID_CHECK(check_text(patient.study_description.value, "study description", 64));
    FID_CHECK(check_text(patient.laterality, "laterality", 1, true));
    FID_CHECK(check_text(patient.view_position, "view position", 16, true));
    FID_CHECK(check_text(patient.body_part, "body part", 16, true));
    for (const auto* date : {&patient.birth_date.value, &patient.study_date}) {
        if (!date->empty() && normalise_date(*date) != *date) return fail(ErrorCode::invalid_argument, "a date is not YYYYMMDD");
    }
    if (!patient.study_time.empty() && !normalise_time(patient.study_time))
        return fail(ErrorCode::invalid_argument, "the study time is not HHMMSS");
    if (!patient.sex.empty() && patient.sex != "M" && patient.sex != "F" && patient.sex != "O")
        return fail(ErrorCode::invalid_argument, "the sex is none of M, F, O");
    return {};
}

Result<Picture> picture_from_jpeg(ByteView file, const ImageImportOptions& options) {
    FID_TRY(const auto header, impl::read_jpeg_header(file));
    if (header.process == impl::JpegProcess::other)
        return fail(ErrorCode::unsupported, "the JPEG file is lossless, hierarchical or arithmetic coded");
    if (header.precision != 8)
        return fail(ErrorCode::unsupported, "the JPEG file has " + std::to_string(header.precision) + " bits a sample");
    if (header.components != 1 && header.components != 3 && header.components != 4)
        return fail(ErrorCode::unsupported, "the JPEG file has " + std::to_string(header.components) + " components");
    if (std::uint64_t{header.rows} * header.columns > options.pixels)
        return fail(ErrorCode::limit_exceeded, "the JPEG image has more than " + std::to_string(options.pixels) + " pixels");
    // Decoded in any case: what nobody can look at is not taken in as an image.
    FID_TRY(auto decoded, impl::decode_jpeg(file, options.pixels));
    if (decoded.rows != header.rows || decoded.columns != header.columns)
        return fail(ErrorCode::malformed, "the JPEG file contradicts itself about its size");
    Picture picture;
    picture.from_jpeg = true;
    picture.rows = decoded.rows;
    picture.columns = decoded.columns;
    picture.samples = decoded.samples;
    if (header.process == impl::JpegProcess::baseline && header.components != 4 && header.clean_end) {
        picture.wrapped = file;
        if (header.components == 3) picture.photometric = header.colour == impl::JpegColour::rgb ? "RGB" : "YBR_FULL_422";
    } else {
        picture.native = std::move(decoded.pixels);
        if (decoded.samples == 3) picture.photometric = "RGB";
    }
    return picture;
}

Result<Picture> picture_from_png(ByteView file, const ImageImportOptions& options) {
    FID_TRY(auto decoded, impl::decode_png(file, options.pixels));
    Picture picture;
    picture.rows = decoded.rows;
    picture.columns = decoded.columns;
    picture.samples = decoded.samples;
    picture.bits = decoded.bits;
    picture.native = std::move(decoded.pixels);
    if (decoded.samples == 3) picture.photometric = "RGB";
    return picture;
}

void append_text_lp(Bytes& out, std::string_view text) {
    append_lp(out, as_bytes(text.substr(0, 65535)));
}

void make_uids(ImportedImage& out, const ImportedPatient& patient, ByteView site_secret) {
    Bytes study;
    // Where nobody says whose the image is, only the file itself may decide on its study: else strangers would share one.
    const bool nobodys = patient.patient_id.value.empty() && patient.study_key.empty();
    const auto study_key = nobodys ? to_hex(out.source_sha256) : patient.study_key;
    append_text_lp(study, patient.patient_id.value);
    append_text_lp(study, patient.issuer.value);
    append_text_lp(study, study_key);
    append_text_lp(study, study_key.empty() ? patient.study_date : std::string());
    append_text_lp(study, study_key.empty() ? patient.accession_number.value : std::string());
    const auto uid = [&](std::string_view kind, ByteView rest) {
        return uid_from_hash(crypto::tagged_hmac_sha256(site_secret, kUidTag, {as_bytes(kind), study, rest}));
    };
    out.study = uid("study", {});
    out.series = uid("series", as_bytes(out.sop_class.text()));
    Bytes instance = to_bytes(out.source_sha256);
    append_text_lp(instance, out.sop_class.text());
    out.sop_instance = uid("instance", instance);
}

std::string ratio_text(std::uint64_t raw, std::uint64_t packed) {
    const auto hundredths = raw * 100 / std::max<std::uint64_t>(packed, 1);
    auto text = std::to_string(hundredths);
    if (text.size() < 3) text.insert(0, 3 - text.size(), '0');
    return text.insert(text.size() - 2, ".");
}

void write_identity(DataSetWriter& w, const Picture& picture, const ImportedPatient& patient, const ImportedImage& out) {
    w.text(tags::kSpecificCharacterSet, "CS", "ISO_IR 192");
    w.text(0x00080008, "CS", picture.is_digital() ? "DERIVED\\PRIMARY\\" : "DERIVED\\PRIMARY");
    w.text(tags::kSopClassUid, "UI", out.sop_class.text());
    w.text(tags::kSopInstanceUid, "UI", out.sop_instance.text());
    w.text(tags::kStudyDate, "DA", patient.study_date);
    w.text(tags::kStudyTime, "TM", patient.study_time);
    w.text(tags::kAccessionNumber, "SH", patient.accession_number.value);
    w.text(tags::kModality, "CS", picture.modality());
    if (picture.is_secondary_capture()) w.text(0x00080064, "CS", "WSD");  // Conversion Type
    if (picture.is_digital()) w.text(0x00080068, "CS", "FOR PRESENTATION");
    w.text(0x00080070, "LO", "");  // Manufacturer
    w.text(0x00080090, "PN", "");  // Referring Physician
    if (!patient.study_description.value.empty()) w.text(tags::kStudyDescription, "LO", patient.study_description.value);
    if (picture.wrapped.empty()) w.text(0x00082111, "ST", picture.from_jpeg ? "Decoded from JPEG" : "Decoded from PNG");
    if (picture.is_digital()) w.begin_sequence(0x00082218), w.end_sequence();  // Anatomic Region
    w.text(tags::kPatientName, "PN", patient.name.value);
    w.text(tags::kPatientId, "LO", patient.patient_id.value);
    if (!patient.issuer.value.empty()) w.text(tags::kIssuerOfPatientId, "LO", patient.issuer.value);
    w.text(tags::kPatientBirthDate, "DA", patient.birth_date.value);
    w.text(tags::kPatientSex, "CS", patient.sex);
}

void write_series_and_image(DataSetWriter& w, const Picture& picture, const ImportedPatient& patient, const ImportedImage& out) {
    if (!picture.is_secondary_capture() || !patient.body_part.empty()) w.text(0x00180015, "CS", patient.body_part);
    if (!picture.is_secondary_capture()) w.text(0x00185101, "CS", patient.view_position);
    w.text(tags::kStudyInstanceUid, "UI", out.study.text());
    w.text(tags::kSeriesInstanceUid, "UI", out.series.text());
    w.text(tags::kStudyId, "SH", "");
    w.text(tags::kSeriesNumber, "IS", "1");
    w.text(tags::kInstanceNumber, "IS", "");
    w.text(0x00200020, "CS", "");  // Patient Orientation
    if (!picture.is_digital() && !patient.laterality.empty()) w.text(0x00200060, "CS", patient.laterality);
    if (picture.is_digital()) w.text(0x00200062, "CS", patient.laterality.empty() ? "U" : patient.laterality);
    w.us(0x00280002, picture.samples);
    w.text(0x00280004, "CS", picture.photometric);
    if (picture.samples == 3) w.us(0x00280006, 0);
    w.us(tags::kRows, static_cast<std::uint16_t>(picture.rows));
    w.us(tags::kColumns, static_cast<std::uint16_t>(picture.columns));
    w.us(0x00280100, picture.bits);
    w.us(0x00280101, picture.bits);
    w.us(0x00280102, static_cast<std::uint16_t>(picture.bits - 1));
    w.us(0x00280103, 0);
    if (picture.is_digital()) {
        w.text(0x00280301, "CS", "YES");  // burned in annotation: nobody has looked, so that de-identification must
        w.text(0x00281040, "CS", "LOG");
        // Sign: 1, brighter is less exposure. Signed short by the standard; the same two bytes.
        w.binary(0x00281041, "SS", std::array<std::uint8_t, 2>{1, 0});
        w.text(0x00281050, "DS", std::to_string(1u << (picture.bits - 1)));
        w.text(0x00281051, "DS", std::to_string(1u << picture.bits));
        w.text(0x00281052, "DS", "0");
        w.text(0x00281053, "DS", "1");
        w.text(0x00281054, "LO", "US");
    }
    if (picture.from_jpeg) {
        w.text(0x00282110, "CS", "01");
        w.text(0x00282112, "DS", ratio_text(std::uint64_t{picture.rows} * picture.columns * picture.samples, picture.source_bytes));
        w.text(0x00282114, "CS", "ISO_10918_1");
    } else if (picture.is_digital()) {
        w.text(0x00282110, "CS", "00");
    }
    if (picture.is_digital()) {
        w.begin_sequence(0x00400555), w.end_sequence();  // Acquisition Context
        w.text(0x20500020, "CS", "IDENTITY");
    }
}

}  // namespace

ImageKind image_kind(ByteView first) {
    static constexpr std::uint8_t kPng[] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};
    if (first.size() >= 3 && first[0] == 0xff && first[1] == 0xd8 && first[2] == 0xff) return ImageKind::jpeg;
    if (first.size() >= 8 && std::equal(std::begin(kPng), std::end(kPng), first.begin())) return ImageKind::png;
    return ImageKind::unknown;
}

Uid uid_from_hash(const Hash& hash) {
    std::array<std::uint8_t, 16> number;
    std::copy_n(hash.begin(), 16, number.begin());
    std::string digits;
    while (std::any_of(number.begin(), number.end(), [](std::uint8_t b) { return b != 0; })) {
        unsigned rest = 0;
        for (auto& byte : number) {
            const unsigned value = rest * 256 + byte;
            byte = static_cast<std::uint8_t>(value / 10);
            rest = value % 10;
        }
        digits += static_cast<char>('0' + rest);
    }
    if (digits.empty()) digits = "0";
    std::reverse(digits.begin(), digits.end());
    auto uid = Uid::parse("2.25." + digits);
    FID_INVARIANT(uid.has_value(), "a UID made of digits");
    return *uid;
}

Result<ImportedImage> import_image(ByteView file, const ImportedPatient& patient, ByteView site_secret, const ImageImportOptions& options) {
    FID_INVARIANT(site_secret.size() >= 32, "a site secret of less than 32 bytes");
    if (file.size() > options.source_bytes)
        return fail(ErrorCode::limit_exceeded, "the image file is larger than " + std::to_string(options.source_bytes) + " bytes");
    FID_CHECK(check_patient(patient));
    const auto kind = image_kind(file);
    if (kind == ImageKind::unknown) return fail(ErrorCode::unsupported, "the file is neither JPEG nor PNG");
    auto read = kind == ImageKind::jpeg ? picture_from_jpeg(file, options) : picture_from_png(file, options);
    if (!read) return fail(read.error());
    auto& picture = *read;
    picture.source_bytes = file.size();
    picture.sop_class = picture.samples == 3                             ? kSecondaryCapture
                        : options.radiograph == RadiographClass::digital ? kDigitalXRay
                                                                         : kComputedRadiography;

    ImportedImage out;
    out.source_sha256 = crypto::sha256(file);
    out.pixels_as_brought = !picture.wrapped.empty();
    out.transfer_syntax = out.pixels_as_brought ? kJpegBaseline : kExplicitVrLittleEndian;
    FID_TRY(out.sop_class, Uid::parse(picture.sop_class));
    make_uids(out, patient, site_secret);
    DataSetWriter writer;
    write_identity(writer, picture, patient, out);
    write_series_and_image(writer, picture, patient, out);
    if (out.pixels_as_brought) {
        const ByteView frame[] = {picture.wrapped};
        writer.encapsulated(frame);
        out.data_set = writer.take();
    } else {
        writer.binary_head(tags::kPixelData, picture.bits == 16 ? "OW" : "OB", picture.native.size());
        if ((picture.native.size() & 1) != 0) picture.native.push_back(0);
        out.data_set = std::move(picture.native);
        out.data_set.insert(out.data_set.begin(), writer.bytes().begin(), writer.bytes().end());
    }
    out.prefix = make_file_prefix(out.transfer_syntax, out.sop_class, out.sop_instance);
    return out;
}

}  // namespace fiducial::dicom
