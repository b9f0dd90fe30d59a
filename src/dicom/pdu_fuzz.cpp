#include "dicom/pdu.hpp"

#include "dicom/upper_layer.hpp"

using namespace fiducial;
using namespace fiducial::dicom;

namespace {

struct Read {
    Bytes log;  // what came out, in a form that does not depend on where the input was cut
    std::string error;
};

Read read_in_pieces(ByteView bytes, std::size_t piece) {
    Read out;
    PduLimits limits;
    limits.associate_bytes = 4'096;
    limits.data_bytes = 1'024;
    PduReader reader(limits);
    bool going_on = false;
    for (std::size_t at = 0; at < bytes.size(); at += piece) {
        const Bytes copy = to_bytes(bytes.subspan(at, std::min(piece, bytes.size() - at)));
        reader.feed(copy);
        for (;;) {
            const auto event = reader.next();
            if (!event) {
                out.error = event.error().message;
                FID_INVARIANT(!out.error.empty() && event.error().code != ErrorCode::internal, "an error says nothing");
                return out;
            }
            if (*event == PduReader::Event::need_more) break;
            if (*event == PduReader::Event::pdu) {
                const auto written = encode(reader.pdu());
                const auto again = decode_pdu(type_of(reader.pdu()), ByteView(written).subspan(6));
                FID_INVARIANT(again && encode(*again) == written, "what is written is not what was read");
                append(out.log, written);
                continue;
            }
            const auto& value = reader.piece();
            FID_INVARIANT(value.data.size() <= copy.size(), "a piece is more than what was fed");
            if (!going_on) out.log.insert(out.log.end(), {value.context_id, static_cast<std::uint8_t>(value.command)});
            append(out.log, value.data);
            going_on = !value.ends;
        }
    }
    return out;
}

/// The state machine goes on from any events, and never sends on a connection that is gone.
void drive(ByteView events) {
    UpperLayer machine((events[0] & 1) != 0 ? UpperLayer::Role::acceptor : UpperLayer::Role::requestor);
    for (const auto byte : events) {
        const bool gone = machine.state() == UpperLayerState::sta1;
        const auto step = machine.on(static_cast<UpperLayerEvent>(byte % kUpperLayerEvents));
        if (step) FID_INVARIANT(!gone || !step->send, "something is sent on a connection that is gone");
    }
}

}  // namespace

/// The same PDUs come out wherever the input is cut; what is written is read again as it was.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size == 0) return 0;
    const ByteView bytes(data + 1, size - 1);
    const auto whole = read_in_pieces(bytes, bytes.size() + 1);
    const auto pieces = read_in_pieces(bytes, data[0] % 17 + 1);
    FID_INVARIANT(whole.error == pieces.error, "cutting the input changes whether it is accepted");
    FID_INVARIANT(whole.log == pieces.log || !whole.error.empty(), "cutting the input changes what comes out");
    drive(ByteView(data, size));
    return 0;
}
