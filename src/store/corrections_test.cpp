// What is taken out of a study, and whose a study is: marks and overlays, live and made again.
#include <filesystem>

#include "crypto/hash.hpp"
#include "evidence/manifest.hpp"
#include "store/store_fixture.hpp"

namespace fiducial::store {
namespace {

class CorrectionsTest : public StoreTest {
protected:
    void SetUp() override {
        StoreTest::SetUp();
        open();
    }
    static TestInstance numbered(int n, const std::string& series = "1.2.3.1") {
        TestInstance one;
        one.series = series;
        one.sop = series + "." + std::to_string(n);
        one.bytes = random_bytes(40'000, static_cast<std::uint64_t>(n));
        return one;
    }
    std::vector<std::string> current() {
        const auto rows = reading([&](database::Transaction& t) { return store_->index().instances_of_study(t, uid("1.2.3")); });
        EXPECT_TRUE(rows) << rows.error().message;
        std::vector<std::string> uids;
        for (const auto& row : *rows) uids.push_back(row.sop_uid.text());
        return uids;
    }
    Hash overlay_of_instances() {
        const auto rows = reading([&](database::Transaction& t) { return store_->index().instances_of_study(t, uid("1.2.3")); });
        EXPECT_FALSE(rows->empty());
        return rows->front().overlay_sha256;
    }
    StudyRow study() {
        const auto row = reading([&](database::Transaction& t) { return store_->index().find_study(t, uid("1.2.3")); });
        EXPECT_TRUE(row && *row);
        return **row;
    }
    ObjectState state_of(const ObjectId& id) {
        return (*reading([&](database::Transaction& t) { return store_->index().find_object(t, id); }))->state;
    }
    /// Stored, and of no effect yet.
    StoredObject put_overlay(const std::string& patient_id, const std::string& name) {
        evidence::Overlay overlay;
        overlay.study_instance_uid = uid("1.2.3");
        overlay.reason = "the wrong patient";
        overlay.patient_in_data_sets.patient_id.value = "P1";
        overlay.patient.patient_id.value = patient_id;
        overlay.edits = {{dicom::tags::kPatientName, "PN", name}, {dicom::tags::kPatientId, "LO", patient_id}};
        Bytes key(32, 1);
        EXPECT_TRUE(overlay.sign(crypto::Secret::copy_of(key)));
        const auto bytes = overlay.encode().value();
        auto writer = store_->begin_object(uid("1.2.3"), ObjectKind::overlay, bytes.size());
        EXPECT_TRUE(writer && writer->write(bytes) && writer->finish());
        PendingObject object{*std::move(writer), {}, {}, {}};
        object.description.kind = ObjectKind::overlay;
        object.description.study_uid = uid("1.2.3");
        object.description.patient_id.value = patient_id;
        object.description.attributes.set(dicom::tags::kPatientId, {patient_id});
        object.description.attributes.set(dicom::tags::kPatientName, {name});
        auto stored = store_->commit(std::move(object));
        EXPECT_TRUE(stored) << stored.error().message;
        return *std::move(stored);
    }
    StoredObject correct(const std::string& patient_id, const std::string& name) {
        auto stored = put_overlay(patient_id, name);
        const auto done = store_->change_state(stored.ref.id, ObjectState::current, "accepted");
        EXPECT_TRUE(done) << done.error().message;
        return stored;
    }
    /// The same after a restart, a rebuild, and a rebuild from nothing.
    template <typename Check>
    void always(const Check& check) {
        check();
        open();
        check();
        const auto rebuilt = store_->rebuild_index();
        ASSERT_TRUE(rebuilt) << rebuilt.error().message;
        check();
        store_.reset();
        for (const auto* part : {"index.db", "index.db-wal", "index.db-shm"}) std::filesystem::remove(folder_ / "store" / part);
        open();
        check();
        const auto report = fsck();
        EXPECT_TRUE(report.clean()) << text_of(report);
    }
};

TEST_F(CorrectionsTest, WhatIsRemovedLeavesItsStudyAndComesBack) {
    const auto one = put(numbered(1)), two = put(numbered(2)), alone = put(numbered(3, "1.2.3.2"));
    ASSERT_TRUE(store_->change_states(std::array{one.ref.id, alone.ref.id}, ObjectState::removed, "quality: blurred"));
    always([&] {
        EXPECT_EQ(current(), std::vector<std::string>{"1.2.3.1.2"});
        EXPECT_EQ(study().instance_count, 1u);
        EXPECT_EQ(study().series_count, 1u) << "a series goes with its last instance";
        const auto removed = reading([&](database::Transaction& t) { return store_->index().list_removed(t, uid("1.2.3")); });
        ASSERT_EQ(removed->size(), 2u);
        EXPECT_EQ(removed->front().reason, "quality: blurred");
        EXPECT_EQ(removed->front().instance.sop_uid.text(), "1.2.3.1.1");
        EXPECT_EQ(get(*store_, one.ref).value(), numbered(1).bytes) << "its bytes stay";
    });
    EXPECT_EQ(put(numbered(1)).admission, Admission::duplicate) << "sent again it stays removed";
    ASSERT_TRUE(store_->change_states(std::array{one.ref.id, alone.ref.id}, ObjectState::current, "it was right"));
    always([&] {
        EXPECT_EQ(current(), (std::vector<std::string>{"1.2.3.1.1", "1.2.3.1.2", "1.2.3.2.3"}));
        EXPECT_EQ(study().series_count, 2u);
    });
    EXPECT_TRUE(store_->change_state(two.ref.id, ObjectState::current, "it is")) << "what it is already";
    EXPECT_EQ(store_->change_state(two.ref.id, ObjectState::discarded, "no").error().code, ErrorCode::conflict);
}

TEST_F(CorrectionsTest, AllOrNoneIsRemoved) {
    const auto one = put(numbered(1)), two = put(numbered(2));
    ASSERT_TRUE(store_->quarantine(two.ref.id, "damaged"));
    const auto refused = store_->change_states(std::array{one.ref.id, two.ref.id}, ObjectState::removed, "quality: blurred");
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, ErrorCode::conflict);
    EXPECT_EQ(current().size(), 2u);
}

TEST_F(CorrectionsTest, NothingIsPutBackOverWhatStandsThereByNow) {
    const auto one = put(numbered(1));
    put(numbered(2));
    ASSERT_TRUE(store_->change_state(one.ref.id, ObjectState::removed, "quality: blurred"));
    auto better = numbered(1);
    better.bytes = random_bytes(40'000, 99);
    EXPECT_EQ(put(better).admission, Admission::stored);
    const auto refused = store_->change_state(one.ref.id, ObjectState::current, "no");
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, ErrorCode::conflict);
    always([&] { EXPECT_EQ(current().size(), 2u); });
}

TEST_F(CorrectionsTest, AStudyIsTheRightPatientsFromTheMarkOn) {
    put(numbered(1));
    const auto wrong = study().patient;
    const auto overlay = put_overlay("P2", "Right^Rosa");
    always([&] {
        EXPECT_EQ(study().patient.patient_id.value, "P1") << "of no effect yet";
        EXPECT_EQ(overlay_of_instances(), Hash{});
        EXPECT_EQ(state_of(overlay.ref.id), ObjectState::set_aside);
    });
    ASSERT_TRUE(store_->change_state(overlay.ref.id, ObjectState::current, "accepted"));
    always([&] {
        EXPECT_EQ(study().patient.patient_id.value, "P2");
        EXPECT_EQ(study().patient.name.value, "Right^Rosa");
        EXPECT_NE(study().patient.slot, wrong.slot) << "another P";
        EXPECT_EQ(overlay_of_instances(), overlay.sha256);
    });
    // More of it under the patient whom its data sets name, and under a third one.
    EXPECT_EQ(put(numbered(2)).admission, Admission::stored);
    auto third = numbered(3);
    third.patient_id = "P3";
    EXPECT_EQ(put(third).admission, Admission::set_aside);
    auto right = numbered(4);
    right.patient_id = "P2";
    EXPECT_EQ(put(right).admission, Admission::stored);
    always([&] {
        EXPECT_EQ(current().size(), 3u);
        EXPECT_EQ(study().patient.patient_id.value, "P2");
    });
    // The next one takes its place.
    const auto back = correct("P1", "Doe^Jane");
    always([&] {
        EXPECT_EQ(study().patient.patient_id.value, "P1");
        EXPECT_EQ(study().patient.slot, wrong.slot) << "the same P as before";
        EXPECT_EQ(overlay_of_instances(), back.sha256);
        EXPECT_EQ(state_of(overlay.ref.id), ObjectState::superseded);
    });
}

TEST_F(CorrectionsTest, AnOverlayThatAPowerCutToreWasNeverInForce) {
    put(numbered(1));
    const auto overlay = put_overlay("P2", "Right^Rosa");
    ASSERT_TRUE(store_->change_state(overlay.ref.id, ObjectState::torn, "a power cut"));
    EXPECT_EQ(store_->change_state(overlay.ref.id, ObjectState::current, "accepted").error().code, ErrorCode::conflict);
    always([&] {
        EXPECT_EQ(study().patient.patient_id.value, "P1");
        EXPECT_EQ(overlay_of_instances(), Hash{});
    });
}

TEST_F(CorrectionsTest, ADamagedOverlayStaysInForce) {
    put(numbered(1));
    const auto overlay = correct("P2", "Right^Rosa");
    ASSERT_TRUE(store_->quarantine(overlay.ref.id, "found damaged"));
    EXPECT_EQ(overlay_of_instances(), overlay.sha256);
    EXPECT_EQ((*reading([&](database::Transaction& t) { return store_->index().overlay_of_study(t, uid("1.2.3")); }))->state,
              ObjectState::quarantined);
    ASSERT_TRUE(store_->rebuild_index());
    EXPECT_EQ(study().patient.patient_id.value, "P2");
    ASSERT_TRUE(store_->restore(overlay.ref.id));
    EXPECT_EQ(put(numbered(3)).admission, Admission::stored);
}

TEST_F(CorrectionsTest, ALostOverlayIsMissedAndStaysInForce) {
    options_.vault.segment_bytes = 100'000;
    open();
    const auto large = [](int n) {
        auto one = numbered(n);
        one.bytes = random_bytes(80'000, static_cast<std::uint64_t>(n));
        return one;
    };
    const auto stored = put(large(1));
    put(large(2));
    const auto overlay = put_overlay("P2", "Right^Rosa");
    put(large(3));
    ASSERT_TRUE(store_->change_state(overlay.ref.id, ObjectState::current, "accepted"));
    ASSERT_NE(overlay.ref.location.segment, stored.ref.location.segment);
    evidence::Manifest manifest;
    manifest.study_instance_uid = uid("1.2.3");
    manifest.patient = evidence::PatientIdentity{{}, {{}, "P2"}};
    evidence::ManifestInstance instance;
    instance.sop_instance_uid = stored.description.sop_uid;
    instance.transfer_syntax_uid = stored.description.transfer_syntax_uid;
    instance.size = stored.ref.size;
    instance.sha256 = stored.sha256;
    instance.overlay_sha256 = overlay.sha256;
    manifest.instances.push_back(instance);
    const auto bytes = manifest.encode().value();
    auto writer = store_->begin_object(uid("1.2.3"), ObjectKind::manifest);
    ASSERT_TRUE(writer && writer->write(bytes));
    PendingObject object{*std::move(writer), {}, {}, {}};
    object.description.kind = ObjectKind::manifest;
    object.description.study_uid = uid("1.2.3");
    object.description.patient_slot = study().patient.slot;
    const auto kept = store_->commit(std::move(object));
    ASSERT_TRUE(kept) << kept.error().message;
    ASSERT_NE(kept->ref.location.segment, overlay.ref.location.segment);
    put(large(4));
    ASSERT_TRUE(store_->rebuild_index());

    store_.reset();
    std::filesystem::rename(segment_path(overlay.ref.location.segment), folder_ / "lost");
    open();
    const auto refused = store_->rebuild_index();
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, ErrorCode::corrupt);
    ASSERT_TRUE(store_->rebuild_index(true));
    EXPECT_EQ(study().patient.patient_id.value, "P2") << "not the wrong one's again";
    EXPECT_EQ(overlay_of_instances(), overlay.sha256);
    const auto row = reading([&](database::Transaction& t) { return store_->index().overlay_of_study(t, uid("1.2.3")); });
    EXPECT_EQ((*row)->state, ObjectState::quarantined);

    store_.reset();
    std::filesystem::rename(folder_ / "lost", segment_path(overlay.ref.location.segment));
    open();
    ASSERT_TRUE(store_->rebuild_index());
    EXPECT_EQ(state_of(overlay.ref.id), ObjectState::current);
    EXPECT_TRUE(fsck().clean());
}

TEST_F(CorrectionsTest, AHoldStandsUntilItIsLifted) {
    put(numbered(1));
    auto writer = store_->begin_object(uid("1.2.3"), ObjectKind::hold);
    ASSERT_TRUE(writer && writer->write(as_bytes("court order")));
    PendingObject object{*std::move(writer), {}, {}, {}};
    object.description.kind = ObjectKind::hold;
    object.description.study_uid = uid("1.2.3");
    const auto hold = store_->commit(std::move(object));
    ASSERT_TRUE(hold) << hold.error().message;
    const auto holds = [&] { return reading([&](database::Transaction& t) { return store_->index().list_holds(t); })->size(); };
    always([&] { EXPECT_EQ(holds(), 1u); });
    ASSERT_TRUE(store_->change_state(hold->ref.id, ObjectState::removed, "lifted"));
    always([&] { EXPECT_EQ(holds(), 0u); });
}

}  // namespace
}  // namespace fiducial::store
