#include "base/configuration.hpp"

#include <toml++/toml.h>

#include <array>
#include <sstream>
#include <variant>

#include "base/file.hpp"

namespace fiducial {
namespace {

using TextMember = std::string Configuration::*;
using ListMember = std::vector<std::string> Configuration::*;
struct NumberMember {
    std::int64_t Configuration::*member;
    std::int64_t least, most;
};

struct Option {
    std::string_view section, key;
    std::variant<TextMember, ListMember, NumberMember> member;
    std::string_view text;
};

const std::array<Option, 60>& options() {
    using C = Configuration;
    static const std::array<Option, 60> table{{
        {"site", "name", &C::site_name, "What people call this archive."},
        {"http", "listen", &C::http_listen, "Address and port of DICOMweb and the other web doors. Anything but loopback needs TLS."},
        {"http", "tls_certificate", &C::http_tls_certificate, "PEM file with the certificate chain; empty: no TLS (loopback only)."},
        {"http", "tls_key", &C::http_tls_key, "PEM file with its private key."},
        {"http", "max_connections", NumberMember{&C::http_max_connections, 1, 65536},
         "Connections at once. With one more the longest idle one is closed; where none is idle, further ones wait."},
        {"http", "idle_timeout_s", NumberMember{&C::http_idle_timeout_s, 1, 3600}, "Seconds after which a silent connection is closed."},
        {"http", "max_body_mib", NumberMember{&C::http_max_body_mib, 1, 1048576}, "Largest request body, MiB."},
        {"http", "public_url", &C::http_public_url,
         "How browsers and other clients reach it, as https://pacs.example.org: needed behind a proxy. Empty: as each request says."},
        {"http", "viewer", &C::http_viewer,
         "Folder with the viewer that deploy/viewer installed. Empty: share/fiducial/viewer beside the program's folder, if it is there."},
        {"http", "session_idle_min", NumberMember{&C::http_session_idle_min, 1, 720},
         "Minutes without a request after which a browser has to log in again."},
        {"dimse", "listen", &C::dimse_listen, "Address and port of DIMSE, as 0.0.0.0:11112; empty: off."},
        {"dimse", "ae_title", &C::dimse_ae_title, "The archive's Application Entity title. Whoever calls another one is rejected."},
        {"dimse", "peers", &C::dimse_peers,
         "Who may call: \"AE_TITLE ADDRESS\" each (* for any title, 192.0.2.0/24 for a network), then if need be plain (without TLS from "
         "beyond this machine), set-aside=success or set-aside=failure (instead of a warning), device=NAME (fiducial device add), query, "
         "retrieve, worklist, port=N (objects can be moved to it), commitment=durable or commitment=settled (Storage Commitment is "
         "answered when "
         "instances are on the disk, or settled on the ledger), certificate=SHA256 (of the only TLS certificate with which it comes, and "
         "which it shows when something is sent to it)."},
        {"dimse", "tls_certificate", &C::dimse_tls_certificate, "PEM file with the certificate chain; empty: no TLS."},
        {"dimse", "tls_key", &C::dimse_tls_key, "PEM file with its private key."},
        {"dimse", "max_associations", NumberMember{&C::dimse_max_associations, 1, 4096},
         "Associations at once; one more is rejected for now."},
        {"dimse", "idle_timeout_s", NumberMember{&C::dimse_idle_timeout_s, 1, 86400},
         "Seconds after which an association without a message is aborted."},
        {"dimse", "private_sop_classes", &C::dimse_private_sop_classes,
         "Storage classes of manufacturers to take as well; one that ends with a dot stands for all below it."},
        {"dimse", "forward", &C::dimse_forward,
         "What goes on to which peer as soon as its exam is complete: \"PEER\" each (a line of peers with device= and port=), then if need "
         "be "
         "from=AE_TITLE,… and KEYWORD=VALUE of attributes, as in \"WS3 from=CT1,CT2 Modality=CT\"."},
        {"dimse", "notify", &C::dimse_notify,
         "AE titles of peers (with device= and port= in their lines) that are told which instances are here when an exam is complete."},
        {"dimse", "delivery_refusals", NumberMember{&C::dimse_delivery_refusals, 1, 1000},
         "What a peer has refused so often is given up (fiducial delivery list)."},
        {"dimse", "delivery_hours", NumberMember{&C::dimse_delivery_hours, 1, 8760},
         "What could not be brought to a peer, or committed to, in so many hours is given up."},
        {"hl7", "listen", &C::hl7_listen,
         "Address and port for HL7 version 2 by MLLP (orders for the worklist), as 0.0.0.0:2575; empty: off."},
        {"hl7", "senders", &C::hl7_senders,
         "Who may send: an address or a network each, then if need be plain (without TLS from beyond this machine), device=NAME."},
        {"hl7", "tls_certificate", &C::hl7_tls_certificate, "PEM file with the certificate chain; empty: no TLS."},
        {"hl7", "tls_key", &C::hl7_tls_key, "PEM file with its private key."},
        {"worklist", "keep_days", NumberMember{&C::worklist_keep_days, 1, 36500},
         "Days after its start that an entry of the worklist is forgotten; also what modalities said of performed steps, since they last "
         "did."},
        {"mail", "server", &C::mail_server,
         "Host of the mail server (SMTP) that takes the archive's e-mails: that there is a message, a link to confirm an address or to set "
         "a "
         "password; no names, nothing medical. Empty: no e-mail. Needs [http] public_url, which links begin with."},
        {"mail", "port", NumberMember{&C::mail_port, 1, 65535}, "Its port: 587 for starttls, 465 for tls."},
        {"mail", "security", &C::mail_security, "starttls, tls (from the first byte on), or none (to a server on this machine only)."},
        {"mail", "user", &C::mail_user, "As whom to log in there; empty: no log-in."},
        {"mail", "password_file", &C::mail_password_file,
         "File with the password as its first line, which nobody but the archive's user may read (mode 0600)."},
        {"mail", "from", &C::mail_from, "The address that e-mails come from, as pacs@example.org."},
        {"mail", "authorities", &C::mail_authorities, "PEM file: whom to believe of the mail server's certificate. Empty: the system's."},
        {"ledger", "url", &C::ledger_url,
         "JSON-RPC of an Ethereum node (http://…, https://… or the path of an IPC socket). Empty: the archive runs a local node of its "
         "own."},
        {"ledger", "geth", &C::ledger_geth,
         "Path of geth 1.13.15 for the local node. Empty: looked for on the PATH and in Go's bin folder."},
        {"ledger", "poll_ms", NumberMember{&C::ledger_poll_ms, 10, 60000}, "How often the node is asked for new blocks, ms."},
        {"ledger", "batch_flush_ms", NumberMember{&C::ledger_batch_flush_ms, 0, 60000},
         "A study record waits at most this long for others to share a transaction, ms."},
        {"ledger", "batch_size", NumberMember{&C::ledger_batch_size, 1, 256}, "Study records in a transaction at most."},
        {"ledger", "away_limit_s", NumberMember{&C::ledger_away_limit_s, 1, 86400},
         "With the node away so long, own staff and administration no longer go on by what was last settled; doctors can still break the "
         "glass."},
        {"trace", "checkpoint_every_s", NumberMember{&C::trace_checkpoint_every_s, 1, 86400},
         "The head of the trace is signed and taken to the ledger this often, s, where it has grown."},
        {"trace", "checkpoint_every_entries", NumberMember{&C::trace_checkpoint_every_entries, 1, 1000000},
         "The same, where it has grown by so many entries."},
        {"trace", "witnesses", &C::trace_witnesses,
         "Who cosigns the trace's checkpoints, as \"KEY URL\" each (C2SP tlog-witness): another member's key as its audit checkpoint "
         "shows it, and https://its.address/witness."},
        {"trace", "witness_for", &C::trace_witness_for,
         "Keys of other members' traces whose checkpoints this archive cosigns, under /witness; none: it is no witness."},
        {"trace", "timestamp_url", &C::trace_timestamp_url,
         "A time stamping authority (RFC 3161) that stamps each checkpoint; empty: none."},
        {"trace", "syslog", &C::trace_syslog,
         "HOST:PORT of a syslog server over TLS that gets every new entry as a DICOM audit message (PS3.15 A.5, RFC 5425); empty: none."},
        {"trace", "authorities", &C::trace_authorities,
         "PEM file: whom to believe of witnesses, time stamping authority and syslog server. Empty: the system's (not for time stamps)."},
        {"ingest", "quiet_s", NumberMember{&C::ingest_quiet_s, 1, 3600},
         "Seconds without a new object after which an exam counts as complete."},
        {"ingest", "header_mib", NumberMember{&C::ingest_header_mib, 1, 1024}, "Largest header (all but bulk data) of an object, MiB."},
        {"store", "segment_mib", NumberMember{&C::store_segment_mib, 1, 65536}, "Size at which a new segment file is begun, MiB."},
        {"store", "warn_free_percent", NumberMember{&C::store_warn_free_percent, 1, 90},
         "With less free room than this, in per cent of the disk or in MiB, whichever is less, people are warned."},
        {"store", "warn_free_mib", NumberMember{&C::store_warn_free_mib, 256, 1073741824}, "The same in MiB."},
        {"store", "refuse_free_percent", NumberMember{&C::store_refuse_free_percent, 1, 90},
         "With less than this (per cent or MiB, whichever is less, but never below 256 MiB) nothing new is stored; the rest is for trace, "
         "ledger and index."},
        {"store", "refuse_free_mib", NumberMember{&C::store_refuse_free_mib, 256, 1073741824}, "The same in MiB."},
        {"store", "compact_dead_percent", NumberMember{&C::store_compact_dead_percent, 1, 100},
         "A segment with so many per cent of dead room (erased, discarded, given up) is rewritten without it, while the archive runs."},
        {"store", "compact_mib_per_s", NumberMember{&C::store_compact_mib_per_s, 1, 65536},
         "How fast at most that reads and writes, MiB/s, so that nobody waits for it."},
        {"store", "compact_every_s", NumberMember{&C::store_compact_every_s, 0, 86400},
         "How often it is looked for, s; 0: only when asked (fiducial compact)."},
        {"store", "retention_days", NumberMember{&C::store_retention_days, 1, 36525},
         "Days from the study date on before which nothing is removed for the reason that it need not be kept any longer."},
        {"log", "level", &C::log_level, "debug, info, warning or error."},
        {"log", "file", &C::log_file, "A file that gets the log lines too; empty: standard error only."},
    }};
    return table;
}
constexpr Option kExtraAttributes{"index", "extra_attributes", &Configuration::index_extra_attributes,
                                  "Further DICOM attributes to index, as keywords or ggggeeee."};

std::string at(std::string_view file, const toml::node& node) {
    return std::string(file) + ":" + std::to_string(node.source().begin.line);
}

Result<void> take(Configuration& configuration, const Option& option, const toml::node& node, std::string_view file) {
    const std::string where = at(file, node) + ": [" + std::string(option.section) + "] " + std::string(option.key);
    if (const auto* text = std::get_if<TextMember>(&option.member)) {
        const auto value = node.value_exact<std::string>();
        if (!value) return fail(ErrorCode::invalid_argument, where + " must be a text in quotes");
        configuration.*(*text) = *value;
    } else if (const auto* number = std::get_if<NumberMember>(&option.member)) {
        const auto value = node.value_exact<std::int64_t>();
        if (!value) return fail(ErrorCode::invalid_argument, where + " must be a whole number");
        if (*value < number->least || *value > number->most) {
            return fail(ErrorCode::invalid_argument,
                        where + " must be from " + std::to_string(number->least) + " to " + std::to_string(number->most));
        }
        configuration.*(number->member) = *value;
    } else {
        const auto* list = node.as_array();
        std::vector<std::string> values;
        if (list != nullptr) {
            for (const auto& item : *list) {
                const auto value = item.value_exact<std::string>();
                if (!value) return fail(ErrorCode::invalid_argument, where + " must be a list of texts");
                values.push_back(*value);
            }
        }
        if (list == nullptr) return fail(ErrorCode::invalid_argument, where + " must be a list of texts");
        configuration.*(std::get<ListMember>(option.member)) = std::move(values);
    }
    return {};
}

std::vector<const Option*> all_options() {
    std::vector<const Option*> all;
    for (const auto& option : options()) {
        if (option.section == "log" && option.key == "level") all.push_back(&kExtraAttributes);
        all.push_back(&option);
    }
    return all;
}

std::string toml_text(std::string_view text) {
    std::string out = "\"";
    for (char c : text) {
        if (c == '"' || c == '\\') out.push_back('\\');
        out.push_back(c);
    }
    return out + "\"";
}

}  // namespace

Result<Configuration> Configuration::load(const std::filesystem::path& path) {
    FID_TRY(const auto bytes, read_file(path, 1 << 20));
    return parse(as_text(bytes), path.string());
}

Result<Configuration> Configuration::parse(std::string_view text, std::string_view file) {
    toml::table parsed;
    try {
        parsed = toml::parse(text, file);
    } catch (const toml::parse_error& error) {
        return fail(ErrorCode::malformed,
                    std::string(file) + ":" + std::to_string(error.source().begin.line) + ": " + std::string(error.description()));
    }
    Configuration configuration;
    for (const auto& [section_key, section_node] : parsed) {
        const auto* section = section_node.as_table();
        if (section == nullptr) {
            return fail(ErrorCode::invalid_argument,
                        at(file, section_node) + ": " + std::string(section_key.str()) + " stands outside any [section]");
        }
        for (const auto& [key, node] : *section) {
            const Option* found = nullptr;
            for (const auto* option : all_options()) {
                if (option->section == section_key.str() && option->key == key.str()) found = option;
            }
            if (found == nullptr) {
                return fail(ErrorCode::invalid_argument,
                            at(file, node) + ": there is no setting [" + std::string(section_key.str()) + "] " + std::string(key.str()));
            }
            FID_CHECK(take(configuration, *found, node, file));
        }
    }
    const auto& level = configuration.log_level;
    if (level != "debug" && level != "info" && level != "warning" && level != "error") {
        return fail(ErrorCode::invalid_argument, std::string(file) + ": [log] level must be debug, info, warning or error");
    }
    if (configuration.store_refuse_free_percent > configuration.store_warn_free_percent ||
        configuration.store_refuse_free_mib > configuration.store_warn_free_mib) {
        return fail(
            ErrorCode::invalid_argument,
            std::string(file) + ": [store] refuse_free_percent and refuse_free_mib may not be above warn_free_percent and warn_free_mib");
    }
    if (configuration.dimse_tls_certificate.empty() != configuration.dimse_tls_key.empty()) {
        return fail(ErrorCode::invalid_argument, std::string(file) + ": [dimse] tls_certificate and tls_key go together");
    }
    if (configuration.hl7_tls_certificate.empty() != configuration.hl7_tls_key.empty()) {
        return fail(ErrorCode::invalid_argument, std::string(file) + ": [hl7] tls_certificate and tls_key go together");
    }
    if (configuration.http_tls_certificate.empty() != configuration.http_tls_key.empty()) {
        return fail(ErrorCode::invalid_argument, std::string(file) + ": [http] tls_certificate and tls_key go together");
    }
    if (!configuration.mail_server.empty()) {
        const auto wrong = [&](const std::string& what) {
            return fail(ErrorCode::invalid_argument, std::string(file) + ": [mail] " + what);
        };
        const auto& server = configuration.mail_server;
        const auto& security = configuration.mail_security;
        if (security != "starttls" && security != "tls" && security != "none") return wrong("security must be starttls, tls or none");
        if (security == "none" && server != "localhost" && server != "127.0.0.1" && server != "::1")
            return wrong("security = \"none\" is for a server on this machine (localhost, 127.0.0.1, ::1): use starttls or tls");
        if (server.find_first_of(" /@[]\t\r\n?#%") != std::string::npos)
            return wrong("server is the name or address of a host, without a port");
        if (configuration.mail_from.empty()) return wrong("from is missing: the address that e-mails come from");
        if (configuration.http_public_url.empty()) return wrong("server needs [http] public_url, which the links in e-mails begin with");
        if (configuration.mail_user.empty() != configuration.mail_password_file.empty()) return wrong("user and password_file go together");
    }
    return configuration;
}

std::string Configuration::to_json() const {
    std::ostringstream out;
    const toml::table table = toml::parse(to_toml());
    out << toml::json_formatter(table);
    return out.str();
}

std::string Configuration::to_toml() const {
    std::string out =
        "# Settings of a Fiducial site. `fiducial config defaults` prints every default; `fiducial config check` reads this file and says "
        "what is wrong.\n";
    std::string_view section;
    for (const auto* option : all_options()) {
        if (option->section != section) {
            section = option->section;
            out += "\n[" + std::string(section) + "]\n";
        }
        out += "# " + std::string(option->text) + "\n" + std::string(option->key) + " = ";
        if (const auto* text = std::get_if<TextMember>(&option->member)) {
            out += toml_text(this->*(*text));
        } else if (const auto* number = std::get_if<NumberMember>(&option->member)) {
            out += std::to_string(this->*(number->member));
        } else {
            out += "[";
            for (const auto& item : this->*(std::get<ListMember>(option->member))) out += (out.back() == '[' ? "" : ", ") + toml_text(item);
            out += "]";
        }
        out += "\n";
    }
    return out;
}

}  // namespace fiducial
