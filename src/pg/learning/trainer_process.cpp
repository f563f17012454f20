/*
 * trainer_process.cpp
 *
 * posix_spawn instead of fork: nothing of this process runs in the child, and
 * no page is copied. Pipes are not blocking and polled in short steps, so that a
 * cancel request is heeded while the trainer computes.
 */
#include "pg/learning/trainer_process.hpp"

#include <csignal>
#include <cstdio>
#include <cstring>
#include <ctime>

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

extern "C" {
#include "miscadmin.h"
#include "storage/fd.h"
#include "storage/ipc.h"
#include "storage/pmsignal.h"
}

#include "pg/settings.hpp"

extern char **environ;

namespace wlm {

namespace {

constexpr int kPollMs = 100;
constexpr double kGraceSeconds = 20; /* of wall clock, beyond the CPU time it was given twice */
constexpr Size kFirstOutput = 256 * 1024;
constexpr int kNumPipes = 3;
enum Pipe : int { kInput = 0, kModels, kMessages }; /* the child's descriptors 0, 1 and 2 */

struct Child {
	pid_t pid;              /* 0 = not started, or reaped */
	int ends[kNumPipes];    /* ours; -1 = closed */
	int reserved;           /* descriptors that fd.c knows of */
	int chunk;              /* that is being written */
	Size written;           /* of it */
	Size capacity;          /* of output->models */
	char line[512];         /* what has come of the current line of messages */
	Size line_length;
	double deadline;        /* of a monotonic clock, in seconds */
};

double Now()
{
	timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

void SetError(TrainerOutput *output, const char *text)
{
	if (output->error[0] == '\0')
		strlcpy(output->error, text, sizeof output->error);
}

void CloseEnd(Child *child, int which)
{
	if (child->ends[which] >= 0)
		close(child->ends[which]);
	child->ends[which] = -1;
}

/* No zombie, no descriptor and no process stays behind, whatever it has started itself. */
void Abandon(Child *child)
{
	for (int i = 0; i < kNumPipes; i++)
		CloseEnd(child, i);
	if (child->pid > 0) {
		kill(-child->pid, SIGKILL);
		kill(child->pid, SIGKILL);
		while (waitpid(child->pid, nullptr, 0) < 0 && errno == EINTR)
			;
		child->pid = 0;
	}
	for (; child->reserved > 0; child->reserved--)
		ReleaseExternalFD();
}

void AbandonAtExit(int, Datum child) { Abandon(reinterpret_cast<Child *>(DatumGetPointer(child))); }

bool OpenPipes(Child *child, int theirs[kNumPipes])
{
	for (int i = 0; i < kNumPipes; i++) {
		int ends[2];

		if (pipe2(ends, O_CLOEXEC) != 0)
			return false;
		const bool input = i == kInput;
		theirs[i] = ends[input ? 0 : 1];
		child->ends[i] = ends[input ? 1 : 0];
		fcntl(child->ends[i], F_SETFL, O_NONBLOCK);
	}
	return true;
}

bool Spawn(Child *child, char *const arguments[], const int theirs[kNumPipes])
{
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	sigset_t none;
	sigset_t all;

	if (posix_spawn_file_actions_init(&actions) != 0 || posix_spawnattr_init(&attributes) != 0)
		return false;
	for (int i = 0; i < kNumPipes; i++)
		posix_spawn_file_actions_adddup2(&actions, theirs[i], i);
#if defined(__GLIBC__) && __GLIBC_PREREQ(2, 34)
	posix_spawn_file_actions_addclosefrom_np(&actions, kNumPipes); /* not all of the server's are marked close-on-exec */
#endif
	sigemptyset(&none);
	sigfillset(&all);
	posix_spawnattr_setsigmask(&attributes, &none);
	posix_spawnattr_setsigdefault(&attributes, &all);
	posix_spawnattr_setpgroup(&attributes, 0);
	posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
	const int result = posix_spawn(&child->pid, arguments[0], &actions, &attributes, arguments, environ);
	posix_spawn_file_actions_destroy(&actions);
	posix_spawnattr_destroy(&attributes);
	if (result != 0)
		child->pid = 0;
	errno = result;
	return result == 0;
}

bool Start(const TrainerRequest &request, Child *child, TrainerOutput *output)
{
	char path[MAXPGPATH];
	char seed[32];
	char memory[32];
	char seconds[32];
	int theirs[kNumPipes] = {-1, -1, -1};

	TrainerPath(path, sizeof path);
	snprintf(seed, sizeof seed, "%llu", static_cast<unsigned long long>(request.seed));
	snprintf(memory, sizeof memory, "%d", request.memory_mb);
	snprintf(seconds, sizeof seconds, "%d", request.seconds);
	const char *arguments[] = {path, "--experts", request.experts, "--seed", seed, "--memory", memory, "--seconds", seconds,
	                           request.start_first ? "--start" : nullptr, "-", nullptr};

	for (; child->reserved < kNumPipes; child->reserved++)
		ReserveExternalFD();
	const bool opened = OpenPipes(child, theirs);
	const bool started = opened && Spawn(child, const_cast<char *const *>(arguments), theirs);
	const int error = errno;
	for (const int end : theirs)
		if (end >= 0)
			close(end);
	if (!started) {
		char text[sizeof path + 256];
		snprintf(text, sizeof text, "could not start \"%s\": %s", path, strerror(error));
		SetError(output, text);
	}
	return started;
}

void WriteInput(const TrainerRequest &request, Child *child)
{
	while (child->chunk < request.num_chunks) {
		const std::span<const std::byte> chunk = request.chunk(request.context, child->chunk);
		const ssize_t count = write(child->ends[kInput], chunk.data() + child->written, chunk.size() - child->written);

		if (count < 0) {
			if (errno != EAGAIN && errno != EINTR)
				CloseEnd(child, kInput); /* it does not want more: its exit status says why */
			return;
		}
		child->written += static_cast<Size>(count);
		if (child->written == chunk.size()) {
			child->chunk++;
			child->written = 0;
		}
	}
	CloseEnd(child, kInput);
}

void ReadModels(const TrainerRequest &request, Child *child, TrainerOutput *output)
{
	for (;;) {
		if (output->size == child->capacity) {
			child->capacity = child->capacity == 0 ? kFirstOutput : child->capacity * 2;
			output->models = output->models == nullptr ? static_cast<char *>(palloc(child->capacity))
			                                           : static_cast<char *>(repalloc_huge(output->models, child->capacity));
		}
		const ssize_t count = read(child->ends[kModels], output->models + output->size, child->capacity - output->size);
		if (count < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (count <= 0) {
			CloseEnd(child, kModels);
			return;
		}
		output->size += static_cast<Size>(count);
		if (output->size > request.most_output) {
			SetError(output, "the trainer returned more than its models can be");
			CloseEnd(child, kModels);
			return;
		}
	}
}

/* "progress <expert> <done> <loss>" and "failed <expert>: <reason>"; anything else is some library's. */
void TakeLine(const TrainerRequest &request, const char *line, TrainerOutput *output)
{
	char expert[32];
	double done;
	double loss;

	if (sscanf(line, "progress %31s %lf %lf", expert, &done, &loss) == 3)
		request.progress(request.context, expert, done, loss);
	else if (strncmp(line, "failed ", 7) == 0 && output->num_failures < kMostTrainerFailures)
		strlcpy(output->failures[output->num_failures++], line + 7, sizeof output->failures[0]);
}

void ReadMessages(const TrainerRequest &request, Child *child, TrainerOutput *output)
{
	char buffer[1024];

	for (;;) {
		const ssize_t count = read(child->ends[kMessages], buffer, sizeof buffer);
		if (count < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (count <= 0) {
			CloseEnd(child, kMessages);
			return;
		}
		for (ssize_t i = 0; i < count; i++) {
			if (buffer[i] == '\n') {
				child->line[child->line_length] = '\0';
				TakeLine(request, child->line, output);
				child->line_length = 0;
			} else if (child->line_length < sizeof child->line - 1) {
				/* it goes to a table and to clients: no control characters, nothing that is no text in their encoding */
				child->line[child->line_length++] = buffer[i] >= ' ' && buffer[i] <= '~' ? buffer[i] : '?';
			}
		}
	}
}

/* Until it has closed its ends, been told too much, or used up its time. */
void Converse(const TrainerRequest &request, Child *child, TrainerOutput *output)
{
	while (child->ends[kModels] >= 0 || child->ends[kMessages] >= 0) {
		pollfd polled[kNumPipes];

		CHECK_FOR_INTERRUPTS();
		if (!PostmasterIsAlive())
			proc_exit(1);
		if (Now() > child->deadline) {
			SetError(output, "the trainer did not end in time");
			return;
		}
		for (int i = 0; i < kNumPipes; i++)
			polled[i] = {child->ends[i], static_cast<short>(i == kInput ? POLLOUT : POLLIN), 0};
		if (poll(polled, kNumPipes, kPollMs) <= 0)
			continue;
		if (polled[kInput].revents != 0)
			WriteInput(request, child);
		if (polled[kModels].revents != 0)
			ReadModels(request, child, output);
		if (polled[kMessages].revents != 0)
			ReadMessages(request, child, output);
		if (output->size > request.most_output)
			return;
	}
}

/* Its exit status, as an error unless it was 0. A trainer that has closed its pipes ends at once, or is ended. */
void Reap(Child *child, TrainerOutput *output)
{
	char text[sizeof output->error];
	int status = 0;
	pid_t ended = 0;

	for (int attempt = 0; attempt < 50; attempt++) {
		ended = waitpid(child->pid, &status, WNOHANG);
		if (ended != 0)
			break;
		pg_usleep(20000L);
	}
	if (ended != child->pid) {
		SetError(output, "the trainer did not end in time");
		return;
	}
	child->pid = 0;
	if (WIFSIGNALED(status)) {
		snprintf(text, sizeof text, "the trainer was terminated by signal %d: %s", WTERMSIG(status),
		         strsignal(WTERMSIG(status)));
		SetError(output, text);
	} else if (WEXITSTATUS(status) != 0) {
		snprintf(text, sizeof text, "the trainer ended with status %d", WEXITSTATUS(status));
		SetError(output, text);
	}
}

}  // namespace

void TrainerPath(char *path, Size size)
{
	const char *name = setting::trainer != nullptr && setting::trainer[0] != '\0' ? setting::trainer : "pg_wlm_trainer";

	strlcpy(path, name, size);
	if (is_absolute_path(name))
		return;
	strlcpy(path, my_exec_path, size);
	get_parent_directory(path);
	join_path_components(path, path, name);
}

void RunTrainer(const TrainerRequest &request, TrainerOutput *output)
{
	Child child = {};

	memset(output, 0, sizeof *output);
	for (int &end : child.ends)
		end = -1;
	child.deadline = Now() + 2.0 * request.seconds + kGraceSeconds;
	/* Also for FATAL: a trainer that outlives us would be an unknown child of a postmaster that is process 1. */
	PG_ENSURE_ERROR_CLEANUP(AbandonAtExit, PointerGetDatum(&child));
	{
		if (Start(request, &child, output)) {
			Converse(request, &child, output);
			if (output->error[0] == '\0' || child.ends[kModels] < 0)
				Reap(&child, output);
		}
	}
	PG_END_ENSURE_ERROR_CLEANUP(AbandonAtExit, PointerGetDatum(&child));
	Abandon(&child);
}

}  // namespace wlm
