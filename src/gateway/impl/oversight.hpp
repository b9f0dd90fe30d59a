#pragma once
#include "gateway/impl/service.hpp"

namespace fiducial::gateway::impl {

// What those who watch over the archive ask for: oversight.cpp
net::Task<Result<void>> serve_trace(Call& call);
net::Task<Result<void>> serve_trace_proof(Call& call);
net::Task<Result<void>> serve_emergencies(Call& call);
net::Task<Result<void>> serve_looks(Call& call);
net::Task<Result<void>> serve_ledger(Call& call);
net::Task<Result<void>> serve_ledger_question(Call& call);

}  // namespace fiducial::gateway::impl
