// What C-FIND, C-MOVE and C-GET have in common: who asks, the identifier, the last answer.
#include <algorithm>

#include "base/log.hpp"
#include "dicom/identifier.hpp"
#include "dicom/worklist.hpp"
#include "gateway/impl/dimse_association.hpp"

namespace fiducial::gateway::impl {
namespace {

/// Spec: PS3.4 tables C.4-1, C.4-2, C.4-3: of a failure
std::uint16_t status_of(ErrorCode code) {
    switch (code) {
        case ErrorCode::malformed:
        case ErrorCode::invalid_argument: return dicom::status::kDataSetDoesNotMatch;  // the identifier does not match the SOP class
        case ErrorCode::unsupported: return dicom::status::kSopClassNotSupported;
        case ErrorCode::denied:
        case ErrorCode::unauthenticated:
        case ErrorCode::not_found: return dicom::status::kNotAuthorized;
        case ErrorCode::unavailable:
        case ErrorCode::timeout: return dicom::status::kOutOfResources;
        default: return dicom::status::kCannotUnderstand;  // unable to process
    }
}

}  // namespace

/// Who asks: the device that the settings name for this peer. Blocking. Errors: denied where there is none such.
Result<archive::Requester> DimseAssociation::requester() {
    auto who = door_.archive.authenticate_device(peer_.device);
    if (!who && who.error().code == ErrorCode::not_found)
        return fail(ErrorCode::denied, "device " + peer_.device + " is not registered: fiducial device add");
    if (!who) return who;
    who->address = title_ + " " + association_.peer();
    return who;
}

/// The same, of who looks: where the ledger knows of less than the peer's line says, it would find nothing, and nobody would know why.
Result<archive::Requester> DimseAssociation::looker() {
    FID_TRY(auto who, requester());
    if (!lacks_told_) door_.peers->warn_of_lacks(peer_);
    lacks_told_ = true;
    return who;
}

Result<void> DimseAssociation::check_model(const dimse::Message& message, dicom::CommandField command) const {
    const auto* model = dicom::find_query_model(message.abstract_syntax);
    const bool known = message.abstract_syntax == dicom::kModalityWorklistFind ? command == dicom::CommandField::c_find_rq
                                                                               : model != nullptr && model->command == command;
    if (known && message.command.sop_class == message.abstract_syntax) return {};
    return fail(ErrorCode::unsupported, "the SOP class is not that of the presentation context");
}

dicom::QueryOptions DimseAssociation::options_of(const dimse::Message& message) const {
    return dicom::query_options(dicom::negotiate_queries(association_.request().user.extended), message.abstract_syntax);
}

/// Returns: whether it is all there.
net::Task<Result<bool>> DimseAssociation::read_identifier(Bytes& out, std::size_t most) {
    constexpr std::size_t kPiece = 16'384;
    for (;;) {
        const auto had = out.size();
        out.resize(had + kPiece);
        const auto room = MutableByteView(out).subspan(had);
        FID_CO_TRY(const auto got, co_await association_.read(room));
        out.resize(had + got);
        if (got == 0) co_return true;
        if (out.size() > most) co_return false;
    }
}

net::Task<Result<void>> DimseAssociation::answer_query(const dimse::Message& message, std::uint16_t status) {
    count(message, status);
    const auto answer = dicom::answer_to(message.command, status);
    co_return co_await association_.send(message.context_id, answer, ByteView());
}

net::Task<Result<void>> DimseAssociation::refuse_query(const dimse::Message& message, const Error& error) {
    const auto status = status_of(error.code);
    ++queries_refused_;
    log::write(is_ours(error.code) ? log::Level::error : log::Level::warning, "gateway", "a query was refused",
               {{"peer", association_.peer()}, {"command", name_of(message.command.field).value_or("")}, {"why", error.message}});
    auto answer = dicom::answer_to(message.command, status);
    answer.error_comment = comment_of(is_ours(error.code) ? describe(error.code).text : std::string_view(error.message));
    if (status == dicom::status::kDataSetDoesNotMatch && dicom::find_query_model(message.abstract_syntax) != nullptr)
        answer.offending_elements = {dicom::tags::kQueryRetrieveLevel};
    count(message, status);
    co_return co_await association_.send(message.context_id, answer, ByteView());
}

/// By the request's name without its ending, as "C-FIND".
void DimseAssociation::count(const dimse::Message& message, std::uint16_t status) {
    const auto name = dicom::name_of(message.command.field).value_or("other");
    door_.counts.add(name.substr(0, name.rfind("-RQ")), status);
}

}  // namespace fiducial::gateway::impl
