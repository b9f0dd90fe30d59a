#include <CLI/CLI.hpp>
#include <boost/json.hpp>
#include <cstdio>
#include <optional>

#include "app/commands.hpp"
#include "app/qr_code.hpp"
#include "app/shown.hpp"
#include "app/terminal.hpp"
#include "archive/trust.hpp"
#include "base/file.hpp"
#include "base/hex.hpp"

namespace fiducial::app {
namespace {

namespace json = boost::json;

Result<std::string> read_text(const std::filesystem::path& file) {
    FID_TRY(const auto bytes, read_file(file, archive::kMaxTrustBytes));
    return std::string(as_text(bytes));
}

Result<void> write_public(const std::filesystem::path& file, std::string_view text) {
    return write_file_atomically(file, as_bytes(text), 0644);
}

void print_changes(const json::object& answer) {
    for (const auto& change : answer.at("changes").get_array()) std::printf("  %s\n", std::string(change.get_string()).c_str());
}

int print_to(const Globals& globals, const std::string& file, json::object answer, std::string_view text_of) {
    const auto text = shown::text(answer, text_of);
    if (file.empty() && !globals.json) {
        std::printf("%s\n", text.c_str());
        return 0;
    }
    if (!file.empty()) answer["file"] = file;
    if (globals.json) print_json(answer);
    return 0;
}

void add_next(CLI::App& trust, Globals& globals, Action& action) {
    auto file = std::make_shared<std::string>();
    auto* command = trust.add_subcommand(
        "next", "Make the next version of the trust file, from what the chain says; to be signed by the signers of this one");
    command->add_option("FILE", *file, "Where to write it")->required();
    command->footer(
        "Example:\n  fiducial trust next --site clinic trust.2.json\n  fiducial trust sign --site clinic trust.2.json --out luke.sig     "
        "every signer, or more than half of them\n"
        "  fiducial trust accept --site clinic trust.2.json luke.sig mary.sig\n\nExit codes: 6 nothing changed; 7 the chain is not "
        "followed now");
    command->callback([&globals, &action, file] {
        action = [&globals, file]() -> Result<int> {
            ProgressLine line(!globals.json && !globals.quiet);
            const auto on_event = [&line](const json::object& event) {
                if (const auto* progress = event.if_contains("progress")) {
                    const auto& now = progress->get_object();
                    line.show(shown::number(now, "block"), shown::number(now, "lastBlock"), shown::number(now, "block"),
                              shown::number(now, "lastBlock"), "blocks");
                }
            };
            FID_TRY(auto answer, perform(globals, "trust next", {}, on_event, archive::Service::Ledger::required));
            line.clear();
            FID_CHECK(write_public(*file, shown::text(answer, "text")));
            answer.erase("text");
            answer["file"] = *file;
            if (globals.json) {
                print_json(answer);
                return 0;
            }
            const auto sha256 = shown::text(answer, "sha256");
            std::printf("Trust file version %llu, not signed yet, is in %s. New in it:\n", shown::count(answer, "version"), file->c_str());
            print_changes(answer);
            std::printf("SHA-256: %s\n\nIt counts once %llu of these %zu have signed it:\n", strong(sha256).c_str(),
                        shown::count(answer, "needed"), answer.at("signers").get_array().size());
            for (const auto& signer : answer.at("signers").get_array()) std::printf("  %s\n", std::string(signer.get_string()).c_str());
            std::printf(
                "Each signs with:  fiducial trust sign %s\nor in the console of the node with the key:  eth.sign(\"SIGNER\", \"0x%s\")\n",
                file->c_str(), sha256.c_str());
            return 0;
        };
    });
}

/// What is signed, in plain words, on standard error: the signature may go to standard output.
/// ours: the site's own trust file; none where a bare key signs.
Result<std::vector<std::string>> show_what_is_signed(const std::string& text, const std::optional<std::string>& ours) {
    FID_TRY(const auto next, evidence::TrustFile::parse(text));
    evidence::TrustFile before;
    const bool follows = ours && next.previous_sha256 == evidence::trust_file_sha256(*ours);
    if (follows) {
        FID_TRY(before, evidence::TrustFile::parse(*ours));
    }
    auto says = evidence::describe_changes(before, next);
    std::fprintf(stderr, "Trust file version %llu, SHA-256 %s\nof chain %llu with genesis block %s\n",
                 static_cast<unsigned long long>(next.version), to_hex(evidence::trust_file_sha256(text)).c_str(),
                 static_cast<unsigned long long>(next.chain_id), to_0x(next.genesis_hash).c_str());
    std::fprintf(stderr, "%s\n",
                 follows ? "It follows this site's own. New in it:"
                 : ours  ? "It does not follow this site's own: another hospital's. All that it says:"
                         : "All that it says:");
    for (const auto& one : says) std::fprintf(stderr, "  %s\n", one.c_str());
    if (says.empty()) std::fprintf(stderr, "  nothing but its version\n");
    std::fprintf(stderr, "%s\n",
                 ours ? "Chain, signers and the contracts' code are compared with this site's node before it signs. Whose the contracts, "
                        "institutions and accounts are,\n"
                        "and who the witnesses are, is compared with nothing: sign only what you know to be right."
                      : "Nothing was compared with the chain: sign only what you know to be right.");
    return says;
}

Result<json::object> sign_with_key(const std::string& key_file, const std::string& text) {
    FID_TRY(const auto file, evidence::TrustFile::parse(text));
    FID_TRY(const auto key, archive::read_private_key(key_file));
    FID_TRY(const auto signature, evidence::sign_trust_file(key, text));
    FID_TRY(const auto signer, crypto::address_of(key));
    const auto sha256 = evidence::trust_file_sha256(text);
    return json::object{{"signer", to_0x(signer)},
                        {"sha256", to_hex(sha256)},
                        {"signatures", evidence::serialise_trust_signatures(sha256, std::vector{signature})},
                        {"comparedWithChain", false}};
}

void add_sign(CLI::App& trust, Globals& globals, Action& action) {
    struct Options {
        std::string file, key, out;
        bool yes = false;
    };
    auto options = std::make_shared<Options>();
    auto* command = trust.add_subcommand("sign", "Sign a next trust file, as a signer of the chain");
    command->add_option("FILE", options->file, "What fiducial trust next made, here or at another hospital")->required();
    command->add_option("--key", options->key,
                        "File with the signer's key (64 hex digits). Then no site is needed, and nothing is compared with the chain");
    command->add_option("--out", options->out, "File for the signature; default: standard output");
    command->add_flag("--yes", options->yes, "Sign without asking, for scripts; needed where there is no terminal");
    command->footer(
        "What is signed is printed first, to standard error, and a person asked: what is new against this site's own trust file, or, where "
        "FILE does not follow that\n"
        "(another hospital's), every signer, contract, institution and gateway in it.\n\n"
        "Without --key the site's own node signs: with the local node's sealer key, or by the unlocked account of the hospital's node. "
        "Before that, the chain, who\n"
        "seals, and the code at each contract's address are compared with what this site's node sees on the chain. Whose the contracts "
        "are, the institutions, their\n"
        "names and gateways, and the witnesses are compared with nothing: that they are right is for the signer to know.\n\nWhere the key "
        "is in geth's keystore only, in its console (geth attach geth.ipc):\n"
        "  eth.sign(\"0x… the signer\", \"0x… SHA-256 of FILE\")\nWhat it prints is a signature that fiducial trust accept takes.\n\n"
        "Exit codes: 11 the file is not what the chain says, or of another chain; 2 no terminal and no --yes; 5 the node keeps no signer's "
        "key");
    command->callback([&globals, &action, options] {
        action = [&globals, options]() -> Result<int> {
            FID_TRY(const auto text, read_text(options->file));
            std::optional<std::string> ours;
            if (options->key.empty()) {
                FID_TRY(ours, read_text(archive::SiteLayout{globals.site}.trust_file()));
            }
            FID_TRY(const auto says, show_what_is_signed(text, ours));
            if (!options->yes) FID_CHECK(confirm("Sign it?"));
            json::object answer;
            if (options->key.empty()) {
                FID_TRY(answer, perform(
                                    globals, "trust sign", json::object{{"text", text}}, [](const json::object&) {},
                                    archive::Service::Ledger::required));
            } else {
                FID_TRY(answer, sign_with_key(options->key, text));
                answer["says"] = json::value_from(says);
            }
            if (!options->out.empty()) {
                FID_CHECK(write_public(options->out, shown::text(answer, "signatures") + "\n"));
                if (!globals.json) std::printf("signed as %s: %s\n", shown::text(answer, "signer").c_str(), options->out.c_str());
            }
            return print_to(globals, options->out, std::move(answer), "signatures");
        };
    });
}

/// A signature itself, or a file of one or several.
Result<std::vector<crypto::RecoverableSignature>> read_given(const std::vector<std::string>& given, const Hash& sha256) {
    std::vector<crypto::RecoverableSignature> out;
    for (const auto& one : given) {
        auto text = one;
        if (!one.starts_with("0x")) {
            FID_TRY(text, read_text(one));
        }
        auto read = evidence::read_trust_signatures(text, sha256);
        if (!read) return fail(read.error().with(one.substr(0, 200)));
        out.insert(out.end(), read->begin(), read->end());
    }
    return out;
}

void add_accept(CLI::App& trust, Globals& globals, Action& action) {
    struct Options {
        std::string file, held;
        std::vector<std::string> signatures;
    };
    auto options = std::make_shared<Options>();
    auto* command = trust.add_subcommand("accept", "Take over a next trust file that more than half of this one's signers have signed");
    command->add_option("FILE", options->file, "The next trust file")->required();
    command->add_option("SIGNATURES", options->signatures, "Files of signatures, or signatures (0x…) as a node's console prints them")
        ->required();
    command->add_option("--replace", options->held, "Instead of the site's: a trust file that you hold, to be replaced; no site is needed");
    command->footer(
        "The trust file before is kept beside it (trust.json.1), and so are the signatures (trust.json.2.signatures): with them whoever "
        "holds the one before can\n"
        "follow, by fiducial trust accept --replace.\n\nExamples:\n  fiducial trust accept --site clinic trust.2.json luke.sig mary.sig\n"
        "  fiducial trust accept trust.2.json trust.json.2.signatures --replace hospital.trust.json\n\n"
        "Exit codes: 11 it does not follow the present one, or too few have signed (it says which)");
    command->callback([&globals, &action, options] {
        action = [&globals, options]() -> Result<int> {
            FID_TRY(const auto text, read_text(options->file));
            const auto sha256 = evidence::trust_file_sha256(text);
            FID_TRY(const auto signatures, read_given(options->signatures, sha256));
            json::object answer;
            if (options->held.empty()) {
                json::array given{json::value(evidence::serialise_trust_signatures(sha256, signatures))};
                const json::object arguments{{"text", text}, {"signatures", std::move(given)}};
                FID_TRY(answer, perform(globals, "trust accept", arguments, [](const json::object&) {}));
            } else {
                FID_TRY(const auto signers, archive::install_next_trust_file(options->held, text, signatures));
                FID_TRY(const auto next, evidence::TrustFile::parse(text));
                json::array signed_by;
                for (const auto& signer : signers) signed_by.push_back(json::value(to_0x(signer)));
                answer = {{"version", next.version}, {"sha256", to_hex(sha256)}, {"signedBy", std::move(signed_by)}};
            }
            if (globals.json)
                print_json(answer);
            else
                std::printf(
                    "Trust file version %llu counts from now on, signed by %s. Its SHA-256, for letters and for whoever checks images:\n  "
                    "%s\n",
                    shown::count(answer, "version"), shown::counted(answer.at("signedBy").get_array().size(), "signer", "signers").c_str(),
                    strong(shown::text(answer, "sha256")).c_str());
            return 0;
        };
    });
}

}  // namespace

void add_trust_commands(CLI::App& cli, Globals& globals, Action& action) {
    auto* command =
        cli.add_subcommand("trust", "Print the trust file, to be given to whoever checks images; make, sign and accept the next one");
    command->require_subcommand(0, 1);
    auto qr = std::make_shared<bool>(false);
    auto svg = std::make_shared<std::string>();
    command->add_flag("--qr", *qr, "Print its SHA-256 and a QR code of it instead");
    command->add_option("--svg", *svg, "Write the QR code to this file, for letters");
    command->callback([&globals, &action, command, qr, svg] {
        if (!command->get_subcommands().empty()) return;
        action = [&globals, qr, svg]() -> Result<int> {
            FID_TRY(const auto text, read_text(archive::SiteLayout{globals.site}.trust_file()));
            const auto sha256 = evidence::trust_file_sha256(text);
            if (!svg->empty()) FID_CHECK(write_public(*svg, qr_as_svg(trust_file_code(sha256))));
            if (*qr) std::printf("%s\n%s", to_hex(sha256).c_str(), qr_for_terminal(trust_file_code(sha256)).c_str());
            if (*qr || !svg->empty()) return 0;
            std::fwrite(text.data(), 1, text.size(), stdout);
            return 0;
        };
    });
    add_next(*command, globals, action);
    add_sign(*command, globals, action);
    add_accept(*command, globals, action);
}

}  // namespace fiducial::app
