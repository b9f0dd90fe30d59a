#pragma once
// The only header of the house that shows Asio: what a coroutine of ours returns, and where it runs.
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

namespace fiducial::net {

/// A coroutine of the runtime: it starts when it is awaited or spawned.
/// Requires: nothing with braces or an aggregate is made inside a co_await expression; name it first (GCC 12).
template <typename T>
using Task = boost::asio::awaitable<T>;

using Executor = boost::asio::any_io_executor;

}  // namespace fiducial::net
