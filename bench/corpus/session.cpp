// See session.hpp.
#include "session.hpp"

#include <cctype>
#include <chrono>
#include <stdexcept>
#include <thread>

#include "../driver/text.hpp"

namespace wlm::corpus {

namespace {

struct Clear {
	void operator()(PGresult *result) const { PQclear(result); }
};
using Result = std::unique_ptr<PGresult, Clear>;

constexpr int kReconnects = 60;  // one a second

std::string Field(const PGresult *result, int field, const char *otherwise)
{
	const char *value = PQresultErrorField(result, field);
	return value != nullptr ? value : otherwise;
}

}  // namespace

Session::Session(const std::string &conninfo)
{
	const char *names[] = {"application_name", "client_encoding", "dbname", nullptr};
	const char *values[] = {"wlm_corpus", "UTF8", conninfo.empty() ? nullptr : conninfo.c_str(), nullptr};
	connection_.reset(PQconnectdbParams(names, values, 1));
	if (IsLost())
		throw std::runtime_error(bench::Trim(PQerrorMessage(connection_.get())));
	PQsetNoticeProcessor(
		connection_.get(), [](void *, const char *) {}, nullptr);
}

Reply Session::Execute(const std::string &sql, bool keeps_rows)
{
	Reply reply;
	const Result result(PQexec(connection_.get(), sql.c_str()));
	const ExecStatusType status = PQresultStatus(result.get());
	if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK) {
		reply.state = Field(result.get(), PG_DIAG_SQLSTATE, "-----");
		reply.error = Field(result.get(), PG_DIAG_MESSAGE_PRIMARY, "the connection was lost");
		return reply;
	}
	reply.row_count = PQntuples(result.get());
	for (int row = 0; keeps_rows && row < PQntuples(result.get()); ++row) {
		reply.rows.emplace_back();
		for (int column = 0; column < PQnfields(result.get()); ++column)
			reply.rows.back().emplace_back(PQgetvalue(result.get(), row, column));
	}
	return reply;
}

std::vector<std::vector<std::string>> Session::Ask(const std::string &sql)
{
	Reply reply = Execute(sql);
	if (reply.Failed())
		throw std::runtime_error(reply.error + " in: " + sql.substr(0, 400));
	return std::move(reply.rows);
}

bool Session::Reconnect()
{
	for (int i = 0; i < kReconnects && IsLost(); ++i) {
		PQreset(connection_.get());
		if (IsLost())
			std::this_thread::sleep_for(std::chrono::seconds(1));
	}
	return !IsLost();
}

std::string Literal(const std::string &text)
{
	std::string out = "'";
	for (const char c : text) {
		if (c == '\'')
			out += c;
		out += c;
	}
	return out + "'";
}

std::string Identifier(const std::string &name)
{
	bool is_plain = !name.empty() && std::isdigit(static_cast<unsigned char>(name[0])) == 0;
	for (const char c : name)
		is_plain = is_plain &&
			(std::islower(static_cast<unsigned char>(c)) != 0 || std::isdigit(static_cast<unsigned char>(c)) != 0 ||
		     c == '_');
	// Words that are reserved in SQL and likely as names of columns.
	for (const char *word :
	     {"user",    "order", "group", "limit", "end",     "desc",   "asc",    "table",  "column",
	      "case",    "when",  "from",  "to",    "default", "check",  "select", "where",  "references",
	      "primary", "all",   "any",   "as",    "offset",  "window", "both",   "analyze"})
		is_plain = is_plain && name != word;
	if (is_plain)
		return name;
	std::string out = "\"";
	for (const char c : name) {
		if (c == '"')
			out += c;
		out += c;
	}
	return out + "\"";
}

}  // namespace wlm::corpus
