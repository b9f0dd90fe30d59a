#include <cstdlib>

#include "ethereum/message.hpp"

using namespace fiducial;
using namespace fiducial::ethereum;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto text = as_text(ByteView(data, size));
    (void)parse_rfc3339(text);
    const auto message = parse_sign_in(text);
    if (!message) return 0;
    const auto again = message->to_text();
    if (!again || *again != text) std::abort();
    const SignInExpectation expected{message->domain, message->uri, message->chain_id, message->nonce, *parse_rfc3339(message->issued_at)};
    if (verify_sign_in(text, Bytes(65, 1), expected)) std::abort();
    return 0;
}
