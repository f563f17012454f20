/*
 * overhead.cpp
 *
 * Microseconds per cheap statement on several servers, compared inside one
 * run: rounds of pipelined selects on one connection each, in turn, so that
 * whatever else the machine does hits all alike. Usage:
 *
 *     overhead ROUNDS STATEMENTS NAME=CONNINFO...
 *
 * The first server is the base. Prints the median over rounds, the ratio to
 * the base and the middle half of the ratios of the rounds.
 */
#include <libpq-fe.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

namespace {

struct Server {
	std::string name;
	PGconn *connection;
	std::vector<double> microseconds; /* per statement, one a round */
};

[[noreturn]] void Fail(const char *what, PGconn *connection)
{
	std::fprintf(stderr, "overhead: %s: %s", what, PQerrorMessage(connection));
	std::exit(1);
}

void Run(PGconn *connection, const char *sql)
{
	PGresult *result = PQexec(connection, sql);
	if (PQresultStatus(result) != PGRES_COMMAND_OK && PQresultStatus(result) != PGRES_TUPLES_OK)
		Fail(sql, connection);
	PQclear(result);
}

PGconn *Connect(const char *conninfo)
{
	PGconn *connection = PQconnectdb(conninfo);
	if (PQstatus(connection) != CONNECTION_OK)
		Fail("connect", connection);
	Run(connection, "CREATE TEMP TABLE cheap AS SELECT g AS id, g AS value FROM generate_series(1, 1000) g");
	Run(connection, "CREATE INDEX ON cheap (id)");
	Run(connection, "ANALYZE cheap");
	PGresult *prepared = PQprepare(connection, "cheap", "SELECT value FROM cheap WHERE id = $1", 1, nullptr);
	if (PQresultStatus(prepared) != PGRES_COMMAND_OK)
		Fail("prepare", connection);
	PQclear(prepared);
	return connection;
}

void Drain(PGconn *connection, int expected)
{
	while (expected > 0) {
		PGresult *result = PQgetResult(connection);
		if (result == nullptr)
			continue; /* the end of one statement's results */
		const ExecStatusType status = PQresultStatus(result);
		PQclear(result);
		if (status != PGRES_TUPLES_OK)
			Fail("execute", connection);
		expected--;
	}
}

/* In batches that fit the socket's buffers, each with one sync. */
double MicrosecondsPerStatement(PGconn *connection, int statements)
{
	constexpr int kBatch = 200;
	const char *values[] = {"500"};
	const auto start = std::chrono::steady_clock::now();

	if (PQenterPipelineMode(connection) != 1)
		Fail("pipeline mode", connection);
	for (int done = 0; done < statements; done += kBatch) {
		for (int i = 0; i < kBatch; i++)
			if (PQsendQueryPrepared(connection, "cheap", 1, values, nullptr, nullptr, 0) != 1)
				Fail("send", connection);
		if (PQpipelineSync(connection) != 1)
			Fail("sync", connection);
		Drain(connection, kBatch);
		PGresult *result = nullptr;
		while ((result = PQgetResult(connection)) == nullptr || PQresultStatus(result) != PGRES_PIPELINE_SYNC)
			PQclear(result);
		PQclear(result);
	}
	if (PQexitPipelineMode(connection) != 1)
		Fail("leaving pipeline mode", connection);
	const std::chrono::duration<double, std::micro> elapsed = std::chrono::steady_clock::now() - start;
	return elapsed.count() / statements;
}

double Quantile(std::vector<double> values, double quantile)
{
	std::sort(values.begin(), values.end());
	return values[static_cast<size_t>(quantile * static_cast<double>(values.size() - 1) + 0.5)];
}

}  // namespace

int main(int argc, char **argv)
{
	if (argc < 4) {
		std::fprintf(stderr, "usage: overhead ROUNDS STATEMENTS NAME=CONNINFO...\n");
		return 2;
	}
	const int rounds = std::atoi(argv[1]);
	const int statements = std::atoi(argv[2]);
	std::vector<Server> servers;
	for (int i = 3; i < argc; i++) {
		const std::string argument = argv[i];
		const size_t equals = argument.find('=');
		servers.push_back({argument.substr(0, equals), Connect(argument.substr(equals + 1).c_str()), {}});
	}

	for (int round = -2; round < rounds; round++) { /* two rounds to warm up */
		for (size_t i = 0; i < servers.size(); i++) {
			/* Alternately forwards and backwards, so that nobody always follows the same neighbour. */
			Server &server = servers[round % 2 == 0 ? i : servers.size() - 1 - i];
			const double microseconds = MicrosecondsPerStatement(server.connection, statements);
			if (round >= 0)
				server.microseconds.push_back(microseconds);
		}
	}

	std::printf("%-20s %10s %8s %18s\n", "server", "us/stmt", "ratio", "middle half");
	for (Server &server : servers) {
		std::vector<double> ratios;
		for (size_t i = 0; i < server.microseconds.size(); i++)
			ratios.push_back(server.microseconds[i] / servers[0].microseconds[i]);
		std::printf("%-20s %10.2f %8.3f     %6.3f .. %6.3f\n", server.name.c_str(), Quantile(server.microseconds, 0.5),
		            Quantile(ratios, 0.5), Quantile(ratios, 0.25), Quantile(ratios, 0.75));
		PQfinish(server.connection);
	}
	return 0;
}
