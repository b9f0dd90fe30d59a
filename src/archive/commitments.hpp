#pragma once
#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "archive/deliveries.hpp"
#include "base/result.hpp"

namespace fiducial::archive {

/// When an instance counts as kept for good.
enum class CommitmentPolicy : std::uint8_t {
    none,     // nothing of the kind is promised to this peer
    durable,  // it is on the disk
    settled,  // and its fingerprint is settled on the ledger
};

/// An instance that a peer asks about, and what becomes of it.
struct CommitmentInstance {
    enum class State : std::uint8_t {
        kept,
        unknown,       // there is none, as far as this peer may know
        other_class,   // it is of another SOP class
        not_in_order,  // it was set aside or put into quarantine
    };
    std::string sop_class, sop_uid;
    State state = State::kept;
};

/// A request for storage commitment. Spec: PS3.4 Annex J
struct CommitmentRequest {
    std::string peer;  // AE title
    std::string transaction_uid;
    std::vector<CommitmentInstance> instances;
    CommitmentPolicy policy = CommitmentPolicy::settled;
    std::string source;                                            // under which begin_ingest() knew this peer
    std::function<bool(const std::string& sop_uid)> also_brought;  // what it brought and was here already
    std::chrono::milliseconds hold{0};                             // who asks brings the answer itself, until so much later
};

/// What there is to answer.
struct CommitmentAnswer {
    bool pending = false;  // it is not decided yet, and why
    std::string why;
    std::vector<CommitmentInstance> instances;
};

}  // namespace fiducial::archive
