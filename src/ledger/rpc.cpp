#include "ledger/rpc.hpp"

#include <algorithm>
#include <boost/json.hpp>
#include <map>
#include <thread>

#include "base/hex.hpp"
#include "ethereum/rlp.hpp"
#include "ledger/contracts.hpp"
#include "ledger/impl/rpc_answers.hpp"
#include "net/client.hpp"

namespace fiducial::ledger {
namespace {

namespace bj = boost::json;

constexpr std::size_t kMaxRequestBytes = std::size_t{4} << 20;
constexpr std::chrono::milliseconds kIndexingPause{10};

std::string lower(std::string_view text) {
    std::string out(text);
    for (auto& c : out) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    return out;
}

bool says(std::string_view lower_text, std::initializer_list<std::string_view> any) {
    return std::any_of(any.begin(), any.end(), [&](std::string_view part) { return lower_text.find(part) != std::string_view::npos; });
}

std::string quantity_text(std::uint64_t value) {
    return ethereum::Uint256(value).to_quantity();
}

bj::value block_parameter(const BlockId& id) {
    if (std::holds_alternative<Latest>(id)) return "latest";
    if (std::holds_alternative<Pending>(id)) return "pending";
    if (const auto* number = std::get_if<std::uint64_t>(&id)) return bj::string(quantity_text(*number));
    return bj::object{{"blockHash", to_0x(std::get<Hash>(id))}};  // EIP-1898
}

bj::object call_object(const std::optional<Address>& to, ByteView data, const std::optional<Address>& from) {
    bj::object out{{"data", to_0x(data)}};
    if (to) out["to"] = to_0x(*to);
    if (from) out["from"] = to_0x(*from);
    return out;
}

bj::object filter_object(const LogFilter& filter) {
    bj::array addresses;
    for (const auto& address : filter.addresses) addresses.push_back(bj::string(to_0x(address)));
    bj::object out{{"address", std::move(addresses)}};
    const auto any_of = [](const std::vector<Hash>& topics) -> bj::value {
        bj::array list;
        for (const auto& topic : topics) list.push_back(bj::string(to_0x(topic)));
        return list.empty() ? bj::value(nullptr) : bj::value(std::move(list));
    };
    if (!filter.first_topics.empty() || !filter.second_topics.empty()) {
        bj::array topics;
        topics.push_back(any_of(filter.first_topics));
        if (!filter.second_topics.empty()) topics.push_back(any_of(filter.second_topics));
        out["topics"] = std::move(topics);
    }
    return out;
}

bool is_indexing(const RpcError& error) {
    return says(lower(error.message), {"indexing is in progress", "indexing in progress"});
}
bool is_revert(const RpcError& error) {
    return error.code == 3 || !error.data.empty() ||
           says(lower(error.message),
                {"execution reverted", "vm exception", "revert", "invalid opcode", "out of gas", "gas required exceeds allowance"});
}

Error to_error(const RpcError& error, std::string_view method) {
    const auto text = "node: " + std::string(method) + ": " + error.message + " (" + std::to_string(error.code) + ")";
    if (is_indexing(error)) return {ErrorCode::unavailable, text};
    if (error.code == -32601) return {ErrorCode::unsupported, text};
    const auto words = lower(error.message);
    if (says(words, {"header not found", "unknown block", "block not found", "header for hash not found", "block does not exist"}))
        return {ErrorCode::not_found, text};
    if (says(words, {"response too large", "query returned more than"})) return {ErrorCode::limit_exceeded, text};
    if (says(words, {"timeout", "timed out"}) || error.code == -32002) return {ErrorCode::timeout, text};
    if (says(words, {"shutting down", "too many requests"}) || error.code == -32005) {
        return {ErrorCode::unavailable, text};
    }
    return {ErrorCode::internal, text};
}

// An answer that is too large, or takes too long, may come in pieces.
bool is_too_much(const Error& error) {
    return error.code == ErrorCode::limit_exceeded || error.code == ErrorCode::timeout;
}

}  // namespace

struct Rpc::Question {
    std::string method;
    bj::array params;
};
struct Rpc::Answer {
    bool answered = false;
    std::optional<RpcError> error;
    bj::value result;
};

std::string_view name_of(SendOutcome outcome) {
    switch (outcome) {
        case SendOutcome::accepted: return "accepted";
        case SendOutcome::already_known: return "already known";
        case SendOutcome::nonce_too_low: return "nonce too low";
        case SendOutcome::underpriced: return "underpriced";
        case SendOutcome::try_again: return "try again";
        case SendOutcome::insufficient_funds: return "insufficient funds";
        case SendOutcome::rejected: return "rejected";
    }
    return "rejected";
}

SendOutcome classify_send_error(std::int64_t code, std::string_view message) {
    const auto text = lower(message);
    if (says(text, {"already known", "already imported", "known transaction", "alreadyknown"})) return SendOutcome::already_known;
    if (says(text, {"underpriced", "fee too low", "max fee per gas less than block base fee", "gas price too low", "tip"}))
        return SendOutcome::underpriced;
    if (says(text, {"nonce too low", "correct nonce", "nonce is too low"})) return SendOutcome::nonce_too_low;
    if (says(text, {"insufficient funds", "enough funds"})) return SendOutcome::insufficient_funds;
    if (says(text, {"pool is full", "in progress", "try again", "timeout", "timed out", "too many", "rate limit", "shutting down",
                    "future transaction"}) ||
        code == -32005) {
        return SendOutcome::try_again;
    }
    return SendOutcome::rejected;
}

Rpc::Rpc(std::shared_ptr<net::JsonTransport> transport, RpcSettings settings) : transport_(std::move(transport)), settings_(settings) {}
Rpc::~Rpc() = default;

Result<std::string> Rpc::exchange(std::string_view text) {
    {
        const std::lock_guard lock(mutex_);
        if (std::chrono::steady_clock::now() < not_before_)
            return fail(ErrorCode::unavailable, "the node is away; the next attempt follows shortly");
    }
    auto answer = transport_->exchange(text, settings_.timeout);
    const std::lock_guard lock(mutex_);
    if (answer) {
        backoff_ = std::chrono::milliseconds(0);
        not_before_ = {};
    } else if (answer.error().code == ErrorCode::unavailable || answer.error().code == ErrorCode::timeout) {
        backoff_ = std::min(std::max(backoff_ * 2, settings_.first_backoff), settings_.last_backoff);
        if (settings_.first_backoff.count() > 0) not_before_ = std::chrono::steady_clock::now() + backoff_;
    }
    return answer;
}

// A smaller question follows at once.
void Rpc::forget_backoff() {
    const std::lock_guard lock(mutex_);
    not_before_ = {};
}

// One exchange for up to max_batch questions; a question that the node leaves unanswered makes the whole fail.
Result<std::vector<Rpc::Answer>> Rpc::ask_all(std::span<const Question> questions) {
    class Collect final : public AnswerVisitor {
    public:
        Collect(std::vector<Answer>& answers, std::uint64_t first) : answers_(answers), first_(first) {}
        Result<void> on_result(std::uint64_t id, const bj::value& result) override {
            FID_TRY(auto* answer, slot(id));
            answer->result = result;
            return {};
        }
        Result<void> on_error(std::optional<std::uint64_t> id, RpcError error) override {
            // Without an id the node refuses the whole batch.
            if (!id) return fail(ErrorCode::unavailable, "node: " + error.message);
            FID_TRY(auto* answer, slot(*id));
            answer->error = std::move(error);
            return {};
        }

    private:
        Result<Answer*> slot(std::uint64_t id) {
            if (id < first_ || id - first_ >= answers_.size() || answers_[id - first_].answered) {
                return fail(ErrorCode::malformed, "the node answers what was not asked");
            }
            answers_[id - first_].answered = true;
            return &answers_[id - first_];
        }
        std::vector<Answer>& answers_;
        std::uint64_t first_;
    };

    std::vector<Answer> all;
    all.reserve(questions.size());
    while (all.size() < questions.size()) {
        const auto rest = questions.subspan(all.size());
        const auto first = next_id_.fetch_add(rest.size());
        std::string text;
        std::size_t count = 0;
        for (; count < rest.size() && count < settings_.max_batch && (count == 0 || text.size() < kMaxRequestBytes); ++count) {
            text += count == 0 ? "" : ",";
            text += R"({"jsonrpc":"2.0","id":)" + std::to_string(first + count) + R"(,"method":")" + rest[count].method + R"(","params":)" +
                    bj::serialize(rest[count].params) + "}";
        }
        if (count > 1) text = "[" + text + "]";
        FID_TRY(const auto answer_text, exchange(text));
        std::vector<Answer> answers(count);
        Collect collect(answers, first);
        FID_CHECK(visit_answers(answer_text, collect));
        for (auto& answer : answers) {
            if (!answer.answered) return fail(ErrorCode::malformed, "the node left a question of a batch unanswered");
            all.push_back(std::move(answer));
        }
    }
    return all;
}

// geth says so until its index of transactions has caught up with the chain: it is no answer.
Result<std::vector<Rpc::Answer>> Rpc::ask_until_indexed(std::span<const Question> questions) {
    const auto deadline = std::chrono::steady_clock::now() + settings_.indexing_patience;
    for (;;) {
        FID_TRY(auto answers, ask_all(questions));
        const bool indexing =
            std::any_of(answers.begin(), answers.end(), [](const Answer& answer) { return answer.error && is_indexing(*answer.error); });
        if (!indexing || std::chrono::steady_clock::now() > deadline) return answers;
        std::this_thread::sleep_for(kIndexingPause);
    }
}

Result<Rpc::Answer> Rpc::ask(Question question) {
    FID_TRY(auto answers, ask_until_indexed(std::span(&question, 1)));
    return std::move(answers.front());
}

#define FID_ASK(name, ...)                                                       \
    FID_TRY(const auto name##_answer, ask({__VA_ARGS__}));                       \
    if (name##_answer.error) return fail(to_error(*name##_answer.error, #name)); \
    const auto& name = name##_answer.result

Result<std::uint64_t> Rpc::chain_id() {
    FID_ASK(chainId, "eth_chainId", {});
    return quantity(chainId, "chain id");
}

Result<std::string> Rpc::client_version() {
    FID_ASK(clientVersion, "web3_clientVersion", {});
    const auto* text = clientVersion.if_string();
    if (text == nullptr) return fail(ErrorCode::malformed, "the node's version is not a text");
    return std::string(text->data(), std::min<std::size_t>(text->size(), 200));
}

Result<bool> Rpc::is_syncing() {
    FID_ASK(syncing, "eth_syncing", {});
    return !(syncing.is_bool() && !syncing.get_bool());
}

Result<std::uint64_t> Rpc::block_number() {
    FID_ASK(blockNumber, "eth_blockNumber", {});
    return quantity(blockNumber, "block number");
}

Result<std::optional<Block>> Rpc::block(const BlockId& id) {
    FID_INVARIANT(!std::holds_alternative<Pending>(id), "a pending block has no header");
    const HeaderForm form{settings_.later_headers, settings_.hash_check};
    if (const auto* hash = std::get_if<Hash>(&id)) {
        FID_ASK(getBlockByHash, "eth_getBlockByHash", {bj::string(to_0x(*hash)), false});
        FID_TRY(auto block, read_block(getBlockByHash, form));
        if (block && block->hash != *hash) return fail(ErrorCode::malformed, "the node gave another block than the one asked for");
        return block;
    }
    FID_ASK(getBlockByNumber, "eth_getBlockByNumber", {block_parameter(id), false});
    FID_TRY(auto block, read_block(getBlockByNumber, form));
    const auto* number = std::get_if<std::uint64_t>(&id);
    if (block && number != nullptr && block->number() != *number)
        return fail(ErrorCode::malformed, "the node gave another block than the one asked for");
    return block;
}

Result<std::vector<Block>> Rpc::blocks(std::uint64_t first, std::size_t count) {
    std::vector<Question> questions;
    for (std::size_t i = 0; i < count; ++i) questions.push_back({"eth_getBlockByNumber", {bj::string(quantity_text(first + i)), false}});
    FID_TRY(const auto answers, ask_all(questions));
    std::vector<Block> blocks;
    for (const auto& answer : answers) {
        if (answer.error) return fail(to_error(*answer.error, "getBlockByNumber"));
        FID_TRY(auto block, read_block(answer.result, {settings_.later_headers, settings_.hash_check}));
        if (!block) break;
        if (block->number() != first + blocks.size())
            return fail(ErrorCode::malformed, "the node gave another block than the one asked for");
        blocks.push_back(std::move(*block));
    }
    return blocks;
}

Result<Rpc::WholeBlock> Rpc::whole_block(std::uint64_t number) {
    const ethereum::rlp::Limits limits{kMaxAnswerBytes, 16, std::size_t{1} << 24};
    const auto name = "block " + std::to_string(number);
    FID_ASK(getRawBlock, "debug_getRawBlock", {bj::string(quantity_text(number))});
    WholeBlock whole;
    FID_TRY(whole.rlp, data_bytes(getRawBlock, name));
    if (whole.rlp.empty()) return fail(ErrorCode::not_found, "the node has no " + name);
    FID_TRY(const auto item, ethereum::rlp::decode(whole.rlp, limits));
    FID_TRY(auto parts, item.list(name));
    FID_TRY(const auto header, parts.next("header"));
    FID_TRY(whole.block.header,
            ethereum::decode_header(header.encoded(), {.require_base_fee = false, .allow_later_fields = settings_.later_headers}));
    whole.block.hash = whole.block.header.hash();
    if (whole.block.number() != number) return fail(ErrorCode::malformed, "the node gave another block than the one asked for");
    return whole;
}

Result<Bytes> Rpc::calldata(const Hash& transaction) {
    FID_ASK(getTransactionByHash, "eth_getTransactionByHash", {bj::string(to_0x(transaction))});
    const auto* object = getTransactionByHash.if_object();
    const auto* input = object == nullptr ? nullptr : object->if_contains("input");
    if (input == nullptr) return fail(ErrorCode::not_found, "the node has no transaction " + to_0x(transaction));
    return data_bytes(*input, "calldata of " + to_0x(transaction));
}

Result<ethereum::Uint256> Rpc::balance(const Address& account, const BlockId& at) {
    FID_ASK(getBalance, "eth_getBalance", {bj::string(to_0x(account)), block_parameter(at)});
    const auto* text = getBalance.if_string();
    if (text == nullptr) return fail(ErrorCode::malformed, "the node's balance is not a text");
    return ethereum::parse_quantity({text->data(), text->size()}, "balance");
}

Result<std::uint64_t> Rpc::transaction_count(const Address& account, const BlockId& at) {
    FID_ASK(getTransactionCount, "eth_getTransactionCount", {bj::string(to_0x(account)), block_parameter(at)});
    return quantity(getTransactionCount, "transaction count");
}

Result<Bytes> Rpc::code(const Address& account, const BlockId& at) {
    FID_ASK(getCode, "eth_getCode", {bj::string(to_0x(account)), block_parameter(at)});
    return data_bytes(getCode, "code");
}

Result<ethereum::Uint256> Rpc::gas_price() {
    FID_ASK(gasPrice, "eth_gasPrice", {});
    const auto* text = gasPrice.if_string();
    if (text == nullptr) return fail(ErrorCode::malformed, "the node's gas price is not a text");
    return ethereum::parse_quantity({text->data(), text->size()}, "gas price");
}

Result<ethereum::Uint256> Rpc::base_fee() {
    FID_TRY(const auto head, block(Latest{}));
    if (!head) return fail(ErrorCode::unavailable, "the node has no block yet");
    return head->header.base_fee_per_gas.value_or(ethereum::Uint256{});
}

Result<std::uint64_t> Rpc::estimate_gas(const Address& from, const std::optional<Address>& to, ByteView data) {
    FID_TRY(const auto answer, ask({"eth_estimateGas", {call_object(to, data, from)}}));
    if (answer.error) {
        if (is_revert(*answer.error)) {
            return fail(ErrorCode::invalid_argument,
                        "the call would fail: " +
                            (answer.error->data.empty() ? answer.error->message : contracts::describe_revert(answer.error->data)));
        }
        return fail(to_error(*answer.error, "estimateGas"));
    }
    return quantity(answer.result, "gas estimate");
}

Result<SendAnswer> Rpc::send_raw_transaction(ByteView raw) {
    const Bytes copy = to_bytes(raw);
    FID_TRY(auto answers, send_raw_transactions(std::span(&copy, 1)));
    return std::move(answers.front());
}

Result<std::vector<SendAnswer>> Rpc::send_raw_transactions(std::span<const Bytes> raws) {
    std::vector<Question> questions;
    for (const auto& raw : raws) questions.push_back({"eth_sendRawTransaction", {bj::string(to_0x(raw))}});
    auto answers = ask_all(questions);
    std::vector<SendAnswer> out(raws.size());
    if (!answers) {
        if (answers.error().code == ErrorCode::malformed) return fail(answers.error());
        for (auto& one : out) one = {SendOutcome::try_again, answers.error().message};
        return out;
    }
    for (std::size_t i = 0; i < out.size(); ++i) {
        const auto& answer = (*answers)[i];
        if (answer.error)
            out[i] = {classify_send_error(answer.error->code, answer.error->message), answer.error->message};
        else
            out[i] = {SendOutcome::accepted, {}};
    }
    return out;
}

Result<std::optional<Receipt>> Rpc::receipt(const Hash& transaction) {
    FID_TRY(auto all, receipts(std::span(&transaction, 1)));
    return std::move(all.front());
}

Result<std::vector<std::optional<Receipt>>> Rpc::receipts(std::span<const Hash> transactions) {
    std::vector<Question> questions;
    for (const auto& hash : transactions) questions.push_back({"eth_getTransactionReceipt", {bj::string(to_0x(hash))}});
    FID_TRY(const auto answers, ask_until_indexed(questions));
    std::vector<std::optional<Receipt>> out;
    for (std::size_t i = 0; i < answers.size(); ++i) {
        if (answers[i].error) return fail(to_error(*answers[i].error, "getTransactionReceipt"));
        FID_TRY(auto receipt, read_receipt(answers[i].result));
        if (receipt && receipt->transaction_hash != transactions[i])
            return fail(ErrorCode::malformed, "the node gave another receipt than the one asked for");
        out.push_back(std::move(receipt));
    }
    return out;
}

Result<std::vector<Log>> Rpc::logs_of_block(const Hash& block, const LogFilter& filter) {
    FID_TRY(auto all, logs_of_blocks(std::span(&block, 1), filter));
    return std::move(all.front());
}

Result<std::vector<std::vector<Log>>> Rpc::logs_of_blocks(std::span<const Hash> blocks, const LogFilter& filter) {
    std::vector<Question> questions;
    for (const auto& hash : blocks) {
        auto object = filter_object(filter);
        object["blockHash"] = to_0x(hash);
        questions.push_back({"eth_getLogs", {std::move(object)}});
    }
    const auto answers = ask_all(questions);
    std::optional<Error> error;
    if (!answers)
        error = answers.error();
    else {
        const auto refused = std::find_if(answers->begin(), answers->end(), [](const Answer& answer) { return answer.error.has_value(); });
        if (refused != answers->end()) error = to_error(*refused->error, "getLogs");
    }
    std::vector<std::vector<Log>> out;
    if (error && is_too_much(*error) && blocks.size() > 1) {
        forget_backoff();
        const auto half = blocks.size() / 2;
        FID_TRY(out, logs_of_blocks(blocks.first(half), filter));
        FID_TRY(auto rest, logs_of_blocks(blocks.subspan(half), filter));
        out.insert(out.end(), std::make_move_iterator(rest.begin()), std::make_move_iterator(rest.end()));
        return out;
    }
    if (error) return fail(*error);
    for (std::size_t i = 0; i < answers->size(); ++i) {
        FID_TRY(auto logs, read_logs((*answers)[i].result));
        for (const auto& log : logs) {
            if (log.block_hash != blocks[i])
                return fail(ErrorCode::malformed, "the node gave logs of another block than the one asked for");
        }
        out.push_back(std::move(logs));
    }
    return out;
}

Result<std::vector<Log>> Rpc::logs_in_range(std::uint64_t first, std::uint64_t last, const LogFilter& filter) {
    const auto once = [&]() -> Result<std::vector<Log>> {
        auto object = filter_object(filter);
        object["fromBlock"] = quantity_text(first);
        object["toBlock"] = quantity_text(last);
        FID_ASK(getLogs, "eth_getLogs", {std::move(object)});
        return read_logs(getLogs);
    };
    auto logs = once();
    if (logs || !is_too_much(logs.error()) || first >= last) return logs;
    forget_backoff();
    const auto middle = first + (last - first) / 2;
    FID_TRY(auto halves, logs_in_range(first, middle, filter));
    FID_TRY(auto rest, logs_in_range(middle + 1, last, filter));
    halves.insert(halves.end(), std::make_move_iterator(rest.begin()), std::make_move_iterator(rest.end()));
    return halves;
}

Result<CallAnswer> Rpc::call(const CallRequest& request, const BlockId& at) {
    FID_TRY(auto all, calls(std::span(&request, 1), at));
    return std::move(all.front());
}

Result<std::vector<CallAnswer>> Rpc::calls(std::span<const CallRequest> requests, const BlockId& at) {
    std::vector<Question> questions;
    for (const auto& request : requests) {
        questions.push_back({"eth_call", {call_object(request.to, request.data, request.from), block_parameter(at)}});
    }
    FID_TRY(const auto answers, ask_all(questions));
    std::vector<CallAnswer> out;
    for (const auto& answer : answers) {
        if (answer.error) {
            if (!is_revert(*answer.error)) return fail(to_error(*answer.error, "call"));
            out.push_back({true, answer.error->data});
            continue;
        }
        FID_TRY(auto data, data_bytes(answer.result, "call's result"));
        out.push_back({false, std::move(data)});
    }
    return out;
}

Result<AccountProof> Rpc::proof(const Address& account, std::span<const Bytes32> keys, const BlockId& at) {
    bj::array list;
    for (const auto& key : keys) list.push_back(bj::string(to_0x(key)));
    FID_ASK(getProof, "eth_getProof", {bj::string(to_0x(account)), std::move(list), block_parameter(at)});
    return read_proof(getProof);
}

Result<bj::value> Rpc::raw(std::string_view method, std::string_view params_json) {
    FID_TRY(auto params, json::parse(params_json, kMaxRequestBytes));
    if (!params.is_array()) return fail(ErrorCode::invalid_argument, "parameters must be a JSON array");
    FID_TRY(auto answer, ask({std::string(method), std::move(params.get_array())}));
    if (answer.error) return fail(to_error(*answer.error, method));
    return std::move(answer.result);
}

}  // namespace fiducial::ledger
