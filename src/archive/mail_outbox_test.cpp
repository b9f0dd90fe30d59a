#include "archive/mail_outbox.hpp"

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <soci/soci.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include "archive/accounts.hpp"
#include "archive/hand_clock.hpp"
#include "base/file.hpp"

namespace fiducial::archive {
namespace {

using namespace std::chrono_literals;

/// Where nobody listens: a port that was free just now.
std::uint16_t closed_port() {
    const int socket = ::socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    EXPECT_EQ(::bind(socket, reinterpret_cast<sockaddr*>(&address), size), 0);
    EXPECT_EQ(::getsockname(socket, reinterpret_cast<sockaddr*>(&address), &size), 0);
    ::close(socket);
    return ntohs(address.sin_port);
}

class MailOutboxTest : public ::testing::Test {
protected:
    void SetUp() override {
        folder_ = std::filesystem::temp_directory_path() / ("fiducial-mails-" + std::to_string(::getpid()));
        std::filesystem::create_directories(folder_);
        auto opened = database::Database::open({.path = folder_ / "db"}, migrations());
        ASSERT_TRUE(opened) << opened.error().message;
        database_ = std::move(*opened);
        settings_.server.host = "127.0.0.1";
        settings_.server.port = closed_port();
        settings_.server.security = net::SmtpSecurity::none;
        settings_.from = "pacs@example.org";
        settings_.from_name = "Test site";
    }
    void TearDown() override {
        database_.reset();
        std::filesystem::remove_all(folder_);
    }
    Result<void> add(MailOutbox& outbox, const std::string& to, const std::string& subject = "A message") {
        return database_->write(database::Durability::full,
                                [&](database::Transaction& t) { return outbox.add(t, "message", to, subject, "Read it."); });
    }
    void sql(const std::string& text) {
        const auto done = database_->write(
            database::Durability::full, [&](database::Transaction& t) { return database::attempt("changing", [&] { t.sql() << text; }); });
        ASSERT_TRUE(done) << done.error().message;
    }

    std::filesystem::path folder_;
    const crypto::Secret key_ = crypto::random_secret(32);
    std::unique_ptr<database::Database> database_;
    MailSettings settings_;
    HandClock clock_;
};

TEST_F(MailOutboxTest, WhatCannotBeHandedOverWaitsLongerAndLongerAndIsGivenUpInTheEnd) {
    MailOutbox outbox(*database_, key_, settings_, clock_);
    ASSERT_TRUE(add(outbox, "ada@example.org"));
    ASSERT_TRUE(add(outbox, "bob@example.org"));
    EXPECT_EQ(outbox.work({}).value(), 2u);
    auto mails = outbox.list(10).value();  // newest first
    ASSERT_EQ(mails.size(), 2u);
    EXPECT_EQ(mails[1].tries, 1);
    EXPECT_EQ(mails[0].tries, 0) << "the server is away: the others need not try";
    EXPECT_NE(outbox.problem().find("look at [mail] server"), std::string::npos) << outbox.problem();
    EXPECT_EQ(outbox.work({}).value(), 0u) << "not at once again";
    clock_.advance(2s);
    EXPECT_EQ(outbox.work({}).value(), 2u);
    clock_.advance(73h);
    EXPECT_EQ(outbox.work({}).value(), 2u);
    clock_.advance(73h);
    EXPECT_EQ(outbox.work({}).value(), 1u);
    mails = outbox.list(10).value();
    for (const auto& mail : mails) EXPECT_EQ(mail.state, MailState::failed) << mail.to;
    EXPECT_NE(mails[0].problem.find("127.0.0.1"), std::string::npos);
    EXPECT_EQ(outbox.work({}).value(), 0u);
    EXPECT_EQ(outbox.retry({{mails[0].id}, false}).value(), 1u);
    EXPECT_EQ(outbox.list(10).value()[0].state, MailState::waiting);
    EXPECT_EQ(outbox.discard({{}, true}).value(), 1u);
    EXPECT_EQ(outbox.list(10).value().size(), 1u);
}

TEST_F(MailOutboxTest, NothingStandsInClearAndAChangedRowIsNotSent) {
    {
        MailOutbox outbox(*database_, key_, settings_, clock_);
        ASSERT_TRUE(add(outbox, "ada@example.org", "Geheimnis"));
        EXPECT_FALSE(add(outbox, "ada@example.org\r\nBcc: eve@example.org"));
        EXPECT_FALSE(add(outbox, "ada@example.org", "x\r\nBcc: eve@example.org"));
        ASSERT_EQ(outbox.list(10).value().size(), 1u);
        EXPECT_EQ(outbox.list(10).value()[0].to, "ada@example.org");
        outbox.work({}).value();  // a problem is noted, too
    }
    for (const auto& entry : std::filesystem::directory_iterator(folder_)) {
        const auto bytes = read_file(entry.path(), 1 << 24).value();
        for (const auto* secret : {"ada@", "Geheimnis", "127.0.0.1"})
            EXPECT_EQ(as_text(bytes).find(secret), std::string::npos) << entry.path();
    }
    const auto other = crypto::random_secret(32);
    ASSERT_TRUE(database_->write(database::Durability::full, [&](database::Transaction& t) { return MailOutbox::rekey(t, key_, other); }));
    EXPECT_EQ(MailOutbox(*database_, other, settings_, clock_).list(10).value()[0].to, "ada@example.org");
    sql("UPDATE mails SET since_ms = since_ms + 1, next_ms = 0");
    MailOutbox outbox(*database_, other, settings_, clock_);
    EXPECT_EQ(outbox.list(10).value()[0].state, MailState::failed);
    EXPECT_EQ(outbox.work({}).value(), 1u);
    EXPECT_TRUE(outbox.list(10).value().empty());
}

TEST_F(MailOutboxTest, ARequestIsAnsweredLaterAndOnce) {
    MailOutbox outbox(*database_, key_, settings_, clock_);
    std::vector<std::string> asked;
    outbox.set_answerer([&](database::Transaction& t, const std::string& to) -> Result<void> {
        asked.push_back(to);
        return to == "ada@example.org" ? outbox.add(t, "reset", to, "A link", "Here.") : Result<void>{};
    });
    for (const std::string to : {"ada@example.org", "nobody@example.org"})
        ASSERT_TRUE(database_->write(database::Durability::full, [&](database::Transaction& t) { return outbox.request(t, to); }));
    EXPECT_EQ(outbox.work({}).value(), 2u);
    EXPECT_EQ(asked, (std::vector<std::string>{"ada@example.org", "nobody@example.org"}));
    const auto mails = outbox.list(10).value();
    ASSERT_EQ(mails.size(), 1u);
    EXPECT_EQ(mails[0].kind, "reset");
}

TEST_F(MailOutboxTest, SettingsThatCannotBeUsedAreNamed) {
    const auto problem = [](const std::string& text) {
        const auto parsed = Configuration::parse("[http]\npublic_url = \"https://pacs.example.org/\"\n[mail]\n" + text, "x.toml");
        if (!parsed) return parsed.error().message;
        const auto settings = mail_settings(*parsed);
        return settings ? std::string() : settings.error().message;
    };
    const std::string base = "server = \"mail.example.org\"\nfrom = \"pacs@example.org\"\n";
    EXPECT_EQ(problem(""), "");
    EXPECT_EQ(problem(base), "");
    EXPECT_NE(problem("server = \"mail.example.org\"\n").find("[mail] from is missing"), std::string::npos);
    EXPECT_NE(problem(base + "security = \"none\"\n").find("server on this machine"), std::string::npos);
    EXPECT_NE(problem(base + "security = \"ssl\"\n").find("starttls, tls or none"), std::string::npos);
    EXPECT_NE(problem("server = \"mail.example.org/x\"\nfrom = \"pacs@example.org\"\n").find("without a port"), std::string::npos);
    EXPECT_NE(problem("server = \"mail.example.org\"\nfrom = \"pacs\"\n").find("no e-mail address"), std::string::npos);
    EXPECT_NE(problem(base + "user = \"pacs\"\n").find("go together"), std::string::npos);
    const auto file = folder_ / "password";
    const auto with_file = base + "user = \"pacs\"\npassword_file = \"" + file.string() + "\"\n";
    EXPECT_NE(problem(with_file).find("cannot be read"), std::string::npos);
    ASSERT_TRUE(write_file_atomically(file, as_bytes(std::string_view("secret\n"))));
    ::chmod(file.c_str(), 0644);
    EXPECT_NE(problem(with_file).find("chmod 600"), std::string::npos);
    ::chmod(file.c_str(), 0600);
    EXPECT_EQ(problem(with_file), "");
}

}  // namespace
}  // namespace fiducial::archive
