// Query templates: named SQL with :parameters and the domain of each, read from bench/retail/templates. The format is described at
// the head of dashboards.sql.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "random.hpp"

namespace wlm::bench {

// What a template is for; the file that it stands in decides.
enum class Purpose { kDashboard, kReport, kEtl };
constexpr int kPurposes = 3;
const char* PurposeName(Purpose purpose);

struct Parameter {
	enum class Kind { kInt, kDate, kMonth, kPick };
	std::string name;
	Kind kind = Kind::kInt;
	int64_t low = 0;  // dates: days since 1970, months: months since year 0
	int64_t high = 0;
	double skew = 1.0;
	std::vector<std::string> choices;
};

struct QueryTemplate {
	std::string name;
	Purpose purpose = Purpose::kDashboard;
	bool is_serial = false;  // a job that its scheduler never starts beside itself
	std::string sql;
	std::vector<Parameter> parameters;

	// The SQL with parameters drawn from their domains.
	std::string Instantiate(Random& random) const;
};

using Sizes = std::map<std::string, int64_t>;

// Reads dashboards.sql, reports.sql and etl.sql below `folder`; `sizes` gives the values of @names. Raises std::runtime_error that
// names file and template when something is malformed.
std::vector<QueryTemplate> ReadTemplates(const std::string& folder, const Sizes& sizes);

}  // namespace wlm::bench
