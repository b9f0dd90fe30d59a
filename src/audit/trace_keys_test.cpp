// What happens to a trace when the key of its MACs is changed because the former one is known to somebody.
#include <gtest/gtest.h>
#include <stdlib.h>

#include "audit/impl/trace_format.hpp"
#include "audit/trace.hpp"
#include "base/file.hpp"

namespace fiducial::audit {
namespace {

namespace fs = std::filesystem;

class TraceKeysTest : public testing::Test {
protected:
    void SetUp() override {
        std::string name = (fs::temp_directory_path() / "fiducial-trace-keys-XXXXXX").string();
        ASSERT_NE(::mkdtemp(name.data()), nullptr);
        folder_ = name;
    }
    void TearDown() override { fs::remove_all(folder_); }

    static crypto::Secret key(std::uint8_t number) { return crypto::Secret::copy_of(Bytes(32, number)); }
    /// The key with this number is the present one; those before it vouch for so many entries each.
    static TraceKeys keys(std::uint8_t number, std::initializer_list<std::uint64_t> former) {
        TraceKeys out(key(number));
        auto earlier = static_cast<std::uint8_t>(number - former.size());
        for (const auto entries : former) out.former.push_back({key(earlier++), entries});
        return out;
    }
    static Entry numbered(std::uint64_t number) {
        Entry entry;
        entry.operation = 1;
        entry.block_number = number;
        return entry;
    }
    void add(const TraceKeys& present, std::uint64_t from, std::uint64_t to) const {
        const auto trace = Trace::create(folder_, present.clone());
        ASSERT_TRUE(trace) << trace.error().message;
        for (std::uint64_t i = from; i < to; ++i) ASSERT_EQ((*trace)->append_durable(numbered(i), {}).value(), i);
    }
    Bytes read(std::string_view name) const { return read_file(folder_ / name, 1 << 20).value(); }
    void write(std::string_view name, ByteView bytes) const { ASSERT_TRUE(write_file_atomically(folder_ / name, bytes)); }
    /// A record as somebody makes it who has a key.
    Bytes forged(const TraceKeys& with, std::uint64_t index, std::uint64_t number) const {
        const auto log = read(impl::kLogName);
        auto log_key = impl::parse_header(ByteView(log).first(impl::kHeaderSize), keys(3, {3, 5})).value();
        log_key.keys = with.clone();
        const auto entry = encode_entry(numbered(number), {}).value();
        Bytes record;
        impl::append_record(record, log_key, index, 0, entry, entry_leaf_hash(entry));
        return record;
    }

    fs::path folder_;
};

TEST_F(TraceKeysTest, FormerEntriesStayAsTheyAreAndLaterOnesAreUnderTheNewKey) {
    add(key(1), 0, 3);
    const auto root = Trace::open(folder_, key(1)).value()->root();
    for (int twice = 0; twice < 2; ++twice) {
        const auto changed = Trace::change_key(folder_, keys(2, {3}));
        ASSERT_TRUE(changed) << changed.error().message;
    }
    EXPECT_EQ(Trace::open(folder_, keys(2, {3})).value()->root(), root);
    EXPECT_FALSE(Trace::open(folder_, key(1)));
    EXPECT_FALSE(Trace::open(folder_, key(2)));
    add(keys(2, {3}), 3, 5);
    ASSERT_TRUE(Trace::change_key(folder_, keys(3, {3, 5})));
    add(keys(3, {3, 5}), 5, 9);
    const auto report = Trace::check_folder(folder_, keys(3, {3, 5})).value();
    EXPECT_TRUE(report.clean()) << report.faults.front().message;
    EXPECT_EQ(report.size, 9U);
    const auto trace = Trace::open(folder_, keys(3, {3, 5})).value();
    for (std::uint64_t i = 0; i < 9; ++i) EXPECT_EQ(trace->read(i)->clear.block_number, i);
    EXPECT_EQ(trace->root_at(3).value(), root);
    EXPECT_TRUE(trace->check()->clean());
}

TEST_F(TraceKeysTest, WhoeverHasAFormerKeyForgesNothing) {
    add(key(1), 0, 3);
    const auto former_head = read(impl::kHeadName);
    ASSERT_TRUE(Trace::change_key(folder_, keys(2, {3})));
    add(keys(2, {3}), 3, 5);
    ASSERT_TRUE(Trace::change_key(folder_, keys(3, {3, 5})));
    const auto log = read(impl::kLogName), head = read(impl::kHeadName);
    const auto present = keys(3, {3, 5});
    for (const auto known : {std::uint8_t{1}, std::uint8_t{2}}) {
        // An entry more: it does not count, and is cut off.
        Bytes longer = log;
        append(longer, forged(key(known), 5, 99));
        write(impl::kLogName, longer);
        EXPECT_EQ(Trace::check_folder(folder_, present)->torn_tail_bytes, longer.size() - log.size());
        EXPECT_EQ(Trace::open(folder_, present.clone()).value()->size(), 5U);
    }
    // Another entry in the place of one that the key vouches for: the head, which it does not vouch for, has another root.
    write(impl::kHeadName, head);
    Bytes other = log;
    const auto record = forged(key(1), 1, 99);
    std::copy(record.begin(), record.end(), other.begin() + static_cast<std::ptrdiff_t>(impl::kHeaderSize + record.size()));
    write(impl::kLogName, other);
    const auto report = Trace::check_folder(folder_, present).value();
    ASSERT_EQ(report.faults.size(), 1U);
    EXPECT_EQ(report.faults[0].message, "the entries do not give the root of the head at size 5");
    // An earlier head, or one made with a former key.
    write(impl::kLogName, log);
    write(impl::kHeadName, former_head);
    EXPECT_EQ(Trace::open(folder_, present.clone()).error().code, ErrorCode::corrupt);
    EXPECT_FALSE(Trace::change_key(folder_, present));
}

TEST_F(TraceKeysTest, AChangeThatWasInterruptedIsFinished) {
    add(key(1), 0, 1);
    const auto older = read(impl::kHeadName);
    add(key(1), 1, 3);
    const auto before = read(impl::kHeadName);
    ASSERT_TRUE(Trace::change_key(folder_, keys(2, {3})));
    const auto after = read(impl::kHeadName);
    auto between = after;  // the new head is written, the former one not yet overwritten
    const auto former = after[0] == 0 ? std::size_t{0} : impl::kHeadSlotSize;
    std::copy_n(before.begin() + static_cast<std::ptrdiff_t>(former), impl::kHeadSlotSize,
                between.begin() + static_cast<std::ptrdiff_t>(former));
    for (const auto& head : {before, between, after}) {
        write(impl::kHeadName, head);
        ASSERT_TRUE(Trace::change_key(folder_, keys(2, {3})));
        EXPECT_EQ(read(impl::kHeadName), after);
    }
    EXPECT_EQ(Trace::open(folder_, keys(2, {3})).value()->size(), 3U);
    EXPECT_FALSE(Trace::open(folder_, key(1)));
    // A head that was older on the disk than in memory when the power was cut.
    write(impl::kHeadName, older);
    ASSERT_TRUE(Trace::change_key(folder_, keys(2, {3})));
    EXPECT_EQ(Trace::open(folder_, keys(2, {3})).value()->size(), 3U);
    EXPECT_EQ(Trace::change_key(folder_, keys(3, {3, 4})).error().code, ErrorCode::corrupt) << "it has another size";
}

TEST_F(TraceKeysTest, ATraceThatIsBegunAnewIsUnderThePresentKeyAlone) {
    add(keys(2, {3}), 0, 5);
    const auto report = Trace::check_folder(folder_, keys(2, {3})).value();
    EXPECT_TRUE(report.clean());
    EXPECT_EQ(Trace::open(folder_, key(2)).value()->size(), 5U);
}

}  // namespace
}  // namespace fiducial::audit
