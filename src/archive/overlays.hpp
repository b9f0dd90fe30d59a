#pragma once
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "dicom/data_set_edit.hpp"
#include "evidence/overlay.hpp"
#include "store/store.hpp"

namespace fiducial::archive {

/// A correction in force, as it is applied to what is given out.
struct AppliedOverlay {
    evidence::Overlay overlay;
    Hash sha256{};
    std::vector<dicom::AttributeEdit> edits;

    /// Errors: corrupt: it is damaged, or was not signed by this account.
    static Result<std::shared_ptr<const AppliedOverlay>> read(const store::Store& store, const store::ObjectRow& row,
                                                              const Address& gateway);
    /// Whether data sets are given out otherwise than they were stored.
    bool changes_anything() const { return !edits.empty(); }
    bool names(dicom::Tag tag) const;
    /// Requires: the reader is read by one thread at a time. Errors: unsupported: the data set cannot be written anew.
    Result<dicom::EditedDataSet> plan(std::string_view transfer_syntax, store::ObjectReader& reader) const;
    /// A DICOM JSON object with the corrected values. Errors: corrupt.
    Result<std::string> apply_to_json(std::string_view dicom_json) const;
};

}  // namespace fiducial::archive
