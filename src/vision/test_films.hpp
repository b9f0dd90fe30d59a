#pragma once
// Films for tests: those beside the project where they are, and made-up ones.
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>
#include <string>

#include "base/file.hpp"
#include "dicom/grey_frame.hpp"
#include "vision/film.hpp"

namespace fiducial::vision::test {

namespace fs = std::filesystem;

/// The folder with chest-xray-224 and chest-xray-full; empty where the project stands alone.
inline fs::path shared_films() {
    const auto folder = fs::path(FIDUCIAL_SOURCE_DIR) / ".." / "shared" / "data";
    return fs::exists(folder / "chest-xray-224" / "train") ? folder : fs::path();
}

inline Result<Film> film_in(const fs::path& path) {
    FID_TRY(const auto bytes, read_file(path, kMostFilmBytes));
    return read_film(bytes);
}

/// What training made of a film: ml/answers.py wrote them.
struct StoredAnswer {
    std::string tensor_sha256;
    double logit = 0;
};
inline std::map<std::string, StoredAnswer> stored_answers() {
    std::ifstream file(fs::path(FIDUCIAL_SOURCE_DIR) / "test" / "vectors" / "pneumonia.csv");
    std::map<std::string, StoredAnswer> answers;
    for (std::string line; std::getline(file, line);) {
        std::istringstream fields(line);
        std::string name, hash, logit;
        if (std::getline(fields, name, ',') && std::getline(fields, hash, ',') && std::getline(fields, logit))
            answers[name] = {hash, std::stod(logit)};
    }
    return answers;
}

inline dicom::Raster grey(std::uint32_t rows, std::uint32_t columns, std::uint8_t value) {
    return {rows, columns, 1, Bytes(std::size_t{rows} * columns, value)};
}

inline dicom::Raster noise(std::uint32_t rows, std::uint32_t columns, unsigned seed, std::uint32_t cell = 1) {
    auto out = grey(rows, columns, 0);
    for (std::uint32_t row = 0; row < rows; ++row) {
        for (std::uint32_t column = 0; column < columns; ++column) {
            unsigned value = seed * 2'654'435'761u + row / cell * 40'503u + column / cell * 2'246'822'519u;
            value = (value ^ value >> 15) * 2'246'822'519u;
            value = (value ^ value >> 13) * 3'266'489'917u;
            out.samples[std::size_t{row} * columns + column] = static_cast<std::uint8_t>(value >> 24);
        }
    }
    return out;
}

}  // namespace fiducial::vision::test
