// See run_file.hpp.
#include "run_file.hpp"

#include <cstdlib>
#include <sstream>
#include <stdexcept>

#include "text.hpp"

namespace wlm::bench {

namespace {

constexpr size_t kSampleFields = 11;

std::vector<std::vector<std::string>> ReadTable(const std::string& path, size_t fields) {
	std::vector<std::vector<std::string>> rows;
	std::istringstream in(ReadFile(path));
	for (std::string line; std::getline(in, line);) {
		rows.push_back(Split(line, '\t'));
		if (rows.back().size() != fields)
			throw std::runtime_error(Text("%s, line %zu: not %zu fields", path.c_str(), rows.size(), fields));
	}
	return rows;
}

// An error message must not break the table.
std::string OneLine(std::string text) {
	for (char& c : text) {
		if (c == '\t' || c == '\n')
			c = ' ';
	}
	return text;
}

}  // namespace

double SystemRun::Number(const std::string& fact) const {
	const auto found = facts.find(fact);
	return found == facts.end() ? 0.0 : std::atof(found->second.c_str());
}

void WriteRun(const std::string& folder, const SystemRun& run) {
	std::string text;
	for (const auto& [name, value] : run.facts)
		text += name + '\t' + value + '\n';
	WriteFile(folder + '/' + run.name + ".facts.tsv", text);
	text.clear();
	for (const Sample& sample : run.samples) {
		text += Text("%s\t%llu\t%.6f\t%.6f\t%.6f\t%d\t%lld\t%llu\t%.0f\t%.6f\t%s\n", sample.query_template.c_str(),
		             static_cast<unsigned long long>(sample.text_hash), sample.due, sample.sent, sample.finished, sample.pid,
		             static_cast<long long>(sample.rows), static_cast<unsigned long long>(sample.answer_hash), sample.temp_bytes,
		             sample.server_queue, OneLine(sample.error).c_str());
	}
	WriteFile(folder + '/' + run.name + ".samples.tsv", text);
}

SystemRun ReadRun(const std::string& folder, const std::string& name) {
	SystemRun run;
	run.name = name;
	for (const auto& row : ReadTable(folder + '/' + name + ".facts.tsv", 2))
		run.facts[row[0]] = row[1];
	for (const auto& row : ReadTable(folder + '/' + name + ".samples.tsv", kSampleFields)) {
		Sample sample;
		sample.query_template = row[0];
		sample.text_hash = std::strtoull(row[1].c_str(), nullptr, 10);
		sample.due = std::atof(row[2].c_str());
		sample.sent = std::atof(row[3].c_str());
		sample.finished = std::atof(row[4].c_str());
		sample.pid = std::atoi(row[5].c_str());
		sample.rows = std::atoll(row[6].c_str());
		sample.answer_hash = std::strtoull(row[7].c_str(), nullptr, 10);
		sample.temp_bytes = std::atof(row[8].c_str());
		sample.server_queue = std::atof(row[9].c_str());
		sample.error = row[10];
		run.samples.push_back(std::move(sample));
	}
	return run;
}

Facts ReadNotes(const std::string& path) {
	Facts notes;
	for (const std::string& line : path.empty() ? std::vector<std::string>() : Split(ReadFile(path), '\n')) {
		const size_t colon = line.find(": ");
		if (colon != std::string::npos)
			notes[line.substr(0, colon)] = line.substr(colon + 2);
	}
	return notes;
}

std::string JsonFacts(const Facts& facts) {
	std::string json = "{";
	for (const auto& [name, value] : facts)
		json += (json.size() > 1 ? ", " : "") + JsonText(name) + ": " + JsonText(value);
	return json + "}";
}

void WriteCosts(const std::string& path, const Costs& costs) {
	std::string text;
	for (const auto& [name, cost] : costs)
		text += Text("%s\t%.3f\t%.3f\n", name.c_str(), cost.wall_ms, cost.cpu_ms);
	WriteFile(path, text);
}

Costs ReadCosts(const std::string& path) {
	Costs costs;
	for (const auto& row : ReadTable(path, 3))
		costs[row[0]] = {std::atof(row[1].c_str()), std::atof(row[2].c_str())};
	return costs;
}

}  // namespace wlm::bench
