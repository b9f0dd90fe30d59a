#include "base/bytes.hpp"
#include "dicom/matching.hpp"
#include "gateway/impl/qido_request.hpp"

// The first byte chooses the level, the rest is a query string. Whatever was read stays within its bounds, and its keys compile or are
// refused.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace fiducial;
    if (size == 0) return 0;
    const auto level = static_cast<dicom::QueryLevel>(1 + data[0] % 3);
    const auto parameters = net::parse_query(as_text(ByteView(data + 1, size - 1)));
    if (!parameters) return 0;
    const auto request = gateway::impl::read_qido_request(*parameters, level, data[0] & 4 ? "1.2" : "", "");
    if (!request) return 0;
    FID_INVARIANT(request->limit <= gateway::impl::kMostResults && request->query.offset <= gateway::impl::kMostSkipped, "bounded");
    dicom::Criteria criteria;
    dicom::Attributes row;
    for (const auto& key : request->query.keys) {
        auto matcher = dicom::Matcher::compile(key.tag, key.value, request->query.fuzzy_names);
        if (!matcher) continue;
        row.set(key.tag, {key.value});
        criteria.add(*std::move(matcher));
    }
    criteria.combine_moments();
    (void)criteria.fit(level, row);
    for (const auto& [tag, values] : gateway::impl::select_attributes(*request, row))
        FID_INVARIANT(row.has(tag) || values.empty(), "nothing is made up");
    return 0;
}
