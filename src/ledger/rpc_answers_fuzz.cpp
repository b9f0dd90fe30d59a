// Everything that a node answers: framing by JSON-RPC, then each typed form.
#include <boost/json.hpp>
#include <cstdlib>

#include "ledger/contracts.hpp"
#include "ledger/impl/rpc_answers.hpp"
#include "ledger/rights_events.hpp"
#include "ledger/rpc.hpp"

namespace {

using namespace fiducial;
using namespace fiducial::ledger;

void require(bool condition) {
    if (!condition) std::abort();
}

class TryAll final : public AnswerVisitor {
public:
    Result<void> on_result(std::uint64_t, const boost::json::value& result) override {
        (void)quantity(result, "x");
        (void)data_bytes(result, "x");
        const auto strict = read_block(result, {.later_fields = true, .check_hash = true});
        if (strict && *strict) require((*strict)->header.hash() == (*strict)->hash);
        (void)read_block(result, {.later_fields = false, .check_hash = false});
        (void)read_receipt(result);
        (void)read_proof(result);
        if (const auto logs = read_logs(result)) {
            for (const auto& log : *logs) {
                require(log.topics.size() <= 4);
                (void)contracts::decode_studies_event(log);
                (void)rights::decode_event(log);
            }
        }
        return {};
    }
    Result<void> on_error(std::optional<std::uint64_t>, RpcError error) override {
        require(error.message.size() <= 1024);
        (void)classify_send_error(error.code, error.message);
        return {};
    }
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    TryAll visitor;
    (void)visit_answers(as_text({data, size}), visitor);
    return 0;
}
