#pragma once
#include <cstdint>
#include <filesystem>
#include <string>

#include "journal.hpp"

namespace fiducial::simulation {

struct RunOptions {
    std::uint64_t seed = 0;
    std::uint64_t steps = 600;
    bool disk_errors = false;     // reads, writes and entries fail
    bool failing_syncs = false;   // and syncs
    std::string forgotten_syncs;  // as SimulatedDisk::forgotten_syncs
    Journal::Shown shown = Journal::Shown::nothing;
    std::filesystem::path folder;  // empty, for this run alone
};

struct RunReport {
    std::string broken;     // the promise that was, and how; empty: all hold
    std::uint64_t sum = 0;  // of everything that happened: the same for the same seed
    std::uint64_t steps = 0, calls = 0, kills = 0, power_cuts = 0, faults = 0, forks = 0, instances = 0, looks = 0, versions = 0;
    double hours = 0;  // that passed in it
};

/// Lives of one archive and its chain, with all that a seed lets happen to them; at the end everything is put right and every promise is
/// looked at. Requires: a process of its own.
RunReport run(const RunOptions& options);

}  // namespace fiducial::simulation
