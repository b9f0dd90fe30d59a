#pragma once
#include <memory>
#include <string>
#include <vector>

#include "dimse/association.hpp"
#include "net/tls.hpp"

namespace fiducial::dimse {

/// Whom to ask for an association, and for what.
struct UserSettings {
    std::string address;  // numeric
    std::uint16_t port = 0;
    std::string called_ae_title;
    std::string calling_ae_title;
    std::vector<dicom::ProposedContext> contexts;  // at most dicom::kMaxPresentationContexts, with odd identifiers
    std::vector<dicom::RoleSelection> roles{};     // of classes in which this side is not just the SCU
    std::shared_ptr<net::TlsContext> tls{};        // none: plain
    std::string certificate{};                     // that the peer has to show (net::Stream::certificate()); with tls only
    AssociationLimits limits{};
};

namespace impl {
class UserConnection;
}

/// An association that this side asked for. One that is not released breaks when it goes.
class User {
public:
    /// Connects and asks. Requires: awaited on a strand, on which the association lives.
    /// Errors: invalid_argument (address); unavailable: nobody answers there; timeout; denied: rejected, with the reason, or another
    /// certificate than wanted; malformed
    static net::Task<Result<std::unique_ptr<User>>> open(UserSettings settings);
    ~User();

    Association& association();
    /// Ends it in order.
    net::Task<Result<void>> release();

private:
    User();
    std::shared_ptr<impl::UserConnection> connection_;
};

/// Asks a peer whether it is there: an association for Verification alone (`contexts` are not looked at), C-ECHO, release.
/// Returns: how long that took. Errors: those of User::open and Association; unsupported: it does not take C-ECHO
net::Task<Result<std::chrono::milliseconds>> echo(UserSettings settings);

}  // namespace fiducial::dimse
