/*
 * main.cpp
 *
 * pg_wlm_trainer: samples in, models out. Started by the server's training
 * worker with pipes, or by hand:
 *
 *     psql -AXtc 'SELECT * FROM wlm.export_samples()' | pg_wlm_trainer --output new.models
 *
 * It shares nothing with the server: whatever goes wrong here ends this process
 * and nothing else. Standard error says, line by line,
 *
 *     progress <expert> <part done, 0..1> <loss on what was kept apart>
 *     done <expert> samples=.. kept_apart=.. rounds=.. loss=.. seconds=.. peak_mb=..
 *     failed <expert>: <reason>
 *
 * and may say other things (libraries do). Models come out as blobs one after the
 * other, BlobLength() cuts them. Exit status: 0; 1 if an expert failed, the others'
 * models are written all the same; 2 for wrong arguments.
 *
 * PG_WLM_TRAINER_FAULT in the environment makes it misbehave, for tests of whoever
 * starts it: crash (signal 11), hang (sleeps for ever), spin (computes for ever),
 * garbage (random bytes for models), error (fails with a reason), oom (allocates
 * for ever), truncate (ends in the middle of the first model, status 0).
 */
#include <getopt.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cmath>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iostream>
#include <iterator>
#include <new>
#include <optional>
#include <random>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "core/learn/blob_format.hpp"
#include "core/learn/model_blob.hpp"
#include "trainer/limits.hpp"
#include "trainer/samples.hpp"
#include "trainer/train.hpp"

namespace wlm::trainer {

namespace {

constexpr const char *kVersion = "pg_wlm_trainer (pg_wlm) 1.0\n";
constexpr const char *kUsage =
	"usage: pg_wlm_trainer [option]... < samples > models\n"
	"Trains the models of pg_wlm from samples as wlm.export_samples() returns them, binary or as psql prints them.\n"
	"\n"
	"  --experts LIST   which models to train, with commas between: trees, graph (default both)\n"
	"  --seed N         the same samples and seed give the same models (default 1)\n"
	"  --memory MB      limit of memory (default 512, at least 16)\n"
	"  --seconds S      limit of processor time, about; the best models so far are written (default 600)\n"
	"  --start FILE     models to go on from; - takes the one that stands before the samples on standard input\n"
	"  --input FILE     read samples from there\n"
	"  --output FILE    write models to there\n"
	"  --help, --version\n";
constexpr int kWrongArguments = 2;
constexpr size_t kMegabyte = size_t{1} << 20;
constexpr size_t kGarbageBytes = 10000;
constexpr size_t kHogBytes = 4 * kMegabyte;
constexpr size_t kMostStartBytes = 64 * kMegabyte;

struct Arguments {
	std::vector<ModelId> experts = {kTreesModel, kGraphModel};
	uint64_t seed = 1;
	size_t memory = 512 * kMegabyte;
	double seconds = 600;
	std::string start;
	std::string input;
	std::string output;
};

template <class Number>
bool ParseNumber(std::string_view text, Number least, Number most, Number *number)
{
	const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), *number);
	return error == std::errc() && end == text.data() + text.size() && *number >= least && *number <= most;
}

bool ParseExperts(std::string_view list, std::vector<ModelId> *experts)
{
	experts->clear();
	while (true) {
		const size_t comma = list.find(',');
		const std::string_view name = list.substr(0, comma);
		if (name != ModelName(kTreesModel) && name != ModelName(kGraphModel))
			return false;
		const ModelId which = name == ModelName(kTreesModel) ? kTreesModel : kGraphModel;
		if (std::find(experts->begin(), experts->end(), which) == experts->end())
			experts->push_back(which);
		if (comma == list.npos)
			return true;
		list.remove_prefix(comma + 1);
	}
}

/* An exit status, if there is nothing to train. */
std::optional<int> ParseArguments(int argc, char **argv, Arguments *arguments)
{
	enum { kExperts = 1, kSeed, kMemory, kSeconds, kStart, kInput, kOutput, kHelp, kVersionOption };
	static const option kOptions[] = {
		{"experts", required_argument, nullptr, kExperts},
		{"help", no_argument, nullptr, kHelp},
		{"input", required_argument, nullptr, kInput},
		{"memory", required_argument, nullptr, kMemory},
		{"output", required_argument, nullptr, kOutput},
		{"seconds", required_argument, nullptr, kSeconds},
		{"seed", required_argument, nullptr, kSeed},
		{"start", required_argument, nullptr, kStart},
		{"version", no_argument, nullptr, kVersionOption},
		{nullptr, 0, nullptr, 0},
	};
	bool ok = true;
	size_t megabytes = 0;
	for (int given; ok && (given = getopt_long(argc, argv, "", kOptions, nullptr)) != -1;) {
		switch (given) {
			case kExperts: ok = ParseExperts(optarg, &arguments->experts); break;
			case kSeed: ok = ParseNumber<uint64_t>(optarg, 0, UINT64_MAX, &arguments->seed); break;
			case kMemory:
				ok = ParseNumber<size_t>(optarg, 16, size_t{1} << 24, &megabytes);
				arguments->memory = megabytes * kMegabyte;
				break;
			case kSeconds: ok = ParseNumber(optarg, 0.01, 1e7, &arguments->seconds); break;
			case kStart: arguments->start = optarg; break;
			case kInput: arguments->input = optarg; break;
			case kOutput: arguments->output = optarg; break;
			case kHelp: std::fputs(kUsage, stdout); return 0;
			case kVersionOption: std::fputs(kVersion, stdout); return 0;
			default: ok = false;
		}
	}
	if (ok && optind == argc)
		return std::nullopt;
	std::fputs(kUsage, stderr);
	return kWrongArguments;
}

std::string_view Fault()
{
	const char *fault = std::getenv("PG_WLM_TRAINER_FAULT");
	return fault == nullptr ? "" : fault;
}

void WriteAll(FILE *output, std::span<const std::byte> bytes)
{
	if (std::fwrite(bytes.data(), 1, bytes.size(), output) != bytes.size() || std::fflush(output) != 0)
		throw std::runtime_error(std::string("could not write: ") + std::strerror(errno));
}

/* After the samples have been read, so that whoever writes them is not cut off. */
void Misbehave(FILE *output)
{
	const std::string_view fault = Fault();
	if (fault == "crash")
		std::raise(SIGSEGV);
	while (fault == "hang")
		pause();
	for (volatile uint64_t turns = 0; fault == "spin";)
		turns = turns + 1;
	if (fault == "error")
		throw std::runtime_error("PG_WLM_TRAINER_FAULT is set");
	for (std::vector<std::vector<char>> hogs; fault == "oom";)
		hogs.emplace_back(kHogBytes, 'x');
	if (fault == "garbage") {
		std::mt19937 random(1);
		std::vector<std::byte> garbage(kGarbageBytes);
		for (std::byte &byte : garbage)
			byte = static_cast<std::byte>(random());
		WriteAll(output, garbage);
		std::exit(0);
	}
}

/* The blobs to go on from: those of a file, or with "-" the one that stands before the samples on standard input. */
std::string ReadStart(const std::string &name)
{
	if (name.empty())
		return {};
	if (name != "-") {
		std::ifstream file(name, std::ios::binary);
		if (!file.is_open())
			throw std::runtime_error("could not read " + name);
		return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
	}
	std::string blob(kBlobHeaderBytes, '\0');
	std::cin.read(blob.data(), static_cast<std::streamsize>(blob.size()));
	const size_t length = std::cin ? BlobLength(std::as_bytes(std::span(blob))) : 0;
	if (length == 0 || length > kMostStartBytes)
		throw std::runtime_error("no model stands before the samples");
	blob.resize(length);
	std::cin.read(blob.data() + kBlobHeaderBytes, static_cast<std::streamsize>(length - kBlobHeaderBytes));
	if (!std::cin)
		throw std::runtime_error("the model before the samples is cut short");
	return blob;
}

/* The model among blobs; empty if there is none of this kind. `name` is for messages. */
std::vector<std::byte> FindStart(const std::string &bytes, const std::string &name, ModelId which)
{
	auto rest = std::as_bytes(std::span(bytes));
	while (!rest.empty()) {
		const size_t length = BlobLength(rest);
		if (length == 0 || length > rest.size())
			throw std::runtime_error(name + " does not hold models");
		if (BlobModel(rest) == which) {
			const std::vector<std::byte> blob(rest.begin(), rest.begin() + static_cast<ptrdiff_t>(length));
			std::span<const std::byte> model;
			const BlobStatus status = CheckInPlaceBlob(blob, which, &model);
			if (status != BlobStatus::kOk)
				throw std::runtime_error(name + ": " + BlobStatusText(status));
			return {model.begin(), model.end()};
		}
		rest = rest.subspan(length);
	}
	return {};
}

void TrainOne(ModelId which, const Samples &samples, const std::string &start, const Arguments &arguments, double seconds,
              FILE *output)
{
	const char *name = ModelName(which);
	Options options;
	options.seed = arguments.seed;
	options.seconds = seconds;
	options.progress = [name](double done, double loss) { std::fprintf(stderr, "progress %s %.3f %.5g\n", name, done, loss); };
	if (which == kGraphModel)
		options.start = FindStart(start, arguments.start, which);
	Report report;
	const std::vector<std::byte> model =
		which == kGraphModel ? TrainGraph(samples, options, &report) : TrainTrees(samples, options, &report);

	std::vector<std::byte> blob(InPlaceBlobBytes(model.size()));
	WriteInPlaceBlob(which, model, blob);
	std::span<const std::byte> checked;
	const BlobStatus status = CheckInPlaceBlob(blob, which, &checked);
	if (status != BlobStatus::kOk)
		throw std::runtime_error(std::string("what was trained is refused: ") + BlobStatusText(status));
	if (Fault() == "truncate") {
		WriteAll(output, std::span(blob).first(blob.size() / 2));
		std::exit(0);
	}
	WriteAll(output, blob);
	std::fprintf(stderr, "done %s samples=%zu kept_apart=%zu rounds=%d loss=%.5g seconds=%.2f peak_mb=%.0f\n", name,
	             report.samples, report.kept_apart, report.rounds, report.loss, report.seconds, PeakMb());
}

Samples ReadInput(const Arguments &arguments)
{
	std::ifstream file;
	if (!arguments.input.empty()) {
		file.open(arguments.input, std::ios::binary);
		if (!file)
			throw std::runtime_error("could not read " + arguments.input);
	}
	int64_t skipped = 0;
	/* once in the pool, once as what it leaves: half of all memory together, the rest is for training */
	Samples samples = ReadSamples(arguments.input.empty() ? std::cin : file, arguments.memory / 4, &skipped);
	if (skipped > 0)
		std::fprintf(stderr, "skipped %lld damaged samples\n", static_cast<long long>(skipped));
	return samples;
}

/* Runs a step; says of every expert concerned why it failed. */
template <class Step>
bool Succeeds(std::span<const ModelId> experts, const Step &step)
{
	std::string reason;
	try {
		step();
		return true;
	} catch (const std::bad_alloc &) {
		reason = "out of memory";
	} catch (const std::exception &error) {
		reason = error.what();
	}
	std::replace(reason.begin(), reason.end(), '\n', ' ');
	for (const ModelId which : experts)
		std::fprintf(stderr, "failed %s: %s\n", ModelName(which), reason.c_str());
	return false;
}

int Run(const Arguments &arguments)
{
	Samples samples;
	std::string start;
	FILE *output = stdout;
	const bool ready = Succeeds(arguments.experts, [&] {
		if (!arguments.output.empty() && (output = std::fopen(arguments.output.c_str(), "wb")) == nullptr)
			throw std::runtime_error("could not write " + arguments.output);
		start = ReadStart(arguments.start);
		samples = ReadInput(arguments);
		Misbehave(output);
	});
	if (!ready)
		return 1;
	bool all = true;
	for (size_t i = 0; i < arguments.experts.size(); i++) {
		/* what is left is shared by those who are left */
		const double left = std::max(arguments.seconds - SpentSeconds(), 0.01 * arguments.seconds);
		const double seconds = left / static_cast<double>(arguments.experts.size() - i);
		all &= Succeeds(std::span(arguments.experts).subspan(i, 1),
		                [&] { TrainOne(arguments.experts[i], samples, start, arguments, seconds, output); });
	}
	return all ? 0 : 1;
}

}  // namespace

}  // namespace wlm::trainer

int main(int argc, char **argv)
{
	wlm::trainer::Arguments arguments;
	std::setvbuf(stderr, nullptr, _IOLBF, BUFSIZ);
	if (const auto status = wlm::trainer::ParseArguments(argc, argv, &arguments))
		return *status;
	std::ios::sync_with_stdio(false);
	wlm::trainer::BecomeBackground();
	wlm::trainer::LimitResources(arguments.memory, arguments.seconds);
	return wlm::trainer::Run(arguments);
}
