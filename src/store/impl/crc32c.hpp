#pragma once
#include <cstdint>

#include "base/bytes.hpp"

namespace fiducial::store {

/// CRC-32C (Castagnoli). Finds torn and rotten bytes; proves nothing against somebody who means it. Spec: RFC 3720 appendix B.4.
std::uint32_t crc32c(ByteView bytes);

}  // namespace fiducial::store
