// One libpq connection, found through --dbname (a name or a conninfo string) and the PG* environment.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <libpq-fe.h>

namespace wlm::corpus {

struct Reply {
	std::vector<std::vector<std::string>> rows;  // NULL as an empty string; left out where only the count was asked for
	int64_t row_count = 0;
	std::string state;  // SQLSTATE, empty when it succeeded; "-----" when the connection was lost
	std::string error;

	bool Failed() const { return !state.empty(); }
	bool IsTimeout() const { return state == "57014"; }
};

class Session {
  public:
	// Raises std::runtime_error.
	explicit Session(const std::string &conninfo);

	// Never raises.
	Reply Execute(const std::string &sql, bool keeps_rows = true);

	// Raises std::runtime_error with the statement's beginning.
	std::vector<std::vector<std::string>> Ask(const std::string &sql);

	// Whether there is a connection, after trying for up to a minute to make one: a crashed server needs some seconds to recover.
	bool Reconnect();
	bool IsLost() const { return PQstatus(connection_.get()) != CONNECTION_OK; }

  private:
	struct Close {
		void operator()(PGconn *connection) const { PQfinish(connection); }
	};
	std::unique_ptr<PGconn, Close> connection_;
};

// A string literal and an identifier, quoted where needed. standard_conforming_strings is on.
std::string Literal(const std::string &text);
std::string Identifier(const std::string &name);

}  // namespace wlm::corpus
