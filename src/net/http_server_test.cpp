#include "net/http_server.hpp"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <future>
#include <thread>

#include "net/client.hpp"

namespace fiducial::net {
namespace {

using namespace std::chrono_literals;

/// A plain client that sends exactly the bytes it is told to.
class RawClient {
public:
    explicit RawClient(std::uint16_t port, int receive_buffer = 0) : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
        if (receive_buffer > 0) ::setsockopt(fd_, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof(receive_buffer));
        const timeval patience{20, 0};
        ::setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_port = htons(port);
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        EXPECT_EQ(::connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
    }
    ~RawClient() { ::close(fd_); }
    RawClient(const RawClient&) = delete;
    RawClient& operator=(const RawClient&) = delete;

    void send(std::string_view text) { ::send(fd_, text.data(), text.size(), MSG_NOSIGNAL); }
    void end() { ::shutdown(fd_, SHUT_WR); }
    /// Reads up to and including a mark. Returns: what came, without the mark where the connection ended first.
    std::string until(std::string_view mark) {
        while (text_.find(mark) == std::string::npos && receive()) {
        }
        const auto end = text_.find(mark);
        std::string out = text_.substr(0, end == std::string::npos ? end : end + mark.size());
        text_.erase(0, out.size());
        return out;
    }
    std::string rest() {
        while (receive()) {
        }
        return std::exchange(text_, {});
    }
    bool was_reset() const { return reset_; }

private:
    bool receive() {
        char buffer[65'536];
        const ssize_t got = ::recv(fd_, buffer, sizeof(buffer), 0);
        if (got < 0) reset_ = errno == ECONNRESET;
        if (got <= 0) return false;
        text_.append(buffer, static_cast<std::size_t>(got));
        return true;
    }
    int fd_;
    std::string text_;
    bool reset_ = false;
};

/// What the handler of these tests serves.
class TestHandler : public HttpHandler {
public:
    std::promise<void> streaming;               // set when /forever or /gate has begun
    std::promise<void> gate;                    // /gate waits for it
    std::promise<Error> stream_error;           // what ended /forever
    std::atomic<std::uint64_t> body_bytes = 0;  // read by /count
    BlockingPool pool{"test", 2, 8};

    Task<Result<void>> handle(Request& request, Response& response) override {
        const auto& what = request.target().segments[0];
        if (what == "hello") {
            response.set_header("Content-Type", "text/plain");
            co_return co_await response.send("hello " + std::string(request.target().query_value("name").value_or("nobody")));
        }
        if (what == "echo") co_return co_await echo(request, response);
        if (what == "count") co_return co_await count(request, response);
        if (what == "length") co_return co_await by_length(request, response);
        if (what == "slow") {
            std::this_thread::sleep_for(1ms);  // a brief job
            co_return co_await response.send("slow");
        }
        if (what == "refuse") co_return fail(ErrorCode::unauthenticated, "who are you?");
        if (what == "throw") throw std::runtime_error("thrown");
        if (what == "nothing") co_return Result<void>();
        if (what == "abort") co_return co_await abort(request, response);
        if (what == "forever") co_return co_await forever(response);
        if (what == "gate") co_return co_await wait_at_gate(response);
        if (what == "empty") {
            response.set_status(204);
            co_return co_await response.send("");
        }
        co_return fail(ErrorCode::not_found, "no " + what);
    }

private:
    Task<Result<void>> echo(Request& request, Response& response) {
        request.limit_body(1 << 30);
        Bytes piece(10'000);
        for (;;) {
            FID_CO_TRY(const auto got, co_await request.read(piece));
            if (!response.begun()) FID_CO_CHECK(co_await response.begin(std::nullopt));
            if (got == 0) co_return co_await response.finish();
            FID_CO_CHECK(co_await response.write(ByteView(piece).first(got)));
        }
    }
    Task<Result<void>> count(Request& request, Response& response) {
        Bytes piece(10'000);
        for (;;) {
            FID_CO_TRY(const auto got, co_await request.read(piece));
            if (got == 0) break;
            body_bytes += got;
        }
        co_return co_await response.send(std::to_string(body_bytes));
    }
    Task<Result<void>> by_length(Request& request, Response& response) {
        const std::uint64_t size = std::stoull(request.target().segments.at(1));
        FID_CO_CHECK(co_await response.begin(size));
        const Bytes piece(50'000, 'x');
        for (std::uint64_t left = size; left > 0;) {
            const auto now = std::min<std::uint64_t>(left, piece.size());
            FID_CO_CHECK(co_await response.write(ByteView(piece).first(now)));
            left -= now;
        }
        co_return co_await response.finish();
    }
    Task<Result<void>> abort(Request& request, Response& response) {
        std::optional<std::uint64_t> length;
        if (request.target().segments.at(1) == "length") length = 1'000'000;
        FID_CO_CHECK(co_await response.begin(length));
        const Bytes piece(100'000, 'x');
        FID_CO_CHECK(co_await response.write(piece));
        FID_CO_CHECK(co_await response.flush());
        if (request.target().segments.at(1) == "left") co_return Result<void>();  // without finish()
        co_return fail(ErrorCode::corrupt, "a chunk does not match its fingerprint");
    }
    Task<Result<void>> forever(Response& response) {
        FID_CO_CHECK(co_await response.begin(std::nullopt));
        const Bytes piece(100'000, 'x');
        streaming.set_value();
        for (;;) {
            auto written = co_await response.write(piece);
            if (written) continue;
            stream_error.set_value(written.error());
            co_return written;
        }
    }
    Task<Result<void>> wait_at_gate(Response& response) {
        streaming.set_value();
        auto wait = [this]() -> Result<void> {
            gate.get_future().wait();
            return {};
        };
        FID_CO_CHECK(co_await pool.run(wait));
        co_return co_await response.send("through");
    }
};

class HttpServerTest : public ::testing::Test {
protected:
    void start(std::shared_ptr<TlsContext> tls = nullptr) {
        ListenSettings listen;
        listen.tls = std::move(tls);
        auto started = HttpServer::start(runtime_, listen, limits_, handler_);
        ASSERT_TRUE(started) << started.error().message;
        server_ = std::move(*started);
    }
    std::string get(std::string_view path) { return "GET " + std::string(path) + " HTTP/1.1\r\nHost: h\r\n\r\n"; }

    HttpLimits limits_;
    std::shared_ptr<TestHandler> handler_ = std::make_shared<TestHandler>();
    Runtime runtime_{2};
    std::unique_ptr<HttpServer> server_;  // goes before the runtime
};

TEST_F(HttpServerTest, Rfc9112KeepsTheConnectionAndAnswersPipelinedRequestsInOrder) {
    start();
    RawClient client(server_->port());
    std::string many;
    for (int i = 0; i < 200; ++i) many += get("/hello?name=n" + std::to_string(i));
    client.send(many);
    for (int i = 0; i < 200; ++i) {
        const auto answer = client.until("hello n" + std::to_string(i));
        ASSERT_TRUE(answer.starts_with("HTTP/1.1 200 OK\r\n")) << answer;
    }
    EXPECT_EQ(server_->counters().accepted, 1u);
    EXPECT_EQ(server_->counters().requests, 200u);
}

TEST_F(HttpServerTest, WhoeverNeverLetsTheServerWaitHoldsUpNobodyElse) {
    start();
    constexpr std::size_t kMany = 2000;
    std::string many;
    for (std::size_t i = 0; i < kMany; ++i) many += get("/slow");
    std::vector<std::unique_ptr<RawClient>> greedy;  // as many as there are threads
    for (int i = 0; i < 2; ++i) greedy.emplace_back(std::make_unique<RawClient>(server_->port()))->send(many);
    for (auto& client : greedy) ASSERT_NE(client->until("slow"), "");
    RawClient modest(server_->port());
    modest.send(get("/hello"));
    EXPECT_TRUE(modest.until("hello nobody").starts_with("HTTP/1.1 200 OK"));
    EXPECT_LT(server_->counters().requests, kMany) << "only once one of the others had everything";
}

TEST_F(HttpServerTest, PipelinedBodiesAreNotMixedUp) {
    start();
    RawClient client(server_->port());
    client.send(
        "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc"
        "POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nde\r\n1;x=y\r\nf\r\n0\r\nTrailer: t\r\n\r\n" +
        get("/hello"));
    EXPECT_TRUE(client.until("0\r\n\r\n").ends_with("3\r\nabc\r\n0\r\n\r\n"));
    const auto second = client.until("0\r\n\r\n");
    EXPECT_NE(second.find("de"), std::string::npos);
    EXPECT_NE(second.find("f"), std::string::npos);
    EXPECT_TRUE(client.until("hello nobody").starts_with("HTTP/1.1 200 OK"));
}

TEST_F(HttpServerTest, ABodyThatNobodyReadsIsPassedOverOrEndsTheConnection) {
    start();
    RawClient small(server_->port());
    small.send("POST /hello HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nGET /" + get("/hello?name=second"));
    EXPECT_NE(small.until("hello nobody").find("200 OK"), std::string::npos);
    EXPECT_NE(small.until("hello second").find("200 OK"), std::string::npos);
    RawClient large(server_->port());
    large.send("POST /hello HTTP/1.1\r\nHost: h\r\nContent-Length: 900000\r\n\r\n" + std::string(900'000, 'G'));
    const auto answer = large.rest();
    EXPECT_NE(answer.find("Connection: close"), std::string::npos);
    EXPECT_TRUE(answer.ends_with("hello nobody"));
}

TEST_F(HttpServerTest, Rfc9110HeadAnd204HaveNoBody) {
    start();
    RawClient client(server_->port());
    client.send("HEAD /length/500000 HTTP/1.1\r\nHost: h\r\n\r\nHEAD /hello HTTP/1.1\r\nHost: h\r\n\r\n" + get("/empty") + get("/hello"));
    EXPECT_NE(client.until("\r\n\r\n").find("Content-Length: 500000"), std::string::npos);
    EXPECT_NE(client.until("\r\n\r\n").find("Content-Length: 12"), std::string::npos);
    const auto empty = client.until("\r\n\r\n");
    EXPECT_TRUE(empty.starts_with("HTTP/1.1 204 No Content"));
    EXPECT_EQ(empty.find("Content-Length"), std::string::npos);
    EXPECT_TRUE(client.until("hello nobody").starts_with("HTTP/1.1 200 OK"));
}

TEST_F(HttpServerTest, Rfc9110ContinueIsSentWhenTheHandlerWantsTheBody) {
    start();
    RawClient client(server_->port());
    client.send("POST /echo HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n");
    EXPECT_EQ(client.until("\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n");
    client.send("body");
    EXPECT_NE(client.until("0\r\n\r\n").find("4\r\nbody\r\n"), std::string::npos);
}

TEST_F(HttpServerTest, Rfc9110ARefusalComesInPlaceOfContinue) {
    start();
    RawClient client(server_->port());
    client.send("POST /refuse HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 400000000\r\n\r\n");
    const auto head = client.until("\r\n\r\n");
    EXPECT_TRUE(head.starts_with("HTTP/1.1 401 Unauthorized\r\n"));
    EXPECT_NE(head.find("Connection: close"), std::string::npos);
    const auto problem = boost::json::parse(client.rest());
    EXPECT_EQ(problem.at("status").as_int64(), 401);
    EXPECT_EQ(problem.at("code").as_string(), "unauthenticated");
}

TEST_F(HttpServerTest, AnotherExpectationIs417) {
    start();
    RawClient client(server_->port());
    client.send("GET /hello HTTP/1.1\r\nHost: h\r\nExpect: miracles\r\n\r\n");
    EXPECT_TRUE(client.rest().starts_with("HTTP/1.1 417 "));
}

TEST_F(HttpServerTest, Http10EndsTheBodyWithTheConnection) {
    start();
    RawClient client(server_->port());
    client.send("POST /echo HTTP/1.0\r\nContent-Length: 4\r\n\r\nbody");
    const auto answer = client.rest();
    EXPECT_EQ(answer.find("Transfer-Encoding"), std::string::npos);
    EXPECT_TRUE(answer.ends_with("\r\n\r\nbody"));
    EXPECT_FALSE(client.was_reset());
}

struct Refusal {
    const char* name;
    std::string request;
    const char* status;
};
class Refusals : public HttpServerTest, public ::testing::WithParamInterface<Refusal> {};

TEST_P(Refusals, Rfc9112AreNamedAndEndTheConnection) {
    limits_.max_header_bytes = 2'000;
    limits_.max_header_fields = 20;
    start();
    RawClient client(server_->port());
    client.send(GetParam().request);
    const auto answer = client.rest();
    EXPECT_TRUE(answer.starts_with(std::string("HTTP/1.1 ") + GetParam().status)) << answer;
    EXPECT_NE(answer.find("application/problem+json"), std::string::npos);
    EXPECT_NE(answer.find("Connection: close"), std::string::npos);
    EXPECT_EQ(handler_->body_bytes, 0u);
}

std::string many_fields() {
    std::string out = "GET /hello HTTP/1.1\r\nHost: h\r\n";
    for (int i = 0; i < 30; ++i) out += "A: b\r\n";
    return out + "\r\n";
}

INSTANTIATE_TEST_SUITE_P(
    HttpServer, Refusals,
    ::testing::Values(
        Refusal{"BothLengths", "POST /count HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
                "400"},
        Refusal{"BothLengthsTurned", "POST /count HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n",
                "400"},
        Refusal{"TwoLengths", "POST /count HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd", "400"},
        Refusal{"NegativeLength", "POST /count HTTP/1.1\r\nHost: h\r\nContent-Length: -1\r\n\r\n", "400"},
        Refusal{"OtherCoding", "POST /count HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip\r\n\r\n", "501"},
        Refusal{"ChunkedNotLast", "POST /count HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked, gzip\r\n\r\n", "501"},
        Refusal{"CodingTwice",
                "POST /count HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "400"},
        Refusal{"CodingInHttp10", "POST /count HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "400"},
        Refusal{"FoldedLine", "GET /hello HTTP/1.1\r\nHost: h\r\nA: b\r\n c\r\n\r\n", "400"},
        Refusal{"BareLineFeed", "GET /hello HTTP/1.1\r\nHost: h\nA: b\r\n\r\n", "400"},
        Refusal{"SpaceBeforeColon", "GET /hello HTTP/1.1\r\nHost : h\r\n\r\n", "400"},
        Refusal{"NoHost", "GET /hello HTTP/1.1\r\n\r\n", "400"},
        Refusal{"TwoHosts", "GET /hello HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", "400"},
        Refusal{"NotHttp", "\x16\x03\x01\x02\r\n\r\n", "400"}, Refusal{"OtherVersion", "GET /hello HTTP/2.0\r\nHost: h\r\n\r\n", "505"},
        Refusal{"DotSegments", "GET /a/../b HTTP/1.1\r\nHost: h\r\n\r\n", "400"},
        Refusal{"BadEscape", "GET /a%2 HTTP/1.1\r\nHost: h\r\n\r\n", "400"},
        Refusal{"LongTarget", "GET /" + std::string(3'000, 'a'), "414"},
        Refusal{"LargeHeader", "GET / HTTP/1.1\r\nHost: h\r\nA: " + std::string(3'000, 'a') + "\r\n\r\n", "431"},
        Refusal{"ManyFields", many_fields(), "431"}),
    [](const auto& one) { return std::string(one.param.name); });

TEST_F(HttpServerTest, TooLargeABodyIs413BeforeAndWhileItComes) {
    limits_.max_body_bytes = 1'000;
    start();
    RawClient announced(server_->port());
    announced.send("POST /count HTTP/1.1\r\nHost: h\r\nContent-Length: 1001\r\n\r\n");
    EXPECT_TRUE(announced.until("\r\n\r\n").starts_with("HTTP/1.1 413 Content Too Large"));
    EXPECT_EQ(handler_->body_bytes, 0u);
    RawClient chunked(server_->port());
    chunked.send("POST /count HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n800\r\n" + std::string(0x800, 'x') +
                 "\r\n0\r\n\r\n");
    EXPECT_TRUE(chunked.until("\r\n\r\n").starts_with("HTTP/1.1 413 "));
}

TEST_F(HttpServerTest, BadChunksAre400) {
    start();
    for (const std::string bad : {"zz\r\n", "2\r\nabc\r\n", "-1\r\n", "ffffffffffffffffff\r\n", "1 \r\nx\r\n0\r\n\r\nx"}) {
        RawClient client(server_->port());
        client.send("POST /count HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n" + bad);
        client.end();
        const auto answer = client.rest();
        EXPECT_TRUE(answer.starts_with("HTTP/1.1 400 ") || answer.empty()) << bad << answer;
        EXPECT_EQ(answer.find(" 200 "), std::string::npos) << bad;
    }
}

TEST_F(HttpServerTest, AHeaderThatTricklesIs408) {
    limits_.header_timeout = 100ms;
    start();
    RawClient client(server_->port());
    client.send("GET /hello HTT");
    EXPECT_TRUE(client.rest().starts_with("HTTP/1.1 408 Request Timeout"));
    RawClient other(server_->port());  // nobody else was kept waiting
    other.send(get("/hello"));
    EXPECT_NE(other.until("hello nobody").find(" 200 "), std::string::npos);
}

TEST_F(HttpServerTest, ABodyThatComesTooSlowlyIsGivenUp) {
    limits_.rate_grace = 100ms;
    start();
    RawClient client(server_->port());
    client.send("POST /count HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\nabc");
    EXPECT_TRUE(client.rest().starts_with("HTTP/1.1 504 "));
    EXPECT_EQ(handler_->body_bytes, 3u);
}

TEST_F(HttpServerTest, AClientThatDoesNotReadIsGivenUp) {
    limits_.rate_grace = 200ms;
    limits_.min_bytes_per_second = 1'000'000'000;
    start();
    RawClient client(server_->port(), 4'096);
    client.send(get("/forever"));
    EXPECT_EQ(handler_->stream_error.get_future().get().code, ErrorCode::timeout);
}

TEST_F(HttpServerTest, AnIdleConnectionIsClosedWithoutAWord) {
    limits_.idle_timeout = 100ms;
    start();
    RawClient client(server_->port());
    EXPECT_EQ(client.rest(), "");
    EXPECT_FALSE(client.was_reset());
}

TEST_F(HttpServerTest, AFailureWithinAnAnswerNeverLooksLikeItsEnd) {
    start();
    for (const char* kind : {"chunked", "length", "left"}) {
        RawClient client(server_->port());
        client.send(get(std::string("/abort/") + kind));
        const auto answer = client.rest();
        EXPECT_TRUE(client.was_reset()) << kind;
        EXPECT_FALSE(answer.ends_with("0\r\n\r\n")) << kind;
        EXPECT_LT(answer.size(), 1'000'000u) << kind;
    }
    EXPECT_EQ(server_->counters().aborted, 3u);
}

TEST_F(HttpServerTest, AHandlerThatThrowsOrSaysNothingIs500WithoutDetails) {
    start();
    for (const char* path : {"/throw", "/nothing"}) {
        RawClient client(server_->port());
        client.send(get(path));
        const auto head = client.until("\r\n\r\n");
        EXPECT_TRUE(head.starts_with("HTTP/1.1 500 "));
        EXPECT_EQ(client.until("}").find("thrown"), std::string::npos);
    }
}

TEST_F(HttpServerTest, ManyClientsSideBySide) {
    start();
    std::vector<std::thread> threads;
    std::atomic<int> right = 0;
    for (int t = 0; t < 16; ++t) {
        threads.emplace_back([&, t] {
            RawClient client(server_->port());
            const std::string body(300'000, static_cast<char>('a' + t % 26));
            for (int i = 0; i < 5; ++i) {
                client.send("POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n");
                std::thread sender([&] { client.send(body); });
                const auto answer = client.until("0\r\n\r\n");
                sender.join();
                if (static_cast<std::size_t>(std::count(answer.begin(), answer.end(), body[0])) >= body.size()) ++right;
            }
        });
    }
    for (auto& thread : threads) thread.join();
    EXPECT_EQ(right, 16 * 5);
}

TEST_F(HttpServerTest, MoreConnectionsThanAllowedWaitTheirTurn) {
    limits_.max_connections = 2;
    start();
    std::vector<std::unique_ptr<RawClient>> clients;
    for (int i = 0; i < 6; ++i) {
        clients.push_back(std::make_unique<RawClient>(server_->port()));
        clients.back()->send(get("/hello"));
        EXPECT_NE(clients.back()->until("hello nobody").find(" 200 "), std::string::npos);  // an idle one had to go for it
    }
    EXPECT_LE(server_->counters().connections, 2u);
}

TEST_F(HttpServerTest, StopLetsARunningRequestFinishAndClosesIdleConnections) {
    start();
    RawClient idle(server_->port());
    idle.send(get("/hello"));
    idle.until("hello nobody");
    RawClient running(server_->port());
    running.send(get("/gate"));
    handler_->streaming.get_future().wait();
    auto stopped = std::async(std::launch::async, [this] { server_->stop(20s); });
    EXPECT_EQ(idle.rest(), "");
    handler_->gate.set_value();
    const auto answer = running.rest();
    EXPECT_NE(answer.find("Connection: close"), std::string::npos);
    EXPECT_TRUE(answer.ends_with("through"));
    stopped.get();
    EXPECT_EQ(server_->counters().connections, 0u);
}

TEST_F(HttpServerTest, StopBreaksAnAnswerThatDoesNotEnd) {
    start();
    RawClient client(server_->port(), 4'096);
    client.send(get("/forever"));
    handler_->streaming.get_future().wait();
    server_->stop(50ms);
    EXPECT_EQ(handler_->stream_error.get_future().get().code, ErrorCode::cancelled);
    EXPECT_FALSE(client.rest().ends_with("0\r\n\r\n"));
}

TEST_F(HttpServerTest, PlainHttpBeyondLoopbackIsRefusedAtStart) {
    for (const char* address : {"0.0.0.0", "::", "192.0.2.1"}) {
        ListenSettings listen;
        listen.address = address;
        listen.allow_plain_beyond_loopback = true;  // does not count for HTTP
        auto started = HttpServer::start(runtime_, listen, limits_, handler_);
        ASSERT_FALSE(started) << address;
        EXPECT_EQ(started.error().code, ErrorCode::invalid_argument);
        EXPECT_NE(started.error().message.find("TLS"), std::string::npos);
    }
}

TEST_F(HttpServerTest, APortInUseIsAConflict) {
    start();
    ListenSettings listen;
    listen.port = server_->port();
    auto second = HttpServer::start(runtime_, listen, limits_, handler_);
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error().code, ErrorCode::conflict);
}

// ── TLS, with the real curl and openssl programs ──

std::pair<int, std::string> run_program(const std::string& command) {
    std::FILE* pipe = ::popen((command + " 2>&1").c_str(), "r");
    std::string out;
    char buffer[4096];
    for (std::size_t got = 0; (got = std::fread(buffer, 1, sizeof(buffer), pipe)) > 0;) out.append(buffer, got);
    const int status = ::pclose(pipe);
    return {WEXITSTATUS(status), out};
}

class HttpServerTlsTest : public HttpServerTest {
protected:
    void SetUp() override {
        std::string pattern = (std::filesystem::temp_directory_path() / "fiducial-tls-XXXXXX").native();
        folder_ = ::mkdtemp(pattern.data());
        const auto made = run_program(
            "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost "
            "-addext subjectAltName=DNS:localhost,IP:127.0.0.1 -keyout " +
            key().native() + " -out " + certificate().native());
        ASSERT_EQ(made.first, 0) << made.second;
        std::filesystem::permissions(key(), std::filesystem::perms::owner_read);
        TlsSettings settings{certificate(), key()};
        auto context = TlsContext::server(settings);
        ASSERT_TRUE(context) << context.error().message;
        start(*context);
    }
    void TearDown() override {
        server_.reset();
        std::filesystem::remove_all(folder_);
    }
    std::filesystem::path certificate() const { return folder_ / "certificate.pem"; }
    std::filesystem::path key() const { return folder_ / "key.pem"; }
    std::string url(std::string_view path) { return "https://localhost:" + std::to_string(server_->port()) + std::string(path); }
    std::pair<int, std::string> curl(const std::string& arguments) {
        return run_program("curl -sS --cacert " + certificate().native() + " " + arguments);
    }

    std::filesystem::path folder_;
};

TEST_F(HttpServerTlsTest, CurlReadsAndWritesALargeBody) {
    const auto path = folder_ / "body";
    std::string body;
    for (int i = 0; body.size() < 5'000'000; ++i) body += std::to_string(i) + ",";
    std::ofstream(path, std::ios::binary) << body;
    const auto out = folder_ / "out";
    for (const char* how : {"-H 'Expect: 100-continue'", "-H 'Transfer-Encoding: chunked'"}) {
        const auto ran = curl(std::string(how) + " --data-binary @" + path.native() + " -o " + out.native() + " " + url("/echo"));
        ASSERT_EQ(ran.first, 0) << ran.second;
        const auto same = run_program("cmp " + path.native() + " " + out.native());
        EXPECT_EQ(same.first, 0) << same.second;
    }
}

TEST_F(HttpServerTlsTest, Rfc9325OnlyModernVersionsAndSuites) {
    EXPECT_EQ(curl("--tlsv1.3 " + url("/hello")).second, "hello nobody");
    EXPECT_EQ(curl("--tlsv1.2 --tls-max 1.2 " + url("/hello")).second, "hello nobody");
    EXPECT_NE(curl("--tlsv1.0 --tls-max 1.1 --ciphers DEFAULT@SECLEVEL=0 " + url("/hello")).first, 0);
    EXPECT_NE(curl("--tlsv1.2 --tls-max 1.2 --ciphers ECDHE-ECDSA-AES128-SHA256:AES128-SHA " + url("/hello")).first, 0);
}

TEST_F(HttpServerTlsTest, CurlSeesABrokenAnswerAsBroken) {
    EXPECT_NE(curl("-o /dev/null " + url("/abort/chunked")).first, 0);
    EXPECT_NE(curl("-o /dev/null " + url("/abort/length")).first, 0);
}

TEST_F(HttpServerTlsTest, OurOwnClientVerifiesTheCertificate) {
    HttpClientSettings settings;
    settings.ca_file = certificate();
    HttpClient trusting(settings);
    HttpClientRequest request;
    request.url = url("/hello?name=x");
    for (int i = 0; i < 3; ++i) {
        auto answer = trusting.send(request, 10s);
        ASSERT_TRUE(answer) << answer.error().message;
        EXPECT_EQ(answer->status, 200u);
        EXPECT_EQ(answer->body, "hello x");
        EXPECT_EQ(answer->headers.find("content-type").value_or(""), "text/plain");
    }
    EXPECT_EQ(server_->counters().accepted, 1u);
    HttpClient doubting;
    auto refused = doubting.send(request, 10s);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, ErrorCode::unverified);
    EXPECT_EQ(refused.error().message.find("hello"), std::string::npos);  // only the host is named
}

TEST_F(HttpServerTlsTest, APeerThatSpeaksNoTlsIsDroppedAndOthersAreServed) {
    RawClient plain(server_->port());
    plain.send(get("/hello"));
    EXPECT_EQ(plain.rest().find("hello"), std::string::npos);
    EXPECT_EQ(curl(url("/hello")).second, "hello nobody");
}

TEST_F(HttpServerTlsTest, KeyAndCertificateAreChecked) {
    auto open_to_all = key();
    std::filesystem::permissions(open_to_all, std::filesystem::perms::owner_read | std::filesystem::perms::others_read);
    TlsSettings settings{certificate(), open_to_all};
    EXPECT_EQ(TlsContext::server(settings).error().code, ErrorCode::invalid_argument);
    settings.key_file = folder_ / "missing.pem";
    EXPECT_EQ(TlsContext::server(settings).error().code, ErrorCode::not_found);
    const auto other = folder_ / "other.pem";
    ASSERT_EQ(run_program("openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out " + other.native()).first, 0);
    std::filesystem::permissions(other, std::filesystem::perms::owner_read);
    settings.key_file = other;
    EXPECT_EQ(TlsContext::server(settings).error().code, ErrorCode::invalid_argument);
    std::ofstream(folder_ / "text.pem") << "not a certificate";
    settings = {folder_ / "text.pem", other};
    EXPECT_EQ(TlsContext::server(settings).error().code, ErrorCode::malformed);
}

TEST_F(HttpServerTest, OurOwnClientTransfersBodiesPieceByPiece) {
    start();
    const auto base = "http://127.0.0.1:" + std::to_string(server_->port());
    HttpClientSettings small;  // what is taken piece by piece has no limit
    small.max_answer_bytes = 1'000;
    HttpClient client(small);
    HttpClientRequest request;
    request.method = "POST";
    request.url = base + "/echo";
    std::string sent(900'000, ' '), got;
    for (std::size_t i = 0; i < sent.size(); ++i) sent[i] = static_cast<char>(i * 31 + i / 255);
    std::size_t at = 0;
    HttpStreams streams;
    streams.give = [&](MutableByteView out) -> Result<std::size_t> {
        const auto count = std::min({out.size(), sent.size() - at, std::size_t{10'007}});
        std::copy_n(sent.begin() + static_cast<std::ptrdiff_t>(at), count, out.begin());
        at += count;
        return count;
    };
    streams.take = [&](const HttpClientAnswer& answer, ByteView piece) -> Result<void> {
        EXPECT_EQ(answer.status, 200u);
        got += as_text(piece);
        return {};
    };
    const auto answer = client.transfer(request, streams, 10s);
    ASSERT_TRUE(answer) << answer.error().message;
    EXPECT_EQ(answer->status, 200u);
    EXPECT_EQ(answer->body, "");
    EXPECT_TRUE(got == sent) << got.size();
    // An error of either function is that of the transfer.
    streams.give = [](MutableByteView) -> Result<std::size_t> { return fail(ErrorCode::corrupt, "no more of it"); };
    EXPECT_EQ(client.transfer(request, streams, 10s).error().code, ErrorCode::corrupt);
    HttpClientRequest look;
    look.url = base + "/length/100000";
    streams = {};
    streams.take = [](const HttpClientAnswer&, ByteView) -> Result<void> { return fail(ErrorCode::no_space, "enough"); };
    EXPECT_EQ(client.transfer(look, streams, 10s).error().code, ErrorCode::no_space);
    // What is no 2xx goes where send() puts it.
    look.url = base + "/refuse";
    const auto refused = client.transfer(look, streams, 10s);
    ASSERT_TRUE(refused) << refused.error().message;
    EXPECT_EQ(refused->status, 401u);
    EXPECT_NE(refused->body, "");
}

TEST_F(HttpServerTest, OurOwnJsonClientKeepsTheConnectionAndMapsStatuses) {
    start();
    const auto base = "http://127.0.0.1:" + std::to_string(server_->port());
    HttpJson json(base + "/echo");
    EXPECT_EQ(json.exchange("{\"a\":1}", 10s).value_or(""), "{\"a\":1}");
    EXPECT_EQ(json.exchange("{\"a\":2}", 10s).value_or(""), "{\"a\":2}");
    EXPECT_EQ(server_->counters().accepted, 1u);
    HttpJson denied(base + "/refuse");
    EXPECT_EQ(denied.exchange("{}", 10s).error().code, ErrorCode::unauthenticated);
    HttpJson broken(base + "/abort/length");
    EXPECT_EQ(broken.exchange("{}", 10s).error().code, ErrorCode::unavailable);
    HttpClientSettings small;
    small.max_answer_bytes = 1'000;
    HttpJson bounded(base + "/length/1001", small);
    EXPECT_EQ(bounded.exchange("{}", 10s).error().code, ErrorCode::limit_exceeded);
    HttpJson late(base + "/gate");
    EXPECT_EQ(late.exchange("{}", 50ms).error().code, ErrorCode::timeout);
    handler_->gate.set_value();
}

}  // namespace
}  // namespace fiducial::net
