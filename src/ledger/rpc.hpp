#pragma once
#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/json.hpp"
#include "base/result.hpp"
#include "ethereum/uint256.hpp"
#include "ledger/chain_types.hpp"

namespace fiducial::net {
class JsonTransport;
}

namespace fiducial::ledger {

/// Which block a question is about: a number, a hash, or the newest.
struct Latest {};
struct Pending {};
using BlockId = std::variant<Latest, Pending, std::uint64_t, Hash>;

/// What a node said to a raw transaction, told from the texts of geth, anvil and Ganache.
enum class SendOutcome : std::uint8_t {
    accepted,
    already_known,  // it is in the pool or in a block: as good as accepted
    nonce_too_low,  // a transaction with this nonce is in a block; ours or another
    underpriced,    // another one with this nonce is in the pool, or the pool wants more
    try_again,      // pool full, node busy or away
    insufficient_funds,
    rejected,  // anything else: the text says what
};
std::string_view name_of(SendOutcome outcome);
struct SendAnswer {
    SendOutcome outcome = SendOutcome::rejected;
    std::string text;  // the node's own words; empty when accepted
};
SendOutcome classify_send_error(std::int64_t code, std::string_view message);

/// A call that ran: what it returned, or what it reverted with.
struct CallAnswer {
    bool reverted = false;
    Bytes data;
};
struct CallRequest {
    Address to{};
    Bytes data;
    std::optional<Address> from;
};

struct LogFilter {
    std::vector<Address> addresses;     // of any of these; at least one
    std::vector<Hash> first_topics;     // one of these; empty: any
    std::vector<Hash> second_topics{};  // likewise
};

struct RpcSettings {
    std::chrono::milliseconds timeout{10'000};
    std::size_t max_batch = 100;                  // requests in one exchange
    bool later_headers = false;                   // development chains: header fields of Shanghai and later
    bool hash_check = true;                       // false only for development chains whose header hashes are not what they say
    std::chrono::milliseconds first_backoff{50};  // after the node did not answer, further calls fail at once for so long
    std::chrono::milliseconds last_backoff{2'000};
    std::chrono::milliseconds indexing_patience{2'000};  // "indexing is in progress" is asked again for so long
};

/// JSON-RPC 2.0 of an Ethereum node, typed.
/// Errors:  unavailable: the node is away, busy or still indexing; timeout; malformed: its answer does not follow the format or
///          hashes do not match; not_found: no such block; unsupported: it does not know the method; internal: it says so
/// Threads: safe; calls on one object go one after another (as the transport does).
class Rpc {
public:
    explicit Rpc(std::shared_ptr<net::JsonTransport> transport, RpcSettings settings = {});
    ~Rpc();

    Result<std::uint64_t> chain_id();
    Result<std::string> client_version();
    Result<bool> is_syncing();
    Result<std::uint64_t> block_number();

    /// Returns: nothing where there is no such block. Pending is not allowed.
    Result<std::optional<Block>> block(const BlockId& id);
    /// Consecutive blocks by number; fewer when the chain ends before.
    Result<std::vector<Block>> blocks(std::uint64_t first, std::size_t count);

    /// One block whole, header, transactions and all, in the RLP that a node takes in again. Only of a node that is our own
    /// (debug_getRawBlock). Errors: not_found beyond the head.
    struct WholeBlock {
        Block block;
        Bytes rlp;
    };
    Result<WholeBlock> whole_block(std::uint64_t number);
    /// What a transaction in a block called with. Errors: not_found.
    Result<Bytes> calldata(const Hash& transaction);

    Result<ethereum::Uint256> balance(const Address& account, const BlockId& at = Latest{});
    Result<std::uint64_t> transaction_count(const Address& account, const BlockId& at = Latest{});
    Result<Bytes> code(const Address& account, const BlockId& at = Latest{});
    Result<ethereum::Uint256> gas_price();
    /// Of the newest block; zero on a chain without EIP-1559.
    Result<ethereum::Uint256> base_fee();
    /// Errors: also invalid_argument when the call reverts, with the reason.
    Result<std::uint64_t> estimate_gas(const Address& from, const std::optional<Address>& to, ByteView data);

    /// Errors: only malformed; a node that is away is an outcome.
    Result<SendAnswer> send_raw_transaction(ByteView raw);
    /// Each by itself, in order, as one batch.
    Result<std::vector<SendAnswer>> send_raw_transactions(std::span<const Bytes> raws);
    /// Returns: nothing while it is in no block.
    Result<std::optional<Receipt>> receipt(const Hash& transaction);
    Result<std::vector<std::optional<Receipt>>> receipts(std::span<const Hash> transactions);

    /// What is too much for one answer, or takes the node too long, is asked again by halves.
    /// Returns: in the block's order.
    Result<std::vector<Log>> logs_of_block(const Hash& block, const LogFilter& filter);
    Result<std::vector<std::vector<Log>>> logs_of_blocks(std::span<const Hash> blocks, const LogFilter& filter);
    Result<std::vector<Log>> logs_in_range(std::uint64_t first, std::uint64_t last, const LogFilter& filter);

    Result<CallAnswer> call(const CallRequest& request, const BlockId& at = Latest{});
    Result<std::vector<CallAnswer>> calls(std::span<const CallRequest> requests, const BlockId& at = Latest{});
    Result<AccountProof> proof(const Address& account, std::span<const Bytes32> keys, const BlockId& at);

    /// Any method without results of interest to us typed; for tests and development chains (evm_mine and the like).
    Result<boost::json::value> raw(std::string_view method, std::string_view params_json);

    std::chrono::milliseconds timeout() const { return settings_.timeout; }

private:
    struct Question;
    struct Answer;
    Result<std::vector<Answer>> ask_all(std::span<const Question> questions);
    Result<std::vector<Answer>> ask_until_indexed(std::span<const Question> questions);
    Result<Answer> ask(Question question);
    Result<std::string> exchange(std::string_view text);
    void forget_backoff();

    std::shared_ptr<net::JsonTransport> transport_;
    const RpcSettings settings_;
    std::atomic<std::uint64_t> next_id_{1};
    std::mutex mutex_;
    std::chrono::steady_clock::time_point not_before_{};
    std::chrono::milliseconds backoff_{0};
};

}  // namespace fiducial::ledger
