// The pneumonia classifier: for research, and only where somebody asks for it. Nothing in the archive calls it.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <boost/json.hpp>
#include <cmath>
#include <cstdio>

#include "app/commands.hpp"
#include "app/shown.hpp"
#include "app/terminal.hpp"
#include "base/base64.hpp"
#include "base/escape.hpp"
#include "base/file.hpp"
#include "base/hex.hpp"
#include "base/json.hpp"
#include "base/utf8.hpp"
#include "vision/classifier.hpp"
#include "vision/evaluation.hpp"
#include "vision/plot.hpp"

namespace fiducial::app {
namespace {

namespace json = boost::json;
namespace fs = std::filesystem;

constexpr const char* kResearch = "for research only: not a diagnosis, and no ground for one";
constexpr const char* kOutside = "taken all the same: the age is unknown, or beyond the 1 to 5 years of those trained on";

/// Files as they were named, folders with all that lies in them, by name.
Result<std::vector<fs::path>> files_of(const std::vector<std::string>& paths) {
    std::vector<fs::path> files;
    for (const auto& path : paths) {
        std::error_code problem;
        const auto status = fs::status(path, problem);
        if (problem || !fs::exists(status)) return fail(ErrorCode::not_found, "there is no " + readable(path));
        if (!fs::is_directory(status)) {
            files.emplace_back(path);
            continue;
        }
        std::vector<fs::path> found;
        for (auto entry = fs::recursive_directory_iterator(path, fs::directory_options::skip_permission_denied, problem);
             !problem && entry != fs::recursive_directory_iterator(); entry.increment(problem)) {
            std::error_code unknown;
            if (entry->is_regular_file(unknown)) found.push_back(entry->path());
        }
        if (problem) return fail(ErrorCode::io, "the folder " + readable(path) + " cannot be read: " + problem.message());
        std::sort(found.begin(), found.end());
        files.insert(files.end(), found.begin(), found.end());
    }
    return files;
}

Result<vision::Film> film_in(const fs::path& path) {
    FID_TRY(const auto bytes, read_file(path, vision::kMostFilmBytes));
    return vision::read_film(bytes);
}

/// One file and what became of it: the film is there where it could be read.
struct Triaged {
    fs::path path;
    std::optional<vision::Film> film;
    vision::Assessment assessment;
};

/// A file that is no film is refused like one that the gate turns away. Errors: internal where the network itself fails.
Result<Triaged> triage(vision::Model& model, const fs::path& path, const vision::GateOptions& options) {
    Triaged out{path, std::nullopt, {}};
    auto film = film_in(path);
    if (!film) {
        out.assessment.refusals.push_back({"unreadable", film.error().message});
        return out;
    }
    out.film = std::move(*film);
    FID_TRY(out.assessment, vision::assess(model, *out.film, options));
    return out;
}

json::object json_of(const Triaged& file) {
    json::object out{{"path", readable(file.path.string())}};
    const auto& assessment = file.assessment;
    if (assessment.is_refused()) {
        json::array refusals;
        for (const auto& refusal : assessment.refusals)
            refusals.emplace_back(json::object{{"code", refusal.code}, {"reason", refusal.reason}});
        out["verdict"] = "refused";
        out["refusals"] = std::move(refusals);
        return out;
    }
    out["verdict"] = assessment.is_finding ? "pneumonia" : "normal";
    out["probability"] = assessment.probability;
    out["logit"] = assessment.logit;
    out["ageOverridden"] = assessment.age_overridden;
    if (assessment.heat) out["heat"] = json::value_from(*assessment.heat);
    return out;
}

std::string verdict_line(const vision::Assessment& assessment) {
    if (assessment.is_refused()) return "refused: " + assessment.refusals.front().reason;
    char text[64];
    std::snprintf(text, sizeof text, "%s  %.3f", assessment.is_finding ? "pneumonia" : "normal   ", assessment.probability);
    return text;
}

constexpr std::uint32_t kPictureSide = 320;

/// A film's row of the report. Errors: internal.
Result<std::string> report_row(const Triaged& file) {
    std::string picture;
    if (file.film) {
        FID_TRY(const auto png, dicom::png_of(vision::picture_with_heat(*file.film, file.assessment, kPictureSide)));
        picture = "<img alt=\"\" src=\"data:image/png;base64," + to_base64(png) + "\">";
    }
    std::string words = "<b>" + escape_html(verdict_line(file.assessment)) + "</b>";
    for (std::size_t i = 1; i < file.assessment.refusals.size(); ++i) words += "<br>" + escape_html(file.assessment.refusals[i].reason);
    if (file.assessment.age_overridden) words += std::string("<br>") + kOutside;
    if (file.assessment.heat) words += "<br>red: the cells that speak for it, as coarse as the network sees them (5 by 5)";
    return "<tr><td>" + picture + "</td><td>" + escape_html(readable(file.path.string())) + "<br>" + words + "</td></tr>\n";
}

std::string report_head(const vision::ModelCard& card) {
    char facts[160];
    std::snprintf(facts, sizeof facts, "probabilities are for a prevalence of %.0f %%; from %.3f on it is a finding", card.prevalence * 100,
                  card.threshold);
    return "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>Triage</title>\n"
           "<style>body{font:14px sans-serif;margin:2em}td{padding:.5em;vertical-align:top;border-top:1px solid "
           "#ccc}</style></head><body>\n"
           "<h1>Triage of chest films</h1>\n<p><b>" +
           std::string(kResearch) + ".</b> Model " + escape_html(card.name) + "; " + facts +
           ".</p>\n<p>It tells normal films of children of 1 to 5 years from such with pneumonia, and forces everything else into one of "
           "the "
           "two.</p>\n<table>\n";
}

void add_triage(CLI::App& cli, Globals& globals, Action& action) {
    struct Options {
        std::vector<std::string> paths;
        std::string report;
        bool any_age = false;
    };
    auto options = std::make_shared<Options>();
    auto* command = cli.add_subcommand("triage", "For research: sort children's chest films by signs of pneumonia");
    command->add_option("PATH", options->paths, "DICOM, JPEG and PNG files, and folders of such")->required();
    command->add_option("--report", options->report, "Write an HTML page with pictures and heat maps there");
    command->add_flag(
        "--any-age", options->any_age,
        "Take films of patients that the model was not trained on: older than 5 years, or of unknown age, as all JPEG and PNG "
        "files are; every verdict says so");
    command->footer(
        "Whatever is no upright frontal chest film is refused, with the reason; `fiducial model show` says what is not noticed.\n\n"
        "Example:\n  fiducial triage --any-age --report triage.html films/\n\n"
        "Exit codes: 0 every film got a verdict; 1 some were refused; others: fiducial help exit-codes");
    command->callback([&globals, &action, options] {
        action = [&globals, options]() -> Result<int> {
            FID_TRY(auto model, vision::Model::of_product());
            FID_TRY(const auto files, files_of(options->paths));
            if (!globals.json) std::printf("%s\n", strong(kResearch).c_str());
            ProgressLine line(!globals.json && !globals.quiet);
            json::array all;
            std::string report = report_head(model.card());
            std::size_t refused = 0, overridden = 0;
            for (const auto& path : files) {
                if (stop_requested()) return fail(ErrorCode::cancelled, "interrupted");
                FID_TRY(const auto file, triage(model, path, {options->any_age}));
                refused += file.assessment.is_refused() ? 1 : 0;
                overridden += file.assessment.age_overridden ? 1 : 0;
                if (!options->report.empty()) {
                    FID_TRY(const auto row, report_row(file));
                    report += row;
                }
                if (globals.json)
                    all.emplace_back(json_of(file));
                else
                    std::printf("%s  %s\n", shown::padded(readable(path.string()), 48).c_str(), verdict_line(file.assessment).c_str());
            }
            if (!options->report.empty()) FID_CHECK(write_file_atomically(options->report, as_bytes(report + "</table></body></html>\n")));
            if (globals.json) {
                print_json({{"notice", kResearch},
                            {"model", model.card().name},
                            {"threshold", model.card().threshold},
                            {"prevalence", model.card().prevalence},
                            {"films", std::move(all)}});
            } else {
                std::printf("%s, %zu refused\n", shown::counted(files.size(), "file", "files").c_str(), refused);
                if (overridden > 0) std::printf("%zu %s\n", overridden, kOutside);
            }
            return refused == 0 ? 0 : 1;
        };
    });
}

Result<std::vector<std::pair<fs::path, bool>>> labelled_files(const std::string& folder) {
    std::vector<std::pair<fs::path, bool>> files;
    for (const bool is_ill : {false, true}) {
        FID_TRY(const auto found, files_of({(fs::path(folder) / (is_ill ? "PNEUMONIA" : "NORMAL")).string()}));
        for (const auto& path : found) {
            if (path.filename().string().front() != '.') files.emplace_back(path, is_ill);
        }
    }
    if (files.empty()) return fail(ErrorCode::not_found, "there are no files in NORMAL and PNEUMONIA");
    return files;
}

json::value number(double value) {
    return std::isnan(value) ? json::value(nullptr) : json::value(value);
}

json::object json_of(const vision::Evaluation& result) {
    const auto interval = [](const vision::Figure& figure) { return json::array{number(figure.low), number(figure.high)}; };
    return {{"n", result.n},
            {"auc", number(result.auc.value)},
            {"pr_auc", number(result.pr_auc.value)},
            {"accuracy", number(result.accuracy.value)},
            {"sensitivity", number(result.sensitivity.value)},
            {"specificity", number(result.specificity.value)},
            {"ece", number(result.ece.value)},
            {"threshold", result.threshold},
            {"refused", result.refused},
            {"sensitivity_at_specificity_88", number(result.sensitivity_at_specificity.value)},
            {"intervals",
             {{"auc", interval(result.auc)},
              {"pr_auc", interval(result.pr_auc)},
              {"accuracy", interval(result.accuracy)},
              {"sensitivity", interval(result.sensitivity)},
              {"specificity", interval(result.specificity)},
              {"ece", interval(result.ece)},
              {"sensitivity_at_specificity_88", interval(result.sensitivity_at_specificity)}}}};
}

void print_evaluation(const vision::Evaluation& result) {
    const auto row = [](const char* name, const vision::Figure& figure) {
        std::printf("  %-30s %.4f  (%.4f to %.4f)\n", name, figure.value, figure.low, figure.high);
    };
    std::printf("%zu films, %zu refused (counted as wrong); threshold %.4f; in brackets 95 %% intervals\n", result.n, result.refused,
                result.threshold);
    row("ROC AUC", result.auc);
    row("PR AUC", result.pr_auc);
    row("accuracy", result.accuracy);
    row("sensitivity", result.sensitivity);
    row("specificity", result.specificity);
    row("sensitivity at specificity .88", result.sensitivity_at_specificity);
    row("expected calibration error", result.ece);
}

Result<void> write_plots(const fs::path& folder, const vision::Evaluation& result) {
    std::error_code problem;
    fs::create_directories(folder, problem);
    if (problem) return fail(ErrorCode::io, "the folder " + readable(folder.string()) + " cannot be made: " + problem.message());
    const std::pair<const char*, vision::Plot> plots[] = {
        {"roc", {"ROC curve", "1 - specificity", "sensitivity", result.roc, true}},
        {"precision", {"Precision and recall", "sensitivity", "positive predictive value", result.precision, false}},
        {"calibration", {"Calibration", "probability that was said", "share with pneumonia", result.calibration, true}}};
    for (const auto& [name, plot] : plots) {
        FID_CHECK(write_file_atomically(folder / (std::string(name) + ".svg"), as_bytes(vision::svg_of(plot)), 0644));
        FID_TRY(const auto png, dicom::png_of(vision::raster_of(plot)));
        FID_CHECK(write_file_atomically(folder / (std::string(name) + ".png"), png, 0644));
    }
    return {};
}

void add_model_evaluate(CLI::App& model_command, Globals& globals, Action& action) {
    struct Options {
        std::string folder, plots, films;
    };
    auto options = std::make_shared<Options>();
    auto* command = model_command.add_subcommand("evaluate", "Measure the model on films whose truth is known");
    command->add_option("DIR", options->folder, "Folder laid out NORMAL/ PNEUMONIA/")->required();
    command->add_option("--plots", options->plots, "Write the curves there, as SVG and PNG");
    command->add_option("--films", options->films, "Write a CSV there: each film, its truth, verdict and probability");
    command->footer(
        "The threshold is the model's own, fixed before. Ages are not asked for: who labelled the films knows them.\nRefused films count "
        "as "
        "judged wrong.\n\nExample:\n  fiducial model evaluate --plots curves/ chest_xray/test\n\nExit codes: 0 measured");
    command->callback([&globals, &action, options] {
        action = [&globals, options]() -> Result<int> {
            FID_TRY(auto model, vision::Model::of_product());
            FID_TRY(const auto files, labelled_files(options->folder));
            ProgressLine line(!globals.json && !globals.quiet);
            std::vector<vision::Judged> judged;
            std::string csv = "file,truth,verdict,probability,reason\n";
            for (const auto& [path, is_ill] : files) {
                if (stop_requested()) return fail(ErrorCode::cancelled, "interrupted");
                line.show(judged.size(), files.size(), judged.size(), files.size(), "films");
                FID_TRY(const auto file, triage(model, path, {.any_age = true}));
                const auto& assessment = file.assessment;
                judged.push_back({is_ill, assessment.is_refused(), assessment.probability});
                const auto reason = assessment.is_refused() ? assessment.refusals.front().reason : std::string();
                csv += csv_cell(readable(path.filename().string())) + "," + (is_ill ? "pneumonia," : "normal,") +
                       (assessment.is_refused() ? "refused"
                        : assessment.is_finding ? "pneumonia"
                                                : "normal") +
                       "," + std::to_string(assessment.probability) + "," + csv_cell(reason) + "\n";
            }
            line.clear();
            const auto result = vision::evaluate(judged, model.card().threshold);
            if (!options->plots.empty()) FID_CHECK(write_plots(options->plots, result));
            if (!options->films.empty()) FID_CHECK(write_file_atomically(options->films, as_bytes(csv), 0644));
            if (globals.json)
                print_json(json_of(result));
            else
                print_evaluation(result);
            return 0;
        };
    });
}

void add_model_show(CLI::App& model_command, Globals& globals, Action& action) {
    auto* command = model_command.add_subcommand("show", "What the model is, what it cannot do, and how it was measured");
    command->footer("Example:\n  fiducial model show");
    command->callback([&globals, &action] {
        action = [&globals]() -> Result<int> {
            FID_TRY(const auto model, vision::Model::of_product());
            const auto& card = model.card();
            FID_TRY(const auto facts, fiducial::json::parse(card.facts_json, card.facts_json.size()));
            if (globals.json) {
                print_json({{"name", card.name},
                            {"notice", kResearch},
                            {"sha256", to_hex(card.network_sha256)},
                            {"bytes", vision::network_file().size()},
                            {"threshold", card.threshold},
                            {"prevalence", card.prevalence},
                            {"facts", facts}});
                return 0;
            }
            std::printf("%s\n\n%s\nSHA-256 %s, %s\n", strong(kResearch).c_str(), card.name.c_str(), to_hex(card.network_sha256).c_str(),
                        human_bytes(vision::network_file().size()).c_str());
            std::printf(
                "\nIt tells normal chest films of children of 1 to 5 years from such with pneumonia, as one hospital (Guangzhou) took "
                "them,\n"
                "lying and from the front. Anything else is forced into one of the two: another illness, another age, another hospital's\n"
                "machines. A lateral film without a tag that says so may go unnoticed, as may any film that looks like a chest.\n"
                "Data: Kermany, Zhang, Goldbaum, Labeled Optical Coherence Tomography and Chest X-Ray Images, CC BY 4.0.\n"
                "\nProbabilities are for a prevalence of %.0f %%; from %.4f on it is a finding.\n\nFigures (ml/model-card.md explains "
                "them):\n%s\n",
                card.prevalence * 100, card.threshold, fiducial::json::pretty(facts).c_str());
            return 0;
        };
    });
}

/// The head of a NumPy file of bytes, n × side × side. Spec: NEP 1, version 1.0.
Bytes npy_head(std::size_t n, std::size_t side) {
    std::string head = "{'descr': '|u1', 'fortran_order': False, 'shape': (" + std::to_string(n) + ", " + std::to_string(side) + ", " +
                       std::to_string(side) + "), }";
    head.append(63 - (10 + head.size()) % 64, ' ');
    head += '\n';
    Bytes out = to_bytes(as_bytes("\x93NUMPY\x01"));
    out.push_back(0);
    out.push_back(static_cast<std::uint8_t>(head.size() & 0xff));
    out.push_back(static_cast<std::uint8_t>(head.size() >> 8));
    append(out, as_bytes(head));
    return out;
}

void add_model_prepare(CLI::App& model_command, Globals& globals, Action& action) {
    struct Options {
        std::vector<std::string> paths;
        std::string to;
    };
    auto options = std::make_shared<Options>();
    auto* command = model_command.add_subcommand("prepare", "For training: write images as the network is shown them, whatever they are");
    command->add_option("PATH", options->paths, "DICOM, JPEG and PNG files, and folders of such")->required();
    command->add_option("--to", options->to, "NumPy file to write: bytes, n by 224 by 224")->required();
    command->footer("What cannot be read is left out and named.\n\nExample:\n  fiducial model prepare series/ --to others.npy");
    command->callback([&globals, &action, options] {
        action = [&globals, options]() -> Result<int> {
            FID_TRY(const auto files, files_of(options->paths));
            Bytes pixels;
            json::array taken, left_out;
            for (const auto& path : files) {
                if (stop_requested()) return fail(ErrorCode::cancelled, "interrupted");
                const auto film = film_in(path);
                (film ? taken : left_out).emplace_back(readable(path.string()));
                if (film) append(pixels, vision::stretched(film->pixels, vision::kStretchedSide).samples);
            }
            auto out = npy_head(taken.size(), vision::kStretchedSide);
            append(out, pixels);
            FID_CHECK(write_file_atomically(options->to, out, 0644));
            if (globals.json)
                print_json({{"taken", std::move(taken)}, {"leftOut", std::move(left_out)}});
            else
                std::printf("%zu taken, %zu left out\n", taken.size(), left_out.size());
            return 0;
        };
    });
}

}  // namespace

void add_vision_commands(CLI::App& cli, Globals& globals, Action& action) {
    add_triage(cli, globals, action);
    auto* model = cli.add_subcommand("model", "For research: the pneumonia model, its figures and its limits");
    model->require_subcommand(1);
    add_model_evaluate(*model, globals, action);
    add_model_prepare(*model, globals, action);
    add_model_show(*model, globals, action);
}

}  // namespace fiducial::app
