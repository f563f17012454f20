/*
 * limits.cpp
 *
 * See limits.hpp. Linux; elsewhere what is missing is left out.
 */
#include "trainer/limits.hpp"

#include <sched.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <csignal>
#include <cstdio>

namespace wlm::trainer {

namespace {

constexpr size_t kMemoryHeadRoom = size_t{64} << 20; /* libraries' own, stacks of threads */
constexpr double kSecondsHeadRoom = 2;
constexpr double kSecondsFactor = 1.5;
constexpr double kElapsedPart = 0.6; /* of the time that has passed, see SpentSeconds(); the server waits twice as long as it asks for */

void CloseInherited()
{
#ifdef SYS_close_range
	if (syscall(SYS_close_range, 3u, ~0u, 0u) == 0)
		return;
#endif
	const long most = sysconf(_SC_OPEN_MAX);
	for (int fd = 3; fd < (most > 0 && most < 65536 ? static_cast<int>(most) : 65536); fd++)
		close(fd);
}

void ResetSignals()
{
	for (int number = 1; number < NSIG; number++)
		std::signal(number, SIG_DFL); /* fails for those that cannot be changed */
	sigset_t none;
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, nullptr);
}

void LowerPriority()
{
	[[maybe_unused]] const int before = nice(19);
#ifdef SCHED_IDLE
	const sched_param idle{};
	sched_setscheduler(0, SCHED_IDLE, &idle);
#endif
#ifdef SYS_ioprio_set
	constexpr int kWhoProcess = 1;
	constexpr int kClassIdle = 3 << 13;
	syscall(SYS_ioprio_set, kWhoProcess, 0, kClassIdle);
#endif
}

void OfferToOomKiller()
{
	if (FILE *file = std::fopen("/proc/self/oom_score_adj", "w")) {
		std::fputs("1000", file);
		std::fclose(file);
	}
}

void SetLimit(int resource, rlim_t soft, rlim_t hard)
{
	rlimit limit;
	if (getrlimit(static_cast<__rlimit_resource>(resource), &limit) != 0)
		return;
	limit.rlim_max = std::min(limit.rlim_max, hard);
	limit.rlim_cur = std::min(limit.rlim_max, soft);
	setrlimit(static_cast<__rlimit_resource>(resource), &limit);
}

/* Private writable memory, as RLIMIT_DATA counts it; 0 if nobody knows. */
size_t DataBytes()
{
	unsigned long pages = 0;
	if (FILE *file = std::fopen("/proc/self/statm", "r")) {
		if (std::fscanf(file, "%*u %*u %*u %*u %*u %lu", &pages) != 1)
			pages = 0;
		std::fclose(file);
	}
	return pages * static_cast<size_t>(sysconf(_SC_PAGESIZE));
}

}  // namespace

void BecomeBackground()
{
	CloseInherited();
	ResetSignals();
	/*
	 * Ends with status 1, not by a signal: an orphan is reaped by the postmaster where that is process 1, and there a
	 * child it does not know that is killed by a signal counts as a crashed backend.
	 */
	std::signal(SIGTERM, [](int) { _exit(1); });
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	SetLimit(RLIMIT_CORE, 0, 0);
	OfferToOomKiller();
	LowerPriority();
}

void LimitResources(size_t memory, double seconds)
{
	const rlim_t most_memory = DataBytes() + memory + kMemoryHeadRoom;
	SetLimit(RLIMIT_DATA, most_memory, most_memory);
	const auto most_seconds = static_cast<rlim_t>(std::ceil(seconds * kSecondsFactor + kSecondsHeadRoom));
	SetLimit(RLIMIT_CPU, most_seconds, most_seconds + 1);
}

double SpentSeconds()
{
	static const auto started = std::chrono::steady_clock::now();
	rusage usage;
	getrusage(RUSAGE_SELF, &usage);
	const auto seconds = [](const timeval &time) {
		return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) * 1e-6;
	};
	const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - started;
	return std::max(seconds(usage.ru_utime) + seconds(usage.ru_stime), elapsed.count() * kElapsedPart);
}

double PeakMb()
{
	rusage usage;
	getrusage(RUSAGE_SELF, &usage);
	return static_cast<double>(usage.ru_maxrss) / 1024;
}

}  // namespace wlm::trainer
