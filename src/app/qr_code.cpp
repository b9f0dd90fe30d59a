#include "app/qr_code.hpp"

#include <qrcodegen/qrcodegen.hpp>

#include <algorithm>

#include "base/hex.hpp"

namespace fiducial::app {
namespace {

constexpr int kQuietZone = 4;  // modules

qrcodegen::QrCode encode(std::string_view text) {
    return qrcodegen::QrCode::encodeText(std::string(text).c_str(), qrcodegen::QrCode::Ecc::MEDIUM);
}

}  // namespace

std::string trust_file_code(const Hash& sha256) {
    std::string code = "FIDUCIAL:TRUST:1:" + to_hex(sha256);  // upper case: QR's alphanumeric mode
    std::transform(code.begin(), code.end(), code.begin(),
                   [](char c) { return c >= 'a' && c <= 'f' ? static_cast<char>(c - 'a' + 'A') : c; });
    return code;
}

std::string qr_for_terminal(std::string_view text) {
    const auto code = encode(text);
    const int end = code.getSize() + kQuietZone;
    const auto light = [&](int x, int y) { return y < end && !code.getModule(x, y); };  // what lies outside is light
    std::string out;
    for (int y = -kQuietZone; y < end; y += 2) {
        for (int x = -kQuietZone; x < end; ++x) {
            const bool above = light(x, y), below = light(x, y + 1);
            out += above && below ? "█" : above ? "▀" : below ? "▄" : " ";
        }
        out += "\n";
    }
    return out;
}

std::string qr_as_svg(std::string_view text) {
    const auto code = encode(text);
    const auto side = std::to_string(code.getSize() + 2 * kQuietZone);
    std::string out = R"(<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 )" + side + " " + side +
                      R"(" shape-rendering="crispEdges"><rect width="100%" height="100%" fill="#fff"/><path d=")";
    for (int y = 0; y < code.getSize(); ++y) {
        for (int x = 0; x < code.getSize(); ++x) {
            if (code.getModule(x, y)) out += "M" + std::to_string(x + kQuietZone) + " " + std::to_string(y + kQuietZone) + "h1v1h-1z";
        }
    }
    return out + R"(" fill="#000"/></svg>)" + "\n";
}

}  // namespace fiducial::app
