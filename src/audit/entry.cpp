#include "audit/entry.hpp"

#include "crypto/aead.hpp"
#include "crypto/hash.hpp"

namespace fiducial::audit {
namespace {

constexpr std::string_view kTag = "fid.entry1";
constexpr std::size_t kLongestAddress = 255;
constexpr std::size_t kLongestSealed = 512;
constexpr std::uint8_t kStaff = 1;  // bits of the byte that says which parts follow, and the parts' names in associated data
constexpr std::uint8_t kPatient = 2;

/// A part is bound to the clear fields of its entry, to its place there and to the name of its key.
Bytes associated_of(ByteView clear, std::uint8_t part, const Bytes32& key_id) {
    Bytes associated = to_bytes(clear);
    associated.push_back(part);
    append(associated, key_id);
    return associated;
}

Result<void> append_part(Bytes& out, ByteView clear, std::uint8_t part, std::string_view name, const PartKey& key,
                         const crypto::Secret& plain) {
    if (key.key == nullptr || key.key->size() != 32) {
        return fail(ErrorCode::invalid_argument, "trace entry: the " + std::string(name) + " part needs a key of 32 bytes");
    }
    append(out, key.id);
    append_lp(out, crypto::seal_small(key.key->view(), associated_of(clear, part, key.id), plain.view()));
    return {};
}

crypto::Secret plain_of(const StaffPart& staff) {
    crypto::Secret plain(staff.subject.size() + 1 + staff.remote_address.size());
    MutableByteView out = plain.bytes();
    std::memcpy(out.data(), staff.subject.data(), 32);
    out[32] = static_cast<std::uint8_t>(staff.remote_address.size());
    std::memcpy(out.data() + 33, staff.remote_address.data(), staff.remote_address.size());
    return plain;
}
crypto::Secret plain_of(const PatientPart& patient) {
    crypto::Secret plain(96);
    std::memcpy(plain.bytes().data(), patient.patient_key.data(), 32);
    std::memcpy(plain.bytes().data() + 32, patient.study_key.data(), 32);
    std::memcpy(plain.bytes().data() + 64, patient.object.data(), 32);
    return plain;
}

Bytes clear_of(const Entry& entry) {
    Bytes clear;
    clear.push_back(static_cast<std::uint8_t>(kTag.size()));
    append(clear, as_bytes(kTag));
    append_be(clear, static_cast<std::uint64_t>(entry.time.time_since_epoch().count()));
    clear.push_back(entry.operation);
    clear.push_back(entry.purpose);
    clear.push_back(entry.allowed ? 1 : 0);
    append_be(clear, entry.reason);
    clear.push_back(entry.obligation);
    append_be(clear, entry.block_number);
    append(clear, entry.block_hash);
    append_be(clear, entry.flags);
    append_be(clear, entry.result);
    clear.push_back(static_cast<std::uint8_t>((entry.staff ? kStaff : 0) | (entry.patient ? kPatient : 0)));
    return clear;
}
constexpr std::size_t kClearSize = 1 + 10 + 8 + 1 + 1 + 1 + 2 + 1 + 8 + 32 + 4 + 2 + 1;

Result<void> check_tag(ByteReader& reader) {
    FID_TRY(const auto size, reader.u8("trace entry: tag length"));
    FID_TRY(const auto tag, reader.take(size, "trace entry: tag"));
    if (as_text(tag) == kTag) return {};
    if (as_text(tag).starts_with("fid.entry")) return fail(ErrorCode::unsupported, "trace entry: of a later version");
    return fail(ErrorCode::malformed, "trace entry: not an entry");
}

Result<SealedPart> read_part(ByteReader& reader, std::string_view name) {
    SealedPart part;
    FID_TRY(part.key_id, reader.array<32>("trace entry: " + std::string(name) + " key id"));
    FID_TRY(const auto sealed, reader.take_lp("trace entry: " + std::string(name) + " part"));
    if (sealed.size() > kLongestSealed)
        return fail(ErrorCode::limit_exceeded, "trace entry: the " + std::string(name) + " part is too long");
    part.sealed = to_bytes(sealed);
    return part;
}

Result<crypto::Secret> open_part(const std::optional<SealedPart>& part, std::uint8_t which, std::string_view name, ByteView entry,
                                 const crypto::Secret& key) {
    if (!part) return fail(ErrorCode::not_found, "trace entry: it has no " + std::string(name) + " part");
    if (key.size() != 32) return fail(ErrorCode::invalid_argument, "trace entry: a part's key has 32 bytes");
    auto plain = crypto::open_small(key.view(), associated_of(entry.first(kClearSize), which, part->key_id), part->sealed);
    if (!plain) return fail(ErrorCode::corrupt, "trace entry: the key does not open the " + std::string(name) + " part");
    return plain;
}

}  // namespace

Result<Bytes> encode_entry(const Entry& entry, const EntryKeys& keys) {
    if (entry.time.time_since_epoch().count() < 0) return fail(ErrorCode::invalid_argument, "trace entry: its time is before 1970");
    Bytes out = clear_of(entry);
    const Bytes clear = out;
    if (entry.staff) {
        if (entry.staff->remote_address.size() > kLongestAddress)
            return fail(ErrorCode::invalid_argument, "trace entry: the remote address is too long");
        FID_CHECK(append_part(out, clear, kStaff, "staff", keys.staff, plain_of(*entry.staff)));
    }
    if (entry.patient) {
        FID_CHECK(append_part(out, clear, kPatient, "patient", keys.patient, plain_of(*entry.patient)));
    }
    return out;
}

Result<StoredEntry> decode_entry(ByteView bytes) {
    if (bytes.size() > kLongestEntry)
        return fail(ErrorCode::limit_exceeded, "trace entry: longer than " + std::to_string(kLongestEntry) + " bytes");
    ByteReader reader(bytes);
    FID_CHECK(check_tag(reader));
    StoredEntry stored;
    Entry& entry = stored.clear;
    FID_TRY(const auto time, reader.u64("trace entry: time"));
    if (time > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()))
        return fail(ErrorCode::malformed, "trace entry: time is out of range");
    entry.time = SystemTime(std::chrono::milliseconds(time));
    FID_TRY(entry.operation, reader.u8("trace entry: operation"));
    FID_TRY(entry.purpose, reader.u8("trace entry: purpose"));
    FID_TRY(const auto allowed, reader.u8("trace entry: allowed"));
    if (allowed > 1) return fail(ErrorCode::malformed, "trace entry: allowed must be 0 or 1");
    entry.allowed = allowed == 1;
    FID_TRY(entry.reason, reader.u16("trace entry: reason"));
    FID_TRY(entry.obligation, reader.u8("trace entry: obligation"));
    FID_TRY(entry.block_number, reader.u64("trace entry: block number"));
    FID_TRY(entry.block_hash, reader.array<32>("trace entry: block hash"));
    FID_TRY(entry.flags, reader.u32("trace entry: flags"));
    FID_TRY(entry.result, reader.u16("trace entry: result"));
    FID_TRY(const auto parts, reader.u8("trace entry: parts"));
    if (parts > (kStaff | kPatient)) return fail(ErrorCode::malformed, "trace entry: unknown parts");
    if ((parts & kStaff) != 0) {
        FID_TRY(stored.staff, read_part(reader, "staff"));
    }
    if ((parts & kPatient) != 0) {
        FID_TRY(stored.patient, read_part(reader, "patient"));
    }
    if (!reader.at_end()) return fail(ErrorCode::malformed, "trace entry: " + std::to_string(reader.remaining()) + " bytes too many");
    stored.bytes = to_bytes(bytes);
    return stored;
}

Result<StaffPart> StoredEntry::open_staff(const crypto::Secret& key) const {
    FID_TRY(const auto plain, open_part(staff, kStaff, "staff", bytes, key));
    ByteReader reader(plain.view());
    StaffPart part;
    FID_TRY(part.subject, reader.array<32>("trace entry: subject"));
    FID_TRY(const auto size, reader.u8("trace entry: remote address length"));
    FID_TRY(const auto address, reader.take(size, "trace entry: remote address"));
    if (!reader.at_end()) return fail(ErrorCode::malformed, "trace entry: the staff part is too long");
    part.remote_address = std::string(as_text(address));
    return part;
}

Result<PatientPart> StoredEntry::open_patient(const crypto::Secret& key) const {
    FID_TRY(const auto plain, open_part(patient, kPatient, "patient", bytes, key));
    ByteReader reader(plain.view());
    PatientPart part;
    FID_TRY(part.patient_key, reader.array<32>("trace entry: patient key"));
    FID_TRY(part.study_key, reader.array<32>("trace entry: study key"));
    FID_TRY(part.object, reader.array<32>("trace entry: object"));
    if (!reader.at_end()) return fail(ErrorCode::malformed, "trace entry: the patient part is too long");
    return part;
}

Hash entry_leaf_hash(ByteView bytes) {
    constexpr std::uint8_t kLeaf = 0x00;
    return crypto::sha256({ByteView(&kLeaf, 1), bytes});
}

}  // namespace fiducial::audit
