#include "base/error.hpp"

#include <array>
#include <cstdio>
#include <cstdlib>

namespace fiducial {
namespace {

constexpr std::array<ErrorRow, 19> kRows{{
    {ErrorCode::invalid_argument, "invalid_argument", 400, 0x0115, 2, "The request does not make sense."},
    {ErrorCode::malformed, "malformed", 400, 0xC000, 3, "The data does not follow its format."},
    {ErrorCode::unsupported, "unsupported", 415, 0x0122, 3, "The data is well-formed but not something this archive handles."},
    {ErrorCode::limit_exceeded, "limit_exceeded", 413, 0xA700, 3, "The request is larger than a limit allows."},
    {ErrorCode::unauthenticated, "unauthenticated", 401, 0x0124, 4, "Log in or present a valid token."},
    {ErrorCode::denied, "denied", 403, 0x0124, 4, "Access was denied."},
    {ErrorCode::not_found, "not_found", 404, 0x0112, 5, "There is no such thing here."},
    {ErrorCode::conflict, "conflict", 409, 0x0111, 6, "Something else is already in its place."},
    {ErrorCode::unavailable, "unavailable", 503, 0xA700, 7, "A part that is needed is not available; try again later."},
    {ErrorCode::timeout, "timeout", 504, 0xA700, 7, "It took too long."},
    {ErrorCode::cancelled, "cancelled", 503, 0xFE00, 8, "It was cancelled."},
    {ErrorCode::corrupt, "corrupt", 500, 0xC001, 10, "Stored data is not what was stored; it has been set apart."},
    {ErrorCode::unverified, "unverified", 500, 0xC002, 11, "Nothing proves it right."},
    {ErrorCode::wrong_passphrase, "wrong_passphrase", 500, 0x0110, 12, "The passphrase does not open the site's key."},
    {ErrorCode::locked, "locked", 423, 0x0110, 13, "Another process is using it."},
    {ErrorCode::permission, "permission", 500, 0x0110, 14, "The operating system did not permit it."},
    {ErrorCode::no_space, "no_space", 507, 0xA700, 15, "The disk is full."},
    {ErrorCode::io, "io", 500, 0x0110, 16, "Reading or writing failed."},
    {ErrorCode::internal, "internal", 500, 0x0110, 70, "An internal error."},
}};

}  // namespace

Error Error::with(std::string_view context) const {
    std::string text(context);
    text += ": ";
    text += message;
    return Error{code, std::move(text)};
}

const ErrorRow& describe(ErrorCode code) {
    for (const auto& row : kRows) {
        if (row.code == code) return row;
    }
    return kRows.back();
}

std::string_view name_of(ErrorCode code) {
    return describe(code).name;
}

void broken_invariant(std::string_view what, const char* file, int line) {
    std::fprintf(stderr, "fiducial: broken invariant: %.*s (%s:%d)\n", static_cast<int>(what.size()), what.data(), file, line);
    std::abort();
}

}  // namespace fiducial
