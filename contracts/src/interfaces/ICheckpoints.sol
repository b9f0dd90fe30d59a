// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title Checkpoints of the institutions' audit logs (RFC 6962, SHA-256).
/// @notice A log can only grow: each checkpoint comes with a consistency proof that is checked here.
interface ICheckpoints {
    struct Checkpoint {
        bytes32 root;
        uint64 size; // entries; 0: none yet
        uint64 time; // s since 1970, of the block
    }

    event CheckpointSubmitted(bytes32 indexed institution, bytes32 indexed origin, uint64 size, bytes32 root);

    error CheckpointsNotGateway(address caller);
    error CheckpointsStale(uint64 current);
    error CheckpointsInconsistent(uint64 current, bytes32 root);
    error CheckpointsEmpty();

    /// The same checkpoint again is a success without an event.
    /// @param origin H of the log's origin line
    /// @param proof RFC 6962 §2.1.2 (RFC 9162 §2.1.4) from the checkpoint kept here; empty for the first one
    function submit(bytes32 origin, uint64 size, bytes32 root, bytes32[] calldata proof) external;
    function checkpointOf(bytes32 institution, bytes32 origin) external view returns (Checkpoint memory);
    function members() external view returns (address);
}
