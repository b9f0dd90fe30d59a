#include "dicom/dimse_message.hpp"

#include <algorithm>

namespace fiducial::dicom {
namespace {

constexpr std::uint32_t kValueHeaderBytes = 6;
constexpr std::uint32_t kOwnMaxPduBytes = 131'072;  // where the peer has no limit

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
    const std::uint32_t most = max_pdu_bytes == 0 ? kOwnMaxPduBytes : std::min(max_pdu_bytes, kOwnMaxPduBytes);
    FID_INVARIANT(most >= kValueHeaderBytes + 2, "a peer takes at least two bytes in a PDU");
    const std::size_t room = (most - kValueHeaderBytes) / 2 * 2;
    do {
        const auto size = static_cast<std::uint32_t>(std::min(room, bytes.size()));
        const bool last = size == bytes.size();
        out.insert(out.end(), {static_cast<std::uint8_t>(PduType::p_data_tf), 0});
        append_be<std::uint32_t>(out, size + kValueHeaderBytes);
        append_be<std::uint32_t>(out, size + 2);
        out.insert(out.end(), {context_id, static_cast<std::uint8_t>((command ? 1 : 0) | (last ? 2 : 0))});
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

}  // namespace fiducial::dicom
