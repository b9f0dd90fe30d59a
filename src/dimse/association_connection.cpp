#include <algorithm>

#include "dimse/impl/association_connection.hpp"

namespace fiducial::dimse::impl {
namespace {

using namespace std::chrono_literals;
using dicom::MessageReader;
using dicom::PduReader;
using dicom::PduType;
using dicom::UpperLayer;
using Event = dicom::UpperLayerEvent;
using State = dicom::UpperLayerState;

constexpr std::size_t kInputBytes = 135'168;  // a whole PDU and some of the next

dicom::PduLimits pdu_limits(const AssociationLimits& limits) {
    dicom::PduLimits out;
    out.data_bytes = limits.max_pdu_bytes;
    return out;
}

}  // namespace

AssociationConnection::AssociationConnection(UpperLayer::Role role, const AssociationLimits& limits, std::shared_ptr<net::Stream> stream)
    : limits_(limits), stream_(std::move(stream)), machine_(role), reader_(pdu_limits(limits)), input_(kInputBytes) {}

std::optional<std::uint8_t> AssociationConnection::find_context(std::string_view abstract_syntax, std::string_view transfer_syntax) const {
    for (const auto& [id, context] : contexts_) {
        if (context.peer_is_scp && context.abstract_syntax == abstract_syntax && context.transfer_syntax == transfer_syntax) return id;
    }
    return std::nullopt;
}

net::Task<Result<dicom::Indication>> AssociationConnection::receive(Waiting waiting) {
    for (;;) {
        const auto event = reader_.next();
        if (event && *event == PduReader::Event::need_more) {
            if (waiting == Waiting::no) {
                FID_CO_TRY(const bool more, fill_with_what_has_come());
                if (!more) co_return Indication::none;
            } else {
                FID_CO_CHECK(co_await fill());
            }
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
        if (step.indication != Indication::none && step.indication != Indication::aborted) co_return step.indication;
        if (type == PduType::abort) co_return fail(ErrorCode::cancelled, "the peer aborted the association");
        co_return fail(ErrorCode::malformed, "a PDU that is not expected here");
    }
}

net::Task<Result<void>> AssociationConnection::fill() {
    const bool established = machine_.state() == State::sta6;
    const bool idle = established && messages_.ended() && !reader_.inside();
    if (idle) {
        received_ = 0;
        waited_ = 0ns;
        note_idle(true);
        if (is_stopping()) co_return fail(co_await end_for_stop());
    }
    const auto before = SteadyClock::now();
    const auto patience = !idle ? limits_.stall_timeout : waiting_for_answer_ ? limits_.answer_timeout : limits_.idle_timeout;
    if (established) stream_->set_deadline(before + patience);
    const auto got = co_await stream_->read_some(input_);
    if (established) note_idle(false);
    if (!got && got.error().code == ErrorCode::timeout) {
        if (established) {
            const auto told = co_await abort_for(got.error());
            co_return fail(told);
        }
        static_cast<void>(machine_.on(Event::artim_expired));
        co_return fail(got.error());
    }
    FID_CO_CHECK(gone(got));
    received_ += *got;
    if (!idle) waited_ += SteadyClock::now() - before;
    if (auto fast_enough = check_rate(); established && !fast_enough) {
        const auto told = co_await abort_for(fast_enough.error());
        co_return fail(told);
    }
    reader_.feed(ByteView(input_).first(*got));
    co_return Result<void>();
}

Result<bool> AssociationConnection::fill_with_what_has_come() {
    const auto got = stream_->read_available(input_);
    if (got && !*got) return false;
    const auto size = got ? Result<std::size_t>(**got) : Result<std::size_t>(fail(got.error()));
    FID_CHECK(gone(size));
    received_ += *size;
    reader_.feed(ByteView(input_).first(*size));
    return true;
}

/// Where a read found the connection at its end: says so to the state machine.
Result<void> AssociationConnection::gone(const Result<std::size_t>& got) {
    if (got && *got > 0) return {};
    static_cast<void>(machine_.on(Event::connection_closed));
    if (!got) return fail(got.error());
    return fail(ErrorCode::unavailable, "the peer closed the connection");
}

Result<void> AssociationConnection::check_rate() const {
    if (waited_ <= limits_.rate_grace) return {};
    const auto counted = std::chrono::duration<double>(waited_ - limits_.rate_grace).count();
    if (static_cast<double>(received_) >= counted * static_cast<double>(limits_.min_bytes_per_second)) return {};
    return fail(ErrorCode::timeout, "the peer was too slow");
}

net::Task<Result<std::optional<MessageReader::Event>>> AssociationConnection::receive_piece() {
    FID_CO_TRY(const auto told, co_await receive());
    if (told == Indication::release) co_return co_await answer_release();
    co_return co_await take_piece();
}

net::Task<Result<std::optional<MessageReader::Event>>> AssociationConnection::take_piece() {
    const auto event = messages_.take(reader_.piece());
    if (!event) {
        const auto error = co_await abort_for(event.error());
        co_return fail(error);
    }
    data_ = messages_.data();
    co_return std::optional<MessageReader::Event>(*event);
}

net::Task<Result<std::optional<MessageReader::Event>>> AssociationConnection::answer_release() {
    if (!messages_.ended()) {
        const Error early{ErrorCode::malformed, "release in the middle of a message"};
        const auto error = co_await abort_for(early);
        co_return fail(error);
    }
    FID_CO_CHECK(machine_.on(Event::release_response));
    released_ = true;
    const dicom::ReleaseRp answer;
    const auto bytes = dicom::encode(answer);
    static_cast<void>(co_await transmit(bytes));
    co_return std::optional<MessageReader::Event>();
}

net::Task<Result<std::optional<Message>>> AssociationConnection::next() {
    while (told_ && !messages_.ended()) FID_CO_CHECK(co_await receive_piece());
    told_ = false;
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
        const auto error = co_await abort_for(stray);
        co_return fail(error);
    }
    told_ = true;
    Message message;
    message.context_id = context->first;
    message.abstract_syntax = context->second.abstract_syntax;
    message.transfer_syntax = context->second.transfer_syntax;
    message.command = messages_.command();
    co_return std::optional<Message>(std::move(message));
}

net::Task<Result<Message>> AssociationConnection::answer() {
    for (;;) {
        waiting_for_answer_ = true;
        auto message = co_await next();
        waiting_for_answer_ = false;
        if (!message) co_return fail(message.error());
        if (!*message) co_return fail(ErrorCode::cancelled, "the peer released the association instead of answering");
        auto& answer = **message;
        if (answer.command.field != dicom::CommandField::c_cancel_rq) co_return std::move(answer);
        cancelled_.insert(answer.command.message_id);
    }
}

net::Task<Result<std::size_t>> AssociationConnection::read(MutableByteView out) {
    while (data_.empty() && !messages_.ended()) FID_CO_CHECK(co_await receive_piece());
    const auto size = std::min(out.size(), data_.size());
    std::copy_n(data_.begin(), size, out.begin());
    data_ = data_.subspan(size);
    co_return size;
}

net::Task<Result<bool>> AssociationConnection::cancelled(std::uint16_t message_id) {
    if (cancelled_.erase(message_id) > 0) co_return true;
    if (is_stopping()) co_return fail(co_await end_for_stop());
    for (;;) {
        FID_CO_TRY(const auto told, co_await receive(Waiting::no));
        if (told == Indication::none) co_return false;
        if (told == Indication::release) {
            FID_CO_CHECK(co_await answer_release());
            co_return fail(ErrorCode::cancelled, "the peer released the association before it was answered");
        }
        FID_CO_TRY(const auto event, co_await take_piece());
        if (*event != MessageReader::Event::command) continue;
        if (messages_.command().field != dicom::CommandField::c_cancel_rq) {
            const Error early{ErrorCode::malformed, "a request before the one before was answered"};
            const auto error = co_await abort_for(early);
            co_return fail(error);
        }
        if (messages_.command().message_id == message_id) co_return true;
    }
}

net::Task<Result<void>> AssociationConnection::send(std::uint8_t context_id, const dicom::CommandSet& command, ByteView data_set) {
    const auto bytes = dicom::encode_message(context_id, command, data_set, peer_max_pdu_bytes_);
    co_return co_await send_pdus(bytes);
}

net::Task<Result<void>> AssociationConnection::send_pdus(ByteView pdus) {
    FID_CO_CHECK(machine_.on(Event::data_request));
    co_return co_await transmit(pdus);
}

net::Task<Result<void>> AssociationConnection::transmit(ByteView bytes) {
    stream_->set_deadline(SteadyClock::now() + limits_.stall_timeout);
    auto written = co_await stream_->write(bytes, ByteView());
    if (!written) static_cast<void>(machine_.on(Event::connection_closed));
    co_return written;
}

net::Task<void> AssociationConnection::abort() {
    const Error given_up{ErrorCode::cancelled, "the association was given up"};
    static_cast<void>(co_await abort_for(given_up));
}

net::Task<Error> AssociationConnection::end_for_stop() {
    const Error stop{ErrorCode::cancelled, "the archive is stopping"};
    co_return co_await abort_for(stop);
}

net::Task<Error> AssociationConnection::abort_for(Error error) {
    if (const auto step = machine_.on(Event::abort_request); step && step->send) {
        const auto bytes = dicom::encode(step->abort);
        static_cast<void>(co_await transmit(bytes));
    }
    co_return error;
}

net::Task<void> AssociationConnection::wind_down() {
    if (machine_.state() == State::sta13) {
        note_idle(true);
        stream_->set_deadline(SteadyClock::now() + limits_.artim);
        while (!is_stopping()) {
            const auto got = co_await stream_->read_some(input_);
            if (!got || *got == 0) break;
        }
    }
    co_await stream_->finish(0ms);
}

}  // namespace fiducial::dimse::impl
