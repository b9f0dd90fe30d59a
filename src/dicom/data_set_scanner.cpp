#include "dicom/data_set_scanner.hpp"

#include <algorithm>
#include <charconv>
#include <span>

#include "dicom/data_set_writer.hpp"
#include "dicom/impl/dicom_json.hpp"
#include "dicom/impl/inflater.hpp"
#include "dicom/impl/prefix.hpp"
#include "dicom/impl/tokenizer.hpp"
#include "dicom/implementation.hpp"

namespace fiducial::dicom {
namespace {

// Finds the one value of an identifying element. Errors: malformed where there are two that differ.
Result<std::string_view> identifying_value(const impl::Tokenizer& tokenizer, std::span<const impl::TopElement> elements, Tag tag) {
    const impl::TopElement* found = nullptr;
    for (const auto& element : elements) {
        if (element.tag != tag) continue;
        if (element.kept == impl::kNotKept || element.undefined_length)
            return fail(ErrorCode::malformed, tag_name(tag) + " is far too long");
        if (found != nullptr && as_text(tokenizer.value_of(*found)) != as_text(tokenizer.value_of(element))) {
            return fail(ErrorCode::malformed, tag_name(tag) + " occurs twice with different values");
        }
        found = &element;
    }
    return found == nullptr ? std::string_view{} : as_text(tokenizer.value_of(*found));
}

Result<Uid> required_uid(const impl::Tokenizer& tokenizer, std::span<const impl::TopElement> elements, Tag tag, std::string_view name) {
    FID_TRY(const std::string_view text, identifying_value(tokenizer, elements, tag));
    if (impl::trim(text).empty()) return fail(ErrorCode::malformed, std::string(name) + " " + tag_name(tag) + " is missing");
    auto uid = Uid::parse(impl::trim(text));
    if (!uid) return fail(ErrorCode::malformed, std::string(name) + " " + tag_name(tag) + " is not a UID");
    return uid;
}

}  // namespace

struct DataSetScanner::State {
    ScanLimits limits;
    bool bare = false;  // no prefix is looked for
    const TransferSyntax* syntax = nullptr;
    impl::PrefixReader prefix_reader;
    Bytes prefix;  // while it is looked for: all that was fed
    Bytes held;
    std::unique_ptr<impl::Tokenizer> tokenizer;
    std::unique_ptr<impl::Inflater> inflater;
    std::optional<EarlyIdentity> identity;
    std::uint64_t data_set_length = 0;
    std::optional<Error> failed;
    bool finished = false;
    bool passed_tried = false;

    void start(const TransferSyntax* found) {
        syntax = found;
        tokenizer = std::make_unique<impl::Tokenizer>(impl::Encoding{found->explicit_vr, found->big_endian}, limits);
        if (found->deflated) inflater = std::make_unique<impl::Inflater>(limits.inflated_bytes);
    }

    Result<DataSetPieces> feed(ByteView bytes) {
        DataSetPieces pieces;
        held.clear();
        if (tokenizer == nullptr) {
            FID_TRY(bytes, look_for_data_set(bytes));
            if (tokenizer == nullptr) return pieces;
            pieces.held = held;
            FID_CHECK(scan(held));
        }
        pieces.fresh = bytes;
        FID_CHECK(scan(bytes));
        return pieces;
    }

    // Returns: what is left of bytes once the data set was found.
    Result<ByteView> look_for_data_set(ByteView bytes) {
        for (;;) {
            const auto part = bytes.first(std::min<std::size_t>(bytes.size(), 4096));
            append(prefix, part);
            bytes = bytes.subspan(part.size());
            FID_TRY(const auto found, prefix_reader.look(prefix, false));
            if (found) {
                begin_data_set(*found);
                return bytes;
            }
            if (bytes.empty()) return bytes;
        }
    }

    void begin_data_set(const impl::PrefixReader::Found& found) {
        held.assign(prefix.begin() + static_cast<std::ptrdiff_t>(found.data_set_start), prefix.end());
        prefix.resize(found.data_set_start);
        start(found.syntax);
    }

    Result<void> scan(ByteView bytes) {
        data_set_length += bytes.size();
        if (inflater) {
            FID_CHECK(inflater->feed(bytes, [this](ByteView inflated) { return tokenizer->feed(inflated); }));
        } else {
            FID_CHECK(tokenizer->feed(bytes));
        }
        return identify();
    }

    // The same elements decide in the same order, however the bytes were split.
    Result<void> identify() {
        if (!passed_tried && tokenizer->before_identity_passed() != impl::kNotKept) {
            passed_tried = true;
            if (auto found = find_identity(tokenizer->before_identity_passed())) identity = *std::move(found);
        }
        if (!identity && tokenizer->before_pixel_data() != impl::kNotKept) {
            FID_TRY(identity, find_identity(tokenizer->before_pixel_data()));
        }
        return {};
    }

    // Out of the first `count` elements.
    Result<EarlyIdentity> find_identity(std::size_t count) const {
        const auto elements = std::span(tokenizer->elements()).first(count);
        EarlyIdentity out;
        out.transfer_syntax = syntax->uid;
        FID_TRY(out.sop_instance, required_uid(*tokenizer, elements, tags::kSopInstanceUid, "SOP Instance UID"));
        FID_TRY(out.study, required_uid(*tokenizer, elements, tags::kStudyInstanceUid, "Study Instance UID"));
        FID_TRY(out.series, required_uid(*tokenizer, elements, tags::kSeriesInstanceUid, "Series Instance UID"));
        FID_TRY(const std::string_view sop_class, identifying_value(*tokenizer, elements, tags::kSopClassUid));
        if (auto uid = Uid::parse(impl::trim(sop_class))) out.sop_class = *uid;
        FID_TRY(const std::string_view raw_set, identifying_value(*tokenizer, elements, tags::kSpecificCharacterSet));
        const auto character_set = impl::character_set_of(raw_set);
        FID_TRY(const std::string_view patient, identifying_value(*tokenizer, elements, tags::kPatientId));
        FID_TRY(const std::string_view issuer, identifying_value(*tokenizer, elements, tags::kIssuerOfPatientId));
        out.patient_id.value = impl::trim(impl::to_utf8(patient, character_set, impl::TextKind::multi_valued).text);
        out.issuer.value = impl::trim(impl::to_utf8(issuer, character_set, impl::TextKind::multi_valued).text);
        return out;
    }

    Result<InstanceHeader> finish() {
        if (finished) return fail(ErrorCode::invalid_argument, "the scan is finished already");
        finished = true;
        if (tokenizer == nullptr) {
            FID_TRY(const auto found, prefix_reader.look(prefix, true));
            FID_INVARIANT(found.has_value(), "a prefix that is neither found nor refused");
            begin_data_set(*found);
            FID_CHECK(scan(held));
        }
        if (inflater) FID_CHECK(inflater->finish());
        FID_CHECK(tokenizer->finish());
        FID_TRY(auto final_identity, find_identity(tokenizer->elements().size()));
        FID_CHECK(compare_identities(final_identity));
        identity = final_identity;
        return make_header(std::move(final_identity));
    }

    // What was told early must still hold at the end.
    Result<void> compare_identities(const EarlyIdentity& last) const {
        if (!identity) return {};
        const bool same = identity->sop_instance == last.sop_instance && identity->study == last.study && identity->series == last.series &&
                          identity->sop_class == last.sop_class && identity->patient_id.value == last.patient_id.value &&
                          identity->issuer.value == last.issuer.value;
        if (!same) return fail(ErrorCode::malformed, "identifying attributes stand behind where they should be");
        return {};
    }

    Result<InstanceHeader> make_header(EarlyIdentity final_identity) {
        InstanceHeader header;
        impl::JsonWriter writer(*tokenizer, limits);
        FID_CHECK(writer.run());
        header.identity = std::move(final_identity);
        header.prefix_length = prefix.size();
        header.data_set_length = data_set_length;
        header.inflated_length = tokenizer->offset();
        header.attributes = writer.attributes();
        header.dicom_json = writer.json();
        header.bulk = writer.bulk();
        if (const auto* pixel = tokenizer->pixel()) {
            header.has_pixel_data = true;
            header.pixel_tag = pixel->tag;
            header.pixel_offset = pixel->offset;
            header.pixel_length = pixel->length;
            header.number_of_frames = frames(header.attributes);
            header.pixel_sha256 = tokenizer->pixel_sha256();
        }
        header.warnings = warnings(header, writer.warnings());
        return header;
    }

    static std::uint64_t frames(const Attributes& attributes) {
        std::string_view text = attributes.first(tags::kNumberOfFrames);
        if (text.starts_with('+')) text.remove_prefix(1);
        std::uint64_t value = 0;
        const auto parsed = std::from_chars(text.data(), text.data() + text.size(), value);
        return parsed.ec == std::errc{} && value > 0 ? value : 1;
    }

    std::vector<std::string> warnings(const InstanceHeader& header, std::vector<std::string> of_values) const {
        std::vector<std::string> out = prefix_reader.warnings();
        const auto& walked = tokenizer->warnings();
        out.insert(out.end(), walked.begin(), walked.end());
        out.insert(out.end(), of_values.begin(), of_values.end());
        if (inflater && inflater->padded()) out.emplace_back("zeros follow the deflated data set");
        if (header.identity.sop_class.empty()) out.emplace_back("SOP Class UID (0008,0016) is missing or not a UID");
        const auto meta_instance = Uid::parse(prefix_reader.sop_instance());
        if (meta_instance && *meta_instance != header.identity.sop_instance)
            out.emplace_back("group 0002 names another SOP Instance UID than the data set");
        const auto meta_class = Uid::parse(prefix_reader.sop_class());
        if (meta_class && !header.identity.sop_class.empty() && *meta_class != header.identity.sop_class)
            out.emplace_back("group 0002 names another SOP Class UID than the data set");
        if (tokenizer->pixel() != nullptr && tokenizer->pixel()->undefined_length && !syntax->encapsulated)
            out.emplace_back("pixel data is encapsulated, which its transfer syntax is not");
        return out;
    }
};

DataSetScanner::DataSetScanner(ScanLimits limits) : state_(std::make_unique<State>()) {
    state_->limits = limits;
}
DataSetScanner::DataSetScanner(std::unique_ptr<State> state) : state_(std::move(state)) {}
DataSetScanner::DataSetScanner(DataSetScanner&&) noexcept = default;
DataSetScanner& DataSetScanner::operator=(DataSetScanner&&) noexcept = default;
DataSetScanner::~DataSetScanner() = default;

Result<DataSetScanner> DataSetScanner::for_data_set(std::string_view transfer_syntax, ScanLimits limits) {
    const auto* syntax = find_transfer_syntax(transfer_syntax);
    if (syntax == nullptr)
        return fail(
            ErrorCode::unsupported,
            "transfer syntax " + (Uid::parse(transfer_syntax) ? std::string(transfer_syntax) : std::string("(no UID)")) + " is not known");
    auto state = std::make_unique<State>();
    state->limits = limits;
    state->bare = true;
    state->start(syntax);
    return DataSetScanner(std::move(state));
}

Result<DataSetPieces> DataSetScanner::feed(ByteView bytes) {
    if (state_->failed) return fail(*state_->failed);
    if (state_->finished) return fail(ErrorCode::invalid_argument, "the scan is finished already");
    auto pieces = state_->feed(bytes);
    if (!pieces) state_->failed = pieces.error();
    return pieces;
}

std::optional<EarlyIdentity> DataSetScanner::identity() const {
    return state_->identity;
}

ByteView DataSetScanner::prefix() const {
    return state_->tokenizer == nullptr ? ByteView{} : ByteView(state_->prefix);
}

std::optional<DataSetScanner::Passed> DataSetScanner::passed(Tag tag) const {
    if (state_->tokenizer == nullptr) return std::nullopt;
    for (const auto& element : state_->tokenizer->elements()) {
        if (element.tag == tag) return Passed{element.offset, element.length, element.undefined_length};
    }
    return std::nullopt;
}

Result<InstanceHeader> DataSetScanner::finish() {
    if (state_->failed) return fail(*state_->failed);
    auto header = state_->finish();
    if (!header) state_->failed = header.error();
    return header;
}

Result<InstanceHeader> scan_file(ByteView file, ScanLimits limits) {
    DataSetScanner scanner(limits);
    FID_CHECK(scanner.feed(file));
    return scanner.finish();
}

Result<InstanceHeader> scan_data_set(ByteView data_set, std::string_view transfer_syntax, ScanLimits limits) {
    FID_TRY(auto scanner, DataSetScanner::for_data_set(transfer_syntax, limits));
    FID_CHECK(scanner.feed(data_set));
    return scanner.finish();
}

Bytes make_file_prefix(std::string_view transfer_syntax, const Uid& sop_class, const Uid& sop_instance) {
    static constexpr std::uint8_t kVersion[] = {0, 1};
    DataSetWriter meta;
    meta.binary(0x00020001, "OB", kVersion);
    meta.text(0x00020002, "UI", sop_class.text());
    meta.text(0x00020003, "UI", sop_instance.text());
    meta.text(0x00020010, "UI", transfer_syntax);
    meta.text(0x00020012, "UI", kImplementationClassUid);
    meta.text(0x00020013, "SH", kImplementationVersion);
    DataSetWriter length;
    length.ul(0x00020000, static_cast<std::uint32_t>(meta.bytes().size()));
    Bytes out(128, 0);
    append(out, as_bytes("DICM"));
    append(out, length.bytes());
    append(out, meta.bytes());
    return out;
}

}  // namespace fiducial::dicom
