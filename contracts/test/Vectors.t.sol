// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Consents} from "../src/Consents.sol";
import {Members} from "../src/Members.sol";
import {IConsents} from "../src/interfaces/IConsents.sol";
import {IMembers, Roles} from "../src/interfaces/IMembers.sol";
import {Vm} from "./World.sol";

/// Random states, made by real transactions, with random questions and what the contract answers: test/vectors/decide.json, with
/// which src/archive/access/evaluate.cpp is compared. contracts/vectors runs this; VECTORS_SEED and VECTORS_STATES ask for others.
contract VectorsTest {
    Vm private constant vm = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));
    uint256 private constant NOW = 100_000;
    uint256 private constant INSTITUTIONS = 3; // ids 1 to 3, the last not always registered
    uint256 private constant FIRST_PERSON = 11;
    uint256 private constant PEOPLE = 6;
    uint256 private constant FIRST_DEVICE = 31;
    uint256 private constant DEVICES = 3;

    struct GrantName {
        IConsents.Target target;
        bytes32 scope;
        IConsents.Purpose purpose;
    }

    Members private _members;
    Consents private _consents;
    uint256 private _random;
    GrantName[] private _grants;
    GrantName[] private _restrictions;

    /// A run without VECTORS_OUT makes two states and writes nothing.
    function test_vectors() public {
        string memory path = vm.envOr("VECTORS_OUT", string(""));
        uint256 states = vm.envOr("VECTORS_STATES", uint256(2));
        uint256 seed = vm.envOr("VECTORS_SEED", uint256(1));
        bool write = bytes(path).length != 0;
        if (write) vm.writeFile(path, "[\n");
        for (uint256 i = 0; i < states; ++i) {
            string memory state = this.oneState(uint256(keccak256(abi.encode(seed, i))));
            if (write) vm.writeLine(path, string.concat(state, i + 1 == states ? "" : ","));
        }
        if (write) vm.writeLine(path, "]");
    }

    /// External, so that its memory is given back.
    function oneState(uint256 seed) external returns (string memory) {
        _random = seed;
        delete _grants;
        delete _restrictions;
        vm.warp(NOW);
        makeMembers();
        makePatient(1, 51);
        makePatient(2, 52);
        makeInactive();
        return string.concat(
            '{"subjects":[', subjects(), '],\n "patients":[', patient(1, 51), ",", patient(2, 52), '],\n "queries":[', queries(), "]}"
        );
    }

    // ---- chance

    function below(uint256 limit) private returns (uint256) {
        _random = uint256(keccak256(abi.encode(_random)));
        return _random % limit;
    }

    function oneIn(uint256 n) private returns (bool) {
        return below(n) == 0;
    }

    function time() private returns (uint64) {
        return uint64(NOW - 500 + below(1000));
    }

    function scope() private returns (bytes32) {
        return bytes32(oneIn(2) ? uint256(0) : 61 + below(2));
    }

    function role() private returns (uint32) {
        uint32[4] memory frequent = [Roles.DOCTOR, Roles.DOCTOR, Roles.RESEARCHER, Roles.TECHNOLOGIST];
        return oneIn(2) ? frequent[below(4)] : uint32(1 << below(10));
    }

    function anyone() private returns (bytes32) {
        uint256 which = below(14);
        if (which == 0) return bytes32(1 + below(INSTITUTIONS));
        if (which == 1) return bytes32(FIRST_DEVICE + below(DEVICES));
        if (which == 2) return bytes32(uint256(99)); // nobody
        return bytes32(FIRST_PERSON + below(PEOPLE));
    }

    function person() private returns (bytes32) {
        return bytes32(FIRST_PERSON + below(PEOPLE));
    }

    function target(bool everyone) private returns (IConsents.Target memory) {
        uint256 kind = everyone ? below(4) : 1 + below(3);
        if (kind == 0) return IConsents.Target(IConsents.TargetKind.everyone, 0, 0);
        if (kind == 1) return IConsents.Target(IConsents.TargetKind.subject, anyone(), 0);
        bytes32 institution = bytes32(1 + below(INSTITUTIONS));
        if (kind == 2) return IConsents.Target(IConsents.TargetKind.role, oneIn(2) ? bytes32(0) : institution, role());
        return IConsents.Target(IConsents.TargetKind.institution, institution, 0);
    }

    // ---- the state

    function gateway(uint256 institution) private pure returns (address) {
        return address(uint160(0x1000 + institution));
    }

    function makeMembers() private {
        address[] memory administrators = new address[](1);
        administrators[0] = address(this);
        _members = new Members(administrators, 1, 0);
        _consents = new Consents(_members);
        uint256 registered = oneIn(3) ? INSTITUTIONS - 1 : INSTITUTIONS;
        for (uint256 i = 1; i <= registered; ++i) {
            IMembers.Founder[] memory founders = new IMembers.Founder[](1);
            founders[0] = IMembers.Founder(bytes32(4 + i), address(uint160(0x2000 + i)), Roles.ADMINISTRATOR, IMembers.Custody.kept);
            _members.registerInstitution(bytes32(i), gateway(i), 0, "", "", founders);
        }
        for (uint256 i = FIRST_PERSON; i < FIRST_PERSON + PEOPLE; ++i) {
            IMembers.Founder[] memory founders = new IMembers.Founder[](1);
            uint32 roles = oneIn(6) ? 0 : role() | (oneIn(3) ? role() : 0);
            founders[0] = IMembers.Founder(bytes32(i), address(uint160(0x3000 + i)), roles, IMembers.Custody.wallet);
            _members.addFounders(bytes32(1 + below(registered)), founders);
        }
        for (uint256 i = FIRST_DEVICE; i + 1 < FIRST_DEVICE + DEVICES; ++i) {
            uint256 institution = 1 + below(2);
            vm.prank(address(uint160(0x2000 + institution)));
            _members.registerDevice(bytes32(i), bytes32(institution), uint32(below(1 << 10)), 0);
        }
    }

    function makePatient(uint256 holder, uint256 key) private {
        if (oneIn(8)) return; // nobody has written about this one
        uint256 steps = below(40);
        for (uint256 i = 0; i < steps; ++i) {
            uint256 what = below(10);
            if (what < 5) makeGrant(holder, key);
            else if (what == 5) makeRevocation(holder, key);
            else if (what == 6) makeRestriction(holder, key);
            else if (what == 7) makeEmergency(holder, key);
            else if (what == 8) makeGuardian(holder, key);
            else makeEmergency(holder, key);
        }
        if (oneIn(2)) return;
        vm.prank(gateway(holder));
        try _consents.setController(
            bytes32(holder),
            bytes32(key),
            person(),
            oneIn(2) ? IConsents.ControllerKind.custodial : IConsents.ControllerKind.wallet
        ) {} catch {}
    }

    function makeGrant(uint256 holder, uint256 key) private {
        IConsents.Purpose[4] memory purposes = [
            IConsents.Purpose.treatment, IConsents.Purpose.treatment, IConsents.Purpose.research, IConsents.Purpose.personal
        ];
        IConsents.GrantTerms memory given;
        given.holder = bytes32(holder);
        given.patientKey = bytes32(key);
        given.target = target(false);
        given.scope = scope();
        given.purpose = purposes[below(4)];
        given.from = time();
        given.until = oneIn(3) ? uint64(NOW * 2) : given.from + 1 + uint64(below(400));
        given.epoch = _consents.patientOf(given.holder, given.patientKey).epoch;
        vm.prank(gateway(holder));
        try _consents.grant(given) {
            _grants.push(GrantName(given.target, given.scope, given.purpose));
        } catch {}
    }

    function makeRevocation(uint256 holder, uint256 key) private {
        bytes32 grantId = 0;
        if (!oneIn(3) && _grants.length != 0) {
            GrantName memory name = _grants[below(_grants.length)];
            grantId = _consents.grantIdOf(name.target, name.scope, name.purpose);
        }
        uint64 epoch = _consents.patientOf(bytes32(holder), bytes32(key)).epoch;
        vm.prank(gateway(holder));
        _consents.revoke(bytes32(holder), bytes32(key), grantId, oneIn(4) ? uint64(below(epoch + 2)) : epoch);
    }

    function makeRestriction(uint256 holder, uint256 key) private {
        GrantName memory name = GrantName(target(true), scope(), IConsents.Purpose.treatment);
        bytes32 restrictionId = _consents.restrictionIdOf(name.target, name.scope);
        (, uint64 serial) = _consents.restrictionOf(bytes32(holder), bytes32(key), restrictionId);
        vm.prank(gateway(holder));
        _consents.restrict(
            IConsents.RestrictTerms(bytes32(holder), bytes32(key), name.target, name.scope, !oneIn(4), serial + 1)
        );
        _restrictions.push(name);
    }

    function makeEmergency(uint256 holder, uint256 key) private {
        bytes32 who = person();
        uint64 from = time();
        uint64 until = from + 1 + uint64(below(400));
        vm.prank(gateway(holder));
        try _consents.openEmergency(bytes32(holder), bytes32(key), who, from, until, 0) {} catch {}
        if (!oneIn(6)) return;
        vm.prank(gateway(holder));
        try _consents.closeEmergency(bytes32(holder), bytes32(key), who) {} catch {}
    }

    function makeGuardian(uint256 holder, uint256 key) private {
        (bytes32 who, uint64 until) = (person(), time());
        vm.prank(gateway(holder));
        try _consents.setGuardian(bytes32(holder), bytes32(key), who, until) {} catch {}
    }

    function makeInactive() private {
        for (uint256 i = FIRST_PERSON; i < FIRST_PERSON + PEOPLE; ++i) {
            if (!oneIn(10)) continue;
            uint256 institution = uint256(_members.personOf(bytes32(i)).institution);
            vm.prank(address(uint160(0x2000 + institution)));
            if (oneIn(2)) _members.removePerson(bytes32(i));
            else _members.setPersonActive(bytes32(i), false);
        }
        for (uint256 i = 1; i <= INSTITUTIONS; ++i) {
            if (oneIn(12) && _members.institutionOf(bytes32(i)).gateway != address(0)) {
                _members.setInstitutionActive(bytes32(i), false);
            }
        }
    }

    // ---- as text

    function text(uint256 value) private pure returns (string memory) {
        return vm.toString(value);
    }

    function text(bool value) private pure returns (string memory) {
        return value ? "1" : "0";
    }

    function list(string memory a, string memory b) private pure returns (string memory) {
        return bytes(a).length == 0 ? b : string.concat(a, ",", b);
    }

    function subjects() private view returns (string memory all) {
        for (uint256 i = 1; i < FIRST_DEVICE + DEVICES; ++i) {
            IMembers.Subject memory s = _members.subjectOf(bytes32(i));
            if (s.kind == IMembers.SubjectKind.none) continue;
            all = list(
                all,
                string.concat(
                    list(list(string.concat("[", text(i)), text(uint8(s.kind))), list(text(s.active), text(s.institutionActive))),
                    ",",
                    list(text(uint256(s.institution)), list(text(s.roles), text(s.operations))),
                    "]"
                )
            );
        }
    }

    function targetText(IConsents.Target memory t, bytes32 scope_) private pure returns (string memory) {
        return list(list(text(uint8(t.kind)), text(uint256(t.id))), list(text(t.role), text(uint256(scope_))));
    }

    function patient(uint256 holder, uint256 key) private view returns (string memory all) {
        IConsents.Patient memory facts = _consents.patientOf(bytes32(holder), bytes32(key));
        all = string.concat('{"holder":', text(holder), ',"key":', text(key), ',"kind":', text(uint8(facts.kind)));
        all = string.concat(all, ',"controller":', text(uint256(facts.controller)), ',"voidBelow":', text(facts.voidBelow));
        all = string.concat(all, ',"grants":[', grants(bytes32(holder), bytes32(key)), '],"restrictions":[');
        all = string.concat(all, restrictions(bytes32(holder), bytes32(key)), '],"guardians":[');
        string memory guardians;
        string memory emergencies;
        for (uint256 i = FIRST_PERSON; i < FIRST_PERSON + PEOPLE; ++i) {
            uint64 until = _consents.guardianUntil(bytes32(holder), bytes32(key), bytes32(i));
            if (until != 0) guardians = list(guardians, string.concat("[", text(i), ",", text(until), "]"));
            IConsents.Emergency memory e = _consents.emergencyOf(bytes32(holder), bytes32(key), bytes32(i));
            if (e.until == 0) continue;
            emergencies = list(emergencies, string.concat("[", text(i), ",", text(e.from), ",", text(e.until), "]"));
        }
        all = string.concat(all, guardians, '],"emergencies":[', emergencies, "]}");
    }

    function grants(bytes32 holder, bytes32 key) private view returns (string memory all) {
        for (uint256 i = 0; i < _grants.length; ++i) {
            GrantName memory name = _grants[i];
            bytes32 grantId = _consents.grantIdOf(name.target, name.scope, name.purpose);
            IConsents.Grant memory g = _consents.grantOf(holder, key, grantId);
            if (g.until == 0) continue;
            string memory times = list(list(text(g.from), text(g.until)), text(g.epoch));
            times = list(times, text(_consents.grantVoidBelow(holder, key, grantId)));
            string memory head = list(targetText(name.target, name.scope), text(uint8(name.purpose)));
            all = list(all, string.concat("[", head, ",", times, "]"));
        }
    }

    function restrictions(bytes32 holder, bytes32 key) private view returns (string memory all) {
        for (uint256 i = 0; i < _restrictions.length; ++i) {
            GrantName memory name = _restrictions[i];
            (bool on,) = _consents.restrictionOf(holder, key, _consents.restrictionIdOf(name.target, name.scope));
            if (on) all = list(all, string.concat("[", targetText(name.target, name.scope), "]"));
        }
    }

    function queries() private returns (string memory all) {
        for (uint256 i = 0; i < 60; ++i) all = list(all, this.query());
    }

    function query() external returns (string memory) {
        bytes32 subject = anyone();
        bool first = oneIn(2);
        bytes32 holder = bytes32(oneIn(40) ? below(60) : first ? uint256(1) : 2);
        bytes32 key = bytes32(oneIn(10) ? uint256(53) : first ? 51 : 52);
        bytes32 scope_ = scope();
        IConsents.Operation op = oneIn(3) ? IConsents.Operation(below(10)) : IConsents.Operation(below(2));
        uint256 chance = below(8);
        IConsents.Purpose purpose =
            chance < 3 ? IConsents.Purpose.treatment : chance < 5 ? IConsents.Purpose.emergency : IConsents.Purpose(below(5));
        uint64 at_ = time();
        string memory asked = list(list(text(uint256(subject)), text(uint256(holder))), list(text(uint256(key)), text(uint256(scope_))));
        asked = list(asked, list(list(text(uint8(op)), text(uint8(purpose))), text(at_)));
        return string.concat("[", asked, ",", this.answer(subject, holder, key, scope_, op, purpose, at_), "]");
    }

    function answer(
        bytes32 subject,
        bytes32 holder,
        bytes32 key,
        bytes32 scope_,
        IConsents.Operation op,
        IConsents.Purpose purpose,
        uint64 at_
    ) external view returns (string memory) {
        (bool may, IConsents.Reason reason, IConsents.Obligation obligation, uint64 until) =
            _consents.decide(subject, holder, key, scope_, op, purpose, at_);
        string memory ends = until == type(uint64).max ? "-1" : text(until);
        return list(list(text(may), text(uint8(reason))), list(text(uint8(obligation)), ends));
    }
}
