#include "gateway/impl/deliverer.hpp"

#include <algorithm>
#include <thread>

#include "base/log.hpp"
#include "crypto/secret.hpp"
#include "dicom/image_import.hpp"
#include "dicom/transfer_syntax.hpp"
#include "dimse/create_instance.hpp"
#include "gateway/impl/fetching.hpp"
#include "gateway/impl/outgoing_retrievals.hpp"

namespace fiducial::gateway::impl {
namespace {

using std::chrono::milliseconds;
using namespace std::chrono_literals;

constexpr milliseconds kLookEvery{250};
constexpr milliseconds kKeepEvery{5'000};
constexpr std::size_t kBatch = 256;                                     // objects of a study on one association
constexpr milliseconds kSoonest{250}, kLatest{30'000}, kLater{60'000};  // until what is pending is looked at again

/// As for C-MOVE: what happened to an object of a batch.
const archive::Delivery* delivery_of(const std::vector<archive::Delivery>& batch, const std::string& sop_instance) {
    const auto found = std::find_if(batch.begin(), batch.end(), [&](const auto& one) { return one.subject == sop_instance; });
    return found == batch.end() ? nullptr : &*found;
}

std::string status_text(std::uint16_t status) {
    std::array<char, 8> text{};
    std::snprintf(text.data(), text.size(), "%04XH", status);
    return text.data();
}

}  // namespace

void Deliverer::start() {
    ++active_;
    runtime_.spawn("looking for deliveries", look(shared_from_this()));
}

void Deliverer::stop(milliseconds grace) {
    stopping_ = true;
    const auto until = std::chrono::steady_clock::now() + grace;
    while (active_ > 0 && std::chrono::steady_clock::now() < until) std::this_thread::sleep_for(10ms);
}

bool Deliverer::begin(const std::string& title) {
    const std::lock_guard lock(mutex_);
    if (!busy_.insert(title).second) return false;
    ++active_;
    return true;
}

void Deliverer::end(const std::string& title) {
    const std::lock_guard lock(mutex_);
    busy_.erase(title);
    --active_;
}

net::Task<void> Deliverer::look(std::shared_ptr<Deliverer> self) {
    auto& deliveries = self->door_->archive.deliveries();
    auto& peers_seen = *self->door_->peers;
    auto find = [&] { return deliveries.peers_waiting(); };
    auto keep = [&] { return peers_seen.keep(); };
    auto keep_at = system_clock().steady_now();
    while (!self->stopping_) {
        const auto peers = co_await self->door_->delivering.run(find);
        if (!peers) log::error("gateway", "deliveries cannot be looked for", {{"why", peers.error().message}});
        for (const auto& title : peers.value_or(std::vector<std::string>())) {
            if (self->begin(title)) self->runtime_.spawn("bringing deliveries", bring(self, title));
        }
        if (peers_seen.has_news() && system_clock().steady_now() >= keep_at) {
            keep_at = system_clock().steady_now() + kKeepEvery;
            const auto kept = co_await self->door_->delivering.run(keep);
            if (!kept) log::error("gateway", "who came and who was turned away could not be kept", {{"why", kept.error().message}});
        }
        co_await net::sleep_for(kLookEvery);
    }
    --self->active_;
}

net::Task<void> Deliverer::bring(std::shared_ptr<Deliverer> self, std::string title) {
    auto& deliveries = self->door_->archive.deliveries();
    const auto peer = self->door_->peers->destination(title);
    auto read = [&] { return deliveries.due(title, kBatch); };
    bool go_on = true;
    while (go_on && !self->stopping_) {
        const auto batch = co_await self->door_->delivering.run(read);
        if (!batch || batch->empty()) break;
        if (batch->front().kind == archive::DeliveryKind::commitment)
            go_on = co_await self->report(batch->front());
        else if (!peer || peer->device.empty())
            go_on = co_await self->pause(title, "no line of [dimse] peers has this title with port= and device=");
        else if (batch->front().kind == archive::DeliveryKind::availability)
            go_on = co_await self->notify(*peer, batch->front());
        else if (batch->front().kind == archive::DeliveryKind::fetch)
            go_on = co_await self->fetch(*peer, batch->front());
        else
            go_on = co_await self->forward(*peer, *batch);
    }
    self->end(title);
}

/// Writes down how far something is. Returns: whether that could be done.
net::Task<bool> Deliverer::note(const Progress& progress) {
    const auto noted = co_await door_->delivering.run(progress);
    if (!noted) log::error("gateway", "how far a delivery is could not be noted", {{"why", noted.error().message}});
    co_return noted.has_value();
}

net::Task<bool> Deliverer::pause(std::string title, std::string why) {
    log::warning("gateway", "deliveries to a peer have to wait", {{"peer", title}, {"why", why}});
    const Progress progress = [&] { return door_->archive.deliveries().pause(title, why); };
    co_await note(progress);
    co_return false;
}

net::Task<bool> Deliverer::report(const archive::Delivery& delivery) {
    auto& deliveries = door_->archive.deliveries();
    auto look = [&] { return door_->archive.answer_commitment(delivery); };
    const auto answer = co_await door_->delivering.run(look);
    if (!answer || answer->pending) {
        const auto waited = system_clock().now().time_since_epoch() - milliseconds(delivery.since_ms);
        const auto next = std::clamp(milliseconds(waited / 2), kSoonest, kLatest);
        const auto why = answer ? answer->why : answer.error().message;
        const Progress progress = [&] { return deliveries.postpone(delivery, next, why); };
        co_return co_await note(progress);
    }
    const auto peer = door_->peers->destination(delivery.peer);
    if (!peer) {
        const Progress progress = [&] {
            return deliveries.postpone(delivery, kLater, "no line of [dimse] peers has this title with port=");
        };
        co_return co_await note(progress);
    }
    auto event = commitment_event(delivery, *answer, door_->settings.ae_title, dicom::kImplicitVrLittleEndian);
    auto settings = door_->user_settings(*peer);
    const auto status = co_await dimse::report_event(std::move(settings), std::move(event));
    const bool unwanted = !status && status.error().code == ErrorCode::unsupported;
    if (!status && !unwanted) co_return co_await pause(delivery.peer, status.error().message);
    deliveries.resume(delivery.peer);
    if (unwanted) {
        const Progress progress = [&] { return deliveries.refused(delivery, status.error().message); };
        co_return co_await note(progress);
    }
    if (dicom::class_of_status(*status) == dicom::StatusClass::failure) {
        const auto why = "the report was answered with status " + status_text(*status);
        const Progress progress = [&] { return deliveries.refused(delivery, why); };
        co_return co_await note(progress);
    }
    log::info("gateway", "a storage commitment was reported", {{"peer", delivery.peer}, {"transaction", delivery.subject}});
    const Progress progress = [&] { return deliveries.done(delivery); };
    co_return co_await note(progress);
}

net::Task<bool> Deliverer::notify(const DimsePeer& peer, const archive::Delivery& delivery) {
    auto& deliveries = door_->archive.deliveries();
    auto look = [&] { return availability_of(*door_, peer, delivery.study_uid); };
    const auto available = co_await door_->delivering.run(look);
    if (!available || available->instances.empty()) {
        const auto why = available ? "device " + peer.device + " may know of none of the study's instances" : available.error().message;
        const Progress progress = [&] { return deliveries.refused(delivery, why); };
        co_return co_await note(progress);
    }
    dimse::NewInstance notice{std::string(dicom::kInstanceAvailabilitySopClass), dicom::uid_from_hash(crypto::random_bytes32()).text(),
                              dicom::encode_availability(*available, dicom::kImplicitVrLittleEndian)};
    auto settings = door_->user_settings(peer);
    const auto status = co_await dimse::create_instance(std::move(settings), std::move(notice));
    const bool unwanted = !status && status.error().code == ErrorCode::unsupported;
    if (!status && !unwanted) co_return co_await pause(delivery.peer, status.error().message);
    deliveries.resume(delivery.peer);
    if (unwanted || dicom::class_of_status(*status) == dicom::StatusClass::failure) {
        const auto why = unwanted ? status.error().message : "the notice was answered with status " + status_text(*status);
        const Progress progress = [&] { return deliveries.refused(delivery, why); };
        co_return co_await note(progress);
    }
    log::info("gateway", "a peer was told what is here", {{"peer", delivery.peer}, {"instances", available->instances.size()}});
    const Progress progress = [&] { return deliveries.done(delivery); };
    co_return co_await note(progress);
}

net::Task<bool> Deliverer::fetch(const DimsePeer& peer, const archive::Delivery& delivery) {
    auto& deliveries = door_->archive.deliveries();
    FetchRequest request;
    request.peer = peer.ae_title;
    request.study_uid = delivery.study_uid;
    const OnFetched on_fetched = [this](const FetchedStudy&, std::size_t) { return !stopping_; };
    Fetching fetching(*door_, peer, request, on_fetched);
    const auto fetched = co_await fetching.run();
    if (!fetched && fetched.error().code != ErrorCode::not_found) co_return co_await pause(delivery.peer, fetched.error().message);
    deliveries.resume(delivery.peer);
    std::string why = fetched ? std::string() : fetched.error().message;
    for (const auto& study : fetched.value_or(std::vector<FetchedStudy>())) {
        if (study.failed > 0) why = std::to_string(study.failed) + " instances did not come";
        if (!study.problem.empty()) why = study.problem;
    }
    if (stopping_) co_return false;  // what came is here; the rest is fetched after the next start
    const Progress progress = [&] { return why.empty() ? deliveries.done(delivery) : deliveries.refused(delivery, why); };
    co_return co_await note(progress);
}

net::Task<bool> Deliverer::forward(const DimsePeer& peer, const Batch& batch) {
    auto& deliveries = door_->archive.deliveries();
    OutgoingRetrievals objects;
    auto open = [&]() -> Result<void> {
        FID_TRY(auto who, door_->archive.authenticate_device(peer.device));
        who.address = "forwarded to " + peer.ae_title + " " + peer.address();
        RetrieveRequest request;
        for (const auto& one : batch) request.selectors.push_back({archive::Level::instance, one.study_uid, {}, one.subject});
        return objects.open(door_->archive, who, request);
    };
    const auto opened = co_await door_->delivering.run(open);
    if (!opened && opened.error().code != ErrorCode::denied) co_return co_await pause(peer.ae_title, opened.error().message);
    for (const auto& left_out : objects.left_out()) {
        const auto* delivery = delivery_of(batch, left_out.what.sop_uid);
        if (left_out.why.code == ErrorCode::denied) {
            const Progress progress = [&] { return deliveries.refused(*delivery, left_out.why.message); };
            co_await note(progress);
        } else {
            log::info("gateway", "an instance that was to be forwarded is not here any more",
                      {{"peer", peer.ae_title}, {"instance", delivery->subject}});
            const Progress progress = [&] { return deliveries.done(*delivery); };
            co_await note(progress);
        }
    }
    if (objects.count() == 0) co_return true;
    co_return co_await send(peer, batch, objects);
}

net::Task<bool> Deliverer::send(const DimsePeer& peer, const Batch& batch, OutgoingRetrievals& objects) {
    auto& deliveries = door_->archive.deliveries();
    auto settings = door_->user_settings(peer);
    settings.contexts = objects.contexts(peer.uncompressed);
    const auto user = co_await dimse::User::open(std::move(settings));
    if (!user) co_return co_await pause(peer.ae_title, user.error().message);
    std::size_t count = 0;
    const dimse::AfterEach after_each = [&](const dimse::SentObject& sent) -> net::Task<Result<bool>> {
        const auto* delivery = delivery_of(batch, sent.object.sop_instance);
        const auto kind = sent.status ? dicom::class_of_status(*sent.status) : dicom::StatusClass::failure;
        bool noted = false;
        if (kind == dicom::StatusClass::success || kind == dicom::StatusClass::warning) {
            ++count;
            door_->sent_bytes += sent.object.size;
            if (sent.object.transcoded) ++door_->transcoded;
            const Progress progress = [&] { return deliveries.done(*delivery); };
            noted = co_await note(progress);
        } else {
            const auto why = sent.error ? sent.error->message : "the peer refused it with status " + status_text(sent.status.value_or(0));
            const Progress progress = [&] { return deliveries.refused(*delivery, why); };
            noted = co_await note(progress);
        }
        co_return noted && !stopping_;
    };
    const dimse::StoreOptions options;
    const auto sent = co_await dimse::send_objects((*user)->association(), door_->delivering, objects, options, after_each);
    log::info("gateway", "objects were forwarded", {{"peer", peer.ae_title}, {"sent", count}, {"of", batch.size()}});
    if (!sent) co_return co_await pause(peer.ae_title, sent.error().message);
    static_cast<void>(co_await (*user)->release());
    deliveries.resume(peer.ae_title);
    co_return true;
}

}  // namespace fiducial::gateway::impl
