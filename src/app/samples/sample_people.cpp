#include "app/samples/sample_people.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <mutex>
#include <thread>

#include "app/samples/sample_files.hpp"
#include "base/file.hpp"

namespace fiducial::app::samples {
namespace {

using enum SampleKind;
using Opacity = XrayPhantom::Opacity;

constexpr std::array kPeople = {
    SamplePerson{"FID-0001", "Lindqvist^Åsa^Maria", "19610314", "F", "ISO_IR 100"},
    SamplePerson{"FID-0002", "O'Hanlon^Declan", "19471102", "M", ""},
    SamplePerson{"FID-0003", "Sørbye-Krüger^Jörg^^Dr.", "19530628", "M", "ISO_IR 100"},
    SamplePerson{"FID-0004", "Nguyễn^Thị Hoa", "19880919", "F", "ISO_IR 192"},
    SamplePerson{"FID-0005", "Wiśniewska^Zofia", "20140505", "F", "ISO_IR 101"},
    SamplePerson{"FID-0006", "Соколов^Пётр^Ильич", "19390721", "M", "ISO_IR 144"},
    SamplePerson{"FID-0007", "Мельниченко^Оксана", "19930211", "F", "ISO_IR 192"},
    SamplePerson{"FID-0008", "Παππάς^Ελένη", "19720830", "F", "ISO_IR 126"},
    SamplePerson{"FID-0009", "الخطيب^ليلى", "19810117", "F", "ISO_IR 127"},
    SamplePerson{"FID-0010", "Morita^Kenji=森田^健二=もりた^けんじ", "19550409", "M", "\\ISO 2022 IR 87"},
    SamplePerson{"FID-0011", "Aoki^Yuna=青木^結菜=あおき^ゆな", "20180623", "F", "ISO_IR 192"},
    SamplePerson{"FID-0012", "Achterberg^Willem^van", "19660101", "M", "ISO_IR 192"},
};

constexpr std::array kStudies = {
    SampleStudy{0, "20230112", "091500", digital_xray, "Chest PA", Opacity::none},
    SampleStudy{0, "20240305", "143210", digital_xray, "Chest PA, fever", Opacity::right_lower, 1.0},
    SampleStudy{0, "20240402", "101045", digital_xray, "Chest PA, follow-up", Opacity::right_lower, 0.35},
    SampleStudy{1, "20220608", "080233", computed_xray, "Chest PA", Opacity::none},
    SampleStudy{1, "20240120", "164500", computed_xray, "Chest AP, bedside", Opacity::both, 1.2},
    SampleStudy{1, "20240121", "112700", ct_series, "CT chest with contrast", Opacity::none},
    SampleStudy{2, "20231130", "073000", digital_xray, "Chest PA", Opacity::none},
    SampleStudy{2, "20240514", "090510", digital_xray, "Chest PA, pre-op", Opacity::none},
    SampleStudy{3, "20240218", "201205", digital_xray, "Chest PA", Opacity::left_lower, 0.9},
    SampleStudy{3, "20240316", "131100", digital_xray, "Chest PA, follow-up", Opacity::none},
    SampleStudy{4, "20240109", "183000", computed_xray, "Chest AP, child", Opacity::right_upper, 1.0},
    SampleStudy{4, "20240116", "101500", computed_xray, "Chest AP, child", Opacity::right_upper, 0.4},
    SampleStudy{5, "20210420", "115900", computed_xray, "Рентген грудной клетки", Opacity::none},
    SampleStudy{5, "20240227", "094200", digital_xray, "Рентген грудной клетки", Opacity::none},
    SampleStudy{6, "20240303", "152030", digital_xray, "Chest PA", Opacity::both, 0.7},
    SampleStudy{7, "20230925", "084500", digital_xray, "Ακτινογραφία θώρακος", Opacity::none},
    SampleStudy{7, "20240411", "121212", ultrasound, "Υπερηχογράφημα", Opacity::none},
    SampleStudy{8, "20240207", "103000", digital_xray, "Chest PA", Opacity::right_lower, 1.3},
    SampleStudy{9, "20220711", "090000", computed_xray, "Chest PA", Opacity::none},
    SampleStudy{9, "20240501", "093000", ct_series, "CT chest, nodule", Opacity::right_upper},
    SampleStudy{9, "20240502", "140000", digital_xray, "Chest PA", Opacity::none},
    SampleStudy{10, "20240422", "170510", computed_xray, "Chest AP, child", Opacity::left_lower, 1.1},
    SampleStudy{11, "20230630", "111111", digital_xray, "Chest PA", Opacity::none},
    SampleStudy{11, "20240630", "111500", digital_xray, "Chest PA", Opacity::none},
};

}  // namespace

std::span<const SamplePerson> sample_people() {
    return kPeople;
}
std::span<const SampleStudy> sample_studies() {
    return kStudies;
}

Result<SampleReport> write_samples(const std::filesystem::path& folder, std::uint64_t seed,
                                   const std::function<void(std::size_t, std::size_t)>& progress) {
    const auto files = plan_sample_files();
    SampleReport report{kPeople.size(), kStudies.size(), files.size(), 0};
    std::atomic<std::size_t> next{0};
    std::mutex mutex;  // guards what follows
    std::optional<Error> failed;
    std::size_t done = 0;
    const auto work = [&] {
        for (std::size_t i = next++; i < files.size(); i = next++) {
            const auto bytes = make_sample_file(files[i], seed);
            const auto path = folder / files[i].path;
            std::error_code code;
            std::filesystem::create_directories(path.parent_path(), code);
            auto written = code ? Result<void>(fail(error_from_errno(code.value(), "create", path.parent_path())))
                                : write_file_atomically(path, bytes, 0644);
            const std::lock_guard lock(mutex);
            if (failed) return;
            if (!written) {
                failed = written.error();
                return;
            }
            report.bytes += bytes.size();
            if (progress) progress(++done, files.size());
        }
    };
    {
        std::vector<std::jthread> threads;
        for (unsigned i = 1; i < std::max(1u, std::thread::hardware_concurrency()); ++i) threads.emplace_back(work);
        work();
    }
    if (failed) return fail(*failed);
    return report;
}

}  // namespace fiducial::app::samples
