#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include "gateway/impl/service.hpp"

namespace fiducial::gateway::impl {

/// The process answers: nothing is said about what it stands on.
net::Task<Result<void>> serve_liveness(Call& call) {
    co_return co_await call.answer(200, "text/plain; charset=utf-8", "alive\n");
}

/// 200 when objects can be taken, else 503; in words what is not as it should be.
net::Task<Result<void>> serve_readiness(Call& call) {
    auto ask = [&call]() -> Result<archive::Health> { return call.door.archive.health(); };
    FID_CO_TRY(const auto health, co_await call.door.questions.run(ask));
    boost::json::object out;
    out["ready"] = health.ready;
    auto& notes = out["notes"].emplace_array();
    for (const auto& note : health.notes) notes.emplace_back(note);
    co_return co_await call.answer(health.ready ? 200 : 503, "application/json", boost::json::serialize(out));
}

}  // namespace fiducial::gateway::impl
