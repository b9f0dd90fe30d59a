// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {EnumerableSet} from "@openzeppelin/contracts/utils/structs/EnumerableSet.sol";
import {IMembers} from "./interfaces/IMembers.sol";

/// @title M of N administration of the consortium, delayed.
abstract contract Consortium is IMembers {
    using EnumerableSet for EnumerableSet.AddressSet;

    uint64 public constant MAX_DELAY = 30 days;

    struct Action {
        address target;
        uint64 readyAt; // 0: not enough approvals yet
        uint32 approvals;
        uint64 epoch; // of the consortium that proposed it
        bytes data;
    }

    EnumerableSet.AddressSet private _administrators;
    uint32 private _threshold;
    uint64 private _delay;
    uint64 private _consortiumEpoch; // a new consortium starts without actions
    mapping(bytes32 id => Action action) private _actions;
    mapping(bytes32 id => mapping(address administrator => bool approved)) private _approved;

    modifier onlyConsortium() {
        if (!actsForConsortium(msg.sender)) revert MembersNotConsortium(msg.sender);
        _;
    }

    modifier onlyConsortiumAdministrator() {
        if (!_administrators.contains(msg.sender)) revert MembersNotConsortium(msg.sender);
        _;
    }

    constructor(address[] memory administrators, uint32 threshold, uint64 delay) {
        _setConsortium(administrators, threshold, delay);
    }

    function actsForConsortium(address caller) public view returns (bool) {
        return caller == address(this) || (_threshold == 1 && _delay == 0 && _administrators.contains(caller));
    }

    function isConsortiumAdministrator(address account) public view returns (bool) {
        return _administrators.contains(account);
    }

    function consortium() external view returns (address[] memory administrators, uint32 threshold, uint64 delay) {
        return (_administrators.values(), _threshold, _delay);
    }

    function propose(address target, bytes calldata data, bytes32 salt)
        external
        onlyConsortiumAdministrator
        returns (bytes32 id)
    {
        if (target == address(0)) revert MembersZeroAddress();
        id = keccak256(abi.encode(target, data, salt, _consortiumEpoch));
        if (_actions[id].target != address(0)) revert MembersIdTaken(id);
        _actions[id] = Action({target: target, readyAt: 0, approvals: 0, epoch: _consortiumEpoch, data: data});
        emit ActionProposed(id, target, data, msg.sender);
        _approve(id);
    }

    function approve(bytes32 id) external onlyConsortiumAdministrator {
        _requireAction(id);
        _approve(id);
    }

    function execute(bytes32 id) external {
        _requireAction(id);
        Action memory action = _actions[id];
        // slither-disable-next-line incorrect-equality
        if (action.readyAt == 0 || block.timestamp < action.readyAt) revert MembersNotReady(action.readyAt);
        delete _actions[id];
        for (uint256 i = 0; i < _administrators.length(); ++i) delete _approved[id][_administrators.at(i)];
        emit ActionExecuted(id);
        (bool done, bytes memory reason) = action.target.call(action.data);
        if (!done) revert MembersActionFailed(id, reason);
    }

    function withdrawApproval(bytes32 id) external onlyConsortiumAdministrator {
        _requireAction(id);
        if (!_approved[id][msg.sender]) revert MembersNotApproved(id, msg.sender);
        delete _approved[id][msg.sender];
        uint32 approvals = _actions[id].approvals - 1;
        _actions[id].approvals = approvals;
        if (approvals < _threshold) _actions[id].readyAt = 0;
        // slither-disable-next-line incorrect-equality
        if (approvals == 0) delete _actions[id];
        emit ActionApprovalWithdrawn(id, msg.sender, approvals);
    }

    function actionOf(bytes32 id)
        external
        view
        returns (address target, bytes memory data, uint32 approvals, uint64 readyAt)
    {
        Action memory action = _actions[id];
        return (action.target, action.data, action.approvals, action.readyAt);
    }

    function setConsortium(address[] calldata administrators, uint32 threshold, uint64 delay) external onlyConsortium {
        _setConsortium(administrators, threshold, delay);
    }

    function _requireAction(bytes32 id) private view {
        if (_actions[id].target == address(0) || _actions[id].epoch != _consortiumEpoch) revert MembersUnknownAction(id);
    }

    function _approve(bytes32 id) private {
        if (_approved[id][msg.sender]) revert MembersAlreadyApproved(id, msg.sender);
        _approved[id][msg.sender] = true;
        Action storage action = _actions[id];
        uint32 approvals = action.approvals + 1;
        action.approvals = approvals;
        // An approval beyond those needed never starts the delay anew.
        if (approvals >= _threshold && action.readyAt == 0) action.readyAt = uint64(block.timestamp) + _delay;
        emit ActionApproved(id, msg.sender, approvals, action.readyAt);
    }

    function _setConsortium(address[] memory administrators, uint32 threshold, uint64 delay) private {
        uint256 count = administrators.length;
        if (threshold == 0 || threshold > count) revert MembersThresholdInvalid(threshold, count);
        if (delay > MAX_DELAY) revert MembersDelayInvalid(delay);
        _administrators.clear();
        for (uint256 i = 0; i < count; ++i) {
            if (administrators[i] == address(0)) revert MembersZeroAddress();
            if (!_administrators.add(administrators[i])) revert MembersAccountTaken(administrators[i]);
        }
        _threshold = threshold;
        _delay = delay;
        ++_consortiumEpoch;
        emit ConsortiumChanged(administrators, threshold, delay);
    }
}
