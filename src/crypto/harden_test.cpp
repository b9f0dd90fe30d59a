#include "crypto/harden.hpp"

#include <gtest/gtest.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>

namespace fiducial::crypto {
namespace {

/// Runs in a process of its own, so that the tests that follow can still be debugged.
int in_child(int (*what)()) {
    std::fflush(nullptr);
    const pid_t child = ::fork();
    if (child == 0) ::_exit(what());
    int status = 0;
    ::waitpid(child, &status, 0);
    return status;
}

TEST(HardenProcess, SwitchesDumpsAndAttachingOff) {
    const int status = in_child([] {
        if (!harden_process()) return 1;
        rlimit core{1, 1};
        if (::getrlimit(RLIMIT_CORE, &core) != 0 || core.rlim_cur != 0 || core.rlim_max != 0) return 2;
        if (::prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) != 0) return 3;
        return harden_process() ? 0 : 4;  // again does no harm
    });
    ASSERT_TRUE(WIFEXITED(status));
    EXPECT_EQ(WEXITSTATUS(status), 0);
}

TEST(HardenProcess, ACrashLeavesNoCoreDump) {
    const int status = in_child([] {
        rlimit core{};
        ::getrlimit(RLIMIT_CORE, &core);
        core.rlim_cur = core.rlim_max;  // as on a machine that keeps dumps
        ::setrlimit(RLIMIT_CORE, &core);
        if (!harden_process()) return 1;
        std::signal(SIGABRT, SIG_DFL);
        ::abort();
    });
    ASSERT_TRUE(WIFSIGNALED(status));
    EXPECT_FALSE(WCOREDUMP(status));
}

}  // namespace
}  // namespace fiducial::crypto
