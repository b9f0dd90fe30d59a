#include "app/demo.hpp"

#include <algorithm>
#include <boost/json.hpp>
#include <cstdio>
#include <fstream>

#include "app/commands.hpp"
#include "app/samples/sample_files.hpp"
#include "app/serve.hpp"
#include "app/shown.hpp"
#include "app/terminal.hpp"
#include "base/file.hpp"
#include "base/hex.hpp"
#include "crypto/hash.hpp"
#include "evidence/file_fingerprint.hpp"
#include "evidence/verifier.hpp"

namespace fiducial::app {
namespace {

namespace fs = std::filesystem;
namespace json = boost::json;
constexpr std::uint64_t kSampleSeed = 20240229;
/// Whom a visitor to the served demo may be.
constexpr std::pair<const char*, const char*> kPeople[] = {
    {"demo-doctor", "doctor"},
    {"demo-technologist", "technologist"},
    {"demo-privacy-officer", "privacy-officer"},
    {"demo-administrator", "administrator"},
};
constexpr std::uint64_t kMaxSample = std::uint64_t{64} << 20;

/// What the tour says: as it goes for people, all at the end for --json.
struct Telling {
    bool as_json = false;
    json::array steps;
};

/// One step of the tour: says what it is about, then what came of it and how long it took.
class Step {
public:
    Step(Telling& telling, const char* title) : telling_(telling), title_(title), begun_(std::chrono::steady_clock::now()) {
        put("\n" + strong(title));
    }
    ~Step() {
        const auto took = std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - begun_);
        put("  " + faint(human_time(took)));
        if (telling_.as_json) telling_.steps.push_back({{"step", title_}, {"said", std::move(lines_)}, {"milliseconds", took.count()}});
    }
    template <typename... Values>
    void say(const char* format, Values... values) {
        std::string line(static_cast<std::size_t>(std::snprintf(nullptr, 0, format, values...)) + 1, '\0');
        std::snprintf(line.data(), line.size(), format, values...);
        line.pop_back();
        put("  " + line);
        lines_.emplace_back(std::move(line));
    }

private:
    void put(const std::string& line) const {
        if (telling_.as_json) return;
        std::puts(line.c_str());
        std::fflush(stdout);  // in its place among what goes to standard error
    }
    Telling& telling_;
    const char* const title_;
    const std::chrono::steady_clock::time_point begun_;
    json::array lines_;
};

Result<void> write_samples(Telling& telling, const fs::path& folder) {
    Step step(telling, "1  Sample exams");
    FID_TRY(const auto drawn, draw_samples(folder));
    step.say("%zu images of %zu people, %s, in %s", drawn.files, samples::sample_people().size(), human_bytes(drawn.bytes).c_str(),
             folder.c_str());
    if (drawn.drawn < drawn.files) step.say("(%zu of them were there already)", drawn.files - drawn.drawn);
    return {};
}

Result<void> make_site(Telling& telling, const Globals& globals, const fs::path& passphrase_file) {
    const auto facts = archive::Site::read_facts(globals.site);
    if (facts && !facts->demo)
        return fail(ErrorCode::conflict, globals.site.string() + " is a real site: the demo, which damages an image, leaves it alone");
    if (facts) return {};
    if (facts.error().code != ErrorCode::not_found) return fail(facts.error());
    Step step(telling, "0  A site of its own");
    const auto random = to_hex(crypto::random_bytes32());
    FID_CHECK(write_file_atomically(passphrase_file, as_bytes(random)));
    archive::InitOptions options;
    options.folder = globals.site;
    options.name = "Fiducial demo";
    options.demo = true;
    options.stop = &stop_requested();
    FID_TRY(const auto report, archive::init_site(options, crypto::Secret::copy_of(as_bytes(random))));
    for (const auto& line : report.steps) step.say("%s %s", good("✓").c_str(), line.c_str());
    return {};
}

/// What a visitor to the served demo needs.
struct Visit {
    std::vector<gateway::DemoDoor::Person> people;  // the doctor first
    std::string record, image, evidence;            // paths of the door for HTTP
    fs::path trust_file;
};

class Tour {
public:
    Tour(Telling& telling, archive::Service& service, fs::path folder) : telling_(telling), service_(service), folder_(std::move(folder)) {}

    Result<bool> run(const fs::path& samples) {
        FID_CHECK(import(samples));
        FID_CHECK(settle());
        FID_CHECK(verify_all());
        FID_CHECK(damage());
        FID_CHECK(evidence());
        return all_well_;
    }

    /// People for those who want to try: the operator that commands act for is no clinician.
    Result<Visit> invite() {
        FID_TRY(const auto known, ask("person list", {}));
        const auto& list = known.at("people").get_array();
        std::vector<gateway::DemoDoor::Person> people;
        for (const auto& [name, roles] : kPeople) {
            const auto is_this = [&](const json::value& one) { return shown::text(one.get_object(), "name") == name; };
            if (std::none_of(list.begin(), list.end(), is_this)) FID_CHECK(ask("person add", {{"name", name}, {"roles", roles}}));
            FID_TRY(const auto token, ask("token", {{"person", name}, {"days", 1}, {"note", "demo"}}));
            people.push_back({name, roles, shown::text(token, "token")});
        }
        const auto instance = "/studies/" + study_ + "/series/" + series_ + "/instances/" + instance_;
        return Visit{std::move(people), "/studies/" + study_ + "/record", instance, instance + "/evidence", folder_ / "trust.json"};
    }

private:
    Result<json::object> ask(std::string_view operation, const json::object& arguments) {
        return service_.operate(
            operation, arguments, [](const json::object&) {}, stop_requested());
    }
    void expect(bool condition, Step& step, const char* what) {
        if (condition) return;
        all_well_ = false;
        step.say("%s %s", bad("✗ not as it should be:").c_str(), what);
    }

    Result<void> import(const fs::path& samples) {
        Step step(telling_, "2  Import: hashed, encrypted, stored");
        FID_TRY(const auto report, ask("import", {{"paths", json::array{json::value(samples.string())}}}));
        step.say(
            "%llu stored, %llu already there, %llu refused (%s, %s/s)", shown::count(report, "stored"), shown::count(report, "duplicates"),
            shown::count(report, "refused"), human_bytes(shown::number(report, "bytes")).c_str(),
            human_bytes(shown::number(report, "bytes") * 1000 / std::max<std::uint64_t>(1, shown::number(report, "milliseconds"))).c_str());
        expect(shown::number(report, "refused") == 0, step, "a sample was refused");
        return {};
    }

    Result<void> settle() {
        Step step(telling_, "3  Anchor: the fingerprints settle on the ledger");
        FID_TRY(const auto answer, ask("wait", {{"seconds", 120}}));
        expect(answer.at("settled").get_bool(), step, "not everything is settled");
        FID_TRY(const auto status, ask("ledger status", {}));
        step.say("%s, chain id %llu", shown::text(status, "ledger").c_str(), shown::count(status, "chainId"));
        step.say("settled up to block %llu; contract Studies at %s", shown::count(status, "settled"),
                 shown::text(status.at("contracts").get_object(), "Studies").c_str());
        return {};
    }

    Result<void> verify_all() {
        Step step(telling_, "4  Retrieve: decided by contract, decrypted, every byte checked against its anchor");
        FID_TRY(const auto answer, ask("verify", {{"all", true}}));
        const auto& damaged = answer.at("damaged").get_array();
        step.say("%llu images of %llu studies, %s: %s", shown::count(answer, "objects"), shown::count(answer, "studies"),
                 human_bytes(shown::number(answer, "bytes")).c_str(),
                 damaged.empty() ? good("every byte is what was anchored").c_str() : bad("damaged").c_str());
        expect(damaged.empty(), step, "something is damaged");
        expect(shown::number(answer, "settled") == shown::number(answer, "studies"), step, "a study is not settled");
        FID_TRY(const auto list, ask("list", {{"limit", 1}}));
        study_ = shown::text(list.at("studies").get_array().at(0).get_object(), "studyInstanceUid");
        FID_TRY(const auto study, ask("show", {{"study", study_}}));
        const auto& first = study.at("objects").get_array().at(0).get_object();
        instance_ = shown::text(first, "sopInstanceUid");
        object_ = shown::text(first, "objectId");
        series_ = shown::text(first, "seriesInstanceUid");
        return {};
    }

    Result<void> damage() {
        Step step(telling_, "5  Flip one bit on the disk");
        FID_TRY(const auto flipped, ask("demo flip", {{"object", object_}}));
        step.say("flipped one bit of image %s", instance_.c_str());
        step.say("in %s at byte %llu", shown::text(flipped, "file").c_str(), shown::count(flipped, "offset"));
        FID_TRY(const auto answer, ask("verify", {{"instance", instance_}}));
        const auto& damaged = answer.at("damaged").get_array();
        expect(damaged.size() == 1, step, "the damage was not noticed");
        if (!damaged.empty()) step.say("%s %s", good("caught:").c_str(), shown::text(damaged.at(0).get_object(), "reason").c_str());
        FID_TRY(const auto quarantine, ask("quarantine list", {}));
        bool listed = false;
        for (const auto& item : quarantine.at("quarantined").get_array())
            listed = listed || shown::text(item.get_object(), "objectId") == object_;
        expect(listed, step, "the damaged image is not in quarantine");
        step.say("named and quarantined: it is not served to anyone");
        FID_CHECK(ask("demo flip", {{"object", object_}}));
        FID_CHECK(ask("quarantine restore", {{"object", object_}}));
        FID_TRY(const auto again, ask("verify", {{"instance", instance_}}));
        expect(again.at("damaged").get_array().empty(), step, "it could not be restored");
        step.say("flipped back, checked, and restored");
        return {};
    }

    Result<void> evidence() {
        Step step(telling_, "6  Evidence: anyone can check the image offline");
        FID_TRY(const auto answer, ask("evidence", {{"study", study_}, {"instance", instance_}}));
        const auto bundle = shown::text(answer, "bundle"), trust = shown::text(answer, "trustFile");
        FID_CHECK(ask("export", {{"studies", json::array{json::value(study_)}}, {"to", folder_.string()}}));
        const auto image = folder_ / study_ / series_ / (instance_ + ".dcm");
        const auto bundle_file = folder_ / "evidence.json", trust_file = folder_ / "trust.json";
        FID_CHECK(write_file_atomically(bundle_file, as_bytes(bundle)));
        FID_CHECK(write_file_atomically(trust_file, as_bytes(trust)));
        FID_TRY(const auto bytes, read_file(image, kMaxSample));
        evidence::FileFingerprinter fingerprinter;
        fingerprinter.update(bytes);
        const auto report = evidence::verify(bundle, trust, fingerprinter.finish());
        step.say("%s", report.summary.c_str());
        for (const auto& statement : report.statements) {
            const bool established = statement.state == evidence::StatementState::established;
            step.say("%s %s", established ? good("✓").c_str() : bad("–").c_str(), statement.text.c_str());
        }
        expect(report.verdict == evidence::Verdict::verified, step, "the evidence does not verify");
        auto altered = bytes;
        altered.back() ^= 1;
        evidence::FileFingerprinter other;
        other.update(altered);
        const auto refused = evidence::verify(bundle, trust, other.finish());
        expect(refused.verdict == evidence::Verdict::mismatch, step, "an altered copy passed");
        step.say("an altered copy of the same image: %s", refused.summary.c_str());
        step.say("try it:  fiducial-verify %s --trust %s %s", bundle_file.c_str(), trust_file.c_str(), image.c_str());
        return {};
    }

    Telling& telling_;
    archive::Service& service_;
    const fs::path folder_;
    std::string study_, series_, instance_, object_;
    bool all_well_ = true;
};

}  // namespace

Result<DrawnSamples> draw_samples(const fs::path& folder) {
    DrawnSamples out;
    for (const auto& file : samples::plan_sample_files()) {
        if (stop_requested().load()) return fail(ErrorCode::cancelled, "interrupted");
        const auto path = folder / file.path;
        std::error_code ec;
        out.files += 1;
        if (fs::exists(path, ec)) {
            out.bytes += fs::file_size(path, ec);
            continue;
        }
        fs::create_directories(path.parent_path(), ec);
        const auto content = samples::make_sample_file(file, kSampleSeed);
        FID_CHECK(write_file_atomically(path, content));
        out.bytes += content.size();
        out.drawn += 1;
    }
    return out;
}

namespace {

void print_visit(const Visit& visit, const std::string& url, const fs::path& folder) {
    const auto at = [&](const std::string& path) { return "curl -fsS -H \"Authorization: Bearer $TOKEN\" " + url + path; };
    const auto image = (folder / "fetched.dcm").string(), evidence = (folder / "fetched.evidence.json").string();
    std::printf(
        "\nThe archive runs at %s: open it in a browser. Or in another terminal, as the doctor this token was made for (good for a "
        "day):\n\n",
        strong(url).c_str());
    std::printf("  TOKEN=%s\n", visit.people.front().token.c_str());
    std::printf("  %s\n", at(visit.record).c_str());
    std::printf("  %s -H 'Accept: application/dicom' -o %s\n", at(visit.image).c_str(), image.c_str());
    std::printf("  %s -o %s\n", at(visit.evidence).c_str(), evidence.c_str());
    std::printf("  fiducial-verify %s --trust %s %s\n", evidence.c_str(), visit.trust_file.c_str(), image.c_str());
    std::printf("\nCtrl-C stops it. To start it again: fiducial demo --serve, or with its passphrase file: fiducial serve\n");
    std::fflush(stdout);
}

}  // namespace

Result<int> run_demo(const Globals& given, bool serve_afterwards) {
    const auto begun = std::chrono::steady_clock::now();
    Globals globals = given;
    auto passphrase_file = globals.site;
    passphrase_file += ".passphrase";
    auto samples_folder = globals.site, out_folder = globals.site;
    samples_folder += ".samples";
    out_folder += ".evidence";
    log::set_level(globals.verbose ? log::Level::debug : log::Level::error);
    std::error_code ec;
    fs::create_directories(fs::absolute(globals.site).parent_path(), ec);
    Telling telling{globals.json, {}};
    FID_CHECK(make_site(telling, globals, passphrase_file));
    if (globals.passphrase_file.empty()) globals.passphrase_file = passphrase_file;
    FID_CHECK(write_samples(telling, fs::absolute(samples_folder)));

    bool all_well = false;
    Visit visit;
    {
        FID_TRY(auto site, open_site(globals));
        FID_TRY(const auto service, archive::Service::open(std::move(site), archive::Service::Ledger::required));
        log::set_level(globals.verbose ? log::Level::debug : log::Level::error);
        Tour tour(telling, *service, fs::absolute(out_folder));
        FID_TRY(all_well, tour.run(fs::absolute(samples_folder)));
        if (all_well && serve_afterwards) {
            FID_TRY(visit, tour.invite());
        }
    }
    const auto took = std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - begun);
    if (globals.json) {
        print_json({{"ok", all_well},
                    {"site", globals.site.string()},
                    {"passphraseFile", passphrase_file.string()},
                    {"milliseconds", took.count()},
                    {"steps", std::move(telling.steps)}});
    } else {
        std::printf("\n%s in %s. The site lies in %s, its passphrase in %s.\n",
                    all_well ? good("All of it worked").c_str() : bad("Something was not as it should be").c_str(),
                    human_time(took).c_str(), globals.site.c_str(), passphrase_file.c_str());
    }
    if (!all_well) return 1;
    if (!serve_afterwards) return 0;
    ServeOptions options;
    options.another_port = true;
    options.demo_people = visit.people;
    options.on_ready = [&](const std::string& url) {
        if (globals.json)
            print_json({{"ready", true},
                        {"url", url},
                        {"token", visit.people.front().token},
                        {"record", visit.record},
                        {"image", visit.image},
                        {"evidence", visit.evidence}});
        else
            print_visit(visit, url, fs::absolute(out_folder));
        std::fflush(stdout);
    };
    return serve(globals, options);
}

}  // namespace fiducial::app
