#include "simulated_node.hpp"

#include <algorithm>
#include <boost/json.hpp>
#include <stdexcept>

#include "base/hex.hpp"
#include "crypto/hash.hpp"
#include "crypto/secp256k1.hpp"
#include "ethereum/abi.hpp"
#include "ethereum/clique.hpp"
#include "ethereum/rlp.hpp"
#include "ethereum/trie.hpp"
#include "ledger/contracts.hpp"

namespace fiducial::simulation {
namespace {

namespace bj = boost::json;
namespace contracts = ledger::contracts;
using ethereum::Uint256;

constexpr std::uint64_t kGasLimit = 300'000'000;
constexpr std::uint64_t kTransferGas = 21'000, kAnchorGas = 31'000;

/// What a node answers instead of a result.
struct Refused {
    int code = 0;
    std::string message;
    Bytes data{};
};

template <typename T>
T must(Result<T> result) {
    if (!result) throw Refused{-32602, result.error().message};
    if constexpr (!std::is_void_v<T>) return std::move(*result);
}

bj::string hex(ByteView bytes) {
    return bj::string(to_0x(bytes));
}
bj::string quantity(const Uint256& value) {
    return bj::string(value.to_quantity());
}
std::string_view text_of(const bj::value& value) {
    const auto& text = value.as_string();
    return {text.data(), text.size()};
}

using Bloom = std::array<std::uint8_t, 256>;

// Spec: Yellow Paper §4.3.1, M3:2048.
void add_to_bloom(Bloom& bloom, ByteView value) {
    const auto hash = crypto::keccak256(value);
    for (std::size_t i = 0; i < 6; i += 2) {
        const auto bit = ((hash[i] << 8) | hash[i + 1]) & 2047;
        bloom[255 - static_cast<std::size_t>(bit / 8)] |= static_cast<std::uint8_t>(1U << (bit % 8));
    }
}

Bloom bloom_of(std::span<const ledger::Log> logs) {
    Bloom bloom{};
    for (const auto& log : logs) {
        add_to_bloom(bloom, log.address);
        for (const auto& topic : log.topics) add_to_bloom(bloom, topic);
    }
    return bloom;
}

Hash root_of(std::span<const Bytes> items) {
    ethereum::TrieBuilder trie;
    for (std::size_t i = 0; i < items.size(); ++i) {
        Bytes key;
        ethereum::rlp::append_u64(key, i);
        trie.put(key, items[i]);
    }
    return items.empty() ? ethereum::kEmptyTrieRoot : trie.root();
}

// Spec: EIP-658, EIP-2718.
Bytes encode_receipt(const ledger::Receipt& receipt, std::uint64_t gas_so_far) {
    ethereum::rlp::ListWriter logs;
    for (const auto& log : receipt.logs) {
        ethereum::rlp::ListWriter topics;
        for (const auto& topic : log.topics) topics.bytes(topic);
        logs.list(ethereum::rlp::ListWriter().bytes(log.address).list(topics).bytes(log.data));
    }
    Bytes out{2};
    append(out, ethereum::rlp::ListWriter().u64(receipt.success ? 1 : 0).u64(gas_so_far).bytes(bloom_of(receipt.logs)).list(logs).finish());
    return out;
}

bj::object to_json(const ledger::Log& log) {
    bj::array topics;
    for (const auto& topic : log.topics) topics.push_back(hex(topic));
    return {{"address", hex(log.address)},
            {"topics", std::move(topics)},
            {"data", hex(log.data)},
            {"blockNumber", quantity(log.block_number)},
            {"blockHash", hex(log.block_hash)},
            {"transactionHash", hex(log.transaction_hash)},
            {"transactionIndex", "0x0"},
            {"logIndex", quantity(log.index)},
            {"removed", false}};
}

bj::object to_json(const ledger::Receipt& receipt) {
    bj::array logs;
    for (const auto& log : receipt.logs) logs.push_back(to_json(log));
    return {{"transactionHash", hex(receipt.transaction_hash)},
            {"blockHash", hex(receipt.block_hash)},
            {"blockNumber", quantity(receipt.block_number)},
            {"contractAddress", nullptr},
            {"gasUsed", quantity(receipt.gas_used)},
            {"logsBloom", hex(bloom_of(receipt.logs))},
            {"status", receipt.success ? "0x1" : "0x0"},
            {"type", "0x2"},
            {"logs", std::move(logs)}};
}

bj::object to_json(const ethereum::BlockHeader& header, const Hash& hash, std::span<const Hash> transactions) {
    bj::array hashes;
    for (const auto& one : transactions) hashes.push_back(hex(one));
    return {{"hash", hex(hash)},
            {"parentHash", hex(header.parent_hash)},
            {"sha3Uncles", hex(header.ommers_hash)},
            {"miner", hex(header.beneficiary)},
            {"stateRoot", hex(header.state_root)},
            {"transactionsRoot", hex(header.transactions_root)},
            {"receiptsRoot", hex(header.receipts_root)},
            {"logsBloom", hex(header.logs_bloom)},
            {"difficulty", quantity(header.difficulty)},
            {"number", quantity(header.number)},
            {"gasLimit", quantity(header.gas_limit)},
            {"gasUsed", quantity(header.gas_used)},
            {"timestamp", quantity(header.timestamp)},
            {"extraData", hex(header.extra_data)},
            {"mixHash", hex(header.mix_hash)},
            {"nonce", hex(header.nonce)},
            {"baseFeePerGas", quantity(header.base_fee_per_gas.value_or(Uint256{}))},
            {"uncles", bj::array()},
            {"transactions", std::move(hashes)}};
}

// What a transaction does, whatever it offers to pay for it.
Hash contents_of(const ethereum::Transaction& transaction) {
    Bytes bytes;
    append(bytes, transaction.to.value_or(Address{}));
    append(bytes, transaction.value.to_be());
    append(bytes, transaction.data);
    return crypto::sha256(bytes);
}

}  // namespace

SimulatedNode::SimulatedNode(Settings settings, SimulatedClock& clock) : settings_(std::move(settings)), clock_(clock) {
    std::sort(settings_.signers.begin(), settings_.signers.end(),
              [](const auto& a, const auto& b) { return *crypto::address_of(a) < *crypto::address_of(b); });
    auto genesis = std::make_shared<Block>();
    auto& header = genesis->header;
    header.ommers_hash = ethereum::kEmptyOmmersHash;
    header.state_root = header.transactions_root = header.receipts_root = ethereum::kEmptyTrieRoot;
    header.difficulty = Uint256(1);
    header.gas_limit = kGasLimit;
    header.timestamp = settings_.genesis_time;
    header.base_fee_per_gas = Uint256(0);
    header.extra_data.resize(ethereum::kCliqueVanitySize);
    for (const auto& key : settings_.signers) {
        signers_.push_back(*crypto::address_of(key));
        append(header.extra_data, signers_.back());
    }
    header.extra_data.resize(header.extra_data.size() + ethereum::kCliqueSealSize);
    genesis->hash = header.hash();
    genesis->state = std::make_shared<State>();
    genesis->weight = 1;
    chain_.push_back(std::move(genesis));
}

// ---- questions

std::string SimulatedNode::answer(std::string_view request) {
    const auto value = bj::parse(request);
    if (const auto* batch = value.if_array()) {
        bj::array answers;
        for (const auto& one : *batch) answers.push_back(answer_one(one));
        return bj::serialize(answers);
    }
    return bj::serialize(answer_one(value));
}

bj::value SimulatedNode::answer_one(const bj::value& request) {
    const auto& object = request.as_object();
    bj::object out{{"jsonrpc", "2.0"}, {"id", object.at("id")}};
    try {
        out["result"] = result_of(text_of(object.at("method")), object.at("params").as_array());
    } catch (const Refused& refused) {
        bj::object error{{"code", refused.code}, {"message", refused.message}};
        if (!refused.data.empty()) error["data"] = hex(refused.data);
        out["error"] = std::move(error);
    }
    return out;
}

bj::value SimulatedNode::result_of(std::string_view method, const bj::array& params) {
    if (method == "eth_chainId") return quantity(settings_.chain_id);
    if (method == "web3_clientVersion") return "Simulated";
    if (method == "eth_syncing") return syncing ? bj::value(bj::object{{"currentBlock", "0x0"}}) : bj::value(false);
    if (method == "eth_blockNumber") return quantity(head());
    if (method == "eth_getBlockByNumber" || method == "eth_getBlockByHash") {
        const auto block = block_named(params.at(0));
        if (!block) return nullptr;
        std::vector<Hash> hashes;
        for (const auto& transaction : block->transactions) hashes.push_back(transaction.hash);
        return to_json(block->header, block->hash, hashes);
    }
    if (method == "eth_getTransactionCount") {
        const auto account = must(fixed_from_hex<20>(text_of(params.at(0)), "account"));
        const auto block = block_named(params.at(1));
        if (!block) throw Refused{-32000, "header not found"};
        if (account != settings_.gateway) return "0x0";
        const bool earlier = count_is_behind && text_of(params.at(1)) == "latest" && head() > 0;
        return quantity((earlier ? chain_[head() - 1] : block)->state->nonce);
    }
    if (method == "eth_sendRawTransaction") return send(params);
    if (method == "eth_getTransactionReceipt") {
        if (indexing) throw Refused{-32000, "transaction indexing is in progress"};
        const auto found = find_transaction(must(fixed_from_hex<32>(text_of(params.at(0)), "hash")));
        return found ? bj::value(to_json(found->first->receipts[found->second])) : bj::value(nullptr);
    }
    if (method == "eth_getLogs") return logs(params);
    if (method == "eth_call") return call(params);
    throw Refused{-32601, "the method " + std::string(method) + " does not exist/is not available"};
}

std::shared_ptr<const SimulatedNode::Block> SimulatedNode::block_named(const bj::value& name) const {
    const auto& text = name.is_object() ? name.as_object().at("blockHash") : name;
    const auto view = text_of(text);
    if (view == "latest" || view == "pending") return chain_.back();
    if (view == "earliest") return chain_.front();
    if (view.size() == 66) {
        const auto hash = must(fixed_from_hex<32>(view, "hash"));
        const auto found = std::find_if(chain_.rbegin(), chain_.rend(), [&](const auto& block) { return block->hash == hash; });
        return found == chain_.rend() ? nullptr : *found;
    }
    const auto number = must(ethereum::parse_quantity_u64(view, "number"));
    return number < chain_.size() ? chain_[number] : nullptr;
}

std::optional<std::pair<std::shared_ptr<const SimulatedNode::Block>, std::size_t>> SimulatedNode::find_transaction(const Hash& hash) const {
    for (auto block = chain_.rbegin(); block != chain_.rend(); ++block) {
        const auto& all = (*block)->transactions;
        for (std::size_t i = 0; i < all.size(); ++i) {
            if (all[i].hash == hash) return std::pair(*block, i);
        }
    }
    return std::nullopt;
}

// The texts are geth's.
bj::value SimulatedNode::send(const bj::array& params) {
    const auto raw = must(from_hex(text_of(params.at(0))));
    auto transaction = must(ethereum::decode_transaction(raw));
    const auto& body = transaction.transaction;
    if (body.chain_id != settings_.chain_id) throw Refused{-32000, "invalid sender"};
    if (must(transaction.sender()) != settings_.gateway) throw Refused{-32000, "insufficient funds for gas * price + value"};
    const Pooled incoming{transaction, transaction.hash()};
    const auto before = pool_.find(body.nonce);
    if (before != pool_.end() && before->second.hash == incoming.hash) throw Refused{-32000, "already known"};
    if (body.nonce < chain_.back()->state->nonce)
        throw Refused{-32000, "nonce too low: next nonce " + std::to_string(chain_.back()->state->nonce) + ", tx nonce " +
                                  std::to_string(body.nonce)};
    if (body.gas_limit < must(ethereum::intrinsic_gas(body))) throw Refused{-32000, "intrinsic gas too low"};
    if (before != pool_.end()) {
        const auto& there = before->second.transaction.transaction;
        const auto dearer = [](const Uint256& former, const Uint256& now) { return must(now.times(100)) >= must(former.times(110)); };
        if (!dearer(there.max_fee_per_gas, body.max_fee_per_gas) || !dearer(there.max_priority_fee_per_gas, body.max_priority_fee_per_gas))
            throw Refused{-32000, "replacement transaction underpriced"};
    }
    const auto contents = contents_of(body);
    if (const auto [known, is_new] = contents_.emplace(body.nonce, contents); !is_new && known->second != contents && !two_contents_)
        two_contents_ = body.nonce;
    pool_.insert_or_assign(body.nonce, incoming);
    return hex(incoming.hash);
}

bj::value SimulatedNode::logs(const bj::array& params) const {
    const auto& filter = params.at(0).as_object();
    Chain blocks;
    if (const auto* hash = filter.if_contains("blockHash")) {
        const auto block = block_named(*hash);
        if (!block) throw Refused{-32000, "unknown block"};
        blocks.push_back(block);
    } else {
        const auto first = must(ethereum::parse_quantity_u64(text_of(filter.at("fromBlock")), "fromBlock"));
        const auto last = std::min(must(ethereum::parse_quantity_u64(text_of(filter.at("toBlock")), "toBlock")), head());
        for (auto number = first; number <= last; ++number) blocks.push_back(chain_[number]);
    }
    std::set<Address> addresses;
    for (const auto& address : filter.at("address").as_array()) addresses.insert(must(fixed_from_hex<20>(text_of(address), "address")));
    std::vector<std::set<Hash>> topics;  // each place: any of these; empty: any
    if (const auto* wanted = filter.if_contains("topics")) {
        for (const auto& place : wanted->as_array()) {
            auto& any_of = topics.emplace_back();
            if (place.is_null()) continue;
            for (const auto& topic : place.as_array()) any_of.insert(must(fixed_from_hex<32>(text_of(topic), "topic")));
        }
    }
    bj::array out;
    for (const auto& block : blocks) {
        for (const auto& receipt : block->receipts) {
            for (const auto& log : receipt.logs) {
                if (!addresses.empty() && !addresses.contains(log.address)) continue;
                bool fits = topics.size() <= log.topics.size();
                for (std::size_t i = 0; fits && i < topics.size(); ++i) fits = topics[i].empty() || topics[i].contains(log.topics[i]);
                if (fits) out.push_back(to_json(log));
            }
        }
    }
    return out;
}

bj::value SimulatedNode::call(const bj::array& params) const {
    const auto& object = params.at(0).as_object();
    const auto block = block_named(params.at(1));
    if (!block) throw Refused{-32000, "header not found"};
    const auto data = must(from_hex(text_of(object.at("data"))));
    if (must(fixed_from_hex<20>(text_of(object.at("to")), "to")) != settings_.studies) return "0x";
    const auto model = contracts::record_of_call({}, {}, 0);
    if (data.size() != model.size() || !std::equal(model.begin(), model.begin() + 4, data.begin()))
        throw Refused{3, "execution reverted", {}};
    ethereum::AbiReader in(ByteView(data).subspan(4));
    const auto institution = must(in.bytes32("institution"));
    const auto study_key = must(in.bytes32("studyKey"));
    const auto version = must(in.u64("version"));
    const auto found = block->state->anchors.find(evidence::slot_key(institution, study_key, version));
    return hex(found == block->state->anchors.end() ? Hash{} : found->second);
}

// ---- blocks

std::vector<SimulatedNode::Pooled> SimulatedNode::executable(const State& state, std::size_t most) const {
    std::vector<Pooled> out;
    for (auto next = pool_.find(state.nonce); next != pool_.end() && out.size() < most; next = pool_.find(next->first + 1))
        out.push_back(next->second);
    return out;
}

// contracts/src/Studies.sol
ledger::Receipt SimulatedNode::execute(State& state, const Pooled& transaction) const {
    const auto& body = transaction.transaction.transaction;
    ledger::Receipt receipt;
    receipt.transaction_hash = transaction.hash;
    receipt.success = true;
    receipt.gas_used = kTransferGas;
    state.nonce = body.nonce + 1;
    if (body.to != settings_.studies) return receipt;
    auto records = contracts::decode_anchor_call(body.data);
    receipt.gas_used = std::min(body.gas_limit, kTransferGas + kAnchorGas * (records ? records->size() : 1));
    if (!records || records->empty() || records->size() > 256) {
        receipt.success = false;
        return receipt;
    }
    static const Hash anchored = ethereum::event_topic("StudyAnchored(bytes32,bytes32,uint64,bytes32)");
    static const Hash skipped = ethereum::event_topic("StudySkipped(bytes32,bytes32,uint64,bytes32,uint8,bytes32)");
    const auto at = [&](const evidence::StudyRecord& record, std::uint64_t version) {
        const auto found = state.anchors.find(evidence::slot_key(settings_.institution, record.study_key, version));
        return found == state.anchors.end() ? Hash{} : found->second;
    };
    for (auto& record : *records) {
        record.chain_id = settings_.chain_id;
        record.contract = settings_.studies;
        record.institution = settings_.institution;
        const auto hash = record.hash();
        auto found = at(record, record.version);
        auto reason = contracts::SkipReason::none;
        if (found != Hash{}) {
            reason = found == hash ? contracts::SkipReason::already_anchored : contracts::SkipReason::other_record;
        } else if (record.version == 0 || (record.version == 1 && record.previous != Hash{})) {
            reason = contracts::SkipReason::invalid_version;
        } else if (record.version > 1) {
            found = at(record, record.version - 1);
            if (found == Hash{} || found != record.previous) reason = contracts::SkipReason::missing_predecessor;
        }
        ledger::Log log;
        log.address = settings_.studies;
        ethereum::AbiWriter data;
        data.u64(record.version).bytes32(hash);
        if (reason == contracts::SkipReason::none) {
            state.anchors[evidence::slot_key(settings_.institution, record.study_key, record.version)] = hash;
            log.topics = {anchored, settings_.institution, record.study_key};
        } else {
            data.u64(static_cast<std::uint64_t>(reason)).bytes32(found);
            log.topics = {skipped, settings_.institution, record.study_key};
        }
        log.data = data.finish();
        log.transaction_hash = transaction.hash;
        receipt.logs.push_back(std::move(log));
    }
    return receipt;
}

// The one whose turn it is, or the first after that who may (EIP-225: not one of the last floor(N/2) sealers).
const crypto::Secret& SimulatedNode::next_signer(const Chain& before, bool& in_turn) const {
    const auto count = signers_.size();
    std::set<Address> recent;
    for (std::size_t back = 1; back <= count / 2 && back < before.size(); ++back)
        recent.insert(must(ethereum::clique_sealer(before[before.size() - back]->header)));
    for (std::size_t i = 0; i < count; ++i) {
        const auto place = (before.size() + i) % count;
        if (recent.contains(signers_[place])) continue;
        in_turn = i == 0;
        return settings_.signers[place];
    }
    throw std::logic_error("nobody may seal");
}

std::shared_ptr<const SimulatedNode::Block> SimulatedNode::make_block(const Chain& before, std::vector<Pooled> transactions) const {
    const auto& parent = *before.back();
    auto block = std::make_shared<Block>();
    auto state = std::make_shared<State>(*parent.state);
    auto& header = block->header;
    std::vector<Bytes> raw, encoded;
    std::vector<ledger::Log> logs;
    for (const auto& transaction : transactions) {
        auto receipt = execute(*state, transaction);
        header.gas_used += receipt.gas_used;
        raw.push_back(transaction.transaction.encode());
        encoded.push_back(encode_receipt(receipt, header.gas_used));
        logs.insert(logs.end(), receipt.logs.begin(), receipt.logs.end());
        block->receipts.push_back(std::move(receipt));
    }
    header.parent_hash = parent.hash;
    header.ommers_hash = ethereum::kEmptyOmmersHash;
    Bytes all;
    for (const auto& [slot, record] : state->anchors) {
        append(all, slot);
        append(all, record);
    }
    append_be(all, state->nonce);
    header.state_root = crypto::keccak256(all);
    header.transactions_root = root_of(raw);
    header.receipts_root = root_of(encoded);
    header.logs_bloom = bloom_of(logs);
    header.number = parent.header.number + 1;
    header.gas_limit = kGasLimit;
    const auto now = static_cast<std::uint64_t>(clock_.true_time() / SimulatedClock::kSecond);
    header.timestamp = std::max(parent.header.timestamp + settings_.period, now);
    header.base_fee_per_gas = must(ethereum::next_base_fee(parent.header));
    header.extra_data.resize(ethereum::kCliqueVanitySize + ethereum::kCliqueSealSize);
    bool in_turn = false;
    const auto& signer = next_signer(before, in_turn);
    header.difficulty = Uint256(in_turn ? 2 : 1);
    must(ethereum::clique_seal(header, signer));
    block->hash = header.hash();
    block->weight = parent.weight + (in_turn ? 2 : 1);
    std::uint64_t index = 0;
    for (auto& receipt : block->receipts) {
        receipt.block_hash = block->hash;
        receipt.block_number = header.number;
        for (auto& log : receipt.logs) {
            log.block_hash = block->hash;
            log.block_number = header.number;
            log.index = index++;
        }
    }
    block->transactions = std::move(transactions);
    block->state = std::move(state);
    return block;
}

bool SimulatedNode::seal(std::size_t most) {
    auto transactions = executable(*chain_.back()->state, most);
    if (transactions.empty() && settings_.period == 0) return false;
    chain_.push_back(make_block(chain_, std::move(transactions)));
    drop_included();
    return true;
}

void SimulatedNode::drop_included() {
    pool_.erase(pool_.begin(), pool_.lower_bound(chain_.back()->state->nonce));
}

void SimulatedNode::take_to_pool(const Pooled& transaction) {
    pool_.emplace(transaction.transaction.transaction.nonce, transaction);
}

void SimulatedNode::fork(std::uint64_t depth, const std::function<unsigned()>& where) {
    depth = std::min(depth, head());
    const Chain undone(chain_.end() - static_cast<std::ptrdiff_t>(depth), chain_.end());
    const auto weight = chain_.back()->weight;
    chain_.resize(chain_.size() - depth);
    std::vector<Pooled> again;
    for (const auto& block : undone) {
        for (const auto& transaction : block->transactions) {
            const auto fate = where();
            if (fate == 0) again.push_back(transaction);
            if (fate <= 1) take_to_pool(transaction);
        }
    }
    // The rival chain held some of them: those that follow one another from the branch on.
    std::vector<Pooled> rival;
    auto nonce = chain_.back()->state->nonce;
    for (const auto& transaction : again) {
        if (transaction.transaction.transaction.nonce != nonce) break;
        rival.push_back(transaction);
        ++nonce;
    }
    // First an empty block, so that nothing comes back in the same one.
    chain_.push_back(make_block(chain_, {}));
    chain_.push_back(make_block(chain_, std::move(rival)));
    while (chain_.back()->weight <= weight) chain_.push_back(make_block(chain_, {}));
    drop_included();
}

void SimulatedNode::fall_back(std::uint64_t depth, bool keep_transactions) {
    depth = std::min(depth, head());
    for (auto block = chain_.end() - static_cast<std::ptrdiff_t>(depth); keep_transactions && block != chain_.end(); ++block) {
        for (const auto& transaction : (*block)->transactions) take_to_pool(transaction);
    }
    chain_.resize(chain_.size() - depth);
}

bool SimulatedNode::on_chain(const Hash& block) const {
    return std::any_of(chain_.begin(), chain_.end(), [&](const auto& one) { return one->hash == block; });
}

Hash SimulatedNode::record_at(const Hash& slot_key) const {
    const auto found = chain_.back()->state->anchors.find(slot_key);
    return found == chain_.back()->state->anchors.end() ? Hash{} : found->second;
}

void SimulatedNode::forget_contents(std::uint64_t from_nonce) {
    contents_.erase(contents_.lower_bound(from_nonce), contents_.end());
}

// ---- the way to it

Result<std::string> SimulatedNetwork::exchange(std::string_view request, std::chrono::milliseconds timeout) {
    if (fate_.dead()) return fail(ErrorCode::unavailable, "the process was killed");
    const auto moment = fate_.tick();
    if (moment == Fate::Moment::dies_before) {
        journal_.call("killed at", "request");
        fate_.die();
        return fail(ErrorCode::unavailable, "the process was killed");
    }
    journal_.call("request", request);
    const auto lost = [&](bool request_lost) -> Result<std::string> {
        journal_.call(request_lost ? "request lost" : "answer lost", {});
        if (random_.coin()) return fail(ErrorCode::unavailable, "connection reset by peer");
        clock_.pass(std::chrono::nanoseconds(timeout).count());
        return fail(ErrorCode::timeout, "no answer");
    };
    if (node_.away) return fail(ErrorCode::unavailable, "connection refused");
    if (random_.one_in(faults.lost_requests)) return lost(true);
    auto answer = node_.answer(request);
    journal_.call("answer", answer);
    if (moment == Fate::Moment::dies_after) {
        journal_.call("killed at", "answer");
        fate_.die();
        return fail(ErrorCode::unavailable, "the process was killed");
    }
    if (random_.one_in(faults.lost_answers)) return lost(false);
    return answer;
}

}  // namespace fiducial::simulation
