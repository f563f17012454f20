// See connection.hpp.
#include "connection.hpp"

#include <chrono>
#include <cstdlib>
#include <stdexcept>
#include <thread>

#include "random.hpp"
#include "text.hpp"

namespace wlm::bench {

namespace {

struct Clear {
	void operator()(PGresult* result) const { PQclear(result); }
};
using Result = std::unique_ptr<PGresult, Clear>;

uint64_t HashAnswer(const PGresult* result) {
	uint64_t hash = HashText("");
	for (int row = 0; row < PQntuples(result); ++row) {
		for (int column = 0; column < PQnfields(result); ++column) {
			const size_t length = static_cast<size_t>(PQgetlength(result, row, column));
			hash = HashText({PQgetvalue(result, row, column), length}, hash);
			hash = HashText(PQgetisnull(result, row, column) != 0 ? "\n" : "\t", hash);
		}
	}
	return hash;
}

}  // namespace

Connection::Connection(const std::string& application_name, int timeout_s, const std::string& settings)
	: application_name_(application_name),
	  options_(Text("-c statement_timeout=%ds -c search_path=retail %s", timeout_s, settings.c_str())) {
	Connect();
}

void Connection::Connect() {
	const char* names[] = {"application_name", "options", "client_encoding", "connect_timeout", nullptr};
	const char* values[] = {application_name_.c_str(), options_.c_str(), "UTF8", "30", nullptr};
	connection_.reset(PQconnectdbParams(names, values, 0));
	if (PQstatus(connection_.get()) != CONNECTION_OK)
		throw std::runtime_error(Trim(PQerrorMessage(connection_.get())));
	PQsetNoticeProcessor(connection_.get(), [](void*, const char*) {}, nullptr);
}

Outcome Connection::Execute(const std::string& sql) {
	Outcome outcome;
	const Result result(PQexec(connection_.get(), sql.c_str()));
	const ExecStatusType status = PQresultStatus(result.get());
	if (status == PGRES_TUPLES_OK) {
		outcome.rows = PQntuples(result.get());
		outcome.answer_hash = HashAnswer(result.get());
	} else if (status == PGRES_COMMAND_OK) {
		outcome.rows = std::atoll(PQcmdTuples(result.get()));
	} else {
		const char* state = PQresultErrorField(result.get(), PG_DIAG_SQLSTATE);
		const char* message = PQresultErrorField(result.get(), PG_DIAG_MESSAGE_PRIMARY);
		outcome.error = Text("%s %s", state != nullptr ? state : "-----", message != nullptr ? message : "the connection was lost");
		if (PQstatus(connection_.get()) != CONNECTION_OK) {
			try {
				Connect();
			} catch (const std::exception& error) {
				outcome.error += Text(" (%s)", error.what());
			}
		}
	}
	return outcome;
}

std::vector<std::vector<std::string>> Connection::Ask(const std::string& sql) {
	Result result(PQexec(connection_.get(), sql.c_str()));
	// A server whose backend was killed starts again, which takes a while.
	for (int attempt = 0; PQstatus(connection_.get()) != CONNECTION_OK && attempt < 40; ++attempt) {
		std::this_thread::sleep_for(std::chrono::milliseconds(500));
		try {
			Connect();
		} catch (const std::runtime_error&) {
			continue;
		}
		result.reset(PQexec(connection_.get(), sql.c_str()));
	}
	const ExecStatusType status = PQresultStatus(result.get());
	if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK)
		throw std::runtime_error(Trim(PQerrorMessage(connection_.get())));
	std::vector<std::vector<std::string>> rows;
	for (int row = 0; row < PQntuples(result.get()); ++row) {
		rows.emplace_back();
		for (int column = 0; column < PQnfields(result.get()); ++column)
			rows.back().emplace_back(PQgetvalue(result.get(), row, column));
	}
	return rows;
}

void Connection::Cancel() {
	PGcancel* cancel = PQgetCancel(connection_.get());
	if (cancel == nullptr)
		return;
	char error[256];
	PQcancel(cancel, error, sizeof(error));
	PQfreeCancel(cancel);
}

}  // namespace wlm::bench
