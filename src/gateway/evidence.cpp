#include "gateway/impl/service.hpp"

namespace fiducial::gateway::impl {
namespace {

net::Task<Result<void>> serve_evidence(Call& call, archive::Selector what) {
    FID_CO_TRY(const auto ticket, call.door.retrievals.enter());
    auto ask = [&]() -> Result<std::string> { return call.door.archive.evidence(call.who, what); };
    FID_CO_TRY(auto bundle, co_await call.door.retrieving.run(ask));
    // The bytes are canonical as they are: nothing may be added or written anew.
    co_return co_await call.answer(200, "application/json", std::move(bundle));
}

}  // namespace

net::Task<Result<void>> serve_study_record(Call& call) {
    FID_CO_TRY(const auto ticket, call.door.retrievals.enter());
    auto ask = [&call]() -> Result<std::string> { return call.door.archive.describe_study(call.who, call.parameters[0]); };
    FID_CO_TRY(auto record, co_await call.door.retrieving.run(ask));
    co_return co_await call.answer(200, "application/json", std::move(record));
}

net::Task<Result<void>> serve_study_evidence(Call& call) {
    return serve_evidence(call, call.selector(archive::Level::study));
}

net::Task<Result<void>> serve_instance_evidence(Call& call) {
    return serve_evidence(call, call.selector(archive::Level::instance));
}

}  // namespace fiducial::gateway::impl
