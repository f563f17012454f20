// What a random schema will be, drawn from a seed before anything is created: tables, keys, columns with the SQL that computes
// them, sizes.
//
// All data are arithmetic on hashes of row numbers: corpus.u(n, salt) is a uniform number in [0, 1) that depends on its arguments
// only. In the expressions, n is the row number (from 1), and key columns can be used by name.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "dice.hpp"

namespace wlm::corpus {

struct ColumnPlan {
	std::string name;
	std::string type;
	std::string expression;
	double width = 4.0;        // bytes
	bool is_indexable = true;  // by a B-tree, and narrow
	bool is_ordered = false;   // grows with the row number
};

// A column that refers to the id of a table.
struct KeyPlan {
	std::string column;
	size_t parent = 0;
	std::string expression;  // set when the sizes are known
	bool has_index = false;
};

enum class Partitioning { kNone, kRange, kHash, kList };

struct TablePlan {
	std::string name;
	std::string id_type = "int";
	double base_rows = 1000.0;
	double elasticity = 1.0;  // rows = base_rows * factor ^ elasticity, the same factor for all tables
	int64_t rows = 0;
	std::vector<KeyPlan> keys;
	std::vector<ColumnPlan> columns;
	std::vector<std::string> indexes;     // "(a, b)", "USING brin (a)"
	std::vector<std::string> statistics;  // "(dependencies, mcv) ON a, b"
	Partitioning partitioning = Partitioning::kNone;
	int partitions = 0;
	bool has_primary_key = true;
	bool has_stale_statistics = false;  // ANALYZE ran before the last three tenths of the rows came
	bool is_vacuumed = true;
};

struct SchemaPlan {
	const char *shape = "";
	std::vector<TablePlan> tables;  // parents before their children
	bool declares_keys = false;     // as foreign keys in the catalog; corpus_key has them always
	int statistics_target = 100;
};

SchemaPlan DesignSchema(uint64_t seed, double megabytes);

// A column of random type, distribution, dependence on others and share of NULLs.
ColumnPlan DrawColumn(Dice &dice, const TablePlan &table, const std::string &name, int table_salt, int salt);

}  // namespace wlm::corpus
