// See block.hpp: joins.
#include "block.hpp"

#include <algorithm>

#include "../driver/text.hpp"

namespace wlm::corpus {

namespace {

constexpr double kPairsLimit = 2e7;  // of a join without a key, by the statistics

}  // namespace

std::string Block::Text() const
{
	std::string text = "FROM " + from;
	for (size_t i = 0; i < where.size(); ++i)
		text += (i == 0 ? " WHERE " : " AND ") + where[i];
	return text;
}

std::vector<Reference> Block::References() const
{
	std::vector<Reference> references;
	for (const Source &source : sources)
		for (const Column &column : source.table->columns)
			references.push_back({source.alias + "." + column.name, &column, source.table->rows});
	return references;
}

int BlockWriter::DrawJoins() { return static_cast<int>(dice_.Weighted({10, 18, 20, 16, 12, 9, 6, 5, 4})); }

const Table &BlockWriter::DrawTable()
{
	std::vector<double> weights;
	for (const Table &table : catalog_.tables)
		weights.push_back(std::log2(2.0 + table.rows / 100.0));
	return catalog_.tables[dice_.Weighted(weights)];
}

std::string BlockWriter::KeyCondition(const Key &key, const std::string &child, const std::string &parent) const
{
	std::string text;
	for (const auto &[child_column, parent_column] : key.columns)
		text += (text.empty() ? "" : " AND ") + child + "." + catalog_.tables[key.child].columns[child_column].name +
			" = " + parent + "." + catalog_.tables[key.parent].columns[parent_column].name;
	return text;
}

bool BlockWriter::JoinWithoutKey(Block &block)
{
	const Source from = dice_.Pick(block.sources);
	const Source to = {&DrawTable(), NextAlias()};
	for (int tries = 0; tries < 10; ++tries) {
		const Column &a = dice_.Pick(from.table->columns);
		const Column &b = dice_.Pick(to.table->columns);
		if (a.kind != b.kind || !a.IsOrdered() || a.type == "bpchar" || b.type == "bpchar")
			continue;
		const double pairs = from.table->rows * to.table->rows;
		const std::string left = from.alias + "." + a.name;
		const std::string right = to.alias + "." + b.name;
		std::string condition;
		if (pairs / std::max(a.distinct, b.distinct) < kPairsLimit)
			condition = left + " = " + right;
		else if (pairs < kPairsLimit)
			condition = left + (dice_.Chance(0.5) ? " < " : " <> ") + right;
		else
			continue;
		block.from += " JOIN " + to.table->name + " " + to.alias + " ON " + condition;
		block.sources.push_back(to);
		return true;
	}
	return false;
}

bool BlockWriter::JoinOne(Block &block, bool &has_outer)
{
	struct Edge {
		const Key *key;
		size_t source;
		bool to_parent;
	};
	std::vector<Edge> edges;
	std::vector<double> weights;
	for (const Key &key : catalog_.keys) {
		for (size_t i = 0; i < block.sources.size(); ++i) {
			for (const bool to_parent : {true, false}) {
				if (&catalog_.tables[to_parent ? key.child : key.parent] != block.sources[i].table)
					continue;
				const Table *target = &catalog_.tables[to_parent ? key.parent : key.child];
				// A table again is a self-join through the key; children multiply rows. Both have their place, but not in each query.
				const bool is_again = std::any_of(block.sources.begin(), block.sources.end(),
				                                  [&](const Source &s) { return s.table == target; });
				edges.push_back({&key, i, to_parent});
				weights.push_back((to_parent ? 3.0 : 1.0) * (is_again ? 0.15 : 1.0));
			}
		}
	}
	if (edges.empty() || dice_.Chance(0.04))
		return JoinWithoutKey(block);
	const Edge edge = edges[dice_.Weighted(weights)];
	const Source added = {&catalog_.tables[edge.to_parent ? edge.key->parent : edge.key->child], NextAlias()};
	const std::string old_alias = block.sources[edge.source].alias;
	std::string condition = edge.to_parent ? KeyCondition(*edge.key, old_alias, added.alias)
										   : KeyCondition(*edge.key, added.alias, old_alias);
	const char *verb = " JOIN ";
	switch (dice_.Weighted({8.0, 1.6, 0.2, has_outer ? 0.0 : 0.25})) {
		case 1: verb = " LEFT JOIN "; break;
		case 2: verb = " RIGHT JOIN "; break;
		case 3: verb = " FULL JOIN "; break;
		default: break;
	}
	has_outer = has_outer || verb[1] != 'J';
	if (verb[1] == 'L' && dice_.Chance(0.4))
		if (const std::string text = Predicate(added); !text.empty())
			condition += " AND " + text;
	block.from += verb + added.table->name + " " + added.alias + " ON " + condition;
	block.sources.push_back(added);
	return true;
}

Block BlockWriter::Write(const BlockOptions &options)
{
	Block block;
	block.sources.push_back({options.start != nullptr ? options.start : &DrawTable(), NextAlias()});
	block.from = block.sources[0].table->name + " " + block.sources[0].alias;
	if (dice_.Chance(0.02))
		block.from += bench::Text(" TABLESAMPLE %s (%d)", dice_.Chance(0.5) ? "SYSTEM" : "BERNOULLI", dice_.Int(1, 40));
	bool has_outer = false;
	for (int i = 0; i < options.joins; ++i)
		if (!JoinOne(block, has_outer))
			break;
	int predicates = static_cast<int>(options.predicates + dice_.Real(-1.5, 1.5) + 0.5);
	predicates += options.joins >= 4 && dice_.Chance(0.7) ? 1 : 0;
	for (int i = 0; i < predicates; ++i)
		if (std::string text = Predicate(dice_.Pick(block.sources)); !text.empty())
			block.where.push_back(std::move(text));
	if (options.has_subqueries && dice_.Chance(0.25))
		if (std::string text = SubqueryPredicate(dice_.Pick(block.sources), 1); !text.empty())
			block.where.push_back(std::move(text));
	if (block.sources.size() > 1 && dice_.Chance(0.06)) {
		const std::string a = Predicate(block.sources.front());
		const std::string b = Predicate(block.sources.back());
		if (!a.empty() && !b.empty())
			block.where.push_back("(" + a + " OR " + b + ")");
	}
	return block;
}

}  // namespace wlm::corpus
