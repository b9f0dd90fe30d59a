#pragma once
#include <string>
#include <string_view>

#include "base/json.hpp"

namespace fiducial::archive {

/// What a check found wrong, for whoever has to put it right.
inline boost::json::object finding(std::string_view kind, std::string subject, std::string what, std::string advice) {
    return {{"kind", kind}, {"subject", std::move(subject)}, {"what", std::move(what)}, {"advice", std::move(advice)}};
}

}  // namespace fiducial::archive
