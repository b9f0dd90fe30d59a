#pragma once
#include <span>
#include <string>
#include <string_view>

#include "audit/proof.hpp"

namespace fiducial::audit {

/// What a witness answers to a log that asks for its cosignature.
struct WitnessAnswer {
    unsigned status = 200;  // of HTTP
    std::string content_type = "text/plain; charset=utf-8";
    std::string body;
};

/// Cosigns checkpoints of logs that it knows, each only where the log goes on from the last one it cosigned.
/// Spec: C2SP tlog-witness (add-checkpoint), tlog-cosignature.
class Witness {
public:
    /// `logs`: whose checkpoints it takes.
    Witness(std::string name, crypto::Secret seed, std::vector<NoteKey> logs)
        : name_(std::move(name)), seed_(std::move(seed)), logs_(std::move(logs)) {}
    NoteKey key() const { return {name_, NoteAlgorithm::cosignature, crypto::ed25519_public_key(seed_)}; }

    /// Where the head that was cosigned last is kept. Requires: between reading and keeping nobody else keeps another one of this origin.
    struct Memory {
        std::function<Result<TraceHead>(const std::string& origin)> read;  // size 0: none
        std::function<Result<void>(const std::string& origin, const TraceHead& head)> keep;
    };
    /// Errors: those of `memory`; nothing is cosigned then.
    Result<WitnessAnswer> add_checkpoint(std::string_view request, const Memory& memory, SystemTime now) const;

private:
    std::string name_;
    crypto::Secret seed_;
    std::vector<NoteKey> logs_;
};

}  // namespace fiducial::audit
