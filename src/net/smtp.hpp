#pragma once
#include <chrono>
#include <cstdint>
#include <stop_token>
#include <string>

namespace fiducial::net {

enum class SmtpSecurity : std::uint8_t {
    starttls,  // TLS is asked for before anything else is said; a server without it gets nothing
    tls,       // from the first byte on
    none,      // for a server on this machine
};

struct SmtpSettings {
    std::string host;  // a name, or an address; IPv6 without brackets
    std::uint16_t port = 587;
    SmtpSecurity security = SmtpSecurity::starttls;
    std::string user, password;  // no user: no log-in
    std::string ca_file;         // PEM; empty: the system's
    std::chrono::milliseconds timeout{30'000};
};

/// How a mail fared that was to be handed over.
struct SmtpOutcome {
    enum class Kind : std::uint8_t {
        taken,        // the server answers for it from now on
        refused,      // this mail, for good (5yz)
        later,        // this mail, for now (4yz)
        unavailable,  // no mail can be handed over: connection, TLS, log-in
    };
    Kind kind = Kind::unavailable;
    std::string why;   // and what to do about it, without a word of the server's
    std::string said;  // the server's own last words, which may name addresses
    std::string text() const { return why + (said.empty() ? "" : (why.empty() ? "" : "; it says: ") + said); }
};

/// Hands one mail over. `mail`: header and body, lines ended by CR LF.
/// Spec: RFC 5321; RFC 3207 (STARTTLS), RFC 8314 (TLS), RFC 4954 (AUTH)
/// Requires: addresses of RFC 5321 §4.1.2, without brackets
/// Threads: safe. Blocking: as long as `timeout`; a second after `stop` was asked for.
/// Security: the server's certificate is checked; what is said of it is bounded.
SmtpOutcome send_mail(const SmtpSettings& settings, const std::string& from, const std::string& to, const std::string& mail,
                      const std::stop_token& stop = {});

}  // namespace fiducial::net
