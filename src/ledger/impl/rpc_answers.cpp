#include "ledger/impl/rpc_answers.hpp"

#include <boost/json.hpp>

#include "base/hex.hpp"
#include "ethereum/uint256.hpp"

namespace fiducial::ledger {
namespace {

constexpr std::size_t kMaxData = std::size_t{8} << 20;
constexpr std::size_t kMaxLogs = 200'000;
constexpr std::size_t kMaxProofNodes = 80;
constexpr std::size_t kMaxStorageProofs = 1024;
constexpr std::size_t kMaxText = 1024;

tl::unexpected<Error> wrong(std::string_view what, std::string_view how) {
    return fail(ErrorCode::malformed, "the node's " + std::string(what) + " " + std::string(how));
}

const boost::json::value* member(const boost::json::object& object, std::string_view name) {
    return object.if_contains(boost::json::string_view(name.data(), name.size()));
}

Result<const boost::json::object*> object_of(const boost::json::value& value, std::string_view what) {
    if (const auto* object = value.if_object()) return object;
    return wrong(what, "is not an object");
}

Result<std::string_view> text_of(const boost::json::value& value, std::string_view what) {
    if (const auto* text = value.if_string()) return std::string_view(text->data(), text->size());
    return wrong(what, "is not a text");
}

std::string clean_text(std::string_view text) {
    std::string out(text.substr(0, kMaxText));
    for (auto& c : out) {
        if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = ' ';
    }
    return out;
}

// One object of an answer, its members by name.
class Members {
public:
    static Result<Members> of(const boost::json::value& value, std::string_view what) {
        FID_TRY(const auto* object, object_of(value, what));
        return Members(*object, what);
    }
    Result<const boost::json::value*> value(std::string_view name) const {
        if (const auto* found = member(*object_, name); found != nullptr && !found->is_null()) return found;
        return wrong(what_, "has no " + std::string(name));
    }
    bool has(std::string_view name) const {
        const auto* found = member(*object_, name);
        return found != nullptr && !found->is_null();
    }
    Result<std::uint64_t> number(std::string_view name) const {
        FID_TRY(const auto* found, value(name));
        return quantity(*found, name);
    }
    Result<ethereum::Uint256> big(std::string_view name) const {
        FID_TRY(const auto* found, value(name));
        FID_TRY(const auto text, text_of(*found, name));
        return ethereum::parse_quantity(text, name);
    }
    Result<Bytes> bytes(std::string_view name) const {
        FID_TRY(const auto* found, value(name));
        return data_bytes(*found, name);
    }
    template <std::size_t N>
    Result<std::array<std::uint8_t, N>> fixed_bytes(std::string_view name) const {
        FID_TRY(const auto all, bytes(name));
        return fixed<N>(all, name);
    }

private:
    Members(const boost::json::object& object, std::string_view what) : object_(&object), what_(what) {}
    const boost::json::object* object_;
    std::string_view what_;
};

Result<Log> read_log(const boost::json::value& value) {
    FID_TRY(const auto in, Members::of(value, "log"));
    Log log;
    FID_TRY(log.address, in.fixed_bytes<20>("address"));
    FID_TRY(log.data, in.bytes("data"));
    FID_TRY(log.block_number, in.number("blockNumber"));
    FID_TRY(log.block_hash, in.fixed_bytes<32>("blockHash"));
    FID_TRY(log.transaction_hash, in.fixed_bytes<32>("transactionHash"));
    FID_TRY(log.index, in.number("logIndex"));
    FID_TRY(const auto* topics, in.value("topics"));
    const auto* list = topics->if_array();
    if (list == nullptr || list->size() > 4) return wrong("log", "has no list of at most four topics");
    for (const auto& topic : *list) {
        FID_TRY(const auto bytes, data_bytes(topic, "topic"));
        FID_TRY(auto hash, fixed<32>(bytes, "topic"));
        log.topics.push_back(hash);
    }
    return log;
}

Result<std::vector<Bytes>> read_nodes(const boost::json::value& value, std::string_view what) {
    const auto* list = value.if_array();
    if (list == nullptr || list->size() > kMaxProofNodes) return wrong(what, "is not a list of at most 80 nodes");
    std::vector<Bytes> nodes;
    for (const auto& item : *list) {
        FID_TRY(auto node, data_bytes(item, what));
        nodes.push_back(std::move(node));
    }
    return nodes;
}

Result<RpcError> read_error(const boost::json::value& value) {
    FID_TRY(const auto* object, object_of(value, "error"));
    RpcError error;
    if (const auto* code = member(*object, "code")) {
        if (const auto* number = code->if_int64()) error.code = *number;
    }
    if (const auto* message = member(*object, "message")) {
        if (const auto* text = message->if_string()) error.message = clean_text({text->data(), text->size()});
    }
    // geth and anvil: "data": "0x…"; Ganache: "data": {"result": "0x…"}.
    const auto* data = member(*object, "data");
    if (data != nullptr && data->is_object()) data = member(data->get_object(), "result");
    if (data != nullptr && data->is_string()) {
        if (auto bytes = data_bytes(*data, "error data")) error.data = std::move(*bytes);
    }
    return error;
}

Result<void> visit_one(const boost::json::value& value, AnswerVisitor& visitor) {
    FID_TRY(const auto* object, object_of(value, "answer"));
    const auto* version = member(*object, "jsonrpc");
    if (version == nullptr || !version->is_string() || version->get_string() != "2.0") return wrong("answer", "is not JSON-RPC 2.0");
    std::optional<std::uint64_t> id;
    if (const auto* given = member(*object, "id"); given != nullptr && !given->is_null()) {
        if (const auto* number = given->if_int64(); number != nullptr && *number >= 0)
            id = static_cast<std::uint64_t>(*number);
        else
            return wrong("answer", "has an id that we did not send");
    }
    const auto* error = member(*object, "error");
    if (error != nullptr && !error->is_null()) {
        FID_TRY(auto read, read_error(*error));
        return visitor.on_error(id, std::move(read));
    }
    const auto* result = member(*object, "result");
    if (result == nullptr || !id) return wrong("answer", "has neither result nor error, or no id");
    return visitor.on_result(*id, *result);
}

// Shanghai and later. anvil names fields of Cancun in the blocks of a London chain, whose hash leaves them out: a field
// counts only where the one before it is there. The block's hash then shows whether that was right.
Result<void> read_later_fields(const Members& in, ethereum::BlockHeader& header) {
    if (!header.base_fee_per_gas || !in.has("withdrawalsRoot")) return {};
    FID_TRY(header.withdrawals_root, in.fixed_bytes<32>("withdrawalsRoot"));
    if (!in.has("blobGasUsed")) return {};
    FID_TRY(header.blob_gas_used, in.number("blobGasUsed"));
    if (!in.has("excessBlobGas")) return {};
    FID_TRY(header.excess_blob_gas, in.number("excessBlobGas"));
    if (!in.has("parentBeaconBlockRoot")) return {};
    FID_TRY(header.parent_beacon_block_root, in.fixed_bytes<32>("parentBeaconBlockRoot"));
    if (!in.has("requestsHash")) return {};
    FID_TRY(header.requests_hash, in.fixed_bytes<32>("requestsHash"));
    return {};
}

}  // namespace

Result<void> visit_answers(std::string_view text, AnswerVisitor& visitor) {
    FID_TRY(const auto value, json::parse(text, kMaxAnswerBytes));
    const auto* list = value.if_array();
    if (list == nullptr) return visit_one(value, visitor);
    for (const auto& item : *list) FID_CHECK(visit_one(item, visitor));
    return {};
}

Result<std::uint64_t> quantity(const boost::json::value& value, std::string_view what) {
    FID_TRY(const auto text, text_of(value, what));
    return ethereum::parse_quantity_u64(text, what);
}

Result<Bytes> data_bytes(const boost::json::value& value, std::string_view what) {
    FID_TRY(const auto text, text_of(value, what));
    if (!text.starts_with("0x")) return wrong(what, "does not start with 0x");
    if (text.size() > 2 * kMaxData) return fail(ErrorCode::limit_exceeded, "the node's " + std::string(what) + " is too long");
    return from_hex(text);
}

Result<std::optional<Block>> read_block(const boost::json::value& value, const HeaderForm& form) {
    if (value.is_null()) return std::nullopt;
    FID_TRY(const auto in, Members::of(value, "block"));
    Block block;
    auto& header = block.header;
    FID_TRY(block.hash, in.fixed_bytes<32>("hash"));
    FID_TRY(header.parent_hash, in.fixed_bytes<32>("parentHash"));
    FID_TRY(header.ommers_hash, in.fixed_bytes<32>("sha3Uncles"));
    FID_TRY(header.beneficiary, in.fixed_bytes<20>("miner"));
    FID_TRY(header.state_root, in.fixed_bytes<32>("stateRoot"));
    FID_TRY(header.transactions_root, in.fixed_bytes<32>("transactionsRoot"));
    FID_TRY(header.receipts_root, in.fixed_bytes<32>("receiptsRoot"));
    FID_TRY(header.logs_bloom, in.fixed_bytes<256>("logsBloom"));
    FID_TRY(header.difficulty, in.big("difficulty"));
    FID_TRY(header.number, in.number("number"));
    FID_TRY(header.gas_limit, in.number("gasLimit"));
    FID_TRY(header.gas_used, in.number("gasUsed"));
    FID_TRY(header.timestamp, in.number("timestamp"));
    FID_TRY(header.extra_data, in.bytes("extraData"));
    FID_TRY(header.mix_hash, in.fixed_bytes<32>("mixHash"));
    FID_TRY(header.nonce, in.fixed_bytes<8>("nonce"));
    if (in.has("baseFeePerGas")) {
        FID_TRY(header.base_fee_per_gas, in.big("baseFeePerGas"));
    }
    if (form.later_fields) {
        FID_CHECK(read_later_fields(in, header));
    }
    if (form.check_hash && header.hash() != block.hash) {
        return wrong("block", std::to_string(header.number) + " does not hash to " + to_0x(block.hash));
    }
    return block;
}

Result<std::vector<Log>> read_logs(const boost::json::value& value) {
    const auto* list = value.if_array();
    if (list == nullptr) return wrong("logs", "are not a list");
    if (list->size() > kMaxLogs) return fail(ErrorCode::limit_exceeded, "the node gave " + std::to_string(list->size()) + " logs at once");
    std::vector<Log> logs;
    logs.reserve(list->size());
    for (const auto& item : *list) {
        FID_TRY(auto log, read_log(item));
        logs.push_back(std::move(log));
    }
    return logs;
}

Result<std::optional<Receipt>> read_receipt(const boost::json::value& value) {
    if (value.is_null()) return std::nullopt;
    FID_TRY(const auto in, Members::of(value, "receipt"));
    Receipt receipt;
    FID_TRY(receipt.transaction_hash, in.fixed_bytes<32>("transactionHash"));
    FID_TRY(receipt.block_hash, in.fixed_bytes<32>("blockHash"));
    FID_TRY(receipt.block_number, in.number("blockNumber"));
    FID_TRY(const auto status, in.number("status"));
    if (status > 1) return wrong("receipt", "has a status other than 0 and 1");
    receipt.success = status == 1;
    FID_TRY(receipt.gas_used, in.number("gasUsed"));
    if (in.has("contractAddress")) {
        FID_TRY(receipt.created, in.fixed_bytes<20>("contractAddress"));
    }
    FID_TRY(const auto* logs, in.value("logs"));
    FID_TRY(receipt.logs, read_logs(*logs));
    return receipt;
}

Result<AccountProof> read_proof(const boost::json::value& value) {
    FID_TRY(const auto in, Members::of(value, "proof"));
    AccountProof proof;
    FID_TRY(proof.address, in.fixed_bytes<20>("address"));
    FID_TRY(proof.code_hash, in.fixed_bytes<32>("codeHash"));
    FID_TRY(proof.storage_root, in.fixed_bytes<32>("storageHash"));
    FID_TRY(const auto* account, in.value("accountProof"));
    FID_TRY(proof.nodes, read_nodes(*account, "account proof"));
    FID_TRY(const auto* storage, in.value("storageProof"));
    const auto* list = storage->if_array();
    if (list == nullptr || list->size() > kMaxStorageProofs) return wrong("storage proof", "is not a list of bearable length");
    for (const auto& item : *list) {
        FID_TRY(const auto one, Members::of(item, "storage proof"));
        StorageProof out;
        // The key comes back as it was sent, or as a quantity.
        FID_TRY(const auto* key, one.value("key"));
        FID_TRY(auto key_text, text_of(*key, "key"));
        if (key_text.starts_with("0x")) key_text.remove_prefix(2);
        if (key_text.empty() || key_text.size() > 64) return wrong("storage proof", "has a key that is none");
        FID_TRY(out.key, fixed_from_hex<32>(std::string(64 - key_text.size(), '0') + std::string(key_text), "key"));
        FID_TRY(const auto held, one.big("value"));
        out.value = held.to_be();
        FID_TRY(const auto* nodes, one.value("proof"));
        FID_TRY(out.nodes, read_nodes(*nodes, "storage proof"));
        proof.storage.push_back(std::move(out));
    }
    return proof;
}

}  // namespace fiducial::ledger
