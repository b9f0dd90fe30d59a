#pragma once
#include <string>

#include "base/bytes.hpp"

namespace fiducial::archive {

/// Why somebody asks; the values of the contracts' Purpose.
enum class Purpose : std::uint8_t { treatment, administration, research, patient_request, emergency };

/// Who asks, from where and why: what every decision and every trace entry needs.
struct Requester {
    Bytes32 subject{};            // id in `Members`
    Purpose purpose = Purpose::treatment;
    std::string address;          // "127.0.0.1:52344", "command line"
    std::string door;             // "http", "cli", "dimse"
};

}  // namespace fiducial::archive
