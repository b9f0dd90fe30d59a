// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Consortium} from "./Consortium.sol";
import {IMembers, Roles} from "./interfaces/IMembers.sol";

/// @title See IMembers.
contract Members is Consortium {
    /// How long the owner of a wallet can object to an administrator giving the person another account.
    uint64 public constant RECOVERY_DELAY = 7 days;

    struct Recovery {
        address account;
        uint64 readyAt;
        Custody custody;
    }

    mapping(bytes32 id => SubjectKind kind) private _kinds;
    mapping(bytes32 id => Institution institution) private _institutions;
    mapping(bytes32 id => Person person) private _people;
    mapping(bytes32 id => Device device) private _devices;
    mapping(address gateway => bytes32 institution) private _gateways;
    mapping(bytes32 institution => mapping(address account => bytes32 person)) private _personAt;
    mapping(bytes32 person => bytes32 administrator) private _custodianProposedBy;
    mapping(bytes32 person => Recovery recovery) private _recoveries;
    bytes32[] private _institutionIds;
    mapping(bytes32 person => bytes32 administrator) private _voices; // 0: its own

    modifier onlyAdministratorOf(bytes32 institution) {
        _requireAdministrator(institution);
        _;
    }

    modifier onlyAdministratorOfPerson(bytes32 person) {
        _requireAdministrator(_knownPerson(person).institution);
        _;
    }

    modifier onlyAdministratorOfDevice(bytes32 device) {
        if (_kinds[device] != SubjectKind.device) revert MembersUnknownDevice(device);
        _requireAdministrator(_devices[device].institution);
        _;
    }

    modifier onlyInstitutionOrConsortium(bytes32 institution) {
        _requireInstitution(institution);
        if (!actsForConsortium(msg.sender)) _requireAdministrator(institution);
        _;
    }

    constructor(address[] memory administrators, uint32 threshold, uint64 delay)
        Consortium(administrators, threshold, delay)
    {}

    // ---- institutions

    function registerInstitution(
        bytes32 id,
        address gateway,
        bytes32 certificateHash,
        string calldata name,
        string calldata endpoint,
        Founder[] calldata founders
    ) external onlyConsortium {
        _claim(id, SubjectKind.institution);
        _claimGateway(gateway, id);
        _institutionIds.push(id);
        _institutions[id] = Institution({
            gateway: gateway,
            active: true,
            since: uint64(block.timestamp),
            certificateHash: certificateHash,
            name: name,
            endpoint: endpoint
        });
        emit InstitutionRegistered(id, gateway, name);
        emit InstitutionEndpointChanged(id, endpoint, certificateHash);
        _addFounders(id, founders);
    }

    function addFounders(bytes32 institution, Founder[] calldata founders) external onlyConsortium {
        _requireInstitution(institution);
        _addFounders(institution, founders);
    }

    function setInstitutionActive(bytes32 institution, bool active) external {
        // Deactivating is never delayed.
        bool allowed = actsForConsortium(msg.sender) || (!active && isConsortiumAdministrator(msg.sender));
        if (!allowed) revert MembersNotConsortium(msg.sender);
        _requireInstitution(institution);
        _institutions[institution].active = active;
        emit InstitutionActivityChanged(institution, active);
    }

    function setGateway(bytes32 institution, address gateway) external onlyInstitutionOrConsortium(institution) {
        address previous = _institutions[institution].gateway;
        delete _gateways[previous];
        _claimGateway(gateway, institution);
        _institutions[institution].gateway = gateway;
        emit InstitutionGatewayChanged(institution, gateway, previous);
    }

    function setEndpoint(bytes32 institution, string calldata endpoint, bytes32 certificateHash)
        external
        onlyInstitutionOrConsortium(institution)
    {
        _institutions[institution].endpoint = endpoint;
        _institutions[institution].certificateHash = certificateHash;
        emit InstitutionEndpointChanged(institution, endpoint, certificateHash);
    }

    function institutionOf(bytes32 id) external view returns (Institution memory) {
        return _institutions[id];
    }

    function institutionOfGateway(address account) external view returns (bytes32) {
        bytes32 id = _gateways[account];
        return _institutions[id].active ? id : bytes32(0);
    }

    function institutionCount() external view returns (uint256) {
        return _institutionIds.length;
    }

    function institutionAt(uint256 index) external view returns (bytes32) {
        return _institutionIds[index];
    }

    // ---- people

    function registerPerson(bytes32 id, bytes32 institution, address account, uint32 roles, Custody custody) external {
        _requireInstitution(institution);
        bool patient = roles & ~Roles.PATIENT == 0;
        if (patient && _gateways[msg.sender] == institution) {
            if (!_institutions[institution].active) revert MembersInactiveInstitution(institution);
        } else {
            _requireAdministrator(institution);
        }
        if (roles & Roles.CUSTODIAN != 0) revert MembersCustodianNeedsTwo(id);
        _addPerson(id, institution, account, roles, custody);
        if (roles & Roles.ADMINISTRATOR != 0) _shareVoice(id, institution);
    }

    function setRoles(bytes32 person, uint32 roles) external onlyAdministratorOfPerson(person) {
        if (roles & ~Roles.ALL != 0) revert MembersRolesInvalid(roles);
        uint32 previous = _people[person].roles;
        if (roles & Roles.CUSTODIAN & ~previous != 0) revert MembersCustodianNeedsTwo(person);
        if (roles & Roles.ADMINISTRATOR & ~previous != 0) {
            _shareVoice(person, _people[person].institution);
            delete _recoveries[person]; // begun for somebody who was less
        }
        _people[person].roles = roles;
        delete _custodianProposedBy[person];
        emit PersonRolesChanged(person, roles, previous);
    }

    function setPersonActive(bytes32 person, bool active) external onlyAdministratorOfPerson(person) {
        _people[person].active = active;
        emit PersonActivityChanged(person, active);
    }

    function removePerson(bytes32 id) external onlyAdministratorOfPerson(id) {
        Person storage person = _people[id];
        // The account stays: what a patient gave can be taken away from it, whatever is done to the person.
        person.roles = 0;
        person.active = false;
        person.removedAt = uint40(block.timestamp);
        delete _custodianProposedBy[id];
        delete _recoveries[id];
        emit PersonRemoved(id);
    }

    function proposeCustodian(bytes32 person) external onlyAdministratorOfPerson(person) {
        bytes32 by = _personAt[_people[person].institution][msg.sender];
        _custodianProposedBy[person] = by;
        emit CustodianProposed(person, by);
    }

    function appointCustodian(bytes32 id) external onlyAdministratorOfPerson(id) {
        Person storage person = _people[id];
        bytes32 first = _custodianProposedBy[id];
        bytes32 second = _personAt[person.institution][msg.sender];
        if (first == 0 || !_isAdministrator(first, person.institution)) revert MembersNotProposed(id);
        if (voiceOf(first) == voiceOf(second)) revert MembersSameAdministrator(first);
        delete _custodianProposedBy[id];
        delete _recoveries[id]; // begun for somebody who was less
        uint32 previous = person.roles;
        person.roles = previous | Roles.CUSTODIAN;
        emit CustodianAppointed(id, first, second);
        emit PersonRolesChanged(id, previous | Roles.CUSTODIAN, previous);
    }

    function rotateAccount(bytes32 id, address account, Custody custody) external {
        if (msg.sender != _knownPerson(id).account) revert MembersNotAllowed(msg.sender);
        if (account == address(0)) revert MembersZeroAddress();
        _setAccount(id, account, custody);
    }

    function recoverAccount(bytes32 id, address account, Custody custody) external onlyAdministratorOfPerson(id) {
        Person storage person = _people[id];
        if (!_isGuarded(id) && (person.custody == Custody.kept || person.account == address(0))) {
            _setAccount(id, account, custody);
            return;
        }
        if (account == address(0)) revert MembersZeroAddress();
        uint64 readyAt = uint64(block.timestamp) + RECOVERY_DELAY;
        _recoveries[id] = Recovery({account: account, readyAt: readyAt, custody: custody});
        emit PersonAccountProposed(id, account, readyAt);
    }

    function acceptAccount(bytes32 id) external {
        Recovery memory recovery = _recoveries[id];
        if (recovery.account == address(0) || recovery.account != msg.sender) revert MembersNotAllowed(msg.sender);
        if (block.timestamp < recovery.readyAt) revert MembersNotReady(recovery.readyAt);
        _setAccount(id, recovery.account, recovery.custody);
    }

    function cancelRecovery(bytes32 id) external {
        Person storage person = _knownPerson(id);
        if (msg.sender != person.account) _requireAdministrator(person.institution);
        if (_recoveries[id].account == address(0)) revert MembersNotProposed(id);
        delete _recoveries[id];
        emit PersonAccountProposalCancelled(id);
    }

    function voiceOf(bytes32 id) public view returns (bytes32) {
        return _voices[id] == 0 ? id : _voices[id];
    }

    function personOf(bytes32 id) external view returns (Person memory) {
        return _people[id];
    }

    function accountOf(bytes32 person) external view returns (address) {
        return _people[person].account;
    }

    function personAt(bytes32 institution, address account) external view returns (bytes32) {
        return _personAt[institution][account];
    }

    function activePersonAt(bytes32 institution, address account) external view returns (bytes32) {
        bytes32 id = _personAt[institution][account];
        return _people[id].active ? id : bytes32(0);
    }

    // ---- devices

    function registerDevice(bytes32 id, bytes32 institution, uint32 operations, bytes32 certificateHash)
        external
        onlyAdministratorOf(institution)
    {
        _claim(id, SubjectKind.device);
        _devices[id] = Device({
            institution: institution, certificateHash: certificateHash, operations: operations, active: true
        });
        emit DeviceRegistered(id, institution, operations, certificateHash);
    }

    function setDevice(bytes32 id, uint32 operations, bytes32 certificateHash, bool active)
        external
        onlyAdministratorOfDevice(id)
    {
        Device storage device = _devices[id];
        device.operations = operations;
        device.certificateHash = certificateHash;
        device.active = active;
        emit DeviceChanged(id, operations, certificateHash, active);
    }

    function removeDevice(bytes32 id) external onlyAdministratorOfDevice(id) {
        delete _devices[id]; // its kind stays: the id is never used again
        emit DeviceRemoved(id);
    }

    function deviceOf(bytes32 id) external view returns (Device memory) {
        return _devices[id];
    }

    // ---- for deciding

    function subjectOf(bytes32 id) external view returns (Subject memory subject) {
        SubjectKind kind = _kinds[id];
        subject.kind = kind;
        if (kind == SubjectKind.person) {
            Person storage person = _people[id];
            subject.active = person.active;
            subject.institution = person.institution;
            subject.roles = person.roles;
        } else if (kind == SubjectKind.device) {
            Device storage device = _devices[id];
            subject.active = device.active;
            subject.institution = device.institution;
            subject.operations = device.operations;
        } else if (kind == SubjectKind.institution) {
            subject.active = true; // judged as institutionActive
            subject.institution = id;
        }
        subject.institutionActive = _institutions[subject.institution].active;
    }

    // ---- private parts

    function _addFounders(bytes32 institution, Founder[] calldata founders) private {
        for (uint256 i = 0; i < founders.length; ++i) {
            Founder calldata founder = founders[i];
            _addPerson(founder.id, institution, founder.account, founder.roles, founder.custody);
        }
    }

    function _addPerson(bytes32 id, bytes32 institution, address account, uint32 roles, Custody custody) private {
        if (roles & ~Roles.ALL != 0) revert MembersRolesInvalid(roles);
        _claim(id, SubjectKind.person);
        _people[id] = Person({
            institution: institution, account: address(0), roles: roles, active: true, custody: custody, removedAt: 0
        });
        if (account != address(0)) _claimAccount(id, institution, account);
        emit PersonRegistered(id, institution, account, roles, custody);
    }

    function _shareVoice(bytes32 id, bytes32 institution) private {
        _voices[id] = voiceOf(_personAt[institution][msg.sender]);
    }

    /// Whether the caller, with the person's account, would have a say that is not the caller's.
    function _isGuarded(bytes32 id) private view returns (bool) {
        Person storage person = _people[id];
        if (person.roles & Roles.CUSTODIAN != 0) return true;
        return person.roles & Roles.ADMINISTRATOR != 0
            && voiceOf(id) != voiceOf(_personAt[person.institution][msg.sender]);
    }

    function _setAccount(bytes32 id, address account, Custody custody) private {
        Person storage person = _people[id];
        address previous = person.account;
        if (previous != address(0)) delete _personAt[person.institution][previous];
        delete _recoveries[id];
        person.account = address(0);
        person.custody = custody;
        if (account != address(0)) _claimAccount(id, person.institution, account);
        emit PersonAccountChanged(id, account, previous, custody);
    }

    function _claimAccount(bytes32 id, bytes32 institution, address account) private {
        if (_personAt[institution][account] != 0) revert MembersAccountTaken(account);
        _personAt[institution][account] = id;
        _people[id].account = account;
    }

    function _claimGateway(address gateway, bytes32 institution) private {
        if (gateway == address(0)) revert MembersZeroAddress();
        if (_gateways[gateway] != 0) revert MembersAccountTaken(gateway);
        _gateways[gateway] = institution;
    }

    function _claim(bytes32 id, SubjectKind kind) private {
        if (id == 0) revert MembersZeroId();
        if (_kinds[id] != SubjectKind.none) revert MembersIdTaken(id);
        _kinds[id] = kind;
    }

    function _knownPerson(bytes32 id) private view returns (Person storage person) {
        person = _people[id];
        if (_kinds[id] != SubjectKind.person || person.removedAt != 0) revert MembersUnknownPerson(id);
    }

    function _requireInstitution(bytes32 id) private view {
        if (_kinds[id] != SubjectKind.institution) revert MembersUnknownInstitution(id);
    }

    function _requireAdministrator(bytes32 institution) private view {
        bytes32 id = _personAt[institution][msg.sender];
        if (!_isAdministrator(id, institution)) revert MembersNotAdministrator(institution, msg.sender);
        if (!_institutions[institution].active) revert MembersInactiveInstitution(institution);
    }

    function _isAdministrator(bytes32 id, bytes32 institution) private view returns (bool) {
        Person storage person = _people[id];
        return person.active && person.institution == institution && person.roles & Roles.ADMINISTRATOR != 0;
    }
}
