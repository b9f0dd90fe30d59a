#pragma once
#include <string>
#include <string_view>

#include "dicom/attributes.hpp"

namespace fiducial::dicom::impl {

/// A value representation as two characters. "US or SS" is "xs", "OB or OW" of pixel data "ox", LUT data "lt".
struct Vr {
    char text[2] = {'U', 'N'};
    std::string_view view() const { return {text, 2}; }
    bool operator==(std::string_view other) const { return view() == other; }
    static Vr of(std::string_view name) { return name.size() == 2 ? Vr{{name[0], name[1]}} : Vr{}; }
};

/// VR of a standard attribute; UN where the dictionary has none. Repeating groups included.
Vr standard_vr(Tag tag);
/// VR of a private attribute, by the creator that reserved its block; UN where unknown.
Vr private_vr(Tag tag, const std::string& creator);

bool is_private(Tag tag);

}  // namespace fiducial::dicom::impl
