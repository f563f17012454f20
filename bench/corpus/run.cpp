// wlm_corpus run: the statements of a file in random order on several connections, in rounds with different settings.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <map>
#include <mutex>
#include <sstream>
#include <stdexcept>
#include <thread>

#include "../driver/options.hpp"
#include "../driver/text.hpp"
#include "commands.hpp"
#include "dice.hpp"
#include "session.hpp"

namespace wlm::corpus {

namespace {

using bench::Text;
using Clock = std::chrono::steady_clock;

struct Setting {
	std::string name;
	std::vector<std::string> values;  // in an order of their own for each cycle
	size_t next = 0;
};

struct Execution {
	int round;
	size_t line;  // of the file, from 1
	double milliseconds;
	int64_t rows;
	std::string state;
	std::string error;
};

// "work_mem=64MB;max_parallel_workers_per_gather=0,2,4"
std::vector<Setting> ParseSettings(const std::string &text)
{
	std::vector<Setting> settings;
	for (const std::string &part : bench::Split(text, ';')) {
		if (bench::Trim(part).empty())
			continue;
		const size_t equals = part.find('=');
		if (equals == std::string::npos)
			throw std::runtime_error("no '=' in the setting " + part);
		settings.push_back({bench::Trim(part.substr(0, equals)), bench::Split(part.substr(equals + 1), ','), 0});
	}
	return settings;
}

// Each value once before any comes again, settings independent of each other.
std::string NextSettings(std::vector<Setting> &settings, Dice &dice)
{
	std::string sql;
	for (Setting &setting : settings) {
		if (setting.next % setting.values.size() == 0)
			dice.Shuffle(setting.values);
		sql += Text("SET %s = %s;", setting.name.c_str(),
		            Literal(bench::Trim(setting.values[setting.next++ % setting.values.size()])).c_str());
	}
	return sql;
}

std::vector<std::string> ReadStatements(const std::string &path)
{
	std::vector<std::string> statements;
	std::istringstream in(bench::ReadFile(path));
	for (std::string line; std::getline(in, line);)
		statements.push_back(line.rfind("--", 0) == 0 ? std::string() : bench::Trim(line));
	return statements;
}

void RunClient(Session &session, const std::vector<std::string> &statements, const std::vector<size_t> &order,
               int round, const std::string &setup, std::atomic<size_t> &next, std::mutex &mutex,
               std::vector<Execution> &executions)
{
	for (size_t i = next++; i < order.size(); i = next++) {
		const Clock::time_point start = Clock::now();
		const Reply reply = session.Execute(statements[order[i]], false);
		const double milliseconds = std::chrono::duration<double, std::milli>(Clock::now() - start).count();
		{
			const std::lock_guard<std::mutex> lock(mutex);
			executions.push_back({round, order[i] + 1, milliseconds, reply.row_count, reply.state, reply.error});
		}
		if (session.IsLost() && (!session.Reconnect() || session.Execute(setup).Failed()))
			return;
	}
}

double Percentile(const std::vector<double> &sorted, double part)
{
	return sorted.empty()
		? 0.0
		: sorted[std::min(sorted.size() - 1, static_cast<size_t>(part * static_cast<double>(sorted.size())))];
}

void WriteLog(const std::string &path, const std::vector<Execution> &executions)
{
	std::string text = "round\tline\tms\trows\tstate\n";
	for (const Execution &execution : executions)
		text += Text("%d\t%zu\t%.3f\t%lld\t%s\n", execution.round, execution.line, execution.milliseconds,
		             static_cast<long long>(execution.rows), execution.state.c_str());
	bench::WriteFile(path, text);
}

void PrintSummary(const std::vector<Execution> &executions, size_t statements, int rounds, double seconds)
{
	int errors = 0;
	int timeouts = 0;
	std::vector<double> times;
	std::map<std::string, int> messages;
	for (const Execution &execution : executions) {
		if (execution.state.empty())
			times.push_back(execution.milliseconds);
		else if (execution.state == "57014")
			++timeouts;
		else if (++errors, ++messages[execution.state + " " + execution.error] == 1 && messages.size() <= 10)
			std::fprintf(stderr, "error in line %zu: %s %s\n", execution.line, execution.state.c_str(),
			             execution.error.c_str());
	}
	std::sort(times.begin(), times.end());
	std::printf("statements=%zu rounds=%d executions=%zu errors=%d timeouts=%d seconds=%.1f p50_ms=%.1f p90_ms=%.1f "
	            "max_ms=%.1f\n",
	            statements, rounds, executions.size(), errors, timeouts, seconds, Percentile(times, 0.5),
	            Percentile(times, 0.9), times.empty() ? 0.0 : times.back());
}

}  // namespace

int Run(int argc, char **argv)
{
	const bench::Options options(argc, argv,
	                             {"file", "clients", "rounds", "timeout", "settings", "seed", "log", "dbname"});
	const std::vector<std::string> statements = ReadStatements(options.Need("file"));
	const int clients = std::max(1, options.Count("clients", 1));
	const int rounds = std::max(1, options.Count("rounds", 1));
	std::vector<Setting> settings = ParseSettings(options.Get("settings"));
	Dice dice(static_cast<uint64_t>(options.Number("seed", 1)));
	std::vector<size_t> order;
	for (size_t i = 0; i < statements.size(); ++i)
		if (!statements[i].empty())
			order.push_back(i);

	std::vector<std::unique_ptr<Session>> sessions;
	for (int i = 0; i < clients; ++i)
		sessions.push_back(std::make_unique<Session>(options.Get("dbname")));
	std::vector<Execution> executions;
	std::mutex mutex;
	const Clock::time_point start = Clock::now();
	for (int round = 1; round <= rounds; ++round) {
		const std::string setup =
			Text("SET timezone = 'UTC'; SET statement_timeout = %d;", options.Count("timeout", 10000)) +
			NextSettings(settings, dice);
		dice.Shuffle(order);
		std::atomic<size_t> next = 0;
		std::vector<std::thread> threads;
		for (const auto &session : sessions)
			if (!session->IsLost() || session->Reconnect())
				session->Ask(setup);
		for (const auto &session : sessions)
			threads.emplace_back([&, &client = *session] {
				RunClient(client, statements, order, round, setup, next, mutex, executions);
			});
		for (std::thread &thread : threads)
			thread.join();
	}
	if (const std::string log = options.Get("log"); !log.empty())
		WriteLog(log, executions);
	PrintSummary(executions, order.size(), rounds, std::chrono::duration<double>(Clock::now() - start).count());
	return 0;
}

}  // namespace wlm::corpus
