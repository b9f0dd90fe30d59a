#include <curl/curl.h>

#include <algorithm>
#include <charconv>
#include <optional>

#include "net/client.hpp"
#include "net/impl/turn.hpp"

namespace fiducial::net {
namespace {

using SteadyClock = std::chrono::steady_clock;

struct ListFree {
    void operator()(curl_slist* list) const { curl_slist_free_all(list); }
};
using HeaderList = std::unique_ptr<curl_slist, ListFree>;

struct Receiving {
    HttpClientAnswer answer;
    std::size_t max_bytes = 0;
    std::size_t header_bytes = 0;
    bool too_large = false;
    const HttpStreams* streams = nullptr;
    std::optional<Error> error;  // of one of its functions
};

std::size_t on_body(char* data, std::size_t one, std::size_t count, void* user) noexcept {
    auto& receiving = *static_cast<Receiving*>(user);
    const std::size_t size = one * count;
    if (receiving.streams != nullptr && receiving.streams->take && receiving.answer.status / 100 == 2) {
        auto taken = receiving.streams->take(receiving.answer, as_bytes(std::string_view(data, size)));
        if (taken) return size;
        receiving.error = std::move(taken.error());
        return size + 1;  // ends the transfer, whatever the size
    }
    if (size > receiving.max_bytes - receiving.answer.body.size()) {
        receiving.too_large = true;
        return 0;
    }
    receiving.answer.body.append(data, size);
    return size;
}

std::size_t on_more(char* data, std::size_t one, std::size_t count, void* user) noexcept {
    auto& sending = *static_cast<Receiving*>(user);
    auto given = sending.streams->give({reinterpret_cast<std::uint8_t*>(data), one * count});
    if (given) return *given;
    sending.error = std::move(given.error());
    return CURL_READFUNC_ABORT;
}

std::size_t on_header(char* data, std::size_t one, std::size_t count, void* user) noexcept {
    auto& receiving = *static_cast<Receiving*>(user);
    const std::size_t size = one * count;
    receiving.header_bytes += size;
    if (receiving.header_bytes > 262'144) {
        receiving.too_large = true;
        return 0;
    }
    std::string_view line(data, size);
    if (line.starts_with("HTTP/")) {  // the first line, or the one after an interim answer
        receiving.answer.headers = {};
        const auto space = line.find(' ');
        receiving.answer.status = 0;
        if (space != std::string_view::npos)
            std::from_chars(line.data() + space + 1, line.data() + std::min(line.size(), space + 4), receiving.answer.status);
    }
    const auto colon = line.find(':');
    if (colon == std::string_view::npos) return size;
    auto value = line.substr(colon + 1);
    const auto first = value.find_first_not_of(" \t\r\n");
    value = first == std::string_view::npos ? std::string_view{} : value.substr(first, value.find_last_not_of(" \t\r\n") - first + 1);
    receiving.answer.headers.add(std::string(line.substr(0, colon)), std::string(value));
    return size;
}

/// Returns: scheme and host of a URL, which may be shown; a path or query may hold a secret.
std::string shown(const std::string& url) {
    std::unique_ptr<CURLU, decltype(&curl_url_cleanup)> parsed(curl_url(), &curl_url_cleanup);
    char* host = nullptr;
    char* scheme = nullptr;
    char* port = nullptr;
    std::string text = "the server";
    if (parsed && curl_url_set(parsed.get(), CURLUPART_URL, url.c_str(), 0) == CURLUE_OK &&
        curl_url_get(parsed.get(), CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK &&
        curl_url_get(parsed.get(), CURLUPART_HOST, &host, 0) == CURLUE_OK) {
        text = std::string(scheme) + "://" + host;
        if (curl_url_get(parsed.get(), CURLUPART_PORT, &port, 0) == CURLUE_OK) text += ":" + std::string(port);
    }
    curl_free(port);
    curl_free(host);
    curl_free(scheme);
    return text;
}

ErrorCode class_of(CURLcode code) {
    switch (code) {
        case CURLE_OPERATION_TIMEDOUT: return ErrorCode::timeout;
        case CURLE_URL_MALFORMAT:
        case CURLE_UNSUPPORTED_PROTOCOL: return ErrorCode::invalid_argument;
        case CURLE_PEER_FAILED_VERIFICATION:
        case CURLE_SSL_CACERT_BADFILE:
        case CURLE_SSL_ISSUER_ERROR: return ErrorCode::unverified;
        case CURLE_OUT_OF_MEMORY: return ErrorCode::internal;
        default: return ErrorCode::unavailable;
    }
}

}  // namespace

struct HttpClient::Impl {
    HttpClientSettings settings;
    impl::Turn turn;
    CURL* handle = nullptr;

    ~Impl() { curl_easy_cleanup(handle); }

    template <typename Value>
    void set(CURLoption option, Value value) {
        curl_easy_setopt(handle, option, value);
    }

    Result<HttpClientAnswer> perform(const HttpClientRequest& request, const HttpStreams* streams, std::chrono::milliseconds timeout,
                                     std::chrono::seconds stall);
    void prepare(const HttpClientRequest& request, curl_slist* headers, Receiving& receiving, std::chrono::milliseconds timeout) {
        curl_easy_reset(handle);  // options only: the kept connection stays
        set(CURLOPT_URL, request.url.c_str());
        set(CURLOPT_PROTOCOLS_STR, "http,https");
        set(CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_1_1));
        set(CURLOPT_NOSIGNAL, 1L);
        set(CURLOPT_PROXY, "");
        set(CURLOPT_FOLLOWLOCATION, 0L);
        set(CURLOPT_TCP_NODELAY, 1L);
        set(CURLOPT_SSL_VERIFYPEER, 1L);
        set(CURLOPT_SSL_VERIFYHOST, 2L);
        set(CURLOPT_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_2));
        if (!settings.ca_file.empty()) {
            set(CURLOPT_CAINFO, settings.ca_file.c_str());
            set(CURLOPT_CAPATH, static_cast<char*>(nullptr));
        }
        set(CURLOPT_TIMEOUT_MS, static_cast<long>(std::max<std::int64_t>(timeout.count(), 1)));
        set(CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(std::max<std::int64_t>(std::min(settings.connect_timeout, timeout).count(), 1)));
        if (!settings.user_password.empty()) {
            set(CURLOPT_HTTPAUTH, static_cast<long>(CURLAUTH_BASIC));
            set(CURLOPT_USERPWD, settings.user_password.c_str());
        }
        set(CURLOPT_HTTPHEADER, headers);
        set(CURLOPT_WRITEFUNCTION, &on_body);
        set(CURLOPT_WRITEDATA, static_cast<void*>(&receiving));
        set(CURLOPT_HEADERFUNCTION, &on_header);
        set(CURLOPT_HEADERDATA, static_cast<void*>(&receiving));
        if (request.method == "HEAD") {
            set(CURLOPT_NOBODY, 1L);
        } else if (receiving.streams != nullptr && receiving.streams->give) {
            set(CURLOPT_UPLOAD, 1L);
            set(CURLOPT_CUSTOMREQUEST, request.method.c_str());
            set(CURLOPT_READFUNCTION, &on_more);
            set(CURLOPT_READDATA, static_cast<void*>(&receiving));
            set(CURLOPT_UPLOAD_BUFFERSIZE, 256L << 10);
        } else if (request.method != "GET" || !request.body.empty()) {
            set(CURLOPT_POST, 1L);
            set(CURLOPT_POSTFIELDS, request.body.data());
            set(CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(request.body.size()));
            set(CURLOPT_CUSTOMREQUEST, request.method.c_str());
        }
    }
};

HttpClient::HttpClient(HttpClientSettings settings) : impl_(std::make_unique<Impl>()) {
    static const CURLcode once = curl_global_init(CURL_GLOBAL_DEFAULT);  // its first caller holds the static's lock
    static_cast<void>(once);
    impl_->settings = std::move(settings);
    impl_->handle = curl_easy_init();
    FID_INVARIANT(impl_->handle != nullptr, "libcurl gave no handle");
}
HttpClient::~HttpClient() = default;

Result<HttpClientAnswer> HttpClient::send(const HttpClientRequest& request, std::chrono::milliseconds timeout) {
    return impl_->perform(request, nullptr, timeout, {});
}

Result<HttpClientAnswer> HttpClient::transfer(const HttpClientRequest& request, const HttpStreams& streams, std::chrono::seconds stall) {
    return impl_->perform(request, &streams, std::chrono::hours(2), stall);
}

/// `stall`: 0 where only the time in all is limited.
Result<HttpClientAnswer> HttpClient::Impl::perform(const HttpClientRequest& request, const HttpStreams* streams,
                                                   std::chrono::milliseconds timeout, std::chrono::seconds stall) {
    const auto deadline = SteadyClock::now() + timeout;
    const impl::Turn::Held held(turn, deadline);
    if (!held) return fail(ErrorCode::timeout, "another call kept the connection busy");
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - SteadyClock::now());
    if (left.count() <= 0) return fail(ErrorCode::timeout, "no time left");

    HeaderList headers;
    auto add = [&headers](const std::string& line) {
        if (auto* longer = curl_slist_append(headers.get(), line.c_str())) {
            static_cast<void>(headers.release());
            headers.reset(longer);
        }
    };
    add("Expect:");  // no waiting for 100 Continue
    for (const auto& [name, value] : request.headers) {
        if ((name + value).find_first_of(std::string_view("\r\n\0", 3)) != std::string::npos) {
            return fail(ErrorCode::invalid_argument, "header field " + name + " holds a line break");
        }
        add(value.empty() ? name + ";" : name + ": " + value);
    }
    Receiving receiving;
    receiving.max_bytes = settings.max_answer_bytes;
    receiving.streams = streams;
    prepare(request, headers.get(), receiving, left);
    if (stall.count() > 0) {
        set(CURLOPT_LOW_SPEED_LIMIT, 1024L);
        set(CURLOPT_LOW_SPEED_TIME, static_cast<long>(stall.count()));
    }
    const CURLcode code = curl_easy_perform(handle);
    if (receiving.error) return fail(std::move(*receiving.error));
    if (code != CURLE_OK) {
        if (receiving.too_large) {
            return fail(ErrorCode::limit_exceeded,
                        shown(request.url) + ": the answer is larger than " + std::to_string(receiving.max_bytes) + " bytes");
        }
        return fail(class_of(code), shown(request.url) + ": " + curl_easy_strerror(code));
    }
    return std::move(receiving.answer);
}

Result<std::string> HttpJson::exchange(std::string_view request, std::chrono::milliseconds timeout) {
    HttpClientRequest post;
    post.method = "POST";
    post.url = url_;
    post.headers.add("Content-Type", "application/json");
    post.headers.add("Accept", "application/json");
    post.body = request;
    FID_TRY(auto answer, client_.send(post, timeout));
    if (answer.status == 200) return std::move(answer.body);
    ErrorCode code = ErrorCode::unavailable;
    if (answer.status == 401) code = ErrorCode::unauthenticated;
    if (answer.status == 403) code = ErrorCode::denied;
    if (answer.status == 413) code = ErrorCode::limit_exceeded;
    return fail(code, shown(url_) + " answered with status " + std::to_string(answer.status));
}

Result<void> check_transport(const std::string& url) {
    if (url.find("://") == std::string::npos || url.starts_with("http://") || url.starts_with("https://")) return {};
    return fail(ErrorCode::invalid_argument,
                "'" + shown(url) + "' names no node that can be reached: http://…, https://… or the path of an IPC socket is wanted");
}

std::shared_ptr<JsonTransport> transport_to(const std::string& url) {
    if (url.starts_with("http://") || url.starts_with("https://")) return std::make_shared<HttpJson>(url);
    return std::make_shared<UnixSocketJson>(url);
}

}  // namespace fiducial::net
