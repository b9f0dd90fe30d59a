#include "net/multipart.hpp"

using namespace fiducial;
using Event = net::MultipartReader::Event;

namespace {

struct Read {
    Bytes log;  // what came out, in order, in a form that does not depend on where the input was cut
    bool failed = false;
};

Read read_in_pieces(ByteView body, std::size_t piece) {
    Read out;
    net::MultipartLimits limits;
    limits.max_parts = 50;
    limits.max_header_bytes = 200;
    limits.max_preamble_bytes = 100;
    auto reader = net::MultipartReader::create("b-", limits);
    for (std::size_t at = 0; at < body.size(); at += piece) {
        const Bytes copy = to_bytes(body.subspan(at, std::min(piece, body.size() - at)));
        reader->feed(copy);
        for (;;) {
            auto event = reader->next();
            if (!event) {
                out.failed = true;
                return out;
            }
            if (*event == Event::part_begin) {
                out.log.push_back('<');
                for (const auto& [name, value] : reader->headers()) append(out.log, as_bytes(name + value));
            } else if (*event == Event::part_data) {
                append(out.log, reader->data());
            } else if (*event == Event::part_end) {
                out.log.push_back('>');
            } else {
                break;
            }
        }
    }
    out.failed = !reader->finish();
    return out;
}

}  // namespace

/// The same events come out wherever the input is cut.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size == 0) return 0;
    const ByteView body(data + 1, size - 1);
    const auto whole = read_in_pieces(body, body.size() + 1);
    const auto pieces = read_in_pieces(body, data[0] % 17 + 1);
    FID_INVARIANT(whole.failed == pieces.failed, "cutting the input changes whether it is accepted");
    FID_INVARIANT(whole.failed || whole.log == pieces.log, "cutting the input changes what comes out");
    return 0;
}
