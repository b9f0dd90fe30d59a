#pragma once
#include <compare>
#include <string>
#include <string_view>

#include "base/bytes.hpp"
#include "base/log.hpp"

namespace fiducial {

/// A DICOM unique identifier, as text without padding.
/// Spec: PS3.5 §9.1: 1 to 64 characters, digits and dots. Leading zeros in a component occur in the field and are let pass.
class Uid {
public:
    Uid() = default;
    /// Trailing NULs and spaces are padding and dropped. Errors: malformed.
    static Result<Uid> parse(std::string_view text);
    const std::string& text() const { return text_; }
    bool empty() const { return text_.empty(); }
    auto operator<=>(const Uid&) const = default;

private:
    std::string text_;
};

/// Text that names or describes a patient. It can be stored and shown to those who may see it, but never logged:
/// log::Field refuses it at compile time.
struct PatientText : log::NotForLogs {
    std::string value;
};

}  // namespace fiducial
