#include "net/gzip.hpp"

#include <zlib.h>

#include <algorithm>
#include <array>

#include "base/bytes.hpp"
#include "net/http_syntax.hpp"

namespace fiducial::net {
namespace {

constexpr int kGzipWindow = 15 + 16;  // zlib: 32 KiB, with a gzip header

std::string_view trimmed(std::string_view text) {
    while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
    while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
    return text;
}

/// "q=0", "q=0.000": not this one.
bool is_refused(std::string_view parameter) {
    parameter = trimmed(parameter);
    if (parameter.size() < 3 || (parameter[0] != 'q' && parameter[0] != 'Q') || parameter[1] != '=') return false;
    return parameter.substr(2).find_first_not_of("0.") == std::string_view::npos;
}

}  // namespace

struct GzipWriter::State {
    z_stream stream{};
    State() { FID_INVARIANT(deflateInit2(&stream, 1, Z_DEFLATED, kGzipWindow, 8, Z_DEFAULT_STRATEGY) == Z_OK, "zlib has no memory"); }
    ~State() { deflateEnd(&stream); }
    State(const State&) = delete;
    State& operator=(const State&) = delete;

    void run(std::string_view text, int flush, std::string& out) {
        std::array<char, 16'384> room{};
        std::size_t done = 0;
        do {
            const auto part = std::min<std::size_t>(text.size() - done, 1u << 20);
            stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data() + done));  // zlib only reads it
            stream.avail_in = static_cast<uInt>(part);
            done += part;
            const int how = done == text.size() ? flush : Z_NO_FLUSH;
            do {
                stream.next_out = reinterpret_cast<Bytef*>(room.data());
                stream.avail_out = static_cast<uInt>(room.size());
                deflate(&stream, how);
                out.append(room.data(), room.size() - stream.avail_out);
            } while (stream.avail_out == 0);
        } while (done < text.size());
    }
};

GzipWriter::GzipWriter() : state_(std::make_unique<State>()) {}
GzipWriter::~GzipWriter() = default;
GzipWriter::GzipWriter(GzipWriter&&) noexcept = default;

void GzipWriter::write(std::string_view text, std::string& out) {
    if (!text.empty()) state_->run(text, Z_NO_FLUSH, out);
}

void GzipWriter::flush(std::string& out) {
    state_->run({}, Z_SYNC_FLUSH, out);
}

void GzipWriter::finish(std::string& out) {
    state_->run({}, Z_FINISH, out);
}

bool accepts_gzip(std::string_view accept_encoding) {
    bool any = false;
    while (!accept_encoding.empty()) {
        const auto end = std::min(accept_encoding.find(','), accept_encoding.size());
        const auto item = accept_encoding.substr(0, end);
        accept_encoding.remove_prefix(std::min(end + 1, accept_encoding.size()));
        const auto semicolon = std::min(item.find(';'), item.size());
        const auto coding = trimmed(item.substr(0, semicolon));
        const bool taken = semicolon == item.size() || !is_refused(item.substr(semicolon + 1));
        if (equals_ignoring_case(coding, "gzip")) return taken;
        if (coding == "*") any = taken;
    }
    return any;
}

}  // namespace fiducial::net
