#pragma once
#include <cstddef>
#include <string_view>

#include "base/result.hpp"

namespace fiducial::net::impl {

/// Finds where one JSON object or array ends in a stream of texts, by its outermost bracket. It does not check the text in between.
class JsonFraming {
public:
    /// Requires: bytes follow those given before. Returns: how many of them belong to the text when it ends here, else npos.
    /// Errors: malformed when the text begins with anything but '{' or '[' (after white space), or closes with the wrong bracket.
    Result<std::size_t> feed(std::string_view bytes);
    static constexpr std::size_t npos = static_cast<std::size_t>(-1);

private:
    std::size_t depth_ = 0;
    char outer_ = 0;
    bool in_string_ = false;
    bool escaped_ = false;
};

}  // namespace fiducial::net::impl
