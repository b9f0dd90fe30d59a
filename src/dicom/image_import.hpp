#pragma once
#include <cstdint>
#include <string>

#include "base/bytes.hpp"
#include "base/identifiers.hpp"

namespace fiducial::dicom {

/// What is known about the patient and the exam of an image that carries nothing itself. Text in UTF-8.
/// Invalid dates and sexes are refused (invalid_argument), empty ones are fine.
struct ImportedPatient {
    PatientText patient_id;
    PatientText issuer;
    PatientText name;        // "Family^Given", or as DICOM component groups
    PatientText birth_date;  // YYYYMMDD
    std::string sex;         // M, F, O or empty
    PatientText accession_number;
    PatientText study_description;
    std::string study_date;  // YYYYMMDD
    std::string study_time;  // HHMMSS
    std::string study_key;  // what makes images one study; empty: patient id ‖ issuer ‖ study date ‖ accession number, without a patient id
                            // the file's hash
    std::string laterality;     // of the image: L, R or empty
    std::string view_position;  // PA, AP, LL … or empty
    std::string body_part;      // CHEST …, or empty
};

enum class RadiographClass : std::uint8_t { computed, digital };  // Computed Radiography or Digital X-Ray For Presentation

struct ImageImportOptions {
    RadiographClass radiograph = RadiographClass::computed;
    std::uint64_t source_bytes = 100u << 20;  // larger files are refused
    std::uint64_t pixels = 100'000'000;       // larger images are refused; the largest plate and film scans have some 60 million
};

struct ImportedImage {
    Bytes prefix;  // preamble and group 0002
    Bytes data_set;
    std::string transfer_syntax;
    Uid sop_class, sop_instance, study, series;
    Hash source_sha256{};            // of the file as it was brought
    bool pixels_as_brought = false;  // the JPEG stands in the data set byte for byte; else keep the original beside
};

/// Makes a DICOM instance of a JPEG or PNG file.
/// One-component baseline JPEG: wrapped without touching it, CR or DX. Grey PNG (1 to 16 bits): native pixels, CR or DX.
/// Three components: Secondary Capture (baseline JPEG wrapped, everything else native RGB). Progressive and other JPEG
/// processes and CMYK: decoded to native pixels. Transparency is dropped. Palettes become RGB (or grey).
/// A DX image made this way lacks Imager Pixel Spacing: PNG's pHYs and JFIF's density are sizes to show it at.
/// UIDs are 2.25.<first 128 bits of HMAC-SHA-256(site secret, kind ‖ study ‖ file hash), decimal>; nothing comes from
/// the clock: the same file for the same study gives the same bytes.
/// Spec: PS3.3 A.2 (CR), A.26 (DX), A.8.1 (SC); PS3.5 A.4.1, B.2; ITU-T T.81; PNG (ISO/IEC 15948).
/// Requires: site_secret of 32 bytes or more.
/// Errors: malformed, unsupported (neither JPEG nor PNG; 12-bit, lossless or arithmetic JPEG), limit_exceeded, invalid_argument.
Result<ImportedImage> import_image(ByteView file, const ImportedPatient& patient, ByteView site_secret,
                                   const ImageImportOptions& options = {});

enum class ImageKind : std::uint8_t { unknown, jpeg, png };
/// Looks at the first bytes only.
ImageKind image_kind(ByteView first_bytes);

/// 2.25.<decimal of the first 128 bits of the hash>. Spec: PS3.5 Annex B.2.
Uid uid_from_hash(const Hash& hash);

}  // namespace fiducial::dicom
