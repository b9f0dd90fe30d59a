#pragma once
#include <memory>
#include <optional>
#include <string>

#include "dimse/provider.hpp"
#include "dimse/user.hpp"
#include "net/runtime.hpp"
#include "shadow/source.hpp"

namespace fiducial::shadow {

/// Where images are to be sent that were asked for by C-MOVE; the old archive has to know that title and address.
struct MoveTarget {
    std::string ae_title;
    net::ListenSettings listen;
};

/// An archive that speaks DIMSE: lists by C-FIND in Study Root, fetches by C-GET or C-MOVE, an association for each. Spec: PS3.4 Annex C
/// Security: what is sent after a C-MOVE is taken only from the archive that was asked (its title, address and certificate), and only the
///           image that was asked for, while it is waited for
class DimseSource final : public Source {
public:
    /// peer: whom to ask, and under which title; `contexts` and `roles` are not looked at. target: by C-MOVE, to there; none: by C-GET.
    /// Errors: as dimse::Provider::start
    static Result<std::unique_ptr<DimseSource>> open(dimse::UserSettings peer, const std::optional<MoveTarget>& target);
    ~DimseSource() override;
    std::string name() const override;
    Result<void> each_study(const std::function<Result<bool>(const ListedStudy& study)>& with) override;
    Result<std::vector<ListedInstance>> instances(const std::string& study_uid) override;
    Result<void> fetch(const ListedInstance& instance, const TakePiece& take) override;

private:
    class Arrivals;
    explicit DimseSource(dimse::UserSettings peer);
    net::Task<Result<void>> move(const ListedInstance& instance, const TakePiece& take);

    const dimse::UserSettings peer_;
    std::string move_title_;
    net::Runtime runtime_;  // of one thread: what listens and what asks take turns
    std::shared_ptr<Arrivals> arrivals_;
    std::unique_ptr<dimse::Provider> provider_;
};

}  // namespace fiducial::shadow
