#pragma once
#include <cstdint>
#include <functional>
#include <optional>

#include "base/bytes.hpp"
#include "dicom/command_set.hpp"
#include "dicom/pdu.hpp"

namespace fiducial::dicom {

/// Puts messages together from the pieces of data values as they stream by: the command whole, the data set handed through.
/// Spec:    PS3.7 §6.3.1, PS3.8 Annex E: a command's fragments, then its data set's, all in one presentation context; no other message
///          between them
/// Errors:  malformed, unsupported, limit_exceeded; afterwards every take() gives the same error
/// Threads: one at a time
class MessageReader {
public:
    enum class Event : std::uint8_t {
        nothing,   // more pieces are needed
        command,   // command() is complete; ended() says whether the message is, too
        data_set,  // data() is a piece of its data set, perhaps an empty one; ended() says whether it was the last
    };
    static constexpr std::size_t kMaxCommandBytes = 65'536;

    Result<Event> take(const PdvPiece& piece);
    std::uint8_t context_id() const { return context_id_; }
    const CommandSet& command() const { return command_; }
    ByteView data() const { return data_; }
    /// Whether the message is complete.
    bool ended() const { return state_ == State::between; }

private:
    enum class State : std::uint8_t { between, in_command, in_data_set, failed };
    Result<Event> fail_with(ErrorCode code, std::string message);

    State state_ = State::between;
    std::uint8_t context_id_ = 0;
    Bytes gathered_;
    CommandSet command_;
    ByteView data_;
    Error error_;
};

/// Appends the P-DATA-TF PDUs of a message, or of one of its parts: fragments of at most what the peer takes (0: no limit), of even length
/// but for the last.
void append_fragments(Bytes& out, std::uint8_t context_id, bool command, ByteView bytes, std::uint32_t max_pdu_bytes);
/// A whole message. Requires: command.has_data_set says whether there is one.
Bytes encode_message(std::uint8_t context_id, const CommandSet& command, ByteView data_set, std::uint32_t max_pdu_bytes);

/// Lays out a message whose data set comes piece by piece: the command, then fragments with their heads, the data read to where it is sent
/// from. As encode_message() would, with a data set of that size.
class MessageFramer {
public:
    /// data_set_size: nothing where it is not known; then a fragment is read ahead, to know which is the last.
    /// Requires: command.has_data_set, data_set_size > 0
    MessageFramer(std::uint8_t context_id, const CommandSet& command, std::optional<std::uint64_t> data_set_size,
                  std::uint32_t max_pdu_bytes);
    /// Puts the next PDUs into out, with about so many bytes of data, at least one fragment; `read` fills what it is given.
    /// Requires: `read` gives less than it could only at the end.
    /// Errors: those of read; internal where it gives less than was said. Afterwards the message cannot go on.
    using Read = std::function<Result<std::size_t>(MutableByteView out)>;
    Result<void> next(Bytes& out, std::size_t about, const Read& read);
    bool ended() const { return left_ == 0; }

private:
    Result<void> next_of_unknown(Bytes& out, std::size_t about, const Read& read);

    std::uint8_t context_id_;
    std::size_t room_;                   // for data, in a PDU
    std::optional<std::uint64_t> left_;  // nothing while it is not known
    Bytes command_;                      // until it went out
    std::optional<Bytes> ahead_;         // the fragment that is next, where the size is not known
};

}  // namespace fiducial::dicom
