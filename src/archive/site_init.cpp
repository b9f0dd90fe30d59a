// Making a new site.
#include <boost/json.hpp>

#include "archive/accounts.hpp"
#include "archive/facts.hpp"
#include "archive/front_desk.hpp"
#include "archive/new_folder.hpp"
#include "archive/service.hpp"
#include "archive/site.hpp"
#include "base/file.hpp"
#include "base/hex.hpp"
#include "crypto/aead.hpp"
#include "crypto/secp256k1.hpp"
#include "evidence/trust_file.hpp"
#include "ledger/contracts.hpp"
#include "ledger/node/geth.hpp"
#include "ledger/node/local_node.hpp"
#include "net/client.hpp"

namespace fiducial::archive {
namespace {

namespace fs = std::filesystem;
constexpr std::uint64_t kStudiesMappingSlot = 0;  // contracts/README.md, storage layout test

}  // namespace

Result<void> check_site_place(const fs::path& folder) {
    std::error_code ec;
    const auto there = fs::status(folder, ec).type();
    if (there == fs::file_type::not_found) return {};
    if (there == fs::file_type::none) return fail(error_from_errno(ec.value(), "looking at", folder));
    const bool empty = there == fs::file_type::directory && fs::is_empty(folder, ec);
    if (ec) return fail(error_from_errno(ec.value(), "reading", folder));
    if (!empty) return fail(ErrorCode::conflict, folder.string() + " exists and is not empty: a site is made in a new folder");
    return {};
}

/// Builds a site in a folder beside its place, step by step.
class SiteMaker {
public:
    SiteMaker(const InitOptions& options, const crypto::Secret& passphrase) : options_(options), passphrase_(passphrase) {}

    Result<InitReport> make() {
        FID_TRY(auto folder, NewFolder::begin(options_.folder, "making"));
        site_.layout_.root = folder.path();
        auto made = steps();
        rpc_.reset();
        if (node_) node_->stop();
        node_.reset();
        FID_CHECK(made);
        FID_CHECK(sync_file_system(folder.path()));  // the node syncs neither its keystore nor its first blocks
        FID_CHECK(folder.put_in_place());
        return std::move(report_);
    }

private:
    Result<void> steps() {
        using Step = Result<void> (SiteMaker::*)();
        for (const Step step : {&SiteMaker::make_keys, &SiteMaker::write_configuration, &SiteMaker::start_ledger, &SiteMaker::deploy,
                                &SiteMaker::write_trust_file, &SiteMaker::make_store}) {
            if (options_.stop != nullptr && options_.stop->load()) return fail(ErrorCode::cancelled, "interrupted: no site was made");
            FID_CHECK((this->*step)());
        }
        return write_file_atomically(site_.layout_.facts(), as_bytes(site_.facts_.to_json()));
    }
    void done(std::string step) { report_.steps.push_back(std::move(step)); }

    Result<void> make_keys() {
        const auto& layout = site_.layout_;
        for (const auto& folder : {layout.root / "keys", layout.store(), layout.trace()}) {
            std::error_code ec;
            fs::create_directories(folder, ec);
            if (ec) return fail(error_from_errno(ec.value(), "making folder", folder));
            fs::permissions(folder, fs::perms::owner_all, ec);
        }
        auto& facts = site_.facts_;
        facts.demo = options_.demo;
        facts.site_id = crypto::random_bytes32();
        facts.institution = crypto::random_bytes32();
        facts.operator_person = crypto::random_bytes32();
        facts.operator_name = options_.operator_name;
        KeyFile keys{crypto::random_secret(32), crypto::random_secret(32)};
        FID_TRY(report_.shares, make_tested_shares(keys.site_key, options_.recovery_needed, options_.recovery_shares));
        FID_CHECK(keys.write(layout.site_key(), passphrase_, options_.argon2));
        site_.root_key_ = std::move(keys.root_key);
        const auto wrapping = site_.derive(kKeyFilesLabel);
        for (const auto name : {kDeployerKey, kOperatorKey, kGatewayKey, kSealerKey}) {
            auto key = crypto::generate_private_key();
            if (name == kDeployerKey && !options_.deployer_key.empty()) {
                FID_TRY(key, read_private_key(options_.deployer_key));
            }
            FID_CHECK(write_file_atomically(layout.key(name), crypto::seal_small(wrapping.view(), as_bytes(name), key.view())));
        }
        done("keys made: site key under your passphrase, " + std::to_string(options_.recovery_shares) + " recovery shares made and tested");
        return {};
    }

    Result<void> write_configuration() {
        auto& configuration = site_.configuration_;
        configuration.site_name = options_.name;
        configuration.ledger_url = options_.ledger_url;
        configuration.ledger_geth = options_.geth;
        return write_file_atomically(site_.layout_.configuration(), as_bytes(configuration.to_toml()));
    }

    Result<Address> account(std::string_view name) {
        FID_TRY(const auto key, site_.key(name));
        return crypto::address_of(key);
    }

    Result<void> start_ledger() {
        auto& facts = site_.facts_;
        facts.own_node = options_.ledger_url.empty();
        return facts.own_node ? start_own_node() : reach_external_node();
    }

    Result<void> start_own_node() {
        auto& facts = site_.facts_;
        FID_TRY(const auto geth, ledger::find_geth(options_.geth));
        ledger::ChainSettings chain;
        chain.chain_id = facts.chain_id = ledger::random_chain_id();
        FID_TRY(const auto sealer_account, account(kSealerKey));
        FID_TRY(const auto deployer_account, account(kDeployerKey));
        FID_TRY(const auto gateway_account, account(kGatewayKey));
        FID_TRY(const auto operator_account, account(kOperatorKey));
        chain.signers = {sealer_account};
        chain.funded = {gateway_account, deployer_account, operator_account};
        FID_TRY(const auto sealer, site_.key(kSealerKey));
        FID_CHECK(ledger::create_chain(geth, site_.layout_.ledger(), chain, sealer, site_.node_password()));
        ledger::LocalNodeSettings settings;
        settings.geth = geth;
        settings.folder = site_.layout_.ledger();
        settings.chain_id = facts.chain_id;
        settings.sealer = sealer_account;
        node_ = std::make_unique<ledger::LocalNode>(settings, site_.node_password());
        FID_CHECK(node_->start());
        facts.genesis_hash = node_->genesis_hash();
        rpc_ = std::make_unique<ledger::Rpc>(std::make_shared<net::UnixSocketJson>(node_->socket_path()));
        done("ledger made: a chain of its own, self-sealed (1 of 1), chain id " + std::to_string(facts.chain_id));
        return {};
    }

    Result<void> reach_external_node() {
        auto& facts = site_.facts_;
        ledger::RpcSettings settings;
        settings.later_headers = true;
        FID_CHECK(net::check_transport(options_.ledger_url));
        rpc_ = std::make_unique<ledger::Rpc>(net::transport_to(options_.ledger_url), settings);
        FID_TRY(facts.chain_id, rpc_->chain_id());
        FID_TRY(const auto genesis, rpc_->block(std::uint64_t{0}));
        if (!genesis) return fail(ErrorCode::unavailable, "the node has no block 0");
        facts.genesis_hash = genesis->hash;
        FID_TRY(const auto version, rpc_->client_version());
        const bool clique = version.starts_with("Geth/v1.13.") &&
                            genesis->header.extra_data.size() >= ethereum::kCliqueVanitySize + 20 + ethereum::kCliqueSealSize;
        facts.development = !clique;
        if (clique) FID_CHECK(ask_for_seals(*genesis));
        FID_CHECK(fund_deployer());
        done("ledger reached: " + version +
             (facts.development ? ", a development chain: its blocks carry no seals and prove nothing to a stranger"
                                : ", sealed by " + std::to_string(signers_.signers.size()) + " signers every " +
                                      std::to_string(clique_.period_s) + " s"));
        return {};
    }

    /// Who seals, and by which period and epoch: what the trust file says of a chain that others made.
    Result<void> ask_for_seals(const ledger::Block& genesis) {
        clique_ = {options_.clique_period, options_.clique_epoch};
        if (const auto info = rpc_->raw("admin_nodeInfo", "[]"); info && clique_.epoch == 0) {
            boost::system::error_code ec;
            const auto told = [&](const char* pointer) {
                const auto* value = info->find_pointer(pointer, ec);
                return value == nullptr ? 0 : value->to_number<std::uint64_t>(ec);
            };
            clique_ = {told("/protocols/eth/config/clique/period"), told("/protocols/eth/config/clique/epoch")};
        }
        if (clique_.epoch == 0) {
            return fail(
                ErrorCode::invalid_argument,
                "the node does not tell the chain's period and epoch: name its IPC socket, or pass --clique-period and --clique-epoch");
        }
        FID_TRY(signers_.signers, ethereum::clique_checkpoint_signers(genesis.header));
        FID_TRY(const auto head, rpc_->block_number());
        const auto checkpoint = head - head % clique_.epoch;
        if (checkpoint == 0) return {};
        FID_TRY(const auto block, rpc_->block(checkpoint));
        if (!block) return fail(ErrorCode::unavailable, "the node has no block " + std::to_string(checkpoint));
        FID_TRY(auto now, ethereum::clique_checkpoint_signers(block->header));
        if (now != signers_.signers) signers_ = {checkpoint + 1, std::nullopt, std::move(now)};
        return {};
    }

    /// On a development chain the node's own accounts have ether to give; elsewhere the deployer's own account must hold some.
    Result<void> fund_deployer() {
        FID_TRY(const auto deployer, account(kDeployerKey));
        if (!site_.facts_.development && options_.deployer_key.empty()) {
            return fail(ErrorCode::invalid_argument,
                        "this ledger's ether is real: pass --deployer-key FILE with the key (64 hex digits) of an account that holds some");
        }
        FID_TRY(const auto accounts, rpc_->raw("eth_accounts", "[]"));
        if (options_.deployer_key.empty() && accounts.is_array() && !accounts.get_array().empty()) {
            const std::string from(accounts.get_array().front().as_string());
            const std::string params =
                R"([{"from":")" + from + R"(","to":")" + to_0x(deployer) + R"(","value":"0x8ac7230489e80000"}])";  // 10 ether
            FID_CHECK(rpc_->raw("eth_sendTransaction", params));
        }
        for (int tries = 0; tries < 50; ++tries) {
            FID_TRY(const auto balance, rpc_->balance(deployer));
            if (!balance.is_zero()) return {};
            std::this_thread::sleep_for(std::chrono::milliseconds(100));
        }
        return fail(ErrorCode::unavailable, "account " + to_0x(deployer) + " has no ether to deploy with on this chain");
    }

    Result<void> deploy() {
        auto& facts = site_.facts_;
        FID_TRY(const auto deployer, site_.key(kDeployerKey));
        ledger::contracts::DeployRequest request;
        request.chain_id = facts.chain_id;
        request.institution = facts.institution;
        FID_TRY(request.gateway, account(kGatewayKey));
        FID_TRY(const auto operator_account, account(kOperatorKey));
        request.institution_name = options_.name;
        request.founders = {{facts.operator_person, operator_account, kAdministrator | kCustodian, ledger::contracts::Custody::kept}};
        if (!facts.own_node) {
            FID_TRY(request.fund_wei, ethereum::Uint256::parse("1000000000000000000"));
            request.fund = {request.gateway, operator_account};
        }
        FID_TRY(deployment_, ledger::contracts::deploy_all(*rpc_, deployer, request));
        facts.members = deployment_.members.address;
        facts.studies = deployment_.studies.address;
        facts.consents = deployment_.consents.address;
        facts.checkpoints = deployment_.checkpoints.address;
        facts.directory = deployment_.directory.address;
        facts.from_block = deployment_.members.from_block;
        report_.gateway = request.gateway;
        done("contracts deployed: Members, Studies, Consents, Checkpoints and their Directory");
        return {};
    }

    Result<void> write_trust_file() {
        const auto& facts = site_.facts_;
        evidence::TrustFile trust;
        trust.chain_id = facts.chain_id;
        trust.genesis_hash = facts.genesis_hash;
        trust.client = facts.development ? evidence::ClientKind::development : evidence::ClientKind::clique;
        if (!facts.own_node && !facts.development) {
            trust.period = clique_.period_s;
            trust.epoch = clique_.epoch;
        }
        evidence::SignerSet set;
        if (facts.own_node) {
            FID_TRY(const auto sealer, account(kSealerKey));
            set.signers = {sealer};
        } else {
            set = signers_;
        }
        if (!facts.development) trust.signer_sets = {set};
        for (const auto& contract : deployment_.all()) {
            trust.contracts.push_back({contract.name, contract.address, contract.code_hash, kStudiesMappingSlot, contract.from_block});
        }
        std::sort(trust.contracts.begin(), trust.contracts.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
        trust.institutions = {{facts.institution, evidence::display_name(options_.name), report_.gateway}};
        FID_TRY(const auto text, trust.serialise());
        FID_CHECK(write_file_atomically(site_.layout_.trust_file(), as_bytes(text), 0644));
        report_.trust_sha256 = evidence::trust_file_sha256(text);
        done("trust file written, to be given to whoever checks images");
        return {};
    }

    Result<void> make_store() {
        FID_TRY(const auto store, open_store(site_));
        Accounts accounts(store->database(), site_.derive(kAccountsLabel));
        const Person person{site_.facts_.operator_person, options_.operator_name, kAdministrator | kCustodian,
                            system_clock().now().time_since_epoch().count()};
        FID_CHECK(store->database().write(database::Durability::full, [&](database::Transaction& t) { return accounts.add(t, person); }));
        AccountRecords records(store->database(), site_.derive(kAccountsLabel));
        FID_TRY(const auto token, FrontDesk::make_first_link(records));
        report_.first_link = first_link_url(site_.configuration(), token);
        FID_TRY(const auto trace, audit::Trace::create(site_.layout_.trace(), site_.derive(kTraceLabel)));
        FID_CHECK(TraceWitness(store->database(), site_.derive(kAccountsLabel)).accept(*trace));
        done("store and trace made; '" + options_.operator_name + "' is administrator and custodian");
        report_.facts = site_.facts_;
        return {};
    }

    const InitOptions& options_;
    const crypto::Secret& passphrase_;
    Site site_;
    InitReport report_;
    std::unique_ptr<ledger::LocalNode> node_;
    std::unique_ptr<ledger::Rpc> rpc_;
    ledger::contracts::Deployment deployment_;
    evidence::SignerSet signers_;    // of a ledger that others made
    ethereum::CliqueConfig clique_;  // likewise
};

Result<crypto::Secret> read_private_key(const std::filesystem::path& path) {
    FID_TRY(auto text, read_file(path, 1024));
    auto digits = as_text(text);
    if (digits.starts_with("0x")) digits.remove_prefix(2);
    while (!digits.empty() && (digits.back() == '\n' || digits.back() == '\r')) digits.remove_suffix(1);
    auto key = fixed_from_hex<32>(digits, "private key");
    crypto::wipe(text);
    if (!key) return fail(ErrorCode::malformed, path.string() + " holds no private key: 64 hex digits are wanted");
    auto secret = crypto::Secret::copy_of(*key);
    crypto::wipe(*key);
    return secret;
}

Result<InitReport> init_site(const InitOptions& options, const crypto::Secret& passphrase) {
    return SiteMaker(options, passphrase).make();
}

}  // namespace fiducial::archive
