#pragma once
#include <atomic>
#include <functional>
#include <string_view>

#include "base/json.hpp"
#include "base/result.hpp"

namespace fiducial::archive {

/// Something that a person at the command line asks for, by name, with JSON arguments and a JSON answer; long ones tell how
/// far they are. The same code serves a command that opens the site itself and one that talks to the running archive.
using EmitEvent = std::function<void(const boost::json::object& event)>;
using RunOperation = std::function<Result<boost::json::object>(std::string_view name, const boost::json::object& arguments, const EmitEvent& emit,
                                                               const std::atomic<bool>& stop)>;

}  // namespace fiducial::archive
