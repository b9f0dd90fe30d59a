// fiducial-verify: checks an image against an evidence bundle, offline and without an archive.
#include <cstdio>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.hpp"
#include "evidence/bundle.hpp"
#include "evidence/file_fingerprint.hpp"
#include "evidence/overlay.hpp"
#include "evidence/verifier.hpp"

namespace {

using namespace fiducial;
using namespace fiducial::evidence;

constexpr int kExitUsage = 2;
constexpr int kExitUnreadable = 3;
constexpr std::uint64_t kMaxTrustFileBytes = std::uint64_t{4} << 20;

constexpr std::string_view kHelp =
    R"(Checks an image against the evidence that an archive gave out, offline.

Usage: fiducial-verify BUNDLE [--trust TRUSTFILE] [--overlay OVERLAY] [--json] [FILE]

  BUNDLE             the evidence bundle (JSON), as `fiducial evidence` or the web page gave it out
  FILE               the image: a DICOM file, a bare DICOM data set, or the JPEG or PNG as it was brought.
                     Without it, the bundle alone is checked.
  --trust TRUSTFILE  the trust file. Get it apart from the bundle: from the hospital itself, and compare its
                     SHA-256 with the one printed on the hospital's letters.
  --overlay OVERLAY  the correction that is in force beside the image, as `fiducial correct show` gave it out: whether
                     it is the one that the version names, and who signed it. FILE is then the original.
  --json             print the report as JSON, for programs
  --help             print this
  --version          print the version

Each statement is said apart: whether the bytes match; whether they are in a version of a study; which institution
anchored that version, under which contract; whether the block is settled; whether the version is the latest one.
What no bundle can establish is listed too.

Exit codes:
   0  all that was asked is established, and settled under the trust file
   2  wrong usage
   3  a file cannot be read
  10  mismatch: the file, or the overlay, is not what the bundle speaks of
  11  refused: the bundle or trust file is malformed, or contradicts itself or the other
  12  consistent, trust unverified: no trust file was given
  13  consistent, on a development chain, whose blocks carry no seals
  14  consistent, but not settled yet: ask for a newer bundle

Examples:
  fiducial-verify chest.evidence.json --trust hospital.trust.json chest.dcm
  fiducial-verify chest.evidence.json --trust hospital.trust.json IM-0115-0001.jpeg
  fiducial-verify chest.evidence.json --trust hospital.trust.json --json chest.dcm | python3 -m json.tool
  sha256sum hospital.trust.json        # compare with the letter
)";

struct Arguments {
    std::optional<std::string> bundle, trust, overlay, file;
    bool json = false;
};

void print(std::FILE* to, std::string_view text) {
    std::fwrite(text.data(), 1, text.size(), to);
}

int complain(std::string_view text, int code) {
    print(stderr, "fiducial-verify: " + std::string(text) + "\n");
    if (code == kExitUsage) print(stderr, "Try fiducial-verify --help.\n");
    return code;
}

Result<Arguments> parse_arguments(std::span<char*> arguments) {
    Arguments out;
    bool only_names = false;
    const auto wrong = [](std::string text) { return fail(ErrorCode::invalid_argument, std::move(text)); };
    for (std::size_t i = 0; i < arguments.size(); ++i) {
        const std::string argument = arguments[i];
        if (only_names || argument.size() < 2 || argument.front() != '-') {
            if (!out.bundle) {
                out.bundle = argument;
            } else if (!out.file) {
                out.file = argument;
            } else {
                return wrong("more than one file to check");
            }
        } else if (argument == "--") {
            only_names = true;
        } else if (argument == "--json") {
            out.json = true;
        } else {
            const auto name = argument.substr(0, argument.find('='));
            auto* value = name == "--trust" ? &out.trust : name == "--overlay" ? &out.overlay : nullptr;
            if (value == nullptr) return wrong("unknown option " + argument);
            if (*value) return wrong(name + " is given twice");
            if (argument != name) {
                *value = argument.substr(name.size() + 1);
            } else if (++i < arguments.size()) {
                *value = arguments[i];
            } else {
                return wrong(name + " needs a file");
            }
        }
    }
    if (!out.bundle) return wrong("no evidence bundle is named");
    return out;
}

int run(const Arguments& arguments) {
    const auto bundle = read_file(*arguments.bundle, kMaxBundleBytes);
    if (!bundle) return complain(bundle.error().message, kExitUnreadable);
    std::optional<Bytes> trust;
    if (arguments.trust) {
        auto bytes = read_file(*arguments.trust, kMaxTrustFileBytes);
        if (!bytes) return complain(bytes.error().message, kExitUnreadable);
        trust = *std::move(bytes);
    }
    std::optional<Bytes> overlay;
    if (arguments.overlay) {
        auto bytes = read_file(*arguments.overlay, kMaxOverlayBytes);
        if (!bytes) return complain(bytes.error().message, kExitUnreadable);
        overlay = *std::move(bytes);
    }
    std::optional<FileFingerprint> file;
    if (arguments.file) {
        auto found = fingerprint_file(*arguments.file);
        if (!found) return complain(found.error().message, kExitUnreadable);
        file = *std::move(found);
        if (!file->note.empty()) print(stderr, "fiducial-verify: the file is taken as it is: " + file->note + "\n");
    }
    std::optional<std::string_view> trust_text;
    if (trust) trust_text = as_text(*trust);
    const Report report = verify(as_text(*bundle), trust_text, file, overlay ? std::optional<ByteView>(*overlay) : std::nullopt);
    print(stdout, arguments.json ? report.to_json() + "\n" : report.to_text());
    return static_cast<int>(report.verdict);
}

}  // namespace

int main(int argc, char** argv) {
    const std::span<char*> arguments(argv + 1, argc > 0 ? static_cast<std::size_t>(argc - 1) : 0);
    for (std::string_view argument : arguments) {
        if (argument == "--") break;
        if (argument == "--help" || argument == "-h") return print(stdout, kHelp), 0;
        if (argument == "--version") return print(stdout, "fiducial-verify " FIDUCIAL_VERSION "\n"), 0;
    }
    const auto parsed = parse_arguments(arguments);
    if (!parsed) return complain(parsed.error().message, kExitUsage);
    return run(*parsed);
}
