#include "evidence/bundle.hpp"
#include "evidence/verifier.hpp"

// Whatever is read is its own re-serialisation, and nothing ever gets more than "consistent" without a trust file.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace fiducial;
    const auto text = as_text({data, size});
    if (const auto bundle = evidence::Bundle::decode(text)) {
        FID_INVARIANT(bundle->encode().value() == text, "a bundle is its own re-serialisation");
    }
    const auto report = evidence::verify(text, {}, {});
    FID_INVARIANT(report.verdict == evidence::Verdict::refused || report.verdict == evidence::Verdict::trust_unverified,
                  "no trust without a trust file");
    FID_INVARIANT(!report.to_json().empty() && !report.to_text().empty(), "a report can be shown");
    return 0;
}
