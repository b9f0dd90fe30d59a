#include "crypto/harden.hpp"

#include <sys/prctl.h>
#include <sys/resource.h>

#include <cerrno>

#include "base/file.hpp"

namespace fiducial::crypto {

Result<void> harden_process() {
    const rlimit none{0, 0};
    if (::setrlimit(RLIMIT_CORE, &none) != 0) return fail(error_from_errno(errno, "switching core dumps off for", "this process"));
    if (::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0)
        return fail(error_from_errno(errno, "keeping other processes away from", "this process"));
    rlimit locked{};
    if (::getrlimit(RLIMIT_MEMLOCK, &locked) == 0 && locked.rlim_cur < locked.rlim_max) {
        locked.rlim_cur = locked.rlim_max;
        (void)::setrlimit(RLIMIT_MEMLOCK, &locked);  // more is welcome, less is no failure: Secret warns when locking is refused
    }
    return {};
}

}  // namespace fiducial::crypto
