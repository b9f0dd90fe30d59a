#include <algorithm>
#include <limits>

#include "base/log.hpp"
#include "dicom/implementation.hpp"
#include "dimse/impl/provider_connection.hpp"

namespace fiducial::dimse::impl {
namespace {

using Event = dicom::UpperLayerEvent;
using State = dicom::UpperLayerState;

constexpr auto kLastToGo = std::numeric_limits<std::int64_t>::max();  // of idle ones: an association, after those that are none yet

dicom::AssociateAc answer_to(const dicom::AssociateRq& request, const Acceptance& acceptance, std::uint32_t max_pdu_bytes) {
    dicom::AssociateAc answer;
    answer.called_ae_title = request.called_ae_title;
    answer.calling_ae_title = request.calling_ae_title;
    answer.contexts = acceptance.contexts;
    answer.user.max_pdu_bytes = max_pdu_bytes;
    answer.user.implementation_class_uid = dicom::kImplementationClassUid;
    answer.user.implementation_version = dicom::kImplementationVersion;
    answer.user.roles = acceptance.roles;
    answer.user.extended = acceptance.extended;
    return answer;
}

}  // namespace

ProviderConnection::ProviderConnection(std::shared_ptr<ProviderShared> shared, std::shared_ptr<net::Stream> stream)
    : AssociationConnection(dicom::UpperLayer::Role::acceptor, shared->limits.association, std::move(stream)),
      shared_(std::move(shared)),
      idle_since_(SteadyClock::now().time_since_epoch().count()) {}

void ProviderConnection::note_idle(bool idle) {
    idle_since_ = idle ? kLastToGo : 0;
}

net::Task<void> ProviderConnection::run() {
    stream_->set_deadline(SteadyClock::now() + limits_.artim);  // until there is an association
    const auto established = co_await establish();
    if (!established) {
        ++shared_->failed;
        const bool silent = received_ == 0;  // somebody who looks whether the port is open, again and again
        log::write(silent ? log::Level::debug : log::Level::info, "dimse", "a connection did not become an association",
                   {{"peer", peer()}, {"why", established.error().message}});
    } else if (*established) {
        co_await shared_->service->serve(*this);
        if (machine_.state() == State::sta6) {
            const Error left{ErrorCode::internal, "the association was left before its end"};
            static_cast<void>(co_await abort_for(left));
        }
        if (!released_) ++shared_->broken;
        --shared_->associations;
    }
    co_await wind_down();
}

net::Task<Result<bool>> ProviderConnection::establish() {
    FID_CO_CHECK(co_await stream_->handshake());
    FID_CO_CHECK(machine_.on(Event::connection_indication));
    FID_CO_CHECK(co_await receive());  // in Sta2 nothing but a request for an association is told
    request_ = std::get<dicom::AssociateRq>(reader_.pdu());
    co_return co_await answer_request();
}

/// Spec: PS3.8 §9.3.4, table 9-21
Admission ProviderConnection::decide() {
    if ((request_.protocol_versions & 1) == 0) return dicom::reject::kProtocolVersionNotSupported;
    if (request_.application_context != dicom::kApplicationContext) return dicom::reject::kApplicationContextNotSupported;
    const Caller caller{request_, peer(), secure(), certificate()};
    auto admission = shared_->service->admit(caller);
    if (std::holds_alternative<dicom::AssociateRj>(admission)) return admission;
    if (shared_->stopping) return dicom::reject::kTemporaryCongestion;
    if (shared_->associations.fetch_add(1) < shared_->limits.max_associations) return admission;
    --shared_->associations;
    return dicom::reject::kLocalLimitExceeded;
}

net::Task<Result<bool>> ProviderConnection::answer_request() {
    const auto admission = decide();
    if (const auto* rejection = std::get_if<dicom::AssociateRj>(&admission)) co_return co_await reject(*rejection);
    ++shared_->accepted;
    idle_since_ = 0;
    const auto& acceptance = std::get<Acceptance>(admission);
    if (acceptance.limits) limits_ = *acceptance.limits;
    agree(acceptance);
    const auto answer = dicom::encode(answer_to(request_, acceptance, limits_.max_pdu_bytes));
    const auto accepted = machine_.on(Event::associate_accept);
    FID_INVARIANT(accepted.has_value(), "a request that was told can be accepted");
    static_cast<void>(co_await transmit(answer));  // where it failed, so will what the service does
    co_return true;
}

net::Task<Result<bool>> ProviderConnection::reject(dicom::AssociateRj rejection) {
    ++shared_->rejected;
    log::info("dimse", "an association was rejected",
              {{"peer", peer()},
               {"calling", request_.calling_ae_title},
               {"called", request_.called_ae_title},
               {"result", rejection.result},
               {"source", rejection.source},
               {"reason", rejection.reason}});
    FID_CO_CHECK(machine_.on(Event::associate_reject));
    const auto bytes = dicom::encode(rejection);
    FID_CO_CHECK(co_await transmit(bytes));
    co_return false;
}

/// The peer, who asked for the association, takes requests only where it said so and was told that it may.
/// Spec: PS3.7 §D.3.3.4
void ProviderConnection::agree(const Acceptance& acceptance) {
    take_max_pdu(request_.user.max_pdu_bytes);
    for (const auto& answered : acceptance.contexts) {
        if (answered.result != dicom::ContextResult::acceptance) continue;
        const auto proposed = std::find_if(request_.contexts.begin(), request_.contexts.end(),
                                           [&](const dicom::ProposedContext& one) { return one.id == answered.id; });
        const auto role = std::find_if(acceptance.roles.begin(), acceptance.roles.end(),
                                       [&](const dicom::RoleSelection& one) { return one.sop_class == proposed->abstract_syntax; });
        const bool peer_is_scp = role != acceptance.roles.end() && role->scp;
        contexts_.emplace(answered.id, Context{proposed->abstract_syntax, answered.transfer_syntax, peer_is_scp});
    }
}

}  // namespace fiducial::dimse::impl
