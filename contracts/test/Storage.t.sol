// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IConsents} from "../src/interfaces/IConsents.sol";
import {IStudies} from "../src/interfaces/IStudies.sol";
import {World} from "./World.sol";

/// Where storage proofs and readers of raw slots look. script/layout.mjs compares the whole layout besides.
contract StorageTest is World {
    function test_anchorsAreAtSlot0() public {
        IStudies.StudyRecord[] memory items = new IStudies.StudyRecord[](1);
        items[0].studyKey = keccak256("study");
        items[0].version = 1;
        vm.prank(GATEWAY_A);
        studies.anchor(items);
        bytes32 key = keccak256(abi.encode(HOSPITAL_A, items[0].studyKey, uint64(1)));
        equal(vm.load(address(studies), keccak256(abi.encode(key, uint256(0)))), studies.hashRecord(HOSPITAL_A, items[0]));
    }

    function test_checkpointsAreAtSlot0() public {
        vm.prank(GATEWAY_A);
        checkpoints.submit(keccak256("origin"), 9, keccak256("root"), new bytes32[](0));
        bytes32 slot = keccak256(abi.encode(keccak256("origin"), keccak256(abi.encode(HOSPITAL_A, uint256(0)))));
        equal(vm.load(address(checkpoints), slot), keccak256("root"));
        equal(uint64(uint256(vm.load(address(checkpoints), bytes32(uint256(slot) + 1)))), 9);
    }

    /// kind u8, epoch u64, voidBelow u64, restrictions u32, scopedRestrictions u32 from the low end, then the controller.
    function test_patientsAreAtSlot0() public {
        giveWallet();
        vm.prank(vm.addr(PATIENT_A));
        consents.restrict(restriction(toEveryone(), SCOPE, true, 1));
        bytes32 slot = keccak256(abi.encode(PATIENT, keccak256(abi.encode(HOSPITAL_A, uint256(0)))));
        uint256 packed = uint256(vm.load(address(consents), slot));
        equal(uint8(packed), uint8(IConsents.ControllerKind.wallet));
        equal(uint64(packed >> 8), 1);
        equal(uint64(packed >> 72), 0);
        equal(uint32(packed >> 136), 1);
        equal(uint32(packed >> 168), 1);
        equal(vm.load(address(consents), bytes32(uint256(slot) + 1)), id(PATIENT_A));
    }
}
