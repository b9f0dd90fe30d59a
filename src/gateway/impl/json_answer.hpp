#pragma once
#include <functional>
#include <optional>
#include <string>

#include "gateway/impl/service.hpp"

namespace fiducial::gateway::impl {

/// In which form data sets are given out.
enum class ModelForm : std::uint8_t { json, xml };

/// Spec: PS3.18 §8.7.4, §8.7.5: application/dicom+json, or multipart/related; type="application/dicom+xml".
/// Errors: malformed; unsupported (406).
Result<ModelForm> negotiate_model(const net::Request& request);

/// Gives DICOM JSON objects, and nothing at the end.
using NextModel = std::function<Result<std::optional<std::string>>()>;

/// Sends data sets one after the other as they come: one JSON array, or one part each. `next` blocks and is run in the
/// pool. What fails before the first byte fails with a status.
net::Task<Result<void>> send_models(Call& call, ModelForm form, NextModel next);

}  // namespace fiducial::gateway::impl
