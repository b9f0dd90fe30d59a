#pragma once
#include <atomic>
#include <filesystem>
#include <memory>

#include "archive/operations.hpp"
#include "base/bytes.hpp"
#include "crypto/secret.hpp"

namespace fiducial::app {

/// The way from a command to the archive that is running on the same site: a Unix socket in the site's folder.
/// One JSON text a line, at most 4 MiB:
///   server  {"nonce": hex}
///   client  {"proof": hex of HMAC-SHA-256(control key, nonce), "operation": name, "arguments": {…}}
///   client  {"stop": true} at any time afterwards: the operation ends early and answers with what it did
///   server  {"event": {…}} any number of times, then {"result": {…}} or {"error": {"code": …, "message": …}}
/// Security: who connects must be able to enter the site's folder and to derive the control key from its passphrase.
class ControlServer {
public:
    /// Errors: io, permission. Requires: run and control_key outlive it.
    static Result<std::unique_ptr<ControlServer>> start(const std::filesystem::path& socket, const crypto::Secret& control_key,
                                                        archive::RunOperation run);
    ~ControlServer();  // tells running operations to stop and waits for them

private:
    ControlServer();
    struct State;
    std::unique_ptr<State> state_;
};

/// When `stop` is set the operation is told to end early, and its answer still awaited.
/// Errors: not_found when no archive listens there; denied when the proof is not accepted; else what the operation says.
Result<boost::json::object> ask_running_archive(const std::filesystem::path& socket, const crypto::Secret& control_key,
                                                std::string_view operation, const boost::json::object& arguments,
                                                const archive::EmitEvent& emit, const std::atomic<bool>& stop);

}  // namespace fiducial::app
