// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ICheckpoints} from "../src/interfaces/ICheckpoints.sol";
import {Rfc6962} from "../src/libraries/Rfc6962.sol";
import {World} from "./World.sol";

/// The trees and proofs of RFC 6962 §2.1, straight from its recursive definitions.
library Tree {
    function leaf(uint256 n) internal pure returns (bytes32) {
        return sha256(abi.encodePacked(hex"00", n));
    }

    function split(uint256 n) private pure returns (uint256 k) {
        k = 1;
        while (k * 2 < n) k *= 2;
    }

    function root(uint256 from, uint256 to) internal pure returns (bytes32) {
        if (to - from == 1) return leaf(from);
        uint256 k = split(to - from);
        return sha256(abi.encodePacked(hex"01", root(from, from + k), root(from + k, to)));
    }

    function path(uint256 m, uint256 from, uint256 to) internal pure returns (bytes32[] memory) {
        if (to - from == 1) return new bytes32[](0);
        uint256 k = split(to - from);
        if (m < k) return append(path(m, from, from + k), root(from + k, to));
        return append(path(m - k, from + k, to), root(from, from + k));
    }

    function consistency(uint256 m, uint256 n) internal pure returns (bytes32[] memory) {
        return subproof(m, 0, n, true);
    }

    function subproof(uint256 m, uint256 from, uint256 to, bool whole) private pure returns (bytes32[] memory) {
        if (m == to - from) return whole ? new bytes32[](0) : append(new bytes32[](0), root(from, to));
        uint256 k = split(to - from);
        if (m <= k) return append(subproof(m, from, from + k, whole), root(from + k, to));
        return append(subproof(m - k, from + k, to, false), root(from, from + k));
    }

    function append(bytes32[] memory list, bytes32 last) private pure returns (bytes32[] memory longer) {
        longer = new bytes32[](list.length + 1);
        for (uint256 i = 0; i < list.length; ++i) longer[i] = list[i];
        longer[list.length] = last;
    }
}

contract CheckpointsTest is World {
    bytes32 private constant ORIGIN = keccak256("origin");

    function submit(uint64 size, bytes32 root, bytes32[] memory proof) private {
        vm.prank(GATEWAY_A);
        checkpoints.submit(ORIGIN, size, root, proof);
    }

    // calldata for the library
    function inclusion(bytes32 root, uint64 size, bytes32 leaf, uint64 index, bytes32[] calldata path)
        external
        pure
        returns (bool)
    {
        return Rfc6962.verifyInclusion(root, size, leaf, index, path);
    }

    function consistency(uint64 m, bytes32 oldRoot, uint64 n, bytes32 newRoot, bytes32[] calldata proof)
        external
        pure
        returns (bool)
    {
        return Rfc6962.verifyConsistency(m, oldRoot, n, newRoot, proof);
    }

    function test_everyInclusionUpTo17_RFC6962() public view {
        for (uint64 n = 1; n <= 17; ++n) {
            bytes32 root = Tree.root(0, n);
            for (uint64 m = 0; m < n; ++m) {
                bytes32[] memory path = Tree.path(m, 0, n);
                isTrue(this.inclusion(root, n, Tree.leaf(m), m, path));
                equal(this.inclusion(root, n, Tree.leaf(m + 1), m, path), false);
                equal(this.inclusion(root, n, Tree.leaf(m), n, path), false);
            }
        }
    }

    function test_everyConsistencyUpTo17_RFC6962() public view {
        for (uint64 n = 1; n <= 17; ++n) {
            bytes32 root = Tree.root(0, n);
            for (uint64 m = 1; m <= n; ++m) {
                bytes32[] memory proof = Tree.consistency(m, n);
                isTrue(this.consistency(m, Tree.root(0, m), n, root, proof));
                equal(this.consistency(m, Tree.root(1, m + 1), n, root, proof), false);
                equal(this.consistency(m, Tree.root(0, m), n, Tree.root(1, n + 1), proof), false);
            }
        }
        equal(this.consistency(0, 0, 1, Tree.root(0, 1), new bytes32[](0)), false);
    }

    function testFuzz_changedProofsAreRefused(uint8 a, uint8 b, uint8 which, uint256 change) public view {
        uint64 m = uint64(a % 40) + 1;
        uint64 n = m + 1 + uint64(b % 40);
        bytes32[] memory proof = Tree.consistency(m, n);
        vm.assume(change != 0 && proof.length != 0);
        proof[which % proof.length] ^= bytes32(change);
        equal(this.consistency(m, Tree.root(0, m), n, Tree.root(0, n), proof), false);
        equal(this.consistency(m, Tree.root(0, m), n, Tree.root(0, n), new bytes32[](0)), false);
        proof = Tree.consistency(m, n);
        bytes32[] memory longer = new bytes32[](proof.length + 1);
        for (uint256 i = 0; i < proof.length; ++i) longer[i] = proof[i];
        equal(this.consistency(m, Tree.root(0, m), n, Tree.root(0, n), longer), false);
    }

    function test_logGrows() public {
        submit(3, Tree.root(0, 3), new bytes32[](0));
        submit(7, Tree.root(0, 7), Tree.consistency(3, 7));
        submit(7, Tree.root(0, 7), new bytes32[](0)); // again: nothing happens
        submit(64, Tree.root(0, 64), Tree.consistency(7, 64));
        ICheckpoints.Checkpoint memory kept = checkpoints.checkpointOf(HOSPITAL_A, ORIGIN);
        equal(kept.size, 64);
        equal(kept.root, Tree.root(0, 64));
        equal(kept.time, NOW);
        equal(checkpoints.checkpointOf(HOSPITAL_B, ORIGIN).size, 0);
    }

    function refused(bytes memory error, uint64 size, bytes32 root, bytes32[] memory proof) private {
        vm.expectRevert(error);
        vm.prank(GATEWAY_A);
        checkpoints.submit(ORIGIN, size, root, proof);
    }

    function test_RevertWhen_logIsRewritten() public {
        bytes32[] memory none = new bytes32[](0);
        submit(3, Tree.root(0, 3), none);
        bytes memory inconsistent =
            abi.encodeWithSelector(ICheckpoints.CheckpointsInconsistent.selector, 3, Tree.root(0, 3));
        refused(inconsistent, 3, Tree.root(1, 4), none);
        refused(inconsistent, 7, Tree.root(1, 8), Tree.consistency(3, 7));
        refused(inconsistent, 7, Tree.root(0, 7), none);
        refused(abi.encodeWithSelector(ICheckpoints.CheckpointsStale.selector, 3), 2, Tree.root(0, 2), none);
    }

    function test_RevertWhen_firstIsNotWellFormed() public {
        refused(abi.encodeWithSelector(ICheckpoints.CheckpointsEmpty.selector), 0, sha256(""), new bytes32[](0));
        bytes memory inconsistent = abi.encodeWithSelector(ICheckpoints.CheckpointsInconsistent.selector, 0, bytes32(0));
        refused(inconsistent, 3, Tree.root(0, 3), new bytes32[](1));
        bytes32 root = Tree.root(0, 1);
        vm.expectRevert(abi.encodeWithSelector(ICheckpoints.CheckpointsNotGateway.selector, address(this)));
        checkpoints.submit(ORIGIN, 1, root, new bytes32[](0));
        equal(checkpoints.members(), address(members));
    }
}
