#include "shadow/dimse_source.hpp"

#include "base/identifiers.hpp"
#include "dicom/data_set_scanner.hpp"
#include "dicom/negotiation.hpp"
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

/// Takes the one object that is to come, as long as somebody waits for it; another one is refused.
class Taker {
public:
    Taker(const ListedInstance& wanted, const TakePiece& take) : wanted_(wanted.sop_uid), take_(&take) {}
    void close() { take_ = nullptr; }

    net::Task<Result<void>> operator()(dimse::Association& association, const dimse::Message& message) {
        auto status = dicom::status::kSuccess;
        if (message.command.sop_instance != wanted_ || began_ || take_ == nullptr) {
            status = dicom::status::kCannotUnderstand;
        } else {
            began_ = true;
            FID_CO_CHECK(co_await take(association, message));
        }
        const auto answer = dicom::answer_to(message.command, status);
        co_return co_await association.send(message.context_id, answer, ByteView());
    }
    bool came() const { return came_; }

private:
    net::Task<Result<void>> take(dimse::Association& association, const dimse::Message& message) {
        FID_CO_TRY(const auto sop_class, Uid::parse(message.command.sop_class));
        FID_CO_TRY(const auto sop_instance, Uid::parse(message.command.sop_instance));
        const auto prefix = dicom::make_file_prefix(message.transfer_syntax, sop_class, sop_instance);
        FID_CO_CHECK((*take_)(prefix));
        Bytes piece(kPieceBytes);
        for (;;) {
            const MutableByteView room(piece);
            FID_CO_TRY(const auto got, co_await association.read(room));
            if (take_ == nullptr) co_return fail(ErrorCode::cancelled, "nobody waits for it any more");
            if (got == 0) break;
            FID_CO_CHECK((*take_)(ByteView(piece).first(got)));
        }
        came_ = true;
        co_return Result<void>();
    }

    const std::string wanted_;
    const TakePiece* take_;
    bool began_ = false, came_ = false;
};

dimse::QueryAsk ask_for(std::string_view sop_class, const ListedInstance& instance) {
    return dimse::study_root_ask(sop_class, QueryLevel::instance,
                                 {{tags::kSopInstanceUid, instance.sop_uid},
                                  {tags::kStudyInstanceUid, instance.study_uid},
                                  {tags::kSeriesInstanceUid, instance.series_uid}});
}

Result<void> outcome(const Taker& taker, const dimse::RetrieveProgress& last, std::string_view could_not) {
    if (taker.came()) return {};
    if (last.failed > 0) return fail(ErrorCode::unsupported, "the old archive could not send it: " + std::string(could_not));
    if (!last.comment.empty()) return fail(ErrorCode::unavailable, last.comment);
    return fail(ErrorCode::not_found, "the old archive sends nothing for it");
}

bool go_on(const dimse::RetrieveProgress&) {
    return true;
}

net::Task<Result<void>> fetched(dimse::UserSettings peer, const ListedInstance& instance, const TakePiece& take) {
    dimse::propose_get(peer, {instance.sop_class_uid});
    FID_CO_TRY(const auto user, co_await dimse::User::open(std::move(peer)));
    Taker taker(instance, take);
    auto& association = user->association();
    const dimse::OnObject on_object = [&](const dimse::Message& message) { return taker(association, message); };
    const dimse::OnProgress on_progress = go_on;
    auto ask = ask_for(dimse::kStudyRootGet, instance);
    FID_CO_TRY(const auto last, co_await dimse::retrieve(association, std::move(ask), on_object, on_progress));
    static_cast<void>(co_await user->release());
    co_return outcome(taker, last, "it may keep it in a transfer syntax that was not proposed");
}

}  // namespace

/// What the old archive sends after a C-MOVE.
class DimseSource::Arrivals final : public dimse::Service {
public:
    Arrivals(const dimse::UserSettings& peer, std::string ae_title) : peer_(peer), ae_title_(std::move(ae_title)) {}

    /// Of the image that is waited for; none.
    void wait_for(std::shared_ptr<Taker> taker) { taker_ = std::move(taker); }

    dimse::Admission admit(const dimse::Caller& caller) override {
        if (caller.request.called_ae_title != ae_title_) return dicom::reject::kCalledAeTitleNotRecognized;
        const auto from = caller.peer.substr(0, caller.peer.rfind(':'));
        const bool is_it = caller.request.calling_ae_title == peer_.called_ae_title &&
                           (from == peer_.address || from == "[" + peer_.address + "]") &&
                           (peer_.certificate.empty() || peer_.certificate == caller.certificate);
        if (!is_it) return dicom::reject::kCallingAeTitleNotRecognized;
        if (taker_ == nullptr) return dicom::reject::kTemporaryCongestion;
        return dimse::Acceptance{dicom::negotiate(caller.request.contexts, [](std::string_view abstract_syntax) {
            return dicom::is_storage_sop_class(abstract_syntax) ? dicom::Served::objects : dicom::Served::no;
        })};
    }

    net::Task<void> serve(dimse::Association& association) override {
        for (;;) {
            const auto message = co_await association.next();
            if (!message || !*message) co_return;
            const auto taker = taker_;  // lives as long as this needs it
            if ((*message)->command.field != dicom::CommandField::c_store_rq || taker == nullptr) co_return;
            const auto taken = co_await (*taker)(association, **message);
            if (!taken) co_return;
        }
    }

private:
    const dimse::UserSettings& peer_;
    const std::string ae_title_;
    std::shared_ptr<Taker> taker_;
};

DimseSource::DimseSource(dimse::UserSettings peer) : peer_(std::move(peer)), runtime_(1) {}

Result<std::unique_ptr<DimseSource>> DimseSource::open(dimse::UserSettings peer, const std::optional<MoveTarget>& target) {
    std::unique_ptr<DimseSource> out(new DimseSource(std::move(peer)));
    if (!target) return out;
    out->move_title_ = target->ae_title;
    out->arrivals_ = std::make_shared<Arrivals>(out->peer_, target->ae_title);
    dimse::ProviderLimits limits;
    limits.max_associations = 4;
    FID_TRY(out->provider_, dimse::Provider::start(out->runtime_, target->listen, limits, out->arrivals_));
    return out;
}

DimseSource::~DimseSource() = default;

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
    return runtime_.block_on(provider_ == nullptr ? fetched(peer_, instance, take) : move(instance, take));
}

net::Task<Result<void>> DimseSource::move(const ListedInstance& instance, const TakePiece& take) {
    auto peer = peer_;
    dimse::propose(peer, dimse::kStudyRootMove);
    FID_CO_TRY(const auto user, co_await dimse::User::open(std::move(peer)));
    const auto taker = std::make_shared<Taker>(instance, take);
    const dimse::OnObject nothing_comes_here;
    const dimse::OnProgress on_progress = go_on;
    auto ask = ask_for(dimse::kStudyRootMove, instance);
    ask.move_destination = move_title_;
    arrivals_->wait_for(taker);
    const auto last = co_await dimse::retrieve(user->association(), std::move(ask), nothing_comes_here, on_progress);
    arrivals_->wait_for(nullptr);
    taker->close();
    if (!last) co_return fail(last.error());
    static_cast<void>(co_await user->release());
    co_return outcome(*taker, *last, "it does not reach " + move_title_ + " at the address that it has for it");
}

}  // namespace fiducial::shadow
