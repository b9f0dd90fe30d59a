// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// What a person may be, as bits. A person without any bit counts as a patient.
library Roles {
    uint32 internal constant DOCTOR = 1 << 0;
    uint32 internal constant TECHNOLOGIST = 1 << 1;
    uint32 internal constant DESK = 1 << 2;
    uint32 internal constant PRIVACY_OFFICER = 1 << 3;
    uint32 internal constant AUDITOR = 1 << 4;
    uint32 internal constant SECURITY_OFFICER = 1 << 5;
    uint32 internal constant RESEARCHER = 1 << 6;
    uint32 internal constant ADMINISTRATOR = 1 << 7;
    uint32 internal constant CUSTODIAN = 1 << 8;
    uint32 internal constant PATIENT = 1 << 9;
    uint32 internal constant ALL = (1 << 10) - 1;
}

/// @title Who there is: institutions, their people and devices, and who administers the consortium.
/// @notice Ids are random 32-byte values made off chain; none is derived from a name. A person belongs to one institution
/// and has one id there; the account behind the id can change without any right being lost.
interface IMembers {
    enum SubjectKind {
        none,
        person,
        device,
        institution
    }

    /// Who holds the key of a person's account: the site for them, or the person alone.
    enum Custody {
        kept,
        wallet
    }

    struct Institution {
        address gateway; // account that anchors and writes for patients who have no key
        bool active;
        uint64 since; // s since 1970
        bytes32 certificateHash; // SHA-256 of the gateway's TLS certificate (DER)
        string name; // of the institution, as shown to people
        string endpoint; // https URL of its gateway
    }

    struct Person {
        bytes32 institution;
        address account; // 0: none
        uint32 roles; // bits of Roles
        bool active;
        Custody custody;
        uint40 removedAt; // s since 1970; for ever. 0: not removed
    }

    struct Device {
        bytes32 institution;
        bytes32 certificateHash; // 0: known by its listed address only
        uint32 operations; // bit n: Operation n of IConsents
        bool active;
    }

    /// What deciding needs to know about anyone who may ask.
    struct Subject {
        SubjectKind kind;
        bool active; // itself
        bool institutionActive;
        bytes32 institution; // its own id for an institution
        uint32 roles; // people only
        uint32 operations; // devices only
    }

    struct Founder {
        bytes32 id;
        address account;
        uint32 roles;
        Custody custody;
    }

    event InstitutionRegistered(bytes32 indexed institution, address indexed gateway, string name);
    event InstitutionEndpointChanged(bytes32 indexed institution, string endpoint, bytes32 certificateHash);
    event InstitutionGatewayChanged(bytes32 indexed institution, address indexed gateway, address previous);
    event InstitutionActivityChanged(bytes32 indexed institution, bool active);
    event PersonRegistered(bytes32 indexed person, bytes32 indexed institution, address account, uint32 roles, Custody custody);
    event PersonRolesChanged(bytes32 indexed person, uint32 roles, uint32 previous);
    event PersonActivityChanged(bytes32 indexed person, bool active);
    event PersonAccountChanged(bytes32 indexed person, address indexed account, address previous, Custody custody);
    event PersonAccountProposed(bytes32 indexed person, address indexed account, uint64 readyAt);
    event PersonAccountProposalCancelled(bytes32 indexed person);
    event PersonRemoved(bytes32 indexed person);
    event CustodianProposed(bytes32 indexed person, bytes32 indexed administrator);
    event CustodianAppointed(bytes32 indexed person, bytes32 indexed firstAdministrator, bytes32 indexed secondAdministrator);
    event DeviceRegistered(bytes32 indexed device, bytes32 indexed institution, uint32 operations, bytes32 certificateHash);
    event DeviceChanged(bytes32 indexed device, uint32 operations, bytes32 certificateHash, bool active);
    event DeviceRemoved(bytes32 indexed device);
    event ConsortiumChanged(address[] administrators, uint32 threshold, uint64 delay);
    event ActionProposed(bytes32 indexed action, address indexed target, bytes data, address indexed by);
    event ActionApproved(bytes32 indexed action, address indexed by, uint32 approvals, uint64 readyAt);
    event ActionExecuted(bytes32 indexed action);
    /// @param approvals that are left; 0: the action is gone
    event ActionApprovalWithdrawn(bytes32 indexed action, address indexed by, uint32 approvals);

    error MembersNotConsortium(address caller);
    error MembersNotAdministrator(bytes32 institution, address caller);
    error MembersNotAllowed(address caller);
    error MembersIdTaken(bytes32 id);
    error MembersZeroId();
    error MembersZeroAddress();
    error MembersAccountTaken(address account);
    error MembersUnknownInstitution(bytes32 id);
    error MembersInactiveInstitution(bytes32 id);
    error MembersUnknownPerson(bytes32 id);
    error MembersUnknownDevice(bytes32 id);
    error MembersRolesInvalid(uint32 roles);
    error MembersCustodianNeedsTwo(bytes32 person);
    error MembersNotProposed(bytes32 person);
    error MembersSameAdministrator(bytes32 administrator);
    error MembersNotReady(uint64 readyAt);
    error MembersThresholdInvalid(uint32 threshold, uint256 administrators);
    error MembersDelayInvalid(uint64 delay);
    error MembersUnknownAction(bytes32 action);
    error MembersAlreadyApproved(bytes32 action, address by);
    error MembersNotApproved(bytes32 action, address by);
    error MembersActionFailed(bytes32 action, bytes reason);

    // ---- consortium administration: M of N, delayed

    /// Where M = 1 and the delay is 0, the one administrator may call what is the consortium's directly.
    /// @return whether `caller` acts for the consortium: this contract itself (an executed action) or such an administrator
    function actsForConsortium(address caller) external view returns (bool);
    function isConsortiumAdministrator(address account) external view returns (bool);
    function consortium() external view returns (address[] memory administrators, uint32 threshold, uint64 delay);

    /// Proposes a call and approves it. Consortium administrators only.
    /// @param salt tells apart equal calls
    /// @return action its id: keccak256(abi.encode(target, data, salt, epoch of the consortium))
    function propose(address target, bytes calldata data, bytes32 salt) external returns (bytes32 action);
    function approve(bytes32 action) external;
    /// Runs an action that has M approvals, `delay` seconds after the last of them needed. Anyone may call.
    function execute(bytes32 action) external;
    /// Takes back one's own approval. With fewer than M left the delay starts anew at the next M-th; with none the action is gone.
    /// Nobody can take back another's: less than M of N neither do nor prevent anything.
    function withdrawApproval(bytes32 action) external;
    function actionOf(bytes32 action) external view returns (address target, bytes memory data, uint32 approvals, uint64 readyAt);
    /// Replaces the consortium's administrators. Actions under way are void afterwards. Consortium only.
    /// @param delay in seconds, 30 days at most
    function setConsortium(address[] calldata administrators, uint32 threshold, uint64 delay) external;

    // ---- institutions

    /// Registers an institution with its gateway and first people (who may be custodians at once). Consortium only.
    function registerInstitution(
        bytes32 id,
        address gateway,
        bytes32 certificateHash,
        string calldata name,
        string calldata endpoint,
        Founder[] calldata founders
    ) external;
    /// Adds people to an institution that has lost its administrators. Consortium only.
    function addFounders(bytes32 institution, Founder[] calldata founders) external;
    /// Activating is the consortium's; deactivating is open to each of its administrators at once.
    function setInstitutionActive(bytes32 institution, bool active) external;
    /// Institution's administrator or consortium.
    function setGateway(bytes32 institution, address gateway) external;
    /// Institution's administrator or consortium.
    function setEndpoint(bytes32 institution, string calldata endpoint, bytes32 certificateHash) external;
    function institutionOf(bytes32 id) external view returns (Institution memory);
    /// @return the active institution whose gateway `account` is, or 0
    function institutionOfGateway(address account) external view returns (bytes32);
    function institutionCount() external view returns (uint256);
    function institutionAt(uint256 index) external view returns (bytes32);

    // ---- people

    /// By an administrator of the institution; by its gateway where `roles` is 0 or PATIENT alone.
    /// @param account 0, or one that no other person of the institution has
    /// @param roles without CUSTODIAN, which needs two administrators
    function registerPerson(bytes32 id, bytes32 institution, address account, uint32 roles, Custody custody) external;
    /// By an administrator. The custodian bit can be taken away here, not given.
    function setRoles(bytes32 person, uint32 roles) external;
    /// By an administrator.
    function setPersonActive(bytes32 person, bool active) external;
    /// For ever: neither id nor account is used again at this institution. The account can still take away what the person gave
    /// as a patient or guardian (revoke, restrict), and nothing else. By an administrator.
    function removePerson(bytes32 person) external;
    /// First of two administrators of different voices who make someone custodian.
    function proposeCustodian(bytes32 person) external;
    /// Second of them.
    function appointCustodian(bytes32 person) external;
    /// An administrator whom the consortium made (a founder) has a voice of its own; one whom another administrator made speaks
    /// with that one's, so that nobody makes up the second of two.
    /// @return the person whose voice an administrator speaks with
    function voiceOf(bytes32 administrator) external view returns (bytes32);
    /// The person's own account hands over to `account`, at once.
    function rotateAccount(bytes32 person, address account, Custody custody) external;
    /// An administrator sets the account: at once where the site keeps the key or there is none; where the person has it
    /// alone, is custodian, or is an administrator of another voice, the new account can take over after RECOVERY_DELAY, and the
    /// old one or any administrator can cancel until then.
    function recoverAccount(bytes32 person, address account, Custody custody) external;
    function acceptAccount(bytes32 person) external;
    function cancelRecovery(bytes32 person) external;
    function personOf(bytes32 id) external view returns (Person memory);
    function accountOf(bytes32 person) external view returns (address);
    /// @return the person of that institution who has this account, or 0
    function personAt(bytes32 institution, address account) external view returns (bytes32);
    /// @return the same if that person is active, else 0
    function activePersonAt(bytes32 institution, address account) external view returns (bytes32);

    // ---- devices: by an administrator

    function registerDevice(bytes32 id, bytes32 institution, uint32 operations, bytes32 certificateHash) external;
    function setDevice(bytes32 device, uint32 operations, bytes32 certificateHash, bool active) external;
    function removeDevice(bytes32 device) external;
    function deviceOf(bytes32 id) external view returns (Device memory);

    // ---- for deciding

    function subjectOf(bytes32 id) external view returns (Subject memory);
}
