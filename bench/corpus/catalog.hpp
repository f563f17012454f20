// What `queries` knows of a database: tables, columns with their statistics, and which columns refer to which. Read from any schema.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "session.hpp"

namespace wlm::corpus {

enum class Kind { kInteger, kNumeric, kFloat, kText, kDate, kTimestamp, kBoolean, kOther };

struct Column {
	std::string name;  // quoted where needed
	std::string type;
	Kind kind = Kind::kOther;
	double null_fraction = 0.0;
	double distinct = 1.0;
	double width = 4.0;               // bytes
	std::vector<std::string> common;  // the most frequent values, first the most frequent; without long ones
	std::vector<std::string> bounds;  // of a histogram with equal shares
	bool is_key = false;              // refers to another table, or is referred to

	bool IsNumber() const { return kind == Kind::kInteger || kind == Kind::kNumeric || kind == Kind::kFloat; }
	bool IsOrdered() const { return kind != Kind::kBoolean && kind != Kind::kOther; }
	bool IsGroupable() const { return type != "json" && type != "point" && type != "xml"; }
};

struct Table {
	std::string name;  // with its schema, quoted where needed
	double rows = 0.0;
	std::vector<Column> columns;
};

struct Key {
	size_t child = 0;
	size_t parent = 0;
	std::vector<std::pair<size_t, size_t>> columns;  // of the child, of the parent
};

struct Catalog {
	std::vector<Table> tables;
	std::vector<Key> keys;
};

// User tables with rows, without partitions (their parents stand for them) and without what extensions own. Keys are the declared
// foreign keys and corpus_key; where there are none at all, columns of the same name and type as another table's one-column
// primary key. Raises std::runtime_error if there is no table.
Catalog ReadCatalog(Session &session);

}  // namespace wlm::corpus
