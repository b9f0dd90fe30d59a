#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "dimse/association.hpp"
#include "net/runtime.hpp"

namespace fiducial::dimse {

/// An object that is to be sent.
struct OutgoingObject {
    std::string sop_class, sop_instance, transfer_syntax;
    std::uint64_t size = 0;        // bytes of its data set; once it was sent transcoded: of what was sent
    std::optional<Error> error{};  // why it cannot be given: it is not sent
    bool transcoded = false;       // it is not sent as it is
};

/// Objects that are to be sent, one after the other. Blocking: called on a pool's threads, one call at a time.
class OutgoingObjects {
public:
    virtual ~OutgoingObjects() = default;
    /// Goes to the next one. Returns: nothing at the end.
    virtual std::optional<OutgoingObject> next() = 0;
    /// Reads on in its data set. Returns: bytes read, fewer than wanted only at its end. Errors: those of whoever gives it.
    virtual Result<std::size_t> read(MutableByteView out) = 0;
};

/// What became of one: the peer's answer, or why there is none.
struct SentObject {
    const OutgoingObject& object;
    std::optional<std::uint16_t> status;
    std::optional<Error> error;
};

/// On whose behalf objects are sent, where that is a C-MOVE. Spec: PS3.7 §9.1.1.1.7, §9.1.1.1.8
struct MoveOriginator {
    std::string ae_title;
    std::uint16_t message_id = 0;
};

/// Told what became of each object; says whether to go on.
using AfterEach = std::function<net::Task<Result<bool>>(const SentObject& sent)>;

struct StoreOptions {
    std::uint16_t first_message_id = 1;
    std::optional<MoveOriginator> originator{};
};

/// Sends objects by C-STORE, each in a presentation context of its class and transfer syntax, as it is; without one, transcoded
/// (dicom::Transcoding), where the peer takes the class in Explicit or Implicit VR Little Endian or in a compression without loss that is
/// made here; else it is not sent.
/// While one is on its way the next piece is read, and while its answer is waited for the beginning of the next object.
/// `after_each` is told what became of each, in order, and says whether to go on; it may use the association.
/// Spec:    PS3.7 §9.1.1, PS3.4 §B.2.1
/// Returns: when all are done, or after_each wanted no more.
/// Errors:  those of the association, which is over then, and those of after_each. An object that turns out to be unreadable once a part of
///          it is sent ends the association as well (A-ABORT): nothing can make it look complete.
/// Units:   three pieces of 256 KiB in memory
net::Task<Result<void>> send_objects(Association& association, net::BlockingPool& reading, OutgoingObjects& objects,
                                     const StoreOptions& options, const AfterEach& after_each);

}  // namespace fiducial::dimse
