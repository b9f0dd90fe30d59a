// Priors from other archives: C-FIND, then C-GET, or C-MOVE to ourselves; PS3.4 Annex C, as a user.
#include "gateway/dimse_fetch.hpp"

#include <algorithm>
#include <set>

#include "base/identifiers.hpp"
#include "base/log.hpp"
#include "dimse/study_root.hpp"
#include "gateway/impl/fetching.hpp"

namespace fiducial::gateway::impl {
namespace {

namespace tags = dicom::tags;

constexpr std::size_t kMostStudies = 1'000, kMostSeries = 5'000, kMostImages = 65'535;

}  // namespace

net::Task<Result<std::vector<FetchedStudy>>> Fetching::run() {
    FID_CO_TRY(const auto found, co_await look());
    std::vector<FetchedStudy> done;
    for (const auto& one : found) {
        FetchedStudy study{one.study_uid, 0, 0, 0, {}};
        Result<void> fetched;
        if (request_.by_move)
            fetched = co_await by_move(study, found.size());
        else
            fetched = co_await by_get(study, one.sop_classes, found.size());
        if (!fetched) study.problem = fetched.error().message;
        log::write(study.problem.empty() ? log::Level::info : log::Level::warning, "gateway", "a study was fetched",
                   {{"peer", peer_.ae_title}, {"completed", study.completed}, {"failed", study.failed}, {"why", study.problem}});
        done.push_back(study);
        if (stopped_) break;
    }
    co_return std::move(done);
}

/// Which studies there are, and for C-GET of which classes: their presentation contexts have to be proposed.
net::Task<Result<std::vector<Fetching::Found>>> Fetching::look() {
    auto settings = door_.user_settings(peer_);
    dimse::propose(settings, dimse::kStudyRootFind);
    FID_CO_TRY(const auto user, co_await dimse::User::open(std::move(settings)));
    auto& association = user->association();
    auto studies_asked = dimse::study_root_ask(dimse::kStudyRootFind, dicom::QueryLevel::study,
                                               {{tags::kPatientId, request_.patient_id}, {tags::kStudyInstanceUid, request_.study_uid}});
    FID_CO_TRY(const auto studies, co_await dimse::find(association, std::move(studies_asked), kMostStudies));
    std::vector<Found> out;
    for (const auto& row : studies) {
        Found found{row.attributes.first(tags::kStudyInstanceUid), {}};
        if (!Uid::parse(found.study_uid)) co_return fail(ErrorCode::malformed, "the peer answers with a study that has no UID");
        if (!request_.by_move) {
            FID_CO_TRY(found.sop_classes, co_await classes_of(association, found.study_uid));
        }
        out.push_back(std::move(found));
    }
    FID_CO_CHECK(co_await user->release());
    if (out.empty()) co_return fail(ErrorCode::not_found, peer_.ae_title + " has no such study, or shows none to us");
    co_return std::move(out);
}

net::Task<Result<std::set<std::string>>> Fetching::classes_of(dimse::Association& association, const std::string& study_uid) {
    std::set<std::string> classes;
    auto series_asked = dimse::study_root_ask(dimse::kStudyRootFind, dicom::QueryLevel::series,
                                              {{tags::kStudyInstanceUid, study_uid}, {tags::kSeriesInstanceUid, {}}});
    FID_CO_TRY(const auto series, co_await dimse::find(association, std::move(series_asked), kMostSeries));
    for (const auto& one : series) {
        auto images_asked = dimse::study_root_ask(dimse::kStudyRootFind, dicom::QueryLevel::instance,
                                                  {{tags::kSopClassUid, {}},
                                                   {tags::kSopInstanceUid, {}},
                                                   {tags::kStudyInstanceUid, study_uid},
                                                   {tags::kSeriesInstanceUid, one.attributes.first(tags::kSeriesInstanceUid)}});
        FID_CO_TRY(const auto images, co_await dimse::find(association, std::move(images_asked), kMostImages));
        for (const auto& image : images) {
            if (const auto& sop_class = image.attributes.first(tags::kSopClassUid); Uid::parse(sop_class)) classes.insert(sop_class);
        }
    }
    co_return std::move(classes);
}

bool Fetching::tell(FetchedStudy& study, const dimse::RetrieveProgress& progress, std::size_t studies) {
    study.completed = progress.completed + progress.warned;
    study.failed = progress.failed;
    study.remaining = progress.remaining;
    study.problem = progress.comment;
    if (!on_fetched_(study, studies)) stopped_ = true;
    return !stopped_;
}

net::Task<Result<void>> Fetching::by_get(FetchedStudy& study, const std::set<std::string>& sop_classes, std::size_t studies) {
    auto settings = door_.user_settings(peer_);
    dimse::propose_get(settings, sop_classes);
    FID_CO_TRY(const auto user, co_await dimse::User::open(std::move(settings)));
    DimseAssociation taking(door_, user->association(), peer_, peer_.ae_title);
    const dimse::OnObject on_object = [&](const dimse::Message& message) { return taking.take(message); };
    const dimse::OnProgress on_progress = [&](const dimse::RetrieveProgress& progress) { return tell(study, progress, studies); };
    auto asked = dimse::study_root_ask(dimse::kStudyRootGet, dicom::QueryLevel::study, {{tags::kStudyInstanceUid, study.study_uid}});
    const auto last = co_await dimse::retrieve(user->association(), std::move(asked), on_object, on_progress);
    co_await taking.finish();
    if (!last) co_return fail(last.error());
    tell(study, *last, studies);
    co_return co_await user->release();
}

net::Task<Result<void>> Fetching::by_move(FetchedStudy& study, std::size_t studies) {
    auto settings = door_.user_settings(peer_);
    dimse::propose(settings, dimse::kStudyRootMove);
    FID_CO_TRY(const auto user, co_await dimse::User::open(std::move(settings)));
    const dimse::OnObject on_object;  // what is moved comes to our own door
    const dimse::OnProgress on_progress = [&](const dimse::RetrieveProgress& progress) { return tell(study, progress, studies); };
    auto asked = dimse::study_root_ask(dimse::kStudyRootMove, dicom::QueryLevel::study, {{tags::kStudyInstanceUid, study.study_uid}});
    asked.move_destination = door_.settings.ae_title;
    const auto last = co_await dimse::retrieve(user->association(), std::move(asked), on_object, on_progress);
    if (!last) co_return fail(last.error());
    tell(study, *last, studies);
    co_return co_await user->release();
}

}  // namespace fiducial::gateway::impl
