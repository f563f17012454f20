// Shapes with rows that no table holds: series without gaps that facts are laid on, lists of values, aggregates of a union of tables.
#include "../driver/text.hpp"
#include "shapes.hpp"

namespace wlm::corpus {

using bench::Text;

// A time table: every day or month of a range, with what happened then or nothing.
std::optional<Query> WriteCalendar(BlockWriter &writer)
{
	Dice &dice = writer.dice();
	BlockOptions options;
	options.joins = dice.Int(0, 2);
	options.predicates = 0.7;
	const Block block = writer.Write(options);
	const std::vector<Reference> references = block.References();
	std::vector<Reference> moments;
	for (const Reference &reference : references) {
		const Kind kind = reference.column->kind;
		if ((kind == Kind::kDate || kind == Kind::kTimestamp) && reference.column->bounds.size() > 1)
			moments.push_back(reference);
	}
	if (moments.empty())
		return std::nullopt;
	const Reference moment = dice.Pick(moments);
	const char *unit = dice.Pick(std::vector<const char *>{"day", "week", "month"});
	const std::string low = Literal(moment.column->bounds.front());
	const std::string high = Literal(moment.column->bounds.back());
	SelectList list;
	list.Add("date_trunc('" + std::string(unit) + "', " + moment.text + "::timestamp)");
	for (int i = dice.Int(1, 3); i > 0; --i)
		list.Add(DrawAggregate(dice, references));
	return Query{Text("SELECT s.at AS o1, count(f.o2) AS o2, max(f.o2) AS o3 FROM generate_series(date_trunc('%s', "
	                  "%s::timestamp), "
	                  "%s::timestamp, interval '1 %s') AS s(at) LEFT JOIN (",
	                  unit, low.c_str(), high.c_str(), unit) +
	                 "SELECT " + list.text() + " " + block.Text() +
	                 " GROUP BY 1) AS f ON f.o1 = s.at GROUP BY s.at ORDER BY s.at",
	             3, false};
}

// Rows classified by a list of values, as reports with target figures do.
std::optional<Query> WriteValues(BlockWriter &writer)
{
	Dice &dice = writer.dice();
	BlockOptions options;
	options.joins = dice.Int(0, 3);
	options.predicates = 0.7;
	Block block = writer.Write(options);
	const std::vector<Reference> references = block.References();
	const Reference by = DrawOrdered(dice, references);
	const std::vector<std::string> &values = by.column->bounds.empty() ? by.column->common : by.column->bounds;
	if (!by.column->IsOrdered() || values.empty())
		return std::nullopt;
	std::string rows;
	for (int i = 0, count = static_cast<int>(dice.Log(2, 120)); i < count; ++i)
		rows +=
			Text("%s(%d, %s::%s)", i > 0 ? ", " : "", i, Literal(dice.Pick(values)).c_str(), by.column->type.c_str());
	block.from = block.FromItem() + " JOIN (VALUES " + rows + ") AS v(class, value) ON v.value = " + by.text;
	SelectList list;
	list.Add("v.class");
	for (int i = dice.Int(1, 4); i > 0; --i)
		list.Add(DrawAggregate(dice, references));
	return Query{"SELECT " + list.text() + " " + block.Text() + " GROUP BY v.class", list.count(), true};
}

// Several tables or several blocks of one, appended and aggregated together.
std::optional<Query> WriteAppended(BlockWriter &writer)
{
	Dice &dice = writer.dice();
	std::string sql;
	for (int i = 0, count = dice.Int(2, 5); i < count; ++i) {
		BlockOptions options;
		options.joins = static_cast<int>(dice.Weighted({4, 2, 1}));
		options.predicates = 0.8;
		const Block block = writer.Write(options);
		const std::vector<Reference> references = block.References();
		const Reference key = dice.Pick(references);
		sql += Text("%sSELECT %d AS part, left(%s::text, 20) AS k, (%s)::float8 AS x ", i > 0 ? " UNION ALL " : "", i,
		            key.text.c_str(), DrawNumberExpression(dice, references).c_str()) +
			block.Text();
	}
	const char *group = dice.Chance(0.5) ? "a.part" : "a.k";
	return Query{Text("SELECT %s AS o1, count(*) AS o2, sum(a.x) AS o3 FROM (", group) + sql + ") AS a GROUP BY " +
	                 group,
	             3, false};
}

}  // namespace wlm::corpus
