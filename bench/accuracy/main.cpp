/*
 * main.cpp
 *
 * bench_accuracy: how good predictions are, from recordings (files of
 * wlm.export_samples()); and the gate that ships. README.md explains.
 */
#include <getopt.h>

#include <cstdio>
#include <cstdlib>
#include <exception>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <string>
#include <vector>

#include "evaluation.hpp"
#include "gate_training.hpp"
#include "report.hpp"

namespace wlm::accuracy {

namespace {

constexpr const char *kUsage =
	"usage: bench_accuracy report [option]... FILE|FOLDER...\n"
	"       bench_accuracy gate --output FILE [option]... FILE|FOLDER...\n"
	"       bench_accuracy split --output FOLDER FILE   (models of pg_wlm_trainer, into a file each)\n"
	"Files are WORKLOAD-CONDITION.samples, as bench/accuracy/collect writes them.\n"
	"\n"
	"  --output FILE       the report (default standard output), or the gate's model\n"
	"  --train-seconds S   at most so long for each training of each expert (default 120)\n"
	"  --seed N            of the trainings (default 1)\n"
	"report:\n"
	"  --json FILE         the same numbers for programs\n"
	"  --notes FILE        lines about machine, commit and command, for the head of the report\n"
	"  --models FOLDER     also what ships: trees.model, graph.model, gate.model\n"
	"  --fresh-gate        do not start from the gate in there\n"
	"  --shipped-only      nothing but what ships: no training\n"
	"  --folds N           templates never seen: so many fifths of the templates (default 1, at most 5)\n"
	"  --no-leave-out      without databases never seen and cold start (one training for each database)\n"
	"  --no-drift          without drift\n"
	"gate:\n"
	"  --epochs N          (default 2)\n";

struct Arguments {
	EvaluationOptions evaluation;
	int epochs = 2;
	std::string output, json, notes;
	std::vector<std::string> files;
};

double ParseNumber(const char *name, const char *text, double least, double most)
{
	char *end;
	const double number = std::strtod(text, &end);
	if (end == text || *end != '\0' || !(number >= least && number <= most))
		throw std::runtime_error(std::string("wrong value for --") + name + ": " + text);
	return number;
}

Arguments Parse(int argc, char **argv)
{
	enum { kOutput = 1, kSeconds, kSeed, kJson, kNotes, kModels, kFreshGate, kShippedOnly, kFolds, kNoLeaveOut, kNoDrift, kEpochs };
	static const option kOptions[] = {
		{"epochs", required_argument, nullptr, kEpochs},
		{"folds", required_argument, nullptr, kFolds},
		{"fresh-gate", no_argument, nullptr, kFreshGate},
		{"json", required_argument, nullptr, kJson},
		{"models", required_argument, nullptr, kModels},
		{"no-drift", no_argument, nullptr, kNoDrift},
		{"no-leave-out", no_argument, nullptr, kNoLeaveOut},
		{"notes", required_argument, nullptr, kNotes},
		{"output", required_argument, nullptr, kOutput},
		{"seed", required_argument, nullptr, kSeed},
		{"shipped-only", no_argument, nullptr, kShippedOnly},
		{"train-seconds", required_argument, nullptr, kSeconds},
		{nullptr, 0, nullptr, 0},
	};
	Arguments arguments;
	EvaluationOptions &evaluation = arguments.evaluation;
	for (int given, which = 0; (given = getopt_long(argc, argv, "", kOptions, &which)) != -1;) {
		switch (given) {
			case kOutput: arguments.output = optarg; break;
			case kSeconds: evaluation.training.seconds = ParseNumber("train-seconds", optarg, 0.01, 1e6); break;
			case kSeed: evaluation.training.seed = static_cast<uint64_t>(ParseNumber("seed", optarg, 0, 1e15)); break;
			case kJson: arguments.json = optarg; break;
			case kNotes: arguments.notes = optarg; break;
			case kModels: evaluation.models = optarg; break;
			case kFreshGate: evaluation.use_shipped_gate = false; break;
			case kShippedOnly: evaluation.shipped_only = true; break;
			case kFolds: evaluation.folds = static_cast<int>(ParseNumber("folds", optarg, 0, 5)); break;
			case kNoLeaveOut: evaluation.leave_out = false; break;
			case kNoDrift: evaluation.drift = false; break;
			case kEpochs: arguments.epochs = static_cast<int>(ParseNumber("epochs", optarg, 1, 100)); break;
			default: throw std::runtime_error("see bench_accuracy --help");
		}
	}
	arguments.files.assign(argv + optind, argv + argc);
	if (evaluation.shipped_only && evaluation.models.empty())
		throw std::runtime_error("--shipped-only needs --models");
	return arguments;
}

void WriteText(const std::string &path, const std::string &text)
{
	std::ofstream file(path, std::ios::binary);
	file << text;
	if (!file.flush())
		throw std::runtime_error("could not write " + path);
}

std::string ReadText(const std::string &path)
{
	if (path.empty())
		return {};
	std::ifstream file(path, std::ios::binary);
	if (!file)
		throw std::runtime_error("could not read " + path);
	return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

void MakeReport(const Arguments &arguments)
{
	const std::string notes = ReadText(arguments.notes);
	const std::vector<Recording> recordings = ReadRecordings(arguments.files);
	const Evaluation evaluation = Evaluate(recordings, arguments.evaluation);
	const ReportInput input = {recordings, &evaluation, notes};
	if (!arguments.json.empty())
		WriteText(arguments.json, Json(input));
	if (arguments.output.empty())
		std::fputs(Markdown(input).c_str(), stdout);
	else
		WriteText(arguments.output, Markdown(input));
}

void MakeGate(const Arguments &arguments)
{
	if (arguments.output.empty())
		throw std::runtime_error("gate needs --output");
	const std::vector<Recording> recordings = ReadRecordings(arguments.files);
	const AlignedBytes gate = TrainGate(recordings, {arguments.evaluation.training, arguments.epochs});
	WriteModel(arguments.output, kGateModel, gate.span());
}

void SplitModels(const Arguments &arguments)
{
	if (arguments.output.empty() || arguments.files.size() != 1)
		throw std::runtime_error("split needs --output and one file");
	for (const ModelId which : {kTreesModel, kGraphModel})
		WriteModel(arguments.output + "/" + ModelName(which) + ".model", which, ReadModel(arguments.files[0], which).span());
}

}  // namespace

}  // namespace wlm::accuracy

int main(int argc, char **argv)
{
	const std::string command = argc > 1 ? argv[1] : "";
	if (command == "--help") {
		std::fputs(wlm::accuracy::kUsage, stdout);
		return 0;
	}
	try {
		if (command != "report" && command != "gate" && command != "split") {
			std::fputs(wlm::accuracy::kUsage, stderr);
			return 2;
		}
		const wlm::accuracy::Arguments arguments = wlm::accuracy::Parse(argc - 1, argv + 1);
		if (command == "report")
			wlm::accuracy::MakeReport(arguments);
		else if (command == "gate")
			wlm::accuracy::MakeGate(arguments);
		else
			wlm::accuracy::SplitModels(arguments);
	} catch (const std::exception &error) {
		std::fprintf(stderr, "bench_accuracy %s: %s\n", command.c_str(), error.what());
		return 1;
	}
	return 0;
}
