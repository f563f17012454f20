// Conditions on one column, drawn from its statistics.
#include <algorithm>
#include <cstdlib>

#include "../driver/text.hpp"
#include "block.hpp"

namespace wlm::corpus {

namespace {

using bench::Text;

std::string AnyValue(Dice &dice, const Column &column)
{
	if (!column.common.empty() && (column.bounds.empty() || dice.Chance(0.5))) {
		// The most frequent ones more often: what people ask for is what there is much of.
		const double place = dice.Real(0.0, 1.0);
		return column.common[static_cast<size_t>((dice.Chance(0.5) ? place * place : place) *
		                                         static_cast<double>(column.common.size()))];
	}
	return dice.Pick(column.bounds);
}

std::string Among(Dice &dice, const std::string &name, const Column &column)
{
	const int count = dice.Chance(0.08) ? dice.Int(50, 300) : dice.Int(2, 12);
	std::string list;
	for (int i = 0; i < count; ++i)
		list += (i > 0 ? ", " : "") + Literal(AnyValue(dice, column));
	return name + (dice.Chance(0.12) ? " NOT IN (" : " IN (") + list + ")";
}

// A part `share` of the histogram, or less than one of its bins where the type can be computed with.
std::string Range(Dice &dice, const std::string &name, const Column &column, double share)
{
	const std::vector<std::string> &values = column.bounds.size() >= 2 ? column.bounds : column.common;
	const double bins = static_cast<double>(values.size() - 1);
	if (share * bins < 1.0 && &values == &column.bounds) {
		const size_t at = dice.Index(values.size() - 1);
		if (column.IsNumber()) {
			const double low = std::atof(values[at].c_str());
			const double high = std::atof(values[at + 1].c_str());
			const double end = low + (high - low) * share * bins;
			if (column.kind == Kind::kInteger)
				return Text("%s BETWEEN %.0f AND %.0f", name.c_str(), low, end);
			return Text("%s BETWEEN %.17g AND %.17g", name.c_str(), low, end);
		}
		if (column.kind == Kind::kDate)
			return Text("%s BETWEEN %s AND %s::date + %d", name.c_str(), Literal(values[at]).c_str(),
			            Literal(values[at]).c_str(), dice.Int(0, 6));
		if (column.kind == Kind::kTimestamp)
			return Text("%s BETWEEN %s AND %s::%s + interval '%d minutes'", name.c_str(), Literal(values[at]).c_str(),
			            Literal(values[at]).c_str(), column.type.c_str(), static_cast<int>(dice.Log(10, 20000)));
		return name + " = " + Literal(values[at]);
	}
	// Common values are not sorted: the first and the last of a range may come in the wrong order, which is an empty range.
	const size_t width = std::max<size_t>(1, static_cast<size_t>(share * bins));
	const size_t at = dice.Index(values.size() - width);
	switch (dice.Int(0, 3)) {
		case 0: return name + " < " + Literal(values[width]);
		case 1: return name + " >= " + Literal(values[values.size() - 1 - width]);
		case 2: return name + " > " + Literal(values[at]) + " AND " + name + " <= " + Literal(values[at + width]);
		default: return name + " BETWEEN " + Literal(values[at]) + " AND " + Literal(values[at + width]);
	}
}

std::string Like(Dice &dice, const std::string &name, const Column &column)
{
	std::string value = AnyValue(dice, column);
	// Only letters and digits, so that no byte of a longer character is cut and no % comes in.
	std::erase_if(value, [](unsigned char c) { return c >= 0x80 || c == '%' || c == '_' || c == '\\'; });
	if (value.empty())
		return name + " IS NOT NULL";
	const size_t length = std::min(value.size(), static_cast<size_t>(dice.Int(1, 8)));
	const size_t at = dice.Index(value.size() - length + 1);
	const char *verb = dice.Chance(0.15) ? " NOT LIKE " : dice.Chance(0.1) ? " ILIKE " : " LIKE ";
	switch (dice.Int(0, 3)) {
		case 0:
		case 1: return name + verb + Literal(value.substr(0, length) + "%");
		case 2: return name + verb + Literal("%" + value.substr(at, length) + "%");
		default:
			return name + (dice.Chance(0.5) ? " ~ " : " !~ ") + Literal("^[" + value.substr(at, 1) + "a-f].*[0-9]");
	}
}

// Conditions that the planner can only guess at.
std::string Opaque(Dice &dice, const std::string &name, const Column &column)
{
	switch (column.kind) {
		case Kind::kInteger: return Text("%s %% %d = %d", name.c_str(), dice.Int(2, 40), dice.Int(0, 1));
		case Kind::kNumeric:
		case Kind::kFloat: return Text("floor(%s)::numeric %% %d < %d", name.c_str(), dice.Int(3, 30), dice.Int(1, 3));
		case Kind::kText:
			return dice.Chance(0.5) ? Text("length(%s) %% %d = 1", name.c_str(), dice.Int(2, 5))
									: "lower(" + name + ") >= " + Literal(AnyValue(dice, column));
		case Kind::kDate:
		case Kind::kTimestamp:
			return dice.Chance(0.5)
				? Text("extract(month FROM %s) = %d", name.c_str(), dice.Int(1, 12))
				: Text("extract(dow FROM %s) IN (%d, %d)", name.c_str(), dice.Int(0, 3), dice.Int(3, 6));
		default: return "coalesce(" + name + ", false)";
	}
}

}  // namespace

std::string BlockWriter::ColumnPredicate(const std::string &name, const Column &column)
{
	if (column.kind == Kind::kBoolean)
		return (dice_.Chance(0.3) ? "NOT " : "") + name;
	if (column.null_fraction > 0.0 && dice_.Chance(0.15))
		return name + (dice_.Chance(0.5) ? " IS NULL" : " IS NOT NULL");
	if (!column.IsOrdered() || column.common.size() + column.bounds.size() < 2)
		return {};
	const double share = std::vector<double>{dice_.Log(1e-5, 1e-3), dice_.Log(1e-3, 0.1),
	                                         dice_.Log(0.1, 0.95)}[dice_.Weighted({1.0, 2.0, 2.0})];
	const bool is_text = column.kind == Kind::kText;
	switch (
		dice_.Weighted({is_text ? 1.0 : 4.0, column.distinct < 1000 ? 3.0 : 0.7, 1.2, is_text ? 2.5 : 0.0, 0.7, 0.4})) {
		case 0: return Range(dice_, name, column, share);
		case 1: return name + " = " + Literal(AnyValue(dice_, column));
		case 2: return Among(dice_, name, column);
		case 3: return Like(dice_, name, column);
		case 4: return Opaque(dice_, name, column);
		default: return name + " <> " + Literal(AnyValue(dice_, column));
	}
}

std::string BlockWriter::Predicate(const Source &source)
{
	const std::vector<Column> &columns = source.table->columns;
	for (int tries = 0; tries < 6; ++tries) {
		const Column &column = dice_.Pick(columns);
		const std::string name = source.alias + "." + column.name;
		std::string text;
		if (dice_.Chance(0.04)) {  // two columns of one type
			const Column &other = dice_.Pick(columns);
			if (&other != &column && other.type == column.type && column.IsOrdered())
				text = name + (dice_.Chance(0.8) ? " < " : " = ") + source.alias + "." + other.name;
		}
		if (text.empty())
			text = ColumnPredicate(name, column);
		if (text.empty())
			continue;
		if (dice_.Chance(0.1)) {
			const Column &other = dice_.Pick(columns);
			const std::string second = ColumnPredicate(source.alias + "." + other.name, other);
			if (!second.empty())
				text = "(" + text + " OR " + second + ")";
		}
		return dice_.Chance(0.04) ? "NOT (" + text + ")" : text;
	}
	return {};
}

std::string BlockWriter::SubqueryPredicate(const Source &source, int depth)
{
	std::vector<const Key *> keys;
	for (const Key &key : catalog_.keys)
		if (&catalog_.tables[key.child] == source.table || &catalog_.tables[key.parent] == source.table)
			keys.push_back(&key);
	if (keys.empty())
		return {};
	const Key &key = *dice_.Pick(keys);
	const bool source_is_child = &catalog_.tables[key.child] == source.table;
	const Source inner = {&catalog_.tables[source_is_child ? key.parent : key.child], NextAlias("s")};
	const std::string join =
		source_is_child ? KeyCondition(key, source.alias, inner.alias) : KeyCondition(key, inner.alias, source.alias);
	std::string more;
	for (int i = dice_.Int(0, 2); i > 0; --i)
		if (const std::string text = Predicate(inner); !text.empty())
			more += " AND " + text;
	if (depth > 0 && dice_.Chance(0.3))
		if (const std::string text = SubqueryPredicate(inner, depth - 1); !text.empty())
			more += " AND " + text;
	const std::string from = " FROM " + inner.table->name + " " + inner.alias + " WHERE ";

	const Column &compared = dice_.Pick(source.table->columns);
	const Column &measured = dice_.Pick(inner.table->columns);
	if (compared.IsNumber() && measured.IsNumber() && dice_.Chance(0.3)) {
		const char *function = dice_.Pick(std::vector<const char *>{"avg", "min", "max", "sum"});
		return Text("%s.%s %s (SELECT %.2f * %s(%s.%s)%s%s%s)", source.alias.c_str(), compared.name.c_str(),
		            dice_.Chance(0.5) ? ">" : "<", dice_.Log(0.1, 2.0), function, inner.alias.c_str(),
		            measured.name.c_str(), from.c_str(), dice_.Chance(0.6) ? join.c_str() : "true", more.c_str());
	}
	if (key.columns.size() == 1 && dice_.Chance(0.4)) {
		const auto [child, parent] = key.columns[0];
		const std::string outer = source.alias + "." + source.table->columns[source_is_child ? child : parent].name;
		const std::string column = inner.alias + "." + inner.table->columns[source_is_child ? parent : child].name;
		const bool is_group = dice_.Chance(0.2);
		return outer + (dice_.Chance(0.1) ? " NOT IN (SELECT " : " IN (SELECT ") + column + from + column +
			" IS NOT NULL" + more +
			(is_group ? Text(" GROUP BY %s HAVING count(*) > %d", column.c_str(), dice_.Int(1, 8)) : "") + ")";
	}
	return (dice_.Chance(0.4) ? "NOT EXISTS (SELECT" : "EXISTS (SELECT") + from + join + more + ")";
}

}  // namespace wlm::corpus
