#pragma once
#include <string>
#include <vector>

#include "base/bytes.hpp"

namespace fiducial::dicom {

/// One file that a DICOMDIR names.
struct DirectoryEntry {
    std::string path;          // relative to the DICOMDIR's folder, '/' between components; never leaves that folder
    std::string sop_instance;  // empty where the record does not say
};

/// Reads a DICOMDIR (Media Storage Directory). Records are taken as they lie in the file: links between them are not followed,
/// so that broken ones lose nothing and cycles cannot hang.
/// Spec: PS3.3 Annex F, PS3.10 §8.
/// Returns: entries in the order of the file. Components other than letters, digits, '_', '-' and '.' are let pass,
/// "..", "." , empty ones and absolute paths are not.
/// Errors: malformed; limit_exceeded beyond 64 MiB.
Result<std::vector<DirectoryEntry>> read_dicomdir(ByteView file);

/// True where a file's group 0002 says Media Storage Directory.
bool is_dicomdir(ByteView first_bytes);

}  // namespace fiducial::dicom
