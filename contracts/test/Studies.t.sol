// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Studies} from "../src/Studies.sol";
import {IStudies} from "../src/interfaces/IStudies.sol";
import {Vm, World} from "./World.sol";

contract StudiesTest is World {
    bytes32 private constant STUDY = keccak256("a study key");

    function item(bytes32 studyKey, uint64 version, bytes32 previous) private pure returns (IStudies.StudyRecord memory) {
        return IStudies.StudyRecord({
            studyKey: studyKey,
            version: version,
            previous: previous,
            root: keccak256(abi.encode("root", studyKey, version)),
            count: 3,
            patientRef: keccak256("reference"),
            meta: keccak256("meta"),
            uploads: 0,
            format: 1,
            reasons: 1
        });
    }

    function one(IStudies.StudyRecord memory record) private pure returns (IStudies.StudyRecord[] memory items) {
        items = new IStudies.StudyRecord[](1);
        items[0] = record;
    }

    function anchorOne(IStudies.StudyRecord memory record) private returns (uint256) {
        vm.prank(GATEWAY_A);
        return studies.anchor(one(record));
    }

    /// The hash is that of the formats, field by field.
    function test_recordIsHashedAsTheFormatSays() public view {
        IStudies.StudyRecord memory r = item(STUDY, 2, keccak256("previous"));
        bytes memory head = abi.encode(
            bytes32("fid.record1"), block.chainid, address(studies), HOSPITAL_A, r.studyKey, r.version, r.previous, r.root
        );
        bytes memory tail = abi.encode(r.count, r.patientRef, r.meta, r.uploads, r.format, r.reasons);
        equal(studies.hashRecord(HOSPITAL_A, r), keccak256(bytes.concat(head, tail)));
    }

    function test_anchoredAtItsStorageSlot() public {
        IStudies.StudyRecord memory r = item(STUDY, 1, 0);
        vm.expectEmit(true, true, true, true, address(studies));
        emit IStudies.StudyAnchored(HOSPITAL_A, STUDY, 1, studies.hashRecord(HOSPITAL_A, r));
        equal(anchorOne(r), 1);
        bytes32 key = keccak256(abi.encode(HOSPITAL_A, STUDY, uint64(1)));
        bytes32 slot = keccak256(abi.encode(key, uint256(0)));
        equal(vm.load(address(studies), slot), studies.hashRecord(HOSPITAL_A, r));
        equal(studies.slotOf(HOSPITAL_A, STUDY, 1), slot);
        equal(studies.recordOf(HOSPITAL_A, STUDY, 1), studies.hashRecord(HOSPITAL_A, r));
        equal(studies.members(), address(members));
    }

    function test_versionsFollowEachOther() public {
        IStudies.StudyRecord memory r1 = item(STUDY, 1, 0);
        IStudies.StudyRecord memory r2 = item(STUDY, 2, studies.hashRecord(HOSPITAL_A, r1));
        IStudies.StudyRecord memory r3 = item(STUDY, 3, studies.hashRecord(HOSPITAL_A, r2));
        IStudies.StudyRecord[] memory items = new IStudies.StudyRecord[](3);
        (items[0], items[1], items[2]) = (r1, r2, r3);
        vm.prank(GATEWAY_A);
        equal(studies.anchor(items), 3); // one batch may hold a study's next version
        equal(studies.recordOf(HOSPITAL_A, STUDY, 3), studies.hashRecord(HOSPITAL_A, r3));
    }

    function expectSkip(IStudies.StudyRecord memory r, IStudies.SkipReason reason, bytes32 found) private {
        bytes32 record = studies.hashRecord(HOSPITAL_A, r);
        bytes32 before = studies.recordOf(HOSPITAL_A, r.studyKey, r.version);
        vm.expectEmit(true, true, true, true, address(studies));
        emit IStudies.StudySkipped(HOSPITAL_A, r.studyKey, r.version, record, reason, found);
        equal(anchorOne(r), 0);
        equal(studies.recordOf(HOSPITAL_A, r.studyKey, r.version), before);
    }

    function test_staleItemsAreSkippedWithTheirReason() public {
        IStudies.StudyRecord memory r1 = item(STUDY, 1, 0);
        bytes32 record = studies.hashRecord(HOSPITAL_A, r1);
        expectSkip(item(STUDY, 2, record), IStudies.SkipReason.missingPredecessor, 0);
        equal(anchorOne(r1), 1);
        expectSkip(r1, IStudies.SkipReason.alreadyAnchored, record);
        IStudies.StudyRecord memory other = item(STUDY, 1, 0);
        other.count = 4;
        expectSkip(other, IStudies.SkipReason.otherRecord, record);
        expectSkip(item(STUDY, 2, keccak256("wrong")), IStudies.SkipReason.missingPredecessor, record);
        expectSkip(item(STUDY, 2, 0), IStudies.SkipReason.missingPredecessor, record);
        expectSkip(item(STUDY, 3, record), IStudies.SkipReason.missingPredecessor, 0);
        expectSkip(item(STUDY, 3, 0), IStudies.SkipReason.missingPredecessor, 0);
        expectSkip(item(STUDY, 0, 0), IStudies.SkipReason.invalidVersion, 0);
        expectSkip(item(keccak256("new"), 1, record), IStudies.SkipReason.invalidVersion, 0);
    }

    function test_staleItemKeepsNoOtherFromBeingAnchored() public {
        IStudies.StudyRecord[] memory items = new IStudies.StudyRecord[](3);
        items[0] = item(keccak256("x"), 1, 0);
        items[1] = item(keccak256("y"), 7, 0);
        items[2] = item(keccak256("z"), 1, 0);
        vm.prank(GATEWAY_A);
        equal(studies.anchor(items), 2);
        isTrue(studies.recordOf(HOSPITAL_A, keccak256("z"), 1) != 0);
    }

    function test_institutionsDoNotMeet() public {
        IStudies.StudyRecord memory r = item(STUDY, 1, 0);
        anchorOne(r);
        vm.prank(GATEWAY_B);
        equal(studies.anchor(one(r)), 1);
        isTrue(studies.recordOf(HOSPITAL_A, STUDY, 1) != studies.recordOf(HOSPITAL_B, STUDY, 1));
    }

    function test_RevertWhen_notAGateway() public {
        IStudies.StudyRecord[] memory items = one(item(STUDY, 1, 0));
        vm.expectRevert(abi.encodeWithSelector(IStudies.StudiesNotGateway.selector, address(this)));
        studies.anchor(items);
        members.setInstitutionActive(HOSPITAL_A, false);
        vm.expectRevert(abi.encodeWithSelector(IStudies.StudiesNotGateway.selector, GATEWAY_A));
        vm.prank(GATEWAY_A);
        studies.anchor(items);
    }

    function test_RevertWhen_batchSizeIsWrong() public {
        vm.startPrank(GATEWAY_A);
        vm.expectRevert(abi.encodeWithSelector(IStudies.StudiesBatchSize.selector, 0));
        studies.anchor(new IStudies.StudyRecord[](0));
        vm.expectRevert(abi.encodeWithSelector(IStudies.StudiesBatchSize.selector, 257));
        studies.anchor(new IStudies.StudyRecord[](257));
        equal(studies.anchor(new IStudies.StudyRecord[](256)), 0); // all of version 0
        vm.stopPrank();
    }

    /// Any change of any field, of the institution, the chain or the contract is another record.
    function testFuzz_recordBindsEverything(IStudies.StudyRecord memory r, uint8 which, uint256 change) public {
        bytes32 record = studies.hashRecord(HOSPITAL_A, r);
        vm.assume(change != 0);
        uint8 field = which % 13;
        if (field == 0) r.studyKey ^= bytes32(change);
        else if (field == 1) r.version ^= uint64(change | 1);
        else if (field == 2) r.previous ^= bytes32(change);
        else if (field == 3) r.root ^= bytes32(change);
        else if (field == 4) r.count ^= uint32(change | 1);
        else if (field == 5) r.patientRef ^= bytes32(change);
        else if (field == 6) r.meta ^= bytes32(change);
        else if (field == 7) r.uploads ^= bytes32(change);
        else if (field == 8) r.format ^= uint16(change | 1);
        else if (field == 9) r.reasons ^= uint16(change | 1);
        else if (field == 11) vm.chainId(block.chainid + 1);
        bytes32 changed = field == 12
            ? new Studies(members).hashRecord(HOSPITAL_A, r)
            : studies.hashRecord(field == 10 ? HOSPITAL_B : HOSPITAL_A, r);
        isTrue(changed != record);
    }

    /// Whatever is sent, in whatever order and however often: a slot once written stays.
    function testFuzz_slotsAreWrittenOnce(uint8[12] memory versions, bool[12] memory differing) public {
        bytes32[4] memory seen;
        for (uint256 i = 0; i < versions.length; ++i) {
            uint64 version = uint64(versions[i] % 3) + 1;
            IStudies.StudyRecord memory r = item(STUDY, version, version == 1 ? bytes32(0) : seen[version - 1]);
            if (differing[i]) r.count = uint32(i + 10);
            anchorOne(r);
            bytes32 now_ = studies.recordOf(HOSPITAL_A, STUDY, version);
            if (seen[version] != 0) equal(now_, seen[version]);
            seen[version] = now_;
        }
    }
}
