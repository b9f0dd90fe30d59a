#include "base/log.hpp"

#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>
#include <sys/stat.h>

#include "base/clock.hpp"
#include "base/hex.hpp"

namespace fiducial::log {
namespace {

spdlog::logger& logger() {
    static const auto instance = [] {
        auto made = std::make_shared<spdlog::logger>("fiducial", std::make_shared<spdlog::sinks::stderr_sink_mt>());
        made->set_pattern("%v");
        made->set_level(spdlog::level::info);
        made->flush_on(spdlog::level::info);
        return made;
    }();
    return *instance;
}

spdlog::level::level_enum spdlog_level(Level level) {
    switch (level) {
        case Level::debug: return spdlog::level::debug;
        case Level::info: return spdlog::level::info;
        case Level::warning: return spdlog::level::warn;
        case Level::error: return spdlog::level::err;
    }
    return spdlog::level::err;
}

std::string_view level_name(Level level) {
    switch (level) {
        case Level::debug: return "debug";
        case Level::info: return "info";
        case Level::warning: return "warning";
        case Level::error: return "error";
    }
    return "error";
}

void append_escaped(std::string& out, std::string_view text, bool quote) {
    if (quote) out.push_back('"');
    for (char c : text) {
        if (c == '\n')
            out += "\\n";
        else if (c == '\r')
            out += "\\r";
        else if (c == '"' && quote)
            out += "\\\"";
        else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f)
            out.push_back('?');
        else
            out.push_back(c);
    }
    if (quote) out.push_back('"');
}

}  // namespace

Field::Field(std::string_view name, ByteView bytes) : name_(name), value_(to_hex(bytes)) {}

void write(Level level, std::string_view room, std::string_view message, std::initializer_list<Field> fields) {
    if (!logger().should_log(spdlog_level(level))) return;
    std::string line = to_rfc3339(system_clock().now());
    line += " ";
    line += level_name(level);
    line += " ";
    line += room;
    line += ": ";
    append_escaped(line, message, false);
    for (const auto& field : fields) {
        line += " ";
        line += field.name();
        line += "=";
        append_escaped(line, field.value(), field.value().empty() || field.value().find_first_of(" =\"") != std::string_view::npos);
    }
    logger().log(spdlog_level(level), "{}", line);
}

void set_level(Level level) {
    logger().set_level(spdlog_level(level));
}

Result<void> also_to_file(const std::string& path) {
    try {
        logger().sinks().push_back(std::make_shared<spdlog::sinks::basic_file_sink_mt>(path));
    } catch (const spdlog::spdlog_ex& e) {
        return fail(ErrorCode::io, "log file " + path + ": " + e.what());
    }
    ::chmod(path.c_str(), 0600);
    return {};
}

}  // namespace fiducial::log
