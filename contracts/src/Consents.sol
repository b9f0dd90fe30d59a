// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {SignatureChecker} from "@openzeppelin/contracts/utils/cryptography/SignatureChecker.sol";
import {Decisions} from "./Decisions.sol";
import {IConsents} from "./interfaces/IConsents.sol";
import {IMembers, Roles} from "./interfaces/IMembers.sol";

/// @title See IConsents.
contract Consents is Decisions, EIP712 {
    uint64 public constant MAX_EMERGENCY = 1 days;
    /// How far ahead of this chain's clock an emergency may begin.
    uint64 public constant CLOCK_SKEW = 1 hours;
    /// How far a revocation's epoch may be ahead: enough for any reorganisation, too little to use the epochs up.
    uint64 public constant MAX_EPOCH_AHEAD = 1 << 32;
    /// How far a restriction's serial may be ahead of the last one: nobody uses the serials up for who decides later.
    uint64 public constant MAX_SERIAL_AHEAD = 1 << 32;
    /// How long after a wallet's person was removed the holder's gateway may say who decides instead.
    uint64 public constant REMOVED_CONTROLLER_DELAY = 7 days;

    bytes32 private constant TARGET_TYPE = keccak256("Target(uint8 kind,bytes32 id,uint32 role)");
    bytes32 private constant GRANT_TYPE = keccak256(
        "Grant(bytes32 holder,bytes32 patientKey,Target target,bytes32 scope,uint8 purpose,uint64 from,uint64 until,uint64 epoch)Target(uint8 kind,bytes32 id,uint32 role)"
    );
    bytes32 private constant REVOKE_TYPE =
        keccak256("Revoke(bytes32 holder,bytes32 patientKey,bytes32 grantId,uint64 epoch)");
    bytes32 private constant RESTRICT_TYPE = keccak256(
        "Restrict(bytes32 holder,bytes32 patientKey,Target target,bytes32 scope,bool on,uint64 serial)Target(uint8 kind,bytes32 id,uint32 role)"
    );

    modifier onlyKnown(bytes32 holder, bytes32 patientKey) {
        if (_members.subjectOf(holder).kind != IMembers.SubjectKind.institution) revert ConsentsUnknownHolder(holder);
        if (patientKey == 0) revert ConsentsZeroPatient();
        _;
    }

    constructor(IMembers members_) Decisions(members_) EIP712("Fiducial Consents", "1") {}

    // ---- who decides

    function setController(bytes32 holder, bytes32 patientKey, bytes32 person, ControllerKind kind)
        external
        onlyKnown(holder, patientKey)
    {
        Patient storage patient = _patients[holder][patientKey].facts;
        bool byGateway = (patient.kind != ControllerKind.wallet || _isGone(patient.controller)) && _isGateway(holder);
        bool byController =
            patient.controller != 0 && _members.activePersonAt(holder, msg.sender) == patient.controller;
        if (!byGateway && !byController) revert ConsentsNotAllowed(msg.sender);
        if (kind == ControllerKind.institution) {
            if (person != 0) revert ConsentsControllerInvalid(person);
        } else {
            IMembers.Person memory facts = _members.personOf(person);
            bool fits = facts.active && facts.institution == holder && facts.account != address(0)
                && (kind == ControllerKind.custodial || facts.custody == IMembers.Custody.wallet);
            if (!fits) revert ConsentsControllerInvalid(person);
        }
        patient.controller = person;
        patient.kind = kind;
        uint64 epoch = patient.epoch + 1; // what the one before signed and withheld is void
        patient.epoch = epoch;
        emit ControllerChanged(holder, patientKey, person, kind, epoch);
    }

    function setGuardian(bytes32 holder, bytes32 patientKey, bytes32 person, uint64 until)
        external
        onlyKnown(holder, patientKey)
    {
        PatientState storage state = _patients[holder][patientKey];
        bool byGateway = state.facts.kind != ControllerKind.wallet && _isGateway(holder);
        bool byController =
            state.facts.controller != 0 && _members.activePersonAt(holder, msg.sender) == state.facts.controller;
        if (!byGateway && !byController) revert ConsentsNotAllowed(msg.sender);
        if (_members.personOf(person).institution != holder) revert ConsentsControllerInvalid(person);
        state.guardians[person] = until;
        emit GuardianChanged(holder, patientKey, person, until);
    }

    function patientOf(bytes32 holder, bytes32 patientKey) external view returns (Patient memory) {
        return _patients[holder][patientKey].facts;
    }

    function guardianUntil(bytes32 holder, bytes32 patientKey, bytes32 person) external view returns (uint64) {
        return _patients[holder][patientKey].guardians[person];
    }

    // ---- grants

    function grant(GrantTerms calldata terms) external returns (bytes32) {
        (bytes32 by, Basis basis) = _caller(terms.holder, terms.patientKey, false);
        return _grant(terms, by, basis);
    }

    function grantBySignature(GrantTerms calldata terms, bytes32 signer, bytes calldata signature)
        external
        returns (bytes32)
    {
        bytes32 content = keccak256(
            abi.encode(
                GRANT_TYPE,
                terms.holder,
                terms.patientKey,
                _hashTarget(terms.target),
                terms.scope,
                terms.purpose,
                terms.from,
                terms.until,
                terms.epoch
            )
        );
        Basis basis = _checkSigner(terms.holder, terms.patientKey, signer, content, signature, false);
        return _grant(terms, signer, basis);
    }

    function revoke(bytes32 holder, bytes32 patientKey, bytes32 grantId, uint64 epoch) external {
        (bytes32 by,) = _caller(holder, patientKey, true);
        _revoke(holder, patientKey, grantId, epoch, by);
    }

    function revokeBySignature(
        bytes32 holder,
        bytes32 patientKey,
        bytes32 grantId,
        uint64 epoch,
        bytes32 signer,
        bytes calldata signature
    ) external {
        bytes32 content = keccak256(abi.encode(REVOKE_TYPE, holder, patientKey, grantId, epoch));
        _checkSigner(holder, patientKey, signer, content, signature, true);
        _revoke(holder, patientKey, grantId, epoch, signer);
    }

    function grantOf(bytes32 holder, bytes32 patientKey, bytes32 grantId) external view returns (Grant memory) {
        return _patients[holder][patientKey].grants[grantId];
    }

    function grantVoidBelow(bytes32 holder, bytes32 patientKey, bytes32 grantId) external view returns (uint64) {
        return _patients[holder][patientKey].grantVoidBelow[grantId];
    }

    function grantIdOf(Target calldata target, bytes32 scope, Purpose purpose) public pure returns (bytes32) {
        return keccak256(abi.encode(target.kind, target.id, target.role, scope, purpose));
    }

    // ---- restrictions

    function restrict(RestrictTerms calldata terms) external returns (bytes32) {
        (bytes32 by,) = _caller(terms.holder, terms.patientKey, terms.on);
        return _restrict(terms, by);
    }

    function restrictBySignature(RestrictTerms calldata terms, bytes32 signer, bytes calldata signature)
        external
        returns (bytes32)
    {
        bytes32 content = keccak256(
            abi.encode(
                RESTRICT_TYPE,
                terms.holder,
                terms.patientKey,
                _hashTarget(terms.target),
                terms.scope,
                terms.on,
                terms.serial
            )
        );
        _checkSigner(terms.holder, terms.patientKey, signer, content, signature, terms.on);
        return _restrict(terms, signer);
    }

    function restrictionOf(bytes32 holder, bytes32 patientKey, bytes32 restrictionId)
        external
        view
        returns (bool on, uint64 serial)
    {
        uint256 kept = _patients[holder][patientKey].restrictions[restrictionId];
        return (kept & 1 != 0, uint64(kept >> 1));
    }

    function restrictionIdOf(Target calldata target, bytes32 scope) public pure returns (bytes32) {
        return keccak256(abi.encode(target.kind, target.id, target.role, scope));
    }

    // ---- requests

    function ask(bytes32 holder, bytes32 patientKey, bytes32 asker, bytes32 scope, Purpose purpose, uint64 until)
        external
        onlyKnown(holder, patientKey)
        returns (bytes32 requestId)
    {
        _requireFor(asker);
        _requireGrantable(purpose);
        if (until <= block.timestamp) revert ConsentsSpanInvalid(uint64(block.timestamp), until);
        requestId = requestIdOf(asker, scope, purpose);
        Request storage request = _patients[holder][patientKey].requests[requestId];
        if (request.state == RequestState.asked) revert ConsentsRequestState(RequestState.asked);
        request.state = RequestState.asked;
        request.askedAt = uint64(block.timestamp);
        request.answeredAt = 0;
        request.until = until;
        request.asker = asker;
        emit Asked(holder, patientKey, requestId, asker, scope, purpose, until);
    }

    function answer(bytes32 holder, bytes32 patientKey, bytes32 requestId, bool accepted) external {
        (bytes32 by,) = _caller(holder, patientKey, false);
        Request storage request = _patients[holder][patientKey].requests[requestId];
        if (request.state != RequestState.asked) revert ConsentsRequestState(request.state);
        request.state = accepted ? RequestState.accepted : RequestState.refused;
        request.answeredAt = uint64(block.timestamp);
        emit Answered(holder, patientKey, requestId, accepted, by);
    }

    function withdraw(bytes32 holder, bytes32 patientKey, bytes32 requestId) external {
        Request storage request = _patients[holder][patientKey].requests[requestId];
        if (request.state != RequestState.asked) revert ConsentsRequestState(request.state);
        _requireFor(request.asker);
        request.state = RequestState.withdrawn;
        request.answeredAt = uint64(block.timestamp);
        emit Withdrawn(holder, patientKey, requestId);
    }

    function requestOf(bytes32 holder, bytes32 patientKey, bytes32 requestId) external view returns (Request memory) {
        return _patients[holder][patientKey].requests[requestId];
    }

    function requestIdOf(bytes32 asker, bytes32 scope, Purpose purpose) public pure returns (bytes32) {
        return keccak256(abi.encode(asker, scope, purpose));
    }

    // ---- emergencies

    function openEmergency(bytes32 holder, bytes32 patientKey, bytes32 person, uint64 from, uint64 until, bytes32 ground)
        external
        onlyKnown(holder, patientKey)
    {
        IMembers.Subject memory doctor = _members.subjectOf(person);
        if (!doctor.active || !doctor.institutionActive || doctor.roles & Roles.DOCTOR == 0) revert ConsentsNotDoctor(person);
        _requireEmergencyWriter(holder, person, doctor.institution);
        if (from >= until || until - from > MAX_EMERGENCY || from > block.timestamp + CLOCK_SKEW) {
            revert ConsentsSpanInvalid(from, until);
        }
        Emergency storage opened = _patients[holder][patientKey].emergencies[person];
        // An older one that is written down late is told, and never shortens a later one.
        // Two that meet are one, so that a new one closes nothing that is open.
        if (from <= opened.until && opened.from <= until) {
            if (from < opened.from) opened.from = from;
            if (until > opened.until) opened.until = until;
        } else if (until > opened.until) {
            opened.from = from;
            opened.until = until;
        }
        emit EmergencyOpened(holder, patientKey, person, from, until, ground);
    }

    function closeEmergency(bytes32 holder, bytes32 patientKey, bytes32 person) external {
        Emergency storage opened = _patients[holder][patientKey].emergencies[person];
        if (opened.until == 0) revert ConsentsNoEmergency();
        (bool decides,,) = _callerOrNone(holder, patientKey, true);
        if (!decides) _requireEmergencyWriter(holder, person, _members.subjectOf(person).institution);
        uint64 atTime = uint64(block.timestamp);
        if (atTime < opened.until) opened.until = atTime < opened.from ? opened.from : atTime;
        emit EmergencyClosed(holder, patientKey, person, atTime);
    }

    function emergencyOf(bytes32 holder, bytes32 patientKey, bytes32 person) external view returns (Emergency memory) {
        return _patients[holder][patientKey].emergencies[person];
    }

    function members() external view returns (address) {
        return address(_members);
    }

    function domainSeparator() external view returns (bytes32) {
        return _domainSeparatorV4();
    }

    // ---- private parts

    function _grant(GrantTerms calldata terms, bytes32 by, Basis basis)
        private
        returns (bytes32 grantId)
    {
        if (terms.patientKey == 0) revert ConsentsZeroPatient();
        _requireTarget(terms.target);
        if (terms.target.kind == TargetKind.everyone) revert ConsentsTargetInvalid();
        _requireGrantable(terms.purpose);
        if (terms.from >= terms.until) revert ConsentsSpanInvalid(terms.from, terms.until);
        PatientState storage state = _patients[terms.holder][terms.patientKey];
        if (terms.epoch != state.facts.epoch) revert ConsentsStaleEpoch(state.facts.epoch);
        grantId = grantIdOf(terms.target, terms.scope, terms.purpose);
        Grant storage given = state.grants[grantId];
        // Within one epoch the one signed later stands, so that an older one sent again changes nothing.
        if (given.until != 0 && given.epoch == terms.epoch && terms.from <= given.from) revert ConsentsStaleGrant(given.from);
        given.from = terms.from;
        given.until = terms.until;
        given.epoch = terms.epoch;
        given.basis = basis;
        emit Granted(terms.holder, terms.patientKey, grantId, terms, basis, by);
    }

    function _revoke(bytes32 holder, bytes32 patientKey, bytes32 grantId, uint64 epoch, bytes32 by) private {
        PatientState storage state = _patients[holder][patientKey];
        uint64 current = state.facts.epoch;
        if (epoch > current && epoch - current > MAX_EPOCH_AHEAD) revert ConsentsEpochTooFar(current);
        uint64 next = epoch + 1;
        if (grantId == 0) {
            if (next > state.facts.voidBelow) state.facts.voidBelow = next;
        } else if (next > state.grantVoidBelow[grantId]) {
            state.grantVoidBelow[grantId] = next;
        }
        if (next > current) {
            state.facts.epoch = next;
            current = next;
        }
        emit Revoked(holder, patientKey, grantId, epoch, current, by);
    }

    function _restrict(RestrictTerms calldata terms, bytes32 by)
        private
        returns (bytes32 restrictionId)
    {
        if (terms.patientKey == 0) revert ConsentsZeroPatient();
        _requireTarget(terms.target);
        restrictionId = restrictionIdOf(terms.target, terms.scope);
        PatientState storage state = _patients[terms.holder][terms.patientKey];
        uint256 kept = state.restrictions[restrictionId];
        uint64 last = uint64(kept >> 1);
        if (terms.serial <= last) revert ConsentsStaleSerial(last);
        if (terms.serial - last > MAX_SERIAL_AHEAD) revert ConsentsSerialTooFar(last);
        bool was = kept & 1 != 0;
        state.restrictions[restrictionId] = uint256(terms.serial) << 1 | (terms.on ? 1 : 0);
        if (terms.on && !was) {
            ++state.facts.restrictions;
            if (terms.scope != 0) ++state.facts.scopedRestrictions;
        } else if (!terms.on && was) {
            --state.facts.restrictions;
            if (terms.scope != 0) --state.facts.scopedRestrictions;
        }
        emit Restricted(
            terms.holder, terms.patientKey, restrictionId, terms.target, terms.scope, terms.on, terms.serial, by
        );
    }

    /// Whoever decides for the patient, as this call's sender: controller, guardian, or the gateway where nobody else does.
    /// @param closing what is asked for only takes away: it cannot be prevented by making the person inactive
    function _caller(bytes32 holder, bytes32 patientKey, bool closing)
        private
        view
        returns (bytes32 by, Basis basis)
    {
        bool decides;
        (decides, by, basis) = _callerOrNone(holder, patientKey, closing);
        if (!decides) revert ConsentsNotAllowed(msg.sender);
    }

    function _callerOrNone(bytes32 holder, bytes32 patientKey, bool closing)
        private
        view
        returns (bool decides, bytes32 by, Basis basis)
    {
        by = closing ? _members.personAt(holder, msg.sender) : _members.activePersonAt(holder, msg.sender);
        if (by != 0) {
            (decides, basis) = _position(holder, patientKey, by);
            if (decides) return (true, by, basis);
        }
        // slither-disable-next-line incorrect-equality
        if (_patients[holder][patientKey].facts.kind == ControllerKind.institution && _isGateway(holder)) {
            return (true, holder, Basis.paper);
        }
        return (false, 0, Basis.patient);
    }

    /// Whether a person decides for the patient now, and as what.
    function _standing(bytes32 holder, bytes32 patientKey, bytes32 person, bool closing)
        private
        view
        returns (bool decides, Basis basis)
    {
        IMembers.Subject memory facts = _members.subjectOf(person);
        if (facts.kind != IMembers.SubjectKind.person || !(facts.active || closing)) return (false, Basis.patient);
        return _position(holder, patientKey, person);
    }

    /// What a person is to the patient.
    function _position(bytes32 holder, bytes32 patientKey, bytes32 person)
        private
        view
        returns (bool decides, Basis basis)
    {
        PatientState storage state = _patients[holder][patientKey];
        if (state.facts.controller == person) return (true, Basis.patient);
        if (block.timestamp < state.guardians[person]) return (true, Basis.guardian);
        return (false, Basis.patient);
    }

    function _checkSigner(
        bytes32 holder,
        bytes32 patientKey,
        bytes32 signer,
        bytes32 content,
        bytes calldata signature,
        bool closing
    ) private view returns (Basis) {
        (bool decides, Basis basis) = _standing(holder, patientKey, signer, closing);
        if (signer == 0 || !decides) revert ConsentsNotController(signer);
        address account = _members.accountOf(signer);
        if (
            account == address(0)
                || !SignatureChecker.isValidSignatureNow(account, _hashTypedDataV4(content), signature)
        ) revert ConsentsBadSignature(signer);
        return basis;
    }

    function _hashTarget(Target calldata target) private pure returns (bytes32) {
        return keccak256(abi.encode(TARGET_TYPE, target.kind, target.id, target.role));
    }

    /// Removed for so long that a wallet had time to take away what it gave.
    function _isGone(bytes32 person) private view returns (bool) {
        uint64 removedAt = _members.personOf(person).removedAt;
        return removedAt != 0 && block.timestamp >= removedAt + REMOVED_CONTROLLER_DELAY;
    }

    function _isGateway(bytes32 holder) private view returns (bool) {
        return holder != 0 && _members.institutionOfGateway(msg.sender) == holder;
    }

    /// The asker itself, or the gateway of its institution.
    function _requireFor(bytes32 asker) private view {
        IMembers.Subject memory facts = _members.subjectOf(asker);
        bool known = facts.kind == IMembers.SubjectKind.person || facts.kind == IMembers.SubjectKind.institution;
        bool active = known && facts.active && facts.institutionActive;
        bool speaks = _isGateway(facts.institution)
            || (facts.kind == IMembers.SubjectKind.person && _members.accountOf(asker) == msg.sender);
        if (!active || !speaks) revert ConsentsNotAllowed(msg.sender);
    }

    function _requireEmergencyWriter(bytes32 holder, bytes32 person, bytes32 institution) private view {
        bool allowed =
            _members.accountOf(person) == msg.sender || (institution != 0 && _isGateway(institution)) || _isGateway(holder);
        if (!allowed) revert ConsentsNotAllowed(msg.sender);
    }

    function _requireGrantable(Purpose purpose) private pure {
        if (purpose != Purpose.treatment && purpose != Purpose.research && purpose != Purpose.personal) {
            revert ConsentsPurposeInvalid(purpose);
        }
    }

    function _requireTarget(Target calldata target) private pure {
        bool fits;
        if (target.kind == TargetKind.everyone) {
            fits = target.id == 0 && target.role == 0;
        } else if (target.kind == TargetKind.role) {
            fits = target.role != 0 && target.role & (target.role - 1) == 0 && target.role & ~Roles.ALL == 0;
        } else {
            fits = target.id != 0 && target.role == 0;
        }
        if (!fits) revert ConsentsTargetInvalid();
    }
}
