#pragma once
#include "base/result.hpp"

namespace fiducial::crypto {

/// Keeps what the process holds in memory from leaving it by accident: no core dumps, and no other process of the same user may
/// attach to it or read its memory. Also raises the limit for locked memory as far as the system allows.
/// Requires: called once at start, before secrets are read. Programs started from here keep the core limit, and are attachable again.
///           /proc/self/fd and the like then belong to root.
/// Errors: permission, io: the system refused; what it granted before stays.
/// Security: not against root, hibernation or a memory dump of a virtual machine.
Result<void> harden_process();

}  // namespace fiducial::crypto
