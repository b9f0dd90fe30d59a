#pragma once
#include "random.hpp"
#include "simulated_clock.hpp"
#include "simulated_disk.hpp"

namespace fiducial::simulation {

/// The machine on which this process believes to run. The symbols of the C library that the archive and its libraries use for files, time
/// and randomness are this program's own (interposed.cpp): they ask these, and the kernel for what these do not hold.
struct Machine {
    SimulatedDisk& disk;
    SimulatedClock& clock;
    Random& random;
};
/// Null: the real one. Requires: `machine` outlives it; called while there is one thread only.
void run_on(Machine* machine);

}  // namespace fiducial::simulation
