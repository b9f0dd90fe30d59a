#include "evidence/trust_file.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace fiducial;
    const auto text = as_text({data, size});
    if (const auto trust = evidence::TrustFile::parse(text)) {
        FID_INVARIANT(trust->serialise().value() == text, "a trust file is its own re-serialisation");
        FID_INVARIANT(!evidence::verify_succession(text, text, {}), "no trust file follows itself");
    }
    if (const auto signatures = evidence::parse_trust_signatures(text)) {
        FID_INVARIANT(evidence::serialise_trust_signatures(signatures->trust_sha256, signatures->signatures) == text,
                      "signatures are their own re-serialisation");
    }
    if (const auto signatures = evidence::read_trust_signatures(text, {})) {
        for (const auto& signature : *signatures) {
            FID_INVARIANT(crypto::RecoverableSignature::parse(signature.serialised()).has_value(), "what was read as a signature is one");
        }
    }
    return 0;
}
