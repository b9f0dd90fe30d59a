// C-GET and C-MOVE: objects go out by C-STORE sub-operations; PS3.7 §9.1.3, §9.1.4, PS3.4 §C.4.2, §C.4.3.
#include <algorithm>

#include "base/log.hpp"
#include "dicom/identifier.hpp"
#include "dimse/user.hpp"
#include "gateway/impl/dimse_association.hpp"
#include "gateway/impl/outgoing_retrievals.hpp"

namespace fiducial::gateway::impl {

namespace {

constexpr std::chrono::milliseconds kPendingEvery{200};
constexpr std::size_t kMostLogged = 20;           // failed objects of one retrieval
constexpr std::size_t kMostFailedBytes = 60'000;  // of Failed SOP Instance UID List, which has to fit into a short value

}  // namespace

/// The sub-operations of one C-GET or C-MOVE, and how far they are.
struct DimseAssociation::Retrieving {
    const dimse::Message& message;
    OutgoingRetrievals objects;
    std::size_t done = 0, completed = 0, failed = 0, warned = 0;
    std::vector<std::string> failed_instances;
    bool cancelled = false;
    SteadyTime told{};    // when the last pending answer was sent
    std::string comment;  // why some or all failed

    explicit Retrieving(const dimse::Message& of) : message(of) {}

    void fail_from_here(std::string why) {
        auto rest = objects.instances_from(done);
        failed += rest.size();
        done += rest.size();
        std::move(rest.begin(), rest.end(), std::back_inserter(failed_instances));
        comment = std::move(why);
    }
    dicom::CommandSet answer(std::uint16_t status) const {
        auto out = dicom::answer_to(message.command, status);
        const auto number = [](std::size_t count) { return static_cast<std::uint16_t>(std::min<std::size_t>(count, 0xffff)); };
        if (status == dicom::status::kPending || status == dicom::status::kCancel) out.remaining = number(objects.count() - done);
        out.completed = number(completed);
        out.failed = number(failed);
        out.warned = number(warned);
        return out;
    }
    /// Spec: PS3.4 tables C.4-2 and C.4-3
    std::uint16_t last_status() const {
        if (cancelled) return dicom::status::kCancel;
        if (failed > 0 && completed + warned == 0) return dicom::status::kUnableToPerformSubOperations;
        return failed + warned + objects.denied() > 0 ? dicom::status::kSubOperationsWithFailures : dicom::status::kSuccess;
    }
};

/// Reads what is asked for and opens it. Returns: whether it did; else it was refused, and answered so.
net::Task<Result<bool>> DimseAssociation::open_retrieval(Retrieving& retrieving, dicom::CommandField command) {
    const auto& message = retrieving.message;
    Bytes identifier;
    FID_CO_TRY(const bool whole, co_await read_identifier(identifier));
    auto open = [&]() -> Result<void> {
        if (!whole) return fail(ErrorCode::limit_exceeded, "the identifier is too long");
        FID_CHECK(check_model(message, command));
        FID_TRY(const auto asked, dicom::decode_identifier(identifier, message.transfer_syntax, peer_.character_set));
        FID_TRY(const auto request, read_retrieve_request(asked, dicom::find_query_model(message.abstract_syntax)->root));
        FID_TRY(auto who, looker());
        if (command == dicom::CommandField::c_move_rq) who.address += " to " + message.command.move_destination;
        return retrieving.objects.open(door_.archive, who, request);
    };
    const auto opened = co_await door_.retrieving.run(open);
    if (opened) co_return true;
    FID_CO_CHECK(co_await refuse_query(message, opened.error()));
    co_return false;
}

/// Takes note of an object that was sent or not. Returns: whether to go on.
net::Task<Result<bool>> DimseAssociation::after_object(Retrieving& retrieving, const dimse::SentObject& sent) {
    ++retrieving.done;
    const auto kind = sent.status ? dicom::class_of_status(*sent.status) : dicom::StatusClass::failure;
    if (kind == dicom::StatusClass::success || kind == dicom::StatusClass::warning) {
        ++(kind == dicom::StatusClass::success ? retrieving.completed : retrieving.warned);
        ++sent_;
        sent_bytes_ += sent.object.size;
        door_.sent_bytes += sent.object.size;
        if (sent.object.transcoded) {
            ++transcoded_;
            ++door_.transcoded;
        }
    } else {
        ++send_failures_;
        retrieving.failed_instances.push_back(sent.object.sop_instance);
        const auto why = sent.error ? sent.error->message : "the peer refused it";
        if (retrieving.comment.empty())
            retrieving.comment = sent.error && is_ours(sent.error->code) ? std::string(describe(sent.error->code).text) : why;
        if (++retrieving.failed <= kMostLogged)
            log::warning(
                "gateway", "an instance could not be sent",
                {{"peer", association_.peer()}, {"instance", sent.object.sop_instance}, {"status", sent.status.value_or(0)}, {"why", why}});
    }
    FID_CO_TRY(retrieving.cancelled, co_await association_.cancelled(retrieving.message.command.message_id));
    if (retrieving.cancelled) co_return false;
    const auto now = system_clock().steady_now();
    if (now - retrieving.told >= kPendingEvery && retrieving.done < retrieving.objects.count()) {
        retrieving.told = now;
        const auto pending = retrieving.answer(dicom::status::kPending);
        FID_CO_CHECK(co_await association_.send(retrieving.message.context_id, pending, ByteView()));
    }
    co_return true;
}

net::Task<Result<void>> DimseAssociation::finish_retrieval(const Retrieving& retrieving) {
    const auto status = retrieving.last_status();
    count(retrieving.message, status);
    auto answer = retrieving.answer(status);
    std::string comment = retrieving.comment;
    if (comment.empty() && retrieving.objects.denied() > 0)
        comment = std::to_string(retrieving.objects.denied()) + " of the studies, series or images asked for are denied";
    if (status != dicom::status::kSuccess) answer.error_comment = comment_of(comment);
    Bytes failed;
    if (!retrieving.failed_instances.empty()) {
        dicom::Identifier identifier;
        std::vector<std::string> listed;
        std::size_t bytes = 0;
        for (const auto& uid : retrieving.failed_instances) {
            if ((bytes += uid.size() + 1) > kMostFailedBytes) break;
            listed.push_back(uid);
        }
        identifier.attributes.set(dicom::tags::kFailedSopInstanceUidList, std::move(listed));
        failed = dicom::encode_identifier(identifier, retrieving.message.transfer_syntax);
        answer.has_data_set = true;
    }
    co_return co_await association_.send(retrieving.message.context_id, answer, failed);
}

net::Task<Result<void>> DimseAssociation::get(const dimse::Message& message) {
    Retrieving retrieving(message);
    FID_CO_TRY(const bool opened, co_await open_retrieval(retrieving, dicom::CommandField::c_get_rq));
    if (!opened) co_return Result<void>();
    dimse::StoreOptions options;
    options.first_message_id = static_cast<std::uint16_t>(message.command.message_id + 1);
    const dimse::AfterEach after_each = [&](const dimse::SentObject& sent) { return after_object(retrieving, sent); };
    FID_CO_CHECK(co_await dimse::send_objects(association_, door_.retrieving, retrieving.objects, options, after_each));
    co_return co_await finish_retrieval(retrieving);
}

net::Task<Result<void>> DimseAssociation::move(const dimse::Message& message) {
    const auto destination = door_.peers->destination(message.command.move_destination);
    if (!destination) {
        count(message, dicom::status::kMoveDestinationUnknown);
        auto refusal = dicom::answer_to(message.command, dicom::status::kMoveDestinationUnknown);
        refusal.error_comment = comment_of("no peer " + message.command.move_destination + " with a port is listed here");
        co_return co_await association_.send(message.context_id, refusal, ByteView());
    }
    Retrieving retrieving(message);
    FID_CO_TRY(const bool opened, co_await open_retrieval(retrieving, dicom::CommandField::c_move_rq));
    if (!opened) co_return Result<void>();
    if (retrieving.objects.count() > 0) FID_CO_CHECK(co_await move_to(*destination, retrieving));
    co_return co_await finish_retrieval(retrieving);
}

/// Errors: those of the requester's association. What goes wrong with the destination's is in `retrieving`.
net::Task<Result<void>> DimseAssociation::move_to(const DimsePeer& destination, Retrieving& retrieving) {
    auto settings = door_.user_settings(destination);
    settings.contexts = retrieving.objects.contexts(destination.uncompressed);
    const auto user = co_await dimse::User::open(settings);
    if (!user) {
        log::warning(
            "gateway", "a move's destination could not be reached",
            {{"destination", destination.ae_title}, {"address", settings.address}, {"port", settings.port}, {"why", user.error().message}});
        retrieving.fail_from_here(destination.ae_title + ": " + user.error().message);
        co_return Result<void>();
    }
    dimse::StoreOptions options;
    options.originator = dimse::MoveOriginator{title_, retrieving.message.command.message_id};
    std::optional<Error> requester_gone;
    const dimse::AfterEach after_each = [&](const dimse::SentObject& sent) -> net::Task<Result<bool>> {
        auto go_on = co_await after_object(retrieving, sent);
        if (!go_on) requester_gone = go_on.error();
        co_return go_on;
    };
    const auto sent = co_await dimse::send_objects((*user)->association(), door_.retrieving, retrieving.objects, options, after_each);
    if (requester_gone) co_return fail(*requester_gone);
    if (sent) {
        static_cast<void>(co_await (*user)->release());
        co_return Result<void>();
    }
    log::warning("gateway", "the association with a move's destination broke",
                 {{"destination", destination.ae_title}, {"why", sent.error().message}});
    retrieving.fail_from_here(destination.ae_title + ": " + sent.error().message);
    co_return Result<void>();
}

}  // namespace fiducial::gateway::impl
