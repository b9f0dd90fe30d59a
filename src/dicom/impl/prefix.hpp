#pragma once
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.hpp"
#include "dicom/transfer_syntax.hpp"

namespace fiducial::dicom::impl {

/// Finds where the data set begins in a file, and how it is written.
class PrefixReader {
public:
    struct Found {
        std::size_t data_set_start = 0;
        const TransferSyntax* syntax = nullptr;
    };
    /// Looks at what is there of the file, from its first byte on. Requires: the same bytes as before, and more.
    /// Returns: nothing while more is needed. At the end it is found or an error.
    /// Errors: malformed, unsupported, limit_exceeded beyond 1 MiB of group 0002.
    Result<std::optional<Found>> look(ByteView file, bool at_end);

    const std::string& sop_class() const { return sop_class_; }  // as group 0002 says
    const std::string& sop_instance() const { return sop_instance_; }
    const std::vector<std::string>& warnings() const { return warnings_; }

private:
    enum class Step : std::uint8_t { start, meta, data_set };
    Result<bool> find_start(ByteView file, bool at_end);
    Result<bool> walk_meta(ByteView file, bool at_end);
    Result<std::optional<Found>> find_syntax(ByteView file, bool at_end);
    void meta_element(std::uint16_t element, std::string_view value);

    Step step_ = Step::start;
    bool meta_seen_ = false;
    int last_meta_ = -1;  // element number within group 0002
    std::size_t at_ = 0;
    std::size_t meta_end_ = 0;  // as group length says; 0 where it does not
    std::string syntax_, sop_class_, sop_instance_;
    std::vector<std::string> warnings_;
};

inline constexpr std::string_view kMediaStorageDirectory = "1.2.840.10008.1.3.10";

/// Tells the encoding of a data set by its first 8 bytes; nullptr where they leave a doubt.
/// Only a first element of (0008,0000) to (0008,0018) is taken.
const TransferSyntax* recognise_data_set(ByteView first8);

}  // namespace fiducial::dicom::impl
