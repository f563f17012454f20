// See catalog.hpp.
#include "catalog.hpp"

#include <cmath>
#include <cstdlib>
#include <map>
#include <stdexcept>

namespace wlm::corpus {

namespace {

constexpr size_t kLongValue = 120;  // bytes; longer ones do not go into queries

// Where each table and column is, by OID and attribute number.
struct Places {
	std::map<std::string, size_t> tables;
	std::map<std::pair<std::string, std::string>, size_t> columns;
};

Kind KindOf(const std::string &category, const std::string &type)
{
	if (type == "int2" || type == "int4" || type == "int8")
		return Kind::kInteger;
	if (type == "numeric")
		return Kind::kNumeric;
	if (type == "float4" || type == "float8")
		return Kind::kFloat;
	if (type == "date")
		return Kind::kDate;
	if (type == "timestamp" || type == "timestamptz")
		return Kind::kTimestamp;
	if (category == "B")
		return Kind::kBoolean;
	return category == "S" && type != "name" && type != "char" ? Kind::kText : Kind::kOther;
}

void ReadTables(Session &session, Catalog &catalog, Places &places)
{
	const auto rows =
		session.Ask("SELECT c.oid, n.nspname, c.relname, (SELECT sum(greatest(p.reltuples, 0)) FROM pg_class p WHERE "
	                "p.oid = c.oid OR p.oid IN "
	                "(SELECT relid FROM pg_partition_tree(c.oid) WHERE isleaf AND c.relkind = 'p') AND p.oid <> c.oid) "
	                "FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
	                "WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relpersistence <> 't' AND c.relname "
	                "<> 'corpus_key' "
	                "AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname NOT LIKE 'pg\\_%' "
	                "AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = "
	                "c.oid AND d.deptype = 'e') "
	                "ORDER BY n.nspname, c.relname");
	for (const auto &row : rows) {
		Table table;
		table.name = Identifier(row[1]) + "." + Identifier(row[2]);
		table.rows = std::atof(row[3].c_str());
		if (table.rows < 2.0)
			continue;
		places.tables[row[0]] = catalog.tables.size();
		catalog.tables.push_back(std::move(table));
	}
	if (catalog.tables.empty())
		throw std::runtime_error("there is no table with rows and statistics: ANALYZE first");
}

// Statistics with those of partitions in (inherited) where there are both.
constexpr const char *kStatistics =
	"(SELECT DISTINCT ON (starelid, staattnum) starelid, staattnum, stainherit FROM pg_statistic ORDER BY starelid, "
    "staattnum, "
	"stainherit DESC) AS pick "
	"JOIN pg_class c ON c.oid = pick.starelid JOIN pg_namespace n ON n.oid = c.relnamespace "
	"JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = pick.staattnum "
	"JOIN pg_stats s ON s.schemaname = n.nspname AND s.tablename = c.relname AND s.attname = a.attname AND s.inherited "
    "= pick.stainherit";

void ReadColumns(Session &session, Catalog &catalog, Places &places)
{
	for (const auto &row :
	     session.Ask("SELECT a.attrelid, a.attnum, a.attname, t.typname, t.typcategory FROM pg_attribute a "
	                 "JOIN pg_type t ON t.oid = a.atttypid WHERE a.attnum > 0 AND NOT a.attisdropped ORDER BY 1, 2")) {
		const auto table = places.tables.find(row[0]);
		if (table == places.tables.end())
			continue;
		Table &owner = catalog.tables[table->second];
		places.columns[{row[0], row[1]}] = owner.columns.size();
		Column column;
		column.name = Identifier(row[2]);
		column.type = row[3];
		column.kind = KindOf(row[4], row[3]);
		owner.columns.push_back(std::move(column));
	}
	const auto find = [&](const std::vector<std::string> &row) -> Column * {
		const auto table = places.tables.find(row[0]);
		const auto column = places.columns.find({row[0], row[1]});
		return table == places.tables.end() || column == places.columns.end()
			? nullptr
			: &catalog.tables[table->second].columns[column->second];
	};
	for (const auto &row : session.Ask(
			 std::string("SELECT c.oid, a.attnum, s.null_frac, s.n_distinct, s.avg_width FROM ") + kStatistics)) {
		if (Column *column = find(row)) {
			const double distinct = std::atof(row[3].c_str());
			column->null_fraction = std::atof(row[2].c_str());
			column->distinct =
				std::max(1.0, distinct < 0.0 ? -distinct * catalog.tables[places.tables[row[0]]].rows : distinct);
			column->width = std::atof(row[4].c_str());
		}
	}
	for (const auto &row :
	     session.Ask(std::string("SELECT c.oid, a.attnum, v.kind, v.value FROM ") + kStatistics +
	                 " CROSS JOIN LATERAL (SELECT 'c' AS kind, i, value FROM unnest(s.most_common_vals::text::text[]) "
	                 "WITH ORDINALITY AS m(value, i) UNION ALL SELECT 'b', i, value FROM "
	                 "unnest(s.histogram_bounds::text::text[]) "
	                 "WITH ORDINALITY AS h(value, i)) AS v ORDER BY 1, 2, 3, v.i")) {
		Column *column = row[3].size() <= kLongValue ? find(row) : nullptr;
		if (column != nullptr)
			(row[2] == "c" ? column->common : column->bounds).push_back(row[3]);
	}
}

void AddKey(Catalog &catalog, const Places &places, const std::vector<std::string> &row)
{
	const auto child = places.tables.find(row[0]);
	const auto parent = places.tables.find(row[2]);
	const auto child_column = places.columns.find({row[0], row[1]});
	const auto parent_column = places.columns.find({row[2], row[3]});
	if (child == places.tables.end() || parent == places.tables.end() || child_column == places.columns.end() ||
	    parent_column == places.columns.end())
		return;
	const std::pair<size_t, size_t> columns = {child_column->second, parent_column->second};
	catalog.tables[child->second].columns[columns.first].is_key = true;
	catalog.tables[parent->second].columns[columns.second].is_key = true;
	// Columns of one foreign key come one after the other, numbered from 1.
	if (row[4] != "1" && !catalog.keys.empty()) {
		catalog.keys.back().columns.push_back(columns);
		return;
	}
	for (const Key &key : catalog.keys)
		if (key.child == child->second && key.parent == parent->second && key.columns[0] == columns)
			return;  // declared and in corpus_key
	catalog.keys.push_back({child->second, parent->second, {columns}});
}

void ReadKeys(Session &session, Catalog &catalog, const Places &places)
{
	for (const auto &row :
	     session.Ask("SELECT k.conrelid, u.child, k.confrelid, u.parent, u.i FROM pg_constraint k CROSS JOIN LATERAL "
	                 "unnest(k.conkey, k.confkey) WITH ORDINALITY AS u(child, parent, i) WHERE k.contype = 'f' ORDER "
	                 "BY k.oid, u.i"))
		AddKey(catalog, places, row);
	if (session.Ask("SELECT to_regclass('corpus.corpus_key') IS NOT NULL")[0][0] == "t")
		for (const auto &row : session.Ask(
				 "SELECT k.child::oid, c.attnum, k.parent::oid, p.attnum, 1 FROM corpus.corpus_key k "
				 "JOIN pg_attribute c ON c.attrelid = k.child AND c.attname = k.child_column "
				 "JOIN pg_attribute p ON p.attrelid = k.parent AND p.attname = k.parent_column ORDER BY 1, 2, 3"))
			AddKey(catalog, places, row);
	if (!catalog.keys.empty())
		return;
	for (const auto &row :
	     session.Ask("SELECT c.attrelid, c.attnum, p.attrelid, p.attnum, 1 FROM pg_index i "
	                 "JOIN pg_attribute p ON p.attrelid = i.indrelid AND p.attnum = i.indkey[0] "
	                 "JOIN pg_attribute c ON c.attname = p.attname AND c.atttypid = p.atttypid AND c.attrelid <> "
	                 "p.attrelid "
	                 "WHERE i.indisprimary AND i.indnatts = 1 ORDER BY 1, 2, 3"))
		AddKey(catalog, places, row);
}

}  // namespace

Catalog ReadCatalog(Session &session)
{
	Catalog catalog;
	Places places;
	ReadTables(session, catalog, places);
	ReadColumns(session, catalog, places);
	ReadKeys(session, catalog, places);
	return catalog;
}

}  // namespace wlm::corpus
