#include "audit/proof.hpp"

// Any bytes: reading notes, checkpoints, keys and proofs never harms; what is read and written again is the same.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace fiducial;
    using namespace fiducial::audit;
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    static const NoteKey key{"fuzz", NoteAlgorithm::ed25519, {}};
    if (const auto note = Note::parse(text)) {
        FID_INVARIANT(Note::parse(note->serialise())->signatures == note->signatures, "a note does not round-trip");
        (void)note->verify(key);
        (void)Checkpoint::parse(note->text);
    }
    if (const auto lines = Note::parse_signatures(text)) {
        std::string again;
        for (const auto& signature : *lines) again += signature.line();
        FID_INVARIANT(again == text, "signatures do not round-trip");
    }
    if (const auto parsed = NoteKey::parse(text)) FID_INVARIANT(NoteKey::parse(parsed->text()) == *parsed, "a key does not round-trip");
    if (const auto proof = InclusionProof::parse(text)) {
        FID_INVARIANT(proof->text() == text, "an inclusion proof does not round-trip");
        (void)proof->verify(key);
    }
    if (const auto proof = ConsistencyProof::parse(text)) {
        FID_INVARIANT(proof->text() == text, "a consistency proof does not round-trip");
        (void)proof->verify(key, {});
    }
    return 0;
}
