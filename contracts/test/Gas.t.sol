// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IConsents} from "../src/interfaces/IConsents.sol";
import {IMembers, Roles} from "../src/interfaces/IMembers.sol";
import {IStudies} from "../src/interfaces/IStudies.sol";
import {Rfc6962} from "../src/libraries/Rfc6962.sol";
import {World} from "./World.sol";
import {Tree} from "./Checkpoints.t.sol";

/// What each transaction costs, each in a transaction of its own (profile gas: forge test --isolate). The snapshot is compared
/// in every test; docs/reference/gas.md shows it.
contract GasTest is World {
    function batch(uint256 size, uint256 seed) private pure returns (IStudies.StudyRecord[] memory items) {
        items = new IStudies.StudyRecord[](size);
        for (uint256 i = 0; i < size; ++i) {
            bytes32 random = keccak256(abi.encode(seed, i));
            items[i] = IStudies.StudyRecord({
                studyKey: keccak256(abi.encode(random, 1)),
                version: 1,
                previous: 0,
                root: keccak256(abi.encode(random, 2)),
                count: 120,
                patientRef: keccak256(abi.encode(random, 3)),
                meta: keccak256(abi.encode(random, 4)),
                uploads: 0,
                format: 1,
                reasons: 1
            });
        }
    }

    function test_gas_anchor() public {
        uint256[3] memory sizes = [uint256(1), 100, 256];
        string[3] memory names = ["Studies.anchor, 1 record", "Studies.anchor, 100 records", "Studies.anchor, 256 records"];
        for (uint256 i = 0; i < 3; ++i) {
            IStudies.StudyRecord[] memory items = batch(sizes[i], i);
            vm.prank(GATEWAY_A);
            studies.anchor(items);
            vm.snapshotGasLastCall(names[i]);
        }
        IStudies.StudyRecord[] memory again = batch(100, 1);
        vm.prank(GATEWAY_A);
        studies.anchor(again);
        vm.snapshotGasLastCall("Studies.anchor, 100 records again");
    }

    function test_gas_consents() public {
        giveWallet();
        vm.snapshotGasLastCall("Consents.setController");
        IConsents.GrantTerms memory given = terms(toSubject(id(DOCTOR_B)), IConsents.Purpose.treatment);
        vm.prank(vm.addr(PATIENT_A));
        bytes32 grantId = consents.grant(given);
        vm.snapshotGasLastCall("Consents.grant");
        vm.prank(vm.addr(PATIENT_A));
        consents.revoke(HOSPITAL_A, PATIENT, 0, given.epoch);
        vm.snapshotGasLastCall("Consents.revoke, all");
        vm.prank(vm.addr(PATIENT_A));
        consents.revoke(HOSPITAL_A, PATIENT, grantId, given.epoch + 1);
        vm.snapshotGasLastCall("Consents.revoke, one");
        vm.prank(vm.addr(PATIENT_A));
        consents.restrict(restriction(toEveryone(), 0, true, 1));
        vm.snapshotGasLastCall("Consents.restrict");
        vm.prank(vm.addr(PATIENT_A));
        consents.restrict(restriction(toEveryone(), 0, false, 2));
        vm.snapshotGasLastCall("Consents.restrict, lifted");
        vm.prank(GATEWAY_B);
        consents.ask(HOSPITAL_A, PATIENT, id(DOCTOR_B), SCOPE, IConsents.Purpose.treatment, NOW + 10);
        vm.snapshotGasLastCall("Consents.ask");
        vm.prank(GATEWAY_B);
        consents.openEmergency(HOSPITAL_A, PATIENT, id(DOCTOR_B), NOW, NOW + 10, keccak256("ground"));
        vm.snapshotGasLastCall("Consents.openEmergency");
    }

    function test_gas_decide() public {
        consents.decide(id(DOCTOR_A), HOSPITAL_A, PATIENT, SCOPE, IConsents.Operation.read, IConsents.Purpose.treatment, NOW);
        vm.snapshotGasLastCall("Consents.decide, own doctor (a call)");
        consents.decide(id(DOCTOR_B), HOSPITAL_A, PATIENT, SCOPE, IConsents.Operation.read, IConsents.Purpose.treatment, NOW);
        vm.snapshotGasLastCall("Consents.decide, outsider (a call)");
    }

    // calldata for the library
    function consistency(uint64 m, bytes32 oldRoot, uint64 n, bytes32 newRoot, bytes32[] calldata proof)
        external
        pure
        returns (bool)
    {
        return Rfc6962.verifyConsistency(m, oldRoot, n, newRoot, proof);
    }

    function test_gas_checkpoints() public {
        bytes32 root = Tree.root(0, 600);
        vm.prank(GATEWAY_A);
        checkpoints.submit(keccak256("log"), 600, root, new bytes32[](0));
        vm.snapshotGasLastCall("Checkpoints.submit, first");
        bytes32[] memory proof = Tree.consistency(600, 1000);
        root = Tree.root(0, 1000);
        vm.prank(GATEWAY_A);
        checkpoints.submit(keccak256("log"), 1000, root, proof);
        vm.snapshotGasLastCall("Checkpoints.submit, 600 to 1000 entries");
        this.consistency(600, Tree.root(0, 600), 1000, root, proof);
        vm.snapshotGasLastCall("Checkpoints.submit: the proof alone, 600 to 1000 entries (a call)");
    }

    function test_gas_members() public {
        vm.prank(GATEWAY_A);
        members.registerPerson(id(900), HOSPITAL_A, vm.addr(900), Roles.PATIENT, IMembers.Custody.wallet);
        vm.snapshotGasLastCall("Members.registerPerson");
        vm.prank(vm.addr(ADMIN_A));
        members.registerDevice(id(901), HOSPITAL_A, 4, keccak256("certificate"));
        vm.snapshotGasLastCall("Members.registerDevice");
        vm.prank(vm.addr(900));
        members.rotateAccount(id(900), vm.addr(902), IMembers.Custody.wallet);
        vm.snapshotGasLastCall("Members.rotateAccount");
    }
}
