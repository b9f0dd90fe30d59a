#include "archive/mail_text.hpp"

#include <gtest/gtest.h>

#include "base/base64.hpp"

namespace fiducial::archive {
namespace {

MailText plain() {
    return {"St. Luke Radiology", "pacs@example.org", "ada@example.org", "There is a message", "Read it.\n", "0123abcd", 1'700'000'000'000};
}

TEST(MailText, Rfc5322HeaderAndBody) {
    const auto mail = write_mail(plain());
    ASSERT_TRUE(mail);
    EXPECT_EQ(*mail,
              "Date: Tue, 14 Nov 2023 22:13:20 +0000\r\n"
              "From: \"St. Luke Radiology\"\r\n <pacs@example.org>\r\n"
              "To: <ada@example.org>\r\n"
              "Subject: There is a message\r\n"
              "Message-ID: <0123abcd@example.org>\r\n"
              "Auto-Submitted: auto-generated\r\nMIME-Version: 1.0\r\n"
              "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n" +
                  to_base64(as_bytes("Read it.\r\n")) + "\r\n");
}

TEST(MailText, Rfc2047SubjectsInOtherAlphabetsAreNeverCutWithinACharacter) {
    auto text = plain();
    for (int i = 0; i < 30; ++i) text.subject += "\xe3\x82\xa2";  // 90 bytes of three each
    text.from_name = "Universit\xc3\xa4tsklinikum";
    const auto mail = write_mail(text);
    ASSERT_TRUE(mail);
    EXPECT_NE(mail->find("From: =?UTF-8?B?"), std::string::npos);
    std::string subject;
    for (auto at = mail->find("Subject: "); (at = mail->find("=?UTF-8?B?", at)) < mail->find("Message-ID");) {
        const auto end = mail->find("?=", at + 10);
        const auto word = from_base64(mail->substr(at + 10, end - at - 10), "word");
        ASSERT_TRUE(word);
        EXPECT_NE(static_cast<unsigned>(word->front()) & 0xc0U, 0x80U);
        EXPECT_LE(end + 2 - at, 75U);
        subject += as_text(*word);
        at = end;
    }
    EXPECT_EQ(subject, text.subject);
    for (std::size_t at = 0, end = 0; (end = mail->find("\r\n", at)) != std::string::npos; at = end + 2) EXPECT_LE(end - at, 98U);
}

TEST(MailText, NothingThatIsSaidAddsAField) {
    for (const char* bad : {"x\r\nBcc: eve@example.org", "x\nBcc: eve@example.org", "x\rBcc: y", "x\x7f", "x\xff"}) {
        auto subject = plain(), name = plain(), to = plain(), from = plain(), id = plain();
        subject.subject = name.from_name = bad;
        to.to = from.from = "ada@example.org\r\nBcc: eve@example.org";
        id.id = bad;
        for (const auto& text : {subject, name, to, from, id}) EXPECT_FALSE(write_mail(text));
    }
    for (const char* bad : {"", "ada", "ada@example.org, eve@example.org", "<ada@example.org>", "ada@example.org> <eve@example.org"}) {
        auto to = plain();
        to.to = bad;
        EXPECT_FALSE(write_mail(to)) << bad;
    }
    auto nul = plain();
    nul.subject = std::string("x\0y", 3);
    EXPECT_FALSE(write_mail(nul));
}

}  // namespace
}  // namespace fiducial::archive
