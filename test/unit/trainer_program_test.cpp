/*
 * trainer_program_test.cpp
 *
 * pg_wlm_trainer as a process: what goes in and comes out of its pipes, its
 * limits, and that every way in which it can fail looks like what it is.
 */
#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "core/learn/model_blob.hpp"
#include "sample_builder.hpp"
#include "trainer/train.hpp"

namespace wlm {
namespace {

using test::Bytes;
using Clock = std::chrono::steady_clock;

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kSanitized = true; /* allocators that abort, handlers that catch signals */
#else
constexpr bool kSanitized = false;
#endif

struct Outcome {
	int status = 0; /* exit status, or minus the signal that ended it */
	std::string output;
	std::string errors;
	bool killed = false; /* by us, after too long */

	bool Says(const std::string &text) const { return errors.find(text) != std::string::npos; }
};

struct Pipe {
	Pipe() { EXPECT_EQ(pipe2(ends, O_CLOEXEC), 0); }
	~Pipe()
	{
		Close(0);
		Close(1);
	}
	void Close(int end)
	{
		if (ends[end] >= 0)
			close(ends[end]);
		ends[end] = -1;
	}
	int ends[2];
};

void Transfer(pid_t child, Pipe *in, Pipe *out, Pipe *err, const std::string &input, double patience, Outcome *outcome)
{
	const auto deadline = Clock::now() + std::chrono::duration<double>(patience);
	fcntl(in->ends[1], F_SETFL, O_NONBLOCK);
	size_t written = 0;
	while (out->ends[0] >= 0 || err->ends[0] >= 0) {
		if (written == input.size())
			in->Close(1);
		pollfd polled[] = {{in->ends[1], POLLOUT, 0}, {out->ends[0], POLLIN, 0}, {err->ends[0], POLLIN, 0}};
		poll(polled, 3, 50);
		if (polled[0].revents != 0) {
			const ssize_t done = write(in->ends[1], input.data() + written, input.size() - written);
			written = done > 0 ? written + static_cast<size_t>(done) : input.size();
		}
		for (Pipe *from : {out, err}) {
			if (polled[from == out ? 1 : 2].revents == 0)
				continue;
			char buffer[16384];
			const ssize_t done = read(from->ends[0], buffer, sizeof(buffer));
			if (done > 0)
				(from == out ? outcome->output : outcome->errors).append(buffer, static_cast<size_t>(done));
			else
				from->Close(0);
		}
		if (!outcome->killed && Clock::now() > deadline) {
			kill(child, SIGKILL);
			outcome->killed = true;
		}
	}
}

Outcome RunTrainer(std::vector<std::string> arguments, const std::string &input, const char *fault = "", double patience = 120)
{
	signal(SIGPIPE, SIG_IGN);
	setenv("PG_WLM_TRAINER_FAULT", fault, 1);
	arguments.insert(arguments.begin(), WLM_TRAINER_PROGRAM);
	std::vector<char *> argv;
	for (std::string &argument : arguments)
		argv.push_back(argument.data());
	argv.push_back(nullptr);

	Pipe in;
	Pipe out;
	Pipe err;
	posix_spawn_file_actions_t actions;
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, in.ends[0], 0);
	posix_spawn_file_actions_adddup2(&actions, out.ends[1], 1);
	posix_spawn_file_actions_adddup2(&actions, err.ends[1], 2);
	pid_t child;
	EXPECT_EQ(posix_spawn(&child, argv[0], &actions, nullptr, argv.data(), environ), 0);
	posix_spawn_file_actions_destroy(&actions);
	in.Close(0);
	out.Close(1);
	err.Close(1);

	Outcome outcome;
	Transfer(child, &in, &out, &err, input, patience, &outcome);
	int status;
	EXPECT_EQ(waitpid(child, &status, 0), child);
	outcome.status = WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
	return outcome;
}

const std::string &SomeSamples()
{
	static const std::string samples = [] {
		std::string text;
		for (uint32_t i = 0; i < 300; i++) {
			const Bytes record = test::Encoded(*test::RandomSample(i));
			text.append(reinterpret_cast<const char *>(record.data()), record.size());
		}
		return text;
	}();
	return samples;
}

/* The stream, cut; EXPECTs that it is nothing but valid models. */
std::vector<ModelId> Models(const std::string &stream)
{
	std::vector<ModelId> models;
	auto rest = std::as_bytes(std::span(stream));
	while (!rest.empty()) {
		const size_t length = BlobLength(rest);
		EXPECT_GT(length, 0u);
		EXPECT_LE(length, rest.size());
		if (length == 0 || length > rest.size())
			break;
		const Bytes blob(rest.begin(), rest.begin() + static_cast<ptrdiff_t>(length));
		std::span<const std::byte> model;
		EXPECT_EQ(CheckInPlaceBlob(blob, BlobModel(blob), &model), BlobStatus::kOk);
		models.push_back(BlobModel(blob));
		rest = rest.subspan(length);
	}
	return models;
}

TEST(TrainerProgramTest, TrainsTheGraph)
{
	const Outcome outcome = RunTrainer({"--experts", "graph", "--seconds", "3"}, SomeSamples());
	EXPECT_EQ(outcome.status, 0) << outcome.errors;
	EXPECT_EQ(Models(outcome.output), std::vector{kGraphModel});
	EXPECT_TRUE(outcome.Says("progress graph ")) << outcome.errors;
	EXPECT_TRUE(outcome.Says("done graph samples=")) << outcome.errors;
	EXPECT_TRUE(outcome.Says(" peak_mb="));
}

TEST(TrainerProgramTest, TrainsTreesOrSaysWhyNot)
{
	const Outcome outcome = RunTrainer({"--experts", "trees", "--seconds", "5", "--memory", "1024"}, SomeSamples());
	if (trainer::HasTreesTrainer()) {
		EXPECT_EQ(outcome.status, 0) << outcome.errors;
		EXPECT_EQ(Models(outcome.output), std::vector{kTreesModel});
		EXPECT_TRUE(outcome.Says("done trees samples=")) << outcome.errors;
	} else {
		EXPECT_EQ(outcome.status, 1);
		EXPECT_TRUE(outcome.output.empty());
		EXPECT_TRUE(outcome.Says("failed trees: ")) << outcome.errors;
	}
}

TEST(TrainerProgramTest, FilesAndAStart)
{
	const std::string folder = testing::TempDir();
	const std::string name = folder + "pg_wlm_trainer_test_" + std::to_string(getpid());
	std::ofstream(name + ".samples", std::ios::binary) << SomeSamples();
	const std::vector<std::string> common = {"--experts", "graph", "--seconds", "1", "--input", name + ".samples"};
	std::vector<std::string> arguments = common;
	arguments.insert(arguments.end(), {"--output", name + ".models"});
	Outcome outcome = RunTrainer(arguments, "");
	EXPECT_EQ(outcome.status, 0) << outcome.errors;
	EXPECT_TRUE(outcome.output.empty());
	std::ifstream file(name + ".models", std::ios::binary);
	std::stringstream models;
	models << file.rdbuf();
	EXPECT_EQ(Models(models.str()), std::vector{kGraphModel});

	arguments = common;
	arguments.insert(arguments.end(), {"--start", name + ".models"});
	outcome = RunTrainer(arguments, "");
	EXPECT_EQ(outcome.status, 0) << outcome.errors;
	EXPECT_EQ(Models(outcome.output), std::vector{kGraphModel});

	arguments.back() = name + ".samples";
	outcome = RunTrainer(arguments, "");
	EXPECT_EQ(outcome.status, 1);
	EXPECT_TRUE(outcome.Says("does not hold models")) << outcome.errors;
	arguments.back() = name + ".nowhere";
	outcome = RunTrainer(arguments, "");
	EXPECT_TRUE(outcome.Says("failed graph: could not read")) << outcome.errors;
	unlink((name + ".samples").c_str());
	unlink((name + ".models").c_str());
}

TEST(TrainerProgramTest, Arguments)
{
	EXPECT_EQ(RunTrainer({"--help"}, "").status, 0);
	EXPECT_NE(RunTrainer({"--help"}, "").output.find("usage: pg_wlm_trainer"), std::string::npos);
	EXPECT_NE(RunTrainer({"--version"}, "").output.find("pg_wlm"), std::string::npos);
	const std::vector<std::vector<std::string>> wrong = {
		{"--nonsense"}, {"extra"}, {"--experts", "oracle"}, {"--experts", ""}, {"--experts", "graph,"}, {"--seed", "x"},
		{"--seed", "-1"}, {"--memory", "1"}, {"--memory", "99999999999"}, {"--seconds", "0"}, {"--seconds", "nan"},
		{"--seconds"}, {"--memory", "64k"}};
	for (const auto &arguments : wrong) {
		const Outcome outcome = RunTrainer(arguments, "");
		EXPECT_EQ(outcome.status, 2) << arguments[0];
		EXPECT_TRUE(outcome.Says("usage: ")) << arguments[0];
		EXPECT_TRUE(outcome.output.empty());
	}
}

TEST(TrainerProgramTest, InputThatIsNoSamples)
{
	for (const std::string &input : {std::string(), std::string(100000, 'x'), SomeSamples().substr(1, 150)}) {
		const Outcome outcome = RunTrainer({}, input);
		EXPECT_EQ(outcome.status, 1);
		EXPECT_TRUE(outcome.output.empty());
		EXPECT_TRUE(outcome.Says("failed trees: ")) << outcome.errors;
		EXPECT_TRUE(outcome.Says("failed graph: ")) << outcome.errors;
	}
}

TEST(TrainerProgramTest, Faults)
{
	const std::vector<std::string> graph = {"--experts", "graph", "--seconds", "1", "--memory", "256"};
	Outcome outcome = RunTrainer(graph, SomeSamples(), "crash");
	EXPECT_TRUE(outcome.output.empty());
	EXPECT_EQ(outcome.status, -SIGSEGV);

	outcome = RunTrainer(graph, SomeSamples(), "hang", 1);
	EXPECT_TRUE(outcome.killed);
	EXPECT_EQ(outcome.status, -SIGKILL);

	outcome = RunTrainer(graph, SomeSamples(), "garbage");
	EXPECT_EQ(outcome.status, 0);
	EXPECT_EQ(outcome.output.size(), 10000u);
	EXPECT_EQ(BlobLength(std::as_bytes(std::span(outcome.output))), 0u);

	outcome = RunTrainer(graph, SomeSamples(), "error");
	EXPECT_EQ(outcome.status, 1);
	EXPECT_TRUE(outcome.Says("failed graph: PG_WLM_TRAINER_FAULT is set")) << outcome.errors;

	outcome = RunTrainer(graph, SomeSamples(), "truncate");
	EXPECT_EQ(outcome.status, 0) << outcome.errors;
	const size_t length = BlobLength(std::as_bytes(std::span(outcome.output)));
	EXPECT_EQ(outcome.output.size(), length / 2);
}

TEST(TrainerProgramTest, MemoryIsLimited)
{
	const Outcome outcome = RunTrainer({"--experts", "graph", "--memory", "64"}, SomeSamples(), "oom");
	EXPECT_NE(outcome.status, 0);
	EXPECT_FALSE(outcome.killed);
	EXPECT_TRUE(outcome.output.empty());
	if (!kSanitized) {
		EXPECT_EQ(outcome.status, 1);
		EXPECT_TRUE(outcome.Says("failed graph: out of memory")) << outcome.errors;
	}
}

TEST(TrainerProgramTest, ProcessorTimeIsLimited)
{
	const Outcome outcome = RunTrainer({"--experts", "graph", "--seconds", "0.1"}, SomeSamples(), "spin", 300);
	EXPECT_FALSE(outcome.killed);
	EXPECT_EQ(outcome.status, -SIGXCPU);
}

TEST(TrainerProgramTest, EndsWhenNobodyReads)
{
	const auto start = Clock::now();
	int ends[2];
	ASSERT_EQ(pipe2(ends, O_CLOEXEC), 0);
	close(ends[0]);
	const std::string name = testing::TempDir() + "pg_wlm_trainer_pipe_" + std::to_string(getpid());
	std::ofstream(name, std::ios::binary) << SomeSamples();
	setenv("PG_WLM_TRAINER_FAULT", "", 1);
	posix_spawn_file_actions_t actions;
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, 0, name.c_str(), O_RDONLY, 0);
	posix_spawn_file_actions_adddup2(&actions, ends[1], 1);
	posix_spawn_file_actions_adddup2(&actions, ends[1], 2);
	char program[] = WLM_TRAINER_PROGRAM;
	char *argv[] = {program, nullptr};
	pid_t child;
	ASSERT_EQ(posix_spawn(&child, program, &actions, nullptr, argv, environ), 0);
	posix_spawn_file_actions_destroy(&actions);
	int status;
	EXPECT_EQ(waitpid(child, &status, 0), child);
	/* at its first word; the ignored SIGPIPE that it inherits does not count */
	EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGPIPE) << status;
	EXPECT_LT(std::chrono::duration<double>(Clock::now() - start).count(), 120);
	close(ends[1]);
	unlink(name.c_str());
}

}  // namespace
}  // namespace wlm
