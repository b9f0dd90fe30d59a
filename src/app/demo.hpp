#pragma once
#include "app/perform.hpp"

namespace fiducial::app {

/// The tour: makes a demo site where there is none, samples, and shows what the archive does with them.
/// Returns: 0 when every step did what it should.
Result<int> run_demo(const Globals& globals, bool serve_afterwards);

}  // namespace fiducial::app
