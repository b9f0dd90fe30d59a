// Instance Availability Notification, both ways: what a peer says that is somewhere is fetched; peers are told what is here. PS3.4 Annex R.
#include <algorithm>
#include <set>

#include "base/log.hpp"
#include "crypto/secret.hpp"
#include "dicom/availability.hpp"
#include "dicom/identifier.hpp"
#include "dicom/image_import.hpp"
#include "gateway/impl/deliverer.hpp"
#include "gateway/impl/dimse_association.hpp"

namespace fiducial::gateway::impl {
namespace {

namespace tags = dicom::tags;
constexpr std::size_t kRows = 256;

}  // namespace

/// Blocking. What is said of our own instances is passed over.
Result<void> DimseAssociation::take_availability(const dimse::Message& message, ByteView data_set) {
    if (message.command.sop_class != message.abstract_syntax)
        return fail(ErrorCode::unsupported, "the SOP class is not that of the presentation context");
    FID_TRY(const auto said, dicom::decode_availability(data_set, message.transfer_syntax));
    FID_TRY(const auto who, requester());
    FID_TRY(const auto study_uid, Uid::parse(said.study_uid));
    std::set<std::string> from;
    for (const auto& instance : said.instances) {
        const bool can_be_had = instance.availability == dicom::kOnline || instance.availability == dicom::kNearline;
        if (can_be_had && instance.retrieve_ae_title != door_.settings.ae_title) from.insert(instance.retrieve_ae_title);
    }
    for (const auto& title : from) {
        const auto archive = door_.peers->destination(title);
        if (!archive) return fail(ErrorCode::invalid_argument, "no peer " + title + " with a port is listed here");
        FID_CHECK(door_.archive.request_fetch(who, title, study_uid));
    }
    return {};
}

net::Task<Result<void>> DimseAssociation::take_announcement(const dimse::Message& message) {
    Bytes data_set;
    FID_CO_TRY(const bool whole, co_await read_identifier(data_set));
    auto answer = dicom::answer_to(message.command, dicom::status::kSuccess);
    if (answer.sop_instance.empty()) answer.sop_instance = dicom::uid_from_hash(crypto::random_bytes32()).text();
    auto take = [&]() -> Result<void> {
        if (!whole) return fail(ErrorCode::limit_exceeded, "the notification is too long");
        return take_availability(message, data_set);
    };
    const auto taken = co_await door_.ingesting.run(take);
    if (taken) {
        ++announced_;
    } else {
        answer.status = status_of_creating(taken.error().code);
        answer.error_comment = comment_of(is_ours(taken.error().code) ? describe(taken.error().code).text : taken.error().message);
        log::write(is_ours(taken.error().code) ? log::Level::error : log::Level::warning, "gateway",
                   "a notification of instances elsewhere was refused", {{"peer", association_.peer()}, {"why", taken.error().message}});
    }
    count(message, *answer.status);
    co_return co_await association_.send(message.context_id, answer, ByteView());
}

Result<dicom::Availability> availability_of(const DimseDoor& door, const DimsePeer& peer, const std::string& study_uid) {
    FID_TRY(auto who, door.archive.authenticate_device(peer.device));
    who.address = "notice to " + peer.ae_title + " " + peer.address();
    archive::Query query;
    query.level = dicom::QueryLevel::instance;
    query.keys = {{tags::kStudyInstanceUid, study_uid}};
    FID_TRY(const auto found, door.archive.query(who, query));
    dicom::Availability out{study_uid, {}};
    for (;;) {
        FID_TRY(const auto rows, found->next(kRows));
        for (const auto& row : rows)
            out.instances.push_back({row.first(tags::kSeriesInstanceUid), row.first(tags::kSopClassUid), row.first(tags::kSopInstanceUid),
                                     std::string(dicom::kOnline), door.settings.ae_title});
        if (rows.size() < kRows) return out;
    }
}

}  // namespace fiducial::gateway::impl
