#pragma once
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "archive/archive.hpp"
#include "dimse/store_user.hpp"
#include "gateway/impl/retrieve_request.hpp"

namespace fiducial::gateway::impl {

/// What a C-GET or C-MOVE gives out: decided, traced looks, one after the other, each object checked as it is read.
class OutgoingRetrievals final : public dimse::OutgoingObjects {
public:
    /// Decides and traces all of it, before anything is sent. What there is not is left out; so is what is denied, where something else is
    /// not. Blocking. Errors: denied; limit_exceeded beyond kMostObjects; those of Archive::retrieve and query
    Result<void> open(archive::Archive& archive, const archive::Requester& who, const RetrieveRequest& request);

    std::size_t count() const { return count_; }
    std::size_t denied() const { return denied_; }
    /// SOP class and transfer syntax of all of it.
    std::set<std::pair<std::string, std::string>> kinds() const;
    /// A presentation context for each, and one for each class in which it can be given to everyone; as far as there is room.
    std::vector<dicom::ProposedContext> contexts(bool uncompressed = false) const;
    /// What was asked for and is not there or denied, and why.
    struct LeftOut {
        archive::Selector what;
        Error why;
    };
    const std::vector<LeftOut>& left_out() const { return left_out_; }
    /// SOP Instance UIDs in the order in which they come, from one on.
    std::vector<std::string> instances_from(std::size_t index) const;

    std::optional<dimse::OutgoingObject> next() override;
    Result<std::size_t> read(MutableByteView out) override { return retrievals_[at_]->read(out); }

    static constexpr std::size_t kMostObjects = 65'535;  // that fit into Number of Remaining Sub-operations

private:
    std::vector<std::unique_ptr<archive::Retrieval>> retrievals_;
    std::vector<LeftOut> left_out_;
    std::size_t count_ = 0, denied_ = 0;
    std::size_t at_ = 0, index_ = 0;  // the retrieval that is read, and its next instance
};

}  // namespace fiducial::gateway::impl
