#pragma once
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "archive/archive.hpp"
#include "archive/ready_metadata.hpp"
#include "archive/retrieve.hpp"
#include "dicom/data_set_scanner.hpp"
#include "store/store.hpp"

namespace fiducial::archive {

/// What the instances of one decided look say of themselves, from the fragments that were stored with them, or from what is ready of
/// these. Each instance's row is compared with the version in either case.
class StoreMetadataLook final : public MetadataLook {
public:
    StoreMetadataLook(store::Store& store, ReadyMetadata& ready, crypto::Secret study_secret, std::vector<store::InstanceRow> instances,
                      std::shared_ptr<const CheckedVersion> version, std::uint64_t study_revision, OnDamage on_damage,
                      std::shared_ptr<const AppliedOverlay> overlay);
    Result<std::optional<Document>> next() override;

private:
    void begin_group();
    Result<std::string> stored_document();

    store::Store& store_;
    ReadyMetadata& ready_;
    const crypto::Secret study_secret_;
    const std::vector<store::InstanceRow> instances_;
    const std::shared_ptr<const CheckedVersion> version_;
    const std::uint64_t study_revision_;
    const OnDamage on_damage_;
    const std::shared_ptr<const AppliedOverlay> overlay_;
    std::size_t next_ = 0;
    // Of the group in which that is:
    std::size_t group_begin_ = 0, group_end_ = 0;
    Hash group_hash_{};
    bool is_ready_ = false;               // all of its documents are in `documents_`
    ReadyMetadata::Documents documents_;  // else those that were read so far
};

/// One instance of a decided look, at any place.
class StoreValueLook final : public ValueLook {
public:
    /// What is stored deflated or big-endian is read through, as Explicit VR Little Endian (dicom::Transcoding): places are those in that.
    /// Errors: corrupt: in quarantine, or not what was anchored.
    static Result<std::unique_ptr<StoreValueLook>> open(store::Store& store, store::InstanceRow instance, const CheckedVersion* version,
                                                        std::uint64_t study_revision, OnDamage on_damage,
                                                        std::shared_ptr<const AppliedOverlay> overlay);
    ~StoreValueLook() override;
    const std::string& transfer_syntax_uid() const override { return instance_.transfer_syntax_uid.text(); }
    const std::string& series_uid() const override { return instance_.series_uid.text(); }
    const std::string& sop_uid() const override { return instance_.sop_uid.text(); }
    Result<std::string> header() override;
    Result<ValuePlace> find(std::string_view path) override;
    Result<std::vector<ValuePlace>> find_frame(std::uint64_t number) override;
    Result<std::size_t> read(std::uint64_t offset, MutableByteView out) override;

private:
    StoreValueLook(store::InstanceRow instance, store::ObjectReader reader, OnDamage on_damage,
                   std::shared_ptr<const AppliedOverlay> overlay);
    using Frame = std::vector<ValuePlace>;
    struct Pixels;
    struct Transcoded;
    Result<std::size_t> read_stored(std::uint64_t offset, MutableByteView out);
    Result<std::optional<dicom::DataSetScanner::Passed>> look_for(dicom::Tag tag, std::optional<dicom::DataSetScanner>& scanner);
    Result<ValuePlace> find_nested(std::string_view path);
    Result<void> find_frames();
    Result<void> native_frames(const Pixels& pixels, const ValuePlace& value);
    Result<void> bit_frames(std::uint64_t bits, std::uint64_t count, const ValuePlace& value);
    Result<void> encapsulated_frames(const Pixels& pixels, std::uint64_t offset);
    Result<std::vector<ValuePlace>> fragments(std::uint64_t offset);
    Result<std::vector<std::uint64_t>> offset_table(const std::vector<ValuePlace>& items);
    Result<Bytes> read_whole(const ValuePlace& place);

    const store::InstanceRow instance_;
    store::ObjectReader reader_;
    const OnDamage on_damage_;
    const std::shared_ptr<const AppliedOverlay> overlay_;
    bool damage_told_ = false;
    std::unique_ptr<Transcoded> transcoded_;  // none: places are those of what is stored
    std::optional<std::vector<Frame>> frames_;
};

/// The rows of images, in each series by number. only_one: the middle one of the largest series; none where there is no image.
std::vector<store::InstanceRow> image_rows(std::vector<store::InstanceRow> rows, bool only_one);

/// The images of one decided look, one after the other.
class StoreImageLook final : public ImageLook {
public:
    StoreImageLook(store::Store& store, std::vector<store::InstanceRow> images, std::shared_ptr<const CheckedVersion> version,
                   std::uint64_t study_revision, OnDamage on_damage, std::shared_ptr<const AppliedOverlay> overlay);
    std::size_t image_count() const override { return images_.size(); }
    Result<std::unique_ptr<ValueLook>> next() override;

private:
    store::Store& store_;
    const std::vector<store::InstanceRow> images_;
    const std::shared_ptr<const CheckedVersion> version_;
    const std::uint64_t study_revision_;
    const OnDamage on_damage_;
    const std::shared_ptr<const AppliedOverlay> overlay_;
    std::size_t next_ = 0;
};

}  // namespace fiducial::archive
