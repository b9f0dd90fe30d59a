#pragma once
#include <memory>
#include <string>
#include <string_view>

namespace fiducial::net {

/// Compresses a body as it comes. Spec: RFC 1952. Level 1: twice as fast as the usual one, and a tenth larger.
/// Threads: one at a time.
class GzipWriter {
public:
    GzipWriter();
    ~GzipWriter();
    GzipWriter(GzipWriter&&) noexcept;
    /// Appends what became ready; some of the text may come with a later call.
    void write(std::string_view text, std::string& out);
    /// Appends all that was written so far, so that it can be read at once.
    void flush(std::string& out);
    /// Appends the rest. Nothing may be written afterwards.
    void finish(std::string& out);

private:
    struct State;
    std::unique_ptr<State> state_;
};

/// Whether an Accept-Encoding takes gzip. Spec: RFC 9110 §12.5.3. A field that cannot be read takes nothing.
bool accepts_gzip(std::string_view accept_encoding);

}  // namespace fiducial::net
