#include <cstdlib>

#include "ethereum/clique.hpp"
#include "ethereum/rlp.hpp"

using namespace fiducial;
using namespace fiducial::ethereum;

namespace {

// The input is a list: signers as one string, then headers.
void check_span(ByteView bytes) {
    const auto item = rlp::decode(bytes);
    if (!item || !item->is_list()) return;
    std::vector<BlockHeader> headers;
    std::vector<Address> signers;
    const auto items = item->items("span");
    for (const auto& inner : *items) {
        if (inner.is_list()) {
            if (auto header = decode_header(inner.encoded(), {.allow_later_fields = true})) headers.push_back(*std::move(header));
            continue;
        }
        for (auto rest = inner.payload(); rest.size() >= 20; rest = rest.subspan(20))
            signers.push_back(*fixed<20>(rest.first(20), "signer"));
    }
    const CliqueConfig config{.period_s = 1, .epoch = 10};
    const CliqueRules rules(config);
    if (const auto report = rules.check_span(headers, signers)) {
        for (std::size_t i = 0; i < headers.size(); ++i) {
            if (report->blocks[i].hash != headers[i].hash()) std::abort();
            if (const auto settled = rules.settled_with(*report, i); settled && (*settled < i || *settled >= headers.size())) std::abort();
        }
    }
    if (headers.empty()) return;
    auto snapshot = CliqueSnapshot::from_checkpoint(headers[0], config);
    for (std::size_t i = 1; snapshot && i < headers.size(); ++i) {
        if (!snapshot->apply(headers[i])) break;
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const ByteView bytes(data, size);
    check_span(bytes);
    const auto header = decode_header(bytes, {.require_base_fee = false, .allow_later_fields = true});
    if (!header) return 0;
    if (header->encode() != to_bytes(bytes)) std::abort();
    (void)clique_sealer(*header);
    (void)clique_checkpoint_signers(*header);
    if (header->base_fee_per_gas) (void)next_base_fee(*header);
    return 0;
}
