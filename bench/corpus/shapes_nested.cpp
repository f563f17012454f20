// Shapes of several query levels: CTEs, derived tables, LATERAL, scalar sub-queries, recursion, comparisons of a table with itself.
#include "../driver/text.hpp"
#include "shapes.hpp"

namespace wlm::corpus {

using bench::Text;

namespace {

// Aggregates of a child table for each value of its key: what many derived tables are.
struct Summary {
	const Key *key;
	std::string sql;     // with columns k and o1, o2, ...
	std::string parent;  // the parent's column
	int columns;
};

std::optional<Summary> WriteSummary(BlockWriter &writer)
{
	Dice &dice = writer.dice();
	if (writer.catalog().keys.empty())
		return std::nullopt;
	const Key &key = dice.Pick(writer.catalog().keys);
	if (key.columns.size() != 1)
		return std::nullopt;
	const Table &child = writer.catalog().tables[key.child];
	BlockOptions options;
	options.start = &child;
	options.joins = dice.Chance(0.6) ? 0 : dice.Int(1, 2);
	options.predicates = 0.8;
	const Block block = writer.Write(options);
	const std::vector<Reference> references = block.References();
	SelectList list;
	for (int i = dice.Int(1, 3); i > 0; --i)
		list.Add(DrawAggregate(dice, references));
	const std::string by = block.sources[0].alias + "." + child.columns[key.columns[0].first].name;
	return Summary{&key, "SELECT " + by + " AS k, " + list.text() + " " + block.Text() + " GROUP BY " + by,
	               writer.catalog().tables[key.parent].columns[key.columns[0].second].name, list.count()};
}

}  // namespace

std::optional<Query> WriteCte(BlockWriter &writer)
{
	Dice &dice = writer.dice();
	const Table &start = writer.DrawTable();
	BlockOptions options;
	options.start = &start;
	options.joins = dice.Int(0, 3);
	options.predicates = 1.0;
	const Block block = writer.Write(options);
	const std::vector<Reference> references = block.References();
	std::vector<Reference> chosen = DrawColumns(dice, references, 2, 8);
	SelectList inner;
	for (const Reference &reference : chosen)
		inner.Add(reference.text);
	const char *kind = dice.Chance(0.5) ? "AS MATERIALIZED (" : dice.Chance(0.5) ? "AS (" : "AS NOT MATERIALIZED (";
	const std::string with = Text("WITH c %s", kind) + "SELECT " + inner.text() + " " + block.Text() + ") ";

	std::vector<Reference> outer;
	for (size_t i = 0; i < chosen.size(); ++i)
		outer.push_back({"x.o" + std::to_string(i + 1), chosen[i].column, chosen[i].rows});
	const std::string group = DrawGroupColumn(dice, outer, dice.Chance(0.6) ? Groups::kFew : Groups::kAny);
	SelectList list;
	std::string tail;
	if (!group.empty()) {
		list.Add(group);
		tail = " GROUP BY " + group;
	}
	for (int i = dice.Int(1, 3); i > 0; --i)
		list.Add(DrawAggregate(dice, outer));
	std::string from = " FROM c AS x";
	if (dice.Chance(0.55)) {  // used twice
		const size_t which = dice.Index(chosen.size());
		if (chosen[which].column->IsOrdered() && chosen[which].column->distinct > 50)
			from += Text(" JOIN (SELECT o%zu AS k, count(*) AS n FROM c GROUP BY 1) AS y ON y.k = x.o%zu AND y.n %s %d",
			             which + 1, which + 1, dice.Chance(0.5) ? ">" : "<=", dice.Int(1, 20));
		else
			from += Text(" WHERE x.o%zu::text > (SELECT min(o%zu::text) FROM c)", which + 1, which + 1);
	}
	return Query{with + "SELECT " + list.text() + from + tail, list.count(), group.empty()};
}

std::optional<Query> WriteDerivedJoin(BlockWriter &writer)
{
	Dice &dice = writer.dice();
	const std::optional<Summary> summary = WriteSummary(writer);
	if (!summary)
		return std::nullopt;
	BlockOptions options;
	options.start = &writer.catalog().tables[summary->key->parent];
	options.joins = dice.Int(0, 3);
	options.predicates = 0.8;
	Block block = writer.Write(options);
	const std::string alias = writer.NextAlias("d");
	block.from = block.FromItem() + (dice.Chance(0.6) ? " JOIN (" : " LEFT JOIN (") + summary->sql + ") AS " + alias +
		" ON " + alias + ".k = " + block.sources[0].alias + "." + summary->parent;
	const std::vector<Reference> references = block.References();
	SelectList list;
	const std::string group =
		dice.Chance(0.6) ? DrawGroupColumn(dice, references, dice.Chance(0.7) ? Groups::kFew : Groups::kAny) : "";
	if (!group.empty()) {
		list.Add(group);
		for (int i = 1; i <= summary->columns; ++i)
			list.Add(Text("max(%s.o%d)", alias.c_str(), i));
		list.Add(DrawAggregate(dice, references));
		return Query{"SELECT " + list.text() + " " + block.Text() + " GROUP BY " + group, list.count(), false};
	}
	for (const Reference &reference : DrawColumns(dice, references, 1, 6))
		list.Add(reference.text);
	list.Add(alias + ".o1");
	std::string sql = "SELECT " + list.text() + " " + block.Text();
	if (dice.Chance(0.6))
		sql += " ORDER BY " + alias + ".o1" + (dice.Chance(0.5) ? " DESC" : "");
	const bool is_top = dice.Chance(0.5);
	if (is_top)
		sql += Text(" LIMIT %d", dice.Int(5, 500));
	return Query{sql, list.count(), is_top};
}

std::optional<Query> WriteLateral(BlockWriter &writer)
{
	Dice &dice = writer.dice();
	if (writer.catalog().keys.empty())
		return std::nullopt;
	const Key &key = dice.Pick(writer.catalog().keys);
	const Table &child = writer.catalog().tables[key.child];
	BlockOptions options;
	options.start = &writer.catalog().tables[key.parent];
	options.joins = dice.Int(0, 1);
	options.predicates = 1.6;
	Block block = writer.Write(options);
	const Source inner = {&child, writer.NextAlias("l")};
	std::string body = "SELECT ";
	const std::string condition = writer.KeyCondition(key, inner.alias, block.sources[0].alias);
	const std::string predicate = dice.Chance(0.5) ? writer.Predicate(inner) : "";
	const std::string rest = " FROM " + child.name + " " + inner.alias + " WHERE " + condition +
		(predicate.empty() ? "" : " AND " + predicate);
	const Column &by = dice.Pick(child.columns);
	if (!by.IsOrdered())
		return std::nullopt;
	const std::string name = inner.alias + "." + by.name;
	if (dice.Chance(0.6))
		body += name + " AS v" + rest + " ORDER BY " + name +
			Text("%s LIMIT %d", dice.Chance(0.5) ? " DESC" : "", dice.Int(1, 5));
	else
		body += std::string(dice.Chance(0.5) ? "max(" : "count(") + name + ") AS v" + rest;
	block.from =
		block.FromItem() + (dice.Chance(0.6) ? " CROSS JOIN LATERAL (" : " LEFT JOIN LATERAL (") + body + ") AS q";
	if (block.from.find(" LEFT JOIN LATERAL (") != std::string::npos)
		block.from += " ON true";
	SelectList list;
	for (const Reference &reference : DrawColumns(dice, block.References(), 1, 4))
		list.Add(reference.text);
	list.Add("q.v");
	return Query{"SELECT " + list.text() + " " + block.Text(), list.count(), false};
}

std::optional<Query> WriteScalarColumns(BlockWriter &writer)
{
	Dice &dice = writer.dice();
	if (writer.catalog().keys.empty())
		return std::nullopt;
	const Key &key = dice.Pick(writer.catalog().keys);
	const Table &child = writer.catalog().tables[key.child];
	BlockOptions options;
	options.start = &writer.catalog().tables[key.parent];
	options.joins = dice.Int(0, 2);
	options.predicates = 1.6;
	const Block block = writer.Write(options);
	SelectList list;
	for (const Reference &reference : DrawColumns(dice, block.References(), 1, 4))
		list.Add(reference.text);
	const Source inner = {&child, writer.NextAlias("c")};
	const Column &by = dice.Pick(child.columns);
	const std::string aggregate = by.IsOrdered() ? "max(" + inner.alias + "." + by.name + ")" : "count(*)";
	list.Add("(SELECT " + aggregate + " FROM " + child.name + " " + inner.alias + " WHERE " +
	         writer.KeyCondition(key, inner.alias, block.sources[0].alias) + ")");
	if (dice.Chance(0.4)) {
		const Table &other = writer.DrawTable();
		list.Add("(SELECT count(*) FROM " + other.name + ")");
	}
	return Query{"SELECT " + list.text() + " " + block.Text(), list.count(), false};
}

std::optional<Query> WriteSubqueryFilters(BlockWriter &writer)
{
	Dice &dice = writer.dice();
	BlockOptions options;
	options.joins = dice.Int(0, 4);
	options.predicates = 0.8;
	options.has_subqueries = false;
	Block block = writer.Write(options);
	const size_t before = block.where.size();
	for (int i = dice.Int(1, 2); i > 0; --i)
		if (std::string text = writer.SubqueryPredicate(dice.Pick(block.sources), 2); !text.empty())
			block.where.push_back(std::move(text));
	if (block.where.size() == before)
		return std::nullopt;
	const std::vector<Reference> references = block.References();
	SelectList list;
	if (dice.Chance(0.5)) {
		for (int i = dice.Int(1, 3); i > 0; --i)
			list.Add(DrawAggregate(dice, references));
		return Query{"SELECT " + list.text() + " " + block.Text(), list.count(), true};
	}
	for (const Reference &reference : DrawColumns(dice, references, 1, 8))
		list.Add(reference.text);
	return Query{"SELECT " + list.text() + " " + block.Text() + " ORDER BY " + DrawOrdered(dice, references).text,
	             list.count(), false};
}

std::optional<Query> WriteRecursive(BlockWriter &writer)
{
	Dice &dice = writer.dice();
	std::vector<const Key *> selves;
	for (const Key &key : writer.catalog().keys)
		if (key.child == key.parent && key.columns.size() == 1)
			selves.push_back(&key);
	if (selves.empty())
		return std::nullopt;
	const Key &key = *dice.Pick(selves);
	const Table &table = writer.catalog().tables[key.child];
	const std::string child = table.columns[key.columns[0].first].name;
	const std::string parent = table.columns[key.columns[0].second].name;
	const std::string predicate = writer.Predicate({&table, "b"});
	if (predicate.empty())
		return std::nullopt;
	const bool is_down = dice.Chance(0.5);  // from a node to its descendants, or to its ancestors
	const std::string measure = DrawOrdered(dice, Block{{{&table, "n"}}, "", {}}.References()).text;
	return Query{"WITH RECURSIVE r(id, next, depth) AS (SELECT b." + parent + ", b." + child + ", 0 FROM " +
	                 table.name + " b WHERE " + predicate + (dice.Chance(0.3) ? " UNION " : " UNION ALL ") +
	                 "SELECT n." + parent + ", n." + child + ", r.depth + 1 FROM r JOIN " + table.name + " n ON " +
	                 (is_down ? "n." + child + " = r.id" : "n." + parent + " = r.next") +
	                 Text(" WHERE r.depth < %d) ", dice.Int(1, 12)) +
	                 "SELECT r.depth AS o1, count(*) AS o2, count(DISTINCT r.id) AS o3, max(" + measure +
	                 ") AS o4 FROM r JOIN " + table.name + " n ON n." + parent + " = r.id GROUP BY r.depth",
	             4, true};
}

std::optional<Query> WriteSelfComparison(BlockWriter &writer)
{
	Dice &dice = writer.dice();
	const Table &table = writer.DrawTable();
	BlockOptions options;
	options.start = &table;
	options.joins = dice.Int(0, 1);
	options.predicates = 1.5;
	Block block = writer.Write(options);
	const Source other = {&table, writer.NextAlias()};
	const Reference on = DrawOrdered(dice, Block{{block.sources[0]}, "", {}}.References());
	if (!on.column->IsOrdered() || table.rows * table.rows / on.column->distinct > 3e7)
		return std::nullopt;
	const Column &compared = dice.Pick(table.columns);
	if (!compared.IsOrdered())
		return std::nullopt;
	const std::string &alias = block.sources[0].alias;
	block.from += " JOIN " + table.name + " " + other.alias + " ON " + other.alias + "." + on.column->name + " = " +
		on.text + " AND " + other.alias + "." + compared.name + (dice.Chance(0.5) ? " > " : " <> ") + alias + "." +
		compared.name;
	block.sources.push_back(other);
	const std::vector<Reference> references = block.References();
	SelectList list;
	for (int i = dice.Int(1, 3); i > 0; --i)
		list.Add(DrawAggregate(dice, references));
	return Query{"SELECT " + list.text() + " " + block.Text(), list.count(), true};
}

}  // namespace wlm::corpus
