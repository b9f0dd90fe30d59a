#pragma once
#include <functional>
#include <string>
#include <vector>

#include "app/perform.hpp"
#include "crypto/recovery_share.hpp"

namespace CLI {
class App;
}

namespace fiducial::app {

class ProgressLine;

/// What the command line asks for, set by the command that was named. Returns: the exit code.
using Action = std::function<Result<int>()>;

/// Each adds its commands to the parser; when one is named, `action` becomes what to do.
/// To add a command: declare it in the file of its group, with a description, an example in the footer, and its exit codes.
void add_site_commands(CLI::App& cli, Globals& globals, Action& action);        // init, serve, config, completion, version
void add_key_commands(CLI::App& cli, Globals& globals, Action& action);         // key
void add_image_commands(CLI::App& cli, Globals& globals, Action& action);       // import, export, list, show, set-aside, quarantine
void add_proof_commands(CLI::App& cli, Globals& globals, Action& action);       // verify, evidence, fsck, ledger
void add_trust_commands(CLI::App& cli, Globals& globals, Action& action);       // trust
void add_backup_commands(CLI::App& cli, Globals& globals, Action& action);      // backup, restore
void add_audit_commands(CLI::App& cli, Globals& globals, Action& action);       // audit
void add_people_commands(CLI::App& cli, Globals& globals, Action& action);      // person, token
void add_peer_commands(CLI::App& cli, Globals& globals, Action& action);        // peer
void add_device_commands(CLI::App& cli, Globals& globals, Action& action);      // device
void add_worklist_commands(CLI::App& cli, Globals& globals, Action& action);    // worklist
void add_fetch_command(CLI::App& cli, Globals& globals, Action& action);        // fetch
void add_delivery_commands(CLI::App& cli, Globals& globals, Action& action);    // delivery
void add_mail_commands(CLI::App& cli, Globals& globals, Action& action);        // mail
void add_consent_commands(CLI::App& cli, Globals& globals, Action& action);     // consent, break-glass, emergency
void add_shadow_commands(CLI::App& cli, Globals& globals, Action& action);      // shadow
void add_correction_commands(CLI::App& cli, Globals& globals, Action& action);  // remove, put-back, correct, hold
void add_vision_commands(CLI::App& cli, Globals& globals, Action& action);      // triage, model
void add_demo_command(CLI::App& cli, Globals& globals, Action& action);

/// Recovery shares, one in each file. Errors: malformed, naming the file and the group that is mistyped.
Result<std::vector<crypto::RecoveryShare>> read_share_files(const std::vector<std::string>& files);

void print_shares(const std::vector<crypto::RecoveryShare>& shares, unsigned needed);

/// Shows how many bytes are done, and steps where these are told.
archive::EmitEvent byte_progress(ProgressLine& line, bool tell_steps);

/// Prints JSON for --json, one text.
void print_json(const boost::json::object& object);

}  // namespace fiducial::app
