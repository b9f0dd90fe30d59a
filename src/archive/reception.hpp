#pragma once
#include <string>
#include <string_view>

#include "archive/requester.hpp"
#include "base/bytes.hpp"
#include "base/json.hpp"
#include "base/result.hpp"
#include "crypto/secret.hpp"

namespace fiducial::archive {

/// Who stands before the reception.
struct Visitor {
    Requester who{};       // subject zeros: nobody known yet
    std::string network;   // what of the address one party has to itself
    std::string base_url;  // what links begin with
};

struct Reply {
    std::string json;          // empty: there is nothing to say
    crypto::Secret pass;       // of somebody who has logged in just now: what a token is, for as long as the archive runs; else empty
    Bytes32 person{};          // whose it is
    bool ends_others = false;  // this person's other sessions are over
};

/// Where people get an account, come in, and look after it; where administrators let them in, and those who watch over the archive ask.
/// What is asked for has a name, with a JSON object of arguments and one as the answer: docs/reference/http.md#accounts. Threads: safe.
/// Blocking: a password takes a tenth of a second.
class Reception {
public:
    virtual ~Reception() = default;
    /// Errors: not_found: unknown name, link; invalid_argument: what a person entered, in words for them; unauthenticated: password, code
    /// or
    ///         signature do not fit; denied; conflict; limit_exceeded: too many tries; unavailable: the ledger does not answer
    virtual Result<Reply> ask(std::string_view what, const Visitor& visitor, const boost::json::object& said) = 0;
    /// Whoever had this pass has gone.
    virtual void end(std::string_view pass) = 0;
};

}  // namespace fiducial::archive
