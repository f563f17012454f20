// See schema_plan.hpp: topology, sizes, keys, indexes.
#include "schema_plan.hpp"

#include <algorithm>

#include "../driver/text.hpp"

namespace wlm::corpus {

namespace {

using bench::Text;

constexpr double kTupleOverhead = 28.0;  // bytes: header and line pointer
constexpr double kIndexEntry = 20.0;     // bytes
constexpr double kMaximalRows = 4000000.0;

size_t AddTable(SchemaPlan &plan, const char *role, double rows, double elasticity, const std::vector<size_t> &parents)
{
	TablePlan table;
	table.name = Text("%s%zu", role, plan.tables.size() + 1);
	table.base_rows = rows;
	table.elasticity = elasticity;
	for (const size_t parent : parents)
		table.keys.push_back(
			{Text("%s_id%s", plan.tables[parent].name.c_str(),
		          std::count(parents.begin(), parents.end(), parent) > 1 ? Text("%zu", table.keys.size()).c_str() : ""),
		     parent, "", false});
	plan.tables.push_back(std::move(table));
	return plan.tables.size() - 1;
}

size_t AddDimension(SchemaPlan &plan, Dice &dice, const std::vector<size_t> &parents)
{
	return AddTable(plan, "dim", dice.Log(20.0, 40000.0), 0.35, parents);
}

void DesignStar(SchemaPlan &plan, Dice &dice, int tables, bool is_snowflake)
{
	const int facts = tables > 4 && dice.Chance(0.4) ? 2 : 1;
	std::vector<size_t> dimensions;
	while (std::ssize(plan.tables) < tables - facts) {
		std::vector<size_t> parents;
		if (is_snowflake && !dimensions.empty() && dice.Chance(0.6)) {
			const size_t at = dice.Index(dimensions.size());
			parents.push_back(dimensions[at]);
			dimensions.erase(dimensions.begin() + static_cast<std::ptrdiff_t>(at));
		}
		dimensions.push_back(AddDimension(plan, dice, parents));
	}
	for (int i = 0; i < facts; ++i) {
		std::vector<size_t> parents;
		for (const size_t dimension : dimensions)
			if (facts == 1 || dice.Chance(0.75))
				parents.push_back(dimension);
		if (dice.Chance(0.2))
			parents.push_back(dice.Pick(dimensions));  // two roles of one dimension
		AddTable(plan, "fact", dice.Log(20000.0, 200000.0), 1.0, parents);
	}
}

void DesignChain(SchemaPlan &plan, Dice &dice, int tables)
{
	double rows = dice.Log(50.0, 2000.0);
	size_t last = AddTable(plan, "level", rows, 0.8, {});
	while (std::ssize(plan.tables) < tables) {
		if (dice.Chance(0.35)) {
			AddDimension(plan, dice, {});
			continue;
		}
		std::vector<size_t> parents = {last};
		for (size_t i = 0; i < plan.tables.size(); ++i)
			if (plan.tables[i].name.rfind("dim", 0) == 0 && dice.Chance(0.3))
				parents.push_back(i);
		rows = std::min(rows * dice.Log(1.5, 12.0), 400000.0);
		last = AddTable(plan, "level", rows, 1.0, parents);
	}
}

void DesignBipartite(SchemaPlan &plan, Dice &dice, int tables)
{
	std::vector<size_t> entities;
	const int entity_count = std::max(2, tables / 2);
	while (std::ssize(entities) < entity_count)
		entities.push_back(AddTable(plan, "entity", dice.Log(500.0, 60000.0), 0.7, {}));
	while (std::ssize(plan.tables) < tables) {
		if (dice.Chance(0.25)) {
			AddTable(plan, "detail", dice.Log(5000.0, 100000.0), 1.0, {dice.Pick(entities)});
			continue;
		}
		const size_t a = dice.Pick(entities);
		AddTable(plan, "link", dice.Log(20000.0, 300000.0), 1.0, {a, dice.Chance(0.15) ? a : dice.Pick(entities)});
	}
}

void DesignWeb(SchemaPlan &plan, Dice &dice, int tables)
{
	AddTable(plan, "node", dice.Log(100.0, 5000.0), 0.6, {});
	while (std::ssize(plan.tables) < tables) {
		std::vector<size_t> parents;
		for (int i = dice.Int(0, 3); i > 0; --i)
			parents.push_back(dice.Index(plan.tables.size()));
		AddTable(plan, "node", dice.Log(200.0, 300000.0), parents.empty() ? 0.6 : 1.0, parents);
	}
}

double BytesOf(const TablePlan &table)
{
	double width = kTupleOverhead + 4.0 + kIndexEntry * static_cast<double>(1 + table.indexes.size());
	for (const KeyPlan &key : table.keys)
		width += 4.0 + (key.has_index ? kIndexEntry : 0.0);
	for (const ColumnPlan &column : table.columns)
		width += column.width;
	return width;
}

double RowsOf(const TablePlan &table, double factor)
{
	return std::clamp(std::floor(table.base_rows * std::pow(factor, table.elasticity)),
	                  std::min(100.0, table.base_rows), kMaximalRows);
}

void SetSizes(SchemaPlan &plan, double megabytes)
{
	double low = 1e-4;
	double high = 1e4;
	for (int i = 0; i < 60; ++i) {
		const double factor = std::sqrt(low * high);
		double bytes = 0.0;
		for (const TablePlan &table : plan.tables)
			bytes += RowsOf(table, factor) * BytesOf(table);
		(bytes < megabytes * 1e6 ? low : high) = factor;
	}
	for (TablePlan &table : plan.tables)
		table.rows = static_cast<int64_t>(RowsOf(table, low));
}

// Which parent each row has. Low ids are the popular ones wherever there is skew, so popularity depends on what the parents' columns say.
std::string DrawKeyExpression(Dice &dice, const SchemaPlan &plan, const TablePlan &table, size_t which, int salt)
{
	const double parents = static_cast<double>(plan.tables[table.keys[which].parent].rows);
	const double rows = static_cast<double>(table.rows);
	std::string text;
	switch (dice.Weighted({3.0, 4.0, 1.5, 1.0, which > 0 ? 1.5 : 0.0})) {
		case 0: text = Text("1 + floor(%.0f * corpus.u(n, %d))::int", parents, salt); break;
		case 1:
			text = Text("1 + floor(%.0f * power(corpus.u(n, %d), %.2f))::int", parents, salt, dice.Log(1.2, 2.6));
			break;
		case 2:
			text = Text("1 + ((n - 1) * %.0f / %.0f)::int", parents, rows);
			break;  // children lie beside each other
		case 3:     // a few parents have many children, some have none
			text = Text("1 + CASE WHEN corpus.u(n, %d) < 0.1 THEN floor(%.0f * corpus.u(n, %d)) ELSE floor(%.0f * "
			            "corpus.u(n, %d)) END::int",
			            salt, std::ceil(parents / 100.0), salt + 1, std::ceil(parents * dice.Real(0.3, 1.0)), salt + 1);
			break;
		default:  // goes with the key before
			text = Text("1 + ((%s) * 31 + floor(%d * corpus.u(n, %d))::int) %% %.0f",
			            table.keys[which - 1].expression.c_str(), dice.Int(1, 12), salt, parents);
			break;
	}
	if (which + 1 == table.keys.size() && dice.Chance(0.35))
		text = Text("CASE WHEN corpus.u(n, %d) >= %.2f THEN %s END", salt + 2, dice.Real(0.01, 0.4), text.c_str());
	return text;
}

void AddSelfReference(Dice &dice, TablePlan &table, size_t self, int salt)
{
	const int roots = dice.Int(1, 200);
	const std::string parent = dice.Chance(0.5)
		? Text("1 + floor((n - 1) * power(corpus.u(n, %d), %.2f))::int", salt, dice.Log(0.8, 2.0))
		: Text("1 + ((n - 1) / %d)::int", dice.Int(2, 9));
	table.keys.push_back(
		{"parent_id", self, Text("CASE WHEN n > %d THEN %s END", roots, parent.c_str()), dice.Chance(0.7)});
}

void DrawColumns(SchemaPlan &plan, Dice &dice)
{
	int salt = 100;
	for (TablePlan &table : plan.tables) {
		const bool is_wide = dice.Chance(0.15);
		const int count = is_wide ? dice.Int(12, 30) : dice.Int(table.keys.size() > 2 ? 1 : 2, 9);
		const int table_salt = salt;
		for (int i = 0; i < count; ++i)
			table.columns.push_back(DrawColumn(dice, table, Text("c%d", i + 1), table_salt, salt += 20));
		salt += 20;
	}
}

void DrawIndexes(TablePlan &table, Dice &dice)
{
	table.has_primary_key = dice.Chance(0.93);
	for (KeyPlan &key : table.keys)
		key.has_index = dice.Chance(0.6);
	std::vector<std::string> names;
	for (const ColumnPlan &column : table.columns) {
		if (!column.is_indexable)
			continue;
		names.push_back(column.name);
		if (column.is_ordered && dice.Chance(0.4))
			table.indexes.push_back("USING brin (" + column.name + ")");
		else if (dice.Chance(0.2))
			table.indexes.push_back((dice.Chance(0.06) ? "USING hash (" : "(") + column.name + ")");
	}
	if (names.size() >= 2 && dice.Chance(0.4)) {
		dice.Shuffle(names);
		table.indexes.push_back("(" + names[0] + ", " + names[1] + ")");
		if (dice.Chance(0.35))
			table.statistics.push_back("(ndistinct, dependencies, mcv) ON " + names[0] + ", " + names[1]);
	}
	if (!table.keys.empty() && !names.empty() && dice.Chance(0.3))
		table.indexes.push_back("(" + dice.Pick(table.keys).column + ", " + dice.Pick(names) + ")");
}

void DrawPartitions(TablePlan &table, Dice &dice)
{
	table.partitioning = static_cast<Partitioning>(dice.Int(1, 3));
	table.partitions = dice.Int(3, 14);
	table.has_primary_key = false;  // it would need the partition key, which differs from the id
	if (table.partitioning == Partitioning::kRange)
		table.columns.insert(table.columns.begin(),
		                     {"part_day", "date",
		                      Text("date '2019-01-01' + (%d * %s)::int", table.partitions * 30 - 1,
		                           dice.Chance(0.6) ? "(n::float8 / (@rows + 1))" : "power(corpus.u(n, 77), 0.7)"),
		                      4.0, true, false});
	if (table.partitioning == Partitioning::kList)
		table.columns.insert(table.columns.begin(),
		                     {"part_code", "int",
		                      Text("floor(%d * power(corpus.u(n, 78), 1.6))::int", table.partitions), 4.0, true,
		                      false});
}

}  // namespace

SchemaPlan DesignSchema(uint64_t seed, double megabytes)
{
	Dice dice(seed * 0x9E3779B97F4A7C15ull + 1);
	SchemaPlan plan;
	const int tables = dice.Int(3, 12);
	switch (dice.Weighted({2.0, 2.0, 2.0, 2.0, 2.5})) {
		case 0:
			plan.shape = "star";
			DesignStar(plan, dice, tables, false);
			break;
		case 1:
			plan.shape = "snowflake";
			DesignStar(plan, dice, tables, true);
			break;
		case 2:
			plan.shape = "chain";
			DesignChain(plan, dice, tables);
			break;
		case 3:
			plan.shape = "bipartite";
			DesignBipartite(plan, dice, tables);
			break;
		default:
			plan.shape = "web";
			DesignWeb(plan, dice, tables);
			break;
	}
	plan.declares_keys = dice.Chance(0.5);
	plan.statistics_target = dice.Pick(std::vector<int>{10, 100, 100, 100, 300});

	DrawColumns(plan, dice);
	for (TablePlan &table : plan.tables) {
		if (table.elasticity == 1.0 && dice.Chance(0.25))
			DrawPartitions(table, dice);
		DrawIndexes(table, dice);
		table.has_primary_key = table.has_primary_key && table.partitioning == Partitioning::kNone;
		table.id_type = dice.Chance(0.25) ? "bigint" : "int";
		table.has_stale_statistics = dice.Chance(0.12);
		table.is_vacuumed = dice.Chance(0.8);
	}
	SetSizes(plan, megabytes);

	int salt = 50000;
	for (size_t i = 0; i < plan.tables.size(); ++i) {
		TablePlan &table = plan.tables[i];
		for (size_t k = 0; k < table.keys.size(); ++k)
			table.keys[k].expression = DrawKeyExpression(dice, plan, table, k, salt += 10);
		if (dice.Chance(0.25))
			AddSelfReference(dice, table, i, salt += 10);
	}
	return plan;
}

}  // namespace wlm::corpus
