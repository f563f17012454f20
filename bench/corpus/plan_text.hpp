// What EXPLAIN says of a query: its cost, and the shape of its plan without names and numbers.
#pragma once

#include <string>
#include <vector>

namespace wlm::corpus {

struct PlanText {
	double cost = 0.0;  // in total, planner units
	double rows = 0.0;
	std::vector<std::string> nodes;  // "Parallel Hash Join", in the order of EXPLAIN
	std::string signature;           // nodes with their depth; equal neighbours (partitions) count once
};

// Reads the lines of EXPLAIN (FORMAT TEXT).
PlanText ParsePlan(const std::vector<std::string> &lines);

}  // namespace wlm::corpus
