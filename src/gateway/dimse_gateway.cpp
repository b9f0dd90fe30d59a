#include "gateway/dimse_gateway.hpp"

#include <algorithm>
#include <cstdio>

#include "base/log.hpp"
#include "dicom/availability.hpp"
#include "dicom/negotiation.hpp"
#include "dicom/performed_step.hpp"
#include "dicom/storage_commitment.hpp"
#include "dicom/worklist.hpp"
#include "gateway/impl/deliverer.hpp"
#include "gateway/impl/dimse_association.hpp"
#include "gateway/impl/fetching.hpp"

namespace fiducial::gateway {
namespace impl {

void CommandCounts::add(std::string_view command, std::uint16_t status) {
    const std::lock_guard lock(mutex_);
    ++counts_[{std::string(command), status}];
}

std::vector<archive::Metric> CommandCounts::metrics() const {
    std::vector<archive::Metric> out;
    const std::lock_guard lock(mutex_);
    for (const auto& [key, count] : counts_) {
        std::array<char, 8> status{};
        std::snprintf(status.data(), status.size(), "%04X", key.second);
        out.push_back({"fiducial_dimse_messages_total",
                       "DIMSE commands answered, by command and status (hexadecimal).",
                       "counter",
                       {{"command", key.first}, {"status", status.data()}},
                       static_cast<double>(count)});
    }
    return out;
}

std::string comment_of(std::string_view text) {
    constexpr std::size_t kCharacters = 64;  // LO
    std::string out(text.substr(0, kCharacters));
    std::replace_if(
        out.begin(), out.end(), [](char c) { return c < 0x20 || c > 0x7e || c == '\\'; }, '?');
    return out;
}

bool is_ours(ErrorCode code) {
    return code == ErrorCode::io || code == ErrorCode::internal || code == ErrorCode::corrupt || code == ErrorCode::permission;
}

DimseDoor::DimseDoor(archive::Archive& used, DimseGatewaySettings given, std::shared_ptr<PeerBook> known_peers,
                     std::shared_ptr<net::TlsContext> client_tls)
    : archive(used),
      settings(std::move(given)),
      peers(std::move(known_peers)),
      tls(std::move(client_tls)),
      ingesting("dimse ingesting", settings.ingest_threads, settings.limits.max_associations + 1),
      retrieving("dimse retrieving", settings.retrieve_threads, settings.limits.max_associations),
      delivering("dimse delivering", 2, settings.peers.size() + PeerBook::kMostAdded + 2) {}

dicom::Served DimseDoor::served(const DimsePeer& peer, std::string_view abstract_syntax) const {
    if (abstract_syntax == dicom::kVerificationSopClass) return dicom::Served::identifiers;
    if (abstract_syntax == dicom::kPerformedProcedureStep) return dicom::Served::identifiers;
    if (is_storage(abstract_syntax)) return dicom::Served::objects;
    if (abstract_syntax == dicom::kModalityWorklistFind)
        return peer.worklist ? dicom::Served::identifiers : dicom::Served::not_for_this_peer;
    if (abstract_syntax == dicom::kStorageCommitmentSopClass)
        return peer.commitment == archive::CommitmentPolicy::none ? dicom::Served::not_for_this_peer : dicom::Served::identifiers;
    if (abstract_syntax == dicom::kInstanceAvailabilitySopClass)
        return peer.announce ? dicom::Served::identifiers : dicom::Served::not_for_this_peer;
    const auto* model = dicom::find_query_model(abstract_syntax);
    if (model == nullptr) return dicom::Served::no;
    const bool may = model->command == dicom::CommandField::c_find_rq ? peer.query : peer.retrieve;
    return may ? dicom::Served::identifiers : dicom::Served::not_for_this_peer;
}

bool DimseDoor::is_storage(std::string_view sop_class) const {
    if (dicom::is_storage_sop_class(sop_class)) return true;
    const auto& others = settings.private_sop_classes;
    return std::any_of(others.begin(), others.end(),
                       [&](const std::string& other) { return other.ends_with('.') ? sop_class.starts_with(other) : sop_class == other; });
}

dimse::UserSettings DimseDoor::user_settings(const DimsePeer& peer) const {
    auto out = gateway::user_settings(peer, settings.ae_title, tls);
    out.limits = limits_for(peer, settings.limits.association);
    return out;
}

std::string Brought::key(std::string_view source, std::string_view sop_instance) {
    return std::string(source) + "\n" + std::string(sop_instance);
}

void Brought::add(std::string_view source, std::string_view sop_instance) {
    auto name = key(source, sop_instance);
    const std::lock_guard lock(mutex_);
    if (!known_.insert(name).second) return;
    in_order_.push_back(std::move(name));
    if (in_order_.size() <= kMost) return;
    known_.erase(in_order_.front());
    in_order_.pop_front();
}

bool Brought::has(std::string_view source, std::string_view sop_instance) const {
    const std::lock_guard lock(mutex_);
    return known_.contains(key(source, sop_instance));
}

DimseAssociation::DimseAssociation(DimseDoor& door, dimse::Association& association, const DimsePeer& peer, std::string title)
    : door_(door), association_(association), peer_(peer), title_(std::move(title)) {}

net::Task<void> DimseAssociation::finish() {
    if (!session_) co_return;
    auto complete_all = [this]() -> Result<void> {
        complete();
        return {};
    };
    static_cast<void>(co_await door_.ingesting.run(complete_all));
}

net::Task<void> DimseAssociation::run() {
    const auto began = system_clock().steady_now();
    const auto served = co_await serve_messages();
    co_await finish();
    auto leave = [this] { return leave_reports(); };
    if (!reports_.empty()) static_cast<void>(co_await door_.retrieving.run(leave));
    const auto took = std::chrono::duration_cast<std::chrono::milliseconds>(system_clock().steady_now() - began).count();
    log::write(served ? log::Level::info : log::Level::warning, "gateway", served ? "an association was released" : "an association broke",
               {{"peer", association_.peer()},
                {"calling", title_},
                {"tls", association_.secure()},
                {"stored", stored_},
                {"duplicates", duplicates_},
                {"set_aside", set_aside_},
                {"refused", refused_},
                {"echoes", echoes_},
                {"performed", performed_},
                {"announced", announced_},
                {"queries", queries_},
                {"found", found_},
                {"queries_refused", queries_refused_},
                {"sent", sent_},
                {"sent_bytes", sent_bytes_},
                {"transcoded", transcoded_},
                {"send_failures", send_failures_},
                {"bytes", bytes_},
                {"ms", took},
                {"why", served ? std::string() : served.error().message}});
}

net::Task<Result<void>> DimseAssociation::serve_messages() {
    for (;;) {
        FID_CO_TRY(const auto message, co_await association_.next());
        if (!message) co_return Result<void>();
        if (message->command.field == dicom::CommandField::n_event_report_rsp) {
            FID_CO_CHECK(co_await take_report_answer(*message));
            continue;
        }
        // Nothing else is asked of a peer here, and what it cancels is over already.
        if (dicom::is_response(message->command.field) || message->command.field == dicom::CommandField::c_cancel_rq) continue;
        FID_CO_CHECK(co_await answer(*message));
    }
}

net::Task<Result<void>> DimseAssociation::answer(const dimse::Message& message) {
    switch (message.command.field) {
        case dicom::CommandField::c_store_rq: co_return co_await store(message);
        case dicom::CommandField::c_find_rq: co_return co_await find(message);
        case dicom::CommandField::c_get_rq: co_return co_await get(message);
        case dicom::CommandField::c_move_rq: co_return co_await move(message);
        case dicom::CommandField::n_create_rq:
        case dicom::CommandField::n_set_rq:
            if (message.abstract_syntax == dicom::kPerformedProcedureStep) co_return co_await perform(message);
            if (message.abstract_syntax == dicom::kInstanceAvailabilitySopClass &&
                message.command.field == dicom::CommandField::n_create_rq)
                co_return co_await take_announcement(message);
            co_return co_await not_known_here(message);
        case dicom::CommandField::n_action_rq: co_return co_await commit(message);
        case dicom::CommandField::c_echo_rq: {
            ++echoes_;
            door_.peers->note_echo(peer_);
            door_.counts.add("C-ECHO", dicom::status::kSuccess);
            const auto echo = dicom::answer_to(message.command, dicom::status::kSuccess);
            co_return co_await association_.send(message.context_id, echo, ByteView());
        }
        default: co_return co_await not_known_here(message);
    }
}

net::Task<Result<void>> DimseAssociation::not_known_here(const dimse::Message& message) {
    door_.counts.add("other", dicom::status::kUnrecognizedOperation);
    const auto refusal = dicom::answer_to(message.command, dicom::status::kUnrecognizedOperation);
    co_return co_await association_.send(message.context_id, refusal, ByteView());
}

/// Lets peers in, and gives each association its run.
class DimseService final : public dimse::Service {
public:
    explicit DimseService(std::shared_ptr<DimseDoor> door) : door_(std::move(door)) {}

    dimse::Admission admit(const dimse::Caller& caller) override {
        if (caller.request.called_ae_title != door_->settings.ae_title) {
            note(caller, "it calls another AE title than ours");
            return dicom::reject::kCalledAeTitleNotRecognized;
        }
        const auto peer = peer_of(caller.request, caller.peer, caller.secure);
        if (!peer) {
            note(caller, "its AE title and address are in no line of [dimse] peers, or in one that wants TLS or plain");
            return dicom::reject::kCallingAeTitleNotRecognized;
        }
        if (!peer->certificate.empty() && peer->certificate != caller.certificate) {
            note(caller, caller.certificate.empty() ? "it shows no certificate, and its line names one"
                                                    : "it shows another certificate than its line names: " + caller.certificate);
            return dicom::reject::kCallingAeTitleNotRecognized;
        }
        dimse::Acceptance out;
        out.contexts = dicom::negotiate(caller.request.contexts,
                                        [&](std::string_view abstract_syntax) { return door_->served(*peer, abstract_syntax); });
        out.limits = limits_for(*peer, door_->settings.limits.association);
        if (peer->query || peer->retrieve) out.extended = dicom::negotiate_queries(caller.request.user.extended);
        out.roles = dicom::negotiate_roles(caller.request.user.roles, [&](std::string_view sop_class) {
            return peer->retrieve && door_->is_storage(sop_class);  // by C-GET
        });
        return out;
    }

    net::Task<void> serve(dimse::Association& association) override {
        const auto peer = peer_of(association.request(), association.peer(), association.secure());
        if (!peer) co_return;  // it was removed just now
        door_->peers->note_arrival(*peer);
        DimseAssociation run(*door_, association, *peer, association.request().calling_ae_title);
        co_await run.run();
    }

private:
    void note(const dimse::Caller& caller, std::string_view why) const {
        const auto& request = caller.request;
        door_->peers->knocks().add(caller.peer.substr(0, caller.peer.rfind(':')), request.calling_ae_title, request.called_ae_title, why);
        door_->archive.turned_away("dimse", caller.peer);
    }
    PeerBook::Peer peer_of(const dicom::AssociateRq& request, const std::string& socket, bool secure) const {
        const auto address = address_of_socket(socket);
        if (!address) return nullptr;
        const auto peer = door_->peers->calling(request.calling_ae_title, *address);
        const bool may = peer && (secure || (peer->certificate.empty() && (peer->plain || peer->is_loopback())));
        return may ? peer : nullptr;
    }

    std::shared_ptr<DimseDoor> door_;
};

}  // namespace impl

namespace {

Result<net::ListenSettings> listen_settings(const DimseGatewaySettings& settings) {
    if (!dicom::is_ae_title(settings.ae_title)) return fail(ErrorCode::invalid_argument, "[dimse] ae_title: that is no AE title");
    net::ListenSettings listen;
    listen.address = settings.address;
    listen.port = settings.port;
    if (settings.tls) {
        auto tls = *settings.tls;
        tls.ask_for_certificate = true;  // who has none comes without
        FID_TRY(listen.tls, net::TlsContext::server(tls));
        return listen;
    }
    listen.allow_plain_beyond_loopback = true;  // each peer's address is listed, and each one beyond this machine as plain
    return listen;
}

}  // namespace

dimse::AssociationLimits limits_for(const DimsePeer& peer, dimse::AssociationLimits limits) {
    if (peer.max_pdu_bytes != 0) limits.max_pdu_bytes = peer.max_pdu_bytes;
    if (peer.timeout.count() != 0) limits.idle_timeout = limits.answer_timeout = peer.timeout;
    return limits;
}

dimse::UserSettings user_settings(const DimsePeer& peer, const std::string& our_ae_title, const std::shared_ptr<net::TlsContext>& tls) {
    dimse::UserSettings out;
    out.address = peer.address();
    out.port = peer.port;
    out.called_ae_title = peer.ae_title;
    out.calling_ae_title = our_ae_title;
    out.certificate = peer.certificate;
    out.limits = limits_for(peer, {});
    if (!peer.certificate.empty()) out.tls = tls;
    return out;
}

namespace {

Result<void> check_destinations(const PeerBook& peers, std::string_view setting, const std::vector<std::string>& titles) {
    for (const auto& title : titles) {
        const auto peer = peers.destination(title);
        if (!peer || peer->device.empty())
            return fail(ErrorCode::invalid_argument, "[dimse] " + std::string(setting) + ": no line of [dimse] peers has the title " +
                                                         title + " with port= and device=");
    }
    return {};
}

}  // namespace

struct DimseGateway::Impl {
    explicit Impl(net::Runtime& used) : runtime(used) {}
    net::Runtime& runtime;
    std::mutex fetching;
    std::shared_ptr<impl::DimseDoor> door;
    std::unique_ptr<dimse::Provider> provider;
    std::shared_ptr<impl::Deliverer> deliverer;
};

DimseGateway::DimseGateway(net::Runtime& runtime) : impl_(std::make_unique<Impl>(runtime)) {}
DimseGateway::~DimseGateway() {
    stop(std::chrono::milliseconds(0));
}

Result<void> DimseGateway::check(const DimseGatewaySettings& settings) {
    FID_TRY(const auto listen, listen_settings(settings));
    for (const auto& peer : settings.peers) FID_CHECK(check_can_come(peer, settings.tls.has_value()));
    return net::Listener::check(listen);
}

Result<std::unique_ptr<DimseGateway>> DimseGateway::start(net::Runtime& runtime, archive::Archive& archive, DimseGatewaySettings settings) {
    FID_CHECK(check(settings));
    FID_TRY(const auto listen, listen_settings(settings));
    const auto limits = settings.limits;
    FID_TRY(auto tls, net::TlsContext::client(settings.tls));
    FID_TRY(auto peers, PeerBook::open(archive, settings.peers, settings.tls.has_value()));
    FID_CHECK(check_destinations(*peers, "forward", settings.forward_to));
    FID_CHECK(check_destinations(*peers, "notify", settings.notify));
    auto door = std::make_shared<impl::DimseDoor>(archive, std::move(settings), std::move(peers), std::move(tls));
    std::unique_ptr<DimseGateway> out(new DimseGateway(runtime));
    out->impl_->door = door;
    FID_TRY(out->impl_->provider, dimse::Provider::start(runtime, listen, limits, std::make_shared<impl::DimseService>(door)));
    out->impl_->deliverer = std::make_shared<impl::Deliverer>(runtime, door);
    out->impl_->deliverer->start();
    log::info("gateway", "listening for DIMSE",
              {{"address", door->settings.address},
               {"port", out->port()},
               {"ae_title", door->settings.ae_title},
               {"tls", door->settings.tls.has_value()},
               {"peers", door->peers->list().size()}});
    if (door->peers->list().empty())
        log::warning("gateway", "there are no peers, so that nobody can come: fiducial peer knocks says who tries, peer add lets them in");
    return out;
}

Result<std::vector<FetchedStudy>> DimseGateway::fetch(const FetchRequest& request, const OnFetched& on_fetched) {
    const auto peer = impl_->door->peers->destination(request.peer);
    if (!peer) return fail(ErrorCode::not_found, "no line of [dimse] peers has the title " + request.peer + " with port=");
    const std::unique_lock alone(impl_->fetching, std::try_to_lock);
    if (!alone) return fail(ErrorCode::unavailable, "something is being fetched already: one after the other");
    impl::Fetching fetching(*impl_->door, *peer, request, on_fetched);
    return impl_->runtime.block_on(fetching.run());
}

std::uint16_t DimseGateway::port() const {
    return impl_->provider->port();
}

std::vector<archive::Metric> DimseGateway::metrics() const {
    auto out = impl_->door->counts.metrics();
    const auto counters = impl_->provider->counters();
    out.push_back({"fiducial_dimse_connections", "DIMSE connections open now.", "gauge", {}, static_cast<double>(counters.connections)});
    const auto associations = [&](const char* outcome, std::uint64_t count) {
        out.push_back({"fiducial_dimse_associations_total",
                       "Associations accepted and rejected, connections that never asked for one in order (failed), and of the accepted "
                       "those that did not end by release (broken).",
                       "counter",
                       {{"outcome", outcome}},
                       static_cast<double>(count)});
    };
    associations("accepted", counters.accepted);
    associations("rejected", counters.rejected);
    associations("failed", counters.failed);
    associations("broken", counters.broken);
    out.push_back({"fiducial_dimse_received_bytes_total",
                   "Bytes of data sets that came by C-STORE.",
                   "counter",
                   {},
                   static_cast<double>(impl_->door->received_bytes.load())});
    out.push_back({"fiducial_dimse_sent_bytes_total",
                   "Bytes of data sets that were sent for C-GET and C-MOVE, and forwarded.",
                   "counter",
                   {},
                   static_cast<double>(impl_->door->sent_bytes.load())});
    out.push_back({"fiducial_dimse_transcoded_total",
                   "Objects that were sent in another transfer syntax than they are stored in.",
                   "counter",
                   {},
                   static_cast<double>(impl_->door->transcoded.load())});
    return out;
}

PeerBook& DimseGateway::peers() {
    return *impl_->door->peers;
}

std::vector<PeerCheck> DimseGateway::check_peers(std::string_view ae_title) {
    std::vector<PeerCheck> out;
    for (auto& entry : impl_->door->peers->list()) {
        if (!ae_title.empty() && entry.peer->ae_title != ae_title) continue;
        PeerCheck one{std::move(entry), {}, {}};
        one.lacks = impl_->door->peers->lacks(*one.entry.peer);
        if (one.entry.peer->port != 0) {
            const auto answered = impl_->runtime.block_on(dimse::echo(impl_->door->user_settings(*one.entry.peer)));
            if (answered)
                one.answered_in = *answered;
            else
                one.why_not = answered.error().message;
        }
        out.push_back(std::move(one));
    }
    return out;
}

void DimseGateway::stop(std::chrono::milliseconds grace) {
    if (impl_->deliverer) impl_->deliverer->stop(grace);
    if (impl_->provider) impl_->provider->stop(grace);
    if (!impl_->door) return;
    if (impl_->door->peers->has_news()) static_cast<void>(impl_->door->peers->keep());
    impl_->door->ingesting.stop();
    impl_->door->retrieving.stop();
    impl_->door->delivering.stop();
}

}  // namespace fiducial::gateway
