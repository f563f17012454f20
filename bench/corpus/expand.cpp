// wlm_corpus expand: concrete statements of a folder of templates, one a line. The format is that of bench_driver.
#include <cstdio>
#include <stdexcept>

#include "../driver/options.hpp"
#include "../driver/query_template.hpp"
#include "../driver/text.hpp"
#include "commands.hpp"
#include "session.hpp"

namespace wlm::corpus {

namespace {

// @names in templates are rows (name, value) of a table "size" in any schema.
bench::Sizes ReadSizes(const std::string &conninfo)
{
	Session session(conninfo);
	bench::Sizes sizes;
	for (const auto &table :
	     session.Ask("SELECT c.oid::regclass FROM pg_class c WHERE relname = 'size' AND relkind = 'r' AND 2 = "
	                 "(SELECT count(*) "
	                 "FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname IN ('name', 'value')) ORDER BY 1"))
		for (const auto &row : session.Ask("SELECT name, value FROM " + table[0]))
			sizes[row[0]] = std::stoll(row[1]);
	return sizes;
}

std::string OneLine(const std::string &sql)
{
	std::string line;
	for (const char c : sql) {
		const char put = c == '\n' || c == '\t' ? ' ' : c;
		if (put != ' ' || (!line.empty() && line.back() != ' '))
			line += put;
	}
	return line;
}

}  // namespace

int Expand(int argc, char **argv)
{
	const bench::Options options(argc, argv, {"templates", "count", "seed", "purposes", "dbname"});
	const std::string purposes = "," + options.Get("purposes", "dashboard,report") + ",";
	std::vector<bench::QueryTemplate> templates;
	for (bench::QueryTemplate &each : bench::ReadTemplates(options.Need("templates"), ReadSizes(options.Get("dbname"))))
		if (purposes.find(std::string(",") + bench::PurposeName(each.purpose) + ",") != std::string::npos)
			templates.push_back(std::move(each));
	if (templates.empty())
		throw std::runtime_error("no template has one of the purposes " + options.Get("purposes"));

	// Each template as often as any other, in random order.
	bench::Random random(static_cast<uint64_t>(options.Number("seed", 1)));
	std::vector<size_t> order;
	for (int i = 0; i < options.Count("count", 100); ++i)
		order.push_back(static_cast<size_t>(i) % templates.size());
	random.Shuffle(order);
	for (const size_t which : order)
		std::printf("%s\n", OneLine(templates[which].Instantiate(random)).c_str());
	return 0;
}

}  // namespace wlm::corpus
