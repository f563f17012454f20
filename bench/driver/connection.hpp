// One libpq connection. Settings of the server come from the usual environment (PGHOST, PGPORT, PGUSER, PGDATABASE).
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <libpq-fe.h>

namespace wlm::bench {

// What came back from one statement.
struct Outcome {
	int64_t rows = 0;         // returned, or changed by a statement that returns none
	uint64_t answer_hash = 0; // over all values in their order
	std::string error;        // empty when it succeeded: "SQLSTATE message"
};

class Connection {
  public:
	// `timeout_s` bounds each statement on the server; `settings` are more of the session's, as "-c name=value". Raises std::runtime_error.
	Connection(const std::string& application_name, int timeout_s, const std::string& settings = "");

	Outcome Execute(const std::string& sql);

	// For the driver's own questions: all values of all rows as text. Connects again if the server was restarted meanwhile.
	// Raises std::runtime_error.
	std::vector<std::vector<std::string>> Ask(const std::string& sql);

	// Stops the statement that another thread is executing here.
	void Cancel();

	int BackendPid() const { return PQbackendPID(connection_.get()); }

  private:
	struct Close {
		void operator()(PGconn* connection) const { PQfinish(connection); }
	};
	std::string application_name_;
	std::string options_;
	std::unique_ptr<PGconn, Close> connection_;

	void Connect();
};

}  // namespace wlm::bench
