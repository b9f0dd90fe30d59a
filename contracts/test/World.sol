// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Checkpoints} from "../src/Checkpoints.sol";
import {Consents} from "../src/Consents.sol";
import {Directory} from "../src/Directory.sol";
import {Members} from "../src/Members.sol";
import {Studies} from "../src/Studies.sol";
import {IConsents} from "../src/interfaces/IConsents.sol";
import {IMembers, Roles} from "../src/interfaces/IMembers.sol";

/// The part of forge's cheat codes that the tests use.
interface Vm {
    function warp(uint256 time) external;
    function roll(uint256 number) external;
    function prank(address sender) external;
    function startPrank(address sender) external;
    function stopPrank() external;
    function expectRevert(bytes4 selector) external;
    function expectRevert(bytes calldata data) external;
    function expectEmit(bool topic1, bool topic2, bool topic3, bool data, address emitter) external;
    function assume(bool condition) external pure;
    function addr(uint256 key) external pure returns (address);
    function sign(uint256 key, bytes32 digest) external pure returns (uint8 v, bytes32 r, bytes32 s);
    function load(address target, bytes32 slot) external view returns (bytes32);
    function chainId(uint256 id) external;
    function toString(uint256 value) external pure returns (string memory);
    function writeFile(string calldata path, string calldata data) external;
    function writeLine(string calldata path, string calldata data) external;
    function envOr(string calldata name, uint256 otherwise) external view returns (uint256);
    function envOr(string calldata name, string calldata otherwise) external view returns (string memory);
    function getRecordedLogs() external returns (Log[] memory);
    function recordLogs() external;
    function snapshotGasLastCall(string calldata name) external returns (uint256);

    struct Log {
        bytes32[] topics;
        bytes data;
        address emitter;
    }
}

/// Two hospitals with one person of each role, devices, and patients.
abstract contract World {
    Vm internal constant vm = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));

    bytes32 internal constant HOSPITAL_A = bytes32(uint256(0xA));
    bytes32 internal constant HOSPITAL_B = bytes32(uint256(0xB));
    address internal constant GATEWAY_A = address(0xA0A);
    address internal constant GATEWAY_B = address(0xB0B);
    bytes32 internal constant PATIENT = keccak256("a patient key");
    bytes32 internal constant SCOPE = keccak256("a study");
    bytes32 internal constant OTHER_SCOPE = keccak256("another study");
    uint64 internal constant NOW = 1_800_000_000;
    uint64 internal constant FOR_EVER = type(uint64).max;

    // Private keys of accounts; a person's id is bytes32(key).
    uint256 internal constant ADMIN_A = 101;
    uint256 internal constant ADMIN_A2 = 102;
    uint256 internal constant DOCTOR_A = 103;
    uint256 internal constant TECHNOLOGIST_A = 104;
    uint256 internal constant DESK_A = 105;
    uint256 internal constant PRIVACY_A = 106;
    uint256 internal constant AUDITOR_A = 107;
    uint256 internal constant SECURITY_A = 108;
    uint256 internal constant RESEARCHER_A = 109;
    uint256 internal constant CUSTODIAN_A = 110;
    uint256 internal constant PATIENT_A = 111; // the patient's own account, in its own wallet
    uint256 internal constant GUARDIAN_A = 112;
    uint256 internal constant NOBODY_A = 113; // no role
    uint256 internal constant ADMIN_B = 201;
    uint256 internal constant DOCTOR_B = 203;
    uint256 internal constant RESEARCHER_B = 209;
    uint256 internal constant DESK_B = 205;
    uint256 internal constant CUSTODIAN_B = 210;
    bytes32 internal constant DEVICE_A = bytes32(uint256(301));

    Members internal members;
    Studies internal studies;
    Consents internal consents;
    Checkpoints internal checkpoints;
    Directory internal directory;

    function setUp() public virtual {
        vm.warp(NOW);
        address[] memory administrators = new address[](1);
        administrators[0] = address(this);
        members = new Members(administrators, 1, 0);
        studies = new Studies(members);
        consents = new Consents(members);
        checkpoints = new Checkpoints(members);
        directory = new Directory(members);

        IMembers.Founder[] memory founders = new IMembers.Founder[](3);
        founders[0] = founder(ADMIN_A, Roles.ADMINISTRATOR);
        founders[1] = founder(ADMIN_A2, Roles.ADMINISTRATOR);
        founders[2] = founder(CUSTODIAN_A, Roles.CUSTODIAN);
        members.registerInstitution(HOSPITAL_A, GATEWAY_A, keccak256("certificate A"), "Hospital A", "https://a", founders);
        founders = new IMembers.Founder[](2);
        founders[0] = founder(ADMIN_B, Roles.ADMINISTRATOR);
        founders[1] = founder(CUSTODIAN_B, Roles.CUSTODIAN);
        members.registerInstitution(HOSPITAL_B, GATEWAY_B, keccak256("certificate B"), "Hospital B", "https://b", founders);

        vm.startPrank(vm.addr(ADMIN_A));
        register(DOCTOR_A, HOSPITAL_A, Roles.DOCTOR);
        register(TECHNOLOGIST_A, HOSPITAL_A, Roles.TECHNOLOGIST);
        register(DESK_A, HOSPITAL_A, Roles.DESK);
        register(PRIVACY_A, HOSPITAL_A, Roles.PRIVACY_OFFICER);
        register(AUDITOR_A, HOSPITAL_A, Roles.AUDITOR);
        register(SECURITY_A, HOSPITAL_A, Roles.SECURITY_OFFICER);
        register(RESEARCHER_A, HOSPITAL_A, Roles.RESEARCHER);
        register(PATIENT_A, HOSPITAL_A, Roles.PATIENT);
        register(GUARDIAN_A, HOSPITAL_A, Roles.PATIENT);
        register(NOBODY_A, HOSPITAL_A, 0);
        members.registerDevice(DEVICE_A, HOSPITAL_A, bit(IConsents.Operation.store) | bit(IConsents.Operation.read), 0);
        vm.stopPrank();
        vm.startPrank(vm.addr(ADMIN_B));
        register(DOCTOR_B, HOSPITAL_B, Roles.DOCTOR);
        register(RESEARCHER_B, HOSPITAL_B, Roles.RESEARCHER);
        register(DESK_B, HOSPITAL_B, Roles.DESK);
        vm.stopPrank();
    }

    // ---- making things

    function id(uint256 key) internal pure returns (bytes32) {
        return bytes32(key);
    }

    function bit(IConsents.Operation op) internal pure returns (uint32) {
        return uint32(1) << uint32(op);
    }

    function founder(uint256 key, uint32 roles) internal pure returns (IMembers.Founder memory) {
        return IMembers.Founder({id: id(key), account: vm.addr(key), roles: roles, custody: IMembers.Custody.wallet});
    }

    function register(uint256 key, bytes32 institution, uint32 roles) internal {
        members.registerPerson(id(key), institution, vm.addr(key), roles, IMembers.Custody.wallet);
    }

    /// PATIENT decides alone, from PATIENT_A's wallet.
    function giveWallet() internal {
        vm.prank(GATEWAY_A);
        consents.setController(HOSPITAL_A, PATIENT, id(PATIENT_A), IConsents.ControllerKind.wallet);
    }

    function toSubject(bytes32 subject) internal pure returns (IConsents.Target memory) {
        return IConsents.Target({kind: IConsents.TargetKind.subject, id: subject, role: 0});
    }

    function toRole(bytes32 institution, uint32 role) internal pure returns (IConsents.Target memory) {
        return IConsents.Target({kind: IConsents.TargetKind.role, id: institution, role: role});
    }

    function toInstitution(bytes32 institution) internal pure returns (IConsents.Target memory) {
        return IConsents.Target({kind: IConsents.TargetKind.institution, id: institution, role: 0});
    }

    function toEveryone() internal pure returns (IConsents.Target memory) {
        return IConsents.Target({kind: IConsents.TargetKind.everyone, id: 0, role: 0});
    }

    function terms(IConsents.Target memory target, IConsents.Purpose purpose)
        internal
        view
        returns (IConsents.GrantTerms memory)
    {
        return IConsents.GrantTerms({
            holder: HOSPITAL_A,
            patientKey: PATIENT,
            target: target,
            scope: 0,
            purpose: purpose,
            from: NOW,
            until: NOW + 1 days,
            epoch: epoch()
        });
    }

    function restriction(IConsents.Target memory target, bytes32 scope, bool on, uint64 serial)
        internal
        pure
        returns (IConsents.RestrictTerms memory)
    {
        return IConsents.RestrictTerms({
            holder: HOSPITAL_A, patientKey: PATIENT, target: target, scope: scope, on: on, serial: serial
        });
    }

    function epoch() internal view returns (uint64) {
        return consents.patientOf(HOSPITAL_A, PATIENT).epoch;
    }

    /// By the gateway, for a patient who has no key.
    function grant(IConsents.Target memory target, IConsents.Purpose purpose) internal returns (bytes32) {
        IConsents.GrantTerms memory given = terms(target, purpose);
        vm.prank(GATEWAY_A);
        return consents.grant(given);
    }

    function restrict(IConsents.Target memory target, bytes32 scope) internal {
        vm.prank(GATEWAY_A);
        consents.restrict(restriction(target, scope, true, 1));
    }

    // ---- looking at things

    function equal(uint256 a, uint256 b) internal pure {
        if (a != b) revert(string.concat("expected ", vm.toString(b), ", found ", vm.toString(a)));
    }

    function equal(bytes32 a, bytes32 b) internal pure {
        require(a == b, "different bytes32");
    }

    function equal(address a, address b) internal pure {
        require(a == b, "different addresses");
    }

    function equal(bool a, bool b) internal pure {
        require(a == b, "different truths");
    }

    function isTrue(bool a) internal pure {
        require(a, "not true");
    }

    function allowed(uint256 key, IConsents.Operation op, IConsents.Purpose purpose, IConsents.Reason why)
        internal
        view
        returns (uint64)
    {
        return answered(id(key), op, purpose, true, why);
    }

    function denied(uint256 key, IConsents.Operation op, IConsents.Purpose purpose, IConsents.Reason why) internal view {
        equal(answered(id(key), op, purpose, false, why), 0);
    }

    function answered(bytes32 subject, IConsents.Operation op, IConsents.Purpose purpose, bool yes, IConsents.Reason why)
        internal
        view
        returns (uint64 until)
    {
        (bool may, IConsents.Reason reason, IConsents.Obligation obligation, uint64 validUntil) =
            consents.decide(subject, HOSPITAL_A, PATIENT, SCOPE, op, purpose, uint64(block.timestamp));
        equal(uint8(reason), uint8(why));
        equal(may, yes);
        bool research = yes && purpose == IConsents.Purpose.research && why == IConsents.Reason.granted;
        equal(uint8(obligation), research ? 1 : 0);
        return validUntil;
    }
}
