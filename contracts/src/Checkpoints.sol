// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ICheckpoints} from "./interfaces/ICheckpoints.sol";
import {IMembers} from "./interfaces/IMembers.sol";
import {Rfc6962} from "./libraries/Rfc6962.sol";

/// @title See ICheckpoints.
contract Checkpoints is ICheckpoints {
    /// Storage slot 0. An origin belongs to the institution that submits it.
    mapping(bytes32 institution => mapping(bytes32 origin => Checkpoint checkpoint)) private _checkpoints;

    IMembers private immutable _members;

    constructor(IMembers members_) {
        _members = members_;
    }

    function submit(bytes32 origin, uint64 size, bytes32 root, bytes32[] calldata proof) external {
        bytes32 institution = _members.institutionOfGateway(msg.sender);
        if (institution == 0) revert CheckpointsNotGateway(msg.sender);
        if (size == 0) revert CheckpointsEmpty();
        Checkpoint storage kept = _checkpoints[institution][origin];
        uint64 current = kept.size;
        if (size < current) revert CheckpointsStale(current);
        if (current != 0) {
            bytes32 keptRoot = kept.root;
            if (!Rfc6962.verifyConsistency(current, keptRoot, size, root, proof)) {
                revert CheckpointsInconsistent(current, keptRoot);
            }
            if (size == current) return;
        } else if (proof.length != 0) {
            revert CheckpointsInconsistent(0, 0);
        }
        kept.root = root;
        kept.size = size;
        kept.time = uint64(block.timestamp);
        emit CheckpointSubmitted(institution, origin, size, root);
    }

    function checkpointOf(bytes32 institution, bytes32 origin) external view returns (Checkpoint memory) {
        return _checkpoints[institution][origin];
    }

    function members() external view returns (address) {
        return address(_members);
    }
}
