#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.hpp"
#include "base/identifiers.hpp"
#include "dicom/attributes.hpp"
#include "dicom/transfer_syntax.hpp"

namespace fiducial::dicom {

struct ScanLimits {
    std::uint64_t header_bytes = 64u << 20;  // everything but pixel data and bulk values
    std::uint64_t bulk_threshold =
        64u << 10;  // longer values are recorded by place, not written into the JSON; at the top level not even kept
    std::uint64_t json_bytes = 128u << 20;
    std::uint64_t inflated_bytes = 1ull << 36;  // of a deflated data set
    std::uint32_t depth = 32;                   // nested sequences
};

/// Who an instance is. What the archive needs before it can encrypt.
struct EarlyIdentity {
    std::string transfer_syntax;  // a row of transfer_syntaxes()
    Uid sop_class;                // empty where the data set has none
    Uid sop_instance;
    Uid study;
    Uid series;
    PatientText patient_id;  // UTF-8 without outer spaces; empty where missing
    PatientText issuer;      // Issuer of Patient ID
};

/// A value that DICOM JSON names by BulkDataURI.
struct BulkValue {
    std::string path;  // "7FE00010", nested: "00880200/0/7FE00010" (item index from 0)
    std::string vr;
    std::uint64_t offset = 0;  // of the value in the data set (deflated: once inflated)
    std::uint64_t length = 0;  // encapsulated: all items with their headers, without the sequence delimiter
};

/// Everything that the archive indexes of an instance.
struct InstanceHeader {
    EarlyIdentity identity;
    std::uint64_t prefix_length = 0;    // preamble and group 0002
    std::uint64_t data_set_length = 0;  // as it came: deflated ones deflated
    std::uint64_t inflated_length = 0;  // the same as data_set_length where nothing is deflated
    Attributes attributes;              // top level, UTF-8
    std::string dicom_json;             // PS3.18 Annex F object, UTF-8; BulkDataURI is "bulk/" and BulkValue::path
    std::vector<BulkValue> bulk;        // ascending by offset
    bool has_pixel_data = false;
    Tag pixel_tag = 0;
    std::uint64_t pixel_offset = 0;
    std::uint64_t pixel_length = 0;
    Hash pixel_sha256{};                 // of the value as encoded; zeros without pixel data
    std::uint64_t number_of_frames = 0;  // 0 without pixel data
    std::vector<std::string> warnings;   // defects that were let pass; no patient data in them
};

/// Bytes of the data set that became known by a call of feed(), in order: first held, then fresh.
struct DataSetPieces {
    ByteView held;   // in the scanner's memory, until the next call
    ByteView fresh;  // a part of the bytes just fed
};

/// Reads an instance as it streams by, in bounded memory: splits off preamble and group 0002, finds who it is, keeps the
/// attributes, hashes the pixel data in passing.
///
/// Taken: Part 10 files; files that begin with group 0002 without preamble; data sets without both where the first element
/// is (0008,0000) to (0008,0018) and shows its encoding; with for_data_set(), a bare data set in a known transfer syntax.
/// Refused (malformed): anything else, truncated input, elements that do not add up, different values for one of the UIDs,
/// missing or invalid SOP Instance, Study or Series Instance UID. unsupported: a transfer syntax we do not know.
/// limit_exceeded: header, nesting or inflated size beyond the limits. Never refused: missing or invalid other attributes.
/// Spec: PS3.5 §7 and Annex A, PS3.10 §7.
/// Errors: name the offset in the input; after one, every call fails in the same way.
/// Threads: one at a time.
class DataSetScanner {
public:
    /// For a file from outside.
    explicit DataSetScanner(ScanLimits limits = {});
    /// For a data set without prefix. Errors: unsupported for an unknown transfer syntax.
    static Result<DataSetScanner> for_data_set(std::string_view transfer_syntax, ScanLimits limits = {});
    DataSetScanner(DataSetScanner&&) noexcept;
    DataSetScanner& operator=(DataSetScanner&&) noexcept;
    ~DataSetScanner();

    /// Takes the next bytes, split anywhere.
    Result<DataSetPieces> feed(ByteView bytes);

    /// Known as soon as all elements up to (0020,000E) have passed, at the latest when pixel data begins or finish() succeeds.
    std::optional<EarlyIdentity> identity() const;
    /// Preamble and group 0002 as they came. Complete once the first data set piece was handed out.
    ByteView prefix() const;

    /// A value at the top level of the data set whose beginning went by, be it that it still comes.
    struct Passed {
        std::uint64_t offset = 0, length = 0;  // in the data set (deflated: once inflated)
        bool encapsulated = false;             // the length is not known: fragments follow, each an item
    };
    std::optional<Passed> passed(Tag tag) const;

    /// To be called once, at the end of input.
    Result<InstanceHeader> finish();

private:
    struct State;
    explicit DataSetScanner(std::unique_ptr<State> state);
    std::unique_ptr<State> state_;
};

/// Scans bytes that are in memory. Returns: the header.
Result<InstanceHeader> scan_file(ByteView file, ScanLimits limits = {});
Result<InstanceHeader> scan_data_set(ByteView data_set, std::string_view transfer_syntax, ScanLimits limits = {});

/// Group 0002 for a data set that came without one (association, STOW-RS part): preamble of zeros, "DICM", meta elements.
/// Deterministic. Spec: PS3.10 §7.1.
Bytes make_file_prefix(std::string_view transfer_syntax, const Uid& sop_class, const Uid& sop_instance);

}  // namespace fiducial::dicom
