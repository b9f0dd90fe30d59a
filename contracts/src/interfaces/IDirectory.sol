// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title Where the contracts are.
/// @notice A hint only: gateways pin address and code hash, and follow a change after their operator accepts it.
interface IDirectory {
    struct Entry {
        address target;
        bytes32 codeHash; // keccak256 of the deployed code
        uint64 fromBlock; // entry valid from this block on
        uint32 revision; // from 1
    }

    event EntrySet(bytes32 indexed name, address indexed target, bytes32 codeHash, uint32 revision);
    event EntryRemoved(bytes32 indexed name, uint32 revision);

    error DirectoryNotConsortium(address caller);
    error DirectoryNoCode(address target);
    error DirectoryUnknownName(bytes32 name);

    /// @param name ASCII, left aligned: "Members", "Studies", "Consents", "Checkpoints". Consortium only.
    function set(bytes32 name, address target) external;
    /// Consortium only.
    function remove(bytes32 name) external;
    /// Reverts with DirectoryUnknownName where there is none.
    function get(bytes32 name) external view returns (Entry memory);
    /// Every entry a name ever had, oldest first; a removal is one without target.
    function history(bytes32 name) external view returns (Entry[] memory);
    function names() external view returns (bytes32[] memory);
    function members() external view returns (address);
}
