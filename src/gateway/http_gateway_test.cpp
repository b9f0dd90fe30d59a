#include "gateway/http_gateway.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>
#include <filesystem>
#include <fstream>
#include <map>
#include <mutex>
#include <set>
#include <sstream>

#include "archive/commitments.hpp"
#include "archive/reception.hpp"
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
class ShapeReception final : public archive::Reception {
public:
    Result<archive::Reply> ask(std::string_view what, const archive::Visitor&, const boost::json::object&) override {
        if (what != "session") return fail(ErrorCode::not_found, "no such thing");
        return archive::Reply{R"({"person":"ada \"A\" <l>"})", {}, {}, false};
    }
    void end(std::string_view) override {}
};

class ShapeArchive final : public archive::Archive {
public:
    struct File {
        std::string study, series, sop, bytes;
    };
    std::mutex mutex;
    std::vector<File> files;
    std::string token = kToken;
    archive::Health state{true, {}};
    int completed = 0;
    std::string asked_study;  // by the last begin_instance
    archive::Requester last_who;
    std::uint64_t corrupt_from = UINT64_MAX;

    void put(const std::string& study, const std::string& series, const std::string& sop, const std::string& data) {
        files.push_back({study, series, sop, study + "|" + series + "|" + sop + "|" + data});
    }

    Result<archive::Requester> authenticate(std::string_view bearer_token) override {
        if (bearer_token != token) return fail(ErrorCode::unauthenticated, "an unknown token");
        return archive::Requester{};
    }
    ShapeReception desk;
    archive::Reception& reception() override { return desk; }
    Result<std::string> name_of_person(const archive::Requester&) override { return std::string("ada \"A\" <l>"); }
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
    Result<std::unique_ptr<archive::QueryAnswer>> query(const archive::Requester& who, const archive::Query& query) override {
        last_who = who;
        auto out = std::make_unique<List>();
        for (const auto& key : query.keys) {
            if (key.tag == dicom::tags::kStudyDate && key.value == "today")
                return fail(ErrorCode::malformed, "StudyDate: wanted is a date");
            if (key.tag == dicom::tags::kPatientId && key.value == "away") return fail(ErrorCode::unavailable, "the node is away");
            if (key.tag == dicom::tags::kPatientId && key.value == "none") return out;
            if (key.tag == dicom::tags::kModality && query.level == dicom::QueryLevel::study) out->ignored_.push_back(key.tag);
        }
        for (const auto& file : files) {
            dicom::Attributes row;
            row.set(dicom::tags::kPatientName, {"Doe^Jane=山田"});
            row.set(dicom::tags::kStudyInstanceUid, {file.study});
            row.set(dicom::tags::kSeriesInstanceUid, {file.series});
            row.set(dicom::tags::kSopInstanceUid, {file.sop});
            row.set(dicom::tags::kStudyRelatedInstances, {"3"});
            out->rows.push_back(row);
        }
        out->rows.erase(out->rows.begin(), out->rows.begin() + static_cast<std::ptrdiff_t>(query.offset));
        return out;
    }
    Result<std::unique_ptr<archive::MetadataLook>> metadata(const archive::Requester& who, const archive::Selector& what) override {
        FID_TRY(auto found, retrieve(who, what));
        auto out = std::make_unique<Documents>(corrupt_from == 1);
        for (const auto& file : files) {
            if (file.study == what.study_uid) out->files.push_back(file);
        }
        return out;
    }
    Result<std::unique_ptr<archive::ValueLook>> values(const archive::Requester& who, const archive::Selector& what) override {
        FID_TRY(auto found, retrieve(who, what));
        if (what.sop_uid == "1.2.2.1") return fail(ErrorCode::unsupported, "deflated");
        return std::make_unique<Parts>(corrupt_from);
    }
    Result<std::unique_ptr<archive::ImageLook>> images(const archive::Requester& who, const archive::Selector& what,
                                                       bool only_one) override {
        FID_TRY(auto found, retrieve(who, what));
        return std::make_unique<Images>(*this, only_one ? 1 : found->instance_count());
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
        return archive::OpenedEmergency{4'102'444'800, true};
    }
    Result<archive::Corrected> remove(const archive::Requester&, const archive::Selector& what,
                                      const archive::CorrectionGround& ground) override {
        removals.push_back(what.study_uid + " " + what.series_uid + " " + what.sop_uid + " " + ground.reason + ": " + ground.text);
        return archive::Corrected{1, 2, {}};
    }
    Result<archive::Corrected> put_back(const archive::Requester&, const archive::Selector&, const archive::CorrectionGround&) override {
        return archive::Corrected{1, 3, {}};
    }
    Result<archive::Corrected> correct_patient(const archive::Requester&, std::string_view, const archive::PatientCorrection& right,
                                               const archive::CorrectionGround&) override {
        return archive::Corrected{1, 2, {"now of " + right.patient_id.value}};
    }
    Result<archive::Corrected> take_correction_back(const archive::Requester&, std::string_view,
                                                    const archive::CorrectionGround&) override {
        return fail(ErrorCode::not_found, "nothing is corrected");
    }
    std::vector<std::string> removals;
    Result<std::string> describe_study(const archive::Requester&, std::string_view study_uid) override {
        return "{\"study\":\"" + std::string(study_uid) + "\"}";
    }
    archive::Worklist& worklist() override { std::abort(); }  // no test of the protocol's shape asks for it
    Result<archive::Delivery> request_commitment(const archive::Requester&, archive::CommitmentRequest) override {
        return fail(ErrorCode::unsupported, "not over HTTP");
    }
    Result<archive::CommitmentAnswer> answer_commitment(const archive::Delivery&) override {
        return fail(ErrorCode::unsupported, "not over HTTP");
    }
    Result<archive::Corrected> move(const archive::Requester&, const archive::Selector& what, std::string_view to_study,
                                    const archive::CorrectionGround& ground) override {
        return archive::Corrected{1, 2, {what.series_uid + ": " + ground.text}, to_study.empty() ? "1.77" : std::string(to_study)};
    }
    archive::Deliveries& deliveries() override { std::abort(); }  // not over HTTP
    Result<void> request_fetch(const archive::Requester&, std::string_view, const Uid&) override { std::abort(); }
    Result<void> administer(const archive::Requester&) override { return {}; }
    Result<std::string> kept(std::string_view) override { return std::string(); }
    Result<void> keep(std::string_view, const std::string&) override { return {}; }
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
        archive::RetrievedInstance listed(std::size_t index) const override {
            const auto& file = found[index];
            archive::RetrievedInstance out;
            out.study_uid = file.study;
            out.series_uid = file.series;
            out.sop_uid = file.sop;
            out.transfer_syntax_uid = kExplicit;
            out.prefix_size = 2;
            out.data_set_size = file.bytes.size() - 2;
            return out;
        }
        Result<std::optional<archive::RetrievedInstance>> next_instance() override {
            if (next == found.size()) return std::optional<archive::RetrievedInstance>();
            at = 0;
            return listed(next++);
        }
        Result<std::size_t> read(MutableByteView out) override {
            const auto& bytes = found[next - 1].bytes;
            const auto count = std::min({out.size(), bytes.size() - at, std::size_t{32'768}});
            if (at + count > archive.corrupt_from) return fail(ErrorCode::corrupt, "a chunk does not match");
            std::copy_n(bytes.begin() + static_cast<std::ptrdiff_t>(at), count, out.begin());
            at += count;
            return count;
        }
        void skip(std::uint64_t count) override { at += count; }
    };
    struct List final : archive::QueryAnswer {
        std::vector<dicom::Attributes> rows;
        std::vector<dicom::Tag> ignored_;
        std::size_t at = 0;
        Result<std::vector<dicom::Attributes>> next(std::size_t most) override {
            std::vector<dicom::Attributes> out;
            while (out.size() < most && at < rows.size()) out.push_back(rows[at++]);
            return out;
        }
        Result<bool> has_more() override { return at < rows.size(); }
        const std::vector<dicom::Tag>& ignored() const override { return ignored_; }
    };
    struct Documents final : archive::MetadataLook {
        explicit Documents(bool broken) : corrupt(broken) {}
        std::vector<File> files;
        bool corrupt;
        std::size_t at = 0;
        Result<std::optional<Document>> next() override {
            if (at == files.size()) return std::optional<Document>();
            if (corrupt) return fail(ErrorCode::corrupt, "not what was stored");
            const auto& file = files[at++];
            return Document{file.series, file.sop,
                            R"({"00080018":{"vr":"UI","Value":[")" + file.sop +
                                R"("]},"00104000":{"vr":"LT","Value":["\"BulkDataURI\":\"bulk/"]},)"
                                R"("7FE00010":{"vr":"OW","BulkDataURI":"bulk/7FE00010"}})"};
        }
    };
    /// Two frames of two bytes each, "AB" and "CD"; a value at bytes 1 and 2.
    struct Parts final : archive::ValueLook {
        explicit Parts(std::uint64_t bad) : corrupt_from(bad) {}
        std::uint64_t corrupt_from;
        std::string syntax = kExplicit, series = "1.2.1", sop = "1.2.1.1";
        const std::string& transfer_syntax_uid() const override { return syntax; }
        const std::string& series_uid() const override { return series; }
        const std::string& sop_uid() const override { return sop; }
        Result<std::string> header() override {
            return std::string(
                R"({"00280010":{"vr":"US","Value":[1]},"00280011":{"vr":"US","Value":[2]},"00280100":{"vr":"US","Value":[8]},)"
                R"("00280004":{"vr":"CS","Value":["MONOCHROME2"]},"00286010":{"vr":"US","Value":[2]}})");
        }
        Result<archive::ValuePlace> find(std::string_view path) override {
            if (path != "00880200/0/7FE00010") return fail(ErrorCode::not_found, "no such value");
            return archive::ValuePlace{1, 2};
        }
        Result<std::vector<archive::ValuePlace>> find_frame(std::uint64_t number) override {
            if (number > 2) return fail(ErrorCode::not_found, "there are 2 frames");
            return std::vector<archive::ValuePlace>{{2 * number - 2, 1}, {2 * number - 1, 1}};
        }
        Result<std::size_t> read(std::uint64_t offset, MutableByteView out) override {
            if (offset >= corrupt_from) return fail(ErrorCode::corrupt, "a chunk does not match");
            out[0] = "ABCD"[offset];
            return std::size_t{1};
        }
    };
    struct Images final : archive::ImageLook {
        Images(ShapeArchive& used, std::size_t images) : archive(used), left(images), count(images) {}
        ShapeArchive& archive;
        std::size_t left, count;
        std::size_t image_count() const override { return count; }
        Result<std::unique_ptr<archive::ValueLook>> next() override {
            if (left == 0) return std::unique_ptr<archive::ValueLook>();
            --left;
            return std::make_unique<Parts>(archive.corrupt_from);
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
        Result<void> complete() override { return fail(ErrorCode::internal, "nobody waits for it"); }
        void complete_soon() override { ++archive.completed; }
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

TEST_F(HttpGatewayTest, OnlyLivenessPagesWitnessAndLogInAreAnsweredWithoutAToken) {
    const std::set<std::string_view> open{
        "/healthz",   "/witness/add-checkpoint", "/", "/login", "/web/{rest}", "/app/{rest}", "/demo", "/ohif", "/ohif/{rest}",
        "/rpc/{rest}"};
    const std::set<std::string_view> ways_in{"/accounts",  "/session/password",       "/session/code",   "/links",
                                             "/links/use", "/session/wallet/message", "/session/wallet", "/session/reset"};
    EXPECT_EQ(ask("GET", "/healthz", {}, {}, false).status, 200u);
    for (const auto& route : impl::routes()) {
        const bool log_in_or_out = route.pattern == "/session" && route.method != "GET";
        if (ways_in.contains(route.pattern)) {
            EXPECT_EQ(ask(std::string(route.method), std::string(route.pattern), {}, "{}", false).status, 403u)
                << "not from a page of ours";
            continue;
        }
        if (open.contains(route.pattern) || log_in_or_out) {
            EXPECT_EQ(route.access, impl::Access::anonymous);
            continue;
        }
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

TEST_F(HttpGatewayTest, Ps318Section10_4RenderedImagesAndThumbnails) {
    const std::string instance = "/studies/1.2/series/1.2.1/instances/1.2.1.1";
    const auto one = get(instance + "/rendered", "image/png");
    EXPECT_EQ(one.status, 200u);
    EXPECT_EQ(one.headers.find("Content-Type").value_or(""), "image/png");
    EXPECT_EQ(one.headers.find("Content-Length").value_or(""), std::to_string(one.body.size()));
    EXPECT_TRUE(one.body.starts_with("\x89PNG"));
    EXPECT_EQ(one.body, get(instance + "/frames/2/rendered", "image/png").body) << "its representative frame";
    EXPECT_TRUE(get(instance + "/rendered").body.starts_with("\xff\xd8"));
    for (const char* path : {"/thumbnail", "/frames/1/thumbnail"})
        EXPECT_EQ(get(instance + path).headers.find("Content-Type"), "image/jpeg");
    for (const char* path : {"/studies/1.2/thumbnail", "/studies/1.2/series/1.2.1/thumbnail"}) EXPECT_EQ(get(path).status, 200u) << path;
    const auto all = get("/studies/1.2/rendered", "multipart/related; type=\"image/jpeg\"");
    EXPECT_EQ(all.status, 200u);
    EXPECT_TRUE(all.headers.find("Content-Type").value_or("").starts_with("multipart/related; type=\"image/jpeg\"; boundary="));
    std::size_t parts = 0;
    const std::string place = "Content-Location: /studies/1.2/series/1.2.1/instances/1.2.1.1/frames/2/rendered\r\n";
    for (auto at = all.body.find(place); at != std::string::npos; at = all.body.find(place, at + 1)) ++parts;
    EXPECT_EQ(parts, 3u);

    EXPECT_EQ(get("/studies/1.2/rendered", "image/jpeg").status, 406u);
    EXPECT_EQ(get(instance + "/rendered", "image/webp").status, 406u);
    EXPECT_EQ(get("/studies/1.2/series/1.2.3/rendered").status, 404u);
    EXPECT_EQ(get(instance + "/frames/3/rendered").status, 404u);
    EXPECT_EQ(get(instance + "/frames/0/rendered").status, 400u);
    EXPECT_EQ(get(instance + "/frames/1,2/thumbnail").status, 400u);
    EXPECT_EQ(get(instance + "/frames/1/nothing").status, 404u);
    EXPECT_EQ(get(instance + "/rendered?viewport=9999,1").status, 400u);
    EXPECT_EQ(get("/studies/1.9/rendered").status, 403u);
    archive_.corrupt_from = 1;
    EXPECT_EQ(get(instance + "/rendered").status, 500u);
}

/// What a browser holds, and says of itself.
class BrowserTest : public HttpGatewayTest {
protected:
    net::HttpClientAnswer browse(std::string method, std::string_view path, std::string site = "same-origin", std::string body = {},
                                 std::string origin = {}) {
        net::HeaderFields headers;
        if (!cookie_.empty()) headers.add("Cookie", "theme=dark; " + cookie_);
        if (!site.empty()) headers.add("Sec-Fetch-Site", std::move(site));
        if (!origin.empty()) headers.add("Origin", std::move(origin));
        if (!body.empty()) headers.add("Content-Type", "application/x-www-form-urlencoded");
        auto answer = ask(std::move(method), path, std::move(headers), std::move(body), false);
        const std::string set(answer.headers.find("Set-Cookie").value_or(""));
        if (!set.empty()) cookie_ = set.substr(0, set.find(';'));
        return answer;
    }
    net::HttpClientAnswer log_in(const std::string& token = kToken, std::string site = "same-origin") {
        return browse("POST", "/session", std::move(site), "purpose=research&token=" + token);
    }

    std::string cookie_;
};

TEST_F(BrowserTest, ASessionOpensWhatItsTokenOpensUntilTheLogOut) {
    EXPECT_EQ(browse("GET", "/studies/1.2").status, 401u);
    const auto answer = log_in();
    EXPECT_EQ(answer.status, 204u);
    const std::string set(answer.headers.find("Set-Cookie").value_or(""));
    EXPECT_TRUE(set.starts_with("fiducial=")) << set;
    for (const char* wanted : {"; HttpOnly", "; Secure", "; SameSite=Strict", "; Path=/"})
        EXPECT_NE(set.find(wanted), std::string::npos) << set;
    EXPECT_EQ(set.find(kToken), std::string::npos);
    EXPECT_EQ(parts_of(browse("GET", "/studies/1.2")).size(), 3u);
    EXPECT_EQ(archive_.last_who.purpose, archive::Purpose::research);
    const auto session = boost::json::parse(browse("GET", "/session").body);
    EXPECT_EQ(session.at("person").as_string(), "ada \"A\" <l>");
    EXPECT_EQ(session.at("purpose").as_string(), "research");
    EXPECT_EQ(session.at("idleSeconds").to_number<int>(), 1800);
    EXPECT_FALSE(session.at("viewer").as_bool());
    const auto former = cookie_;
    EXPECT_EQ(browse("DELETE", "/session").status, 204u);
    EXPECT_EQ(cookie_, "fiducial=");
    cookie_ = former;
    EXPECT_EQ(browse("GET", "/studies/1.2").status, 401u);
}

TEST_F(BrowserTest, OtherSitesCannotUseASession) {
    for (const char* site : {"cross-site", "same-site", "none"}) EXPECT_EQ(log_in(kToken, site).status, 403u) << site;
    ASSERT_EQ(log_in().status, 204u);
    for (const char* site : {"cross-site", "same-site"}) EXPECT_EQ(code_of(browse("GET", "/studies/1.2", site)), "denied") << site;
    EXPECT_EQ(browse("GET", "/studies/1.2", "none").status, 200u);  // typed by the person
    for (const char* site : {"cross-site", "same-site", "none"}) {
        EXPECT_EQ(browse("POST", "/studies", site, "x").status, 403u) << site;
        EXPECT_EQ(browse("DELETE", "/session", site).status, 403u) << site;
    }
    // A browser that says nothing of the site says the origin with each change.
    EXPECT_EQ(browse("POST", "/studies/1.2/emergency", "", R"({"reason":"other","text":"t"})").status, 403u);
    EXPECT_EQ(browse("POST", "/studies/1.2/emergency", "", R"({"reason":"other","text":"t"})", "http://evil.example").status, 403u);
    EXPECT_EQ(browse("POST", "/studies/1.2/emergency", "", R"({"reason":"other","text":"t"})", gateway_->url()).status, 201u);
    EXPECT_EQ(browse("GET", "/studies/1.2", "").status, 200u);
}

TEST_F(BrowserTest, WhereTheGlassWasBrokenTheStudyIsLookedAtInAnEmergency) {
    const auto ground = R"({"reason":"other","text":"night"})";
    const auto asked_for = [&](const std::string& path) {
        EXPECT_EQ(browse("GET", path).status, 200u) << path;
        return archive_.last_who.purpose;
    };
    ASSERT_EQ(browse("POST", "/session", "same-origin", std::string("token=") + kToken).status, 204u);
    EXPECT_EQ(asked_for("/studies/1.2"), archive::Purpose::treatment);
    EXPECT_EQ(browse("POST", "/studies/1.9/emergency", "same-origin", ground).status, 403u);
    ASSERT_EQ(browse("POST", "/studies/1.2/emergency", "same-origin", ground).status, 201u);
    // As the viewer asks, which sends no header of ours; and of no other study.
    for (const char* path : {"/studies/1.2", "/studies/1.2/series", "/studies?StudyInstanceUID=1.2", "/studies?0020000D=1.2"})
        EXPECT_EQ(asked_for(path), archive::Purpose::emergency) << path;
    for (const char* path : {"/studies", "/studies?StudyInstanceUID=1.20", "/studies?PatientID=1.2"})
        EXPECT_EQ(asked_for(path), archive::Purpose::treatment) << path;
    EXPECT_EQ(browse("GET", "/studies/1.9").status, 403u);
    EXPECT_EQ(archive_.last_who.purpose, archive::Purpose::treatment);
    // What changes something is not; and another session knows nothing of it.
    EXPECT_EQ(browse("POST", "/studies/1.2/emergency", "same-origin", ground).status, 201u);
    EXPECT_EQ(archive_.last_who.purpose, archive::Purpose::treatment);
    ASSERT_EQ(log_in().status, 204u);
    EXPECT_EQ(asked_for("/studies/1.2"), archive::Purpose::research);
    ASSERT_EQ(browse("POST", "/studies/1.2/emergency", "same-origin", ground).status, 201u);
    EXPECT_EQ(asked_for("/studies/1.2"), archive::Purpose::emergency);
    EXPECT_EQ(asked_for("/studies"), archive::Purpose::research);
}

TEST_F(BrowserTest, ATokenThatIsTakenBackEndsItsSession) {
    ASSERT_EQ(log_in().status, 204u);
    archive_.token = "another";
    EXPECT_EQ(browse("GET", "/studies/1.2").status, 401u);
}

TEST_F(BrowserTest, TooManyFailedLogInsWait) {
    EXPECT_EQ(code_of(browse("POST", "/session", "same-origin", "purpose=research")), "malformed");
    EXPECT_EQ(browse("POST", "/session", "same-origin", "token=x&purpose=fun").status, 400u);
    for (int i = 0; i < 10; ++i) EXPECT_EQ(log_in("wrong").status, 401u) << i;
    const auto answer = log_in();
    EXPECT_EQ(answer.status, 429u);
    EXPECT_EQ(answer.headers.find("Retry-After").value_or(""), "60");
    EXPECT_TRUE(cookie_.empty());
}

TEST_F(BrowserTest, PagesRunOurScriptsOnlyAndStandInNoFrame) {
    for (const char* path : {"/", "/login"}) {
        const auto page = browse("GET", path, "none");
        EXPECT_EQ(page.status, 200u);
        EXPECT_EQ(page.headers.find("Content-Type").value_or(""), "text/html; charset=utf-8");
        const std::string policy(page.headers.find("Content-Security-Policy").value_or(""));
        EXPECT_NE(policy.find("script-src 'self';"), std::string::npos);
        EXPECT_NE(policy.find("frame-ancestors 'none'"), std::string::npos);
        EXPECT_EQ(policy.find("unsafe"), std::string::npos);
        EXPECT_EQ(page.headers.find("Cross-Origin-Opener-Policy").value_or(""), "same-origin");
        EXPECT_EQ(page.headers.find("Cross-Origin-Embedder-Policy").value_or(""), "require-corp");
        net::HeaderFields known;
        known.add("If-None-Match", std::string(page.headers.find("ETag").value_or("none")));
        EXPECT_EQ(ask("GET", path, std::move(known), {}, false).status, 304u);
    }
    EXPECT_EQ(browse("GET", "/web/nothing.js").status, 404u);
    EXPECT_EQ(browse("GET", "/ohif/viewer").status, 404u);
    EXPECT_EQ(get("/healthz").headers.find("Content-Security-Policy").value_or(""), "default-src 'none'; frame-ancestors 'none'");
}

TEST_F(HttpGatewayTest, Rfc9110UnknownPathsMethodsAndUids) {
    EXPECT_EQ(code_of(get("/nothing/here")), "not_found");
    const auto method = ask("PUT", "/studies/1.2");
    EXPECT_EQ(method.status, 405u);
    EXPECT_EQ(method.headers.find("Allow").value_or(""), "GET, HEAD, POST, DELETE");
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

TEST_F(HttpGatewayTest, Rfc9110PartsOfOneFile) {
    const std::string path = "/studies/1.2/series/1.2.1/instances/1.2.1.2";
    const auto whole = get(path, "application/dicom");
    ASSERT_EQ(whole.status, 200u);
    const std::string tag(whole.headers.find("ETag").value_or(""));
    ASSERT_EQ(tag.size(), 66u);
    const auto with = [&](std::string name, std::string value, std::string range = {}) {
        net::HeaderFields headers;
        headers.add("Accept", "application/dicom");
        headers.add(std::move(name), std::move(value));
        if (!range.empty()) headers.add("Range", std::move(range));
        return ask("GET", path, std::move(headers));
    };
    const auto size = std::to_string(whole.body.size());
    const auto middle = with("Range", "bytes=400000-1000000");
    EXPECT_EQ(middle.status, 206u);
    EXPECT_EQ(middle.headers.find("Content-Range"), "bytes 400000-1000000/" + size);
    EXPECT_EQ(middle.body, whole.body.substr(400'000, 600'001));
    EXPECT_EQ(with("Range", "bytes=-10").body, whole.body.substr(whole.body.size() - 10));
    const auto beyond = with("Range", "bytes=9000000-");
    EXPECT_EQ(beyond.status, 416u);
    EXPECT_EQ(beyond.headers.find("Content-Range"), "bytes */" + size);
    for (const auto* passed : {"bytes=0-1,5-6", "lines=1-2", "bytes=x"}) EXPECT_EQ(with("Range", passed).body, whole.body) << passed;
    EXPECT_EQ(with("If-None-Match", "\"other\", " + tag).status, 304u);
    EXPECT_EQ(with("If-None-Match", "\"other\"").status, 200u);
    EXPECT_EQ(with("If-Range", tag, "bytes=0-9").status, 206u);
    EXPECT_EQ(with("If-Range", "\"other\"", "bytes=0-9").status, 200u);
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
    EXPECT_EQ(opened.body, R"({"until":"2100-01-01T00:00:00.000Z","nodeAway":true})");
    EXPECT_EQ(open("/studies/1.9/emergency", R"({"reason":"other","text":"night"})").status, 403u);
    EXPECT_EQ(open("/studies/1.2/emergency", R"({"reason":"other"})").status, 400u);
    for (const char* body : {"", "x", "[]", "{}", R"({"reason":1})"}) EXPECT_EQ(open("/studies/1.2/emergency", body).status, 400u) << body;
    EXPECT_EQ(open("/studies/1.2/emergency", std::string(5000, ' ').c_str()).status, 413u);
}

TEST_F(HttpGatewayTest, WhatIsTakenOutSaysWhyInTheBodyOrTheHeader) {
    const auto removed = ask("DELETE", "/studies/1.2/series/1.2.1", {}, R"({"reason":"quality","text":"blurred"})");
    EXPECT_EQ(removed.status, 200u);
    EXPECT_EQ(removed.body, R"({"instances":1,"version":2,"remarks":[]})");
    net::HeaderFields headers;
    headers.add("Fiducial-Reason", "worklist: wrong entry: the next one");
    EXPECT_EQ(ask("DELETE", "/studies/1.2/series/1.2.1/instances/1.2.1.1", std::move(headers)).status, 200u);
    EXPECT_EQ(archive_.removals,
              (std::vector<std::string>{"1.2 1.2.1  quality: blurred", "1.2 1.2.1 1.2.1.1 worklist: wrong entry: the next one"}));
    for (const char* body : {"", "x", "[]"}) EXPECT_EQ(ask("DELETE", "/studies/1.2", {}, body).status, 400u) << body;
    EXPECT_EQ(ask("DELETE", "/studies/1.2", {}, std::string(20'000, ' ')).status, 413u);
    EXPECT_EQ(ask("POST", "/studies/1.2/put-back", {}, R"({"text":"it was right"})").status, 200u);
    const auto corrected = ask("PUT", "/studies/1.2/patient", {}, R"({"patientId":"4711","text":"the line above"})");
    EXPECT_EQ(corrected.body, R"({"instances":1,"version":2,"remarks":["now of 4711"]})");
    EXPECT_EQ(ask("DELETE", "/studies/1.2/patient", {}, R"({"text":"again"})").status, 404u);
    EXPECT_EQ(archive_.removals.size(), 2u);
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

TEST_F(HttpGatewayTest, Ps318Section10_6ListsAsJson) {
    const auto answer = get("/studies?PatientName=doe*");
    ASSERT_EQ(answer.status, 200u);
    EXPECT_EQ(answer.headers.find("Content-Type"), "application/dicom+json");
    EXPECT_FALSE(answer.headers.find("Warning"));
    const auto list = boost::json::parse(answer.body).as_array();
    ASSERT_EQ(list.size(), 3u);
    const auto& first = list[0].as_object();
    EXPECT_EQ(boost::json::serialize(first.at("00100010")), R"({"vr":"PN","Value":[{"Alphabetic":"Doe^Jane","Ideographic":"山田"}]})");
    EXPECT_EQ(boost::json::serialize(first.at("00201208")), R"({"vr":"IS","Value":[3]})");
    EXPECT_EQ(boost::json::serialize(first.at("00081190")), R"({"vr":"UR","Value":[")" + gateway_->url() + R"(/studies/1.2"]})");
    EXPECT_EQ(boost::json::serialize(first.at("00080020")), R"({"vr":"DA"})");
    for (const auto* path :
         {"/series", "/instances", "/studies/1.2/series", "/studies/1.2/instances", "/studies/1.2/series/1.2.1/instances"})
        EXPECT_EQ(get(path).status, 200u) << path;
    const auto instance = boost::json::parse(get("/studies/1.2/series/1.2.1/instances").body).at(0).at("00081190");
    EXPECT_EQ(instance.at("Value").at(0).as_string(), gateway_->url() + "/studies/1.2/series/1.2.1/instances/1.2.1.1");
}

TEST_F(HttpGatewayTest, ListsComeCompressedToWhoTakesThat) {
    net::HeaderFields headers;
    headers.add("Accept-Encoding", "gzip");
    const auto answer = ask("GET", "/studies", headers);
    EXPECT_EQ(answer.headers.find("Content-Encoding"), "gzip");
    EXPECT_TRUE(answer.body.starts_with("\x1f\x8b")) << "a client that does not undo it";
    EXPECT_FALSE(get("/studies").headers.find("Content-Encoding"));
}

TEST_F(HttpGatewayTest, Ps318Section10_6PagesAndWarnings) {
    const auto part = get("/instances?limit=2&offset=0");
    EXPECT_EQ(boost::json::parse(part.body).as_array().size(), 2u);
    EXPECT_EQ(part.headers.find("Warning"), "299 " + gateway_->url() + " \"There are additional results that can be requested.\"");
    const auto rest = get("/instances?limit=2&offset=2");
    EXPECT_EQ(boost::json::parse(rest.body).as_array().size(), 1u);
    EXPECT_FALSE(rest.headers.find("Warning"));
    const auto ignored = get("/studies?Modality=CT&Nonsense=1");
    EXPECT_EQ(ignored.headers.find("Warning"),
              "299 " + gateway_->url() + " \"Not supported for matching at this level and ignored: Nonsense, Modality\"");
    const auto nothing = get("/studies?PatientID=none");
    EXPECT_EQ(nothing.status, 204u);
    EXPECT_TRUE(nothing.body.empty());
}

TEST_F(HttpGatewayTest, Ps318Section10_6RefusalsNameTheParameter) {
    const auto refused = [&](std::string_view path, unsigned status, std::string_view word, std::string accept = {}) {
        const auto answer = get(path, std::move(accept));
        EXPECT_EQ(answer.status, status) << path;
        EXPECT_EQ(answer.headers.find("Content-Type"), "application/problem+json") << path;
        EXPECT_NE(answer.body.find(word), std::string::npos) << answer.body;
    };
    refused("/studies?StudyDate=today", 400, "StudyDate");
    refused("/studies?limit=many", 400, "limit");
    refused("/studies/x/series", 400, "UID");
    refused("/studies", 406, "dicom+json", "text/html");
    refused("/studies?PatientID=away", 503, "");
    EXPECT_EQ(ask("GET", "/studies", {}, {}, false).status, 401u);
    EXPECT_EQ(ask("HEAD", "/studies").status, 200u);
}

TEST_F(HttpGatewayTest, Ps319AnnexAListsAsXml) {
    const auto answer = get("/studies?limit=1", "multipart/related; type=\"application/dicom+xml\"");
    ASSERT_EQ(answer.status, 200u);
    EXPECT_NE(answer.headers.find("Content-Type")->find("type=\"application/dicom+xml\""), std::string_view::npos);
    EXPECT_NE(answer.body.find("<DicomAttribute tag=\"00100010\" vr=\"PN\" keyword=\"PatientName\"><PersonName number=\"1\"><Alphabetic>"
                               "<FamilyName>Doe</FamilyName><GivenName>Jane</GivenName></Alphabetic><Ideographic><FamilyName>山田"
                               "</FamilyName></Ideographic></PersonName></DicomAttribute>"),
              std::string::npos)
        << answer.body;
}

TEST_F(HttpGatewayTest, Ps318Section10_4_1_1_2MetadataWithAddressesOfBulkData) {
    const auto answer = get("/studies/1.2/metadata");
    ASSERT_EQ(answer.status, 200u) << answer.body;
    EXPECT_EQ(answer.headers.find("Content-Type"), "application/dicom+json");
    const auto list = boost::json::parse(answer.body).as_array();
    ASSERT_EQ(list.size(), 3u);
    EXPECT_EQ(list[0].at("7FE00010").at("BulkDataURI").as_string(),
              gateway_->url() + "/studies/1.2/series/1.2.1/instances/1.2.1.1/bulkdata/7FE00010");
    EXPECT_EQ(list[0].at("00104000").at("Value").at(0).as_string(), "\"BulkDataURI\":\"bulk/") << "a text that looks like one";
    EXPECT_EQ(get("/studies/1.2/series/1.2.1/metadata").status, 200u);
    EXPECT_EQ(get("/studies/1.2/series/1.2.1/instances/1.2.1.1/metadata").status, 200u);
    EXPECT_EQ(get("/studies/1.9/metadata").status, 403u);
    EXPECT_EQ(get("/studies/1.7/metadata").status, 404u);
    EXPECT_EQ(get("/studies/1.2/metadata", "image/jpeg").status, 406u);
    archive_.corrupt_from = 1;
    EXPECT_EQ(get("/studies/1.2/metadata").status, 500u);
}

TEST_F(HttpGatewayTest, Ps318Section10_4_1_1_6FramesAndValues) {
    const std::string instance = "/studies/1.2/series/1.2.1/instances/1.2.1.1";
    const std::string octets = "application/octet-stream";
    EXPECT_EQ(get(instance + "/frames/2", octets).body, "CD");
    EXPECT_EQ(get(instance + "/frames/2", octets).headers.find("Content-Length"), "2");
    const auto both = get(instance + "/frames/2,1");
    EXPECT_NE(both.body.find("\r\n\r\nCD\r\n"), std::string::npos) << both.body;
    EXPECT_LT(both.body.find("\r\n\r\nCD\r\n"), both.body.find("\r\n\r\nAB\r\n"));
    EXPECT_EQ(get(instance + "/frames/1,2", octets).status, 406u) << "two parts are no single one";
    EXPECT_EQ(get(instance + "/bulkdata/00880200/0/7FE00010", octets).body, "BC");
    EXPECT_EQ(get(instance + "/bulkdata/00880200/1/7FE00010").status, 404u);
    EXPECT_EQ(get(instance + "/bulkdata").status, 404u);
    for (const auto* none : {"3", "1/2"}) EXPECT_EQ(get(instance + "/frames/" + none).status, 404u) << none;
    for (const auto* bad : {"0", "x", "1,", "99999999999999999999"}) EXPECT_EQ(get(instance + "/frames/" + bad).status, 400u) << bad;
    const auto refused = get(instance + "/frames/1", "image/jpeg");
    EXPECT_EQ(refused.status, 406u);
    EXPECT_NE(refused.body.find("1.2.840.10008.1.2.1"), std::string::npos) << "says what is stored";
    EXPECT_EQ(get("/studies/1.2/series/1.2.2/instances/1.2.2.1/frames/1").status, 406u);
    EXPECT_EQ(get("/studies/1.9/series/1.9/instances/1.9/frames/1").status, 403u);
    archive_.corrupt_from = 0;
    EXPECT_EQ(get(instance + "/frames/1").status, 500u);
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
    EXPECT_EQ(post("multipart/related; type=\"application/pdf\"; boundary=B", "x").status, 415u);
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
