// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title The fingerprints of studies, one write-once storage slot for each version.
/// @notice Spec: docs/formats: record, slot. All values are pseudonymous: without the off-chain secrets they name nobody.
interface IStudies {
    struct StudyRecord {
        bytes32 studyKey;
        uint64 version; // from 1
        bytes32 previous; // record of version - 1; 0 for version 1
        bytes32 root; // RFC 6962 root over the leaves of the instances
        uint32 count; // instances
        bytes32 patientRef;
        bytes32 meta;
        bytes32 uploads;
        uint16 format; // 1
        uint16 reasons; // bits: new, added, corrected, removed, erased
    }

    enum SkipReason {
        none,
        alreadyAnchored, // the slot holds this very record: a success for whoever sends it again
        otherRecord, // the slot holds another record: an incident
        missingPredecessor, // the slot of version - 1 does not hold `previous`
        invalidVersion // version 0, or version 1 with a predecessor
    }

    event StudyAnchored(bytes32 indexed institution, bytes32 indexed studyKey, uint64 version, bytes32 record);
    /// @param found what the slot holds (otherRecord, alreadyAnchored) or what the slot before holds (missingPredecessor)
    event StudySkipped(
        bytes32 indexed institution, bytes32 indexed studyKey, uint64 version, bytes32 record, SkipReason reason, bytes32 found
    );

    error StudiesNotGateway(address caller);
    error StudiesBatchSize(uint256 size);

    /// Anchors 1 to 256 records for the institution whose gateway calls. A stale item is skipped with an event and never
    /// keeps the others from being anchored.
    /// @return anchored how many were written
    function anchor(StudyRecord[] calldata items) external returns (uint256 anchored);

    /// @return the record anchored there, or 0
    function recordOf(bytes32 institution, bytes32 studyKey, uint64 version) external view returns (bytes32);
    /// @return the record as this contract hashes it, bound to the chain, this address and the institution
    function hashRecord(bytes32 institution, StudyRecord calldata item) external view returns (bytes32);
    /// @return the storage slot of a version: keccak256(key ‖ 0), key = keccak256(abi.encode(institution, studyKey, version))
    function slotOf(bytes32 institution, bytes32 studyKey, uint64 version) external pure returns (bytes32);
    /// @return the address of Members, fixed for ever
    function members() external view returns (address);
}
