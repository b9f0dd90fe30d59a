#pragma once
#include <memory>
#include <string>

#include "dimse/user.hpp"
#include "net/runtime.hpp"
#include "shadow/source.hpp"

namespace fiducial::shadow {

/// An archive that speaks DIMSE: lists by C-FIND in Study Root, fetches by C-GET, an association for each. Spec: PS3.4 Annex C
class DimseSource final : public Source {
public:
    /// peer: whom to ask, and under which title; `contexts` and `roles` are not looked at.
    explicit DimseSource(dimse::UserSettings peer);
    std::string name() const override;
    Result<void> each_study(const std::function<Result<bool>(const ListedStudy& study)>& with) override;
    Result<std::vector<ListedInstance>> instances(const std::string& study_uid) override;
    Result<void> fetch(const ListedInstance& instance, const TakePiece& take) override;

private:
    const dimse::UserSettings peer_;
    net::Runtime runtime_;
};

}  // namespace fiducial::shadow
