// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title Who may see what: the patients' decisions, and the rule itself.
/// @notice A patient is known by (holder, patientKey): the institution that keeps the studies and a pseudonym it made. A
/// patient never written here has controller kind institution and no restriction.
interface IConsents {
    /// What is asked for. The numbers are fixed; a device's `operations` has bit n for operation n.
    enum Operation {
        read, // images and their metadata
        identify, // names and identities, lists of studies; no images
        store,
        correct,
        inventory, // every file as a row: kind, size, state, fingerprint; no name, no pixels
        trace, // who looked
        consent, // grant, restrict, revoke
        ask, // request a right
        breakGlass, // open in an emergency
        erase
    }

    enum Purpose {
        treatment,
        emergency,
        research,
        administration,
        personal
    }

    enum Obligation {
        none,
        deidentify
    }

    enum Reason {
        none, // never answered
        // allowed
        ownRecord, // 1
        guardianship,
        custodian,
        emergencyOpened,
        staffTreatment, // 5
        staffIdentities,
        staffStore,
        staffInventory,
        staffTrace,
        granted, // 10
        mayBreakGlass,
        mayAsk,
        deviceListed,
        institutionItself,
        // denied
        unknownSubject, // 15
        subjectInactive,
        institutionInactive,
        unknownHolder,
        holderInactive,
        locallyDenied, // 20: said by gateways only, never here
        restricted,
        roleNotAllowed,
        purposeNotAllowed,
        notOwnStudies,
        notOwnRecord, // 25
        guardianshipOver,
        deviceNotListed,
        identitiesWithheld,
        emergencyNotOpened,
        emergencyOver, // 30
        notGranted,
        grantNotYet,
        grantRevoked,
        grantExpired
    }

    /// Who decides for a patient: nobody yet (the institution writes what it was told, visibly so), a key that the site
    /// keeps for the patient, or the patient's own wallet.
    enum ControllerKind {
        institution,
        custodial,
        wallet
    }

    /// Whom a grant or restriction is about.
    enum TargetKind {
        everyone, // restrictions only; id 0
        subject, // a person, device (restrictions only) or institution by id
        role, // everyone with `role` at institution `id`, or anywhere with id 0
        institution // doctors, researchers (by purpose) of institution `id`, and its gateway
    }

    struct Target {
        TargetKind kind;
        bytes32 id;
        uint32 role; // one bit of Roles with kind role, else 0
    }

    /// What a decision stands on.
    enum Basis {
        patient, // the patient's own decision
        guardian,
        paper, // written down by the institution
        law
    }

    struct Patient {
        ControllerKind kind;
        uint64 epoch;
        uint64 voidBelow; // grants of a lower epoch are void
        uint32 restrictions; // in force
        uint32 scopedRestrictions; // of those, for one study only
        bytes32 controller; // person id, or 0
    }

    struct Grant {
        uint64 from; // s since 1970
        uint64 until; // exclusive; 0: there is no grant
        uint64 epoch;
        Basis basis;
    }

    struct Emergency {
        uint64 from;
        uint64 until; // exclusive
    }

    enum RequestState {
        none,
        asked,
        accepted,
        refused,
        withdrawn
    }

    struct Request {
        RequestState state;
        uint64 askedAt;
        uint64 answeredAt;
        uint64 until; // until when the right is asked for
        bytes32 asker;
    }

    /// A grant as it is signed (EIP-712 type "Grant").
    struct GrantTerms {
        bytes32 holder;
        bytes32 patientKey;
        Target target;
        bytes32 scope; // scopeRef of one study; 0: all
        Purpose purpose; // treatment, research or personal
        uint64 from; // also the order in which grants under one id were signed
        uint64 until;
        uint64 epoch; // must be the patient's current one
    }

    /// A restriction or its lifting as it is signed (EIP-712 type "Restrict").
    struct RestrictTerms {
        bytes32 holder;
        bytes32 patientKey;
        Target target;
        bytes32 scope; // scopeRef of one study; 0: all
        bool on;
        uint64 serial; // above the last one of this restriction, by at most 2^32
    }

    event ControllerChanged(bytes32 indexed holder, bytes32 indexed patientKey, bytes32 controller, ControllerKind kind, uint64 epoch);
    event GuardianChanged(bytes32 indexed holder, bytes32 indexed patientKey, bytes32 indexed guardian, uint64 until);
    event Granted(
        bytes32 indexed holder,
        bytes32 indexed patientKey,
        bytes32 indexed grantId,
        GrantTerms terms,
        Basis basis,
        bytes32 by
    );
    /// @param grantId 0: all
    /// @param epoch grants of this one and earlier are void
    /// @param current the patient's epoch from now on
    event Revoked(
        bytes32 indexed holder, bytes32 indexed patientKey, bytes32 indexed grantId, uint64 epoch, uint64 current, bytes32 by
    );
    event Restricted(
        bytes32 indexed holder,
        bytes32 indexed patientKey,
        bytes32 indexed restrictionId,
        Target target,
        bytes32 scope,
        bool on,
        uint64 serial,
        bytes32 by
    );
    event Asked(
        bytes32 indexed holder,
        bytes32 indexed patientKey,
        bytes32 indexed requestId,
        bytes32 asker,
        bytes32 scope,
        Purpose purpose,
        uint64 until
    );
    event Answered(bytes32 indexed holder, bytes32 indexed patientKey, bytes32 indexed requestId, bool accepted, bytes32 by);
    event Withdrawn(bytes32 indexed holder, bytes32 indexed patientKey, bytes32 indexed requestId);
    /// @param ground hash of the ground written down at the gateway, salted there
    event EmergencyOpened(
        bytes32 indexed holder, bytes32 indexed patientKey, bytes32 indexed person, uint64 from, uint64 until, bytes32 ground
    );
    event EmergencyClosed(bytes32 indexed holder, bytes32 indexed patientKey, bytes32 indexed person, uint64 atTime);

    error ConsentsUnknownHolder(bytes32 holder);
    error ConsentsZeroPatient();
    error ConsentsNotAllowed(address caller);
    error ConsentsNotController(bytes32 signer);
    error ConsentsBadSignature(bytes32 signer);
    error ConsentsStaleEpoch(uint64 current);
    error ConsentsEpochTooFar(uint64 current);
    error ConsentsStaleGrant(uint64 from);
    error ConsentsStaleSerial(uint64 serial);
    error ConsentsSerialTooFar(uint64 serial);
    error ConsentsSpanInvalid(uint64 from, uint64 until);
    error ConsentsTargetInvalid();
    error ConsentsPurposeInvalid(Purpose purpose);
    error ConsentsControllerInvalid(bytes32 person);
    error ConsentsNotDoctor(bytes32 person);
    error ConsentsRequestState(RequestState state);
    error ConsentsNoEmergency();

    // ---- the rule

    /// May `subject` do `op` with the studies of (holder, patientKey)?
    /// @param subject id in Members of the person, device or institution that asks
    /// @param holder institution that keeps the study
    /// @param scopeRef of the study; 0 asks for all of the patient's
    /// @param atTime time to judge limits by, s since 1970
    /// @return allowed the answer
    /// @return reason why, exactly one
    /// @return obligation what the answer must be changed to before it is given
    /// @return validUntil (exclusive) until when time alone does not change an allowance; 0 for a denial
    function decide(
        bytes32 subject,
        bytes32 holder,
        bytes32 patientKey,
        bytes32 scopeRef,
        Operation op,
        Purpose purpose,
        uint64 atTime
    ) external view returns (bool allowed, Reason reason, Obligation obligation, uint64 validUntil);

    // ---- who decides

    /// From kind institution or custodial, or seven days after the wallet's person was removed: the holder's gateway. From
    /// custodial or wallet: the controller's account. A new controller is an active person of the holder; a wallet needs that
    /// person's key to be the person's own.
    function setController(bytes32 holder, bytes32 patientKey, bytes32 person, ControllerKind kind) external;
    /// By the controller, or the holder's gateway while the kind is not wallet. `until` 0 ends it.
    function setGuardian(bytes32 holder, bytes32 patientKey, bytes32 person, uint64 until) external;
    function patientOf(bytes32 holder, bytes32 patientKey) external view returns (Patient memory);
    function guardianUntil(bytes32 holder, bytes32 patientKey, bytes32 person) external view returns (uint64);

    // ---- grants. By the controller or a guardian, or the holder's gateway while the kind is institution

    function grant(GrantTerms calldata terms) external returns (bytes32 grantId);
    /// By anyone, with the signature of the controller or a guardian (EIP-712, EIP-1271).
    /// @param signer person id of who signed
    function grantBySignature(GrantTerms calldata terms, bytes32 signer, bytes calldata signature)
        external
        returns (bytes32 grantId);
    /// Voids the grant (0: all grants) of epochs up to `epoch`, and moves the patient's epoch beyond it. Idempotent; has no
    /// deadline and cannot be paused: not by making the person inactive or removing it either.
    function revoke(bytes32 holder, bytes32 patientKey, bytes32 grantId, uint64 epoch) external;
    function revokeBySignature(
        bytes32 holder,
        bytes32 patientKey,
        bytes32 grantId,
        uint64 epoch,
        bytes32 signer,
        bytes calldata signature
    ) external;
    function grantOf(bytes32 holder, bytes32 patientKey, bytes32 grantId) external view returns (Grant memory);
    /// @return the epoch below which this one grant is void (patientOf().voidBelow holds for all)
    function grantVoidBelow(bytes32 holder, bytes32 patientKey, bytes32 grantId) external view returns (uint64);
    /// keccak256(abi.encode(target.kind, target.id, target.role, scope, purpose)): one grant stands under it for a patient,
    /// a later one takes its place.
    function grantIdOf(Target calldata target, bytes32 scope, Purpose purpose) external pure returns (bytes32);

    // ---- restrictions. By the same; restricting, like revoking, also by who was made inactive or removed

    function restrict(RestrictTerms calldata terms) external returns (bytes32 restrictionId);
    function restrictBySignature(RestrictTerms calldata terms, bytes32 signer, bytes calldata signature)
        external
        returns (bytes32 restrictionId);
    function restrictionOf(bytes32 holder, bytes32 patientKey, bytes32 restrictionId)
        external
        view
        returns (bool on, uint64 serial);
    /// keccak256(abi.encode(target.kind, target.id, target.role, scope))
    function restrictionIdOf(Target calldata target, bytes32 scope) external pure returns (bytes32);

    // ---- requests

    /// By the asker's account or the gateway of the asker's institution.
    function ask(bytes32 holder, bytes32 patientKey, bytes32 asker, bytes32 scope, Purpose purpose, uint64 until)
        external
        returns (bytes32 requestId);
    /// By whoever may grant. Accepting grants nothing by itself.
    function answer(bytes32 holder, bytes32 patientKey, bytes32 requestId, bool accepted) external;
    /// By whoever may ask for that asker.
    function withdraw(bytes32 holder, bytes32 patientKey, bytes32 requestId) external;
    function requestOf(bytes32 holder, bytes32 patientKey, bytes32 requestId) external view returns (Request memory);
    /// keccak256(abi.encode(asker, scope, purpose))
    function requestIdOf(bytes32 asker, bytes32 scope, Purpose purpose) external pure returns (bytes32);

    // ---- emergencies

    /// Opens a patient's studies for an active doctor. By the doctor's account, the gateway of the doctor's institution or
    /// the holder's. May be written later than it happened. Spans that meet become one; of two that do not, the later stands.
    /// @param until at most MAX_EMERGENCY after `from`
    function openEmergency(bytes32 holder, bytes32 patientKey, bytes32 person, uint64 from, uint64 until, bytes32 ground) external;
    /// By the same, or by whoever may grant.
    function closeEmergency(bytes32 holder, bytes32 patientKey, bytes32 person) external;
    function emergencyOf(bytes32 holder, bytes32 patientKey, bytes32 person) external view returns (Emergency memory);

    function members() external view returns (address);
    function domainSeparator() external view returns (bytes32);
}
