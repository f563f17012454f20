// Shapes whose output are rows: sorted, distinct, with windows, of several branches.
#include <algorithm>

#include "../driver/text.hpp"
#include "shapes.hpp"

namespace wlm::corpus {

using bench::Text;

namespace {

std::string Direction(Dice &dice) { return dice.Chance(0.4) ? " DESC" : dice.Chance(0.1) ? " NULLS FIRST" : ""; }

Block WriteBlock(BlockWriter &writer, int joins, double predicates)
{
	BlockOptions options;
	options.joins = joins;
	options.predicates = predicates;
	return writer.Write(options);
}

void AddAll(SelectList &list, const std::vector<Reference> &references)
{
	for (const Reference &reference : references)
		list.Add(reference.text);
}

}  // namespace

std::optional<Query> WriteTopRows(BlockWriter &writer)
{
	Dice &dice = writer.dice();
	const Block block = WriteBlock(writer, writer.DrawJoins(), 1.2);
	const std::vector<Reference> references = block.References();
	SelectList list;
	AddAll(list, DrawColumns(dice, references, 1, 12));
	if (dice.Chance(0.2))
		list.Add(DrawNumberExpression(dice, references));
	std::string sql = "SELECT " + list.text() + " " + block.Text();
	if (dice.Chance(0.85)) {
		sql += " ORDER BY " + DrawOrdered(dice, references).text + Direction(dice);
		for (int i = dice.Int(0, 2); i > 0; --i)
			sql += ", " + DrawOrdered(dice, references).text + Direction(dice);
	}
	sql += Text(" LIMIT %d", static_cast<int>(dice.Log(1, 1000)));
	if (dice.Chance(0.15))
		sql += Text(" OFFSET %d", static_cast<int>(dice.Log(10, 50000)));
	return Query{sql, list.count(), true};
}

std::optional<Query> WriteSorted(BlockWriter &writer)
{
	Dice &dice = writer.dice();
	const Block block = WriteBlock(writer, dice.Int(0, 4), 0.7);
	const std::vector<Reference> references = block.References();
	SelectList list;
	AddAll(list, DrawColumns(dice, references, 1, 25));
	std::string sql = "SELECT " + list.text() + " " + block.Text() + " ORDER BY " + DrawOrdered(dice, references).text +
		Direction(dice);
	for (int i = dice.Int(0, 2); i > 0; --i)
		sql += ", " + DrawOrdered(dice, references).text + Direction(dice);
	return Query{sql, list.count(), false};
}

std::optional<Query> WriteDistinct(BlockWriter &writer)
{
	Dice &dice = writer.dice();
	const Block block = WriteBlock(writer, dice.Int(0, 4), 0.8);
	SelectList list;
	for (const Reference &reference : DrawColumns(dice, block.References(), 1, 7))
		if (reference.column->IsGroupable())
			list.Add(reference.text);
	if (list.count() == 0)
		return std::nullopt;
	const bool is_top = dice.Chance(0.2);
	return Query{"SELECT DISTINCT " + list.text() + " " + block.Text() +
	                 (is_top ? Text(" ORDER BY 1 LIMIT %d", dice.Int(10, 800)) : ""),
	             list.count(), is_top};
}

std::optional<Query> WriteDistinctOn(BlockWriter &writer)
{
	Dice &dice = writer.dice();
	const Block block = WriteBlock(writer, dice.Int(0, 3), 0.8);
	const std::vector<Reference> references = block.References();
	const Reference by = DrawOrdered(dice, references);
	if (!by.column->IsOrdered())
		return std::nullopt;
	SelectList list;
	list.Add(by.text);
	AddAll(list, DrawColumns(dice, references, 1, 8));
	return Query{"SELECT DISTINCT ON (" + by.text + ") " + list.text() + " " + block.Text() + " ORDER BY " + by.text +
	                 ", " + DrawOrdered(dice, references).text + Direction(dice),
	             list.count(), false};
}

std::optional<Query> WriteWindows(BlockWriter &writer)
{
	Dice &dice = writer.dice();
	const Block block = WriteBlock(writer, dice.Int(0, 4), 0.9);
	const std::vector<Reference> references = block.References();
	const std::string order = DrawOrdered(dice, references).text;
	SelectList list;
	AddAll(list, DrawColumns(dice, references, 1, 6));
	std::string windows;
	const int kinds = dice.Chance(0.3) ? 2 : 1;
	for (int i = 0; i < kinds; ++i) {
		std::string partition =
			dice.Chance(0.85) ? DrawGroupColumn(dice, references, static_cast<Groups>(dice.Int(0, 2))) : "";
		if (!partition.empty())
			partition = "PARTITION BY " + partition + " ";
		windows += Text("%s w%d AS (%sORDER BY %s%s)", i > 0 ? "," : " WINDOW", i, partition.c_str(),
		                i == 0 ? order.c_str() : DrawOrdered(dice, references).text.c_str(), Direction(dice).c_str());
	}
	const std::string number = DrawNumberExpression(dice, references);
	for (int i = 0; i < kinds; ++i) {
		const std::vector<std::string> functions = {"row_number()",
		                                            "rank()",
		                                            "dense_rank()",
		                                            "ntile(10)",
		                                            "lag(" + order + ")",
		                                            "lead(" + order + ", 2)",
		                                            "first_value(" + order + ")",
		                                            "sum(" + number + ")",
		                                            "avg(" + number + ")",
		                                            "count(*)",
		                                            "max(" + number + ")"};
		for (int k = dice.Int(1, 3); k > 0; --k)
			list.Add(dice.Pick(functions) + Text(" OVER w%d", i));
		if (dice.Chance(0.2))  // a moving frame
			list.Add("sum(" + number +
			         Text(") OVER (w%d ROWS BETWEEN %d PRECEDING AND CURRENT ROW)", i, dice.Int(1, 30)));
	}
	std::string sql = "SELECT " + list.text() + " " + block.Text() + windows;
	if (dice.Chance(0.4))  // the best of each group
		sql = "SELECT * FROM (" + sql + Text(") AS q WHERE o%d::text < '%d'", list.count(), dice.Int(2, 9));
	return Query{sql, list.count(), false};
}

std::optional<Query> WriteSetOperation(BlockWriter &writer)
{
	Dice &dice = writer.dice();
	const char *operation = dice.Pick(
		std::vector<const char *>{"UNION", "UNION", "UNION ALL", "UNION ALL", "INTERSECT", "EXCEPT", "EXCEPT ALL"});
	const int branches = dice.Chance(0.25) ? 3 : 2;
	const Table &start = writer.DrawTable();
	// Branches of one table take the same columns; of different tables, columns of the same kinds.
	std::vector<Column> pattern;
	std::string sql;
	for (int i = 0; i < branches; ++i) {
		BlockOptions options;
		options.start = i == 0 || dice.Chance(0.6) ? &start : &writer.DrawTable();
		options.joins = dice.Int(0, 2);
		options.predicates = 1.0;
		const Block block = writer.Write(options);
		const std::vector<Reference> references = block.References();
		std::string list;
		if (i == 0)
			for (const Reference &reference : DrawColumns(dice, references, 1, 5))
				if (reference.column->IsGroupable())
					pattern.push_back(*reference.column);
		for (size_t k = 0; k < pattern.size(); ++k) {
			std::vector<std::string> fit;
			for (const Reference &reference : references) {
				if (reference.column->type != pattern[k].type)
					continue;
				if (reference.column->name == pattern[k].name)
					fit.assign(3, reference.text);
				else
					fit.push_back(reference.text);
			}
			if (fit.empty())
				return std::nullopt;
			list += Text("%s%s AS o%zu", k > 0 ? ", " : "", dice.Pick(fit).c_str(), k + 1);
		}
		if (list.empty())
			return std::nullopt;
		sql += (i > 0 ? std::string(" ") + operation + " " : "") + "SELECT " + list + " " + block.Text();
	}
	const bool is_top = dice.Chance(0.25);
	if (is_top)
		sql += Text(" ORDER BY 1 LIMIT %d", dice.Int(1, 500));
	return Query{sql, static_cast<int>(pattern.size()), is_top};
}

std::optional<Query> WriteUnnested(BlockWriter &writer)
{
	Dice &dice = writer.dice();
	const Block block = WriteBlock(writer, dice.Int(0, 2), 1.2);
	const std::vector<Reference> references = block.References();
	SelectList list;
	AddAll(list, DrawColumns(dice, references, 1, 3));
	switch (dice.Int(0, 2)) {
		case 0: list.Add(Text("generate_series(1, %d)", dice.Int(2, 6))); break;
		case 1: list.Add("unnest(string_to_array(" + dice.Pick(references).text + "::text, ' '))"); break;
		default: list.Add("regexp_split_to_table(" + dice.Pick(references).text + "::text, '[-a]')"); break;
	}
	if (dice.Chance(0.5)) {
		const std::string last = list.Name(list.count() - 1);
		return Query{"SELECT " + last + " AS o1, count(*) AS o2 FROM (SELECT " + list.text() + " " + block.Text() +
		                 ") AS q GROUP BY " + last,
		             2, false};
	}
	return Query{"SELECT " + list.text() + " " + block.Text(), list.count(), false};
}

}  // namespace wlm::corpus
