#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <map>
#include <set>
#include <thread>

#include "store/impl/rows.hpp"
#include "store/impl/shred_page.hpp"
#include "store/impl/vault_state.hpp"
#include "store/rights.hpp"
#include "store/store_fixture.hpp"

namespace fiducial::store {
namespace {

class ReencryptionTest : public StoreTest {
protected:
    void SetUp() override {
        StoreTest::SetUp();
        options_.vault.segment_bytes = 1'000'000;
        options_.vault.own_file_bytes = 3'000'000;
    }
    static TestInstance numbered(int study, int number, std::size_t size = 120'000) {
        TestInstance i;
        i.study = "1.2." + std::to_string(study);
        i.patient_id = "P" + std::to_string(study);
        i.series = i.study + ".1";
        i.sop = i.series + "." + std::to_string(number);
        i.bytes = random_bytes(size, static_cast<std::uint64_t>(study * 1000 + number));
        return i;
    }
    Result<void> change_root(std::uint8_t from, std::uint8_t to, const UsedSecrets& used) {
        FID_TRY(const auto lock, Store::lock(folder_ / "store"));
        return Store::change_root(folder_ / "store", test_site_key(from), test_site_key(to), used, options_,
                                  [](database::Database&, database::Transaction&) { return Result<void>(); });
    }
    // Closes the store, and opens it again under another root.
    void change_root(std::uint8_t from, std::uint8_t to) {
        const auto used = store_->used_secrets();
        store_.reset();
        const auto changed = change_root(from, to, used);
        ASSERT_TRUE(changed) << changed.error().message;
        key_ = to;
        open_again();
    }
    void open_again() {
        store_.reset();
        auto opened = try_open(key_);
        ASSERT_TRUE(opened) << opened.error().message;
        store_ = *std::move(opened);
    }
    ReencryptionReport reencrypt(std::function<Result<void>(std::uint64_t)> pace = {}) {
        auto report = store_->reencrypt({std::move(pace), {}});
        EXPECT_TRUE(report) << report.error().message;
        return report.value_or(ReencryptionReport{});
    }
    void finish() {
        const auto report = reencrypt();
        EXPECT_TRUE(report.finished) << (report.left.empty() ? "" : report.left.front());
        EXPECT_FALSE(store_->is_reencrypting());
    }
    void expect_clean() {
        const auto report = fsck();
        EXPECT_TRUE(report.clean()) << text_of(report);
    }
    std::optional<InstanceRow> find(const TestInstance& instance) {
        return *reading([&](database::Transaction& t) { return store_->index().find_instance(t, uid(instance.sop)); });
    }
    void expect_stored(const TestInstance& instance) {
        const auto row = find(instance);
        ASSERT_TRUE(row) << instance.sop;
        const auto bytes = get(*store_, row->object.ref);
        ASSERT_TRUE(bytes) << bytes.error().message;
        EXPECT_EQ(*bytes, instance.bytes) << instance.sop;
        const auto reader = store_->open_object(row->object.ref);
        EXPECT_EQ(as_text(*reader->fragment()), instance.fragment);
        EXPECT_EQ(as_text(*reader->prefix()), instance.prefix);
    }
    std::vector<std::string> index() {
        std::vector<std::string> lines;
        const auto objects = reading([&](database::Transaction& t) { return store_->index().list_objects(t, "", 100'000); });
        EXPECT_TRUE(objects) << objects.error().message;
        for (const auto& o : *objects) {
            lines.push_back(to_hex(o.ref.id) + " " + std::string(name_of(o.state)) + " " + describe(o.ref.location) + " " +
                            std::to_string(o.stored_size) + " " + to_hex(o.ref.header_hash) + " " + to_hex(o.ref.chunk_root));
        }
        return lines;
    }
    std::vector<std::filesystem::path> files(const std::string& folder) const {
        std::vector<std::filesystem::path> paths;
        for (const auto& entry : std::filesystem::directory_iterator(folder_ / "store" / folder)) paths.push_back(entry.path());
        std::sort(paths.begin(), paths.end());
        return paths;
    }
    std::uint8_t key_ = 1;
};

// What can be stored, in every state that it can be in.
TEST_F(ReencryptionTest, UnderTheFormerKeysNothingOpensAndEverythingIsWhatItWas) {
    open();
    for (int n = 0; n < 12; ++n) put(numbered(n % 3, n));
    auto changed = numbered(4, 1);
    changed.pixel_sha256.fill(7);
    put(changed);
    changed.bytes = random_bytes(110'000, 77);
    ASSERT_EQ(put(changed).admission, Admission::new_version);
    ASSERT_EQ(put(changed).admission, Admission::duplicate);
    auto aside = numbered(4, 1);
    aside.bytes = random_bytes(130'000, 78);
    const auto discarded = put(aside);
    ASSERT_EQ(discarded.admission, Admission::set_aside);
    ASSERT_TRUE(store_->change_state(discarded.ref.id, ObjectState::discarded, "no"));
    aside.bytes = random_bytes(130'000, 79);
    const auto waiting = put(aside);
    auto large = numbered(5, 1, 4'000'000);
    auto writer = store_->begin_object(uid(large.study), ObjectKind::instance, large.bytes.size());
    ASSERT_TRUE(writer->write(large.bytes));
    auto straddling = numbered(6, 1, 2'600'000);
    auto straddler = store_->begin_object(uid(straddling.study));
    ASSERT_TRUE(straddler->write(ByteView(straddling.bytes).first(1'500'000)));
    for (int n = 0; n < 8; ++n) put(numbered(7, n));
    ASSERT_TRUE(straddler->write(ByteView(straddling.bytes).subspan(1'500'000)));
    ASSERT_FALSE(store_
                     ->commit({*std::move(straddler), straddling.description(), to_bytes(as_bytes(straddling.fragment)),
                               to_bytes(as_bytes(straddling.prefix))})
                     ->elsewhere.empty());
    ASSERT_TRUE(
        store_->commit({*std::move(writer), large.description(), to_bytes(as_bytes(large.fragment)), to_bytes(as_bytes(large.prefix))}));
    const auto looked_at = put(numbered(8, 1));
    ASSERT_TRUE(store_->quarantine(looked_at.ref.id, "to be looked at"));
    ASSERT_TRUE(store_->restore(looked_at.ref.id));
    const auto erased = put(numbered(9, 1));
    ASSERT_TRUE(store_->erase_study(uid("1.2.9")));
    Rights rights(store_->keyring());
    RightsChange granted;
    granted.fact = RightsFact{1};
    granted.about.fill(3);
    ASSERT_TRUE(store_->database().write(database::Durability::full, [&](database::Transaction& t) -> Result<void> {
        for (std::uint64_t block = 1; block < 4; ++block) FID_CHECK(rights.apply(t, block, 1000, {&granted, 1}));
        LocalDenial denial;
        denial.subject.fill(4);
        for (int n = 0; n < 2; ++n) FID_CHECK(rights.add_denial(t, denial));
        LocalChange here;
        here.change = granted;
        FID_CHECK(rights.add_local_change(t, here));
        return {};
    }));
    expect_clean();

    // What somebody copied who has the root key: all secrets, and what they open.
    const Keyring stolen(test_site_key(1), store_->keyring().site_id());
    const auto used = store_->used_secrets();
    struct Copied {
        Bytes k, d;
    };
    std::map<Slot, Copied> stolen_secrets;
    for (Slot slot = 0; slot < kSlotsPerPage; ++slot) {
        if (const auto pair = store_->secrets().study_secrets(slot))
            stolen_secrets[slot] = {to_bytes(pair->k.view()), to_bytes(pair->d.view())};
    }
    const auto patient = to_bytes(store_->secrets().patient_secret(1)->view());
    const auto next_patient = to_bytes(store_->secrets().patient_secret(used.patient_slots)->view());
    const auto segments = files("segments");
    const auto before = index();
    const auto stored = *reading([&](database::Transaction& t) { return store_->index().list_objects(t, "", 1000); });

    change_root(1, 2);
    EXPECT_EQ(try_open(1).error().code, ErrorCode::locked);
    EXPECT_TRUE(store_->is_reencrypting());
    EXPECT_EQ(store_->reencryption_status().segments_left, segments.size());
    expect_clean();
    put(numbered(10, 1));
    ASSERT_TRUE(store_->erase_study(uid("1.2.0")));
    CompactionOptions eager;
    eager.least_dead_bytes = 1;
    eager.dead_percent = 1;
    ASSERT_TRUE(store_->compact(eager));
    EXPECT_EQ(files("segments").size(), segments.size() + 1) << "what is to be encrypted anew is not rewritten before";
    const auto reading_on = store_->open_object(find(large)->object.ref);
    finish();

    for (const bool again : {false, true}) {
        if (again) open_again();
        for (int n = 0; n < 12; ++n) {
            if (n % 3 != 0) expect_stored(numbered(n % 3, n));
        }
        for (int n = 0; n < 8; ++n) expect_stored(numbered(7, n));
        for (const auto* one : {&changed, &large, &straddling}) expect_stored(*one);
        expect_stored(numbered(8, 1));
        expect_stored(numbered(10, 1));
        expect_clean();
        const auto now = index();
        EXPECT_EQ(now.size(), before.size() - 4 + 1);
        ASSERT_TRUE(store_->rebuild_index());
        EXPECT_EQ(index(), now);
        expect_clean();
        EXPECT_TRUE(reading([&](database::Transaction& t) { return Rights(store_->keyring()).check_all(t); })->empty());
        EXPECT_EQ(reading([&](database::Transaction& t) { return Rights(store_->keyring()).denials(t); })->size(), 2U);
        EXPECT_EQ(reading([&](database::Transaction& t) { return Rights(store_->keyring()).local_changes(t); })->size(), 1U);
    }
    EXPECT_EQ(put(changed).admission, Admission::duplicate);
    EXPECT_EQ(store_->open_object(erased.ref).error().code, ErrorCode::not_found);
    EXPECT_EQ(reading([&](database::Transaction& t) { return store_->index().find_object(t, discarded.ref.id); })->value().state,
              ObjectState::discarded);
    ASSERT_TRUE(store_->change_state(waiting.ref.id, ObjectState::current, "it is the right one"));
    EXPECT_EQ(*get(*store_, find(aside)->object.ref), aside.bytes);
    for (const auto& row : stored) {
        const auto opened = store_->open_object(row.ref);
        if (row.study_uid == uid("1.2.0") || row.state == ObjectState::duplicate || row.state == ObjectState::discarded) {
            ASSERT_FALSE(opened);
            EXPECT_EQ(opened.error().code, ErrorCode::not_found);
        } else {
            EXPECT_TRUE(opened) << "who has read the row before still finds it: " << opened.error().message;
        }
    }
    Bytes bytes(large.bytes.size());
    ASSERT_TRUE(reading_on);
    EXPECT_EQ(const_cast<ObjectReader&>(*reading_on).read(0, bytes).value_or(0), bytes.size());
    EXPECT_EQ(bytes, large.bytes) << "who was reading goes on";

    // Names stay, and nothing else.
    for (const auto& [slot, was] : stolen_secrets) {
        const auto is = store_->secrets().study_secrets(slot);
        if (!is) continue;
        EXPECT_EQ(is->former_until, 0U);
        EXPECT_NE(to_bytes(is->d.view()), was.d);
        EXPECT_EQ(to_bytes(is->k.view()) == was.k, slot < used.study_slots) << slot;
    }
    ASSERT_TRUE(store_->secrets().patient_secret(1));
    EXPECT_EQ(to_bytes(store_->secrets().patient_secret(1)->view()), patient);
    EXPECT_NE(to_bytes(store_->secrets().patient_secret(used.patient_slots)->view()), next_patient);
    EXPECT_EQ(store_->secrets().study_secrets(stored.front().ref.slot).has_value(), stored.front().study_uid != uid("1.2.0"));

    // Every page, every record, every row: under the former keys nothing opens, and nothing fits.
    for (const auto& path : segments) EXPECT_FALSE(std::filesystem::exists(path)) << path;
    for (const auto& path : files("secrets"))
        EXPECT_FALSE(ShredPage::open(*read_file(path, kMaxShredPageBytes), stolen.shred_key())) << path;
    std::size_t records = 0;
    for (const auto& path : files("segments")) {
        const auto file = *read_file(path, 1 << 30);
        for (std::uint64_t at = kBlockAlignment; at + kBlockHeaderSize < file.size(); at += kBlockAlignment) {
            const auto header = BlockHeader::decode(ByteView(file).subspan(at, kBlockHeaderSize));
            if (!header) continue;
            const auto block = decode_block(*header, ByteView(file).subspan(at, kBlockHeaderSize + header->payload_size + 4));
            ASSERT_TRUE(block);
            for (const auto& bytes_of : *block) {
                const auto record = *decode_record(bytes_of.bytes);
                const auto* object = std::get_if<ObjectRecord>(&record);
                const auto* mark = std::get_if<MarkRecord>(&record);
                if (object == nullptr && mark == nullptr) continue;
                const auto slot = object != nullptr ? object->header.slot : mark->slot;
                const auto& copied = stolen_secrets.at(slot);
                const StudySecretPair secrets{crypto::Secret::copy_of(copied.k), crypto::Secret::copy_of(copied.d), {}, 0};
                if (store_->secrets().study_secrets(slot)) ++records;
                if (mark != nullptr) {
                    EXPECT_FALSE(open_mark(*mark, secrets, 1));
                } else {
                    EXPECT_FALSE(open_record(*object, secrets, 1));
                }
            }
        }
    }
    EXPECT_GE(records, before.size() - 4);
    const auto rows = reading([&](database::Transaction& t) { return select_rows<ObjectColumns>(t, store_->keyring().row_key(), ""); });
    ASSERT_TRUE(rows);
    for (auto row : *rows) EXPECT_FALSE(check_mac(stolen.row_key(), row));
    key_ = 1;
    store_.reset();
    EXPECT_EQ(try_open(1).error().code, ErrorCode::wrong_passphrase);
    EXPECT_TRUE(try_open(2));
}

TEST_F(ReencryptionTest, WithoutAnythingStoredThereIsNothingToDo) {
    open();
    change_root(1, 2);
    EXPECT_FALSE(store_->is_reencrypting());
    finish();
    put(numbered(1, 1));
    expect_clean();
    change_root(2, 3);
    EXPECT_TRUE(store_->is_reencrypting());
    const auto used = store_->used_secrets();
    store_.reset();
    EXPECT_EQ(change_root(3, 4, used).error().code, ErrorCode::conflict) << "one after the other";
}

TEST_F(ReencryptionTest, StoppedAtEachPieceOfWorkItGoesOn) {
    open();
    for (int n = 0; n < 10; ++n) put(numbered(n % 2, n, 200'000));
    change_root(1, 2);
    int stopped = 0;
    for (int most = 1; store_->is_reencrypting(); ++most) {
        int pieces = 0;
        const auto report = store_->reencrypt({[&](std::uint64_t) -> Result<void> {
                                                   if (++pieces < most) return {};
                                                   return fail(ErrorCode::cancelled, "stopped");
                                               },
                                               {}});
        if (!report) {
            EXPECT_EQ(report.error().code, ErrorCode::cancelled);
        }
        stopped += report ? 0 : 1;
        open_again();
        for (int n = 0; n < 10; ++n) expect_stored(numbered(n % 2, n, 200'000));
    }
    EXPECT_GT(stopped, 10);
    expect_clean();
}

TEST_F(ReencryptionTest, DamageStaysDamageAndIsNeverTakenForGood) {
    open();
    const auto damaged = put(numbered(1, 1, 300'000));
    put(numbered(2, 1));
    const auto place = store_->open_object(damaged.ref)->place_of(100'000);
    flip(segment_path(place.segment), place.offset);
    change_root(1, 2);
    auto report = reencrypt();
    EXPECT_FALSE(report.finished);
    ASSERT_EQ(report.left.size(), 1U);
    EXPECT_NE(report.left[0].find(to_hex(damaged.ref.id)), std::string::npos) << report.left[0];
    ASSERT_TRUE(store_->quarantine(damaged.ref.id, "found by fsck"));
    finish();
    const auto row = reading([&](database::Transaction& t) { return store_->index().find_object(t, damaged.ref.id); })->value();
    EXPECT_EQ(row.state, ObjectState::quarantined);
    auto reader = store_->open_object(row.ref);
    ASSERT_TRUE(reader);
    for (std::uint64_t chunk = 0; chunk < reader->chunk_count(); ++chunk) {
        const auto read = reader->read_chunk(chunk);
        EXPECT_EQ(read.has_value(), chunk != 100'000 / 32'768) << chunk;
        if (read) {
            const auto bytes = numbered(1, 1, 300'000).bytes;
            EXPECT_TRUE(std::equal(read->begin(), read->end(), bytes.begin() + static_cast<long>(chunk) * 32'768));
        }
    }
    EXPECT_FALSE(store_->restore(damaged.ref.id));
    EXPECT_EQ(put(numbered(1, 1, 300'000)).admission, Admission::stored) << "sent again, it takes its place";
    expect_stored(numbered(1, 1, 300'000));
    expect_stored(numbered(2, 1));
    expect_clean();
}

TEST_F(ReencryptionTest, ARowThatWasChangedBehindOurBackIsStillFound) {
    open();
    const auto changed = put(numbered(1, 1));
    put(numbered(2, 1));
    ASSERT_TRUE(store_->database().write(database::Durability::full, [&](database::Transaction& t) {
        return execute(t, "UPDATE objects SET arrival_ms = 5 WHERE object_id = '" + to_hex(changed.ref.id) + "'");
    }));
    const auto found = text_of(fsck());
    EXPECT_FALSE(found.empty());
    change_root(1, 2);
    EXPECT_EQ(text_of(fsck()), found);
    const auto report = reencrypt();
    EXPECT_FALSE(report.finished);
    ASSERT_TRUE(store_->rebuild_index());
    finish();
    expect_clean();
}

// As a backup has it, which copies the index first and the secrets last.
TEST_F(ReencryptionTest, WithAnOlderIndexEverythingIsStillFound) {
    open();
    for (int n = 0; n < 16; ++n) put(numbered(n % 2, n));
    change_root(1, 2);
    ASSERT_TRUE(store_->database().checkpoint());
    store_.reset();
    const auto older = read_file(folder_ / "store" / "index.db", 1 << 30);
    open_again();
    {
        const auto secrets_stay = store_->keep_former_secrets();
        const auto report = reencrypt();
        EXPECT_FALSE(report.finished);
        EXPECT_EQ(report.segments_left, 0U);
        ASSERT_EQ(report.left.size(), 1U);
    }
    put(numbered(5, 1));
    store_.reset();
    for (const auto* name : {"index.db-wal", "index.db-shm"}) std::filesystem::remove(folder_ / "store" / name);
    ASSERT_TRUE(write_file_atomically(folder_ / "store" / "index.db", *older));
    open_again();
    for (const bool finished : {false, true}) {
        if (finished) finish();
        for (int n = 0; n < 16; ++n) expect_stored(numbered(n % 2, n));
        expect_stored(numbered(5, 1));
        expect_clean();
    }
}

TEST_F(ReencryptionTest, WhatCameSinceIsNotTakenUnderAFormerSecret) {
    StudySecretPair secrets{crypto::random_secret(32), crypto::random_secret(32), crypto::random_secret(32), 7};
    const auto id = crypto::random_bytes32();
    const auto former = derive_stream_key(secrets.former_d, id, "fid.object1").commitment;
    EXPECT_TRUE(secret_of_stream(secrets, 7, id, "fid.object1", former));
    EXPECT_FALSE(secret_of_stream(secrets, 8, id, "fid.object1", former)) << "whoever knows it could have written this";
    EXPECT_TRUE(secret_of_stream(secrets, 8, id, "fid.object1", derive_stream_key(secrets.d, id, "fid.object1").commitment));
}

TEST_F(ReencryptionTest, ASegmentThatWasNeverBegunDoesNotHoldItUp) {
    open();
    put(numbered(0, 0));
    store_.reset();
    ASSERT_TRUE(write_file_atomically(segment_path(2), random_bytes(100, 7)));  // killed while it was made
    open();
    put(numbered(0, 1));
    change_root(1, 2);
    finish();
    expect_stored(numbered(0, 0));
    expect_stored(numbered(0, 1));
    expect_clean();
}

TEST_F(ReencryptionTest, InTheBackgroundItComesToItsEnd) {
    open();
    for (int n = 0; n < 16; ++n) put(numbered(n % 2, n));
    change_root(1, 2);
    const Compactor compactor(*store_, {{}, std::uint64_t{1} << 40, std::chrono::milliseconds(1), false});
    for (int n = 0; n < 1000 && store_->is_reencrypting(); ++n) {
        put(numbered(5, n, 20'000));
        expect_stored(numbered(n % 2, n % 16));
    }
    for (int n = 0; n < 500 && store_->is_reencrypting(); ++n) std::this_thread::sleep_for(std::chrono::milliseconds(10));
    EXPECT_FALSE(store_->is_reencrypting());
    expect_clean();
}

// A process that gives the store one root key after the other, encrypts all anew and stores more, killed at any moment.
TEST_F(ReencryptionTest, KilledAtAnyMomentItGoesOnAndNothingIsLost) {
    struct Said {
        std::int32_t what = 0;  // 0: the root is about to change, 1: it has changed, 2: an image is stored, 3: all is encrypted anew
        std::int32_t number = 0;
        UsedSecrets used;
    };
    options_.vault.segment_bytes = 300'000;
    open();
    for (int n = 0; n < 6; ++n) put(numbered(0, n, 50'000));
    store_.reset();
    const auto be_the_child = [&](int out) {
        const auto say = [&](std::int32_t what, int number, const UsedSecrets& used = {}) {
            const Said said{what, number, used};
            if (::write(out, &said, sizeof(said)) != sizeof(said)) ::_exit(5);
        };
        auto key = key_;
        for (int round = 0;; ++round) {
            auto store = try_open(key);
            if (!store) ::_exit(3);
            const auto done = (*store)->reencrypt({});
            if (!done || !done->finished) {
                std::fprintf(stderr, "child: %s\n",
                             done ? done->left.empty() ? "nothing is left" : done->left.front().c_str() : done.error().message.c_str());
                ::_exit(6);
            }
            say(3, 0);
            const int number = round + 1000 * key;
            if (!put(**store, numbered(1, number, 60'000))) ::_exit(4);
            say(2, number);
            const auto used = (*store)->used_secrets();
            store->reset();
            say(0, key, used);
            const auto next = static_cast<std::uint8_t>(key % 100 + 1);
            if (!change_root(key, next, used)) ::_exit(7);
            key = next;
            say(1, key);
        }
    };
    const auto seed = std::random_device{}();
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937 random(seed);
    std::set<int> stored;
    int in_the_middle = 0, encrypted = 0;
    for (int round = 0; round < 20; ++round) {
        int ends[2];
        ASSERT_EQ(::pipe(ends), 0);
        const pid_t child = ::fork();
        ASSERT_GE(child, 0);
        if (child == 0) be_the_child(ends[1]);
        ::close(ends[1]);
        std::optional<Said> changing;
        Said said;
        const auto hear = [&] {
            if (::read(ends[0], &said, sizeof(said)) != static_cast<ssize_t>(sizeof(said))) return false;
            if (said.what == 0) changing = said;
            if (said.what == 1) {
                key_ = static_cast<std::uint8_t>(said.number);
                changing.reset();
            }
            if (said.what == 2) stored.insert(said.number);
            if (said.what == 3) ++encrypted;
            return true;
        };
        bool alive = true;
        for (auto i = random() % 6 + 1; alive && i > 0; --i) alive = hear();
        std::this_thread::sleep_for(std::chrono::microseconds(random() % 30'000));
        ::kill(child, SIGKILL);
        int status = 0;
        ASSERT_EQ(::waitpid(child, &status, 0), child);
        ASSERT_TRUE(WIFSIGNALED(status)) << "the child left with " << WEXITSTATUS(status);
        while (hear()) {
        }
        ::close(ends[0]);
        if (changing) {
            const auto next = static_cast<std::uint8_t>(key_ % 100 + 1);
            const auto changed = change_root(key_, next, changing->used);
            ASSERT_TRUE(changed) << changed.error().message;
            key_ = next;
            ++in_the_middle;
        }
        open_again();
        for (int n = 0; n < 6; ++n) expect_stored(numbered(0, n, 50'000));
        for (const auto number : stored) expect_stored(numbered(1, number, 60'000));
        expect_clean();
        store_.reset();
    }
    EXPECT_GT(in_the_middle, 0);
    EXPECT_GT(encrypted, 10);
    open_again();
    finish();
    expect_clean();
}

}  // namespace
}  // namespace fiducial::store
