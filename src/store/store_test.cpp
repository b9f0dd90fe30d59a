#include "store/store.hpp"

#include <sqlite3.h>

#include <thread>

#include "crypto/hash.hpp"
#include "store/store_fixture.hpp"

namespace fiducial::store {
namespace {

TEST_F(StoreTest, GivesBackWhatItWasGiven) {
    open();
    TestInstance instance;
    const auto stored = put(instance);
    EXPECT_EQ(stored.admission, Admission::stored);
    EXPECT_EQ(stored.sha256, crypto::sha256(instance.bytes));
    const auto row = reading([&](database::Transaction& t) { return store_->index().find_instance(t, uid(instance.sop)); });
    ASSERT_TRUE(row) << row.error().message;
    ASSERT_TRUE(*row);
    EXPECT_EQ((*row)->object.sha256, stored.sha256);
    EXPECT_EQ((*row)->number, "7");
    auto reader = store_->open_object((*row)->object.ref);
    ASSERT_TRUE(reader) << reader.error().message;
    EXPECT_EQ(get(*store_, (*row)->object.ref), instance.bytes);
    EXPECT_EQ(reader->fragment(), to_bytes(as_bytes(instance.fragment)));
    EXPECT_EQ(reader->prefix(), to_bytes(as_bytes(instance.prefix)));
    const auto report = fsck();
    EXPECT_TRUE(report.clean()) << text_of(report);
    EXPECT_EQ(report.objects, 1u);

    open();  // and after a restart
    EXPECT_EQ(store_->recovered(), 0u);
    EXPECT_EQ(get(*store_, stored.ref), instance.bytes);
}

}  // namespace
}  // namespace fiducial::store
