#include "store/vault.hpp"

#include <sys/resource.h>

#include <fstream>
#include <thread>

#include "base/hex.hpp"
#include "crypto/hash.hpp"
#include "evidence/data_set_hash.hpp"
#include "store/impl/segment_format.hpp"
#include "store/store_fixture.hpp"

namespace fiducial::store {
namespace {

class VaultTest : public StoreTest {
protected:
    Result<StoredObject> store_bytes(ByteView bytes, std::size_t piece, int number = 1) {
        FID_TRY(auto writer, store_->begin_object(uid("1.2.3")));
        for (std::size_t at = 0; at < bytes.size(); at += piece)
            FID_CHECK(writer.write(bytes.subspan(at, std::min(piece, bytes.size() - at))));
        TestInstance instance;
        instance.sop = "1.2.3.1." + std::to_string(number);
        return store_->commit({std::move(writer), instance.description(), {}, {}});
    }
    std::optional<InstanceRow> reading_row(const std::string& sop) {
        return reading([&](database::Transaction& t) { return store_->index().find_instance(t, uid(sop)); }).value();
    }
    // Where an object's bytes lie, by its record.
    ObjectRecord record_of(const ObjectRef& ref) {
        auto file = File::open(segment_path(ref.location.segment), File::Mode::read);
        Bytes size(4);
        EXPECT_TRUE(file->read_exactly_at(ref.location.offset, size));
        Bytes bytes(read_be<std::uint32_t>(size));
        EXPECT_TRUE(file->read_exactly_at(ref.location.offset, bytes));
        auto record = decode_record(bytes);
        EXPECT_TRUE(record) << record.error().message;
        return std::get<ObjectRecord>(*record);
    }
    static void copy_within(const std::filesystem::path& path, std::uint64_t from, std::uint64_t to, std::size_t size) {
        auto file = File::open(path, File::Mode::read_write);
        ASSERT_TRUE(file);
        Bytes bytes(size);
        ASSERT_TRUE(file->read_exactly_at(from, bytes));
        ASSERT_TRUE(file->write_at(to, bytes));
    }
};

TEST_F(VaultTest, SizesAroundChunksAndExtents) {
    open();
    const std::size_t chunk = 32768;
    int number = 0;
    for (const std::size_t size : {std::size_t{1}, chunk - 1, chunk, chunk + 1, 16 * chunk - 1, 16 * chunk, 16 * chunk + 1, 32 * chunk,
                                   32 * chunk + 1, 33 * chunk, 48 * chunk + 5, 100 * chunk}) {
        const auto bytes = random_bytes(size, size);
        for (const std::size_t piece : {std::size_t{1'000'003}, std::size_t{7777}, chunk}) {
            const auto stored = store_bytes(bytes, piece, ++number);
            ASSERT_TRUE(stored) << stored.error().message;
            EXPECT_EQ(stored->ref.size, size);
            EXPECT_EQ(stored->sha256, crypto::sha256(bytes));
            evidence::DataSetHasher hasher;
            hasher.update(bytes);
            EXPECT_EQ(stored->ref.chunk_root, hasher.finish()->chunk_root);
            EXPECT_EQ(get(*store_, stored->ref), bytes) << size << " in pieces of " << piece;
        }
    }
    const auto report = fsck();
    EXPECT_TRUE(report.clean()) << text_of(report);
}

TEST_F(VaultTest, AnEmptyObjectIsRefused) {
    open();
    const auto stored = store_bytes({}, 1);
    ASSERT_FALSE(stored);
    EXPECT_EQ(stored.error().code, ErrorCode::invalid_argument);
}

TEST_F(VaultTest, AnyRangeInAnyOrder) {
    open();
    const auto bytes = random_bytes(3'333'333, 5);
    const auto stored = store_bytes(bytes, 100'000);
    ASSERT_TRUE(stored);
    auto reader = store_->open_object(stored->ref);
    ASSERT_TRUE(reader);
    EXPECT_EQ(reader->chunk_count(), 102u);
    std::mt19937 random(7);
    for (int i = 0; i < 300; ++i) {
        const std::size_t offset = random() % bytes.size();
        Bytes out(1 + random() % 200'000);
        const auto got = reader->read(offset, out);
        ASSERT_TRUE(got) << got.error().message;
        ASSERT_EQ(*got, std::min(out.size(), bytes.size() - offset));
        ASSERT_TRUE(
            std::equal(out.begin(), out.begin() + static_cast<std::ptrdiff_t>(*got), bytes.begin() + static_cast<std::ptrdiff_t>(offset)));
    }
    Bytes out(10);
    EXPECT_EQ(reader->read(bytes.size(), out), 0u);
    EXPECT_EQ(reader->read(bytes.size() + 5, out), 0u);
    EXPECT_FALSE(reader->read_chunk(102));
}

TEST_F(VaultTest, AnAbandonedObjectLeavesNothing) {
    open();
    {
        auto writer = store_->begin_object(uid("1.2.3"));
        ASSERT_TRUE(writer);
        ASSERT_TRUE(writer->write(random_bytes(5'000'000, 1)));
        writer->abandon();
        EXPECT_FALSE(writer->write(Bytes(1)));
    }
    {
        auto writer = store_->begin_object(uid("1.2.3"));
        ASSERT_TRUE(writer->write(random_bytes(5'000'000, 2)));
    }
    EXPECT_TRUE(store_bytes(random_bytes(10, 3), 10));
    const auto report = fsck();
    EXPECT_TRUE(report.clean()) << text_of(report);
    EXPECT_EQ(report.objects, 1u);
}

TEST_F(VaultTest, WhatAbandonedObjectsTookIsTakenAgain) {
    constexpr std::size_t kObject = 5'000'000;
    open();
    auto stored = store_bytes(random_bytes(kObject, 1), kObject, 1);
    ASSERT_TRUE(stored);
    const auto size = std::filesystem::file_size(segment_path());
    for (std::uint64_t n = 0; n < 4; ++n) {  // duplicates, two at a time, with another object's block behind their bytes
        auto one = store_->begin_object(uid("1.2.3")), two = store_->begin_object(uid("1.2.3"));
        ASSERT_TRUE(one && two);
        for (std::size_t at = 0; at < kObject; at += 1'000'000) {
            ASSERT_TRUE(one->write(random_bytes(1'000'000, n)));
            ASSERT_TRUE(two->write(random_bytes(1'000'000, n + 10)));
        }
        ASSERT_TRUE(store_bytes(random_bytes(10, n), 10, static_cast<int>(n) + 2));
    }
    EXPECT_LT(std::filesystem::file_size(segment_path()), size + 2 * kObject + 100'000);
    const auto next = store_bytes(random_bytes(kObject, 20), kObject, 10), last = store_bytes(random_bytes(kObject, 21), kObject, 11);
    ASSERT_TRUE(next && last);
    EXPECT_LT(std::filesystem::file_size(segment_path()), size + 2 * kObject + 2'000'000) << "one extent of slack each";
    for (const bool again : {false, true}) {
        if (again) open();
        EXPECT_EQ(get(*store_, stored->ref), random_bytes(kObject, 1));
        EXPECT_EQ(get(*store_, next->ref), random_bytes(kObject, 20));
        EXPECT_EQ(get(*store_, last->ref), random_bytes(kObject, 21));
        const auto report = fsck();
        EXPECT_TRUE(report.clean()) << text_of(report);
    }
}

// Threads that store and threads that give up share one segment's extents.
TEST_F(VaultTest, AbandonedObjectsOverwriteNothing) {
    open();
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t) {
        threads.emplace_back([&, t] {
            for (int n = 0; n < 12; ++n) {
                const auto number = t * 100 + n + 1;
                auto given_up = store_->begin_object(uid("1.2.3"));
                ASSERT_TRUE(given_up);
                ASSERT_TRUE(given_up->write(random_bytes(2'500'000, static_cast<std::uint64_t>(number) + 5000)));
                const auto size = static_cast<std::size_t>(1 + number * 104'729 % 3'000'000);
                if (n % 2 == 0) given_up->abandon();
                ASSERT_TRUE(store_bytes(random_bytes(size, static_cast<std::uint64_t>(number)), size, number));
            }
        });
    }
    for (auto& thread : threads) thread.join();
    for (int pass = 0; pass < 2; ++pass) {
        const auto report = fsck();  // reads all of them
        EXPECT_TRUE(report.clean()) << text_of(report);
        EXPECT_EQ(report.objects, 48u);
        open();
    }
}

TEST_F(VaultTest, AChangedBitOfAChunkIsNamedAndNothingOfItServed) {
    open();
    const auto bytes = random_bytes(200'000, 5);
    const auto stored = store_bytes(bytes, 100'000);
    ASSERT_TRUE(stored);
    const auto record = record_of(stored->ref);
    flip(segment_path(), record.extents[0].offset + 3 * kSealedChunkSize + 77);
    auto reader = store_->open_object(stored->ref);
    ASSERT_TRUE(reader);
    Bytes out(bytes.size(), 0xee);
    const auto got = reader->read(0, out);
    ASSERT_FALSE(got);
    EXPECT_EQ(got.error().code, ErrorCode::corrupt);
    EXPECT_NE(got.error().message.find(to_hex(stored->ref.id)), std::string::npos);
    EXPECT_NE(got.error().message.find("chunk 3"), std::string::npos) << got.error().message;
    EXPECT_NE(got.error().message.find("segment 1 offset"), std::string::npos);
    EXPECT_TRUE(reader->read_chunk(2));
    EXPECT_TRUE(reader->read_chunk(4));
    const auto report = fsck();
    ASSERT_EQ(report.findings.size(), 1u) << text_of(report);
    EXPECT_EQ(report.findings[0].kind, Finding::Kind::damaged_object);
    EXPECT_EQ(report.findings[0].subject, to_hex(stored->ref.id));
}

TEST_F(VaultTest, AChangedBitAnywhereInARecordIsFound) {
    open();
    const auto stored = put(TestInstance{});
    Bytes size(4);
    ASSERT_TRUE(File::open(segment_path(), File::Mode::read)->read_exactly_at(stored.ref.location.offset, size));
    for (std::uint64_t at = 0; at < read_be<std::uint32_t>(size); at += 13) {
        flip(segment_path(), stored.ref.location.offset + at);
        const auto reader = store_->open_object(stored.ref);
        ASSERT_FALSE(reader) << at;
        EXPECT_EQ(reader.error().code, ErrorCode::corrupt) << at << ": " << reader.error().message;
        flip(segment_path(), stored.ref.location.offset + at);
    }
    EXPECT_TRUE(store_->open_object(stored.ref));
}

// The checksums tell accidents; these tell intent: the record is made anew with a matching checksum.
TEST_F(VaultTest, AForgedRecordIsFoundWhatevertPartIsChanged) {
    open();
    const auto stored = put(TestInstance{});
    const auto other = put([] {
        TestInstance instance;
        instance.sop = "1.2.3.1.2";
        instance.bytes = random_bytes(100'000, 2);
        return instance;
    }());
    const auto good = record_of(stored.ref);
    const auto foreign = record_of(other.ref);
    const auto put_record = [&](const ObjectRecord& record) {
        const auto bytes = encode_record(record);
        ASSERT_EQ(bytes.size(), encode_record(good).size());
        auto file = File::open(segment_path(), File::Mode::read_write);
        ASSERT_TRUE(file->write_at(stored.ref.location.offset, bytes));
    };
    const auto expect_found = [&](const char* what) {
        auto reader = store_->open_object(stored.ref);
        auto whole = Result<void>();
        if (reader) whole = store_->vault().check_object(stored.ref);
        const auto error = reader ? (whole ? Error{ErrorCode::internal, "nothing"} : whole.error()) : reader.error();
        EXPECT_EQ(error.code, ErrorCode::corrupt) << what << ": " << error.message;
        EXPECT_NE(error.message.find(to_hex(stored.ref.id)), std::string::npos) << what;
    };
    std::vector<std::pair<const char*, std::function<void(ObjectRecord&)>>> forgeries = {
        {"commitment", [](ObjectRecord& r) { r.header.commitment[0] ^= 1; }},
        {"kind", [](ObjectRecord& r) { r.header.kind = ObjectKind::manifest; }},
        {"slot", [](ObjectRecord& r) { r.header.slot += 1; }},
        {"id", [&](ObjectRecord& r) { r.header.id = foreign.header.id; }},
        {"extent", [](ObjectRecord& r) { r.extents[0].offset += 16; }},
        {"extent of another object", [&](ObjectRecord& r) { r.extents = foreign.extents; }},
        {"extent in a missing segment", [](ObjectRecord& r) { r.extents[0].segment = 99; }},
        {"chunk hashes", [](ObjectRecord& r) { r.sealed_chunk_hashes[5] ^= 1; }},
        {"another object's chunk hashes", [&](ObjectRecord& r) { r.sealed_chunk_hashes = foreign.sealed_chunk_hashes; }},
        {"fragment", [](ObjectRecord& r) { r.sealed_fragment[5] ^= 1; }},
        {"fragment id", [](ObjectRecord& r) { r.fragment_id[5] ^= 1; }},
        {"another object's fragment",
         [&](ObjectRecord& r) {
             r.sealed_fragment = foreign.sealed_fragment, r.fragment_id = foreign.fragment_id,
             r.fragment_commitment = foreign.fragment_commitment;
         }},
        {"prefix", [](ObjectRecord& r) { r.sealed_prefix[5] ^= 1; }},
        {"another object's prefix", [&](ObjectRecord& r) { r.sealed_prefix = foreign.sealed_prefix; }},
        {"description", [](ObjectRecord& r) { r.sealed_description[5] ^= 1; }},
        {"another object's description", [&](ObjectRecord& r) { r.sealed_description = foreign.sealed_description; }},
        {"the whole of another object", [&](ObjectRecord& r) { r = foreign; }},
    };
    for (const auto& [what, forge] : forgeries) {
        auto forged = good;
        forge(forged);
        put_record(forged);
        expect_found(what);
    }
    put_record(good);
    EXPECT_TRUE(store_->vault().check_object(stored.ref));
}

TEST_F(VaultTest, SwappedReorderedAndForeignChunksAreFound) {
    open();
    const auto first = store_bytes(random_bytes(100'000, 1), 100'000, 1);
    const auto second = store_bytes(random_bytes(100'000, 2), 100'000, 2);
    ASSERT_TRUE(first && second);
    const auto a = record_of(first->ref).extents[0].offset;
    const auto b = record_of(second->ref).extents[0].offset;
    auto before = File::open(segment_path(), File::Mode::read);
    Bytes saved(kSealedChunkSize);
    ASSERT_TRUE(before->read_exactly_at(a, saved));
    copy_within(segment_path(), a + kSealedChunkSize, a, kSealedChunkSize);  // chunk 1 in the place of chunk 0
    EXPECT_EQ(get(*store_, first->ref).error().code, ErrorCode::corrupt);
    copy_within(segment_path(), b, a, kSealedChunkSize);  // the other object's chunk 0
    EXPECT_EQ(get(*store_, first->ref).error().code, ErrorCode::corrupt);
    auto file = File::open(segment_path(), File::Mode::read_write);
    ASSERT_TRUE(file->write_at(a, saved));
    EXPECT_TRUE(get(*store_, first->ref));
}

TEST_F(VaultTest, AnOlderObjectCannotTakeANewerOnesPlace) {
    open();
    TestInstance instance;
    instance.pixel_sha256.fill(7);
    const auto older = put(instance);
    instance.bytes = random_bytes(100'000, 9);
    const auto newer = put(instance);
    ASSERT_EQ(newer.admission, Admission::new_version);
    auto ref = newer.ref;
    ref.location = older.ref.location;  // as if the older record stood where the newer is
    const auto reader = store_->open_object(ref);
    ASSERT_FALSE(reader);
    EXPECT_EQ(reader.error().code, ErrorCode::corrupt);
    EXPECT_NE(reader.error().message.find("another object stands there"), std::string::npos);
    auto wrong = newer.ref;
    wrong.header_hash = older.ref.header_hash;
    const auto renamed =
        store_->vault().open_object(wrong);  // the store itself would look the row up again: it may have been encrypted anew
    ASSERT_FALSE(renamed);
    EXPECT_EQ(renamed.error().code, ErrorCode::corrupt);
    wrong = newer.ref;
    wrong.chunk_root = older.ref.chunk_root;
    EXPECT_EQ(store_->open_object(wrong).error().code, ErrorCode::corrupt);
}

TEST_F(VaultTest, ATruncatedOrMissingSegmentIsNamed) {
    open();
    const auto stored = store_bytes(random_bytes(100'000, 1), 100'000);
    ASSERT_TRUE(stored);
    const auto size = std::filesystem::file_size(segment_path());
    std::filesystem::resize_file(segment_path(), 50'000);
    auto reader = store_->open_object(stored->ref);
    ASSERT_FALSE(reader);
    EXPECT_EQ(reader.error().code, ErrorCode::corrupt);
    EXPECT_NE(reader.error().message.find("segment"), std::string::npos);
    store_.reset();
    std::filesystem::resize_file(segment_path(), size);
    open();  // it is open for reading again; zeros where bytes stood are damage that is never cut
    auto report = fsck();
    EXPECT_FALSE(report.clean());
    EXPECT_EQ(std::filesystem::file_size(segment_path()), size);
    store_.reset();
    std::filesystem::remove(segment_path());
    const auto missing = try_open();
    ASSERT_FALSE(missing);
    EXPECT_EQ(missing.error().code, ErrorCode::corrupt);
}

TEST_F(VaultTest, SegmentsAreBegunWhenFullAndLargeObjectsGetOneOfTheirOwn) {
    options_.vault.segment_bytes = 300'000;
    options_.vault.own_file_bytes = 2'000'000;
    open();
    std::vector<StoredObject> all;
    std::vector<Bytes> bytes;
    for (int i = 1; i <= 12; ++i) {
        bytes.push_back(random_bytes(static_cast<std::size_t>(i % 4 == 0 ? 5'000'000 : 120'000), static_cast<std::uint64_t>(i)));
        auto stored = store_bytes(bytes.back(), 50'000, i);
        ASSERT_TRUE(stored) << stored.error().message;
        all.push_back(*stored);
    }
    EXPECT_GT(store_->vault().usage()->segments, 6u);
    open();
    for (std::size_t i = 0; i < all.size(); ++i) EXPECT_EQ(get(*store_, all[i].ref), bytes[i]) << i;
    const auto report = fsck();
    EXPECT_TRUE(report.clean()) << text_of(report);

    const auto expected = store_->begin_object(uid("1.2.3"), ObjectKind::instance, 3'000'000);
    ASSERT_TRUE(expected);
}

TEST_F(VaultTest, ASegmentThatWasNeverBegunIsNoDamage) {
    open();
    std::vector<StoredObject> stored;
    unsigned number = 1;
    for (const std::size_t size : {0, 100, 512}) {  // its header could not be written, and its removal was not durable when the power went
        stored.push_back(store_bytes(random_bytes(100'000, number), 50'000, static_cast<int>(number)).value());
        store_.reset();
        ASSERT_TRUE(write_file_atomically(segment_path(number + 1), random_bytes(size, 7)));
        open();
        number += 2;
    }
    stored.push_back(store_bytes(random_bytes(100'000, number), 50'000, static_cast<int>(number)).value());
    EXPECT_EQ(stored.back().ref.location.segment, number);
    const auto report = fsck();
    EXPECT_TRUE(report.clean()) << text_of(report);
    ASSERT_TRUE(store_->rebuild_index());
    for (const auto& object : stored) EXPECT_TRUE(reading_row(object.description.sop_uid.text()));
    // With anything behind its header it was begun, and that header is damaged.
    store_.reset();
    ASSERT_TRUE(write_file_atomically(segment_path(number + 1), random_bytes(513, 7)));
    open();
    EXPECT_FALSE(fsck().clean());
}

TEST_F(VaultTest, AKilledUploadOfALargeObjectIsRemovedByRepairAndALiveOneIsNot) {
    options_.vault.own_file_bytes = 2'000'000;
    open();
    ASSERT_TRUE(store_bytes(random_bytes(100'000, 1), 50'000));
    std::filesystem::path saved = folder_ / "killed";
    {
        auto killed = store_->begin_object(uid("1.2.3"), ObjectKind::instance, 5'000'000);
        ASSERT_TRUE(killed);
        ASSERT_TRUE(killed->write(random_bytes(3'000'000, 2)));
        const auto while_it_comes = fsck(true);
        EXPECT_TRUE(while_it_comes.clean()) << text_of(while_it_comes);
        std::filesystem::copy_file(segment_path(2), saved);
    }
    store_.reset();
    std::filesystem::rename(saved, segment_path(2));  // as a kill leaves it
    open();
    ASSERT_TRUE(store_bytes(random_bytes(5'000'000, 3), 50'000, 2)) << "another large object, which is kept";
    auto report = fsck();
    ASSERT_EQ(report.findings.size(), 1u) << text_of(report);
    EXPECT_EQ(report.findings[0].kind, Finding::Kind::unused_segment);
    EXPECT_EQ(report.findings[0].subject, "2");
    // A record that is lost might name it: it stays.
    store_.reset();
    std::filesystem::rename(segment_path(3), folder_ / "lost");
    open();
    report = fsck(true);
    EXPECT_GT(report.findings.size(), 1u);
    EXPECT_TRUE(std::filesystem::exists(segment_path(2)));
    store_.reset();
    std::filesystem::rename(folder_ / "lost", segment_path(3));
    open();
    const auto quarantined = reading([&](database::Transaction& t) { return store_->index().list_quarantined(t); });
    for (const auto& row : *quarantined) ASSERT_TRUE(store_->restore(row.object.ref.id));
    EXPECT_TRUE(fsck(true).clean());
    EXPECT_FALSE(std::filesystem::exists(segment_path(2)));
    EXPECT_TRUE(std::filesystem::exists(segment_path(3)));
    EXPECT_TRUE(fsck().clean());
}

TEST_F(VaultTest, AnExceptionInAGroupIsAnErrorAndStopsStoring) {
    open();
    store_->vault().set_group_hook([](Group&, Location) -> Result<void> { throw std::runtime_error("a test"); });
    for (int i = 1; i <= 2; ++i) {
        const auto stored = store_bytes(random_bytes(10, 3), 10, i);
        ASSERT_FALSE(stored);
        EXPECT_EQ(stored.error().code, ErrorCode::unavailable) << stored.error().message;
    }
    open();
    EXPECT_EQ(store_->recovered(), 1u) << "it was durable by then";
    EXPECT_TRUE(fsck().clean());
}

TEST_F(VaultTest, ManyWritersShareSyncsAndKeepTheirBytes) {
    options_.vault.segment_bytes = 4'000'000;
    open();
    constexpr int kThreads = 8, kEach = 12;
    std::vector<std::thread> threads;
    std::mutex mutex;
    std::vector<std::pair<ObjectRef, std::uint64_t>> all;
    for (int t = 0; t < kThreads; ++t) {
        threads.emplace_back([&, t] {
            for (int i = 0; i < kEach; ++i) {
                const auto seed = static_cast<std::uint64_t>(t * 1000 + i);
                TestInstance instance;
                instance.sop = "1.2.3.1." + std::to_string(seed + 1);
                instance.bytes = random_bytes(1 + (seed * 7919) % 2'500'000, seed);
                const auto stored = put(*store_, instance);
                ASSERT_TRUE(stored) << stored.error().message;
                EXPECT_EQ(stored->admission, Admission::stored);
                const std::lock_guard lock(mutex);
                all.emplace_back(stored->ref, seed);
            }
        });
    }
    for (auto& thread : threads) thread.join();
    ASSERT_EQ(all.size(), static_cast<std::size_t>(kThreads * kEach));
    for (const auto& [ref, seed] : all) EXPECT_EQ(get(*store_, ref), random_bytes(1 + (seed * 7919) % 2'500'000, seed));
    const auto report = fsck();
    EXPECT_TRUE(report.clean()) << text_of(report);
}

// A third of a gigabyte shows what a larger object would show at a price: memory does not follow size.
TEST_F(VaultTest, LargeObjectsStreamThroughInFlatMemory) {
    options_.vault.own_file_bytes = std::uint64_t{256} << 20;
    open();
    constexpr std::uint64_t kSize = (std::uint64_t{330} << 20) + 123'456;
    const auto piece = random_bytes(1 << 20, 3);
    struct rusage before {
    }, after{};
    ::getrusage(RUSAGE_SELF, &before);
    auto writer = store_->begin_object(uid("1.2.3"), ObjectKind::instance, kSize);
    ASSERT_TRUE(writer);
    crypto::Sha256 written;
    for (std::uint64_t done = 0; done < kSize;) {
        const auto part = ByteView(piece).first(std::min<std::uint64_t>(piece.size(), kSize - done));
        ASSERT_TRUE(writer->write(part));
        written.update(part);
        done += part.size();
    }
    const auto sha256 = written.finish();
    auto stored = store_->commit({*std::move(writer), TestInstance{}.description(), {}, {}});
    ASSERT_TRUE(stored) << stored.error().message;
    EXPECT_EQ(stored->sha256, sha256);
    EXPECT_TRUE(std::filesystem::exists(segment_path(2)));
    auto reader = store_->open_object(stored->ref);
    ASSERT_TRUE(reader);
    crypto::Sha256 read;
    Bytes out(1 << 20);
    for (std::uint64_t at = 0; at < kSize;) {
        const auto got = reader->read(at, out);
        ASSERT_TRUE(got) << got.error().message;
        read.update(ByteView(out).first(*got));
        at += *got;
    }
    EXPECT_EQ(read.finish(), sha256);
    ::getrusage(RUSAGE_SELF, &after);
    EXPECT_LT(after.ru_maxrss - before.ru_maxrss, 64 * 1024) << " KiB more for 330 MiB";
}

TEST_F(VaultTest, NothingReadableStandsInTheSegments) {
    open();
    TestInstance instance;
    instance.patient_id = "SECRETPATIENT";
    instance.name = "SECRETNAME^JANE";
    instance.bytes = to_bytes(as_bytes(std::string(50'000, 'Q') + "SECRETNAME"));
    instance.fragment = R"({"x":"SECRETNAME"})";
    instance.prefix = "SECRETPREFIX";
    put(instance);
    store_.reset();
    for (const auto& entry : std::filesystem::recursive_directory_iterator(folder_)) {
        if (!entry.is_regular_file() || entry.path().filename().string().starts_with("index.db")) continue;
        const auto bytes = read_file(entry.path(), 1 << 30);
        ASSERT_TRUE(bytes);
        EXPECT_EQ(as_text(*bytes).find("SECRET"), std::string_view::npos) << entry.path();
        EXPECT_EQ(as_text(*bytes).find("1.2.3.1"), std::string_view::npos) << entry.path();
        EXPECT_EQ(as_text(*bytes).find("QQQQ"), std::string_view::npos) << entry.path();
    }
}

TEST_F(VaultTest, SameBytesTwiceAreSealedDifferently) {
    open();
    const auto bytes = random_bytes(40'000, 1);
    const auto first = store_bytes(bytes, 40'000, 1);
    const auto second = store_bytes(bytes, 40'000, 2);
    ASSERT_TRUE(first && second);
    auto file = File::open(segment_path(), File::Mode::read);
    Bytes a(1000), b(1000);
    ASSERT_TRUE(file->read_exactly_at(record_of(first->ref).extents[0].offset, a));
    ASSERT_TRUE(file->read_exactly_at(record_of(second->ref).extents[0].offset, b));
    EXPECT_NE(a, b);
}

TEST_F(VaultTest, CommittedPartsMakeAWholeStoreAlthoughUploadsGoOn) {
    options_.vault.segment_bytes = 6u << 20;
    options_.vault.own_file_bytes = 2u << 20;
    open();
    const auto instance = [](int number) {
        TestInstance out;
        out.sop = "1.2.3.1." + std::to_string(number);
        out.bytes = random_bytes(300'000, number);
        return out;
    };
    const auto begin = [&](std::size_t size, std::uint64_t expected) {
        auto writer = store_->begin_object(uid("1.2.3"), ObjectKind::instance, expected).value();
        EXPECT_TRUE(writer.write(random_bytes(size, 99)));
        return writer;
    };
    for (int i = 0; i < 20; ++i) put(instance(i));  // former segments, and the one that is open
    auto below = begin(1'500'000, 0);               // an extent that lies before blocks that are committed …
    auto large = begin(3'000'000, 5'000'000);       // … and a segment that no record names yet
    for (int i = 20; i < 23; ++i) put(instance(i));
    ASSERT_TRUE(large.write(random_bytes(10, 1)));
    const auto copy = folder_ / "copy";
    std::filesystem::create_directories(copy / "segments");
    std::filesystem::create_directories(copy / "secrets");
    ASSERT_TRUE(store_->database().read([&](database::Transaction& t) {
        return store_->database().copy(t, copy / "index.db", [](auto, auto) { return Result<void>(); });
    }));
    for (int i = 23; i < 26; ++i) put(instance(i));  // after the index, before the parts: found again when the copy is opened
    const auto parts = store_->vault().committed_parts().value();
    ASSERT_GE(parts.size(), 2U);

    TestInstance late = instance(90);
    ASSERT_TRUE(store_->commit({std::move(below), late.description(), {}, {}}));
    late.sop = "1.2.3.1.91";
    ASSERT_TRUE(store_->commit({std::move(large), late.description(), {}, {}}));
    for (int i = 100; i < 130; ++i) put(instance(i));
    for (const auto& part : parts) {
        const auto bytes = read_file(segment_path(part.segment.number), 1 << 30).value();
        ASSERT_LE(part.bytes, bytes.size());
        ASSERT_TRUE(write_file_atomically(copy / "segments" / segment_file_name(part.segment), ByteView(bytes).first(part.bytes)));
    }
    ASSERT_TRUE(store_->secrets().copy_pages(
        [&](const std::string& name, ByteView page) { return write_file_atomically(copy / "secrets" / name, page); }));
    std::filesystem::copy_file(folder_ / "store/site.id", copy / "site.id");

    store_.reset();
    store_ = Store::open(copy, test_site_key(), options_).value();
    EXPECT_EQ(store_->recovered(), 3U);
    const auto report = fsck();
    EXPECT_TRUE(report.clean()) << text_of(report);
    EXPECT_EQ(report.objects, 26U);
    for (int i = 0; i < 26; ++i) {
        const auto row = reading_row("1.2.3.1." + std::to_string(i));
        ASSERT_TRUE(row) << i;
        EXPECT_EQ(row->object.state, ObjectState::current);
        EXPECT_EQ(get(*store_, row->object.ref), random_bytes(300'000, i));
    }
    put(instance(200));
    EXPECT_TRUE(fsck().clean());
}

}  // namespace
}  // namespace fiducial::store
