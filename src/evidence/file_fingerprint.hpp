#pragma once
#include <filesystem>
#include <optional>
#include <string>

#include "base/bytes.hpp"
#include "crypto/hash.hpp"
#include "evidence/data_set_hash.hpp"

namespace fiducial::evidence {

/// What was found out about the file that someone holds beside the bundle.
struct FileFingerprint {
    Hash file_sha256{};                          // of the whole file as it lies there
    std::optional<DataSetFingerprint> data_set;  // of what follows preamble and group 0002, or of all where there are none
    std::string transfer_syntax_uid;             // from group 0002; empty where there is none
    std::string note;                            // why there is no data set; else empty
    bool operator==(const FileFingerprint&) const = default;
};

/// Fingerprints a file that arrives in pieces: a DICOM file (PS3.10), a bare data set, or an image as it was brought.
/// Units: memory is two megabytes and 32 bytes for each chunk of 32 KiB.
/// Threads: one object, one thread.
class FileFingerprinter {
public:
    void update(ByteView bytes);
    FileFingerprint finish();  // once

private:
    void split();

    crypto::Sha256 whole_;
    DataSetHasher data_set_;
    Bytes head_;
    bool split_done_ = false;
    bool has_data_set_ = true;
    std::string transfer_syntax_uid_;
    std::string note_;
};

/// Reads a file to its end. Errors: not_found, permission, io.
Result<FileFingerprint> fingerprint_file(const std::filesystem::path& path);

}  // namespace fiducial::evidence
