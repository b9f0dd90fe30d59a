#pragma once
#include <cstdint>
#include <string>
#include <string_view>

namespace fiducial {

/// What went wrong, in classes that callers act upon. denied, not_found, unavailable, corrupt and unverified are never merged.
enum class ErrorCode : std::uint8_t {
    invalid_argument,  // the caller's request makes no sense
    malformed,         // bytes from outside do not follow their format
    unsupported,       // well-formed, but not something we handle
    limit_exceeded,    // larger than a configured or fixed bound
    unauthenticated,   // nobody we know
    denied,            // known, but without the right
    not_found,         // no such thing
    conflict,          // there is already something else in its place
    unavailable,       // a part we need is away; try again later
    timeout,           // it took too long
    cancelled,         // the caller or a stop gave up on it
    corrupt,           // stored bytes are not what was stored
    unverified,        // nothing says it is wrong, and nothing proves it right
    wrong_passphrase,  // the key does not open the lock
    locked,            // another process holds it
    permission,        // the operating system said no
    no_space,          // the disk (or a quota) is full
    io,                // reading or writing failed
    internal,          // our own mistake
};

struct Error {
    ErrorCode code = ErrorCode::internal;
    std::string message;  // says what is wrong and where; holds no secret and no patient's name

    /// Puts "context: " in front of the message.
    Error with(std::string_view context) const;
};

/// One row of the table that maps an error to every door's own language.
struct ErrorRow {
    ErrorCode code;
    std::string_view name;       // "not_found"
    std::uint16_t http_status;   // RFC 9110
    std::uint16_t dimse_status;  // PS3.7 Annex C
    int exit_code;               // of the commands
    std::string_view text;       // one sentence for people
};

/// Returns: the row for code; every code has one.
const ErrorRow& describe(ErrorCode code);
std::string_view name_of(ErrorCode code);

/// Aborts the program with a message in every build: an invariant is broken and going on could harm data.
[[noreturn]] void broken_invariant(std::string_view what, const char* file, int line);

}  // namespace fiducial

#define FID_INVARIANT(condition, what) ((condition) ? static_cast<void>(0) : ::fiducial::broken_invariant(what, __FILE__, __LINE__))
