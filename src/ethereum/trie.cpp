#include "ethereum/trie.hpp"

#include <algorithm>

#include "base/hex.hpp"
#include "crypto/hash.hpp"
#include "ethereum/rlp.hpp"

namespace fiducial::ethereum {
namespace {

constexpr std::size_t kMaxNodes = 65;  // a path of 64 nibbles, and the root
constexpr std::size_t kMaxNodeBytes = 64 * 1024;
constexpr std::size_t kBranchItems = 17;
constexpr std::size_t kShortestHashed = 32;  // shorter nodes stand inside their parent

tl::unexpected<Error> malformed(std::string_view what) {
    return fail(ErrorCode::malformed, "trie proof: " + std::string(what));
}
tl::unexpected<Error> unverified(std::string_view what) {
    return fail(ErrorCode::unverified, "trie proof: " + std::string(what));
}

Bytes to_nibbles(ByteView bytes) {
    Bytes out;
    out.reserve(bytes.size() * 2);
    for (const auto byte : bytes) {
        out.push_back(byte >> 4);
        out.push_back(byte & 15);
    }
    return out;
}

// A leaf's or extension's path, after hex-prefix decoding.
struct Path {
    bool is_leaf = false;
    Bytes nibbles;
};

Result<Path> read_path(const rlp::Item& item) {
    FID_TRY(const auto bytes, item.bytes("trie proof path"));
    if (bytes.empty()) return malformed("a path without its prefix");
    const unsigned flag = bytes[0] >> 4;
    if (flag > 3) return malformed("a path with an unknown prefix");
    const bool odd = (flag & 1) != 0;
    if (!odd && (bytes[0] & 15) != 0) return malformed("a path whose padding is not zero");
    Path out;
    out.is_leaf = (flag & 2) != 0;
    out.nibbles = to_nibbles(bytes);
    out.nibbles.erase(out.nibbles.begin(), out.nibbles.begin() + (odd ? 1 : 2));
    if (!out.is_leaf && out.nibbles.empty()) return malformed("an extension without a path");
    return out;
}

Result<void> check_node(const rlp::Item& node);

// A reference to a child: a hash, or the child itself where it is short.
Result<void> check_child(const rlp::Item& child) {
    if (!child.is_list()) {
        if (child.payload().size() != 32) return malformed("a reference that is neither a hash nor a node");
        return {};
    }
    if (child.encoded().size() >= kShortestHashed) return malformed("a node inside its parent that is not short enough");
    return check_node(child);
}

Result<void> check_branch(const std::vector<rlp::Item>& items) {
    std::size_t used = 0;
    for (std::size_t i = 0; i < 16; ++i) {
        if (!items[i].is_list() && items[i].payload().empty()) continue;
        FID_CHECK(check_child(items[i]));
        ++used;
    }
    FID_TRY(const auto value, items[16].bytes("trie proof branch value"));
    if (used + (value.empty() ? 0u : 1u) < 2) return malformed("a branch with fewer than two children");
    return {};
}

// That a node has the one form a trie can have. Nested nodes are shorter than 32 bytes, so this ends soon.
Result<void> check_node(const rlp::Item& node) {
    FID_TRY(const auto items, node.items("trie proof node"));
    if (items.size() == kBranchItems) return check_branch(items);
    if (items.size() != 2) return malformed("a node of " + std::to_string(items.size()) + " items");
    FID_TRY(const auto path, read_path(items[0]));
    if (path.is_leaf) {
        FID_TRY(const auto value, items[1].bytes("trie proof leaf value"));
        if (value.empty()) return malformed("a leaf without a value");
        return {};
    }
    FID_CHECK(check_child(items[1]));
    if (items[1].is_list()) {
        FID_TRY(const auto child, items[1].items("trie proof node"));
        if (child.size() != kBranchItems) return malformed("an extension that does not lead to a branch");
    }
    return {};
}

// Where a walk through one proof node, and the short nodes inside it, ends.
struct Step {
    enum class Kind : std::uint8_t { value, absent, next } kind = Kind::absent;
    Bytes value;
    Hash next{};
    bool next_is_branch = false;  // because an extension led there
};

Step absent() {
    return {};
}

Result<Step> walk(rlp::Item node, ByteView key, std::size_t& position, bool must_be_branch) {
    FID_CHECK(check_node(node));
    for (;;) {
        FID_TRY(const auto items, node.items("trie proof node"));
        if (must_be_branch && items.size() != kBranchItems) return malformed("an extension that does not lead to a branch");
        rlp::Item child;
        if (items.size() == kBranchItems) {
            if (position == key.size()) {
                if (items[16].payload().empty()) return absent();
                return Step{Step::Kind::value, to_bytes(items[16].payload()), {}, false};
            }
            child = items[key[position]];
            if (!child.is_list() && child.payload().empty()) return absent();
            ++position;
            must_be_branch = false;
        } else {
            FID_TRY(const auto path, read_path(items[0]));
            const auto rest = key.subspan(position);
            const bool fits = rest.size() >= path.nibbles.size() && std::equal(path.nibbles.begin(), path.nibbles.end(), rest.begin());
            if (path.is_leaf) {
                if (!fits || rest.size() != path.nibbles.size()) return absent();
                return Step{Step::Kind::value, to_bytes(items[1].payload()), {}, false};
            }
            if (!fits) return absent();
            position += path.nibbles.size();
            child = items[1];
            must_be_branch = true;
        }
        if (!child.is_list()) {
            FID_TRY(const auto hash, child.array<32>("trie proof reference"));
            return Step{Step::Kind::next, {}, hash, must_be_branch};
        }
        node = child;
    }
}

}  // namespace

const Hash kEmptyTrieRoot = *fixed_from_hex<32>("56e81f171bcc55a6ff8345e692c0f86e5b48e01b996cadc001622fb5e363b421", "hash");
const Hash kEmptyCodeHash = *fixed_from_hex<32>("c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470", "hash");

Result<std::optional<Bytes>> verify_trie_proof(const Hash& root, ByteView key, std::span<const Bytes> nodes) {
    if (nodes.size() > kMaxNodes) return fail(ErrorCode::limit_exceeded, "trie proof: more than 65 nodes");
    if (nodes.empty()) {
        if (root == kEmptyTrieRoot) return std::optional<Bytes>{};
        return unverified("no nodes under a root that is not empty");
    }
    const auto nibbles = to_nibbles(key);
    std::size_t position = 0;
    Hash expected = root;
    bool must_be_branch = false;
    for (std::size_t i = 0; i < nodes.size(); ++i) {
        const auto& bytes = nodes[i];
        if (crypto::keccak256(bytes) != expected) return unverified("node " + std::to_string(i) + " is not the one that its parent names");
        if (i > 0 && bytes.size() < kShortestHashed) return malformed("node " + std::to_string(i) + " should stand inside its parent");
        FID_TRY(const auto node, rlp::decode(bytes, {.max_bytes = kMaxNodeBytes, .max_depth = 32, .max_items = 1024}));
        FID_TRY(auto step, walk(node, nibbles, position, must_be_branch));
        if (step.kind == Step::Kind::next) {
            expected = step.next;
            must_be_branch = step.next_is_branch;
            continue;
        }
        if (i + 1 != nodes.size()) return unverified("nodes are left over");
        if (step.kind == Step::Kind::absent) return std::optional<Bytes>{};
        return std::optional<Bytes>{std::move(step.value)};
    }
    return unverified("nodes are missing");
}

Bytes AccountState::encode() const {
    return rlp::ListWriter().u64(nonce).uint256(balance).bytes(storage_root).bytes(code_hash).finish();
}

Result<AccountState> AccountState::decode(ByteView bytes) {
    FID_TRY(const auto item, rlp::decode(bytes, {.max_bytes = 256, .max_depth = 1, .max_items = 5}));
    FID_TRY(auto reader, item.list("account"));
    AccountState out;
    FID_TRY(out.nonce, reader.u64("account nonce"));
    FID_TRY(out.balance, reader.uint256("account balance"));
    FID_TRY(out.storage_root, reader.array<32>("account storage root"));
    FID_TRY(out.code_hash, reader.array<32>("account code hash"));
    FID_CHECK(reader.finish("account"));
    return out;
}

Result<std::optional<AccountState>> verify_account_proof(const Hash& state_root, const Address& address, std::span<const Bytes> nodes) {
    FID_TRY(const auto value, verify_trie_proof(state_root, crypto::keccak256(address), nodes));
    if (!value) return std::optional<AccountState>{};
    FID_TRY(const auto account, AccountState::decode(*value));
    return std::optional<AccountState>{account};
}

Result<Uint256> verify_storage_proof(const Hash& storage_root, const Bytes32& slot, std::span<const Bytes> nodes) {
    FID_TRY(const auto value, verify_trie_proof(storage_root, crypto::keccak256(slot), nodes));
    if (!value) return Uint256{};
    FID_TRY(const auto item, rlp::decode(*value, {.max_bytes = 33, .max_depth = 0, .max_items = 1}));
    FID_TRY(const auto number, item.uint256("storage value"));
    if (number.is_zero()) return malformed("a slot that holds zero, which a trie leaves out");
    return number;
}

namespace {

struct Entry {
    Bytes nibbles;
    Bytes value;
};
using Entries = std::span<const Entry>;

// Where prove() wants to go, and the nodes that it met, innermost first.
struct Trail {
    ByteView key;
    std::vector<Bytes> nodes;
};

Bytes encode_path(ByteView nibbles, bool is_leaf) {
    const bool odd = nibbles.size() % 2 != 0;
    Bytes out{static_cast<std::uint8_t>(((is_leaf ? 2u : 0u) + (odd ? 1u : 0u)) << 4)};
    if (odd) {
        out[0] = static_cast<std::uint8_t>(out[0] | nibbles[0]);
        nibbles = nibbles.subspan(1);
    }
    for (std::size_t i = 0; i < nibbles.size(); i += 2) out.push_back(static_cast<std::uint8_t>(nibbles[i] << 4 | nibbles[i + 1]));
    return out;
}

Bytes encode_node(Entries entries, std::size_t depth, Trail* trail);

// A child as its parent holds it; already RLP.
Bytes reference(Bytes node) {
    if (node.size() < kShortestHashed) return node;
    Bytes out;
    rlp::append_bytes(out, crypto::keccak256(node));
    return out;
}

Bytes encode_branch(Entries entries, std::size_t depth, Trail* trail) {
    rlp::ListWriter out;
    Bytes value;
    if (entries.front().nibbles.size() == depth) {
        value = entries.front().value;
        entries = entries.subspan(1);
    }
    for (std::uint8_t nibble = 0; nibble < 16; ++nibble) {
        const auto end = std::find_if(entries.begin(), entries.end(), [&](const Entry& entry) { return entry.nibbles[depth] != nibble; });
        const auto count = static_cast<std::size_t>(end - entries.begin());
        if (count == 0) {
            out.bytes({});
            continue;
        }
        const bool follow = trail != nullptr && trail->key.size() > depth && trail->key[depth] == nibble;
        out.encoded(reference(encode_node(entries.first(count), depth + 1, follow ? trail : nullptr)));
        entries = entries.subspan(count);
    }
    return out.bytes(value).finish();
}

// The node over entries that share their first `depth` nibbles; sorted, not empty.
Bytes encode_node(Entries entries, std::size_t depth, Trail* trail) {
    const auto& first = entries.front().nibbles;
    const auto& last = entries.back().nibbles;
    Bytes out;
    if (entries.size() == 1) {
        out = rlp::ListWriter().bytes(encode_path(ByteView(first).subspan(depth), true)).bytes(entries.front().value).finish();
    } else {
        std::size_t shared = depth;
        while (shared < first.size() && shared < last.size() && first[shared] == last[shared]) ++shared;
        if (shared == depth) {
            out = encode_branch(entries, depth, trail);
        } else {
            const auto path = ByteView(first).subspan(depth, shared - depth);
            const bool follow = trail != nullptr && trail->key.size() >= shared &&
                                std::equal(path.begin(), path.end(), trail->key.begin() + static_cast<std::ptrdiff_t>(depth));
            auto branch = encode_node(entries, shared, follow ? trail : nullptr);
            out = rlp::ListWriter().bytes(encode_path(path, false)).encoded(reference(std::move(branch))).finish();
        }
    }
    if (trail != nullptr && (depth == 0 || out.size() >= kShortestHashed)) trail->nodes.push_back(out);
    return out;
}

std::vector<Entry> sorted_entries(const std::map<Bytes, Bytes>& values) {
    std::vector<Entry> out;
    out.reserve(values.size());
    for (const auto& [key, value] : values) out.push_back({to_nibbles(key), value});
    return out;  // bytes and nibbles sort alike
}

}  // namespace

void TrieBuilder::put(ByteView key, ByteView value) {
    if (value.empty()) {
        values_.erase(to_bytes(key));
    } else {
        values_[to_bytes(key)] = to_bytes(value);
    }
}

Hash TrieBuilder::root() const {
    if (values_.empty()) return kEmptyTrieRoot;
    return crypto::keccak256(encode_node(sorted_entries(values_), 0, nullptr));
}

std::vector<Bytes> TrieBuilder::prove(ByteView key) const {
    if (values_.empty()) return {};
    const auto nibbles = to_nibbles(key);
    Trail trail{nibbles, {}};
    encode_node(sorted_entries(values_), 0, &trail);
    std::reverse(trail.nodes.begin(), trail.nodes.end());
    return trail.nodes;
}

}  // namespace fiducial::ethereum
