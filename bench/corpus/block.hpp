// A block: tables joined along keys, with predicates. The stuff that all shapes of queries are made of. `alias` is what columns
// are named by.
#pragma once

#include <string>
#include <vector>

#include "catalog.hpp"
#include "dice.hpp"

namespace wlm::corpus {

struct Source {
	const Table *table = nullptr;
	std::string alias;
};

// A column of a source.
struct Reference {
	std::string text;  // "a.c3"
	const Column *column = nullptr;
	double rows = 0.0;  // of its table
};

struct Block {
	std::vector<Source> sources;
	std::string from;
	std::vector<std::string> where;

	// "FROM ... WHERE ..."
	std::string Text() const;
	// As one item that more can be joined to.
	std::string FromItem() const { return sources.size() > 1 ? "(" + from + ")" : from; }
	std::vector<Reference> References() const;
};

struct BlockOptions {
	int joins = 0;
	double predicates = 1.5;       // how many to expect
	bool has_subqueries = true;    // EXISTS and the like among the predicates
	const Table *start = nullptr;  // a random one if null
};

class BlockWriter {
  public:
	BlockWriter(const Catalog &catalog, Dice &dice) : catalog_(catalog), dice_(dice) {}

	// Aliases are unique until the next query begins.
	void BeginQuery() { aliases_ = 0; }
	std::string NextAlias(const char *prefix = "t") { return prefix + std::to_string(++aliases_); }

	Block Write(const BlockOptions &options);

	// Joins typical of random queries: mostly few, up to eight.
	int DrawJoins();

	const Table &DrawTable();

	// A condition on one source; its selectivity is anything from one in a hundred thousand to nearly all. Empty if no column is
	// fit for one.
	std::string Predicate(const Source &source);

	// [NOT] EXISTS, [NOT] IN, comparisons with (correlated) scalar sub-queries; empty if the source has no key.
	std::string SubqueryPredicate(const Source &source, int depth);

	// "a.x = b.y AND ..." of a key between two aliases.
	std::string KeyCondition(const Key &key, const std::string &child, const std::string &parent) const;

	const Catalog &catalog() const { return catalog_; }
	Dice &dice() { return dice_; }

  private:
	const Catalog &catalog_;
	Dice &dice_;
	int aliases_ = 0;

	bool JoinOne(Block &block, bool &has_outer);
	bool JoinWithoutKey(Block &block);
	std::string ColumnPredicate(const std::string &name, const Column &column);
};

}  // namespace wlm::corpus
