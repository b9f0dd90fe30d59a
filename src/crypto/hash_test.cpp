#include "crypto/hash.hpp"

#include <gtest/gtest.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>

#include <thread>

#include "base/hex.hpp"
#include "crypto/impl/sha256_engines.hpp"
#include "crypto/secret.hpp"

namespace fiducial::crypto {
namespace {

Bytes hex(std::string_view text) {
    return from_hex(text).value();
}
std::string text_of(const Hash& hash) {
    return to_hex(hash);
}

TEST(Sha256, Fips180ExampleVectors) {
    EXPECT_EQ(text_of(sha256(as_bytes(""))), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    EXPECT_EQ(text_of(sha256(as_bytes("abc"))), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    EXPECT_EQ(text_of(sha256(as_bytes("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"))),
              "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
    EXPECT_EQ(text_of(sha256(Bytes(1000000, 'a'))), "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST(Sha256, PartsAreHashedAsTheirConcatenation) {
    EXPECT_EQ(sha256({as_bytes("a"), as_bytes(""), as_bytes("bc")}), sha256(as_bytes("abc")));
}

TEST(Sha256, PiecesOfAnySizeGiveTheSameHash) {
    Bytes message(100000);
    fill_random(message);
    const Hash whole = sha256(message);
    for (const std::size_t step : {1U, 63U, 64U, 65U, 4096U, 99999U}) {
        Sha256 pieces;
        for (std::size_t at = 0; at < message.size(); at += step) {
            pieces.update(ByteView(message).subspan(at, std::min(step, message.size() - at)));
        }
        EXPECT_EQ(pieces.finish(), whole) << step;
    }
}

TEST(Sha256, CopyGoesOnFromTheSameStateAndFinishStartsAnew) {
    Sha256 first;
    first.update(as_bytes("ab"));
    Sha256 second = first;
    Sha256 third;
    third.update(as_bytes("something else"));
    third = first;
    first.update(as_bytes("c"));
    second.update(as_bytes("d"));
    third.update(as_bytes("e"));
    EXPECT_EQ(first.finish(), sha256(as_bytes("abc")));
    EXPECT_EQ(second.finish(), sha256(as_bytes("abd")));
    EXPECT_EQ(third.finish(), sha256(as_bytes("abe")));
    first.update(as_bytes("abc"));
    Sha256 moved = std::move(first);
    EXPECT_EQ(moved.finish(), sha256(as_bytes("abc")));
    EXPECT_EQ(moved.finish(), sha256(ByteView()));
}

TEST(Sha256Many, EveryEngineAgreesWithOpensslForEveryLength) {
    Bytes pool(70000);
    fill_random(pool);
    std::vector<ByteView> messages;
    for (std::size_t size = 0; size < 300; ++size) messages.push_back(ByteView(pool).subspan(size, size));  // every padding case
    for (const std::size_t size : {32767U, 32768U, 32769U, 65536U, 1U, 0U}) messages.push_back(ByteView(pool).subspan(7, size));
    for (const impl::Sha256Engine engine : impl::available_sha256_engines()) {
        for (std::size_t count = 0; count <= messages.size(); count += count < 70 ? 1 : 59) {
            std::vector<Hash> hashes(count);
            impl::sha256_many_with(engine, std::span(messages).last(count), hashes);
            for (std::size_t i = 0; i < count; ++i) {
                const ByteView message = messages[messages.size() - count + i];
                Hash expected;
                SHA256(message.data(), message.size(), expected.data());
                ASSERT_EQ(hashes[i], expected) << impl::name_of(engine) << " message " << i << " of " << count;
            }
        }
    }
}

TEST(Sha256Many, LanesAreReallyUsedWhereTheMachineHasThem) {
    const Bytes chunk(32768, 5);
    const std::vector<ByteView> messages(32, chunk);
    std::vector<Hash> hashes(messages.size());
    const auto engines = impl::available_sha256_engines();
    for (const auto engine : engines) {
        const std::size_t side_by_side = impl::sha256_many_with(engine, messages, hashes);
        const bool alone = engine == impl::Sha256Engine::openssl || engines.size() == 2;
        EXPECT_EQ(side_by_side, alone ? 0U : 32U) << impl::name_of(engine);
    }
    if (engines.size() == 2) GTEST_SKIP() << "this build or machine has no multi-buffer SHA-256";
    EXPECT_EQ(impl::sha256_many_with(impl::Sha256Engine::automatic, std::span(messages).first(1), std::span(hashes).first(1)), 0U)
        << "one alone";
}

TEST(Sha256Many, MessagesOfVeryDifferentLengthsInOneCall) {
    Bytes pool(3 << 20);
    fill_random(pool);
    const std::vector<ByteView> messages{ByteView(pool), ByteView(pool).first(1), ByteView(pool).first(1 << 20),
                                         ByteView(pool).first((1 << 20) + 1), ByteView()};
    std::vector<Hash> hashes(messages.size());
    sha256_many(messages, hashes);
    for (std::size_t i = 0; i < messages.size(); ++i) EXPECT_EQ(hashes[i], sha256(messages[i])) << i;
}

TEST(Sha256Many, ThreadsDoNotDisturbEachOther) {
    std::vector<std::thread> threads;
    std::array<bool, 4> right{};
    for (std::size_t t = 0; t < right.size(); ++t) {
        threads.emplace_back([t, &right] {
            const Bytes pool(100000, static_cast<std::uint8_t>(t));
            const std::vector<ByteView> messages(20, ByteView(pool).first(5000 + t));
            std::vector<Hash> hashes(messages.size());
            bool all = true;
            for (int round = 0; round < 20; ++round) {
                sha256_many(messages, hashes);
                for (const Hash& hash : hashes) all = all && hash == sha256(messages[0]);
            }
            right[t] = all;
        });
    }
    for (auto& thread : threads) thread.join();
    EXPECT_EQ(right, (std::array<bool, 4>{true, true, true, true}));
}

TEST(TaggedHash, IsLengthTagParts) {
    EXPECT_EQ(tagged_sha256("fid.study1", {as_bytes("xy"), as_bytes("z")}), sha256(as_bytes("\x0a"
                                                                                            "fid.study1xyz")));
    EXPECT_EQ(tagged_leaf_sha256("fid.leaf1", {as_bytes("xyz")}), sha256(as_bytes(std::string_view("\x00\x09"
                                                                                                   "fid.leaf1xyz",
                                                                                                   14))));
    EXPECT_EQ(tagged_hmac_sha256(as_bytes("key"), "fid.row1", {as_bytes("xyz")}), hmac_sha256(as_bytes("key"), {as_bytes("\x08"
                                                                                                                         "fid.row1xyz")}));
}

TEST(HmacSha256, Rfc4231Vectors) {
    const auto check = [](const Bytes& key, const Bytes& data, std::string_view expected) {
        EXPECT_EQ(text_of(hmac_sha256(key, {data})), expected);
        if (data.size() > 3) {
            EXPECT_EQ(text_of(hmac_sha256(key, {ByteView(data).first(3), ByteView(data).subspan(3)})), expected);
        }
    };
    check(Bytes(20, 0x0b), to_bytes(as_bytes("Hi There")), "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
    check(to_bytes(as_bytes("Jefe")), to_bytes(as_bytes("what do ya want for nothing?")),
          "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    check(Bytes(20, 0xaa), Bytes(50, 0xdd), "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe");
    check(hex("0102030405060708090a0b0c0d0e0f10111213141516171819"), Bytes(50, 0xcd),
          "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b");
    check(Bytes(131, 0xaa), to_bytes(as_bytes("Test Using Larger Than Block-Size Key - Hash Key First")),
          "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
}

TEST(HmacSha256, AgreesWithOpensslForEveryKeyLength) {
    Bytes pool(300);
    fill_random(pool);
    for (std::size_t size = 1; size < 200; ++size) {
        Hash expected;
        unsigned length = 0;
        HMAC(EVP_sha256(), pool.data(), static_cast<int>(size), pool.data() + size, 100, expected.data(), &length);
        ASSERT_EQ(hmac_sha256(ByteView(pool).first(size), {ByteView(pool).subspan(size, 100)}), expected) << size;
    }
}

TEST(EqualConstantTime, ComparesContentAndSize) {
    EXPECT_TRUE(equal_constant_time({}, {}));
    EXPECT_TRUE(equal_constant_time(as_bytes("abc"), as_bytes("abc")));
    EXPECT_FALSE(equal_constant_time(as_bytes("abc"), as_bytes("abd")));
    EXPECT_FALSE(equal_constant_time(as_bytes("abc"), as_bytes("abcd")));
}

TEST(Keccak256, KnownHashes) {
    EXPECT_EQ(text_of(keccak256(as_bytes(""))), "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470");
    EXPECT_EQ(text_of(keccak256(as_bytes("abc"))), "4e03657aea45a94fc7d47ba826c8d667c0d1e6e33a64a036ec44f58fa12d6c45");
    EXPECT_EQ(text_of(keccak256(as_bytes("Transfer(address,address,uint256)"))),
              "ddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef");
    EXPECT_EQ(keccak256({as_bytes("a"), ByteView(), as_bytes("bc")}), keccak256(as_bytes("abc")));
}

}  // namespace
}  // namespace fiducial::crypto
