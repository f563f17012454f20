// wlm_corpus create: turns the plan of a schema into tables with data, indexes, statistics and keys, all in the schema "corpus".
#include <chrono>
#include <cstdio>

#include "../driver/options.hpp"
#include "../driver/text.hpp"
#include "commands.hpp"
#include "schema_plan.hpp"
#include "session.hpp"

namespace wlm::corpus {

namespace {

using bench::Text;

constexpr double kPartBeforeAnalyze = 0.7;  // of the rows of tables with stale statistics

std::string ReplaceAll(std::string text, const std::string &from, const std::string &to)
{
	for (size_t at = text.find(from); at != std::string::npos; at = text.find(from, at + to.size()))
		text.replace(at, from.size(), to);
	return text;
}

std::vector<std::string> PartitionStatements(const TablePlan &table)
{
	std::vector<std::string> statements;
	for (int i = 0; i < table.partitions; ++i) {
		std::string bound = Text("IN (%d)", i);
		if (table.partitioning == Partitioning::kHash)
			bound = Text("WITH (MODULUS %d, REMAINDER %d)", table.partitions, i);
		if (table.partitioning == Partitioning::kRange)
			bound = Text("FROM (date '2019-01-01' + %d) TO (date '2019-01-01' + %d)", i * 30, i * 30 + 30);
		statements.push_back(
			Text("CREATE TABLE corpus.%s_p%d PARTITION OF corpus.%s FOR VALUES %s WITH (autovacuum_enabled = off)",
		         table.name.c_str(), i, table.name.c_str(), bound.c_str()));
	}
	return statements;
}

std::string TableStatement(const SchemaPlan &plan, const TablePlan &table)
{
	std::string sql = Text("CREATE TABLE corpus.%s (id %s NOT NULL", table.name.c_str(), table.id_type.c_str());
	for (const KeyPlan &key : table.keys)
		sql += Text(", %s %s", key.column.c_str(), plan.tables[key.parent].id_type.c_str());
	for (const ColumnPlan &column : table.columns)
		sql += Text(", %s %s", column.name.c_str(), column.type.c_str());
	switch (table.partitioning) {
		case Partitioning::kNone: return sql + ") WITH (autovacuum_enabled = off)";
		case Partitioning::kRange: return sql + ") PARTITION BY RANGE (part_day)";
		case Partitioning::kHash: return sql + ") PARTITION BY HASH (id)";
		case Partitioning::kList: return sql + ") PARTITION BY LIST (part_code)";
	}
	return sql;
}

// Rows `low` + 1 to `high`. Keys are computed first, so that columns can depend on them; OFFSET 0 keeps them from being computed again.
std::string FillStatement(const TablePlan &table, int64_t low, int64_t high)
{
	std::string keys;
	std::string columns;
	for (const KeyPlan &key : table.keys) {
		keys += Text(", %s AS %s", key.expression.c_str(), key.column.c_str());
		columns += ", " + key.column;
	}
	for (const ColumnPlan &column : table.columns)
		columns += ", " + ReplaceAll(column.expression, "@rows", Text("%lld", static_cast<long long>(table.rows)));
	return Text("INSERT INTO corpus.%s SELECT n%s FROM (SELECT n%s FROM generate_series(%lld::bigint, %lld) AS n "
	            "OFFSET 0) AS k",
	            table.name.c_str(), columns.c_str(), keys.c_str(), static_cast<long long>(low + 1),
	            static_cast<long long>(high));
}

void CreateTable(Session &session, const SchemaPlan &plan, const TablePlan &table)
{
	session.Ask(TableStatement(plan, table));
	for (const std::string &statement : PartitionStatements(table))
		session.Ask(statement);
	const int64_t early = table.has_stale_statistics
		? static_cast<int64_t>(static_cast<double>(table.rows) * kPartBeforeAnalyze)
		: table.rows;
	session.Ask(FillStatement(table, 0, early));

	const std::string name = "corpus." + table.name;
	session.Ask(table.has_primary_key ? Text("ALTER TABLE %s ADD PRIMARY KEY (id)", name.c_str())
	                                  : Text("CREATE INDEX ON %s (id)", name.c_str()));
	for (const KeyPlan &key : table.keys)
		if (key.has_index)
			session.Ask(Text("CREATE INDEX ON %s (%s)", name.c_str(), key.column.c_str()));
	for (const std::string &index : table.indexes)
		session.Ask(Text("CREATE INDEX ON %s %s", name.c_str(), index.c_str()));
	for (size_t i = 0; i < table.statistics.size(); ++i)
		session.Ask(Text("CREATE STATISTICS corpus.%s_s%zu %s FROM %s", table.name.c_str(), i,
		                 table.statistics[i].c_str(), name.c_str()));
	session.Ask((table.is_vacuumed ? "VACUUM ANALYZE " : "ANALYZE ") + name);
	if (early < table.rows) {
		session.Ask(FillStatement(table, early, table.rows));
		session.Ask("VACUUM " + name);
	}
}

// NOT VALID, as nothing here needs to be checked; PostgreSQL allows neither that on partitioned tables nor keys without a unique index.
void DeclareKeys(Session &session, const SchemaPlan &plan)
{
	for (const TablePlan &table : plan.tables) {
		for (const KeyPlan &key : table.keys) {
			const TablePlan &parent = plan.tables[key.parent];
			session.Ask(Text("INSERT INTO corpus.corpus_key VALUES ('corpus.%s', '%s', 'corpus.%s', 'id')",
			                 table.name.c_str(), key.column.c_str(), parent.name.c_str()));
			if (plan.declares_keys && parent.has_primary_key && table.partitioning == Partitioning::kNone)
				session.Ask(Text("ALTER TABLE corpus.%s ADD FOREIGN KEY (%s) REFERENCES corpus.%s NOT VALID",
				                 table.name.c_str(), key.column.c_str(), parent.name.c_str()));
		}
	}
}

}  // namespace

int Create(int argc, char **argv)
{
	const bench::Options options(argc, argv, {"seed", "megabytes", "dbname"});
	const SchemaPlan plan =
		DesignSchema(static_cast<uint64_t>(options.Number("seed", 1)), options.Number("megabytes", 200));
	const auto start = std::chrono::steady_clock::now();

	Session session(options.Get("dbname"));
	session.Ask("SET client_min_messages = warning; SET maintenance_work_mem = '128MB'; SET synchronous_commit = off; "
	            "SET timezone = 'UTC';"
	            "SET max_parallel_maintenance_workers = 0; SET jit = off");
	session.Ask("DROP SCHEMA IF EXISTS corpus CASCADE");
	session.Ask("CREATE SCHEMA corpus");
	session.Ask("CREATE FUNCTION corpus.u(n bigint, salt bigint) RETURNS float8 LANGUAGE sql IMMUTABLE PARALLEL SAFE "
	            "RETURN (hashint8extended(n, salt) & 4294967295)::float8 / 4294967296.0");
	session.Ask(
		"CREATE TABLE corpus.corpus_key (child regclass, child_column name, parent regclass, parent_column name)");
	session.Ask(Text("SET default_statistics_target = %d", plan.statistics_target));
	for (const TablePlan &table : plan.tables)
		CreateTable(session, plan, table);
	DeclareKeys(session, plan);
	// Its work stays out of what is measured next.
	session.Ask("CHECKPOINT");

	int64_t rows = 0;
	for (const TablePlan &table : plan.tables)
		rows += table.rows;
	const std::string size = session.Ask("SELECT sum(pg_total_relation_size(oid)) / 1000000 FROM pg_class WHERE "
	                                     "relnamespace = 'corpus'::regnamespace AND "
	                                     "relkind = 'r'")[0][0];
	std::printf("shape=%s tables=%zu rows=%lld megabytes=%s declared_keys=%s seconds=%.1f\n", plan.shape,
	            plan.tables.size(), static_cast<long long>(rows), size.substr(0, size.find('.')).c_str(),
	            plan.declares_keys ? "yes" : "no",
	            std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
	return 0;
}

}  // namespace wlm::corpus
