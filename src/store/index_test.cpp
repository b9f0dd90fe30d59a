#include "store/index.hpp"

#include <sqlite3.h>

#include <thread>

#include "base/hex.hpp"
#include "evidence/manifest.hpp"
#include "store/store_fixture.hpp"

namespace fiducial::store {
namespace {

class IndexTest : public StoreTest {
protected:
    void SetUp() override {
        StoreTest::SetUp();
        open();
    }
    // Somebody with the sqlite3 library and no key.
    void behind_our_back(const std::string& sql, bool changes_rows = true) {
        sqlite3* connection = nullptr;
        ASSERT_EQ(sqlite3_open((folder_ / "store" / "index.db").c_str(), &connection), SQLITE_OK);
        sqlite3_busy_timeout(connection, 5000);
        char* message = nullptr;
        EXPECT_EQ(sqlite3_exec(connection, sql.c_str(), nullptr, nullptr, &message), SQLITE_OK) << sql << ": " << message;
        EXPECT_TRUE(!changes_rows || sqlite3_changes(connection) > 0) << sql;
        sqlite3_close(connection);
    }
    Result<std::vector<InstanceRow>> instances(const std::string& study = "1.2.3") {
        return reading([&](database::Transaction& t) { return store_->index().instances_of_study(t, uid(study)); });
    }
    Result<std::optional<InstanceRow>> instance(const std::string& sop) {
        return reading([&](database::Transaction& t) { return store_->index().find_instance(t, uid(sop)); });
    }
    Result<std::optional<StudyRow>> study(const std::string& study_uid = "1.2.3") {
        return reading([&](database::Transaction& t) { return store_->index().find_study(t, uid(study_uid)); });
    }
    using Keys = std::vector<std::pair<dicom::Tag, std::string>>;
    static dicom::Criteria criteria(const Keys& keys) {
        dicom::Criteria out;
        for (const auto& [tag, value] : keys) {
            auto key = dicom::Matcher::compile(tag, value);
            EXPECT_TRUE(key) << value;
            if (key) out.add(*std::move(key));
        }
        return out;
    }
    StudyPage list(const Keys& keys, const std::string& cursor = "", std::uint32_t limit = 100) {
        auto page = reading([&](database::Transaction& t) { return store_->index().list_studies(t, criteria(keys), cursor, limit); });
        EXPECT_TRUE(page) << page.error().message;
        return page ? *page : StudyPage{};
    }
    static std::vector<std::string> uids(const StudyPage& page) {
        std::vector<std::string> out;
        for (const auto& row : page.studies) out.push_back(row.study_uid.text());
        return out;
    }
    TestInstance numbered(int study, int number) const {
        TestInstance i;
        i.study = "1.2.3." + std::to_string(study);
        i.series = i.study + ".1";
        i.sop = i.series + "." + std::to_string(number);
        i.bytes = random_bytes(100, static_cast<std::uint64_t>(study * 1000 + number));
        return i;
    }
};

TEST_F(IndexTest, KnowsPatientStudySeriesInstance) {
    TestInstance i;
    put(i);
    i.sop = "1.2.3.1.0";
    i.bytes = random_bytes(10, 2);
    put(i);
    i.series = "1.2.3.2";
    i.sop = "1.2.3.2.1";
    i.modality = "SR";
    i.bytes = random_bytes(10, 3);
    put(i);
    const auto row = study();
    ASSERT_TRUE(row && *row);
    EXPECT_EQ((*row)->patient.patient_id.value, "P1");
    EXPECT_EQ((*row)->patient.name.value, "Doe^Jane");
    EXPECT_EQ((*row)->date, "20260102");
    EXPECT_EQ((*row)->description.value, "Thorax");
    EXPECT_EQ((*row)->instance_count, 3u);
    EXPECT_EQ((*row)->series_count, 2u);
    EXPECT_EQ((*row)->modalities, (std::vector<std::string>{"CT", "SR"}));
    EXPECT_EQ((*row)->revision, 3u);
    const auto rows = instances();
    ASSERT_TRUE(rows);
    ASSERT_EQ(rows->size(), 3u);
    EXPECT_EQ((*rows)[0].sop_uid.text(), "1.2.3.1.0");
    EXPECT_EQ((*rows)[1].sop_uid.text(), "1.2.3.1.1");
    const auto series = reading([&](database::Transaction& t) { return store_->index().series_of_study(t, uid("1.2.3")); });
    ASSERT_TRUE(series);
    ASSERT_EQ(series->size(), 2u);
    EXPECT_EQ((*series)[0].instance_count, 2u);
    const auto attributes = reading([&](database::Transaction& t) { return store_->index().attributes_of(t, (*rows)[0].object.ref.id); });
    ASSERT_TRUE(attributes);
    EXPECT_EQ(attributes->first(dicom::tags::kPatientName), "Doe^Jane");
    EXPECT_EQ(attributes->first(0x00101010), "045Y");
    const auto of_series =
        reading([&](database::Transaction& t) { return store_->index().instances_of_series(t, uid("1.2.3"), uid("1.2.3.2")); });
    EXPECT_EQ(of_series->size(), 1u);
    EXPECT_FALSE(*study("1.9"));
    EXPECT_FALSE(*instance("1.9"));
    EXPECT_TRUE(instances("1.9")->empty());
}

TEST_F(IndexTest, OnlyConfiguredAttributesAreKept) {
    options_.extra_attributes = {0x00185100};
    open();
    TestInstance i;
    auto pending = prepare(*store_, i);
    ASSERT_TRUE(pending);
    pending->description.attributes.set(0x00185100, {"HFS"});
    pending->description.attributes.set(0x00104000, {"a comment"});
    pending->description.attributes.set(0x00181151, {"120"});
    const auto stored = store_->commit(*std::move(pending));
    ASSERT_TRUE(stored);
    const auto attributes = reading([&](database::Transaction& t) { return store_->index().attributes_of(t, stored->ref.id); });
    EXPECT_EQ(attributes->first(0x00185100), "HFS");
    EXPECT_EQ(attributes->first(0x00104000), "a comment");
    EXPECT_FALSE(attributes->has(0x00181151));
}

TEST_F(IndexTest, TheSameDataSetAgainIsADuplicate) {
    TestInstance i;
    put(i);
    EXPECT_EQ(put(i).admission, Admission::duplicate);
    EXPECT_EQ(instances()->size(), 1u);
    EXPECT_TRUE(fsck().clean());
}

TEST_F(IndexTest, TheSamePixelsUnderAnotherHeaderAreANewVersion) {
    TestInstance i;
    i.pixel_sha256.fill(7);
    const auto first = put(i);
    i.bytes = random_bytes(500, 5);
    const auto second = put(i);
    EXPECT_EQ(second.admission, Admission::new_version);
    ASSERT_EQ(instances()->size(), 1u);
    EXPECT_EQ((*instances())[0].object.ref.id, second.ref.id);
    const auto old = reading([&](database::Transaction& t) { return store_->index().find_object(t, first.ref.id); });
    EXPECT_EQ((*old)->state, ObjectState::superseded);
    EXPECT_TRUE(get(*store_, (*old)->ref)) << "the former version stays readable";
    EXPECT_EQ((*study())->instance_count, 1u);
    EXPECT_EQ((*study())->revision, 3u);
    EXPECT_EQ(reading([&](database::Transaction& t) { return store_->index().find_all_instances(t, uid(i.sop)); })->size(), 2u);
    EXPECT_TRUE(fsck().clean());
}

TEST_F(IndexTest, AnythingElseUnderAKnownUidIsSetAside) {
    TestInstance i;
    i.pixel_sha256.fill(7);
    const auto first = put(i);
    i.bytes = random_bytes(500, 5);
    i.pixel_sha256.fill(8);
    const auto other = put(i);
    EXPECT_EQ(other.admission, Admission::set_aside);
    EXPECT_FALSE(other.reason.empty());
    EXPECT_EQ(put(i).admission, Admission::set_aside);
    i.study = "1.2.4";
    i.bytes = random_bytes(500, 6);
    EXPECT_EQ(put(i).admission, Admission::set_aside);
    EXPECT_FALSE(*study("1.2.4")) << "a study of nothing but what was set aside is not listed";
    const auto aside = reading([&](database::Transaction& t) { return store_->index().list_set_aside(t, "", 10); });
    ASSERT_TRUE(aside) << aside.error().message;
    EXPECT_EQ(aside->size(), 2u) << "the same bytes wait once";
    ASSERT_EQ(instances()->size(), 1u);
    EXPECT_EQ((*instances())[0].object.ref.id, first.ref.id);
    EXPECT_TRUE(get(*store_, other.ref));
    EXPECT_TRUE(fsck().clean());
}

TEST_F(IndexTest, ASecondPatientInAStudyIsSetAside) {
    TestInstance i;
    put(i);
    i.sop = "1.2.3.1.2";
    i.patient_id = "P2";
    i.bytes = random_bytes(10, 2);
    const auto second = put(i);
    EXPECT_EQ(second.admission, Admission::set_aside);
    EXPECT_EQ(second.reason.find("P2"), std::string::npos);
    EXPECT_EQ(instances()->size(), 1u);
}

TEST_F(IndexTest, AnIssuerThatOneSideLeavesOutMakesNoSecondPatient) {
    TestInstance i;
    i.issuer = "HOSPITAL";
    put(i);
    const auto add = [&](const std::string& number, const std::string& patient_id, const std::string& issuer) {
        i.sop = "1.2.3.1.1" + number;
        i.patient_id = patient_id;
        i.issuer = issuer;
        i.bytes = random_bytes(10, number.front());
        return put(i).admission;
    };
    EXPECT_EQ(add("1", "P1", ""), Admission::stored);
    EXPECT_EQ(add("2", "P1", "ELSEWHERE"), Admission::set_aside);
    EXPECT_EQ(add("3", "P2", ""), Admission::set_aside);
    EXPECT_EQ(add("4", "", ""), Admission::set_aside);
    EXPECT_EQ(instances()->size(), 2u);
    EXPECT_EQ((*study())->patient.issuer.value, "HOSPITAL");
    EXPECT_TRUE(fsck().clean());
}

TEST_F(IndexTest, WhatWasSetAsideIsAcceptedOrDiscarded) {
    TestInstance i;
    const auto first = put(i);
    i.bytes = random_bytes(500, 5);
    const auto accepted = put(i);
    i.bytes = random_bytes(500, 6);
    const auto discarded = put(i);
    ASSERT_TRUE(store_->change_state(accepted.ref.id, ObjectState::current, "the newer one is right"));
    ASSERT_TRUE(store_->change_state(discarded.ref.id, ObjectState::discarded, "a test"));
    EXPECT_FALSE(store_->change_state(discarded.ref.id, ObjectState::current, "too late"));
    EXPECT_FALSE(store_->change_state(first.ref.id, ObjectState::set_aside, "no"));
    EXPECT_EQ(store_->change_state(Bytes32{9}, ObjectState::discarded, "").error().code, ErrorCode::not_found);
    const auto check = [&] {
        const auto rows = instances();
        ASSERT_TRUE(rows) << rows.error().message;
        ASSERT_EQ(rows->size(), 1u);
        EXPECT_EQ((*rows)[0].object.ref.id, accepted.ref.id);
        EXPECT_EQ((*reading([&](database::Transaction& t) { return store_->index().find_object(t, first.ref.id); }))->state,
                  ObjectState::superseded);
        EXPECT_EQ((*reading([&](database::Transaction& t) { return store_->index().find_object(t, discarded.ref.id); }))->state,
                  ObjectState::discarded);
        const auto report = fsck();
        EXPECT_TRUE(report.clean()) << text_of(report);
    };
    check();
    ASSERT_TRUE(store_->rebuild_index());
    check();
}

// One group: a custodian's yes to an object, and behind it another version of that object.
TEST_F(IndexTest, MarksAndObjectsOfAGroupAreIndexedInTheirOrder) {
    TestInstance i;
    put(i);
    i.bytes = random_bytes(500, 5);
    i.pixel_sha256.fill(7);
    const auto accepted = put(i);
    ASSERT_EQ(accepted.admission, Admission::set_aside);
    behind_our_back("CREATE TRIGGER refuses BEFORE UPDATE ON objects BEGIN SELECT RAISE(ABORT, 'a test'); END", false);
    EXPECT_FALSE(store_->change_state(accepted.ref.id, ObjectState::current, "durable, and not in the index"));
    behind_our_back("DROP TRIGGER refuses", false);
    i.bytes = random_bytes(500, 6);
    const auto newer = put(i);
    EXPECT_EQ(newer.admission, Admission::new_version);
    const auto check = [&] {
        ASSERT_EQ(instances()->size(), 1u);
        EXPECT_EQ(instances()->front().object.ref.id, newer.ref.id);
        EXPECT_EQ((*reading([&](database::Transaction& t) { return store_->index().find_object(t, accepted.ref.id); }))->state,
                  ObjectState::superseded);
        EXPECT_TRUE(fsck().clean());
    };
    check();
    ASSERT_TRUE(store_->rebuild_index());
    check();
}

TEST_F(IndexTest, OfAcceptAndDiscardAtOnceOneSucceeds) {
    put(TestInstance{});
    for (int n = 0; n < 20; ++n) {
        TestInstance i;
        i.bytes = random_bytes(500, static_cast<std::uint64_t>(100 + n));
        const auto aside = put(i);
        ASSERT_EQ(aside.admission, Admission::set_aside);
        std::atomic<int> ready{0}, done{0};
        std::vector<std::thread> threads;
        for (const auto state : {ObjectState::current, ObjectState::discarded}) {
            threads.emplace_back([&, state] {
                ready += 1;
                while (ready < 2) std::this_thread::yield();
                if (store_->change_state(aside.ref.id, state, "a test")) done += 1;
            });
        }
        for (auto& thread : threads) thread.join();
        EXPECT_EQ(done, 1);
    }
}

TEST_F(IndexTest, PatientsWithoutAnIdAreNotMerged) {
    auto a = numbered(1, 1), b = numbered(2, 1);
    a.patient_id = b.patient_id = "";
    put(a);
    put(b);
    EXPECT_NE((*study("1.2.3.1"))->patient.id, (*study("1.2.3.2"))->patient.id);
    EXPECT_NE((*study("1.2.3.1"))->patient.slot, (*study("1.2.3.2"))->patient.slot);
}

TEST_F(IndexTest, SixteenThreadsMakeOnePatientOneStudyOneSeries) {
    std::vector<std::thread> threads;
    std::atomic<int> admitted{0};
    std::atomic<int> begun{0};
    for (int t = 0; t < 16; ++t) {
        threads.emplace_back([&, t] {
            begun += 1;
            while (begun < 16) std::this_thread::yield();
            TestInstance i;
            i.sop = "1.2.3.1." + std::to_string(t + 1);
            i.bytes = random_bytes(5000, static_cast<std::uint64_t>(t));
            const auto stored = put(*store_, i);
            ASSERT_TRUE(stored) << stored.error().message;
            if (stored->admission == Admission::stored) admitted += 1;
        });
    }
    for (auto& thread : threads) thread.join();
    EXPECT_EQ(admitted, 16);
    const auto counts = reading([&](database::Transaction& t) { return store_->index().counts(t); });
    EXPECT_EQ(counts->patients, 1u);
    EXPECT_EQ(counts->studies, 1u);
    EXPECT_EQ(counts->series, 1u);
    EXPECT_EQ(counts->instances, 16u);
    EXPECT_EQ(instances()->size(), 16u);
    EXPECT_TRUE(fsck().clean());
}

TEST_F(IndexTest, SixteenThreadsWithOneDataSetStoreItOnce) {
    std::vector<std::thread> threads;
    std::atomic<int> stored_count{0}, duplicates{0};
    for (int t = 0; t < 16; ++t) {
        threads.emplace_back([&] {
            const auto stored = put(*store_, TestInstance{});
            ASSERT_TRUE(stored) << stored.error().message;
            if (stored->admission == Admission::stored) stored_count += 1;
            if (stored->admission == Admission::duplicate) duplicates += 1;
        });
    }
    for (auto& thread : threads) thread.join();
    EXPECT_EQ(stored_count, 1);
    EXPECT_EQ(duplicates, 15);
    EXPECT_EQ(instances()->size(), 1u);
    EXPECT_TRUE(fsck().clean());
}

TEST_F(IndexTest, AChangedRowOfAnyTableIsFoundWhenServed) {
    put(TestInstance{});
    const std::vector<std::string> changes = {"UPDATE patients SET name = 'Roe^Richard'",
                                              "UPDATE studies SET slot = slot + 1",
                                              "UPDATE studies SET patient = 77",
                                              "UPDATE studies SET instance_count = 0",
                                              "UPDATE series SET modality = 'MR'",
                                              "UPDATE objects SET position = position + 512",
                                              "UPDATE objects SET state = 2",
                                              "UPDATE instances SET sop_class = '1.2'",
                                              "UPDATE instances SET attributes = ''"};
    for (const auto& change : changes) {
        store_->database().checkpoint();
        store_.reset();
        const auto saved = read_file(folder_ / "store" / "index.db", 1 << 30);
        ASSERT_TRUE(saved);
        behind_our_back(change);
        open();
        const auto listed = reading([&](database::Transaction& t) { return store_->index().list_studies(t, {}, "", 10); });
        const auto rows = instances();
        const bool hidden = listed && listed->studies.empty();  // a study of patient 77 is in no list: fsck finds it
        EXPECT_TRUE(!listed || !rows || hidden) << change;
        for (const auto& error :
             {listed ? Error{ErrorCode::corrupt, ""} : listed.error(), rows ? Error{ErrorCode::corrupt, ""} : rows.error()}) {
            EXPECT_EQ(error.code, ErrorCode::corrupt) << change << ": " << error.message;
            EXPECT_EQ(error.message.find("Roe"), std::string::npos);
        }
        const auto report = fsck();
        EXPECT_FALSE(report.clean()) << change;
        EXPECT_EQ(report.findings[0].kind, Finding::Kind::damaged_row) << text_of(report);
        store_.reset();
        std::filesystem::remove(folder_ / "store" / "index.db-wal");
        std::filesystem::remove(folder_ / "store" / "index.db-shm");
        ASSERT_TRUE(write_file_atomically(folder_ / "store" / "index.db", *saved));
        open();
    }
    EXPECT_TRUE(fsck().clean());
}

TEST_F(IndexTest, ADeletedInstanceRowIsFoundWhenTheStudyIsServed) {
    for (int n = 1; n <= 3; ++n) put(numbered(1, n));
    behind_our_back("DELETE FROM instances WHERE sop_uid = '1.2.3.1.1.2'");
    const auto rows = instances("1.2.3.1");
    ASSERT_FALSE(rows);
    EXPECT_EQ(rows.error().code, ErrorCode::corrupt);
    EXPECT_NE(rows.error().message.find("study 1.2.3.1 should have 3 instances, 2 rows"), std::string::npos) << rows.error().message;
    EXPECT_FALSE(fsck().clean());
    ASSERT_TRUE(store_->rebuild_index());
    EXPECT_EQ(instances("1.2.3.1")->size(), 3u);
    EXPECT_TRUE(fsck().clean());
}

TEST_F(IndexTest, ADeletedObjectRowIsFoundByFsckAndRebuilt) {
    put(numbered(1, 1));
    put(numbered(1, 2));
    behind_our_back("DELETE FROM objects WHERE object_id = (SELECT object_id FROM instances WHERE sop_uid = '1.2.3.1.1.2')");
    EXPECT_FALSE(instances("1.2.3.1"));
    const auto report = fsck();
    const auto named = [&](Finding::Kind kind) {
        return std::any_of(report.findings.begin(), report.findings.end(), [&](const Finding& f) { return f.kind == kind; });
    };
    EXPECT_TRUE(named(Finding::Kind::unindexed_object)) << text_of(report);
    ASSERT_TRUE(store_->rebuild_index());
    EXPECT_TRUE(fsck().clean());
    EXPECT_EQ(instances("1.2.3.1")->size(), 2u);
}

TEST_F(IndexTest, DeletedStudySeriesAndPatientRowsAreFound) {
    for (const std::string table : {"studies", "series", "patients"}) {
        put(numbered(1, 1));
        behind_our_back("DELETE FROM " + table);
        EXPECT_FALSE(fsck().clean()) << table;
        ASSERT_TRUE(store_->rebuild_index());
        EXPECT_TRUE(fsck().clean()) << table;
    }
}

TEST_F(IndexTest, AnOlderRowPutBackIsFound) {
    TestInstance i;
    i.pixel_sha256.fill(7);
    put(i);
    behind_our_back("CREATE TABLE kept AS SELECT * FROM instances; CREATE TABLE kept_objects AS SELECT * FROM objects", false);
    i.bytes = random_bytes(500, 5);
    ASSERT_EQ(put(i).admission, Admission::new_version);
    // Rows that were good once, with good MACs: the former instance again instead of the present one.
    behind_our_back("DELETE FROM instances; INSERT INTO instances SELECT * FROM kept");
    behind_our_back(
        "UPDATE objects SET state = (SELECT state FROM kept_objects k WHERE k.object_id = objects.object_id), mac = (SELECT mac FROM "
        "kept_objects k WHERE k.object_id = "
        "objects.object_id) WHERE object_id IN (SELECT object_id FROM kept_objects)");
    const auto rows = instances();
    ASSERT_FALSE(rows);
    EXPECT_EQ(rows.error().code, ErrorCode::corrupt);
    EXPECT_FALSE(fsck().clean());
    ASSERT_TRUE(store_->rebuild_index());
    EXPECT_EQ(instances()->size(), 1u);
}

TEST_F(IndexTest, ARebuiltIndexIsTheSame) {
    for (int s = 1; s <= 5; ++s) {
        for (int n = 1; n <= 4; ++n) put(numbered(s, n));
    }
    TestInstance aside = numbered(1, 1);
    aside.bytes = random_bytes(99, 1);
    put(aside);
    const auto before = list({});
    const auto rows_before = *instances("1.2.3.2");
    const auto counts_before = *reading([&](database::Transaction& t) { return store_->index().counts(t); });
    const auto rebuilt = store_->rebuild_index();
    ASSERT_TRUE(rebuilt) << rebuilt.error().message;
    EXPECT_EQ(*rebuilt, 21u);
    const auto after = list({});
    ASSERT_EQ(uids(after), uids(before));
    for (std::size_t i = 0; i < after.studies.size(); ++i) {
        EXPECT_EQ(after.studies[i].slot, before.studies[i].slot);
        EXPECT_EQ(after.studies[i].patient.slot, before.studies[i].patient.slot);
        EXPECT_EQ(after.studies[i].patient.name.value, before.studies[i].patient.name.value);
    }
    const auto rows_after = *instances("1.2.3.2");
    ASSERT_EQ(rows_after.size(), rows_before.size());
    for (std::size_t i = 0; i < rows_after.size(); ++i) {
        EXPECT_EQ(rows_after[i].object.ref.id, rows_before[i].object.ref.id);
        EXPECT_EQ(rows_after[i].object.fragment_sha256, rows_before[i].object.fragment_sha256);
    }
    EXPECT_EQ(reading([&](database::Transaction& t) { return store_->index().counts(t); })->objects, counts_before.objects);
    EXPECT_TRUE(fsck().clean());
}

TEST_F(IndexTest, ALostIndexComesBackAtTheNextStart) {
    for (int n = 1; n <= 4; ++n) put(numbered(1, n));
    const auto slot = (*study("1.2.3.1"))->slot;
    store_.reset();
    for (const auto* name : {"index.db", "index.db-wal", "index.db-shm"}) std::filesystem::remove(folder_ / "store" / name);
    open();
    EXPECT_EQ(store_->recovered(), 4u);
    EXPECT_EQ(instances("1.2.3.1")->size(), 4u);
    EXPECT_EQ((*study("1.2.3.1"))->slot, slot);
    EXPECT_NE(*store_->study_slot(uid("1.9.9")), slot);
    EXPECT_TRUE(fsck().clean());
}

TEST_F(IndexTest, ListsAreFilteredAndPaged) {
    const char* names[] = {"Doe^Jane", "Müller^Jörg", "Yamada^Tarou=山田^太郎", "Smith^John", "doering^anna"};
    for (int s = 1; s <= 5; ++s) {
        auto i = numbered(s, 1);
        i.patient_id = "P" + std::to_string(s);
        i.name = names[s - 1];
        i.date = "2026010" + std::to_string((s + 1) / 2);  // pairs share a day
        i.modality = s % 2 == 0 ? "CR" : "CT";
        put(i);
    }
    EXPECT_EQ(uids(list({})), (std::vector<std::string>{"1.2.3.5", "1.2.3.4", "1.2.3.3", "1.2.3.2", "1.2.3.1"}));
    namespace tags = dicom::tags;
    struct Row {
        dicom::Tag tag;
        const char* wanted;
        std::vector<std::string> expected;
    };
    const Row rows[] = {
        {tags::kPatientId, "P3", {"1.2.3.3"}},
        {tags::kPatientId, "P3\\P1", {"1.2.3.3", "1.2.3.1"}},
        {tags::kPatientId, "?5", {"1.2.3.5"}},
        {tags::kPatientId, "*4\\P1\\P?x\\P2", {"1.2.3.4", "1.2.3.2", "1.2.3.1"}},
        {tags::kPatientId, "x' OR '1'='1", {}},
        {tags::kPatientId, "p3", {}},
        {tags::kPatientName, "DOE*", {"1.2.3.5", "1.2.3.1"}},
        {tags::kPatientName, "doe^jane", {"1.2.3.1"}},
        {tags::kPatientName, "muller*", {"1.2.3.2"}},
        {tags::kPatientName, "*太郎", {"1.2.3.3"}},
        {tags::kPatientName, "山田^太郎", {"1.2.3.3"}},
        {tags::kPatientName, "yamada^tarou", {"1.2.3.3"}},
        {tags::kPatientName, "*=山田*", {"1.2.3.3"}},
        {tags::kPatientName, "=山*=", {"1.2.3.3"}},
        {tags::kPatientName, "smith*=山田*", {}},
        {tags::kPatientName, "%", {}},  // no wildcard
        {tags::kPatientName, "*_*", {}},
        {tags::kStudyDate, "20260102", {"1.2.3.4", "1.2.3.3"}},
        {tags::kStudyDate, "-20260101", {"1.2.3.2", "1.2.3.1"}},
        {tags::kModalitiesInStudy, "CR", {"1.2.3.4", "1.2.3.2"}},
        {tags::kModality, "C?", {"1.2.3.5", "1.2.3.4", "1.2.3.3", "1.2.3.2", "1.2.3.1"}},
        {tags::kStudyInstanceUid, "1.2.3.1,1.2.3.4,1.9", {"1.2.3.4", "1.2.3.1"}},
        {0x00101010, "045Y", {"1.2.3.5", "1.2.3.4", "1.2.3.3", "1.2.3.2", "1.2.3.1"}},  // has no column
        {0x00101010, "046Y", {}},
        {tags::kStudyRelatedInstances, "1", {"1.2.3.5", "1.2.3.4", "1.2.3.3", "1.2.3.2", "1.2.3.1"}},
    };
    for (const auto& row : rows) EXPECT_EQ(uids(list({{row.tag, row.wanted}})), row.expected) << row.wanted;
    EXPECT_EQ(list({{0x00101010, "045Y"}}, "", 2).studies.size(), 2u);
    EXPECT_EQ(list({{tags::kSopInstanceUid, instances("1.2.3.4")->front().sop_uid.text()}}).studies.size(), 1u);
    EXPECT_EQ(list({{tags::kSeriesInstanceUid, instances("1.2.3.4")->front().series_uid.text()}, {tags::kPatientId, "P3"}}).studies.size(),
              0u);

    std::vector<std::string> paged;
    std::string cursor;
    int pages = 0;
    do {
        const auto page = list({}, cursor, 2);
        for (const auto& one : uids(page)) paged.push_back(one);
        cursor = page.next;
        ++pages;
    } while (!cursor.empty());
    EXPECT_EQ(pages, 3);
    EXPECT_EQ(paged, uids(list({})));
    EXPECT_FALSE(reading([&](database::Transaction& t) { return store_->index().list_studies(t, dicom::Criteria(), "nowhere", 2); }));
    EXPECT_FALSE(reading([&](database::Transaction& t) { return store_->index().list_studies(t, dicom::Criteria(), "", 0); }));
}

TEST_F(IndexTest, StudyVersionsAreKeptAndFound) {
    put(numbered(1, 1));
    constexpr auto kLater = ~std::uint64_t{0} >> 1;
    const auto waiting_at = [&](std::uint64_t changed_before_ms, std::uint64_t now_ms) {
        return *reading(
            [&](database::Transaction& t) { return store_->index().studies_without_version(t, changed_before_ms, now_ms, 10); });
    };
    const auto waiting = [&] { return waiting_at(kLater, kLater); };
    EXPECT_TRUE(waiting_at(0, kLater).empty()) << "not quiet yet";
    EXPECT_EQ(waiting_at(0, 1).size(), 1u) << "the clock was set back since";
    ASSERT_EQ(waiting().size(), 1u);
    StudyVersionRow row;
    row.study_uid = uid("1.2.3.1");
    row.record.chain_id = 1337;
    row.record.root.fill(3);
    row.record.study_key.fill(4);
    row.record.count = 1;
    row.created_ms = 1;
    row.study_revision = (*study("1.2.3.1"))->revision;
    const auto write = [&](auto&& body) { return store_->database().write(database::Durability::full, body); };
    ASSERT_TRUE(write([&](database::Transaction& t) { return store_->index().insert_version(t, row); }));
    ASSERT_TRUE(write([&](database::Transaction& t) { return store_->index().insert_version(t, row); })) << "the same again is fine";
    auto other = row;
    other.record.root.fill(5);
    EXPECT_EQ(write([&](database::Transaction& t) { return store_->index().insert_version(t, other); }).error().code, ErrorCode::conflict);
    EXPECT_TRUE(waiting().empty());
    put(numbered(1, 2));
    EXPECT_EQ(waiting().size(), 1u);
    const auto found = reading([&](database::Transaction& t) { return store_->index().latest_version(t, uid("1.2.3.1")); });
    ASSERT_TRUE(found && *found);
    EXPECT_EQ((*found)->record, row.record);
    EXPECT_TRUE(*reading([&](database::Transaction& t) { return store_->index().find_version_by_record(t, row.record.hash()); }));
    EXPECT_TRUE(*reading([&](database::Transaction& t) { return store_->index().find_version(t, uid("1.2.3.1"), 1); }));
    EXPECT_FALSE(*reading([&](database::Transaction& t) { return store_->index().find_version(t, uid("1.2.3.1"), 2); }));
    EXPECT_EQ(reading([&](database::Transaction& t) { return store_->index().counts(t); })->versions, 1u);
    ASSERT_TRUE(store_->rebuild_index());
    EXPECT_EQ(reading([&](database::Transaction& t) { return store_->index().versions_of(t, uid("1.2.3.1")); })->size(), 1u);
    behind_our_back("UPDATE study_versions SET instance_count = 5");
    EXPECT_FALSE(reading([&](database::Transaction& t) { return store_->index().latest_version(t, uid("1.2.3.1")); }));
}

TEST_F(IndexTest, AnErasedStudyIsGoneAndMayComeAgain) {
    const auto stored = put(numbered(1, 1));
    put(numbered(2, 1));
    const auto slot = (*study("1.2.3.1"))->slot;
    ASSERT_TRUE(store_->erase_study(uid("1.2.3.1")));
    EXPECT_FALSE(*study("1.2.3.1"));
    EXPECT_EQ(store_->open_object(stored.ref).error().code, ErrorCode::not_found);
    EXPECT_TRUE(*study("1.2.3.2"));
    EXPECT_TRUE(fsck().clean());
    ASSERT_TRUE(store_->rebuild_index());
    EXPECT_FALSE(*study("1.2.3.1")) << "a rebuilt index brings nothing back";
    open();
    EXPECT_FALSE(*study("1.2.3.1"));
    EXPECT_EQ(put(numbered(1, 1)).admission, Admission::stored);
    EXPECT_NE((*study("1.2.3.1"))->slot, slot);
    EXPECT_TRUE(fsck().clean());
    EXPECT_EQ(store_->erase_study(uid("1.9")).error().code, ErrorCode::not_found);
}

// A study of two instances, each in a segment of its own, and its manifest in a third.
class LostSegmentTest : public IndexTest {
protected:
    void SetUp() override {
        options_.vault.segment_bytes = 100'000;
        IndexTest::SetUp();
        for (int n = 1; n <= 2; ++n) {
            instances_[n - 1] = numbered(1, n);
            instances_[n - 1].bytes = random_bytes(80'000, static_cast<std::uint64_t>(n));
            stored_[n - 1] = put(instances_[n - 1]);
        }
        ASSERT_EQ(stored_[1].ref.location.segment, 2u);
        auto another = numbered(2, 1);
        another.bytes = random_bytes(80'000, 3);
        put(another);
        evidence::Manifest manifest;
        const auto row = *study("1.2.3.1");
        manifest.study_instance_uid = uid("1.2.3.1");
        manifest.patient = evidence::PatientIdentity{row->patient.issuer, row->patient.patient_id};
        for (const auto& one : stored_) {
            evidence::ManifestInstance instance;
            instance.sop_instance_uid = one.description.sop_uid;
            instance.series_instance_uid = one.description.series_uid;
            instance.sop_class_uid = one.description.sop_class_uid;
            instance.transfer_syntax_uid = one.description.transfer_syntax_uid;
            instance.size = one.ref.size;
            instance.sha256 = one.sha256;
            instance.chunk_root = one.ref.chunk_root;
            instance.arrival_ms = one.description.arrival_ms;
            manifest.instances.push_back(instance);
        }
        auto writer = store_->begin_object(uid("1.2.3.1"), ObjectKind::manifest);
        ASSERT_TRUE(writer);
        const auto bytes = manifest.encode();
        ASSERT_TRUE(bytes) << bytes.error().message;
        ASSERT_TRUE(writer->write(*bytes));
        PendingObject object{*std::move(writer), {}, {}, {}};
        object.description.kind = ObjectKind::manifest;
        object.description.study_uid = uid("1.2.3.1");
        object.description.patient_slot = row->patient.slot;
        const auto kept = store_->commit(std::move(object));
        ASSERT_TRUE(kept) << kept.error().message;
        manifest_ = *kept;
        ASSERT_EQ(manifest_.ref.location.segment, 3u);
        another.sop += "9";
        another.bytes = random_bytes(80'000, 4);
        put(another);  // the segments go on behind it
    }
    void lose(std::uint32_t segment) {
        store_.reset();
        std::filesystem::rename(segment_path(segment), folder_ / std::to_string(segment));
        open();
    }
    void bring_back(std::uint32_t segment) {
        store_.reset();
        std::filesystem::rename(folder_ / std::to_string(segment), segment_path(segment));
        open();
    }

    TestInstance instances_[2];
    StoredObject stored_[2], manifest_;
};

TEST_F(LostSegmentTest, AManifestThatAPowerCutTorePromisesNoVersion) {
    const auto promised = [&] {
        const auto studies = reading([&](database::Transaction& t) { return store_->index().studies_with_unnamed_manifests(t); });
        return studies ? studies->size() : 99;
    };
    EXPECT_EQ(promised(), 1u) << "a version of which the index knows nothing";
    ASSERT_TRUE(store_->change_state(manifest_.ref.id, ObjectState::torn, "a power cut"));
    EXPECT_EQ(promised(), 0u) << "it was never acknowledged";
}

TEST_F(LostSegmentTest, IsNotMadeIntoARemovalByARebuild) {
    lose(2);
    const auto refused = store_->rebuild_index();
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, ErrorCode::corrupt);
    EXPECT_NE(refused.error().message.find("instance 1.2.3.1.1.2 of study 1.2.3.1 is lost"), std::string::npos) << refused.error().message;
    EXPECT_NE(refused.error().message.find("--force"), std::string::npos);
    EXPECT_EQ((*instance("1.2.3.1.1.2"))->object.ref.id, stored_[1].ref.id) << "the index is as it was";

    ASSERT_TRUE(store_->rebuild_index(true));
    const auto rows = instances("1.2.3.1");
    ASSERT_TRUE(rows) << rows.error().message;
    ASSERT_EQ(rows->size(), 2u) << "its study misses it";
    EXPECT_EQ((*rows)[0].object.state, ObjectState::current);
    EXPECT_EQ((*rows)[1].object.state, ObjectState::quarantined);
    EXPECT_EQ((*rows)[1].object.sha256, stored_[1].sha256);
    EXPECT_EQ((*rows)[1].object.ref.chunk_root, stored_[1].ref.chunk_root);
    const auto report = fsck();
    ASSERT_EQ(report.findings.size(), 1u) << text_of(report);
    EXPECT_EQ(report.findings[0].kind, Finding::Kind::missing_object);
    EXPECT_FALSE(store_->rebuild_index()) << "still lost";

    bring_back(2);
    ASSERT_TRUE(store_->rebuild_index());
    EXPECT_EQ(instances("1.2.3.1")->at(1).object.state, ObjectState::current);
    EXPECT_TRUE(fsck().clean());
}

TEST_F(LostSegmentTest, IsMendedBySendingAgain) {
    const auto slot = (*study("1.2.3.1"))->patient.slot;
    store_.reset();
    for (const std::uint32_t segment : {1u, 2u}) std::filesystem::rename(segment_path(segment), folder_ / std::to_string(segment));
    open();
    ASSERT_TRUE(store_->rebuild_index(true));
    EXPECT_EQ((*study("1.2.3.1"))->patient.slot, slot) << "the patient is the same although every instance is lost";
    for (const auto& one : instances_) EXPECT_EQ(put(one).admission, Admission::stored);
    const auto check = [&] {
        EXPECT_EQ(instances("1.2.3.1")->size(), 2u);
        EXPECT_EQ((*study("1.2.3.1"))->date, "20260102");
        EXPECT_EQ((*study("1.2.3.1"))->modalities, std::vector<std::string>{"CT"});
        const auto report = fsck();
        EXPECT_TRUE(report.clean()) << text_of(report);
    };
    check();
    const auto rebuilt = store_->rebuild_index();
    ASSERT_TRUE(rebuilt) << rebuilt.error().message;
    check();
}

TEST_F(LostSegmentTest, OfAManifestIsNamed) {
    StudyVersionRow version;
    version.study_uid = uid("1.2.3.1");
    version.record.study_key.fill(4);
    version.manifest = manifest_.ref.id;
    ASSERT_TRUE(store_->database().write(database::Durability::full,
                                         [&](database::Transaction& t) { return store_->index().insert_version(t, version); }));
    EXPECT_TRUE(fsck().clean());
    lose(manifest_.ref.location.segment);
    EXPECT_FALSE(store_->rebuild_index());
    ASSERT_TRUE(store_->rebuild_index(true));
    EXPECT_NE(text_of(fsck()).find("the manifest of study 1.2.3.1 version 1 is missing"), std::string::npos) << text_of(fsck());
}

TEST_F(IndexTest, ADamagedBlockStopsARebuild) {
    for (int n = 1; n <= 3; ++n) put(numbered(1, n));
    const auto place = (*instance("1.2.3.1.1.2"))->object.ref.location;
    flip(segment_path(place.segment), place.offset + 40);
    const auto refused = store_->rebuild_index();
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, ErrorCode::corrupt);
    EXPECT_EQ(instances("1.2.3.1")->size(), 3u);
    ASSERT_TRUE(store_->rebuild_index(true));
    EXPECT_EQ(instances("1.2.3.1")->size(), 2u);
}

TEST_F(IndexTest, AGoodCopyHealsWhatIsInQuarantine) {
    TestInstance i;
    const auto damaged = put(i);
    flip(segment_path(), 600);
    EXPECT_FALSE(fsck(true).clean());
    ASSERT_EQ((*instance(i.sop))->object.state, ObjectState::quarantined);
    const auto copy = put(i);
    EXPECT_EQ(copy.admission, Admission::stored);
    const auto check = [&] {
        const auto rows = instances();
        ASSERT_EQ(rows->size(), 1u);
        EXPECT_EQ(rows->front().object.ref.id, copy.ref.id);
        EXPECT_EQ(rows->front().object.state, ObjectState::current);
        EXPECT_EQ(rows->front().object.ref.chunk_root, damaged.ref.chunk_root) << "the study's root is what it was";
        EXPECT_EQ(get(*store_, rows->front().object.ref), i.bytes);
    };
    const auto expect_clean = [&](std::uint64_t healed) {
        const auto report = fsck(true);
        EXPECT_TRUE(report.clean()) << text_of(report);
        EXPECT_EQ(report.healed, healed);
    };
    check();
    expect_clean(1);
    ASSERT_TRUE(store_->rebuild_index());
    check();
    expect_clean(1);
    flip(segment_path(), 600);  // mended after all
    ASSERT_TRUE(store_->restore(damaged.ref.id));
    check();
    expect_clean(0);
    EXPECT_EQ(put(i).admission, Admission::duplicate);
    // Damage to the copy, too, is found, whatever it had healed.
    const auto at = copy.ref.location.offset - 1000;
    flip(segment_path(), at);
    EXPECT_FALSE(fsck().clean());
    flip(segment_path(), at);
}

TEST_F(IndexTest, QuarantineAndRestore) {
    const auto stored = put(TestInstance{});
    ASSERT_TRUE(store_->quarantine(stored.ref.id, "bit rot"));
    EXPECT_EQ((*instance("1.2.3.1.1"))->object.state, ObjectState::quarantined);
    const auto listed = reading([&](database::Transaction& t) { return store_->index().list_quarantined(t); });
    ASSERT_EQ(listed->size(), 1u);
    EXPECT_EQ((*listed)[0].reason, "bit rot");
    EXPECT_EQ((*listed)[0].sop_uid.text(), "1.2.3.1.1");
    ASSERT_TRUE(store_->rebuild_index());
    EXPECT_EQ((*instance("1.2.3.1.1"))->object.state, ObjectState::quarantined) << "also in a rebuilt index";
    ASSERT_TRUE(store_->restore(stored.ref.id));
    EXPECT_EQ((*instance("1.2.3.1.1"))->object.state, ObjectState::current);
    EXPECT_EQ(store_->restore(stored.ref.id).error().code, ErrorCode::not_found);
    flip(segment_path(), 600);
    EXPECT_FALSE(fsck(true).clean());
    EXPECT_EQ((*instance("1.2.3.1.1"))->object.state, ObjectState::quarantined);
    EXPECT_EQ(store_->restore(stored.ref.id).error().code, ErrorCode::corrupt);
    flip(segment_path(), 600);
    EXPECT_TRUE(store_->restore(stored.ref.id));
    EXPECT_TRUE(fsck().clean());
}

}  // namespace
}  // namespace fiducial::store
