#pragma once
#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "archive/account_records.hpp"
#include "archive/accounts.hpp"
#include "archive/mail_outbox.hpp"
#include "archive/messages.hpp"
#include "archive/reception.hpp"
#include "base/clock.hpp"
#include "base/configuration.hpp"

namespace fiducial::archive {

class Service;

/// Where this site's own services are, without a slash at its end: by [http] public_url, else where it listens.
std::string own_url(const Configuration& configuration);
/// A link of this site, as browsers find it there.
std::string first_link_url(const Configuration& configuration, const crypto::Secret& token);

/// How somebody comes in by name and password; what `people` and `Members` do not hold of a person.
struct LogIn {
    enum class State : std::uint8_t { waiting, refused, registered };
    Bytes32 person{};
    State state = State::waiting;
    std::string name, email, phone;
    bool email_confirmed = false;  // by a link that was sent there
    std::uint32_t role_asked = 0;
    std::int64_t since_ms = 0;
    std::string password;               // as crypto::hash_password() made it
    Bytes second_factor;                // key of the one-time codes; empty: none yet
    std::uint64_t last_step = 0;        // of the last code that counted
    std::vector<std::string> recovery;  // SHA-256 of the codes that are left, in hex
    std::vector<std::string> networks;  // from which this person has come in, the newest last
    Bytes kept_key;                     // of the person's account on the ledger, where the site keeps it
    std::string wallet;                 // its address, where it is the person's own; else empty
};

/// The reception of a site. Passes, tickets and counts of tries are in memory: they end with the archive.
class FrontDesk final : public Reception {
public:
    FrontDesk(Service& service, crypto::Secret accounts_key, std::optional<MailSettings> mail, const Clock& clock = system_clock());
    ~FrontDesk() override;

    Result<Reply> ask(std::string_view what, const Visitor& visitor, const boost::json::object& said) override;
    void end(std::string_view pass) override;

    static bool is_pass(std::string_view token);
    /// Errors: unauthenticated: unknown, over, or taken back with the person's tokens.
    Result<Bytes32> check_pass(std::string_view pass);

    // What commands do, too. `who`: for whom it is decided and traced.
    /// Decides and traces work on somebody's account, or on the whole archive (zeros). What only takes away is never held up by a node that
    /// is away. `flags`: audit::people where a change to the table of people follows.
    Result<void> administer(const Requester& who, const Bytes32& person, bool takes_away, std::uint32_t flags = 0);
    struct Registered {
        std::uint64_t block = 0;
        bool usable = false;  // it is settled
    };
    /// On the ledger first: a person known here without rights there could do nothing, one known there alone can be added again.
    /// `also`: in the transaction that adds the person here.
    Result<Registered> register_person(const Requester& who, const Person& person, const Address& account,
                                       const std::function<Result<void>(database::Transaction&)>& also);
    /// A right counts once it is settled, and stands in our own table of rights from then on. Returns: whether it does.
    bool wait_until_counts(std::uint64_t block);
    /// The denial of a subject, of everything, that was made for this reason.
    Result<std::optional<std::int64_t>> denial_of(const Bytes32& subject, std::string_view reason);
    struct Activity {
        std::uint64_t tokens_revoked = 0;
        bool on_ledger = false;
    };
    /// Taking away counts here at once, whatever the node does: a local denial and no tokens; the ledger is told where it can be.
    Result<Activity> set_active(const Requester& who, const Bytes32& person, bool active);
    /// A link that makes an administrator, once, within a week.
    Result<crypto::Secret> make_first_link();
    /// The same for a site that is being made.
    static Result<crypto::Secret> make_first_link(AccountRecords& records);
    /// Tells everybody who has a role here.
    void tell_role(Role role, std::string_view kind, const std::string& text);
    /// What messages and links are mailed by.
    MailOutbox& mails() { return mails_; }

private:
    using Said = boost::json::object;
    using Answer = Result<Reply>;
    struct Row;
    struct Link;  // what stands behind one
    static const Row* find(std::string_view name);

    // front_desk.cpp
    Answer register_account(const Visitor& visitor, const Said& said);
    Answer look_at_link(const Visitor& visitor, const Said& said);
    Answer use_link(const Visitor& visitor, const Said& said);
    // front_desk_log_in.cpp
    Answer log_in(const Visitor& visitor, const Said& said);
    Answer enter_code(const Visitor& visitor, const Said& said);
    // front_desk_own.cpp
    Answer session(const Visitor& visitor, const Said& said);
    Answer own_account(const Visitor& visitor, const Said& said);
    Answer change_password(const Visitor& visitor, const Said& said);
    Answer renew_second_factor(const Visitor& visitor, const Said& said);
    Answer list_tokens(const Visitor& visitor, const Said& said);
    Answer make_token(const Visitor& visitor, const Said& said);
    Answer revoke_token(const Visitor& visitor, const Said& said);
    Answer list_messages(const Visitor& visitor, const Said& said);
    Answer mark_messages(const Visitor& visitor, const Said& said);
    // front_desk_wallet.cpp
    Answer make_wallet_message(const Visitor& visitor, const Said& said);
    Answer log_in_with_wallet(const Visitor& visitor, const Said& said);
    Answer tie_wallet(const Visitor& visitor, const Said& said);
    Answer make_rpc_address(const Visitor& visitor, const Said& said);
    Answer ask_ledger(const Visitor& visitor, const Said& said);
    Answer ask_ledger_in_session(const Visitor& visitor, const Said& said);
    Answer answer_question(const Said& said);
    Result<Address> signer_of(const Visitor& visitor, const Said& said);
    // front_desk_people.cpp
    Answer reset_second_factor(const Visitor& visitor, const Said& said);
    Answer list_people(const Visitor& visitor, const Said& said);
    Answer activate(const Visitor& visitor, const Said& said);
    Answer refuse(const Visitor& visitor, const Said& said);
    Answer deactivate(const Visitor& visitor, const Said& said);
    Answer invite(const Visitor& visitor, const Said& said);
    Answer make_password_link(const Visitor& visitor, const Said& said);
    // front_desk_mail.cpp
    Answer ask_for_reset(const Visitor& visitor, const Said& said);
    Answer ask_for_confirmation(const Visitor& visitor, const Said& said);
    Answer retry_mails(const Visitor& visitor, const Said& said);
    Answer discard_mails(const Visitor& visitor, const Said& said);
    Answer use_email_link(const Link& link);
    void prepare_mails();
    void mail_of_message(database::Transaction& transaction, const Bytes32& person);
    Result<void> mail_reset(database::Transaction& transaction, const std::string& email);
    /// A link to the address, which nobody else can know. Nothing where no mail server is set, or it is confirmed.
    void mail_confirmation(database::Transaction& transaction, const LogIn& log_in);
    std::string_view email_step(const LogIn& log_in) const;
    // front_desk_watch.cpp
    Answer search_trace(const Visitor& visitor, const Said& said);
    Answer prove_entry(const Visitor& visitor, const Said& said);
    Answer list_emergencies(const Visitor& visitor, const Said& said);
    Answer list_looks(const Visitor& visitor, const Said& said);
    Answer describe_ledger(const Visitor& visitor, const Said& said);
    Answer list_queues(const Visitor& visitor, const Said& said);
    Answer retry_deliveries(const Visitor& visitor, const Said& said);
    Answer discard_deliveries(const Visitor& visitor, const Said& said);
    Answer restore_object(const Visitor& visitor, const Said& said);
    // front_desk_letters.cpp
    Answer make_letter(const Visitor& visitor, const Said& said);
    Answer use_letter(const Visitor& visitor, const Said& said, Link& link);

    struct MadeLink {
        crypto::Secret token;
        std::int64_t expires_ms = 0;
    };
    static std::string content_of(const Link& link);
    static Result<MadeLink> make_link(AccountRecords& records, Link link, std::chrono::minutes lasts);
    static Result<MadeLink> make_link(AccountRecords& records, database::Transaction& transaction, Link link, std::chrono::minutes lasts);
    /// Those that were made for this person: only the newest of a kind opens anything.
    Result<void> erase_links(database::Transaction& transaction, std::string_view kind, const Bytes32& person);
    Result<Link> read_link(database::Transaction& transaction, const Said& said);
    Answer use_account_link(const Visitor& visitor, const Said& said, const Link& link);
    Answer use_password_link(const Visitor& visitor, const Said& said, const Link& link);

    Result<LogIn> log_in_of(const Bytes32& person);
    Result<std::optional<LogIn>> log_in_in(database::Transaction& transaction, const Bytes32& person);
    Result<std::optional<LogIn>> log_in_by_email(const std::string& email);
    Result<void> put(database::Transaction& transaction, const LogIn& log_in);
    Result<void> save(const LogIn& log_in);
    Result<std::string> unused_name(const std::string& name);
    Result<bool> is_deactivated(const Bytes32& person);
    /// Errors: not_found: nobody of this site; denied: not any more.
    Result<void> check_active(const Bytes32& person);
    /// Those who can activate.
    Result<std::vector<Person>> administrators();

    /// After the password: what is next.
    Answer next_step(const Visitor& visitor, LogIn log_in);
    Answer let_in(const Visitor& visitor, LogIn& log_in, std::vector<std::string> recovery_codes);
    crypto::Secret make_pass(const Person& person);
    /// Errors: limit_exceeded: of an account that strangers try to guess; from where the person has come in before, only that network's own
    /// tries count, so that nobody is locked out by others.
    Result<void> may_try(const LogIn* log_in, const std::string& email, const std::string& network);
    void count_failure(const std::string& email, const std::string& network);
    /// Counts what costs others something. Returns: whether there were fewer than `most` in the last quarter of an hour.
    bool count_try(const std::string& what, unsigned most);

    struct Pass {
        Bytes32 person{};
        std::uint32_t token_epoch = 0;
        SteadyTime until{};
    };
    struct Ticket {
        Bytes32 person{};
        Bytes new_factor;  // empty: the one that the person has is asked for
        unsigned tries = 0;
        SteadyTime until{};
    };
    struct Challenge {
        Hash text{};
        Bytes32 person{};  // who wants to tie a wallet; zeros: somebody logs in
        SteadyTime until{};
    };
    struct Tries {
        SteadyTime since{};
        unsigned failures = 0;
    };
    Result<std::string> make_ticket(const Bytes32& person, Bytes new_factor);
    std::string enrol_text(const LogIn& log_in, const std::string& ticket, ByteView key) const;

    Service& service_;
    AccountRecords records_;
    Messages messages_;
    MailOutbox mails_;
    const Clock& clock_;
    std::mutex registrations_mutex_;  // one at a time: who gets an account, and who may come in; held while the ledger is waited for
    std::mutex changes_mutex_;        // one at a time: what people change of their own log-ins, each of which is read and written
    std::mutex mutex_;                // of what is below
    std::map<Hash, Pass> passes_;
    std::map<Hash, Ticket> tickets_;
    std::map<std::string, Challenge> challenges_;  // by nonce
    std::map<std::string, Tries> tries_;
};

}  // namespace fiducial::archive
