// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IConsents} from "../src/interfaces/IConsents.sol";
import {IStudies} from "../src/interfaces/IStudies.sol";
import {ICheckpoints} from "../src/interfaces/ICheckpoints.sol";
import {Tree} from "./Checkpoints.t.sol";
import {World} from "./World.sol";

/// Does what gateways and patients do, in any order, and keeps account of what must then hold.
contract Actor is World {
    bytes32 private constant LOG = keccak256("log");
    bytes32[3] public studyKeys = [keccak256("s0"), keccak256("s1"), keccak256("s2")];
    mapping(bytes32 => bytes32) public seenRecord; // slot key -> record when first seen
    bytes32[] public seenKeys;
    uint64 public seenEpoch;
    uint64 public seenVoidBelow;
    uint64 public seenSize;
    uint64 public revokedEpoch; // highest epoch that a revocation of all has named
    bool public revokedAny;
    uint256 public restrictionsOn;
    mapping(bytes32 => bool) public isOn;
    mapping(bytes32 => uint64) public serials;

    function anchor(uint8 which, uint8 version, uint32 count, bool honest, bool other) external {
        IStudies.StudyRecord[] memory items = new IStudies.StudyRecord[](1);
        bytes32 institution = other ? HOSPITAL_B : HOSPITAL_A;
        items[0].studyKey = studyKeys[which % 3];
        items[0].version = uint64(version % 5);
        items[0].count = count % 3;
        if (honest && items[0].version > 1) {
            items[0].previous = studies.recordOf(institution, items[0].studyKey, items[0].version - 1);
        }
        vm.prank(other ? GATEWAY_B : GATEWAY_A);
        studies.anchor(items);
        bytes32 key = keccak256(abi.encode(institution, items[0].studyKey, items[0].version));
        if (seenRecord[key] == 0) {
            seenRecord[key] = studies.recordOf(institution, items[0].studyKey, items[0].version);
            if (seenRecord[key] != 0) seenKeys.push(studies.slotOf(institution, items[0].studyKey, items[0].version));
            slotRecord[studies.slotOf(institution, items[0].studyKey, items[0].version)] = seenRecord[key];
        }
    }

    mapping(bytes32 => bytes32) public slotRecord;

    function give(uint8 target, uint8 purpose, uint16 length, uint8 epochOffset) external {
        IConsents.GrantTerms memory given = terms(
            target % 3 == 0 ? toSubject(id(DOCTOR_B)) : target % 3 == 1 ? toInstitution(HOSPITAL_B) : toRole(0, 1),
            purpose % 2 == 0 ? IConsents.Purpose.treatment : IConsents.Purpose.research
        );
        given.until = given.from + length + 1;
        given.epoch = uint64(epochOffset % 4); // often a stale one
        vm.prank(GATEWAY_A);
        try consents.grant(given) returns (bytes32) {
            require(given.epoch == epoch(), "a stale epoch was taken");
        } catch {}
    }

    function revokeAll(uint8 which) external {
        uint64 named = uint64(which % 6);
        vm.prank(GATEWAY_A);
        consents.revoke(HOSPITAL_A, PATIENT, 0, named);
        revokedAny = true;
        if (named > revokedEpoch) revokedEpoch = named;
    }

    function restrictSome(uint8 target, bool scoped, bool on, uint8 serial) external {
        IConsents.Target memory about =
            target % 3 == 0 ? toEveryone() : target % 3 == 1 ? toSubject(id(DOCTOR_A)) : toInstitution(HOSPITAL_B);
        bytes32 restrictionId = consents.restrictionIdOf(about, scoped ? SCOPE : bytes32(0));
        vm.prank(GATEWAY_A);
        try consents.restrict(restriction(about, scoped ? SCOPE : bytes32(0), on, serial)) returns (bytes32) {
            require(serial > serials[restrictionId], "a stale serial was taken");
            serials[restrictionId] = serial;
            if (on != isOn[restrictionId]) {
                isOn[restrictionId] = on;
                restrictionsOn = on ? restrictionsOn + 1 : restrictionsOn - 1;
            }
        } catch {}
    }

    /// Of the one log that grows, at any size, or of another that claims to continue it; the first is of the one log.
    function checkpoint(uint8 sizeSeed, bool honest) public {
        uint64 kept = checkpoints.checkpointOf(HOSPITAL_A, LOG).size;
        uint64 size = 1 + uint64(sizeSeed) % (kept + 8);
        bytes32 root = honest || kept == 0 ? Tree.root(0, size) : Tree.root(1, size + 1);
        bytes32[] memory proof = kept == 0 || size < kept ? new bytes32[](0) : Tree.consistency(kept, size);
        vm.prank(GATEWAY_A);
        try checkpoints.submit(LOG, size, root, proof) {
            require(size >= kept, "a log shrank");
            require(honest || kept == 0, "a log was rewritten");
        } catch {
            require(size < kept || !honest, "a log that grew was refused");
        }
    }

    function look() external {
        IConsents.Patient memory patient = consents.patientOf(HOSPITAL_A, PATIENT);
        require(patient.epoch >= seenEpoch && patient.voidBelow >= seenVoidBelow, "an epoch went back");
        (seenEpoch, seenVoidBelow) = (patient.epoch, patient.voidBelow);
        ICheckpoints.Checkpoint memory log = checkpoints.checkpointOf(HOSPITAL_A, LOG);
        require(log.size >= seenSize, "a log shrank");
        require(log.size == 0 || log.root == Tree.root(0, log.size), "a log was rewritten");
        seenSize = log.size;
    }

    function countOfSlots() external view returns (uint256) {
        return seenKeys.length;
    }

    function worldOf() external view returns (address, address) {
        return (address(studies), address(consents));
    }

    function restrictionsKept() external view returns (uint32, uint32) {
        IConsents.Patient memory patient = consents.patientOf(HOSPITAL_A, PATIENT);
        return (patient.restrictions, patient.scopedRestrictions);
    }

    function outsider(uint64 when, IConsents.Purpose purpose) external view returns (bool may, uint64 grantedIn) {
        (may,,,) = consents.decide(id(DOCTOR_B), HOSPITAL_A, PATIENT, OTHER_SCOPE, IConsents.Operation.read, purpose, when);
        grantedIn = consents.patientOf(HOSPITAL_A, PATIENT).voidBelow;
    }

    function anyGrantBelow(uint64 limit) external view returns (bool) {
        IConsents.Target[3] memory targets = [toSubject(id(DOCTOR_B)), toInstitution(HOSPITAL_B), toRole(0, 1)];
        for (uint256 i = 0; i < 3; ++i) {
            bytes32 grantId = consents.grantIdOf(targets[i], 0, IConsents.Purpose.treatment);
            IConsents.Grant memory given = consents.grantOf(HOSPITAL_A, PATIENT, grantId);
            if (given.until != 0 && given.epoch >= limit) return false;
        }
        return true;
    }
}

contract InvariantsTest is World {
    Actor private _actor;

    function setUp() public override {
        super.setUp();
        _actor = new Actor();
        _actor.setUp();
    }

    function targetContracts() public view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(_actor);
    }

    struct FuzzSelector {
        address addr;
        bytes4[] selectors;
    }

    function targetSelectors() public view returns (FuzzSelector[] memory targets) {
        targets = new FuzzSelector[](1);
        bytes4[] memory selectors = new bytes4[](6);
        selectors[0] = Actor.anchor.selector;
        selectors[1] = Actor.give.selector;
        selectors[2] = Actor.revokeAll.selector;
        selectors[3] = Actor.restrictSome.selector;
        selectors[4] = Actor.checkpoint.selector;
        selectors[5] = Actor.look.selector;
        targets[0] = FuzzSelector({addr: address(_actor), selectors: selectors});
    }

    /// So that the invariants are about logs that do grow.
    function test_actorsLogGrows() public {
        uint64 before = 0;
        for (uint8 i = 0; i < 6; ++i) {
            _actor.checkpoint(before == 0 ? 2 : uint8(before) + 2, true);
            _actor.checkpoint(uint8(before) + 1, false);
            _actor.checkpoint(0, true);
            _actor.look();
            isTrue(_actor.seenSize() > before);
            before = _actor.seenSize();
        }
    }

    /// A slot once written never changes.
    function invariant_anchorsAreWrittenOnce() public view {
        (address where,) = _actor.worldOf();
        uint256 count = _actor.countOfSlots();
        for (uint256 i = 0; i < count; ++i) {
            bytes32 slot = _actor.seenKeys(i);
            equal(vm.load(where, slot), _actor.slotRecord(slot));
        }
    }

    /// Epochs and sizes of logs never go back, and no log is rewritten; the counters are those of the restrictions in force.
    function invariant_nothingGoesBack() public {
        _actor.look();
        (uint32 restrictions, uint32 scoped) = _actor.restrictionsKept();
        equal(restrictions, _actor.restrictionsOn());
        isTrue(scoped <= restrictions);
    }

    /// After a revocation of all up to epoch e, no grant of an epoch ≤ e opens anything.
    function invariant_revokedStaysRevoked() public view {
        if (!_actor.revokedAny()) return;
        (bool may,) = _actor.outsider(uint64(block.timestamp), IConsents.Purpose.treatment);
        if (_actor.anyGrantBelow(_actor.revokedEpoch() + 1)) equal(may, false);
    }
}
