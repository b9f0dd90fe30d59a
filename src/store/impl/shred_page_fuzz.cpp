#include "store/impl/shred_page.hpp"

namespace {

using namespace fiducial;
using namespace fiducial::store;

const crypto::Secret& key() {
    static const crypto::Secret secret(32);
    return secret;
}

}  // namespace

// The input as a page; and as changes (u24 place, u8 mask) to a good page, none of which may pass.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    (void)ShredPage::open({data, size}, key());
    static const Bytes good = ShredPage::make(ShredPage::Kind::patient, 3).seal(key());
    Bytes changed = good;
    for (std::size_t i = 0; i + 4 <= size && i < 64; i += 4) {
        const std::size_t place = ((std::size_t{data[i]} << 16) | (std::size_t{data[i + 1]} << 8) | data[i + 2]) % changed.size();
        changed[place] ^= data[i + 3];
    }
    const auto opened = ShredPage::open(changed, key());
    FID_INVARIANT(opened.has_value() == (changed == good), "a changed page passes, or an unchanged one does not");
    if (size > 0 && size < changed.size()) {
        FID_INVARIANT(!ShredPage::open(ByteView(good).first(size), key()), "half a page passes");
    }
    return 0;
}
