// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IConsents} from "../src/interfaces/IConsents.sol";
import {IMembers, Roles} from "../src/interfaces/IMembers.sol";
import {World} from "./World.sol";

/// The table of who may what, and one test at least for each reason.
contract DecideTest is World {
    IConsents.Operation private constant READ = IConsents.Operation.read;
    IConsents.Operation private constant IDENTIFY = IConsents.Operation.identify;
    IConsents.Operation private constant STORE = IConsents.Operation.store;
    IConsents.Operation private constant CORRECT = IConsents.Operation.correct;
    IConsents.Operation private constant INVENTORY = IConsents.Operation.inventory;
    IConsents.Operation private constant TRACE = IConsents.Operation.trace;
    IConsents.Operation private constant CONSENT = IConsents.Operation.consent;
    IConsents.Operation private constant ASK = IConsents.Operation.ask;
    IConsents.Operation private constant BREAK_GLASS = IConsents.Operation.breakGlass;
    IConsents.Operation private constant ERASE = IConsents.Operation.erase;
    IConsents.Purpose private constant TREATMENT = IConsents.Purpose.treatment;
    IConsents.Purpose private constant EMERGENCY = IConsents.Purpose.emergency;
    IConsents.Purpose private constant RESEARCH = IConsents.Purpose.research;
    IConsents.Purpose private constant ADMINISTRATION = IConsents.Purpose.administration;
    IConsents.Purpose private constant PERSONAL = IConsents.Purpose.personal;

    // ---- each row of the table, own hospital's studies and others

    function test_doctor_own() public view {
        equal(allowed(DOCTOR_A, READ, TREATMENT, IConsents.Reason.staffTreatment), FOR_EVER);
        equal(allowed(DOCTOR_A, READ, EMERGENCY, IConsents.Reason.staffTreatment), FOR_EVER);
        allowed(DOCTOR_A, IDENTIFY, TREATMENT, IConsents.Reason.staffIdentities);
        allowed(DOCTOR_A, BREAK_GLASS, EMERGENCY, IConsents.Reason.mayBreakGlass);
        denied(DOCTOR_A, STORE, TREATMENT, IConsents.Reason.roleNotAllowed);
        denied(DOCTOR_A, CORRECT, TREATMENT, IConsents.Reason.roleNotAllowed);
        denied(DOCTOR_A, INVENTORY, ADMINISTRATION, IConsents.Reason.roleNotAllowed);
        denied(DOCTOR_A, TRACE, TREATMENT, IConsents.Reason.roleNotAllowed);
        denied(DOCTOR_A, ERASE, ADMINISTRATION, IConsents.Reason.roleNotAllowed);
        denied(DOCTOR_A, READ, RESEARCH, IConsents.Reason.roleNotAllowed);
        denied(DOCTOR_A, READ, ADMINISTRATION, IConsents.Reason.purposeNotAllowed);
        denied(DOCTOR_A, READ, PERSONAL, IConsents.Reason.notGranted);
    }

    function test_doctor_other() public {
        denied(DOCTOR_B, READ, TREATMENT, IConsents.Reason.notGranted);
        denied(DOCTOR_B, READ, EMERGENCY, IConsents.Reason.emergencyNotOpened);
        allowed(DOCTOR_B, BREAK_GLASS, EMERGENCY, IConsents.Reason.mayBreakGlass);
        grant(toSubject(id(DOCTOR_B)), TREATMENT);
        equal(allowed(DOCTOR_B, READ, TREATMENT, IConsents.Reason.granted), NOW + 1 days);
        equal(allowed(DOCTOR_B, READ, EMERGENCY, IConsents.Reason.granted), NOW + 1 days);
        allowed(DOCTOR_B, IDENTIFY, TREATMENT, IConsents.Reason.granted);
    }

    function test_technologist() public view {
        allowed(TECHNOLOGIST_A, READ, TREATMENT, IConsents.Reason.staffTreatment);
        allowed(TECHNOLOGIST_A, IDENTIFY, TREATMENT, IConsents.Reason.staffIdentities);
        allowed(TECHNOLOGIST_A, STORE, TREATMENT, IConsents.Reason.staffStore);
        allowed(TECHNOLOGIST_A, CORRECT, TREATMENT, IConsents.Reason.staffStore);
        denied(TECHNOLOGIST_A, BREAK_GLASS, EMERGENCY, IConsents.Reason.roleNotAllowed);
        denied(TECHNOLOGIST_A, READ, PERSONAL, IConsents.Reason.roleNotAllowed);
    }

    function test_desk() public view {
        allowed(DESK_A, IDENTIFY, TREATMENT, IConsents.Reason.staffIdentities);
        allowed(DESK_A, IDENTIFY, ADMINISTRATION, IConsents.Reason.staffIdentities);
        denied(DESK_A, READ, TREATMENT, IConsents.Reason.roleNotAllowed);
        denied(DESK_B, IDENTIFY, TREATMENT, IConsents.Reason.roleNotAllowed);
    }

    function test_privacyOfficerAndAuditor() public view {
        allowed(PRIVACY_A, TRACE, ADMINISTRATION, IConsents.Reason.staffTrace);
        allowed(AUDITOR_A, TRACE, ADMINISTRATION, IConsents.Reason.staffTrace);
        denied(PRIVACY_A, READ, TREATMENT, IConsents.Reason.roleNotAllowed);
        denied(AUDITOR_A, IDENTIFY, TREATMENT, IConsents.Reason.roleNotAllowed);
    }

    function test_custodian() public {
        for (uint8 op = 0; op <= uint8(ERASE); ++op) {
            IConsents.Operation operation = IConsents.Operation(op);
            if (operation == CONSENT || operation == ASK || operation == BREAK_GLASS) continue;
            allowed(CUSTODIAN_A, operation, ADMINISTRATION, IConsents.Reason.custodian);
        }
        // is not restricted, but neither decides for the patient nor looks for another purpose
        restrict(toEveryone(), 0);
        allowed(CUSTODIAN_A, READ, ADMINISTRATION, IConsents.Reason.custodian);
        denied(CUSTODIAN_A, CONSENT, ADMINISTRATION, IConsents.Reason.notOwnRecord);
        denied(CUSTODIAN_A, BREAK_GLASS, EMERGENCY, IConsents.Reason.roleNotAllowed);
        denied(CUSTODIAN_A, ERASE, TREATMENT, IConsents.Reason.purposeNotAllowed);
        denied(CUSTODIAN_B, ERASE, ADMINISTRATION, IConsents.Reason.notOwnStudies);
        denied(CUSTODIAN_B, INVENTORY, ADMINISTRATION, IConsents.Reason.notOwnStudies);
    }

    function test_administrator() public view {
        allowed(ADMIN_A, INVENTORY, ADMINISTRATION, IConsents.Reason.staffInventory);
        denied(ADMIN_A, READ, ADMINISTRATION, IConsents.Reason.roleNotAllowed);
        denied(ADMIN_A, IDENTIFY, ADMINISTRATION, IConsents.Reason.roleNotAllowed);
        denied(ADMIN_B, INVENTORY, ADMINISTRATION, IConsents.Reason.notOwnStudies);
    }

    function test_securityOfficer() public view {
        for (uint8 op = 0; op <= uint8(ERASE); ++op) {
            if (IConsents.Operation(op) == ASK) continue;
            (bool may,,,) = consents.decide(id(SECURITY_A), HOSPITAL_A, PATIENT, SCOPE, IConsents.Operation(op), TREATMENT, NOW);
            equal(may, false);
        }
    }

    function test_researcher() public {
        denied(RESEARCHER_A, READ, RESEARCH, IConsents.Reason.notGranted);
        denied(RESEARCHER_A, READ, TREATMENT, IConsents.Reason.purposeNotAllowed);
        grant(toRole(0, Roles.RESEARCHER), RESEARCH);
        allowed(RESEARCHER_A, READ, RESEARCH, IConsents.Reason.granted);
        allowed(RESEARCHER_B, READ, RESEARCH, IConsents.Reason.granted);
        denied(RESEARCHER_B, IDENTIFY, RESEARCH, IConsents.Reason.identitiesWithheld);
    }

    function test_patient() public {
        giveWallet();
        restrict_asPatient(toEveryone());
        IConsents.Purpose[3] memory purposes = [TREATMENT, PERSONAL, EMERGENCY];
        for (uint256 i = 0; i < purposes.length; ++i) {
            equal(allowed(PATIENT_A, READ, purposes[i], IConsents.Reason.ownRecord), FOR_EVER);
            allowed(PATIENT_A, IDENTIFY, purposes[i], IConsents.Reason.ownRecord);
            allowed(PATIENT_A, TRACE, purposes[i], IConsents.Reason.ownRecord);
            allowed(PATIENT_A, CONSENT, purposes[i], IConsents.Reason.ownRecord);
            allowed(PATIENT_A, ASK, purposes[i], IConsents.Reason.mayAsk);
            denied(PATIENT_A, STORE, purposes[i], IConsents.Reason.roleNotAllowed);
            denied(PATIENT_A, ERASE, purposes[i], IConsents.Reason.roleNotAllowed);
        }
        denied(NOBODY_A, CONSENT, PERSONAL, IConsents.Reason.notOwnRecord);
        denied(NOBODY_A, TRACE, PERSONAL, IConsents.Reason.roleNotAllowed);
    }

    function test_guardian() public {
        vm.prank(GATEWAY_A);
        consents.setGuardian(HOSPITAL_A, PATIENT, id(GUARDIAN_A), NOW + 100);
        equal(allowed(GUARDIAN_A, READ, PERSONAL, IConsents.Reason.guardianship), NOW + 100);
        allowed(GUARDIAN_A, CONSENT, PERSONAL, IConsents.Reason.guardianship);
        allowed(GUARDIAN_A, TRACE, PERSONAL, IConsents.Reason.guardianship);
        vm.warp(NOW + 99);
        allowed(GUARDIAN_A, IDENTIFY, PERSONAL, IConsents.Reason.guardianship);
        vm.warp(NOW + 100);
        denied(GUARDIAN_A, READ, PERSONAL, IConsents.Reason.guardianshipOver);
        denied(GUARDIAN_A, CONSENT, PERSONAL, IConsents.Reason.guardianshipOver);
        denied(GUARDIAN_A, TRACE, PERSONAL, IConsents.Reason.guardianshipOver);
    }

    function test_everybodyElse() public {
        denied(NOBODY_A, READ, PERSONAL, IConsents.Reason.notGranted);
        allowed(NOBODY_A, ASK, PERSONAL, IConsents.Reason.mayAsk);
        grant(toSubject(id(NOBODY_A)), PERSONAL);
        allowed(NOBODY_A, READ, PERSONAL, IConsents.Reason.granted);
    }

    function test_device() public {
        equal(answered(DEVICE_A, STORE, TREATMENT, true, IConsents.Reason.deviceListed), FOR_EVER);
        answered(DEVICE_A, READ, TREATMENT, true, IConsents.Reason.deviceListed);
        answered(DEVICE_A, IDENTIFY, TREATMENT, false, IConsents.Reason.deviceNotListed);
        restrict(toSubject(DEVICE_A), 0);
        answered(DEVICE_A, READ, TREATMENT, false, IConsents.Reason.restricted);
        answered(DEVICE_A, STORE, TREATMENT, true, IConsents.Reason.deviceListed);
        (bool may, IConsents.Reason reason,,) = consents.decide(DEVICE_A, HOSPITAL_B, PATIENT, SCOPE, STORE, TREATMENT, NOW);
        equal(may, false);
        equal(uint8(reason), uint8(IConsents.Reason.notOwnStudies));
    }

    function test_institution() public {
        answered(HOSPITAL_A, STORE, TREATMENT, true, IConsents.Reason.institutionItself);
        answered(HOSPITAL_A, INVENTORY, TREATMENT, true, IConsents.Reason.institutionItself);
        answered(HOSPITAL_A, CONSENT, TREATMENT, true, IConsents.Reason.institutionItself);
        answered(HOSPITAL_A, READ, TREATMENT, false, IConsents.Reason.roleNotAllowed);
        answered(HOSPITAL_B, ASK, TREATMENT, true, IConsents.Reason.mayAsk);
        answered(HOSPITAL_B, STORE, TREATMENT, false, IConsents.Reason.notOwnStudies);
        answered(HOSPITAL_B, CONSENT, TREATMENT, false, IConsents.Reason.notOwnRecord);
        answered(HOSPITAL_B, READ, TREATMENT, false, IConsents.Reason.notGranted);
        grant(toInstitution(HOSPITAL_B), TREATMENT);
        answered(HOSPITAL_B, READ, TREATMENT, true, IConsents.Reason.granted);
        allowed(DOCTOR_B, READ, TREATMENT, IConsents.Reason.granted);
        denied(RESEARCHER_B, READ, TREATMENT, IConsents.Reason.purposeNotAllowed);
        restrict(toInstitution(HOSPITAL_B), 0);
        answered(HOSPITAL_B, READ, TREATMENT, false, IConsents.Reason.restricted);
        giveWallet();
        answered(HOSPITAL_A, CONSENT, TREATMENT, false, IConsents.Reason.notOwnRecord);
    }

    // ---- who is not there or not active

    function test_unknownSubject() public view {
        denied(999, READ, TREATMENT, IConsents.Reason.unknownSubject);
        denied(0, ASK, TREATMENT, IConsents.Reason.unknownSubject);
    }

    function test_subjectInactive() public {
        giveWallet();
        vm.startPrank(vm.addr(ADMIN_A));
        members.setPersonActive(id(DOCTOR_A), false);
        members.setPersonActive(id(PATIENT_A), false);
        members.removePerson(id(DESK_A));
        members.removeDevice(DEVICE_A);
        vm.stopPrank();
        denied(DOCTOR_A, READ, TREATMENT, IConsents.Reason.subjectInactive);
        denied(PATIENT_A, READ, PERSONAL, IConsents.Reason.subjectInactive);
        denied(DESK_A, ASK, TREATMENT, IConsents.Reason.subjectInactive);
        answered(DEVICE_A, STORE, TREATMENT, false, IConsents.Reason.subjectInactive);
    }

    function test_institutionInactive() public {
        members.setInstitutionActive(HOSPITAL_B, false);
        denied(DOCTOR_B, BREAK_GLASS, EMERGENCY, IConsents.Reason.institutionInactive);
        answered(HOSPITAL_B, ASK, TREATMENT, false, IConsents.Reason.institutionInactive);
    }

    function test_holderUnknownOrInactive() public {
        (, IConsents.Reason reason,,) = consents.decide(id(DOCTOR_A), id(DOCTOR_B), PATIENT, SCOPE, READ, TREATMENT, NOW);
        equal(uint8(reason), uint8(IConsents.Reason.unknownHolder));
        members.setInstitutionActive(HOSPITAL_B, false);
        (, reason,,) = consents.decide(id(DOCTOR_A), HOSPITAL_B, PATIENT, SCOPE, READ, TREATMENT, NOW);
        equal(uint8(reason), uint8(IConsents.Reason.holderInactive));
    }

    // ---- precedence

    function test_restrictionBeatsGrantAndStaff() public {
        grant(toSubject(id(DOCTOR_B)), TREATMENT);
        restrict(toEveryone(), 0);
        denied(DOCTOR_A, READ, TREATMENT, IConsents.Reason.restricted);
        denied(DOCTOR_B, READ, TREATMENT, IConsents.Reason.restricted);
        denied(DOCTOR_B, IDENTIFY, TREATMENT, IConsents.Reason.restricted);
        allowed(DESK_A, IDENTIFY, TREATMENT, IConsents.Reason.staffIdentities); // the hospital keeps its list of patients
        vm.prank(GATEWAY_A);
        consents.restrict(restriction(toEveryone(), 0, false, 2));
        allowed(DOCTOR_A, READ, TREATMENT, IConsents.Reason.staffTreatment);
    }

    function test_restrictionTargets() public {
        restrict(toSubject(id(DOCTOR_A)), 0);
        denied(DOCTOR_A, READ, TREATMENT, IConsents.Reason.restricted);
        allowed(TECHNOLOGIST_A, READ, TREATMENT, IConsents.Reason.staffTreatment);
        restrict(toRole(HOSPITAL_A, Roles.TECHNOLOGIST), 0);
        denied(TECHNOLOGIST_A, READ, TREATMENT, IConsents.Reason.restricted);
        grant(toRole(HOSPITAL_B, Roles.DOCTOR), TREATMENT);
        allowed(DOCTOR_B, READ, TREATMENT, IConsents.Reason.granted);
        restrict(toRole(0, Roles.DOCTOR), 0);
        denied(DOCTOR_B, READ, TREATMENT, IConsents.Reason.restricted);
    }

    function test_restrictionOfOneStudy() public {
        restrict(toEveryone(), OTHER_SCOPE);
        allowed(DOCTOR_A, READ, TREATMENT, IConsents.Reason.staffTreatment);
        (bool may,,,) = consents.decide(id(DOCTOR_A), HOSPITAL_A, PATIENT, OTHER_SCOPE, READ, TREATMENT, NOW);
        equal(may, false);
        // asking about all of them is asking about that one too
        (may,,,) = consents.decide(id(DOCTOR_A), HOSPITAL_A, PATIENT, 0, READ, TREATMENT, NOW);
        equal(may, false);
    }

    function test_emergencyBeatsRestriction() public {
        restrict(toEveryone(), 0);
        denied(DOCTOR_A, READ, EMERGENCY, IConsents.Reason.restricted);
        vm.prank(vm.addr(DOCTOR_A));
        consents.openEmergency(HOSPITAL_A, PATIENT, id(DOCTOR_A), NOW, NOW + 3600, keccak256("ground"));
        equal(allowed(DOCTOR_A, READ, EMERGENCY, IConsents.Reason.emergencyOpened), NOW + 3600);
        denied(DOCTOR_A, READ, TREATMENT, IConsents.Reason.restricted);
        denied(TECHNOLOGIST_A, READ, EMERGENCY, IConsents.Reason.restricted);
    }

    function test_emergencyOfOutsider() public {
        denied(DOCTOR_B, READ, EMERGENCY, IConsents.Reason.emergencyNotOpened);
        vm.prank(GATEWAY_B);
        consents.openEmergency(HOSPITAL_A, PATIENT, id(DOCTOR_B), NOW + 10, NOW + 20, 0);
        denied(DOCTOR_B, READ, EMERGENCY, IConsents.Reason.emergencyNotOpened);
        vm.warp(NOW + 10);
        allowed(DOCTOR_B, READ, EMERGENCY, IConsents.Reason.emergencyOpened);
        allowed(DOCTOR_B, IDENTIFY, EMERGENCY, IConsents.Reason.emergencyOpened);
        vm.warp(NOW + 20);
        denied(DOCTOR_B, READ, EMERGENCY, IConsents.Reason.emergencyOver);
    }

    function test_emergencyOfWhoIsNoDoctorAnyMore() public {
        vm.prank(vm.addr(DOCTOR_B));
        consents.openEmergency(HOSPITAL_A, PATIENT, id(DOCTOR_B), NOW, NOW + 20, 0);
        vm.prank(vm.addr(ADMIN_B));
        members.setRoles(id(DOCTOR_B), Roles.DESK);
        denied(DOCTOR_B, READ, EMERGENCY, IConsents.Reason.roleNotAllowed);
    }

    // ---- grants

    function test_grantNotYetExpiredRevoked() public {
        IConsents.GrantTerms memory given = terms(toSubject(id(DOCTOR_B)), TREATMENT);
        (given.from, given.until) = (NOW + 10, NOW + 20);
        vm.prank(GATEWAY_A);
        bytes32 grantId = consents.grant(given);
        denied(DOCTOR_B, READ, TREATMENT, IConsents.Reason.grantNotYet);
        vm.warp(NOW + 10);
        equal(allowed(DOCTOR_B, READ, TREATMENT, IConsents.Reason.granted), NOW + 20);
        vm.warp(NOW + 20);
        denied(DOCTOR_B, READ, TREATMENT, IConsents.Reason.grantExpired);
        vm.warp(NOW + 15);
        vm.prank(GATEWAY_A);
        consents.revoke(HOSPITAL_A, PATIENT, grantId, 0);
        denied(DOCTOR_B, READ, TREATMENT, IConsents.Reason.grantRevoked);
    }

    function test_grantOfOneStudy() public {
        IConsents.GrantTerms memory given = terms(toSubject(id(DOCTOR_B)), TREATMENT);
        given.scope = SCOPE;
        vm.prank(GATEWAY_A);
        consents.grant(given);
        allowed(DOCTOR_B, READ, TREATMENT, IConsents.Reason.granted);
        (bool may,,,) = consents.decide(id(DOCTOR_B), HOSPITAL_A, PATIENT, OTHER_SCOPE, READ, TREATMENT, NOW);
        equal(may, false);
        (may,,,) = consents.decide(id(DOCTOR_B), HOSPITAL_A, PATIENT, 0, READ, TREATMENT, NOW);
        equal(may, false);
        // of another patient's: nothing
        (may,,,) = consents.decide(id(DOCTOR_B), HOSPITAL_A, keccak256("other"), SCOPE, READ, TREATMENT, NOW);
        equal(may, false);
    }

    function test_longestGrantCounts() public {
        grant(toInstitution(HOSPITAL_B), TREATMENT);
        IConsents.GrantTerms memory given = terms(toSubject(id(DOCTOR_B)), TREATMENT);
        given.until = NOW + 5 days;
        vm.prank(GATEWAY_A);
        consents.grant(given);
        equal(allowed(DOCTOR_B, READ, TREATMENT, IConsents.Reason.granted), NOW + 5 days);
    }

    function test_grantToRoleOfOneInstitution() public {
        grant(toRole(HOSPITAL_B, Roles.DOCTOR), TREATMENT);
        allowed(DOCTOR_B, READ, TREATMENT, IConsents.Reason.granted);
        denied(DESK_B, READ, TREATMENT, IConsents.Reason.roleNotAllowed);
        grant(toSubject(id(DESK_B)), TREATMENT);
        denied(DESK_B, READ, TREATMENT, IConsents.Reason.roleNotAllowed);
    }

    // ---- properties

    /// Nothing is answered without a reason, and the reason says which way.
    function testFuzz_reasonTellsTheAnswer(uint256 who, uint8 op, uint8 purpose, bytes32 scope, uint64 time) public {
        grant(toRole(0, Roles.DOCTOR), TREATMENT);
        restrict(toInstitution(HOSPITAL_B), OTHER_SCOPE);
        bytes32 subject = bytes32(100 + who % 210);
        (bool may, IConsents.Reason reason, IConsents.Obligation obligation, uint64 until) = consents.decide(
            subject, HOSPITAL_A, PATIENT, scope, IConsents.Operation(op % 10), IConsents.Purpose(purpose % 5), time
        );
        isTrue(reason != IConsents.Reason.none && reason != IConsents.Reason.locallyDenied);
        equal(may, uint8(reason) < uint8(IConsents.Reason.unknownSubject));
        isTrue(may ? until > time || until == FOR_EVER : until == 0 && obligation == IConsents.Obligation.none);
    }

    /// Whoever is not known gets nothing, whatever they ask.
    function testFuzz_strangersGetNothing(bytes32 subject, uint8 op, uint8 purpose) public view {
        vm.assume(members.subjectOf(subject).kind == IMembers.SubjectKind.none);
        (bool may, IConsents.Reason reason,,) = consents.decide(
            subject, HOSPITAL_A, PATIENT, SCOPE, IConsents.Operation(op % 10), IConsents.Purpose(purpose % 5), NOW
        );
        equal(may, false);
        equal(uint8(reason), uint8(IConsents.Reason.unknownSubject));
    }

    function restrict_asPatient(IConsents.Target memory target) private {
        vm.prank(vm.addr(PATIENT_A));
        consents.restrict(restriction(target, 0, true, 1));
    }
}
