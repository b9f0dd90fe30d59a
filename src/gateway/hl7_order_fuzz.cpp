#include <array>

#include "gateway/impl/hl7_order.hpp"

// What comes over the wire, in pieces: whatever is framed is read or refused, entries are such as can be kept, and answers can be read.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace fiducial;
    using namespace fiducial::gateway::impl;
    MllpReader reader;
    const auto half = size / 2;
    if (!reader.feed(ByteView(data, half)) || !reader.feed(ByteView(data + half, size - half))) return 0;
    Bytes bytes;
    while (reader.next(bytes)) {
        const auto message = Hl7Message::parse(bytes);
        if (!message) continue;
        const auto read = read_hl7_orders(*message);
        Hl7Answer answer;
        if (const auto* refused = std::get_if<Hl7Answer>(&read)) {
            FID_INVARIANT(refused->code != "AA" && !refused->error.empty(), "a refusal says why");
            answer = *refused;
        } else {
            for (const auto& entry : std::get<Hl7Orders>(read).scheduled)
                FID_INVARIANT(dicom::check_worklist_entry(entry).has_value(), "entries are whole");
        }
        const auto text = encode_hl7_answer(&*message, answer, "20261201083000", "F1");
        const auto again = Hl7Message::parse(as_bytes(text));
        FID_INVARIANT(again && again->find("MSA") != nullptr && again->find("MSA")->text(1) == answer.code, "answers can be read");
    }
    return 0;
}
