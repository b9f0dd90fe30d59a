#include "net/smtp.hpp"

#include <curl/curl.h>

#include <algorithm>
#include <array>
#include <memory>
#include <string_view>

namespace fiducial::net {
namespace {

constexpr std::size_t kMostWords = 500;

struct Exchange {
    std::string_view mail;
    std::string said;  // the server's last line but the good-bye
};

std::size_t on_more(char* data, std::size_t one, std::size_t count, void* user) noexcept {
    auto& exchange = *static_cast<Exchange*>(user);
    const auto size = std::min(one * count, exchange.mail.size());
    std::copy_n(exchange.mail.data(), size, data);
    exchange.mail.remove_prefix(size);
    return size;
}

std::size_t on_line(char* data, std::size_t one, std::size_t count, void* user) noexcept {
    auto& exchange = *static_cast<Exchange*>(user);
    const std::size_t size = one * count;
    if (std::string_view(data, size).starts_with("221")) return size;  // the good-bye after what counts
    exchange.said.assign(data, std::min(size, kMostWords));
    std::replace_if(
        exchange.said.begin(), exchange.said.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }, ' ');
    while (exchange.said.ends_with(' ')) exchange.said.pop_back();
    return size;
}

int on_progress(void* user, curl_off_t, curl_off_t, curl_off_t, curl_off_t) noexcept {
    return static_cast<const std::stop_token*>(user)->stop_requested() ? 1 : 0;
}

struct ListFree {
    void operator()(curl_slist* list) const { curl_slist_free_all(list); }
};

/// What is to be done about what can be set right here.
std::string advice(CURLcode code, const SmtpSettings& settings) {
    switch (code) {
        case CURLE_COULDNT_RESOLVE_HOST: return "there is no such host: look at [mail] server";
        case CURLE_COULDNT_CONNECT:
        case CURLE_OPERATION_TIMEDOUT: return "it does not answer: look at [mail] server and port, and at firewalls between";
        case CURLE_LOGIN_DENIED: return "it does not let us in: look at [mail] user and password_file";
        case CURLE_USE_SSL_FAILED: return "it has no STARTTLS: set [mail] security to tls, or use another port (587, 465)";
        case CURLE_SSL_CONNECT_ERROR:
            return settings.security == SmtpSecurity::tls ? "TLS fails: set [mail] security to starttls if the port is 587 or 25"
                                                          : "TLS fails";
        case CURLE_PEER_FAILED_VERIFICATION:
        case CURLE_SSL_CACERT_BADFILE:
        case CURLE_SSL_ISSUER_ERROR:
            return "its certificate is not one to be believed: name its authority in [mail] authorities, and the host as the "
                   "certificate does";
        default: return curl_easy_strerror(code);
    }
}

SmtpOutcome::Kind kind_of(CURLcode code, long status) {
    using Kind = SmtpOutcome::Kind;
    if (code == CURLE_OK) return Kind::taken;
    const bool of_connection = code == CURLE_LOGIN_DENIED || code == CURLE_USE_SSL_FAILED || code == CURLE_REMOTE_ACCESS_DENIED ||
                               code == CURLE_COULDNT_CONNECT || code == CURLE_PEER_FAILED_VERIFICATION || code == CURLE_OPERATION_TIMEDOUT;
    const bool wants_log_in = status == 530 || status == 534 || status == 535 || status == 538;
    if (of_connection || wants_log_in || status == 421) return Kind::unavailable;
    if (status >= 500 && status < 600) return Kind::refused;
    if (status >= 400 && status < 500) return Kind::later;
    return Kind::unavailable;
}

}  // namespace

SmtpOutcome send_mail(const SmtpSettings& settings, const std::string& from, const std::string& to, const std::string& mail,
                      const std::stop_token& stop) {
    static const CURLcode once = curl_global_init(CURL_GLOBAL_DEFAULT);  // its first caller holds the static's lock
    static_cast<void>(once);
    const std::unique_ptr<CURL, decltype(&curl_easy_cleanup)> handle(curl_easy_init(), &curl_easy_cleanup);
    const std::unique_ptr<curl_slist, ListFree> recipients(curl_slist_append(nullptr, to.c_str()));
    if (!handle || !recipients) return {SmtpOutcome::Kind::unavailable, "no memory is left", {}};
    const auto set = [&](CURLoption option, auto value) { curl_easy_setopt(handle.get(), option, value); };
    const bool bare_ipv6 = settings.host.find(':') != std::string::npos;
    const auto host = bare_ipv6 ? "[" + settings.host + "]" : settings.host;
    const auto place = host + ":" + std::to_string(settings.port);
    const auto url = (settings.security == SmtpSecurity::tls ? "smtps://" : "smtp://") + place;
    Exchange exchange{mail, {}};
    std::array<char, CURL_ERROR_SIZE> detail{};
    set(CURLOPT_URL, url.c_str());
    set(CURLOPT_PROTOCOLS_STR, "smtp,smtps");
    set(CURLOPT_NOSIGNAL, 1L);
    set(CURLOPT_PROXY, "");
    set(CURLOPT_ERRORBUFFER, detail.data());
    set(CURLOPT_USE_SSL, static_cast<long>(settings.security == SmtpSecurity::none ? CURLUSESSL_NONE : CURLUSESSL_ALL));
    set(CURLOPT_SSL_VERIFYPEER, 1L);
    set(CURLOPT_SSL_VERIFYHOST, 2L);
    set(CURLOPT_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_2));
    if (!settings.ca_file.empty()) {
        set(CURLOPT_CAINFO, settings.ca_file.c_str());
        set(CURLOPT_CAPATH, static_cast<char*>(nullptr));
    }
    if (!settings.user.empty()) {
        set(CURLOPT_USERNAME, settings.user.c_str());
        set(CURLOPT_PASSWORD, settings.password.c_str());
    }
    set(CURLOPT_MAIL_FROM, from.c_str());
    set(CURLOPT_MAIL_RCPT, recipients.get());
    set(CURLOPT_UPLOAD, 1L);
    set(CURLOPT_INFILESIZE_LARGE, static_cast<curl_off_t>(mail.size()));
    set(CURLOPT_READFUNCTION, &on_more);
    set(CURLOPT_READDATA, static_cast<void*>(&exchange));
    set(CURLOPT_HEADERFUNCTION, &on_line);
    set(CURLOPT_HEADERDATA, static_cast<void*>(&exchange));
    set(CURLOPT_NOPROGRESS, 0L);
    set(CURLOPT_XFERINFOFUNCTION, &on_progress);
    set(CURLOPT_XFERINFODATA, const_cast<void*>(static_cast<const void*>(&stop)));
    set(CURLOPT_TIMEOUT_MS, static_cast<long>(std::max<std::int64_t>(settings.timeout.count(), 1)));
    set(CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(std::max<std::int64_t>(std::min<std::int64_t>(settings.timeout.count(), 10'000), 1)));
    const CURLcode code = curl_easy_perform(handle.get());
    long status = 0;
    curl_easy_getinfo(handle.get(), CURLINFO_RESPONSE_CODE, &status);
    SmtpOutcome outcome{kind_of(code, status), {}, {}};
    if (outcome.kind == SmtpOutcome::Kind::taken || status >= 400) outcome.said = exchange.said;
    if (outcome.kind == SmtpOutcome::Kind::taken) return outcome;
    outcome.why = "the mail server " + place + ": " +
                  (status >= 400 && outcome.kind != SmtpOutcome::Kind::unavailable ? "it does not take this mail" : advice(code, settings));
    if (outcome.kind == SmtpOutcome::Kind::unavailable && detail[0] != '\0') outcome.why += " (" + std::string(detail.data()) + ")";
    outcome.why.resize(std::min(outcome.why.size(), kMostWords));
    return outcome;
}

}  // namespace fiducial::net
