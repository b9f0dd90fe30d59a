#include "simulated_archive.hpp"

#include "archive/accounts.hpp"
#include "base/file.hpp"
#include "crypto/hash.hpp"

namespace fiducial::simulation {
namespace {

Result<void> make_folder(const std::filesystem::path& folder) {
    std::error_code error;
    std::filesystem::create_directories(folder, error);
    if (error) return fail(error_from_errno(error.value(), "making", folder));
    return {};
}

}  // namespace

Result<std::unique_ptr<SimulatedArchive>> SimulatedArchive::open(const SimulatedSite& site, std::shared_ptr<net::JsonTransport> network,
                                                                 bool first) {
    std::unique_ptr<SimulatedArchive> made(new SimulatedArchive());
    auto& self = *made;
    store::StoreOptions options;
    std::vector<database::Migration> migrations(archive::migrations().begin(), archive::migrations().end());
    migrations.insert(migrations.end(), ledger::migrations().begin(), ledger::migrations().end());
    options.other_migrations = migrations;
    options.vault.segment_bytes = site.segment_bytes;
    options.vault.own_file_bytes = site.own_file_bytes;
    FID_TRY(self.store_, store::Store::open(site.folder / "store", site.root_key, options));
    const auto trace_folder = site.folder / "trace";
    if (first) {
        FID_CHECK(make_folder(trace_folder));
        FID_TRY(self.trace_, audit::Trace::create(trace_folder, site.trace_key.clone()));
    } else {
        FID_TRY(self.trace_, audit::Trace::open(trace_folder, site.trace_key.clone()));
    }
    self.versions_ = std::make_unique<archive::CheckedVersions>(*self.store_);
    self.tracer_ = std::make_unique<archive::Tracer>(*self.trace_, *self.store_, site.staff_key.clone());

    self.outbox_rpc_ = std::make_unique<ledger::Rpc>(network);
    self.follower_rpc_ = std::make_unique<ledger::Rpc>(network);
    self.rights_ = std::make_unique<store::Rights>(self.store_->keyring());
    self.rights_sink_ = std::make_unique<archive::RightsSink>(self.store_->database(), *self.rights_, *self.follower_rpc_, site.facts);
    ledger::OutboxSettings outbox;
    outbox.chain_id = site.facts.chain_id;
    outbox.studies = site.facts.studies;
    outbox.institution = site.facts.institution;
    self.outbox_ =
        std::make_unique<ledger::Outbox>(self.store_->database(), *self.outbox_rpc_, outbox, site.gateway.clone(), site.row_key.clone());
    self.outbox_->on_incident([&self](const ledger::LedgerIncident& incident) { self.incidents_.push_back(incident); });
    self.exams_ = std::make_unique<archive::Exams>(*self.store_, *self.versions_, *self.outbox_, site.facts, std::chrono::seconds(10));
    FID_CHECK(self.exams_->recover_versions());

    ledger::FollowerSettings follower;
    follower.chain_id = site.facts.chain_id;
    follower.genesis_hash = site.facts.genesis_hash;
    follower.period = site.period;
    follower.from_block = site.facts.from_block;
    follower.filter.addresses = {site.facts.members, site.facts.consents};
    follower.clique = ethereum::CliqueConfig{site.period, 30000};
    follower.seals = std::make_shared<ethereum::CliqueRules>(*follower.clique);
    follower.signer_sets = {{0, std::nullopt, site.signers}};
    self.follower_ = std::make_unique<ledger::Follower>(self.store_->database(), *self.follower_rpc_, follower,
                                                        std::vector<ledger::LedgerChanges*>{self.outbox_.get(), self.rights_sink_.get()});
    FID_CHECK(self.follower_->load());
    return made;
}

Result<archive::InstanceOutcome> SimulatedArchive::ingest(ByteView file) {
    archive::StoreSession session(*store_, *exams_, {}, "simulation");
    archive::InstanceFormat format;
    FID_CHECK(session.begin_instance(format));
    static_cast<void>(session.write(file));  // finish_instance() says what became of it
    return session.finish_instance();
}

Result<void> SimulatedArchive::begin_and_give_up(ByteView file) {
    archive::StoreSession session(*store_, *exams_, {}, "simulation");
    FID_CHECK(session.begin_instance({}));
    auto written = session.write(file);
    session.abandon_instance();
    return written;
}

Result<AnsweredLook> SimulatedArchive::look(const std::string& study_uid, const std::string& sop_uid) {
    FID_TRY(const auto study, Uid::parse(study_uid));
    FID_TRY(const auto sop, Uid::parse(sop_uid));
    FID_TRY(const auto row, store_->database().read([&](database::Transaction& t) { return store_->index().find_study(t, study); }));
    if (!row) return fail(ErrorCode::not_found, "there is no study " + study_uid);
    FID_TRY(const auto identity, archive::identify_study(*store_, *row));
    auto version = versions_->latest(study);
    FID_TRY(const auto instance, store_->database().read([&](database::Transaction& t) { return store_->index().find_instance(t, sop); }));
    archive::Requester who;
    who.address = "simulation";
    archive::Decision decision;
    decision.allowed = true;
    const auto outcome = instance ? std::optional<ErrorCode>() : ErrorCode::not_found;
    AnsweredLook look;
    FID_TRY(look.entry,
            tracer_->write(who, archive::Operation::read, decision, &identity, instance ? instance->object.ref.id : kZero32, outcome));
    if (!instance) return fail(ErrorCode::not_found, "there is no instance " + sop_uid);
    if (!version && version.error().code != ErrorCode::not_found) return fail(version.error());
    archive::StoreRetrieval retrieval(*store_, {*instance}, version ? *version : nullptr, row->revision, {});
    FID_TRY(const auto found, retrieval.next_instance());
    if (!found) return fail(ErrorCode::internal, "a retrieval of one instance holds none");
    look.file.resize(found->file_size());
    FID_TRY(const auto got, retrieval.read(look.file));
    if (got != look.file.size()) return fail(ErrorCode::corrupt, "the instance is shorter than it says");
    FID_TRY(const auto entry, trace_->read(look.entry));
    look.entry_sha256 = crypto::sha256(entry.bytes);
    return look;
}

}  // namespace fiducial::simulation
