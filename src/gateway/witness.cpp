#include "audit/witness.hpp"

#include "gateway/impl/service.hpp"

namespace fiducial::gateway::impl {

/// Another member's trace asks for a cosignature; the checkpoint's signature says that it is it.
/// Spec: C2SP tlog-witness.
net::Task<Result<void>> serve_witness(Call& call) {
    FID_CO_TRY(const auto body, co_await call.request.read_all(2 * audit::Note::kLongest));
    auto ask = [&call, &body]() { return call.door.archive.cosign(body); };
    FID_CO_TRY(auto answer, co_await call.door.questions.run(ask));
    co_return co_await call.answer(answer.status, std::move(answer.content_type), std::move(answer.body));
}

}  // namespace fiducial::gateway::impl
