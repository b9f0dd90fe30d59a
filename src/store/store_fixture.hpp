#pragma once
// What the tests of this room share.
#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <random>

#include "base/file.hpp"
#include "base/hex.hpp"
#include "store/store.hpp"

namespace fiducial::store {

inline crypto::Secret test_site_key(std::uint8_t first = 1) {
    crypto::Secret key(32);
    for (std::size_t i = 0; i < 32; ++i) key.bytes()[i] = static_cast<std::uint8_t>(first + i);
    return key;
}

inline Bytes random_bytes(std::size_t size, std::uint64_t seed) {
    std::mt19937_64 generator(seed);
    Bytes bytes(size);
    for (std::size_t i = 0; i < size; i += 8) {
        const auto word = generator();
        std::memcpy(bytes.data() + i, &word, std::min<std::size_t>(8, size - i));
    }
    return bytes;
}

inline Uid uid(const std::string& text) {
    return *Uid::parse(text);
}

/// An instance as an import would describe it.
struct TestInstance {
    std::string study = "1.2.3", series = "1.2.3.1", sop = "1.2.3.1.1", patient_id = "P1", issuer, name = "Doe^Jane", date = "20260102",
                modality = "CT";
    Bytes bytes = random_bytes(100'000, 1);
    Hash pixel_sha256{};
    std::string fragment = R"({"00100010":{"vr":"PN","Value":[{"Alphabetic":"Doe^Jane"}]}})";
    std::string prefix = std::string("preamble\0and group 0002", 23);

    ObjectDescription description() const {
        ObjectDescription d;
        d.study_uid = uid(study);
        d.series_uid = uid(series);
        d.sop_uid = uid(sop);
        d.sop_class_uid = uid("1.2.840.10008.5.1.4.1.1.2");
        d.transfer_syntax_uid = uid("1.2.840.10008.1.2.1");
        d.pixel_sha256 = pixel_sha256;
        d.arrival_ms = 1'790'000'000'000;
        d.source.value = "test";
        d.patient_id.value = patient_id;
        d.issuer.value = issuer;
        namespace tags = dicom::tags;
        d.attributes.set(tags::kPatientId, {patient_id});
        d.attributes.set(tags::kPatientName, {name});
        d.attributes.set(tags::kStudyDate, {date});
        d.attributes.set(tags::kModality, {modality});
        d.attributes.set(tags::kStudyDescription, {"Thorax"});
        d.attributes.set(tags::kInstanceNumber, {"7"});
        d.attributes.set(tags::kRows, {"512"});
        d.attributes.set(0x00101010, {"045Y"});
        return d;
    }
};

class StoreTest : public ::testing::Test {
protected:
    void SetUp() override {
        std::string name = (std::filesystem::temp_directory_path() / "fiducial-store-XXXXXX").string();
        ASSERT_NE(::mkdtemp(name.data()), nullptr);
        folder_ = name;
    }
    void TearDown() override {
        store_.reset();
        std::filesystem::remove_all(folder_);
    }

    Result<std::unique_ptr<Store>> try_open(std::uint8_t key = 1) { return Store::open(folder_ / "store", test_site_key(key), options_); }
    void open() {
        store_.reset();
        auto opened = try_open();
        ASSERT_TRUE(opened) << opened.error().message;
        store_ = *std::move(opened);
    }
    static Result<PendingObject> prepare(Store& store, const TestInstance& instance) {
        FID_TRY(auto writer, store.begin_object(uid(instance.study), ObjectKind::instance));
        FID_CHECK(writer.write(instance.bytes));
        return PendingObject{std::move(writer), instance.description(), to_bytes(as_bytes(instance.fragment)),
                             to_bytes(as_bytes(instance.prefix))};
    }
    static Result<StoredObject> put(Store& store, const TestInstance& instance) {
        FID_TRY(auto pending, prepare(store, instance));
        return store.commit(std::move(pending));
    }
    StoredObject put(const TestInstance& instance) {
        auto stored = put(*store_, instance);
        EXPECT_TRUE(stored) << stored.error().message;
        return stored ? *std::move(stored) : StoredObject{};
    }
    static Result<Bytes> get(const Store& store, const ObjectRef& ref) {
        FID_TRY(auto reader, store.open_object(ref));
        Bytes out(reader.size());
        FID_TRY(const auto size, reader.read(0, out));
        out.resize(size);
        return out;
    }
    template <typename Body>
    auto reading(Body&& body) {
        return store_->database().read(std::forward<Body>(body));
    }
    FsckReport fsck(bool repair = false) {
        FsckOptions options;
        options.repair = repair;
        auto report = store_->fsck(options);
        EXPECT_TRUE(report) << report.error().message;
        return report ? *std::move(report) : FsckReport{};
    }
    static std::string text_of(const FsckReport& report) {
        std::string text;
        for (const auto& finding : report.findings)
            text += std::string(name_of(finding.kind)) + " " + finding.subject + " " + finding.where + ": " + finding.what + "\n";
        return text;
    }
    std::filesystem::path segment_path(std::uint32_t number = 1) const {
        auto digits = std::to_string(number);
        digits.insert(0, 8 - digits.size(), '0');
        return folder_ / "store" / "segments" / (digits + ".segment");
    }
    static void flip(const std::filesystem::path& path, std::uint64_t offset, std::uint8_t mask = 1) {
        auto file = File::open(path, File::Mode::read_write);
        ASSERT_TRUE(file);
        Bytes byte(1);
        ASSERT_TRUE(file->read_exactly_at(offset, byte));
        byte[0] ^= mask;
        ASSERT_TRUE(file->write_at(offset, byte));
    }

    std::filesystem::path folder_;
    StoreOptions options_;
    std::unique_ptr<Store> store_;
};

}  // namespace fiducial::store
