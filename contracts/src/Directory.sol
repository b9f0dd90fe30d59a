// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IDirectory} from "./interfaces/IDirectory.sol";
import {IMembers} from "./interfaces/IMembers.sol";

/// @title See IDirectory.
contract Directory is IDirectory {
    // slither-disable-next-line uninitialized-state
    mapping(bytes32 name => Entry[] entries) private _history;
    bytes32[] private _names;

    IMembers private immutable _members;

    modifier onlyConsortium() {
        if (!_members.actsForConsortium(msg.sender)) revert DirectoryNotConsortium(msg.sender);
        _;
    }

    constructor(IMembers members_) {
        _members = members_;
    }

    function set(bytes32 name, address target) external onlyConsortium {
        if (target.code.length == 0) revert DirectoryNoCode(target);
        Entry[] storage entries = _history[name];
        if (entries.length == 0) _names.push(name);
        uint32 revision = uint32(entries.length) + 1;
        bytes32 codeHash = target.codehash;
        entries.push(Entry({target: target, codeHash: codeHash, fromBlock: uint64(block.number), revision: revision}));
        emit EntrySet(name, target, codeHash, revision);
    }

    function remove(bytes32 name) external onlyConsortium {
        Entry[] storage entries = _history[name];
        uint256 length = entries.length;
        if (length == 0 || entries[length - 1].target == address(0)) revert DirectoryUnknownName(name);
        uint32 revision = uint32(length) + 1;
        entries.push(Entry({target: address(0), codeHash: 0, fromBlock: uint64(block.number), revision: revision}));
        emit EntryRemoved(name, revision);
    }

    function get(bytes32 name) external view returns (Entry memory) {
        Entry[] storage entries = _history[name];
        uint256 length = entries.length;
        if (length == 0 || entries[length - 1].target == address(0)) revert DirectoryUnknownName(name);
        return entries[length - 1];
    }

    function history(bytes32 name) external view returns (Entry[] memory) {
        return _history[name];
    }

    function names() external view returns (bytes32[] memory) {
        return _names;
    }

    function members() external view returns (address) {
        return address(_members);
    }
}
