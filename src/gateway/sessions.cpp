#include "gateway/impl/sessions.hpp"

#include <arpa/inet.h>

#include <algorithm>
#include <array>

#include "base/hex.hpp"
#include "crypto/hash.hpp"

namespace fiducial::gateway::impl {
namespace {

constexpr unsigned kMostFailures = 10;
constexpr std::chrono::minutes kWindow{1};
constexpr std::size_t kMostAddresses = 10'000;

Hash key_of(std::string_view id) {
    return crypto::sha256(as_bytes(id));
}

constexpr std::size_t kShownId = 16;

}  // namespace

std::string network_of(std::string_view peer) {
    auto host = std::string(peer.substr(0, peer.rfind(':')));
    if (!host.starts_with('[') || !host.ends_with(']')) return host;
    host = host.substr(1, host.size() - 2);
    std::array<std::uint8_t, 16> address{};
    if (::inet_pton(AF_INET6, host.c_str(), address.data()) != 1) return host;
    return to_hex(ByteView(address).first(8));
}

bool Sessions::has_ended(const Session& session, SteadyTime now) const {
    return now - session.used >= limits_.idle || now - session.opened >= limits_.lifetime;
}

/// Requires: the lock.
void Sessions::make_room(const Bytes32& person, SteadyTime now) {
    std::erase_if(sessions_, [&](const auto& item) { return has_ended(item.second, now); });
    const auto end_longest_idle = [&](auto counts, std::size_t most) {
        auto longest = sessions_.end();
        std::size_t count = 0;
        for (auto item = sessions_.begin(); item != sessions_.end(); ++item) {
            if (!counts(item->second)) continue;
            ++count;
            if (longest == sessions_.end() || item->second.used < longest->second.used) longest = item;
        }
        if (count >= most) sessions_.erase(longest);
    };
    end_longest_idle([&](const Session& session) { return session.person == person; }, limits_.most_of_person);
    end_longest_idle([](const Session&) { return true; }, limits_.most);
}

std::string Sessions::open(std::string_view token, const Bytes32& person, archive::Purpose purpose, std::string_view address) {
    const auto id = to_hex(crypto::random_bytes32());
    Session session;
    session.held = {crypto::Secret::copy_of(as_bytes(token)), purpose, {}};
    session.person = person;
    session.address = address;
    session.began = clock_.now();
    const std::lock_guard lock(mutex_);
    const auto now = clock_.steady_now();
    session.opened = session.used = now;
    make_room(person, now);
    sessions_.emplace(key_of(id), std::move(session));
    return id;
}

std::optional<Sessions::Held> Sessions::use(std::string_view id) {
    const std::lock_guard lock(mutex_);
    const auto found = sessions_.find(key_of(id));
    if (found == sessions_.end()) return std::nullopt;
    const auto now = clock_.steady_now();
    if (has_ended(found->second, now)) {
        sessions_.erase(found);
        return std::nullopt;
    }
    found->second.used = now;
    auto& held = found->second.held;
    std::erase_if(held.emergencies, [wall = clock_.now()](const auto& one) { return one.second <= wall; });
    return Held{held.token.clone(), held.purpose, held.emergencies};
}

void Sessions::open_emergency(std::string_view id, std::string_view study_uid, SystemTime until) {
    const std::lock_guard lock(mutex_);
    const auto found = sessions_.find(key_of(id));
    if (found == sessions_.end()) return;
    auto& emergencies = found->second.held.emergencies;
    emergencies.insert_or_assign(std::string(study_uid), until);
    if (emergencies.size() <= limits_.most_emergencies) return;
    emergencies.erase(
        std::min_element(emergencies.begin(), emergencies.end(), [](const auto& a, const auto& b) { return a.second < b.second; }));
}

crypto::Secret Sessions::close(std::string_view id) {
    const std::lock_guard lock(mutex_);
    const auto found = sessions_.find(key_of(id));
    if (found == sessions_.end()) return {};
    auto token = std::move(found->second.held.token);
    sessions_.erase(found);
    return token;
}

std::vector<Sessions::Shown> Sessions::of(const Bytes32& person, std::string_view current) {
    const std::lock_guard lock(mutex_);
    const auto now = clock_.steady_now();
    const auto wall = clock_.now();
    std::vector<Shown> out;
    for (const auto& [key, session] : sessions_) {
        if (session.person != person || has_ended(session, now)) continue;
        const auto ago = std::chrono::duration_cast<std::chrono::milliseconds>(now - session.used);
        out.push_back({to_hex(key).substr(0, kShownId), session.address, session.began, wall - ago, key == key_of(current)});
    }
    std::sort(out.begin(), out.end(), [](const Shown& a, const Shown& b) { return a.used > b.used; });
    return out;
}

std::vector<crypto::Secret> Sessions::end(const Bytes32& person, std::string_view shown_id, std::string_view current) {
    const std::lock_guard lock(mutex_);
    std::vector<crypto::Secret> tokens;
    for (auto item = sessions_.begin(); item != sessions_.end();) {
        const bool meant = shown_id.empty() ? item->first != key_of(current) : to_hex(item->first).substr(0, kShownId) == shown_id;
        if (item->second.person != person || !meant) {
            ++item;
            continue;
        }
        tokens.push_back(std::move(item->second.held.token));
        item = sessions_.erase(item);
    }
    return tokens;
}

std::size_t Sessions::count() const {
    const std::lock_guard lock(mutex_);
    return sessions_.size();
}

bool FailedLogIns::may_try(std::string_view peer) {
    const std::lock_guard lock(mutex_);
    const auto found = minutes_.find(network_of(peer));
    return found == minutes_.end() || found->second.failures < kMostFailures || clock_.steady_now() - found->second.since >= kWindow;
}

void FailedLogIns::add(std::string_view peer) {
    const std::lock_guard lock(mutex_);
    const auto now = clock_.steady_now();
    if (minutes_.size() >= kMostAddresses) std::erase_if(minutes_, [&](const auto& item) { return now - item.second.since >= kWindow; });
    if (minutes_.size() >= kMostAddresses) minutes_.clear();  // whoever has so many addresses is not held by counting them
    auto& minute = minutes_[network_of(peer)];
    if (now - minute.since >= kWindow) minute = {now, 0};
    ++minute.failures;
}

}  // namespace fiducial::gateway::impl
