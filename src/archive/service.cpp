#include "archive/service.hpp"

#include <unistd.h>

#include <boost/json.hpp>
#include <charconv>

#include "archive/front_desk.hpp"
#include "archive/metadata.hpp"
#include "archive/trust.hpp"
#include "base/file.hpp"
#include "base/hex.hpp"
#include "base/log.hpp"
#include "crypto/hash.hpp"
#include "ethereum/clique.hpp"
#include "evidence/bundle.hpp"
#include "evidence/trust_file.hpp"
#include "ledger/proofs.hpp"
#include "net/client.hpp"

namespace fiducial::archive {
namespace {

constexpr std::size_t kMostAlarms = 1000;
constexpr std::uint64_t kClockTolerance = 2;  // s
constexpr std::chrono::hours kJumpIsNews{1};
constexpr std::chrono::minutes kStrangersEvery{1};
constexpr std::uint64_t kReserveBytes = std::uint64_t{256} << 20;  // for index, trace and ledger; geth ends by itself at 128 MiB

Result<store::StudyRow> find_study(store::Store& store, const Uid& study_uid) {
    FID_TRY(auto row, store.database().read([&](database::Transaction& t) { return store.index().find_study(t, study_uid); }));
    if (!row || row->erased) return fail(ErrorCode::not_found, "there is no study " + study_uid.text());
    return std::move(*row);
}

}  // namespace

Result<std::vector<dicom::Tag>> extra_attributes(const Configuration& configuration) {
    std::vector<dicom::Tag> tags;
    for (const auto& text : configuration.index_extra_attributes) {
        const auto tag = dicom::parse_tag(text);
        if (!tag) return fail(ErrorCode::invalid_argument, "[index] extra_attributes: there is no attribute '" + text + "'");
        tags.push_back(*tag);
    }
    return tags;
}

Result<std::vector<ForwardRule>> forward_rules(const Configuration& configuration) {
    FID_TRY(const auto extra, extra_attributes(configuration));
    std::vector<ForwardRule> rules;
    for (const auto& line : configuration.dimse_forward) {
        FID_TRY(auto rule, parse_forward_rule(line, extra));
        rules.push_back(std::move(rule));
    }
    return rules;
}

std::shared_ptr<const store::DiskWatch> watch_disks(const Site& site) {
    const auto& configuration = site.configuration();
    const auto mark = [](std::int64_t mib, std::int64_t percent) {
        return store::DiskMarks::Mark{static_cast<std::uint64_t>(mib) << 20, static_cast<unsigned>(percent)};
    };
    store::DiskMarks marks;
    marks.warn = mark(configuration.store_warn_free_mib, configuration.store_warn_free_percent);
    marks.refuse = mark(configuration.store_refuse_free_mib, configuration.store_refuse_free_percent);
    marks.reserve = kReserveBytes;
    const auto& layout = site.layout();
    return std::make_shared<store::DiskWatch>(std::vector{layout.store(), layout.trace(), layout.ledger()}, marks);
}

Result<store::StoreOptions> store_options(const Configuration& configuration) {
    static const auto kMigrations = [] {
        std::vector<database::Migration> all(archive::migrations().begin(), archive::migrations().end());
        all.insert(all.end(), ledger::migrations().begin(), ledger::migrations().end());
        return all;
    }();
    store::StoreOptions options;
    options.vault.segment_bytes = static_cast<std::uint64_t>(configuration.store_segment_mib) << 20;
    FID_TRY(options.extra_attributes, extra_attributes(configuration));
    options.other_migrations = kMigrations;
    return options;
}

Result<std::unique_ptr<store::Store>> open_store(const Site& site, bool replace_damaged_index,
                                                 std::shared_ptr<const store::DiskWatch> disks) {
    FID_TRY(auto options, store_options(site.configuration()));
    options.replace_damaged_index = replace_damaged_index;
    options.disk = std::move(disks);
    return store::Store::open(site.layout().store(), site.root_key(), options);
}

Result<std::unique_ptr<Service>> Service::open(Site opened, Ledger ledger, Replacing replacing) {
    std::unique_ptr<Service> service(new Service(std::move(opened)));
    const auto& site = service->site_;
    service->disks_ = watch_disks(site);
    FID_TRY(service->store_, open_store(site, replacing.damaged_index, service->disks_));
    if (service->store_->recovered() > 0) {
        log::info("archive", "objects that a crash had left out of the index were added", {{"objects", service->store_->recovered()}});
    }
    std::error_code left;  // by a backup that was killed: names may stand in it
    std::filesystem::remove_all(site.layout().working(), left);
    FID_CHECK(service->open_trace_and_people(replacing.lost_trace));
    service->versions_ = std::make_unique<CheckedVersions>(*service->store_);
    service->tracer_ = std::make_unique<Tracer>(*service->trace_, *service->store_, site.derive(kTraceStaffLabel));
    FID_CHECK(service->prepare_checkpoints());
    FID_CHECK(service->tell_of_lost_trace());
    FID_TRY(const auto trust, read_file(site.layout().trust_file(), kMaxTrustBytes));
    service->trust_text_ = as_text(trust);
    FID_CHECK(service->open_ledger(ledger));
    return service;
}

Result<std::unique_ptr<audit::Trace>> Service::open_trace(bool replace_lost) {
    audit::TraceOptions options;
    options.on_head = [witness = trace_witness_.get()](const audit::TraceHead& head) { witness->keep(head); };
    options.on_failure = [this](const Error& why) {
        raise("trace_failed", "the trace could not be written, looks were refused: " + why.message);
    };
    const auto folder = site_.layout().trace();
    auto opened = audit::Trace::open(folder, site_.trace_keys(), options);
    if (opened || !replace_lost) return opened;
    const auto why = opened.error();
    if (why.code != ErrorCode::not_found && why.code != ErrorCode::corrupt) return fail(why);
    auto aside = folder;
    aside += ".lost-" + std::to_string(system_clock().now().time_since_epoch().count());
    std::error_code ec;
    if (std::filesystem::exists(folder, ec)) std::filesystem::rename(folder, aside, ec);
    if (ec) return fail(error_from_errno(ec.value(), "putting aside", folder));
    std::filesystem::create_directory(folder, ec);
    if (!ec) std::filesystem::permissions(folder, std::filesystem::perms::owner_all, ec);
    if (ec) return fail(error_from_errno(ec.value(), "making folder", folder));
    FID_CHECK(sync_folder(folder.parent_path()));
    log::warning("archive", "a new trace is begun: nothing tells any more who looked before",
                 {{"why", why.message}, {"put_aside", aside.string()}});
    const auto kept = trace_witness_->kept();
    lost_trace_ = "after a lost trace (size and root, as the index knew them): " + (kept && !kept->empty() ? *kept : "unknown");
    return audit::Trace::create(folder, site_.trace_keys(), std::move(options));
}

Result<void> Service::prepare_checkpoints() {
    const auto& configuration = site_.configuration();
    net::HttpClientSettings http;
    http.ca_file = configuration.trace_authorities;
    http.max_answer_bytes = std::size_t{1} << 20;
    checkpoints_ = std::make_unique<Checkpoints>(*trace_, store_->database(), site_.derive(kAccountsLabel), site_.derive(kTraceNoteLabel),
                                                 site_.layout().trace_tiles(), http);
    FID_CHECK(
        checkpoints_->set_others({configuration.trace_witnesses, configuration.trace_timestamp_url, configuration.trace_authorities}));
    std::vector<audit::NoteKey> logs;
    for (const auto& text : configuration.trace_witness_for) {
        auto key = audit::NoteKey::parse(text);
        if (!key) return fail(key.error().with("[trace] witness_for"));
        logs.push_back(std::move(*key));
    }
    witness_ = std::make_unique<audit::Witness>("fiducial/witness/" + to_hex(site_.facts().site_id), site_.derive(kTraceWitnessLabel),
                                                std::move(logs));
    if (!configuration.trace_syslog.empty()) FID_CHECK(SyslogFeed::parse_server(configuration.trace_syslog));
    return {};
}

void Archive::turned_away(std::string_view, std::string_view) {}

Result<std::string> Archive::duties_missing(std::string_view, const std::vector<Operation>&) {
    return std::string();
}

Result<audit::WitnessAnswer> Archive::cosign(std::string_view) {
    return fail(ErrorCode::not_found, "this archive is no witness");
}

/// Anybody may ask: nothing is written for who has no key of a log that is known here.
Result<audit::WitnessAnswer> Service::cosign(std::string_view request) {
    if (site_.configuration().trace_witness_for.empty()) return Archive::cosign(request);
    const auto row_key = site_.derive(kAccountsLabel);
    const auto name_of_fact = [](const std::string& origin) { return "witnessed-" + to_hex(crypto::sha256(as_bytes(origin))); };
    const auto answer = [&](database::Transaction& t, bool keeping) {
        audit::Witness::Memory memory;
        memory.read = [&](const std::string& origin) -> Result<audit::TraceHead> {
            FID_TRY(const auto text, read_fact(t, row_key, name_of_fact(origin)));
            audit::TraceHead head;
            if (!text) return head;
            std::from_chars(text->data(), text->data() + text->size(), head.size);
            FID_TRY(head.root, fixed_from_hex<32>(text->substr(text->find(' ') + 1), "root"));
            return head;
        };
        memory.keep = [&](const std::string& origin, const audit::TraceHead& head) -> Result<void> {
            return keeping ? write_fact(t, row_key, name_of_fact(origin), std::to_string(head.size) + " " + to_hex(head.root))
                           : Result<void>();
        };
        return witness_->add_checkpoint(request, memory, system_clock().now());
    };
    FID_TRY(auto first, store_->database().read([&](database::Transaction& t) { return answer(t, false); }));
    if (first.status != 200) return first;
    return store_->database().write(database::Durability::full, [&](database::Transaction& t) { return answer(t, true); });
}

Result<TraceReader> Service::open_trace_reader() {
    return TraceReader::open(site_, *store_, *accounts_, *devices_);
}

AuditSource Service::audit_source() const {
    return {site_.configuration().site_name, site_.configuration().dimse_ae_title, trace_->id()};
}

/// Those who did not say who they are, together.
void Service::trace_strangers() {
    Decision decision;
    decision.reason = static_cast<std::uint16_t>(Reason::unknown_subject);
    for (const auto& text : strangers_.take()) {
        const Requester who{kZero32, Purpose::treatment, text, text.substr(0, text.find(':'))};
        if (const auto written =
                tracer_->write(who, Operation::ask, decision, nullptr, kZero32, ErrorCode::unauthenticated, audit::counted);
            !written)
            log::error("archive", "requests that were turned away could not be traced", {{"why", written.error().message}, {"what", text}});
    }
}

void Service::start_syslog() {
    const auto& configuration = site_.configuration();
    if (configuration.trace_syslog.empty()) return;
    auto server = SyslogFeed::parse_server(configuration.trace_syslog);
    if (!server) return;  // was looked at when the site was opened
    server->authorities = configuration.trace_authorities;
    std::array<char, 256> host{};
    ::gethostname(host.data(), host.size() - 1);
    SyslogFeed::Settings settings{std::move(*server), audit_source(), host.data()};
    syslog_ = std::make_unique<SyslogFeed>(*trace_, store_->database(), site_.derive(kAccountsLabel), std::move(settings),
                                           [this] { return open_trace_reader(); });
}

/// Whoever reads the trace later learns that it does not go back to the beginning.
Result<void> Service::tell_of_lost_trace() {
    if (lost_trace_.empty()) return {};
    raise("lost_trace", "a new trace was begun " + lost_trace_);
    Decision decision;
    decision.allowed = true;
    auto who = command_requester();
    who.address = lost_trace_;
    FID_CHECK(tracer_->write(who, Operation::trace, decision, nullptr, kZero32, {}, audit::begun_anew));
    return {};
}

/// A trace or a person's row that is not what it was keeps nobody else out: it is named, and fsck says what to do.
Result<void> Service::open_trace_and_people(bool replace_lost_trace) {
    trace_witness_ = std::make_unique<TraceWitness>(store_->database(), site_.derive(kAccountsLabel));
    FID_TRY(trace_, open_trace(replace_lost_trace));
    const bool begun = !lost_trace_.empty();
    accounts_ = std::make_unique<Accounts>(store_->database(), site_.derive(kAccountsLabel));
    FID_TRY(auto mail, mail_settings(site_.configuration()));
    front_desk_ = std::make_unique<FrontDesk>(*this, site_.derive(kAccountsLabel), std::move(mail));
    devices_ = std::make_unique<Devices>(store_->database(), site_.derive(kAccountsLabel));
    DeliveryLimits limits;
    limits.refusals = static_cast<std::uint32_t>(site_.configuration().dimse_delivery_refusals);
    limits.age = std::chrono::hours(site_.configuration().dimse_delivery_hours);
    deliveries_ = std::make_unique<Deliveries>(store_->database(), site_.derive(kAccountsLabel), limits);
    FID_TRY(forward_rules_, forward_rules(site_.configuration()));
    accounts_->set_trace_size([trace = trace_.get()] { return trace->size(); });
    FID_TRY(const bool index_is_new, accounts_->is_new());
    if (begun && !index_is_new)
        FID_CHECK(accounts_->repair(true));  // the register counts in entries of the trace; tokens may have been taken back in it
    FID_CHECK(begun ? trace_witness_->accept(*trace_) : trace_witness_->compare(*trace_, index_is_new));
    if (const auto problem = trace_witness_->problem(); !problem.empty()) raise("damaged_trace", "the trace: " + problem);
    if (!index_is_new) return {};
    log::warning("archive", "no people are known: the index was lost; the operator is known again, others must be added again", {});
    return restore_operator();
}

/// A database that was lost takes people and tokens with it; whoever has the passphrase is the operator that `init` made.
Result<void> Service::restore_operator() {
    const auto now_ms = system_clock().now().time_since_epoch().count();
    const auto epoch = static_cast<std::uint32_t>(now_ms / 1000);  // later than that of any token there was
    const Person person{site_.facts().operator_person, site_.facts().operator_name, kAdministrator | kCustodian, now_ms, epoch};
    return store_->database().write(database::Durability::full, [&](database::Transaction& t) { return accounts_->add(t, person); });
}

Result<void> Service::open_ledger(Ledger how) {
    const auto& facts = site_.facts();
    const auto& configuration = site_.configuration();
    FID_TRY(const auto trust, evidence::TrustFile::parse(trust_text_));

    std::string url = configuration.ledger_url;
    if (facts.own_node) {
        FID_TRY(const auto socket, ledger::socket_path_for(site_.layout().ledger()));
        url = socket.string();
        if (how != Ledger::none) {
            ledger::LocalNodeSettings settings;
            settings.geth = configuration.ledger_geth;
            settings.folder = site_.layout().ledger();
            settings.chain_id = facts.chain_id;
            settings.genesis_hash = facts.genesis_hash;
            settings.keep_trying = how == Ledger::optional;
            FID_TRY(settings.known_head_time, ledger::newest_block_time(store_->database()));
            FID_TRY(const auto sealer, site_.key(kSealerKey));
            FID_TRY(settings.sealer, crypto::address_of(sealer));
            node_ = std::make_unique<ledger::LocalNode>(settings, site_.node_password());
            if (auto started = node_->start(); !started) {
                if (how != Ledger::optional) return fail(started.error());
                log::warning("archive", "the ledger's node does not run; the archive goes on without it",
                             {{"why", started.error().message}});
            }
        }
    }
    ledger::RpcSettings rpc_settings;
    rpc_settings.later_headers = facts.development;
    // One connection each: a long answer to the follower or the outbox never holds up a decision.
    rpc_ = std::make_unique<ledger::Rpc>(net::transport_to(url), rpc_settings);
    outbox_rpc_ = std::make_unique<ledger::Rpc>(net::transport_to(url), rpc_settings);
    follower_rpc_ = std::make_unique<ledger::Rpc>(net::transport_to(url), rpc_settings);
    rights_ = std::make_unique<store::Rights>(store_->keyring());
    rights_sink_ = std::make_unique<RightsSink>(store_->database(), *rights_, *follower_rpc_, facts);
    access_ = std::make_unique<Access>(*rpc_, facts, store_->database(), *rights_);
    access_->set_accounts(accounts_.get(), devices_.get());
    access_->set_away_limit(std::chrono::seconds(configuration.ledger_away_limit_s));
    if (facts.own_node) access_->set_chain_gone([folder = site_.layout().ledger()] { return !ledger::holds_chain(folder); });

    ledger::OutboxSettings outbox_settings;
    outbox_settings.chain_id = facts.chain_id;
    outbox_settings.studies = facts.studies;
    outbox_settings.institution = facts.institution;
    outbox_settings.flush_after = std::chrono::milliseconds(configuration.ledger_batch_flush_ms);
    outbox_settings.flush_count = static_cast<std::size_t>(configuration.ledger_batch_size);
    FID_TRY(auto gateway, site_.key(kGatewayKey));
    outbox_ =
        std::make_unique<ledger::Outbox>(store_->database(), *outbox_rpc_, outbox_settings, std::move(gateway), site_.derive(kOutboxLabel));
    outbox_->on_incident([this](const ledger::LedgerIncident& incident) { raise("ledger_incident", incident.text); });
    checkpoints_->set_ledger({rpc_.get(), outbox_.get(), facts.checkpoints, facts.institution});
    consents_ = std::make_unique<Consents>(store_->database(), *rights_, *access_, *outbox_, facts);
    exams_ = std::make_unique<Exams>(*store_, *versions_, *outbox_, facts, std::chrono::seconds(configuration.ingest_quiet_s));
    FID_CHECK(exams_->recover_versions());
    scheduled_work_ =
        std::make_unique<ScheduledWork>(*store_, *access_, *tracer_, *exams_,
                                        [this](const Requester& who, Operation operation) { return permit(who, nullptr, operation); });
    exams_->on_version([this](database::Transaction& t, std::span<const store::InstanceRow> added) { return forward(t, added); });

    ledger::FollowerSettings settings;
    settings.chain_id = facts.chain_id;
    settings.genesis_hash = facts.genesis_hash;
    settings.period = trust.period;
    settings.from_block = facts.from_block;
    settings.filter.addresses = {facts.members, facts.consents};  // of Studies the outbox reads receipts
    if (!facts.development) {
        settings.clique = ethereum::CliqueConfig{trust.period, trust.epoch};
        settings.seals = std::make_shared<ethereum::CliqueRules>(*settings.clique);
    }
    settings.signer_sets = trust.signer_sets;
    settings.poll = std::chrono::milliseconds(configuration.ledger_poll_ms);
    follower_ = std::make_unique<ledger::Follower>(store_->database(), *follower_rpc_, settings,
                                                   std::vector<ledger::LedgerChanges*>{outbox_.get(), rights_sink_.get(), access_.get()});
    follower_->on_incident([this](std::uint64_t block) {
        raise("ledger_incident", "block " + std::to_string(block) + " counted as settled and was undone, with all after it");
    });
    outbox_->on_included([this] { follower_->wake(); });
    if (how == Ledger::none || how == Ledger::silent) return {};
    access_->set_follower(follower_.get());
    accounts_->set_head_time([follower = follower_.get()] { return follower->status().head_time; });
    FID_CHECK(follower_->start());
    outbox_->start();
    exams_->start();
    return {};
}

store::CompactionOptions Service::compaction_options() const {
    store::CompactionOptions options;
    options.dead_percent = static_cast<unsigned>(site_.configuration().store_compact_dead_percent);
    // A file of 1 GiB is worth it for 1 MiB; small segments for what is a share of them.
    options.least_dead_bytes =
        std::min<std::uint64_t>(options.least_dead_bytes, static_cast<std::uint64_t>(site_.configuration().store_segment_mib) << 15);
    return options;
}

void Service::watch_clock_and_disks(const std::stop_token& stop) {
    constexpr std::chrono::seconds kEvery{1};
    constexpr std::chrono::hours kForgetEvery{1};
    const std::chrono::days keep(site_.configuration().worklist_keep_days);
    auto forget_at = system_clock().steady_now();
    ClockWatch watch(system_clock());
    auto tell_of_strangers = system_clock().steady_now() + kStrangersEvery;
    while (!stop.stop_requested()) {
        {
            std::unique_lock lock(upkeep_mutex_);
            upkeep_wakes_.wait_for(lock, stop, kEvery, [] { return false; });
        }
        static_cast<void>(disks_->look());  // logs when a mark is passed
        if (system_clock().steady_now() >= forget_at) {
            forget_at += kForgetEvery;
            if (const auto forgotten = scheduled_work_->forget(keep); !forgotten)
                log::warning("archive", "old entries of the worklist could not be forgotten", {{"why", forgotten.error().message}});
        }
        if (system_clock().steady_now() >= tell_of_strangers) {
            trace_strangers();
            tell_of_strangers = system_clock().steady_now() + kStrangersEvery;
        }
        const auto jump = watch.look();
        if (jump.count() == 0) continue;
        raise("clock_jump", "the machine's clock was set " + std::to_string(std::chrono::abs(jump).count() / 1000) + " s " +
                                (jump.count() > 0 ? "ahead" : "back") +
                                " while the archive ran (or the machine slept): look at its time service; blocks that are sealed with a "
                                "clock that is ahead stop the chain once it is put right");
        const std::lock_guard lock(alarms_mutex_);
        clock_jump_ = ClockJump{system_clock().now(), jump};
        clock_jumps_ += 1;
    }
}

void Service::start_upkeep() {
    upkeep_ = std::jthread([this](const std::stop_token& stop) { watch_clock_and_disks(stop); });
    const auto& configuration = site_.configuration();
    checkpoints_->start({std::chrono::seconds(configuration.trace_checkpoint_every_s),
                         static_cast<std::uint64_t>(configuration.trace_checkpoint_every_entries)},
                        [this](const std::string& problem) { raise("damaged_trace", "the trace: " + problem); });
    start_syslog();
    front_desk_->mails().start();
    store::Compactor::Settings settings;
    settings.compact = configuration.store_compact_every_s != 0;
    if (!settings.compact && !is_reencrypting()) return;
    settings.options = compaction_options();
    settings.bytes_per_second = static_cast<std::uint64_t>(configuration.store_compact_mib_per_s) << 20;
    if (settings.compact) settings.every = std::chrono::seconds(configuration.store_compact_every_s);
    compactor_ = std::make_unique<store::Compactor>(*store_, settings);
}

Service::Service(Site site) : site_(std::move(site)) {}

Service::~Service() {
    upkeep_.request_stop();
    if (upkeep_.joinable()) upkeep_.join();
    if (tracer_) trace_strangers();
    syslog_.reset();
    if (front_desk_) front_desk_->mails().stop();
    if (checkpoints_) checkpoints_->stop();
    compactor_.reset();
    if (exams_) exams_->stop();
    if (outbox_) outbox_->stop();
    if (follower_) follower_->stop();
    if (node_) node_->stop();
}

Requester Service::command_requester(Purpose purpose) const {
    return {site_.facts().operator_person, purpose, "command line", "command"};
}

Result<Requester> Service::authenticate(std::string_view bearer_token) {
    Requester who{{}, Purpose::treatment, {}, "http"};
    if (FrontDesk::is_pass(bearer_token)) {
        FID_TRY(who.subject, front_desk_->check_pass(bearer_token));
        return who;
    }
    FID_TRY(const auto token, accounts_->check_token(bearer_token));
    who.subject = token.person;
    who.scope = token.scope;
    return who;
}

Reception& Service::reception() {
    return *front_desk_;
}

Result<std::string> Service::name_of_person(const Requester& who) {
    FID_TRY(auto person, accounts_->by_id(who.subject));
    return std::move(person.name);
}

Result<Requester> Service::authenticate_device(std::string_view name) {
    Requester who{site_.facts().institution, Purpose::treatment, {}, "dimse", true};
    if (name.empty()) return who;
    FID_TRY(const auto device, devices_->by_name(name));
    who.subject = device.id;
    return who;
}

Result<std::string> Service::duties_missing(std::string_view device, const std::vector<Operation>& wanted) {
    FID_TRY(const auto who, authenticate_device(device));
    std::uint32_t missing = 0;
    for (const auto operation : wanted) {
        FID_TRY(const auto decision, access_->decide_listed(who, {}, operation));
        if (!decision.allowed) missing |= 1U << static_cast<unsigned>(operation);
    }
    return device_duties_text(missing);
}

Result<Decision> Service::permit(const Requester& who, const StudyIdentity* study, Operation operation, ConsentChange change) {
    Subject about;
    if (study != nullptr) about = {study->patient_key, study->scope_ref};
    FID_TRY(auto decision, access_->decide(who, about, operation, change));
    if (!decision.allowed) {
        denied_ += 1;
        FID_CHECK(tracer_->write(who, operation, decision, study, study != nullptr ? study->study_key : kZero32, ErrorCode::denied));
    }
    FID_CHECK(decision.require());
    if (decision.obligation != 0) {
        FID_CHECK(tracer_->write(who, operation, decision, study, study != nullptr ? study->study_key : kZero32, ErrorCode::unsupported));
        return fail(ErrorCode::unsupported,
                    "only de-identified data may be given out for this purpose, and this version cannot make them yet");
    }
    return decision;
}

Result<std::unique_ptr<IngestSession>> Service::begin_ingest(const Requester& who, std::string_view source) {
    // With the node away storing goes on, by what is known here; the record is anchored later.
    FID_CHECK(permit(who, nullptr, Operation::store));
    dicom::ScanLimits limits;
    limits.header_bytes = static_cast<std::uint64_t>(site_.configuration().ingest_header_mib) << 20;
    return std::unique_ptr<IngestSession>(std::make_unique<StoreSession>(
        *store_, *exams_, limits, std::string(source), [this, who](const RejectionNote& note) { return reject(who, note); }));
}

Result<Service::Selected> Service::select(const Selector& what) {
    if (what.level != Level::instance) return read_selected(what);
    const auto key = what.sop_uid + " " + what.series_uid + " " + what.study_uid;
    return instances_.get(store_->database(), key, [&] { return read_selected(what); });
}

Result<Service::Selected> Service::read_selected(const Selector& what) {
    FID_TRY(const auto study, Uid::parse(what.study_uid));
    FID_TRY(auto transaction, store_->database().begin_read());
    auto& index = store_->index();
    Selected selected;
    FID_TRY(selected.study_revision, index.study_revision(transaction, study));
    auto& rows = selected.rows;
    if (what.level == Level::study) {
        FID_TRY(rows, index.instances_of_study(transaction, study));
    } else if (what.level == Level::series) {
        FID_TRY(const auto series, Uid::parse(what.series_uid));
        FID_TRY(rows, index.instances_of_series(transaction, study, series));
    } else {
        FID_TRY(const auto sop, Uid::parse(what.sop_uid));
        FID_TRY(auto row, index.find_instance(transaction, sop));
        const bool fits = row && row->study_uid == study && (what.series_uid.empty() || row->series_uid.text() == what.series_uid);
        if (fits) rows.push_back(std::move(*row));
    }
    return selected;
}

Result<StudyIdentity> Service::identify(std::string_view study_uid) {
    FID_TRY(const auto uid, Uid::parse(study_uid));
    return identities_.get(store_->database(), uid.text(), [&]() -> Result<StudyIdentity> {
        FID_TRY(const auto row, find_study(*store_, uid));
        return identify_study(*store_, row);
    });
}

Result<std::optional<StudyIdentity>> Service::identify_if_taken(const Uid& study_uid) {
    auto identity = identify(study_uid.text());
    if (identity) return std::optional<StudyIdentity>(std::move(*identity));
    if (identity.error().code == ErrorCode::not_found) return std::nullopt;
    return fail(identity.error());
}

Result<Service::Seen> Service::look(const Requester& who, const Selector& what, const std::function<void(Seen&)>& meanwhile) {
    FID_TRY(const auto study, identify(what.study_uid));
    // Whom the data sets name by mistake is nobody's to know but of those who put it right.
    FID_TRY(const auto decision, permit(who, &study, what.original ? Operation::correct : Operation::read));
    // The version first: what came since is then of a later revision than it covers, never the other way round.
    auto version = versions_->latest(study.row.study_uid);
    auto selected = select(what);
    if (selected) {
        if (auto listed = check_listed(selected->rows, what, version ? version->get() : nullptr, selected->study_revision); !listed)
            selected = fail(listed.error());
        else if (selected->rows.empty())
            selected = fail(ErrorCode::not_found, "there is no such study, series or instance");
    }
    std::shared_ptr<const AppliedOverlay> overlay;
    if (selected && !what.original && selected->rows.front().overlay_sha256 != kZero32) {
        auto in_force = overlay_in_force(study.row.study_uid);
        if (!in_force)
            selected = fail(in_force.error());
        else if ((*in_force)->sha256 != selected->rows.front().overlay_sha256)
            selected = fail(ErrorCode::unavailable, "the study is being corrected; try again");
        else if ((*in_force)->changes_anything())
            overlay = *in_force;
    }
    Bytes32 object{};
    if (selected && what.level == Level::instance) object = selected->rows.front().object.ref.id;
    const auto outcome = selected ? std::optional<ErrorCode>() : selected.error().code;
    Result<Seen> seen;
    FID_CHECK(tracer_->write_while(who, Operation::read, decision, study, object, outcome, [&] {
        seen = see(study, version, std::move(selected), std::move(overlay));
        if (seen && meanwhile) meanwhile(*seen);
    }));
    return seen;
}

Result<Service::Seen> Service::see(const StudyIdentity& study, const Result<std::shared_ptr<const CheckedVersion>>& version,
                                   Result<Selected> selected, std::shared_ptr<const AppliedOverlay> overlay) {
    if (!selected) {
        if (selected.error().code == ErrorCode::corrupt) raise("damaged_row", selected.error().message);
        return fail(selected.error());
    }
    if (!version && version.error().code != ErrorCode::not_found) {
        raise("damaged_version", version.error().message);
        return fail(version.error());
    }
    Seen seen{study.row.slot, std::move(selected->rows), version ? *version : nullptr, selected->study_revision, {}, std::move(overlay)};
    if (seen.version) {
        FID_TRY(seen.evidence, anchor_of(study, seen.version->row.record.version));
        if (seen.evidence) seen.evidence->complete = is_current(*seen.version, seen.study_revision);
    }
    return seen;
}

Result<std::optional<StudyEvidence>> Service::anchor_of(const StudyIdentity& study, std::uint64_t version) {
    const auto key = study.row.study_uid.text() + " " + std::to_string(version);
    return anchors_.get(store_->database(), key, [&]() -> Result<std::optional<StudyEvidence>> {
        const auto anchor = store_->database().read([&](database::Transaction& t) { return outbox_->anchor(t, study.study_key, version); });
        if (anchor) return StudyEvidence{version, std::string(ledger::name_of(anchor->state)), anchor->block_number, false};
        if (anchor.error().code != ErrorCode::not_found) return fail(anchor.error());
        return std::nullopt;
    });
}

Result<std::unique_ptr<Retrieval>> Service::retrieve(const Requester& who, const Selector& what) {
    std::unique_ptr<StoreRetrieval> out;
    FID_TRY(auto seen, look(who, what, [&](Seen& found) {
                retrieved_ += found.rows.size();
                out = std::make_unique<StoreRetrieval>(
                    *store_, std::move(found.rows), std::move(found.version), found.study_revision,
                    [this](const store::InstanceRow& instance, const Error& error) { damaged(instance, error); }, found.overlay);
                out->open_ahead();
            }));
    out->evidence = std::move(seen.evidence);
    if (seen.overlay) out->overlay_sha256 = seen.overlay->sha256;
    return std::unique_ptr<Retrieval>(std::move(out));
}

Result<std::unique_ptr<MetadataLook>> Service::metadata(const Requester& who, const Selector& what) {
    FID_TRY(auto seen, look(who, what));
    FID_TRY(auto secrets, store_->secrets().study_secrets(seen.slot));
    auto out = std::make_unique<StoreMetadataLook>(
        *store_, ready_metadata_, std::move(secrets.d), std::move(seen.rows), std::move(seen.version), seen.study_revision,
        [this](const store::InstanceRow& instance, const Error& error) { damaged(instance, error); }, seen.overlay);
    out->evidence = std::move(seen.evidence);
    if (seen.overlay) out->overlay_sha256 = seen.overlay->sha256;
    return std::unique_ptr<MetadataLook>(std::move(out));
}

Result<std::unique_ptr<ValueLook>> Service::values(const Requester& who, const Selector& instance) {
    FID_TRY(auto seen, look(who, instance));
    FID_TRY(auto opened, StoreValueLook::open(
                             *store_, std::move(seen.rows.front()), seen.version.get(), seen.study_revision,
                             [this](const store::InstanceRow& row, const Error& error) { damaged(row, error); }, seen.overlay));
    opened->evidence = std::move(seen.evidence);
    if (seen.overlay) opened->overlay_sha256 = seen.overlay->sha256;
    return std::unique_ptr<ValueLook>(std::move(opened));
}

Result<std::unique_ptr<ImageLook>> Service::images(const Requester& who, const Selector& what, bool only_one) {
    FID_TRY(auto seen, look(who, what));
    auto rows = image_rows(std::move(seen.rows), only_one);
    auto out = std::make_unique<StoreImageLook>(
        *store_, std::move(rows), std::move(seen.version), seen.study_revision,
        [this](const store::InstanceRow& row, const Error& error) { damaged(row, error); }, seen.overlay);
    out->evidence = std::move(seen.evidence);
    if (seen.overlay) out->overlay_sha256 = seen.overlay->sha256;
    return std::unique_ptr<ImageLook>(std::move(out));
}

Result<void> Service::forward(database::Transaction& transaction, std::span<const store::InstanceRow> added) {
    const auto& notified = site_.configuration().dimse_notify;
    for (const auto& peer : added.empty() ? std::vector<std::string>() : notified) {
        Delivery delivery;
        delivery.kind = DeliveryKind::availability;
        delivery.peer = peer;
        delivery.study_uid = delivery.subject = added.front().study_uid.text();
        FID_CHECK(deliveries_->add(transaction, delivery));
    }
    if (forward_rules_.empty()) return {};
    for (const auto& row : added) {
        FID_TRY(const auto attributes, store_->index().attributes_of(transaction, row.object.ref.id));
        for (const auto& rule : forward_rules_) {
            if (!rule.wants(row.object.source.value, attributes)) continue;
            Delivery delivery;
            delivery.kind = DeliveryKind::object;
            delivery.peer = rule.peer;
            delivery.study_uid = row.study_uid.text();
            delivery.subject = row.sop_uid.text();
            FID_CHECK(deliveries_->add(transaction, delivery));
        }
    }
    return {};
}

void Service::count_deliveries(std::vector<Metric>& metrics) {
    const auto counts = deliveries_->counts();
    if (!counts) return;
    const auto now_ms = static_cast<double>(system_clock().now().time_since_epoch().count());
    for (const auto& one : *counts) {
        const std::vector<std::pair<std::string, std::string>> labels{
            {"peer", one.peer}, {"kind", std::string(name_of(one.kind))}, {"state", std::string(name_of(one.state))}};
        metrics.push_back({"fiducial_deliveries", "What waits to be brought to a peer, or was given up (failed).", "gauge", labels,
                           static_cast<double>(one.count)});
        metrics.push_back({"fiducial_delivery_age_seconds", "For how long the oldest of them has waited.", "gauge", labels,
                           std::max(0.0, now_ms - static_cast<double>(one.oldest_ms)) / 1000});
    }
}

void Service::damaged(const store::InstanceRow& instance, const Error& error) {
    raise("damaged_object", "instance " + instance.sop_uid.text() + " was quarantined: " + error.message);
    quarantined_ += 1;
    front_desk_->tell_role(kAdministrator, "quarantine", "An image was found damaged when it was read, and is not given out any more.");
    if (auto done = store_->quarantine(instance.object.ref.id, error.message); !done) {
        log::error("archive", "a damaged object could not be quarantined",
                   {{"object", instance.object.ref.id}, {"why", done.error().message}});
    }
}

Result<void> Service::administer(const Requester& who) {
    FID_TRY(const auto decision, permit(who, nullptr, Operation::inventory));
    FID_CHECK(tracer_->write(who, Operation::inventory, decision, nullptr, kZero32, {}));
    return {};
}

Result<void> Service::request_fetch(const Requester& who, std::string_view peer, const Uid& study_uid) {
    FID_CHECK(permit(who, nullptr, Operation::store));
    Delivery delivery;
    delivery.kind = DeliveryKind::fetch;
    delivery.peer = peer;
    delivery.study_uid = delivery.subject = study_uid.text();
    return store_->database().write(database::Durability::full, [&](database::Transaction& t) { return deliveries_->add(t, delivery); });
}

/// Under the door's own names, apart from ours.
Result<std::string> Service::kept(std::string_view name) {
    FID_TRY(const auto text, store_->database().read([&](database::Transaction& t) {
        return read_fact(t, site_.derive(kAccountsLabel), "door " + std::string(name));
    }));
    return text.value_or(std::string());
}

Result<void> Service::keep(std::string_view name, const std::string& text) {
    return store_->database().write(database::Durability::full, [&](database::Transaction& t) {
        return write_fact(t, site_.derive(kAccountsLabel), "door " + std::string(name), text);
    });
}

void Service::raise(std::string kind, std::string text) {
    log::error("archive", "alarm", {{"kind", kind}, {"what", text}});
    const std::lock_guard lock(alarms_mutex_);
    if (alarms_.size() >= kMostAlarms) alarms_.erase(alarms_.begin());
    alarms_.push_back({system_clock().now(), std::move(kind), std::move(text)});
}

Error Service::with_nodes_reason(Error error) const {
    const bool away = error.code == ErrorCode::unavailable || error.code == ErrorCode::timeout;
    const auto why = away && node_ ? node_->problem() : std::string();
    if (why.empty()) return error;
    // What only a person can put right is no passing absence.
    return {node_->state() == ledger::NodeState::failed ? ErrorCode::conflict : error.code,
            error.message + "; the node does not run: " + why};
}

std::string Service::trust_text() const {
    const std::lock_guard lock(trust_mutex_);
    return trust_text_;
}

bool Service::trust_file_outdated(const ledger::FollowerStatus& chain) const {
    if (chain.voted_signers.empty()) return false;
    const auto trust = evidence::TrustFile::parse(trust_text());
    return !trust || trust->signer_sets.empty() || trust->signer_sets.back().signers != chain.voted_signers;
}

Result<std::vector<Address>> Service::take_over_trust_file(std::string_view next,
                                                           std::span<const crypto::RecoverableSignature> signatures) {
    const std::lock_guard lock(trust_mutex_);
    FID_TRY(auto signers, install_next_trust_file(site_.layout().trust_file(), next, signatures));
    trust_text_ = next;
    return signers;
}

std::vector<Alarm> Service::alarms() const {
    const std::lock_guard lock(alarms_mutex_);
    return alarms_;
}

Result<std::string> Service::evidence(const Requester& who, const Selector& what) {
    FID_TRY(const auto study, identify(what.study_uid));
    FID_TRY(const auto decision, permit(who, &study, Operation::read));
    FID_CHECK(tracer_->write(who, Operation::read, decision, &study, study.study_key, {}));
    FID_TRY(const auto version, versions_->latest(study.row.study_uid));
    const auto& record = version->row.record;

    FID_TRY(const auto anchor,
            store_->database().read([&](database::Transaction& t) { return outbox_->anchor(t, study.study_key, record.version); }));
    if (anchor.state != ledger::OutboxState::settled && anchor.state != ledger::OutboxState::included) {
        return fail(ErrorCode::unavailable, "version " + std::to_string(record.version) + " of this study is not on the ledger yet (" +
                                                std::string(ledger::name_of(anchor.state)) + "); try again shortly");
    }
    const auto bodies = version->manifest.bodies();
    std::vector<std::uint32_t> shown;
    for (std::uint32_t i = 0; i < bodies.size(); ++i) {
        const auto& listed = version->manifest.instances[i];
        if (what.level == Level::instance && listed.sop_instance_uid.text() != what.sop_uid) continue;
        if (what.level == Level::series && listed.series_instance_uid.text() != what.series_uid) continue;
        shown.push_back(i);
    }
    if (shown.empty()) return fail(ErrorCode::not_found, "the study's latest version holds no such instance");

    const auto trust_text = this->trust_text();
    FID_TRY(const auto trust, evidence::TrustFile::parse(trust_text));
    const auto* contract = trust.contract("Studies", record.contract);
    if (contract == nullptr) return fail(ErrorCode::internal, "the trust file does not list the contract Studies");
    ledger::ProofQuestion question;
    question.contract = record.contract;
    question.mapping_slot = contract->slot;
    question.slot_key = evidence::slot_key(record.institution, record.study_key, record.version);
    question.next_slot_key = evidence::slot_key(record.institution, record.study_key, record.version + 1);
    question.record = record.hash();
    question.from_block = anchor.block_number;
    const ethereum::CliqueRules seals(ethereum::CliqueConfig{trust.period, trust.epoch});
    if (!site_.facts().development) question.seals = &seals;
    question.signer_sets = trust.signer_sets;
    auto gathered = ledger::gather_proof(*rpc_, question);
    if (!gathered && gathered.error().code == ErrorCode::unverified && trust_file_outdated(follower_->status())) {
        gathered.error().message += "; the signers have changed: evidence of newer blocks needs the next trust file (fiducial trust next)";
    }
    if (!gathered) return fail(with_nodes_reason(std::move(gathered.error())));
    auto& proof = *gathered;

    FID_TRY(const auto pair, store_->secrets().study_secrets(study.row.slot));
    const evidence::StudySecrets secrets(pair.k);
    evidence::BundleInputs inputs;
    inputs.trust_version = trust.version;
    inputs.trust_sha256 = evidence::trust_file_sha256(trust_text);
    inputs.study_instance_uid = study.row.study_uid;
    inputs.secrets = &secrets;
    inputs.record = record;
    inputs.bodies = bodies;
    inputs.shown = shown;
    inputs.slot = contract->slot;
    inputs.headers = std::move(proof.headers);
    inputs.account_proof = std::move(proof.account_proof);
    inputs.storage_proof = std::move(proof.storage_proof);
    inputs.next_storage_proof = std::move(proof.next_storage_proof);
    return evidence::build_bundle(inputs);
}

Result<OpenedEmergency> Service::break_glass(const Requester& who, std::string_view study_uid, const EmergencyGround& ground) {
    FID_TRY(const auto study, identify(study_uid));
    return open_emergency(who, study, ground);
}

Result<OpenedEmergency> Service::open_emergency(Requester who, const StudyIdentity& patient, const EmergencyGround& ground) {
    who.purpose = Purpose::emergency;
    FID_CHECK(Consents::check_ground(ground.reason, ground.text));
    FID_TRY(const auto decision, permit(who, &patient, Operation::break_glass));
    FID_CHECK(tracer_->write(who, Operation::break_glass, decision, &patient, patient.study_key, {}));
    const auto opened =
        consents_->open_emergency(patient.patient_key, {who.subject, patient.row.study_uid.text(), ground.reason, ground.text});
    if (!opened) {
        FID_CHECK(tracer_->write(who, Operation::break_glass, decision, &patient, patient.study_key, opened.error().code));
        return fail(opened.error());
    }
    const auto doctor = accounts_->by_id(who.subject);
    front_desk_->tell_role(
        kPrivacyOfficer, "break-glass",
        (doctor ? doctor->name : to_hex(who.subject)) + " broke the glass: " + ground.reason + ". The trace says for whom.");
    return OpenedEmergency{opened->change.until, decision.node_away};
}

Result<std::string> Service::describe_study(const Requester& who, std::string_view study_uid) {
    FID_TRY(const auto study, identify(study_uid));
    FID_TRY(const auto decision, permit(who, &study, Operation::identify));
    FID_CHECK(tracer_->write(who, Operation::identify, decision, &study, study.study_key, {}));
    const auto& row = study.row;
    boost::json::object out{{"studyInstanceUid", row.study_uid.text()}, {"patientId", row.patient.patient_id.value},
                            {"patientName", row.patient.name.value},    {"date", row.date},
                            {"description", row.description.value},     {"instances", row.instance_count}};
    boost::json::array versions, instances;
    FID_TRY(auto transaction, store_->database().begin_read());
    FID_TRY(const auto version_rows, store_->index().versions_of(transaction, row.study_uid));
    for (const auto& version : version_rows) {
        boost::json::object shown{{"version", version.record.version},
                                  {"reasons", evidence::reasons_text(version.record.reasons)},
                                  {"instances", version.record.count},
                                  {"record", to_hex(version.record.hash())},
                                  {"made", to_rfc3339(SystemTime(std::chrono::milliseconds(version.created_ms)))}};
        if (const auto anchor = outbox_->anchor(transaction, study.study_key, version.record.version)) {
            shown["state"] = std::string(ledger::name_of(anchor->state));
            if (anchor->block_number != 0) shown["block"] = anchor->block_number;
            if (!anchor->problem.empty()) shown["problem"] = anchor->problem;
        }
        versions.push_back(std::move(shown));
    }
    FID_TRY(const auto removed_rows, store_->index().list_removed(transaction, row.study_uid));
    boost::json::array removed;
    for (const auto& one : removed_rows) {
        removed.push_back({{"sopInstanceUid", one.instance.sop_uid.text()},
                           {"seriesInstanceUid", one.instance.series_uid.text()},
                           {"sha256", to_hex(one.instance.object.sha256)},
                           {"objectId", to_hex(one.instance.object.ref.id)},
                           {"reason", one.reason},
                           {"at", to_rfc3339(SystemTime(std::chrono::milliseconds(one.at_ms)))}});
    }
    FID_TRY(const auto holds, holds_of(transaction, *store_, row.study_uid));
    if (!holds.empty()) out["holds"] = shown_holds(holds);
    FID_TRY(const auto instance_rows, store_->index().instances_of_study(transaction, row.study_uid));
    for (const auto& instance : instance_rows) {
        instances.push_back({{"sopInstanceUid", instance.sop_uid.text()},
                             {"seriesInstanceUid", instance.series_uid.text()},
                             {"transferSyntax", instance.transfer_syntax_uid.text()},
                             {"size", instance.object.ref.size},
                             {"sha256", to_hex(instance.object.sha256)},
                             {"objectId", to_hex(instance.object.ref.id)}});
        if (const auto from = moved_from(instance.object.source.value); !from.empty())
            instances.back().get_object()["movedFromStudy"] = from.text();
    }
    out["versions"] = std::move(versions);
    out["objects"] = std::move(instances);
    out["removed"] = std::move(removed);
    return boost::json::serialize(out);
}

Health Service::health() {
    Health health;
    const auto prevents = [&](std::string why) { health.notes.push_back(std::move(why)); };
    if (const auto failure = store_->vault().failure()) prevents("store: " + failure->message);
    if (const auto failure = store_->database().failure()) prevents("index: " + failure->message);
    if (const auto failure = trace_->failure()) prevents("trace: " + failure->message);
    const auto room = disks_->look();
    if (!room)
        prevents("store: " + room.error().message);
    else if (room->state == store::DiskState::full)
        prevents("store: the disk is full, nothing new is taken: " + room->text());
    health.ready = health.notes.empty();
    if (room && room->state == store::DiskState::low) health.notes.push_back("store: the disk fills up: " + room->text());
    const auto status = ledger::collect_status(*follower_, *outbox_, node_.get());
    if (!status.node_problem.empty()) health.notes.push_back("ledger node: " + status.node_problem);
    const auto now_s = unix_seconds(system_clock().now());
    if (status.chain.head_time > now_s + kClockTolerance) {
        health.notes.push_back("clock: it is " + std::to_string(status.chain.head_time - now_s) +
                               " s behind the newest block; no block is sealed before it has caught up: set the clock");
    }
    {
        const std::lock_guard lock(alarms_mutex_);
        if (clock_jump_ && std::chrono::abs(system_clock().now() - clock_jump_->at) < kJumpIsNews) {
            health.notes.push_back("clock: at " + to_rfc3339(clock_jump_->at) + " it was set " +
                                   std::to_string(std::chrono::abs(clock_jump_->by).count() / 1000) + " s " +
                                   (clock_jump_->by.count() > 0 ? "ahead" : "back"));
        }
    }
    if (const auto problem = syslog_ ? syslog_->problem() : std::string(); !problem.empty())
        health.notes.push_back("trace: " + std::to_string(syslog_->waiting()) + " entries wait for the syslog server: " + problem);
    if (const auto problem = checkpoints_->problem(); !problem.empty()) health.notes.push_back("trace: " + problem + "; run fsck");
    if (const auto problem = store_->compaction_status().problem; !problem.empty()) health.notes.push_back("compaction: " + problem);
    if (is_reencrypting()) {
        const auto left = store_->reencryption_status();
        health.notes.push_back("keys: the data are being encrypted anew, " + std::to_string(left.segments_left) + " segments (" +
                               std::to_string(left.bytes_left >> 20) + " MiB) are still under the former keys" +
                               (left.left.empty() ? "" : "; " + left.left.front()));
    }
    if (status.chain.behind || !status.chain.problem.empty())
        health.notes.push_back("ledger: " +
                               (status.chain.problem.empty() ? std::string("no recent answer from the node") : status.chain.problem));
    if (status.chain_stalled) health.notes.push_back("ledger: no new blocks are sealed");
    if (!status.outbox.problem.empty()) health.notes.push_back("ledger: " + status.outbox.problem);
    if (status.chain.unacknowledged > 0) {
        health.notes.push_back("ledger: settled blocks were undone, from block " + std::to_string(status.chain.lowest_undone) +
                               " on, and nobody has looked into it (fiducial ledger acknowledge)");
    }
    if (trust_file_outdated(status.chain))
        health.notes.push_back(
            "ledger: the signers have changed; evidence of newer blocks needs the next trust file (fiducial trust next)");
    if (status.outbox.foreign_nonce)
        health.notes.push_back("ledger: a transaction of the gateway's account is not known here (nonce " +
                               std::to_string(*status.outbox.foreign_nonce) + "); run fsck");
    if (status.outbox.incidents > 0)
        health.notes.push_back("ledger: " + std::to_string(status.outbox.incidents) + " incidents wait for a person");
    return health;
}

std::vector<Metric> Service::metrics() {
    const auto status = ledger::collect_status(*follower_, *outbox_, node_.get());
    std::vector<Metric> metrics;
    const auto gauge = [&](std::string name, std::string help, double value) {
        metrics.push_back({std::move(name), std::move(help), "gauge", {}, value});
    };
    const auto counter = [&](std::string name, std::string help, double value) {
        metrics.push_back({std::move(name), std::move(help), "counter", {}, value});
    };
    gauge("fiducial_outbox_age_seconds", "Age of the oldest record that is in no block.",
          static_cast<double>(status.outbox.oldest_unsent.count()) / 1000);
    gauge("fiducial_settle_lag_seconds", "Age of the oldest record that is not settled.",
          static_cast<double>(status.outbox.oldest_unsettled.count()) / 1000);
    gauge("fiducial_outbox_unsettled", "Records and calls that are not settled.",
          static_cast<double>(status.outbox.stored + status.outbox.submitted + status.outbox.included));
    gauge("fiducial_ledger_incidents", "Incidents that wait for a person.",
          static_cast<double>(status.outbox.incidents + status.chain.unacknowledged));
    gauge("fiducial_reorganisation_depth_blocks", "Deepest reorganisation since the start.",
          static_cast<double>(status.chain.deepest_reorganisation));
    counter("fiducial_settled_undone_total", "Reorganisations that undid settled blocks, since the start.",
            static_cast<double>(status.chain.incidents));
    counter("fiducial_reorganisations_total", "Reorganisations followed.", static_cast<double>(status.chain.reorganisations));
    gauge("fiducial_chain_stalled", "1 when no block comes although it should.", status.chain_stalled ? 1 : 0);
    gauge("fiducial_chain_behind", "1 when the node has not answered for too long.", status.chain.behind ? 1 : 0);
    gauge("fiducial_chain_head", "Number of the newest block.", static_cast<double>(status.chain.head));
    gauge("fiducial_chain_settled", "Number of the newest settled block.", static_cast<double>(status.chain.settled));
    counter("fiducial_node_restarts_total", "Restarts of the local node.", static_cast<double>(status.node_restarts));
    gauge("fiducial_trace_entries", "Entries of the trace.", static_cast<double>(trace_->size()));
    counter("fiducial_turned_away_total", "Requests of nobody known, by which nothing was looked at.",
            static_cast<double>(strangers_.total()));
    if (syslog_)
        gauge("fiducial_syslog_waiting_entries", "Entries of the trace that the syslog server has not taken.",
              static_cast<double>(syslog_->waiting()));
    gauge("fiducial_decisions_cached", "Access decisions remembered.", static_cast<double>(access_->cached()));
    counter("fiducial_instances_retrieved_total", "Instances whose retrieval was allowed.", static_cast<double>(retrieved_.load()));
    counter("fiducial_denied_total", "Requests that were denied.", static_cast<double>(denied_.load()));
    counter("fiducial_quarantined_total", "Objects found damaged when read.", static_cast<double>(quarantined_.load()));
    if (const auto room = disks_->look()) {
        gauge("fiducial_disk_state", "Room on the site's fullest disk: 0 ample, 1 below the first mark, 2 full: nothing new is stored.",
              static_cast<double>(room->state));
        gauge("fiducial_disk_free_bytes", "Free room on the site's fullest disk.", static_cast<double>(room->free_bytes));
        gauge("fiducial_disk_refuse_below_bytes", "Free room below which nothing new is stored.", static_cast<double>(room->refuse_below));
    }
    const auto now_s = unix_seconds(system_clock().now());
    gauge("fiducial_clock_behind_head_seconds",
          "By how much the machine's clock is behind the newest block; no block is sealed before it has caught up.",
          status.chain.head_time > now_s ? static_cast<double>(status.chain.head_time - now_s) : 0);
    {
        const std::lock_guard lock(alarms_mutex_);
        counter("fiducial_clock_jumps_total", "How often the machine's clock was set since the start.", static_cast<double>(clock_jumps_));
    }
    const auto compaction = store_->compaction_status();
    gauge("fiducial_compaction_segment", "Number of the segment that is being rewritten; 0: none.",
          static_cast<double>(compaction.segment));
    gauge("fiducial_dead_bytes", "Room in segments that nobody needs, when compaction last looked.",
          static_cast<double>(compaction.dead_bytes));
    counter("fiducial_compacted_segments_total", "Segments rewritten or removed since the start.",
            static_cast<double>(compaction.segments));
    counter("fiducial_compaction_freed_bytes_total", "Bytes freed by compaction since the start.",
            static_cast<double>(compaction.freed_bytes));
    gauge("fiducial_reencryption_left_bytes", "In segments that are still under secrets of a former root key.",
          static_cast<double>(store_->reencryption_status().bytes_left));
    counter("fiducial_compaction_copied_bytes_total", "Bytes that compaction wrote since the start.",
            static_cast<double>(compaction.copied_bytes));
    count_deliveries(metrics);
    if (const auto counts = counted_index()) {
        gauge("fiducial_patients", "Patients in the index.", static_cast<double>(counts->patients));
        gauge("fiducial_studies", "Studies in the index.", static_cast<double>(counts->studies));
        gauge("fiducial_instances", "Instances in the index.", static_cast<double>(counts->instances));
        gauge("fiducial_bytes", "Bytes of the instances in the index.", static_cast<double>(counts->bytes));
        for (const auto& [state, count] : counts->objects) {
            metrics.push_back({"fiducial_objects",
                               "Objects by state.",
                               "gauge",
                               {{"state", std::string(store::name_of(state))}},
                               static_cast<double>(count)});
        }
    }
    return metrics;
}

std::optional<store::IndexCounts> Service::counted_index() {
    constexpr int kShareOfTime = 1000;
    const std::lock_guard lock(counts_mutex_);  // whoever asks meanwhile waits: one scan at a time
    const auto now = std::chrono::steady_clock::now();
    if (!counts_ || now >= count_again_) {
        auto counted = store_->database().read([&](database::Transaction& t) { return store_->index().counts(t); });
        const auto done = std::chrono::steady_clock::now();
        if (counted) counts_ = std::move(*counted);
        count_again_ = done + kShareOfTime * (done - now);
    }
    return counts_;
}

}  // namespace fiducial::archive
