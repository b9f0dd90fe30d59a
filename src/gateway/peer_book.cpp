#include "gateway/peer_book.hpp"

#include <algorithm>
#include <boost/json.hpp>

#include "base/json.hpp"
#include "base/log.hpp"

namespace fiducial::gateway {
namespace {

namespace json = boost::json;
constexpr std::size_t kMostKept = std::size_t{4} << 20;
constexpr std::string_view kAdded = "peers";
constexpr std::string_view kSeen = "peers seen";

json::value time_json(const std::optional<SystemTime>& time) {
    return time ? json::value(time->time_since_epoch().count()) : json::value();
}

std::optional<SystemTime> time_of(const json::object& object, std::string_view name) {
    const auto* value = object.if_contains(name);
    return value != nullptr && value->is_int64() ? std::optional(SystemTime(std::chrono::milliseconds(value->get_int64()))) : std::nullopt;
}

std::string text_of(const json::object& object, std::string_view name) {
    const auto* value = object.if_contains(name);
    return value != nullptr && value->is_string() ? std::string(value->get_string()) : std::string();
}

/// A text that keep() wrote. Empty: an empty object.
Result<json::object> read_object(const std::string& text) {
    if (text.empty()) return json::object();
    FID_TRY(const auto value, fiducial::json::parse(text, kMostKept));
    if (!value.is_object()) return fail(ErrorCode::malformed, "what was kept of the peers is no JSON object");
    return value.get_object();
}

const json::array& items_of(const json::object& object, std::string_view name) {
    static const json::array none;
    const auto* value = object.if_contains(name);
    return value != nullptr && value->is_array() ? value->get_array() : none;
}

void stamp(std::vector<PeerBook::Entry>& entries, const DimsePeer& peer, std::optional<SystemTime> PeerBook::Entry::*which,
           SystemTime now) {
    for (auto& entry : entries) {
        if (entry.peer.get() == &peer) entry.*which = now;
    }
}

bool is_same(const DimsePeer& a, const DimsePeer& b) {
    return a.ae_title == b.ae_title && a.network == b.network && a.prefix_bits == b.prefix_bits;
}

}  // namespace

Result<std::shared_ptr<PeerBook>> PeerBook::open(archive::Archive& archive, const std::vector<DimsePeer>& of_settings, bool secure,
                                                 const Clock& clock) {
    std::shared_ptr<PeerBook> book(new PeerBook(archive, secure, clock));
    for (const auto& peer : of_settings) {
        FID_CHECK(check_can_come(peer, secure));
        book->entries_.push_back({std::make_shared<const DimsePeer>(peer), false, {}, {}});
    }
    // What was kept and cannot be read keeps nobody out whom the settings let in.
    if (const auto read = book->read_added(); !read) {
        if (read.error().code != ErrorCode::corrupt && read.error().code != ErrorCode::malformed) return fail(read.error());
        log::error("gateway", "the peers that were added are not known any more: add them again", {{"why", read.error().message}});
    }
    if (const auto read = book->read_seen(); !read)
        log::warning("gateway", "who came and who was turned away before is not known any more", {{"why", read.error().message}});
    return book;
}

Result<void> PeerBook::read_added() {
    FID_TRY(const auto text, archive_.kept(kAdded));
    FID_TRY(const auto kept, read_object(text));
    for (const auto& line : items_of(kept, "lines")) {
        if (!line.is_string()) return fail(ErrorCode::malformed, "what was kept of the peers is no list of lines");
        FID_TRY(auto peer, parse_dimse_peer(std::string_view(line.get_string())));
        entries_.push_back({std::make_shared<const DimsePeer>(std::move(peer)), true, {}, {}});
    }
    return {};
}

Result<void> PeerBook::read_seen() {
    FID_TRY(const auto text, archive_.kept(kSeen));
    FID_TRY(const auto kept, read_object(text));
    for (const auto& item : items_of(kept, "arrivals")) {
        if (!item.is_object()) continue;
        const auto& one = item.get_object();
        for (auto& entry : entries_) {
            if (entry.peer->ae_title != text_of(one, "aeTitle") || entry.peer->network_text() != text_of(one, "network")) continue;
            entry.came = time_of(one, "came");
            entry.echoed = time_of(one, "echoed");
        }
    }
    std::vector<Knocks::Knock> knocks;
    for (const auto& item : items_of(kept, "knocks")) {
        if (!item.is_object()) continue;
        const auto& one = item.get_object();
        const auto* times = one.if_contains("times");
        knocks.push_back({text_of(one, "address"), text_of(one, "calling"), text_of(one, "called"), text_of(one, "why"),
                          times != nullptr && times->is_int64() ? static_cast<std::uint64_t>(times->get_int64()) : 1,
                          time_of(one, "last").value_or(SystemTime{})});
    }
    knocks_.restore(knocks);
    kept_knocks_ = knocks_.count();
    return {};
}

PeerBook::Peer PeerBook::calling(std::string_view ae_title, const std::array<std::uint8_t, 16>& address) const {
    const std::lock_guard lock(mutex_);
    const auto found =
        std::find_if(entries_.begin(), entries_.end(), [&](const Entry& one) { return one.peer->matches(ae_title, address); });
    return found == entries_.end() ? nullptr : found->peer;
}

PeerBook::Peer PeerBook::destination(std::string_view ae_title) const {
    const std::lock_guard lock(mutex_);
    const auto found = std::find_if(entries_.begin(), entries_.end(),
                                    [&](const Entry& one) { return one.peer->port != 0 && one.peer->ae_title == ae_title; });
    return found == entries_.end() ? nullptr : found->peer;
}

std::vector<PeerBook::Entry> PeerBook::list() const {
    const std::lock_guard lock(mutex_);
    return entries_;
}

Result<PeerBook::Entry> PeerBook::add(const archive::Requester& who, std::string_view line) {
    const std::lock_guard alone(changing_);
    FID_TRY(auto peer, parse_dimse_peer(line));
    FID_CHECK(check_can_come(peer, secure_));
    auto entries = list();
    if (std::any_of(entries.begin(), entries.end(), [&](const Entry& one) { return is_same(*one.peer, peer); }))
        return fail(ErrorCode::conflict, "there is a peer " + peer.ae_title + " at " + peer.network_text() + " already");
    if (entries.size() >= kMostAdded) return fail(ErrorCode::limit_exceeded, "there are too many peers");
    const Entry entry{std::make_shared<const DimsePeer>(std::move(peer)), true, {}, {}};
    entries.push_back(entry);
    FID_CHECK(archive_.administer(who));
    FID_CHECK(keep_added(entries));
    const std::lock_guard lock(mutex_);
    entries_.push_back(entry);
    return entry;
}

Result<std::size_t> PeerBook::remove(const archive::Requester& who, std::string_view ae_title) {
    const std::lock_guard alone(changing_);
    auto entries = list();
    const auto of_title = [&](const Entry& one) { return one.peer->ae_title == ae_title; };
    const bool is_known = std::any_of(entries.begin(), entries.end(), of_title);
    const auto goes = [&](const Entry& one) { return one.added && of_title(one); };
    const auto count = std::erase_if(entries, goes);
    if (count == 0 && is_known)
        return fail(ErrorCode::conflict, "the peer stands in the settings ([dimse] peers): take it out there, and start the archive anew");
    if (count == 0) return fail(ErrorCode::not_found, "no peer was added under this AE title");
    FID_CHECK(archive_.administer(who));
    FID_CHECK(keep_added(entries));
    const std::lock_guard lock(mutex_);
    std::erase_if(entries_, goes);
    return count;
}

Result<void> PeerBook::keep_added(const std::vector<Entry>& entries) {
    json::array lines;
    for (const auto& entry : entries) {
        if (entry.added) lines.emplace_back(entry.peer->line);
    }
    return archive_.keep(kAdded, json::serialize(json::object{{"lines", std::move(lines)}}));
}

std::string PeerBook::lacks(const DimsePeer& peer) const {
    std::vector<archive::Operation> wanted;
    if (peer.query || peer.worklist) wanted.push_back(archive::Operation::identify);
    if (peer.retrieve) wanted.push_back(archive::Operation::read);
    if (wanted.empty()) return {};
    const auto add = "fiducial device add " + peer.device + " --may store" +
                     (wanted.front() == archive::Operation::identify ? ",query" : "") + (peer.retrieve ? ",retrieve" : "");
    const auto missing = archive_.duties_missing(peer.device, wanted);
    if (!missing && missing.error().code == ErrorCode::not_found) return "device " + peer.device + " is not registered: " + add;
    if (!missing || missing->empty()) return {};
    return "by its line it may, but on the ledger device " + peer.device + " may not: " + *missing +
           "; so it finds nothing: fiducial device remove " + peer.device + ", then " + add;
}

void PeerBook::warn_of_lacks(const DimsePeer& peer) {
    auto lacks = this->lacks(peer);
    const std::lock_guard lock(mutex_);
    auto& warned = warned_[peer.line];
    if (warned == lacks) return;
    warned = std::move(lacks);
    if (!warned.empty()) log::warning("gateway", "a peer may less than its line says", {{"peer", peer.ae_title}, {"why", warned}});
}

void PeerBook::note_arrival(const DimsePeer& peer) {
    const std::lock_guard lock(mutex_);
    stamp(entries_, peer, &Entry::came, clock_.now());
    arrivals_ = true;
}

void PeerBook::note_echo(const DimsePeer& peer) {
    const std::lock_guard lock(mutex_);
    stamp(entries_, peer, &Entry::echoed, clock_.now());
    arrivals_ = true;
}

bool PeerBook::has_news() const {
    const std::lock_guard lock(mutex_);
    return arrivals_ || knocks_.count() != kept_knocks_;
}

Result<void> PeerBook::keep() {
    const auto knocked = knocks_.count();  // what comes meanwhile is news again
    json::array arrivals, knocks;
    {
        const std::lock_guard lock(mutex_);
        arrivals_ = false;
        for (const auto& entry : entries_) {
            if (!entry.came) continue;
            arrivals.push_back({{"aeTitle", entry.peer->ae_title},
                                {"network", entry.peer->network_text()},
                                {"came", time_json(entry.came)},
                                {"echoed", time_json(entry.echoed)}});
        }
    }
    for (const auto& knock : knocks_.list())
        knocks.push_back({{"address", knock.address},
                          {"calling", knock.calling_ae_title},
                          {"called", knock.called_ae_title},
                          {"why", knock.why},
                          {"times", knock.times},
                          {"last", time_json(knock.last)}});
    FID_CHECK(archive_.keep(kSeen, json::serialize(json::object{{"arrivals", std::move(arrivals)}, {"knocks", std::move(knocks)}})));
    const std::lock_guard lock(mutex_);
    kept_knocks_ = knocked;
    return {};
}

}  // namespace fiducial::gateway
