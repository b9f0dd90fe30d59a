#include "dimse/provider.hpp"

#include "dimse/impl/provider_connection.hpp"

namespace fiducial::dimse {

namespace {
constexpr std::size_t kMaxWaiting = 64;  // connections beyond the associations: not asked for one yet, or closing
}

struct Provider::Impl {
    std::shared_ptr<impl::ProviderShared> shared = std::make_shared<impl::ProviderShared>();
    std::unique_ptr<net::ConnectionServer> server;
};

Provider::Provider() : impl_(std::make_unique<Impl>()) {}
Provider::~Provider() {
    stop(std::chrono::milliseconds(0));
}

Result<std::unique_ptr<Provider>> Provider::start(net::Runtime& runtime, const net::ListenSettings& listen, const ProviderLimits& limits,
                                                  std::shared_ptr<Service> service) {
    std::unique_ptr<Provider> out(new Provider);
    const auto shared = out->impl_->shared;
    shared->limits = limits;
    shared->service = std::move(service);
    net::ListenSettings settings = listen;
    settings.quick_acknowledgements = true;
    auto serve = [shared](std::shared_ptr<net::Stream> stream) {
        return std::make_shared<impl::ProviderConnection>(shared, std::move(stream));
    };
    FID_TRY(out->impl_->server,
            net::ConnectionServer::start(runtime, settings, limits.max_associations + kMaxWaiting, "dimse connection", std::move(serve)));
    return out;
}

std::uint16_t Provider::port() const {
    return impl_->server->port();
}

Provider::Counters Provider::counters() const {
    const auto& shared = *impl_->shared;
    return {impl_->server->counters().connections, shared.accepted, shared.rejected, shared.failed, shared.broken};
}

void Provider::stop(std::chrono::milliseconds grace) {
    if (!impl_->server) return;
    impl_->shared->stopping = true;
    impl_->server->stop(grace);
}

}  // namespace fiducial::dimse
