// WADO-URI: an instance by the query of its address; PS3.18 §9.
#include "gateway/impl/wado_uri.hpp"
#include "gateway/impl/uri_request.hpp"

namespace fiducial::gateway::impl {

net::Task<Result<void>> serve_wado_uri(Call& call) {
    const auto accept = call.request.headers().joined("Accept").value_or("");
    auto asked = read_uri_request(call.request.target().query, accept);
    if (!asked) co_return co_await call.refuse(asked.error(), asked.error().code == ErrorCode::unsupported ? 406 : 400);
    if (asked->as_dicom) co_return co_await give_instance(call, std::move(asked->what), std::move(asked->transfer_syntax));
    co_return co_await give_picture(call, std::move(asked->what), asked->frame, asked->options, asked->format);
}

}  // namespace fiducial::gateway::impl
