#include "gateway/http_gateway.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>
#include <filesystem>
#include <fstream>
#include <map>
#include <mutex>
#include <sstream>

#include "base/log.hpp"
#include "gateway/impl/service.hpp"
#include "gateway/impl/store_report.hpp"
#include "net/client.hpp"
#include "net/multipart.hpp"

namespace fiducial::gateway {
namespace {

using namespace std::chrono_literals;
using archive::InstanceOutcome;
using archive::Level;
using archive::Outcome;

constexpr const char* kToken = "fid-secret-token-1234567890";
constexpr const char* kExplicit = "1.2.840.10008.1.2.1";

/// The archive's interface in memory, for the shape of the protocol alone: "files" are "study|series|instance|data". What the real
/// archive decides, keeps and proves is tested with the real one (test/system).
class ShapeArchive final : public archive::Archive {
public:
    struct File {
        std::string study, series, sop, bytes;
    };
    std::mutex mutex;
    std::vector<File> files;
    archive::Health state{true, {}};
    int completed = 0;
    std::string asked_study;  // by the last begin_instance
    archive::Requester last_who;
    std::uint64_t corrupt_from = UINT64_MAX;

    void put(const std::string& study, const std::string& series, const std::string& sop, const std::string& data) {
        files.push_back({study, series, sop, study + "|" + series + "|" + sop + "|" + data});
    }

    Result<archive::Requester> authenticate(std::string_view bearer_token) override {
        if (bearer_token != kToken) return fail(ErrorCode::unauthenticated, "an unknown token");
        return archive::Requester{};
    }
    Result<archive::Requester> authenticate_device(std::string_view) override { return archive::Requester{}; }
    Result<std::unique_ptr<archive::IngestSession>> begin_ingest(const archive::Requester& who, std::string_view) override {
        last_who = who;
        return std::make_unique<Session>(*this);
    }
    Result<std::unique_ptr<archive::Retrieval>> retrieve(const archive::Requester& who, const archive::Selector& what) override {
        last_who = who;
        if (what.study_uid == "1.9") return fail(ErrorCode::denied, "the patient restricted it");
        auto out = std::make_unique<Look>(*this);
        for (const auto& file : files) {
            if (file.study != what.study_uid || (what.level != Level::study && file.series != what.series_uid) ||
                (what.level == Level::instance && file.sop != what.sop_uid))
                continue;
            out->found.push_back(file);
        }
        if (out->found.empty()) return fail(ErrorCode::not_found, "no such thing");
        return out;
    }
    Result<std::string> evidence(const archive::Requester&, const archive::Selector& what) override {
        if (what.sop_uid == "404") return fail(ErrorCode::unavailable, "not settled yet");
        return "{\"b\":1,\"a\":\"" + what.study_uid + "/" + what.sop_uid + "\"}";
    }
    Result<archive::OpenedEmergency> break_glass(const archive::Requester& who, std::string_view study_uid,
                                                 const archive::EmergencyGround& ground) override {
        last_who = who;
        if (study_uid == "1.9") return fail(ErrorCode::denied, "not a doctor");
        if (ground.text.empty()) return fail(ErrorCode::invalid_argument, "say in words why");
        return archive::OpenedEmergency{1'800'000'000, true};
    }
    Result<std::string> describe_study(const archive::Requester&, std::string_view study_uid) override {
        return "{\"study\":\"" + std::string(study_uid) + "\"}";
    }
    archive::Health health() override { return state; }
    std::vector<archive::Metric> metrics() override {
        archive::Metric metric;
        metric.name = "fiducial_outbox_age_seconds";
        metric.help = "Age of the oldest\nunsettled record";
        metric.type = "gauge";
        metric.labels = {{"kind", "a\"b\\c"}};
        metric.value = 1.5;
        return {metric};
    }

private:
    struct Look final : archive::Retrieval {
        explicit Look(ShapeArchive& used) : archive(used) {}
        ShapeArchive& archive;
        std::vector<File> found;
        std::size_t next = 0, at = 0;

        std::size_t instance_count() const override { return found.size(); }
        Result<std::optional<archive::RetrievedInstance>> next_instance() override {
            if (next == found.size()) return std::optional<archive::RetrievedInstance>();
            const auto& file = found[next++];
            at = 0;
            archive::RetrievedInstance out;
            out.study_uid = file.study;
            out.series_uid = file.series;
            out.sop_uid = file.sop;
            out.transfer_syntax_uid = kExplicit;
            out.prefix_size = 2;
            out.data_set_size = file.bytes.size() - 2;
            return out;
        }
        Result<std::size_t> read(MutableByteView out) override {
            const auto& bytes = found[next - 1].bytes;
            const auto count = std::min({out.size(), bytes.size() - at, std::size_t{32'768}});
            if (at + count > archive.corrupt_from) return fail(ErrorCode::corrupt, "a chunk does not match");
            std::copy_n(bytes.begin() + static_cast<std::ptrdiff_t>(at), count, out.begin());
            at += count;
            return count;
        }
    };
    struct Session final : archive::IngestSession {
        explicit Session(ShapeArchive& used) : archive(used) {}
        ShapeArchive& archive;
        std::string bytes, wanted;

        Result<void> begin_instance(const archive::InstanceFormat& format) override {
            wanted = archive.asked_study = format.study_uid;
            bytes.clear();
            return {};
        }
        Result<void> write(ByteView more) override {
            bytes += as_text(more);
            return {};
        }
        InstanceOutcome known_so_far() const override {
            InstanceOutcome out;
            std::istringstream text(bytes);
            std::getline(text, out.study_uid, '|');
            std::getline(text, out.series_uid, '|');
            std::getline(text, out.sop_uid, '|');
            out.sop_class_uid = "1.2.840.10008.5.1.4.1.1.7";
            return out;
        }
        Result<InstanceOutcome> finish_instance() override {
            auto out = known_so_far();
            const auto last = bytes.rfind('|');
            const auto data = last == std::string::npos ? std::string() : bytes.substr(last + 1);
            if (data.empty()) {
                out = {};
                out.error = Error{ErrorCode::malformed, "not DICOM"};
            } else if (data == "full") {
                return fail(ErrorCode::no_space, "the disk is full");
            } else if (data == "io") {
                return fail(ErrorCode::io, "reading or writing failed");
            } else if (!wanted.empty() && wanted != out.study_uid) {
                out.error = Error{ErrorCode::conflict, "another study"};
            } else if (data == "aside") {
                out.outcome = Outcome::set_aside;
            } else {
                const std::lock_guard lock(archive.mutex);
                archive.files.push_back({out.study_uid, out.series_uid, out.sop_uid, bytes});
                out.outcome = Outcome::stored;
            }
            return out;
        }
        void abandon_instance() override { bytes.clear(); }
        Result<void> complete() override {
            ++archive.completed;
            return {};
        }
    };
};

class HttpGatewayTest : public ::testing::Test {
protected:
    void SetUp() override {
        HttpGatewaySettings settings;
        auto started = HttpGateway::start(runtime_, archive_, settings);
        ASSERT_TRUE(started) << started.error().message;
        gateway_ = std::move(*started);
        archive_.put("1.2", "1.2.1", "1.2.1.1", "small");
        archive_.put("1.2", "1.2.1", "1.2.1.2", std::string(1'500'000, 'L'));
        archive_.put("1.2", "1.2.2", "1.2.2.1", "other series");
    }

    net::HttpClientAnswer ask(std::string method, std::string_view path, net::HeaderFields headers = {}, std::string body = {},
                              bool token = true) {
        net::HttpClientRequest request;
        request.method = std::move(method);
        request.url = gateway_->url() + std::string(path);
        request.headers = std::move(headers);
        if (token) request.headers.add("Authorization", std::string("Bearer ") + kToken);
        request.body = std::move(body);
        auto answer = client_.send(request, 20s);
        EXPECT_TRUE(answer) << path << ": " << answer.error().message;
        return answer ? *std::move(answer) : net::HttpClientAnswer{};
    }
    net::HttpClientAnswer get(std::string_view path, std::string accept = {}) {
        net::HeaderFields headers;
        if (!accept.empty()) headers.add("Accept", std::move(accept));
        return ask("GET", path, std::move(headers));
    }
    net::HttpClientAnswer store(std::string_view path, const std::vector<std::string>& instances, std::string accept = {}) {
        net::HeaderFields part;
        part.add("Content-Type", "application/dicom");
        std::string body;
        for (std::size_t i = 0; i < instances.size(); ++i) body += net::multipart_part_head("BOUND", i == 0, part) + instances[i];
        body += net::multipart_close("BOUND", instances.empty());
        net::HeaderFields headers;
        headers.add("Content-Type", "multipart/related; type=\"application/dicom\"; boundary=BOUND");
        if (!accept.empty()) headers.add("Accept", std::move(accept));
        return ask("POST", path, std::move(headers), std::move(body));
    }
    static std::string code_of(const net::HttpClientAnswer& answer) {
        EXPECT_EQ(answer.headers.find("Content-Type").value_or(""), "application/problem+json");
        const auto problem = boost::json::parse(answer.body);
        EXPECT_EQ(problem.at("status").to_number<unsigned>(), answer.status);
        EXPECT_EQ(problem.at("requestId").as_string(), answer.headers.find("X-Request-Id").value_or(""));
        return std::string(problem.at("code").as_string());
    }
    static std::vector<std::string> parts_of(const net::HttpClientAnswer& answer) {
        const auto type = net::parse_media_type(answer.headers.find("Content-Type").value_or(""));
        EXPECT_TRUE(type);
        EXPECT_EQ(type->essence(), "multipart/related");
        EXPECT_EQ(type->parameter("type").value_or(""), "application/dicom");
        auto reader = net::MultipartReader::create(type->parameter("boundary").value_or(""));
        EXPECT_TRUE(reader);
        std::vector<std::string> out;
        reader->feed(as_bytes(answer.body));
        for (;;) {
            auto event = reader->next();
            EXPECT_TRUE(event);
            if (*event == net::MultipartReader::Event::part_begin) {
                EXPECT_EQ(reader->headers().find("Content-Type").value_or(""),
                          std::string("application/dicom; transfer-syntax=") + kExplicit);
                out.emplace_back();
            } else if (*event == net::MultipartReader::Event::part_data) {
                out.back() += as_text(reader->data());
            } else if (*event != net::MultipartReader::Event::part_end) {
                break;
            }
        }
        EXPECT_TRUE(reader->finish());
        return out;
    }

    ShapeArchive archive_;
    net::Runtime runtime_{2};
    std::unique_ptr<HttpGateway> gateway_;  // goes before the runtime
    net::HttpClient client_;
};

TEST_F(HttpGatewayTest, OnlyLivenessIsAnsweredWithoutAToken) {
    EXPECT_EQ(ask("GET", "/healthz", {}, {}, false).status, 200u);
    for (const auto& route : impl::routes()) {
        if (route.pattern == "/healthz") continue;
        std::string path(route.pattern);
        for (std::size_t at = 0; (at = path.find("{uid}")) != std::string::npos;) path.replace(at, 5, "1.2");
        const auto answer = ask(std::string(route.method), path, {}, route.method == "POST" ? "x" : "", false);
        EXPECT_EQ(answer.status, 401u) << path;
        EXPECT_EQ(answer.headers.find("WWW-Authenticate").value_or(""), "Bearer realm=\"fiducial\"");
        EXPECT_EQ(code_of(answer), "unauthenticated");
    }
}

TEST_F(HttpGatewayTest, Rfc6750AWrongTokenIsNamedSo) {
    for (const char* value : {"Bearer wrong", "Basic dXNlcjpwYXNz", "Bearer", "Bearer two words"}) {
        net::HeaderFields headers;
        headers.add("Authorization", value);
        const auto answer = ask("GET", "/studies/1.2", std::move(headers), {}, false);
        EXPECT_EQ(answer.status, 401u) << value;
        EXPECT_NE(answer.headers.find("WWW-Authenticate").value_or("").find("invalid_token"), std::string::npos);
        EXPECT_EQ(answer.body.find("wrong"), std::string::npos);
    }
}

TEST_F(HttpGatewayTest, Rfc9110UnknownPathsMethodsAndUids) {
    EXPECT_EQ(code_of(get("/nothing/here")), "not_found");
    const auto method = ask("DELETE", "/studies/1.2");
    EXPECT_EQ(method.status, 405u);
    EXPECT_EQ(method.headers.find("Allow").value_or(""), "GET, HEAD, POST");
    const auto uid = get("/studies/not-a-uid");
    EXPECT_EQ(uid.status, 400u);
    EXPECT_EQ(code_of(uid), "malformed");
    EXPECT_EQ(get("/studies/1.2/").status, 200u);
}

TEST_F(HttpGatewayTest, Ps318Section10_4StudySeriesAndInstanceAsMultipart) {
    const auto study = parts_of(get("/studies/1.2", "multipart/related; type=\"application/dicom\"; transfer-syntax=*"));
    ASSERT_EQ(study.size(), 3u);
    for (std::size_t i = 0; i < 3; ++i) EXPECT_TRUE(study[i] == archive_.files[i].bytes);
    EXPECT_EQ(parts_of(get("/studies/1.2/series/1.2.1")).size(), 2u);
    EXPECT_EQ(parts_of(get("/studies/1.2/series/1.2.1/instances/1.2.1.1", "*/*")).size(), 1u);
    EXPECT_EQ(archive_.last_who.door, "http");
    EXPECT_TRUE(archive_.last_who.address.starts_with("127.0.0.1:"));
}

TEST_F(HttpGatewayTest, Ps318Section10_4OneInstanceAsASinglePart) {
    const auto path = "/studies/1.2/series/1.2.1/instances/1.2.1.2";
    const auto answer = get(path, "application/dicom; transfer-syntax=*");
    EXPECT_EQ(answer.status, 200u);
    EXPECT_EQ(answer.headers.find("Content-Type").value_or(""), std::string("application/dicom; transfer-syntax=") + kExplicit);
    EXPECT_EQ(answer.headers.find("Content-Length").value_or(""), std::to_string(archive_.files[1].bytes.size()));
    EXPECT_TRUE(answer.body == archive_.files[1].bytes);
    net::HeaderFields headers;
    headers.add("Accept", "application/dicom");
    const auto head = ask("HEAD", path, std::move(headers));
    EXPECT_EQ(head.headers.find("Content-Length").value_or(""), std::to_string(archive_.files[1].bytes.size()));
    EXPECT_TRUE(head.body.empty());
}

TEST_F(HttpGatewayTest, Ps318Section8_7WhatIsNotStoredSoIsNotAcceptable) {
    const std::string path = "/studies/1.2/series/1.2.1/instances/1.2.1.1";
    EXPECT_EQ(get(path, "image/jpeg").status, 406u);
    EXPECT_EQ(get("/studies/1.2", "application/dicom").status, 406u);
    EXPECT_EQ(get(path, "application/dicom; transfer-syntax=1.2.840.10008.1.2.4.50").status, 406u);
    EXPECT_EQ(get(path, "multipart/related; type=\"image/jpeg\"").status, 406u);
    EXPECT_EQ(get(path, "application/dicom;q=0, */*;q=0").status, 406u);
    EXPECT_EQ(get(path, "application/dicom;q=5").status, 400u);
    EXPECT_EQ(
        get(path, "application/dicom; transfer-syntax=1.2.840.10008.1.2.4.50, application/dicom; transfer-syntax=" + std::string(kExplicit))
            .status,
        200u);
    EXPECT_EQ(get(path + "?accept=application/dicom", "image/jpeg").headers.find("Content-Type").value_or("").find("multipart"),
              std::string::npos);
}

TEST_F(HttpGatewayTest, ErrorsOfTheArchiveKeepTheirClass) {
    const auto missing = get("/studies/1.7");
    EXPECT_EQ(missing.status, 404u);
    EXPECT_EQ(code_of(missing), "not_found");
    const auto denied = get("/studies/1.9");
    EXPECT_EQ(denied.status, 403u);
    EXPECT_EQ(code_of(denied), "denied");
    archive_.corrupt_from = 0;
    const auto corrupt = get("/studies/1.2");
    EXPECT_EQ(corrupt.status, 500u);
    EXPECT_EQ(code_of(corrupt), "corrupt");
}

TEST_F(HttpGatewayTest, ThePurposeStandsInAHeader) {
    EXPECT_EQ(get("/studies/1.2").status, 200u);
    EXPECT_EQ(archive_.last_who.purpose, archive::Purpose::treatment);
    const auto with = [&](const char* purpose) {
        net::HeaderFields headers;
        headers.add("Fiducial-Purpose", purpose);
        return ask("GET", "/studies/1.2", std::move(headers));
    };
    EXPECT_EQ(with("emergency").status, 200u);
    EXPECT_EQ(archive_.last_who.purpose, archive::Purpose::emergency);
    EXPECT_EQ(with("personal").status, 200u);
    EXPECT_EQ(archive_.last_who.purpose, archive::Purpose::personal);
    const auto unknown = with("Lovelace");
    EXPECT_EQ(unknown.status, 400u);
    EXPECT_EQ(unknown.body.find("Lovelace"), std::string::npos);
    EXPECT_NE(unknown.body.find("emergency"), std::string::npos);
}

TEST_F(HttpGatewayTest, TheGlassIsBrokenWithAGround) {
    const auto open = [&](const char* path, const char* body) { return ask("POST", path, {}, body); };
    const auto opened = open("/studies/1.2/emergency", R"({"reason":"other","text":"night"})");
    EXPECT_EQ(opened.status, 201u);
    EXPECT_EQ(opened.body, R"({"until":"2027-01-15T08:00:00.000Z","nodeAway":true})");
    EXPECT_EQ(open("/studies/1.9/emergency", R"({"reason":"other","text":"night"})").status, 403u);
    EXPECT_EQ(open("/studies/1.2/emergency", R"({"reason":"other"})").status, 400u);
    for (const char* body : {"", "x", "[]", "{}", R"({"reason":1})"}) EXPECT_EQ(open("/studies/1.2/emergency", body).status, 400u) << body;
    EXPECT_EQ(open("/studies/1.2/emergency", std::string(5000, ' ').c_str()).status, 413u);
}

TEST_F(HttpGatewayTest, CorruptionFoundOnTheWayBreaksTheAnswer) {
    archive_.corrupt_from = 1'000'000;
    for (const char* accept : {"application/dicom", "multipart/related"}) {
        net::HttpClientRequest request;
        request.url = gateway_->url() + "/studies/1.2/series/1.2.1/instances/1.2.1.2";
        request.headers.add("Accept", accept);
        request.headers.add("Authorization", std::string("Bearer ") + kToken);
        auto answer = client_.send(request, 20s);
        ASSERT_FALSE(answer) << accept;
        EXPECT_EQ(answer.error().code, ErrorCode::unavailable);
    }
}

TEST_F(HttpGatewayTest, Ps318Section10_5StoresAndSaysWhere) {
    const auto answer = store("/studies", {"2.1|2.1.1|2.1.1.1|data", "2.1|2.1.1|2.1.1.2|" + std::string(700'000, 'd')});
    EXPECT_EQ(answer.status, 200u);
    EXPECT_EQ(answer.headers.find("Content-Type").value_or(""), "application/dicom+json");
    const auto json = boost::json::parse(answer.body);
    EXPECT_EQ(json.at("00081190").at("Value").at(0).as_string(), gateway_->url() + "/studies/2.1");
    const auto& references = json.at("00081199").at("Value").as_array();
    ASSERT_EQ(references.size(), 2u);
    EXPECT_EQ(references[1].at("00081155").at("Value").at(0).as_string(), "2.1.1.2");
    EXPECT_EQ(references[1].at("00081150").at("vr").as_string(), "UI");
    const std::string url(references[1].at("00081190").at("Value").at(0).as_string());
    EXPECT_EQ(archive_.completed, 1);
    EXPECT_TRUE(get(url.substr(gateway_->url().size()), "application/dicom").body == archive_.files.back().bytes);
}

TEST_F(HttpGatewayTest, Ps318Section10_5FailuresAndWarningsAreListed) {
    const auto some = store("/studies", {"2.1|2.1.1|2.1.1.1|data", "rubbish", "2.1|2.1.1|2.1.1.3|full", "2.1|2.1.1|2.1.1.4|aside"});
    EXPECT_EQ(some.status, 202u);
    const auto json = boost::json::parse(some.body);
    EXPECT_EQ(json.at("00081199").at("Value").as_array().size(), 2u);
    EXPECT_EQ(json.at("00081199").at("Value").at(1).at("00081196").at("Value").at(0).to_number<int>(), 0xB000);
    const auto& others = json.at("0008119A").at("Value").as_array();
    ASSERT_EQ(others.size(), 1u);
    EXPECT_EQ(others[0].at("00081197").at("Value").at(0).to_number<int>(), 0xC000);
    const auto& failed = json.at("00081198").at("Value").as_array();
    ASSERT_EQ(failed.size(), 1u) << "what the archive failed to store is named, too";
    EXPECT_EQ(failed[0].at("00081155").at("Value").at(0).as_string(), "2.1.1.3");
    EXPECT_EQ(failed[0].at("00081197").at("Value").at(0).to_number<int>(), 0xA700) << "out of resources";
    EXPECT_EQ(archive_.completed, 1);

    const auto none = store("/studies/3.3", {"2.1|2.1.1|2.1.1.5|data"});
    EXPECT_EQ(none.status, 409u);
    EXPECT_EQ(archive_.asked_study, "3.3");
    EXPECT_EQ(boost::json::parse(none.body).at("00081198").at("Value").at(0).at("00081197").at("Value").at(0).to_number<int>(), 0xA900);
    EXPECT_EQ(archive_.completed, 1);
    EXPECT_EQ(store("/studies", {"2.1|2.1.1|2.1.1.3|io", "2.1|2.1.1|2.1.1.6|io"}).status, 503u) << "the archive's own failure: try again";
    EXPECT_EQ(store("/studies", {"2.1|2.1.1|2.1.1.3|io", "2.1|2.1.1|2.1.1.6|full"}).status, 503u);
    const auto full = store("/studies", {"2.1|2.1.1|2.1.1.3|full", "2.1|2.1.1|2.1.1.6|full"});
    EXPECT_EQ(full.status, 507u) << "no room: RFC 4918";
    EXPECT_EQ(boost::json::parse(full.body).at("00081198").at("Value").at(1).at("00081197").at("Value").at(0).to_number<int>(), 0xA700);
    EXPECT_EQ(store("/studies", {"2.1|2.1.1|2.1.1.3|io", "rubbish"}).status, 409u);
    const auto warned = store("/studies", {"2.1|2.1.1|2.1.1.4|aside"});
    EXPECT_EQ(warned.status, 202u);
}

TEST_F(HttpGatewayTest, Ps319AnnexATheAnswerAsXml) {
    const auto answer = store("/studies", {"2.1|2.1.1|2.1.1.1|data", "rubbish"}, "application/dicom+xml");
    EXPECT_EQ(answer.headers.find("Content-Type").value_or(""), "application/dicom+xml");
    EXPECT_NE(answer.body.find("<DicomAttribute tag=\"00081199\" vr=\"SQ\" keyword=\"ReferencedSOPSequence\"><Item number=\"1\">"),
              std::string::npos);
    EXPECT_NE(answer.body.find("keyword=\"FailureReason\"><Value number=\"1\">49152</Value>"), std::string::npos);
    EXPECT_EQ(store("/studies", {"2.1|2.1.1|2.1.1.1|data"}, "text/html").status, 406u);
}

TEST_F(HttpGatewayTest, OneFileWithoutMultipartIsTaken) {
    net::HeaderFields headers;
    headers.add("Content-Type", "application/dicom");
    EXPECT_EQ(ask("POST", "/studies", headers, "5.1|5.1.1|5.1.1.1|data").status, 200u);
    EXPECT_EQ(archive_.files.back().sop, "5.1.1.1");
}

TEST_F(HttpGatewayTest, BodiesThatAreNotWhatTheySay) {
    const auto post = [this](std::string type, std::string body) {
        net::HeaderFields headers;
        headers.add("Content-Type", std::move(type));
        return ask("POST", "/studies", std::move(headers), std::move(body));
    };
    EXPECT_EQ(post("text/plain", "x").status, 415u);
    EXPECT_EQ(post("multipart/related; type=\"application/dicom+json\"; boundary=B", "x").status, 415u);
    EXPECT_EQ(post("multipart/related; type=\"application/dicom\"", "x").status, 400u);
    EXPECT_EQ(post("multipart/related; type=\"application/dicom\"; boundary=B", "--B--").status, 400u);
    EXPECT_EQ(post("multipart/related; type=\"application/dicom\"; boundary=B", "no boundary").status, 400u);
    EXPECT_EQ(archive_.completed, 0);
    const auto other_part =
        post("multipart/related; type=\"application/dicom\"; boundary=B", "--B\r\nContent-Type: image/jpeg\r\n\r\nx\r\n--B--");
    EXPECT_EQ(other_part.status, 409u);
    EXPECT_EQ(boost::json::parse(other_part.body).at("0008119A").at("Value").at(0).at("00081197").at("Value").at(0).to_number<int>(),
              0x0122);
}

TEST_F(HttpGatewayTest, WhatCameBeforeABreakStaysAndIsSaid) {
    net::HeaderFields headers;
    headers.add("Content-Type", "multipart/related; boundary=B");
    const auto before = archive_.files.size();
    const auto answer = ask("POST", "/studies", std::move(headers), "--B\r\n\r\n2.1|2.1.1|2.1.1.1|data\r\n--B\r\n\r\n2.1|2.1.1|2.1.1.2|da");
    EXPECT_EQ(answer.status, 400u);
    EXPECT_NE(answer.body.find("1 instances before that were stored"), std::string::npos);
    EXPECT_EQ(archive_.files.size(), before + 1);
    EXPECT_EQ(archive_.completed, 1);
}

TEST_F(HttpGatewayTest, EvidenceIsPassedOnByteByByte) {
    const auto study = get("/studies/1.2/evidence");
    EXPECT_EQ(study.body, "{\"b\":1,\"a\":\"1.2/\"}");
    EXPECT_EQ(study.headers.find("Content-Type").value_or(""), "application/json");
    EXPECT_EQ(get("/studies/1.2/series/1.2.1/instances/1.2.1.1/evidence").body, "{\"b\":1,\"a\":\"1.2/1.2.1.1\"}");
    EXPECT_EQ(get("/studies/1.2/record").body, "{\"study\":\"1.2\"}");
    const auto away = get("/studies/1.2/series/1.2.1/instances/404/evidence");
    EXPECT_EQ(away.status, 503u);
    EXPECT_EQ(away.headers.find("Retry-After").value_or(""), "5");
    EXPECT_EQ(code_of(away), "unavailable");
}

TEST(Admission, LetsInNoMoreThanItsPoolCanTake) {
    impl::Admission admission(1);
    auto first = admission.enter();
    ASSERT_TRUE(first);
    EXPECT_EQ(admission.enter().error().code, ErrorCode::unavailable);
    EXPECT_EQ(admission.enter().error().code, ErrorCode::unavailable) << "a refusal leaves nothing behind";
    const auto moved = std::move(*first);
    first = fail(ErrorCode::internal, "gone");
    EXPECT_FALSE(admission.enter());
    { const auto last = std::move(const_cast<impl::Admission::Ticket&>(moved)); }
    EXPECT_TRUE(admission.enter());
}

TEST_F(HttpGatewayTest, ReadinessAndMetrics) {
    EXPECT_EQ(get("/readyz").status, 200u);
    archive_.state = {false, {"the disk is full"}};
    const auto unready = get("/readyz");
    EXPECT_EQ(unready.status, 503u);
    EXPECT_EQ(boost::json::parse(unready.body).at("notes").at(0).as_string(), "the disk is full");
    const auto metrics = get("/metrics").body;
    EXPECT_NE(
        metrics.find("# HELP fiducial_outbox_age_seconds Age of the oldest\\nunsettled record\n# TYPE fiducial_outbox_age_seconds gauge\n"
                     "fiducial_outbox_age_seconds{kind=\"a\\\"b\\\\c\"} 1.5\n"),
        std::string::npos)
        << metrics;
    EXPECT_NE(metrics.find("fiducial_http_requests_total{route=\"/readyz\",status=\"503\"} 1\n"), std::string::npos) << metrics;
    EXPECT_NE(metrics.find("fiducial_http_connections 1\n"), std::string::npos) << metrics;
}

TEST_F(HttpGatewayTest, NoTokenAndNoNameReachesTheLog) {
    const auto path = std::filesystem::temp_directory_path() / ("fiducial-gateway-log-" + std::to_string(::getpid()));
    ASSERT_TRUE(log::also_to_file(path));
    get("/studies/1.2?PatientName=Lovelace%5EAda");
    get("/studies/Lovelace%5EAda");
    get("/Lovelace%5EAda/studies");
    net::HeaderFields headers;
    headers.add("Authorization", "Bearer another-secret-token");
    ask("GET", "/studies/1.2", std::move(headers), {}, false);
    std::ifstream in(path);
    const std::string text((std::istreambuf_iterator<char>(in)), {});
    EXPECT_NE(text.find("route=/studies/{uid}"), std::string::npos) << text;
    EXPECT_EQ(text.find("Lovelace"), std::string::npos) << text;
    EXPECT_EQ(text.find("secret-token"), std::string::npos) << text;
    std::filesystem::remove(path);
}

TEST_F(HttpGatewayTest, BeyondLoopbackItWantsTls) {
    HttpGatewaySettings settings;
    settings.address = "0.0.0.0";
    auto refused = HttpGateway::start(runtime_, archive_, settings);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, ErrorCode::invalid_argument);
}

}  // namespace
}  // namespace fiducial::gateway
