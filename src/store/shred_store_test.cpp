#include "store/shred_store.hpp"

#include <fstream>
#include <set>

#include "base/faulty_disk.hpp"
#include "store/impl/shred_page.hpp"
#include "store/store_fixture.hpp"

namespace fiducial::store {
namespace {

class ShredStoreTest : public StoreTest {
protected:
    Result<std::unique_ptr<ShredStore>> secrets(std::uint8_t key = 1) {
        return ShredStore::open(folder_ / "secrets", Keyring(test_site_key(key), kZero32));
    }
    std::filesystem::path page(const std::string& name) const { return folder_ / "secrets" / (name + ".page"); }
    static Bytes bytes(const crypto::Secret& secret) { return to_bytes(secret.view()); }
};

TEST_F(ShredStoreTest, SecretsStayAndDiffer) {
    Bytes k, p;
    {
        auto store = secrets();
        ASSERT_TRUE(store) << store.error().message;
        std::set<Bytes> seen;
        for (int i = 0; i < 20; ++i) {
            const auto slot = (*store)->allocate_study_slot();
            ASSERT_TRUE(slot);
            EXPECT_EQ(*slot, static_cast<Slot>(i));
            const auto pair = (*store)->study_secrets(*slot);
            ASSERT_TRUE(pair);
            EXPECT_TRUE(seen.insert(bytes(pair->k)).second);
            EXPECT_TRUE(seen.insert(bytes(pair->d)).second);
        }
        k = bytes((*store)->study_secrets(3)->k);
        p = bytes(*(*store)->patient_secret(3));
        EXPECT_TRUE(seen.insert(p).second);
    }
    auto again = secrets();
    ASSERT_TRUE(again);
    EXPECT_EQ(bytes((*again)->study_secrets(3)->k), k);
    EXPECT_EQ(bytes(*(*again)->patient_secret(3)), p);
    (*again)->mark_study_slots_used(19);
    EXPECT_EQ((*again)->allocate_study_slot(), 20u);
}

TEST_F(ShredStoreTest, PagesAreMadeAheadAndWhenNeeded) {
    auto store = secrets();
    ASSERT_TRUE(store);
    EXPECT_TRUE(std::filesystem::exists(page("study-000000")));
    (*store)->mark_study_slots_used(kSlotsPerPage - 1);
    EXPECT_FALSE(std::filesystem::exists(page("study-000001")));
    EXPECT_EQ((*store)->allocate_study_slot(), kSlotsPerPage);
    EXPECT_TRUE(std::filesystem::exists(page("study-000001")));
    EXPECT_TRUE((*store)->study_secrets(kSlotsPerPage));
    const auto never = (*store)->study_secrets(2 * kSlotsPerPage);
    ASSERT_FALSE(never);
    EXPECT_EQ(never.error().code, ErrorCode::corrupt) << "not_found would say that it was destroyed";
}

TEST_F(ShredStoreTest, WhatIsDestroyedStaysDestroyed) {
    auto former = File();
    {
        auto store = secrets();
        ASSERT_TRUE(store);
        const auto neighbour = bytes((*store)->study_secrets(6)->d);
        auto opened = File::open(page("study-000000"), File::Mode::read);
        ASSERT_TRUE(opened);
        former = *std::move(opened);
        ASSERT_TRUE((*store)->destroy_study(5));
        ASSERT_TRUE((*store)->destroy_study(5));
        ASSERT_TRUE((*store)->destroy_patient(9));
        EXPECT_EQ((*store)->study_secrets(5).error().code, ErrorCode::not_found);
        EXPECT_NE((*store)->study_secrets(5).error().message.find("destroyed"), std::string::npos);
        EXPECT_EQ(bytes((*store)->study_secrets(6)->d), neighbour);
    }
    Bytes overwritten(*former.size());
    ASSERT_TRUE(former.read_exactly_at(0, overwritten));
    EXPECT_EQ(overwritten, Bytes(overwritten.size(), 0)) << "the former page's bytes are still on the disk";
    auto again = secrets();
    ASSERT_TRUE(again);
    EXPECT_FALSE((*again)->study_secrets(5));
    EXPECT_FALSE((*again)->patient_secret(9));
    EXPECT_TRUE((*again)->patient_secret(5));
}

TEST_F(ShredStoreTest, ADestroyedSlotIsNeverGivenOutAgain) {
    auto store = secrets();
    ASSERT_TRUE(store);
    ASSERT_TRUE((*store)->destroy_study(0));
    EXPECT_EQ((*store)->allocate_study_slot(), 1u);
}

TEST_F(ShredStoreTest, AnotherSitesKeyDoesNotOpenIt) {
    ASSERT_TRUE(secrets(1));
    const auto other = secrets(2);
    ASSERT_FALSE(other);
    EXPECT_EQ(other.error().code, ErrorCode::corrupt);
    EXPECT_NE(other.error().message.find("study-000000.page"), std::string::npos);
    EXPECT_TRUE(secrets(1)) << "a wrong key harms nothing";
}

TEST_F(ShredStoreTest, AChangedBitIsFoundWhereverItIs) {
    ASSERT_TRUE(secrets());
    const auto size = std::filesystem::file_size(page("study-000000"));
    for (const std::uint64_t offset : {0ul, 8ul, 10ul, 11ul, 12ul, 16ul, 24ul, 30ul, 80ul, 90ul, 5000ul, size - 1}) {
        flip(page("study-000000"), offset);
        const auto opened = secrets();
        ASSERT_FALSE(opened) << offset;
        EXPECT_TRUE(opened.error().code == ErrorCode::corrupt || opened.error().code == ErrorCode::unsupported)
            << offset << opened.error().message;
        flip(page("study-000000"), offset);
    }
    EXPECT_TRUE(secrets());
}

TEST_F(ShredStoreTest, ATruncatedMissingOrExchangedPageIsNamed) {
    {
        auto store = secrets();
        ASSERT_TRUE(store);
        (*store)->mark_study_slots_used(2 * kSlotsPerPage - 1);
        ASSERT_TRUE((*store)->allocate_study_slot());
    }
    std::filesystem::rename(page("study-000001"), page("kept"));
    auto missing = secrets();
    ASSERT_FALSE(missing);
    EXPECT_EQ(missing.error().code, ErrorCode::corrupt);
    EXPECT_NE(missing.error().message.find("missing"), std::string::npos);

    std::filesystem::copy_file(page("study-000002"), page("study-000001"));
    std::filesystem::remove(page("kept"));
    auto exchanged = secrets();
    ASSERT_TRUE(exchanged);
    const auto secret = (*exchanged)->study_secrets(kSlotsPerPage);
    ASSERT_FALSE(secret);
    EXPECT_NE(secret.error().message.find("another page under this name"), std::string::npos);

    std::filesystem::resize_file(page("study-000000"), 1000);
    const auto cut = secrets();
    ASSERT_FALSE(cut);
    EXPECT_EQ(cut.error().code, ErrorCode::corrupt);
}

TEST_F(ShredStoreTest, ANewerFormatIsRefusedAsSuch) {
    ASSERT_TRUE(secrets());
    flip(page("study-000000"), 9, 2);
    const auto newer = secrets();
    ASSERT_FALSE(newer);
    EXPECT_EQ(newer.error().code, ErrorCode::unsupported);
}

TEST_F(ShredStoreTest, RenewedPagesKeepNamesAndGetFreshKeysForData) {
    const Keyring former(test_site_key(1), kZero32), now(test_site_key(2), kZero32);
    Bytes k, d, p, unused_k, unused_p;
    {
        auto store = secrets(1);
        ASSERT_TRUE(store);
        k = bytes((*store)->study_secrets(7)->k);
        d = bytes((*store)->study_secrets(7)->d);
        unused_k = bytes((*store)->study_secrets(8)->k);
        p = bytes(*(*store)->patient_secret(2));
        unused_p = bytes(*(*store)->patient_secret(3));
        ASSERT_TRUE((*store)->destroy_study(5));
        EXPECT_EQ((*store)->former_until(), 0U);
    }
    for (int twice = 0; twice < 2; ++twice) ASSERT_TRUE(ShredStore::renew(folder_ / "secrets", former, now, {8, 3, 42}));
    EXPECT_FALSE(secrets(1));
    Bytes fresh;
    for (const bool settled : {false, true}) {
        auto again = secrets(2);
        ASSERT_TRUE(again);
        EXPECT_EQ((*again)->former_until(), settled ? 0U : 42U);
        const auto pair = (*again)->study_secrets(7);
        ASSERT_TRUE(pair);
        EXPECT_EQ(bytes(pair->k), k);
        EXPECT_NE(bytes(pair->d), d);
        EXPECT_EQ(pair->former_until, settled ? 0U : 42U);
        EXPECT_EQ(bytes(pair->former_d), settled ? Bytes() : d);
        if (settled) {
            EXPECT_EQ(bytes(pair->d), fresh);
        }
        fresh = bytes(pair->d);
        EXPECT_NE(bytes((*again)->study_secrets(8)->k), unused_k) << "nothing is named with it yet";
        EXPECT_EQ((*again)->study_secrets(5).error().code, ErrorCode::not_found);
        EXPECT_EQ(bytes(*(*again)->patient_secret(2)), p);
        EXPECT_NE(bytes(*(*again)->patient_secret(3)), unused_p);
        if (!settled) {
            ASSERT_TRUE((*again)->destroy_study(6)) << "an erasure meanwhile";
            EXPECT_EQ((*again)->study_secrets(6).error().code, ErrorCode::not_found);
            (*again)->mark_study_slots_used(kSlotsPerPage - 1);
            EXPECT_EQ((*again)->allocate_study_slot(), kSlotsPerPage);
            EXPECT_EQ((*again)->study_secrets(kSlotsPerPage)->former_until, 0U) << "of a new page";
            ASSERT_TRUE((*again)->forget_former());
            ASSERT_TRUE((*again)->forget_former());
            EXPECT_EQ((*again)->former_until(), 0U);
            EXPECT_EQ((*again)->study_secrets(6).error().code, ErrorCode::not_found);
        }
    }
}

/// The disk refuses one step after the other of what `act` does: the first, then the second … `then` is called after each.
class RefusedStepTest : public ShredStoreTest {
protected:
    using Act = std::function<Result<void>(ShredStore&)>;
    using Then = std::function<void(std::unique_ptr<ShredStore> store, FaultyDisk::Call refused)>;

    void refuse_each_step(const std::function<void()>& prepare, const Act& act, const Then& then) {
        std::set<FaultyDisk::Call> refused;
        for (const int error : {EIO, ENOSPC}) {
            for (int step = 0;; ++step) {
                std::filesystem::remove_all(folder_ / "secrets");
                prepare();
                auto store = secrets();
                ASSERT_TRUE(store) << store.error().message;
                int steps = 0;
                std::optional<FaultyDisk::Call> met;
                Result<void> outcome;
                {
                    const FaultyDisk disk(folder_ / "secrets", [&](const FaultyDisk::Operation& operation) {
                        if (steps++ != step) return 0;
                        met = operation.call;
                        return error;
                    });
                    outcome = act(**store);
                }
                if (!met) {
                    EXPECT_TRUE(outcome) << outcome.error().message;
                    break;
                }
                SCOPED_TRACE("step " + std::to_string(step) + ", error " + std::to_string(error));
                EXPECT_FALSE(outcome) << "a step was refused and nobody was told";
                refused.insert(*met);
                then(*std::move(store), *met);
                for (const auto& entry : std::filesystem::directory_iterator(folder_ / "secrets"))
                    EXPECT_EQ(entry.path().extension(), ".page") << entry.path();
            }
        }
        using Call = FaultyDisk::Call;
        for (const auto call : {Call::create, Call::write, Call::sync, Call::rename, Call::sync_folder})
            EXPECT_TRUE(refused.contains(call));
    }
};

TEST_F(RefusedStepTest, NoSlotIsGivenOutThatIsNotDurable) {
    const auto prepare = [&] { ASSERT_TRUE(secrets()); };
    const auto act = [](ShredStore& store) -> Result<void> {
        store.mark_study_slots_used(kSlotsPerPage - 1);
        FID_TRY(const auto slot, store.allocate_study_slot());
        EXPECT_EQ(slot, kSlotsPerPage);
        return {};
    };
    bool at_once = false;
    refuse_each_step(prepare, act, [&](std::unique_ptr<ShredStore> store, FaultyDisk::Call) {
        at_once = !at_once;
        if (!at_once) {  // the page may have its name already, which nothing has made durable
            store.reset();
            {
                const FaultyDisk disk(folder_ / "secrets", [](const FaultyDisk::Operation& operation) {
                    return operation.call == FaultyDisk::Call::sync_folder ? EIO : 0;
                });
                EXPECT_FALSE(secrets());
            }
            store = secrets().value();
        }
        ASSERT_TRUE(act(*store));
        const auto given = bytes(store->study_secrets(kSlotsPerPage)->d);
        store = secrets().value();
        EXPECT_EQ(bytes(store->study_secrets(kSlotsPerPage)->d), given) << "another secret under a slot that was given out";
        EXPECT_TRUE(store->study_secrets(0));
    });
}

TEST_F(RefusedStepTest, AnErasureThatFailsSaysSoAndIsFinishedLater) {
    Bytes neighbour, erased;
    File former;
    const auto prepare = [&] {
        auto store = secrets().value();
        neighbour = bytes(store->study_secrets(6)->d);
        erased = bytes(store->study_secrets(5)->d);
        former = File::open(page("study-000000"), File::Mode::read).value();
    };
    int way = 0;
    refuse_each_step(
        prepare, [](ShredStore& store) { return store.destroy_study(5); },
        [&](std::unique_ptr<ShredStore> store, FaultyDisk::Call) {
            if (way++ % 2 == 0) {
                store.reset();
                store = secrets().value();
            }
            EXPECT_EQ(bytes(store->study_secrets(6)->d), neighbour);
            const auto there = store->study_secrets(5);  // the old page, or the new one
            EXPECT_TRUE(there ? bytes(there->d) == erased : there.error().code == ErrorCode::not_found);
            ASSERT_TRUE(store->destroy_study(5));
            EXPECT_EQ(store->study_secrets(5).error().code, ErrorCode::not_found);
            store = secrets().value();
            EXPECT_EQ(store->study_secrets(5).error().code, ErrorCode::not_found);
            EXPECT_EQ(bytes(store->study_secrets(6)->d), neighbour);
            Bytes overwritten(*former.size());
            ASSERT_TRUE(former.read_exactly_at(0, overwritten));
            EXPECT_EQ(overwritten, Bytes(overwritten.size(), 0)) << "the former page's bytes are still on the disk";
        });
}

TEST_F(RefusedStepTest, ANewRootKeyIsFinishedWhenItIsRepeated) {
    const Keyring former(test_site_key(1), kZero32), now(test_site_key(2), kZero32);
    Bytes study, data, patient;
    const auto prepare = [&] {
        auto store = secrets().value();
        study = bytes(store->study_secrets(5)->k);
        data = bytes(store->study_secrets(5)->d);
        patient = bytes(*store->patient_secret(5));
    };
    const auto renew = [&](ShredStore&) { return ShredStore::renew(folder_ / "secrets", former, now, {8, 8, 42}); };
    refuse_each_step(prepare, renew, [&](std::unique_ptr<ShredStore> store, FaultyDisk::Call) {
        ASSERT_TRUE(renew(*store));
        store = secrets(2).value();
        EXPECT_EQ(bytes(store->study_secrets(5)->k), study);
        EXPECT_EQ(bytes(store->study_secrets(5)->former_d), data);
        EXPECT_EQ(bytes(*store->patient_secret(5)), patient);
        ASSERT_TRUE(store->forget_former());
    });
}

TEST_F(ShredStoreTest, APageThatNothingReplacedIsNotOverwrittenAsAFormerOne) {
    Bytes secret;
    secret = bytes(secrets().value()->study_secrets(5)->d);
    std::filesystem::create_hard_link(page("study-000000"), page("study-000000").string() + ".former");  // killed right then
    EXPECT_EQ(bytes(secrets().value()->study_secrets(5)->d), secret);
    EXPECT_FALSE(std::filesystem::exists(page("study-000000").string() + ".former"));
}

TEST_F(ShredStoreTest, LeftoversOfAKilledWriterAreIgnored) {
    ASSERT_TRUE(secrets());
    std::ofstream(folder_ / "secrets" / "study-000000.page.new-99-0") << "half a page";
    EXPECT_TRUE(secrets());
    EXPECT_FALSE(std::filesystem::exists(folder_ / "secrets" / "study-000000.page.new-99-0"));
}

}  // namespace
}  // namespace fiducial::store
