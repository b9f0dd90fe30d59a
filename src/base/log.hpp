#pragma once
#include <concepts>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>

#include "base/bytes.hpp"

namespace fiducial::log {

enum class Level : std::uint8_t { debug, info, warning, error };

/// Marks a type that must never reach a log: secrets, patients' names and identifiers. Deriving from it (or declaring
/// `using not_for_logs = void;`) makes a Field of that type fail to compile.
struct NotForLogs {
    using not_for_logs = void;
};
template <typename T>
concept Sensitive = requires {
    typename T::not_for_logs;
};

/// One named value of a log line. Only what is safe to show can be put in: texts we made, numbers, hashes.
class Field {
public:
    Field(std::string_view name, std::string_view value) : name_(name), value_(value) {}
    Field(std::string_view name, const char* value) : name_(name), value_(value) {}
    Field(std::string_view name, const std::string& value) : name_(name), value_(value) {}
    Field(std::string_view name, bool value) : name_(name), value_(value ? "true" : "false") {}
    template <typename Number>
    requires(std::integral<Number> || std::floating_point<Number>) Field(std::string_view name, Number value)
        : name_(name), value_(std::to_string(value)) {}
    Field(std::string_view name, ByteView bytes);
    template <std::size_t N>
    Field(std::string_view name, const std::array<std::uint8_t, N>& bytes) : Field(name, ByteView(bytes)) {}
    template <Sensitive T>
    Field(std::string_view name, const T& value) = delete;

    std::string_view name() const { return name_; }
    std::string_view value() const { return value_; }

private:
    std::string_view name_;
    std::string value_;
};

/// Writes "time level room: message name=value …" to standard error, one line. Values are escaped, so that a line stays a line.
/// Threads: safe.
void write(Level level, std::string_view room, std::string_view message, std::initializer_list<Field> fields = {});

inline void debug(std::string_view room, std::string_view message, std::initializer_list<Field> fields = {}) {
    write(Level::debug, room, message, fields);
}
inline void info(std::string_view room, std::string_view message, std::initializer_list<Field> fields = {}) {
    write(Level::info, room, message, fields);
}
inline void warning(std::string_view room, std::string_view message, std::initializer_list<Field> fields = {}) {
    write(Level::warning, room, message, fields);
}
inline void error(std::string_view room, std::string_view message, std::initializer_list<Field> fields = {}) {
    write(Level::error, room, message, fields);
}

/// Lines below this level are dropped. Default: info.
void set_level(Level level);
/// Sends lines to a file (appended, mode 0600) as well. Errors: io.
Result<void> also_to_file(const std::string& path);

}  // namespace fiducial::log
