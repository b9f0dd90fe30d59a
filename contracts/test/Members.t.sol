// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Members} from "../src/Members.sol";
import {IMembers, Roles} from "../src/interfaces/IMembers.sol";
import {World} from "./World.sol";

contract MembersTest is World {
    // ---- institutions

    function test_registeredInstitution() public view {
        IMembers.Institution memory institution = members.institutionOf(HOSPITAL_A);
        equal(institution.gateway, GATEWAY_A);
        isTrue(institution.active);
        equal(keccak256(bytes(institution.name)), keccak256("Hospital A"));
        equal(members.institutionOfGateway(GATEWAY_A), HOSPITAL_A);
        equal(members.institutionOfGateway(address(1)), bytes32(0));
        equal(members.institutionCount(), 2);
        equal(members.institutionAt(1), HOSPITAL_B);
        IMembers.Subject memory subject = members.subjectOf(HOSPITAL_A);
        equal(uint8(subject.kind), uint8(IMembers.SubjectKind.institution));
        equal(subject.institution, HOSPITAL_A);
    }

    function test_RevertWhen_institutionIsNotWellFormed() public {
        IMembers.Founder[] memory none = new IMembers.Founder[](0);
        vm.expectRevert(abi.encodeWithSelector(IMembers.MembersIdTaken.selector, HOSPITAL_A));
        members.registerInstitution(HOSPITAL_A, address(5), 0, "", "", none);
        vm.expectRevert(IMembers.MembersZeroId.selector);
        members.registerInstitution(0, address(5), 0, "", "", none);
        vm.expectRevert(abi.encodeWithSelector(IMembers.MembersAccountTaken.selector, GATEWAY_A));
        members.registerInstitution(bytes32(uint256(0xC)), GATEWAY_A, 0, "", "", none);
        vm.expectRevert(IMembers.MembersZeroAddress.selector);
        members.registerInstitution(bytes32(uint256(0xC)), address(0), 0, "", "", none);
        vm.expectRevert(abi.encodeWithSelector(IMembers.MembersNotConsortium.selector, GATEWAY_A));
        vm.prank(GATEWAY_A);
        members.registerInstitution(bytes32(uint256(0xC)), address(5), 0, "", "", none);
    }

    function test_gatewayAndEndpointChange() public {
        vm.startPrank(vm.addr(ADMIN_A));
        members.setGateway(HOSPITAL_A, address(7));
        members.setEndpoint(HOSPITAL_A, "https://new", keccak256("new"));
        vm.stopPrank();
        equal(members.institutionOfGateway(GATEWAY_A), bytes32(0));
        equal(members.institutionOfGateway(address(7)), HOSPITAL_A);
        equal(members.institutionOf(HOSPITAL_A).certificateHash, keccak256("new"));
        members.setGateway(HOSPITAL_A, GATEWAY_A); // the consortium may as well
        vm.expectRevert(
            abi.encodeWithSelector(IMembers.MembersNotAdministrator.selector, HOSPITAL_A, vm.addr(ADMIN_B))
        );
        vm.prank(vm.addr(ADMIN_B));
        members.setGateway(HOSPITAL_A, address(8));
        vm.expectRevert(abi.encodeWithSelector(IMembers.MembersUnknownInstitution.selector, bytes32(uint256(0xC))));
        members.setEndpoint(bytes32(uint256(0xC)), "", 0);
    }

    function test_inactiveInstitutionAdministersNothing() public {
        members.setInstitutionActive(HOSPITAL_A, false);
        equal(members.institutionOfGateway(GATEWAY_A), bytes32(0));
        vm.expectRevert(abi.encodeWithSelector(IMembers.MembersInactiveInstitution.selector, HOSPITAL_A));
        vm.prank(vm.addr(ADMIN_A));
        members.setRoles(id(DOCTOR_A), Roles.DESK);
        vm.expectRevert(abi.encodeWithSelector(IMembers.MembersInactiveInstitution.selector, HOSPITAL_A));
        vm.prank(GATEWAY_A);
        members.registerPerson(id(900), HOSPITAL_A, address(0), Roles.PATIENT, IMembers.Custody.kept);
        members.setInstitutionActive(HOSPITAL_A, true);
        vm.prank(vm.addr(ADMIN_A));
        members.setRoles(id(DOCTOR_A), Roles.DESK);
    }

    function test_foundersAreAddedByTheConsortium() public {
        IMembers.Founder[] memory founders = new IMembers.Founder[](1);
        founders[0] = founder(700, Roles.ADMINISTRATOR | Roles.CUSTODIAN);
        members.addFounders(HOSPITAL_A, founders);
        equal(members.personOf(id(700)).roles, Roles.ADMINISTRATOR | Roles.CUSTODIAN);
        vm.expectRevert(abi.encodeWithSelector(IMembers.MembersNotConsortium.selector, vm.addr(ADMIN_A)));
        vm.prank(vm.addr(ADMIN_A));
        members.addFounders(HOSPITAL_A, founders);
    }

    // ---- people

    function test_registeredPerson() public view {
        IMembers.Person memory person = members.personOf(id(DOCTOR_A));
        equal(person.institution, HOSPITAL_A);
        equal(person.account, vm.addr(DOCTOR_A));
        equal(person.roles, Roles.DOCTOR);
        isTrue(person.active && person.removedAt == 0);
        equal(members.personAt(HOSPITAL_A, vm.addr(DOCTOR_A)), id(DOCTOR_A));
        equal(members.personAt(HOSPITAL_B, vm.addr(DOCTOR_A)), bytes32(0));
        equal(members.accountOf(id(DOCTOR_A)), vm.addr(DOCTOR_A));
    }

    function test_gatewayRegistersPatientsOnly() public {
        vm.startPrank(GATEWAY_A);
        members.registerPerson(id(900), HOSPITAL_A, address(0), Roles.PATIENT, IMembers.Custody.kept);
        members.registerPerson(id(901), HOSPITAL_A, address(0), 0, IMembers.Custody.kept);
        bytes memory error = abi.encodeWithSelector(IMembers.MembersNotAdministrator.selector, HOSPITAL_A, GATEWAY_A);
        vm.expectRevert(error);
        members.registerPerson(id(902), HOSPITAL_A, address(0), Roles.DOCTOR, IMembers.Custody.kept);
        vm.expectRevert(error);
        members.registerPerson(id(902), HOSPITAL_A, address(0), Roles.PATIENT | Roles.ADMINISTRATOR, IMembers.Custody.kept);
        vm.expectRevert(abi.encodeWithSelector(IMembers.MembersNotAdministrator.selector, HOSPITAL_B, GATEWAY_A));
        members.registerPerson(id(902), HOSPITAL_B, address(0), Roles.PATIENT, IMembers.Custody.kept);
        vm.stopPrank();
    }

    function test_RevertWhen_personIsNotWellFormed() public {
        vm.startPrank(vm.addr(ADMIN_A));
        vm.expectRevert(abi.encodeWithSelector(IMembers.MembersIdTaken.selector, id(DOCTOR_B)));
        members.registerPerson(id(DOCTOR_B), HOSPITAL_A, address(0), Roles.DOCTOR, IMembers.Custody.kept);
        vm.expectRevert(abi.encodeWithSelector(IMembers.MembersAccountTaken.selector, vm.addr(DOCTOR_A)));
        members.registerPerson(id(900), HOSPITAL_A, vm.addr(DOCTOR_A), Roles.DOCTOR, IMembers.Custody.kept);
        vm.expectRevert(abi.encodeWithSelector(IMembers.MembersRolesInvalid.selector, uint32(1 << 10)));
        members.registerPerson(id(900), HOSPITAL_A, address(0), 1 << 10, IMembers.Custody.kept);
        vm.expectRevert(abi.encodeWithSelector(IMembers.MembersCustodianNeedsTwo.selector, id(900)));
        members.registerPerson(id(900), HOSPITAL_A, address(0), Roles.CUSTODIAN, IMembers.Custody.kept);
        vm.expectRevert(abi.encodeWithSelector(IMembers.MembersUnknownInstitution.selector, id(DOCTOR_A)));
        members.registerPerson(id(900), id(DOCTOR_A), address(0), 0, IMembers.Custody.kept);
        vm.stopPrank();
    }

    /// One wallet may be brought to two hospitals; it is a person of its own at each.
    function test_sameAccountAtTwoInstitutions() public {
        vm.prank(GATEWAY_B);
        members.registerPerson(id(900), HOSPITAL_B, vm.addr(PATIENT_A), Roles.PATIENT, IMembers.Custody.wallet);
        equal(members.personAt(HOSPITAL_B, vm.addr(PATIENT_A)), id(900));
        equal(members.personAt(HOSPITAL_A, vm.addr(PATIENT_A)), id(PATIENT_A));
    }

    function test_rolesAndActivity() public {
        vm.startPrank(vm.addr(ADMIN_A));
        members.setRoles(id(DOCTOR_A), Roles.DOCTOR | Roles.RESEARCHER);
        equal(members.subjectOf(id(DOCTOR_A)).roles, Roles.DOCTOR | Roles.RESEARCHER);
        members.setPersonActive(id(DOCTOR_A), false);
        equal(members.subjectOf(id(DOCTOR_A)).active, false);
        vm.expectRevert(abi.encodeWithSelector(IMembers.MembersRolesInvalid.selector, uint32(1 << 11)));
        members.setRoles(id(DOCTOR_A), 1 << 11);
        vm.expectRevert(abi.encodeWithSelector(IMembers.MembersUnknownPerson.selector, id(999)));
        members.setRoles(id(999), 0);
        vm.expectRevert(abi.encodeWithSelector(IMembers.MembersNotAdministrator.selector, HOSPITAL_B, vm.addr(ADMIN_A)));
        members.setRoles(id(DOCTOR_B), 0);
        vm.stopPrank();
    }

    function test_administratorWhoIsNoLongerOne() public {
        vm.prank(vm.addr(ADMIN_A2));
        members.setPersonActive(id(ADMIN_A), false);
        vm.expectRevert(abi.encodeWithSelector(IMembers.MembersNotAdministrator.selector, HOSPITAL_A, vm.addr(ADMIN_A)));
        vm.prank(vm.addr(ADMIN_A));
        members.setPersonActive(id(ADMIN_A), true);
    }

    function test_removedPersonIsGoneForEver() public {
        vm.startPrank(vm.addr(ADMIN_A));
        members.removePerson(id(DOCTOR_A));
        equal(members.activePersonAt(HOSPITAL_A, vm.addr(DOCTOR_A)), bytes32(0));
        equal(members.subjectOf(id(DOCTOR_A)).active, false);
        equal(members.personOf(id(DOCTOR_A)).removedAt, NOW);
        bytes memory unknown = abi.encodeWithSelector(IMembers.MembersUnknownPerson.selector, id(DOCTOR_A));
        vm.expectRevert(unknown);
        members.setPersonActive(id(DOCTOR_A), true);
        vm.expectRevert(unknown);
        members.recoverAccount(id(DOCTOR_A), address(9), IMembers.Custody.kept);
        vm.expectRevert(abi.encodeWithSelector(IMembers.MembersIdTaken.selector, id(DOCTOR_A)));
        members.registerPerson(id(DOCTOR_A), HOSPITAL_A, address(0), Roles.DOCTOR, IMembers.Custody.kept);
        // nobody is put in the way of the account that may still revoke
        vm.expectRevert(abi.encodeWithSelector(IMembers.MembersAccountTaken.selector, vm.addr(DOCTOR_A)));
        members.registerPerson(id(900), HOSPITAL_A, vm.addr(DOCTOR_A), Roles.DOCTOR, IMembers.Custody.kept);
        vm.stopPrank();
        vm.expectRevert(unknown);
        vm.prank(vm.addr(DOCTOR_A));
        members.rotateAccount(id(DOCTOR_A), address(9), IMembers.Custody.wallet);
    }

    // ---- custodians

    function test_custodianNeedsTwoAdministrators() public {
        vm.expectRevert(abi.encodeWithSelector(IMembers.MembersCustodianNeedsTwo.selector, id(DOCTOR_A)));
        vm.prank(vm.addr(ADMIN_A));
        members.setRoles(id(DOCTOR_A), Roles.DOCTOR | Roles.CUSTODIAN);
        vm.expectRevert(abi.encodeWithSelector(IMembers.MembersNotProposed.selector, id(DOCTOR_A)));
        vm.prank(vm.addr(ADMIN_A2));
        members.appointCustodian(id(DOCTOR_A));
        vm.prank(vm.addr(ADMIN_A));
        members.proposeCustodian(id(DOCTOR_A));
        vm.expectRevert(abi.encodeWithSelector(IMembers.MembersSameAdministrator.selector, id(ADMIN_A)));
        vm.prank(vm.addr(ADMIN_A));
        members.appointCustodian(id(DOCTOR_A));
        vm.prank(vm.addr(ADMIN_A2));
        members.appointCustodian(id(DOCTOR_A));
        equal(members.personOf(id(DOCTOR_A)).roles, Roles.DOCTOR | Roles.CUSTODIAN);
        vm.prank(vm.addr(ADMIN_A));
        members.setRoles(id(DOCTOR_A), Roles.DOCTOR);
        equal(members.personOf(id(DOCTOR_A)).roles, Roles.DOCTOR);
    }

    /// The same administrator behind a new address is still the same.
    function test_RevertWhen_oneAdministratorChangesAddressInBetween() public {
        vm.startPrank(vm.addr(ADMIN_A));
        members.proposeCustodian(id(DOCTOR_A));
        members.rotateAccount(id(ADMIN_A), vm.addr(950), IMembers.Custody.wallet);
        vm.stopPrank();
        vm.expectRevert(abi.encodeWithSelector(IMembers.MembersSameAdministrator.selector, id(ADMIN_A)));
        vm.prank(vm.addr(950));
        members.appointCustodian(id(DOCTOR_A));
    }

    function test_RevertWhen_proposerIsNoLongerAdministrator() public {
        vm.prank(vm.addr(ADMIN_A));
        members.proposeCustodian(id(DOCTOR_A));
        vm.startPrank(vm.addr(ADMIN_A2));
        members.setRoles(id(ADMIN_A), 0);
        vm.expectRevert(abi.encodeWithSelector(IMembers.MembersNotProposed.selector, id(DOCTOR_A)));
        members.appointCustodian(id(DOCTOR_A));
        vm.stopPrank();
    }

    /// Administrators whom one administrator made speak with that one's voice, however many and however made.
    function test_RevertWhen_oneAdministratorMakesUpTheSecond() public {
        vm.startPrank(vm.addr(ADMIN_B)); // the only founding administrator of hospital B
        register(960, HOSPITAL_B, Roles.ADMINISTRATOR);
        members.setRoles(id(DESK_B), Roles.DESK | Roles.ADMINISTRATOR);
        members.proposeCustodian(id(DOCTOR_B));
        vm.stopPrank();
        vm.prank(vm.addr(960));
        register(961, HOSPITAL_B, Roles.ADMINISTRATOR);
        equal(members.voiceOf(id(ADMIN_B)), id(ADMIN_B));
        for (uint256 i = 0; i < 3; ++i) {
            uint256 made = [uint256(960), 961, DESK_B][i];
            equal(members.voiceOf(id(made)), id(ADMIN_B));
            vm.expectRevert(abi.encodeWithSelector(IMembers.MembersSameAdministrator.selector, id(ADMIN_B)));
            vm.prank(vm.addr(made));
            members.appointCustodian(id(DOCTOR_B));
        }
        // one whom the consortium adds is somebody else
        IMembers.Founder[] memory founders = new IMembers.Founder[](1);
        founders[0] = founder(962, Roles.ADMINISTRATOR);
        members.addFounders(HOSPITAL_B, founders);
        vm.prank(vm.addr(962));
        members.appointCustodian(id(DOCTOR_B));
        isTrue(members.personOf(id(DOCTOR_B)).roles & Roles.CUSTODIAN != 0);
    }

    /// An administrator who takes the role away and gives it again gives it with the own voice.
    function test_voiceIsThatOfWhoGaveTheRole() public {
        vm.startPrank(vm.addr(ADMIN_A));
        members.setRoles(id(ADMIN_A2), Roles.DESK | Roles.ADMINISTRATOR); // has it already: nothing changes
        equal(members.voiceOf(id(ADMIN_A2)), id(ADMIN_A2));
        members.setRoles(id(ADMIN_A2), 0);
        members.setRoles(id(ADMIN_A2), Roles.ADMINISTRATOR);
        vm.stopPrank();
        equal(members.voiceOf(id(ADMIN_A2)), id(ADMIN_A));
    }

    /// Nor is the second one made up, or a custodian become, by taking over an account that the site keeps.
    function test_recoveryOfAnotherVoiceOrACustodianWaits() public {
        IMembers.Founder[] memory founders = new IMembers.Founder[](2);
        founders[0] = IMembers.Founder(id(970), vm.addr(970), Roles.ADMINISTRATOR, IMembers.Custody.kept);
        founders[1] = IMembers.Founder(id(971), address(0), Roles.CUSTODIAN, IMembers.Custody.kept);
        members.addFounders(HOSPITAL_B, founders);
        vm.startPrank(vm.addr(ADMIN_B));
        members.recoverAccount(id(970), address(9), IMembers.Custody.kept);
        members.recoverAccount(id(971), address(10), IMembers.Custody.kept);
        equal(members.accountOf(id(970)), vm.addr(970));
        equal(members.accountOf(id(971)), address(0));
        members.registerPerson(id(972), HOSPITAL_B, vm.addr(972), Roles.ADMINISTRATOR, IMembers.Custody.kept);
        members.recoverAccount(id(972), address(11), IMembers.Custody.kept); // speaks with this one's voice anyway
        equal(members.accountOf(id(972)), address(11));
        vm.stopPrank();
        vm.prank(vm.addr(970));
        members.cancelRecovery(id(971));
        vm.warp(NOW + 7 days);
        vm.prank(address(9));
        members.acceptAccount(id(970));
        vm.expectRevert(abi.encodeWithSelector(IMembers.MembersNotAllowed.selector, address(10)));
        vm.prank(address(10));
        members.acceptAccount(id(971));
    }

    function test_recoveryBegunBeforeAPromotionGivesNoSecondVoice() public {
        IMembers.Founder[] memory founders = new IMembers.Founder[](1);
        founders[0] = IMembers.Founder(id(970), vm.addr(970), Roles.ADMINISTRATOR, IMembers.Custody.kept);
        members.addFounders(HOSPITAL_B, founders);
        vm.startPrank(vm.addr(ADMIN_B));
        members.registerPerson(id(973), HOSPITAL_B, vm.addr(973), Roles.DOCTOR, IMembers.Custody.wallet);
        members.recoverAccount(id(973), address(12), IMembers.Custody.kept);
        vm.stopPrank();
        vm.prank(vm.addr(970));
        members.setRoles(id(973), Roles.DOCTOR | Roles.ADMINISTRATOR);
        vm.warp(NOW + 7 days);
        vm.expectRevert(abi.encodeWithSelector(IMembers.MembersNotAllowed.selector, address(12)));
        vm.prank(address(12));
        members.acceptAccount(id(973));
        equal(members.accountOf(id(973)), vm.addr(973));
    }

    // ---- accounts

    function test_rotation() public {
        vm.expectRevert(abi.encodeWithSelector(IMembers.MembersNotAllowed.selector, vm.addr(ADMIN_A)));
        vm.prank(vm.addr(ADMIN_A));
        members.rotateAccount(id(DOCTOR_A), address(9), IMembers.Custody.wallet);
        vm.startPrank(vm.addr(DOCTOR_A));
        vm.expectRevert(IMembers.MembersZeroAddress.selector);
        members.rotateAccount(id(DOCTOR_A), address(0), IMembers.Custody.wallet);
        vm.expectRevert(abi.encodeWithSelector(IMembers.MembersAccountTaken.selector, vm.addr(DESK_A)));
        members.rotateAccount(id(DOCTOR_A), vm.addr(DESK_A), IMembers.Custody.wallet);
        members.rotateAccount(id(DOCTOR_A), address(9), IMembers.Custody.wallet);
        vm.stopPrank();
        equal(members.personAt(HOSPITAL_A, address(9)), id(DOCTOR_A));
        equal(members.personAt(HOSPITAL_A, vm.addr(DOCTOR_A)), bytes32(0));
    }

    function test_recoveryOfAKeptKeyIsImmediate() public {
        vm.startPrank(vm.addr(ADMIN_A));
        members.registerPerson(id(900), HOSPITAL_A, vm.addr(900), Roles.PATIENT, IMembers.Custody.kept);
        members.recoverAccount(id(900), address(9), IMembers.Custody.kept);
        equal(members.accountOf(id(900)), address(9));
        members.recoverAccount(id(900), address(0), IMembers.Custody.kept);
        equal(members.accountOf(id(900)), address(0));
        members.recoverAccount(id(900), vm.addr(900), IMembers.Custody.wallet); // brings a wallet at last
        equal(members.accountOf(id(900)), vm.addr(900));
        vm.stopPrank();
    }

    function test_recoveryOfAWalletWaitsAndCanBeCancelled() public {
        vm.startPrank(vm.addr(ADMIN_A));
        vm.expectRevert(IMembers.MembersZeroAddress.selector);
        members.recoverAccount(id(PATIENT_A), address(0), IMembers.Custody.wallet);
        members.recoverAccount(id(PATIENT_A), address(9), IMembers.Custody.wallet);
        vm.stopPrank();
        equal(members.accountOf(id(PATIENT_A)), vm.addr(PATIENT_A));
        vm.expectRevert(abi.encodeWithSelector(IMembers.MembersNotReady.selector, NOW + 7 days));
        vm.prank(address(9));
        members.acceptAccount(id(PATIENT_A));
        vm.prank(vm.addr(PATIENT_A));
        members.cancelRecovery(id(PATIENT_A));
        vm.warp(NOW + 8 days);
        vm.expectRevert(abi.encodeWithSelector(IMembers.MembersNotAllowed.selector, address(9)));
        vm.prank(address(9));
        members.acceptAccount(id(PATIENT_A));
        vm.expectRevert(abi.encodeWithSelector(IMembers.MembersNotProposed.selector, id(PATIENT_A)));
        vm.prank(vm.addr(PATIENT_A));
        members.cancelRecovery(id(PATIENT_A));

        vm.prank(vm.addr(ADMIN_A));
        members.recoverAccount(id(PATIENT_A), address(9), IMembers.Custody.wallet);
        vm.warp(NOW + 15 days);
        vm.expectRevert(abi.encodeWithSelector(IMembers.MembersNotAllowed.selector, address(this)));
        members.acceptAccount(id(PATIENT_A));
        vm.prank(address(9));
        members.acceptAccount(id(PATIENT_A));
        equal(members.accountOf(id(PATIENT_A)), address(9));
    }

    // ---- devices

    function test_devices() public {
        vm.startPrank(vm.addr(ADMIN_A));
        members.setDevice(DEVICE_A, 7, keccak256("cert"), true);
        equal(members.deviceOf(DEVICE_A).operations, 7);
        members.setDevice(DEVICE_A, 7, keccak256("cert"), false);
        equal(members.subjectOf(DEVICE_A).active, false);
        members.removeDevice(DEVICE_A);
        equal(members.subjectOf(DEVICE_A).active, false);
        vm.expectRevert(abi.encodeWithSelector(IMembers.MembersIdTaken.selector, DEVICE_A));
        members.registerDevice(DEVICE_A, HOSPITAL_A, 1, 0);
        vm.expectRevert(abi.encodeWithSelector(IMembers.MembersUnknownDevice.selector, id(DOCTOR_A)));
        members.removeDevice(id(DOCTOR_A));
        vm.stopPrank();
        vm.expectRevert(abi.encodeWithSelector(IMembers.MembersNotAdministrator.selector, HOSPITAL_A, address(this)));
        members.registerDevice(bytes32(uint256(302)), HOSPITAL_A, 1, 0);
    }

    // ---- the consortium

    function threeAdministrators() private returns (Members three) {
        address[] memory administrators = new address[](3);
        (administrators[0], administrators[1], administrators[2]) = (vm.addr(1), vm.addr(2), vm.addr(3));
        three = new Members(administrators, 2, 1 days);
    }

    function test_mOfNWithDelay() public {
        Members three = threeAdministrators();
        bytes memory data = abi.encodeCall(
            IMembers.registerInstitution, (HOSPITAL_A, GATEWAY_A, 0, "A", "https://a", new IMembers.Founder[](0))
        );
        vm.prank(vm.addr(1));
        bytes32 action = three.propose(address(three), data, 0);
        vm.expectRevert(abi.encodeWithSelector(IMembers.MembersAlreadyApproved.selector, action, vm.addr(1)));
        vm.prank(vm.addr(1));
        three.approve(action);
        vm.expectRevert(abi.encodeWithSelector(IMembers.MembersNotReady.selector, 0));
        three.execute(action);
        vm.prank(vm.addr(2));
        three.approve(action);
        vm.warp(NOW + 10);
        vm.prank(vm.addr(3));
        three.approve(action); // one more than needed delays nothing
        vm.expectRevert(abi.encodeWithSelector(IMembers.MembersNotReady.selector, NOW + 1 days));
        three.execute(action);
        vm.warp(NOW + 1 days);
        three.execute(action);
        equal(three.institutionOfGateway(GATEWAY_A), HOSPITAL_A);
        vm.expectRevert(abi.encodeWithSelector(IMembers.MembersUnknownAction.selector, action));
        three.execute(action);
        // again only with approvals of its own
        vm.prank(vm.addr(1));
        equal(three.propose(address(three), data, 0), action);
        (,, uint32 approvals, uint64 readyAt) = three.actionOf(action);
        equal(approvals, 1);
        equal(readyAt, 0);
    }

    /// M of N: one administrator stops nothing that M want, and what M no longer want does not happen.
    function test_approvalsAreWithdrawnByThoseWhoGaveThem() public {
        Members three = threeAdministrators();
        bytes memory data = abi.encodeCall(
            IMembers.registerInstitution, (HOSPITAL_A, GATEWAY_A, 0, "A", "https://a", new IMembers.Founder[](0))
        );
        vm.prank(vm.addr(1));
        bytes32 action = three.propose(address(three), data, 0);
        vm.prank(vm.addr(2));
        three.approve(action);
        vm.expectRevert(abi.encodeWithSelector(IMembers.MembersNotApproved.selector, action, vm.addr(3)));
        vm.prank(vm.addr(3));
        three.withdrawApproval(action);
        vm.prank(vm.addr(2));
        three.withdrawApproval(action);
        vm.warp(NOW + 2 days);
        vm.expectRevert(abi.encodeWithSelector(IMembers.MembersNotReady.selector, 0));
        three.execute(action);
        vm.prank(vm.addr(2));
        three.approve(action); // the delay starts anew
        vm.expectRevert(abi.encodeWithSelector(IMembers.MembersNotReady.selector, NOW + 3 days));
        three.execute(action);
        vm.prank(vm.addr(3));
        three.approve(action);
        vm.prank(vm.addr(2));
        three.withdrawApproval(action); // two are left: it stays ready
        vm.warp(NOW + 3 days);
        three.execute(action);
        equal(three.institutionOfGateway(GATEWAY_A), HOSPITAL_A);
    }

    function test_deactivationIsNeverDelayed() public {
        Members three = threeAdministrators();
        vm.prank(address(three));
        three.registerInstitution(HOSPITAL_A, GATEWAY_A, 0, "A", "https://a", new IMembers.Founder[](0));
        vm.prank(vm.addr(3));
        three.setInstitutionActive(HOSPITAL_A, false);
        equal(three.institutionOfGateway(GATEWAY_A), bytes32(0));
        vm.expectRevert(abi.encodeWithSelector(IMembers.MembersNotConsortium.selector, vm.addr(3)));
        vm.prank(vm.addr(3));
        three.setInstitutionActive(HOSPITAL_A, true);
    }

    function test_failureAndGivingUp() public {
        Members three = threeAdministrators();
        vm.prank(vm.addr(1));
        bytes32 action = three.propose(address(three), abi.encodeCall(IMembers.setInstitutionActive, (HOSPITAL_A, true)), 0);
        vm.prank(vm.addr(2));
        three.approve(action);
        vm.warp(NOW + 2 days);
        bytes memory inner = abi.encodeWithSelector(IMembers.MembersUnknownInstitution.selector, HOSPITAL_A);
        vm.expectRevert(abi.encodeWithSelector(IMembers.MembersActionFailed.selector, action, inner));
        three.execute(action);
        vm.expectRevert(abi.encodeWithSelector(IMembers.MembersNotConsortium.selector, address(this)));
        three.withdrawApproval(action);
        vm.prank(vm.addr(1));
        three.withdrawApproval(action);
        vm.prank(vm.addr(2));
        three.withdrawApproval(action);
        (address target,,,) = three.actionOf(action);
        equal(target, address(0));
        vm.expectRevert(abi.encodeWithSelector(IMembers.MembersUnknownAction.selector, action));
        three.execute(action);
        // the same ones may think again
        vm.prank(vm.addr(1));
        equal(three.propose(address(three), abi.encodeCall(IMembers.setInstitutionActive, (HOSPITAL_A, true)), 0), action);
    }

    function test_newConsortiumVoidsActionsUnderWay() public {
        Members three = threeAdministrators();
        vm.prank(vm.addr(1));
        bytes32 action = three.propose(address(three), abi.encodeCall(IMembers.setInstitutionActive, (HOSPITAL_A, true)), 0);
        address[] memory administrators = new address[](1);
        administrators[0] = vm.addr(2);
        vm.prank(address(three));
        three.setConsortium(administrators, 1, 0);
        vm.expectRevert(abi.encodeWithSelector(IMembers.MembersUnknownAction.selector, action));
        vm.prank(vm.addr(2));
        three.approve(action);
        equal(three.isConsortiumAdministrator(vm.addr(1)), false);
        isTrue(three.actsForConsortium(vm.addr(2)));
        (address[] memory now_, uint32 threshold, uint64 delay) = three.consortium();
        equal(now_.length, 1);
        equal(threshold, 1);
        equal(delay, 0);
    }

    function test_RevertWhen_consortiumIsNotWellFormed() public {
        address[] memory administrators = new address[](2);
        (administrators[0], administrators[1]) = (vm.addr(1), vm.addr(1));
        vm.expectRevert(abi.encodeWithSelector(IMembers.MembersAccountTaken.selector, vm.addr(1)));
        members.setConsortium(administrators, 1, 0);
        administrators[1] = address(0);
        vm.expectRevert(IMembers.MembersZeroAddress.selector);
        members.setConsortium(administrators, 1, 0);
        administrators[1] = vm.addr(2);
        vm.expectRevert(abi.encodeWithSelector(IMembers.MembersThresholdInvalid.selector, 3, 2));
        members.setConsortium(administrators, 3, 0);
        vm.expectRevert(abi.encodeWithSelector(IMembers.MembersThresholdInvalid.selector, 0, 2));
        members.setConsortium(administrators, 0, 0);
        vm.expectRevert(abi.encodeWithSelector(IMembers.MembersDelayInvalid.selector, uint64(31 days)));
        members.setConsortium(administrators, 1, 31 days);
        vm.expectRevert(abi.encodeWithSelector(IMembers.MembersNotConsortium.selector, GATEWAY_A));
        vm.prank(GATEWAY_A);
        members.setConsortium(administrators, 1, 0);
        vm.expectRevert(abi.encodeWithSelector(IMembers.MembersNotConsortium.selector, GATEWAY_A));
        vm.prank(GATEWAY_A);
        members.propose(address(1), "", 0);
    }
}
