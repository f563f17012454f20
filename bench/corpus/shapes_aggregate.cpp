// Shapes with aggregates on top.
#include "../driver/text.hpp"
#include "shapes.hpp"

namespace wlm::corpus {

using bench::Text;

namespace {

BlockOptions Joins(int joins, double predicates)
{
	BlockOptions options;
	options.joins = joins;
	options.predicates = predicates;
	return options;
}

std::string Having(Dice &dice, const std::vector<Reference> &references)
{
	switch (dice.Int(0, 2)) {
		case 0: return Text(" HAVING count(*) > %d", static_cast<int>(dice.Log(1, 200)));
		case 1:
			return Text(" HAVING sum((%s)::float8) > %.1f", DrawNumberExpression(dice, references).c_str(),
			            dice.Log(1, 1e6));
		default: {
			const Reference column = DrawOrdered(dice, references);
			return column.column->IsOrdered() ? " HAVING min(" + column.text + ") <> max(" + column.text + ")"
											  : " HAVING count(*) > 2";
		}
	}
}

}  // namespace

std::optional<Query> WritePlainAggregate(BlockWriter &writer)
{
	Dice &dice = writer.dice();
	const Block block = writer.Write(Joins(writer.DrawJoins(), 2.0));
	const std::vector<Reference> references = block.References();
	SelectList list;
	for (int i = dice.Int(1, 4); i > 0; --i)
		list.Add(DrawAggregate(dice, references));
	return Query{"SELECT " + list.text() + " " + block.Text(), list.count(), true};
}

std::optional<Query> WriteGroupFew(BlockWriter &writer)
{
	Dice &dice = writer.dice();
	const Block block = writer.Write(Joins(writer.DrawJoins(), 1.5));
	const std::vector<Reference> references = block.References();
	SelectList list;
	std::string groups;
	for (int i = dice.Int(1, 2); i > 0; --i) {
		const std::string column = DrawGroupColumn(dice, references, Groups::kFew);
		if (column.empty())
			return std::nullopt;
		list.Add(column);
		groups += (groups.empty() ? "" : ", ") + column;
	}
	const int keys = list.count();
	for (int i = dice.Int(1, 6); i > 0; --i)
		list.Add(DrawAggregate(dice, references));
	std::string sql = "SELECT " + list.text() + " " + block.Text() + " GROUP BY " + groups;
	if (dice.Chance(0.2))
		sql += Having(dice, references);
	if (dice.Chance(0.6))
		sql += Text(" ORDER BY %d%s", dice.Chance(0.5) ? 1 : keys + 1, dice.Chance(0.4) ? " DESC" : "");
	if (dice.Chance(0.3))
		sql += Text(" LIMIT %d", dice.Int(5, 200));
	return Query{sql, list.count(), false};
}

std::optional<Query> WriteGroupMany(BlockWriter &writer)
{
	Dice &dice = writer.dice();
	const Block block = writer.Write(Joins(static_cast<int>(dice.Weighted({4, 4, 3, 2, 1, 1})), 0.7));
	const std::vector<Reference> references = block.References();
	SelectList list;
	std::string groups;
	for (int i = static_cast<int>(dice.Weighted({0, 4, 2, 1, 1})); i > 0; --i) {
		const std::string column = DrawGroupColumn(dice, references, list.count() == 0 ? Groups::kMany : Groups::kAny);
		if (column.empty())
			return std::nullopt;
		list.Add(column);
		groups += (groups.empty() ? "" : ", ") + column;
	}
	for (int i = dice.Int(1, 4); i > 0; --i)
		list.Add(DrawAggregate(dice, references));
	std::string sql = "SELECT " + list.text() + " " + block.Text() + " GROUP BY " + groups;
	if (dice.Chance(0.3))
		sql += Having(dice, references);
	const bool is_top = dice.Chance(0.4);
	if (is_top)
		sql += Text(" ORDER BY %d DESC LIMIT %d", list.count(), dice.Int(5, 500));
	return Query{sql, list.count(), is_top};
}

std::optional<Query> WriteDistinctCounts(BlockWriter &writer)
{
	Dice &dice = writer.dice();
	const Block block = writer.Write(Joins(dice.Int(0, 3), 1.0));
	const std::vector<Reference> references = block.References();
	SelectList list;
	const std::string group = dice.Chance(0.6) ? DrawGroupColumn(dice, references, Groups::kFew) : "";
	if (!group.empty())
		list.Add(group);
	for (int i = dice.Int(1, 3); i > 0; --i) {
		const std::string column = DrawGroupColumn(dice, references, Groups::kAny);
		if (!column.empty())
			list.Add((dice.Chance(0.15) ? "sum(DISTINCT length((" + column + ")::text))"
			                            : "count(DISTINCT " + column + ")"));
	}
	list.Add(DrawAggregate(dice, references));
	return Query{"SELECT " + list.text() + " " + block.Text() + (group.empty() ? "" : " GROUP BY " + group),
	             list.count(), group.empty()};
}

std::optional<Query> WriteGroupingSets(BlockWriter &writer)
{
	Dice &dice = writer.dice();
	const Block block = writer.Write(Joins(dice.Int(0, 4), 1.0));
	const std::vector<Reference> references = block.References();
	const std::string a = DrawGroupColumn(dice, references, dice.Chance(0.3) ? Groups::kAny : Groups::kFew);
	const std::string b = DrawGroupColumn(dice, references, Groups::kFew);
	if (a.empty() || b.empty() || a == b)
		return std::nullopt;
	SelectList list;
	list.Add(a);
	list.Add(b);
	for (int i = dice.Int(1, 3); i > 0; --i)
		list.Add(DrawAggregate(dice, references));
	const std::string both = a + ", " + b;
	const std::vector<std::string> forms = {"ROLLUP (" + both + ")", "CUBE (" + both + ")",
	                                        "GROUPING SETS ((" + a + "), (" + b + "))",
	                                        "GROUPING SETS ((" + both + "), (" + b + "), ())"};
	return Query{"SELECT " + list.text() + " " + block.Text() + " GROUP BY " + dice.Pick(forms), list.count(), false};
}

std::optional<Query> WriteCollections(BlockWriter &writer)
{
	Dice &dice = writer.dice();
	const Block block = writer.Write(Joins(dice.Int(0, 3), 1.0));
	const std::vector<Reference> references = block.References();
	SelectList list;
	const std::string group =
		dice.Chance(0.8) ? DrawGroupColumn(dice, references, dice.Chance(0.5) ? Groups::kFew : Groups::kMany) : "";
	if (!group.empty())
		list.Add(group);
	for (int i = dice.Int(1, 2); i > 0; --i) {
		const std::string any = dice.Pick(references).text;
		const std::string ordered = DrawOrdered(dice, references).text;
		const std::string number = "(" + DrawNumberExpression(dice, references) + ")";
		switch (dice.Int(0, 6)) {
			case 0: list.Add("cardinality(array_agg(" + any + "::text))"); break;
			case 1:
				list.Add("cardinality(array_agg(" + ordered + " ORDER BY " + DrawOrdered(dice, references).text + "))");
				break;
			case 2: list.Add("length(string_agg(" + any + "::text, ','))"); break;
			case 3:
				list.Add("percentile_cont(0." + std::to_string(dice.Int(1, 9)) + ") WITHIN GROUP (ORDER BY " + number +
				         "::float8)");
				break;
			case 4: list.Add("mode() WITHIN GROUP (ORDER BY " + ordered + ")"); break;
			case 5: list.Add("jsonb_array_length(jsonb_agg(" + any + "))"); break;
			default: list.Add("percentile_disc(ARRAY[0.25, 0.5, 0.75]) WITHIN GROUP (ORDER BY " + number + ")"); break;
		}
	}
	return Query{"SELECT " + list.text() + " " + block.Text() + (group.empty() ? "" : " GROUP BY " + group),
	             list.count(), group.empty()};
}

}  // namespace wlm::corpus
