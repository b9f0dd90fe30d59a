// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Directory} from "../src/Directory.sol";
import {Members} from "../src/Members.sol";
import {Studies} from "../src/Studies.sol";
import {IDirectory} from "../src/interfaces/IDirectory.sol";
import {World} from "./World.sol";

contract DirectoryTest is World {
    function test_setGetRemove() public {
        directory.set("Studies", address(studies));
        IDirectory.Entry memory entry = directory.get("Studies");
        equal(entry.target, address(studies));
        equal(entry.codeHash, address(studies).codehash);
        equal(entry.revision, 1);
        Studies next = new Studies(members);
        directory.set("Studies", address(next));
        equal(directory.get("Studies").revision, 2);
        directory.remove("Studies");
        vm.expectRevert(abi.encodeWithSelector(IDirectory.DirectoryUnknownName.selector, bytes32("Studies")));
        directory.get("Studies");
        vm.expectRevert(abi.encodeWithSelector(IDirectory.DirectoryUnknownName.selector, bytes32("Studies")));
        directory.remove("Studies");
        directory.set("Studies", address(next));
        equal(directory.history("Studies").length, 4);
        equal(directory.names().length, 1);
        equal(directory.members(), address(members));
    }

    function test_RevertWhen_notTheConsortium() public {
        vm.expectRevert(abi.encodeWithSelector(IDirectory.DirectoryNotConsortium.selector, GATEWAY_A));
        vm.prank(GATEWAY_A);
        directory.set("Studies", address(studies));
        vm.expectRevert(abi.encodeWithSelector(IDirectory.DirectoryNoCode.selector, address(9)));
        directory.set("Studies", address(9));
        vm.expectRevert(abi.encodeWithSelector(IDirectory.DirectoryUnknownName.selector, bytes32("Nothing")));
        directory.get("Nothing");
    }

    /// Through the consortium's M of N, as an action of Members.
    function test_byAnExecutedAction() public {
        address[] memory administrators = new address[](2);
        (administrators[0], administrators[1]) = (vm.addr(1), vm.addr(2));
        Members two = new Members(administrators, 2, 0);
        Directory theirs = new Directory(two);
        bytes memory data = abi.encodeCall(IDirectory.set, ("Studies", address(studies)));
        vm.prank(vm.addr(1));
        bytes32 action = two.propose(address(theirs), data, 0);
        vm.expectRevert(abi.encodeWithSelector(IDirectory.DirectoryNotConsortium.selector, vm.addr(1)));
        vm.prank(vm.addr(1));
        theirs.set("Studies", address(studies));
        vm.prank(vm.addr(2));
        two.approve(action);
        two.execute(action);
        equal(theirs.get("Studies").target, address(studies));
    }
}
