#include <algorithm>
#include <boost/json.hpp>
#include <map>

#include "archive/arguments.hpp"
#include "archive/finding.hpp"
#include "archive/operations.hpp"
#include "archive/service.hpp"
#include "base/hex.hpp"
#include "ethereum/abi.hpp"
#include "ledger/contracts.hpp"

namespace fiducial::archive {
namespace {

namespace json = boost::json;
constexpr std::size_t kPiece = std::size_t{1} << 20;

/// What the contract Studies holds for a version; zeros: nothing.
Result<Hash> record_on_ledger(ledger::Rpc& rpc, const evidence::StudyRecord& record) {
    FID_TRY(const auto answer,
            rpc.call({record.contract, ledger::contracts::record_of_call(record.institution, record.study_key, record.version), {}}));
    if (answer.reverted) return fail(ErrorCode::internal, "the contract Studies reverted");
    return ledger::contracts::decode_hash(answer.data);
}

}  // namespace

struct Operations::StudyCheck {
    std::uint64_t objects = 0, bytes = 0;
    std::uint64_t version = 0;
    std::string state;  // of the anchor
    std::uint64_t block = 0;
    json::array damaged;
};

Result<Operations::StudyCheck> Operations::check_study(const std::string& study_uid, const std::string& sop_uid) {
    StudyCheck check;
    const auto who = service_.command_requester();
    Selector what{sop_uid.empty() ? Level::study : Level::instance, study_uid, {}, sop_uid};
    FID_TRY(const auto study, service_.identify(study_uid));
    auto version = service_.versions_->latest(study.row.study_uid);
    if (!version) {
        check.state = "no version yet";
        if (version.error().code != ErrorCode::not_found)
            check.damaged.push_back({{"studyInstanceUid", study_uid}, {"reason", version.error().message}});
    } else {
        const auto& record = (*version)->row.record;
        check.version = record.version;
        const auto anchor = service_.store_->database().read(
            [&](database::Transaction& t) { return service_.outbox_->anchor(t, study.study_key, record.version); });
        if (anchor) {
            check.state = ledger::name_of(anchor->state);
            check.block = anchor->block_number;
        } else if (anchor.error().code == ErrorCode::not_found) {
            check.state = "not queued";
            check.damaged.push_back(
                {{"studyInstanceUid", study_uid},
                 {"reason", "the outbox does not know of version " + std::to_string(record.version) + ": run fsck --repair"}});
        } else {
            return fail(anchor.error());
        }
        auto held = record_on_ledger(*service_.rpc_, record);
        if (!held) {
            check.state = "ledger not reached";
        } else if (*held == kZero32) {
            if (check.block != 0)
                check.damaged.push_back({{"studyInstanceUid", study_uid}, {"reason", "the ledger no longer holds this version"}});
            if (anchor) check.state = "not on the ledger yet";
        } else if (*held != record.hash()) {
            check.damaged.push_back({{"studyInstanceUid", study_uid},
                                     {"reason", "the ledger holds another record for version " + std::to_string(record.version)}});
        }
    }
    FID_TRY(const auto selected, service_.select(what));
    const auto& rows = selected.rows;
    if (const auto listed = check_listed(rows, what, version ? version->get() : nullptr, selected.study_revision); !listed) {
        check.damaged.push_back({{"studyInstanceUid", study_uid}, {"reason", listed.error().message}});
    } else if (rows.empty() && !(sop_uid.empty() && version && (*version)->manifest.instances.empty())) {
        return fail(ErrorCode::not_found, "there is no such study or instance");
    }
    Bytes buffer(kPiece);
    for (const auto& row : rows) {
        if (stop_.load()) break;
        Selector one{Level::instance, study_uid, row.series_uid.text(), row.sop_uid.text()};
        const auto read_one = [&]() -> Result<std::uint64_t> {
            FID_TRY(const auto retrieval, service_.retrieve(who, one));
            FID_CHECK(retrieval->next_instance());
            std::uint64_t size = 0;
            for (;;) {
                FID_TRY(const auto got, retrieval->read(buffer));
                if (got == 0) return size;
                size += got;
            }
        };
        auto size = read_one();
        check.objects += 1;
        if (size) {
            check.bytes += *size;
        } else if (size.error().code == ErrorCode::corrupt) {
            check.damaged.push_back(
                {{"sopInstanceUid", row.sop_uid.text()}, {"objectId", to_hex(row.object.ref.id)}, {"reason", size.error().message}});
        } else {
            return fail(size.error());
        }
    }
    return check;
}

Result<json::object> Operations::verify(const Arguments& arguments) {
    FID_TRY(auto studies, named_studies(arguments));
    const auto instance = argument::text(arguments, "instance");
    const bool everything = argument::flag(arguments, "all");
    if (!instance.empty() && studies.empty()) {
        FID_TRY(const auto uid, Uid::parse(instance));
        FID_TRY(const auto row,
                service_.store_->database().read([&](database::Transaction& t) { return service_.store_->index().find_instance(t, uid); }));
        if (!row) return fail(ErrorCode::not_found, "there is no instance " + instance);
        studies.push_back(row->study_uid.text());
    }
    if (studies.empty() && !everything) return fail(ErrorCode::invalid_argument, "name a study or an instance, or ask for all");
    std::uint64_t objects = 0, bytes = 0, settled = 0;
    json::array damaged, states;
    std::size_t done = 0;
    for (std::size_t i = 0; i < studies.size() && !stop_.load(); ++i) {
        FID_TRY(auto check, check_study(studies[i], instance));
        if (!stop_.load()) done += 1;
        objects += check.objects;
        bytes += check.bytes;
        settled += check.state == "settled" ? 1 : 0;
        states.push_back({{"studyInstanceUid", studies[i]}, {"version", check.version}, {"state", check.state}, {"block", check.block}});
        for (auto& item : check.damaged) damaged.push_back(std::move(item));
        emit_({{"progress", {{"studiesDone", i + 1}, {"studiesTotal", studies.size()}, {"objects", objects}, {"bytes", bytes}}}});
    }
    return json::object{{"studies", done},
                        {"studiesAsked", studies.size()},
                        {"objects", objects},
                        {"bytes", bytes},
                        {"settled", settled},
                        {"states", std::move(states)},
                        {"damaged", std::move(damaged)},
                        {"interrupted", stop_.load()}};
}

/// What the ledger holds of this institution and the index does not.
struct Operations::OnLedger {
    struct Version {
        Hash study_key{};
        std::uint64_t version = 0, block = 0;
        std::string study_uid;  // empty where no study here has this key
        std::string name() const {
            return (study_uid.empty() ? "study key " + to_hex(study_key) : "study " + study_uid) + " version " + std::to_string(version);
        }
    };
    std::vector<Version> versions;  // of studies that were not erased
    std::set<Hash> erased;          // study keys
};

Result<Operations::OnLedger> Operations::look_for_unknown_versions() {
    OnLedger out;
    const auto& facts = service_.site_.facts();
    auto& database = service_.store_->database();
    ledger::LogFilter filter;
    filter.addresses = {facts.studies};
    filter.first_topics = {ethereum::event_topic("StudyAnchored(bytes32,bytes32,uint64,bytes32)")};
    filter.second_topics = {facts.institution};
    FID_TRY(const auto head, service_.rpc_->block_number());
    constexpr std::uint64_t kSpan = 5000;
    std::pair<Hash, std::vector<evidence::StudyRecord>> called;  // by the transaction that was looked at last
    for (auto first = facts.from_block; first <= head && !stop_.load(); first += kSpan) {
        FID_TRY(const auto logs, service_.rpc_->logs_in_range(first, std::min(head, first + kSpan - 1), filter));
        for (const auto& log : logs) {
            FID_TRY(const auto event, ledger::contracts::decode_studies_event(log));
            const auto* anchored = std::get_if<ledger::contracts::StudyAnchored>(&event);
            if (anchored == nullptr || anchored->institution != facts.institution) continue;
            FID_TRY(const auto known, database.read([&](database::Transaction& t) {
                return service_.store_->index().find_version_by_record(t, anchored->record);
            }));
            if (known) {
                if ((known->record.reasons & evidence::kReasonErased) != 0) out.erased.insert(anchored->study_key);
                continue;
            }
            // What it says beyond its hash stands in the transaction alone.
            if (called.first != log.transaction_hash) {
                FID_TRY(const auto calldata, service_.rpc_->calldata(log.transaction_hash));
                FID_TRY(called.second, ledger::contracts::decode_anchor_call(calldata));
                for (auto& record : called.second) {  // what a call leaves to the contract
                    record.chain_id = facts.chain_id;
                    record.contract = facts.studies;
                    record.institution = facts.institution;
                }
                called.first = log.transaction_hash;
            }
            const bool erased = std::any_of(called.second.begin(), called.second.end(), [&](const evidence::StudyRecord& record) {
                return record.hash() == anchored->record && (record.reasons & evidence::kReasonErased) != 0;
            });
            if (erased)
                out.erased.insert(anchored->study_key);
            else
                out.versions.push_back({anchored->study_key, anchored->version, log.block_number, {}});
        }
    }
    std::erase_if(out.versions, [&](const auto& one) { return out.erased.contains(one.study_key); });
    if (out.versions.empty()) return out;
    std::map<Hash, std::string> uids;
    FID_CHECK(each_study([&](const store::StudyRow& study) -> Result<void> {
        if (const auto identity = identify_study(*service_.store_, study)) uids.emplace(identity->study_key, study.study_uid.text());
        return {};
    }));
    for (auto& one : out.versions) {
        if (const auto found = uids.find(one.study_key); found != uids.end()) one.study_uid = found->second;
    }
    return out;
}

/// Errors: conflict when the node is of another chain than this site's.
Result<void> Operations::check_chain() {
    const auto& facts = service_.site_.facts();
    FID_TRY(const auto chain_id, service_.rpc_->chain_id());
    FID_TRY(const auto genesis, service_.rpc_->block(std::uint64_t{0}));
    if (chain_id != facts.chain_id || !genesis || genesis->hash != facts.genesis_hash) {
        return fail(ErrorCode::conflict, "the node is of another chain: it says chain " + std::to_string(chain_id) +
                                             ", this site's is chain " + std::to_string(facts.chain_id) + " with genesis " +
                                             to_hex(facts.genesis_hash));
    }
    return {};
}

/// A node that does not know of all that was erased before the backup would let it come back.
Result<void> Operations::check_chain_reaches(std::uint64_t chain_head, bool chain_is_the_backups) {
    FID_CHECK(check_chain());
    FID_TRY(const auto syncing, service_.rpc_->is_syncing());
    if (syncing)
        return fail(ErrorCode::unavailable,
                    "the node is still catching up with its peers, and does not know yet of all that was erased: restore again when it has "
                    "caught up");
    auto wanted = chain_head;
    if (!chain_is_the_backups) {
        FID_CHECK(service_.follower_->load());
        wanted = std::max(wanted, service_.follower_->status().head);
    }
    FID_TRY(const auto head, service_.rpc_->block_number());
    if (head >= wanted) return {};
    return fail(ErrorCode::unavailable,
                "the ledger ends at block " + std::to_string(head) + ", the backup knows of block " + std::to_string(wanted) +
                    ": what was erased in between would come back; " +
                    (service_.site_.facts().own_node ? "this chain is older than the backup: restore without --ledger, or name a newer one"
                                                     : "wait until the node has caught up, or name another one (--ledger)"));
}

/// Both ways: each version here is on the ledger, each version of ours on the ledger is here.
Result<json::array> Operations::compare_with_ledger(bool repair) {
    json::array findings;
    FID_CHECK(check_chain());
    auto& database = service_.store_->database();
    const auto check_versions = [&](const store::StudyRow& study) -> Result<void> {
        FID_TRY(const auto versions,
                database.read([&](database::Transaction& t) { return service_.store_->index().versions_of(t, study.study_uid); }));
        for (const auto& version : versions) {
            const auto& record = version.record;
            const std::string name = "study " + study.study_uid.text() + " version " + std::to_string(record.version);
            FID_TRY(const auto held, record_on_ledger(*service_.rpc_, record));
            if (held != kZero32 && held != record.hash()) {
                findings.push_back(finding("other_record", name, "the ledger holds another record in its slot",
                                           "an incident: see docs/operating/node.md"));
                continue;
            }
            const auto anchor =
                database.read([&](database::Transaction& t) { return service_.outbox_->anchor(t, record.study_key, record.version); });
            if (!anchor && repair) {
                FID_CHECK(database.write(database::Durability::full,
                                         [&](database::Transaction& t) { return service_.outbox_->enqueue(t, record); }));
                service_.outbox_->wake();
            } else if (!anchor) {
                findings.push_back(
                    finding("not_queued", name,
                            held == kZero32 ? "it is neither on the ledger nor in the outbox" : "the outbox does not know of it",
                            "run fsck --repair"));
            } else if (held == kZero32 && anchor->state == ledger::OutboxState::settled) {
                findings.push_back(finding("not_on_ledger", name, "it was settled, and the ledger does not hold it",
                                           "the chain was set back or replaced: see docs/operating/node.md"));
            }
        }
        return {};
    };
    FID_CHECK(each_study(check_versions));

    FID_TRY(const auto unknown, look_for_unknown_versions());
    for (const auto& one : unknown.versions) {
        findings.push_back(finding("lost_version", one.name(),
                                   "the ledger holds it (block " + std::to_string(one.block) + "), this archive does not",
                                   "the index is older than the ledger: run fsck --rebuild-index, or restore a newer backup"));
    }
    return findings;
}

/// A study that is erased elsewhere, or whose erasure was interrupted.
Result<std::uint64_t> Operations::erase_again(const std::set<Hash>& erased_keys) {
    std::vector<Uid> doomed;
    FID_CHECK(each_study([&](const store::StudyRow& study) -> Result<void> {
        const auto pair = service_.store_->secrets().study_secrets(study.slot);
        if (!pair && pair.error().code != ErrorCode::not_found) return fail(pair.error());
        if (!pair || erased_keys.contains(evidence::study_key(evidence::StudySecrets(pair->k).blind(), study.study_uid)))
            doomed.push_back(study.study_uid);
        return {};
    }));
    for (const auto& study : doomed) FID_CHECK(service_.store_->erase_study(study));
    return doomed.size();
}

Result<json::object> Operations::settle_restored(std::uint64_t chain_head, bool chain_is_the_backups) {
    FID_CHECK(check_chain_reaches(chain_head, chain_is_the_backups));
    FID_TRY(const auto on_ledger, look_for_unknown_versions());
    FID_TRY(const auto erased, erase_again(on_ledger.erased));
    // A copy's outbox takes the nonces up where the ledger stands.
    FID_CHECK(service_.store_->database().write(database::Durability::full,
                                                [&](database::Transaction& t) { return service_.outbox_->trust_nonces(t); }));
    FID_CHECK(service_.tracer_->write(service_.command_requester(), Operation::inventory, Decision{.allowed = true}, nullptr, {}, {},
                                      audit::people));
    FID_CHECK(service_.accounts_->repair(true));
    // What was looked at between the backup and the last checkpoint is not in this trace: it goes on under a name of its own.
    FID_CHECK(check_trace_on_ledger(true));
    json::array lost;
    for (const auto& one : on_ledger.versions)
        lost.push_back(
            {{"studyKey", to_hex(one.study_key)}, {"studyInstanceUid", one.study_uid}, {"version", one.version}, {"block", one.block}});
    return json::object{{"erased", erased}, {"lost", std::move(lost)}};
}

/// In one commit: a row that went before its record is there again would be a record that is never anchored. Asks no node.
Result<void> Operations::mend_outbox(std::span<const ledger::AlteredRow> altered) {
    if (altered.empty()) return {};
    auto& database = service_.store_->database();
    std::vector<evidence::StudyRecord> records;  // those without a sound row
    FID_CHECK(each_study([&](const store::StudyRow& study) {
        return database.read([&](database::Transaction& t) -> Result<void> {
            FID_TRY(const auto versions, service_.store_->index().versions_of(t, study.study_uid));
            for (const auto& version : versions) {
                const auto anchor = service_.outbox_->anchor(t, version.record.study_key, version.record.version);
                if (!anchor || anchor->state == ledger::OutboxState::incident) records.push_back(version.record);
            }
            return {};
        });
    }));
    if (stop_.load()) return {};
    FID_CHECK(database.write(database::Durability::full, [&](database::Transaction& t) -> Result<void> {
        FID_CHECK(service_.outbox_->remove(t, altered));
        for (const auto& record : records) {
            const auto anchor = service_.outbox_->anchor(t, record.study_key, record.version);
            if (anchor) continue;  // an incident of another kind
            if (anchor.error().code != ErrorCode::not_found) return fail(anchor.error());
            FID_CHECK(service_.outbox_->enqueue(t, record));
        }
        return {};
    }));
    service_.outbox_->wake();
    return {};
}

/// The index by the trace, which tells of each change to people and tokens.
Result<void> Operations::check_people(json::array& findings, bool repair) {
    auto& accounts = *service_.accounts_;
    if (const auto devices = service_.devices_->all(); !devices) {
        if (devices.error().code != ErrorCode::corrupt) return fail(devices.error());
        findings.push_back(finding("damaged_row", "devices", devices.error().message,
                                   "find out who can write to the index; fsck --repair forgets them all, then: fiducial device add"));
        if (repair) FID_CHECK(service_.devices_->forget());
    }
    bool set_back = false;
    const auto people = accounts.all();
    if (!people) {
        if (people.error().code != ErrorCode::corrupt) return fail(people.error());
        findings.push_back(finding("damaged_row", "people", people.error().message,
                                   "all tokens are refused; fsck --repair takes them back, and people go on"));
        if (!repair) return {};
    } else {
        for (const auto& one : people->damaged) {
            findings.push_back(
                finding("damaged_row", "person " + (one.name.empty() ? one.id : one.name), one.what,
                        "find out who can write to the index; fsck --repair takes the row and its tokens away, then: fiducial person add"));
        }
        FID_TRY(const auto changed_at, accounts.changed_at());
        const auto read = service_.trace_->for_each(changed_at.value_or(0), [&](std::uint64_t, const audit::StoredEntry& entry) {
            set_back = (entry.clear.flags & audit::people) != 0;
            return !set_back;
        });
        if (!read && read.error().code != ErrorCode::corrupt) return fail(read.error());  // what cannot be read of it was found already
        if (set_back) {
            findings.push_back(finding("older_people", "people and tokens",
                                       "the trace tells of a change to them that the index does not have: it was interrupted, or the index "
                                       "put back from an earlier time",
                                       "tokens that were taken back may open again: fsck --repair takes all of them back; add or "
                                       "deactivate again whom it concerned"));
        }
        if (!repair || (people->damaged.empty() && !set_back)) return {};
    }
    FID_CHECK(accounts.repair(set_back));
    const auto custodian = accounts.by_id(service_.site_.facts().operator_person);
    return !custodian && custodian.error().code == ErrorCode::not_found ? service_.restore_operator() : Result<void>();
}

Result<json::object> Operations::compact(const Arguments&) {
    FID_CHECK(administer({}, false));
    auto options = service_.compaction_options();
    options.pace = [&](std::uint64_t) {
        return stop_.load() ? Result<void>(fail(ErrorCode::cancelled, "stopped; what was rewritten so far stays so")) : Result<void>();
    };
    json::array left;
    store::CompactionReport all;
    for (;;) {  // until there is no more: the open segment is rewritten once something stands behind it
        FID_TRY(const auto report, service_.store_->compact(options));
        all.segments += report.segments;
        all.freed_bytes += report.freed_bytes;
        all.copied_bytes += report.copied_bytes;
        if (report.segments > 0) continue;
        for (const auto& why : report.left) left.emplace_back(why);
        break;
    }
    return json::object{{"segments", all.segments},
                        {"freedBytes", all.freed_bytes},
                        {"copiedBytes", all.copied_bytes},
                        {"left", std::move(left)},
                        {"deadBytes", service_.store_->compaction_status().dead_bytes}};
}

/// Rows of what was decided here that do not fit shut everybody out, until somebody who was told goes on with those that are left.
Result<void> Operations::mend_local_rows() {
    auto& database = service_.store_->database();
    const auto sound = database.read([&](database::Transaction& t) { return service_.rights_->local_changes(t); });
    if (sound) return {};
    if (sound.error().code != ErrorCode::corrupt) return fail(sound.error());
    const auto mended =
        service_.access_->change_local_rows([&](database::Transaction& t) { return service_.rights_->accept_local_rows(t); });
    return mended || mended.error().code == ErrorCode::corrupt ? Result<void>() : mended;
}

Result<json::object> Operations::fsck(const Arguments& arguments) {
    // What is damaged so that nobody can be decided about is named below.
    if (const auto may = administer({}, false); !may && may.error().code != ErrorCode::corrupt) return fail(may.error());
    json::object answer;
    if (argument::flag(arguments, "rebuildIndex")) {
        FID_TRY(const auto rebuilt, service_.store_->rebuild_index(argument::flag(arguments, "force"), [&](const store::Progress& now) {
            emit_({{"progress", {{"bytesDone", now.done}, {"bytesTotal", now.total}}}});
        }));
        answer["rebuilt"] = rebuilt;
        FID_TRY(answer["versionsRecovered"], service_.exams_->recover_versions());
    }
    store::FsckOptions options;
    options.read_everything = !argument::flag(arguments, "quick");
    options.repair = argument::flag(arguments, "repair");
    FID_TRY(const auto report, service_.store_->fsck(options, [&](const store::Progress& now) {
        emit_({{"progress", {{"bytesDone", now.done}, {"bytesTotal", now.total}}}});
    }));
    if (options.repair) FID_CHECK(mend_local_rows());
    json::array findings;
    for (const auto& item : report.findings) {
        findings.push_back({{"kind", std::string(store::name_of(item.kind))},
                            {"subject", item.subject},
                            {"where", item.where},
                            {"what", item.what},
                            {"advice", item.advice}});
    }
    FID_TRY(const auto trace_entries, check_trace(findings, options.repair));
    FID_CHECK(check_people(findings, options.repair));
    // Not only what is still to be sent: a row that was altered afterwards would be sent again after a reorganisation.
    FID_TRY(const auto altered,
            service_.store_->database().read([&](database::Transaction& t) { return service_.outbox_->altered_rows(t); }));
    for (const auto& row : altered) {
        findings.push_back(
            finding("altered_row", "row " + std::to_string(row.id) + " of ledger_outbox", "it was changed behind our back, and is not sent",
                    row.is_call ? "find out who can write to the index; fsck --repair takes it away; a consent or emergency that was "
                                  "decided here is sent again, anything else must be asked for again"
                                : "find out who can write to the index; fsck --repair puts the version's record in its place"));
    }
    const auto unsent = service_.consents_->unsent();
    if (!unsent && unsent.error().code != ErrorCode::corrupt) return fail(unsent.error());  // damaged rows were found already
    for (const auto& local : unsent.value_or(std::vector<store::LocalChange>())) {
        findings.push_back(finding("not_queued", "row " + std::to_string(local.id) + " of local_changes",
                                   "it was decided here, is not on the ledger, and the outbox does not know of it", "run fsck --repair"));
    }
    FID_TRY(const auto signed_bytes,
            service_.store_->database().read([&](database::Transaction& t) { return service_.outbox_->altered_transactions(t); }));
    for (const auto nonce : signed_bytes) {
        findings.push_back(finding("altered_transaction", "nonce " + std::to_string(nonce) + " in ledger_transactions",
                                   "its signed bytes or their hash were changed behind our back, and are not sent",
                                   "find out who can write to the index; what stood in it is signed anew when it would be sent again"));
    }
    FID_TRY(const auto foreign,
            service_.store_->database().read([&](database::Transaction& t) { return service_.outbox_->foreign_nonce(t); }));
    if (foreign) {
        findings.push_back(finding("foreign_transaction", "the gateway's account, nonce " + std::to_string(*foreign),
                                   "a transaction with this site's gateway key stands on the ledger, and the index does not know of it",
                                   "the index was put back from an earlier time, a copy of the site is running, or the key is in other "
                                   "hands: stop a copy; then fsck --repair goes on from where the ledger stands"));
        if (options.repair)
            FID_CHECK(service_.store_->database().write(database::Durability::full,
                                                        [&](database::Transaction& t) { return service_.outbox_->trust_nonces(t); }));
    }
    if (argument::flag(arguments, "repair")) {
        if (const auto mended = mend_outbox(altered); !mended && mended.error().code == ErrorCode::corrupt) {
            findings.push_back(finding("not_mended", "outbox", "the records cannot be read from the index: " + mended.error().message,
                                       "fsck --rebuild-index, then fsck --repair again"));
        } else if (!mended) {
            return fail(mended.error());
        }
        if (const auto sent = service_.consents_->send_again(); sent)
            answer["sentAgain"] = *sent;
        else if (sent.error().code != ErrorCode::corrupt)
            return fail(sent.error());
        FID_TRY(const auto completed, service_.exams_->complete_all());
        answer["completed"] = completed;
    }
    auto ledger = compare_with_ledger(argument::flag(arguments, "repair"));
    if (!ledger) ledger = fail(service_.with_nodes_reason(std::move(ledger.error())));
    if (ledger) {
        for (auto& item : *ledger) findings.push_back(std::move(item));
        ledger = check_trace_on_ledger(options.repair);
    }
    if (ledger) {
        for (auto& item : *ledger) findings.push_back(std::move(item));
    } else if (ledger.error().code == ErrorCode::conflict) {
        findings.push_back(finding("foreign_ledger", "ledger", ledger.error().message,
                                   "until it is put right nothing is anchored and nothing is compared: docs/operating/node.md"));
    } else if (ledger.error().code == ErrorCode::corrupt) {  // what was found so far is said all the same
        findings.push_back(finding("not_compared", "ledger", "the index cannot be compared with the ledger: " + ledger.error().message,
                                   "fsck --rebuild-index, then fsck again"));
    } else if (ledger.error().code == ErrorCode::unavailable || ledger.error().code == ErrorCode::timeout) {
        answer["ledger"] = "not compared: " + ledger.error().message;
    } else {
        return fail(ledger.error());
    }
    answer["objects"] = report.objects;
    answer["bytes"] = report.bytes;
    answer["rows"] = report.rows;
    answer["healed"] = report.healed;
    answer["deadBytes"] = report.dead_bytes;
    answer["traceEntries"] = trace_entries;
    answer["interrupted"] = stop_.load();
    answer["clean"] = findings.empty() && !stop_.load() && !answer.contains("ledger");
    answer["findings"] = std::move(findings);
    return answer;
}

}  // namespace fiducial::archive
