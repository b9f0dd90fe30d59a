#include <cstdlib>

#include "crypto/hash.hpp"
#include "ethereum/rlp.hpp"
#include "ethereum/trie.hpp"

using namespace fiducial;
using namespace fiducial::ethereum;

namespace {

// The input is a list: a key, then nodes. The root is made to fit the first node, and each reference to a node by 32 bytes that
// begin with its index (0xf0 + i) is made to fit it, so that the walk gets past the hashes.
void walk(const std::vector<rlp::Item>& items) {
    std::vector<Bytes> nodes;
    for (std::size_t i = 1; i < items.size(); ++i) nodes.push_back(to_bytes(items[i].is_list() ? items[i].encoded() : items[i].payload()));
    for (std::size_t i = nodes.size(); i-- > 1;) {
        const auto hash = crypto::keccak256(nodes[i]);
        auto& parent = nodes[i - 1];
        for (std::size_t at = 0; at + 33 <= parent.size(); ++at) {
            if (parent[at] == 0xa0 && parent[at + 1] == static_cast<std::uint8_t>(0xf0 + i))
                std::copy(hash.begin(), hash.end(), parent.begin() + static_cast<std::ptrdiff_t>(at) + 1);
        }
    }
    const Bytes key = to_bytes(items[0].payload());
    const Hash root = nodes.empty() ? kEmptyTrieRoot : crypto::keccak256(nodes[0]);
    const auto found = verify_trie_proof(root, key, nodes);
    if (!found || nodes.empty()) return;
    // What was taken is not taken with a node more, less, or changed.
    auto more = nodes;
    more.push_back(nodes.back());
    if (verify_trie_proof(root, key, more)) std::abort();
    auto less = nodes;
    less.pop_back();
    if (verify_trie_proof(root, key, less)) std::abort();
    auto changed = nodes;
    changed.back().back() ^= 1;
    if (verify_trie_proof(root, key, changed)) std::abort();
    if (key.size() == 32) (void)verify_storage_proof(root, *fixed<32>(key, "slot"), nodes);
    if (*found) (void)AccountState::decode(**found);
}

// The input as pairs of key and value: whatever is put can be proved, and so can its absence.
void build(const std::vector<rlp::Item>& items) {
    TrieBuilder trie;
    std::map<Bytes, Bytes> values;
    for (std::size_t i = 0; i + 1 < items.size() && i < 64; i += 2) {
        const auto key = to_bytes(items[i].payload().first(std::min<std::size_t>(items[i].payload().size(), 32)));
        const auto value = to_bytes(items[i + 1].payload());
        trie.put(key, value);
        value.empty() ? static_cast<void>(values.erase(key)) : static_cast<void>(values[key] = value);
        const auto found = verify_trie_proof(trie.root(), key, trie.prove(key));
        if (!found || found->has_value() == value.empty() || (*found && **found != value)) std::abort();
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size > 4096) return 0;
    const auto list = rlp::decode(ByteView(data, size));
    if (!list || !list->is_list()) return 0;
    const auto items = list->items("input");
    if (!items || items->empty()) return 0;
    walk(*items);
    build(*items);
    return 0;
}
