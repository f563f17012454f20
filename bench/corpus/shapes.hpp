// The shapes of queries: each writes one kind of statement around random blocks. Output columns are named o1, o2, ...
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "block.hpp"

namespace wlm::corpus {

struct Query {
	std::string sql;
	int columns = 0;
	bool is_small = false;  // surely few rows: can be sent as it is
};

// Nothing where the schema or the block drawn is not fit for it: draw again.
using WriteShape = std::optional<Query> (*)(BlockWriter &);

struct Shape {
	const char *name;
	double weight;
	WriteShape write;
};

const std::vector<Shape> &AllShapes();

// Few rows of a query with many: aggregates over all of its columns, so that none is dropped as unused.
std::string WrapQuery(const Query &query, Dice &dice);

// Lists "x AS o1, y AS o2".
class SelectList {
  public:
	void Add(const std::string &expression);
	const std::string &text() const { return text_; }
	int count() const { return count_; }
	std::string Name(int which) const { return "o" + std::to_string(which + 1); }
	const std::vector<std::string> &expressions() const { return expressions_; }

  private:
	std::string text_;
	int count_ = 0;
	std::vector<std::string> expressions_;
};

// What a GROUP BY of a column makes.
enum class Groups { kFew, kMany, kAny };

// Parts of select lists, drawn from the columns that a block has.
std::string DrawNumberExpression(Dice &dice, const std::vector<Reference> &references);
std::string DrawAggregate(Dice &dice, const std::vector<Reference> &references);
std::string DrawGroupColumn(Dice &dice, const std::vector<Reference> &references, Groups groups);
// A column to sort or to compare by, or the first one.
Reference DrawOrdered(Dice &dice, const std::vector<Reference> &references);
// Between `low` and `high` of the columns, each once.
std::vector<Reference> DrawColumns(Dice &dice, std::vector<Reference> references, int low, int high);

std::optional<Query> WritePlainAggregate(BlockWriter &writer);
std::optional<Query> WriteGroupFew(BlockWriter &writer);
std::optional<Query> WriteGroupMany(BlockWriter &writer);
std::optional<Query> WriteDistinctCounts(BlockWriter &writer);
std::optional<Query> WriteGroupingSets(BlockWriter &writer);
std::optional<Query> WriteCollections(BlockWriter &writer);
std::optional<Query> WriteTopRows(BlockWriter &writer);
std::optional<Query> WriteSorted(BlockWriter &writer);
std::optional<Query> WriteDistinct(BlockWriter &writer);
std::optional<Query> WriteDistinctOn(BlockWriter &writer);
std::optional<Query> WriteWindows(BlockWriter &writer);
std::optional<Query> WriteSetOperation(BlockWriter &writer);
std::optional<Query> WriteUnnested(BlockWriter &writer);
std::optional<Query> WriteCte(BlockWriter &writer);
std::optional<Query> WriteDerivedJoin(BlockWriter &writer);
std::optional<Query> WriteLateral(BlockWriter &writer);
std::optional<Query> WriteScalarColumns(BlockWriter &writer);
std::optional<Query> WriteSubqueryFilters(BlockWriter &writer);
std::optional<Query> WriteRecursive(BlockWriter &writer);
std::optional<Query> WriteSelfComparison(BlockWriter &writer);
std::optional<Query> WriteCalendar(BlockWriter &writer);
std::optional<Query> WriteValues(BlockWriter &writer);
std::optional<Query> WriteAppended(BlockWriter &writer);

}  // namespace wlm::corpus
