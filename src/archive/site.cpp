#include "archive/site.hpp"

#include <boost/json.hpp>

#include "base/file.hpp"
#include "base/hex.hpp"
#include "base/json.hpp"
#include "base/log.hpp"
#include "base/overwrite.hpp"
#include "crypto/aead.hpp"
#include "crypto/hash.hpp"
#include "net/client.hpp"

namespace fiducial::archive {
namespace {

namespace json = boost::json;
constexpr std::uint64_t kMaxSmallFile = 1 << 20;
constexpr std::string_view kRootKeyContext = "fid.root-key1";
constexpr std::string_view kFormerKeysContext = "fid.former-keys1";
constexpr std::uint16_t kFormerKeysFormat = 1;

template <std::size_t N>
Result<void> read_hex(const json::object& object, std::string_view key, std::array<std::uint8_t, N>& out) {
    const auto* value = object.if_contains(key);
    if (value == nullptr || !value->is_string()) return fail(ErrorCode::malformed, "site.json: '" + std::string(key) + "' is missing");
    FID_TRY(out, fixed_from_hex<N>(value->get_string(), "site.json: " + std::string(key)));
    return {};
}

Result<std::uint64_t> read_number(const json::object& object, std::string_view key) {
    const auto* value = object.if_contains(key);
    if (value == nullptr || !value->is_int64() || value->get_int64() < 0)
        return fail(ErrorCode::malformed, "site.json: '" + std::string(key) + "' must be a number");
    return static_cast<std::uint64_t>(value->get_int64());
}

bool read_flag(const json::object& object, std::string_view key) {
    const auto* value = object.if_contains(key);
    return value != nullptr && value->is_bool() && value->get_bool();
}

}  // namespace

std::string SiteFacts::to_json() const {
    const json::object object{{"format", 1},
                              {"siteId", to_hex(site_id)},
                              {"institution", to_hex(institution)},
                              {"operatorPerson", to_hex(operator_person)},
                              {"operatorName", operator_name},
                              {"chainId", chain_id},
                              {"genesisHash", to_hex(genesis_hash)},
                              {"ownNode", own_node},
                              {"development", development},
                              {"demo", demo},
                              {"fromBlock", from_block},
                              {"members", to_0x(members)},
                              {"studies", to_0x(studies)},
                              {"consents", to_0x(consents)},
                              {"checkpoints", to_0x(checkpoints)},
                              {"directory", to_0x(directory)}};
    return fiducial::json::pretty(object) + "\n";
}

Result<SiteFacts> SiteFacts::parse(std::string_view text) {
    FID_TRY(const auto value, fiducial::json::parse(text, kMaxSmallFile));
    if (!value.is_object()) return fail(ErrorCode::malformed, "site.json is no JSON object");
    const auto& object = value.get_object();
    FID_TRY(const auto format, read_number(object, "format"));
    if (format != 1) return fail(ErrorCode::unsupported, "this site was made by a newer version (format " + std::to_string(format) + ")");
    SiteFacts facts;
    FID_CHECK(read_hex(object, "siteId", facts.site_id));
    FID_CHECK(read_hex(object, "institution", facts.institution));
    FID_CHECK(read_hex(object, "operatorPerson", facts.operator_person));
    if (const auto* name = object.if_contains("operatorName"); name != nullptr && name->is_string())
        facts.operator_name = name->get_string();
    FID_TRY(facts.chain_id, read_number(object, "chainId"));
    FID_CHECK(read_hex(object, "genesisHash", facts.genesis_hash));
    facts.own_node = read_flag(object, "ownNode");
    facts.development = read_flag(object, "development");
    facts.demo = read_flag(object, "demo");
    FID_TRY(facts.from_block, read_number(object, "fromBlock"));
    FID_CHECK(read_hex(object, "members", facts.members));
    FID_CHECK(read_hex(object, "studies", facts.studies));
    FID_CHECK(read_hex(object, "consents", facts.consents));
    FID_CHECK(read_hex(object, "checkpoints", facts.checkpoints));
    FID_CHECK(read_hex(object, "directory", facts.directory));
    return facts;
}

Result<SiteFacts> Site::read_facts(const std::filesystem::path& folder) {
    auto text = read_file(SiteLayout{folder}.facts(), kMaxSmallFile);
    if (text) return SiteFacts::parse(as_text(*text));
    auto& error = text.error();
    if (error.code == ErrorCode::not_found)
        error.message = folder.string() + " is no Fiducial site; make one with: fiducial init --site " + folder.string();
    if (error.code == ErrorCode::permission) error.message += "; run this as the user who owns the site";
    return fail(std::move(error));
}

Result<void> check_ledger_settings(const SiteFacts& facts, const Configuration& configuration) {
    if (facts.own_node && !configuration.ledger_url.empty()) {
        return fail(ErrorCode::invalid_argument,
                    "[ledger] url is set, but this site was made with a chain of its own, which its records stand on; leave it empty, or "
                    "make a site with: fiducial init --ledger URL");
    }
    if (!facts.own_node && configuration.ledger_url.empty()) {
        return fail(
            ErrorCode::invalid_argument,
            "[ledger] url is empty, but this site was made on a ledger of others; name a node of chain " + std::to_string(facts.chain_id));
    }
    return net::check_transport(configuration.ledger_url);
}

namespace {

/// Whoever can read the key file can try passphrases at leisure.
void warn_of_open_key_file(const std::filesystem::path& path) {
    std::error_code ec;
    const auto mode = std::filesystem::status(path, ec).permissions();
    using std::filesystem::perms;
    if (!ec && (mode & (perms::group_all | perms::others_all)) != perms::none) {
        log::warning("archive", "the key file can be read by others; chmod 600 it", {{"file", path.string()}});
    }
}

}  // namespace

Result<Site> Site::open(const std::filesystem::path& folder, const crypto::Secret& passphrase) {
    Site site;
    site.layout_.root = std::filesystem::absolute(folder).lexically_normal();
    FID_TRY(site.facts_, read_facts(folder));
    FID_TRY(site.configuration_, Configuration::load(site.layout_.configuration()));
    if (const auto fits = check_ledger_settings(site.facts_, site.configuration_); !fits)
        return fail(fits.error().with(site.layout_.configuration().string()));
    warn_of_open_key_file(site.layout_.site_key());
    FID_TRY(auto keys, KeyFile::open(site.layout_.site_key(), passphrase));
    if (keys.change)
        return fail(ErrorCode::conflict,
                    "the site is being given a new root key, and that was interrupted; let it go on: fiducial key "
                    "rotate --reencrypt --site " +
                        folder.string());
    site.root_key_ = std::move(keys.root_key);
    site.former_ = std::move(keys.former);
    return site;
}

crypto::Secret derive_key(const crypto::Secret& root_key, const Bytes32& site_id, std::string_view label) {
    crypto::Secret key(32);
    crypto::hkdf_sha256(root_key.view(), site_id, label, key.bytes());
    return key;
}

crypto::Secret Site::derive(std::string_view label) const {
    return derive_key(root_key_, facts_.site_id, label);
}

crypto::Secret Site::node_password() const {
    return node_password_of(derive(kNodePasswordLabel));
}

crypto::Secret node_password_of(const crypto::Secret& key) {
    std::string text = to_hex(key.view());
    auto secret = crypto::Secret::copy_of(as_bytes(text));
    crypto::wipe({reinterpret_cast<std::uint8_t*>(text.data()), text.size()});
    return secret;
}

crypto::Secret Site::image_uid_key() const {
    return former_.eras.empty() ? derive(kImageUidLabel) : former_.image_uid.clone();
}

audit::TraceKeys Site::trace_keys() const {
    audit::TraceKeys keys(derive(kTraceLabel));
    for (const auto& era : former_.eras) keys.former.push_back({era.trace.clone(), era.trace_entries});
    return keys;
}

std::vector<crypto::Secret> Site::trace_staff_keys() const {
    std::vector<crypto::Secret> keys;
    keys.push_back(derive(kTraceStaffLabel));
    for (const auto& era : former_.eras) keys.push_back(era.trace_staff.clone());
    return keys;
}

std::vector<crypto::Secret> Site::former_backup_keys() const {
    std::vector<crypto::Secret> keys;
    for (const auto& era : former_.eras) keys.push_back(era.backup.clone());
    return keys;
}

Result<crypto::Secret> Site::key(std::string_view name) const {
    FID_TRY(const auto sealed, read_file(layout_.key(name), kMaxSmallFile));
    auto opened = crypto::open_small(derive(kKeyFilesLabel).view(), as_bytes(name), sealed);
    if (!opened) return fail(ErrorCode::corrupt, layout_.key(name).string() + " is damaged, or belongs to another site");
    return opened;
}

namespace {

struct KeyFileParts {
    crypto::SealedKey site_key;
    Bytes root_key;     // under the site key
    Bytes former_keys;  // likewise; empty: there are none, nor a change that was begun
};

Result<KeyFileParts> read_key_file(ByteView bytes, const std::string& name) {
    ByteReader reader(bytes);
    FID_TRY(const auto sealed_bytes, reader.take_lp(name + ": site key"));
    FID_TRY(const auto root_bytes, reader.take_lp(name + ": root key"));
    KeyFileParts parts;
    if (!reader.at_end()) {
        FID_TRY(const auto former, reader.take_lp(name + ": former keys"));
        parts.former_keys = to_bytes(former);
    }
    if (!reader.at_end()) return fail(ErrorCode::corrupt, name + " has bytes after its end");
    FID_TRY(parts.site_key, crypto::SealedKey::parse(sealed_bytes));
    parts.root_key = to_bytes(root_bytes);
    return parts;
}

// Spec: docs/formats/keys.md
crypto::Secret encode_former_keys(const KeyFile& keys) {
    Bytes out;
    append_be(out, kFormerKeysFormat);
    out.push_back(keys.change ? 1 : 0);
    append_be(out, static_cast<std::uint16_t>(keys.former.eras.size()));
    append(out, keys.former.image_uid.view());
    for (const auto& era : keys.former.eras) {
        append_be(out, era.trace_entries);
        for (const auto* key : {&era.trace, &era.trace_staff, &era.backup}) append(out, key->view());
    }
    if (keys.change) {
        append(out, keys.change->former_root.view());
        append_be(out, keys.change->used.study_slots);
        append_be(out, keys.change->used.patient_slots);
        append_be(out, keys.change->used.segment);
    }
    auto secret = crypto::Secret::copy_of(out);
    crypto::wipe(out);
    return secret;
}

Result<void> decode_former_keys(ByteView bytes, KeyFile& keys) {
    ByteReader reader(bytes);
    const auto take_key = [&](crypto::Secret& key) -> Result<void> {
        FID_TRY(const auto taken, reader.take(32, "former key"));
        key = crypto::Secret::copy_of(taken);
        return {};
    };
    FID_TRY(const auto format, reader.u16("former keys: format"));
    if (format != kFormerKeysFormat)
        return fail(ErrorCode::unsupported, "the former keys are of a newer version (format " + std::to_string(format) + ")");
    FID_TRY(const auto is_changing, reader.u8("former keys: change"));
    FID_TRY(const auto count, reader.u16("former keys: count"));
    FID_CHECK(take_key(keys.former.image_uid));
    for (std::uint16_t i = 0; i < count; ++i) {
        FormerKeys::Era era;
        FID_TRY(era.trace_entries, reader.u64("former keys: entries of the trace"));
        for (auto* key : {&era.trace, &era.trace_staff, &era.backup}) FID_CHECK(take_key(*key));
        keys.former.eras.push_back(std::move(era));
    }
    if (is_changing != 0) {
        auto& change = keys.change.emplace();
        FID_CHECK(take_key(change.former_root));
        FID_TRY(change.used.study_slots, reader.u32("former keys: study slots"));
        FID_TRY(change.used.patient_slots, reader.u32("former keys: patient slots"));
        FID_TRY(change.used.segment, reader.u32("former keys: segment"));
    }
    if (is_changing > 1 || count == 0 || !reader.at_end()) return fail(ErrorCode::malformed, "the former keys make no sense");
    return {};
}

Result<KeyFile> open_parts(const KeyFileParts& parts, const std::string& name, crypto::Secret site_key) {
    KeyFile keys;
    keys.argon2 = parts.site_key.parameters;
    keys.site_key = std::move(site_key);
    auto root = crypto::open_small(keys.site_key.view(), as_bytes(kRootKeyContext), parts.root_key);
    if (!root) return fail(ErrorCode::conflict, "this is not the key of " + name);
    keys.root_key = std::move(*root);
    if (parts.former_keys.empty()) return keys;
    const auto former = crypto::open_small(keys.site_key.view(), as_bytes(kFormerKeysContext), parts.former_keys);
    if (!former) return fail(ErrorCode::corrupt, name + " is damaged: the former keys in it cannot be opened");
    if (const auto decoded = decode_former_keys(former->view(), keys); !decoded) return fail(decoded.error().with(name));
    return keys;
}

}  // namespace

Result<KeyFile> KeyFile::open(ByteView file, const std::string& name, const crypto::Secret& passphrase) {
    FID_TRY(const auto parts, read_key_file(file, name));
    FID_TRY(auto site_key, crypto::open_key(parts.site_key, passphrase));
    auto keys = open_parts(parts, name, std::move(site_key));
    if (!keys && keys.error().code == ErrorCode::conflict)
        return fail(ErrorCode::corrupt, name + " is damaged: the root key in it cannot be opened");
    return keys;
}

Result<KeyFile> KeyFile::open(const std::filesystem::path& path, const crypto::Secret& passphrase) {
    FID_TRY(const auto bytes, read_file(path, kMaxSmallFile));
    return open(bytes, path.string(), passphrase);
}

Result<KeyFile> KeyFile::open_with_site_key(const std::filesystem::path& path, crypto::Secret site_key) {
    FID_TRY(const auto bytes, read_file(path, kMaxSmallFile));
    return open_with_site_key(bytes, path.string(), std::move(site_key));
}

Result<KeyFile> KeyFile::open_with_site_key(ByteView file, const std::string& name, crypto::Secret site_key) {
    FID_TRY(const auto parts, read_key_file(file, name));
    return open_parts(parts, name, std::move(site_key));
}

Result<void> KeyFile::write(const std::filesystem::path& path, const crypto::Secret& passphrase,
                            const crypto::Argon2Parameters& parameters) const {
    FID_TRY(const auto sealed, crypto::seal_key(site_key, passphrase, "site", parameters));
    Bytes bytes;
    append_lp(bytes, sealed.serialise());
    append(bytes, encode_rest());
    return replace_file_overwriting(path, bytes);
}

Result<void> KeyFile::write_rest(const std::filesystem::path& path) const {
    FID_TRY(const auto file, read_file(path, kMaxSmallFile));
    FID_TRY(const auto parts, read_key_file(file, path.string()));
    Bytes bytes;
    append_lp(bytes, parts.site_key.serialise());
    append(bytes, encode_rest());
    return replace_file_overwriting(path, bytes);
}

Bytes KeyFile::encode_rest() const {
    Bytes bytes;
    append_lp(bytes, crypto::seal_small(site_key.view(), as_bytes(kRootKeyContext), root_key.view()));
    if (!former.eras.empty()) {
        const auto kept = encode_former_keys(*this);
        append_lp(bytes, crypto::seal_small(site_key.view(), as_bytes(kFormerKeysContext), kept.view()));
    }
    return bytes;
}

Result<std::vector<crypto::RecoveryShare>> make_tested_shares(const crypto::Secret& site_key, unsigned needed, unsigned count) {
    FID_TRY(auto shares, crypto::split_key(site_key, needed, count));
    // Each run of `needed` neighbours, through the text that will be typed from paper.
    for (unsigned first = 0; first < count; ++first) {
        std::vector<crypto::RecoveryShare> typed;
        for (unsigned i = 0; i < needed; ++i) {
            FID_TRY(auto share, crypto::RecoveryShare::parse(as_text(shares[(first + i) % count].to_text().view())));
            typed.push_back(std::move(share));
        }
        FID_TRY(const auto back, crypto::combine_shares(typed));
        FID_INVARIANT(crypto::equal_constant_time(back.view(), site_key.view()), "recovery shares do not give the key back");
    }
    return shares;
}

namespace {

Result<RotateReport> replace_site_key(const SiteLayout& layout, KeyFile keys, const crypto::Secret& new_passphrase,
                                      unsigned recovery_needed, unsigned recovery_shares) {
    keys.site_key = crypto::random_secret(32);
    RotateReport report;
    FID_TRY(report.shares, make_tested_shares(keys.site_key, recovery_needed, recovery_shares));
    FID_CHECK(keys.write(layout.site_key(), new_passphrase, keys.argon2));
    return report;
}

}  // namespace

Result<RotateReport> rotate_site_key(const std::filesystem::path& folder, const crypto::Secret& passphrase,
                                     const crypto::Secret& new_passphrase, unsigned recovery_needed, unsigned recovery_shares) {
    const SiteLayout layout{folder};
    FID_TRY(auto keys, KeyFile::open(layout.site_key(), passphrase));
    return replace_site_key(layout, std::move(keys), new_passphrase, recovery_needed, recovery_shares);
}

Result<RotateReport> recover_site_key(const std::filesystem::path& folder, std::span<const crypto::RecoveryShare> shares,
                                      const crypto::Secret& new_passphrase, unsigned recovery_needed, unsigned recovery_shares) {
    const SiteLayout layout{folder};
    FID_TRY(auto site_key, crypto::combine_shares(shares));
    auto keys = KeyFile::open_with_site_key(layout.site_key(), std::move(site_key));
    if (!keys && keys.error().code == ErrorCode::conflict) {
        return fail(ErrorCode::conflict, "these shares fit together, but are not those of " + folder.string() +
                                             ": they belong to another site, or to the key before the last rotation");
    }
    FID_TRY(auto opened, std::move(keys));
    return replace_site_key(layout, std::move(opened), new_passphrase, recovery_needed, recovery_shares);
}

}  // namespace fiducial::archive
