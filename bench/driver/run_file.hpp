// What one system's run leaves behind for the comparison: facts (name, value) and samples, as tab-separated text.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "client_pool.hpp"
#include "schedule.hpp"

namespace wlm::bench {

using Facts = std::map<std::string, std::string>;

struct SystemRun {
	std::string name;
	Facts facts;
	std::vector<Sample> samples;

	double Number(const std::string& fact) const;  // 0 if there is none
};

void WriteRun(const std::string& folder, const SystemRun& run);
SystemRun ReadRun(const std::string& folder, const std::string& name);

// A file of "name: value" lines: what the caller knows about the machine. None for no path.
Facts ReadNotes(const std::string& path);
std::string JsonFacts(const Facts& facts);

void WriteCosts(const std::string& path, const Costs& costs);
Costs ReadCosts(const std::string& path);

}  // namespace wlm::bench
