#include <algorithm>
#include <thread>

#include "base/hex.hpp"
#include "base/log.hpp"
#include "crypto/hash.hpp"
#include "crypto/secp256k1.hpp"
#include "ethereum/abi.hpp"
#include "ethereum/transaction.hpp"
#include "ledger/contracts.hpp"

namespace fiducial::ledger::contracts {
namespace {

using std::chrono::milliseconds;

constexpr std::uint64_t kTipWei = 1'000'000'000;
constexpr std::uint64_t kTransferGas = 21'000;
constexpr milliseconds kFirstPoll{5};
constexpr milliseconds kLastPoll{250};

Result<Receipt> wait_for_receipt(Rpc& rpc, const Hash& hash, ByteView raw, milliseconds patience) {
    const auto deadline = std::chrono::steady_clock::now() + patience;
    auto pause = kFirstPoll;
    for (;;) {
        auto receipt = rpc.receipt(hash);
        if (receipt && *receipt) {
            // geth writes the receipt a moment before the block becomes the head that other questions are answered from.
            FID_TRY(const auto head, rpc.block_number());
            if (head >= (*receipt)->block_number) return std::move(**receipt);
        }
        if (!receipt && receipt.error().code == ErrorCode::malformed) return fail(receipt.error());
        if (std::chrono::steady_clock::now() >= deadline) {
            return fail(ErrorCode::timeout,
                        "transaction " + to_0x(hash) + " is in no block after " + std::to_string(patience.count()) + " ms");
        }
        std::this_thread::sleep_for(pause);
        pause = std::min(pause * 2, kLastPoll);
        if (receipt && !*receipt && pause == kLastPoll)
            FID_CHECK(rpc.send_raw_transaction(raw));  // a node that was restarted may have lost it
    }
}

Result<Deployed> deploy(Rpc& rpc, const crypto::Secret& key, const DeployRequest& request, std::string_view name, ByteView arguments) {
    FID_TRY(auto code, from_hex(artifact(name).bytecode));
    append(code, arguments);
    auto receipt = send_and_wait(rpc, key,
                                 {.chain_id = request.chain_id,
                                  .to = std::nullopt,
                                  .data = std::move(code),
                                  .value = {},
                                  .gas_limit = 0,
                                  .patience = request.patience});
    if (!receipt) return fail(receipt.error().with("deploy " + std::string(name)));
    if (!receipt->created) return fail(ErrorCode::malformed, "the node names no address for " + std::string(name));
    Deployed out;
    out.name = name;
    out.address = *receipt->created;
    out.from_block = receipt->block_number;
    FID_TRY(out.code_hash, code_hash(rpc, out.address));
    return out;
}

Result<std::uint64_t> run(Rpc& rpc, const crypto::Secret& key, const DeployRequest& request, const Address& to, Bytes data,
                          std::string_view step) {
    const auto receipt = send_and_wait(
        rpc, key,
        {.chain_id = request.chain_id, .to = to, .data = std::move(data), .value = {}, .gas_limit = 0, .patience = request.patience});
    if (!receipt) return fail(receipt.error().with(step));
    return receipt->block_number;
}

Result<void> fund(Rpc& rpc, const crypto::Secret& key, const DeployRequest& request) {
    if (request.fund_wei.is_zero()) return {};
    for (const auto& account : request.fund) {
        FID_TRY(const auto has, rpc.balance(account));
        if (has >= request.fund_wei) continue;
        auto receipt = send_and_wait(rpc, key,
                                     {.chain_id = request.chain_id,
                                      .to = account,
                                      .data = {},
                                      .value = request.fund_wei,
                                      .gas_limit = kTransferGas,
                                      .patience = request.patience});
        if (!receipt) return fail(receipt.error().with("fund " + to_0x(account)));
    }
    return {};
}

}  // namespace

Result<Hash> code_hash(Rpc& rpc, const Address& address) {
    FID_TRY(const auto code, rpc.code(address));
    if (code.empty()) return fail(ErrorCode::not_found, "there is no contract at " + to_0x(address));
    return crypto::keccak256(code);
}

Result<Receipt> send_and_wait(Rpc& rpc, const crypto::Secret& key, const DirectTransaction& wanted) {
    FID_TRY(const auto from, crypto::address_of(key));
    ethereum::Transaction transaction;
    transaction.chain_id = wanted.chain_id;
    transaction.to = wanted.to;
    transaction.data = wanted.data;
    transaction.value = wanted.value;
    FID_TRY(transaction.nonce, rpc.transaction_count(from, Pending{}));
    transaction.gas_limit = wanted.gas_limit;
    if (transaction.gas_limit == 0) {
        FID_TRY(const auto gas, rpc.estimate_gas(from, wanted.to, wanted.data));
        transaction.gas_limit = gas + gas / 4 + kTransferGas;
    }
    FID_TRY(const auto base_fee, rpc.base_fee());
    FID_TRY(const auto twice, base_fee.plus(base_fee));
    transaction.max_priority_fee_per_gas = kTipWei;
    FID_TRY(transaction.max_fee_per_gas, twice.plus(2 * kTipWei));
    FID_TRY(const auto signed_one, ethereum::sign(transaction, key));
    const auto raw = signed_one.encode();
    FID_TRY(const auto sent, rpc.send_raw_transaction(raw));
    if (sent.outcome != SendOutcome::accepted && sent.outcome != SendOutcome::already_known && sent.outcome != SendOutcome::try_again) {
        return fail(ErrorCode::unavailable, "the node refuses the transaction (" + std::string(name_of(sent.outcome)) + "): " + sent.text);
    }
    FID_TRY(auto receipt, wait_for_receipt(rpc, signed_one.hash(), raw, wanted.patience));
    if (!receipt.success) return fail(ErrorCode::invalid_argument, "transaction " + to_0x(receipt.transaction_hash) + " reverted");
    return receipt;
}

Result<Deployment> deploy_all(Rpc& rpc, const crypto::Secret& deployer, const DeployRequest& request) {
    FID_TRY(const auto account, crypto::address_of(deployer));
    Deployment out;
    ethereum::AbiWriter administrators;
    administrators.address(account);
    const auto members_arguments = ethereum::AbiWriter().array(administrators).u64(1).u64(0).finish();
    FID_TRY(out.members, deploy(rpc, deployer, request, "Members", members_arguments));
    const auto members_address = ethereum::AbiWriter().address(out.members.address).finish();
    FID_TRY(out.studies, deploy(rpc, deployer, request, "Studies", members_address));
    FID_TRY(out.consents, deploy(rpc, deployer, request, "Consents", members_address));
    FID_TRY(out.checkpoints, deploy(rpc, deployer, request, "Checkpoints", members_address));
    FID_TRY(out.directory, deploy(rpc, deployer, request, "Directory", members_address));
    for (const auto* contract : {&out.members, &out.studies, &out.consents, &out.checkpoints}) {
        FID_TRY(out.last_block, run(rpc, deployer, request, out.directory.address, directory_set_call(contract->name, contract->address),
                                    "list " + contract->name));
    }
    FID_TRY(out.last_block, run(rpc, deployer, request, out.members.address,
                                register_institution_call(request.institution, request.gateway, request.certificate_sha256,
                                                          request.institution_name, request.endpoint, request.founders),
                                "register the institution"));
    FID_CHECK(fund(rpc, deployer, request));
    return out;
}

}  // namespace fiducial::ledger::contracts
