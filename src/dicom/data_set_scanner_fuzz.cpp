#include <boost/json.hpp>

#include "base/json.hpp"
#include "base/utf8.hpp"
#include "dicom/data_set_scanner.hpp"

// First byte: 0 a file, else a bare data set in one of five transfer syntaxes; second byte: how the input is split.
// Any bytes: scanning never harms, says the same however they are split, gives every byte back, and writes JSON.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace fiducial;
    using namespace fiducial::dicom;
    if (size < 2) return 0;
    static constexpr std::string_view kSyntaxes[] = {kImplicitVrLittleEndian, kExplicitVrLittleEndian, "1.2.840.10008.1.2.2",
                                                     kDeflatedExplicitVrLittleEndian, "1.2.840.10008.1.2.4.90"};
    const ByteView input(data + 2, size - 2);
    ScanLimits limits;
    limits.header_bytes = 1u << 20;
    limits.json_bytes = 1u << 20;
    limits.bulk_threshold = 256;
    limits.inflated_bytes = 1u << 20;
    limits.depth = 6;
    const bool file = data[0] % 6 == 0;
    const auto syntax = kSyntaxes[(data[0] + 5) % 6 % 5];
    const auto make = [&] { return file ? DataSetScanner(limits) : *DataSetScanner::for_data_set(syntax, limits); };

    auto whole = make();
    auto fed = whole.feed(input);
    auto header = fed ? whole.finish() : Result<InstanceHeader>(fail(fed.error()));

    auto split = make();
    Bytes given_back;
    bool failed = false;
    std::optional<EarlyIdentity> early;
    const std::size_t step = 1 + data[1] % 64;
    for (std::size_t at = 0; at < input.size(); at += step) {
        const auto pieces = split.feed(input.subspan(at, std::min(step, input.size() - at)));
        if (!pieces) {
            failed = true;
            break;
        }
        append(given_back, pieces->held);
        append(given_back, pieces->fresh);
        if (!early) early = split.identity();
    }
    if (!failed) {
        Bytes all = to_bytes(split.prefix());
        append(all, given_back);
        const auto again = split.finish();
        FID_INVARIANT(again.has_value() == header.has_value(), "splitting changes the verdict");
        if (again) {
            FID_INVARIANT(again->dicom_json == header->dicom_json && again->pixel_sha256 == header->pixel_sha256 &&
                              again->warnings == header->warnings,
                          "splitting changes what is found");
            FID_INVARIANT(again->data_set_length <= input.size() && again->prefix_length + again->data_set_length == input.size(),
                          "bytes are lost");
            FID_INVARIANT(!early || (early->study == again->identity.study && early->sop_instance == again->identity.sop_instance),
                          "the identity changes");
            if (all.size() == input.size()) FID_INVARIANT(all == to_bytes(input), "bytes are changed");
        }
    } else {
        FID_INVARIANT(!header.has_value(), "splitting changes the verdict");
    }
    if (!header) {
        FID_INVARIANT(!header.error().message.empty() && header.error().code != ErrorCode::internal, "an error says nothing");
        return 0;
    }
    FID_INVARIANT(is_utf8(header->dicom_json), "the JSON is not UTF-8");
    const auto parsed = json::parse(header->dicom_json, 64u << 20);
    FID_INVARIANT(parsed.has_value(), "the JSON cannot be read");
    for (const auto& bulk : header->bulk) FID_INVARIANT(bulk.offset + bulk.length <= header->inflated_length, "a bulk value lies outside");
    for (const auto& [tag, values] : header->attributes) {
        for (const auto& value : values) {
            FID_INVARIANT(is_utf8(value), "an attribute is not UTF-8");
            FID_INVARIANT(normalise_person_name(normalise_person_name(value)) == normalise_person_name(value),
                          "normalising twice is another thing");
            if (const auto date = normalise_date(value)) FID_INVARIANT(normalise_date(*date) == date, "a date does not stay");
            if (const auto time = normalise_time(value)) FID_INVARIANT(normalise_time(*time) == time, "a time does not stay");
        }
    }
    return 0;
}
