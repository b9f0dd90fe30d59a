#include "app/control.hpp"

#include <gtest/gtest.h>

#include <boost/json.hpp>

namespace fiducial::app {
namespace {

namespace json = boost::json;

class ControlTest : public testing::TestWithParam<std::size_t> {  // parameter: length of the folder's name
protected:
    void SetUp() override {
        folder_ =
            std::filesystem::temp_directory_path() / ("fiducial-control-" + std::to_string(::getpid())) / std::string(GetParam(), 'f');
        std::filesystem::create_directories(folder_);
    }
    void TearDown() override { std::filesystem::remove_all(folder_.parent_path()); }
    std::filesystem::path socket() const { return folder_ / "control.sock"; }
    std::filesystem::path folder_;
    const crypto::Secret key_ = crypto::random_secret(32);
    std::atomic<bool> stop_{false};
};

TEST_P(ControlTest, OperationsRunWithTheirEventsAndErrors) {
    EXPECT_EQ(ask_running_archive(
                  socket(), key_, "x", {}, [](const json::object&) {}, stop_)
                  .error()
                  .code,
              ErrorCode::not_found);
    const auto run = [](std::string_view name, const json::object& arguments, const archive::EmitEvent& emit,
                        const std::atomic<bool>&) -> Result<json::object> {
        if (name == "fail") return fail(ErrorCode::corrupt, "as asked");
        emit({{"step", 1}});
        emit({{"step", 2}});
        return json::object{{"echo", arguments}};
    };
    const auto server = ControlServer::start(socket(), key_, run);
    ASSERT_TRUE(server) << server.error().message;
    int events = 0;
    const auto answer = ask_running_archive(
        socket(), key_, "echo", {{"a", 1}}, [&](const json::object&) { events += 1; }, stop_);
    ASSERT_TRUE(answer) << answer.error().message;
    EXPECT_EQ(answer->at("echo").at("a").to_number<int>(), 1);
    EXPECT_EQ(events, 2);
    const auto failed = ask_running_archive(
        socket(), key_, "fail", {}, [](const json::object&) {}, stop_);
    EXPECT_EQ(failed.error().code, ErrorCode::corrupt);
    EXPECT_EQ(failed.error().message, "as asked");
}

TEST_P(ControlTest, AnotherKeyIsDenied) {
    const auto server = ControlServer::start(
        socket(), key_, [](auto, const auto&, const auto&, const auto&) -> Result<json::object> { return json::object{}; });
    ASSERT_TRUE(server);
    EXPECT_EQ(ask_running_archive(
                  socket(), crypto::random_secret(32), "x", {}, [](const json::object&) {}, stop_)
                  .error()
                  .code,
              ErrorCode::denied);
    EXPECT_EQ(std::filesystem::status(socket()).permissions(), std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
}

TEST_P(ControlTest, StopEndsTheOperationAndItsAnswerStillComes) {
    const auto run = [&](auto, const auto&, const archive::EmitEvent& emit, const std::atomic<bool>& stop) -> Result<json::object> {
        emit({{"begun", true}});
        while (!stop.load()) std::this_thread::yield();
        emit({{"ending", true}});
        return json::object{{"done", 7}};
    };
    const auto server = ControlServer::start(socket(), key_, run);
    ASSERT_TRUE(server);
    int events = 0;
    const auto answer = ask_running_archive(
        socket(), key_, "long", {},
        [&](const json::object&) {
            stop_.store(true);
            events += 1;
        },
        stop_);
    ASSERT_TRUE(answer) << answer.error().message;
    EXPECT_EQ(answer->at("done").to_number<int>(), 7);
    EXPECT_EQ(events, 2);
}

TEST_P(ControlTest, AClientThatGoesAwayStopsWhatItAskedFor) {
    std::atomic<bool> stopped{false};
    const auto run = [&](auto, const auto&, const archive::EmitEvent& emit, const std::atomic<bool>& stop) -> Result<json::object> {
        emit({{"begun", true}});
        while (!stop.load()) std::this_thread::yield();
        stopped.store(true);
        return json::object{};
    };
    {
        const auto server = ControlServer::start(socket(), key_, run);
        ASSERT_TRUE(server);
        struct Gone {};
        const auto leave = [](const json::object&) { throw Gone(); };
        EXPECT_THROW(static_cast<void>(ask_running_archive(socket(), key_, "long", {}, leave, stop_)), Gone);
        while (!stopped.load()) std::this_thread::yield();
    }
}

TEST_P(ControlTest, AnOperationThatThrowsEndsItsConversationOnly) {
    const auto run = [](std::string_view name, const auto&, const auto&, const auto&) -> Result<json::object> {
        if (name == "throw") throw std::runtime_error("as asked");
        return json::object{};
    };
    const auto server = ControlServer::start(socket(), key_, run);
    ASSERT_TRUE(server);
    EXPECT_FALSE(ask_running_archive(
        socket(), key_, "throw", {}, [](const json::object&) {}, stop_));
    EXPECT_TRUE(ask_running_archive(
        socket(), key_, "other", {}, [](const json::object&) {}, stop_));
}

INSTANTIATE_TEST_SUITE_P(ShortAndLongPaths, ControlTest, testing::Values(8, 150));

}  // namespace
}  // namespace fiducial::app
