#include "dimse/user.hpp"

#include <algorithm>
#include <array>

#include "dicom/implementation.hpp"
#include "dicom/negotiation.hpp"
#include "dicom/transfer_syntax.hpp"
#include "dimse/impl/user_connection.hpp"

namespace fiducial::dimse {
namespace impl {
namespace {

using Event = dicom::UpperLayerEvent;
using Indication = dicom::Indication;

dicom::AssociateRq request_of(const UserSettings& settings) {
    dicom::AssociateRq request;
    request.called_ae_title = settings.called_ae_title;
    request.calling_ae_title = settings.calling_ae_title;
    request.contexts = settings.contexts;
    request.user.roles = settings.roles;
    request.user.max_pdu_bytes = settings.limits.max_pdu_bytes;
    request.user.implementation_class_uid = dicom::kImplementationClassUid;
    request.user.implementation_version = dicom::kImplementationVersion;
    return request;
}

/// Spec: PS3.8 table 9-21
std::string reason_of(const dicom::AssociateRj& rejection) {
    struct Row {
        dicom::AssociateRj rejection;
        std::string_view text;
    };
    static constexpr std::array kRows{
        Row{dicom::reject::kApplicationContextNotSupported, "application context not supported"},
        Row{dicom::reject::kCallingAeTitleNotRecognized, "calling AE title not recognized"},
        Row{dicom::reject::kCalledAeTitleNotRecognized, "called AE title not recognized"},
        Row{dicom::reject::kProtocolVersionNotSupported, "protocol version not supported"},
        Row{dicom::reject::kTemporaryCongestion, "temporary congestion"},
        Row{dicom::reject::kLocalLimitExceeded, "local limit exceeded"},
    };
    const auto found = std::find_if(kRows.begin(), kRows.end(), [&](const Row& row) {
        return row.rejection.source == rejection.source && row.rejection.reason == rejection.reason;
    });
    return std::string(found == kRows.end() ? "no reason given" : found->text) + (rejection.result == 2 ? " (for now)" : "");
}

/// Whether the peer answered a role and left none.
bool is_refused(const std::vector<dicom::RoleSelection>& roles, std::string_view sop_class) {
    return std::any_of(roles.begin(), roles.end(),
                       [&](const dicom::RoleSelection& one) { return one.sop_class == sop_class && !one.scu && !one.scp; });
}

}  // namespace

UserConnection::UserConnection(const UserSettings& settings, std::shared_ptr<net::Stream> stream)
    : AssociationConnection(dicom::UpperLayer::Role::requestor, settings.limits, std::move(stream)),
      wanted_certificate_(settings.certificate) {
    request_ = request_of(settings);
}

net::Task<Result<void>> UserConnection::establish() {
    stream_->set_deadline(SteadyClock::now() + limits_.artim);
    FID_CO_CHECK(co_await stream_->handshake());
    if (stream_->certificate() != wanted_certificate_)
        co_return fail(ErrorCode::denied, "the peer shows another certificate than the one that is listed: " + stream_->certificate());
    FID_CO_CHECK(machine_.on(Event::associate_request));
    FID_CO_CHECK(machine_.on(Event::connection_confirmed));
    const auto bytes = dicom::encode(request_);
    FID_CO_CHECK(co_await transmit(bytes));
    stream_->set_deadline(SteadyClock::now() + limits_.artim);
    FID_CO_TRY(const auto told, co_await receive());
    if (told == Indication::associate_rejected)
        co_return fail(ErrorCode::denied, "the association was rejected: " + reason_of(std::get<dicom::AssociateRj>(reader_.pdu())));
    agree(std::get<dicom::AssociateAc>(reader_.pdu()));
    co_return Result<void>();
}

/// Spec: PS3.7 §D.3.3.4: who is asked is the SCP where nothing else was agreed on
void UserConnection::agree(const dicom::AssociateAc& answer) {
    take_max_pdu(answer.user.max_pdu_bytes);
    for (const auto& answered : answer.contexts) {
        const auto proposed = std::find_if(request_.contexts.begin(), request_.contexts.end(),
                                           [&](const dicom::ProposedContext& one) { return one.id == answered.id; });
        if (answered.result != dicom::ContextResult::acceptance || proposed == request_.contexts.end()) continue;
        if (is_refused(answer.user.roles, proposed->abstract_syntax)) continue;
        contexts_.emplace(answered.id, Context{proposed->abstract_syntax, answered.transfer_syntax, true});
    }
}

net::Task<Result<void>> UserConnection::release() {
    FID_CO_CHECK(machine_.on(Event::release_request));
    const auto bytes = dicom::encode(dicom::ReleaseRq{});
    FID_CO_CHECK(co_await transmit(bytes));
    stream_->set_deadline(SteadyClock::now() + limits_.artim);
    for (;;) {
        FID_CO_TRY(const auto told, co_await receive());
        if (told == Indication::released) break;  // data that was on its way is passed over
        if (told == Indication::release) co_return fail(ErrorCode::malformed, "both sides released at once");
    }
    co_await stream_->finish(std::chrono::milliseconds(0));
    co_return Result<void>();
}

}  // namespace impl

User::User() = default;
User::~User() {
    if (connection_) connection_->close();
}

Association& User::association() {
    return *connection_;
}

net::Task<Result<std::unique_ptr<User>>> User::open(UserSettings settings) {
    net::ConnectSettings where;
    where.address = settings.address;
    where.port = settings.port;
    where.timeout = settings.limits.artim;
    where.quick_acknowledgements = true;
    where.tls = settings.tls;
    FID_CO_TRY(auto stream, co_await net::connect(where));
    std::unique_ptr<User> user(new User);
    user->connection_ = std::make_shared<impl::UserConnection>(settings, std::move(stream));
    FID_CO_CHECK(co_await user->connection_->establish());
    co_return std::move(user);
}

net::Task<Result<void>> User::release() {
    co_return co_await connection_->release();
}

net::Task<Result<std::chrono::milliseconds>> echo(UserSettings settings) {
    const auto began = std::chrono::steady_clock::now();
    settings.contexts = {{1, std::string(dicom::kVerificationSopClass), {std::string(dicom::kImplicitVrLittleEndian)}}};
    FID_CO_TRY(const auto user, co_await User::open(std::move(settings)));
    auto& association = user->association();
    const auto context = association.find_context(dicom::kVerificationSopClass, dicom::kImplicitVrLittleEndian);
    if (!context) co_return fail(ErrorCode::unsupported, "the peer does not take C-ECHO");
    dicom::CommandSet command;
    command.field = dicom::CommandField::c_echo_rq;
    command.message_id = 1;
    command.sop_class = dicom::kVerificationSopClass;
    FID_CO_CHECK(co_await association.send(*context, command, ByteView()));
    FID_CO_TRY(const auto answer, co_await association.answer());
    if (answer.command.field != dicom::CommandField::c_echo_rsp || answer.command.status != dicom::status::kSuccess)
        co_return fail(ErrorCode::unsupported, "the peer answers C-ECHO with something else than success");
    FID_CO_CHECK(co_await user->release());
    co_return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - began);
}

}  // namespace fiducial::dimse
