#include <algorithm>
#include <charconv>
#include <cmath>

#include "gateway/impl/service.hpp"

namespace fiducial::gateway::impl {
namespace {

void append_escaped(std::string& out, std::string_view text, bool quotes) {
    for (const char c : text) {
        if (c == '\\') {
            out += "\\\\";
        } else if (c == '\n') {
            out += "\\n";
        } else if (c == '"' && quotes) {
            out += "\\\"";
        } else {
            out += c;
        }
    }
}

std::string number(double value) {
    if (std::isnan(value)) return "NaN";
    if (std::isinf(value)) return value > 0 ? "+Inf" : "-Inf";
    std::array<char, 64> text{};
    const auto end = std::to_chars(text.data(), text.data() + text.size(), value).ptr;
    return {text.data(), end};
}

std::vector<archive::Metric> server_metrics(const net::HttpServerCounters& counters) {
    const auto one = [](const char* name, const char* help, const char* type, std::uint64_t value) {
        archive::Metric out;
        out.name = name;
        out.help = help;
        out.type = type;
        out.value = static_cast<double>(value);
        return out;
    };
    return {
        one("fiducial_http_connections", "HTTP connections open now", "gauge", counters.connections),
        one("fiducial_http_connections_accepted_total", "HTTP connections accepted", "counter", counters.accepted),
        one("fiducial_http_refused_total", "Requests refused before they reached a service: malformed, too large, too slow", "counter",
            counters.refused),
        one("fiducial_http_aborted_total", "Answers broken off", "counter", counters.aborted),
    };
}

}  // namespace

std::string prometheus_text(std::vector<archive::Metric> metrics) {
    std::stable_sort(metrics.begin(), metrics.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
    std::string out;
    std::string_view last;
    for (const auto& metric : metrics) {
        if (metric.name != last) {
            out += "# HELP " + metric.name + " ";
            append_escaped(out, metric.help, false);
            out += "\n# TYPE " + metric.name + " " + (metric.type.empty() ? "untyped" : metric.type) + "\n";
            last = metric.name;
        }
        out += metric.name;
        for (std::size_t i = 0; i < metric.labels.size(); ++i) {
            out += (i == 0 ? "{" : ",") + metric.labels[i].first + "=\"";
            append_escaped(out, metric.labels[i].second, true);
            out += '"';
        }
        if (!metric.labels.empty()) out += '}';
        out += " " + number(metric.value) + "\n";
    }
    return out;
}

void RequestCounts::add(std::string_view route, unsigned status, std::uint64_t body_bytes) {
    const std::lock_guard lock(mutex_);
    auto& count = counts_[{std::string(route), status}];
    ++count.requests;
    count.bytes += body_bytes;
}

std::vector<archive::Metric> RequestCounts::metrics() const {
    std::vector<archive::Metric> out;
    const std::lock_guard lock(mutex_);
    for (const auto& [key, count] : counts_) {
        archive::Metric metric;
        metric.type = "counter";
        metric.labels = {{"route", key.first}, {"status", std::to_string(key.second)}};
        metric.name = "fiducial_http_requests_total";
        metric.help = "Requests answered";
        metric.value = static_cast<double>(count.requests);
        out.push_back(metric);
        metric.name = "fiducial_http_sent_bytes_total";
        metric.help = "Bytes of answers' bodies";
        metric.value = static_cast<double>(count.bytes);
        out.push_back(metric);
    }
    return out;
}

net::Task<Result<void>> serve_metrics(Call& call) {
    auto ask = [&call]() -> Result<std::vector<archive::Metric>> { return call.door.archive.metrics(); };
    FID_CO_TRY(auto metrics, co_await call.door.questions.run(ask));
    for (auto& metric : call.door.counts.metrics()) metrics.push_back(std::move(metric));
    for (auto& metric : server_metrics(call.door.server_counters())) metrics.push_back(std::move(metric));
    if (call.door.settings.other_metrics) {
        for (auto& metric : call.door.settings.other_metrics()) metrics.push_back(std::move(metric));
    }
    co_return co_await call.answer(200, "text/plain; version=0.0.4; charset=utf-8", prometheus_text(std::move(metrics)));
}

}  // namespace fiducial::gateway::impl
