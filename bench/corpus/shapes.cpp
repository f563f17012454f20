// See shapes.hpp: the list, and what all shapes use.
#include "shapes.hpp"

#include <algorithm>

#include "../driver/text.hpp"

namespace wlm::corpus {

using bench::Text;

const std::vector<Shape> &AllShapes()
{
	static const std::vector<Shape> shapes = {
		{"plain aggregate", 12, WritePlainAggregate},
		{"few groups", 12, WriteGroupFew},
		{"many groups", 9, WriteGroupMany},
		{"distinct counts", 5, WriteDistinctCounts},
		{"grouping sets", 3, WriteGroupingSets},
		{"collections", 4, WriteCollections},
		{"top rows", 10, WriteTopRows},
		{"sorted", 7, WriteSorted},
		{"distinct", 4, WriteDistinct},
		{"distinct on", 2, WriteDistinctOn},
		{"windows", 6, WriteWindows},
		{"set operation", 5, WriteSetOperation},
		{"unnested", 1, WriteUnnested},
		{"cte", 5, WriteCte},
		{"derived join", 6, WriteDerivedJoin},
		{"lateral", 3, WriteLateral},
		{"scalar columns", 2, WriteScalarColumns},
		{"sub-query filters", 7, WriteSubqueryFilters},
		{"recursive", 1.5, WriteRecursive},
		{"self comparison", 2, WriteSelfComparison},
		{"calendar", 1.5, WriteCalendar},
		{"values", 1.5, WriteValues},
		{"appended", 2, WriteAppended},
	};
	return shapes;
}

void SelectList::Add(const std::string &expression)
{
	expressions_.push_back(expression);
	text_ += (count_ > 0 ? ", " : "") + expression + " AS " + Name(count_);
	++count_;
}

std::string WrapQuery(const Query &query, Dice &dice)
{
	std::string list = "count(*)";
	if (dice.Chance(0.15)) {
		list += ", sum(hashtext(w::text)::bigint)";
	} else {
		for (int i = 1; i <= query.columns; ++i)
			list += Text(", count(w.o%d)", i);
	}
	return "SELECT " + list + " FROM (" + query.sql + ") AS w";
}

std::vector<Reference> DrawColumns(Dice &dice, std::vector<Reference> references, int low, int high)
{
	dice.Shuffle(references);
	references.resize(std::min(references.size(), static_cast<size_t>(dice.Int(low, high))));
	return references;
}

std::string DrawNumberExpression(Dice &dice, const std::vector<Reference> &references)
{
	std::vector<Reference> numbers;
	for (const Reference &reference : references)
		if (reference.column->IsNumber())
			numbers.push_back(reference);
	if (numbers.empty())
		return "1";
	const std::string &a = dice.Pick(numbers).text;
	const std::string &b = dice.Pick(numbers).text;
	switch (dice.Weighted({6.0, 1.0, 1.0, 0.7, 0.7})) {
		case 1: return Text("%s::float8 * (1 - %s::float8 / 1000)", a.c_str(), b.c_str());  // no overflow
		case 2: return Text("CASE WHEN %s::float8 > %d THEN %s END", b.c_str(), dice.Int(0, 1000), a.c_str());
		case 3: return Text("coalesce(%s, 0)::numeric + %d", a.c_str(), dice.Int(1, 99));
		case 4: return Text("abs(%s::float8 - coalesce(%s::float8, 0))", a.c_str(), b.c_str());
		default: return a;
	}
}

std::string DrawAggregate(Dice &dice, const std::vector<Reference> &references)
{
	const Reference &any = dice.Pick(references);
	switch (dice.Weighted({2.0, 6.0, 2.0, 1.5, 1.0, 0.7, 0.6})) {
		case 0: return "count(*)";
		case 1:
			return std::string(dice.Pick(std::vector<const char *>{"sum", "avg", "min", "max"})) + "(" +
				DrawNumberExpression(dice, references) + ")";
		case 2:
			if (any.column->IsOrdered())
				return std::string(dice.Chance(0.5) ? "min(" : "max(") + any.text + ")";
			return "count(" + any.text + ")";
		case 3: return "count(" + any.text + ")";
		case 4: return "count(*) FILTER (WHERE " + any.text + (dice.Chance(0.5) ? " IS NULL)" : " IS NOT NULL)");
		case 5: return "stddev_samp((" + DrawNumberExpression(dice, references) + ")::float8)";
		default: return any.column->IsGroupable() ? "count(DISTINCT " + any.text + ")" : "count(*)";
	}
}

std::string DrawGroupColumn(Dice &dice, const std::vector<Reference> &references, Groups groups)
{
	std::vector<std::string> fit;
	for (const Reference &reference : references) {
		const Column &column = *reference.column;
		if (!column.IsGroupable())
			continue;
		if (groups == Groups::kFew ? column.distinct <= 300 : groups == Groups::kMany ? column.distinct > 2000 : true)
			fit.push_back(reference.text);
		if (column.kind == Kind::kDate || column.kind == Kind::kTimestamp) {
			if (groups == Groups::kFew)
				fit.push_back("date_trunc('" + std::string(dice.Chance(0.5) ? "month" : "year") + "', " +
				              reference.text + ")");
			if (groups == Groups::kFew && dice.Chance(0.5))
				fit.push_back("extract(year FROM " + reference.text + ")");
		}
		if (groups == Groups::kFew && column.kind == Kind::kText && column.distinct > 300 && dice.Chance(0.3))
			fit.push_back("left(" + reference.text + ", 2)");
		if (groups == Groups::kFew && column.kind == Kind::kInteger && column.distinct > 300 && dice.Chance(0.3))
			fit.push_back(Text("%s %% %d", reference.text.c_str(), dice.Int(3, 200)));
	}
	return fit.empty() ? std::string() : dice.Pick(fit);
}

Reference DrawOrdered(Dice &dice, const std::vector<Reference> &references)
{
	for (int tries = 0; tries < 10; ++tries) {
		const Reference &reference = dice.Pick(references);
		if (reference.column->IsOrdered())
			return reference;
	}
	return references.front();
}

}  // namespace wlm::corpus
