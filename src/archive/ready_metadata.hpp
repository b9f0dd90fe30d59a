#pragma once
#include <cstddef>
#include <list>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.hpp"
#include "crypto/secret.hpp"

namespace fiducial::archive {

/// Metadata that somebody asked for, ready for the next look: documents of several instances together, found by the fingerprints of what
/// was stored. They lie in memory only, each group sealed under a key that comes from the study's secret: without that, once the study is
/// erased, nobody opens them any more.
/// Units:   at most so many bytes; what was asked for longest ago goes first
/// Threads: safe
class ReadyMetadata {
public:
    using Documents = std::vector<std::string>;

    explicit ReadyMetadata(std::size_t most_bytes) : most_bytes_(most_bytes) {}
    /// `what`: a hash over the fingerprints of the documents, in order. Returns: nothing where they are not there, or cannot be opened.
    std::optional<Documents> find(const crypto::Secret& study_secret, const Hash& what);
    void keep(const crypto::Secret& study_secret, const Hash& what, const Documents& documents);

private:
    struct Group {
        Hash what{};
        Bytes sealed;
    };
    const std::size_t most_bytes_;
    std::mutex mutex_;
    std::list<Group> groups_;  // what was asked for last comes first
    std::map<Hash, std::list<Group>::iterator> places_;
    std::size_t bytes_ = 0;
};

}  // namespace fiducial::archive
