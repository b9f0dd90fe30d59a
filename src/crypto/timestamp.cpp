#include "crypto/timestamp.hpp"

#include <openssl/err.h>
#include <openssl/ts.h>
#include <openssl/x509.h>

#include <ctime>
#include <memory>

#include "base/file.hpp"

namespace fiducial::crypto {
namespace {

struct Free {
    void operator()(TS_REQ* request) const { TS_REQ_free(request); }
    void operator()(TS_RESP* response) const { TS_RESP_free(response); }
    void operator()(TS_VERIFY_CTX* context) const { TS_VERIFY_CTX_free(context); }
    void operator()(TS_MSG_IMPRINT* imprint) const { TS_MSG_IMPRINT_free(imprint); }
    void operator()(X509_ALGOR* algorithm) const { X509_ALGOR_free(algorithm); }
    void operator()(ASN1_INTEGER* number) const { ASN1_INTEGER_free(number); }
    void operator()(X509_STORE* store) const { X509_STORE_free(store); }
};
template <typename T>
using Owned = std::unique_ptr<T, Free>;

std::string last_error() {
    std::array<char, 256> text{};
    ERR_error_string_n(ERR_peek_last_error(), text.data(), text.size());
    ERR_clear_error();
    return text.data();
}

Owned<TS_REQ> make_request(const Hash& sha256, std::uint64_t nonce) {
    Owned<TS_REQ> request(TS_REQ_new());
    const Owned<TS_MSG_IMPRINT> imprint(TS_MSG_IMPRINT_new());
    const Owned<X509_ALGOR> algorithm(X509_ALGOR_new());
    const Owned<ASN1_INTEGER> number(ASN1_INTEGER_new());
    FID_INVARIANT(request && imprint && algorithm && number, "OpenSSL has no memory");
    auto copy = sha256;
    const bool made = X509_ALGOR_set0(algorithm.get(), OBJ_nid2obj(NID_sha256), V_ASN1_NULL, nullptr) == 1 &&
                      TS_MSG_IMPRINT_set_algo(imprint.get(), algorithm.get()) == 1 &&
                      TS_MSG_IMPRINT_set_msg(imprint.get(), copy.data(), static_cast<int>(copy.size())) == 1 &&
                      TS_REQ_set_version(request.get(), 1) == 1 && TS_REQ_set_msg_imprint(request.get(), imprint.get()) == 1 &&
                      ASN1_INTEGER_set_uint64(number.get(), nonce) == 1 && TS_REQ_set_nonce(request.get(), number.get()) == 1 &&
                      TS_REQ_set_cert_req(request.get(), 1) == 1;
    FID_INVARIANT(made, "OpenSSL makes no time stamp request");
    return request;
}

}  // namespace

Bytes timestamp_request(const Hash& sha256, std::uint64_t nonce) {
    const auto request = make_request(sha256, nonce);
    const int size = i2d_TS_REQ(request.get(), nullptr);
    FID_INVARIANT(size > 0, "OpenSSL writes no time stamp request");
    Bytes out(static_cast<std::size_t>(size));
    auto* at = out.data();
    i2d_TS_REQ(request.get(), &at);
    return out;
}

Result<SystemTime> verify_timestamp(ByteView response, const Hash& sha256, std::uint64_t nonce, const std::filesystem::path& authorities) {
    const auto* at = response.data();
    const Owned<TS_RESP> answer(d2i_TS_RESP(nullptr, &at, static_cast<long>(response.size())));
    if (!answer || at != response.data() + response.size()) {
        ERR_clear_error();
        return fail(ErrorCode::malformed, "the time stamp is not DER of a TimeStampResp");
    }
    const auto status = ASN1_INTEGER_get(TS_STATUS_INFO_get0_status(TS_RESP_get_status_info(answer.get())));
    if (status != TS_STATUS_GRANTED && status != TS_STATUS_GRANTED_WITH_MODS)
        return fail(ErrorCode::denied, "the time stamping authority refused (PKIStatus " + std::to_string(status) + ")");
    auto* const info = TS_RESP_get_tst_info(answer.get());
    if (info == nullptr) return fail(ErrorCode::malformed, "the answer holds no time stamp");
    FID_CHECK(File::open(authorities, File::Mode::read));
    Owned<X509_STORE> store(X509_STORE_new());
    if (!store || X509_STORE_load_locations(store.get(), authorities.c_str(), nullptr) != 1) {
        ERR_clear_error();
        return fail(ErrorCode::malformed, authorities.string() + " holds no PEM certificates");
    }
    const auto request = make_request(sha256, nonce);
    const Owned<TS_VERIFY_CTX> context(TS_REQ_to_TS_VERIFY_CTX(request.get(), nullptr));
    FID_INVARIANT(context != nullptr, "OpenSSL makes nothing of a time stamp request");
    TS_VERIFY_CTX_set_store(context.get(), store.release());  // the context's own from now on
    TS_VERIFY_CTX_add_flags(context.get(), TS_VFY_SIGNATURE);
    if (TS_RESP_verify_response(context.get(), answer.get()) != 1) return fail(ErrorCode::unverified, "the time stamp: " + last_error());
    std::tm when{};
    if (ASN1_TIME_to_tm(TS_TST_INFO_get_time(info), &when) != 1) return fail(ErrorCode::malformed, "the time stamp has no time");
    return SystemTime(std::chrono::seconds(::timegm(&when)));
}

}  // namespace fiducial::crypto
