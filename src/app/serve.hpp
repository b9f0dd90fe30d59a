#pragma once
#include <string>

#include "app/perform.hpp"

namespace fiducial::app {

/// Runs the archive with its doors until a signal says stop. listen: instead of the configuration's; empty: that.
/// Returns: the exit code.
Result<int> serve(const Globals& globals, const std::string& listen);

}  // namespace fiducial::app
