#include "gateway/impl/outgoing_retrievals.hpp"

#include "dicom/transcoding.hpp"
#include "dicom/transfer_syntax.hpp"

namespace fiducial::gateway::impl {
namespace {

namespace tags = dicom::tags;

constexpr std::size_t kRows = 256;

/// The studies of patients, as far as the requester may know of them.
Result<std::vector<archive::Selector>> studies_of(archive::Archive& archive, const archive::Requester& who, const std::string& patient_id) {
    archive::Query query;
    query.level = dicom::QueryLevel::study;
    query.keys = {{tags::kPatientId, patient_id}};
    FID_TRY(const auto answer, archive.query(who, query));
    std::vector<archive::Selector> studies;
    for (;;) {
        FID_TRY(const auto rows, answer->next(kRows));
        for (const auto& row : rows) studies.push_back({archive::Level::study, row.first(tags::kStudyInstanceUid), {}, {}});
        if (rows.size() < kRows) return studies;
    }
}

}  // namespace

Result<void> OutgoingRetrievals::open(archive::Archive& archive, const archive::Requester& who, const RetrieveRequest& request) {
    auto selectors = request.selectors;
    if (!request.patient_id.empty()) {
        FID_TRY(selectors, studies_of(archive, who, request.patient_id));
    }
    std::optional<Error> denial;
    for (const auto& selector : selectors) {
        auto opened = archive.retrieve(who, selector);
        if (opened) {
            count_ += (*opened)->instance_count();
            retrievals_.push_back(*std::move(opened));
            if (count_ > kMostObjects)
                return fail(ErrorCode::limit_exceeded, "these are more than " + std::to_string(kMostObjects) + " objects: ask for fewer");
        } else if (opened.error().code == ErrorCode::denied || opened.error().code == ErrorCode::not_found) {
            left_out_.push_back({selector, opened.error()});
            if (opened.error().code == ErrorCode::not_found) continue;
            ++denied_;
            denial = opened.error();
        } else {
            return fail(opened.error());
        }
    }
    if (retrievals_.empty() && denial) return fail(*denial);
    return {};
}

std::set<std::pair<std::string, std::string>> OutgoingRetrievals::kinds() const {
    std::set<std::pair<std::string, std::string>> out;
    for (const auto& retrieval : retrievals_) {
        for (std::size_t i = 0; i < retrieval->instance_count(); ++i) {
            const auto instance = retrieval->listed(i);
            out.emplace(instance.sop_class_uid, instance.transfer_syntax_uid);
        }
    }
    return out;
}

std::vector<dicom::ProposedContext> OutgoingRetrievals::contexts(bool uncompressed) const {
    std::vector<dicom::ProposedContext> out;
    const auto propose = [&](const std::string& sop_class, std::vector<std::string> syntaxes) {
        if (sop_class.empty() || out.size() == dicom::kMaxPresentationContexts) return;
        out.push_back({static_cast<std::uint8_t>(2 * out.size() + 1), sop_class, std::move(syntaxes)});
    };
    std::set<std::string> transcoded;
    for (const auto& [sop_class, transfer_syntax] : kinds()) {
        const bool can_be_transcoded = dicom::can_transcode(transfer_syntax, dicom::kExplicitVrLittleEndian);
        if (!uncompressed || !can_be_transcoded) propose(sop_class, {transfer_syntax});
        if (can_be_transcoded) transcoded.insert(sop_class);
    }
    for (const auto& sop_class : transcoded)
        propose(sop_class, {std::string(dicom::kExplicitVrLittleEndian), std::string(dicom::kImplicitVrLittleEndian)});
    const std::vector<std::string> compressed(dicom::kLosslessEncodings.begin(), dicom::kLosslessEncodings.end());
    if (!uncompressed) {
        for (const auto& sop_class : transcoded) propose(sop_class, compressed);
    }
    return out;
}

std::vector<std::string> OutgoingRetrievals::instances_from(std::size_t index) const {
    std::vector<std::string> out;
    for (const auto& retrieval : retrievals_) {
        for (std::size_t i = 0; i < retrieval->instance_count(); ++i) {
            if (index > 0)
                --index;
            else
                out.push_back(retrieval->listed(i).sop_uid);
        }
    }
    return out;
}

std::optional<dimse::OutgoingObject> OutgoingRetrievals::next() {
    while (at_ < retrievals_.size() && index_ == retrievals_[at_]->instance_count()) {
        ++at_;
        index_ = 0;
    }
    if (at_ == retrievals_.size()) return std::nullopt;
    auto& retrieval = *retrievals_[at_];
    const auto listed = retrieval.listed(index_++);
    dimse::OutgoingObject object{listed.sop_class_uid, listed.sop_uid, listed.transfer_syntax_uid, listed.data_set_size};
    const auto opened = retrieval.next_instance();
    if (!opened)
        object.error = opened.error();
    else if (!*opened)
        object.error = Error{ErrorCode::internal, "a retrieval ends before its last instance"};
    else if (object.sop_class.empty())
        object.error = Error{ErrorCode::unsupported, "it has no SOP class, without which it cannot be sent"};
    else {
        object.size = (*opened)->data_set_size;  // that of a corrected one is not listed
        retrieval.skip((*opened)->prefix_size);
    }
    return object;
}

}  // namespace fiducial::gateway::impl
