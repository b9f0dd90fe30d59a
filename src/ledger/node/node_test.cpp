#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <boost/json.hpp>
#include <fstream>

#include "base/file.hpp"
#include "base/hex.hpp"
#include "base/json.hpp"
#include "crypto/secp256k1.hpp"
#include "ledger/ledger_test_support.hpp"
#include "ledger/node/geth.hpp"
#include "ledger/node/local_node.hpp"
#include "ledger/node/network.hpp"
#include "ledger/node/process.hpp"
#include "ledger/rpc.hpp"
#include "net/client.hpp"

namespace fiducial::ledger {
namespace {

using testing::must;
using testing::TemporaryFolder;

// A folder with a chain of our own, made by the real geth.
struct NodeFolder {
    explicit NodeFolder(std::filesystem::path where) : folder(std::move(where)) {
        geth = must(find_geth({}));
        const auto key = crypto::generate_private_key();
        settings.sealer = must(crypto::address_of(key));
        settings.chain_id = random_chain_id();
        settings.folder = folder;
        must(create_chain(geth, folder, chain(), key, password));
    }
    ChainSettings chain() const { return {.chain_id = settings.chain_id, .signers = {settings.sealer}, .funded = {Address{7}}}; }
    std::filesystem::path folder;
    std::filesystem::path geth;
    crypto::Secret password = crypto::Secret::copy_of(as_bytes("pässword with spaces"));
    LocalNodeSettings settings;
};

#define FID_SKIP_WITHOUT_GETH()                     \
    if (const auto found = find_geth({}); !found) { \
        FID_SKIP(found.error().message);            \
    }

Rpc rpc_of(const LocalNode& node) {
    return Rpc(std::make_shared<net::UnixSocketJson>(node.socket_path()), {.first_backoff = std::chrono::milliseconds(0)});
}

bool ends_within(int pid, std::chrono::milliseconds time) {
    const int fd = static_cast<int>(::syscall(SYS_pidfd_open, pid, 0));
    if (fd < 0) return true;
    pollfd poll{fd, POLLIN, 0};
    const bool ended = ::poll(&poll, 1, static_cast<int>(time.count())) > 0;
    ::close(fd);
    return ended;
}

bool eventually(const std::function<bool()>& condition) {
    for (int i = 0; i < 3000; ++i) {
        if (condition()) return true;
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    return false;
}

TEST(Genesis, IsWhatGethReads) {
    const auto text = must(genesis_json(
        {.chain_id = 1234567, .period = 5, .epoch = 300, .signers = {Address{2}, Address{1}}, .funded = {Address{3}, Address{3}}}));
    const auto value = must(json::parse(text, 1 << 20));
    EXPECT_EQ(value.at("config").at("chainId").as_int64(), 1234567);
    EXPECT_EQ(value.at("config").at("clique").at("period").as_int64(), 5);
    EXPECT_EQ(value.at("config").at("clique").at("epoch").as_int64(), 300);
    EXPECT_EQ(value.at("baseFeePerGas").as_string(), "0x0");
    const std::string extra(value.at("extraData").as_string());
    EXPECT_EQ(extra.size(), 2U + 2 * (32 + 40 + 65));
    EXPECT_EQ(extra.substr(2 + 64, 80), to_hex(Address{1}) + to_hex(Address{2}));  // ascending
    EXPECT_EQ(value.at("alloc").as_object().size(), 1U);
    EXPECT_EQ(genesis_json({.chain_id = 1}).error().code, ErrorCode::invalid_argument);
    EXPECT_EQ(genesis_json({.chain_id = 1, .signers = {Address{1}, Address{1}}}).error().code, ErrorCode::invalid_argument);
    EXPECT_EQ(genesis_json({.chain_id = 0, .signers = {Address{1}}}).error().code, ErrorCode::invalid_argument);
    EXPECT_LT(random_chain_id(), std::uint64_t{1} << 52);
    EXPECT_NE(random_chain_id(), random_chain_id());
}

TEST(FindGeth, AMissingProgramIsNamedWithTheWayToGetIt) {
    const auto missing = find_geth("/nowhere/geth");
    ASSERT_FALSE(missing.has_value());
    EXPECT_EQ(missing.error().code, ErrorCode::not_found);
    EXPECT_NE(missing.error().message.find("/nowhere/geth"), std::string::npos);
    EXPECT_NE(missing.error().message.find("go install github.com/ethereum/go-ethereum/cmd/geth@v1.13.15"), std::string::npos);
}

TEST(FindGeth, AnotherVersionIsRefusedByItsNumber) {
    TemporaryFolder folder;
    const auto path = folder.path() / "geth";
    must(write_file_atomically(path, as_bytes("#!/bin/sh\necho Geth\necho 'Version: 1.14.12-stable'\n"), 0700));
    const auto other = find_geth(path);
    ASSERT_FALSE(other.has_value());
    EXPECT_EQ(other.error().code, ErrorCode::unsupported);
    EXPECT_NE(other.error().message.find("1.14.12"), std::string::npos);
    EXPECT_NE(other.error().message.find("1.13.15"), std::string::npos);
    must(write_file_atomically(path, as_bytes("#!/bin/sh\nexit 3\n"), 0700));
    EXPECT_EQ(find_geth(path).error().code, ErrorCode::unsupported);
}

TEST(Clock, AClockThatWouldStopTheSealingIsRefused) {
    const auto at = [](std::uint64_t seconds) { return SystemTime(std::chrono::seconds(seconds)); };
    EXPECT_TRUE(check_clock_for_sealing(at(1'800'000'000), 1'800'000'000).has_value());
    EXPECT_TRUE(check_clock_for_sealing(at(1'800'000'000), std::nullopt).has_value());
    EXPECT_TRUE(check_clock_for_sealing(at(1'800'000'000), 1'800'000'001).has_value());
    const auto behind = check_clock_for_sealing(at(1'800'000'000), 1'800'003'600);
    ASSERT_FALSE(behind.has_value());
    EXPECT_NE(behind.error().message.find("3600 s"), std::string::npos);
    EXPECT_FALSE(check_clock_for_sealing(at(1'000), std::nullopt).has_value());
    EXPECT_FALSE(check_clock_for_sealing(at(0) - std::chrono::hours(1), std::nullopt).has_value());
}

TEST(SocketPath, AFolderTooDeepForASocketGetsAPrivateShortOne) {
    TemporaryFolder folder;
    EXPECT_EQ(must(socket_path_for(folder.path())), std::filesystem::weakly_canonical(folder.path()) / "geth.ipc");
    const auto deep = folder.path() / std::string(120, 'd');
    const auto path = must(socket_path_for(deep));
    EXPECT_LE(path.string().size(), 107U);
    struct stat info {};
    ASSERT_EQ(::stat(path.parent_path().c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 0777, 0700U);
    EXPECT_EQ(must(socket_path_for(deep)), path);
    // Somebody else's folder, or a link, in its place.
    std::filesystem::remove(path.parent_path());
    std::filesystem::create_directory_symlink(folder.path(), path.parent_path());
    EXPECT_EQ(socket_path_for(deep).error().code, ErrorCode::permission);
    std::filesystem::remove(path.parent_path());
    std::filesystem::create_directory(path.parent_path());
    ::chmod(path.parent_path().c_str(), 0755);
    EXPECT_EQ(socket_path_for(deep).error().code, ErrorCode::permission);
    std::filesystem::remove(path.parent_path());
}

TEST(LocalNode, StartsAnswersAndStopsInOrder) {
    FID_SKIP_WITHOUT_GETH();
    TemporaryFolder folder;
    NodeFolder site(folder.path() / "node");
    Hash genesis{};
    {
        LocalNode node(site.settings, site.password.clone());
        const auto started = node.start();
        ASSERT_TRUE(started.has_value()) << started.error().message;
        EXPECT_EQ(node.state(), NodeState::running);
        auto rpc = rpc_of(node);
        EXPECT_EQ(must(rpc.chain_id()), site.settings.chain_id);
        EXPECT_EQ(must(rpc.balance(Address{7})), must(ethereum::Uint256::parse("0x1" + std::string(50, '0'))));
        genesis = node.genesis_hash();
        EXPECT_EQ(must(rpc.block(std::uint64_t{0}))->hash, genesis);
        const int pid = node.process_id();
        node.stop();
        EXPECT_TRUE(ends_within(pid, std::chrono::milliseconds(0)));
        EXPECT_EQ(node.state(), NodeState::stopped);
        EXPECT_FALSE(std::filesystem::exists(node.socket_path()));
    }
    // No secret in any file or argument: the password nowhere, the key only encrypted.
    for (const auto& entry : std::filesystem::recursive_directory_iterator(site.folder)) {
        if (!entry.is_regular_file()) continue;
        const auto bytes = must(read_file(entry.path(), 64 << 20));
        EXPECT_EQ(as_text(bytes).find("pässword"), std::string_view::npos) << entry.path();
    }
    struct stat info {};
    ASSERT_EQ(::stat(site.folder.c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 0777, 0700U);
    EXPECT_EQ(create_chain(site.geth, site.folder, site.chain(), crypto::generate_private_key(), site.password).error().code,
              ErrorCode::invalid_argument);
    const auto key = crypto::generate_private_key();
    EXPECT_EQ(
        create_chain(site.geth, site.folder, {.chain_id = 5, .signers = {must(crypto::address_of(key))}}, key, site.password).error().code,
        ErrorCode::conflict);
}

TEST(LocalNode, AFolderOfAnotherChainIsRefused) {
    FID_SKIP_WITHOUT_GETH();
    TemporaryFolder folder;
    NodeFolder site(folder.path() / "node");
    auto other = site.settings;
    other.genesis_hash = Hash{9};
    const auto by_hash = LocalNode(other, site.password.clone()).start();
    ASSERT_FALSE(by_hash.has_value());
    EXPECT_EQ(by_hash.error().code, ErrorCode::conflict);
    EXPECT_NE(by_hash.error().message.find("belongs to another chain"), std::string::npos);
    other = site.settings;
    other.chain_id += 1;
    const auto by_id = LocalNode(other, site.password.clone()).start();
    ASSERT_FALSE(by_id.has_value());
    EXPECT_EQ(by_id.error().code, ErrorCode::conflict) << by_id.error().message;
    other = site.settings;
    other.folder = folder.path() / "empty";
    EXPECT_EQ(LocalNode(other, site.password.clone()).start().error().code, ErrorCode::not_found);
    other = site.settings;
    other.known_head_time = unix_seconds(system_clock().now()) + 3600;
    EXPECT_EQ(LocalNode(other, site.password.clone()).start().error().code, ErrorCode::invalid_argument);
}

TEST(LocalNode, WhileTheClockIsAnHourAheadItDoesNotRun) {
    FID_SKIP_WITHOUT_GETH();
    struct SetAhead final : Clock {
        SystemTime now() const override { return system_clock().now() + ahead.load(); }
        SteadyTime steady_now() const override { return system_clock().steady_now(); }
        std::atomic<std::chrono::milliseconds> ahead{std::chrono::milliseconds(0)};
    } clock;
    constexpr std::chrono::milliseconds kHour = std::chrono::hours(1);
    TemporaryFolder folder;
    NodeFolder site(folder.path() / "node");
    site.settings.last_backoff = std::chrono::milliseconds(100);
    site.settings.kernel_time = [] {
        auto time = kernel_time();
        time.synchronised = false;
        return time;
    };
    {
        LocalNode node(site.settings, site.password.clone(), clock);
        must(node.start());
        ASSERT_TRUE(eventually([&] { return std::filesystem::exists(clock_file(site.folder)); }));
        clock.ahead = kHour;  // it is set while the node runs
        ASSERT_TRUE(eventually([&] { return node.state() == NodeState::waiting_to_restart; }));
        EXPECT_NE(node.problem().find("60 minutes ahead"), std::string::npos) << node.problem();
        EXPECT_EQ(node.process_id(), 0);
        clock.ahead = std::chrono::milliseconds(0);
        ASSERT_TRUE(eventually([&] { return node.state() == NodeState::running; })) << node.problem();
    }
    clock.ahead = kHour;  // before it starts
    EXPECT_EQ(LocalNode(site.settings, site.password.clone(), clock).start().error().code, ErrorCode::invalid_argument);
    must(ClockGuard(clock_file(site.folder), clock, site.settings.kernel_time).trust());
    LocalNode node(site.settings, site.password.clone(), clock);
    must(node.start());
}

TEST(LocalNode, AnotherSitesFolderIsNamedBeforeGethIsAskedAndNotTriedAgain) {
    FID_SKIP_WITHOUT_GETH();
    TemporaryFolder folder;
    NodeFolder site(folder.path() / "node");
    NodeFolder other(folder.path() / "other");
    auto settings = site.settings;
    settings.keep_trying = true;
    settings.folder = other.folder;
    LocalNode swapped(settings, site.password.clone());
    const auto started = swapped.start();
    ASSERT_FALSE(started.has_value());
    EXPECT_EQ(started.error().code, ErrorCode::conflict);
    EXPECT_NE(started.error().message.find("belongs to another chain"), std::string::npos) << started.error().message;
    EXPECT_NE(started.error().message.find(std::to_string(other.settings.chain_id)), std::string::npos) << started.error().message;
    EXPECT_EQ(swapped.restarts(), 0U);
    std::filesystem::remove_all(site.folder / "keystore");
    std::filesystem::copy(other.folder / "keystore", site.folder / "keystore");
    EXPECT_EQ(LocalNode(site.settings, site.password.clone()).start().error().code, ErrorCode::conflict);
}

TEST(LocalNode, OneThatHangsIsStartedAgain) {
    FID_SKIP_WITHOUT_GETH();
    TemporaryFolder folder;
    NodeFolder site(folder.path() / "node");
    site.settings.first_backoff = std::chrono::milliseconds(20);
    site.settings.hung_after = std::chrono::seconds(3);
    site.settings.stop_timeout = std::chrono::milliseconds(200);
    LocalNode node(site.settings, site.password.clone());
    must(node.start());
    const int first = node.process_id();
    ASSERT_EQ(::kill(first, SIGSTOP), 0);
    ASSERT_TRUE(eventually([&] { return node.state() == NodeState::running && node.process_id() != first && node.process_id() != 0; }))
        << node.problem();
    EXPECT_GE(node.restarts(), 1U);
    EXPECT_EQ(must(rpc_of(node).chain_id()), site.settings.chain_id);
}

TEST(LocalNode, AWrongPasswordIsSaidInGethsWords) {
    FID_SKIP_WITHOUT_GETH();
    TemporaryFolder folder;
    NodeFolder site(folder.path() / "node");
    const auto started = LocalNode(site.settings, crypto::Secret::copy_of(as_bytes("wrong"))).start();
    ASSERT_FALSE(started.has_value());
    EXPECT_EQ(started.error().code, ErrorCode::unavailable);
    EXPECT_NE(started.error().message.find("unlock"), std::string::npos) << started.error().message;
}

TEST(LocalNode, StartsAgainAfterItWasKilled) {
    FID_SKIP_WITHOUT_GETH();
    TemporaryFolder folder;
    NodeFolder site(folder.path() / std::string(100, 'x') / "node");  // its socket does not fit inside
    site.settings.first_backoff = std::chrono::milliseconds(20);
    LocalNode node(site.settings, site.password.clone());
    must(node.start());
    const int first = node.process_id();
    ASSERT_EQ(::kill(first, SIGKILL), 0);
    ASSERT_TRUE(eventually([&] { return node.state() == NodeState::running && node.process_id() != first && node.process_id() != 0; }))
        << node.problem();
    EXPECT_EQ(node.restarts(), 1U);
    EXPECT_EQ(must(rpc_of(node).chain_id()), site.settings.chain_id);
    const auto socket = node.socket_path();
    node.stop();
    std::filesystem::remove(socket.parent_path());
}

TEST(LocalNode, KeepsTryingWhenTheFirstStartFails) {
    FID_SKIP_WITHOUT_GETH();
    TemporaryFolder folder;
    NodeFolder site(folder.path() / "node");
    site.settings.first_backoff = std::chrono::milliseconds(20);
    site.settings.last_backoff = std::chrono::milliseconds(20);
    site.settings.geth = folder.path() / "geth";  // not there yet
    site.settings.keep_trying = true;
    LocalNode node(site.settings, site.password.clone());
    const auto started = node.start();
    ASSERT_FALSE(started.has_value());
    EXPECT_EQ(started.error().code, ErrorCode::unavailable);
    EXPECT_NE(node.problem().find((folder.path() / "geth").string()), std::string::npos) << node.problem();
    std::filesystem::create_symlink(site.geth, folder.path() / "geth");
    EXPECT_TRUE(eventually([&] { return node.state() == NodeState::running; })) << node.problem();
    EXPECT_EQ(must(rpc_of(node).chain_id()), site.settings.chain_id);
    node.stop();
    EXPECT_EQ(node.state(), NodeState::stopped);
}

TEST(LocalNode, EndsWhenTheArchiveIsKilledAndALeftoverIsStopped) {
    FID_SKIP_WITHOUT_GETH();
    TemporaryFolder folder;
    NodeFolder site(folder.path() / "node");
    int report[2];
    ASSERT_EQ(::pipe(report), 0);
    const pid_t archive = ::fork();
    if (archive == 0) {
        LocalNode node(site.settings, site.password.clone());
        int pid = 0;
        if (node.start()) pid = node.process_id();
        if (::write(report[1], &pid, sizeof pid) != sizeof pid) ::_exit(1);
        ::pause();
        ::_exit(0);
    }
    ::close(report[1]);
    int pid = 0;
    ASSERT_EQ(::read(report[0], &pid, sizeof pid), static_cast<ssize_t>(sizeof pid));
    ::close(report[0]);
    ASSERT_GT(pid, 0);
    ::kill(archive, SIGKILL);
    ::waitpid(archive, nullptr, 0);
    EXPECT_TRUE(ends_within(pid, std::chrono::seconds(30)));

    // One that did not end (its own session, no signal reached it) stands in the way of the next, which stops it first.
    const auto folder_text = std::filesystem::weakly_canonical(site.folder).string();
    // Whatever it is called: a link or a copy of another name.
    const auto renamed = folder.path() / "ledger-node";
    std::filesystem::copy_file(site.geth, renamed);
    ProcessSpec leftover{
        .program = renamed,
        .arguments = {"--datadir", folder_text, "--state.scheme=hash", "--networkid", std::to_string(site.settings.chain_id),
                      "--nodiscover", "--maxpeers", "0", "--ipcpath", folder_text + "/other.ipc", "--authrpc.port", "0", "--port", "0"},
        .inputs = {},
        .on_line = {},
        .die_with_parent = false};
    auto process = must(Process::start(leftover));
    ASSERT_TRUE(eventually([&] { return std::filesystem::exists(site.folder / "other.ipc"); }));
    LocalNode node(site.settings, site.password.clone());
    const auto started = node.start();
    EXPECT_TRUE(started.has_value()) << started.error().message;
    EXPECT_TRUE(process.wait_for(std::chrono::milliseconds(0)).has_value());
}

TEST(Network, ItsScriptsTouchNoProcessButItsNodes) {
    FID_SKIP_WITHOUT_GETH();
    TemporaryFolder folder;
    NetworkSettings settings;
    settings.geth = folder.path() / "it's here" / "geth";  // a path that a shell would read otherwise
    std::filesystem::create_directory(settings.geth.parent_path());
    std::filesystem::create_symlink(must(find_geth({})), settings.geth);
    settings.folder = folder.path() / "net";
    settings.signers = 1;
    settings.period = 1;
    const auto network = must(create_network(settings));
    const auto script = [&](const char* name) {
        return must(run_to_end({.program = settings.folder / name, .die_with_parent = false}, std::chrono::seconds(60))).status;
    };
    const auto pid_file = settings.folder / "node1/pid";
    // The pid file is left over from before a reboot, and the id another process's by now.
    auto innocent = must(Process::start({.program = "/bin/sleep", .arguments = {"600"}}));
    const auto leave_pid = [&] { must(write_file_atomically(pid_file, as_bytes(std::to_string(innocent.id()) + "\n"))); };
    leave_pid();
    EXPECT_EQ(script("stop"), 0);
    EXPECT_FALSE(innocent.wait_for(std::chrono::milliseconds(200)));
    leave_pid();
    EXPECT_EQ(script("start"), 0);
    const int node = std::stoi(std::string(as_text(must(read_file(pid_file, 100)))));
    EXPECT_NE(node, innocent.id());
    Rpc rpc(std::make_shared<net::UnixSocketJson>(network.sockets[0]), {.first_backoff = std::chrono::milliseconds(0)});
    EXPECT_EQ(must(rpc.chain_id()), network.chain_id);
    EXPECT_EQ(script("start"), 0);  // it runs
    EXPECT_EQ(std::stoi(std::string(as_text(must(read_file(pid_file, 100))))), node);
    EXPECT_EQ(script("stop"), 0);
    EXPECT_TRUE(ends_within(node, std::chrono::seconds(10)));
    EXPECT_FALSE(std::filesystem::exists(pid_file));
    EXPECT_FALSE(innocent.wait_for(std::chrono::milliseconds(0)));
}

TEST(Process, InputsComeThroughPipesAndOutputLineByLine) {
    const auto finished = must(run_to_end(
        {.program = "/bin/cat", .arguments = {"{fd1}", "{fd0}"}, .inputs = {as_bytes("one\n"), as_bytes("two\n")}, .on_line = {}},
        std::chrono::seconds(30)));
    EXPECT_EQ(finished.status, 0);
    EXPECT_EQ(finished.output, "two\none\n");
    EXPECT_EQ(must(run_to_end({.program = "/bin/sh", .arguments = {"-c", "exit 3"}, .inputs = {}, .on_line = {}}, std::chrono::seconds(30)))
                  .status,
              3);
    EXPECT_EQ(must(run_to_end({.program = "/nowhere", .arguments = {}, .inputs = {}, .on_line = {}}, std::chrono::seconds(30))).status,
              127);
    EXPECT_EQ(
        run_to_end({.program = "/bin/sleep", .arguments = {"60"}, .inputs = {}, .on_line = {}}, std::chrono::milliseconds(10)).error().code,
        ErrorCode::timeout);
}

}  // namespace
}  // namespace fiducial::ledger
