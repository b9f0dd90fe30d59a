#include <algorithm>
#include <limits>

#include "base/log.hpp"
#include "dicom/implementation.hpp"
#include "dimse/impl/provider_connection.hpp"

namespace fiducial::dimse::impl {
namespace {

using namespace std::chrono_literals;
using dicom::Indication;
using dicom::MessageReader;
using dicom::PduReader;
using dicom::PduType;
using dicom::UpperLayer;
using Event = dicom::UpperLayerEvent;
using State = dicom::UpperLayerState;

constexpr std::size_t kInputBytes = 135'168;                          // a whole PDU and some of the next
constexpr auto kLastToGo = std::numeric_limits<std::int64_t>::max();  // of idle ones: an association, after those that are none yet

dicom::PduLimits pdu_limits(const ProviderLimits& limits) {
    dicom::PduLimits out;
    out.data_bytes = limits.max_pdu_bytes;
    return out;
}

dicom::AssociateAc answer_to(const dicom::AssociateRq& request, std::vector<dicom::AnsweredContext> contexts, std::uint32_t max_pdu_bytes) {
    dicom::AssociateAc answer;
    answer.called_ae_title = request.called_ae_title;
    answer.calling_ae_title = request.calling_ae_title;
    answer.contexts = std::move(contexts);
    answer.user.max_pdu_bytes = max_pdu_bytes;
    answer.user.implementation_class_uid = dicom::kImplementationClassUid;
    answer.user.implementation_version = dicom::kImplementationVersion;
    return answer;
}

}  // namespace

ProviderConnection::ProviderConnection(std::shared_ptr<ProviderShared> shared, std::shared_ptr<net::Stream> stream)
    : shared_(std::move(shared)),
      stream_(std::move(stream)),
      idle_since_(SteadyClock::now().time_since_epoch().count()),
      reader_(pdu_limits(shared_->limits)),
      input_(kInputBytes) {}

net::Task<void> ProviderConnection::run() {
    stream_->set_deadline(SteadyClock::now() + shared_->limits.artim);  // until there is an association
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
            static_cast<void>(co_await abort(left));
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
    const Caller caller{request_, peer(), secure()};
    auto admission = shared_->service->admit(caller);
    if (std::holds_alternative<dicom::AssociateRj>(admission)) return admission;
    if (shared_->stopping) return dicom::reject::kTemporaryCongestion;
    if (shared_->associations.fetch_add(1) < shared_->limits.max_associations) return admission;
    --shared_->associations;
    return dicom::reject::kLocalLimitExceeded;
}

net::Task<Result<bool>> ProviderConnection::answer_request() {
    auto admission = decide();
    if (const auto* rejection = std::get_if<dicom::AssociateRj>(&admission)) {
        ++shared_->rejected;
        log::info("dimse", "an association was rejected",
                  {{"peer", peer()},
                   {"calling", request_.calling_ae_title},
                   {"called", request_.called_ae_title},
                   {"result", rejection->result},
                   {"source", rejection->source},
                   {"reason", rejection->reason}});
        FID_CO_CHECK(machine_.on(Event::associate_reject));
        const auto bytes = dicom::encode(*rejection);
        FID_CO_CHECK(co_await transmit(bytes));
        co_return false;
    }
    ++shared_->accepted;
    idle_since_ = 0;
    auto& contexts = std::get<std::vector<dicom::AnsweredContext>>(admission);
    for (const auto& context : contexts) {
        if (context.result == dicom::ContextResult::acceptance) contexts_.emplace(context.id, context);
    }
    const auto answer = dicom::encode(answer_to(request_, std::move(contexts), shared_->limits.max_pdu_bytes));
    const auto accepted = machine_.on(Event::associate_accept);
    FID_INVARIANT(accepted.has_value(), "a request that was told can be accepted");
    static_cast<void>(co_await transmit(answer));  // where it failed, so will what the service does
    co_return true;
}

net::Task<Result<Indication>> ProviderConnection::receive() {
    for (;;) {
        const auto event = reader_.next();
        if (event && *event == PduReader::Event::need_more) {
            FID_CO_CHECK(co_await fill());
            continue;
        }
        auto type = PduType::p_data_tf;
        if (event && *event == PduReader::Event::pdu) type = dicom::type_of(reader_.pdu());
        FID_CO_TRY(auto step, machine_.on(event ? UpperLayer::event_of(type) : Event::invalid_pdu));
        if (step.send == PduType::abort) {
            if (!event && step.abort.by_provider) step.abort = reader_.abort();
            const auto bytes = dicom::encode(step.abort);
            static_cast<void>(co_await transmit(bytes));
        }
        if (!event) co_return fail(event.error());
        const auto told = step.indication;
        if (told == Indication::associate || told == Indication::data || told == Indication::release) co_return told;
        if (type == PduType::abort) co_return fail(ErrorCode::cancelled, "the peer aborted the association");
        co_return fail(ErrorCode::malformed, "a PDU that is not expected here");
    }
}

net::Task<Result<void>> ProviderConnection::fill() {
    const auto& limits = shared_->limits;
    const bool established = machine_.state() == State::sta6;
    const bool idle = established && messages_.ended() && !reader_.inside();
    if (idle) {
        received_ = 0;
        waited_ = 0ns;
        idle_since_ = kLastToGo;
        if (shared_->stopping) {
            const Error stop{ErrorCode::cancelled, "the archive is stopping"};
            const auto told = co_await abort(stop);
            co_return fail(told);
        }
    }
    const auto before = SteadyClock::now();
    if (established) stream_->set_deadline(before + (idle ? limits.idle_timeout : limits.stall_timeout));
    const auto got = co_await stream_->read_some(input_);
    if (established) idle_since_ = 0;
    if (!got && got.error().code == ErrorCode::timeout) {
        if (established) {
            const auto told = co_await abort(got.error());
            co_return fail(told);
        }
        static_cast<void>(machine_.on(Event::artim_expired));
        co_return fail(got.error());
    }
    if (!got || *got == 0) {
        static_cast<void>(machine_.on(Event::connection_closed));
        if (!got) co_return fail(got.error());
        co_return fail(ErrorCode::unavailable, "the peer closed the connection");
    }
    received_ += *got;
    if (!idle) waited_ += SteadyClock::now() - before;
    if (auto fast_enough = check_rate(); established && !fast_enough) {
        const auto told = co_await abort(fast_enough.error());
        co_return fail(told);
    }
    reader_.feed(ByteView(input_).first(*got));
    co_return Result<void>();
}

Result<void> ProviderConnection::check_rate() const {
    const auto& limits = shared_->limits;
    if (waited_ <= limits.rate_grace) return {};
    const auto counted = std::chrono::duration<double>(waited_ - limits.rate_grace).count();
    if (static_cast<double>(received_) >= counted * static_cast<double>(limits.min_bytes_per_second)) return {};
    return fail(ErrorCode::timeout, "the peer was too slow");
}

net::Task<Result<std::optional<MessageReader::Event>>> ProviderConnection::receive_piece() {
    FID_CO_TRY(const auto told, co_await receive());
    if (told == Indication::release) co_return co_await release();
    const auto event = messages_.take(reader_.piece());
    if (!event) {
        const auto error = co_await abort(event.error());
        co_return fail(error);
    }
    data_ = messages_.data();
    co_return std::optional<MessageReader::Event>(*event);
}

net::Task<Result<std::optional<MessageReader::Event>>> ProviderConnection::release() {
    if (!messages_.ended()) {
        const Error early{ErrorCode::malformed, "release in the middle of a message"};
        const auto error = co_await abort(early);
        co_return fail(error);
    }
    FID_CO_CHECK(machine_.on(Event::release_response));
    released_ = true;
    const dicom::ReleaseRp answer;
    const auto bytes = dicom::encode(answer);
    static_cast<void>(co_await transmit(bytes));
    co_return std::optional<MessageReader::Event>();
}

net::Task<Result<std::optional<Message>>> ProviderConnection::next() {
    while (!messages_.ended()) FID_CO_CHECK(co_await receive_piece());
    data_ = {};
    for (;;) {
        FID_CO_TRY(const auto event, co_await receive_piece());
        if (!event) co_return std::optional<Message>();
        if (*event == MessageReader::Event::command) break;
    }
    const auto context = contexts_.find(messages_.context_id());
    if (context == contexts_.end()) {
        const Error stray{ErrorCode::malformed,
                          "a message in presentation context " + std::to_string(messages_.context_id()) + ", which was not accepted"};
        const auto error = co_await abort(stray);
        co_return fail(error);
    }
    Message message;
    message.context_id = context->first;
    const auto proposed = std::find_if(request_.contexts.begin(), request_.contexts.end(),
                                       [&](const dicom::ProposedContext& one) { return one.id == context->first; });
    message.abstract_syntax = proposed->abstract_syntax;
    message.transfer_syntax = context->second.transfer_syntax;
    message.command = messages_.command();
    co_return std::optional<Message>(std::move(message));
}

net::Task<Result<std::size_t>> ProviderConnection::read(MutableByteView out) {
    while (data_.empty() && !messages_.ended()) FID_CO_CHECK(co_await receive_piece());
    const auto size = std::min(out.size(), data_.size());
    std::copy_n(data_.begin(), size, out.begin());
    data_ = data_.subspan(size);
    co_return size;
}

net::Task<Result<void>> ProviderConnection::send(std::uint8_t context_id, const dicom::CommandSet& command, ByteView data_set) {
    FID_CO_CHECK(machine_.on(Event::data_request));
    const auto bytes = dicom::encode_message(context_id, command, data_set, request_.user.max_pdu_bytes);
    co_return co_await transmit(bytes);
}

net::Task<Result<void>> ProviderConnection::transmit(ByteView bytes) {
    stream_->set_deadline(SteadyClock::now() + shared_->limits.stall_timeout);
    auto written = co_await stream_->write(bytes, ByteView());
    if (!written) static_cast<void>(machine_.on(Event::connection_closed));
    co_return written;
}

net::Task<Error> ProviderConnection::abort(Error error) {
    if (const auto step = machine_.on(Event::abort_request); step && step->send) {
        const auto bytes = dicom::encode(step->abort);
        static_cast<void>(co_await transmit(bytes));
    }
    co_return error;
}

/// What still comes once we have said our last is not looked at; the peer closes, or ARTIM expires.
net::Task<void> ProviderConnection::wind_down() {
    if (machine_.state() == State::sta13) {
        idle_since_ = kLastToGo;
        stream_->set_deadline(SteadyClock::now() + shared_->limits.artim);
        while (!shared_->stopping) {
            const auto got = co_await stream_->read_some(input_);
            if (!got || *got == 0) break;
        }
    }
    co_await stream_->finish(0ms);
}

}  // namespace fiducial::dimse::impl
