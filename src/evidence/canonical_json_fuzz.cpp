#include "evidence/canonical_json.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace fiducial;
    const auto text = as_text({data, size});
    if (const auto value = evidence::read_canonical(text)) {
        FID_INVARIANT(evidence::write_canonical(*value) == text, "a canonical document is its own re-serialisation");
        if (auto reader = evidence::ObjectReader::of(*value, "fuzz")) {
            static_cast<void>(reader->integer("n", UINT64_MAX));
            static_cast<void>(reader->hex("h", 32));
            static_cast<void>(reader->array("a", 3));
            static_cast<void>(reader->done());
        }
    }
    return 0;
}
