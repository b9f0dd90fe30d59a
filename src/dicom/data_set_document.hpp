#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.hpp"
#include "dicom/attributes.hpp"

namespace fiducial::dicom {

namespace impl {
struct DocumentElement;
}

/// A data set that came as a DICOM JSON object or as a Native DICOM Model, from outside: checked, in the order of its tags, ready to be
/// written in Explicit VR Little Endian. Text is UTF-8, and Specific Character Set says so where that matters. Group 0002, group lengths
/// and Available Transfer Syntax UID are left out. Spec: PS3.18 Annex F, PS3.19 Annex A
class DataSetDocument {
public:
    /// An array of objects, or one object. Errors: malformed, naming the tag; limit_exceeded beyond kMostBytes, 64 levels.
    static Result<std::vector<DataSetDocument>> read_json(std::string_view text);
    /// One model. Errors: likewise; unsupported for a document type.
    static Result<DataSetDocument> read_xml(std::string_view text);

    DataSetDocument(DataSetDocument&&) noexcept;
    DataSetDocument& operator=(DataSetDocument&&) noexcept;
    ~DataSetDocument();

    /// A value that is named by its address.
    struct Reference {
        Tag tag = 0;  // at the top level
        std::string uri;
        bool nested = false;  // it stands within the sequence of that tag
    };
    /// In the order in which they are written.
    const std::vector<Reference>& references() const { return references_; }

    /// The first value at the top level, as text; empty where there is none.
    std::string_view first(Tag tag) const;
    std::string_view vr(Tag tag) const;

    /// What an address names; null where it did not come.
    using Find = std::function<const Bytes*(std::string_view uri)>;
    /// Appends the elements from `from` on, up to and without `before`.
    /// Errors: malformed, naming the tag: a value that its VR cannot hold; one that `find` does not know.
    Result<void> write(Bytes& out, Tag from, Tag before, const Find& find) const;

    static constexpr std::size_t kMostBytes = std::size_t{16} << 20;  // of a document
    static constexpr Tag kEnd = 0xffffffff;

private:
    explicit DataSetDocument(std::vector<impl::DocumentElement> elements);
    const impl::DocumentElement* find_element(Tag tag) const;

    std::vector<impl::DocumentElement> elements_;
    std::vector<Reference> references_;
};

}  // namespace fiducial::dicom
