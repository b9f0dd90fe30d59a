#pragma once
#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>
#include <string_view>

#include "app/samples/phantom_xray.hpp"
#include "base/result.hpp"

namespace fiducial::app::samples {

/// A person who does not exist.
struct SamplePerson {
    std::string_view id;
    std::string_view name;  // UTF-8, component groups as DICOM writes them
    std::string_view birth_date;
    std::string_view sex;
    std::string_view character_set;  // Specific Character Set that this person's images are written in
};

enum class SampleKind : std::uint8_t { digital_xray, computed_xray, ct_series, ultrasound };

/// One exam of a person.
struct SampleStudy {
    std::size_t person;
    std::string_view date;
    std::string_view time;
    SampleKind kind;
    std::string_view description;
    XrayPhantom::Opacity opacity = XrayPhantom::Opacity::none;
    double strength = 1.0;
};

/// Twelve people with names in Latin, Cyrillic, Greek, Arabic and Japanese writing.
std::span<const SamplePerson> sample_people();
/// Their 24 exams, priors among them: ascending by person, then date.
std::span<const SampleStudy> sample_studies();

struct SampleReport {
    std::size_t people = 0;
    std::size_t studies = 0;
    std::size_t files = 0;
    std::uint64_t bytes = 0;
};

/// Writes all exams as Part 10 files to folder/<patient id>/<study date>-<modality>/NNNN.dcm, on as many threads as there
/// are processors. The same seed gives the same files, byte for byte, and the same UIDs.
/// Errors: io, no_space, permission.
Result<SampleReport> write_samples(const std::filesystem::path& folder, std::uint64_t seed = 1,
                                   const std::function<void(std::size_t done, std::size_t of)>& progress = {});

}  // namespace fiducial::app::samples
