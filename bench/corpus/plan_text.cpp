// See plan_text.hpp.
#include "plan_text.hpp"

#include <cstdio>
#include <cstring>

#include "../driver/text.hpp"

namespace wlm::corpus {

namespace {

// "Index Scan using i on t x" -> "Index Scan"
std::string NodeName(std::string text)
{
	for (const char *mark : {" using ", " on "})
		if (const size_t at = text.find(mark); at != std::string::npos)
			text.resize(at);
	return bench::Trim(text);
}

}  // namespace

PlanText ParsePlan(const std::vector<std::string> &lines)
{
	PlanText plan;
	std::string last;
	for (size_t i = 0; i < lines.size(); ++i) {
		const std::string &line = lines[i];
		const size_t cost = line.find("  (cost=");
		if (cost == std::string::npos)
			continue;
		const size_t arrow = line.find("->  ");
		const size_t start = arrow == std::string::npos ? 0 : arrow + std::strlen("->  ");
		if (plan.nodes.empty())
			std::sscanf(line.c_str() + cost, "  (cost=%*f..%lf rows=%lf", &plan.cost, &plan.rows);
		plan.nodes.push_back(NodeName(line.substr(start, cost - start)));
		const std::string entry = std::to_string(start) + plan.nodes.back() + ";";
		if (entry != last)
			plan.signature += entry;
		last = entry;
	}
	return plan;
}

}  // namespace wlm::corpus
