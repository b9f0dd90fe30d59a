#include "base/descriptor.hpp"

#include <unistd.h>

namespace fiducial {

void Descriptor::reset() {
    if (fd_ >= 0) ::close(release());
}

}  // namespace fiducial
