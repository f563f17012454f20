// Random columns: where a value comes from (its row alone, something that other columns share, a key, the row's place), how it is
// distributed, how many distinct values there are, and what type it has.
#include <algorithm>

#include "../driver/text.hpp"
#include "schema_plan.hpp"

namespace wlm::corpus {

namespace {

using bench::Text;

constexpr const char *kWords = "'amber','basalt','cedar','delta','ember','fjord','garnet','harbor','indigo','juniper','"
                               "kelp','lagoon','maple','nectar','onyx','prairie',"
							   "'quartz','raven','saffron','tundra','umber','violet','willow','xenon','yarrow','zephyr'"
                               ",'arch','bridge','crane','dock','engine','forge'";
constexpr int kWordCount = 32;

// A number in [0, 1) for each row; NULL where it follows a key that is NULL.
std::string DrawSource(Dice &dice, const TablePlan &table, int table_salt, int salt, bool &is_ordered)
{
	switch (dice.Weighted({4.0, 2.0, table.keys.empty() ? 0.0 : 2.0, 1.5})) {
		case 1:  // columns of a table that follow the same hidden number depend on each other, more or less
			return Text("(corpus.u(n, %d) * %.2f + corpus.u(n, %d) * %.2f)", table_salt + dice.Int(0, 1), 0.9, salt,
			            0.0999);
		case 2:  // a function of a key: what belongs to the same parent is alike; salts of few values repeat across tables
			return Text("corpus.u(%s, %d)", dice.Pick(table.keys).column.c_str(), dice.Int(1, 4));
		case 3:  // later rows have larger values
			is_ordered = true;
			return Text("((n - 1 + %.1f * corpus.u(n, %d)) / (@rows + %.1f))", dice.Chance(0.5) ? 0.0 : 50.0, salt,
			            51.0);
		default: return Text("corpus.u(n, %d)", salt);
	}
}

std::string DrawDistribution(Dice &dice, const std::string &source, int salt, bool &is_ordered)
{
	switch (dice.Weighted({3.0, 3.0, 1.0, 1.0, 1.0})) {
		case 1: return Text("power(%s, %.2f)", source.c_str(), dice.Real(1.5, 6.0));
		case 2:
			is_ordered = false;
			return Text("((%s + corpus.u(n, %d) + corpus.u(n, %d)) / 3)", source.c_str(), salt + 1, salt + 2);
		case 3: return Text("least(-ln(1 - %s * 0.9999) / 9.3, 0.9999)", source.c_str());
		case 4:
			is_ordered = false;
			return Text("CASE WHEN corpus.u(n, %d) < %.2f THEN 0 ELSE %s END", salt + 3, dice.Real(0.3, 0.97),
			            source.c_str());
		default: return source;
	}
}

// `f` is in [0, 1), `v` one of `distinct` whole numbers from 0.
void DrawNumber(Dice &dice, const std::string &f, const std::string &v, double distinct, ColumnPlan &column)
{
	switch (dice.Weighted({4.0, 1.0, 1.5, 2.5, 1.5, 0.5})) {
		case 0:
			column.type = "int";
			column.expression = Text("(%s * %d + %d)::int", v.c_str(), dice.Int(1, 20), dice.Int(0, 1000));
			break;
		case 1:
			column.type = "smallint";
			column.width = 2;
			column.expression = Text("least(%s, 32000)::smallint", v.c_str());
			break;
		case 2:
			column.type = "bigint";
			column.width = 8;
			column.expression = Text("(%s * 1000003 + 10000000000)::bigint", v.c_str());
			break;
		case 3:
			column.type = "numeric(14,2)";
			column.width = 7;
			column.expression = Text("(%s * %d)::numeric / 100", v.c_str(), dice.Int(1, 3000));
			break;
		case 4:
			column.type = "double precision";
			column.width = 8;
			column.expression = Text("exp(%s * %.1f)", f.c_str(), dice.Real(2.0, 12.0));
			break;
		default:
			column.type = "real";
			column.expression = Text("(%s * %.1f)::real", f.c_str(), distinct);
			break;
	}
}

void DrawText(Dice &dice, const std::string &v, double distinct, int salt, ColumnPlan &column)
{
	const int pad = static_cast<int>(dice.Log(30.0, 900.0));
	column.type = "text";
	switch (dice.Weighted({3.0, 3.0, 2.0, 1.5, 1.5, 1.0, 0.15})) {
		case 0:
			column.width = 9;
			column.expression = Text("'%c' || lpad((%s)::text, 7, '0')", 'A' + dice.Int(0, 25), v.c_str());
			break;
		case 1:
			column.width = 8;
			column.expression = Text("(ARRAY[%s])[1 + (%s)::int %% %d]", kWords, v.c_str(),
			                         std::min(kWordCount, static_cast<int>(distinct)));
			break;
		case 2:  // a phrase: for LIKE
			column.width = 28;
			column.expression = Text(
				"(ARRAY[%s])[1 + (%s)::int %% %d] || ' ' || (ARRAY[%s])[1 + floor(32 * corpus.u(n, %d))::int] || ' ' "
				"|| (%s)::text",
				kWords, v.c_str(), kWordCount, kWords, salt + 4, v.c_str());
			break;
		case 3:
			column.type = Text("char(%d)", 10 + dice.Int(0, 3) * 10);
			column.width = std::stod(column.type.substr(5));
			column.expression = Text("substr(md5((%s)::text), 1, 9)", v.c_str());
			break;
		case 4:  // all of one width
			column.width = pad;
			column.is_indexable = pad < 100;
			column.expression = Text("rpad((%s)::text || '-', %d, md5((%s)::text))", v.c_str(), pad, v.c_str());
			break;
		case 5:  // from short to long
			column.width = pad / 2.0;
			column.is_indexable = false;
			column.expression =
				Text("rpad((%s)::text, 4 + floor(%d * power(corpus.u(n, %d), 2))::int, md5((%s)::text))", v.c_str(),
			         pad * 3 / 2, salt + 5, v.c_str());
			break;
		default:  // documents, in part out of line
			column.width = 1500;
			column.is_indexable = false;
			column.expression = Text(
				"(SELECT string_agg(md5((%s + i)::text), ' ') FROM generate_series(1, 10 + n %% 90) AS i)", v.c_str());
			break;
	}
}

void DrawOther(Dice &dice, const std::string &f, const std::string &v, ColumnPlan &column)
{
	column.is_indexable = false;
	switch (dice.Weighted({2.0, 1.0, 1.0})) {
		case 0:
			column.type = "uuid";
			column.width = 16;
			column.expression = Text("md5((%s)::text)::uuid", v.c_str());
			break;
		case 1:
			column.type = "jsonb";
			column.width = 60;
			column.expression =
				Text("jsonb_build_object('k', %s, 'x', (%s)::bigint %% 10, 'tags', ARRAY[n %% 7, n %% 13])", v.c_str(),
			         v.c_str());
			break;
		default:
			column.type = "int[]";
			column.width = 44;
			column.expression = Text("ARRAY[(%s)::int, (%s * 100)::int, (n %% 97)::int]", v.c_str(), f.c_str());
			break;
	}
}

}  // namespace

ColumnPlan DrawColumn(Dice &dice, const TablePlan &table, const std::string &name, int table_salt, int salt)
{
	ColumnPlan column;
	column.name = name;
	const std::string f =
		DrawDistribution(dice, DrawSource(dice, table, table_salt, salt, column.is_ordered), salt, column.is_ordered);
	const double distinct = std::floor(dice.Chance(0.45) ? dice.Log(2.0, 60.0) : dice.Log(60.0, 300000.0));
	const std::string v = Text("floor(%s * %.0f)", f.c_str(), distinct);

	switch (dice.Weighted({4.0, 3.5, 1.3, 1.0, 0.9, 0.5})) {
		case 0: DrawNumber(dice, f, v, distinct, column); break;
		case 1: DrawText(dice, v, distinct, salt, column); break;
		case 2:
			column.type = "date";
			column.expression =
				Text("date '%d-01-01' + (%s * %d)::int", dice.Int(1992, 2020), f.c_str(), dice.Int(300, 4000));
			break;
		case 3:
			column.type = dice.Chance(0.7) ? "timestamptz" : "timestamp";
			column.width = 8;
			column.expression =
				Text("(timestamptz '2016-01-01 00:00:00+00' + make_interval(secs => floor(%s * %.0f)))::%s", f.c_str(),
			         dice.Log(1e6, 3e8), column.type.c_str());
			break;
		case 4:
			column.type = "boolean";
			column.width = 1;
			column.is_indexable = false;
			column.expression = Text("%s < %.3f", f.c_str(), dice.Log(0.002, 0.9));
			break;
		default: DrawOther(dice, f, v, column); break;
	}
	if (!column.is_ordered && dice.Chance(0.3)) {
		const double nulls = dice.Log(0.005, 0.95);
		column.expression =
			Text("CASE WHEN corpus.u(n, %d) >= %.3f THEN %s END", salt + 6, nulls, column.expression.c_str());
		column.width *= 1.0 - nulls;
	}
	return column;
}

}  // namespace wlm::corpus
