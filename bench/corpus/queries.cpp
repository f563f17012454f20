// wlm_corpus queries: draws a shape, writes it, asks EXPLAIN, and prints what is neither too cheap, too dear, nor too much like others.
#include <algorithm>
#include <cstdio>
#include <map>
#include <stdexcept>

#include "../driver/options.hpp"
#include "../driver/text.hpp"
#include "commands.hpp"
#include "plan_text.hpp"
#include "shapes.hpp"

namespace wlm::corpus {

namespace {

constexpr double kSmallResult = 1000.0;  // rows, by the planner; larger ones are wrapped
constexpr size_t kLongestQuery = 12000;  // bytes
constexpr int kTriesPerQuery = 60;

struct Limits {
	double min_cost;
	double max_cost;
	int same_plan;  // queries with the same plan but for names and numbers
	std::map<std::string, int> plans;
};

struct Rejected {
	int errors = 0;
	int cheap = 0;
	int dear = 0;
	int alike = 0;
};

std::optional<PlanText> Explain(Session &session, const std::string &sql, Rejected &rejected)
{
	Reply reply = session.Execute("EXPLAIN " + sql);
	if (reply.Failed()) {
		if (++rejected.errors <= 5)
			std::fprintf(stderr, "rejected: %s: %s\n", reply.error.c_str(), sql.substr(0, 2000).c_str());
		return std::nullopt;
	}
	std::vector<std::string> lines;
	for (const auto &row : reply.rows)
		lines.push_back(row[0]);
	return ParsePlan(lines);
}

// Empty if it was rejected.
std::string AcceptQuery(Session &session, const Query &query, Dice &dice, Limits &limits, Rejected &rejected)
{
	std::string sql = query.sql;
	if (sql.size() > kLongestQuery)
		return {};
	std::optional<PlanText> plan = Explain(session, sql, rejected);
	if (plan && !query.is_small && plan->rows > kSmallResult) {
		sql = WrapQuery(query, dice);
		plan = Explain(session, sql, rejected);
	} else if (plan && !query.is_small && dice.Chance(0.5)) {
		// Few rows by the planner can be many in truth.
		sql = dice.Chance(0.5) ? WrapQuery(query, dice) : "SELECT * FROM (" + sql + ") AS w LIMIT 1000";
		plan = Explain(session, sql, rejected);
	}
	if (!plan)
		return {};
	if (plan->cost < limits.min_cost || plan->cost > limits.max_cost) {
		++(plan->cost < limits.min_cost ? rejected.cheap : rejected.dear);
		return {};
	}
	int &alike = limits.plans[plan->signature];
	if (alike >= limits.same_plan) {
		++rejected.alike;
		return {};
	}
	++alike;
	return sql;
}

}  // namespace

int Queries(int argc, char **argv)
{
	const bench::Options options(argc, argv, {"seed", "count", "min-cost", "max-cost", "same-plan", "dbname"});
	Dice dice(static_cast<uint64_t>(options.Number("seed", 1)) * 0xD1B54A32D192ED03ull + 7);
	const int count = options.Count("count", 100);
	Limits limits = {
		options.Number("min-cost", 1000), options.Number("max-cost", 3e6), options.Count("same-plan", 3), {}};

	Session session(options.Get("dbname"));
	session.Ask("SET statement_timeout = '20s'; SET jit = off; SET timezone = 'UTC'; SET datestyle = 'ISO, YMD'; SET "
	            "search_path = "
	            "pg_catalog");
	const Catalog catalog = ReadCatalog(session);
	BlockWriter writer(catalog, dice);
	std::vector<double> weights;
	for (const Shape &shape : AllShapes())
		weights.push_back(shape.weight);

	Rejected rejected;
	int printed = 0;
	for (int64_t tries = 0; printed < count && tries < static_cast<int64_t>(count) * kTriesPerQuery; ++tries) {
		const size_t shape = dice.Weighted(weights);
		// A shape that was rejected is drawn again a few times, so that shapes that fail often are not rare in the end.
		for (int again = 0; again < 8; ++again) {
			writer.BeginQuery();
			const std::optional<Query> query = AllShapes()[shape].write(writer);
			const std::string sql = query ? AcceptQuery(session, *query, dice, limits, rejected) : std::string();
			if (sql.empty())
				continue;
			std::printf("%s;\n", sql.c_str());
			++printed;
			break;
		}
	}
	std::fprintf(stderr, "queries=%d plans=%zu rejected: errors=%d cheap=%d dear=%d alike=%d\n", printed,
	             limits.plans.size(), rejected.errors, rejected.cheap, rejected.dear, rejected.alike);
	if (printed < count)
		std::fprintf(stderr, "the database is too small or too simple for more queries within these limits\n");
	return 0;
}

}  // namespace wlm::corpus
