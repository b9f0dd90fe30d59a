#include "net/http_syntax.hpp"

#include "base/bytes.hpp"
#include "net/impl/http_parser.hpp"
#include "net/impl/json_framing.hpp"

using namespace fiducial;

namespace {

void try_request(std::string_view text) {
    net::impl::HeaderLimits limits;
    limits.max_bytes = 2'000;
    limits.max_fields = 20;
    net::impl::HttpRequestParser parser(limits);
    auto used = parser.read_header(text);
    if (!used || *used == 0) return;
    FID_INVARIANT(*used <= text.size(), "a header is longer than its input");
    const auto& head = parser.head();
    FID_INVARIANT(!(head.chunked && head.content_length != 0), "two body lengths");
    if (!head.chunked) return;
    auto rest = as_bytes(text.substr(*used));
    Bytes out(7);
    for (;;) {
        auto progress = parser.read_chunked(rest, out);
        if (!progress || progress->ended) return;
        FID_INVARIANT(progress->consumed <= rest.size() && progress->produced <= out.size(), "more than there is");
        if (progress->consumed == 0 && progress->produced == 0) return;
        rest = rest.subspan(progress->consumed);
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size == 0) return 0;
    const std::string_view text(reinterpret_cast<const char*>(data + 1), size - 1);
    switch (data[0] % 8) {
        case 0: static_cast<void>(net::parse_media_type(text)); break;
        case 1:
            if (auto items = net::parse_accept(text)) {
                for (std::size_t i = 1; i < items->size(); ++i) FID_INVARIANT(items->at(i - 1).q >= items->at(i).q, "not in order");
            }
            break;
        case 2:
            if (auto decoded = net::percent_decode(text))
                FID_INVARIANT(net::percent_decode(net::percent_encode(*decoded)) == *decoded, "no round trip");
            break;
        case 3:
            if (auto target = net::parse_target(text)) {
                for (const auto& segment : target->segments)
                    FID_INVARIANT(segment != ".." && segment.find('\0') == std::string::npos, "a bad segment");
            }
            break;
        case 4:
            if (auto ranges = net::parse_range(text, 1'000)) {
                for (const auto& range : *ranges) FID_INVARIANT(range.first <= range.last && range.last < 1'000, "a range beyond the end");
            }
            break;
        case 5:
            static_cast<void>(net::parse_authorization(text));
            static_cast<void>(net::names_entity_tag(text, "\"a\""));
            if (auto cookie = net::find_cookie(text, "a")) FID_INVARIANT(cookie->find(';') == std::string_view::npos, "a cookie too long");
            break;
        case 6: try_request(text); break;
        default: {
            net::impl::JsonFraming framing;
            if (auto end = framing.feed(text); end && *end != net::impl::JsonFraming::npos)
                FID_INVARIANT(*end <= text.size() && *end >= 2, "an end beyond");
            break;
        }
    }
    return 0;
}
