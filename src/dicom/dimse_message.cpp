#include "dicom/dimse_message.hpp"

#include <algorithm>
#include <array>

namespace fiducial::dicom {
namespace {

constexpr std::uint32_t kValueHeaderBytes = 6;
constexpr std::uint32_t kOwnMaxPduBytes = 131'072;  // where the peer has no limit
constexpr std::size_t kHeadBytes = 12;              // of a PDU and the one data value in it

/// For data, in a PDU: an even number.
std::size_t room_in(std::uint32_t max_pdu_bytes) {
    const std::uint32_t most = max_pdu_bytes == 0 ? kOwnMaxPduBytes : std::min(max_pdu_bytes, kOwnMaxPduBytes);
    FID_INVARIANT(most >= kValueHeaderBytes + 2, "a peer takes at least two bytes in a PDU");
    return (most - kValueHeaderBytes) / 2 * 2;
}

std::array<std::uint8_t, kHeadBytes> fragment_head(std::uint8_t context_id, bool command, bool last, std::size_t size) {
    const auto value = static_cast<std::uint32_t>(size + 2), pdu = static_cast<std::uint32_t>(size + kValueHeaderBytes);
    const auto byte = [](std::uint32_t number, int at) { return static_cast<std::uint8_t>(number >> (24 - 8 * at)); };
    return {static_cast<std::uint8_t>(PduType::p_data_tf),
            0,
            byte(pdu, 0),
            byte(pdu, 1),
            byte(pdu, 2),
            byte(pdu, 3),
            byte(value, 0),
            byte(value, 1),
            byte(value, 2),
            byte(value, 3),
            context_id,
            static_cast<std::uint8_t>((command ? 1 : 0) | (last ? 2 : 0))};
}

}  // namespace

Result<MessageReader::Event> MessageReader::fail_with(ErrorCode code, std::string message) {
    state_ = State::failed;
    gathered_ = {};
    error_ = Error{code, std::move(message)};
    return fail(error_);
}

Result<MessageReader::Event> MessageReader::take(const PdvPiece& piece) {
    data_ = {};
    if (state_ == State::failed) return fail(error_);
    if (state_ == State::between) {
        if (!piece.command) return fail_with(ErrorCode::malformed, "a data set without a command");
        context_id_ = piece.context_id;
        state_ = State::in_command;
    }
    if (piece.context_id != context_id_) return fail_with(ErrorCode::malformed, "a message goes on in another presentation context");
    if (piece.command != (state_ == State::in_command)) {
        return fail_with(ErrorCode::malformed,
                         piece.command ? "a command in the middle of a data set" : "a data set in the middle of a command");
    }
    if (state_ == State::in_data_set) {
        data_ = piece.data;
        if (piece.ends) state_ = State::between;
        return Event::data_set;
    }
    if (piece.data.size() > kMaxCommandBytes - gathered_.size())
        return fail_with(ErrorCode::limit_exceeded, "a command of more than " + std::to_string(kMaxCommandBytes) + " bytes");
    append(gathered_, piece.data);
    if (!piece.ends) return Event::nothing;
    auto decoded = decode_command_set(gathered_);
    gathered_.clear();
    if (!decoded) return fail_with(decoded.error().code, decoded.error().message);
    command_ = std::move(*decoded);
    state_ = command_.has_data_set ? State::in_data_set : State::between;
    return Event::command;
}

void append_fragments(Bytes& out, std::uint8_t context_id, bool command, ByteView bytes, std::uint32_t max_pdu_bytes) {
    const auto room = room_in(max_pdu_bytes);
    do {
        const auto size = std::min(room, bytes.size());
        const auto head = fragment_head(context_id, command, size == bytes.size(), size);
        append(out, head);
        append(out, bytes.first(size));
        bytes = bytes.subspan(size);
    } while (!bytes.empty());
}

Bytes encode_message(std::uint8_t context_id, const CommandSet& command, ByteView data_set, std::uint32_t max_pdu_bytes) {
    Bytes out;
    append_fragments(out, context_id, true, encode_command_set(command), max_pdu_bytes);
    if (command.has_data_set) append_fragments(out, context_id, false, data_set, max_pdu_bytes);
    return out;
}

MessageFramer::MessageFramer(std::uint8_t context_id, const CommandSet& command, std::optional<std::uint64_t> data_set_size,
                             std::uint32_t max_pdu_bytes)
    : context_id_(context_id), room_(room_in(max_pdu_bytes)), left_(data_set_size) {
    FID_INVARIANT(command.has_data_set && data_set_size != 0, "a framer is for a data set");
    append_fragments(command_, context_id, true, encode_command_set(command), max_pdu_bytes);
}

Result<void> MessageFramer::next(Bytes& out, std::size_t about, const Read& read) {
    if (!left_) return next_of_unknown(out, about, read);
    auto& left = *left_;
    const auto fragments = std::min<std::uint64_t>(std::max<std::size_t>(about / room_, 1), (left + room_ - 1) / room_);
    const auto data = std::min<std::uint64_t>(left, fragments * room_);
    out.resize(command_.size() +
               static_cast<std::size_t>(fragments * kHeadBytes + data));  // not emptied before: what is there is not made anew
    std::copy(command_.begin(), command_.end(), out.begin());
    auto place = MutableByteView(out).subspan(command_.size());
    command_.clear();
    while (!place.empty()) {
        const auto size = static_cast<std::size_t>(std::min<std::uint64_t>(room_, left));
        const auto head = fragment_head(context_id_, false, size == left, size);
        std::copy(head.begin(), head.end(), place.begin());
        FID_TRY(const auto got, read(place.subspan(kHeadBytes, size)));
        if (got != size) return fail(ErrorCode::internal, "a data set is shorter than was said");
        left -= size;
        place = place.subspan(kHeadBytes + size);
    }
    return {};
}

Result<void> MessageFramer::next_of_unknown(Bytes& out, std::size_t about, const Read& read) {
    const auto read_fragment = [&](Bytes& fragment) -> Result<void> {
        fragment.resize(room_);
        FID_TRY(const auto got, read(fragment));
        fragment.resize(got);
        return {};
    };
    out.assign(command_.begin(), command_.end());
    command_.clear();
    if (!ahead_) {
        FID_CHECK(read_fragment(ahead_.emplace()));
        if (ahead_->empty()) return fail(ErrorCode::malformed, "a data set without anything in it");
    }
    Bytes following;
    for (auto fragments = std::max<std::size_t>(about / room_, 1); fragments > 0 && !left_; --fragments) {
        following.clear();
        if (ahead_->size() == room_) FID_CHECK(read_fragment(following));
        const auto head = fragment_head(context_id_, false, following.empty(), ahead_->size());
        append(out, head);
        append(out, *ahead_);
        if (following.empty()) left_ = 0;
        ahead_->swap(following);
    }
    return {};
}

}  // namespace fiducial::dicom
