// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IMembers} from "./interfaces/IMembers.sol";
import {IStudies} from "./interfaces/IStudies.sol";

/// @title See IStudies.
contract Studies is IStudies {
    uint256 private constant MAX_BATCH = 256;
    bytes32 private constant RECORD_TAG = "fid.record1";

    /// Storage slot 0, for ever: evidence proves slots of this mapping.
    mapping(bytes32 key => bytes32 record) private _anchors;

    IMembers private immutable _members;

    constructor(IMembers members_) {
        _members = members_;
    }

    function anchor(StudyRecord[] calldata items) external returns (uint256 anchored) {
        uint256 size = items.length;
        if (size == 0 || size > MAX_BATCH) revert StudiesBatchSize(size);
        bytes32 institution = _members.institutionOfGateway(msg.sender);
        if (institution == 0) revert StudiesNotGateway(msg.sender);
        for (uint256 i = 0; i < size; ++i) {
            if (_anchorOne(institution, items[i])) ++anchored;
        }
    }

    function recordOf(bytes32 institution, bytes32 studyKey, uint64 version) external view returns (bytes32) {
        return _anchors[_key(institution, studyKey, version)];
    }

    function hashRecord(bytes32 institution, StudyRecord calldata item) external view returns (bytes32) {
        return _hash(institution, item);
    }

    function slotOf(bytes32 institution, bytes32 studyKey, uint64 version) external pure returns (bytes32) {
        return keccak256(abi.encode(_key(institution, studyKey, version), uint256(0)));
    }

    function members() external view returns (address) {
        return address(_members);
    }

    function _anchorOne(bytes32 institution, StudyRecord calldata item) private returns (bool) {
        bytes32 studyKey = item.studyKey;
        uint64 version = item.version;
        bytes32 record = _hash(institution, item);
        bytes32 key = _key(institution, studyKey, version);
        bytes32 found = _anchors[key];
        SkipReason reason = SkipReason.none;
        if (found != 0) {
            reason = found == record ? SkipReason.alreadyAnchored : SkipReason.otherRecord;
        } else if (version == 0 || (version == 1 && item.previous != 0)) {
            reason = SkipReason.invalidVersion;
        } else if (version > 1) {
            found = _anchors[_key(institution, studyKey, version - 1)];
            if (found == 0 || found != item.previous) reason = SkipReason.missingPredecessor;
        }
        if (reason != SkipReason.none) {
            emit StudySkipped(institution, studyKey, version, record, reason, found);
            return false;
        }
        _anchors[key] = record;
        emit StudyAnchored(institution, studyKey, version, record);
        return true;
    }

    function _key(bytes32 institution, bytes32 studyKey, uint64 version) private pure returns (bytes32) {
        return keccak256(abi.encode(institution, studyKey, version));
    }

    /// All parts are static, so the encoding is injective.
    function _hash(bytes32 institution, StudyRecord calldata item) private view returns (bytes32) {
        return keccak256(abi.encode(RECORD_TAG, block.chainid, address(this), institution, item));
    }
}
