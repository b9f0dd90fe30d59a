#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.hpp"
#include "dicom/attributes.hpp"

namespace fiducial::dicom {

/// Another value for a top-level attribute of a text VR with a length of 16 bits (LO, PN, DA, …), or none at all.
struct AttributeEdit {
    Tag tag = 0;
    std::string vr;
    std::optional<std::string> value;  // UTF-8, several joined by backslash; nothing: the attribute is left out
};

/// A data set with other values at its top level: the bytes of the stored one, with new ones in the places of some. Only what comes before
/// these places is read to find them; all else stays as it is, the transfer syntax too.
/// Spec: PS3.5 §7.1; §6.1 for the character set, which is that of the data set, or ISO_IR 192 where it declares none and needs one.
/// Threads: one at a time.
class EditedDataSet {
public:
    /// Reads the stored data set. Returns: bytes read, fewer than wanted only at its end.
    using ReadAt = std::function<Result<std::size_t>(std::uint64_t offset, MutableByteView out)>;

    /// Requires: edits ascend by tag, and none is of a tag above (0020,0010).
    /// Errors: unsupported where the data set cannot be written anew: deflated, or a value that its character set does not have; those of
    /// read.
    static Result<EditedDataSet> plan(std::uint64_t stored_size, std::string_view transfer_syntax, std::span<const AttributeEdit> edits,
                                      const ReadAt& read);
    std::uint64_t size() const { return size_; }
    /// Returns: bytes put into out, fewer only at the end.
    Result<std::size_t> read(std::uint64_t offset, MutableByteView out, const ReadAt& stored) const;

private:
    /// In the edited data set: either own bytes or a run of the stored ones.
    struct Piece {
        std::uint64_t offset = 0, size = 0;
        std::uint64_t stored = 0;  // where they begin in the stored data set
        Bytes own;                 // empty: stored ones
    };
    void add_stored(std::uint64_t from, std::uint64_t to);
    void add_own(Bytes bytes);
    std::vector<Piece> pieces_;
    std::uint64_t size_ = 0;
};

}  // namespace fiducial::dicom
