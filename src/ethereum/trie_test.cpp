#include "ethereum/trie.hpp"

#include <gtest/gtest.h>
#include <boost/json.hpp>

#include "base/hex.hpp"
#include "crypto/hash.hpp"
#include "ethereum/rlp.hpp"
#include "ethereum/test_support.hpp"

namespace fiducial::ethereum {
namespace {

using test::hex;

Bytes text_or_hex(const boost::json::value& value) {
    if (value.is_null()) return {};
    const std::string_view text = value.as_string();
    return text.starts_with("0x") ? hex(text) : to_bytes(as_bytes(text));
}

// Every key of the trie, and some that are not in it, verify to what was put.
void expect_proofs(const TrieBuilder& trie, const std::map<Bytes, Bytes>& values) {
    for (const auto& [key, value] : values) {
        const auto proof = trie.prove(key);
        const auto found = verify_trie_proof(trie.root(), key, proof);
        ASSERT_TRUE(found) << found.error().message;
        ASSERT_TRUE(*found);
        EXPECT_EQ(**found, value);
        for (const std::size_t change : {std::size_t{0}, key.size() / 2, key.size() - 1}) {
            auto other = key;
            other[change] ^= 0x21;
            if (values.contains(other)) continue;
            const auto missing = verify_trie_proof(trie.root(), other, trie.prove(other));
            ASSERT_TRUE(missing) << missing.error().message;
            EXPECT_FALSE(*missing);
            if (trie.prove(other) != proof) {
                const auto swapped = verify_trie_proof(trie.root(), other, proof);
                EXPECT_TRUE(!swapped || !*swapped) << "another key's proof never shows a value";
            }
        }
    }
}

TEST(Trie, EthereumTestsRootsAndProofs) {
    const auto file = test::load_vectors("trietest.json");
    for (const auto& [name, vector] : file.as_object()) {
        TrieBuilder trie;
        std::map<Bytes, Bytes> values;
        for (const auto& pair : vector.at("in").as_array()) {
            const auto key = text_or_hex(pair.at(0));
            const auto value = text_or_hex(pair.at(1));
            trie.put(key, value);
            if (value.empty())
                values.erase(key);
            else
                values[key] = value;
        }
        EXPECT_EQ(to_0x(trie.root()), vector.at("root").as_string()) << name;
        expect_proofs(trie, values);
    }
}

TEST(Trie, EthereumTestsAnyOrder) {
    const auto file = test::load_vectors("trieanyorder.json");
    for (const auto& [name, vector] : file.as_object()) {
        TrieBuilder trie;
        std::map<Bytes, Bytes> values;
        for (const auto& [key, value] : vector.at("in").as_object()) {
            values[text_or_hex(boost::json::value(key))] = text_or_hex(value);
            trie.put(text_or_hex(boost::json::value(key)), text_or_hex(value));
        }
        EXPECT_EQ(to_0x(trie.root()), vector.at("root").as_string()) << name;
        expect_proofs(trie, values);
    }
}

TEST(Trie, EmptyTrieProvesAbsenceWithoutNodes) {
    EXPECT_EQ(crypto::keccak256(hex("80")), kEmptyTrieRoot);
    EXPECT_EQ(crypto::keccak256({}), kEmptyCodeHash);
    const auto absent = verify_trie_proof(kEmptyTrieRoot, hex("01"), {});
    ASSERT_TRUE(absent);
    EXPECT_FALSE(*absent);
    const std::vector<Bytes> explicit_empty{hex("80")};
    EXPECT_FALSE(verify_trie_proof(kEmptyTrieRoot, hex("01"), explicit_empty));
    EXPECT_EQ(verify_trie_proof(Hash{}, hex("01"), {}).error().code, ErrorCode::unverified);
}

// A state trie and a storage trie of a few hundred entries.
class SecureTrie : public ::testing::Test {
protected:
    void SetUp() override {
        for (std::uint64_t i = 0; i < 300; ++i) {
            const auto slot = Uint256(i).to_be();
            Bytes value;
            rlp::append_uint256(value, Uint256(i * i + 1));
            storage_.put(crypto::keccak256(slot), value);
        }
        account_.nonce = 7;
        account_.balance = Uint256::parse("1000000000000000000").value();
        account_.storage_root = storage_.root();
        account_.code_hash = crypto::keccak256(as_bytes("code"));
        for (std::uint8_t i = 0; i < 200; ++i) {
            auto account = account_;
            account.nonce = i;
            state_.put(crypto::keccak256(address(i)), account.encode());
        }
    }
    static Address address(std::uint8_t i) {
        Address out{};
        out[19] = i;
        return out;
    }
    std::vector<Bytes> account_proof(std::uint8_t i) const { return state_.prove(crypto::keccak256(address(i))); }
    std::vector<Bytes> storage_proof(std::uint64_t i) const { return storage_.prove(crypto::keccak256(Uint256(i).to_be())); }
    TrieBuilder state_;
    TrieBuilder storage_;
    AccountState account_;
};

TEST_F(SecureTrie, Eip1186AccountAndStorageInclusion) {
    const auto account = verify_account_proof(state_.root(), address(7), account_proof(7));
    ASSERT_TRUE(account && *account);
    EXPECT_EQ(**account, account_);
    for (std::uint64_t i = 0; i < 300; ++i) {
        EXPECT_EQ(verify_storage_proof(account_.storage_root, Uint256(i).to_be(), storage_proof(i)).value(), Uint256(i * i + 1));
    }
}

TEST_F(SecureTrie, Eip1186Absence) {
    const auto account = verify_account_proof(state_.root(), address(250), account_proof(250));
    ASSERT_TRUE(account);
    EXPECT_FALSE(*account);
    for (std::uint64_t i = 300; i < 400; ++i) {
        EXPECT_EQ(verify_storage_proof(account_.storage_root, Uint256(i).to_be(), storage_proof(i)).value(), Uint256());
    }
}

TEST_F(SecureTrie, AnotherSlotsProofIsNoProofOfAbsence) {
    for (std::uint64_t i = 0; i < 100; ++i) {
        EXPECT_FALSE(verify_storage_proof(account_.storage_root, Uint256(i).to_be(), storage_proof(i + 1)));
    }
}

TEST_F(SecureTrie, EveryChangedBitIsRefused) {
    const auto proof = storage_proof(1);
    for (std::size_t node = 0; node < proof.size(); ++node) {
        for (std::size_t byte = 0; byte < proof[node].size(); ++byte) {
            auto changed = proof;
            changed[node][byte] ^= static_cast<std::uint8_t>(1u << (byte % 8));
            EXPECT_FALSE(verify_storage_proof(account_.storage_root, Uint256(1).to_be(), changed)) << node << " " << byte;
        }
    }
}

TEST_F(SecureTrie, MissingExtraAndReorderedNodesAreRefused) {
    const auto proof = storage_proof(1);
    ASSERT_GE(proof.size(), 3u);
    const auto slot = Uint256(1).to_be();
    const auto root = account_.storage_root;
    for (std::size_t node = 0; node < proof.size(); ++node) {
        auto without = proof;
        without.erase(without.begin() + static_cast<std::ptrdiff_t>(node));
        EXPECT_EQ(verify_storage_proof(root, slot, without).error().code, ErrorCode::unverified);
        auto twice = proof;
        twice.insert(twice.begin() + static_cast<std::ptrdiff_t>(node), proof[node]);
        EXPECT_EQ(verify_storage_proof(root, slot, twice).error().code, ErrorCode::unverified);
    }
    auto extra = proof;
    extra.push_back(storage_proof(2).back());
    EXPECT_EQ(verify_storage_proof(root, slot, extra).error().code, ErrorCode::unverified);
    auto swapped = proof;
    std::swap(swapped[0], swapped[1]);
    EXPECT_EQ(verify_storage_proof(root, slot, swapped).error().code, ErrorCode::unverified);
    EXPECT_EQ(verify_storage_proof(root, slot, std::vector<Bytes>(66, proof[0])).error().code, ErrorCode::limit_exceeded);
    EXPECT_EQ(verify_storage_proof(state_.root(), slot, proof).error().code, ErrorCode::unverified);
}

// Nodes whose hash is right and whose form no trie has: only someone who makes up the root can write them.
Error refusal_of(const Bytes& root_node, const Bytes& key) {
    const std::vector<Bytes> proof{root_node};
    const auto found = verify_trie_proof(crypto::keccak256(root_node), key, proof);
    return found ? Error{ErrorCode::internal, "accepted"} : found.error();
}

rlp::ListWriter branch(const std::map<int, Bytes>& children, ByteView value) {
    rlp::ListWriter out;
    for (int i = 0; i < 16; ++i) children.contains(i) ? out.encoded(children.at(i)) : out.bytes({});
    return out.bytes(value);
}

Bytes leaf(std::string_view path, std::string_view value) {
    return rlp::ListWriter().bytes(hex(path)).bytes(as_bytes(value)).finish();
}

TEST(TrieForm, CanonicalNodesOfTheTestAreTaken) {
    const auto node = branch({{0, leaf("31", "a")}, {1, leaf("32", "b")}}, {}).finish();
    const std::vector<Bytes> proof{node};
    EXPECT_EQ(verify_trie_proof(crypto::keccak256(node), hex("01"), proof).value(), to_bytes(as_bytes("a")));
}

TEST(TrieForm, EachFormThatNoTrieHasIsRefused) {
    const Bytes hash_ref = rlp::ListWriter().bytes(Bytes(32, 0xaa)).finish();
    const Bytes item(hash_ref.begin() + 1, hash_ref.end());  // a 32-byte string
    const std::map<std::string, Bytes> nodes{
        {"a string", hex("83646f67")},
        {"three items", rlp::ListWriter().bytes(hex("20")).bytes(hex("01")).bytes(hex("01")).finish()},
        {"leaf without value", leaf("2001", "")},
        {"leaf without path", rlp::ListWriter().bytes({}).bytes(hex("01")).finish()},
        {"unknown flag", leaf("4001", "a")},
        {"padding not zero", leaf("2101", "a")},
        {"path a list", rlp::ListWriter().list(rlp::ListWriter()).bytes(hex("01")).finish()},
        {"extension without path", rlp::ListWriter().bytes(hex("00")).encoded(item).finish()},
        {"extension to nothing", rlp::ListWriter().bytes(hex("1a")).bytes({}).finish()},
        {"extension to a leaf", rlp::ListWriter().bytes(hex("10")).encoded(leaf("31", "a")).finish()},
        {"branch with one child", branch({{0, leaf("31", "a")}}, {}).finish()},
        {"branch with a value only", branch({}, as_bytes("a")).finish()},
        {"short reference", branch({{0, hex("820102")}, {1, item}}, {}).finish()},
        {"long child inside", branch({{0, leaf("31", "a value that is far too long to be inside")}, {1, item}}, {}).finish()},
        {"sibling malformed", branch({{0, leaf("31", "a")}, {5, leaf("40", "b")}}, {}).finish()},
    };
    for (const auto& [name, node] : nodes) {
        EXPECT_EQ(refusal_of(node, hex("01")).code, ErrorCode::malformed) << name;
    }
    auto value_list = rlp::ListWriter();
    for (int i = 0; i < 16; ++i) value_list.encoded(item);
    EXPECT_EQ(refusal_of(value_list.list(rlp::ListWriter()).finish(), hex("01")).code, ErrorCode::malformed);
}

TEST(TrieForm, ShortNodeByHashIsRefused) {
    const auto small = leaf("31", "a");
    Bytes reference;
    rlp::append_bytes(reference, crypto::keccak256(small));
    const auto root = branch({{0, reference}, {1, reference}}, {}).finish();
    const std::vector<Bytes> proof{root, small};
    EXPECT_EQ(verify_trie_proof(crypto::keccak256(root), hex("01"), proof).error().code, ErrorCode::malformed);
}

TEST(TrieForm, ExtensionToALeafByHashIsRefused) {
    const auto long_leaf = leaf("31", "a value that does not fit into its parent");
    const auto root = rlp::ListWriter().bytes(hex("10")).bytes(crypto::keccak256(long_leaf)).finish();
    const std::vector<Bytes> proof{root, long_leaf};
    EXPECT_EQ(verify_trie_proof(crypto::keccak256(root), hex("01"), proof).error().code, ErrorCode::malformed);
}

TEST(TrieForm, ValuesOfSlotsAndAccountsHaveOneForm) {
    const auto verify = [](const Bytes& value) {
        TrieBuilder trie;
        trie.put(crypto::keccak256(Bytes32{}), value);
        return verify_storage_proof(trie.root(), Bytes32{}, trie.prove(crypto::keccak256(Bytes32{})));
    };
    EXPECT_EQ(verify(hex("05")).value(), Uint256(5));
    for (const auto* value :
         {"80", "820001", "00", "c0", "0505", "8105", "a1010000000000000000000000000000000000000000000000000000000000000000"})
        EXPECT_FALSE(verify(hex(value))) << value;
    EXPECT_FALSE(AccountState::decode(hex("c0")));
    auto encoded = AccountState{}.encode();
    EXPECT_TRUE(AccountState::decode(encoded));
    encoded.push_back(0);
    EXPECT_FALSE(AccountState::decode(encoded));
}

}  // namespace
}  // namespace fiducial::ethereum
