#include "audit/witness.hpp"

#include <algorithm>

#include "crypto/merkle.hpp"

namespace fiducial::audit {
namespace {

WitnessAnswer refuse(unsigned status, std::string_view why) {
    return {status, "text/plain; charset=utf-8", std::string(why) + "\n"};
}

/// What was cosigned last: from there the log can prove that it goes on.
WitnessAnswer other_size(std::uint64_t size) {
    return {409, "text/x.tlog.size", std::to_string(size) + "\n"};
}

}  // namespace

Result<WitnessAnswer> Witness::add_checkpoint(std::string_view request, const Memory& memory, SystemTime now) const {
    const auto proof = ConsistencyProof::parse(request);
    if (!proof) return refuse(400, proof.error().message);
    const auto note = Note::parse(proof->checkpoint);
    if (!note) return refuse(400, note.error().message);
    const auto checkpoint = Checkpoint::parse(note->text);
    if (!checkpoint) return refuse(400, checkpoint.error().message);
    const auto& [origin, head] = *checkpoint;
    const auto is_of_log = [&, &name = origin](const NoteKey& log) { return log.name == name; };
    if (std::none_of(logs_.begin(), logs_.end(), is_of_log)) return refuse(404, "this log is not known here");
    const bool is_signed =
        std::any_of(logs_.begin(), logs_.end(), [&](const NoteKey& log) { return is_of_log(log) && note->verify(log).has_value(); });
    if (!is_signed) return refuse(403, "the checkpoint is not signed with the log's key");
    if (proof->old_size > head.size) return refuse(400, "the old size is larger than the checkpoint's");
    FID_TRY(auto kept, memory.read(origin));
    if (kept.size == 0) kept.root = crypto::merkle_empty_root();
    if (proof->old_size != kept.size || (head.size == kept.size && head.root != kept.root)) return other_size(kept.size);
    if (!crypto::merkle_verify_consistency(kept.size, head.size, kept.root, head.root, proof->path))
        return refuse(422, "the log does not go on from the checkpoint that was cosigned last");
    FID_CHECK(memory.keep(origin, head));
    return WitnessAnswer{200, "text/plain; charset=utf-8", cosign(note->text, name_, seed_, now).line()};
}

}  // namespace fiducial::audit
