#include "crypto/secret.hpp"

#include <gtest/gtest.h>

#include <fstream>
#include <set>
#include <string>
#include <thread>
#include <type_traits>

namespace fiducial::crypto {
namespace {

static_assert(!std::is_copy_constructible_v<Secret> && !std::is_copy_assignable_v<Secret>, "a secret is not copied by accident");
static_assert(std::is_nothrow_move_constructible_v<Secret> && std::is_nothrow_move_assignable_v<Secret>);
static_assert(!std::is_constructible_v<log::Field, std::string_view, const Secret&>, "a secret cannot be logged");

TEST(Secret, StartsAsZerosAndMoves) {
    Secret secret(33);
    EXPECT_EQ(to_bytes(secret.view()), Bytes(33, 0));
    secret.bytes()[0] = 7;
    Secret other = std::move(secret);
    EXPECT_EQ(other.size(), 33U);
    EXPECT_EQ(other.view()[0], 7);
    Secret third = Secret::copy_of(as_bytes("abc"));
    third = std::move(other);
    EXPECT_EQ(third.size(), 33U);
    EXPECT_TRUE(Secret().empty());
    EXPECT_TRUE(Secret::copy_of({}).empty());
    const Secret twin = third.clone();
    EXPECT_EQ(to_bytes(twin.view()), to_bytes(third.view()));
    EXPECT_NE(twin.view().data(), third.view().data());
}

TEST(Secret, SlotIsWipedBeforeItIsGivenAgain) {
    const std::uint8_t* place = nullptr;
    {
        Secret secret(1000);
        fill_random(secret.bytes());
        place = secret.view().data();
    }
    const Secret again(1000);  // the slot given back last is given out first
    EXPECT_EQ(again.view().data(), place);
    EXPECT_EQ(to_bytes(again.view()), Bytes(1000, 0));
}

TEST(Secret, SizesOfEveryClassDoNotOverlap) {
    std::vector<Secret> secrets;
    for (std::size_t size = 1; size < 5000; size += 13) {
        secrets.emplace_back(size);
        for (auto& byte : secrets.back().bytes()) byte = static_cast<std::uint8_t>(size);
    }
    for (const Secret& secret : secrets) {
        for (const auto byte : secret.view()) ASSERT_EQ(byte, static_cast<std::uint8_t>(secret.size()));
    }
}

TEST(Secret, MemoryIsLockedAndLeftOutOfCoreDumps) {
    const Secret small(32);
    const Secret large(100000);
    for (const Secret* secret : {&small, &large}) {
        const auto address = reinterpret_cast<std::uintptr_t>(secret->view().data());
        std::ifstream maps("/proc/self/smaps");
        std::string line;
        bool inside = false, locked = false, excluded = false;
        while (std::getline(maps, line)) {
            std::uintptr_t from = 0, to = 0;
            if (std::sscanf(line.c_str(), "%zx-%zx ", &from, &to) == 2) inside = from <= address && address < to;
            if (!inside || !line.starts_with("VmFlags:")) continue;
            locked = line.find(" lo") != std::string::npos;
            excluded = line.find(" dd") != std::string::npos;  // MADV_DONTDUMP
        }
#if !defined(__SANITIZE_ADDRESS__) && \
    !defined(__SANITIZE_THREAD__)  // they answer mlock themselves; test/system/secrets_test.py looks at the program
        EXPECT_TRUE(locked);
#else
        static_cast<void>(locked);
#endif
        EXPECT_TRUE(excluded);
    }
}

TEST(Secret, ThreadsShareThePool) {
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t) {
        threads.emplace_back([t] {
            for (int i = 0; i < 2000; ++i) {
                Secret secret(32);
                secret.bytes()[31] = static_cast<std::uint8_t>(t);
                FID_INVARIANT(secret.view()[0] == 0 && secret.view()[31] == t, "another thread wrote into this secret");
            }
        });
    }
    for (auto& thread : threads) thread.join();
}

TEST(Random, DoesNotRepeat) {
    std::set<Bytes32> seen;
    for (int i = 0; i < 1000; ++i) seen.insert(random_bytes32());
    EXPECT_EQ(seen.size(), 1000U);
    const Secret secret = random_secret(64);
    EXPECT_NE(to_bytes(secret.view()), Bytes(64, 0));
}

TEST(Wipe, LeavesZeros) {
    Bytes bytes(100, 1);
    wipe(bytes);
    EXPECT_EQ(bytes, Bytes(100, 0));
    wipe({});
}

}  // namespace
}  // namespace fiducial::crypto
