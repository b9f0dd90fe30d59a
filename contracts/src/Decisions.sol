// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IConsents} from "./interfaces/IConsents.sol";
import {IMembers, Roles} from "./interfaces/IMembers.sol";

/// @title The rule of who may see what, over the patients' decisions.
/// @notice Spec: docs/design/rights.md. The same rule in C++: src/archive/access/evaluate.cpp; a test compares the two.
/// Precedence: inactive; own and custodian; emergency; restriction; staff and grants.
abstract contract Decisions is IConsents {
    uint64 internal constant FOR_EVER = type(uint64).max;
    /// Roles to which a grant can give anything. A person without a role counts as a patient.
    uint32 private constant GRANTABLE = Roles.DOCTOR | Roles.RESEARCHER | Roles.PATIENT;
    uint32 private constant IDENTITY_ROLES = Roles.DOCTOR | Roles.TECHNOLOGIST | Roles.DESK;
    uint32 private constant READING_ROLES = Roles.DOCTOR | Roles.TECHNOLOGIST;
    uint32 private constant TRACE_ROLES = Roles.PRIVACY_OFFICER | Roles.AUDITOR;

    struct PatientState {
        Patient facts;
        mapping(bytes32 grantId => Grant) grants;
        mapping(bytes32 grantId => uint64 epoch) grantVoidBelow;
        mapping(bytes32 restrictionId => uint256 serialAndOn) restrictions; // serial << 1 | on
        mapping(bytes32 person => uint64 until) guardians;
        mapping(bytes32 person => Emergency) emergencies;
        mapping(bytes32 requestId => Request) requests;
    }

    struct Question {
        bytes32 subject;
        bytes32 holder;
        bytes32 scope;
        Operation op;
        Purpose purpose;
        uint64 atTime;
        IMembers.SubjectKind kind;
        bytes32 institution; // of the subject
        uint32 roles;
        bool home; // the subject belongs to the holder
    }

    struct Verdict {
        bool allowed;
        Reason reason;
        Obligation obligation;
        uint64 validUntil;
    }

    IMembers internal immutable _members;

    /// Storage slot 0. Written by Consents.
    mapping(bytes32 holder => mapping(bytes32 patientKey => PatientState state)) internal _patients;

    constructor(IMembers members_) {
        _members = members_;
    }

    function decide(
        bytes32 subject,
        bytes32 holder,
        bytes32 patientKey,
        bytes32 scopeRef,
        Operation op,
        Purpose purpose,
        uint64 atTime
    ) external view returns (bool allowed, Reason reason, Obligation obligation, uint64 validUntil) {
        Verdict memory v = _decide(subject, holder, patientKey, scopeRef, op, purpose, atTime);
        return (v.allowed, v.reason, v.obligation, v.validUntil);
    }

    function _decide(
        bytes32 subject,
        bytes32 holder,
        bytes32 patientKey,
        bytes32 scopeRef,
        Operation op,
        Purpose purpose,
        uint64 atTime
    ) private view returns (Verdict memory) {
        IMembers.Subject memory who = _members.subjectOf(subject);
        if (who.kind == IMembers.SubjectKind.none) return _deny(Reason.unknownSubject);
        if (!who.active) return _deny(Reason.subjectInactive);
        if (!who.institutionActive) return _deny(Reason.institutionInactive);
        IMembers.Subject memory keeper = _members.subjectOf(holder);
        if (keeper.kind != IMembers.SubjectKind.institution) return _deny(Reason.unknownHolder);
        if (!keeper.institutionActive) return _deny(Reason.holderInactive);

        Question memory q = Question({
            subject: subject,
            holder: holder,
            scope: scopeRef,
            op: op,
            purpose: purpose,
            atTime: atTime,
            kind: who.kind,
            institution: who.institution,
            roles: who.roles == 0 ? Roles.PATIENT : who.roles,
            home: who.institution == holder
        });
        PatientState storage patient = _patients[holder][patientKey];
        if (who.kind == IMembers.SubjectKind.device) return _decideDevice(q, patient, who.operations);
        if (who.kind == IMembers.SubjectKind.institution) return _decideInstitution(q, patient);
        return _decidePerson(q, patient);
    }

    function _decideDevice(Question memory q, PatientState storage patient, uint32 operations)
        private
        view
        returns (Verdict memory)
    {
        if (!q.home) return _deny(Reason.notOwnStudies);
        if (operations & (uint32(1) << uint32(q.op)) == 0) return _deny(Reason.deviceNotListed);
        if (q.op == Operation.read && _isRestricted(q, patient)) return _deny(Reason.restricted);
        return _allow(Reason.deviceListed, FOR_EVER);
    }

    function _decideInstitution(Question memory q, PatientState storage patient) private view returns (Verdict memory) {
        if (q.op == Operation.ask) return _allow(Reason.mayAsk, FOR_EVER);
        if (q.home) {
            if (q.op == Operation.store || q.op == Operation.inventory) {
                return _allow(Reason.institutionItself, FOR_EVER);
            }
            if (q.op == Operation.consent) {
                return patient.facts.kind == ControllerKind.institution
                    ? _allow(Reason.institutionItself, FOR_EVER)
                    : _deny(Reason.notOwnRecord);
            }
            return _deny(Reason.roleNotAllowed); // its own pixels are read by people
        }
        if (q.op == Operation.consent) return _deny(Reason.notOwnRecord);
        if (q.op != Operation.read && q.op != Operation.identify) return _deny(Reason.notOwnStudies);
        if (_isRestricted(q, patient)) return _deny(Reason.restricted);
        return _byGrant(q, patient);
    }

    function _decidePerson(Question memory q, PatientState storage patient) private view returns (Verdict memory) {
        Operation op = q.op;
        if (op == Operation.ask) return _allow(Reason.mayAsk, FOR_EVER);
        if (op == Operation.breakGlass) {
            return q.roles & Roles.DOCTOR != 0 ? _allow(Reason.mayBreakGlass, FOR_EVER) : _deny(Reason.roleNotAllowed);
        }
        bool owned = op == Operation.read || op == Operation.identify || op == Operation.trace || op == Operation.consent;
        uint64 guardianUntil_ = 0;
        if (owned) {
            if (patient.facts.controller == q.subject) return _allow(Reason.ownRecord, FOR_EVER);
            guardianUntil_ = patient.guardians[q.subject];
            if (q.atTime < guardianUntil_) return _allow(Reason.guardianship, guardianUntil_);
        }
        if (op == Operation.consent) {
            return _deny(guardianUntil_ != 0 ? Reason.guardianshipOver : Reason.notOwnRecord);
        }
        if (q.home && q.roles & Roles.CUSTODIAN != 0 && q.purpose == Purpose.administration) {
            return _allow(Reason.custodian, FOR_EVER);
        }
        Verdict memory verdict;
        if (op == Operation.read) verdict = _decideRead(q, patient);
        else if (op == Operation.identify) verdict = _decideIdentify(q, patient);
        else verdict = _decideDuty(q);
        // What someone lost is said rather than what they never had.
        if (!verdict.allowed && guardianUntil_ != 0 && _neverHad(verdict.reason)) verdict.reason = Reason.guardianshipOver;
        return verdict;
    }

    function _decideRead(Question memory q, PatientState storage patient) private view returns (Verdict memory) {
        uint64 until = _emergencyUntil(q, patient);
        if (q.atTime < until) return _allow(Reason.emergencyOpened, until);
        if (_isRestricted(q, patient)) return _deny(Reason.restricted);
        if (q.home && q.roles & READING_ROLES != 0 && _isCare(q.purpose)) return _allow(Reason.staffTreatment, FOR_EVER);
        return _outsider(q, patient, until);
    }

    function _decideIdentify(Question memory q, PatientState storage patient) private view returns (Verdict memory) {
        bool duty = (q.roles & IDENTITY_ROLES != 0 && _isCare(q.purpose))
            || (q.roles & Roles.DESK != 0 && q.purpose == Purpose.administration);
        if (q.home && duty) return _allow(Reason.staffIdentities, FOR_EVER);
        uint64 until = _emergencyUntil(q, patient);
        if (q.atTime < until) return _allow(Reason.emergencyOpened, until);
        if (_isRestricted(q, patient)) return _deny(Reason.restricted);
        return _outsider(q, patient, until);
    }

    function _outsider(Question memory q, PatientState storage patient, uint64 emergencyUntil)
        private
        view
        returns (Verdict memory verdict)
    {
        verdict = _byGrant(q, patient);
        if (!verdict.allowed && q.purpose == Purpose.emergency && q.roles & Roles.DOCTOR != 0) {
            verdict.reason = emergencyUntil != 0 ? Reason.emergencyOver : Reason.emergencyNotOpened;
        }
    }

    /// What only an office gives: nothing of a patient's own, no grants.
    function _decideDuty(Question memory q) private pure returns (Verdict memory) {
        uint32 needed = 0;
        Reason reason = Reason.none;
        if (q.op == Operation.store || q.op == Operation.correct) {
            (needed, reason) = (Roles.TECHNOLOGIST, Reason.staffStore);
        } else if (q.op == Operation.inventory) {
            (needed, reason) = (Roles.ADMINISTRATOR, Reason.staffInventory);
        } else if (q.op == Operation.trace) {
            (needed, reason) = (TRACE_ROLES, Reason.staffTrace);
        }
        if (q.roles & needed != 0) return q.home ? _allow(reason, FOR_EVER) : _deny(Reason.notOwnStudies);
        if (q.roles & Roles.CUSTODIAN != 0) return _deny(q.home ? Reason.purposeNotAllowed : Reason.notOwnStudies);
        return _deny(Reason.roleNotAllowed);
    }

    /// Grants to the subject itself, to its institution, to its role there or anywhere; for the study or for all.
    function _byGrant(Question memory q, PatientState storage patient) private view returns (Verdict memory) {
        Purpose purpose = q.purpose == Purpose.emergency ? Purpose.treatment : q.purpose;
        bool person = q.kind == IMembers.SubjectKind.person;
        uint32 role = 0; // by which the person uses grants to a role or institution
        if (person) {
            if (q.roles & GRANTABLE == 0) return _deny(Reason.roleNotAllowed);
            if (purpose == Purpose.research) {
                if (q.roles & Roles.RESEARCHER == 0) return _deny(Reason.roleNotAllowed);
                role = Roles.RESEARCHER;
            } else if (q.roles & (GRANTABLE & ~Roles.RESEARCHER) == 0) {
                return _deny(Reason.purposeNotAllowed); // a researcher researches
            } else if (purpose == Purpose.treatment) {
                role = q.roles & Roles.DOCTOR;
            }
        }
        if (purpose == Purpose.administration) return _deny(Reason.purposeNotAllowed);
        if (purpose == Purpose.research && q.op == Operation.identify) return _deny(Reason.identitiesWithheld);

        Verdict memory best = _deny(Reason.notGranted);
        _consider(best, q, patient, TargetKind.subject, q.subject, 0, purpose);
        if (role != 0) {
            _consider(best, q, patient, TargetKind.role, 0, role, purpose);
            _consider(best, q, patient, TargetKind.role, q.institution, role, purpose);
        }
        if (role != 0 || !person) _consider(best, q, patient, TargetKind.institution, q.institution, 0, purpose);
        if (best.allowed && purpose == Purpose.research) best.obligation = Obligation.deidentify;
        return best;
    }

    function _consider(
        Verdict memory best,
        Question memory q,
        PatientState storage patient,
        TargetKind kind,
        bytes32 id,
        uint32 role,
        Purpose purpose
    ) private view {
        _considerScoped(best, q.atTime, patient, keccak256(abi.encode(kind, id, role, bytes32(0), purpose)));
        if (q.scope != 0) _considerScoped(best, q.atTime, patient, keccak256(abi.encode(kind, id, role, q.scope, purpose)));
    }

    /// Keeps the longest allowance, or of the denials the one that says most: expired, revoked, not yet, not granted.
    function _considerScoped(Verdict memory best, uint64 atTime, PatientState storage patient, bytes32 id) private view {
        Grant memory given = patient.grants[id];
        if (given.until == 0) return;
        Reason reason;
        if (given.epoch < patient.facts.voidBelow || given.epoch < patient.grantVoidBelow[id]) {
            reason = Reason.grantRevoked;
        } else if (atTime < given.from) {
            reason = Reason.grantNotYet;
        } else if (atTime >= given.until) {
            reason = Reason.grantExpired;
        } else {
            best.allowed = true;
            best.reason = Reason.granted;
            if (given.until > best.validUntil) best.validUntil = given.until;
            return;
        }
        if (!best.allowed && uint8(reason) > uint8(best.reason)) best.reason = reason;
    }

    /// A question about all of a patient's studies is restricted if any restriction is for one of them.
    function _isRestricted(Question memory q, PatientState storage patient) private view returns (bool) {
        if (patient.facts.restrictions == 0) return false;
        if (q.scope == 0 && patient.facts.scopedRestrictions != 0) return true;
        if (_restricts(q, patient, TargetKind.everyone, 0, 0)) return true;
        if (_restricts(q, patient, TargetKind.subject, q.subject, 0)) return true;
        if (_restricts(q, patient, TargetKind.institution, q.institution, 0)) return true;
        if (q.kind != IMembers.SubjectKind.person) return false;
        for (uint32 role = 1; role <= q.roles; role <<= 1) {
            if (q.roles & role == 0) continue;
            if (_restricts(q, patient, TargetKind.role, 0, role)) return true;
            if (_restricts(q, patient, TargetKind.role, q.institution, role)) return true;
        }
        return false;
    }

    function _restricts(Question memory q, PatientState storage patient, TargetKind kind, bytes32 id, uint32 role)
        private
        view
        returns (bool)
    {
        if (patient.restrictions[keccak256(abi.encode(kind, id, role, bytes32(0)))] & 1 != 0) return true;
        return q.scope != 0 && patient.restrictions[keccak256(abi.encode(kind, id, role, q.scope))] & 1 != 0;
    }

    /// Until when an emergency is or was open for a doctor; 0: never, or the question is not an emergency's.
    function _emergencyUntil(Question memory q, PatientState storage patient) private view returns (uint64) {
        if (q.purpose != Purpose.emergency || q.roles & Roles.DOCTOR == 0) return 0;
        Emergency memory opened = patient.emergencies[q.subject];
        // One that opens only after the time asked about does not count yet.
        return q.atTime < opened.from ? 0 : opened.until;
    }

    function _isCare(Purpose purpose) private pure returns (bool) {
        return purpose == Purpose.treatment || purpose == Purpose.emergency;
    }

    function _neverHad(Reason reason) private pure returns (bool) {
        return reason == Reason.roleNotAllowed || reason == Reason.purposeNotAllowed || reason == Reason.notGranted;
    }

    function _allow(Reason reason, uint64 until) private pure returns (Verdict memory) {
        return Verdict({allowed: true, reason: reason, obligation: Obligation.none, validUntil: until});
    }

    function _deny(Reason reason) private pure returns (Verdict memory) {
        return Verdict({allowed: false, reason: reason, obligation: Obligation.none, validUntil: 0});
    }
}
