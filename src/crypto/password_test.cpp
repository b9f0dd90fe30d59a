#include "crypto/password.hpp"

#include <gtest/gtest.h>

namespace fiducial::crypto {
namespace {

TEST(Password, Rfc9106FitsItselfAndNothingElse) {
    const std::string password("correct horse\0battery", 21);
    const auto kept = hash_password(as_bytes(password));
    ASSERT_TRUE(kept);
    EXPECT_TRUE(kept->starts_with("$argon2id$v=19$m=19456,t=2,p=1$")) << *kept;
    EXPECT_TRUE(password_fits(*kept, as_bytes(password)));
    EXPECT_FALSE(password_fits(*kept, as_bytes("correct horse")));
    EXPECT_FALSE(password_fits(*kept, {}));
    const auto again = hash_password(as_bytes(password));
    ASSERT_TRUE(again);
    EXPECT_NE(*kept, *again) << "each has a salt of its own";
}

TEST(Password, Rfc9106TakesWhatTheReferenceImplementationWrote) {
    // argon2 "somesalt" -id -v 13 -m 16 -t 2 -p 1 -l 32, of the reference implementation's test suite
    const char* kept = "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc";
    EXPECT_TRUE(password_fits(kept, as_bytes("password")));
    EXPECT_FALSE(password_fits(kept, as_bytes("Password")));
}

TEST(Password, WhatIsNoHashFitsNothing) {
    for (const std::string kept : {"", "*", "$argon2id$", "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$", "password"})
        EXPECT_FALSE(password_fits(kept, as_bytes("password"))) << kept;
    EXPECT_FALSE(password_fits(std::string(1000, 'a'), as_bytes("password")));
}

}  // namespace
}  // namespace fiducial::crypto
