// Systems side by side: the rows of the table, the targets that are met or not, and where a system is worse than the first.
#pragma once

#include <string>
#include <vector>

#include "metrics.hpp"

namespace wlm::bench {

enum class Unit { kCount, kSeconds, kMilliseconds, kBytes, kPerSecond, kPart };
enum class Better { kNeither, kLower, kHigher };

struct Row {
	std::string key;    // in JSON
	std::string label;  // in the table
	Unit unit;
	Better better;
	std::vector<double> values;  // one per system; milliseconds are kept as seconds
};

struct Target {
	std::string what;
	double value = 0.0;
	double limit = 0.0;
	std::string text;  // "0.43x of 1.20 s", for people
	bool is_met = false;
};

struct Comparison {
	std::vector<std::string> names;
	std::vector<Metrics> metrics;
	std::vector<Row> rows;
	std::vector<Target> targets;       // of the last system against the first
	std::vector<std::string> losses;   // of the last system against the first
};

// `budget` in bytes; 0 leaves the target for memory out.
Comparison CompareSystems(const std::vector<SystemRun>& runs, const Costs& costs, double budget);

std::string FormatValue(double value, Unit unit);

}  // namespace wlm::bench
