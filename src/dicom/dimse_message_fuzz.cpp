#include "dicom/dimse_message.hpp"

using namespace fiducial;
using namespace fiducial::dicom;

/// A stream of data values made from the input: whatever is taken can be written and is then read again as it was.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (const auto command = decode_command_set(ByteView(data, size))) {
        const auto written = encode_command_set(*command);
        const auto again = decode_command_set(written);
        FID_INVARIANT(again && encode_command_set(*again) == written, "what is written is not what was read");
    }
    MessageReader reader;
    ByteView left(data, size);
    while (left.size() >= 3) {  // context, control, length
        PdvPiece piece;
        piece.context_id = static_cast<std::uint8_t>(left[0] % 4);
        piece.command = (left[1] & 1) != 0;
        piece.ends = (left[1] & 2) != 0;
        piece.data = left.subspan(3, std::min<std::size_t>(left[2], left.size() - 3));
        left = left.subspan(3 + piece.data.size());
        const auto got = reader.take(piece);
        if (!got) {
            FID_INVARIANT(!got.error().message.empty() && got.error().code != ErrorCode::internal, "an error says nothing");
            break;
        }
        if (*got == MessageReader::Event::command)
            FID_INVARIANT(reader.ended() != reader.command().has_data_set, "a message ends where it does");
        if (*got == MessageReader::Event::data_set) FID_INVARIANT(reader.data().size() == piece.data.size(), "data is lost");
    }
    return 0;
}
