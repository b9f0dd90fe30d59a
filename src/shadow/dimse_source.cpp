#include "shadow/dimse_source.hpp"

#include "base/identifiers.hpp"
#include "dicom/data_set_scanner.hpp"
#include "dimse/study_root.hpp"

namespace fiducial::shadow {
namespace {

namespace tags = dicom::tags;
using dicom::QueryLevel;

constexpr std::size_t kMostStudies = 5'000'000, kMostSeries = 10'000, kMostImages = 1'000'000;
constexpr std::size_t kPieceBytes = std::size_t{256} << 10;

/// All that fits, on an association of its own.
net::Task<Result<std::vector<dicom::Identifier>>> found(dimse::UserSettings peer, QueryLevel level, dimse::QueryKeys keys,
                                                        std::size_t most) {
    dimse::propose(peer, dimse::kStudyRootFind);
    FID_CO_TRY(const auto user, co_await dimse::User::open(std::move(peer)));
    auto ask = dimse::study_root_ask(dimse::kStudyRootFind, level, keys);
    FID_CO_TRY(auto rows, co_await dimse::find(user->association(), std::move(ask), most));
    FID_CO_CHECK(co_await user->release());
    co_return std::move(rows);
}

/// Several values as one text.
std::string text_of(const dicom::Identifier& row, dicom::Tag tag) {
    auto text = row.attributes.joined(tag);
    for (auto& c : text) {
        if (c == '\\') c = ',';
    }
    return text;
}

/// Takes the one object that is to come; another one is refused.
class Taker {
public:
    Taker(const ListedInstance& wanted, dimse::Association& association, const TakePiece& take)
        : wanted_(wanted), association_(association), take_(take) {}

    net::Task<Result<void>> operator()(const dimse::Message& message) {
        auto status = dicom::status::kSuccess;
        if (message.command.sop_instance != wanted_.sop_uid || came_) {
            status = dicom::status::kCannotUnderstand;
        } else {
            FID_CO_CHECK(co_await take(message));
        }
        const auto answer = dicom::answer_to(message.command, status);
        co_return co_await association_.send(message.context_id, answer, ByteView());
    }
    bool came() const { return came_; }

private:
    net::Task<Result<void>> take(const dimse::Message& message) {
        FID_CO_TRY(const auto sop_class, Uid::parse(message.command.sop_class));
        FID_CO_TRY(const auto sop_instance, Uid::parse(message.command.sop_instance));
        const auto prefix = dicom::make_file_prefix(message.transfer_syntax, sop_class, sop_instance);
        FID_CO_CHECK(take_(prefix));
        Bytes piece(kPieceBytes);
        for (;;) {
            const MutableByteView room(piece);
            FID_CO_TRY(const auto got, co_await association_.read(room));
            if (got == 0) break;
            FID_CO_CHECK(take_(ByteView(piece).first(got)));
        }
        came_ = true;
        co_return Result<void>();
    }

    const ListedInstance& wanted_;
    dimse::Association& association_;
    const TakePiece& take_;
    bool came_ = false;
};

net::Task<Result<void>> fetched(dimse::UserSettings peer, const ListedInstance& instance, const TakePiece& take) {
    dimse::propose_get(peer, {instance.sop_class_uid});
    FID_CO_TRY(const auto user, co_await dimse::User::open(std::move(peer)));
    Taker taker(instance, user->association(), take);
    const dimse::OnObject on_object = [&taker](const dimse::Message& message) { return taker(message); };
    const dimse::OnProgress on_progress = [](const dimse::RetrieveProgress&) { return true; };
    auto ask = dimse::study_root_ask(dimse::kStudyRootGet, QueryLevel::instance,
                                     {{tags::kSopInstanceUid, instance.sop_uid},
                                      {tags::kStudyInstanceUid, instance.study_uid},
                                      {tags::kSeriesInstanceUid, instance.series_uid}});
    FID_CO_TRY(const auto last, co_await dimse::retrieve(user->association(), std::move(ask), on_object, on_progress));
    static_cast<void>(co_await user->release());
    if (taker.came()) co_return Result<void>();
    if (last.failed > 0)
        co_return fail(ErrorCode::unsupported,
                       "the old archive could not send it: it may keep it in a transfer syntax that was not proposed");
    if (!last.comment.empty()) co_return fail(ErrorCode::unavailable, last.comment);
    co_return fail(ErrorCode::not_found, "the old archive sends nothing for it");
}

}  // namespace

DimseSource::DimseSource(dimse::UserSettings peer) : peer_(std::move(peer)), runtime_(1) {}

std::string DimseSource::name() const {
    return peer_.called_ae_title + " at " + peer_.address + " port " + std::to_string(peer_.port);
}

Result<void> DimseSource::each_study(const std::function<Result<bool>(const ListedStudy& study)>& with) {
    const dimse::QueryKeys keys{{tags::kStudyDate, {}}, {tags::kModalitiesInStudy, {}}, {tags::kStudyInstanceUid, {}}};
    FID_TRY(const auto rows, runtime_.block_on(found(peer_, QueryLevel::study, keys, kMostStudies)));
    for (const auto& row : rows) {
        const ListedStudy study{row.attributes.first(tags::kStudyInstanceUid), row.attributes.first(tags::kStudyDate),
                                text_of(row, tags::kModalitiesInStudy)};
        FID_TRY(const auto more, with(study));
        if (!more) return {};
    }
    return {};
}

Result<std::vector<ListedInstance>> DimseSource::instances(const std::string& study_uid) {
    const dimse::QueryKeys of_study{{tags::kStudyInstanceUid, study_uid}, {tags::kSeriesInstanceUid, {}}};
    FID_TRY(const auto series, runtime_.block_on(found(peer_, QueryLevel::series, of_study, kMostSeries)));
    std::vector<ListedInstance> out;
    for (const auto& one : series) {
        const auto& series_uid = one.attributes.first(tags::kSeriesInstanceUid);
        const dimse::QueryKeys of_series{{tags::kSopClassUid, {}},
                                         {tags::kSopInstanceUid, {}},
                                         {tags::kStudyInstanceUid, study_uid},
                                         {tags::kSeriesInstanceUid, series_uid}};
        FID_TRY(const auto images, runtime_.block_on(found(peer_, QueryLevel::instance, of_series, kMostImages)));
        for (const auto& image : images)
            out.push_back(
                {study_uid, series_uid, image.attributes.first(tags::kSopInstanceUid), image.attributes.first(tags::kSopClassUid)});
    }
    return out;
}

Result<void> DimseSource::fetch(const ListedInstance& instance, const TakePiece& take) {
    return runtime_.block_on(fetched(peer_, instance, take));
}

}  // namespace fiducial::shadow
