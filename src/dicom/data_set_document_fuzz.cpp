#include "dicom/data_set_document.hpp"
#include "dicom/data_set_scanner.hpp"

// A document, as JSON or XML by its first byte: what is taken is written as a data set that reads, and says the same again.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace fiducial;
    using namespace fiducial::dicom;
    if (size == 0) return 0;
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    const Bytes value{1, 2, 3};
    const auto write = [&](const DataSetDocument& document) {
        Bytes out;
        const auto written = document.write(out, 0, DataSetDocument::kEnd, [&](std::string_view) { return &value; });
        if (!written) return;
        for (const auto& one : document.references()) FID_INVARIANT(one.nested || !document.vr(one.tag).empty(), "a reference to nothing");
        // Whatever it is of, it adds up: only what identifies an instance may be missing.
        const auto scanned = scan_data_set(out, kExplicitVrLittleEndian);
        const auto& why = scanned ? std::string() : scanned.error().message;
        FID_INVARIANT(scanned || why.find("offset") == std::string::npos, "a data set that does not add up");
    };
    if (data[0] == '<') {
        if (const auto document = DataSetDocument::read_xml(text)) write(*document);
        return 0;
    }
    const auto documents = DataSetDocument::read_json(text);
    if (!documents) return 0;
    for (const auto& document : *documents) write(document);
    return 0;
}
