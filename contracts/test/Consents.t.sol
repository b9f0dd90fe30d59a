// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Consents} from "../src/Consents.sol";
import {IConsents} from "../src/interfaces/IConsents.sol";
import {IMembers, Roles} from "../src/interfaces/IMembers.sol";
import {World} from "./World.sol";

/// Stands for a wallet that is a contract (EIP-1271): one key signs for it.
contract ContractWallet {
    address private immutable _owner;

    constructor(address owner) {
        _owner = owner;
    }

    function isValidSignature(bytes32 digest, bytes calldata signature) external view returns (bytes4) {
        (bytes32 r, bytes32 s) = abi.decode(signature[:64], (bytes32, bytes32));
        return ecrecover(digest, uint8(signature[64]), r, s) == _owner ? this.isValidSignature.selector : bytes4(0);
    }
}

contract ConsentsTest is World {
    IConsents.Purpose private constant TREATMENT = IConsents.Purpose.treatment;
    bytes32 private constant REVOKE_TYPE =
        keccak256("Revoke(bytes32 holder,bytes32 patientKey,bytes32 grantId,uint64 epoch)");

    // ---- who decides

    function test_absentPatientIsTheInstitutions() public view {
        IConsents.Patient memory patient = consents.patientOf(HOSPITAL_A, PATIENT);
        equal(uint8(patient.kind), uint8(IConsents.ControllerKind.institution));
        equal(patient.controller, bytes32(0));
        equal(patient.restrictions, 0);
    }

    function test_controllerFromInstitutionToWalletAndBack() public {
        vm.prank(GATEWAY_A);
        consents.setController(HOSPITAL_A, PATIENT, id(PATIENT_A), IConsents.ControllerKind.custodial);
        giveWallet();
        IConsents.Patient memory patient = consents.patientOf(HOSPITAL_A, PATIENT);
        equal(patient.controller, id(PATIENT_A));
        equal(uint8(patient.kind), uint8(IConsents.ControllerKind.wallet));
        equal(patient.epoch, 2);

        vm.expectRevert(abi.encodeWithSelector(IConsents.ConsentsNotAllowed.selector, GATEWAY_A));
        vm.prank(GATEWAY_A);
        consents.setController(HOSPITAL_A, PATIENT, 0, IConsents.ControllerKind.institution);

        vm.prank(vm.addr(PATIENT_A));
        consents.setController(HOSPITAL_A, PATIENT, 0, IConsents.ControllerKind.institution);
        equal(consents.patientOf(HOSPITAL_A, PATIENT).controller, bytes32(0));
    }

    function test_RevertWhen_controllerDoesNotFit() public {
        vm.startPrank(GATEWAY_A);
        vm.expectRevert(abi.encodeWithSelector(IConsents.ConsentsControllerInvalid.selector, id(DOCTOR_B)));
        consents.setController(HOSPITAL_A, PATIENT, id(DOCTOR_B), IConsents.ControllerKind.custodial);
        vm.expectRevert(abi.encodeWithSelector(IConsents.ConsentsControllerInvalid.selector, id(999)));
        consents.setController(HOSPITAL_A, PATIENT, id(999), IConsents.ControllerKind.wallet);
        vm.expectRevert(abi.encodeWithSelector(IConsents.ConsentsControllerInvalid.selector, id(PATIENT_A)));
        consents.setController(HOSPITAL_A, PATIENT, id(PATIENT_A), IConsents.ControllerKind.institution);
        // a key that the site keeps is no wallet
        members.registerPerson(id(500), HOSPITAL_A, vm.addr(500), Roles.PATIENT, IMembers.Custody.kept);
        vm.expectRevert(abi.encodeWithSelector(IConsents.ConsentsControllerInvalid.selector, id(500)));
        consents.setController(HOSPITAL_A, PATIENT, id(500), IConsents.ControllerKind.wallet);
        // and whoever has none cannot decide
        members.registerPerson(id(501), HOSPITAL_A, address(0), Roles.PATIENT, IMembers.Custody.kept);
        vm.expectRevert(abi.encodeWithSelector(IConsents.ConsentsControllerInvalid.selector, id(501)));
        consents.setController(HOSPITAL_A, PATIENT, id(501), IConsents.ControllerKind.custodial);
        vm.stopPrank();
    }

    function test_RevertWhen_someoneElseWrites() public {
        address[4] memory others = [GATEWAY_B, vm.addr(DOCTOR_A), vm.addr(ADMIN_A), vm.addr(PATIENT_A)];
        IConsents.GrantTerms memory given = terms(toSubject(id(DOCTOR_B)), TREATMENT);
        for (uint256 i = 0; i < others.length; ++i) {
            bytes memory error = abi.encodeWithSelector(IConsents.ConsentsNotAllowed.selector, others[i]);
            vm.startPrank(others[i]);
            vm.expectRevert(error);
            consents.setController(HOSPITAL_A, PATIENT, id(PATIENT_A), IConsents.ControllerKind.wallet);
            vm.expectRevert(error);
            consents.setGuardian(HOSPITAL_A, PATIENT, id(GUARDIAN_A), NOW + 1);
            vm.expectRevert(error);
            consents.grant(given);
            vm.expectRevert(error);
            consents.revoke(HOSPITAL_A, PATIENT, 0, 0);
            vm.expectRevert(error);
            consents.restrict(restriction(toEveryone(), 0, true, 1));
            vm.expectRevert(error);
            consents.answer(HOSPITAL_A, PATIENT, bytes32(uint256(1)), true);
            vm.stopPrank();
        }
    }

    function test_RevertWhen_gatewayDecidesForAWallet() public {
        giveWallet();
        IConsents.GrantTerms memory given = terms(toSubject(id(DOCTOR_B)), TREATMENT);
        vm.startPrank(GATEWAY_A);
        bytes memory error = abi.encodeWithSelector(IConsents.ConsentsNotAllowed.selector, GATEWAY_A);
        vm.expectRevert(error);
        consents.grant(given);
        vm.expectRevert(error);
        consents.revoke(HOSPITAL_A, PATIENT, 0, 0);
        vm.expectRevert(error);
        consents.setGuardian(HOSPITAL_A, PATIENT, id(GUARDIAN_A), NOW + 1);
        vm.stopPrank();
    }

    function test_RevertWhen_holderUnknown() public {
        vm.startPrank(GATEWAY_A);
        vm.expectRevert(abi.encodeWithSelector(IConsents.ConsentsUnknownHolder.selector, id(DOCTOR_A)));
        consents.setController(id(DOCTOR_A), PATIENT, id(PATIENT_A), IConsents.ControllerKind.wallet);
        vm.expectRevert(IConsents.ConsentsZeroPatient.selector);
        consents.setController(HOSPITAL_A, 0, id(PATIENT_A), IConsents.ControllerKind.wallet);
        vm.stopPrank();
    }

    /// Whoever is nobody's gateway is not the gateway of nobody.
    function test_RevertWhen_holderIsZero() public {
        bytes memory error = abi.encodeWithSelector(IConsents.ConsentsNotAllowed.selector, address(this));
        IConsents.GrantTerms memory given = terms(toSubject(id(DOCTOR_B)), TREATMENT);
        given.holder = 0;
        vm.expectRevert(error);
        consents.grant(given);
        vm.expectRevert(error);
        consents.revoke(0, PATIENT, 0, 0);
        IConsents.RestrictTerms memory wanted = restriction(toEveryone(), 0, true, 1);
        wanted.holder = 0;
        vm.expectRevert(error);
        consents.restrict(wanted);
        given.holder = HOSPITAL_A;
        given.patientKey = 0;
        vm.expectRevert(IConsents.ConsentsZeroPatient.selector);
        vm.prank(GATEWAY_A);
        consents.grant(given);
    }

    /// Making someone inactive keeps them from giving, never from taking away.
    function test_inactiveControllerGivesNothingAndTakesAway() public {
        giveWallet();
        IConsents.GrantTerms memory given = terms(toSubject(id(DOCTOR_B)), TREATMENT);
        bytes32 content =
            keccak256(abi.encode(REVOKE_TYPE, HOSPITAL_A, PATIENT, bytes32(0), given.epoch + 1));
        bytes memory revocation = sign(PATIENT_A, typed(content));
        bytes memory grant_ = sign(PATIENT_A, digestOf(given));
        vm.prank(vm.addr(ADMIN_A));
        members.setPersonActive(id(PATIENT_A), false);
        bytes memory error = abi.encodeWithSelector(IConsents.ConsentsNotAllowed.selector, vm.addr(PATIENT_A));
        vm.startPrank(vm.addr(PATIENT_A));
        vm.expectRevert(error);
        consents.grant(given);
        consents.restrict(restriction(toEveryone(), 0, true, 1));
        vm.expectRevert(error);
        consents.restrict(restriction(toEveryone(), 0, false, 2));
        consents.revoke(HOSPITAL_A, PATIENT, 0, given.epoch);
        vm.stopPrank();
        consents.revokeBySignature(HOSPITAL_A, PATIENT, 0, given.epoch + 1, id(PATIENT_A), revocation);
        equal(epoch(), given.epoch + 2);
        vm.expectRevert(abi.encodeWithSelector(IConsents.ConsentsNotController.selector, id(PATIENT_A)));
        consents.grantBySignature(given, id(PATIENT_A), grant_);
    }

    /// Nor does removing someone for ever.
    function test_removedControllerGivesNothingAndTakesAway() public {
        giveWallet();
        IConsents.GrantTerms memory given = terms(toSubject(id(DOCTOR_B)), TREATMENT);
        given.until = NOW + 3650 days;
        vm.prank(vm.addr(PATIENT_A));
        consents.grant(given);
        bytes memory revocation = sign(
            PATIENT_A, typed(keccak256(abi.encode(REVOKE_TYPE, HOSPITAL_A, PATIENT, bytes32(0), given.epoch + 1)))
        );
        vm.prank(vm.addr(ADMIN_A));
        members.removePerson(id(PATIENT_A));
        allowed(DOCTOR_B, IConsents.Operation.read, TREATMENT, IConsents.Reason.granted);
        bytes memory error = abi.encodeWithSelector(IConsents.ConsentsNotAllowed.selector, vm.addr(PATIENT_A));
        vm.startPrank(vm.addr(PATIENT_A));
        given.from = NOW + 1;
        vm.expectRevert(error);
        consents.grant(given);
        vm.expectRevert(error);
        consents.setController(HOSPITAL_A, PATIENT, 0, IConsents.ControllerKind.institution);
        consents.revoke(HOSPITAL_A, PATIENT, 0, given.epoch);
        denied(DOCTOR_B, IConsents.Operation.read, TREATMENT, IConsents.Reason.grantRevoked);
        consents.restrict(restriction(toEveryone(), 0, true, 1));
        vm.expectRevert(error);
        consents.restrict(restriction(toEveryone(), 0, false, 2));
        vm.stopPrank();
        consents.revokeBySignature(HOSPITAL_A, PATIENT, 0, given.epoch + 1, id(PATIENT_A), revocation);
        equal(epoch(), given.epoch + 2);
    }

    /// The gateway can say who decides instead, once a wallet had time to take away what it gave: never at once.
    function test_removedControllerIsReplacedAfterAWeek() public {
        giveWallet();
        IConsents.GrantTerms memory given = terms(toSubject(id(DOCTOR_B)), TREATMENT);
        given.until = NOW + 3650 days;
        vm.prank(vm.addr(PATIENT_A));
        consents.grant(given);
        bytes memory error = abi.encodeWithSelector(IConsents.ConsentsNotAllowed.selector, GATEWAY_A);
        vm.startPrank(GATEWAY_A);
        vm.warp(NOW + 30 days);
        vm.expectRevert(error); // nobody was removed
        consents.setController(HOSPITAL_A, PATIENT, 0, IConsents.ControllerKind.institution);
        vm.stopPrank();
        vm.prank(vm.addr(ADMIN_A));
        members.removePerson(id(PATIENT_A));
        vm.warp(NOW + 37 days - 1);
        vm.startPrank(GATEWAY_A);
        vm.expectRevert(error);
        consents.setController(HOSPITAL_A, PATIENT, 0, IConsents.ControllerKind.institution);
        vm.warp(NOW + 37 days);
        consents.setController(HOSPITAL_A, PATIENT, 0, IConsents.ControllerKind.institution);
        equal(epoch(), given.epoch + 1); // what was signed and withheld is void
        consents.revoke(HOSPITAL_A, PATIENT, 0, given.epoch);
        vm.stopPrank();
        denied(DOCTOR_B, IConsents.Operation.read, TREATMENT, IConsents.Reason.grantRevoked);
        vm.expectRevert(abi.encodeWithSelector(IConsents.ConsentsNotAllowed.selector, vm.addr(PATIENT_A)));
        vm.prank(vm.addr(PATIENT_A));
        consents.revoke(HOSPITAL_A, PATIENT, 0, given.epoch + 1); // who decides no longer
    }

    function test_rotatedAccountKeepsDeciding() public {
        giveWallet();
        vm.prank(vm.addr(PATIENT_A));
        members.rotateAccount(id(PATIENT_A), vm.addr(777), IMembers.Custody.wallet);
        IConsents.GrantTerms memory given = terms(toSubject(id(DOCTOR_B)), TREATMENT);
        vm.prank(vm.addr(777));
        consents.grant(given);
        vm.expectRevert(abi.encodeWithSelector(IConsents.ConsentsNotAllowed.selector, vm.addr(PATIENT_A)));
        vm.prank(vm.addr(PATIENT_A));
        consents.grant(given);
    }

    // ---- grants and epochs

    function test_grantTellsWhoGaveIt() public {
        bytes32 grantId = grant(toSubject(id(DOCTOR_B)), TREATMENT);
        equal(uint8(consents.grantOf(HOSPITAL_A, PATIENT, grantId).basis), uint8(IConsents.Basis.paper));
        equal(grantId, consents.grantIdOf(toSubject(id(DOCTOR_B)), 0, TREATMENT));
        vm.prank(GATEWAY_A);
        consents.setGuardian(HOSPITAL_A, PATIENT, id(GUARDIAN_A), NOW + 1 days);
        giveWallet();
        IConsents.GrantTerms memory given = terms(toSubject(id(DOCTOR_B)), TREATMENT);
        vm.prank(vm.addr(GUARDIAN_A));
        consents.grant(given);
        equal(uint8(consents.grantOf(HOSPITAL_A, PATIENT, grantId).basis), uint8(IConsents.Basis.guardian));
        given.from = NOW + 1;
        vm.prank(vm.addr(PATIENT_A));
        consents.grant(given);
        equal(uint8(consents.grantOf(HOSPITAL_A, PATIENT, grantId).basis), uint8(IConsents.Basis.patient));
    }

    function test_RevertWhen_grantIsNotWellFormed() public {
        vm.startPrank(GATEWAY_A);
        IConsents.GrantTerms memory given = terms(toEveryone(), TREATMENT);
        vm.expectRevert(IConsents.ConsentsTargetInvalid.selector);
        consents.grant(given);
        given = terms(toSubject(0), TREATMENT);
        vm.expectRevert(IConsents.ConsentsTargetInvalid.selector);
        consents.grant(given);
        given = terms(toRole(0, Roles.DOCTOR | Roles.DESK), TREATMENT);
        vm.expectRevert(IConsents.ConsentsTargetInvalid.selector);
        consents.grant(given);
        given = terms(toRole(0, 1 << 20), TREATMENT);
        vm.expectRevert(IConsents.ConsentsTargetInvalid.selector);
        consents.grant(given);
        given = terms(toSubject(id(DOCTOR_B)), IConsents.Purpose.administration);
        vm.expectRevert(abi.encodeWithSelector(IConsents.ConsentsPurposeInvalid.selector, IConsents.Purpose.administration));
        consents.grant(given);
        given = terms(toSubject(id(DOCTOR_B)), IConsents.Purpose.emergency);
        vm.expectRevert(abi.encodeWithSelector(IConsents.ConsentsPurposeInvalid.selector, IConsents.Purpose.emergency));
        consents.grant(given);
        given = terms(toSubject(id(DOCTOR_B)), TREATMENT);
        given.until = given.from;
        vm.expectRevert(abi.encodeWithSelector(IConsents.ConsentsSpanInvalid.selector, NOW, NOW));
        consents.grant(given);
        vm.stopPrank();
    }

    function test_RevertWhen_epochIsNotCurrent() public {
        IConsents.GrantTerms memory given = terms(toSubject(id(DOCTOR_B)), TREATMENT);
        vm.startPrank(GATEWAY_A);
        consents.revoke(HOSPITAL_A, PATIENT, 0, 0);
        vm.expectRevert(abi.encodeWithSelector(IConsents.ConsentsStaleEpoch.selector, 1));
        consents.grant(given);
        given.epoch = 2;
        vm.expectRevert(abi.encodeWithSelector(IConsents.ConsentsStaleEpoch.selector, 1));
        consents.grant(given);
        vm.stopPrank();
    }

    function test_olderGrantOfOneEpochChangesNothing() public {
        IConsents.GrantTerms memory longer = terms(toSubject(id(DOCTOR_B)), TREATMENT);
        longer.until = NOW + 30 days;
        IConsents.GrantTerms memory shorter = terms(toSubject(id(DOCTOR_B)), TREATMENT);
        shorter.from = NOW + 1;
        vm.startPrank(GATEWAY_A);
        consents.grant(longer);
        consents.grant(shorter);
        vm.expectRevert(abi.encodeWithSelector(IConsents.ConsentsStaleGrant.selector, NOW + 1));
        consents.grant(longer);
        vm.stopPrank();
    }

    function test_revocationOfOneAndOfAll() public {
        bytes32 one = grant(toSubject(id(DOCTOR_B)), TREATMENT);
        grant(toInstitution(HOSPITAL_B), TREATMENT);
        vm.prank(GATEWAY_A);
        consents.revoke(HOSPITAL_A, PATIENT, one, 0);
        equal(epoch(), 1);
        equal(consents.grantVoidBelow(HOSPITAL_A, PATIENT, one), 1);
        allowed(DOCTOR_B, IConsents.Operation.read, TREATMENT, IConsents.Reason.granted); // by the institution's
        vm.prank(GATEWAY_A);
        consents.revoke(HOSPITAL_A, PATIENT, 0, 1);
        equal(epoch(), 2);
        denied(DOCTOR_B, IConsents.Operation.read, TREATMENT, IConsents.Reason.grantRevoked);
        // an old revocation, sent late, never voids a later grant
        grant(toSubject(id(DOCTOR_B)), TREATMENT);
        vm.prank(GATEWAY_A);
        consents.revoke(HOSPITAL_A, PATIENT, 0, 1);
        equal(epoch(), 2);
        allowed(DOCTOR_B, IConsents.Operation.read, TREATMENT, IConsents.Reason.granted);
    }

    function test_RevertWhen_revocationIsFarAhead() public {
        vm.startPrank(GATEWAY_A);
        uint64 ahead = consents.MAX_EPOCH_AHEAD();
        consents.revoke(HOSPITAL_A, PATIENT, 0, ahead);
        equal(epoch(), uint256(ahead) + 1);
        vm.expectRevert(abi.encodeWithSelector(IConsents.ConsentsEpochTooFar.selector, ahead + 1));
        consents.revoke(HOSPITAL_A, PATIENT, 0, type(uint64).max);
        vm.stopPrank();
    }

    /// A revocation that names an epoch voids exactly the grants up to it, whatever comes in which order.
    function testFuzz_revocationVoidsUpToItsEpoch(uint8[8] memory epochs, bool[8] memory all) public {
        bytes32 grantId = consents.grantIdOf(toSubject(id(DOCTOR_B)), 0, TREATMENT);
        uint64 voidBelow = 0;
        uint64 current = 0;
        for (uint256 i = 0; i < epochs.length; ++i) {
            IConsents.GrantTerms memory given = terms(toSubject(id(DOCTOR_B)), TREATMENT);
            given.from = NOW - 100 + uint64(i);
            vm.startPrank(GATEWAY_A);
            consents.grant(given);
            consents.revoke(HOSPITAL_A, PATIENT, all[i] ? bytes32(0) : grantId, epochs[i]);
            vm.stopPrank();
            uint64 next = uint64(epochs[i]) + 1;
            if (next > voidBelow) voidBelow = next;
            uint64 grantedIn = current;
            if (next > current) current = next;
            equal(epoch(), current);
            (bool may,,,) = consents.decide(
                id(DOCTOR_B), HOSPITAL_A, PATIENT, SCOPE, IConsents.Operation.read, TREATMENT, NOW
            );
            equal(may, grantedIn >= voidBelow);
        }
    }

    // ---- restrictions

    function test_restrictionSerials() public {
        bytes32 restrictionId = consents.restrictionIdOf(toEveryone(), SCOPE);
        vm.startPrank(GATEWAY_A);
        consents.restrict(restriction(toEveryone(), SCOPE, true, 5));
        equal(consents.patientOf(HOSPITAL_A, PATIENT).restrictions, 1);
        equal(consents.patientOf(HOSPITAL_A, PATIENT).scopedRestrictions, 1);
        vm.expectRevert(abi.encodeWithSelector(IConsents.ConsentsStaleSerial.selector, 5));
        consents.restrict(restriction(toEveryone(), SCOPE, false, 5));
        consents.restrict(restriction(toEveryone(), SCOPE, true, 6));
        equal(consents.patientOf(HOSPITAL_A, PATIENT).restrictions, 1);
        uint64 far = 6 + consents.MAX_SERIAL_AHEAD();
        vm.expectRevert(abi.encodeWithSelector(IConsents.ConsentsSerialTooFar.selector, 6));
        consents.restrict(restriction(toEveryone(), SCOPE, false, far + 1));
        vm.expectRevert(abi.encodeWithSelector(IConsents.ConsentsSerialTooFar.selector, 0)); // none is used up for a later wallet
        consents.restrict(restriction(toEveryone(), 0, false, type(uint64).max));
        consents.restrict(restriction(toEveryone(), SCOPE, false, far));
        consents.restrict(restriction(toInstitution(HOSPITAL_B), 0, false, 1));
        vm.stopPrank();
        (bool on, uint64 serial) = consents.restrictionOf(HOSPITAL_A, PATIENT, restrictionId);
        equal(on, false);
        equal(serial, far);
        equal(consents.patientOf(HOSPITAL_A, PATIENT).restrictions, 0);
        equal(consents.patientOf(HOSPITAL_A, PATIENT).scopedRestrictions, 0);
    }

    // ---- EIP-712: by signature, relayed by anyone

    /// Recomputed here from the types' text, so that what wallets show is what is signed.
    function test_domainAndTypes_EIP712() public view {
        equal(
            consents.domainSeparator(),
            keccak256(
                abi.encode(
                    keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"),
                    keccak256("Fiducial Consents"),
                    keccak256("1"),
                    block.chainid,
                    address(consents)
                )
            )
        );
    }

    function test_grantBySignature() public {
        giveWallet();
        IConsents.GrantTerms memory given = terms(toSubject(id(DOCTOR_B)), TREATMENT);
        bytes memory signature = sign(PATIENT_A, digestOf(given));
        consents.grantBySignature(given, id(PATIENT_A), signature);
        allowed(DOCTOR_B, IConsents.Operation.read, TREATMENT, IConsents.Reason.granted);
        vm.expectRevert(abi.encodeWithSelector(IConsents.ConsentsStaleGrant.selector, NOW));
        consents.grantBySignature(given, id(PATIENT_A), signature);
        // withheld until after a revocation: too late
        vm.prank(vm.addr(PATIENT_A));
        consents.revoke(HOSPITAL_A, PATIENT, 0, given.epoch);
        vm.expectRevert(abi.encodeWithSelector(IConsents.ConsentsStaleEpoch.selector, given.epoch + 1));
        consents.grantBySignature(given, id(PATIENT_A), signature);
    }

    function test_RevertWhen_signatureIsForSomethingElse() public {
        giveWallet();
        IConsents.GrantTerms memory given = terms(toSubject(id(DOCTOR_B)), TREATMENT);
        bytes memory signature = sign(PATIENT_A, digestOf(given));
        bytes memory bad = abi.encodeWithSelector(IConsents.ConsentsBadSignature.selector, id(PATIENT_A));
        IConsents.GrantTerms memory other = terms(toSubject(id(DOCTOR_B)), TREATMENT);
        other.until += 1;
        vm.expectRevert(bad);
        consents.grantBySignature(other, id(PATIENT_A), signature);
        other = terms(toSubject(id(DOCTOR_A)), TREATMENT);
        vm.expectRevert(bad);
        consents.grantBySignature(other, id(PATIENT_A), signature);
        // another contract, another chain
        Consents elsewhere = new Consents(members);
        vm.prank(GATEWAY_A);
        elsewhere.setController(HOSPITAL_A, PATIENT, id(PATIENT_A), IConsents.ControllerKind.wallet);
        vm.expectRevert(bad);
        elsewhere.grantBySignature(given, id(PATIENT_A), signature);
        vm.chainId(block.chainid + 1);
        vm.expectRevert(bad);
        consents.grantBySignature(given, id(PATIENT_A), signature);
    }

    function test_RevertWhen_signerDoesNotDecide() public {
        giveWallet();
        IConsents.GrantTerms memory given = terms(toSubject(id(DOCTOR_B)), TREATMENT);
        bytes memory signature = sign(DOCTOR_B, digestOf(given));
        vm.expectRevert(abi.encodeWithSelector(IConsents.ConsentsNotController.selector, id(DOCTOR_B)));
        consents.grantBySignature(given, id(DOCTOR_B), signature);
        vm.expectRevert(abi.encodeWithSelector(IConsents.ConsentsBadSignature.selector, id(PATIENT_A)));
        consents.grantBySignature(given, id(PATIENT_A), signature);
        vm.expectRevert(abi.encodeWithSelector(IConsents.ConsentsNotController.selector, bytes32(0)));
        consents.grantBySignature(given, 0, signature);
    }

    function test_highSSignatureIsRefused() public {
        giveWallet();
        IConsents.GrantTerms memory given = terms(toSubject(id(DOCTOR_B)), TREATMENT);
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(PATIENT_A, digestOf(given));
        uint256 order = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141;
        bytes memory signature = abi.encodePacked(r, bytes32(order - uint256(s)), v == 27 ? uint8(28) : uint8(27));
        vm.expectRevert(abi.encodeWithSelector(IConsents.ConsentsBadSignature.selector, id(PATIENT_A)));
        consents.grantBySignature(given, id(PATIENT_A), signature);
    }

    function test_guardianAndContractWalletSign_EIP1271() public {
        ContractWallet wallet = new ContractWallet(vm.addr(888));
        vm.startPrank(GATEWAY_A);
        members.registerPerson(id(600), HOSPITAL_A, address(wallet), Roles.PATIENT, IMembers.Custody.wallet);
        consents.setGuardian(HOSPITAL_A, PATIENT, id(GUARDIAN_A), NOW + 10);
        consents.setController(HOSPITAL_A, PATIENT, id(600), IConsents.ControllerKind.wallet);
        vm.stopPrank();
        IConsents.GrantTerms memory given = terms(toSubject(id(DOCTOR_B)), TREATMENT);
        consents.grantBySignature(given, id(600), sign(888, digestOf(given)));
        given.from += 1;
        bytes memory signature = sign(GUARDIAN_A, digestOf(given));
        consents.grantBySignature(given, id(GUARDIAN_A), signature);
        vm.warp(NOW + 10);
        given.from += 1;
        signature = sign(GUARDIAN_A, digestOf(given));
        vm.expectRevert(abi.encodeWithSelector(IConsents.ConsentsNotController.selector, id(GUARDIAN_A)));
        consents.grantBySignature(given, id(GUARDIAN_A), signature);
    }

    function test_revokeBySignature_idempotentWithoutDeadline() public {
        giveWallet();
        IConsents.GrantTerms memory given = terms(toSubject(id(DOCTOR_B)), TREATMENT);
        vm.prank(vm.addr(PATIENT_A));
        consents.grant(given);
        bytes32 content = keccak256(
            abi.encode(
                keccak256("Revoke(bytes32 holder,bytes32 patientKey,bytes32 grantId,uint64 epoch)"),
                HOSPITAL_A,
                PATIENT,
                bytes32(0),
                given.epoch
            )
        );
        bytes memory signature = sign(PATIENT_A, typed(content));
        vm.warp(NOW + 3650 days);
        consents.revokeBySignature(HOSPITAL_A, PATIENT, 0, given.epoch, id(PATIENT_A), signature);
        consents.revokeBySignature(HOSPITAL_A, PATIENT, 0, given.epoch, id(PATIENT_A), signature);
        equal(epoch(), given.epoch + 1);
        vm.expectRevert(abi.encodeWithSelector(IConsents.ConsentsBadSignature.selector, id(PATIENT_A)));
        consents.revokeBySignature(HOSPITAL_A, PATIENT, 0, given.epoch + 1, id(PATIENT_A), signature);
    }

    function test_restrictBySignature() public {
        giveWallet();
        IConsents.RestrictTerms memory wanted = restriction(toRole(0, Roles.DOCTOR), SCOPE, true, 1);
        bytes32 content = keccak256(
            abi.encode(
                keccak256(
                    "Restrict(bytes32 holder,bytes32 patientKey,Target target,bytes32 scope,bool on,uint64 serial)Target(uint8 kind,bytes32 id,uint32 role)"
                ),
                wanted.holder,
                wanted.patientKey,
                hashTarget(wanted.target),
                wanted.scope,
                wanted.on,
                wanted.serial
            )
        );
        bytes memory signature = sign(PATIENT_A, typed(content));
        consents.restrictBySignature(wanted, id(PATIENT_A), signature);
        denied(DOCTOR_A, IConsents.Operation.read, TREATMENT, IConsents.Reason.restricted);
        vm.expectRevert(abi.encodeWithSelector(IConsents.ConsentsStaleSerial.selector, 1));
        consents.restrictBySignature(wanted, id(PATIENT_A), signature);
    }

    // ---- requests

    function test_requests() public {
        bytes32 requestId = consents.requestIdOf(id(DOCTOR_B), SCOPE, TREATMENT);
        vm.prank(vm.addr(DOCTOR_B));
        equal(consents.ask(HOSPITAL_A, PATIENT, id(DOCTOR_B), SCOPE, TREATMENT, NOW + 10), requestId);
        vm.expectRevert(abi.encodeWithSelector(IConsents.ConsentsRequestState.selector, IConsents.RequestState.asked));
        vm.prank(GATEWAY_B);
        consents.ask(HOSPITAL_A, PATIENT, id(DOCTOR_B), SCOPE, TREATMENT, NOW + 10);
        vm.prank(GATEWAY_A);
        consents.answer(HOSPITAL_A, PATIENT, requestId, false);
        equal(uint8(consents.requestOf(HOSPITAL_A, PATIENT, requestId).state), uint8(IConsents.RequestState.refused));
        vm.expectRevert(abi.encodeWithSelector(IConsents.ConsentsRequestState.selector, IConsents.RequestState.refused));
        vm.prank(GATEWAY_A);
        consents.answer(HOSPITAL_A, PATIENT, requestId, true);
        vm.prank(GATEWAY_B);
        consents.ask(HOSPITAL_A, PATIENT, id(DOCTOR_B), SCOPE, TREATMENT, NOW + 10);
        vm.prank(vm.addr(DOCTOR_B));
        consents.withdraw(HOSPITAL_A, PATIENT, requestId);
        equal(uint8(consents.requestOf(HOSPITAL_A, PATIENT, requestId).state), uint8(IConsents.RequestState.withdrawn));
        vm.prank(GATEWAY_B);
        consents.ask(HOSPITAL_A, PATIENT, id(DOCTOR_B), SCOPE, TREATMENT, NOW + 10);
        vm.prank(GATEWAY_A);
        consents.answer(HOSPITAL_A, PATIENT, requestId, true);
        denied(DOCTOR_B, IConsents.Operation.read, TREATMENT, IConsents.Reason.notGranted);
    }

    function test_RevertWhen_askingForSomeoneElse() public {
        vm.expectRevert(abi.encodeWithSelector(IConsents.ConsentsNotAllowed.selector, GATEWAY_A));
        vm.prank(GATEWAY_A);
        consents.ask(HOSPITAL_A, PATIENT, id(DOCTOR_B), SCOPE, TREATMENT, NOW + 10);
        vm.expectRevert(abi.encodeWithSelector(IConsents.ConsentsNotAllowed.selector, address(this)));
        consents.ask(HOSPITAL_A, PATIENT, id(999), SCOPE, TREATMENT, NOW + 10);
        vm.expectRevert(abi.encodeWithSelector(IConsents.ConsentsSpanInvalid.selector, NOW, NOW));
        vm.prank(GATEWAY_B);
        consents.ask(HOSPITAL_A, PATIENT, id(DOCTOR_B), SCOPE, TREATMENT, NOW);
        vm.prank(GATEWAY_B);
        bytes32 requestId = consents.ask(HOSPITAL_A, PATIENT, HOSPITAL_B, SCOPE, TREATMENT, NOW + 10);
        vm.expectRevert(abi.encodeWithSelector(IConsents.ConsentsNotAllowed.selector, address(this)));
        consents.withdraw(HOSPITAL_A, PATIENT, requestId);
    }

    // ---- emergencies

    function test_emergencyWrittenLateNeverShortensAnother() public {
        vm.startPrank(GATEWAY_A);
        consents.openEmergency(HOSPITAL_A, PATIENT, id(DOCTOR_A), NOW - 10, NOW + 3600, 0);
        consents.openEmergency(HOSPITAL_A, PATIENT, id(DOCTOR_A), NOW - 7200, NOW - 3600, 0);
        vm.stopPrank();
        equal(consents.emergencyOf(HOSPITAL_A, PATIENT, id(DOCTOR_A)).until, NOW + 3600);
    }

    function test_emergenciesThatMeetAreOne() public {
        vm.startPrank(GATEWAY_A);
        consents.openEmergency(HOSPITAL_A, PATIENT, id(DOCTOR_B), NOW, NOW + 600, 0);
        consents.openEmergency(HOSPITAL_A, PATIENT, id(DOCTOR_B), NOW + 300, NOW + 900, 0);
        equal(allowed(DOCTOR_B, IConsents.Operation.read, IConsents.Purpose.emergency, IConsents.Reason.emergencyOpened), NOW + 900);
        consents.openEmergency(HOSPITAL_A, PATIENT, id(DOCTOR_B), NOW - 100, NOW + 10, 0); // written down late
        consents.openEmergency(HOSPITAL_A, PATIENT, id(DOCTOR_B), NOW + 900, NOW + 901, 0); // without a gap
        IConsents.Emergency memory opened = consents.emergencyOf(HOSPITAL_A, PATIENT, id(DOCTOR_B));
        equal(opened.from, NOW - 100);
        equal(opened.until, NOW + 901);
        consents.openEmergency(HOSPITAL_A, PATIENT, id(DOCTOR_B), NOW + 902, NOW + 903, 0);
        equal(consents.emergencyOf(HOSPITAL_A, PATIENT, id(DOCTOR_B)).from, NOW + 902);
        vm.stopPrank();
    }

    function test_closeEmergency() public {
        giveWallet();
        vm.prank(vm.addr(DOCTOR_B));
        consents.openEmergency(HOSPITAL_A, PATIENT, id(DOCTOR_B), NOW, NOW + 3600, 0);
        vm.expectRevert(abi.encodeWithSelector(IConsents.ConsentsNotAllowed.selector, address(this)));
        consents.closeEmergency(HOSPITAL_A, PATIENT, id(DOCTOR_B));
        vm.warp(NOW + 60);
        vm.prank(vm.addr(PATIENT_A));
        consents.closeEmergency(HOSPITAL_A, PATIENT, id(DOCTOR_B));
        denied(DOCTOR_B, IConsents.Operation.read, IConsents.Purpose.emergency, IConsents.Reason.emergencyOver);
        vm.expectRevert(IConsents.ConsentsNoEmergency.selector);
        consents.closeEmergency(HOSPITAL_A, PATIENT, id(DOCTOR_A));
    }

    function test_RevertWhen_emergencyIsNotWellFormed() public {
        vm.startPrank(GATEWAY_A);
        vm.expectRevert(abi.encodeWithSelector(IConsents.ConsentsNotDoctor.selector, id(TECHNOLOGIST_A)));
        consents.openEmergency(HOSPITAL_A, PATIENT, id(TECHNOLOGIST_A), NOW, NOW + 1, 0);
        vm.expectRevert(abi.encodeWithSelector(IConsents.ConsentsSpanInvalid.selector, NOW, NOW + 1 days + 1));
        consents.openEmergency(HOSPITAL_A, PATIENT, id(DOCTOR_A), NOW, NOW + 1 days + 1, 0);
        vm.expectRevert(abi.encodeWithSelector(IConsents.ConsentsSpanInvalid.selector, NOW, NOW));
        consents.openEmergency(HOSPITAL_A, PATIENT, id(DOCTOR_A), NOW, NOW, 0);
        vm.expectRevert(abi.encodeWithSelector(IConsents.ConsentsSpanInvalid.selector, NOW + 3601, NOW + 3602));
        consents.openEmergency(HOSPITAL_A, PATIENT, id(DOCTOR_A), NOW + 3601, NOW + 3602, 0);
        vm.stopPrank();
        vm.expectRevert(abi.encodeWithSelector(IConsents.ConsentsNotAllowed.selector, address(this)));
        consents.openEmergency(HOSPITAL_A, PATIENT, id(DOCTOR_A), NOW, NOW + 1, 0);
    }

    // ---- signing

    function hashTarget(IConsents.Target memory target) private pure returns (bytes32) {
        return keccak256(
            abi.encode(keccak256("Target(uint8 kind,bytes32 id,uint32 role)"), target.kind, target.id, target.role)
        );
    }

    function typed(bytes32 content) private view returns (bytes32) {
        return keccak256(abi.encodePacked(hex"1901", consents.domainSeparator(), content));
    }

    function digestOf(IConsents.GrantTerms memory given) private view returns (bytes32) {
        bytes32 typeHash = keccak256(
            "Grant(bytes32 holder,bytes32 patientKey,Target target,bytes32 scope,uint8 purpose,uint64 from,uint64 until,uint64 epoch)Target(uint8 kind,bytes32 id,uint32 role)"
        );
        return typed(
            keccak256(
                abi.encode(
                    typeHash,
                    given.holder,
                    given.patientKey,
                    hashTarget(given.target),
                    given.scope,
                    given.purpose,
                    given.from,
                    given.until,
                    given.epoch
                )
            )
        );
    }

    function sign(uint256 key, bytes32 digest) private pure returns (bytes memory) {
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(key, digest);
        return abi.encodePacked(r, s, v);
    }
}
