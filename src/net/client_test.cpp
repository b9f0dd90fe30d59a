#include "net/client.hpp"

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <filesystem>
#include <functional>
#include <future>
#include <thread>
#include <vector>

#include "net/impl/json_framing.hpp"

namespace fiducial::net {
namespace {

using namespace std::chrono_literals;

/// A Unix socket server that hands each connection to a script.
class Peer {
public:
    using Script = std::function<void(int fd, int connection)>;

    explicit Peer(Script script, std::string folder_name = "s") {
        std::string pattern = (std::filesystem::temp_directory_path() / "fiducial-net-XXXXXX").native();
        root_ = ::mkdtemp(pattern.data());
        folder_ = root_ / folder_name;
        std::filesystem::create_directories(folder_);
        std::filesystem::current_path(folder_);
        listener_ = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        std::memcpy(address.sun_path, "p.ipc", 6);
        EXPECT_EQ(::bind(listener_, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
        EXPECT_EQ(::listen(listener_, 8), 0);
        std::filesystem::current_path("/");
        thread_ = std::thread([this, script = std::move(script)] {
            for (int connection = 0;; ++connection) {
                const int fd = ::accept(listener_, nullptr, nullptr);
                if (fd < 0) return;
                script(fd, connection);
                ::close(fd);
            }
        });
    }
    ~Peer() {
        ::shutdown(listener_, SHUT_RDWR);
        thread_.join();
        ::close(listener_);
        std::filesystem::remove_all(root_);
    }
    std::filesystem::path socket() const { return folder_ / "p.ipc"; }

private:
    std::filesystem::path root_, folder_;
    int listener_ = -1;
    std::thread thread_;
};

std::string read_line(int fd) {
    std::string line;
    for (char c = 0; ::read(fd, &c, 1) == 1 && c != '\n';) line += c;
    return line;
}
void put(int fd, std::string_view text) {
    EXPECT_EQ(::send(fd, text.data(), text.size(), MSG_NOSIGNAL), static_cast<ssize_t>(text.size()));
}
void until_closed(int fd) {
    while (!read_line(fd).empty()) {
    }
}

TEST(UnixSocketJson, KeepsItsConnection) {
    std::atomic<int> connections = 0;
    Peer peer([&](int fd, int) {
        ++connections;
        for (std::string line; !(line = read_line(fd)).empty();) put(fd, "{\"echo\":" + line + "}\n");
    });
    UnixSocketJson client(peer.socket());
    for (int i = 0; i < 50; ++i) {
        auto answer = client.exchange("{\"n\":" + std::to_string(i) + "}", 5s);
        ASSERT_TRUE(answer) << answer.error().message;
        EXPECT_EQ(*answer, "{\"echo\":{\"n\":" + std::to_string(i) + "}}");
    }
    EXPECT_EQ(connections, 1);
}

TEST(UnixSocketJson, ReadsAnAnswerInPiecesWithBracketsInStrings) {
    const std::string text = R"({"a":"}]\"{","b":[1,{"c":"\\"}]})";
    Peer peer([&](int fd, int) {
        read_line(fd);
        for (const char c : text) put(fd, std::string(1, c));
        until_closed(fd);
    });
    UnixSocketJson client(peer.socket());
    auto answer = client.exchange("{}", 5s);
    ASSERT_TRUE(answer) << answer.error().message;
    EXPECT_EQ(*answer, text);
}

TEST(UnixSocketJson, ReadsABatchAndALargeAnswer) {
    const std::string text = "[{\"data\":\"" + std::string(5'000'000, 'x') + "\"}]";
    Peer peer([&](int fd, int) {
        read_line(fd);
        put(fd, text + "\n");
        until_closed(fd);
    });
    UnixSocketJson client(peer.socket());
    auto answer = client.exchange("[{}]", 20s);
    ASSERT_TRUE(answer) << answer.error().message;
    EXPECT_EQ(*answer, text);
}

TEST(UnixSocketJson, WorksWithAPathLongerThanTheSystemAllows) {
    Peer peer(
        [](int fd, int) {
            read_line(fd);
            put(fd, "{}");
        },
        (std::filesystem::path(std::string(120, 'd')) / std::string(60, 'e')).native());
    UnixSocketJson client(peer.socket());
    EXPECT_TRUE(client.exchange("{}", 5s));
}

TEST(UnixSocketJson, ConnectsAgainWhenThePeerWentAwayBetweenCalls) {
    std::promise<void> closed;
    Peer peer([&](int fd, int connection) {
        read_line(fd);
        put(fd, connection == 0 ? "{\"first\":1}\n" : "{\"second\":2}\n");
        if (connection == 0) {
            ::shutdown(fd, SHUT_RDWR);
            closed.set_value();
        }
    });
    UnixSocketJson client(peer.socket());
    EXPECT_EQ(client.exchange("{}", 5s).value_or(""), "{\"first\":1}");
    closed.get_future().wait();
    EXPECT_EQ(client.exchange("{}", 5s).value_or(""), "{\"second\":2}");
}

TEST(UnixSocketJson, NobodyListensIsUnavailable) {
    UnixSocketJson client("/nonexistent-folder/geth.ipc");
    auto answer = client.exchange("{}", 1s);
    ASSERT_FALSE(answer);
    EXPECT_EQ(answer.error().code, ErrorCode::unavailable);
}

TEST(UnixSocketJson, ClosedBeforeTheAnswerIsUnavailableAndNotSentTwice) {
    std::atomic<int> requests = 0;
    Peer peer([&](int fd, int) {
        if (!read_line(fd).empty()) ++requests;
    });
    UnixSocketJson client(peer.socket());
    auto answer = client.exchange("{\"a\":1}", 5s);
    ASSERT_FALSE(answer);
    EXPECT_EQ(answer.error().code, ErrorCode::unavailable);
    EXPECT_EQ(requests, 1);
}

TEST(UnixSocketJson, ALateAnswerIsNotTakenForTheNextOne) {
    std::promise<void> go;
    auto gone = go.get_future().share();
    Peer peer([gone](int fd, int connection) {
        read_line(fd);
        if (connection == 0) {
            gone.wait();
            ::send(fd, "{\"late\":1}\n", 11, MSG_NOSIGNAL);
        } else {
            put(fd, "{\"right\":1}\n");
        }
    });
    UnixSocketJson client(peer.socket());
    auto answer = client.exchange("{}", 50ms);
    ASSERT_FALSE(answer);
    EXPECT_EQ(answer.error().code, ErrorCode::timeout);
    go.set_value();
    EXPECT_EQ(client.exchange("{}", 5s).value_or(""), "{\"right\":1}");
}

TEST(UnixSocketJson, TooLargeAnAnswerIsRefused) {
    Peer peer([](int fd, int) {
        read_line(fd);
        put(fd, "{\"data\":\"" + std::string(2000, 'x') + "\"}");
        until_closed(fd);
    });
    UnixSocketJson client(peer.socket(), 1000);
    auto answer = client.exchange("{}", 5s);
    ASSERT_FALSE(answer);
    EXPECT_EQ(answer.error().code, ErrorCode::limit_exceeded);
}

TEST(UnixSocketJson, WhatIsNotJsonIsMalformed) {
    Peer peer([](int fd, int) {
        read_line(fd);
        put(fd, "HTTP/1.1 400 Bad Request\r\n\r\n");
        until_closed(fd);
    });
    UnixSocketJson client(peer.socket());
    auto answer = client.exchange("{}", 5s);
    ASSERT_FALSE(answer);
    EXPECT_EQ(answer.error().code, ErrorCode::malformed);
}

TEST(UnixSocketJson, CallsFromManyThreadsGetTheirOwnAnswers) {
    Peer peer([](int fd, int) {
        for (std::string line; !(line = read_line(fd)).empty();) put(fd, line + "\n");
    });
    UnixSocketJson client(peer.socket());
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t) {
        threads.emplace_back([&client, t] {
            for (int i = 0; i < 100; ++i) {
                const auto text = "{\"t\":" + std::to_string(t) + ",\"i\":" + std::to_string(i) + "}";
                EXPECT_EQ(client.exchange(text, 10s).value_or(""), text);
            }
        });
    }
    for (auto& thread : threads) thread.join();
}

TEST(JsonFraming, FindsTheEndWhereverTheInputIsCut) {
    const std::string text = "  {\"k\":[\"]\\\"\",{}]}";
    for (std::size_t cut = 0; cut <= text.size(); ++cut) {
        impl::JsonFraming framing;
        auto first = framing.feed(text.substr(0, cut));
        ASSERT_TRUE(first);
        if (cut == text.size()) {
            EXPECT_EQ(*first, cut);
        } else {
            EXPECT_EQ(*first, impl::JsonFraming::npos);
            auto second = framing.feed(std::string(text).substr(cut) + "{");
            ASSERT_TRUE(second);
            EXPECT_EQ(*second, text.size() - cut);
        }
    }
    impl::JsonFraming framing;
    EXPECT_FALSE(framing.feed("{]"));
}

}  // namespace
}  // namespace fiducial::net
