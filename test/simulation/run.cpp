#include "run.hpp"

#include <algorithm>
#include <deque>
#include <functional>
#include <map>
#include <stdexcept>

#include "base/hex.hpp"
#include "crypto/hash.hpp"
#include "dicom/test_data_sets.hpp"
#include "interposed.hpp"
#include "simulated_archive.hpp"
#include "simulated_node.hpp"

namespace fiducial::simulation {
namespace {

constexpr std::int64_t kMillisecond = 1'000'000;
constexpr std::int64_t kSecond = SimulatedClock::kSecond;
constexpr std::size_t kStudies = 6;
constexpr unsigned kRoundsToSettle = 300;

/// A promise that was broken.
struct Broken : std::runtime_error {
    using std::runtime_error::runtime_error;
};

/// One instance, and what the archive may show of it.
struct Sent {
    std::string study, sop, patient;
    Bytes pixels;
    unsigned headers = 0;         // that were sent with these pixels
    Bytes file;                   // as last acknowledged, or as first sent
    std::vector<Bytes> doubtful;  // sent since, and never acknowledged: it may be there all the same
    bool acknowledged = false;

    bool may_be(const Bytes& shown) const { return shown == file || std::find(doubtful.begin(), doubtful.end(), shown) != doubtful.end(); }
};

Bytes dicom_file(const Sent& instance, unsigned header) {
    using namespace dicom::test;
    Builder b(Form::explicit_le);
    b.text(0x00080016, "UI", "1.2.840.10008.5.1.4.1.1.7")
        .text(0x00080018, "UI", instance.sop)
        .text(0x00081030, "LO", "Header " + std::to_string(header))
        .text(0x00100020, "LO", instance.patient)
        .text(0x0020000d, "UI", instance.study)
        .text(0x0020000e, "UI", instance.study + ".0")
        .raw(0x7fe00010, "OB", instance.pixels);
    return joined(prefix("1.2.840.10008.1.2.1"), b.out);
}

struct SettledBlock {
    std::uint64_t number = 0;
    Hash hash{};
    bool sure = true;  // not: the archive may have forgotten it
};

/// What this seed lets happen, and how often: not everything in every run, so that faults do not hide one another.
struct Chances {
    unsigned kill = 0, power_cut = 0;  // one step in so many; of the kills one in so many is a power cut
    unsigned disk_errors = 0, full_disk = 0, node_away = 0, node_restart = 0, lost_messages = 0, fork = 0, fall_back = 0, clock = 0;
    std::uint64_t deepest_fork = 0;
};

Chances chances_of(Random& random) {
    Chances out;
    const auto sometimes = [&](unsigned least, unsigned most) {
        return random.one_in(3) ? 0U : static_cast<unsigned>(random.between(least, most));
    };
    out.kill = sometimes(5, 60);
    out.power_cut = static_cast<unsigned>(random.below(4));
    out.disk_errors = sometimes(20, 100);
    out.full_disk = sometimes(40, 200);
    out.node_away = sometimes(20, 100);
    out.node_restart = sometimes(20, 100);
    out.lost_messages = sometimes(20, 100);
    out.fork = sometimes(15, 80);
    out.fall_back = random.coin() ? 0 : static_cast<unsigned>(random.between(40, 200));
    out.clock = sometimes(20, 100);
    out.deepest_fork = random.one_in(3) ? random.between(3, 8) : 2;
    return out;
}

class Run {
public:
    explicit Run(const RunOptions& options);
    RunReport go();

private:
    void first_life();
    void live();
    void step();
    void end_of_process(bool power_cut);
    void after_death();
    bool excused();
    void expect(const Result<void>& outcome, std::string_view what);
    void expect_from_node(const Result<bool>& outcome, std::string_view what);

    enum class Arrival : std::uint8_t { is_new, again, with_other_header };
    void ingest(Arrival arrival);
    void give_up();
    void compact();
    void complete();
    void look();
    void follow();
    void disk_errors();
    void calm();
    void settle_everything();
    void check_incidents();
    void note_settled();
    void check_settled();
    void check_trace(bool all);
    void check_fsck();
    void check_end();
    void undo_settled(std::uint64_t depth);

    std::string study(std::uint64_t number) const { return "2.25." + std::to_string(1000 + number); }
    Sent make_instance();
    const Sent* any_acknowledged();
    std::string without_folder(std::string text) const;
    void say(std::string text) { journal_.step(without_folder(std::move(text))); }

    const RunOptions options_;
    RunReport report_;
    Journal journal_;
    Random random_, bytes_, machine_random_;
    Fate fate_;
    SimulatedClock clock_;
    Chances chances_;
    std::unique_ptr<SimulatedDisk> disk_;
    std::unique_ptr<SimulatedNode> node_;
    std::shared_ptr<SimulatedNetwork> network_;
    std::unique_ptr<Machine> machine_;
    SimulatedSite site_;
    std::unique_ptr<SimulatedArchive> life_;

    std::deque<Sent> sent_;
    std::vector<AnsweredLook> looks_;    // without their files
    std::vector<SettledBlock> settled_;  // as the archive was told and has not forgotten
    bool settled_was_undone_ = false;
    bool tainted_ = false;  // a disk fault came in this life
    bool calm_ = false;
};

crypto::Secret key_from(Random& random) {
    crypto::Secret key(32);
    random.fill(key.bytes());
    return key;
}

Run::Run(const RunOptions& options)
    : options_(options),
      journal_(options.shown),
      random_(options.seed, "steps"),
      bytes_(options.seed, "bytes"),
      machine_random_(options.seed, "machine") {
    Random setting(options.seed, "setting");
    chances_ = chances_of(setting);
    const bool alone = setting.coin();
    SimulatedNode::Settings node;
    node.chain_id = 1337;
    for (int i = 0; i < (alone ? 1 : 3); ++i) node.signers.push_back(key_from(setting));
    node.period = alone ? 0 : 1;
    node.genesis_time = static_cast<std::uint64_t>(clock_.true_time() / kSecond);
    setting.fill(node.studies);
    setting.fill(node.institution);
    site_.gateway = key_from(setting);
    node.gateway = *crypto::address_of(site_.gateway);
    site_.facts.chain_id = node.chain_id;
    site_.facts.institution = node.institution;
    site_.facts.studies = node.studies;
    setting.fill(site_.facts.members);
    setting.fill(site_.facts.consents);
    site_.facts.from_block = 1;
    site_.period = node.period;
    site_.root_key = key_from(setting);
    site_.trace_key = key_from(setting);
    site_.staff_key = key_from(setting);
    site_.row_key = key_from(setting);
    site_.segment_bytes = setting.between(100, 2000) << 10;
    site_.own_file_bytes = setting.coin() ? std::uint64_t{1} << 30 : setting.between(50, 200) << 10;
    node_ = std::make_unique<SimulatedNode>(std::move(node), clock_);
    site_.facts.genesis_hash = node_->genesis_hash();
    site_.signers = node_->signers();
    network_ = std::make_shared<SimulatedNetwork>(*node_, clock_, fate_, Random(options.seed, "network"), journal_);
    const auto root = std::filesystem::canonical(options.folder);
    site_.folder = root / "site";
    std::filesystem::create_directory(site_.folder);
    std::filesystem::create_directory(root / "kept");
    disk_ = std::make_unique<SimulatedDisk>(site_.folder, root / "kept", Random(options.seed, "disk"), fate_, journal_);
    disk_->forgotten_syncs = options.forgotten_syncs;
    machine_ = std::make_unique<Machine>(Machine{*disk_, clock_, machine_random_});
}

RunReport Run::go() {
    const auto began = clock_.steady();
    try {
        first_life();
        for (; report_.steps < options_.steps; ++report_.steps) step();
        calm();
        settle_everything();
        check_end();
    } catch (const Broken& broken) {
        report_.broken = without_folder(broken.what());
        say("BROKEN: " + report_.broken);
    } catch (const std::exception& error) {
        report_.broken = without_folder(std::string("unexpected: ") + error.what());
        say("BROKEN: " + report_.broken);
    }
    life_.reset();
    run_on(nullptr);
    report_.sum = journal_.sum();
    report_.calls = journal_.calls();
    report_.looks = looks_.size();
    report_.hours = static_cast<double>(clock_.steady() - began) / static_cast<double>(3600 * kSecond);
    return report_;
}

// The run's own folder has another name each time.
std::string Run::without_folder(std::string text) const {
    const auto folder = site_.folder.string();
    for (auto at = text.find(folder); at != std::string::npos; at = text.find(folder)) text.replace(at, folder.size(), "SITE");
    return text;
}

// ---- lives

void Run::first_life() {
    run_on(machine_.get());
    auto opened = SimulatedArchive::open(site_, network_, true);
    if (!opened) throw Broken("the archive cannot be made: " + opened.error().message);
    life_ = std::move(*opened);
    disk_->sync_everything();
}

// Opens the archive, however often it takes.
void Run::live() {
    while (!life_) {
        auto opened = SimulatedArchive::open(site_, network_, false);
        tainted_ = disk_->take_faults() > 0;
        if (opened) {
            life_ = std::move(*opened);
            if (fate_.dead()) {
                after_death();
                continue;
            }
            say("opened, " + std::to_string(life_->store().recovered()) + " objects recovered");
            const auto now = life_->follower().status().settled;
            for (auto& block : settled_) block.sure = block.sure && block.number <= now;
            check_trace(false);
            return;
        }
        if (fate_.dead()) {
            say("killed while it opened");
            after_death();
        } else if (tainted_) {
            say("cannot be opened: " + opened.error().message);
            disk_->faults = {};
        } else {
            throw Broken("the archive cannot be opened: " + opened.error().message);
        }
    }
}

void Run::end_of_process(bool power_cut) {
    life_.reset();
    tainted_ = false;
    static_cast<void>(disk_->take_faults());
    if (power_cut) {
        ++report_.power_cuts;
        disk_->power_cut();
        if (chances_.fall_back != 0 && random_.coin()) undo_settled(random_.below(3));
    }
    fate_.begin(chances_.kill != 0 && random_.one_in(4) ? random_.between(1, 150) : 0, random_.coin());
}

void Run::after_death() {
    const bool power_cut = random_.one_in(chances_.power_cut);
    ++report_.kills;
    say(power_cut ? "the power was cut" : "the process was killed");
    end_of_process(power_cut);
}

bool Run::excused() {
    if (disk_->take_faults() > 0) {
        ++report_.faults;
        tainted_ = true;
    }
    return tainted_ || fate_.dead();
}

void Run::expect(const Result<void>& outcome, std::string_view what) {
    const bool excuse = excused();
    if (outcome || excuse) return;
    throw Broken(std::string(what) + " failed without a cause: " + outcome.error().message);
}

void Run::expect_from_node(const Result<bool>& outcome, std::string_view what) {
    const bool excuse = excused();
    if (outcome || excuse) return;
    const auto code = outcome.error().code;
    if (!calm_ && (code == ErrorCode::unavailable || code == ErrorCode::timeout)) return;
    throw Broken(std::string(what) + " failed without a cause: " + outcome.error().message);
}

// ---- what happens

void Run::step() {
    live();
    const auto happens = [&](unsigned one_in) { return random_.one_in(one_in); };
    if (happens(chances_.kill)) fate_.begin(random_.between(1, random_.coin() ? 10 : 200), random_.coin());
    if ((options_.disk_errors || options_.failing_syncs) && happens(chances_.disk_errors)) disk_errors();
    if (happens(chances_.full_disk)) {
        disk_->faults.full = !disk_->faults.full;
        say(disk_->faults.full ? "the disk is full" : "the disk has room");
    }
    if (happens(chances_.node_away)) {
        node_->away = !node_->away;
        say(node_->away ? "the node is away" : "the node is back");
    }
    if (happens(chances_.node_restart)) {
        const bool lost = random_.coin();
        if (lost) node_->lose_pool();
        node_->indexing = random_.coin();
        node_->count_is_behind = random_.coin();
        node_->syncing = random_.one_in(4);
        say(lost ? "the node was started again without its pool" : "the node was started again");
    }
    if (happens(chances_.lost_messages)) {
        const bool on = network_->faults.lost_answers == 0;
        network_->faults = {on ? 10U : 0U, on ? 10U : 0U};
        say(on ? "messages get lost" : "messages arrive");
    }
    if (happens(chances_.fork)) undo_settled(random_.between(1, chances_.deepest_fork));
    if (happens(chances_.clock)) {
        const auto hours = static_cast<std::int64_t>(random_.below(96)) - 48;
        clock_.set_off(random_.one_in(3) ? 0 : hours * 3600 * kSecond);
        say("the clock is set " + std::to_string(hours) + " h off");
    }

    constexpr unsigned kWeights[] = {20, 5, 8, 20, 20, 14, 8, 10, 1, 1, 3, 2, 2};
    switch (random_.weighted(kWeights)) {
        case 0: ingest(Arrival::is_new); break;
        case 1: ingest(Arrival::again); break;
        case 2: complete(); break;
        case 3: {
            const auto moved = life_->outbox().step(random_.coin());
            say(moved ? *moved ? "outbox moved" : "outbox" : "outbox: " + moved.error().message);
            expect_from_node(moved, "a step of the outbox");
            break;
        }
        case 4: follow(); break;
        case 5: {
            const bool sealed = node_->seal(random_.between(1, 4));
            if (sealed) say("block " + std::to_string(node_->head()));
            break;
        }
        case 6: look(); break;
        case 7: {
            const auto ms = random_.one_in(8) ? random_.below(600'000) : random_.below(3'000);
            clock_.pass(static_cast<std::int64_t>(ms) * kMillisecond);
            break;
        }
        case 8: {
            say("stopped in good order");
            end_of_process(false);
            return;
        }
        case 9: {
            const auto made = life_->exams().complete_all();
            expect(made ? Result<void>() : fail(made.error()), "completing all studies");
            break;
        }
        case 10: ingest(Arrival::with_other_header); break;
        case 11: give_up(); break;
        case 12: compact(); break;
    }
    check_incidents();
    clock_.pass(static_cast<std::int64_t>(random_.below(200)) * kMillisecond);
    if (fate_.dead())
        after_death();
    else if (tainted_ && random_.one_in(5)) {
        say("started again after a disk fault");
        end_of_process(random_.one_in(chances_.power_cut));
    }
}

void Run::disk_errors() {
    auto& faults = disk_->faults;
    const bool full = faults.full;
    if (faults.reads + faults.writes + faults.syncs + faults.entries != 0) {
        faults = {};
        faults.full = full;
        say("the disk works again");
        return;
    }
    const auto often = [&](bool wanted) {
        const auto one_in = random_.coin() ? 0U : static_cast<unsigned>(random_.between(2, 40));
        return wanted ? one_in : 0U;
    };
    faults.reads = often(options_.disk_errors);
    faults.writes = often(options_.disk_errors);
    faults.syncs = often(options_.failing_syncs);
    faults.entries = often(options_.disk_errors);
    say("the disk fails: one in " + std::to_string(faults.reads) + " reads, " + std::to_string(faults.writes) + " writes, " +
        std::to_string(faults.syncs) + " syncs, " + std::to_string(faults.entries) + " entries (0: none)");
}

// A fork, or the node's own loss of its last blocks.
void Run::undo_settled(std::uint64_t depth) {
    depth = std::min(depth, node_->head());
    if (depth == 0) return;
    ++report_.forks;
    const auto before = node_->gateway_nonce();
    const bool alone = node_->signers().size() == 1;
    if (alone)
        node_->fall_back(depth, random_.coin());
    else
        node_->fork(depth, [&] { return static_cast<unsigned>(random_.below(3)); });
    const auto undone =
        std::find_if(settled_.begin(), settled_.end(), [&](const SettledBlock& block) { return !node_->on_chain(block.hash); });
    say(std::string(alone ? "the node lost its last " : "a heavier chain took the place of the last ") + std::to_string(depth) + " blocks" +
        (undone != settled_.end() ? ", settled ones among them" : ""));
    if (undone != settled_.end()) {
        settled_was_undone_ = true;
        node_->forget_contents(std::min(before, node_->gateway_nonce()));
    }
}

Sent Run::make_instance() {
    const auto which = random_.below(kStudies);
    Sent out;
    out.study = study(which);
    out.sop = out.study + "." + std::to_string(sent_.size() + 1);
    out.patient = "P" + std::to_string(which);
    out.pixels.resize(2 * (random_.one_in(10) ? random_.between(1, 150'000) : random_.between(1, 2'500)));
    bytes_.fill(out.pixels);
    out.file = dicom_file(out, out.headers++);
    return out;
}

const Sent* Run::any_acknowledged() {
    std::vector<const Sent*> known;
    for (const auto& one : sent_) {
        if (one.acknowledged) known.push_back(&one);
    }
    return known.empty() ? nullptr : known[random_.below(known.size())];
}

void Run::ingest(Arrival arrival) {
    if (arrival != Arrival::is_new && sent_.empty()) return;
    if (arrival == Arrival::is_new) sent_.push_back(make_instance());
    auto& instance = arrival == Arrival::is_new ? sent_.back() : sent_[random_.below(sent_.size())];
    if (arrival == Arrival::with_other_header && !instance.acknowledged) return;
    const auto file = arrival == Arrival::with_other_header ? dicom_file(instance, instance.headers++) : instance.file;
    const auto outcome = life_->ingest(file);
    const bool excuse = excused();
    say("instance " + instance.sop + ": " +
        (outcome ? std::string(archive::name_of(outcome->outcome)) : "failed: " + outcome.error().message));
    if (!outcome && !excuse) throw Broken("an instance could not be stored: " + outcome.error().message);
    if (!outcome || fate_.dead()) {
        if (arrival == Arrival::with_other_header) instance.doubtful.push_back(file);
        return;
    }
    using archive::Outcome;
    const auto what = outcome->outcome;
    const bool fits = arrival == Arrival::with_other_header ? what == Outcome::new_version
                      : instance.acknowledged               ? what == Outcome::duplicate
                                                            : what == Outcome::stored || what == Outcome::duplicate;
    if (!fits)
        throw Broken("instance " + instance.sop + ", " + (instance.acknowledged ? "acknowledged before" : "not acknowledged yet") +
                     ", is called " + std::string(archive::name_of(what)) + (outcome->error ? ": " + outcome->error->message : ""));
    if (!instance.acknowledged) ++report_.instances;
    instance.acknowledged = true;
    if (what != Outcome::new_version) return;
    instance.file = file;
    instance.doubtful.clear();
}

void Run::complete() {
    const auto* instance = any_acknowledged();
    if (instance == nullptr) return;
    const auto made = life_->exams().complete(*Uid::parse(instance->study));
    say("study " + instance->study + " complete: " + (made ? *made ? "a new version" : "nothing new" : made.error().message));
    expect(made ? Result<void>() : fail(made.error()), "completing a study");
}

void Run::look() {
    const auto* instance = any_acknowledged();
    if (instance == nullptr) return;
    auto look = life_->look(instance->study, instance->sop);
    const bool excuse = excused();
    say("look at " + instance->sop + (look ? ": entry " + std::to_string(look->entry) : ": " + look.error().message));
    if (fate_.dead()) return;
    if (!look) {
        if (!excuse) throw Broken("instance " + instance->sop + " cannot be shown: " + look.error().message);
        return;
    }
    if (!instance->may_be(look->file)) throw Broken("instance " + instance->sop + " is not what was sent");
    look->file.clear();
    looks_.push_back(std::move(*look));
}

// An upload that ends in the middle.
void Run::give_up() {
    const auto instance = make_instance();
    const auto begun = life_->begin_and_give_up(ByteView(instance.file).first(instance.file.size() - 1));
    expect(begun, "an upload that is given up");
}

void Run::compact() {
    store::CompactionOptions options;
    options.dead_percent = 5;
    options.least_dead_bytes = 4096;
    const auto report = life_->store().compact(options);
    say("compaction: " + (report ? std::to_string(report->segments) + " segments, " + std::to_string(report->freed_bytes) + " bytes freed"
                                 : report.error().message));
    expect(report ? Result<void>() : fail(report.error()), "compaction");
}

void Run::follow() {
    for (int i = 0; i < 20; ++i) {
        const auto moved = life_->follower().step();
        const auto status = life_->follower().status();
        if (!moved || *moved)
            say(moved ? "followed to block " + std::to_string(status.head) + ", settled " + std::to_string(status.settled)
                      : "follower: " + moved.error().message);
        expect_from_node(moved, "a step of the follower");
        note_settled();
        if (!moved || fate_.dead()) return;
        check_settled();
        if (!*moved) return;
    }
}

// ---- the promises

// What the archive counts as settled. A process that dies may have written it down or not.
void Run::note_settled() {
    const auto status = life_->follower().status();
    if (!status.any || status.settled == 0) return;
    if (settled_.empty() || settled_.back().hash != status.settled_hash) settled_.push_back({status.settled, status.settled_hash, false});
    settled_.back().sure = settled_.back().sure || !fate_.dead();
}

// It says when what it counts as settled is undone.
void Run::check_settled() {
    const auto status = life_->follower().status();
    if (status.head != node_->head()) return;
    const auto is_gone = [&](const SettledBlock& block) { return !node_->on_chain(block.hash); };
    const bool gone =
        std::any_of(settled_.begin(), settled_.end(), [&](const SettledBlock& block) { return block.sure && is_gone(block); });
    std::erase_if(settled_, is_gone);
    if (gone && status.unacknowledged == 0) throw Broken("settled blocks were undone, and there is no incident");
}

void Run::check_incidents() {
    if (!life_) return;
    for (const auto& incident : life_->incidents()) {
        if (incident.kind == ledger::LedgerIncident::Kind::settled_undone && settled_was_undone_) continue;
        throw Broken("a false incident: " + std::string(ledger::name_of(incident.kind)) + ": " + incident.text);
    }
}

void Run::check_trace(bool all) {
    auto& trace = life_->trace();
    const auto first = all || looks_.size() < 3 ? 0 : looks_.size() - 3;
    for (auto i = first; i < looks_.size(); ++i) {
        const auto entry = trace.read(looks_[i].entry);
        const bool excuse = excused();
        if (!entry && excuse) return;
        if (!entry) throw Broken("a look that was answered is not in the trace: " + entry.error().message);
        if (crypto::sha256(entry->bytes) != looks_[i].entry_sha256)
            throw Broken("entry " + std::to_string(looks_[i].entry) + " of the trace is not what it was");
    }
}

void Run::calm() {
    say("calm");
    calm_ = true;
    const bool cut = random_.one_in(chances_.power_cut);
    disk_->faults = {};
    network_->faults = {};
    node_->away = node_->syncing = node_->indexing = node_->count_is_behind = false;
    clock_.set_off(0);
    clock_.pass(10 * kSecond);
    end_of_process(cut);
    fate_.begin(0, false);
    live();
}

void Run::settle_everything() {
    const auto made = life_->exams().complete_all();
    expect(made ? Result<void>() : fail(made.error()), "completing all studies");
    for (unsigned round = 0; round < kRoundsToSettle; ++round) {
        const auto moved = life_->outbox().step(false);
        if (moved && *moved)
            say("outbox moved; the node is at nonce " + std::to_string(node_->gateway_nonce()) + " and holds " +
                std::to_string(node_->pooled()) + " more");
        expect_from_node(moved, "a step of the outbox");
        node_->seal();
        follow();
        clock_.pass(kSecond);
        const auto status = life_->outbox().status();
        const auto chain = life_->follower().status();
        if (status.stored + status.submitted + status.included == 0 && chain.head == node_->head() && round > 3) return;
    }
    const auto status = life_->outbox().status();
    throw Broken("not everything gets settled: " + std::to_string(status.stored) + " stored, " + std::to_string(status.submitted) +
                 " submitted, " + std::to_string(status.included) + " included; " + status.problem);
}

// Files that a kill left over are named, and gone after a repair; nothing else is.
void Run::check_fsck() {
    for (const bool repair : {false, true, false}) {
        store::FsckOptions options;
        options.repair = repair;
        const auto report = life_->store().fsck(options);
        if (!report) throw Broken("fsck: " + report.error().message);
        if (report->clean()) return;
        for (const auto& finding : report->findings) {
            if (finding.kind == store::Finding::Kind::unused_segment && report_.kills + report_.power_cuts + report_.faults > 0) continue;
            throw Broken("fsck finds " + std::string(store::name_of(finding.kind)) + " " + finding.subject + " " + finding.where + ": " +
                         finding.what);
        }
    }
    throw Broken("fsck --repair mends nothing");
}

void Run::check_end() {
    check_incidents();
    check_settled();
    const auto status = life_->outbox().status();
    if (status.incidents + status.failed != 0) throw Broken("the outbox holds incidents");
    if (status.foreign_nonce) throw Broken("a nonce counts as used by somebody else: " + std::to_string(*status.foreign_nonce));
    if (const auto nonce = node_->nonce_with_two_contents())
        throw Broken("nonce " + std::to_string(*nonce) + " was used for two different things");

    for (const auto& instance : sent_) {
        if (!instance.acknowledged) continue;
        auto look = life_->look(instance.study, instance.sop);
        if (!look) throw Broken("instance " + instance.sop + " was acknowledged and is lost: " + look.error().message);
        if (!instance.may_be(look->file)) throw Broken("instance " + instance.sop + " was acknowledged and is another");
        look->file.clear();
        looks_.push_back(std::move(*look));
    }
    check_trace(true);
    const auto trace = life_->trace().check();
    if (!trace) throw Broken("the trace cannot be checked: " + trace.error().message);
    if (!trace->clean()) throw Broken("the trace: " + trace->faults.front().message);
    check_fsck();

    std::size_t versions = 0;
    for (std::size_t i = 0; i < kStudies; ++i) {
        const auto uid = *Uid::parse(study(i));
        const auto read =
            life_->store().database().read([&](database::Transaction& t) { return life_->store().index().versions_of(t, uid); });
        if (!read) throw Broken("versions: " + read.error().message);
        for (const auto& version : *read) {
            ++versions;
            const auto& record = version.record;
            const auto name = "version " + std::to_string(record.version) + " of study " + uid.text();
            const auto item = life_->store().database().read(
                [&](database::Transaction& t) { return life_->outbox().anchor(t, record.study_key, record.version); });
            if (!item) throw Broken(name + " is not in the outbox: " + item.error().message);
            if (item->state != ledger::OutboxState::settled)
                throw Broken(name + " is " + std::string(ledger::name_of(item->state)) + ", not settled");
            if (!node_->on_chain(item->block_hash)) throw Broken(name + " counts as settled in a block that there is not");
            if (node_->record_at(evidence::slot_key(record.institution, record.study_key, record.version)) != record.hash())
                throw Broken("the slot of " + name + " does not hold its record");
        }
        const auto latest = life_->versions().latest(uid);
        for (const auto& instance : sent_) {
            if (!instance.acknowledged || instance.study != uid.text()) continue;
            if (!latest) throw Broken("study " + uid.text() + " has no version: " + latest.error().message);
            if (!(*latest)->by_uid.contains(instance.sop)) throw Broken("instance " + instance.sop + " stands in no version");
        }
    }
    if (versions != node_->records())
        throw Broken(std::to_string(node_->records()) + " records are on the chain, " + std::to_string(versions) + " versions here");
    report_.versions = versions;
}

}  // namespace

RunReport run(const RunOptions& options) {
    return Run(options).go();
}

}  // namespace fiducial::simulation
