#pragma once
// The one way of saying that something can go wrong in use. tl::expected is the only third-party type our headers show
// everywhere (std::expected is not in GCC 12).
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <utility>

#include "base/error.hpp"

namespace fiducial {

template <typename T>
using Result = tl::expected<T, Error>;

inline tl::unexpected<Error> fail(ErrorCode code, std::string message) {
    return tl::make_unexpected(Error{code, std::move(message)});
}
inline tl::unexpected<Error> fail(Error error) {
    return tl::make_unexpected(std::move(error));
}

}  // namespace fiducial

#define FID_CONCAT_INNER(a, b) a##b
#define FID_CONCAT(a, b) FID_CONCAT_INNER(a, b)

// FID_TRY(auto x, f());   x is f()'s value; on failure the function returns f()'s error.
#define FID_TRY(declaration, expression) FID_TRY_INNER(FID_CONCAT(fid_try_, __LINE__), return, declaration, expression)
// FID_CHECK(f());         the same for Result<void>, or where the value is not wanted.
#define FID_CHECK(expression) FID_CHECK_INNER(FID_CONCAT(fid_try_, __LINE__), return, expression)
// The same in coroutines. The expression may contain co_await.
#define FID_CO_TRY(declaration, expression) FID_TRY_INNER(FID_CONCAT(fid_try_, __LINE__), co_return, declaration, expression)
#define FID_CO_CHECK(expression) FID_CHECK_INNER(FID_CONCAT(fid_try_, __LINE__), co_return, expression)

#define FID_TRY_INNER(name, leave, declaration, expression)                        \
    auto name = (expression);                                                      \
    if (!name) leave ::tl::unexpected<::fiducial::Error>(std::move(name).error()); \
    declaration = *std::move(name)
#define FID_CHECK_INNER(name, leave, expression) \
    if (auto name = (expression); !name) leave ::tl::unexpected<::fiducial::Error>(std::move(name).error())
