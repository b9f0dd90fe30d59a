#pragma once
#include <atomic>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "audit/trace.hpp"
#include "base/bytes.hpp"
#include "base/configuration.hpp"
#include "crypto/passphrase.hpp"
#include "crypto/recovery_share.hpp"
#include "crypto/secret.hpp"
#include "store/shred_store.hpp"

namespace fiducial::archive {

/// Where everything of a site lies, below its folder.
struct SiteLayout {
    std::filesystem::path root;
    std::filesystem::path configuration() const { return root / "fiducial.toml"; }
    std::filesystem::path facts() const { return root / "site.json"; }
    std::filesystem::path site_key() const { return root / "keys" / "site.key"; }
    std::filesystem::path key(std::string_view name) const { return root / "keys" / (std::string(name) + ".key"); }
    std::filesystem::path trust_file() const { return root / "trust.json"; }
    std::filesystem::path store() const { return root / "store"; }
    std::filesystem::path ledger() const { return root / "ledger"; }
    std::filesystem::path genesis() const { return ledger() / "genesis.json"; }
    std::filesystem::path trace() const { return root / "trace"; }
    std::filesystem::path trace_tiles() const { return trace() / "tiles"; }
    std::filesystem::path working() const { return root / "working"; }  // what is made on the way; may be removed whenever nothing runs
    std::filesystem::path control_socket() const { return root / "control.sock"; }
};

/// What a site is, once and for all: public, written by `init`.
struct SiteFacts {
    Bytes32 site_id{};
    Bytes32 institution{};                   // id in Members
    Bytes32 operator_person{};               // the custodian that init made: for whom commands act
    std::string operator_name = "operator";  // this person's log-in name
    std::uint64_t chain_id = 0;
    Hash genesis_hash{};
    bool own_node = true;      // the archive runs the node
    bool development = false;  // a chain without seals
    bool demo = false;         // made to be tried out: may be damaged on purpose
    Address members{}, studies{}, consents{}, checkpoints{}, directory{};
    std::uint64_t from_block = 0;

    std::string to_json() const;
    /// Errors: malformed, naming the field.
    static Result<SiteFacts> parse(std::string_view json);
};

/// Names of the keys that lie sealed under a key derived from the root key.
inline constexpr std::string_view kDeployerKey = "deployer";  // administers the institution and the consortium of one
inline constexpr std::string_view kOperatorKey = "operator";  // of the person that init made
inline constexpr std::string_view kGatewayKey = "gateway";    // anchors
inline constexpr std::string_view kSealerKey = "sealer";      // seals the local node's blocks

/// Labels of the keys derived from the root key.
inline constexpr std::string_view kControlLabel = "fid.control1";             // what a command proves to the running archive
inline constexpr std::string_view kNodePasswordLabel = "fid.node-password1";  // of the local node's sealer
inline constexpr std::string_view kTraceLabel = "fid.trace1";                 // MAC of the trace's head
inline constexpr std::string_view kTraceStaffLabel = "fid.trace-staff1";      // seals the staff's part of trace entries
inline constexpr std::string_view kTraceNoteLabel = "fid.trace-note1";        // signs the trace's checkpoints
inline constexpr std::string_view kTraceWitnessLabel = "fid.trace-witness1";  // cosigns other members' checkpoints
inline constexpr std::string_view kImageUidLabel = "fid.image-uid1";          // UIDs of images that bring none
inline constexpr std::string_view kAccountsLabel = "fid.accounts1";           // MACs of people and tokens
inline constexpr std::string_view kOutboxLabel = "fid.outbox1";               // MACs of the outbox's rows
inline constexpr std::string_view kBackupLabel = "fid.backup-key1";           // MACs and sealed pieces of backups
inline constexpr std::string_view kKeyFilesLabel = "fid.key-files1";          // seals the key files

/// Whether the settings are of this site's ledger. Errors: invalid_argument where they name one and the site has its own, or name none and
/// it has not.
Result<void> check_ledger_settings(const SiteFacts& facts, const Configuration& configuration);

/// What was made with keys derived from root keys that the site had before, and cannot be made anew: these keys are kept.
struct FormerKeys {
    struct Era {                          // of one root key
        std::uint64_t trace_entries = 0;  // of the trace, from its beginning, when the root key was changed
        crypto::Secret trace, trace_staff, backup;
    };
    crypto::Secret image_uid;  // of the first root key: an image without a UID that comes again is a duplicate
    std::vector<Era> eras;     // oldest first; none: the root key is the first one
};

/// A site that was opened with its passphrase: its keys, settings and facts. Opens nothing else.
/// Security: holds the root key in locked memory.
class Site {
public:
    /// What is public of a site; needs no passphrase. Errors: not_found when the folder is no site; permission; malformed.
    static Result<SiteFacts> read_facts(const std::filesystem::path& folder);
    /// Errors: those of read_facts; wrong_passphrase; malformed configuration.
    static Result<Site> open(const std::filesystem::path& folder, const crypto::Secret& passphrase);

    const SiteLayout& layout() const { return layout_; }
    const Configuration& configuration() const { return configuration_; }
    const SiteFacts& facts() const { return facts_; }
    /// What everything of the site is derived from; wrapped by the site key, which the passphrase opens.
    const crypto::Secret& root_key() const { return root_key_; }
    /// One of the sealed keys. Errors: not_found; corrupt.
    Result<crypto::Secret> key(std::string_view name) const;
    /// A key made from the root key for one purpose: HKDF-SHA-256(root key, salt site id, info label).
    crypto::Secret derive(std::string_view label) const;
    /// Of the local node's sealer: one line of text, as geth reads it.
    crypto::Secret node_password() const;
    crypto::Secret image_uid_key() const;
    audit::TraceKeys trace_keys() const;
    /// Under which staff's parts of trace entries may be: the present one first.
    std::vector<crypto::Secret> trace_staff_keys() const;
    /// Under which earlier backups may be.
    std::vector<crypto::Secret> former_backup_keys() const;

private:
    friend class SiteMaker;
    SiteLayout layout_;
    Configuration configuration_;
    SiteFacts facts_;
    crypto::Secret root_key_;
    FormerKeys former_;
};

/// As Site::derive, where there is no open site yet.
crypto::Secret derive_key(const crypto::Secret& root_key, const Bytes32& site_id, std::string_view label);
/// As Site::node_password, from the key with kNodePasswordLabel.
crypto::Secret node_password_of(const crypto::Secret& key);

struct InitOptions {
    std::filesystem::path folder;
    std::string name = "Fiducial archive";
    std::string operator_name = SiteFacts{}.operator_name;
    std::string ledger_url;              // empty: a local node
    std::filesystem::path geth;          // empty: looked for
    std::filesystem::path deployer_key;  // 64 hex digits: of an account with ether on that ledger; empty: a development chain's own
    std::uint64_t clique_period = 0, clique_epoch = 0;  // of that ledger, where its node does not tell (admin_nodeInfo); 0: ask it
    unsigned recovery_needed = 2;                       // shares that give the site key back …
    unsigned recovery_shares = 3;                       // … of so many
    crypto::Argon2Parameters argon2;
    bool demo = false;
    const std::atomic<bool>* stop = nullptr;  // looked at between the steps
};

struct InitReport {
    SiteFacts facts;
    std::vector<crypto::RecoveryShare> shares;  // printed once, never stored
    Hash trust_sha256{};
    Address gateway{};
    std::string first_link;          // that makes the first administrator, once: printed, never stored
    std::vector<std::string> steps;  // what was done, for people
};

/// Whether a site can be made here. Errors: conflict when the folder exists and is not empty.
Result<void> check_site_place(const std::filesystem::path& folder);

/// A private key from a file of 64 hex digits, with or without "0x". Errors: malformed, naming the file; io.
Result<crypto::Secret> read_private_key(const std::filesystem::path& path);

/// Makes a site: everything or nothing (it is built beside its place and moved there at the end).
/// Errors: those of check_site_place; cancelled; whatever node, chain and disk say.
Result<InitReport> init_site(const InitOptions& options, const crypto::Secret& passphrase);

/// The site's key file: the site key under a passphrase, and the root key under the site key, replaced in one step.
/// Spec: docs/formats/keys.md
struct KeyFile {
    /// A root key that was given to the site, and under which not everything is yet.
    struct Change {
        crypto::Secret former_root;
        store::UsedSecrets used;
    };
    crypto::Secret site_key, root_key;
    crypto::Argon2Parameters argon2{};  // as found by open(); those of a rewritten file stay the same
    FormerKeys former{};
    std::optional<Change> change{};
    static Result<KeyFile> open(const std::filesystem::path& path, const crypto::Secret& passphrase);
    /// The same of a file that was read already. `name`: for error texts.
    static Result<KeyFile> open(ByteView file, const std::string& name, const crypto::Secret& passphrase);
    /// Without the passphrase. Errors: conflict when the file is under another site key.
    static Result<KeyFile> open_with_site_key(const std::filesystem::path& path, crypto::Secret site_key);
    static Result<KeyFile> open_with_site_key(ByteView file, const std::string& name, crypto::Secret site_key);
    /// The former file's bytes are overwritten, as far as the file system permits.
    Result<void> write(const std::filesystem::path& path, const crypto::Secret& passphrase,
                       const crypto::Argon2Parameters& parameters) const;
    /// The same under the passphrase as it is: what stands in `file` of the site key stays.
    Result<void> write_rest(const std::filesystem::path& path) const;

private:
    Bytes encode_rest() const;
};

struct RotateReport {
    std::vector<crypto::RecoveryShare> shares;  // of the new site key; the old ones are of no more use
};
/// A new site key (and, where given, a new passphrase) over the same root key: for a passphrase or a recovery share that may have
/// been seen, but not together with the key file. Done in one step; the old key file stays good until then.
/// Errors: wrong_passphrase; io.
Result<RotateReport> rotate_site_key(const std::filesystem::path& folder, const crypto::Secret& passphrase,
                                     const crypto::Secret& new_passphrase, unsigned recovery_needed, unsigned recovery_shares);

/// The same where the passphrase is lost: the shares open the key file.
/// Errors: those of combine_shares; conflict when the shares are not those of the site's present key; io.
Result<RotateReport> recover_site_key(const std::filesystem::path& folder, std::span<const crypto::RecoveryShare> shares,
                                      const crypto::Secret& new_passphrase, unsigned recovery_needed, unsigned recovery_shares);

/// Splits and at once puts together again, so that no share is given out that does not work.
Result<std::vector<crypto::RecoveryShare>> make_tested_shares(const crypto::Secret& site_key, unsigned needed, unsigned count);

}  // namespace fiducial::archive
