// See query_template.hpp.
#include "query_template.hpp"

#include <cctype>
#include <chrono>
#include <sstream>
#include <stdexcept>

#include "text.hpp"

namespace wlm::bench {

namespace {

int64_t ParseDay(const std::string& text) {
	int year = 0;
	unsigned month = 0;
	unsigned day = 0;
	if (std::sscanf(text.c_str(), "%d-%u-%u", &year, &month, &day) != 3)
		throw std::runtime_error("not a date: " + text);
	const std::chrono::sys_days days =
		std::chrono::year_month_day(std::chrono::year(year), std::chrono::month(month), std::chrono::day(day));
	return days.time_since_epoch().count();
}

int64_t ParseMonth(const std::string& text) {
	int year = 0;
	int month = 0;
	if (std::sscanf(text.c_str(), "%d-%d", &year, &month) != 2)
		throw std::runtime_error("not a month: " + text);
	return year * 12 + month - 1;
}

int64_t ParseInt(const std::string& text, const Sizes& sizes) {
	if (text.empty() || text[0] != '@')
		return std::stoll(text);
	const auto size = sizes.find(text.substr(1));
	if (size == sizes.end())
		throw std::runtime_error("retail.size has no row " + text.substr(1));
	return size->second;
}

// "NAME KIND DOMAIN [skew K]"
Parameter ParseParameter(const std::string& line, const Sizes& sizes) {
	std::istringstream in(line);
	Parameter parameter;
	std::string kind;
	in >> parameter.name >> kind;
	std::string rest;
	std::getline(in, rest);
	rest = Trim(rest);
	if (kind == "pick") {
		parameter.kind = Parameter::Kind::kPick;
		parameter.choices = Split(rest, '|');
		return parameter;
	}
	if (const size_t skew = rest.find(" skew "); skew != std::string::npos) {
		parameter.skew = std::stod(rest.substr(skew + 6));
		rest = Trim(rest.substr(0, skew));
	}
	const size_t dots = rest.find("..");
	if (dots == std::string::npos)
		throw std::runtime_error("no A..B in: " + line);
	const std::string low = rest.substr(0, dots);
	const std::string high = rest.substr(dots + 2);
	if (kind == "int") {
		parameter.low = ParseInt(low, sizes);
		parameter.high = ParseInt(high, sizes);
	} else if (kind == "date") {
		parameter.kind = Parameter::Kind::kDate;
		parameter.low = ParseDay(low);
		parameter.high = ParseDay(high);
	} else if (kind == "month") {
		parameter.kind = Parameter::Kind::kMonth;
		parameter.low = ParseMonth(low);
		parameter.high = ParseMonth(high);
	} else {
		throw std::runtime_error("unknown kind of parameter: " + line);
	}
	if (parameter.high < parameter.low)
		throw std::runtime_error("empty domain: " + line);
	return parameter;
}

std::string Draw(const Parameter& parameter, Random& random) {
	if (parameter.kind == Parameter::Kind::kPick)
		return "'" + parameter.choices[static_cast<size_t>(random.Between(0, std::ssize(parameter.choices) - 1))] + "'";
	const int64_t value = random.Between(parameter.low, parameter.high, parameter.skew);
	if (parameter.kind == Parameter::Kind::kMonth)
		return Text("'%04d-%02d-01'", static_cast<int>(value / 12), static_cast<int>(value % 12 + 1));
	if (parameter.kind == Parameter::Kind::kDate) {
		const std::chrono::year_month_day day{std::chrono::sys_days(std::chrono::days(value))};
		return Text("'%04d-%02u-%02u'", static_cast<int>(day.year()), static_cast<unsigned>(day.month()), static_cast<unsigned>(day.day()));
	}
	return Text("%lld", static_cast<long long>(value));
}

bool IsNameCharacter(char c) {
	return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_';
}

// Replaces :name, but not ::name (a cast) nor :name_longer.
std::string Replace(const std::string& sql, const std::string& name, const std::string& value) {
	const std::string mark = ":" + name;
	std::string out;
	size_t start = 0;
	for (size_t at = sql.find(mark); at != std::string::npos; at = sql.find(mark, at + 1)) {
		const size_t end = at + mark.size();
		if ((at > 0 && sql[at - 1] == ':') || (end < sql.size() && IsNameCharacter(sql[end])))
			continue;
		out.append(sql, start, at - start).append(value);
		start = end;
	}
	return out.append(sql, start);
}

void ReadTemplateFile(const std::string& path, Purpose purpose, const Sizes& sizes, std::vector<QueryTemplate>& templates) {
	std::istringstream in(ReadFile(path));
	const size_t first = templates.size();
	for (std::string line; std::getline(in, line);) {
		if (line.rfind("-- name: ", 0) == 0) {
			templates.emplace_back();
			templates.back().name = Trim(line.substr(9));
			templates.back().purpose = purpose;
		} else if (templates.size() == first) {
			continue;  // the head of the file
		} else if (line.rfind("-- param: ", 0) == 0) {
			try {
				templates.back().parameters.push_back(ParseParameter(line.substr(10), sizes));
			} catch (const std::exception& error) {
				throw std::runtime_error(path + ", " + templates.back().name + ": " + error.what());
			}
		} else if (Trim(line) == "-- serial") {
			templates.back().is_serial = true;
		} else if (line.rfind("--", 0) != 0) {
			templates.back().sql += line + '\n';
		}
	}
	for (size_t i = first; i < templates.size(); ++i) {
		templates[i].sql = Trim(templates[i].sql);
		if (templates[i].sql.empty())
			throw std::runtime_error(path + ": no SQL for " + templates[i].name);
	}
}

}  // namespace

const char* PurposeName(Purpose purpose) {
	switch (purpose) {
		case Purpose::kDashboard: return "dashboard";
		case Purpose::kReport: return "report";
		case Purpose::kEtl: return "etl";
	}
	return "";
}

std::string QueryTemplate::Instantiate(Random& random) const {
	std::string text = sql;
	for (const Parameter& parameter : parameters)
		text = Replace(text, parameter.name, Draw(parameter, random));
	return text;
}

std::vector<QueryTemplate> ReadTemplates(const std::string& folder, const Sizes& sizes) {
	std::vector<QueryTemplate> templates;
	ReadTemplateFile(folder + "/dashboards.sql", Purpose::kDashboard, sizes, templates);
	ReadTemplateFile(folder + "/reports.sql", Purpose::kReport, sizes, templates);
	ReadTemplateFile(folder + "/etl.sql", Purpose::kEtl, sizes, templates);
	return templates;
}

}  // namespace wlm::bench
