#pragma once
#include <chrono>
#include <cstddef>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "archive/requester.hpp"
#include "base/bytes.hpp"
#include "base/clock.hpp"
#include "crypto/secret.hpp"

namespace fiducial::gateway::impl {

struct SessionLimits {
    std::chrono::milliseconds idle = std::chrono::minutes(30);
    std::chrono::milliseconds lifetime = std::chrono::hours(12);
    std::size_t most = 1'024;           // with one more the longest idle one ends
    std::size_t most_of_person = 16;    // likewise
    std::size_t most_emergencies = 64;  // of a session; with one more the one that ends first is forgotten
};

/// What browsers hold in place of a token. The token stays here, in memory, and is asked for anew with each request: one that is taken back
/// ends its sessions at once, and so does the archive's end.
/// Threads: safe. Security: only the hash of a session's id is kept
class Sessions {
public:
    explicit Sessions(SessionLimits limits, const Clock& clock = system_clock()) : limits_(limits), clock_(clock) {}

    /// Returns: the session's id, 256 random bits as text.
    std::string open(std::string_view token, const Bytes32& person, archive::Purpose purpose, std::string_view address = {});
    struct Held {
        crypto::Secret token;
        archive::Purpose purpose{};
        std::map<std::string, SystemTime, std::less<>> emergencies;  // studies that were opened in one, and until when
    };
    /// A session as its person sees it.
    struct Shown {
        std::string id;  // names it; opens nothing
        std::string address;
        SystemTime opened{}, used{};
        bool current = false;
    };
    /// `current`: the id of the one that asks. Newest first.
    std::vector<Shown> of(const Bytes32& person, std::string_view current);
    /// Ends one by its shown id, or where that is empty all but `current`. Returns: their tokens.
    std::vector<crypto::Secret> end(const Bytes32& person, std::string_view shown_id, std::string_view current);
    /// Returns: nothing where there is no such session, or where it has ended; of emergencies those that last. One that is used does not
    /// idle.
    std::optional<Held> use(std::string_view id);
    /// What this session asks of the study is asked in an emergency from now on, until then.
    void open_emergency(std::string_view id, std::string_view study_uid, SystemTime until);
    /// Returns: its token; empty where there was none.
    crypto::Secret close(std::string_view id);
    const SessionLimits& limits() const { return limits_; }
    std::size_t count() const;

private:
    struct Session {
        Held held;
        Bytes32 person{};
        std::string address;
        SystemTime began{};
        SteadyTime opened{}, used{};
    };
    bool has_ended(const Session& session, SteadyTime now) const;
    void make_room(const Bytes32& person, SteadyTime now);

    const SessionLimits limits_;
    const Clock& clock_;
    mutable std::mutex mutex_;
    std::map<Hash, Session> sessions_;  // by the hash of the id
};

/// What of an address one party has to itself: of IPv6 the network of 64 bits. peer: "192.0.2.1:52344", "[2001:db8::1]:443".
std::string network_of(std::string_view peer);

/// Counts log-ins that failed, by the address they came from: ten in a minute, and it waits for the next one.
/// IPv6 addresses count by their network of 64 bits. Threads: safe.
class FailedLogIns {
public:
    explicit FailedLogIns(const Clock& clock = system_clock()) : clock_(clock) {}
    /// peer: "192.0.2.1:52344", "[2001:db8::1]:443".
    bool may_try(std::string_view peer);
    void add(std::string_view peer);

private:
    struct Minute {
        SteadyTime since{};
        unsigned failures = 0;
    };
    const Clock& clock_;
    std::mutex mutex_;
    std::map<std::string, Minute> minutes_;
};

}  // namespace fiducial::gateway::impl
